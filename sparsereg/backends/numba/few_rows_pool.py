"""What solving on few rows in one call is made of: a pool of columns, and passes over X.

The pool lies here as rows: ``rows[k]`` is column ``pool[k]`` of X, centered, and ``gram`` has the
products ``sum_i s_i rows[k, i] rows[l, i] / n``. It grows with what it holds.

X comes as its memory and two steps, which serve both orders, and loops take the place of array
expressions, which take long to compile.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.reach import add_multiple, dot

# Room for so many columns in the pool at first, and at the end, with so many per row more.
FIRST_ROOM, _ROOM, _ROOM_PER_ROW = 128, 250, 8
# Columns at a time where X lies by rows: what is added to stays in cache.
_BLOCK = 512
# Rows of the pool end with zeros up to a multiple of this.
_MULTIPLE = 8


@kernel()
def copy(values, out):
    """Put the values into out, which may be longer: assigning arrays takes seconds to compile."""
    for i in range(values.shape[0]):
        out[i] = values[i]


@kernel()
def total(values):
    """Return their sum."""
    result = 0.0
    for i in range(values.shape[0]):
        result += values[i]
    return result


@kernel()
def room_for(n, p):
    """Return how many columns the pool has room for."""
    return min(p, _ROOM + _ROOM_PER_ROW * n)


@kernel()
def width_for(n):
    """Return how long the rows of the pool are: a multiple of what is multiplied at once."""
    return (n + _MULTIPLE - 1) // _MULTIPLE * _MULTIPLE


@kernel()
def widened(pool, rows, gram, sign, m, needed, most):
    """Return the pool with room for ``needed`` columns and some more; the first m stay."""
    room = min(max(needed, pool.shape[0] + pool.shape[0] // 2), most)
    new_pool, new_rows = np.empty(room, dtype=np.int64), np.empty((room, rows.shape[1]))
    new_gram, new_sign = np.empty((room, room)), np.zeros(room)
    for c in range(m):
        new_pool[c], new_sign[c] = pool[c], sign[c]
        copy(rows[c], new_rows[c])
        copy(gram[c, :m], new_gram[c])
    return new_pool, new_rows, new_gram, new_sign


@kernel()
def residuals_of(y, coefs, rows, weights, centered, out):
    """Put ``y - coefs @ rows`` into ``out``; return it times the weights, and its mean squares."""
    n = y.shape[0]
    weighted, squares = np.empty((coefs.shape[0], n)), np.empty(coefs.shape[0])
    for k in range(coefs.shape[0]):
        residual = out[k]
        copy(y, residual)
        for c in range(coefs.shape[1]):
            if coefs[k, c] != 0.0:
                add_multiple(-coefs[k, c], rows[c, :n], residual)
        mean = dot(weights, residual) / n if centered else 0.0
        for i in range(n):
            residual[i] -= mean
            weighted[k, i] = weights[i] * residual[i]
        squares[k] = dot(weighted[k], residual) / n
    return weighted, squares


@kernel()
def take(values, positions):
    """Return the values at the positions."""
    out = np.empty(positions.shape[0])
    for c in range(positions.shape[0]):
        out[c] = values[positions[c]]
    return out


@kernel()
def take_in(x, weights, means, new, pool, m, inside, rows, gram):
    """Append columns to the pool that has m of them."""
    X, row_step, column_step = x
    n = weights.shape[0]
    for c in range(new.shape[0]):
        j, row = new[c], rows[m + c]
        pool[m + c], inside[j] = j, True
        for i in range(n):
            row[i] = X[i * row_step + j * column_step] - means[j]
        row[n:] = 0.0
    weighted = np.zeros((4, rows.shape[1]))
    for first in range(m, m + new.shape[0], 4):
        size = min(4, m + new.shape[0] - first)
        for c in range(size):
            for i in range(n):
                weighted[c, i] = weights[i] * rows[first + c, i]
        _multiply(weighted, rows, first, size, n, gram)


@kernel(fastmath=REASSOCIATE)
def _multiply(weighted, rows, first, size, n, gram):
    """Put the products of up to four weighted rows with all up to them into gram, two at a time.

    What a product reads is used for eight of them, and rows without a rest need no loop for it.
    """
    w0, w1, w2, w3 = weighted[0], weighted[1], weighted[2], weighted[3]
    last = first + size - 1
    totals = np.empty((2, 4))
    for d in range(0, last + 1, 2):
        r, q = rows[d], rows[min(d + 1, last)]
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
        for i in range(r.shape[0]):
            u, v = r[i], q[i]
            s0 += u * w0[i]
            s1 += u * w1[i]
            s2 += u * w2[i]
            s3 += u * w3[i]
            t0 += v * w0[i]
            t1 += v * w1[i]
            t2 += v * w2[i]
            t3 += v * w3[i]
        totals[0, 0], totals[0, 1], totals[0, 2], totals[0, 3] = s0, s1, s2, s3
        totals[1, 0], totals[1, 1], totals[1, 2], totals[1, 3] = t0, t1, t2, t3
        for e in range(min(2, last + 1 - d)):
            for c in range(size):
                if d + e <= first + c:
                    gram[first + c, d + e] = gram[d + e, first + c] = totals[e, c] / n


@kernel()
def keep_near(
    pool, m, inside, rows, gram, active, sign, n_active, expected, coef, l1, far, far_share
):  # fmt: skip
    """Drop columns at zero that are far from their bound, if they are many; return how many stay.

    The active columns are found at their new positions.
    """
    kept, moved, size = np.empty(m, dtype=np.int64), np.empty(m, dtype=np.int64), np.int64(0)
    for c in range(m):
        moved[c] = -1
    for c in range(n_active):
        moved[active[c]] = 0
    for c in range(m):
        j = pool[c]
        if coef[j] != 0.0 or moved[c] == 0 or expected[j] >= far * l1[j]:
            kept[size] = c
            moved[c] = size
            size += 1
    if m - size <= far_share * m:
        return m
    for c in range(m):
        inside[pool[c]] = False
    for c in range(size):
        old = kept[c]
        pool[c], sign[c] = pool[old], sign[old]
        copy(rows[old], rows[c])
        inside[pool[c]] = True
        for d in range(size):
            gram[c, d] = gram[old, kept[d]]
    for c in range(n_active):
        active[c] = moved[active[c]]
    return size


@kernel()
def gradients_of(x, means, weighted, columns, out):
    """Put X_c[:, columns]' (s r) / n for the rows s r of ``weighted`` into the rows of out."""
    X, row_step, column_step = x
    n = weighted.shape[1]
    totals = np.empty(weighted.shape[0])
    for k in range(weighted.shape[0]):
        totals[k] = total(weighted[k])
    column = np.empty(n)
    for c in range(columns.shape[0]):
        start = columns[c] * column_step
        if row_step == 1:
            read = X[start : start + n]
            for k in range(weighted.shape[0]):
                out[k, c] = (dot(read, weighted[k]) - means[columns[c]] * totals[k]) / n
        else:
            for i in range(n):
                column[i] = X[start + i * row_step]
            for k in range(weighted.shape[0]):
                out[k, c] = (dot(column, weighted[k]) - means[columns[c]] * totals[k]) / n


