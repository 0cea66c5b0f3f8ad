"""Whole estimators through the drivers of the GPU backend, its kernels emulated on the CPU.

The Numba backend is the reference: same problem, same tolerance, certificates on both sides.
"""

import sys
import threading
import types
from importlib import metadata

import numpy as np
import pytest
from emulated_cuda import EmulatedBackend, needs_compiler
from scipy import sparse
from sklearn.base import clone
from sparsereg.gpu import designs

from sparsereg import (
    CEL0Regressor,
    ElasticNet,
    L0Regressor,
    Lasso,
    LassoCV,
    MCPRegressor,
    MultiTaskLasso,
    MultiTaskLassoCV,
    RelaxedLasso,
    SparseRegressorCV,
    config_context,
    lasso_path,
    mixture,
    penalties,
    privacy,
    sparse_encode,
    sparse_path,
)
from sparsereg.backends import get_backend, registry
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.privacy.simulation import simulate_reports

pytestmark = needs_compiler

RNG = np.random.default_rng(3)
N, P = 40, 70
VALUES = (RNG.standard_normal((N, P)) + 0.5) * (RNG.random((N, P)) < 0.5)
VALUES = VALUES.astype(np.float32).astype(np.float64)
Y = VALUES[:, :5] @ np.array([3.0, -2.0, 1.5, 1.0, -1.0]) + 0.3 * RNG.standard_normal(N) + 2.0
WEIGHTS = RNG.integers(0, 3, N).astype(float)

STORAGES = {
    "columns": np.asfortranarray,
    "rows": np.ascontiguousarray,
    "columns, float32": lambda X: np.asfortranarray(X, dtype=np.float32),
    "rows, float32": lambda X: np.ascontiguousarray(X, dtype=np.float32),
    "sparse": sparse.csc_array,
    "sparse, float32": lambda X: sparse.csc_array(X.astype(np.float32)),
}
TALL = np.asfortranarray(RNG.standard_normal((60, 12)))
TALL_Y = TALL[:, :3].sum(axis=1) + RNG.standard_normal(60)


@pytest.fixture(params=STORAGES)
def X(request):
    return STORAGES[request.param](VALUES)


@pytest.fixture(autouse=True)
def emulated(monkeypatch):
    """Register the emulated backend, hidden from everybody else."""
    backend = EmulatedBackend()
    monkeypatch.setitem(sys.modules, "emulated", types.SimpleNamespace(backend=backend))
    point = metadata.EntryPoint("emulated", "emulated:backend", "sparsereg.backends")
    monkeypatch.setattr(registry, "_entry_points", lambda: {"emulated": point})
    return backend


def both(estimator, X, y=Y, **fit_params):
    """Fit on the device and on the CPU."""
    return [
        clone(estimator).set_params(backend=backend).fit(X, y, **fit_params)
        for backend in ("emulated", "numba")
    ]


def assert_same(there, here, rtol=1e-6):
    assert there.backend_ == "emulated"
    scale = np.max(np.abs(here.coef_))
    np.testing.assert_allclose(there.coef_, here.coef_, atol=rtol * scale, rtol=0)
    np.testing.assert_allclose(there.intercept_, here.intercept_, rtol=1e-4)


@pytest.mark.parametrize(
    "estimator",
    [
        Lasso(0.05, tol=1e-12),
        Lasso(0.05, tol=1e-12, fit_intercept=False),
        Lasso(0.05, tol=1e-12, positive=True),
        ElasticNet(0.05, tol=1e-12),
        MCPRegressor(0.1, tol=1e-9),
    ],
    ids=repr,
)
def test_one_fit(estimator, X, emulated):
    there, here = both(estimator, X)
    assert_same(there, here)
    assert there.converged_
    assert emulated.device.launches > 0


def test_sample_weights_and_penalty_weights(X):
    weights = np.ones(P)
    weights[:3], weights[3], weights[4] = 0.5, 0.0, np.inf
    there, here = both(Lasso(0.05, tol=1e-10, penalty_weights=weights), X, sample_weight=WEIGHTS)
    assert_same(there, here)


def test_float32_storage_is_certified_as_float64_is():
    X = np.asfortranarray(VALUES, dtype=np.float32)
    model = Lasso(0.01, tol=1e-10, backend="emulated").fit(X, Y)
    assert model.dual_gap_ <= 1e-10 * np.var(Y)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_path(X, fit_intercept):
    settings = {"n_alphas": 12, "eps": 0.02, "tol": 1e-10, "fit_intercept": fit_intercept}
    there, here = (
        lasso_path(X, Y, backend=backend, **settings) for backend in ("emulated", "numba")
    )
    np.testing.assert_allclose(there[0], here[0], rtol=1e-9)
    np.testing.assert_allclose(there[1], here[1], atol=1e-4)


