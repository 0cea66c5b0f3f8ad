"""Newton steps on the nonzero coefficients of a problem in covariance form.

On the support S, away from the kinks, the objective is smooth, with gradient -g_S + P'(w_S) and
Hessian G_SS + P''(w_S). For MCP, SCAD, l0 and the lasso it is piecewise quadratic: one step lands
on the minimum of the piece. A step stops where the first coefficient reaches zero, and is taken
only if it lowers the objective; where the Hessian is not positive definite there is none, and
coordinate descent goes on alone.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from sparsereg.backends.protocol import Backend, FloatArray, KernelForm

# Lengths tried, as shares of the longest step.
_LENGTHS = (1.0, 0.5, 0.25, 0.1)


def newton_step(
    backend: Backend,
    gram: FloatArray,
    gradient: FloatArray,
    coef: FloatArray,
    form: KernelForm,
    max_rank: int,
) -> int:
    """Take one step, in place, if it descends; return the number of steps taken.

    Parameters
    ----------
    gram : ndarray of shape (>= m, >= m)
    gradient, coef : ndarray of shape (m,)
        The negative gradient of the loss, and the coefficients.
    form : KernelForm
        Of the m columns.
    max_rank : int
        Supports larger than this have a singular Gram matrix.
    """
    support = np.flatnonzero(coef)
    if not 0 < support.size <= max_rank:
        return 0
    on_support = form.at(support)
    w, g = coef[support], gradient[support]
    values, slopes, bends = backend.penalty_terms(w, on_support)
    block = gram[np.ix_(support, support)]
    hessian = block.copy()
    hessian[np.diag_indices_from(hessian)] += bends
    try:
        factor = cho_factor(hessian, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return 0
    direction = cho_solve(factor, g - np.sign(w) * slopes, check_finite=False)
    if not np.all(np.isfinite(direction)):
        return 0
    to_zero = np.where(direction * w < 0, np.abs(w), np.inf) / np.maximum(
        np.abs(direction), np.finfo(float).tiny
    )
    first = int(np.argmin(to_zero))
    longest = min(1.0, float(to_zero[first]))
    descent, bend = float(g @ direction), float(direction @ (block @ direction))
    for share in _LENGTHS:
        length = share * longest
        moved = w + length * direction
        if share == 1.0 and longest < 1.0:
            moved[first] = 0.0
        new_values, _, _ = backend.penalty_terms(moved, on_support)
        change = length * (0.5 * length * bend - descent) + float(np.sum(new_values - values))
        if change < 0.0:
            coef[support] = moved
            gradient -= (moved - w) @ gram[support, : coef.size]
            return 1
    return 0
