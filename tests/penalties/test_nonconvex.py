"""The non-convex penalties against brute force, high precision, and their own definitions."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sparsereg.backends.numba import backend, penalty_kernels
from sparsereg.penalties import (
    CEL0,
    L0,
    L1,
    MCP,
    SCAD,
    CappedL1,
    ElasticNet,
    L0Constraint,
    LogSum,
    Lq,
    TransformedL1,
)
from sparsereg.penalties.base import Kind

claims = settings(max_examples=150)

# What each penalty is for one coefficient of size x, written down once more.
SCALAR = {
    "MCP": lambda x, a, b: np.where(x < a * b, a * x - x**2 / (2 * b), a**2 * b / 2),
    "SCAD": lambda x, a, b: np.select(
        [x <= a, x < a * b],
        [a * x, (2 * a * b * x - x**2 - a**2) / (2 * (b - 1))],
        a**2 * (b + 1) / 2,
    ),
    "Lq": lambda x, a, b: np.where(x > 0, a * x**b, 0.0),
    "LogSum": lambda x, a, b: a * np.log1p(x / b),
    "TransformedL1": lambda x, a, b: a * (b + 1) * x / (b + x),
    "CappedL1": lambda x, a, b: a * np.minimum(x, b),
    "L0": lambda x, a, b: np.where(x > 0, a, 0.0),
    "CEL0": lambda x, a, b: a - np.maximum(np.sqrt(2 * a) - b * x, 0) ** 2 / 2,
}
MAKE = {
    "MCP": lambda a, b, **more: MCP(a, b, **more),
    "SCAD": lambda a, b, **more: SCAD(a, b, **more),
    "Lq": lambda a, b, **more: Lq(a, b, **more),
    "LogSum": lambda a, b, **more: LogSum(a, b, **more),
    "TransformedL1": lambda a, b, **more: TransformedL1(a, b, **more),
    "CappedL1": lambda a, b, **more: CappedL1(a, b, **more),
    "L0": lambda a, b, **more: L0(a, **more),
    "CEL0": lambda a, b, **more: CEL0(a, column_norms=b, **more),
}
SHAPES = {
    "MCP": st.sampled_from((0.3, 1.0, 3.0, 50.0)),
    "SCAD": st.sampled_from((1.05, 2.0, 3.7, 50.0)),
    "Lq": st.sampled_from((0.0, 0.05, 1 / 3, 0.5, 2 / 3, 0.9, 0.99, 1.0)),
    "LogSum": st.sampled_from((0.01, 0.3, 1.0, 20.0)),
    "TransformedL1": st.sampled_from((0.01, 0.5, 1.0, 30.0)),
    "CappedL1": st.sampled_from((0.01, 0.5, 2.0)),
    "L0": st.just(0.0),
    "CEL0": st.sampled_from((0.1, 1.0, 3.0)),
}
KINDS = sorted(SCALAR)
DEFAULTS = {"MCP": 3.0, "SCAD": 3.7, "Lq": 0.5, "CEL0": 1.0}
numbers = st.floats(-6, 6)
alphas = st.sampled_from((0.0, 1e-3, 0.3, 1.0, 4.0))
steps = st.sampled_from((1e-3, 0.1, 0.7, 1.0, 2.7, 3.0, 10.0, 1e3))
factors = st.sampled_from((0.0, 0.5, 1.0, 3.0))


def scalar_value(kind, x, alpha, shape, factor=1.0):
    """Return the penalty of the numbers x; the factor of CEL0 belongs to alpha."""
    if kind == "CEL0":
        return SCALAR[kind](np.abs(x), factor * alpha, shape)
    return factor * SCALAR[kind](np.abs(x), alpha, shape)


def objective(kind, x, v, alpha, shape, step, factor):
    return (x - v) ** 2 / (2 * step) + scalar_value(kind, x, alpha, shape, factor)


def brute_force(kind, v, alpha, shape, step, factor):
    """Return the smallest objective on a dense grid of [0, v], refined around its best points."""
    grid = np.linspace(0, v, 2001)
    lowest = np.inf
    for _ in range(4):
        values = objective(kind, grid, v, alpha, shape, step, factor)
        best = int(np.argmin(values))
        lowest = min(lowest, values[best])
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, 2000)], 2001)
    return lowest


# --------------------------------------------------------------------------------------------- prox


@pytest.mark.parametrize("kind", KINDS)
@claims
@given(data=st.data(), v=numbers, alpha=alphas, step=steps, factor=factors)
def test_prox_is_the_global_minimizer(kind, data, v, alpha, step, factor):
    shape = data.draw(SHAPES[kind])
    x = MAKE[kind](alpha, shape, weights=[factor]).prox([v], step)[0]
    reached = objective(kind, x, v, alpha, shape, step, factor)
    lowest = brute_force(kind, v, alpha, shape, step, factor)
    assert reached <= lowest + 1e-13 * (1 + abs(lowest))


@pytest.mark.parametrize("kind", KINDS)
@claims
@given(data=st.data(), v=numbers, alpha=alphas, step=steps)
def test_nonnegative_prox_is_the_global_minimizer(kind, data, v, alpha, step):
    shape = data.draw(SHAPES[kind])
    x = MAKE[kind](alpha, shape, positive=True).prox([v], step)[0]
    assert x >= 0
    if v <= 0:
        assert x == 0
    else:
        assert x == MAKE[kind](alpha, shape).prox([v], step)[0]


@pytest.mark.parametrize("kind", KINDS)
@claims
@given(data=st.data(), v=numbers, alpha=alphas, step=steps)
def test_prox_is_odd_and_between_zero_and_its_argument(kind, data, v, alpha, step):
    penalty = MAKE[kind](alpha, data.draw(SHAPES[kind]))
    x, mirrored = penalty.prox([v, -v], step)
    assert mirrored == -x
    assert 0 <= x * np.sign(v) <= abs(v)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1e-300, 1e-3, 1.0, 1e3, 1e300])
@pytest.mark.parametrize("v", [0.0, -0.0, 5e-324, -1e-310, 1e-200, 1e150, -1e308])
def test_prox_of_extreme_numbers_is_finite_and_not_larger(kind, v, step):
    penalty = MAKE[kind](0.5, DEFAULTS.get(kind, 1.0))
    x = penalty.prox([v], step)[0]
    assert np.isfinite(x)
    assert abs(x) <= abs(v)


@pytest.mark.parametrize("kind", KINDS)
def test_prox_of_a_number_far_from_zero_is_the_number(kind):
    penalty = MAKE[kind](0.5, DEFAULTS.get(kind, 1.0))
    np.testing.assert_allclose(penalty.prox([1e12, 1e150], 1.0), [1e12, 1e150], rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_prox_without_strength_is_the_identity(kind):
    v = np.array([-2.0, 1e-300, 0.0, 3.0])
    shape = DEFAULTS.get(kind, 1.0)
    np.testing.assert_array_equal(MAKE[kind](0.0, shape).prox(v, 2.0), v)
    np.testing.assert_array_equal(MAKE[kind](1.0, shape, weights=np.zeros(4)).prox(v, 2.0), v)


@pytest.mark.parametrize("kind", KINDS)
def test_prox_under_an_infinite_weight_or_strength_is_zero(kind):
    shape = DEFAULTS.get(kind, 1.0)
    assert MAKE[kind](1.0, shape, weights=[np.inf]).prox([1e9], 1.0)[0] == 0
    assert MAKE[kind](np.inf, shape).prox([1e9], 1.0)[0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_prox_lets_nan_be_seen(kind):
    assert np.isnan(MAKE[kind](1.0, DEFAULTS.get(kind, 1.0)).prox([np.nan], 1.0)[0])


# Where two minimizers tie, the smaller: alpha, shape, v, step of ties that are exact in floating
# point.
TIES = {
    "MCP": (1.0, 1.0, 2.0, 4.0),  # hard threshold at alpha sqrt(step gamma)
    "SCAD": (1.0, 3.0, 6.0, 9.0),  # hard threshold at alpha sqrt(step (gamma + 1))
    "L0": (0.5, 0.0, 2.0, 4.0),  # hard threshold at sqrt(2 step alpha)
    "CEL0": (0.5, 1.0, 1.0, 1.0),  # a flat segment: everything in [0, 1]
    "CappedL1": (2.0, 1.0, 4.0, 4.0),  # hard threshold at sqrt(2 step alpha theta)
}


@pytest.mark.parametrize("kind", sorted(TIES))
def test_prox_of_a_tie_is_zero_and_beyond_it_the_number(kind):
    alpha, shape, v, step = TIES[kind]
    at_zero, at_v = (objective(kind, x, v, alpha, shape, step, 1.0) for x in (0.0, v))
    assert at_zero == at_v
    penalty = MAKE[kind](alpha, shape)
    assert penalty.prox([v], step)[0] == 0
    above = np.nextafter(v, np.inf) * (1 + 1e-15)
    assert penalty.prox([above], step)[0] == above


def test_lq_tie_is_zero_and_jumps_to_two_thirds_of_the_threshold():
    # q = 1/2, u = 1: threshold 3/2, jump to 1
    just_above = Lq(1.0, 0.5).prox([1.5 * (1 + 1e-14)], 1.0)[0]
    assert Lq(1.0, 0.5).prox([1.5], 1.0)[0] == 0
    assert just_above == pytest.approx(1.0, rel=1e-12)


# Slopes u phi'(x) and their derivatives, in decimal arithmetic of 60 digits.
DECIMAL = {
    "Lq": (
        lambda x, u, b: u * b * x ** (b - 1),
        lambda x, u, b: u * b * (b - 1) * x ** (b - 2),
    ),
    "LogSum": (lambda x, u, b: u / (b + x), lambda x, u, b: -u / (b + x) ** 2),
    "TransformedL1": (
        lambda x, u, b: u * b * (b + 1) / (b + x) ** 2,
        lambda x, u, b: -2 * u * b * (b + 1) / (b + x) ** 3,
    ),
}


@pytest.mark.parametrize("kind", sorted(DECIMAL))
@claims
@given(data=st.data(), v=st.floats(1e-3, 1e4), u=st.floats(1e-4, 30))
def test_prox_has_a_relative_error_of_rounding_size(kind, data, v, u):
    """Against the largest root of x + u phi'(x) = v in 60 digits."""
    shape = data.draw(SHAPES[kind].filter(lambda b: b > 0 if kind != "Lq" else 0 < b < 1))
    x = MAKE[kind](u, shape).prox([v], 1.0)[0]
    assume(x > 0)
    slope, bend = DECIMAL[kind]
    with localcontext() as context:
        context.prec = 60
        number, strength, b = Decimal(v), Decimal(u), Decimal(shape)
        root = number
        for _ in range(200):
            steepness = 1 + bend(root, strength, b)
            move = (root + slope(root, strength, b) - number) / steepness
            root -= move
            if abs(move) <= Decimal("1e-45") * root:
                break
        error = float(abs(Decimal(float(x)) - root) / root)
        condition = float(number / (root * steepness))
    assert error <= 1e-12 + 4 * np.finfo(float).eps * condition


