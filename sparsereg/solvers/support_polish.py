"""Descent on the nonzero coefficients of a problem in covariance form: sweeps, then a Newton step.

On the support S, away from the kinks, the objective is smooth, with gradient -g_S + P'(w_S) and
Hessian G_SS + P''(w_S). For MCP, SCAD, l0 and the lasso it is piecewise quadratic: one step lands
on the minimum of the piece. It is worth its price where the sweeps have settled the support and
the Hessian is positive definite. Coefficients that would change sign stop at zero, and the step is
taken only if it lowers the objective.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from sparsereg.backends.protocol import Backend, FloatArray, KernelForm

# Lengths tried, as shares of the Newton step.
_LENGTHS = (1.0, 0.5, 0.25, 0.1)


def polish_support(
    backend: Backend,
    gram: FloatArray,
    gradient: FloatArray,
    coef: FloatArray,
    form: KernelForm,
    *,
    max_rank: int,
    sweeps: int,
    goal: float,
) -> int:
    """Descend on the nonzero coefficients, in place; return the sweeps and Newton steps.

    Parameters
    ----------
    gram : ndarray of shape (>= m, >= m)
    gradient, coef : ndarray of shape (m,)
        The negative gradient of the loss, and the coefficients.
    form : KernelForm
        Of the m columns.
    max_rank : int
        Supports larger than this have a singular Gram matrix, and no Newton step.
    sweeps, goal : int, float
        Coordinate descent before the Newton step: sweeps at most, and the tolerance of a sweep.
    """
    support = np.flatnonzero(coef)
    if not support.size:
        return 0
    block, on_support = gram[np.ix_(support, support)], form.at(support)
    w, g = coef[support], gradient[support]
    used, largest = backend.gram_cd(block, g, w, on_support, sweeps, goal)
    if np.isfinite(largest) and support.size <= max_rank and np.all(w):
        used += _newton_step(backend, block, g, w, on_support)
    backend.gram_move(gram, gradient, support, w - coef[support])
    coef[support] = w
    return used


def _newton_step(
    backend: Backend, block: FloatArray, g: FloatArray, w: FloatArray, form: KernelForm
) -> int:
    """Take one step, w in place; return the number of steps taken."""
    values, slopes, bends = backend.penalty_terms(w, form)
    hessian = block.copy()
    hessian[np.diag_indices_from(hessian)] += bends
    try:
        factor = cho_factor(hessian, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:  # not convex here
        return 0
    direction = cho_solve(factor, g - np.sign(w) * slopes, check_finite=False)
    if not np.all(np.isfinite(direction)):
        return 0
    for length in _LENGTHS:
        moved = w + length * direction
        moved[moved * w < 0.0] = 0.0
        step = moved - w
        new_values, _, _ = backend.penalty_terms(moved, form)
        change = float(step @ (0.5 * (block @ step) - g)) + float(np.sum(new_values - values))
        if change < 0.0:
            w[:] = moved
            return 1
    return 0
