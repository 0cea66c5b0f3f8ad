"""Wrong, odd and extreme input: the right error, or the right answer; never NaN, never a hang."""

from __future__ import annotations

import io
import pickle
import re
import warnings
from contextlib import contextmanager

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsereg import ElasticNet, ElasticNetCV, Lasso, LassoCV, enet_path, lasso_path
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


def assert_same_coefficients(a, b, tol=1e-10):
    np.testing.assert_allclose(a.coef_, b.coef_, atol=tol, rtol=0)


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
        (X, np.column_stack([Y, Y])),
        (replaced(X, np.nan), Y),
        (X, replaced(Y, np.inf)),
        (X + 1j, Y),
        (X, Y + 1j),
    ],
    ids=["no columns", "no rows", "short y", "two targets", "NaN", "inf", "complex", "complex y"],
)
def test_malformed_data_is_refused_by_paths(X, y):
    with pytest.raises(WRONG):
        lasso_path(X, y)


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


# ------------------------------------------------------------------------------------ huge and tiny


@pytest.mark.parametrize("scale", [1e30, 1e60, 1e-30, 1e-60])
@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
def test_units_of_X_do_not_matter(scale, container):
    model = fit(X=container(X * scale), alpha=0.1 * scale)
    np.testing.assert_allclose(model.coef_ * scale, fit().coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e30, 1e60, 1e-30, 1e-60])
def test_units_of_y_do_not_matter(scale):
    model = fit(y=Y * scale, alpha=0.1 * scale)
    np.testing.assert_allclose(model.coef_ / scale, fit().coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e30, 1e60, 1e-6, 1e-30, 1e-60])
@pytest.mark.parametrize("what", ["X", "y"])
def test_units_do_not_matter_in_cross_validation(scale, what):
    data = (X * scale, Y) if what == "X" else (X, Y * scale)
    model = LassoCV(n_alphas=10, tol=1e-8).fit(*data)
    expected = LassoCV(n_alphas=10, tol=1e-8).fit(X, Y)
    unit = 1 / scale if what == "X" else scale
    np.testing.assert_allclose(model.coef_ / unit, expected.coef_, rtol=1e-6, atol=1e-9)


EXTREME = [1e75, 1e100, 1e150, 1e155, 1e200, 1e300, 1e-75, 1e-100, 1e-160, 1e-200, 1e-300, 1e-310]
OUT_OF_RANGE = "overflows|underflows"


@contextmanager
def refusal_of_units_allowed():
    try:
        yield
    except ValueError as error:
        if not re.search(OUT_OF_RANGE, str(error)):
            raise


@pytest.mark.parametrize("scale", EXTREME)
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csc_array])
def test_extreme_X_is_solved_or_refused_but_never_certified_wrong(scale, container):
    with refusal_of_units_allowed():
        model = fit(X=container(X * scale), alpha=0.1 * scale, tol=1e-6)
        np.testing.assert_allclose(model.coef_ * scale, fit().coef_, atol=1e-2)


@pytest.mark.parametrize("scale", EXTREME)
def test_extreme_y_is_solved_or_refused_but_never_certified_wrong(scale):
    with refusal_of_units_allowed():
        model = fit(y=Y * scale, alpha=0.1 * scale, tol=1e-6)
        np.testing.assert_allclose(model.coef_ / scale, fit().coef_, atol=1e-2)


@pytest.mark.parametrize("scale", [1e155, 1e200, 1e300])
@pytest.mark.parametrize("what", ["X", "y"])
@pytest.mark.parametrize("alpha", [0.0, 0.1, 1e200])
def test_data_beyond_float64_is_refused_quietly(scale, what, alpha):
    data = {"X": X * scale} if what == "X" else {"y": Y * scale}
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        fit(**data, alpha=alpha)


@pytest.mark.parametrize("scale", [1e155, 1e300])
@pytest.mark.parametrize("what", ["X", "y"])
@pytest.mark.parametrize("estimator", ESTIMATORS[2:], ids=["LassoCV", "ElasticNetCV"])
def test_data_beyond_float64_is_refused_quietly_in_cross_validation(estimator, scale, what):
    data = (X * scale, Y) if what == "X" else (X, Y * scale)
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        clone(estimator).fit(*data)


