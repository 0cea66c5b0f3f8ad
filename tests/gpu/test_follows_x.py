"""Everything follows X: what a user with CuPy arrays sees, with a stand-in for CuPy."""

import pickle
import sys

import fake_cupy
import numpy as np
import pytest
from emulated_cuda import needs_compiler
from sklearn.base import clone

from sparsereg import (
    ElasticNet,
    L0Regressor,
    Lasso,
    LassoCV,
    MCPRegressor,
    MultiTaskLasso,
    lasso_path,
    penalties,
    sparse_encode,
)
from sparsereg.exceptions import BackendUnavailableError

pytestmark = needs_compiler

RNG = np.random.default_rng(2)
X = np.asfortranarray(RNG.standard_normal((30, 12)))
Y = X[:, :2].sum(axis=1) + 0.1 * RNG.standard_normal(30)

ESTIMATORS = [
    Lasso(0.1),
    Lasso(0.1, fit_intercept=False),
    ElasticNet(0.1),
    LassoCV(cv=3, n_alphas=5),
    MCPRegressor(0.1),
    L0Regressor(n_nonzero=2),
]


@pytest.fixture(autouse=True)
def cupy(monkeypatch):
    return fake_cupy.install(monkeypatch)


def there(values):
    return fake_cupy.asarray(values)


def is_there(values):
    return isinstance(values, fake_cupy.ndarray)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_a_fit_on_the_device_stays_there(estimator):
    model = clone(estimator).fit(there(X), there(Y))
    reference = clone(estimator).fit(X, Y)
    assert model.backend_ == "cupy"
    assert is_there(model.coef_)
    assert model.n_features_in_ == 12
    np.testing.assert_allclose(model.coef_, reference.coef_, atol=1e-6)
    predictions = model.predict(there(X))
    assert is_there(predictions)
    np.testing.assert_allclose(predictions, reference.predict(X), atol=1e-6)


def test_several_targets_and_tasks_stay_there():
    tasks = there(np.column_stack([Y, -Y]))
    for model in (Lasso(0.1), MultiTaskLasso(0.1)):
        assert is_there(model.fit(there(X), tasks).coef_)
        assert model.predict(there(X)).shape == (30, 2)


def test_y_and_weights_may_be_of_the_host():
    weights = RNG.uniform(0.5, 2.0, 30)
    model = Lasso(0.1).fit(there(X), Y, sample_weight=weights)
    same = Lasso(0.1).fit(there(X), there(Y), sample_weight=there(weights))
    np.testing.assert_array_equal(model.coef_, same.coef_)


def test_the_cpu_refuses_what_is_on_the_device():
    with pytest.raises(TypeError, match='backend="numba" computes on the CPU'):
        Lasso(0.1, backend="numba").fit(there(X), Y)


def test_named_backend_computes_there_and_returns_numpy():
    model = Lasso(0.1, backend="cupy").fit(X, Y)
    assert model.backend_ == "cupy"
    assert type(model.coef_) is np.ndarray


@pytest.mark.parametrize(
    ("fitted_on", "predicts_from", "hint"),
    [
        (there, np.asarray, "cpu"),
        (np.asarray, there, "cuda"),
    ],
)
def test_predicting_from_elsewhere_says_how_to_move(fitted_on, predicts_from, hint):
    model = Lasso(0.1).fit(fitted_on(X), Y)
    with pytest.raises(TypeError, match=rf"model\.to\('{hint}'\)"):
        model.predict(predicts_from(X))
    assert len(model.to(hint).predict(predicts_from(X))) == 30


def test_a_wrong_number_of_features_is_refused():
    with pytest.raises(ValueError, match="X has 3 features, but Lasso is expecting 12"):
        Lasso(0.1).fit(there(X), Y).predict(there(X[:, :3]))


def test_a_pickle_can_be_loaded_without_a_device(monkeypatch):
    model = Lasso(0.1).fit(there(X), Y)
    frozen = pickle.dumps(model)
    monkeypatch.setitem(sys.modules, "cupy", None)
    loaded = pickle.loads(frozen)
    assert type(loaded.coef_) is np.ndarray
    np.testing.assert_array_equal(loaded.predict(X), X @ loaded.coef_ + loaded.intercept_)
    assert is_there(model.coef_)


def test_moving_to_a_device_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(fake_cupy.FakeCupyBackend, "available", lambda self: (False, "None here."))
    with pytest.raises(BackendUnavailableError, match="None here"):
        Lasso(0.1).fit(X, Y).to("cuda")


def test_moving_elsewhere_is_refused():
    with pytest.raises(ValueError, match='neither "cpu" nor "cuda"'):
        Lasso(0.1).fit(X, Y).to("tpu")


def test_a_warm_start_goes_on_from_coefficients_of_the_device():
    model = Lasso(0.1, warm_start=True, tol=1e-10).fit(there(X), Y)
    before = model.coef_.get()
    np.testing.assert_allclose(model.fit(there(X), Y).coef_, before, atol=1e-8)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda X: np.where(X[3, 4] == X, np.nan, X), "NaN or infinity"),
        (lambda X: X[:, 0], "Expected 2D array"),
        (lambda X: X[:0], "at least one sample"),
        (lambda X: X.astype(complex), "Complex data not supported"),
    ],
)
def test_wrong_data_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        Lasso().fit(there(changed(X)), Y)


def test_y_of_another_length_is_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        Lasso().fit(there(X), Y[:-1])


def test_integers_are_read_as_float64():
    assert Lasso(0.1).fit(there(np.round(X).astype(int)), Y).coef_.dtype == np.float64


def test_paths_of_device_data_stay_there():
    coefs, expected = (lasso_path(data, Y, n_alphas=5)[1] for data in (there(X), X))
    assert is_there(coefs)
    np.testing.assert_allclose(coefs, expected, atol=1e-8)


def test_codes_stay_there():
    weights = np.ones(30)
    weights[2] = np.inf
    for penalty in (penalties.L1(0.1), penalties.L1(0.1, weights=weights)):
        codes = sparse_encode(there(X), RNG.standard_normal((30, 12)), penalty)
        assert is_there(codes)
        assert codes.shape == (30, 30)
