"""Working-set coordinate descent to a coordinate-wise minimum, for any separable penalty.

The certificate of a local minimum is what the best move of a single coefficient would bring,

    stationarity = sqrt(2 max_j [F(w) - min_t F(w + t e_j)] / (||y||_s^2 / n)),

evaluated through the global scalar prox. It has no unit, and for a smooth penalty it is the largest
step left, in standard deviations of y. It is zero exactly at coordinate-wise minima, also where a
subgradient says nothing: every zero is stationary for an lq penalty. Repeat until it is at most the
tolerance:

1. one pass over X: residual, gradient, certificate;
2. working set: the pool, joined by the features that would enter, those with the largest ratio of
   entry alpha to alpha first;
3. on its Gram matrix, or on the residual where that matrix would not pay: sweeps of coordinate
   descent, which find the support, and Newton steps on the support, which bring the accuracy.

No step raises the objective.

Sources: Breheny and Huang, "Coordinate descent algorithms for nonconvex penalized regression",
Annals of Applied Statistics, 2011; Bertrand, Klopfenstein, Bannier, Gidel and Massias, "Beyond l1:
faster and better sparse models with skglm", NeurIPS 2022 (working sets ordered by violation).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparsereg.backends.protocol import IndexArray
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.support_polish import polish_support
from sparsereg.solvers.workspace import Workspace

# A pass brings in so many violators at most, or this share of the columns known. Few at a time, the
# strongest first: what enters early decides which minimum is reached.
_MIN_NEW, _NEW_SHARE = 10, 0.25
# Gram matrices of up to this many columns are built (half a gigabyte); columns that were not needed
# are dropped when there are this many times the support.
_MAX_POOL, _POOL_EXCESS, _POOL_MINIMUM = 8000, 6, 2000
# The Gram matrix of sparse columns may cost this many passes over X.
_SPARSE_GRAM_PASSES, _SMALL_WORK = 10, 2e6
# Sweeps of the support between Newton steps, and rounds of both on one working set.
_SWEEPS, _MAX_ROUNDS = 40, 50
# Steps on a working set go down to this share of the tolerance.
_INNER_SHARE = 0.1
# Passes over X without progress after which the certificate is taken to be at its rounding floor.
_PATIENCE = 5


class Descent(NamedTuple):
    """How a descent ended."""

    n_iter: int
    stationarity: float
    stalled: bool


def descend(work: Workspace, terms: SeparableTerms, *, tol: float, max_iter: int) -> Descent:
    """Move to a coordinate-wise minimum near the workspace's current point.

    Parameters
    ----------
    work : Workspace
        Holds the starting point, and afterwards the minimum.
    terms : SeparableTerms
    tol : float
        Stop when the stationarity is at most this.
    max_iter : int
        Budget of passes over X.
    """
    with single_threaded_blas():
        work.active_set.forget()
        terms.start_feasible(work)
        return _descend(work, terms, tol, max_iter)


def _descend(work: Workspace, terms: SeparableTerms, tol: float, max_iter: int) -> Descent:
    goal = inner_goal(work, tol)
    n_iter, passes, idle = int(terms.free.size > 0), 0, 0
    objective = best_objective = terms.objective(work)
    best, best_stationarity = work.point, np.inf
    while True:
        # 1. the certificate at the current point
        stationarity = stationarity_of(work, terms)
        if stationarity <= tol or passes >= max_iter or idle > _PATIENCE:
            break
        passes += 1
        # 2. the working set
        wanted = choose_columns(work, terms)
        on_pool = extend_pool(work, terms, wanted)
        # 3. the restricted problem
        n_iter += (_solve_on_pool if on_pool else _solve_on_residual)(work, terms, wanted, goal)
        work.refresh_gradient()
        last, objective = objective, terms.objective(work)
        if objective <= best_objective:
            best, best_objective = work.point, objective
        falling = objective < last - 1e-14 * abs(last) or stationarity < 0.9 * best_stationarity
        idle = 0 if falling else idle + 1
        best_stationarity = min(best_stationarity, stationarity)
    if not objective <= best_objective:  # rounding can make a step one for the worse
        work.move_to_point(best)
        stationarity = stationarity_of(work, terms)
    if not np.all(np.isfinite(work.coef)):
        raise ValueError(
            "Coordinate descent iterations resulted in non-finite parameter values: X or y is "
            "scaled beyond float64. Rescale the data, for example with StandardScaler."
        )
    return Descent(n_iter, stationarity, stationarity > tol and passes < max_iter)


def inner_goal(work: Workspace, tol: float) -> float:
    """Return the largest step, squared and times its curvature, that may be left on the pool."""
    return (_INNER_SHARE * tol) ** 2 * work.sq_y


def stationarity_of(work: Workspace, terms: SeparableTerms) -> float:
    """Return the certificate of the current point: see the module."""
    largest = float(np.max(terms.gains(work), initial=0.0))
    if largest == 0.0:
        return 0.0
    return float(np.sqrt(2.0 * largest / work.sq_y)) if work.sq_y > 0 else np.inf


def choose_columns(work: Workspace, terms: SeparableTerms) -> IndexArray:
    """Return the support, the free features, and the features that enter, the strongest of many."""
    ratio = terms.entry_ratio(work)
    support = work.coef != 0
    ratio[support] = np.inf
    entering = np.flatnonzero(ratio > 1.0)
    kept = int(np.count_nonzero(support))
    room = kept + max(_MIN_NEW, int(_NEW_SHARE * len(work.pool)))
    if entering.size > room:
        entering = entering[np.argpartition(-ratio[entering], room - 1)[:room]]
    return np.union1d(entering, terms.free)


def extend_pool(work: Workspace, terms: SeparableTerms, wanted: IndexArray) -> bool:
    """Bring the wanted columns into the pool; return False where its Gram matrix does not pay."""
    pool = work.pool
    may_move = terms.may_move[pool.columns]
    if not may_move.all():  # left by a problem on the same data that excludes fewer features
        pool.keep_only(may_move)
    new = pool.missing(wanted)
    if wanted.size > _MAX_POOL or not _gram_pays(work, new):
        return False
    support = int(np.count_nonzero(work.coef))
    room = min(max(_POOL_MINIMUM, _POOL_EXCESS * support), _MAX_POOL)
    if len(pool) + new.size > max(room, wanted.size):
        keep = np.zeros(work.coef.size, dtype=bool)
        keep[wanted] = True
        pool.keep_only(keep[pool.columns])
    pool.add(new)
    return True


def _gram_pays(work: Workspace, new: IndexArray) -> bool:
    design = work.design
    if not design.is_sparse or new.size == 0:
        return True
    flops = float(new.size) * design.nnz_of(np.concatenate([work.pool.columns, new]))
    return flops <= _SMALL_WORK + _SPARSE_GRAM_PASSES * design.nnz


def _solve_on_pool(work: Workspace, terms: SeparableTerms, wanted: IndexArray, goal: float) -> int:
    """Descend on the pool, which holds all that is wanted; return the sweeps and Newton steps."""
    columns, gram = work.pool.columns, work.pool.gram
    form = terms.form.at(columns)
    coef, gradient = work.coef[columns], work.gradient[columns]
    used = 0
    for _ in range(_MAX_ROUNDS):
        epochs, largest = work.backend.gram_cd(gram, gradient, coef, form, 1, goal)
        used += epochs
        if largest <= goal or not np.isfinite(largest):
            break
        used += polish_support(
            work.backend, gram, gradient, coef, form,
            max_rank=work.max_rank, sweeps=_SWEEPS, goal=goal,
        )  # fmt: skip
    full = np.zeros_like(work.coef)
    full[columns] = coef
    work.set_coef(full)
    return used


def _solve_on_residual(
    work: Workspace, terms: SeparableTerms, wanted: IndexArray, goal: float
) -> int:
    """Descend on the wanted columns, without a Gram matrix; return the sweeps."""
    coef, residual = work.coef[wanted], work.residual.copy()
    form = terms.form.at(wanted)
    epochs, _ = work.backend.residual_cd(
        work.design, wanted, residual, coef, form, _SWEEPS * _MAX_ROUNDS // 5, goal
    )
    full = np.zeros_like(work.coef)
    full[wanted] = coef
    work.set_coef(full)
    return epochs