@pytest.mark.parametrize("scale", [1e75, 1e155, 1e300, 1e-75, 1e-300])
@pytest.mark.parametrize("what", ["X", "y"])
def test_extreme_data_is_solved_or_refused_by_paths(scale, what):
    data = (X * scale, Y) if what == "X" else (X, Y * scale)
    with refusal_of_units_allowed():
        _, coefs, _ = lasso_path(*data, n_alphas=5)
        assert np.any(coefs[:, -1])


@pytest.mark.parametrize("mean", [1e100, 1e200, 1e300, -1e307])
def test_one_column_beyond_float64_is_refused_quietly(mean):
    wide = np.column_stack([X, mean * (1 + np.arange(N) / N)])
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        fit(X=wide)


@pytest.mark.parametrize("value", [1e100, 1e200, 1e308])
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csc_array])
def test_a_huge_constant_column_is_not_used_or_refused(value, container):
    wide = container(np.column_stack([X, np.full(N, value)]))
    with refusal_of_units_allowed():
        assert_same_coefficients(
            fit(X=wide, tol=1e-6), fit(X=np.column_stack([X, np.ones(N)])), 1e-2
        )


@pytest.mark.parametrize("order", ["C", "F"])
def test_column_scales_from_1e_minus_8_to_1e8_agree_with_standardized_columns(order):
    scale = 10.0 ** np.linspace(-8, 8, P)
    model = fit(
        X=np.array(X * scale, order=order), penalty_weights=scale / scale.max(),
        alpha=0.1 * scale.max(),
    )  # fmt: skip
    np.testing.assert_allclose(model.coef_ * scale, fit().coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csc_array])
def test_column_scales_from_1e_minus_8_to_1e8_are_solved_under_one_alpha(container):
    scale = 10.0 ** np.linspace(-8, 8, P)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the certificate is another claim
        model = fit(X=container(X * scale), alpha=1e-7, tol=1e-4)
    centered = (X - X.mean(axis=0)) * scale
    pull = centered.T @ (Y - model.predict(X * scale)) / N
    used = model.coef_ != 0
    slack = 1e-7 * (1e-3 + 1e-14 * scale / 1e-7 * 10)
    assert np.all(np.abs(pull) <= 1e-7 + slack)
    np.testing.assert_allclose(
        pull[used], 1e-7 * np.sign(model.coef_[used]), atol=slack[used].max()
    )


def test_column_scales_from_1e_minus_8_to_1e8_are_certified():
    scale = 10.0 ** np.linspace(-8, 8, P)
    assert fit(X=X * scale, alpha=1e-9, tol=1e-4).converged_


def shifted_reference(X, y, alpha):
    """Return the lasso on columns centered in extended precision."""
    wide = X.astype(np.longdouble)
    centered = (wide - wide.mean(axis=0)).astype(float)
    model = fit(X=centered, y=y - y.mean(), alpha=alpha, fit_intercept=False)
    return model.coef_, float(y.mean() - wide.mean(axis=0) @ model.coef_.astype(np.longdouble))


@pytest.mark.parametrize("mean", [1e3, 1e6, 1e8])
@pytest.mark.parametrize("container", [np.ascontiguousarray, np.asfortranarray, sparse.csc_array])
def test_columns_far_from_zero_agree_with_explicit_centering(mean, container):
    shifted = X + mean
    coef, intercept = shifted_reference(shifted, Y, 0.1)
    model = fit(X=container(shifted), tol=1e-6)
    np.testing.assert_allclose(model.coef_, coef, atol=2e-3)
    assert model.intercept_ == pytest.approx(intercept, rel=2e-3)


