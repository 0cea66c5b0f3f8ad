"""What small fits skip: checks of clean arrays, and of parameters that were accepted before."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg import Lasso, lasso_path

RNG = np.random.default_rng(3)
X = RNG.standard_normal((20, 6))
Y = RNG.standard_normal(20)


def with_value(array, value):
    array = array.copy()
    array[(3,) * array.ndim] = value
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_not_finite_is_refused_in_words(value, dtype):
    with pytest.raises(ValueError, match="Input X contains"):
        Lasso().fit(with_value(X, value).astype(dtype), Y)
    with pytest.raises(ValueError, match="Input y contains"):
        Lasso().fit(X.astype(dtype), with_value(Y, value))
    with pytest.raises(ValueError, match="Input X contains"):
        lasso_path(with_value(X, value).astype(dtype), Y)


@pytest.mark.filterwarnings("ignore:invalid value")  # of scikit-learn, before it refuses
def test_infinities_that_cancel_are_refused():
    bad = with_value(X, np.inf)
    bad[0, 0] = -np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        Lasso().fit(bad, Y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("order", ["F", "C"])
def test_rows_without_weight_are_checked_too(value, fit_intercept, order):
    bad = np.asarray(with_value(X, value), order=order)
    weights = np.where(np.arange(20) == 3, 0.0, 1.0)
    with pytest.raises(ValueError, match="Input X contains"):
        Lasso(fit_intercept=fit_intercept).fit(bad, Y, sample_weight=weights)


def test_finite_values_whose_sum_overflows_are_accepted():
    large = (X * 1e30).astype(np.float32)
    large[:, 0] = np.where(np.arange(20) % 2, 3e38, 2e38)
    with np.errstate(over="ignore"):
        assert not np.isfinite(large.sum(dtype=np.float32))
    assert np.all(np.isfinite(Lasso(1e-3).fit(large, Y).coef_))


@pytest.mark.parametrize("rows", [0, 19])
def test_wrong_lengths_are_refused_as_in_scikit_learn(rows):
    with pytest.raises(ValueError, match=r"sample|Found array with 0"):
        Lasso().fit(X[:rows], Y)


def test_arrays_of_another_byte_order_mean_their_values():
    expected = Lasso(0.1).fit(X, Y).coef_
    swapped = X.astype(X.dtype.newbyteorder()), Y.astype(Y.dtype.newbyteorder())
    np.testing.assert_array_equal(Lasso(0.1).fit(*swapped).coef_, expected)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"fit_intercept": True}, {"fit_intercept": 1}),
        ({"max_iter": 1}, {"max_iter": 1.0}),
        ({"alpha": 1}, {"alpha": -1}),
        ({"tol": 1e-4}, {"tol": float("nan")}),
    ],
)
def test_accepting_a_value_does_not_accept_another(good, bad):
    Lasso(**good).fit(X, X[:, 0])
    with pytest.raises(ValueError, match=next(iter(bad))):
        Lasso(**bad).fit(X, Y)


def test_a_subclass_with_other_rules_is_checked_by_them():
    class Strict(Lasso):
        _parameter_constraints = {**Lasso._parameter_constraints, "positive": [str]}  # noqa: RUF012

    Lasso().fit(X, Y)
    with pytest.raises(ValueError, match="positive"):
        Strict().fit(X, Y)
