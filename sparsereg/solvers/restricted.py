"""Solving the problem restricted to a working set.

On the Gram matrix of the pool: exactly, by the homotopy, with coordinate descent as the way to a
good start and as the fallback. On the residual, where a Gram matrix would not pay: by coordinate
descent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import Workspace

_EPOCHS_PER_CHECK = 10
# Coordinate descent on one working set ends after this many epochs: a new pass may help more.
MAX_EPOCHS = 100
# A homotopy that changes the active set more often than this per feature is cycling.
_EVENTS_PER_FEATURE = 10
# Where ties made it cycle, it is tried again with its starting bounds spread by these shares.
_JITTERS = (0.0, 0.1, 1.0)
# From this many columns on, a cold start tries coordinate descent before the homotopy.
_DESCENT_FROM = 128


def solve_on_pool(
    work: Workspace, restriction: Restriction, columns: IndexArray, goal: float
) -> int:
    """Solve the problem on the pool; return the iterations used."""
    gap = restriction.gap(work, columns)
    form = restriction.form._replace(weights=restriction.form.weights[columns])
    gram = work.pool.gram
    coef, gradient = work.coef[columns], work.gradient[columns]
    used = 0
    if columns.size >= _DESCENT_FROM and not coef.any():
        used = _try_descent(work, gram, coef, gradient, form, gap)
    done, events = walk(work, gram, coef, gradient, gap)
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


def walk(
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
    if state.n_active < 0:
        work.active_set.factorize(coef, gap.l2, free)
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


def walk_path(
    work: Workspace, gap_at_one: DualGap, alphas: Sequence[float]
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Follow the homotopy on the pool from one alpha to the next.

    Parameters
    ----------
    work : Workspace
        Its point is the start; it stays there.
    gap_at_one : DualGap
        On the columns of the pool, at alpha = 1.
    alphas : sequence of float

    Returns
    -------
    The solutions, a row per alpha, and the events of each: of those that were found.
    """
    columns, gram = work.pool.columns, work.pool.gram
    coef, gradient = work.coef[columns], work.gradient[columns]
    l1, l2, positive = gap_at_one.l1, gap_at_one.l2, gap_at_one.positive
    if not l2.any():
        free = (l1 == 0) & (not positive)
        state = work.active_set.for_solve(0.0)
        rank, max_events = min(coef.size, work.max_rank), _EVENTS_PER_FEATURE * coef.size + 100
        return work.backend.homotopy_path(
            gram, gradient, coef, l1, np.array(alphas), free, positive, rank, max_events, state
        )
    coefs, events = [], []
    for alpha in alphas:
        done, used = walk(work, gram, coef, gradient, gap_at_one.at(alpha))
        if not done:
            work.active_set.forget()
            break
        coefs.append(coef.copy())
        events.append(used)
    return np.array(coefs), np.array(events, dtype=np.int64)


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
    while used < MAX_EPOCHS:
        epochs, largest = work.backend.gram_cd(gram, gradient, coef, form, _EPOCHS_PER_CHECK, 0.0)
        used += epochs
        # ||r||^2 follows from the gradients at both ends of a move, exactly for a quadratic
        sq_residual = sq_start - float((coef - start) @ (gradient + start_gradient))
        if largest == 0.0 or not np.isfinite(largest):
            break
        if gap.evaluate(coef, gradient, max(sq_residual, 0.0))[0] <= goal:
            break
    return used


def descend_on_residual(
    work: Workspace, restriction: Restriction, ws: IndexArray, goal: float
) -> int:
    """Coordinate descent on the residual; return the iterations used."""
    gap = restriction.gap(work, ws)
    form = restriction.form._replace(weights=restriction.form.weights[ws])
    work.active_set.forget()
    coef, residual = work.coef[ws], work.residual.copy()
    used = 0
    while used < MAX_EPOCHS:
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