@pytest.mark.parametrize("container", [np.ascontiguousarray, np.asfortranarray])
def test_columns_of_mean_1e8_agree_with_explicit_centering_to_rounding(container):
    shifted = X + 1e8
    coef, _ = shifted_reference(shifted, Y, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 1e-12 may be out of reach here
        model = fit(X=container(shifted))
    np.testing.assert_allclose(model.coef_, coef, atol=1e-7)


@pytest.mark.parametrize("mean", [1e8, -1e10])
def test_y_far_from_zero_moves_the_intercept_only(mean):
    # adding the mean rounds y itself, by 1e-16 of the mean
    assert_same_coefficients(fit(y=Y + mean, tol=1e-10), fit(tol=1e-10), tol=1e-5)


@pytest.mark.parametrize("n", [60, 100_000])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("container", [np.ascontiguousarray, np.asfortranarray, sparse.csc_array])
def test_constant_columns_are_recognized_in_spite_of_rounding(n, weighted, container):
    rng = np.random.default_rng(1)
    Z = np.column_stack([rng.standard_normal((n, 2)), np.full((n, 3), [0.1, 1 / 3, 1e8 + 0.1])])
    weights = rng.random(n) if weighted else None
    model = fit(X=container(Z), y=Z[:, 0], alpha=0.0, tol=1e-6, sample_weight=weights)
    assert not np.any(model.coef_[2:])


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e300])
def test_scale_of_sample_weights_does_not_matter(scale):
    weights = np.random.default_rng(2).integers(1, 9, N).astype(float)
    scaled = fit(sample_weight=weights * scale)
    assert_same_coefficients(scaled, fit(sample_weight=weights), tol=1e-6)


def test_sample_weights_of_very_different_sizes_stay_finite():
    weights = np.full(N, 1e-300)
    weights[0] = 1e300
    assert np.all(np.isfinite(fit(sample_weight=weights).coef_))


def test_huge_penalty_weights_exclude_quietly():
    weights = np.where(np.arange(P) == 0, 1.0, 1e308)
    assert not np.any(fit(penalty_weights=weights, alpha=0.1).coef_[1:])


def test_alpha_times_penalty_weight_may_overflow():
    assert not np.any(fit(alpha=1e308, penalty_weights=np.full(P, 10.0)).coef_)


# -------------------------------------------------------------------------------- forms of the data

REFERENCE = Lasso(alpha=0.1, tol=1e-12).fit(X, Y)


def with_int64_indices(matrix):
    matrix = sparse.csc_matrix(matrix)
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def with_mixed_indices(matrix):
    matrix = sparse.csc_matrix(matrix)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def with_unsorted_duplicates(matrix):
    """Store every entry as two summands, in random order within its column."""
    rows, columns = np.nonzero(matrix)
    values = matrix[rows, columns]
    rows, columns = np.tile(rows, 2), np.tile(columns, 2)
    values = np.concatenate([0.25 * values, 0.75 * values])
    order = np.lexsort((np.random.default_rng(0).random(rows.size), columns))
    starts = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=matrix.shape[1]))])
    return sparse.csc_matrix((values[order], rows[order], starts), shape=matrix.shape)


def read_only(array):
    array = array.copy()
    parts = [array] if isinstance(array, np.ndarray) else [array.data, array.indices, array.indptr]
    for part in parts:
        part.flags.writeable = False
    return array


def strided(array):
    wide = np.full((2 * array.shape[0], 3 * array.shape[1]), np.nan)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def unaligned(array):
    raw = np.frombuffer(b"x" + array.tobytes(), dtype=np.uint8)
    return raw[1:].view(np.float64).reshape(array.shape)


