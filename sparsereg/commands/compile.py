"""``python -m sparsereg compile``: compile the kernels now, on all processors.

Each kernel is compiled when a fit first needs it, and kept on disk. This command meets all of them
at once, so that no fit of a user has to: after an installation, or when an image is built. Numba
compiles on one thread, so the work is dealt out to processes, which share the folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from sparsereg.commands.messages import plain_console

if TYPE_CHECKING:
    import numpy as np


@click.command(name="compile")
def compile_kernels() -> None:
    """Compile all CPU kernels now, once per installation.

    Without it each kernel is compiled when a fit first needs it. Run it after installing, or while
    an image is built. What is compiled already is not compiled again.
    """
    import multiprocessing
    import os
    from concurrent.futures import ProcessPoolExecutor, as_completed

    from rich.progress import Progress

    start = time.perf_counter()
    n_workers = min(len(EXERCISES), os.cpu_count() or 1)
    context = multiprocessing.get_context("spawn")
    with (
        Progress(console=plain_console(stderr=True), transient=True) as progress,
        ProcessPoolExecutor(n_workers, mp_context=context) as pool,
    ):
        bar = progress.add_task("Compiling ...", total=len(EXERCISES))
        for done in as_completed([pool.submit(exercise, name) for name in EXERCISES]):
            done.result()
            progress.advance(bar)
    click.echo(f"Kernels compiled in {time.perf_counter() - start:.1f} s.")


def exercise(name: str) -> None:
    """Run the small fits of one group, without their warnings."""
    import warnings

    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        EXERCISES[name](np.random.default_rng(0))


def _problems(rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return a wide and a tall problem: residuals or a Gram matrix of all columns."""
    problems = []
    for shape in ((30, 90), (90, 30)):
        X = rng.standard_normal(shape) * (rng.random(shape) < 0.3)
        problems.append((X, X[:, 0] + rng.standard_normal(shape[0])))
    return problems


def _fits_of_the_lasso_family(forms: list[Callable[[np.ndarray], Any]]) -> Callable[..., None]:
    def fits(rng: np.random.Generator) -> None:
        import numpy as np

        from sparsereg import ElasticNet, Lasso, LassoCV, MultiTaskLasso

        for dense, y in _problems(rng):
            weights = rng.random(y.size)
            for form in forms:
                X = form(dense)
                Lasso(0.01).fit(X, y)
                Lasso(0.01, positive=True).fit(X, y, sample_weight=weights)
                ElasticNet(0.01).fit(X, y)
                LassoCV(cv=2, alphas=5).fit(X, y)
                MultiTaskLasso(0.01).fit(X, np.column_stack([y, y[::-1]]))

    return fits


def _fits_on_residuals(rng: np.random.Generator) -> None:
    """Fit with more columns at once than a Gram matrix is built for."""
    from scipy import sparse

    from sparsereg import ElasticNet

    y = rng.standard_normal(5)
    ridge = ElasticNet(0.1, l1_ratio=0.0, max_iter=2)
    many = rng.standard_normal((5, 8100))
    few_entries = sparse.random(5, 5000, 0.5, random_state=rng)
    for dtype in ("float64", "float32"):
        for form in ("columns", "rows"):
            ridge.fit(_stored(dtype, form)(many), y)
        ridge.fit(_stored(dtype, "sparse")(few_entries), y)


def _fits_of_local_models(rng: np.random.Generator) -> None:
    import numpy as np
    from scipy import sparse

    from sparsereg import (
        LqRegressor,
        MCPRegressor,
        SCADRegressor,
        SparseRegressor,
        penalties,
        sparse_path,
    )

    for dense, y in _problems(rng):
        for dtype in (np.float64, np.float32):
            for form in (np.asfortranarray, np.ascontiguousarray, sparse.csc_array):
                MCPRegressor(0.1).fit(form(dense.astype(dtype)), y)
        SCADRegressor(0.1).fit(dense, y)
        LqRegressor(0.1).fit(dense, y)
        sparse_path(dense, y, penalties.MCP(), n_alphas=5)
        for name in ("LogSum", "TransformedL1", "CappedL1", "CEL0"):
            SparseRegressor(getattr(penalties, name)(0.1)).fit(dense, y)
        penalties.MCP().prox(y, 1.0)


