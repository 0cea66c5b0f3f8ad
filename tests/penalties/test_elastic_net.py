"""The elastic-net penalty against grid search and its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sparsereg.backends.numba.penalty_kernels import prox_vector
from sparsereg.penalties import L1, ElasticNet

claims = settings(max_examples=60)

numbers = st.floats(-5, 5)
alphas = st.floats(0, 3)
ratios = st.sampled_from((0.0, 1e-3, 0.5, 1.0))
steps = st.floats(1e-3, 10)
factors = st.sampled_from((0.0, 0.5, 1.0, 2.0, np.inf))


def scalar_value(x, alpha, l1_ratio, factor, positive):
    """Return the penalty of numbers x, written down once more."""
    size = l1_ratio * np.abs(x) + (1 - l1_ratio) / 2 * x**2
    with np.errstate(invalid="ignore"):
        value = np.where(x == 0, 0.0, factor * alpha * size)
    if np.isinf(factor):
        value = np.where(x == 0, 0.0, np.inf)
    return np.where(x < 0, np.inf, value) if positive else value


@claims
@given(numbers, alphas, ratios, steps, factors, st.booleans())
def test_prox_is_the_global_minimizer(v, alpha, l1_ratio, step, factor, positive):
    penalty = ElasticNet(alpha, l1_ratio=l1_ratio, weights=[factor], positive=positive)
    x = penalty.prox([v], step)[0]
    grid = np.concatenate([[0.0, x], np.linspace(-6, 6, 20001)])
    values = (grid - v) ** 2 / (2 * step) + scalar_value(grid, alpha, l1_ratio, factor, positive)
    assert values[1] <= values.min() + 1e-12


@claims
@given(st.lists(numbers, min_size=1, max_size=6), alphas, ratios, steps, st.booleans())
def test_kernel_prox_equals_the_vector_prox(v, alpha, l1_ratio, step, positive):
    weights = np.resize([0.0, 0.5, 1.0, 2.0], len(v))
    penalty = ElasticNet(alpha, l1_ratio=l1_ratio, weights=weights, positive=positive)
    kernel = prox_vector(*penalty.kernel_form(len(v)), np.array(v), step)
    np.testing.assert_allclose(kernel, penalty.prox(v, step), rtol=1e-14, atol=1e-15)


@claims
@given(st.lists(numbers, min_size=2, max_size=6), alphas, ratios, steps)
def test_prox_is_nonexpansive(v, alpha, l1_ratio, step):
    penalty = ElasticNet(alpha, l1_ratio=l1_ratio)
    v, u = np.array(v), np.array(v)[::-1]
    apart = penalty.prox(v, step) - penalty.prox(u, step)
    assert np.linalg.norm(apart) <= np.linalg.norm(v - u) * (1 + 1e-12)


@claims
@given(numbers, alphas, ratios, steps, st.sampled_from((0.5, 1.0, 2.0)), st.booleans())
def test_prox_is_stationary(v, alpha, l1_ratio, step, factor, positive):
    penalty = ElasticNet(alpha, l1_ratio=l1_ratio, weights=[factor], positive=positive)
    x = penalty.prox([v], step)
    assert penalty.subdiff_distance(x, (x - v) / step)[0] <= 1e-12 * (1 + abs(v) / step)


@claims
@given(numbers, numbers, alphas, ratios, factors, st.booleans())
def test_subdiff_distance_is_the_distance_to_the_subgradients(
    w, gradient, alpha, l1_ratio, factor, positive
):
    w = abs(w) if positive else w
    w = 0.0 if np.isinf(factor) else w
    penalty = ElasticNet(alpha, l1_ratio=l1_ratio, weights=[factor], positive=positive)
    if w != 0:
        slope = factor * alpha * (l1_ratio * np.sign(w) + (1 - l1_ratio) * w)
        expected = abs(-gradient - slope)
    elif np.isinf(factor):
        expected = 0.0
    else:
        upper = factor * alpha * l1_ratio
        lower = -np.inf if positive else -upper
        expected = max(-gradient - upper, lower + gradient, 0.0)
    distance = penalty.subdiff_distance([w], [gradient])[0]
    assert distance == pytest.approx(expected, rel=1e-12, abs=1e-14)


@claims
@given(st.lists(numbers, min_size=1, max_size=6), alphas, ratios)
def test_value_is_the_sum_of_its_terms(w, alpha, l1_ratio):
    weights = np.resize([0.0, 0.5, 2.0], len(w))
    penalty = ElasticNet(alpha, l1_ratio=l1_ratio, weights=weights)
    terms = [scalar_value(x, alpha, l1_ratio, v, False) for x, v in zip(np.array(w), weights)]
    assert penalty.value(w) == pytest.approx(float(np.sum(terms)), rel=1e-12, abs=1e-300)


def test_value_of_zero_under_an_infinite_weight_is_zero():
    assert ElasticNet(weights=[np.inf, 1.0]).value([0.0, 2.0]) == ElasticNet().value([2.0])


def test_value_under_an_infinite_weight_is_infinite():
    assert ElasticNet(weights=[np.inf]).value([1e-300]) == np.inf


def test_value_of_negative_coefficients_is_infinite_where_they_are_not_allowed():
    assert L1(positive=True).value([-1e-300, 1.0]) == np.inf


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_prox_under_an_infinite_weight_is_zero(alpha, l1_ratio):
    penalty = ElasticNet(alpha, l1_ratio=l1_ratio, weights=[np.inf])
    assert penalty.prox([1e300], step=1e-3)[0] == 0


@pytest.mark.parametrize("v", [0.0, -0.0, 1e-320, -1e-320, 1e308, -1e308])
def test_prox_of_extreme_numbers_is_finite(v):
    assert np.isfinite(L1(1e-3).prox([v], step=1.0)[0])


def test_prox_does_not_modify_its_argument():
    v = np.array([3.0, -2.0])
    L1().prox(v, 1.0)
    np.testing.assert_array_equal(v, [3.0, -2.0])


def test_l1_is_the_elastic_net_with_ratio_one():
    v, grad = np.linspace(-3, 3, 13), np.linspace(2, -2, 13)
    lasso, net = L1(0.7), ElasticNet(0.7, l1_ratio=1.0)
    np.testing.assert_array_equal(lasso.prox(v, 0.5), net.prox(v, 0.5))
    np.testing.assert_array_equal(lasso.subdiff_distance(v, grad), net.subdiff_distance(v, grad))
    assert lasso.value(v) == net.value(v)


# ---------------------------------------------------------------------------------------- alpha_max


@pytest.mark.parametrize("l1_ratio", [1.0, 0.25])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, np.inf, 0.0]])
def test_alpha_max_is_the_smallest_alpha_at_which_zero_is_stationary(l1_ratio, positive, weights):
    gradient = np.array([-1.0, 3.0, -0.5, -9.0, 0.0])
    penalty = ElasticNet(l1_ratio=l1_ratio, positive=positive, weights=weights)
    largest = penalty.alpha_max(gradient)
    at, below = penalty.with_alpha(largest * (1 + 1e-12)), penalty.with_alpha(0.999 * largest)
    assert not np.any(at.subdiff_distance(np.zeros(5), gradient))
    assert np.any(below.subdiff_distance(np.zeros(5), gradient))


def test_alpha_max_without_an_l1_part_is_infinite():
    assert ElasticNet(l1_ratio=0.0).alpha_max([1.0]) == np.inf


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_alpha_max_without_a_gradient_is_zero(l1_ratio):
    assert ElasticNet(l1_ratio=l1_ratio).alpha_max([0.0, 0.0]) == 0


def test_alpha_max_without_a_penalized_feature_is_zero():
    assert L1(weights=[0.0, np.inf]).alpha_max([1.0, 2.0]) == 0


def test_alpha_max_of_nonnegative_features_that_all_descend_is_zero():
    assert L1(positive=True).alpha_max([1.0, 2.0]) == 0


# ---------------------------------------------------------------------------- as a parameter object


@pytest.mark.parametrize("penalty", [L1(0.3, positive=True), ElasticNet(0.3, l1_ratio=0.2)])
def test_clone_has_the_same_parameters(penalty):
    assert clone(penalty).get_params() == penalty.get_params()


@pytest.mark.parametrize("cls", [L1, ElasticNet])
def test_set_params_changes_the_penalty(cls):
    assert cls().set_params(alpha=3.0).value([1.0]) == cls(3.0).value([1.0])


@pytest.mark.parametrize("cls", [L1, ElasticNet])
def test_parameters_are_stored_unchanged(cls):
    weights = [1, 2, 3]
    assert cls(weights=weights).weights is weights


@pytest.mark.parametrize("penalty", [L1(0.3, positive=True), ElasticNet(0.3, l1_ratio=0.2)])
def test_with_alpha_changes_alpha_only(penalty):
    changed = penalty.with_alpha(5.0)
    assert {**penalty.get_params(), "alpha": 5.0} == changed.get_params()
    assert type(changed) is type(penalty)


def test_with_alpha_leaves_the_original():
    penalty = L1(0.3)
    penalty.with_alpha(5.0)
    assert penalty.alpha == 0.3


def test_repr_shows_changed_parameters():
    assert repr(ElasticNet(0.25, l1_ratio=0.75)) == "ElasticNet(alpha=0.25, l1_ratio=0.75)"


def test_kernel_form_holds_the_strengths_and_weights():
    form = ElasticNet(2.0, l1_ratio=0.25, weights=[1.0, 3.0], positive=True).kernel_form(2)
    np.testing.assert_array_equal(form.params, [0.5, 1.5, 1.0, 0.0])
    np.testing.assert_array_equal(form.weights, [1.0, 3.0])
