"""Working-set solver for convex separable penalties on the squared loss.

Repeat until the duality gap of the whole problem is below the tolerance:

1. one pass over X: residual, gradient of every feature, gap;
2. working set: the support, the unpenalized features, and the features closest to their bound;
3. solve the problem restricted to the working set, on its Gram matrix (coordinate descent with
   active-set Newton steps, and the exact homotopy where those are slow) or, where that matrix
   would be too large, on the residual.

The full gradient is recomputed from the data in 1, so that what rounding does inside 3 is
corrected, as in iterative refinement.

Sources: working sets ordered by distance to the dual constraint, Massias, Gramfort and Salmon,
"Celer", ICML 2018; Newton and warm starts on the support, Larsson and Wallin, "The Hessian
screening rule", NeurIPS 2022; coordinate descent in covariance form, Friedman, Hastie and
Tibshirani, JSS 2010.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.newton import newton_step
from sparsereg.solvers.problem import Solution, Step
from sparsereg.solvers.workspace import Workspace

_FIRST_SIZE = 64
_EPOCHS_PER_CHECK = 10
_NEWTON_STEPS_PER_CHECK = 5
# A homotopy that changes the active set more often than this per feature is cycling.
_EVENTS_PER_FEATURE = 10
# The subproblem is solved to this share of the current gap.
_INNER_SHARE = 0.1
# Passes over X without progress after which the gap is taken to be at the rounding floor.
_PATIENCE = 5


@dataclass
class _Restriction:
    """The penalty on the features that may move: not constant, not excluded."""

    usable: IndexArray
    free: IndexArray
    form: KernelForm
    l1: FloatArray
    l2: FloatArray
    positive: bool

    @classmethod
    def of(cls, penalty: ElasticNet, work: Workspace) -> _Restriction:
        form = penalty.kernel_form(work.design.shape[1])
        usable = (work.design.sqnorms > 0) & np.isfinite(form.weights)
        weights = np.where(usable, form.weights, 0.0)
        l1, l2 = form.params[0] * weights, form.params[1] * weights
        # what must be non-negative cannot be projected out
        free = usable & (l1 + l2 == 0) & (not penalty.positive)
        return cls(
            usable=np.flatnonzero(usable),
            free=np.flatnonzero(free),
            form=form._replace(weights=weights),
            l1=l1,
            l2=l2,
            positive=bool(penalty.positive),
        )

    def gap(self, work: Workspace, features: IndexArray) -> DualGap:
        return DualGap(
            work.backend,
            self.l1[features],
            self.l2[features],
            work.design.sqnorms[features],
            self.positive,
        )


def solve(work: Workspace, penalty: ElasticNet, *, tol: float, max_iter: int) -> Solution:
    """Minimize the squared loss plus the penalty, from the workspace's current point.

    Parameters
    ----------
    work : Workspace
        Holds the starting point, and afterwards the solution.
    penalty : ElasticNet
        An elastic-net penalty (the lasso is one).
    tol : float
        Stop when the gap is at most ``tol * ||y||_s^2 / n``, y centered if there is an intercept.
    max_iter : int
        Budget of coordinate-descent epochs and Newton steps.

    Returns
    -------
    Solution
    """
    with single_threaded_blas():
        return _solve(work, penalty, tol * work.sq_y, max_iter)


def _solve(work: Workspace, penalty: ElasticNet, target: float, max_iter: int) -> Solution:
    restriction = _Restriction.of(penalty, work)
    usable = restriction.usable
    whole = restriction.gap(work, usable)
    _start_feasible(work, restriction)
    history: list[Step] = []
    working_set = usable[:0]
    n_iter, stalled, best_gap = 0, 0, np.inf

    while True:
        # 1. the gap of the whole problem at the current point
        gap, scale = whole.evaluate(work.coef[usable], work.gradient[usable], work.sq_residual)
        history.append(Step(n_iter, gap, working_set.size))
        if gap <= target or n_iter >= max_iter or stalled > _PATIENCE or not usable.size:
            break
        # 2. the working set
        last_size = working_set.size
        working_set = _choose(work, restriction, scale, working_set)
        progress = gap < 0.5 * best_gap or working_set.size > last_size
        stalled = 0 if progress else stalled + 1
        best_gap = min(best_gap, gap)
        # 3. the restricted problem
        goal = max(_INNER_SHARE * gap, 0.3 * target)
        n_iter += _solve_restricted(work, restriction, working_set, goal, max_iter - n_iter)
        work.solve_unpenalized(restriction.free)
        work.gradient = work.backend.xtr(work.design, work.residual)

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
        history=tuple(history),
    )


def null_model(work: Workspace, penalty: ElasticNet) -> None:
    """Move to the fit with intercept and unpenalized features only."""
    work.move_to(np.zeros_like(work.coef))
    with single_threaded_blas():
        _start_feasible(work, _Restriction.of(penalty, work))


def _start_feasible(work: Workspace, restriction: _Restriction) -> None:
    """Bring the starting point inside the constraints and solve for what is unpenalized."""
    start = np.zeros_like(work.coef)
    start[restriction.usable] = work.coef[restriction.usable]
    if restriction.positive:
        np.maximum(start, 0.0, out=start)
    moved = not np.array_equal(start, work.coef)
    if moved:
        work.set_coef(start)
    work.solve_unpenalized(restriction.free)
    if moved or restriction.free.size:
        work.gradient = work.backend.xtr(work.design, work.residual)


def _choose(
    work: Workspace, restriction: _Restriction, scale: float, last: IndexArray
) -> IndexArray:
    """Return the support, the unpenalized features and those nearest to their dual bound.

    The set grows with the number of violated bounds outside the last one, at most by doubling.
    """
    usable = restriction.usable
    bound = restriction.l1[usable]
    gradient = work.gradient[usable]
    size = gradient if restriction.positive else np.abs(gradient)
    kept = work.coef[usable] != 0
    violated = np.zeros(work.coef.size, dtype=bool)
    violated[usable[(size > bound) & ~kept]] = True
    violated[last] = False
    growth = min(int(np.count_nonzero(violated)), last.size)
    wanted = max(_FIRST_SIZE, 2 * int(np.count_nonzero(kept)), last.size + growth)
    distance = (bound - scale * size) / np.sqrt(work.design.sqnorms[usable])
    distance[kept | (bound == 0)] = -np.inf
    wanted = max(wanted, int(np.count_nonzero(np.isneginf(distance))))
    if wanted >= usable.size:
        return usable
    return np.sort(usable[np.argpartition(distance, wanted - 1)[:wanted]])


def _solve_restricted(
    work: Workspace, restriction: _Restriction, ws: IndexArray, goal: float, budget: int
) -> int:
    """Bring the gap of the problem on ``ws`` below goal; return the iterations used."""
    form = restriction.form._replace(weights=restriction.form.weights[ws])
    coef = work.coef[ws]
    gap = restriction.gap(work, ws)
    if ws.size <= work.cache.max_gram_columns and not _prefers_residual_form(work, ws):
        used = _descend_on_gram(work, ws, coef, form, gap, goal, budget)
    else:
        used = _descend_on_residual(work, ws, coef, form, gap, goal, budget)
    full = np.zeros_like(work.coef)
    full[ws] = coef
    work.set_coef(full)
    return used


def _prefers_residual_form(work: Workspace, ws: IndexArray) -> bool:
    # A step costs |W| on the Gram matrix and the non-zeros of a column on the residual.
    n_nonzero = work.design.nnz / max(work.design.shape[1], 1)
    return work.design.is_sparse and ws.size > max(2000, 4 * n_nonzero)


def _descend_on_gram(
    work: Workspace,
    ws: IndexArray,
    coef: FloatArray,
    form: KernelForm,
    gap: DualGap,
    goal: float,
    budget: int,
) -> int:
    """Coordinate descent with Newton steps; where that is slow, the exact homotopy."""
    gram = work.gram.submatrix(ws)
    gradient = work.gradient[ws]
    start, start_gradient = coef.copy(), gradient.copy()

    def reached() -> bool:
        # ||r||^2 follows from the gradients at both ends of a move, exactly for a quadratic
        sq_residual = work.sq_residual - float((coef - start) @ (gradient + start_gradient))
        return gap.evaluate(coef, gradient, max(sq_residual, 0.0))[0] <= goal

    def round_of_descent(budget: int) -> tuple[int, bool]:
        epochs, largest = work.backend.gram_cd(
            gram, gradient, coef, form, min(_EPOCHS_PER_CHECK, budget), goal / ws.size
        )
        if largest == 0.0 or not np.isfinite(largest) or reached():
            return epochs, True
        newton = 0
        while newton < min(_NEWTON_STEPS_PER_CHECK, budget - epochs):
            newton += 1
            if not newton_step(work.backend, gram, gradient, coef, gap.l1, gap.l2, gap.positive):
                break
        return epochs + newton, reached()

    used, done = round_of_descent(budget)
    if done or used >= budget:
        return used
    descended, descended_gradient = coef.copy(), gradient.copy()
    coef[:], gradient[:] = start, start_gradient
    events, done = _walk(work, gram, gradient, coef, gap, budget - used)
    used += events
    if not done:
        coef[:], gradient[:] = descended, descended_gradient
        while not done and used < budget:
            spent, done = round_of_descent(budget - used)
            used += spent
    return used


def _walk(
    work: Workspace,
    gram: FloatArray,
    gradient: FloatArray,
    coef: FloatArray,
    gap: DualGap,
    budget: int,
) -> tuple[int, bool]:
    """Follow the homotopy to the exact solution; return the events and whether it got there."""
    free = (gap.l1 + gap.l2 == 0) & (not gap.positive)
    rank = coef.size if np.any(gap.l2 > 0) else min(coef.size, work.max_rank)
    max_events = min(budget, _EVENTS_PER_FEATURE * coef.size + 100)
    return work.backend.homotopy(
        gram, gradient, coef, gap.l1, gap.l2, free, gap.positive, rank, max_events
    )


def _descend_on_residual(
    work: Workspace,
    ws: IndexArray,
    coef: FloatArray,
    form: KernelForm,
    gap: DualGap,
    goal: float,
    budget: int,
) -> int:
    full = np.zeros_like(work.coef)
    used = 0
    while used < budget:
        epochs, largest = work.backend.residual_cd(
            work.design, ws, work.residual, coef, form,
            min(_EPOCHS_PER_CHECK, budget - used), goal / ws.size,
        )  # fmt: skip
        used += epochs
        full[ws] = coef
        work.set_coef(full)
        gradient = work.backend.xtr(work.design, work.residual, ws)
        if largest == 0.0 or not np.isfinite(largest):
            break
        if gap.evaluate(coef, gradient, work.sq_residual)[0] <= goal:
            break
    return used
