"""Working-set solver for elastic-net penalties on the squared loss.

Repeat until the duality gap of the whole problem is below the tolerance:

1. one pass over X: residual, gradient of every feature, gap;
2. working set: the support, the unpenalized features, and the features that violate their dual
   bound or come nearest to it. On X that is not tall the bounds come down in levels, each as low as
   the columns that a pass may bring in allow: at the final bounds nearly every feature would look
   relevant as long as the others are missing;
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

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.few_rows import fit_few_rows, fits_few_rows, walks_few_rows
from sparsereg.solvers.problem import Solution, Step
from sparsereg.solvers.residual_descent import CG_STEPS, MAX_EPOCHS, descend_on_residual
from sparsereg.solvers.restricted import solve_on_pool
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import MAX_POOL, Workspace

# A step brings in this many new columns, or this share of those known; more of them on sparse and
# tall X, where a pass is dear beside what a larger pool costs, and on tall X this share of all. It
# lowers the level of the bounds at least by this factor; at the end comes whatever is this near its
# bound.
_MOST_NEW, _MOST_NEW_IF_DEAR, _DESCENT, _NEARLY = (48, 0.1), (64, 0.15), 0.9, 0.97
_MOST_NEW_OF_TALL = 0.125
# Columns of the first working set on the residual: on sparse X a pass is dear beside an idle one.
_FIRST_SIZE, _FIRST_SPARSE_SIZE = 64, 4000
# Between two passes come so many steps that look only at features this near their bound.
_STEPS_IN_SIGHT, _IN_SIGHT = 4, 0.6
# So far below alpha_max nearly every column will be wanted; then all are taken where that fits.
_FAR_DOWN = 30.0
# The Gram matrix of all p columns is worth a pass over X for every so many of them. A fit saves two
# passes by it, a path one for every so many alphas.
_COLUMNS_PER_PASS, _SAVED_PASSES, _ALPHAS_PER_PASS = 100, 2, 10
# Products in single precision pay for another pass over X from so many columns and entries on,
# where means of at most so many standard deviations leave the passes exact.
_ROUGH_COLUMNS, _ROUGH_SIZE, _ROUGH_OFFSET = 128, 1_000_000, 1e3
# A relative gap at which a solution counts as exact.
EXACT = 1e-10
# There is no Gram matrix of more sparse columns than this, or half as many again where their rank,
# and so the support, is smaller; none is begun that is expected to exceed this share of the most.
_SPARSE_POOL, _BESIDE_SUPPORT, _SAFE_SHARE = 3000, 1.5, 1 / 3
# Where descent on the residual did not solve the same working set in so many attempts, the pool is
# tried.
_CRAWLS = 3
# The subproblem in residual form is solved to this share of the current gap.
_INNER_SHARE = 0.1
# The share of a gap that an exact solution of the right columns leaves at most; in single precision
# it is far less, or the columns are too near to dependent for it.
_KEPT, _KEPT_BY_ROUGH = 0.5, 0.05
# Passes over X without progress after which the gap is taken to be at the rounding floor.
_PATIENCE = 5
# Descent makes progress as long as a pass lowers the objective by this share of the gap.
_FALL = 1e-4
# Columns at zero this far below their bound are dropped where they are such a share of the pool.
FAR, FAR_SHARE = 0.6, 0.1
# Columns that were not needed are dropped from the pool when it has this many times the support,
# and so many at least; on the way down they will not come back.
_POOL_EXCESS, _POOL_MINIMUM = 6, 2000
_EXCESS_ON_THE_WAY, _MINIMUM_ON_THE_WAY = 4, 300


def solve(
    work: Workspace,
    penalty: ElasticNet,
    *,
    tol: float,
    max_iter: int,
    settle: bool = False,
    alone: bool = False,
) -> Solution:
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
    settle : bool
        Whether to move to the solution of the restricted problem even if the starting point is
        good enough: along a path, so that no solution is just the one before it.
    alone : bool
        Whether nothing else will be solved on these data. Gram matrices of tall X are then
        computed in single precision: another pass over X or two, in double precision, take out
        what that leaves.

    Returns
    -------
    Solution
    """
    with single_threaded_blas():
        if alone and not len(work.pool):
            work.pool.is_rough = work.pool.is_rough or _rough_will_do(work)
        take_whole_gram(work, penalty, n_alphas=1)
        return _solve(work, penalty, tol * work.sq_y, max_iter, settle)


