"""Working-set solver for elastic-net penalties on the squared loss.

Repeat until the duality gap of the whole problem is below the tolerance:

1. one pass over X: residual, gradient of every feature, gap;
2. working set: the support, the unpenalized features, and the features that violate their dual
   bound or come nearest to it;
3. solve the problem restricted to the working set: exactly, by the homotopy on its Gram matrix, or
   where that matrix would be too large, by coordinate descent on the residual.

The full gradient is recomputed from the data in 1, so that what rounding does inside 3 is
corrected, as in iterative refinement.

Sources: working sets ordered by distance to the dual constraint, Massias, Gramfort and Salmon,
"Celer", ICML 2018; solutions on the support carried from alpha to alpha, Larsson and Wallin, "The
Hessian screening rule", NeurIPS 2022; coordinate descent in covariance form, Friedman, Hastie and
Tibshirani, JSS 2010.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.problem import Solution, Step
from sparsereg.solvers.workspace import Workspace

_MIN_NEW, _NEW_SHARE, _NEARLY, _DESCENT = 64, 0.15, 0.97, 0.9
# Columns of the first working set: on sparse X a pass is dear beside an idle column.
_FIRST_SIZE, _FIRST_SPARSE_SIZE = 64, 1000
_EPOCHS_PER_CHECK = 10
# Coordinate descent on one working set ends after this many epochs: a new pass may help more.
_MAX_EPOCHS = 100
# The Gram matrix of sparse columns may cost this many passes over X; more, up to so many columns,
# where coordinate descent crawls.
_SPARSE_GRAM_PASSES, _SPARSE_POOL = 10, 2000
_SMALL_WORK = 2e6
# The subproblem in residual form is solved to this share of the current gap.
_INNER_SHARE = 0.1
# Passes over X without progress after which the gap is taken to be at the rounding floor.
_PATIENCE = 5
# A homotopy that changes the active set more often than this per feature is cycling.
_EVENTS_PER_FEATURE = 10
# Where ties made it cycle, it is tried again with its starting bounds spread by these shares.
_JITTERS = (0.0, 0.1, 1.0)
# Gram matrices of up to this many columns are built (half a gigabyte).
_MAX_POOL = 8000
# Columns that were not needed are dropped from the pool when it has this many times the support.
_POOL_EXCESS, _POOL_MINIMUM = 6, 2000
# From this many columns on, a cold start tries coordinate descent before the homotopy.
_DESCENT_FROM = 128


@dataclass
class _Restriction:
    """The penalty on the features that may move: not constant, not excluded."""

    usable: IndexArray
    may_move: npt.NDArray[np.bool_]
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
        with np.errstate(over="ignore"):  # a bound beyond float64 keeps its feature at zero
            l1, l2 = form.params[0] * weights, form.params[1] * weights
        # what must be non-negative cannot be projected out
        free = usable & (l1 + l2 == 0) & (not penalty.positive)
        return cls(
            usable=np.flatnonzero(usable),
            may_move=usable,
            free=np.flatnonzero(free),
            form=form._replace(weights=weights),
            l1=l1,
            l2=l2,
            positive=bool(penalty.positive),
        )

    def at(self, level: float) -> _Restriction:
        """Return the same with the l1 bounds multiplied by ``level``."""
        if level == 1.0:
            return self
        params = self.form.params.copy()
        params[0] *= level
        return replace(self, l1=level * self.l1, form=self.form._replace(params=params))

    def gap(self, work: Workspace, features: IndexArray) -> DualGap:
        return DualGap(
            work.backend,
            self.l1[features],
            self.l2[features],
            work.design.sqnorms[features],
            self.positive,
            work.design.shape[0],
            work.sq_y,
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
        Budget of passes over X.

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
    working_set, best, crawling, level = usable[:0], work.coef, False, np.inf
    # an exact solve for the unpenalized features counts as one iteration
    n_iter, passes, stalled, best_gap = int(restriction.free.size > 0), 0, 0, np.inf

    while True:
        # 1. the gap of the whole problem at the current point
        gap, scale = whole.evaluate(work.coef[usable], work.gradient[usable], work.sq_residual)
        gap += work.unpenalized_left
        history.append(Step(n_iter, gap, working_set.size))
        if gap <= best_gap:
            best = work.coef
        if gap <= target or passes >= max_iter or stalled > _PATIENCE or not usable.size:
            break
        passes += 1
        # 2. the working set, and the level of the bounds it is meant for
        last_size, last_level = working_set.size, level
        if work.design.is_sparse:
            level, wanted = 1.0, _choose(work, restriction, scale, working_set)
        else:
            hurry = 2 * passes > max_iter
            level, wanted = _descend(work, restriction, 1.0 if hurry else level)
        on_pool = _make_pool(work, restriction, wanted, crawling)
        working_set = work.pool.columns if on_pool else wanted
        # exact solutions leave rounding only; descent comes nearer step by step
        progress = gap < (0.5 if work.active_set.is_exact else 0.99) * best_gap
        progress = progress or working_set.size > last_size or level < last_level
        stalled = 0 if progress else stalled + 1
        best_gap = min(best_gap, gap)
        # 3. the restricted problem
        goal = max(_INNER_SHARE * gap, 0.3 * target)
        solve_restricted = _solve_on_pool if on_pool else _descend_on_residual
        used = solve_restricted(work, restriction.at(level), working_set, goal)
        n_iter += used
        crawling = crawling or used >= _MAX_EPOCHS
        work.solve_unpenalized(restriction.free)
        work.gradient = work.backend.xtr(work.design, work.residual)

    if not gap <= best_gap:  # rounding can make a step one for the worse
        work.move_to(best)
        work.active_set.forget()
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


def _descend(
    work: Workspace, restriction: _Restriction, last_level: float
) -> tuple[float, IndexArray]:
    """Return the next level, and the features outside the pool that reach their bound there.

    The level multiplies the l1 bounds: it comes down to 1 as fast as new columns can be taken in.
    Jumping down at once would bring in columns that only look relevant while others are missing.
    """
    usable = restriction.usable
    outside = usable[work.pool.is_missing(usable)]
    gradient, bound = work.gradient[outside], restriction.l1[outside]
    size = gradient if restriction.positive else np.abs(gradient)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reach = np.where(bound > 0, size / bound, np.inf)
    reach[work.coef[outside] != 0] = np.inf
    known = len(work.pool)
    room = max(_MIN_NEW, int(_NEW_SHARE * known))
    beyond = np.count_nonzero(reach > 1.0) - np.count_nonzero(np.isinf(reach))
    if beyond <= room:
        return 1.0, outside[reach > _NEARLY]
    finite = reach[np.isfinite(reach)]
    enough = float(np.partition(finite, finite.size - room)[finite.size - room])
    level = max(1.0, min(enough, _DESCENT * last_level))
    return level, outside[reach >= (enough if last_level <= 1.0 else level)]


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
    first = _FIRST_SPARSE_SIZE if work.design.is_sparse else _FIRST_SIZE
    wanted = max(first, 2 * int(np.count_nonzero(kept)), last.size + growth)
    distance = (bound - scale * size) / np.sqrt(work.design.sqnorms[usable])
    distance[kept | (bound == 0)] = -np.inf
    wanted = max(wanted, int(np.count_nonzero(np.isneginf(distance))))
    if wanted >= usable.size:
        return usable
    return np.sort(usable[np.argpartition(distance, wanted - 1)[:wanted]])


def _make_pool(
    work: Workspace, restriction: _Restriction, wanted: IndexArray, crawling: bool
) -> bool:
    """Bring the wanted columns into the pool; return False where its Gram matrix does not pay."""
    pool = work.pool
    may_move = restriction.may_move[pool.columns]
    if not may_move.all():  # left by a problem on the same data that excludes fewer features
        pool.keep_only(may_move)
    new = pool.missing(wanted)
    if wanted.size > _MAX_POOL or not _gram_pays(work, wanted, new, crawling):
        return False
    support = np.flatnonzero(work.coef)
    wanted = np.union1d(wanted, support)
    needed = max(_POOL_MINIMUM, _POOL_EXCESS * support.size, wanted.size)
    if len(pool) + new.size > needed:
        keep = np.zeros(work.coef.size, dtype=bool)
        keep[wanted] = True
        pool.keep_only(keep[pool.columns])
    pool.add(new)
    return True


def _gram_pays(work: Workspace, wanted: IndexArray, new: IndexArray, crawling: bool) -> bool:
    design = work.design
    if not design.is_sparse or (crawling and wanted.size <= _SPARSE_POOL):
        return True
    if np.any(design.means[wanted] ** 2 > 1e6 * design.sqnorms[wanted]):
        return True  # on the residual, the scalar offset would lose their digits
    flops = float(new.size) * design.nnz_of(np.concatenate([work.pool.columns, new]))
    return flops <= _SMALL_WORK + _SPARSE_GRAM_PASSES * design.nnz


def _solve_on_pool(
    work: Workspace, restriction: _Restriction, columns: IndexArray, goal: float
) -> int:
    """Solve the problem on the pool; return the iterations used."""
    gap = restriction.gap(work, columns)
    form = restriction.form._replace(weights=restriction.form.weights[columns])
    gram = work.pool.gram
    coef, gradient = work.coef[columns], work.gradient[columns]
    used = 0
    if columns.size >= _DESCENT_FROM and not coef.any():
        used = _try_descent(work, gram, coef, gradient, form, gap)
    done, events = _walk(work, gram, coef, gradient, gap)
    used += events
    if not done:  # cycling, or numerically dependent columns: descent always descends
        work.active_set.forget()
        used += _descend_on_gram(work, gram, coef, gradient, form, gap, goal)
    if gap.positive:  # whatever rounding did: the residual and the gap are of what is returned
        np.maximum(coef, 0.0, out=coef)
    full = np.zeros_like(work.coef)
    full[columns] = coef
    work.set_coef(full)
    return used


def _try_descent(
    work: Workspace,
    gram: FloatArray,
    coef: FloatArray,
    gradient: FloatArray,
    form: KernelForm,
    gap: DualGap,
) -> int:
    """Descend from zero; keep the point, in place, if the homotopy from it is much shorter."""
    level = _distance(coef, gradient, gap)
    trial, trial_gradient = coef.copy(), gradient.copy()
    used, _ = work.backend.gram_cd(gram, trial_gradient, trial, form, _EPOCHS_PER_CHECK, 0.0)
    sparse_enough = np.count_nonzero(trial) <= work.max_rank
    if sparse_enough and _distance(trial, trial_gradient, gap) < 0.1 * level:
        coef[:], gradient[:] = trial, trial_gradient
        work.active_set.forget()
    return used


def _distance(coef: FloatArray, gradient: FloatArray, gap: DualGap) -> float:
    """How far the bounds must move, relative to themselves, from those coef is optimal for."""
    size = gradient if gap.positive else np.abs(gradient)
    excess = np.where(coef == 0, size - gap.l1, np.abs(gradient - gap.l2 * coef) - gap.l1)
    moving = np.where(coef == 0, np.maximum(excess, 0.0), np.abs(excess))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(gap.l1 > 0, moving / gap.l1, 0.0), initial=0.0))


def _walk(
    work: Workspace,
    gram: FloatArray,
    coef: FloatArray,
    gradient: FloatArray,
    gap: DualGap,
) -> tuple[bool, int]:
    """Follow the homotopy to the exact solution; return whether it got there, and the events."""
    free = (gap.l1 + gap.l2 == 0) & (not gap.positive)
    l2 = float(np.max(gap.l2, initial=0.0))
    state = work.active_set.for_solve(l2)
    rank = coef.size if l2 > 0 else min(coef.size, work.max_rank)
    max_events = _EVENTS_PER_FEATURE * coef.size + 100
    start, start_gradient = coef.copy(), gradient.copy()
    used = 0
    for jitter in _JITTERS:
        done, events = work.backend.homotopy(
            gram, gradient, coef, gap.l1, gap.l2, free, gap.positive, rank, max_events, jitter,
            state,
        )  # fmt: skip
        used += events
        if done:
            return True, used
        coef[:], gradient[:] = start, start_gradient
        state.n_active = -1
    return False, used


def _descend_on_gram(
    work: Workspace,
    gram: FloatArray,
    coef: FloatArray,
    gradient: FloatArray,
    form: KernelForm,
    gap: DualGap,
    goal: float,
) -> int:
    start, start_gradient, sq_start = coef.copy(), gradient.copy(), work.sq_residual
    used = 0
    while used < _MAX_EPOCHS:
        epochs, largest = work.backend.gram_cd(gram, gradient, coef, form, _EPOCHS_PER_CHECK, 0.0)
        used += epochs
        # ||r||^2 follows from the gradients at both ends of a move, exactly for a quadratic
        sq_residual = sq_start - float((coef - start) @ (gradient + start_gradient))
        if largest == 0.0 or not np.isfinite(largest):
            break
        if gap.evaluate(coef, gradient, max(sq_residual, 0.0))[0] <= goal:
            break
    return used


def _descend_on_residual(
    work: Workspace, restriction: _Restriction, ws: IndexArray, goal: float
) -> int:
    """Coordinate descent on the residual; return the iterations used."""
    gap = restriction.gap(work, ws)
    form = restriction.form._replace(weights=restriction.form.weights[ws])
    work.active_set.forget()
    coef, residual = work.coef[ws], work.residual.copy()
    used = 0
    while used < _MAX_EPOCHS:
        epochs, largest = work.backend.residual_cd(
            work.design, ws, residual, coef, form, _EPOCHS_PER_CHECK, goal / ws.size
        )
        used += epochs
        if largest == 0.0 or not np.isfinite(largest):
            break
        gradient = work.backend.xtr(work.design, residual, ws)
        if gap.evaluate(coef, gradient, work.mean_square(residual))[0] <= goal:
            break
    full = np.zeros_like(work.coef)
    full[ws] = coef
    work.set_coef(full)
    return used
