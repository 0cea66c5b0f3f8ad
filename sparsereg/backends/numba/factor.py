"""Cholesky factors of the Gram matrices of active columns: solves, appended and deleted columns.

With k active columns the upper triangle U, k by k, satisfies U' U = G_AA + diag(l2_A). It has room
for c columns: its rows lie one after another in c (c + 1) / 2 numbers, row i from its diagonal on
with c - i of them. A solve, a deletion and an appended column read it once each,
k^2 / 2 numbers in the order of memory: from a few hundred columns on that traffic is what an
active-set method costs. Columns that are appended together share it.

Inner loops count from zero over slices: only then does Numba know that no index is negative.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel

# A pivot below this share of its diagonal means that the column depends on the active ones.
_DEPENDENT = 1e-11


@kernel(inline="always")
def _room(factor):
    """Return the number of columns there is room for."""
    return int((np.sqrt(8.0 * factor.size + 1.0) - 1.0) / 2.0)


@kernel(inline="always")
def diagonal(room, i):
    """Return where row i begins."""
    return i * room - i * (i - 1) // 2


@kernel()
def packed(lower):
    """Return the factor U = L' of a lower triangle L, without room for more columns."""
    k = lower.shape[0]
    factor = np.empty(diagonal(k, k))
    for i in range(k):
        start = diagonal(k, i)
        for j in range(i, k):
            factor[start + j - i] = lower[j, i]
    return factor


@kernel()
def pivot_of(factor, i):
    """Return the i-th entry of the diagonal."""
    return factor[diagonal(_room(factor), i)]


@kernel(inline="always")
def _four_rows(factor, room, i, k):
    """Return what rows i to i + 3 have in columns i + 4 to k, and their corner."""
    f0, f1 = factor[diagonal(room, i) :], factor[diagonal(room, i + 1) :]
    f2, f3 = factor[diagonal(room, i + 2) :], factor[diagonal(room, i + 3) :]
    rows = (f0[4 : k - i], f1[3 : k - i - 1], f2[2 : k - i - 2], f3[1 : k - i - 3])
    diagonals = (f0[0], f1[0], f2[0], f3[0])
    return rows, diagonals, (f0[1], f0[2], f0[3], f1[1], f1[2], f2[1])


@kernel(fastmath={"contract"})
def solve_lower(factor, b, k):
    """Solve U' x = b[:k] in place, four rows of U at a time."""
    room = _room(factor)
    i = 0
    while i + 4 <= k:
        (r0, r1, r2, r3), (d0, d1, d2, d3), corner = _four_rows(factor, room, i, k)
        u01, u02, u03, u12, u13, u23 = corner
        x0 = b[i] / d0
        x1 = (b[i + 1] - x0 * u01) / d1
        x2 = (b[i + 2] - x0 * u02 - x1 * u12) / d2
        x3 = (b[i + 3] - x0 * u03 - x1 * u13 - x2 * u23) / d3
        b[i], b[i + 1], b[i + 2], b[i + 3] = x0, x1, x2, x3
        if x0 != 0.0 or x1 != 0.0 or x2 != 0.0 or x3 != 0.0:
            rest = b[i + 4 : k]
            for c in range(k - i - 4):
                rest[c] -= (x0 * r0[c] + x1 * r1[c]) + (x2 * r2[c] + x3 * r3[c])
        i += 4
    for j in range(i, k):  # at most three are left
        start = diagonal(room, j)
        b[j] /= factor[start]
        for c in range(j + 1, k):
            b[c] -= b[j] * factor[start + c - j]


@kernel(fastmath=REASSOCIATE)
def solve_upper(factor, b, k):
    """Solve U x = b[:k] in place, four rows of U at a time."""
    room = _room(factor)
    for j in range(k - 1, k - k % 4 - 1, -1):
        start = diagonal(room, j)
        total = 0.0
        for c in range(j + 1, k):
            total += factor[start + c - j] * b[c]
        b[j] = (b[j] - total) / factor[start]
    for i in range(k - k % 4 - 4, -1, -4):
        (r0, r1, r2, r3), (d0, d1, d2, d3), corner = _four_rows(factor, room, i, k)
        u01, u02, u03, u12, u13, u23 = corner
        rest = b[i + 4 : k]
        t0 = t1 = t2 = t3 = 0.0
        for c in range(k - i - 4):
            value = rest[c]
            t0 += r0[c] * value
            t1 += r1[c] * value
            t2 += r2[c] * value
            t3 += r3[c] * value
        x3 = (b[i + 3] - t3) / d3
        x2 = (b[i + 2] - t2 - u23 * x3) / d2
        x1 = (b[i + 1] - t1 - u12 * x2 - u13 * x3) / d1
        x0 = (b[i] - t0 - u01 * x1 - u02 * x2 - u03 * x3) / d0
        b[i], b[i + 1], b[i + 2], b[i + 3] = x0, x1, x2, x3


