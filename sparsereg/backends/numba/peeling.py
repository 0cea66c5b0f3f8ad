"""From readings to coefficients: consistent sets, singletons, colors, peeling.

A *set* (bin, u, w) is what one regression says of a bin: u = sum a_j v_j and w = sum a_j t_j v_j
over its non-zeros v_j among the members. It is *consistent* if u + w was read, too. A *singleton*
has one of them: w / u is then the address of j, which must be a member of the bin, and v = u / a_j.
A *ball* is a found pair (j, v), its *color* the regression it belongs to.

*Peeling* takes every found ball off the bins it lies in; what is left may be another singleton. It
goes in rounds, whose result does not depend on the order of bins within them. Sets of unknown color
are tried against each color of which a ball is known in their bin.

Every quantity carries the standard error that rounding has given it, so that "zero" and "an
integer address" have a meaning at every size of the problem.

Source: Yin, Pedarsani, Chen and Ramchandran, "Learning mixtures of sparse linear regressions using
sparse graph codes", IEEE Trans. Inf. Theory 65(3), 2019; real addresses in place of roots of unity.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.sparse_graph import (
    ODD,
    address_of,
    bin_of,
    is_member,
    mix,
    weight_of,
)

# Standard errors that count as zero, and the coarsest address that is still read as an integer.
_SIGMAS, _COARSEST = 8.0, 0.05
OPEN = -1


@kernel()
def _distinct(values, tol, out):
    """Write the values that differ by more than tol, ascending; return how many."""
    k = np.int64(0)
    for x in values:
        place = np.int64(k)
        known = False
        for i in range(k):
            if abs(out[i] - x) <= tol:
                known = True
                break
            if out[i] > x:
                place = np.int64(i)
                break
        if known or (place > 0 and abs(out[place - 1] - x) <= tol):
            continue
        for i in range(k, place, -1):
            out[i] = out[i - 1]
        out[place] = x
        k += 1
    return k


@kernel()
def _distance(values, k, x):
    """Return how far x is from the nearest of the first k values."""
    nearest = np.inf
    for i in range(k):
        nearest = min(nearest, abs(values[i] - x))
    return nearest


@kernel()
def read_sets(readings, n_repeats, offsets, tol, pairs, indptr, color, u, w, misfit):
    """Write the sets of every bin; return how many there are, written or not.

    ``readings``, of shape (bins, rows per bin), holds the first query n_repeats times, the second
    as often, and their sum in the rest. A set of color l is consistent if u + w - sum is
    offsets[l]; what is written is (u - offset, w - offset). With ``pairs``, a color without a
    consistent set in a bin gets every set that two of the three kinds of readings make up: it is
    peeling that finds the right one. ``misfit`` gets the number of consistent sets of each bin that
    are not empty, the sum of squares by which they miss the offset, and the number of distinct
    readings of the first query. Arrays that are too short are filled as far as they reach.
    """
    n_bins, n_rows = readings.shape
    first, second = np.empty(n_repeats), np.empty(n_repeats)
    total = np.empty(n_rows - 2 * n_repeats)
    n_sets = np.int64(0)
    for b in range(n_bins):
        indptr[b] = n_sets
        n_first = _distinct(readings[b, :n_repeats], tol, first)
        n_second = _distinct(readings[b, n_repeats : 2 * n_repeats], tol, second)
        n_total = _distinct(readings[b, 2 * n_repeats :], tol, total)
        misfit[b, 0], misfit[b, 1], misfit[b, 2] = 0.0, 0.0, np.float64(n_first)
        for c in range(offsets.size):
            offset = offsets[c]
            begin = n_sets
            empty = False
            for i in range(n_first):
                for k in range(n_second):
                    x, y = first[i] - offset, second[k] - offset
                    off = _distance(total, n_total, x + y + offset)
                    if off > tol:
                        continue
                    # nothing of this color in the bin: what else seems to fit is a coincidence
                    if abs(x) <= tol and abs(y) <= tol:
                        empty = True
                    else:
                        misfit[b, 0] += 1.0
                        misfit[b, 1] += off**2
                    if n_sets < u.size:
                        color[n_sets], u[n_sets], w[n_sets] = c, x, y
                    n_sets += 1
            if empty and offsets.size == 1:
                n_sets -= 1
                for s in range(begin, min(n_sets, u.size - 1)):
                    if abs(u[s]) <= tol and abs(w[s]) <= tol:
                        u[s], w[s] = u[n_sets], w[n_sets]
            elif empty:
                if begin < u.size:
                    color[begin], u[begin], w[begin] = c, 0.0, 0.0
                n_sets = begin + 1
            if not pairs or n_sets > begin:
                continue
            for i in range(n_first):
                for k in range(n_second):
                    if n_sets < u.size:
                        color[n_sets] = c
                        u[n_sets], w[n_sets] = first[i] - offset, second[k] - offset
                    n_sets += 1
            for s in range(n_total):
                for i in range(n_first):
                    if n_sets < u.size:
                        color[n_sets] = c
                        u[n_sets], w[n_sets] = first[i] - offset, total[s] - first[i]
                    n_sets += 1
                for k in range(n_second):
                    if n_sets < u.size:
                        color[n_sets] = c
                        u[n_sets], w[n_sets] = total[s] - second[k], second[k] - offset
                    n_sets += 1
    indptr[n_bins] = n_sets
    return n_sets


@kernel()
def _singleton(seed, n, starts, b, u, w, error):
    """Return (j, v, standard error of v, error of the address); j is -1 for what is not one.

    ``error`` is the standard error of u; that of w is twice as large.
    """
    if abs(u) <= _SIGMAS * error:
        return np.int64(-1), 0.0, 0.0, 0.0
    bound = _SIGMAS * 4.0 * error / abs(u) * n
    x = (w / u - 1.0) * (n + 1.0) - 1.0
    j = np.int64(-1)
    if bound <= _COARSEST and -0.5 < x < n - 0.5:
        nearest = np.int64(np.rint(x))
        if abs(x - nearest) <= bound and is_member(seed, starts, b, nearest):
            j = nearest
    if j < 0:
        return j, 0.0, 0.0, 0.0
    a = weight_of(seed, j)
    return j, u / a, error / abs(a), bound


@kernel()
def _is_zero(u, w, error):
    return abs(u) <= _SIGMAS * error and abs(w) <= 2.0 * _SIGMAS * error


@kernel()
def _slot(table, key, keys):
    """Return where a key is, or is to be put, in a table of positions in keys (-1: free)."""
    mask = np.uint64(table.size - 1)
    at = mix(np.uint64(key) * ODD) & mask
    while table[at] >= 0 and keys[table[at]] != key:
        at = (at + np.uint64(1)) & mask
    return at


@kernel()
def _place(
    seed, n, starts, feature, ball_color, value, error, first, last, totals, variance, counts,
    waiting,
):  # fmt: skip
    """Take the balls first to last - 1 off their bins, which wait to be read again."""
    for k in range(first, last):
        j, c = feature[k], ball_color[k]
        a = weight_of(seed, j)
        moved, spread = a * value[k], (a * error[k]) ** 2
        for stage in range(starts.size - 1):
            b = bin_of(seed, starts, stage, j)
            totals[c, b, 0] += moved
            totals[c, b, 1] += moved * address_of(n, j)
            variance[c, b] += spread
            counts[c, b] += 1
            waiting[b] = True


@kernel()
def peel(
    seed, n, starts, indptr, color, u, w, tol, totals, variance, counts,
    feature, ball_color, value, error, address, n_known, told, table, keys, state, waiting,
):  # fmt: skip
    """Peel until nothing changes; return (number of balls, conflicts, updates of bins).

    In rounds: every open set of the bins that wait is read by what was known when the round began,
    and of several sets that find the same ball the first one has it. So neither the order in which
    sets are read nor the number of processors that read them matters.

    ``totals`` (colors, bins, 2), ``variance`` and ``counts`` (colors, bins) start at zero. The
    first ``n_known`` balls are given and distinct; new ones are written behind them. With ``told``
    the colors of sets are known; else a set is tried against those that its bin has a known ball
    of. ``table`` (a power of 2, filled with -1) and ``keys`` remember the balls. ``state`` of a set
    becomes the color by which it is explained, or stays OPEN.
    """
    n_colors, n_bins = counts.shape
    conflicts = updates = np.int64(0)
    placed, n_balls = np.int64(0), np.int64(n_known)
    for k in range(n_known):
        keys[k] = feature[k] * n_colors + ball_color[k]
        table[_slot(table, keys[k], keys)] = k
    waiting[:] = told
    while True:
        # 1. take the new balls off their bins
        _place(
            seed, n, starts, feature, ball_color, value, error, placed, n_balls, totals, variance,
            counts, waiting,
        )  # fmt: skip
        placed = n_balls
        if n_balls == feature.size or not waiting.any():
            return n_balls, conflicts, updates
        # 2. read the open sets of these bins
        for b in range(n_bins):
            if not waiting[b]:
                continue
            waiting[b] = False
            updates += 1
            for s in range(indptr[b], indptr[b + 1]):
                if state[s] != OPEN:
                    continue
                for c in range(n_colors):
                    if (color[s] != c) if told else (counts[c, b] == 0):
                        continue
                    ru, rw = u[s] - totals[c, b, 0], w[s] - totals[c, b, 1]
                    sigma = np.sqrt(tol**2 + variance[c, b])
                    if _is_zero(ru, rw, sigma):
                        state[s] = c
                        break
                    j, v, v_error, bound = _singleton(seed, n, starts, b, ru, rw, sigma)
                    if j < 0:
                        continue
                    key = j * n_colors + c
                    at = _slot(table, key, keys)
                    if 0 <= table[at] < placed:
                        # of unknown color: another color's value at a feature that both have
                        conflicts += told
                        continue
                    if table[at] < 0 and n_balls < feature.size:
                        keys[n_balls] = key
                        table[at] = n_balls
                        feature[n_balls], ball_color[n_balls] = j, c
                        value[n_balls], error[n_balls], address[n_balls] = v, v_error, bound
                        n_balls += 1
                    break


@kernel()
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel()
def _node(table, keys, node_value, node_error, j, v, v_error, n_nodes, create):
    """Return the node of ball (j, v): an old one, n_nodes if it is new, or -1."""
    mask = np.uint64(table.size - 1)
    at = mix(np.uint64(j) * ODD) & mask
    while table[at] >= 0:
        k = table[at]
        if keys[k] == j and abs(node_value[k] - v) <= _SIGMAS * (node_error[k] + v_error):
            return np.int64(k)
        at = (at + np.uint64(1)) & mask
    if not create or n_nodes == keys.size:
        return np.int64(-1)
    table[at] = n_nodes
    return np.int64(n_nodes)


@kernel()
def color_graph(
    seed, n, starts, indptr, u, w, tol, semi, feature, value, error, address,
    parent, heads, links, table,
):  # fmt: skip
    """Find the balls that are singletons somewhere, and join those of the same color.

    Two balls have the same color if a set is their sum: a strong doubleton; with ``semi``, one of
    them may be seen there for the first time. ``parent`` becomes their union-find forest. Returns
    the number of balls.
    """
    n_nodes = np.int64(0)
    n_stages = starts.size - 1
    for only_singletons in (True, False):
        grown = True
        while grown:
            before = n_nodes
            for b in range(indptr.size - 1):
                for s in range(indptr[b], indptr[b + 1]):
                    if _is_zero(u[s], w[s], tol):
                        continue
                    j, v, v_error, bound = _singleton(seed, n, starts, b, u[s], w[s], tol)
                    partner = np.int64(-1)
                    if only_singletons != (j >= 0):
                        continue
                    if j < 0:
                        entry = heads[b]
                        while entry >= 0 and j < 0:
                            partner = entry // n_stages
                            a = weight_of(seed, feature[partner])
                            moved = a * value[partner]
                            t = address_of(n, feature[partner])
                            sigma = np.sqrt(tol**2 + (a * error[partner]) ** 2)
                            j, v, v_error, bound = _singleton(
                                seed, n, starts, b, u[s] - moved, w[s] - moved * t, sigma
                            )
                            if j == feature[partner]:
                                j = np.int64(-1)
                            entry = links[entry]
                        if j < 0:
                            continue
                    k = _node(
                        table, feature, value, error, j, v, v_error, n_nodes,
                        semi or only_singletons,
                    )  # fmt: skip
                    if k < 0:
                        continue
                    if k == n_nodes:
                        feature[k], value[k], error[k], address[k] = j, v, v_error, bound
                        parent[k] = k
                        for stage in range(n_stages):
                            place = bin_of(seed, starts, stage, j)
                            links[k * n_stages + stage] = heads[place]
                            heads[place] = k * n_stages + stage
                        n_nodes += 1
                    if partner >= 0:
                        one, other = _root(parent, partner), _root(parent, k)
                        parent[max(one, other)] = min(one, other)
            grown = bool(semi and not only_singletons and n_nodes > before)
    for k in range(n_nodes):
        parent[k] = _root(parent, k)
    return n_nodes