@pytest.mark.parametrize("q", [0.5, 2 / 3])
def test_lq_prox_has_the_published_closed_forms(q):
    u = 0.7
    threshold = {0.5: 1.5 * u ** (2 / 3), 2 / 3: 2 * (2 * u / 3) ** 0.75}[q]
    v = threshold * np.linspace(1 + 1e-9, 50, 1000)
    if q == 0.5:
        angle = np.arccos(-(3 * np.sqrt(3) / 4) * u * v**-1.5)
        expected = (2 / 3) * v * (1 + np.cos((2 / 3) * angle))
    else:
        angle = np.arccosh((27 * v**2 / 16) * (2 * u) ** -1.5)
        root = (2 / np.sqrt(3)) * (2 * u) ** 0.25 * np.sqrt(np.cosh(angle / 3))
        expected = ((root + np.sqrt(2 * v / root - root**2)) / 2) ** 3
    np.testing.assert_allclose(Lq(u, q).prox(v, 1.0), expected, rtol=1e-13)
    assert Lq(u, q).prox([threshold * (1 - 1e-12)], 1.0)[0] == 0


# ----------------------------------------------------------------------- relations between families


@claims
@given(v=numbers, alpha=alphas, step=steps)
def test_limits_of_the_families_are_the_lasso_and_l0(v, alpha, step):
    lasso, l0 = L1(alpha).prox([v], step), L0(alpha).prox([v], step)
    np.testing.assert_allclose(MCP(alpha, np.inf).prox([v], step), lasso, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(Lq(alpha, 1.0).prox([v], step), lasso, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(Lq(alpha, 0.0).prox([v], step), l0)


@claims
@given(v=numbers, alpha=alphas, norm=st.sampled_from((0.1, 1.0, 3.0)), factor=factors)
def test_cel0_prox_at_the_inverse_curvature_is_the_hard_threshold(v, alpha, norm, factor):
    assume(abs(abs(v) - np.sqrt(2 * alpha * factor) / norm) > 1e-9)
    cel0 = CEL0(alpha, column_norms=norm, weights=[factor]).prox([v], 1 / norm**2)
    np.testing.assert_allclose(cel0, L0(alpha, weights=[factor]).prox([v], 1 / norm**2), rtol=1e-13)


@claims
@given(v=numbers, alpha=alphas, norm=st.sampled_from((0.1, 1.0, 3.0)), step=steps)
def test_cel0_is_mcp_with_its_slope_and_curvature(v, alpha, norm, step):
    slope = norm * np.sqrt(2 * alpha)
    cel0, mcp = CEL0(alpha, column_norms=norm), MCP(slope, 1 / norm**2)
    assert cel0.value([v]) == pytest.approx(mcp.value([v]), rel=1e-12, abs=1e-300)
    reached = [(x - v) ** 2 / (2 * step) + cel0.value([x]) for x in (cel0.prox([v], step)[0],)]
    expected = (mcp.prox([v], step)[0] - v) ** 2 / (2 * step) + mcp.value(mcp.prox([v], step))
    assert reached[0] == pytest.approx(expected, rel=1e-12, abs=1e-15)


@claims
@given(w=numbers, alpha=alphas, norm=st.sampled_from((0.1, 1.0, 3.0)))
def test_cel0_lies_below_l0_and_meets_it_at_zero_and_far_away(w, alpha, norm):
    cel0 = CEL0(alpha, column_norms=norm)
    assert cel0.value([w]) <= L0(alpha).value([w]) * (1 + 1e-15)
    assert cel0.value([np.sqrt(2 * alpha) / norm * 1.001]) == pytest.approx(alpha, rel=1e-5)


# ---------------------------------------------------------------------- value, slopes, stationarity


@pytest.mark.parametrize("kind", KINDS)
@claims
@given(data=st.data(), w=st.lists(numbers, min_size=1, max_size=5), alpha=alphas)
def test_value_is_the_sum_of_its_terms(kind, data, w, alpha):
    shape = data.draw(SHAPES[kind])
    weights = np.resize([0.0, 0.5, 3.0], len(w))
    value = MAKE[kind](alpha, shape, weights=weights).value(w)
    terms = [scalar_value(kind, np.array(x), alpha, shape, v) for x, v in zip(w, weights) if v]
    assert value == pytest.approx(float(np.sum(terms)), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_value_respects_infinite_weights_and_signs(kind):
    shape = DEFAULTS.get(kind, 1.0)
    assert MAKE[kind](1.0, shape, weights=[np.inf]).value([0.0]) == 0
    assert MAKE[kind](1.0, shape, weights=[np.inf]).value([1e-300]) == np.inf
    assert MAKE[kind](1.0, shape, positive=True).value([-1e-300]) == np.inf


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "L0"])
@claims
@given(data=st.data(), w=st.floats(0.05, 5), alpha=st.sampled_from((0.3, 2.0)))
def test_slopes_and_bends_are_derivatives_of_the_value(kind, data, w, alpha):
    shape = data.draw(SHAPES[kind])
    kinks = {
        "MCP": [alpha * shape],
        "SCAD": [alpha, alpha * shape],
        "CappedL1": [shape],
        "CEL0": [np.sqrt(2 * alpha) / shape] if shape else [],
    }.get(kind, [])
    assume(all(abs(w - kink) > 1e-3 for kink in kinks))
    form = MAKE[kind](alpha, shape, weights=[2.0]).kernel_form(1)
    h = 1e-4
    below, here, above = (
        float(scalar_value(kind, np.array(x), alpha, shape, 2.0)) for x in (w - h, w, w + h)
    )
    values, slopes, bends = backend.penalty_terms(np.array([-w]), form)
    assert values[0] == pytest.approx(here, rel=1e-12)
    assert slopes[0] == pytest.approx((above - below) / (2 * h), rel=1e-3, abs=1e-6)
    assert bends[0] == pytest.approx((above - 2 * here + below) / h**2, rel=2e-2, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@claims
@given(data=st.data(), v=numbers, alpha=alphas, step=steps)
def test_prox_is_stationary(kind, data, v, alpha, step):
    penalty = MAKE[kind](alpha, data.draw(SHAPES[kind]))
    x = penalty.prox([v], step)
    distance = penalty.subdiff_distance(x, (x - v) / step)[0]
    assert distance <= 1e-11 * (1 + abs(v) / step)


@pytest.mark.parametrize("kind", ["Lq", "L0"])
def test_every_zero_is_stationary_where_the_slope_is_vertical(kind):
    penalty = MAKE[kind](1.0, 0.5)
    assert penalty.slope([0.0])[0] == np.inf
    assert penalty.subdiff_distance([0.0], [1e300])[0] == 0


@pytest.mark.parametrize("positive", [False, True])
def test_subdiff_distance_of_mcp_by_hand(positive):
    penalty = MCP(1.0, 2.0, weights=[1, 1, 1, 3, np.inf], positive=positive)
    grad = np.array([1.5, -1.5, -0.2, 0.7, 5.0])
    w = np.array([0.0, 0.0, 1.0, 5.0, 0.0])
    expected = [0.0 if positive else 0.5, 0.5, abs(0.2 - 0.5), 0.7, 0.0]
    np.testing.assert_allclose(penalty.subdiff_distance(w, grad), expected, rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@claims
@given(data=st.data(), x=st.floats(0, 5), curvature=st.sampled_from((0.05, 0.3, 1.0, 4.0)))
def test_relaxed_slope_is_the_inverse_of_the_prox(kind, data, x, curvature):
    """It is L (prox^-1(x) - x), finite also where the penalty has a vertical slope."""
    shape = data.draw(SHAPES[kind])
    penalty = MAKE[kind](0.7, shape)
    slope = penalty.relaxed_slope([x], [curvature])[0]
    assert np.isfinite(slope)
    assert slope >= -1e-12
    v = x + slope / curvature
    below, above = penalty.prox([v * (1 - 1e-6) - 1e-9, v * (1 + 1e-6) + 1e-9], 1 / curvature)
    assert below <= x * (1 + 1e-5) + 1e-6
    assert above >= x * (1 - 1e-5) - 1e-6


def test_relaxed_slope_of_l0_is_that_of_cel0():
    w, curvatures = np.linspace(0, 4, 9), np.linspace(0.1, 2, 9)
    cel0 = CEL0(0.4, column_norms=np.sqrt(curvatures))
    np.testing.assert_allclose(
        L0(0.4).relaxed_slope(w, curvatures), cel0.slope(w), rtol=1e-13, atol=1e-15
    )


# ---------------------------------------------------------------------------- alpha_max, curvature


@pytest.mark.parametrize("kind", KINDS)
@claims
@given(
    data=st.data(),
    gradient=st.floats(0.01, 5),
    curvature=st.sampled_from((0.05, 0.3, 1.0, 4.0)),
    factor=st.sampled_from((0.5, 1.0, 3.0)),
)
def test_alpha_max_is_where_the_prox_leaves_zero(kind, data, gradient, curvature, factor):
    shape = data.draw(SHAPES[kind])
    penalty = MAKE[kind](1.0, shape, weights=[factor])
    largest = penalty.alpha_max([-gradient], [curvature])
    at, below = penalty.with_alpha(largest * (1 + 1e-9)), penalty.with_alpha(largest * (1 - 1e-9))
    assert at.prox([gradient / curvature], 1 / curvature)[0] == 0
    assert below.prox([gradient / curvature], 1 / curvature)[0] != 0


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_max_ignores_what_cannot_enter(kind):
    shape = DEFAULTS.get(kind, 1.0)
    weights = [1.0, np.inf, 0.0, 1.0, 1.0]
    penalty = MAKE[kind](1.0, shape, weights=weights, positive=True)
    gradient, curvatures = np.array([-1.0, -9.0, -9.0, 9.0, -9.0]), np.array([1.0, 1, 1, 1, 0])
    alone = MAKE[kind](1.0, shape).alpha_max([-1.0], [1.0])
    assert penalty.alpha_max(gradient, curvatures) == pytest.approx(alone, rel=1e-14)
    assert MAKE[kind](1.0, shape).alpha_max([0.0, 0.0]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_entry_alpha_is_infinite_without_a_penalty(kind):
    penalty = MAKE[kind](1.0, DEFAULTS.get(kind, 1.0), weights=[0.0, 0.0])
    np.testing.assert_array_equal(penalty.entry_alpha([2.0, 0.0]), [np.inf, 0.0])


@pytest.mark.parametrize("kind", ["MCP", "SCAD", "LogSum", "TransformedL1", "CEL0"])
def test_weak_convexity_is_the_smallest_curvature_with_a_continuous_prox(kind):
    penalty = MAKE[kind](0.7, DEFAULTS.get(kind, 1.0), weights=[2.0])
    rho = penalty.weak_convexity(1)[0]
    v = np.linspace(0, 8, 200001)
    one = clone(penalty).set_params(weights=np.full(v.size, 2.0))

    def largest_jump(curvature):
        return np.max(np.diff(one.prox(v, 1 / curvature)))

    assert largest_jump(1.05 * rho) < 25 * (v[1] - v[0])
    assert largest_jump(0.5 * rho) > 0.05


def test_weak_convexity_is_infinite_where_the_penalty_jumps_and_zero_where_it_is_convex():
    for penalty in (L0(), Lq(), CappedL1()):
        assert penalty.weak_convexity(2)[0] == np.inf
    np.testing.assert_array_equal(ElasticNet().weak_convexity(2), [0.0, 0.0])
    np.testing.assert_array_equal(MCP(weights=[0.0, 1.0]).weak_convexity(2), [0.0, 1 / 3])


# ------------------------------------------------------------------------ defects found elsewhere


def test_mcp_prox_beyond_gamma_keeps_what_pays():
    # A soft-threshold rule at every step gives 0 here, at more than the price of keeping v.
    penalty = MCP(0.5, 1.5)
    assert penalty.prox([1.6], 4.0)[0] == 1.6
    assert penalty.value([1.6]) < 1.6**2 / 8


def test_scad_prox_at_step_gamma_minus_one_is_defined():
    x = SCAD(1.0, 3.0).prox([2.9, 3.1], 2.0)
    np.testing.assert_allclose(x, [0.9, 3.1], rtol=1e-12)


def test_log_sum_slope_is_positive_on_both_sides_and_at_zero():
    np.testing.assert_allclose(LogSum(1.0, 0.5).slope([-1.0, 0.0, 1.0]), [2 / 3, 2.0, 2 / 3])


def test_two_thirds_prox_keeps_its_digits_far_from_the_threshold():
    with localcontext() as context:
        context.prec = 50
        v, u = Decimal(100), Decimal("1e-4")
        root = v
        for _ in range(50):
            root = v - u * Decimal(2) / 3 * root ** (-Decimal(1) / 3)
        expected = float(root)
    assert Lq(1e-4, 2 / 3).prox([100.0], 1.0)[0] == pytest.approx(expected, rel=1e-15)


# -------------------------------------------------------------------------------- as kernel forms


def test_kernels_number_the_kinds_as_the_penalties_do():
    forms = {kind: MAKE[kind](1.0, DEFAULTS.get(kind, 1.0)).kernel_form(1).kind for kind in KINDS}
    assert forms == {
        "MCP": Kind.FIRM,
        "CEL0": Kind.FIRM,
        "SCAD": Kind.SCAD,
        "Lq": Kind.LQ,
        "LogSum": Kind.LOG_SUM,
        "TransformedL1": Kind.TRANSFORMED_L1,
        "CappedL1": Kind.CAPPED_L1,
        "L0": Kind.L0,
    }


def test_columns_of_a_form_are_weights_and_scales_of_these_columns():
    form = CEL0(0.5, column_norms=[1.0, 2.0, 3.0], weights=[1.0, 4.0, 1.0]).kernel_form(3)
    part = form.at(np.array([2, 1]))
    np.testing.assert_array_equal(part.weights, [1.0, 4.0])
    np.testing.assert_array_equal(part.scales, [3.0, 1.0])
    assert MCP().kernel_form(3).at(np.array([1])).scales.size == 0


@claims
@given(w=numbers, g=numbers, curvature=st.sampled_from((0.1, 1.0, 3.0)), data=st.data())
def test_coordinate_gain_is_what_the_best_move_brings(w, g, curvature, data):
    kind = data.draw(st.sampled_from(KINDS))
    shape, alpha = data.draw(SHAPES[kind]), 0.5
    form = MAKE[kind](alpha, shape).kernel_form(1)
    gain = backend.coordinate_gains(np.array([w]), np.array([g]), np.array([curvature]), form)[0]
    z = w + g / curvature
    here = objective(kind, np.array(w), z, alpha, shape, 1 / curvature, 1.0)
    lowest = brute_force(kind, z, alpha, shape, 1 / curvature, 1.0)
    assert gain == pytest.approx(float(here - lowest), rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_coordinate_gain_is_zero_at_the_prox(kind):
    penalty = MAKE[kind](0.5, DEFAULTS.get(kind, 1.0))
    z = np.linspace(-4, 4, 33)
    w = penalty.prox(z, 0.5)
    gains = backend.coordinate_gains(w, 2.0 * (z - w), np.full(33, 2.0), penalty.kernel_form(33))
    assert np.max(gains) <= 1e-28


def test_log_sum_strength_inverts_the_threshold():
    z = np.array([0.1, 0.5, 0.6, 3.0, 100.0])
    for u, number in zip(penalty_kernels.log_sum_strength(z, 0.5), z):
        x = LogSum(u, 0.5).prox([number * (1 - 1e-12), number * (1 + 1e-12)], 1.0)
        assert x[0] == 0 < x[1]


# -------------------------------------------------------------------------- the sparsity constraint


def test_constraint_keeps_the_largest_entries_the_first_of_equals():
    np.testing.assert_array_equal(L0Constraint(2).prox([1.0, -3.0, 1.0]), [1.0, -3.0, 0.0])
    np.testing.assert_array_equal(L0Constraint(1, positive=True).prox([1.0, -3.0]), [1.0, 0.0])
    np.testing.assert_array_equal(L0Constraint(0).prox([1.0, -3.0]), [0.0, 0.0])
    np.testing.assert_array_equal(L0Constraint(9).prox([1.0, -3.0]), [1.0, -3.0])


def test_constraint_is_zero_or_infinite():
    assert L0Constraint(1).value([0.0, 2.0]) == 0
    assert L0Constraint(1).value([1.0, 2.0]) == np.inf
    assert L0Constraint(1, positive=True).value([-1.0, 0.0]) == np.inf


# ---------------------------------------------------------------------------- as parameter objects


@pytest.mark.parametrize("kind", KINDS)
def test_penalty_is_a_parameter_object(kind):
    weights = [1.0, 2.0]
    penalty = MAKE[kind](0.3, DEFAULTS.get(kind, 1.0), weights=weights, positive=True)
    assert penalty.weights is weights
    assert clone(penalty).get_params() == penalty.get_params()
    changed = penalty.with_alpha(5.0)
    assert {**penalty.get_params(), "alpha": 5.0} == changed.get_params()
    assert penalty.alpha == 0.3
    assert clone(penalty).set_params(alpha=1.0).value([1.0, 1.0]) > penalty.value([1.0, 1.0])


def test_prox_does_not_modify_its_argument():
    v = np.array([3.0, -2.0])
    Lq().prox(v, 1.0)
    np.testing.assert_array_equal(v, [3.0, -2.0])
