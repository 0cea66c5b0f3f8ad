"""Global lower bounds for l0 problems, from the perspective relaxation and its dual.

For any dual point u with h = X'(s u) / n, any alpha, and |w_j| <= M_j,

    D(u) = <y, u>_s / n - ||u||_s^2 / (2 n) - sum_j (psi_j(h_j) - alpha v_j)_+  <=  objective,
    psi_j(h) = max_{|w| <= M_j} h w - l2 w^2 / 2,

the maximum of D being the value of the perspective relaxation (Guyard, Herzet and Elvira,
"Node-screening tests for the l0-penalized least-squares problem", ICASSP 2022; Atamturk and Gomez,
"Safe screening rules for l0-regression", ICML 2020). Without l2 and without M it says nothing: psi
is infinite. Then M may follow from the data: where columns are independent, whatever has an
objective at most F lies in an ellipsoid around the least-squares fit, of half width
sqrt(2 (F - F_ls) (G^-1)_jj) along coordinate j.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.subset import SubsetProblem

# Error of a computed dot product or squared norm, relative to the norms, per sqrt(n).
ROUNDING = 16 * np.finfo(np.float64).eps
# Margin of coefficient bounds from the data.
_MARGIN = 1e-3
# Relaxation: relative gap, rounds of descent, columns of the first working set.
_GAP, _ROUNDS, _FIRST = 1e-8, 200, 200


class Relaxation(NamedTuple):
    """phi of every column: ``slope |z|`` up to ``knot``, then the cost and the ridge."""

    cost: FloatArray
    slope: FloatArray
    knot: FloatArray
    ridge: FloatArray
    bound: FloatArray

    def at(self, columns: IndexArray) -> Relaxation:
        """Return the relaxation of some columns."""
        return Relaxation(*(part[columns] for part in self))

    @classmethod
    def of(
        cls,
        problem: SubsetProblem | ConditionalBound,
        alpha: float,
        coef_bound: float | FloatArray,
    ) -> Relaxation:
        """Return the tightest convex relaxation of each column's cost, given |w_j| <= M_j."""
        cost = alpha * problem.costs
        limit = np.broadcast_to(coef_bound, cost.shape)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            bound = np.where(problem.usable, limit * problem.norms, 0.0)
            knot = np.minimum(np.sqrt(2.0 * cost / problem.ridge), bound)
            knot = np.where(cost > 0, knot, 0.0)
            slope = np.where(knot > 0, cost / knot + 0.5 * problem.ridge * knot, 0.0)
        return cls(cost, slope, knot, problem.ridge, bound)


class DualPoint(NamedTuple):
    """What the bound needs to know of u: its products with y, itself, and every unit column.

    ``offset`` is the norm of each column before centering, which products are rounded at.
    """

    with_y: float
    sq_norm: float
    gradient: FloatArray
    offset: FloatArray

    def bound(self, relaxation: Relaxation, n: int, sq_y: float) -> float:
        """Return the largest D(a u) over scales a, lowered by what rounding may have added."""

        def negative(scale: float) -> float:
            return -self.at_scale(scale, relaxation, n, sq_y)

        best = minimize_scalar(negative, bounds=(0.0, 2.0), method="bounded")
        return max(-float(best.fun), -negative(1.0), 0.0)

    def at_scale(self, scale: float, relaxation: Relaxation, n: int, sq_y: float) -> float:
        """Return D(scale u), lowered by what rounding may have added."""
        rounding = ROUNDING * n**0.5
        length = scale * self.sq_norm**0.5
        size = np.abs(scale * self.gradient) + rounding * length * self.offset
        conjugate = conjugates(size, relaxation)
        over = np.maximum(conjugate - relaxation.cost, 0.0)
        total = float(np.sum(over))
        caution = rounding * (length * sq_y**0.5 + length**2 + total)
        return scale * self.with_y - 0.5 * scale**2 * self.sq_norm - total - caution


def conjugates(size: FloatArray, relaxation: Relaxation) -> FloatArray:
    """Return max over 0 <= z <= bound of ``size z - ridge z^2 / 2``, elementwise."""
    ridge, bound = relaxation.ridge, relaxation.bound
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # without a ridge everything goes to the bound, be it infinite
        reach = np.where(ridge > 0, ridge * bound, 0.0)
        capped = bound * (size - 0.5 * reach)
        inside = np.where(ridge > 0, 0.5 * size**2 / ridge, 0.0)
        return np.where(bound > 0, np.where(size > reach, capped, inside), 0.0)


def dual_point(problem: SubsetProblem, coef: FloatArray) -> DualPoint:
    """Return the residual of w as a dual point: one pass over X."""
    work = problem.work
    work.move_to(coef)
    residual = work.residual
    weights = 1.0 if work.sample_weight is None else work.sample_weight
    with_y = float((weights * residual) @ work.y) / residual.size
    offset = np.hypot(1.0, work.design.means * problem.per_norm)
    return DualPoint(with_y, work.sq_residual, work.gradient * problem.per_norm, offset)


def has_bound(problem: SubsetProblem, coef_bound: float | FloatArray) -> bool:
    """Whether the relaxation is bounded below by more than nothing."""
    return problem.l2 > 0 or bool(np.all(np.isfinite(np.asarray(coef_bound))))