@kernel()
def all_gradients(x, means, weighted, out):
    """Put X_c' (s r) / n for the rows s r of ``weighted``, one or two, into the rows of out."""
    X, row_step, _ = x
    K, n, p = weighted.shape[0], weighted.shape[1], means.shape[0]
    v, w, slopes, others = weighted[0], weighted[K - 1], out[0], out[K - 1]
    if row_step == 1 and K == 1:
        for j in range(p):
            slopes[j] = dot(X[j * n : j * n + n], v)
    elif row_step == 1:
        for j in range(p):
            slopes[j], others[j] = _two_dots(X[j * n : j * n + n], v, w)
    else:
        for start in range(0, p, _BLOCK):
            for k in range(K):  # the other finds the block in cache
                _add_rows(X, p, weighted[k], start, out[k, start : min(start + _BLOCK, p)])
    for k in range(K):
        slopes, of_all = out[k], total(weighted[k])
        for j in range(p):
            slopes[j] = (slopes[j] - means[j] * of_all) / n


@kernel(fastmath=REASSOCIATE)
def _two_dots(a, b, c):
    """Return a'b and a'c."""
    first = second = 0.0
    for i in range(a.shape[0]):
        first += a[i] * b[i]
        second += a[i] * c[i]
    return first, second


@kernel(fastmath={"contract"})
def _add_rows(X, p, v, start, out):
    """Put ``v' X[:, start:...]`` of X by rows into out, four rows at a time."""
    n, m = v.shape[0], out.shape[0]
    out[:] = 0.0
    i = 0
    while i + 4 <= n:
        a, b, c, d = v[i], v[i + 1], v[i + 2], v[i + 3]
        at = i * p + start
        first, second = X[at : at + m], X[at + p : at + p + m]
        third, fourth = X[at + 2 * p : at + 2 * p + m], X[at + 3 * p : at + 3 * p + m]
        for j in range(m):
            out[j] += (a * first[j] + b * second[j]) + (c * third[j] + d * fourth[j])
        i += 4
    while i < n:
        a, at = v[i], i * p + start
        first = X[at : at + m]
        for j in range(m):
            out[j] += a * first[j]
        i += 1
