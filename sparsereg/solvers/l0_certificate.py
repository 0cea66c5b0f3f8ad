"""Global lower bounds for l0 problems, from the perspective relaxation and its dual.

For any dual point u with h = X'(s u) / n, any alpha, and |w_j| <= M_j,

    D(u) = <y, u>_s / n - ||u||_s^2 / (2 n) - sum_j (psi_j(h_j) - alpha v_j)_+  <=  objective,
    psi_j(h) = max_{|w| <= M_j} h w - l2 w^2 / 2,

the maximum of D being the value of the perspective relaxation (Guyard, Herzet and Elvira,
"Node-screening tests for the l0-penalized least-squares problem", ICASSP 2022; Atamturk and Gomez,
"Safe screening rules for l0-regression", ICML 2020). Over supports of k columns instead, the sum is
that of the k largest psi_j(h_j). Without l2 and without M it says nothing: psi
is infinite. Then M may follow from the data: where columns are independent, whatever has an
objective at most F lies in an ellipsoid around the least-squares fit, of half width
sqrt(2 (F - F_ls) (G^-1)_jj) along coordinate j.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.optimize import minimize_scalar

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.subset import SubsetProblem

# Error of a computed dot product or squared norm, relative to the norms, per sqrt(n).
ROUNDING = 16 * np.finfo(np.float64).eps
# Margin of coefficient bounds from the data.
_MARGIN = 1e-3
# Relaxation: relative gap, rounds of descent, columns of the first working set.
_GAP, _ROUNDS, _FIRST = 1e-8, 200, 50
# Scales of a dual point that are looked at.
_LARGEST_SCALE = 2.0
# A size is proven by bounds from the data if there are at most so many columns: the inverse of
# their Gram matrix costs more than the search where there are many.
_FEW = 100
# Multiples of the price of a size at which dual points for it are looked for.
_PRICES = (0.5, 0.75, 1.0, 1.5)
# Steps between dual points that are kept; fixed ones, so that larger M have lower bounds.
_SHARES = np.linspace(0.0, 1.0, 17)


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

    Rounding of the products is relative to ``length``, at least ||u||, and ``offset``, the norm of
    each column before centering.
    """

    with_y: float
    sq_norm: float
    gradient: FloatArray
    offset: FloatArray
    length: float

    def bound(self, relaxation: Relaxation, n: int, sq_y: float, size: int | None = None) -> float:
        """Return the largest D(a u) over scales a, lowered by what rounding may have added.

        With a size, of the objective without costs over supports of so many columns with a cost.
        """

        def value(scale: float) -> float:
            return self.at_scale(scale, relaxation, n, sq_y, size)

        if size is None:
            best = self._best_scale(relaxation)
        else:
            ends = (0.0, _LARGEST_SCALE)
            best = minimize_scalar(lambda a: -value(a), bounds=ends, method="bounded").x
        return max(value(float(best)), value(1.0), 0.0)

    def _best_scale(self, relaxation: Relaxation) -> float:
        """Return the scale at which D is largest, 1 where D is not finite.

        In a, a term of the sum is zero up to slope / |h|, then a^2 h^2 / (2 ridge) - cost, and from
        ridge bound / |h| on a straight line: D' decreases from piece to piece.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            size = np.abs(self.gradient)
            begins = relaxation.slope / size
            near = np.flatnonzero((size > 0) & (relaxation.bound > 0) & ~(begins >= _LARGEST_SCALE))
            size, begins = size[near], begins[near]
            ridge, limit = relaxation.ridge[near], relaxation.bound[near]
            bends = np.maximum(np.where(ridge > 0, ridge * limit, 0.0) / size, begins)
            square = np.where(bends > begins, size**2 / ridge, 0.0)
            line = np.where(bends < np.inf, limit * size, 0.0)
            # curvature and slope of D after each of these scales
            scales = np.concatenate([[0.0], begins, bends])
            order = np.argsort(scales, kind="stable")
            scales = np.append(scales[order], _LARGEST_SCALE)
            curvature = np.cumsum(np.concatenate([[self.sq_norm], square, -square])[order])
            rise = np.cumsum(np.concatenate([[self.with_y], np.zeros(size.size), -line])[order])
            tops = rise / curvature
            piece = int(np.argmax(tops <= scales[1:]))
            best = max(float(tops[piece]), float(scales[piece]))
        return min(best, _LARGEST_SCALE) if np.isfinite(best) else 1.0

    def at_scale(
        self, scale: float, relaxation: Relaxation, n: int, sq_y: float, size: int | None = None
    ) -> float:
        """Return D(scale u), lowered by what rounding may have added."""
        rounding = ROUNDING * n**0.5
        length = scale * self.length
        slopes = np.abs(scale * self.gradient) + rounding * length * self.offset
        conjugate = conjugates(slopes, relaxation)
        if size is None:
            total = float(np.sum(np.maximum(conjugate - relaxation.cost, 0.0)))
        else:
            priced = relaxation.cost > 0
            total = float(np.sum(conjugate[~priced])) + sum_of_largest(conjugate[priced], size)
        caution = rounding * (length * sq_y**0.5 + length**2 + total)
        return scale * self.with_y - 0.5 * scale**2 * self.sq_norm - total - caution


def sum_of_largest(values: FloatArray, count: int) -> float:
    """Return the sum of so many of the values."""
    rest = values.size - count
    if rest > 0 and count > 0:
        values = np.partition(values, rest)[rest:]
    return float(np.sum(values)) if count > 0 else 0.0


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
    gradient = work.gradient * problem.per_norm
    return DualPoint(with_y, work.sq_residual, gradient, offset, work.sq_residual**0.5)


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


def solve_relaxation(problem: SubsetProblem, relaxation: Relaxation) -> FloatArray:
    """Minimize the relaxation on working sets; return z, of shape (p,)."""
    backend = problem.work.backend
    coef = np.zeros(problem.n_features)
    gradient = problem.correlation
    n = problem.work.design.shape[0]
    chosen = np.empty(0, dtype=np.intp)
    for _ in range(50):
        excess = np.abs(gradient) - relaxation.slope
        excess[~problem.usable | (relaxation.bound == 0)] = -np.inf
        excess[chosen] = -np.inf
        violating = excess > _GAP**0.5 * problem.sq_y**0.5
        if not np.any(violating):
            break
        known = problem.known_rows[1] >= 0
        new = np.flatnonzero(violating & ~known)
        room = max(_FIRST, 2 * int(np.count_nonzero(coef)))
        if new.size > room:
            new = new[np.argpartition(-excess[new], room)[:room]]
        chosen = np.sort(np.concatenate([np.flatnonzero((coef != 0) | (violating & known)), new]))
        rows = problem.gram_rows(chosen)
        part, inner = relaxation.at(chosen), np.zeros(chosen.size)
        inner[:] = coef[chosen]
        outcome = gradient[chosen].copy()
        state = np.zeros(chosen.size, dtype=np.int8)
        backend.solve_l0_node(
            np.ascontiguousarray(rows[:, chosen]), problem.correlation[chosen], problem.sq_y,
            *part, state, inner, outcome, np.inf, _GAP * problem.sq_y, _ROUNDS,
            ROUNDING * n**0.5,
        )  # fmt: skip
        coef[:] = 0.0
        coef[chosen] = inner
        gradient = problem.correlation - inner @ rows
    return coef


def relaxed_dual_point(
    problem: SubsetProblem, relaxation: Relaxation
) -> tuple[FloatArray, DualPoint]:
    """Return the minimizer z of the relaxation and its residual as a dual point."""
    relaxed = solve_relaxation(problem, relaxation)
    return relaxed, dual_point(problem, relaxed * problem.per_norm)


class RootBound:
    """A proven lower bound of an l0 problem by its relaxation, better the lower an objective known.

    Parameters
    ----------
    problem : SubsetProblem
    alpha : float
    coef_bound : float or ndarray of shape (p,)
        |w_j| <= coef_bound is part of the problem.

    Attributes
    ----------
    lower : float or None
        The bound; None where nothing can be proven.
    """

    def __init__(
        self, problem: SubsetProblem, alpha: float, coef_bound: float | FloatArray = np.inf
    ):
        self._problem, self._alpha, self._coef_bound = problem, alpha, coef_bound
        self._objective = np.inf
        self._relaxation: Relaxation | None = None
        self._relaxed = np.empty(0)
        self.lower: float | None = None

    def solve(self, objective: float) -> None:
        """Solve the relaxation of all w with at most this objective, which some w has."""
        if objective >= self._objective:
            return
        problem = self._problem
        self._objective = objective
        bounds: FloatArray | None
        if problem.l2 > 0 and np.count_nonzero(problem.usable) > problem.work.max_rank:
            # what the data imply is beyond the knots that the ridge alone makes: measured
            bounds = np.broadcast_to(self._coef_bound, problem.norms.shape)
        else:
            bounds = data_bounds(problem, objective, self._coef_bound)
        if bounds is None:
            return
        self._relaxation = Relaxation.of(problem, self._alpha, bounds)
        self._relaxed, point = relaxed_dual_point(problem, self._relaxation)
        self.include(point)

    def include(self, point: DualPoint) -> None:
        """Raise the bound to that of a dual point, if that is higher."""
        if self._relaxation is not None:
            n = self._problem.work.design.shape[0]
            bound = point.bound(self._relaxation, n, self._problem.sq_y)
            self.lower = min(max(bound, self.lower or 0.0), self._objective)

    def rounded(self) -> IndexArray | None:
        """Return the columns that the relaxation takes rather than not, None without one."""
        if self._relaxation is None:
            return None
        return np.flatnonzero(np.abs(self._relaxed) > 0.5 * self._relaxation.knot)


def size_bound(
    problem: SubsetProblem,
    size: int,
    price: float,
    point: DualPoint,
    objective: float,
    coef_bound: float = np.inf,
) -> float | None:
    """Return a proven lower bound over supports of a size, or None where nothing can be proven.

    Parameters
    ----------
    problem : SubsetProblem
    size : int
        Number of columns with a cost.
    price : float
        An alpha at which this size is nearly optimal: any is valid, a good one tight.
    point : DualPoint
        Of a candidate.
    objective : float
        Its objective, without the costs.
    coef_bound : float
        |w_j| <= coef_bound is part of the problem.
    """
    few = np.count_nonzero(problem.usable) <= _FEW
    if not (few or has_bound(problem, coef_bound)):
        return None
    bounds = data_bounds(problem, objective, coef_bound)
    if bounds is None:
        return None
    points = [point]
    for alpha in price * np.array(_PRICES) if price > 0 else ():
        relaxation = Relaxation.of(problem, float(alpha), bounds)
        points.append(relaxed_dual_point(problem, relaxation)[1])
    counted = Relaxation.of(problem, 1.0, bounds)
    n = problem.work.design.shape[0]
    best = max(each.bound(counted, n, problem.sq_y, size) for each in points)
    return min(best, objective)


class ConditionalBound(NamedTuple):
    """Three dual points of a problem, kept without its data, for bounds under any |w_j| <= M.

    One is the residual of w. Another is that of w shrunk as the relaxation shrinks it where
    M is half of the largest coefficient; larger M shrink less, and have their points in between.
    Where columns that matter are not in w, everything is shrunk too little: the third is y.
    """

    residual: DualPoint
    shrunk: DualPoint
    target: DualPoint
    product: float
    alpha: float
    size: int | None
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
        size: int | None,
        coef: FloatArray,
        point: DualPoint,
        coef_bound: float,
    ) -> ConditionalBound:
        """Keep what bounds need, at a price alpha, or over supports of a size.

        Parameters
        ----------
        problem : SubsetProblem
        alpha : float
            The price, or one at which the size is nearly optimal.
        size : int or None
        coef : ndarray of shape (p,)
        point : DualPoint
            That of its residual.
        coef_bound : float
            |w_j| <= coef_bound is part of the problem.
        """
        shrunk, product = point, point.sq_norm
        shrinkage = _shrinkage(problem, alpha, coef)
        if shrinkage is not None:
            support = np.flatnonzero(coef)
            change = shrinkage @ problem.gram_rows(support)
            with_residual = float(shrinkage @ point.gradient[support])
            product += with_residual
            shrunk = DualPoint(
                point.with_y + float(shrinkage @ problem.correlation[support]),
                product + with_residual + float(shrinkage @ change[support]),
                point.gradient + change,
                point.offset,
                point.length + float(np.sum(np.abs(shrinkage))),
            )
        target = DualPoint(
            problem.sq_y, problem.sq_y, problem.correlation, point.offset, problem.sq_y**0.5
        )
        return cls(
            point, shrunk, target, product, alpha, size, problem.usable, problem.norms,
            problem.costs, problem.ridge, coef_bound, problem.work.design.shape[0], problem.sq_y,
        )  # fmt: skip

    def at(self, coef_bound: float) -> float:
        """Return the best bound under ``|w_j| <= coef_bound``."""
        limit = min(coef_bound, self.coef_bound)
        if np.isinf(limit) and not np.all(self.ridge[self.usable] > 0):
            return 0.0
        relaxation = Relaxation.of(self, self.alpha if self.size is None else 1.0, limit)
        n, sq_y = self.n_samples, self.sq_y
        segments = (
            (self.residual, self.shrunk, self.product),
            (self.shrunk, self.target, self.shrunk.with_y),
        )
        return max(
            _between(*segment, share).bound(relaxation, n, sq_y, self.size)
            for segment in segments
            for share in _SHARES
        )


def _between(first: DualPoint, second: DualPoint, product: float, share: float) -> DualPoint:
    """Return the dual point this far from the first to the second, whose product is known."""
    rest = 1.0 - share
    sq_norm = rest**2 * first.sq_norm + share**2 * second.sq_norm
    return DualPoint(
        rest * first.with_y + share * second.with_y,
        sq_norm + 2.0 * share * rest * product,
        rest * first.gradient + share * second.gradient,
        first.offset,
        rest * first.length + share * second.length,
    )


def _shrinkage(problem: SubsetProblem, alpha: float, coef: FloatArray) -> FloatArray | None:
    """Return by how much the relaxation under |w_j| <= max |w| / 2 shrinks z on its support.

    None where that is not known: at no price, or on dependent columns.
    """
    support = np.flatnonzero(coef)
    if not (alpha > 0 and support.size):
        return None
    bounds = 0.5 * float(np.max(np.abs(coef))) * problem.norms[support]
    slopes = alpha * problem.costs[support] * np.sign(coef[support]) / bounds
    gram = problem.gram_rows(support)[:, support]
    gram.flat[:: support.size + 1] += problem.ridge[support]
    factor, failed = dpotrf(gram, lower=True)
    if failed:
        return None
    shrinkage = dpotrs(factor, slopes, lower=True)[0]
    return shrinkage if np.all(np.isfinite(shrinkage)) else None