FORMS = {
    "list": lambda X: X.tolist(),
    "fortran": np.asfortranarray,
    "read-only": read_only,
    "strided": strided,
    "reversed rows": lambda X: X[::-1].copy()[::-1],
    "reversed columns": lambda X: X[:, ::-1].copy()[:, ::-1],
    "unaligned": unaligned,
    "big-endian": lambda X: X.astype(">f8"),
    "object": lambda X: X.astype(object),
    "longdouble": lambda X: X.astype(np.longdouble),
    "masked": np.ma.array,
    "csc": sparse.csc_matrix,
    "csr": sparse.csr_array,
    "coo": sparse.coo_array,
    "lil": sparse.lil_matrix,
    "dok": sparse.dok_matrix,
    "bsr": sparse.bsr_matrix,
    "dia": sparse.dia_matrix,
    "int64 indices": with_int64_indices,
    "mixed indices": with_mixed_indices,
    "unsorted duplicates": with_unsorted_duplicates,
    "read-only csc": lambda X: read_only(sparse.csc_matrix(X)),
    "read-only unsorted duplicates": lambda X: read_only(with_unsorted_duplicates(X)),
    "pandas": pd.DataFrame,
    "pandas nullable": lambda X: pd.DataFrame(X).astype("Float64"),
    "pandas sparse": lambda X: pd.DataFrame(X).astype(pd.SparseDtype(float, 0)),
    "polars": pl.DataFrame,
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


@every_form
def test_every_form_of_X_gives_the_same_fit(form):
    assert_same_coefficients(fit(X=form(X)), REFERENCE)


@every_form
def test_every_form_of_X_gives_the_same_prediction(form):
    model = fit(X=form(X))
    np.testing.assert_allclose(model.predict(form(X)), REFERENCE.predict(X), atol=1e-9)


@every_form
def test_every_form_of_X_gives_the_same_path(form):
    _, coefs, _ = lasso_path(form(X), Y, alphas=[0.5, 0.1], tol=1e-12)
    np.testing.assert_allclose(coefs, lasso_path(X, Y, alphas=[0.5, 0.1], tol=1e-12)[1], atol=1e-10)


@pytest.mark.parametrize("form", ["csr", "pandas", "polars", "strided", "int64 indices"])
def test_every_form_of_X_gives_the_same_cross_validation(form):
    model = LassoCV(n_alphas=5, tol=1e-10).fit(FORMS[form](X), Y)
    assert_same_coefficients(model, LassoCV(n_alphas=5, tol=1e-10).fit(X, Y), tol=1e-8)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int64", "uint64", "float16", "float32"]
)
def test_small_dtypes_of_X_mean_their_values(dtype):
    small = np.abs(3 * X).astype(dtype)
    assert_same_coefficients(fit(X=small), fit(X=small.astype(float)), tol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float32"])
def test_small_dtypes_of_sparse_X_mean_their_values(dtype):
    small = np.abs(X).astype(dtype)
    assert_same_coefficients(fit(X=sparse.csc_matrix(small)), fit(X=small.astype(float)), tol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "object", ">f8"])
def test_dtypes_of_y_mean_their_values(dtype):
    y = np.abs(3 * Y).astype(dtype)
    assert_same_coefficients(fit(y=y), fit(y=y.astype(float)))


@pytest.mark.parametrize(
    "y",
    [Y.tolist(), pd.Series(Y), pd.Series(Y, dtype="Float64"), pl.Series(Y), np.repeat(Y, 2)[::2]],
    ids=["list", "pandas", "nullable", "polars", "strided"],
)
def test_every_form_of_y_gives_the_same_fit(y):
    assert_same_coefficients(fit(y=y), REFERENCE)


@pytest.mark.parametrize("form", [list, pd.Series, pl.Series, np.float32])
def test_every_form_of_weights_gives_the_same_fit(form):
    weights, factors = np.arange(1.0, N + 1), np.arange(1.0, P + 1)
    model = fit(sample_weight=form(weights), penalty_weights=form(factors))
    assert_same_coefficients(model, fit(sample_weight=weights, penalty_weights=factors))


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float32"])
def test_nullable_frames_mean_their_values(dtype):
    values = (np.abs(3 * X)).round()
    values = values > 1 if dtype == "boolean" else values
    frame = pd.DataFrame(values).astype(dtype)
    assert_same_coefficients(fit(X=frame), fit(X=values.astype(float)), tol=1e-6)


