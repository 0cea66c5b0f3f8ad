"""Solving the problem restricted to a working set.

On the Gram matrix of the pool: exactly, by the homotopy, with coordinate descent as the way to a
good start; where ties stop it, with a small ridge, and by coordinate descent at last. Where a Gram
matrix would not pay, see :mod:`sparsereg.solvers.residual_descent`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import ActiveSet, FloatArray, IndexArray, KernelForm
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import Workspace

_EPOCHS_PER_CHECK = 10
# Coordinate descent on one working set ends after this many epochs: a new pass may help more.
_MAX_EPOCHS = 100
# Newton steps are tried from so many active columns on: with fewer, events are as cheap, and the
# kernels of the steps need not be compiled.
_NEWTON_FROM = 64
# Longest step of theirs, in the logarithm of the bounds; a quarter of it where they diverged.
_STRIDE, _SHORTEST_STRIDE = 0.3, 1e-3
# A long way down is taken in stages that divide the bounds by this.
_STAGE = 1.3
_FROM_2_TO_1 = np.array([2.0, 1.0])
# A homotopy that changes the active set more often than this per feature is cycling.
_EVENTS_PER_FEATURE = 10
# Where ties made it cycle, it is tried again with its starting bounds spread by these shares.
_JITTERS = (0.0, 0.1, 1.0)
# Where that did not help, a ridge around the last point, this share of the largest column, makes
# the solution unique; so many such steps bring back what the ridge changed.
_PROXIMAL, _PROXIMAL_STEPS = 1e-7, 3
# From this many columns on, a cold start tries coordinate descent before the homotopy.
_DESCENT_FROM = 128


def solve_on_pool(
    work: Workspace,
    restriction: Restriction,
    columns: IndexArray,
    goal: float,
    descent: float = 1.0,
) -> int:
    """Solve the problem on the pool; return the iterations used.

    The starting point is near a solution for bounds that are ``descent`` times as large.
    """
    gap = restriction.gap(work, columns)
    form = restriction.form._replace(weights=restriction.form.weights[columns])
    gram = work.pool.gram
    coef, gradient = work.coef[columns], work.gradient[columns]
    used = 0
    if columns.size >= _DESCENT_FROM and not coef.any():
        used = _try_descent(work, gram, coef, gradient, form, gap)
    done, events = walk(work, gram, coef, gradient, gap, descent)
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
    descent: float = 1.0,
) -> tuple[bool, int]:
    """Go to the exact solution; return whether it was reached, and the active-set changes.

    By Newton steps on the active set where they converge, else by the homotopy.
    """
    state, free, rank = _prepare(work, coef, gap)
    used, stride, level = 0, _STRIDE, (descent if descent < np.inf else 1.0)
    while state.n_active >= _NEWTON_FROM and stride > _SHORTEST_STRIDE:
        # from the bounds for which coef is the solution, at 2, to those of the next level, at 1
        target = level / _STAGE if level > _STAGE else 1.0
        opened, wanted = _bounds_of(coef, gradient, gap, state, level), target * gap.l1
        found, changes, reached = work.backend.active_set_path(
            gram, gradient, coef, 2.0 * wanted - opened, opened - wanted, _FROM_2_TO_1, stride,
            gap.l2, free, gap.positive, rank, state,
        )  # fmt: skip
        used += int(changes.sum())
        if len(found) and target == 1.0:
            return True, used
        level = target + (reached - 1.0) * (level - target)
        if len(found):
            stride = min(2.0 * stride, _STRIDE)
        else:
            work.active_set.factorize(coef, gap.l2, free)
            stride /= 4
    start, start_gradient = coef.copy(), gradient.copy()
    for jitter in _JITTERS:
        done, events = work.backend.homotopy(
            gram, gradient, coef, gap.l1, gap.l2, free, gap.positive, rank,
            _max_events(coef), jitter,
            state,
        )  # fmt: skip
        used += events
        if done:
            return True, used
        coef[:], gradient[:] = start, start_gradient
        state.n_active = -1
    done, events = _walk_proximally(work, gram, coef, gradient, gap)
    return done, used + events


def _walk_proximally(
    work: Workspace, gram: FloatArray, coef: FloatArray, gradient: FloatArray, gap: DualGap
) -> tuple[bool, int]:
    """Minimize the objective plus (ridge / 2) ||w - last w||^2, some times.

    The ridge breaks ties, and what it changes becomes less with each step: the proximal point
    method (Rockafellar, SIAM Journal on Control and Optimization 1976). Exact up to there, it ends
    with an active set that belongs to another ridge.
    """
    ridge, used = _PROXIMAL * float(gram.diagonal().max(initial=0.0)), 0
    free = (gap.l1 + gap.l2 == 0) & (not gap.positive)
    l2 = gap.l2 + ridge
    for _ in range(_PROXIMAL_STEPS):
        state = work.active_set.for_solve(float(l2.max()))
        state.n_active = -1
        start, start_gradient, center = coef.copy(), gradient.copy(), ridge * coef
        gradient += center
        done, events = work.backend.homotopy(
            gram, gradient, coef, gap.l1, l2, free, gap.positive, coef.size, _max_events(coef), 0.0,
            state,
        )  # fmt: skip
        gradient -= center
        state.n_active = -1
        used += events
        if not done:
            coef[:], gradient[:] = start, start_gradient
            return False, used
    return True, used


def _bounds_of(
    coef: FloatArray, gradient: FloatArray, gap: DualGap, state: ActiveSet, level: float
) -> FloatArray:
    """Return the bounds for which coef is the solution.

    At zero they are the same multiple of l1 as far as can be, so that columns beyond their bound
    enter one after another on the way down, not all at the start.
    """
    size = gradient if gap.positive else np.abs(gradient)
    active = state.active[: state.n_active]
    bound = gap.l1 > 0
    bound[active] = False
    reach = np.max(size[bound] / gap.l1[bound], initial=level)
    bounds = np.maximum(min(reach, _STAGE * level) * gap.l1, size)
    bounds[active] = state.sign[active] * (gradient[active] - gap.l2[active] * coef[active])
    return bounds


def walk_path(
    work: Workspace, gap_at_one: DualGap, last: float, alphas: Sequence[float]
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Go from one alpha to the next on the pool.

    Parameters
    ----------
    work : Workspace
        Its point is the start; it stays there.
    gap_at_one : DualGap
        On the columns of the pool, at alpha = 1.
    last : float
        The alpha of the workspace's point.
    alphas : sequence of float

    Returns
    -------
    The solutions, a row per alpha, and the active-set changes of each: of those that were found.
    """
    columns, gram = work.pool.columns, work.pool.gram
    coef, gradient = work.coef[columns], work.gradient[columns]
    unit, backend = gap_at_one, work.backend
    found: list[FloatArray] = []
    changes: list[npt.NDArray[np.int64]] = []
    ridge = bool(unit.l2.any())
    at_once = not ridge  # then the factor serves all alphas
    left = np.array([last, *alphas])
    while left.size > 1:
        state, free, rank = _prepare(work, coef, unit.at(left[1]) if ridge else unit)
        if at_once and state.n_active < _NEWTON_FROM:
            coefs, used = backend.homotopy_path(
                gram, gradient, coef, unit.l1, left[1:], free, unit.positive, rank,
                _max_events(coef), _NEWTON_FROM - 1, state,
            )  # fmt: skip
        elif at_once:
            coefs, used, _ = backend.active_set_path(
                gram, gradient, coef, np.zeros_like(coef), unit.l1, left, _STRIDE, unit.l2, free,
                unit.positive, rank, state,
            )  # fmt: skip
            at_once = False
        else:
            done, events = walk(work, gram, coef, gradient, unit.at(left[1]), left[0] / left[1])
            if not done:
                work.active_set.forget()
                break
            coefs, used = coef[None].copy(), np.array([events])
        if not len(coefs):
            at_once = False
        found.append(coefs)
        changes.append(used)
        left = left[len(coefs) :]
    if not found:
        return np.empty((0, columns.size)), np.empty(0, dtype=np.int64)
    return (
        (found[0], changes[0])
        if len(found) == 1
        else (np.concatenate(found), np.concatenate(changes))
    )


