"""Wrong and degenerate input: the right error, or the right answer; never NaN, never a hang."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sparsereg import (
    AdaptiveLasso,
    AdaptiveLassoCV,
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    RelaxedLasso,
    RelaxedLassoCV,
    enet_path,
    lasso_path,
)
from sparsereg.backends.registry import get_backend
from sparsereg.exceptions import BackendUnavailableError

N, P = 40, 12
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + RNG.standard_normal(N)
NAMES = [f"feature {j}" for j in range(P)]
WRONG = (ValueError, TypeError)

ESTIMATORS = [
    Lasso(alpha=0.1),
    ElasticNet(alpha=0.1),
    LassoCV(n_alphas=5),
    ElasticNetCV(n_alphas=5),
    AdaptiveLasso(alpha=0.1),
    RelaxedLasso(alpha=0.1),
    AdaptiveLassoCV(n_alphas=5),
    RelaxedLassoCV(n_alphas=5),
]
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)

# Warnings of any kind are failures here: what is right is quiet, what is wrong raises.
pytestmark = pytest.mark.filterwarnings("error")


def fit(X=X, y=Y, sample_weight=None, **params):
    params = {"alpha": 0.1, "tol": 1e-12, **params}
    return Lasso(**params).fit(X, y, sample_weight=sample_weight)


def replaced(array, value, at=3):
    array = np.array(array, dtype=float)
    array.flat[at] = value
    return array


# ------------------------------------------------------------------------------------------ refused


@every_estimator
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array, sparse.csr_matrix])
def test_non_finite_X_is_refused(estimator, value, container):
    with pytest.raises(ValueError, match="X contains"):
        clone(estimator).fit(container(replaced(X, value)), Y)


@every_estimator
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_y_is_refused(estimator, value):
    with pytest.raises(ValueError, match="y contains"):
        clone(estimator).fit(X, replaced(Y, value))


@every_estimator
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (replaced(np.ones(N), np.nan), "NaN"),
        (replaced(np.ones(N), np.inf), "infinity"),
        (replaced(np.ones(N), -1), "[Nn]egative"),
        (np.zeros(N), "zero"),
        (0.0, "zero"),
        (-1.0, "[Nn]egative"),
        (np.ones(N - 1), "shape"),
        (np.ones((N, 2)), "1D"),
        (["a"] * N, "could not convert"),
    ],
)
def test_wrong_sample_weight_is_refused(estimator, weights, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(X, Y, sample_weight=weights)


@every_estimator
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (replaced(np.ones(P), np.nan), "NaN or negative"),
        (replaced(np.ones(P), -1), "NaN or negative"),
        (replaced(np.ones(P), -np.inf), "NaN or negative"),
        (np.ones(P - 1), "12 features"),
        (np.ones((P, 1)), "12 features"),
        ([], "penalty_weights|sample"),
        (["a"] * P, "could not convert"),
        (2.0, "penalty_weights"),
    ],
)
def test_wrong_penalty_weights_are_refused(estimator, weights, message):
    with pytest.raises(WRONG, match=message):
        clone(estimator).set_params(penalty_weights=weights).fit(X, Y)


@pytest.mark.parametrize("alpha", [-1, -1e-300, np.nan, np.inf, "a", None, [0.1]])
@pytest.mark.parametrize("model", [Lasso, ElasticNet])
def test_wrong_alpha_is_refused(model, alpha):
    with pytest.raises(WRONG, match="alpha"):
        model(alpha=alpha).fit(X, Y)


@pytest.mark.parametrize("name", ["tol", "max_iter"])
@pytest.mark.parametrize("value", [-1, np.nan, "a", None])
def test_wrong_limits_are_refused(name, value):
    with pytest.raises(WRONG, match=name):
        fit(**{name: value})


@pytest.mark.parametrize(
    "params",
    [
        {"max_iter": 0},
        {"max_iter": 1.5},
        {"fit_intercept": "yes"},
        {"positive": "no"},
        {"warm_start": 3},
        {"verbose": -1},
        {"backend": 3},
        {"backend": None},
    ],
    ids=str,
)
def test_wrong_parameter_types_are_refused(params):
    with pytest.raises(WRONG, match=next(iter(params))):
        fit(**params)


@pytest.mark.parametrize("l1_ratio", [-0.1, 1.1, np.nan, "a", None])
def test_wrong_l1_ratio_is_refused(l1_ratio):
    with pytest.raises(WRONG, match="l1_ratio"):
        ElasticNet(l1_ratio=l1_ratio).fit(X, Y)


@pytest.mark.parametrize("l1_ratio", [[], [0.5, 2], [0.5, np.nan], np.nan, -1, [[0.5, 0.6]]])
def test_wrong_lists_of_l1_ratios_are_refused(l1_ratio):
    with pytest.raises(WRONG, match="l1_ratio"):
        ElasticNetCV(l1_ratio=l1_ratio, n_alphas=3).fit(X, Y)


@pytest.mark.parametrize(
    "alphas",
    [[], [-1.0], [1.0, np.nan], [np.inf], ["a"], np.ones((2, 2)), 0, "abc", 0.5, -3],
    ids=str,
)
@pytest.mark.parametrize(
    "run",
    [
        lambda alphas: LassoCV(alphas=alphas).fit(X, Y),
        lambda alphas: lasso_path(X, Y, alphas=alphas),
    ],
    ids=["LassoCV", "lasso_path"],
)
def test_wrong_alphas_are_refused_by_name(run, alphas):
    with pytest.raises(WRONG, match="alphas"):
        run(alphas)


@pytest.mark.parametrize("alphas", [0.5, np.array(1.0)], ids=["float", "0-d"])
def test_a_single_number_as_alphas_is_told_what_would_be_right(alphas):
    with pytest.raises(WRONG, match="alphas"):
        lasso_path(X, Y, alphas=alphas)


@pytest.mark.parametrize("eps", [0, -1, np.nan, np.inf, "a"])
@pytest.mark.parametrize(
    "run",
    [lambda eps: LassoCV(eps=eps).fit(X, Y), lambda eps: lasso_path(X, Y, eps=eps)],
    ids=["LassoCV", "lasso_path"],
)
def test_wrong_eps_is_refused(run, eps):
    with pytest.raises(WRONG, match="eps"):
        run(eps)


@pytest.mark.parametrize(
    "params",
    [
        {"tol": np.nan},
        {"tol": -1},
        {"max_iter": 0},
        {"n_alphas": 0},
        {"l1_ratio": np.nan},
        {"l1_ratio": 2},
        {"fit_intercept": "maybe"},
        {"positive": "no"},
        {"coef_init": np.ones(3)},
        {"coef_init": np.full(P, np.nan)},
        {"penalty_weights": np.ones(3)},
        {"sample_weight": -np.ones(N)},
        {"backend": "nonsense"},
    ],
    ids=str,
)
def test_wrong_path_parameters_are_refused_by_name(params):
    with pytest.raises(WRONG, match=next(iter(params))):
        enet_path(X, Y, **params)


@pytest.mark.parametrize(
    "params",
    [
        {"l1_ratio": np.float32(0.5)},
        {"tol": np.float32(1e-4)},
        {"max_iter": np.int64(500)},
        {"n_alphas": np.int32(4)},
        {"eps": np.float32(1e-2)},
        {"positive": np.True_},
        {"l1_ratio": 1},
    ],
    ids=str,
)
def test_path_parameters_may_be_numpy_scalars(params):
    enet_path(X, Y, **{"n_alphas": 3, **params})


@every_estimator
def test_unknown_backend_is_refused_with_the_known_ones(estimator):
    with pytest.raises(ValueError, match="numba"):
        clone(estimator).set_params(backend="nonsense").fit(X, Y)


@every_estimator
def test_unavailable_backend_says_why(estimator):
    if get_backend("cupy").available()[0]:
        pytest.skip("the cupy backend can run here")
    with pytest.raises(BackendUnavailableError, match=r"CuPy.*Available here: numba"):
        clone(estimator).set_params(backend="cupy").fit(X, Y)


@every_estimator
@pytest.mark.parametrize(
    ("X", "y"),
    [
        (X[:0], Y[:0]),
        (X[:, :0], Y),
        (sparse.csc_array((N, 0)), Y),
        (X[0], Y),
        (X[None], Y),
        (X, Y[:-1]),
        (X[:-1], Y),
        (None, Y),
        (X, None),
        (X, np.ones((N, 2, 2))),
        (X, np.ones((N, 0))),
        (X, 3.0),
        (X + 1j, Y),
        (sparse.csc_array(X + 1j), Y),
        (X, Y + 1j),
        (X, ["a"] * N),
        ([["a", "b"]] * N, Y),
        (pd.DataFrame(X).assign(text="x"), Y),
        (pd.DataFrame(X).assign(when=pd.Timestamp("2020-01-01")), Y),
        ([[1, 2], [3]], [1, 2]),
    ],
    ids=[
        "no rows", "no columns", "no sparse columns", "1-D X", "3-D X", "short y", "short X",
        "X None", "y None", "3-D y", "y without columns", "scalar y", "complex X",
        "complex sparse X", "complex y", "text y", "text X", "text column", "date column",
        "ragged X",
    ],
)  # fmt: skip
def test_malformed_data_is_refused(estimator, X, y):
    with pytest.raises(WRONG):
        clone(estimator).fit(X, y)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (X[:, :0], Y),
        (X[:0], Y[:0]),
        (X, Y[:-1]),
        (X, Y.reshape(-1, 1, 1)),
        (replaced(X, np.nan), Y),
        (X, replaced(Y, np.inf)),
        (X + 1j, Y),
        (X, Y + 1j),
    ],
    ids=["no columns", "no rows", "short y", "3-D y", "NaN", "inf", "complex", "complex y"],
)
def test_malformed_data_is_refused_by_paths(X, y):
    with pytest.raises(WRONG):
        lasso_path(X, y)


def with_index(row, container):
    """Return a sparse identity with one row number (or column number, in CSR) replaced."""
    matrix = container(np.eye(3))
    matrix.indices[1] = row
    return matrix


@pytest.mark.parametrize("row", [3, -1])
@pytest.mark.parametrize("container", [sparse.csc_matrix, sparse.csr_array])
def test_sparse_indices_outside_the_matrix_are_refused(row, container):
    # in another process: what is wrong here would be written outside an array
    code = (
        "import pickle, sys\n"
        "from sparsereg import Lasso\n"
        "try:\n"
        "    Lasso(alpha=0.01).fit(pickle.load(sys.stdin.buffer), [1.0, 2.0, 3.0])\n"
        "except ValueError:\n"
        "    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(with_index(row, container)),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == b"refused\n"


@pytest.mark.parametrize("selection", ["max", None, 3])
def test_wrong_selection_is_refused(selection):
    with pytest.raises(WRONG, match="selection"):
        LassoCV(selection=selection).fit(X, Y)


@pytest.mark.parametrize("answer", [None, 1.5, 5, -6, "0", np.array([0, 1]), np.nan])
def test_callable_selection_returning_nonsense_is_refused(answer):
    with pytest.raises(ValueError, match="selection returned"):
        LassoCV(n_alphas=5, selection=lambda alphas, scores: answer).fit(X, Y)


def test_callable_selection_may_raise_its_own_error():
    with pytest.raises(ZeroDivisionError):
        LassoCV(n_alphas=5, selection=lambda alphas, scores: 1 / 0).fit(X, Y)


@pytest.mark.parametrize("scoring", ["nonsense", 3, ["r2"]])
def test_wrong_scoring_is_refused(scoring):
    with pytest.raises(WRONG, match="scoring"):
        LassoCV(scoring=scoring).fit(X, Y)


def test_scores_that_are_all_nan_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        LassoCV(n_alphas=3, scoring=lambda estimator, X, y: np.nan).fit(X, Y)


@pytest.mark.parametrize(
    "cv",
    [
        0, 1, N + 1, "a", [], [(np.arange(3), [])], [([], np.arange(3))], [([0, 1], [N])],
        [([-N - 1], [0])], [([0.5, 1.5], [2, 3])], [(np.ones(10, dtype=bool), np.arange(3))],
        [(np.arange(3),)], [("a", "b")],
    ],
    ids=[
        "0", "1", "too many", "text", "no folds", "empty test", "empty train", "row N",
        "row -N-1", "fractions", "short mask", "no test", "letters",
    ],
)  # fmt: skip
def test_wrong_cv_is_refused(cv):
    with pytest.raises(WRONG):
        LassoCV(n_alphas=3, cv=cv).fit(X, Y)


@pytest.mark.parametrize("n_jobs", [0, 1.5, "a"])
def test_wrong_n_jobs_is_refused(n_jobs):
    with pytest.raises(WRONG, match="n_jobs"):
        LassoCV(n_alphas=3, n_jobs=n_jobs).fit(X, Y)


def test_cross_validation_refuses_several_targets():
    with pytest.raises(ValueError, match="1d"):
        LassoCV().fit(X, np.column_stack([Y, Y]))


@every_estimator
def test_predicting_before_fitting_is_refused(estimator):
    with pytest.raises(NotFittedError):
        clone(estimator).predict(X)


@every_estimator
@pytest.mark.parametrize("columns", [P - 1, P + 1])
def test_predicting_another_number_of_features_is_refused(estimator, columns):
    with pytest.raises(ValueError, match="features"):
        clone(estimator).fit(X, Y).predict(np.ones((2, columns)))


def test_predicting_non_finite_X_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        fit().predict(replaced(X, np.nan))


# ------------------------------------------------------------------------ a failure leaves no trace


@every_estimator
@pytest.mark.parametrize(
    ("X_bad", "y_bad", "params"),
    [
        (replaced(X, np.nan), Y, {}),
        (X[:, :3], Y[:-1], {}),
        (X[:, :3], Y, {"backend": "nonsense"}),
        (X[:, :3], Y, {"tol": -1}),
        (X[:, :3], Y, {"penalty_weights": np.ones(P)}),
        (pd.DataFrame(X[:, :3], columns=list("abc")), replaced(Y, np.nan), {}),
        (X * 1e200, Y, {}),
    ],
    ids=["NaN", "lengths", "backend", "tol", "penalty weights", "frame", "overflow"],
)
def test_a_failing_fit_leaves_a_fitted_estimator_as_it_was(estimator, X_bad, y_bad, params):
    estimator = clone(estimator).fit(pd.DataFrame(X, columns=NAMES), Y).set_params(**params)
    before = pickle.dumps(vars(estimator))
    with pytest.raises(WRONG):
        estimator.fit(X_bad, y_bad)
    assert pickle.dumps(vars(estimator)) == before


@every_estimator
def test_a_failing_first_fit_leaves_no_attributes(estimator):
    estimator = clone(estimator)
    before = dict(vars(estimator))
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(X, replaced(Y, np.nan))
    assert vars(estimator) == before


def test_an_interrupted_fit_leaves_the_estimator_as_it_was(monkeypatch):
    model = fit()
    before = pickle.dumps(vars(model))

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sparsereg.linear_model.elastic_net.solve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :3], Y)
    assert pickle.dumps(vars(model)) == before


# ----------------------------------------------------------------------------- degenerate but right


def alpha_max(X, y):
    return np.max(np.abs((X - X.mean(axis=0)).T @ (y - y.mean()))) / y.size


@pytest.mark.parametrize("factor", [1.0, 1.0 + 1e-12, 2.0, 1e10, 1e300])
def test_large_alpha_gives_zeros_quietly(factor):
    model = fit(alpha=alpha_max(X, Y) * (1 + 1e-14) * factor)
    assert not np.any(model.coef_)


def test_large_alpha_gives_the_mean_as_intercept():
    assert fit(alpha=1e10).intercept_ == pytest.approx(Y.mean(), rel=1e-15)


def test_large_alpha_is_certified():
    model = fit(alpha=1e10)
    assert model.dual_gap_ == 0
    assert model.converged_


@every_estimator
@pytest.mark.parametrize("value", [0.0, 0.1, -3.0, 1e10 + 0.1, 1e-200, 1e200])
def test_constant_y_gives_zeros_quietly(estimator, value):
    model = clone(estimator).fit(X, np.full(N, value))
    assert not np.any(model.coef_)
    assert model.intercept_ == pytest.approx(value, rel=1e-14)


@every_estimator
@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_constant_X_gives_zeros_quietly(estimator, container, value):
    model = clone(estimator).fit(container(np.full((N, P), value)), Y)
    assert not np.any(model.coef_)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_zero_X_without_intercept_gives_zeros_quietly(alpha):
    assert not np.any(fit(X=np.zeros((N, P)), fit_intercept=False, alpha=alpha).coef_)


def test_one_sample_is_explained_by_the_intercept():
    model = fit(X=X[:1], y=Y[:1])
    assert not np.any(model.coef_)
    assert model.intercept_ == Y[0]


def test_one_sample_without_intercept_converges():
    assert fit(X=X[:1], y=Y[:1], fit_intercept=False, alpha=0.01).converged_


def test_one_sample_with_positive_weight_is_one_sample():
    weights = np.zeros(N)
    weights[5] = 2
    model = fit(sample_weight=weights)
    assert not np.any(model.coef_)
    assert model.intercept_ == pytest.approx(Y[5], rel=1e-14)


def test_one_feature():
    x = X[:, :1]
    c = x[:, 0] - x.mean()
    expected = np.sign(c @ Y) * max(abs(c @ Y) / N - 0.1, 0) / (c @ c / N)
    assert fit(X=x).coef_[0] == pytest.approx(expected, rel=1e-12)


def test_every_feature_excluded_gives_zeros_quietly():
    assert not np.any(fit(penalty_weights=np.full(P, np.inf)).coef_)


def test_every_feature_excluded_gives_zeros_quietly_in_cross_validation():
    assert not np.any(LassoCV(penalty_weights=np.full(P, np.inf), n_alphas=3).fit(X, Y).coef_)


def test_every_feature_unpenalized_gives_least_squares_in_cross_validation():
    model = LassoCV(penalty_weights=np.zeros(P), n_alphas=3).fit(X, Y)
    A = np.column_stack([X, np.ones(N)])
    np.testing.assert_allclose(
        np.append(model.coef_, model.intercept_), np.linalg.lstsq(A, Y)[0], atol=1e-8
    )


def test_infinite_budget_is_allowed():
    assert fit(max_iter=10**30).converged_
