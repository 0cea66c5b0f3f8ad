"""Which columns could matter at several points, told from the gradients at a few others.

Take residuals r_i whose gradients g_i = X_c' (s r_i) / n are known. For any numbers c_i, a residual
r has by the inequality of Cauchy and Schwarz, in every column,

    |g_j(r) - sum_i c_i g_ij|  <=  ||x_j||_s / sqrt(n)  ||r - sum_i c_i r_i||_s / sqrt(n).

With the c_i of least squares, the last factor is what r has outside the span of the known ones.
Between two alphas of a path the residual bends little, and the gradients at both ends tell of
nearly all columns that they stay within their bounds, without a look at them.

Such balls are the sphere tests of safe screening (El Ghaoui, Viallon and Rabbani, Pac. J. Optim.
2012); here their centers are interpolated for each point.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import Backend, FloatArray
from sparsereg.solvers.duality import ROUNDING

# What stays below this share of its bound is out of reach.
INSIDE = 0.999


def within_reach(
    backend: Backend,
    known: Sequence[tuple[FloatArray, FloatArray]],
    residuals: FloatArray,
    sample_weight: FloatArray | None,
    lengths: FloatArray,
    levels: FloatArray,
    l1: FloatArray,
    positive: bool,
) -> npt.NDArray[np.bool_]:
    """Return for each column whether its gradient may come near its bound at one of the points.

    Parameters
    ----------
    backend : Backend
    known : sequence of (residual of shape (n,), gradient of shape (p,))
    residuals : ndarray of shape (K, n)
        Of the points.
    sample_weight : ndarray of shape (n,) or None
    lengths : ndarray of shape (p,)
        ||x_j||_s / sqrt(n).
    levels : ndarray of shape (K,)
        Of the points; their bounds are ``levels[k] * l1``.
    l1 : ndarray of shape (p,)
    positive : bool
        Whether the gradient has a bound on one side only.

    Returns
    -------
    ndarray of bool of shape (p,)
        False where the gradient is below `INSIDE` times its bound at every point.
    """
    span = np.array([residual for residual, _ in known])
    gradients = np.array([gradient for _, gradient in known])
    if sample_weight is not None:
        roots = np.sqrt(sample_weight)
        span, residuals = roots * span, roots * residuals
    rounding = ROUNDING * residuals.shape[1] ** 0.5
    return backend.within_reach(
        span, gradients, residuals, lengths, INSIDE * levels, l1, positive, rounding
    )
