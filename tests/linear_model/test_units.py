"""Huge, tiny and shifted numbers: the right answer, or a refusal that says what is wrong."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sparsereg import ElasticNet, ElasticNetCV, Lasso, LassoCV, lasso_path
from sparsereg.exceptions import ConvergenceWarning

N, P = 40, 12
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + RNG.standard_normal(N)

# Warnings of any kind are failures here: what is right is quiet, what is wrong raises.
pytestmark = pytest.mark.filterwarnings("error")


def fit(X=X, y=Y, sample_weight=None, **params):
    params = {"alpha": 0.1, "tol": 1e-12, **params}
    return Lasso(**params).fit(X, y, sample_weight=sample_weight)


def assert_same_coefficients(a, b, tol=1e-10):
    np.testing.assert_allclose(a.coef_, b.coef_, atol=tol, rtol=0)


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
@pytest.mark.parametrize("estimator", [LassoCV(n_alphas=5), ElasticNetCV(n_alphas=5)])
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


@pytest.mark.parametrize("scale", [1e160, 1e200, 1e300, -1e307])
def test_one_column_beyond_float64_is_refused_quietly(scale):
    wide = np.column_stack([X, scale * (1 + np.arange(N) / N)])
    with pytest.raises(ValueError, match=OUT_OF_RANGE):
        fit(X=wide)


def with_trend(scale):
    """Return X with one more column in these units, and the penalty weights that undo them."""
    return np.column_stack([X, scale * (1 + np.arange(N) / N)]), np.append(np.ones(P), scale)


@pytest.mark.parametrize("scale", [1e-20, 1e-5, 1e5, 1e20])
def test_the_units_of_one_column_do_not_matter(scale):
    wide, factors = with_trend(scale)
    model, expected = fit(X=wide, penalty_weights=factors), fit(X=with_trend(1.0)[0])
    np.testing.assert_allclose(model.coef_ * factors, expected.coef_, atol=1e-10)


@pytest.mark.parametrize("scale", [1e5, 1e20, 1e50, 1e100])
def test_a_huge_column_is_solved_or_marked_as_not(scale):
    factors = np.append(np.ones(P), 1 / scale)
    expected = fit(X=with_trend(1.0)[0], penalty_weights=factors).coef_
    with refusal_of_units_allowed(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fit(X=with_trend(scale)[0])
        if model.converged_:
            np.testing.assert_allclose(model.coef_ / factors, expected, atol=1e-6)


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


@pytest.mark.parametrize("alpha", [1e-320, 1e-300, 1e-200])
def test_alpha_may_be_as_small_as_float64_goes(alpha):
    least = np.linalg.lstsq(X - X.mean(axis=0), Y - Y.mean())[0]
    model = fit(alpha=alpha, tol=1e-8)
    np.testing.assert_allclose(model.coef_, least, atol=1e-8)
    assert model.converged_


def test_penalty_weights_may_cover_the_range_of_float64():
    factors = 10.0 ** np.linspace(-150, 150, P)
    model = fit(penalty_weights=factors, tol=1e-8)
    kept = factors < 1
    least = np.linalg.lstsq(X[:, kept] - X[:, kept].mean(axis=0), Y - Y.mean())[0]
    np.testing.assert_allclose(model.coef_[kept], least, atol=1e-8)
    assert not np.any(model.coef_[~kept])


@pytest.mark.parametrize(
    "run",
    [
        lambda X, y: fit(X=X, y=y, alpha=1e59).coef_,
        lambda X, y: LassoCV(n_alphas=3).fit(X, y).coef_path_,
        lambda X, y: lasso_path(X, y, n_alphas=3)[1],
    ],
    ids=["Lasso", "LassoCV", "lasso_path"],
)
def test_coefficients_beyond_float32_are_kept_in_float64_or_refused(run):
    with refusal_of_units_allowed():
        assert np.all(np.isfinite(run(X.astype(np.float32), Y * 1e60)))


def test_an_intercept_beyond_float32_is_kept_in_float64_or_refused():
    with refusal_of_units_allowed():
        assert np.isfinite(fit(X=X.astype(np.float32), y=np.full(N, 1e60)).intercept_)


@pytest.mark.parametrize("scale", [1e-25, 1e-30, 1e-40, 1e-70])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_a_ridge_far_below_the_columns_is_certified(scale, positive, wide):
    # alpha follows the units of y, and the ridge part with it: rounding of a gradient, squared and
    # divided by the ridge, once made up the whole gap
    data, y = (X[:8], Y[:8]) if wide else (X, Y)
    settings = {"positive": positive, "tol": 1e-8}
    model = ElasticNet(0.02 * scale, l1_ratio=0.5, **settings).fit(data, y * scale)
    expected = fit(data, y, alpha=0.01, **settings)
    np.testing.assert_allclose(model.coef_ / scale, expected.coef_, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-119, 1e-84, 1e-70, 1e70, 1e84, 1e140])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_units_whose_products_leave_float64_are_solved_or_refused(scale, l1_ratio):
    # squares of gradients once vanished, and with them the gap: zeros were called a solution
    with refusal_of_units_allowed():
        model = ElasticNet(0.1 * scale**2, l1_ratio=l1_ratio, tol=1e-8)
        coef = model.fit(X * scale, Y * scale).coef_
        np.testing.assert_allclose(coef, model.set_params(alpha=0.1).fit(X, Y).coef_, atol=1e-6)
