"""From noisy readings to coefficients that are multiples of a quantum: levels, alignment, peeling.

A query that is read often shows two levels, one for each regression, that are integers (in quanta)
up to noise. Kind 0 of a bin is the sum of all of its members' coefficients, with signs; the others
pick members by a digit of their number or by a random bit, and each has a complement: the two add
up to kind 0, and to the pilot's level, which tells the regressions apart. A bin that holds one
non-zero spells its number. Notation as in :mod:`sparsereg.backends.numba.peeling`.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.sparse_graph import (
    BINARY,
    ODD,
    bin_of,
    check_bit,
    is_member,
    mix,
    sign_of,
    write_signature,
)


@kernel()
def _lattice_singleton(seed, n, n_bits, starts, b, z):
    """Return (j, v) of a bin with one non-zero, v in quanta; j is -1 for what is not one."""
    if z[0] == 0:
        return np.int64(-1), np.int64(0)
    j = np.int64(0)
    for k in range(n_bits):
        if z[1 + k] == z[0]:
            j |= np.int64(1) << k
        elif z[1 + k] != 0:
            return np.int64(-1), np.int64(0)
    if j >= n or not is_member(seed, starts, b, j):
        return np.int64(-1), np.int64(0)
    for v in range(z.size - 1 - n_bits):
        if z[1 + n_bits + v] != z[0] * np.int64(check_bit(seed, v, j)):
            return np.int64(-1), np.int64(0)
    return j, z[0] * np.int64(sign_of(seed, j))


@kernel()
def peel_lattice(seed, n, n_bits, starts, left, visible, feature, ball_color, value, found):
    """Peel bins of integers; return (number of balls, sweeps).

    ``left``, of shape (bins, colors, 1 + digits), is what the first kinds of query say of the bins,
    in quanta, and becomes what is not explained; only ``visible`` (bins, colors) is looked at.
    ``found`` is a free table, a power of 2, filled with -1.
    """
    n_bins, n_colors, n_kinds = left.shape
    mask = np.uint64(found.size - 1)
    signature = np.empty(2 * n_kinds - 1)
    n_balls = sweeps = np.int64(0)
    changed = True
    while changed:
        changed = False
        sweeps += 1
        for b in range(n_bins):
            for c in range(n_colors):
                if not visible[b, c]:
                    continue
                j, v = _lattice_singleton(seed, n, n_bits, starts, b, left[b, c])
                if j < 0 or n_balls == feature.size:
                    continue
                key = j * n_colors + c
                at = mix(np.uint64(key) * ODD) & mask
                while found[at] >= 0 and found[at] != key:
                    at = (at + np.uint64(1)) & mask
                if found[at] >= 0:
                    continue
                found[at] = key
                feature[n_balls], ball_color[n_balls], value[n_balls] = j, c, v
                n_balls += 1
                changed = True
                write_signature(BINARY, seed, n, n_bits, j, signature)
                for stage in range(starts.size - 1):
                    at_bin = bin_of(seed, starts, stage, j)
                    for q in range(n_kinds):
                        left[at_bin, c, q] -= v * np.int64(signature[q])
    return n_balls, sweeps


@kernel()
def two_levels(readings, sigma, weight, levels, gaps):
    """Write the two integers that most likely are the means of each row of readings.

    Of a reading, the first integer is the mean with probability ``weight``, else the second;
    ``sigma`` is the standard deviation, all in quanta. ``gaps`` gets the log-likelihood by which
    the pair beats all others. Integers far from every reading are not tried.
    """
    n_rows, n_reads = readings.shape
    reach = 3.5 * sigma + 0.5
    for row in range(n_rows):
        y = readings[row]
        low, high = np.int64(np.floor(y.min())), np.int64(np.ceil(y.max()))
        near = np.empty(high - low + 1, dtype=np.int64)
        n_near = np.int64(0)
        for a in range(low, high + 1):
            for s in range(n_reads):
                if abs(y[s] - a) <= reach:
                    near[n_near] = a
                    n_near += 1
                    break
        density = np.empty((n_near, n_reads))
        for i in range(n_near):
            for s in range(n_reads):
                density[i, s] = np.exp(-0.5 * ((y[s] - near[i]) / sigma) ** 2) + 1e-300
        best, second = -np.inf, -np.inf
        for i in range(n_near):
            for k in range(n_near):
                if k < i and weight == 0.5:
                    continue
                total = 0.0
                for s in range(n_reads):
                    total += np.log(weight * density[i, s] + (1.0 - weight) * density[k, s])
                if total > best:
                    best, second = total, best
                    levels[row, 0], levels[row, 1] = near[i], near[k]
                elif total > second:
                    second = total
        gaps[row] = best - second


@kernel()
def align(levels, offsets, contents, visible):
    """Tell the two colors of each bin apart by its sums.

    ``levels``, of shape (bins, kinds, 2), are the two means of each kind of query, in any order:
    kind 0, then as many digits as complements of them. Color l has
    digit + complement - kind 0 = offsets[l]. Where exactly one assignment fits all of them,
    ``contents`` (bins, colors, 1 + digits) gets the means less the offset, and ``visible`` is true.
    """
    n_digits = (levels.shape[1] - 1) // 2
    tried = np.empty((2, n_digits + 1), dtype=np.int64)
    for b in range(levels.shape[0]):
        n_fits = 0
        for swap in range(2):
            zero, one = levels[b, 0, swap], levels[b, 0, 1 - swap]
            if swap == 1 and zero == one:
                break
            tried[0, 0], tried[1, 0] = zero - offsets[0], one - offsets[1]
            fits = True
            for k in range(1, n_digits + 1):
                digit, rest = levels[b, k], levels[b, n_digits + k]
                ways = 0
                for i in range(2):
                    if i == 1 and digit[0] == digit[1]:
                        break
                    for h in range(2):
                        if h == 1 and rest[0] == rest[1]:
                            break
                        first = digit[i] + rest[h] - zero == offsets[0]
                        if first and digit[1 - i] + rest[1 - h] - one == offsets[1]:
                            ways += 1
                            tried[0, k] = digit[i] - offsets[0]
                            tried[1, k] = digit[1 - i] - offsets[1]
                if ways != 1:
                    fits = False
                    break
            if fits:
                n_fits += 1
                contents[b] = tried
        visible[b, :] = n_fits == 1
