"""Products with rows of a Gram matrix, and compact copies of the rows that are needed often.

An active-set method needs, again and again, what a move of the active coefficients does to the
gradient of the columns that may enter. It keeps their rows at those columns side by side, in slots
that are reused, so that the product reads memory in order.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel


@kernel(fastmath={"contract"})
def combine_rows(gram, rows, values, k, m, out):
    """Write - sum_i values_i gram[rows_i, :m] to out, four rows at a time."""
    for c in range(m):
        out[c] = 0.0
    i = 0
    while i + 4 <= k:
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        va, vb, vc, vd = values[i], values[i + 1], values[i + 2], values[i + 3]
        for j in range(m):
            out[j] -= (va * gram[a, j] + vb * gram[b, j]) + (vc * gram[c, j] + vd * gram[d, j])
        i += 4
    while i < k:
        a, va = rows[i], values[i]
        for j in range(m):
            out[j] -= va * gram[a, j]
        i += 1


@kernel()
def refresh(gram, coef, start, gradient, start_gradient, rows, change, drift):
    """Recompute the gradient of every column from what the coefficients have moved since start."""
    m = coef.shape[0]
    k = np.int64(0)
    for j in range(m):
        if coef[j] != start[j]:
            rows[k] = j
            change[k] = coef[j] - start[j]
            k += 1
    combine_rows(gram, rows, change, k, m, drift)
    for j in range(m):
        gradient[j] = start_gradient[j] + drift[j]


@kernel()
def add_row(near, slot, gram, j, awake, q):
    """Copy what a row of gram has at the listed columns to a row of the compact matrix."""
    for c in range(q):
        near[slot, c] = gram[j, awake[c]]


@kernel()
def free_slot(slot, position, k):
    """Put the compact row of a deleted column behind those in use."""
    freed = slot[position]
    for i in range(position, k - 1):
        slot[i] = slot[i + 1]
    slot[k - 1] = freed
