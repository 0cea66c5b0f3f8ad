"""``python -m sparsereg demo``: real data, our models and scikit-learn's side by side.

Both get the same training rows, grid of alphas and folds, one after the other in this process;
R² is on rows that neither saw, and one function of this file computes both duality gaps.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsereg.commands.messages import InputError, check_outputs, plain_console, unwritable

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

_SEED = 0
_HELD_OUT = 0.25
_N_FOLDS = 5
_N_RUNS = 3
_MAX_SIZE = 20


@click.command()
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="PATH",
    default="sparsereg-demo.png",
    show_default=True,
    help="Where to draw the regularization path and the cross-validation curve.",
)
@click.option("--no-picture", is_flag=True, help="Draw nothing.")
def demo(picture: Path, no_picture: bool) -> None:
    """Fit real data with sparsereg and scikit-learn, and draw the path.

    The data come with scikit-learn: nothing is downloaded.
    """
    drawn = not no_picture and importlib.util.find_spec("matplotlib") is not None
    if drawn:
        check_outputs({"--picture": picture})
    console, working = plain_console(), plain_console(stderr=True).status
    with working("Loading kernels; after an installation they are compiled, for half a minute"):
        seconds = _start_up()
    console.print(
        f"Start-up {seconds:.2f} s, once per process: imports, and compiling the kernels or\n"
        "loading them from the cache. The timings below do not include it.\n"
    )
    splits = [(family, Split(*family.load())) for family in FAMILIES]
    with working("Fitting the same data with both libraries"):
        rows = [row for family, split in splits for row in _rows(family, split)]
    console.print(_table(rows))
    console.print(_legend(rows))
    with working("Local differential privacy"):
        privacy = _privacy()
    console.print(privacy)
    with working("Mixtures of regressions"):
        mixture = _mixture()
    console.print(mixture)
    if _has_torch():
        from sparsereg.commands.demo_neural import LEGEND, neural_table

        with working("Networks"):
            networks = neural_table()
        console.print("\nNetworks, with PyTorch:\n")
        console.print(networks)
        console.print(LEGEND)
    if drawn:
        family, split = splits[0]
        model = next(row.model for row in rows if row.family is family)
        _draw(picture, family, split, model)
        console.print(f"\nPicture: {picture}", soft_wrap=True)
    elif not no_picture:
        console.print("\nNo picture: matplotlib is not installed (pip install matplotlib).")


@dataclass(frozen=True)
class Family:
    """One group of rows: data, and who fits them.

    Attributes
    ----------
    data : str
        What the table calls the data.
    note : str
        What the data are, in a few words.
    load : callable
        Returns X, y and the names of the columns of X.
    contestants : mapping
        From the name of a library to a function ``(alphas, folds) -> estimator``; ours first.
    """

    data: str
    note: str
    load: Callable[[], tuple[np.ndarray, np.ndarray, list[str]]]
    contestants: Mapping[str, Callable[[np.ndarray, Any], Any]]


class Split:
    """Standardized training rows and held-out rows, with the alphas and folds for everybody."""

    def __init__(self, X: np.ndarray, y: np.ndarray, names: list[str]) -> None:
        import numpy as np
        from sklearn.model_selection import KFold, train_test_split
        from sklearn.preprocessing import StandardScaler

        X_train, X_test, self.y, self.y_test = train_test_split(
            X, y, test_size=_HELD_OUT, random_state=_SEED
        )
        scaler = StandardScaler().fit(X_train)
        self.X, self.X_test = scaler.transform(X_train), scaler.transform(X_test)
        self.names = names
        alpha_max = abs(self.X.T @ (self.y - self.y.mean())).max() / len(self.y)
        self.alphas = alpha_max * np.geomspace(1, 1e-3, 100)
        self.folds = KFold(_N_FOLDS, shuffle=True, random_state=_SEED)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    family: Family
    library: str
    split: Split
    model: Any
    seconds: float
    converged: bool


def _diabetes() -> tuple[np.ndarray, np.ndarray, list[str]]:
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import PolynomialFeatures

    data = load_diabetes()
    pairs = PolynomialFeatures(degree=2, include_bias=False)
    X = pairs.fit_transform(data.data)
    names = pairs.get_feature_names_out(data.feature_names)
    # Sex has two values, so that its square repeats it: Efron et al. (2004) leave it out too.
    kept = names != "sex^2"
    pretty = [name.replace(" ", " × ").replace("^2", "²") for name in names[kept]]
    return X[:, kept], data.target, pretty


def _breast_cancer() -> tuple[np.ndarray, np.ndarray, list[str]]:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return data.data, data.target.astype(float), list(data.feature_names)


def _our_lasso(alphas: np.ndarray, folds: Any) -> Any:
    from sparsereg import LassoCV

    return LassoCV(alphas=alphas, cv=folds)


def _sklearn_lasso(alphas: np.ndarray, folds: Any) -> Any:
    from sklearn.linear_model import LassoCV

    return LassoCV(alphas=alphas, cv=folds, max_iter=10_000)


def _our_subset(alphas: np.ndarray, folds: Any) -> Any:
    from sparsereg import L0RegressorCV

    return L0RegressorCV(max_size=_MAX_SIZE, cv=folds)


def _sklearn_subset(alphas: np.ndarray, folds: Any) -> Any:
    from sklearn.linear_model import OrthogonalMatchingPursuitCV

    return OrthogonalMatchingPursuitCV(max_iter=_MAX_SIZE, cv=folds)


_LASSO = {"sparsereg": _our_lasso, "scikit-learn": _sklearn_lasso}
_SUBSET = {"sparsereg": _our_subset, "scikit-learn": _sklearn_subset}

# A new family adds its line here.
FAMILIES = [
    Family("diabetes, pairs", "10 measurements, squares and products", _diabetes, _LASSO),
    Family("breast cancer", "response 0 (malignant) or 1 (benign)", _breast_cancer, _LASSO),
    Family("diabetes, l0", "the same by size, ours with swaps, theirs greedy", _diabetes, _SUBSET),
]


def _start_up() -> float:
    """Return the seconds until our first, tiny fit is done."""
    start = time.perf_counter()
    import numpy as np

    from sparsereg import LassoCV

    rng = np.random.default_rng(_SEED)
    X = rng.standard_normal((30, 4))
    LassoCV(cv=3).fit(X, X[:, 0] + rng.standard_normal(30))
    return time.perf_counter() - start


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _rows(family: Family, split: Split) -> Iterator[Row]:
    for library, contestant in family.contestants.items():
        seconds = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(_N_RUNS):
                model = contestant(split.alphas, split.folds)
                start = time.perf_counter()
                model.fit(split.X, split.y)
                seconds.append(time.perf_counter() - start)
        converged = not any("Convergence" in warning.category.__name__ for warning in caught)
        yield Row(family, library, split, model, min(seconds), converged)


def relative_duality_gap(X: np.ndarray, y: np.ndarray, model: Any) -> float:
    """Return a bound on how far a fitted lasso is above the minimum, as a part of its objective.

    With centered X and y, residual r, gradient ``g = X' r / n`` and the dual scale
    ``a = min(1, alpha / max_j |g_j|)``, the duality gap is the sum of non-negative terms
    ``(1 - a)² ||r||²/(2n) + sum_j |w_j| (alpha - sign(w_j) a g_j)``.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    model : estimator
        With ``coef_`` and ``alpha_``; its intercept is not penalized.

    Returns
    -------
    float
    """
    import numpy as np

    X, y = X - X.mean(axis=0), y - y.mean()
    n, w, alpha = len(y), model.coef_, model.alpha_
    r = y - X @ w
    g = X.T @ r / n
    a = min(1.0, alpha / abs(g).max())
    objective = r @ r / (2 * n) + alpha * abs(w).sum()
    terms = abs(w) * np.maximum(alpha - np.sign(w) * a * g, 0.0)
    return float(((1 - a) ** 2 * (r @ r) / (2 * n) + terms.sum()) / objective)


def _table(rows: list[Row]) -> Table:
    import numpy as np
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("data", overflow="fold")
    table.add_column("library", no_wrap=True)
    for name in ("n", "p", "alpha", "support", "R²", "gap", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        split, model = row.split, row.model
        table.add_row(
            row.family.data,
            row.library,
            *map(str, split.X.shape),
            f"{model.alpha_:.2g}" if hasattr(model, "alpha_") else "-",
            str(np.count_nonzero(model.coef_)),
            f"{model.score(split.X_test, split.y_test):.3f}",
            _gap(row),
            f"{row.seconds:.3f}",
        )
    return table


def _gap(row: Row) -> str:
    """Return the cell of the duality gap, which a choice by size does not have."""
    if not hasattr(row.model, "alpha_"):
        return "-"
    gap = relative_duality_gap(row.split.X, row.split.y, row.model)
    return f"{gap:.0e}" + "*" * (not row.converged)


def _legend(rows: list[Row]) -> str:
    notes = {row.family.data: row.family.note for row in rows}
    legend = "".join(f"\n{data}: {note}." for data, note in notes.items()) + (
        f"\nCross-validated lasso, {len(rows[0].split.alphas)} alphas and {_N_FOLDS} folds, the "
        "same for both libraries.\n"
        f"l0: the best subset of each size up to {_MAX_SIZE}, the size by the same folds.\n"
        f"n: training rows, p: columns. R²: on the other {_HELD_OUT:.0%} of the rows.\n"
        "gap: the objective is proven to be at most this part above its minimum.\n"
        f"seconds: wall time of fit, best of {_N_RUNS}, default threads and tolerances."
    )
    starred = "" if all(row.converged for row in rows) else "\n*: warned that it did not converge."
    return legend + starred


def _privacy() -> str:
    """Return the result of a locally private regression, and those to compare it with."""
    import numpy as np

    from sparsereg import Lasso
    from sparsereg.privacy import LDPSparseRegression

    n, d, noise = 100_000, 20, 0.5
    rng = np.random.default_rng(_SEED)
    X = rng.standard_normal((n, d), dtype=np.float32)
    truth = np.zeros(d)
    truth[[3, 8]] = 0.8, -0.6
    y = X @ truth + noise * rng.standard_normal(n)
    private = LDPSparseRegression(
        epsilon=1.0, interaction="sequential", covariance="identity", clipping="gaussian",
        x_radius=1.5 * np.sqrt(d), y_bound=3.4, penalty="mcp", fit_intercept=False,
        simulate="clt", random_state=_SEED,
    ).fit(X, y)  # fmt: skip
    alpha = noise * np.sqrt(2 * np.log(d) / n)
    public = Lasso(alpha, fit_intercept=False).fit(X, y)
    errors = [float(np.linalg.norm(model.coef_ - truth)) for model in (private, public)]
    return (
        f"\nLocal differential privacy, {n:,} simulated persons, {d} features, epsilon 1:\n"
        f"error of the coefficients {errors[0]:.3f}; without privacy {errors[1]:.3f}, of zeros 1."
    )


def _mixture() -> str:
    """Return what decoding a mixture of two regressions took, and whether it was exact."""
    from sparsereg.mixture import (
        MixedColoringRegressor,
        MixtureOracle,
        SparseGraphDesign,
        make_sparse_mixture,
        mixture_errors,
    )

    coef = make_sparse_mixture(500, 50, random_state=_SEED)
    design = SparseGraphDesign(500, 2, 50, random_state=_SEED)
    y = MixtureOracle(coef, random_state=_SEED)(design.matrix())
    seconds = []
    for _ in range(_N_RUNS + 1):  # the first one compiles
        start = time.perf_counter()
        model = MixedColoringRegressor().fit_measurements(y, design)
        seconds.append(time.perf_counter() - start)
    found = int((model.coef_ != 0).sum())
    exact = "all exact" if mixture_errors(coef, model.coef_).exact else "not all exact"
    return (
        f"\nMixture of two regressions with hidden labels, 500 columns, generated:\n"
        f"{found} of 50 coefficients from {len(y)} designed measurements, {exact}, in "
        f"{1e3 * min(seconds):.1f} ms."
    )


def _draw(path: Path, family: Family, split: Split, model: Any) -> None:
    from sparsereg.commands.picture import path_figure

    try:
        path_figure(model, split.names, f"Lasso path of {family.data}: {family.note}").savefig(path)
    except ValueError as error:  # an ending that matplotlib does not know
        path.unlink(missing_ok=True)
        raise InputError(f"--picture {str(path)!r}: {error}.") from error
    except OSError as error:
        raise unwritable("--picture", path, error) from error