def data_bounds(
    problem: SubsetProblem, upper: float, coef_bound: float | FloatArray = np.inf
) -> FloatArray | None:
    """Return M, of shape (p,), that every w with an objective up to ``upper`` satisfies.

    None if neither the ridge nor independent columns imply any, or there are too many columns.
    """
    usable = np.flatnonzero(problem.usable)
    limit = np.broadcast_to(coef_bound, problem.norms.shape)
    if problem.unrestricted_fit is None:
        return limit.copy() if has_bound(problem, coef_bound) else None
    center, spread, least = problem.unrestricted_fit
    room = max(upper - least, 0.0) + _MARGIN * upper
    reach = np.abs(center) + np.sqrt(2.0 * room * spread)
    bounds = np.zeros_like(problem.norms)
    bounds[usable] = (1.0 + _MARGIN) * reach / problem.norms[usable]
    return np.minimum(bounds, limit)


def solve_relaxation(
    problem: SubsetProblem, relaxation: Relaxation, gap: float = _GAP
) -> FloatArray:
    """Minimize the relaxation on working sets, to a relative gap; return z, of shape (p,)."""
    backend = problem.work.backend
    coef = np.zeros(problem.n_features)
    gradient = problem.correlation
    n = problem.work.design.shape[0]
    chosen = np.empty(0, dtype=np.intp)
    for _ in range(50):
        excess = np.abs(gradient) - relaxation.slope
        excess[~problem.usable | (relaxation.bound == 0)] = -np.inf
        excess[chosen] = -np.inf
        violating = np.flatnonzero(excess > gap**0.5 * problem.sq_y**0.5)
        if not violating.size:
            break
        room = max(_FIRST, 2 * int(np.count_nonzero(coef)))
        if violating.size > room:
            violating = violating[np.argpartition(-excess[violating], room)[:room]]
        chosen = np.sort(np.concatenate([np.flatnonzero(coef), violating]))
        rows = problem.gram_rows(chosen)
        part, inner = relaxation.at(chosen), np.zeros(chosen.size)
        inner[:] = coef[chosen]
        outcome = gradient[chosen].copy()
        state = np.zeros(chosen.size, dtype=np.int8)
        backend.solve_l0_node(
            np.ascontiguousarray(rows[:, chosen]), problem.correlation[chosen], problem.sq_y,
            *part, state, inner, outcome, np.inf, gap * problem.sq_y, _ROUNDS,
            ROUNDING * n**0.5,
        )  # fmt: skip
        coef[:] = 0.0
        coef[chosen] = inner
        gradient = problem.correlation - inner @ rows
    return coef


def relaxed_dual_point(
    problem: SubsetProblem, relaxation: Relaxation, gap: float = _GAP
) -> tuple[FloatArray, DualPoint]:
    """Return the minimizer z of the relaxation and its residual as a dual point."""
    relaxed = solve_relaxation(problem, relaxation, gap)
    return relaxed, dual_point(problem, relaxed * problem.per_norm)


def root_bound(
    problem: SubsetProblem,
    alpha: float,
    coef: FloatArray,
    objective: float,
    coef_bound: float | FloatArray = np.inf,
) -> float | None:
    """Return a proven lower bound of the l0 problem, or None where nothing can be proven.

    Parameters
    ----------
    problem : SubsetProblem
    alpha : float
    coef : ndarray of shape (p,)
        A candidate w; its residual is a second dual point.
    objective : float
        Its objective.
    coef_bound : float or ndarray of shape (p,)
        |w_j| <= coef_bound is part of the problem.
    """
    bounds = data_bounds(problem, objective, coef_bound)
    if bounds is None:
        return None
    relaxation = Relaxation.of(problem, alpha, bounds)
    n = problem.work.design.shape[0]
    points = [relaxed_dual_point(problem, relaxation)[1], dual_point(problem, coef)]
    best = max(point.bound(relaxation, n, problem.sq_y) for point in points)
    return min(max(best, 0.0), objective)


class ConditionalBound(NamedTuple):
    """Dual points of a problem, kept without its data, for bounds under any |w_j| <= M."""

    points: tuple[DualPoint, ...]
    alpha: float
    charge: float
    usable: np.ndarray
    norms: FloatArray
    costs: FloatArray
    ridge: FloatArray
    coef_bound: float
    n_samples: int
    sq_y: float

    @classmethod
    def of(
        cls,
        problem: SubsetProblem,
        alpha: float,
        charge: float,
        points: list[DualPoint],
        coef_bound: float,
    ) -> ConditionalBound:
        """Keep what the bounds of ``objective + charge`` at price alpha need."""
        return cls(
            tuple(points), alpha, charge, problem.usable, problem.norms, problem.costs,
            problem.ridge, coef_bound, problem.work.design.shape[0], problem.sq_y,
        )  # fmt: skip

    def at(self, coef_bound: float) -> float:
        """Return the best bound under ``|w_j| <= coef_bound``."""
        limit = min(coef_bound, self.coef_bound)
        if np.isinf(limit) and not np.all(self.ridge[self.usable] > 0):
            return 0.0
        relaxation = Relaxation.of(self, self.alpha, limit)
        bounds = [point.bound(relaxation, self.n_samples, self.sq_y) for point in self.points]
        return max(max(bounds) - self.charge, 0.0)