@pytest.mark.parametrize("data", [(VALUES, Y), (TALL, TALL_Y)], ids=["wide", "tall"])
def test_cross_validation(data):
    X, y = np.asfortranarray(data[0]), data[1]
    there, here = both(LassoCV(cv=3, n_alphas=8, eps=0.05, tol=1e-9), X, y)
    assert there.alpha_ == pytest.approx(here.alpha_)
    np.testing.assert_allclose(there.mse_path_, here.mse_path_, rtol=1e-4)
    assert_same(there, here, rtol=1e-4)


def test_cross_validation_of_sparse_data():
    there, here = both(LassoCV(cv=3, n_alphas=6, eps=0.1, tol=1e-9), sparse.csc_array(VALUES))
    np.testing.assert_allclose(there.mse_path_, here.mse_path_, rtol=1e-4)


def test_path_of_a_penalty_that_is_not_convex(X):
    settings = {"n_alphas": 8, "eps": 0.1, "tol": 1e-9}
    there, here = (
        sparse_path(X, Y, penalties.SCAD(), backend=backend, **settings)
        for backend in ("emulated", "numba")
    )
    np.testing.assert_allclose(there[1], here[1], atol=1e-5)


@pytest.mark.parametrize(
    "estimator",
    [
        RelaxedLasso(0.05, tol=1e-10),
        CEL0Regressor(0.05),
        L0Regressor(n_nonzero=4),
        SparseRegressorCV(penalties.MCP(), cv=3, n_alphas=6, tol=1e-8),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_other_estimators(estimator):
    there, here = both(estimator, np.ascontiguousarray(VALUES))
    assert_same(there, here, rtol=1e-5)


@pytest.mark.parametrize("storage", ["columns", "rows", "sparse"])
def test_several_tasks(storage):
    tasks = np.column_stack([Y, -Y, Y + VALUES[:, 7]])
    there, here = both(MultiTaskLasso(0.05, tol=1e-9), STORAGES[storage](VALUES), tasks)
    np.testing.assert_allclose(there.coef_, here.coef_, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_codes(dtype):
    signals, atoms = (RNG.standard_normal(shape).astype(dtype) for shape in ((9, 10), (40, 10)))
    for penalty in (penalties.L1(0.3), penalties.Lq(0.3, q=0.5)):
        there, here = (
            sparse_encode(signals, atoms, penalty, tol=1e-8, backend=backend)
            for backend in ("emulated", "numba")
        )
        np.testing.assert_allclose(there, here, atol=1e-3)


def test_too_many_atoms_for_a_device_are_refused(emulated):
    emulated.device.max_shared_bytes = 16 * 8 + 8 * 544  # of a Newton step
    with pytest.raises(ValueError, match=r"9 atoms, and the device has room for 8"):
        sparse_encode(np.ones((2, 3)), RNG.standard_normal((9, 3)), backend="emulated")


def test_every_order_of_threads_gives_bitwise_the_same_fit():
    X = np.asfortranarray(VALUES)
    fits = []
    for order in ("ascending", "descending", "random"):
        backend = EmulatedBackend(order)
        sys.modules["emulated"].backend = backend
        fits.append(Lasso(0.05, backend="emulated").fit(X, Y).coef_)
    assert all(np.array_equal(fit, fits[0]) for fit in fits)


@pytest.mark.parametrize("how", ["parameter", "configuration"])
def test_private_reports_add_up_to_the_integers_of_the_cpu(emulated, how):
    protocol = privacy.Protocol(n_features=3, epsilon=1.0)
    rng, X = np.random.default_rng(0), VALUES[:, :3] / 10
    reports = simulate_reports(protocol, X, Y / 10, rng, get_backend("numba"))
    settings = {"accept_simulated": True}
    expected = privacy.Aggregator(protocol, backend="numba", **settings).update(reports)
    if how == "parameter":
        found = privacy.Aggregator(protocol, backend="emulated", **settings).update(reports)
    else:
        with config_context(backend="emulated"):
            found = privacy.Aggregator(protocol, **settings).update(reports)
    assert emulated.device.launches == 1
    assert found.n_reports == len(reports)
    np.testing.assert_array_equal(found.sums, expected.sums)


@pytest.mark.parametrize("method", ["pilot", "coloring"])
def test_mixtures_are_decoded_to_the_same_bits(method, emulated):
    design = mixture.SparseGraphDesign(100, 2, 6, method=method, random_state=0)
    coef = mixture.make_sparse_mixture(100, 6, random_state=0)
    y = mixture.MixtureOracle(coef, random_state=0)(design.matrix())
    there, here = (
        mixture.MixedColoringRegressor(backend=name).fit_measurements(y, design)
        for name in ("emulated", "numba")
    )
    assert there.backend_ == "emulated"
    assert emulated.device.launches > 3
    assert here.converged_
    np.testing.assert_array_equal(there.sparse_coef_.toarray(), here.sparse_coef_.toarray())
    np.testing.assert_array_equal(there.labels_, here.labels_)


@pytest.fixture
def passes(monkeypatch):
    """Return a list that gets an entry for every pass over all of X."""
    seen = []
    for cls in (designs.ColumnsDesign, designs.RowsDesign, designs.CscDesign):
        for name in ("_dot", "_multiply"):
            counted = getattr(cls, name)

            def count(self, v, *rest, counted=counted):
                seen.append(len(v))
                return counted(self, v, *rest)

            monkeypatch.setattr(cls, name, count)
    return seen


LOCK_STEP = {
    "lasso": LassoCV(cv=5, n_alphas=15, eps=0.05, tol=1e-9),
    "lasso, without intercept": LassoCV(cv=5, n_alphas=15, eps=0.05, tol=1e-9, fit_intercept=False),
    "mcp": SparseRegressorCV(penalties.MCP(), cv=5, n_alphas=6, tol=1e-8),
    "tasks": MultiTaskLassoCV(cv=5, n_alphas=8, eps=0.05, tol=1e-9),
}


@pytest.mark.parametrize("storage", ["columns, float32", "rows", "sparse"])
@pytest.mark.parametrize("name", LOCK_STEP)
def test_folds_share_their_passes_over_x(name, storage, emulated, passes, monkeypatch):
    estimator, X = LOCK_STEP[name], STORAGES[storage](VALUES)
    y = np.column_stack([Y, -Y + VALUES[:, 7]]) if name == "tasks" else Y
    there, here = both(estimator, X, y, sample_weight=WEIGHTS + 1.0)
    shared = len(passes)
    passes.clear()
    monkeypatch.setattr(EmulatedBackend, "shares_passes", False)
    monkeypatch.setattr("sparsereg.solvers.few_rows._OF_PATHS", (0, 0))  # as on a device
    monkeypatch.setattr("sparsereg.solvers.few_rows._OF_FITS", (0, 0))
    apart = clone(estimator).set_params(backend="emulated").fit(X, y, sample_weight=WEIGHTS + 1.0)
    # five folds share; the path on all data and the moments of the columns are passes, too
    assert shared < 0.65 * len(passes)
    for other in (here, apart):
        assert there.alpha_ == pytest.approx(other.alpha_)
        np.testing.assert_allclose(there.mse_path_, other.mse_path_, rtol=1e-4)
    assert there.converged_


def test_lock_step_does_not_depend_on_timing(emulated):
    X = np.asfortranarray(VALUES)
    fits = [LassoCV(cv=4, n_alphas=10, backend="emulated").fit(X, Y) for _ in range(3)]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.mse_path_, fits[0].mse_path_)
        np.testing.assert_array_equal(fit.coef_, fits[0].coef_)


def test_an_interruption_of_lock_step_keeps_what_is_finished(emulated, monkeypatch):
    seen = []

    def steps(iterator, *args):
        for step in iterator:
            seen.append(step)
            if len(seen) == 30:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr("sparsereg.model_selection.path_cv.progress", steps)
    before = threading.active_count()
    with pytest.warns(PathInterruptedWarning, match="of 20 alphas that"):
        model = LassoCV(cv=3, n_alphas=20, backend="emulated").fit(np.asfortranarray(VALUES), Y)
    finished = np.isfinite(model.mse_path_)
    assert np.array_equal(finished.any(axis=0), finished.all(axis=0))
    # (20, 9, 1) is the least that three folds with 30 in all have in common
    assert np.count_nonzero(finished) >= 18
    assert threading.active_count() == before


def test_an_error_in_one_fold_is_that_of_the_fit(emulated, monkeypatch):
    spread, calls = designs.ColumnsDesign.spread, []

    def fail_for_the_third(self):
        calls.append(self)
        if len(calls) == 3:  # all data, then the folds
            raise MemoryError("too little")
        return spread(self)

    monkeypatch.setattr(designs.ColumnsDesign, "spread", fail_for_the_third)
    with pytest.raises(MemoryError, match="too little"):
        LassoCV(cv=3, n_alphas=5, backend="emulated").fit(np.asfortranarray(VALUES), Y)
