"""The duality gap against the textbook: primal minus dual objective, in extended precision."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg.backends.numba import backend
from sparsereg.losses import Squared
from sparsereg.penalties import ElasticNet
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.working_set import solve
from sparsereg.solvers.workspace import Workspace

N, P = 20, 8


class Point:
    """A random problem without an intercept, and a point on it."""

    def __init__(self, seed, l1_ratio=1.0, weights=False, row_weights=False, positive=False):
        rng = np.random.default_rng(seed)
        self.X, self.y = rng.standard_normal((N, P)), rng.standard_normal(N)
        self.s = rng.random(N) if row_weights else np.ones(N)
        self.s *= N / self.s.sum()
        v = rng.choice([0.5, 1.0, 2.0], P) if weights else np.ones(P)
        largest = np.max(np.abs(self.X.T @ (self.s * self.y))) / N
        self.alpha = largest * 10.0 ** rng.uniform(-2, 0)
        self.l1, self.l2 = self.alpha * l1_ratio * v, self.alpha * (1 - l1_ratio) * v
        self.positive, self.l1_ratio, self.v = positive, l1_ratio, v
        self.w = rng.standard_normal(P) * (rng.random(P) < 0.5) * 10.0 ** rng.uniform(-3, 1)
        if positive:
            self.w = np.abs(self.w)

    @property
    def residual(self):
        return self.y - self.X @ self.w

    @property
    def gradient(self):
        return self.X.T @ (self.s * self.residual) / N

    def gap(self):
        curvatures = self.s @ self.X**2 / N
        sq_residual, sq_y = (float(self.s @ v**2) / N for v in (self.residual, self.y))
        gap = DualGap(backend, self.l1, self.l2, curvatures, self.positive, N, sq_y)
        return gap.evaluate(self.w, self.gradient, sq_residual)

    def primal(self):
        wide = np.longdouble
        r = self.y.astype(wide) - self.X.astype(wide) @ self.w.astype(wide)
        w = self.w.astype(wide)
        penalty = self.l1 @ np.abs(w) + self.l2 @ w**2 / 2
        return (self.s @ r**2) / (2 * wide(N)) + penalty

    def dual(self, scale):
        """Return the dual objective at theta = scale * s * residual / n; -inf if not feasible."""
        wide = np.longdouble
        y, s = self.y.astype(wide), self.s.astype(wide)
        r = y - self.X.astype(wide) @ self.w.astype(wide)
        theta = scale * s * r / N
        u = self.X.astype(wide).T @ theta
        excess = np.maximum((u if self.positive else np.abs(u)) - self.l1, 0)
        if np.any(excess[self.l2 == 0] > 1e-15):
            return -np.inf
        conjugate = np.sum(excess[self.l2 > 0] ** 2 / (2 * self.l2[self.l2 > 0]))
        return y @ theta - N * np.sum(theta**2 / s) / 2 - conjugate


SETTINGS = {
    "lasso": {},
    "weights": {"weights": True},
    "row weights": {"row_weights": True},
    "positive": {"positive": True},
    "elastic net": {"l1_ratio": 0.4},
    "elastic net, all": {
        "l1_ratio": 0.4, "weights": True, "row_weights": True, "positive": True,
    },
    "ridge": {"l1_ratio": 0.0},
    "ridge, positive": {"l1_ratio": 0.0, "positive": True},
    "nearly ridge": {"l1_ratio": 1e-6},
}  # fmt: skip
every_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
every_seed = pytest.mark.parametrize("seed", range(25))


@every_setting
@every_seed
def test_gap_is_primal_minus_dual(setting, seed):
    point = Point(seed, **setting)
    gap, scale = point.gap()
    textbook = point.primal() - point.dual(scale)
    assert gap == pytest.approx(float(textbook), rel=1e-10, abs=1e-14)


@every_setting
@every_seed
def test_gap_is_not_negative(setting, seed):
    assert Point(seed, **setting).gap()[0] >= 0


@pytest.mark.parametrize(
    "setting", [SETTINGS["lasso"], SETTINGS["weights"], SETTINGS["positive"]], ids=str
)
@every_seed
def test_the_dual_scale_is_the_best_feasible_one(setting, seed):
    point = Point(seed, **setting)
    gap, _ = point.gap()
    best = max(point.dual(a) for a in np.linspace(0, 2, 2001))
    assert gap <= float(point.primal() - best) + 1e-12


@every_setting
@every_seed
def test_no_point_is_better_than_the_dual_objective(setting, seed):
    point = Point(seed, **setting)
    _, scale = point.gap()
    other = Point(seed, **setting)
    other.w = np.zeros(P)
    assert other.primal() >= point.dual(scale) - 1e-14


def optimum(point):
    """Move the point to the minimum."""
    penalty = ElasticNet(
        point.alpha, l1_ratio=point.l1_ratio, weights=point.v, positive=point.positive
    )
    problem = Problem(point.X, point.y, penalty, Squared(), point.s, fit_intercept=False)
    point.w = solve(Workspace(problem, backend), penalty, tol=1e-15, max_iter=10000).coef
    return point


@every_setting
@pytest.mark.parametrize("seed", range(5))
def test_gap_is_zero_at_the_optimum(setting, seed):
    point = optimum(Point(seed, **setting))
    assert point.gap()[0] <= 1e-14 * np.mean(point.y**2)


@pytest.mark.parametrize("seed", range(5))
def test_a_ridge_gap_resolves_what_primal_minus_dual_cannot(seed):
    point = optimum(Point(seed, l1_ratio=0.0))
    assert point.gap()[0] <= 1e-24 * np.mean(point.y**2)


@every_setting
@pytest.mark.parametrize("seed", range(5))
def test_gap_shrinks_with_the_square_of_the_distance_to_the_optimum(setting, seed):
    point = optimum(Point(seed, **setting))
    best = point.w
    direction = best * np.random.default_rng(seed).uniform(-1, 1, P)  # within the signs
    gaps = []
    for distance in (1e-2, 1e-4):
        point.w = best + distance * direction
        gaps.append(point.gap()[0])
    assert gaps[1] <= 1e-2 * gaps[0]  # linear or better: 1e-4 where every bound is slack


def test_gap_at_zero_with_every_bound_slack_is_zero():
    point = Point(0)
    point.w, point.l1 = np.zeros(P), np.full(P, 1.01 * np.max(np.abs(point.X.T @ point.y)) / N)
    assert point.gap() == (0.0, 1.0)


def test_gap_of_an_exact_fit_is_its_penalty():
    point = Point(0)
    point.y = point.X @ point.w
    assert point.gap()[0] == pytest.approx(float(point.l1 @ np.abs(point.w)), rel=1e-6)


def test_constant_columns_do_not_count():
    point = Point(3)
    expected = point.gap()
    point.X = np.column_stack([point.X, np.zeros(N)])
    for name in ("l1", "l2", "w"):
        setattr(point, name, np.append(getattr(point, name), 0.0))
    assert point.gap() == pytest.approx(expected, rel=1e-14)


every_ratio = pytest.mark.parametrize("l1_ratio", [1.0, 0.4, 0.0])


@every_ratio
@pytest.mark.parametrize("seed", range(5))
def test_a_nonnegative_unpenalized_feature_that_was_forgotten_is_not_certified(l1_ratio, seed):
    point = Point(seed, l1_ratio=l1_ratio, positive=True)
    point.v[0] = np.inf
    point = optimum(point)  # of the problem without feature 0
    point.X[:, 0] *= np.sign(point.gradient[0])
    point.l1[0] = point.l2[0] = 0.0
    gap, scale = point.gap()
    assert gap == pytest.approx(float(point.primal() - point.dual(scale)), rel=1e-10)


@every_ratio
def test_unpenalized_features_that_may_have_any_sign_are_left_to_the_driver(l1_ratio):
    point = Point(4, l1_ratio=l1_ratio)
    point.w[0] = point.l1[0] = point.l2[0] = 0.0
    gap = point.gap()
    point.X[:, 0] = 0.0
    assert point.gap() == gap


def one_feature(excess, w=0.0):
    """Return the gap and the scale of a feature of bound 1 whose gradient exceeds it."""
    gap = DualGap(backend, np.ones(1), np.zeros(1), np.ones(1), False, N, 4.0)
    return gap.evaluate(np.full(1, w), np.array([1.0 + excess]), 4.0)


def test_an_excess_of_rounding_counts_as_feasible():
    gap, scale = one_feature(1e-15)
    assert scale == 1.0
    assert 0 <= gap <= 1e-14


def test_an_excess_beyond_rounding_counts_in_full():
    scale = one_feature(1e-9)[1]
    assert scale < 1
    assert scale == pytest.approx(1 - 1e-9, abs=1e-15)


def test_an_unpenalized_feature_without_a_slope_does_not_matter():
    point = Point(5)
    point.w[0] = 0.0
    column = point.X[:, 0] - point.residual * (point.X[:, 0] @ point.residual) / (
        point.residual @ point.residual
    )
    point.X[:, 0], point.l1[0] = column, 0.0
    gap, scale = point.gap()
    assert gap == pytest.approx(float(point.primal() - point.dual(scale)), rel=1e-8)


def test_a_nonnegative_feature_with_a_negative_slope_is_feasible():
    point = Point(6, positive=True)
    point.w, point.l1 = np.zeros(P), np.full(P, 1e-3)
    point.X = -np.abs(point.X) * np.sign(point.y)[:, None]
    assert point.gap() == (0.0, 1.0)


@pytest.mark.parametrize("factor", [2.0**40, 2.0**-40])
def test_gap_scales_with_the_square_of_y(factor):
    point = Point(7)
    expected = point.gap()
    point.y, point.w, point.l1 = point.y * factor, point.w * factor, point.l1 * factor
    gap, scale = point.gap()
    assert (gap / factor**2, scale) == expected
