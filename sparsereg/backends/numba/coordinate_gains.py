"""What the best move of a single coefficient would bring: the certificate of a local minimum.

Along coordinate j, with curvature L, negative gradient g and z = w + g / L, the objective is
L (x - z)^2 / 2 + P(x) and a constant; p = prox(z, 1 / L) is where it is smallest, and

    gain = L (w - p) (w + p - 2 z) / 2 + P(w) - P(p).

It is zero if and only if w is a minimum along its coordinate, whatever the penalty. Where w and p
have the same sign and P is concave between them, the gain is at most L (w - p)^2 / 2, which keeps
rounding of the difference out of it.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.penalty_kernels import prox_column, value_column


@kernel()
def coordinate_gains(coef, gradient, curvatures, kind, params, weights, scales):
    """Return the gain of each coefficient; columns that do not move have none."""
    gains = np.zeros(coef.shape[0])
    for j in range(coef.shape[0]):
        curvature = curvatures[j]
        if not curvature > 0.0:
            continue
        w = coef[j]
        z = w + gradient[j] / curvature
        p = prox_column(kind, params, weights, scales, j, z, 1.0 / curvature)
        if p == w:
            continue
        half_square = 0.5 * curvature * (w - p) * (w - p)
        here = value_column(kind, params, weights, scales, j, w) if w != 0.0 else 0.0
        there = value_column(kind, params, weights, scales, j, p) if p != 0.0 else 0.0
        gain = 0.5 * curvature * (w - p) * (w + p - 2.0 * z) + here - there
        if w * p > 0.0:
            gain = min(gain, half_square * _stretch(kind, params, weights[j], curvature))
        gains[j] = gain if not gain < 0.0 else 0.0
    return gains


@kernel()
def _stretch(kind, params, weight, curvature):
    """1 for a concave penalty; for the elastic net, what its squared part adds to L."""
    return 1.0 + params[1] * weight / curvature if kind == 0 else 1.0
