"""Working-set solver for multi-task regression: squared loss, l21 penalty.

The problem couples T targets by the norms of the rows w_j of T coefficients that belong to one
feature. Repeat until the duality gap of the whole problem is below the tolerance:

1. one pass over X: residuals, gradient of every feature, gap;
2. working set: the support, the unpenalized features, and the features whose gradients' norms
   violate their dual bound or come nearest to it; its Gram matrix grows with it;
3. solve the problem restricted to the working set: sweeps of block coordinate descent find the
   support, Newton steps on the support bring the accuracy.

The duality gap is that of a scalar elastic net (:mod:`sparsereg.solvers.duality`) with the norms
||w_j|| and ||u_j|| in place of w_j and u_j, plus

    sum_j ||w_j|| ||u_j|| - w_j'u_j  =  sum_j ||w_j|| ||u_j|| ||e_j - f_j||^2 / 2,

e_j and f_j the directions of w_j and u_j: again a sum of non-negative terms.

Sources: Massias, Gramfort and Salmon, "Celer", ICML 2018 (working sets); Simon, Friedman and
Hastie, "A blockwise descent algorithm for group-penalized multiresponse and multinomial
regression", arXiv:1311.6529, 2013; the Newton step is derived in
:mod:`sparsereg.solvers.block_newton`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.penalties.l21 import feature_norms
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.block_newton import newton_step
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.multi_task_workspace import MultiTaskWorkspace
from sparsereg.solvers.problem import Solution, Step
from sparsereg.solvers.restriction import Restriction

_FIRST_SIZE = 64
# Gram matrices of up to this many columns are built (half a gigabyte); a larger support is solved
# for in parts.
_MAX_POOL = 8000
# Columns that were not needed are dropped from the pool when it has this many times the support.
_POOL_EXCESS, _POOL_MINIMUM = 6, 2000
# The restricted problem is solved to this share of the current gap.
_INNER_SHARE = 0.1
# Sweeps between Newton steps, and rounds of both on one working set.
_SWEEPS, _MAX_ROUNDS = 10, 20
# Newton steps become stiffer, up to a limit, after short ones, and softer after full ones.
_STIFFER, _STIFFEST, _SOFTER, _SOFTEST = 5.0, 0.5, 0.1, 1e-4
# Passes over X without progress after which the gap is taken to be at the rounding floor.
_PATIENCE = 5


@dataclass
class MultiTaskGap:
    """Evaluates the gap of a multi-task problem on a fixed set of features."""

    scalar: DualGap

    def evaluate(self, w: FloatArray, g: FloatArray, sq_residual: float) -> tuple[float, float]:
        """Return the gap at the better of the scales tried, and that scale.

        As :meth:`DualGap.evaluate`, with w and g of shape (T, m).
        """
        sizes, slopes = feature_norms(w), feature_norms(g)
        gap, scale = self.scalar.evaluate(sizes, slopes, sq_residual)
        apart = np.flatnonzero((sizes > 0) & (slopes > 0) & (self.scalar.l1 + self.scalar.l2 > 0))
        sizes, slopes = sizes[apart], slopes[apart]
        angles = feature_norms(w[:, apart] / sizes - g[:, apart] / slopes)
        return gap + scale * 0.5 * float((sizes * slopes) @ angles**2), scale


def _gap(restriction: Restriction, work: MultiTaskWorkspace, features: IndexArray) -> MultiTaskGap:
    return MultiTaskGap(restriction.gap(work, features))


def solve(work: MultiTaskWorkspace, penalty: ElasticNet, *, tol: float, max_iter: int) -> Solution:
    """Minimize the squared loss plus the penalty, from the workspace's current point.

    Parameters
    ----------
    work : MultiTaskWorkspace
        Holds the starting point, and afterwards the solution.
    penalty : ElasticNet
        Of the norms: a :class:`~sparsereg.penalties.L21`.
    tol : float
        Stop when the gap is at most ``tol * ||Y||_s^2 / n``, Y centered if there are intercepts.
    max_iter : int
        Budget of passes over X.

    Returns
    -------
    Solution
        With ``coef`` of shape (T, p) and ``intercept`` of shape (T,).
    """
    with single_threaded_blas():
        return _solve(work, penalty, tol * work.sq_y, max_iter)


def _solve(work: MultiTaskWorkspace, penalty: ElasticNet, target: float, max_iter: int) -> Solution:
    restriction = Restriction.of(penalty, work)
    usable = restriction.usable
    whole = _gap(restriction, work, usable)
    _start_feasible(work, restriction)
    history: list[Step] = []
    last_size, best = 0, work.coef
    # an exact solve for the unpenalized features counts as one iteration
    n_iter, passes, stalled, best_gap = int(restriction.free.size > 0), 0, 0, np.inf

    while True:
        # 1. the gap of the whole problem at the current point
        gap, scale = whole.evaluate(
            work.coef[:, usable], work.gradient[:, usable], work.sq_residual
        )
        gap += work.unpenalized_left
        history.append(Step(n_iter, gap, last_size))
        if gap <= best_gap:
            best = work.coef
        if gap <= target or passes >= max_iter or stalled > _PATIENCE or not usable.size:
            break
        passes += 1
        # 2. the working set, and with it the pool
        _extend_pool(work, _choose(work, restriction, scale, last_size))
        size = len(work.pool)
        # parts of a support come nearer step by step, and not in every step
        progress = gap < 0.5 * best_gap or size > last_size or size >= _MAX_POOL
        stalled = 0 if progress else stalled + 1
        last_size, best_gap = size, min(best_gap, gap)
        # 3. the restricted problem
        n_iter += _solve_on_pool(work, restriction, max(_INNER_SHARE * gap, 0.3 * target))
        work.solve_unpenalized(restriction.free)
        work.refresh_gradient()

    if not gap <= best_gap:  # rounding can make a step one for the worse
        work.move_to(best)
        gap = best_gap
    if not np.all(np.isfinite(work.coef)):
        raise ValueError(
            "Coordinate descent iterations resulted in non-finite parameter values: X or y is "
            "scaled beyond float64. Rescale the data, for example with StandardScaler."
        )
    return Solution(
        coef=work.coef.copy(),
        intercept=work.intercept,
        dual_gap=gap,
        tolerance=target,
        n_iter=n_iter,
        converged=gap <= target,
        stalled=not gap <= target and passes < max_iter,
        history=tuple(history),
    )


def null_model(work: MultiTaskWorkspace, penalty: ElasticNet) -> None:
    """Move to the fit with intercepts and unpenalized features only."""
    work.move_to(np.zeros_like(work.coef))
    with single_threaded_blas():
        _start_feasible(work, Restriction.of(penalty, work))


def _start_feasible(work: MultiTaskWorkspace, restriction: Restriction) -> None:
    """Set excluded features to zero and solve for what is unpenalized."""
    start = np.zeros_like(work.coef)
    start[:, restriction.usable] = work.coef[:, restriction.usable]
    moved = not np.array_equal(start, work.coef)
    if moved:
        work.set_coef(start)
    work.solve_unpenalized(restriction.free)
    if moved or restriction.free.size:
        work.refresh_gradient()


def _choose(
    work: MultiTaskWorkspace, restriction: Restriction, scale: float, last_size: int
) -> IndexArray:
    """Return the support, the unpenalized features and those nearest to their dual bound.

    The set grows with the number of violated bounds outside the pool, at most by doubling.
    """
    usable = restriction.usable
    bound = restriction.l1[usable]
    size = feature_norms(work.gradient[:, usable])
    kept = np.any(work.coef[:, usable] != 0, axis=0)
    violated = usable[(size > bound) & ~kept]
    growth = min(work.pool.missing(violated).size, last_size)
    wanted = max(_FIRST_SIZE, 2 * int(np.count_nonzero(kept)), last_size + growth)
    distance = (bound - scale * size) / np.sqrt(work.design.sqnorms[usable])
    distance[kept | (bound == 0)] = -np.inf
    needed = int(np.count_nonzero(np.isneginf(distance)))
    if needed + violated.size > _MAX_POOL:
        distance = -_distance_to_optimum(work, restriction)
    wanted = min(max(wanted, needed), _MAX_POOL)
    if wanted >= usable.size:
        return usable
    return np.sort(usable[np.argpartition(distance, wanted - 1)[:wanted]])


def _distance_to_optimum(work: MultiTaskWorkspace, restriction: Restriction) -> FloatArray:
    """Return how far one exact step would move each usable feature, in units of the fit."""
    usable = restriction.usable
    curvature, w = work.design.sqnorms[usable], work.coef[:, usable]
    v = w + work.gradient[:, usable] / curvature
    norms = feature_norms(v)
    kept = np.maximum(norms - restriction.l1[usable] / curvature, 0.0)
    kept /= 1.0 + restriction.l2[usable] / curvature
    shares = np.divide(kept, norms, out=np.zeros_like(norms), where=norms > 0)
    return feature_norms(v * shares - w) * np.sqrt(curvature)


def _extend_pool(work: MultiTaskWorkspace, wanted: IndexArray) -> None:
    pool = work.pool
    new = pool.missing(wanted)
    support = int(np.count_nonzero(np.any(work.coef != 0, axis=0)))
    room = min(max(_POOL_MINIMUM, _POOL_EXCESS * support), _MAX_POOL)
    if len(pool) + new.size > max(room, wanted.size):
        keep = np.zeros(work.coef.shape[1], dtype=bool)
        keep[wanted] = True
        pool.keep_only(keep[pool.columns])
    pool.add(new)


def _solve_on_pool(work: MultiTaskWorkspace, restriction: Restriction, goal: float) -> int:
    """Solve the problem on the pool; return the sweeps and Newton steps used."""
    columns = work.pool.columns
    gap = _gap(restriction, work, columns)
    l1, l2 = gap.scalar.l1, gap.scalar.l2
    form = restriction.form._replace(weights=restriction.form.weights[columns])
    gram = work.pool.gram[: columns.size, : columns.size]
    coef = np.ascontiguousarray(work.coef[:, columns])
    gradient = np.ascontiguousarray(work.gradient[:, columns])
    start, start_gradient, sq_start = coef.copy(), gradient.copy(), work.sq_residual

    def gap_here() -> float:
        # ||R||^2 follows from the gradients at both ends of a move, exactly for a quadratic
        sq_residual = sq_start - float(np.vdot(coef - start, gradient + start_gradient))
        return gap.evaluate(coef, gradient, max(sq_residual, 0.0))[0]

    used = 0
    for _ in range(_MAX_ROUNDS):
        # 1. block coordinate descent: what is zero, and what is not
        epochs, largest = work.backend.gram_block_cd(gram, gradient, coef, form, _SWEEPS, 0.0)
        used += epochs
        if largest == 0.0 or not np.isfinite(largest):
            break
        # 2. Newton steps on what is not zero, as long as they pay
        before, left, length = np.inf, gap_here(), 1.0
        while length > 0.0 and left < 0.1 * before and (left > goal or before == np.inf):
            length = newton_step(gram, gradient, coef, l1, l2, work.stiffness)
            work.stiffness = _next_stiffness(work.stiffness, length)
            used += 1
            before, left = left, gap_here()
        if left <= goal:
            break
    full = work.coef.copy()
    full[:, columns] = coef
    work.set_coef(full)
    return used


def _next_stiffness(stiffness: float, length: float) -> float:
    if length > 0.9:
        return stiffness * _SOFTER if stiffness > _SOFTEST else 0.0
    if length < 0.5:
        return min(max(stiffness, 10 * _SOFTEST) * _STIFFER, _STIFFEST)
    return stiffness
