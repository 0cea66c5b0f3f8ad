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
# Columns of the factor that are used at a time where several columns are appended.
_PANEL = 64


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


@kernel(fastmath={"contract"})
def solve_lower(factor, b, k):
    """Solve U' x = b[:k] in place."""
    room = _room(factor)
    for i in range(k):
        start = diagonal(room, i)
        value = b[i] / factor[start]
        b[i] = value
        if value != 0.0:
            row, rest = factor[start + 1 : start + k - i], b[i + 1 : k]
            for c in range(k - i - 1):
                rest[c] -= value * row[c]


@kernel(fastmath=REASSOCIATE)
def solve_upper(factor, b, k):
    """Solve U x = b[:k] in place."""
    room = _room(factor)
    for i in range(k - 1, -1, -1):
        start = diagonal(room, i)
        row, rest = factor[start + 1 : start + k - i], b[i + 1 : k]
        total = 0.0
        for c in range(k - i - 1):
            total += row[c] * rest[c]
        b[i] = (b[i] - total) / factor[start]


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
def _solve_lower_together(factor, b, k):
    """Solve U' X = B in place, for B of shape (k, m): a panel of columns of U after another.

    What the rows above contribute to a panel is a matrix product.
    """
    room, m = _room(factor), b.shape[1]
    packed, product = np.empty(_PANEL * k), np.empty((_PANEL, m))
    for first in range(0, k, _PANEL):
        width = min(_PANEL, k - first)
        if first:
            panel = packed[: first * width].reshape(first, width)
            for i in range(first):
                start = diagonal(room, i) + first - i
                row, known = panel[i], factor[start : start + width]
                for c in range(width):
                    row[c] = known[c]
            np.dot(panel.T, b[:first], product[:width])
        for j in range(width):
            value = b[first + j]
            if first:
                known = product[j]
                for c in range(m):
                    value[c] -= known[c]
            i = 0
            while i + 4 <= j:
                a0, a1, a2, a3 = b[first + i], b[first + i + 1], b[first + i + 2], b[first + i + 3]
                u0 = factor[diagonal(room, first + i) + j - i]
                u1 = factor[diagonal(room, first + i + 1) + j - i - 1]
                u2 = factor[diagonal(room, first + i + 2) + j - i - 2]
                u3 = factor[diagonal(room, first + i + 3) + j - i - 3]
                for c in range(m):
                    value[c] -= (u0 * a0[c] + u1 * a1[c]) + (u2 * a2[c] + u3 * a3[c])
                i += 4
            while i < j:
                u, known = factor[diagonal(room, first + i) + j - i], b[first + i]
                for c in range(m):
                    value[c] -= u * known[c]
                i += 1
            scale = 1.0 / factor[diagonal(room, first + j)]
            for c in range(m):
                value[c] *= scale


@kernel(fastmath=REASSOCIATE)
def append_together(factor, active, k, gram, l2, columns, b):
    """Extend the factor by ``columns[:b]``; return whether all are independent of what is there.

    If they are not, the factor of the first k columns is as it was.
    """
    new = np.empty((k, b))
    for i in range(k):
        row, known = new[i], gram[active[i]]
        for c in range(b):
            row[c] = known[columns[c]]
    _solve_lower_together(factor, new, k)
    rest = np.zeros((b, b))  # lower triangle of the Schur complement, then its factor
    if k:
        np.dot(new.T, new, rest)
    for c in range(b):
        known = gram[columns[c]]
        for d in range(c + 1):
            rest[c, d] = known[columns[d]] - rest[c, d]
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
        start, row = diagonal(room, i) + k - i, new[i]
        known = factor[start : start + b]
        for c in range(b):
            known[c] = row[c]
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