def _fits_of_l0(rng: np.random.Generator) -> None:
    from scipy import sparse

    from sparsereg import L0Regressor, l0_path

    for X, y in _problems(rng):
        L0Regressor(0.1).fit(X, y)
        L0Regressor(0.01, coef_bound=0.1).fit(X, y)
        L0Regressor(0.1, l2=0.1, exact=True).fit(X, y)
        L0Regressor(0.001, l2=0.1).fit(sparse.csc_array(X), y)
        l0_path(X, y, max_size=5)


def _fits_of_mixtures(rng: np.random.Generator) -> None:
    from sparsereg.mixture import (
        MixedColoringRegressor,
        MixtureOracle,
        SparseGraphDesign,
        make_sparse_mixture,
    )

    for method in ("pilot", "coloring", "robust"):
        quantized: dict[str, Any] = {"quantum": 1.0, "noise_std": 0.1} if method == "robust" else {}
        design = SparseGraphDesign(60, 2, 6, method=method, random_state=0, **quantized)
        coef = make_sparse_mixture(60, 6, random_state=0)
        y = MixtureOracle(coef.round() if quantized else coef, random_state=0)(design.matrix())
        MixedColoringRegressor(refine=True).fit_measurements(y, design)


def _fits_of_private_models(rng: np.random.Generator) -> None:
    from sparsereg.privacy import LDPSparseRegression

    X = rng.standard_normal((500, 3))
    for protect in ("record", "label"):
        LDPSparseRegression(protect=protect, random_state=0).fit(X, X[:, 0])


def _codes(rng: np.random.Generator) -> None:
    from sparsereg import penalties, sparse_encode

    dictionary, signals = rng.standard_normal((8, 20)), rng.standard_normal((5, 20))
    for penalty in (penalties.L1(0.1), penalties.MCP(0.1)):
        sparse_encode(signals, dictionary, penalty)


def _masks(rng: np.random.Generator) -> None:
    from sparsereg.backends import get_backend

    scores = rng.standard_normal(16)
    for values in (scores, scores.astype("float32")):
        get_backend("numba").mask_groups(values, 2, 4)


def _large_supports(rng: np.random.Generator) -> None:
    """Fit with more active columns than events are followed for one by one."""
    from sparsereg import enet_path, lasso_path

    X = rng.standard_normal((200, 400))
    y = X[:, :100].sum(axis=1) + rng.standard_normal(200)
    lasso_path(X, y)
    enet_path(X, y)


def _rough_products(rng: np.random.Generator) -> None:
    import numpy as np

    from sparsereg.backends import get_backend

    backend, X = get_backend("numba"), rng.standard_normal((20, 4))
    for store in (*_DENSE, *_OTHERS):
        design = backend.design(store(X), None, True)
        for columns in (np.arange(4), np.array([0, 2])):
            backend.gram(design, columns, columns.size, rough=True)


def _stored(dtype: str, form: str) -> Callable[[Any], Any]:
    def store(X: Any) -> Any:
        import numpy as np
        from scipy import sparse

        forms = {"columns": np.asfortranarray, "rows": np.ascontiguousarray}
        return forms.get(form, sparse.csc_array)(X.astype(dtype))

    return store


_DENSE = [_stored("float64", "columns"), _stored("float64", "rows")]
_OTHERS = [_stored("float32", "columns"), _stored("float32", "rows")]
_SPARSE = [_stored("float64", "sparse"), _stored("float32", "sparse")]

#: Groups of fits that together meet every kernel; the longest first.
EXERCISES: dict[str, Callable[[np.random.Generator], None]] = {
    "lasso family": _fits_of_the_lasso_family(_DENSE),
    "non-convex penalties": _fits_of_local_models,
    "l0": _fits_of_l0,
    "large supports": _large_supports,
    "residuals": _fits_on_residuals,
    "mixtures": _fits_of_mixtures,
    "privacy": _fits_of_private_models,
    "sparse coding": _codes,
    "weight patterns": _masks,
    "rough products": _rough_products,
    "lasso family, sparse": _fits_of_the_lasso_family(_SPARSE),
    "lasso family, float32": _fits_of_the_lasso_family(_OTHERS),
}