def _solve(
    work: Workspace, penalty: ElasticNet, target: float, max_iter: int, settle: bool
) -> Solution:
    restriction = Restriction.of(penalty, work)
    usable = restriction.usable
    everything = slice(None) if usable.size == work.coef.size else usable
    whole = restriction.gap(work, everything)
    work.start_feasible(restriction.may_move, restriction.free, restriction.positive)
    # a path that is not walked in one call goes on from the pool of its first solves
    if walks_few_rows(work) if settle else fits_few_rows(work):
        good_start = min(target, EXACT * work.sq_y) if settle else target
        found = fit_few_rows(
            work, restriction, goal=target, good_start=good_start,
            max_passes=(1 + _STEPS_IN_SIGHT) * max_iter,
        )  # fmt: skip
        if found is not None:
            return found
    history: list[Step] = []
    working_set, best, level = usable[:0], work.coef, np.inf
    left_pool, crawled, cg_steps = False, 0, CG_STEPS
    # an exact solve for the unpenalized features counts as one iteration
    n_iter, passes, stalled = int(restriction.free.size > 0), 0, 0
    best_gap = best_objective = np.inf

    while True:
        # 1. the gap of the whole problem at the current point
        gap, scale = whole.evaluate(
            work.coef[everything], work.gradient[everything], work.sq_residual
        )
        gap += work.unpenalized_left
        history.append(Step(n_iter, gap, working_set.size))
        if gap <= best_gap:
            best = work.coef
        settled = passes > 0 or not settle or gap <= EXACT * work.sq_y
        reached = gap <= target and settled
        if reached or passes >= max_iter or stalled > _PATIENCE or not usable.size:
            break
        passes += 1
        # 2. the working set, and the level of the bounds it is meant for
        last_size, last_level = working_set.size, level
        hurry = 2 * passes > max_iter
        level, wanted = _descend(work, restriction, 1.0 if hurry else level)
        left_pool = left_pool or not _pool_will_do(work, level, wanted)
        crawls = crawled >= _CRAWLS
        on_pool = (crawls or not left_pool) and make_pool(
            work, restriction, wanted, on_the_way=level > 1.0
        )
        if not on_pool:
            left_pool = True
            level, wanted = 1.0, _choose(work, restriction, scale, working_set)
            on_pool = crawls and make_pool(work, restriction, wanted)
        working_set = work.pool.columns if on_pool else wanted
        # exact solutions leave rounding only; descent comes nearer step by step
        kept = _KEPT_BY_ROUGH if work.pool.is_rough else _KEPT
        progress = gap < (kept if work.active_set.is_exact else 0.99) * best_gap
        progress = progress or working_set.size > last_size or level < last_level
        if not on_pool:  # the gap of descent goes up and down, the objective does not
            objective = whole.objective(work.coef[everything], work.sq_residual)
            progress = progress or objective < best_objective - _FALL * gap
            best_objective = min(best_objective, objective)
        stalled = 0 if progress else stalled + 1
        best_gap = min(best_gap, gap)
        # 3. the restricted problem
        goal = max(_INNER_SHARE * gap, 0.3 * target)
        current = restriction.at(level)
        if on_pool:
            used = solve_on_pool(work, current, working_set, goal, descent=last_level / level)
            if level > 1.0 and not restriction.free.size:
                level, more = _descend_in_sight(work, restriction, level, goal)
                working_set = work.pool.columns
                used += more
        else:
            used, cg_steps = descend_on_residual(work, current, working_set, goal, cg_steps)
            solved = used < MAX_EPOCHS or working_set.size > last_size
            crawled = 0 if solved else crawled + 1
        n_iter += used
        work.solve_unpenalized(restriction.free)
        if stalled and work.pool.is_rough:
            work.active_set.forget()
            work.pool.make_exact()
            work.move_to(best)
        elif stalled > 1 and work.on_gram:
            stalled = 0
            work.leave_gram()
        else:
            work.refresh_gradient()

    if not gap <= best_gap:  # rounding can make a step one for the worse
        work.move_to(best)
        work.active_set.forget()
        gap = best_gap
    if not np.all(np.isfinite(work.coef)):
        raise ValueError(
            "Coordinate descent iterations resulted in non-finite parameter values: X or y is "
            "scaled beyond float64. Rescale the data, for example with StandardScaler."
        )
    stalled_out = not gap <= target and passes < max_iter
    return work.solution(gap, target, n_iter, stalled=stalled_out, history=tuple(history))


