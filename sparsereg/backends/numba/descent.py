"""Coordinate descent kernels, one for each form of the problem; every separable penalty.

A step on coordinate j with curvature L_j = ||x_j||_s^2 / n and negative gradient g_j sets
w_j <- prox(w_j + g_j / L_j, 1 / L_j). In covariance form the gradient of the working set is kept
and a step costs |W|; in residual form s*r is kept and a step costs the non-zeros of the column.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.csc import add_column, column_dot
from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.penalty_kernels import prox_column

# In residual form, a visit costs a pass over a column even where nothing moves: the epochs between
# these visit the support only.
_WHOLE_EVERY = 5


@kernel(fastmath={"contract"})
def gram_cd(gram, gradient, coef, kind, params, weights, scales, max_epochs, tol):
    """Run at most max_epochs cyclic epochs; return their number and the last largest step."""
    m = coef.shape[0]
    largest = 0.0
    epoch = 0
    while epoch < max_epochs:
        epoch += 1
        largest = 0.0
        for j in range(m):
            curvature = gram[j, j]
            if curvature <= 0.0:
                continue
            old = coef[j]
            new = prox_column(
                kind, params, weights, scales, j, old + gradient[j] / curvature, 1.0 / curvature
            )
            delta = new - old
            if delta != 0.0:
                coef[j] = new
                for k in range(m):
                    gradient[k] -= delta * gram[j, k]
                change = curvature * delta * delta
                if not change < np.inf:  # overflow or NaN: seen by the caller
                    return epoch, change
                largest = max(largest, change)
        if not largest > tol:
            break
    return epoch, largest


@kernel(fastmath={"contract"})
def gram_move(gram, gradient, columns, step):
    """Subtract gram[:, columns] @ step from the gradient, without gathering the columns."""
    for c in range(columns.shape[0]):
        delta = step[c]
        if delta != 0.0:
            j = columns[c]
            for k in range(gradient.shape[0]):
                gradient[k] -= delta * gram[j, k]


@kernel(fastmath=REASSOCIATE)
def _dense_dot(X, j, v):
    total = 0.0
    for i in range(X.shape[0]):
        total += X[i, j] * v[i]
    return total


@kernel()
def dense_cd(
    X, weights, means, sqnorms, columns, weighted, coef,
    kind, params, factors, scales, max_epochs, tol,
):  # fmt: skip
    """Residual form on a dense X; ``weighted`` is s*r and follows coef."""
    n = X.shape[0]
    has_weights = weights.shape[0] > 0
    largest = 0.0
    epoch = 0
    settled = False  # the support has nothing left: look at the others again
    while epoch < max_epochs:
        epoch += 1
        whole = epoch % _WHOLE_EVERY == 1 or settled
        largest = 0.0
        for c in range(columns.shape[0]):
            j = columns[c]
            curvature = sqnorms[j]
            if curvature <= 0.0 or not (whole or coef[c] != 0.0):
                continue
            mean = means[j]
            old = coef[c]
            gradient = _dense_dot(X, j, weighted) / n
            new = prox_column(
                kind, params, factors, scales, c, old + gradient / curvature, 1.0 / curvature
            )
            delta = new - old
            if delta != 0.0:
                coef[c] = new
                if has_weights:
                    for i in range(n):
                        weighted[i] -= delta * weights[i] * (X[i, j] - mean)
                else:
                    for i in range(n):
                        weighted[i] -= delta * (X[i, j] - mean)
                change = curvature * delta * delta
                if not change < np.inf:
                    return epoch, change
                largest = max(largest, change)
        if not largest > tol:
            if whole:
                break
            settled = True
    return epoch, largest


@kernel()
def csc_cd(
    data, indices, indptr, n, weights, means, sqnorms, columns, weighted, coef,
    kind, params, factors, scales, max_epochs, tol,
):  # fmt: skip
    """Residual form on sparse columns, centered by a scalar offset: O(nnz of the column) a step.

    The true weighted residual is ``weighted + offset * s``: a step changes the stored rows of
    ``weighted`` and the scalar. On return the offset is folded in.
    """
    has_weights = weights.shape[0] > 0
    offset = 0.0
    largest = 0.0
    epoch = 0
    settled = False  # the support has nothing left: look at the others again
    while epoch < max_epochs:
        epoch += 1
        whole = epoch % _WHOLE_EVERY == 1 or settled
        largest = 0.0
        for c in range(columns.shape[0]):
            j = columns[c]
            curvature = sqnorms[j]
            if curvature <= 0.0 or not (whole or coef[c] != 0.0):
                continue
            start, stop = indptr[j], indptr[j + 1]
            total = column_dot(data, indices, start, stop, weighted)
            gradient = total / n + offset * means[j]
            old = coef[c]
            new = prox_column(
                kind, params, factors, scales, c, old + gradient / curvature, 1.0 / curvature
            )
            delta = new - old
            if delta != 0.0:
                coef[c] = new
                if has_weights:
                    for k in range(start, stop):
                        i = indices[k]
                        weighted[i] -= delta * data[k] * weights[i]
                else:
                    add_column(data, indices, start, stop, -delta, weighted)
                offset += delta * means[j]
                change = curvature * delta * delta
                if not change < np.inf:
                    return epoch, change
                largest = max(largest, change)
        if not largest > tol:
            if whole:
                break
            settled = True
    if offset != 0.0:
        for i in range(n):
            weighted[i] += offset * (weights[i] if has_weights else 1.0)
    return epoch, largest
