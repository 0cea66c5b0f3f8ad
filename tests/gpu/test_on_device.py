"""On a CUDA device, where there is one: ``pytest -m gpu``."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sparsereg import (
    ElasticNet,
    L0Regressor,
    Lasso,
    LassoCV,
    MCPRegressor,
    MultiTaskLasso,
    SparseRegressorCV,
    lasso_path,
    mixture,
    penalties,
    sparse_encode,
)
from sparsereg.backends import get_backend
from sparsereg.backends.numba import backend as numba

available, why = get_backend("cupy").available()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not available, reason=f"no device: {why}")]

RNG = np.random.default_rng(3)
N, P = 300, 700
VALUES = (RNG.standard_normal((N, P)) + 0.5) * (RNG.random((N, P)) < 0.5)
VALUES = VALUES.astype(np.float32).astype(np.float64)
Y = VALUES[:, :5] @ np.array([3.0, -2.0, 1.5, 1.0, -1.0]) + RNG.standard_normal(N) + 2.0
STORAGES = {
    "columns": np.asfortranarray,
    "rows": np.ascontiguousarray,
    "columns, float32": lambda X: np.asfortranarray(X, dtype=np.float32),
    "rows, float32": lambda X: np.ascontiguousarray(X, dtype=np.float32),
    "sparse": sparse.csc_array,
}


def there(X):
    """Return X on the device, in its storage."""
    import cupy
    from cupyx.scipy.sparse import csc_matrix

    if not sparse.issparse(X):
        return cupy.asarray(X)
    parts = tuple(cupy.asarray(part) for part in (X.data, X.indices, X.indptr))
    return csc_matrix(parts, shape=X.shape)


@pytest.fixture(params=STORAGES)
def X(request):
    return STORAGES[request.param](VALUES)


@pytest.mark.parametrize("columns", [None, np.array([5, 2, 600])], ids=["all", "some"])
@pytest.mark.parametrize("n_tasks", [1, 11])
def test_gradients_are_those_of_the_cpu_and_bitwise_reproducible(X, n_tasks, columns):
    device = get_backend("cupy")
    weights = RNG.uniform(0.5, 1.5, N)
    weights *= N / weights.sum()
    design, reference = (side.design(X, weights, True) for side in (device, numba))
    np.testing.assert_allclose(design.sqnorms, reference.sqnorms, rtol=1e-10)
    residuals = RNG.standard_normal((n_tasks, N))
    found = device.xtr_tasks(design, residuals, columns)
    np.testing.assert_allclose(found, numba.xtr_tasks(reference, residuals, columns), atol=1e-12)
    np.testing.assert_array_equal(device.xtr_tasks(design, residuals, columns), found)


@pytest.mark.parametrize(
    "estimator",
    [
        Lasso(0.05, tol=1e-10),
        Lasso(0.05, tol=1e-10, positive=True),
        ElasticNet(0.05, tol=1e-10),
        MCPRegressor(0.1, tol=1e-8),
    ],
    ids=repr,
)
def test_fits_stay_on_the_device(estimator, X):
    model, reference = clone(estimator).fit(there(X), Y), clone(estimator).fit(X, Y)
    assert model.backend_ == "cupy"
    assert model.converged_
    np.testing.assert_allclose(model.coef_.get(), reference.coef_, atol=1e-4)
    predictions = model.predict(there(X))
    np.testing.assert_allclose(predictions.get(), reference.predict(X), atol=1e-2)


@pytest.mark.parametrize(
    "estimator",
    [
        LassoCV(cv=3, n_alphas=10),
        L0Regressor(n_nonzero=5),
        SparseRegressorCV(penalties.SCAD(), cv=3, n_alphas=10),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_other_estimators_compute_on_the_device(estimator):
    X = np.asfortranarray(VALUES)
    model = clone(estimator).set_params(backend="cupy").fit(X, Y)
    np.testing.assert_allclose(model.coef_, clone(estimator).fit(X, Y).coef_, atol=1e-2)


def test_several_tasks():
    tasks = np.column_stack([Y, -Y])
    model = MultiTaskLasso(0.1, backend="cupy", tol=1e-8).fit(VALUES, tasks)
    np.testing.assert_allclose(model.coef_, MultiTaskLasso(0.1, tol=1e-8).fit(VALUES, tasks).coef_,
                               atol=1e-4)  # fmt: skip


def test_paths():
    found, expected = (
        lasso_path(VALUES, Y, n_alphas=20, tol=1e-10, backend=name)[1] for name in ("cupy", "numba")
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    "penalty",
    [
        penalties.L1(0.5),
        penalties.ElasticNet(0.5, positive=True),
        penalties.MCP(0.5),
        penalties.SCAD(0.5),
        penalties.Lq(0.5, q=0.5),
        penalties.Lq(0.5, q=0.7),
        penalties.L0(0.5),
        penalties.CEL0(0.5),
        penalties.LogSum(0.5),
        penalties.TransformedL1(0.5),
        penalties.CappedL1(0.5),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
def test_sparse_codes(penalty):
    signals, atoms = RNG.standard_normal((500, 40)), RNG.standard_normal((90, 40))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    found = sparse_encode(there(signals), atoms, penalty, max_iter=5000)
    again = sparse_encode(there(signals), atoms, penalty, max_iter=5000)
    np.testing.assert_array_equal(found.get(), again.get())
    expected = sparse_encode(signals, atoms, penalty, max_iter=5000)

    def objectives(codes):
        values = [penalty.value(code) for code in codes]
        return 0.5 * np.sum((signals - codes @ atoms) ** 2, axis=1) + values

    np.testing.assert_allclose(
        np.mean(objectives(found.get())), np.mean(objectives(expected)), rtol=1e-3
    )


def test_folds_in_lock_step_are_reproducible():
    X = np.asfortranarray(VALUES)
    fits = [
        LassoCV(cv=5, n_alphas=20, backend=name).fit(X, Y) for name in ("cupy", "cupy", "numba")
    ]
    np.testing.assert_array_equal(fits[0].mse_path_, fits[1].mse_path_)
    np.testing.assert_allclose(fits[0].mse_path_, fits[2].mse_path_, rtol=1e-3)


def test_sums_of_reports_have_the_bits_of_the_cpu():
    from sparsereg.privacy.codebook import normal_table

    seeds = RNG.integers(0, 1 << 63, 70_000).astype(np.uint64)
    indices, sums = RNG.integers(0, 1 << 20, seeds.size), np.zeros((2, 1001), dtype=np.int64)
    for backend, total in zip((get_backend("cupy"), numba), sums):
        backend.accumulate_reports(seeds, indices, normal_table(), total)
    np.testing.assert_array_equal(*sums)


@pytest.mark.parametrize("method", ["pilot", "coloring"])
def test_mixtures_have_the_bits_of_the_cpu(method):
    design = mixture.SparseGraphDesign(2000, 2, 60, method=method, random_state=0)
    coef = mixture.make_sparse_mixture(2000, 60, random_state=0)
    y = mixture.MixtureOracle(coef, random_state=0)(design.matrix())
    fits = [
        mixture.MixedColoringRegressor(backend=name).fit_measurements(y, design).sparse_coef_
        for name in ("cupy", "numba")
    ]
    np.testing.assert_array_equal(fits[0].indices, fits[1].indices)
    np.testing.assert_array_equal(fits[0].data, fits[1].data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks_are_those_of_the_cpu(dtype):
    import cupy

    device = get_backend("cupy")
    scores = RNG.integers(-500, 500, 400_000).astype(dtype) / 7
    scores[::1000] = np.nan
    there = cupy.asarray(scores)
    found = device.mask_groups(there, 2, 4).get(), device.mask_largest(there, 12_345).get()
    np.testing.assert_array_equal(found[0], numba.mask_groups(scores, 2, 4))
    np.testing.assert_array_equal(found[1], numba.mask_largest(scores, 12_345))


def test_pickles_and_moves():
    model = Lasso(0.1).fit(there(VALUES), Y)
    loaded = pickle.loads(pickle.dumps(model))
    assert type(loaded.coef_) is np.ndarray
    np.testing.assert_array_equal(loaded.to("cuda").coef_.get(), model.coef_.get())
    np.testing.assert_array_equal(model.to("cpu").coef_, loaded.to("cpu").coef_)


def test_too_little_memory_is_an_error_that_says_how_much_is_there():
    import cupy

    device = get_backend("cupy").device_of(None)
    with pytest.raises(MemoryError, match="GB are free now"), device.at_work("a test"):
        cupy.empty(1 << 50, dtype=np.uint8)
