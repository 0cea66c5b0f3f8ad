"""Active-set Newton steps: where coordinate descent crawls, one factorization is exact.

On the support A with signs z, an elastic-net problem is the quadratic with gradient
-(g_A - l1 z - l2 w_A) and Hessian H = G_AA + diag(l2). The step solves H d = g_A - l1 z - l2 w_A
and goes to the exact minimum along d across sign changes, so the objective never rises; a step of
length one that crosses nothing is the exact solution on A.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from sparsereg.backends.protocol import Backend, FloatArray

# Relative size of the ridge that makes a singular Hessian factorizable; the line search is exact,
# so it costs progress along flat directions and never correctness.
_RIDGE = 1e-10


def newton_step(
    backend: Backend,
    gram: FloatArray,
    gradient: FloatArray,
    coef: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    positive: bool,
) -> bool:
    """Take one step on the support, in place.

    Parameters
    ----------
    backend : Backend
        For its exact line search.
    gram : ndarray of shape (m, m)
    gradient, coef, l1, l2 : ndarray of shape (m,)
        ``gradient`` is the negative gradient of the loss and follows ``coef``.
    positive : bool
        Whether coefficients must stay non-negative.

    Returns
    -------
    bool
        Whether another step could help: False once a full step left the support as it was.
    """
    free = (l1 == 0) & (l2 == 0) & (np.diag(gram) > 0)
    support = np.flatnonzero((coef != 0) | (free if not positive else False))
    if support.size == 0:
        return False
    current = coef[support]
    hessian = gram[np.ix_(support, support)]
    diagonal = np.diag_indices_from(hessian)
    hessian[diagonal] += l2[support]
    smooth = gradient[support] - l2[support] * current
    direction = _solve(hessian, smooth - l1[support] * np.sign(current))
    if direction is None:
        return False
    slope = -float(smooth @ direction)
    curvature = float(direction @ (hessian @ direction))
    t, crossing = backend.line_search(current, direction, l1[support], slope, curvature, positive)
    if t == 0.0:
        return False
    moved = current + t * direction
    moved[crossing == t] = 0.0
    coef[support] = moved
    gradient -= (moved - current) @ gram[support]
    return bool(np.any(crossing <= t))


def _solve(hessian: FloatArray, right_side: FloatArray) -> FloatArray | None:
    ridge = 0.0
    mean = float(np.mean(np.diag(hessian)))
    for _ in range(3):
        shifted = hessian.copy()
        shifted[np.diag_indices_from(shifted)] += ridge
        try:
            factor = cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
            # a factor may exist and be useless: LAPACK accepts pivots that are pure rounding
            if np.all(np.diag(factor[0]) ** 2 > 1e-13 * np.diag(shifted)):
                return cho_solve(factor, right_side, check_finite=False)
        except LinAlgError:
            pass
        ridge = _RIDGE * mean if ridge == 0.0 else 1e3 * ridge
    return None
