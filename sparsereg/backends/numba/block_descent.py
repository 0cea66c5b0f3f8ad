"""Block coordinate descent: one step moves all the coefficients of a feature, one for each task.

With w_j the coefficients of feature j, L_j = G_jj and its negative gradient g_j, a step shortens
v = w_j + g_j / L_j to the length prox(||v||, 1 / L_j) of the scalar penalty.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.penalty_kernels import prox_column


@kernel(fastmath={"contract"})
def gram_block_cd(gram, gradient, coef, kind, params, weights, scales, max_epochs, tol):
    """Run at most max_epochs cyclic epochs in covariance form; matrices are (tasks, features).

    Returns the number of epochs and the largest ``L_j ||delta_j||^2`` of the last one.
    """
    tasks, m = coef.shape
    v = np.empty(tasks)
    largest = 0.0
    epoch = 0
    while epoch < max_epochs:
        epoch += 1
        largest = 0.0
        for j in range(m):
            curvature = gram[j, j]
            if curvature <= 0.0:
                continue
            square = 0.0
            nonzero = False
            for t in range(tasks):
                v[t] = coef[t, j] + gradient[t, j] / curvature
                square += v[t] * v[t]
                nonzero = nonzero or coef[t, j] != 0.0
            norm = np.sqrt(square)
            length = prox_column(kind, params, weights, scales, j, norm, 1.0 / curvature)
            if length == 0.0 and not nonzero:
                continue
            shrinkage = length / norm if norm > 0.0 else 0.0
            change = 0.0
            for t in range(tasks):
                new = shrinkage * v[t]
                delta = new - coef[t, j]
                if delta != 0.0:
                    coef[t, j] = new
                    change += delta * delta
                    for k in range(m):
                        gradient[t, k] -= delta * gram[j, k]
            change *= curvature
            if not change < np.inf:  # overflow or NaN: seen by the caller
                return epoch, change
            largest = max(largest, change)
        if not largest > tol:
            break
    return epoch, largest