@kernel()
def append(factor, active, k, max_rank, gram, l2, j, row):
    """Try to extend the factor by column j; return whether it is independent.

    On return ``row[:k]`` solves U' row = H_Aj; the solution of U c = row are the coordinates of a
    dependent column.
    """
    for i in range(k):
        row[i] = gram[j, active[i]]
    solve_lower(factor, row, k)
    square = 0.0
    for i in range(k):
        square += row[i] * row[i]
    whole = gram[j, j] + l2[j]
    pivot = whole - square
    if k >= max_rank or not pivot > _DEPENDENT * whole:
        return False
    room = _room(factor)
    for i in range(k):
        factor[diagonal(room, i) + k - i] = row[i]
    factor[diagonal(room, k)] = np.sqrt(pivot)
    active[k] = j
    return True


@kernel(fastmath={"contract"})
def _solve_lower_together(factor, rows, b, k):
    """Solve U' x = row[:k] in place for each of the first b rows, four rows of U at a time."""
    room = _room(factor)
    i = 0
    while i + 4 <= k:
        (r0, r1, r2, r3), (d0, d1, d2, d3), corner = _four_rows(factor, room, i, k)
        u01, u02, u03, u12, u13, u23 = corner
        for c in range(b):
            x = rows[c, i : i + 4]
            x0 = x[0] / d0
            x1 = (x[1] - x0 * u01) / d1
            x2 = (x[2] - x0 * u02 - x1 * u12) / d2
            x3 = (x[3] - x0 * u03 - x1 * u13 - x2 * u23) / d3
            x[0], x[1], x[2], x[3] = x0, x1, x2, x3
        # four right-hand sides at a time share what is read of U
        for c in range(0, b - 3, 4):
            x, y = rows[c, i : i + 4], rows[c + 1, i : i + 4]
            z, w = rows[c + 2, i : i + 4], rows[c + 3, i : i + 4]
            x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
            y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
            z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
            w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
            rest_x, rest_y = rows[c, i + 4 : k], rows[c + 1, i + 4 : k]
            rest_z, rest_w = rows[c + 2, i + 4 : k], rows[c + 3, i + 4 : k]
            for t in range(k - i - 4):
                u0, u1, u2, u3 = r0[t], r1[t], r2[t], r3[t]
                rest_x[t] -= (x0 * u0 + x1 * u1) + (x2 * u2 + x3 * u3)
                rest_y[t] -= (y0 * u0 + y1 * u1) + (y2 * u2 + y3 * u3)
                rest_z[t] -= (z0 * u0 + z1 * u1) + (z2 * u2 + z3 * u3)
                rest_w[t] -= (w0 * u0 + w1 * u1) + (w2 * u2 + w3 * u3)
        for c in range(b - b % 4, b):
            x, rest = rows[c, i : i + 4], rows[c, i + 4 : k]
            x0, x1, x2, x3 = x[0], x[1], x[2], x[3]
            for t in range(k - i - 4):
                rest[t] -= (x0 * r0[t] + x1 * r1[t]) + (x2 * r2[t] + x3 * r3[t])
        i += 4
    for c in range(b):  # at most three are left
        for j in range(i, k):
            value = rows[c, j]
            for t in range(i, j):
                value -= rows[c, t] * factor[diagonal(room, t) + j - t]
            rows[c, j] = value / factor[diagonal(room, j)]