def test_missing_values_of_nullable_frames_are_refused():
    frame = pd.DataFrame(X).astype("Float64")
    frame.iloc[2, 3] = pd.NA
    with pytest.raises(ValueError, match="NaN"):
        fit(X=frame)


def test_missing_values_of_polars_frames_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        fit(X=pl.DataFrame(X).with_columns(pl.lit(None).alias("column_0")))


def test_memory_mapped_X_gives_the_same_fit(tmp_path):
    np.save(tmp_path / "X.npy", X)
    assert_same_coefficients(fit(X=np.load(tmp_path / "X.npy", mmap_mode="r")), REFERENCE)


def test_memory_mapped_sparse_X_gives_the_same_fit(tmp_path):
    joblib.dump(sparse.csc_matrix(X), tmp_path / "X.joblib")
    assert_same_coefficients(fit(X=joblib.load(tmp_path / "X.joblib", mmap_mode="r")), REFERENCE)


def test_explicit_zeros_mean_zero():
    stored = sparse.csc_matrix(X)
    stored.data[::3] = 0
    assert_same_coefficients(fit(X=stored), fit(X=stored.toarray()))


def test_explicit_zeros_may_fill_a_column():
    stored = sparse.csc_matrix(X)
    stored.data[stored.indptr[2] : stored.indptr[3]] = 0
    assert fit(X=stored).coef_[2] == 0


@pytest.mark.parametrize("form", ["fortran", "csc", "int64 indices", "unsorted duplicates"])
@pytest.mark.parametrize("estimator", ESTIMATORS[::2], ids=["Lasso", "LassoCV"])
def test_X_is_not_modified(form, estimator):
    data = FORMS[form](X)
    parts = [data] if form == "fortran" else [data.data, data.indices, data.indptr]
    before = pickle.dumps(parts)
    clone(estimator).fit(data, Y, sample_weight=np.arange(N))
    assert pickle.dumps(parts) == before


@every_estimator
def test_arguments_are_not_modified(estimator):
    y, weights, factors = Y.copy(), np.arange(N, dtype=float), np.arange(P, dtype=float)
    arguments = (y, weights, factors)
    before = pickle.dumps(arguments)
    clone(estimator).set_params(penalty_weights=factors).fit(X, y, sample_weight=weights)
    assert pickle.dumps(arguments) == before


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
@every_estimator
def test_feature_names_are_kept(estimator, make):
    frame = make(dict(zip(NAMES, X.T)))
    assert list(clone(estimator).fit(frame, Y).feature_names_in_) == NAMES


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_predicting_columns_in_another_order_is_refused(make):
    frame = make(dict(zip(NAMES, X.T)))
    with pytest.raises(ValueError, match="feature names"):
        fit(X=frame).predict(frame[NAMES[::-1]])


def test_predicting_without_names_warns_as_in_scikit_learn():
    model = fit(X=pd.DataFrame(X, columns=NAMES))
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X)


def test_names_that_are_not_all_strings_are_refused():
    frame = pd.DataFrame(X, columns=[*NAMES[:-1], 3])
    with pytest.raises(TypeError, match="string"):
        fit(X=frame)


def test_refitting_without_names_forgets_them():
    model = fit(X=pd.DataFrame(X, columns=NAMES)).fit(X, Y)
    assert not hasattr(model, "feature_names_in_")


# ---------------------------------------------------------------------------------- several targets


def test_a_column_of_y_is_one_target():
    model = fit(y=Y[:, None])
    np.testing.assert_array_equal(np.ravel(model.coef_), REFERENCE.coef_)


def test_several_targets_have_one_row_each():
    model = fit(y=np.column_stack([Y, -Y, 2 * Y]))
    assert model.coef_.shape == (3, P)
    assert model.intercept_.shape == (3,)


def test_several_targets_predict_one_column_each():
    model = fit(y=np.column_stack([Y, -Y]))
    expected = np.column_stack([REFERENCE.predict(X), -REFERENCE.predict(X)])
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-9)


def test_a_constant_target_among_others_is_zero():
    assert not np.any(fit(y=np.column_stack([Y, np.ones(N)])).coef_[1])