def take_whole_gram(work: Workspace, penalty: ElasticNet, n_alphas: int) -> None:
    """Build the Gram matrix of all columns at once where so many fits save more than it costs."""
    if wants_whole_gram(work, penalty, n_alphas):
        with single_threaded_blas():
            work.pool.complete()


def wants_whole_gram(work: Workspace, penalty: ElasticNet, n_alphas: int) -> bool:
    """Whether so many fits save more than the Gram matrix of all columns costs."""
    saved = max(_SAVED_PASSES, n_alphas // _ALPHAS_PER_PASS)
    small = work.design.shape[1] <= _COLUMNS_PER_PASS * saved
    excluded = penalty.weights is not None and np.isinf(penalty.weights).any()
    return bool(small and not excluded and work.whole_gram_fits)


def null_model(work: Workspace, penalty: ElasticNet) -> None:
    """Move to the fit with intercept and unpenalized features only."""
    if work.coef.any():
        work.move_to(np.zeros_like(work.coef))
    with single_threaded_blas():
        restriction = Restriction.of(penalty, work)
        work.start_feasible(restriction.may_move, restriction.free, restriction.positive)


def _descend(
    work: Workspace, restriction: Restriction, last_level: float
) -> tuple[float, IndexArray]:
    """Return the next level, and the features outside the pool that reach their bound there.

    The level multiplies the l1 bounds: it comes down to 1 as fast as new columns can be taken in.
    Jumping down at once would bring in columns that only look relevant while others are missing. On
    tall X those are few: the noise in a gradient is small there. The level is 1 from the start, and
    the columns come in the order of how far they are above their bounds.
    """
    pool = work.pool
    # how far above its bound each feature outside the pool is: a share of it
    size = work.gradient if restriction.positive else np.abs(work.gradient)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        reach = size / restriction.l1
    if not restriction.all_bounded:
        reach[restriction.l1 == 0] = np.inf
        reach[~restriction.may_move] = -np.inf
    reach[pool.missing(work.support)] = np.inf
    reach[pool.columns] = -np.inf
    at_least, share = _most_new(work)
    room = max(at_least, int(share * len(pool)))
    n_forced = np.count_nonzero(reach == np.inf)
    beyond = np.count_nonzero(reach > 1.0) - n_forced
    if beyond <= room:
        return 1.0, np.flatnonzero(reach > _NEARLY)
    most = 2 * beyond > pool.n_moving and work.whole_gram_fits
    if most and np.max(reach[reach < np.inf]) > _FAR_DOWN:
        return 1.0, np.flatnonzero(reach > -np.inf)
    last = reach.size - n_forced - room
    enough = float(np.partition(reach, last)[last])
    if work.whole_gram_fits:
        return 1.0, np.flatnonzero(reach >= enough)
    level = max(1.0, min(enough, _DESCENT * last_level))
    return level, np.flatnonzero(reach >= (enough if last_level <= 1.0 else level))


def _descend_in_sight(
    work: Workspace, restriction: Restriction, level: float, goal: float
) -> tuple[float, int]:
    """Go on to lower levels by the features near their bounds; return the level and iterations.

    What the others would do is only seen at the next pass over X, at a level where few of them
    matter, or at the last one.
    """
    used = 0
    for _ in range(_STEPS_IN_SIGHT):
        size = work.gradient if restriction.positive else np.abs(work.gradient)
        near = size >= (_IN_SIGHT * level) * restriction.l1
        near[work.pool.columns] = True
        near &= restriction.may_move
        if level == 1.0 or work.on_gram or 2 * np.count_nonzero(near) > near.size:
            break
        seen = np.flatnonzero(near)
        gradient = work.gradient.copy()
        gradient[seen] = work.backend.xtr(work.design, work.residual, seen)
        work.gradient = gradient
        last_level = level
        level, wanted = _descend(work, restriction, last_level)
        if not make_pool(work, restriction, wanted, on_the_way=True):
            return last_level, used
        columns = work.pool.columns
        late = columns[~near[columns]]  # wanted by what the last pass over X saw of them
        if late.size:
            gradient = work.gradient.copy()
            gradient[late] = work.backend.xtr(work.design, work.residual, late)
            work.gradient = gradient
        used += solve_on_pool(
            work, restriction.at(level), work.pool.columns, goal, descent=last_level / level
        )
    return level, used


def _choose(
    work: Workspace, restriction: Restriction, scale: float, last: IndexArray
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


def _most_new(work: Workspace) -> tuple[int, float]:
    at_least, share = _MOST_NEW_IF_DEAR
    if work.whole_gram_fits:
        return max(at_least, int(_MOST_NEW_OF_TALL * work.coef.size)), share
    return (at_least, share) if work.design.is_sparse else _MOST_NEW


def _rough_will_do(work: Workspace) -> bool:
    """Whether X is tall and large, and the gradient in double precision exact enough."""
    n, p = work.design.shape
    if not (work.whole_gram_fits and p >= _ROUGH_COLUMNS and n * p >= _ROUGH_SIZE):
        return False
    moving = work.design.sqnorms > 0
    offsets = work.design.means[moving] ** 2 <= _ROUGH_OFFSET**2 * work.design.sqnorms[moving]
    return bool(np.all(offsets))


def _largest_pool(work: Workspace) -> int:
    if not work.design.is_sparse:
        return MAX_POOL
    return int(_BESIDE_SUPPORT * _SPARSE_POOL) if work.max_rank <= _SPARSE_POOL else _SPARSE_POOL


def _pool_will_do(work: Workspace, level: float, wanted: IndexArray) -> bool:
    """Whether a pool that grows by its share with each step is still small at the final bounds."""
    if level == 1.0 or work.max_rank <= _largest_pool(work):
        return True
    growth = np.log1p(_most_new(work)[1]) / -np.log(_DESCENT)
    expected = (len(work.pool) + wanted.size) * level**growth
    return bool(expected <= _SAFE_SHARE * _largest_pool(work))


def drop_far(work: Workspace, bounds: FloatArray, sizes: FloatArray) -> None:
    """Drop columns at zero from the pool, if they are many, whose gradient is far from its bound.

    Parameters
    ----------
    work : Workspace
    bounds, sizes : ndarray of shape (p,)
        The bounds, and how much of them the gradients use.
    """
    columns = work.pool.columns
    far = (work.coef[columns] == 0) & (sizes[columns] < FAR * bounds[columns])
    if np.count_nonzero(far) > FAR_SHARE * columns.size:
        work.pool.keep_only(~far)


def make_pool(
    work: Workspace, restriction: Restriction, wanted: IndexArray, *, on_the_way: bool = False
) -> bool:
    """Bring the wanted columns into the pool; return False where they are too many.

    ``on_the_way`` to the final bounds the pool is kept small.
    """
    pool = work.pool
    may_move = restriction.may_move[pool.columns]
    if not may_move.all():  # left by a problem on the same data that excludes fewer features
        pool.keep_only(may_move)
    is_wanted = np.zeros(work.coef.size, dtype=bool)
    is_wanted[wanted] = is_wanted[work.support] = True
    listed = np.flatnonzero(is_wanted)
    if listed.size > _largest_pool(work):
        return False
    new = pool.missing(listed)
    excess, minimum = _POOL_EXCESS, _POOL_MINIMUM
    if on_the_way and not work.design.is_sparse:
        excess, minimum = _EXCESS_ON_THE_WAY, _MINIMUM_ON_THE_WAY
    needed = max(minimum, excess * work.support.size, listed.size)
    if new.size and len(pool) + new.size > needed:
        pool.keep_only(is_wanted[pool.columns])
    pool.add(new)
    nothing_excluded = restriction.usable.size == pool.n_moving
    if 2 * len(pool) > pool.n_moving and nothing_excluded and work.whole_gram_fits:
        pool.complete()
    return True
