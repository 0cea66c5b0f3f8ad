"""Coordinate descent and conjugate gradients on the residual: for sets without a Gram matrix.

An epoch of coordinate descent finds which coefficients are zero. With the support S and its signs z
held, what is left is the linear system

    (X_S' diag(s) X_S / n + diag(l2_S)) d = X_S'(s r) / n - l2_S w_S - z_S l1_S,

for which a few steps of conjugate gradients, each a product with X_S and one with its transpose,
are worth many epochs. They are scaled by the diagonal. Of the step to w + d, what would change
its sign is set to zero; the step is shortened until the objective falls, and otherwise left out.

Sources: Hestenes and Stiefel, "Methods of conjugate gradients", J. Res. NBS 1952; steps projected
on the orthant of the signs, Andrew and Gao, "Scalable training of L1-regularized log-linear
models", ICML 2007.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import Workspace

# Descent on one working set ends after about so many epochs: a new pass over X may help more.
MAX_EPOCHS = 15
# Steps of conjugate gradients on the support behind an epoch there: doubled up to a limit where
# what they lead to was taken as it is, halved otherwise. They end when what is left has fallen to
# this share.
CG_STEPS, _LEAST, _MOST, _CG_SHARE = 7, 2, 112, 0.3
# How often they come between two epochs on the whole working set.
_ROUNDS = 2
# Shares of the step that are tried.
_STEPS = (1.0, 0.5, 0.25, 0.125)
# A step is taken nearly as it is if it changes the signs of this share of the support at most.
_FEW_FLIPPED = 0.01
# The gap is looked at when no step gains more than a share of the goal, which is lowered by this
# after each look.
_STILLER = 0.1


def descend_on_residual(
    work: Workspace, restriction: Restriction, ws: IndexArray, goal: float, cg_steps: int
) -> tuple[int, int]:
    """Bring the gap of the problem restricted to ``ws`` down to the goal.

    It ends earlier where the budget of epochs does. Returns the epochs used, and how many steps of
    conjugate gradients to begin with the next time.
    """
    gap = restriction.gap(work, ws)
    form = restriction.form._replace(weights=restriction.form.weights[ws])
    work.active_set.forget()
    coef, residual = work.coef[ws], work.residual.copy()
    used, still = 0, goal / ws.size
    while used < MAX_EPOCHS:
        # 1. an epoch on the working set
        _, moved = work.backend.residual_cd(work.design, ws, residual, coef, form, 1, 0.0)
        used += 1
        # 2. epochs and conjugate gradients on the support
        largest = moved
        for _ in range(_ROUNDS):
            if not still < largest < np.inf:
                break
            epochs, largest, whole = _descend_on_support(
                work, restriction, ws, residual, coef, form, cg_steps
            )
            used += epochs
            cg_steps = min(2 * cg_steps, _MOST) if whole else max(cg_steps // 2, _LEAST)
        still *= _STILLER
        # 3. the gap
        if moved == 0.0 or not np.isfinite(largest):
            break
        gradient = work.backend.xtr(work.design, residual, ws)
        if gap.evaluate(coef, gradient, work.mean_square(residual))[0] <= goal:
            break
    full = np.zeros_like(work.coef)
    full[ws] = coef
    work.set_coef(full)
    return used, cg_steps


def _descend_on_support(
    work: Workspace,
    restriction: Restriction,
    ws: IndexArray,
    residual: FloatArray,
    coef: FloatArray,
    form: KernelForm,
    cg_steps: int,
) -> tuple[int, float, bool]:
    """Move coef and residual, in place.

    Returns the epochs used, the largest gain of a step in the one of coordinate descent, and
    whether the Newton step was taken nearly as it is.
    """
    support = np.flatnonzero(coef != 0)
    columns, form = ws[support], form._replace(weights=form.weights[support])
    gap = restriction.gap(work, columns)
    last = coef[support]
    _, largest = work.backend.residual_cd(work.design, columns, residual, last, form, 1, 0.0)
    coef[support] = last
    if largest == 0.0 or not np.isfinite(largest):
        return 1, largest, False
    direction, fitted, used = _newton_direction(work, columns, residual, last, gap, cg_steps)
    # free coefficients may change their sign
    sign = np.where((gap.l1 > 0) | gap.positive, np.sign(last), 0.0)
    objective = gap.objective(last, work.mean_square(residual))
    whole = False
    for step in _STEPS:
        trial, trial_residual = last + step * direction, residual - step * fitted
        flipped = trial * sign < 0
        if flipped.any():
            trial_residual += work.backend.fitted(work.design, columns[flipped], trial[flipped])
            trial[flipped] = 0.0
        if gap.objective(trial, work.mean_square(trial_residual)) < objective:
            coef[support], residual[:] = trial, trial_residual
            whole = step == 1.0 and bool(np.mean(flipped) <= _FEW_FLIPPED)
            break
    return 1 + used, largest, whole


def _newton_direction(
    work: Workspace,
    columns: IndexArray,
    residual: FloatArray,
    coef: FloatArray,
    gap: DualGap,
    most_steps: int,
) -> tuple[FloatArray, FloatArray, int]:
    """Return a direction d towards the solution with these signs, X_S d, and the steps used.

    What is at zero stays there.
    """
    backend, design = work.backend, work.design
    moves = coef != 0
    diagonal = gap.curvatures + gap.l2
    left = backend.xtr(design, residual, columns) - gap.l2 * coef - gap.l1 * np.sign(coef)
    left[~moves] = 0.0
    direction, fitted = np.zeros_like(left), np.zeros_like(residual)
    conjugate = left / diagonal
    size = start = float(left @ conjugate)
    used = 0
    while used < most_steps and size > _CG_SHARE**2 * start:
        used += 1
        product = backend.fitted(design, columns, conjugate)
        image = backend.xtr(design, product, columns) + gap.l2 * conjugate
        curvature = float(conjugate @ image)
        if not curvature > 0.0:  # nothing but rounding is left
            break
        step = size / curvature
        direction += step * conjugate
        fitted += step * product
        left[moves] -= step * image[moves]
        scaled = left / diagonal
        last, size = size, float(left @ scaled)
        conjugate = scaled + (size / last) * conjugate
    return direction, fitted, used