# -------------------------------------------------------------------- life with scikit-learn around


@every_estimator
def test_pickling_keeps_the_model(estimator):
    model = clone(estimator).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@every_estimator
def test_joblib_keeps_the_model(estimator):
    model, file = clone(estimator).fit(X, Y), io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).predict(X), model.predict(X))


@every_estimator
def test_cloning_keeps_the_parameters(estimator):
    estimator = clone(estimator).set_params(penalty_weights=np.arange(P), tol=1e-5)
    params, cloned = estimator.get_params(), clone(estimator).get_params()
    np.testing.assert_array_equal(params.pop("penalty_weights"), cloned.pop("penalty_weights"))
    assert params == cloned


@every_estimator
def test_fitting_does_not_change_the_parameters(estimator):
    estimator = clone(estimator)
    before = dict(estimator.get_params())
    estimator.fit(X, Y)
    assert estimator.get_params() == before


@every_estimator
def test_setting_an_unknown_parameter_is_refused(estimator):
    with pytest.raises(ValueError, match="nonsense"):
        clone(estimator).set_params(nonsense=1)


def test_setting_alpha_and_refitting_equals_a_new_model():
    model = fit().set_params(alpha=0.3).fit(X, Y)
    np.testing.assert_array_equal(model.coef_, fit(alpha=0.3).coef_)


def test_repr_shows_changed_parameters():
    assert repr(Lasso(alpha=0.25, penalty_weights=np.ones(2))).startswith("Lasso(alpha=0.25")


def test_works_in_a_pipeline():
    model = make_pipeline(StandardScaler(), LassoCV(n_alphas=10)).fit(X, Y)
    assert model.score(X, Y) > 0.5


def test_grid_search_in_processes_equals_fitting_by_hand():
    alphas, folds = [0.01, 0.1, 1.0], KFold(3)
    search = GridSearchCV(Lasso(tol=1e-8), {"alpha": alphas}, cv=folds, n_jobs=2).fit(X, Y)
    by_hand = [
        np.mean([
            Lasso(alpha, tol=1e-8).fit(X[train], Y[train]).score(X[test], Y[test])
            for train, test in folds.split(X)
        ])
        for alpha in alphas
    ]  # fmt: skip
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-10)


def test_cross_val_score_works_in_processes():
    model = LassoCV(n_alphas=5, n_jobs=2)
    once, twice = (cross_val_score(model, X, Y, cv=3, n_jobs=jobs) for jobs in (None, 2))
    np.testing.assert_array_equal(once, twice)


def test_fitting_in_threads_gives_the_same_as_alone():
    data = [(X[:, :k], Y) for k in range(2, P)]
    alone = [fit(X=part, y=y).coef_ for part, y in data]
    together = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(fit)(X=part, y=y) for part, y in data
    )
    for expected, model in zip(alone, together):
        np.testing.assert_array_equal(model.coef_, expected)


def test_sparse_coef_holds_the_coefficients():
    np.testing.assert_array_equal(REFERENCE.sparse_coef_.toarray(), REFERENCE.coef_[None])


def test_warm_start_ignores_coefficients_of_another_shape():
    model = fit(warm_start=True)
    np.testing.assert_allclose(
        model.fit(X[:, :5], Y).coef_, fit(X=X[:, :5]).coef_, rtol=0, atol=1e-9
    )


def test_warm_start_ignores_coefficients_that_are_not_finite():
    model = fit(warm_start=True)
    model.coef_[0] = np.nan
    assert_same_coefficients(model.fit(X, Y), REFERENCE)


def test_warm_start_respects_constraints_that_are_new():
    model = fit(warm_start=True).set_params(positive=True).fit(X, Y)
    assert_same_coefficients(model, fit(positive=True), tol=1e-6)


def test_warm_start_respects_exclusions_that_are_new():
    weights = np.where(np.arange(P) == 0, np.inf, 1.0)
    model = fit(warm_start=True).set_params(penalty_weights=weights).fit(X, Y)
    assert model.coef_[0] == 0
