"""Coordinate descent on the residual, extrapolated: for working sets without a Gram matrix.

As long as no coefficient changes its sign, an epoch is an affine map. From the moves
M = (w_1 - w_0, ..., w_K - w_(K-1)) of K epochs, the shares c with c'1 = 1 that minimize ||M c||
give a point c_1 w_1 + ... + c_K w_K that is about as far as the best polynomial in that map comes.
The step to it is shortened until the objective falls, and otherwise left out.

Source: Bertrand and Massias, "Anderson acceleration of coordinate descent", AISTATS 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import Workspace

# Descent on one working set ends after about so many epochs: a new pass over X may help more.
MAX_EPOCHS = 15
# Epochs on the support behind each extrapolation, and how often that comes between two epochs on
# the whole working set.
_EPOCHS, _ROUNDS = 7, 2
# Shares of the step to the extrapolated point that are tried.
_STEPS = (1.0, 0.5, 0.25, 0.125)
# Keeps the least squares of the shares regular, relative to the moves.
_RIDGE = 1e-8
# The gap is looked at when no step gains more than a share of the goal, which is lowered by this
# after each look.
_STILLER = 0.1


def descend_on_residual(
    work: Workspace, restriction: Restriction, ws: IndexArray, goal: float
) -> int:
    """Bring the gap of the problem restricted to ``ws`` down to the goal; return the epochs used.

    It ends earlier where the budget of epochs does.
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
        # 2. epochs on the support, extrapolated
        largest = moved
        for _ in range(_ROUNDS):
            if not still < largest < np.inf:
                break
            epochs, largest = _descend_on_support(work, restriction, ws, residual, coef, form)
            used += epochs
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
    return used


def _descend_on_support(
    work: Workspace,
    restriction: Restriction,
    ws: IndexArray,
    residual: FloatArray,
    coef: FloatArray,
    form: KernelForm,
) -> tuple[int, float]:
    """Move coef and residual, in place; return the epochs used and the last largest gain."""
    support = np.flatnonzero(coef != 0)
    columns, form = ws[support], form._replace(weights=form.weights[support])
    gap = restriction.gap(work, columns)
    points = np.empty((_EPOCHS + 1, support.size))
    points[0] = coef[support]
    for k in range(_EPOCHS):
        points[k + 1] = points[k]
        _, largest = work.backend.residual_cd(
            work.design, columns, residual, points[k + 1], form, 1, 0.0
        )
        if largest == 0.0 or not np.isfinite(largest):
            coef[support] = points[k + 1]
            return k + 1, largest
    last = points[-1]
    direction = _extrapolated(points) - last
    direction[last == 0] = 0.0  # what has just left the support stays out
    fitted = work.backend.fitted(work.design, columns, direction)
    objective = gap.objective(last, work.mean_square(residual))
    for step in _STEPS:
        trial, trial_residual = last + step * direction, residual - step * fitted
        if gap.positive and np.any(trial < 0):
            continue
        if gap.objective(trial, work.mean_square(trial_residual)) < objective:
            last, residual[:] = trial, trial_residual
            break
    coef[support] = last
    return _EPOCHS, largest


def _extrapolated(points: FloatArray) -> FloatArray:
    moves = np.diff(points, axis=0)
    ridge = _RIDGE * np.linalg.norm(moves) * np.eye(len(moves))
    # the shares solve (M'M + ridge^2) c = 1, up to a factor
    root: Any = np.linalg.qr(np.concatenate([moves.T, ridge]), mode="r")
    with np.errstate(all="ignore"):
        try:
            shares = np.linalg.solve(root, np.linalg.solve(root.T, np.ones(len(moves))))
        except np.linalg.LinAlgError:  # nothing moves
            return points[-1]
        total = shares.sum()
    if not (np.isfinite(total) and total > 0):
        return points[-1]
    return (shares / total) @ points[1:]