def _max_events(coef: FloatArray) -> int:
    return _EVENTS_PER_FEATURE * coef.size + 100


def _prepare(
    work: Workspace, coef: FloatArray, gap: DualGap
) -> tuple[ActiveSet, npt.NDArray[np.bool_], int]:
    """Return the active set for a solve from coef, the free columns, and the largest rank."""
    free = (gap.l1 + gap.l2 == 0) & (not gap.positive)
    l2 = float(gap.l2.max()) if gap.l2.size else 0.0
    state = work.active_set.for_solve(l2)
    any_free = bool(free.any())
    if state.n_active >= 0 and (any_free or work.active_set.had_free):
        active = state.active[: state.n_active]
        # another penalty on the same data may have freed columns, or bound free ones
        stays_free = free[active]
        bound_again = np.any((state.sign[active] * coef[active] < 0) & ~stays_free)
        if bound_again or np.count_nonzero(stays_free) < np.count_nonzero(free):
            state.n_active = -1
    work.active_set.had_free = any_free
    rewound = 0 <= state.n_active < np.count_nonzero(coef)
    if rewound and (l2 > 0 or state.n_active < _NEWTON_FROM):  # only Newton steps append the rest
        state.n_active = -1
    if state.n_active < 0:
        work.active_set.factorize(coef, gap.l2, free)
    return state, free, coef.size if l2 > 0 else min(coef.size, work.max_rank)


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