@kernel(fastmath=REASSOCIATE)
def append_together(factor, active, k, gram, l2, columns, b):
    """Extend the factor by ``columns[:b]``; return whether all are independent of what is there.

    If they are not, the factor of the first k columns is as it was.
    """
    rows = np.empty((b, k))
    for c in range(b):
        for i in range(k):
            rows[c, i] = gram[columns[c], active[i]]
    _solve_lower_together(factor, rows, b, k)
    rest = np.empty((b, b))  # lower triangle of the Schur complement, then its factor
    for c in range(b):
        row, known = rows[c], gram[columns[c]]
        for d in range(0, c + 1, 4):  # four products at a time read rows[c] once
            last = b - 1
            r0, r1 = rows[d], rows[min(d + 1, last)]
            r2, r3 = rows[min(d + 2, last)], rows[min(d + 3, last)]
            t0 = t1 = t2 = t3 = 0.0
            for i in range(k):
                value = row[i]
                t0 += value * r0[i]
                t1 += value * r1[i]
                t2 += value * r2[i]
                t3 += value * r3[i]
            totals = (t0, t1, t2, t3)
            for e in range(min(4, c + 1 - d)):
                rest[c, d + e] = known[columns[d + e]] - totals[e]
        rest[c, c] += l2[columns[c]]
    for c in range(b):
        for d in range(c):
            value = rest[c, d]
            for e in range(d):
                value -= rest[c, e] * rest[d, e]
            rest[c, d] = value / rest[d, d]
        pivot = rest[c, c]
        for e in range(c):
            pivot -= rest[c, e] * rest[c, e]
        whole = gram[columns[c], columns[c]] + l2[columns[c]]
        if not pivot > _DEPENDENT * whole:
            return False
        rest[c, c] = np.sqrt(pivot)
    room = _room(factor)
    for i in range(k):
        end = diagonal(room, i) + k - i
        for c in range(b):
            factor[end + c] = rows[c, i]
    for c in range(b):
        active[k + c] = columns[c]
        for d in range(c + 1):
            factor[diagonal(room, k + d) + c - d] = rest[c, d]
    return True


@kernel(fastmath={"contract"})
def remove(factor, active, k, position):
    """Delete one column of the factor: Givens rotations restore the triangle."""
    for i in range(position, k - 1):
        active[i] = active[i + 1]
    size, room = k - 1 - position, _room(factor)
    for i in range(position):
        start = diagonal(room, i) - i
        row, old = (
            factor[start + position : start + k - 1],
            factor[start + position + 1 : start + k],
        )
        for c in range(size):
            row[c] = old[c]
    # row after row, each rotated with what the one before left over: memory is read in order
    start = diagonal(room, position)
    left = factor[start + 1 : start + k - position].copy()
    for t in range(size):
        rest_size = size - t - 1
        start, below = diagonal(room, position + t), diagonal(room, position + t + 1)
        a = left[t]
        b = factor[below]
        norm = np.hypot(a, b)
        cos = a / norm
        sin = b / norm
        factor[start] = norm
        row, old = (
            factor[start + 1 : start + 1 + rest_size],
            factor[below + 1 : below + 1 + rest_size],
        )
        rest = left[t + 1 :]
        for c in range(rest_size):
            x = rest[c]
            y = old[c]
            row[c] = cos * x + sin * y
            rest[c] = cos * y - sin * x


@kernel(fastmath=REASSOCIATE)
def factor_supports(rows, place, columns, starts, factors, least):
    """Write the Cholesky factor U of G_SS, U'U = G_SS, of every support, one behind the other.

    Support k is ``columns[starts[k]:starts[k + 1]]``. ``least[k]`` becomes the smallest pivot
    of U, or 0 where a row is not known or the columns are dependent.
    """
    at = 0
    for k in range(starts.shape[0] - 1):
        support = columns[starts[k] : starts[k + 1]]
        s = support.shape[0]
        factor = factors[at : at + diagonal(s, s)]
        at += factor.shape[0]
        least[k] = 1.0
        for j in range(s):
            if place[support[j]] < 0:
                least[k] = 0.0
        if not least[k] > 0.0:
            continue
        for i in range(s):
            start, known = diagonal(s, i), rows[place[support[i]]]
            for j in range(i, s):
                factor[start + j - i] = known[support[j]]
        for i in range(s):
            start = diagonal(s, i)
            pivot = factor[start]
            least[k] = min(least[k], np.sqrt(max(pivot, 0.0)))
            if not least[k] > 0.0:
                break
            row = factor[start : start + s - i]
            row *= 1.0 / np.sqrt(pivot)
            for m in range(1, s - i):
                start = diagonal(s, i + m)
                below, weight, rest = factor[start : start + s - i - m], row[m], row[m:]
                for j in range(s - i - m):
                    below[j] -= weight * rest[j]


@kernel()
def solve_supports(starts, factors, least, values):
    """Solve G_SS x = ``values[starts[k]:starts[k + 1]]`` in place; zero where ``least`` is."""
    at = 0
    for k in range(starts.shape[0] - 1):
        part = values[starts[k] : starts[k + 1]]
        s = part.shape[0]
        factor = factors[at : at + diagonal(s, s)]
        at += factor.shape[0]
        if least[k] > 0.0:
            solve_lower(factor, part, s)
            solve_upper(factor, part, s)
        else:
            part[:] = 0.0
