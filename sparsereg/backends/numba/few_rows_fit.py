"""A single fit on data of few rows: down to its bounds in one call.

The bounds come down in levels, as in :mod:`sparsereg.solvers.working_set`. How the gradient changed
with the last level tells at which level each column will reach its bound, and so how far the next
level can be without many of them; these enter the pool, the homotopy goes there, and one pass over
X shows the gradient. Only the last level has to be right, which its duality gap shows: columns
that were missing before enter late.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.few_rows_pool import (
    FIRST_ROOM,
    all_gradients,
    copy,
    keep_near,
    residuals_of,
    room_for,
    take,
    take_in,
    widened,
    width_for,
)
from sparsereg.backends.numba.gap import dual_gap
from sparsereg.backends.numba.homotopy import DONE, follow
from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.reach import dot

# A level is at least this share of the last one, and at most the other, unless it is the final one,
# to which there is no step smaller than this.
_STEEPEST, _FLATTEST, _FINAL = 0.5, 0.9, 1.1
# A level brings in so many new columns; so many where it is not known yet how the gradient changes.
_MOST_NEW, _MOST_AT_FIRST = 24, 32
# The level between them is found to one part in so many powers of two.
_HALVINGS = 6
# Columns are taken in that are expected to come this near their bound.
_NEARLY = 0.97
# Those at zero that are expected below this share leave, if they are such a share of the pool.
_FAR, _FAR_SHARE = 0.85, 0.1
# Changes of the active set, per column of the pool, beyond which the homotopy is cycling.
_EVENTS_PER_FEATURE = 10


@kernel()
def descend(
    X, row_step, column_step, weights, means, sqnorms, y, centered, l1, l2, positive, max_rank,
    coef, residual, gradient, good_start, goal, noise, scale_y, gaps, events, sizes,
):  # fmt: skip
    """Solve from a point on, whatever it is.

    Parameters
    ----------
    X : ndarray of shape (n p,)
        The memory of X, in either order: ``x_ij`` is at ``i * row_step + j * column_step``.
    row_step, column_step : int
    weights, y : ndarray of shape (n,)
        The weights add up to n; y is centered if there is an intercept.
    means, sqnorms : ndarray of shape (p,)
        Of the columns.
    centered : bool
    l1, l2 : ndarray of shape (p,)
        Strengths; l1 is positive, and infinite where a coefficient may not move.
    positive : bool
    max_rank : int
    coef, residual, gradient : ndarray of shape (p,), (n,), (p,)
        The starting point; overwritten by the solution.
    good_start, goal : float
        The gap with which the starting point is left as it is, and the one to reach.
    noise, scale_y : float
        How :mod:`sparsereg.solvers.duality` measures rounding.
    gaps, events, sizes : ndarray of shape (1 + K,)
        Take the gap at the start and after each of at most K passes that is at the final level, the
        changes of the active set until then, and how many columns were in the pool.

    Returns
    -------
    int
        Number of gaps; 0 if the goal was not reached.
    """
    n, p = y.shape[0], means.shape[0]
    x = (X, row_step, column_step)
    ridge = l2[0] > 0.0
    for j in range(p):
        ridge |= l2[j] > 0.0
    most = room_for(n, p)
    room = min(FIRST_ROOM, most)
    pool, inside = np.empty(room, dtype=np.int64), np.zeros(p, dtype=np.bool_)
    rows, gram = np.empty((room, width_for(n))), np.empty((room, room))
    rank = room if ridge else max_rank
    factor, active = np.empty(rank * (rank + 1) // 2), np.zeros(rank, dtype=np.int64)
    sign, n_active = np.zeros(room), np.int64(-1)
    expected = np.empty(p)
    wanted, reach = np.empty(p, np.int64), np.empty(p)
    last, gradients, left = np.zeros(p), np.empty((1, p)), np.empty((1, n))
    weighted, m, n_events = np.empty((1, n)), np.int64(0), np.int64(0)
    level, last_level = 1.0, np.inf
    sq_residual = 0.0
    for i in range(n):
        weighted[0, i] = weights[i] * residual[i]
        sq_residual += weighted[0, i] * residual[i] / n
    for j in range(p):
        size = gradient[j] if positive else abs(gradient[j])
        level = max(level, size / l1[j])
    if not level < np.inf:
        return 0

    passes, n_seen = 0, 0
    while True:
        # 1. the gap
        if passes == 0 or level == 1.0:
            gap, _ = dual_gap(
                coef, gradient, 1.0, l1, l2, sqnorms, positive, sq_residual, scale_y, noise, wanted
            )
            gaps[n_seen], events[n_seen], sizes[n_seen] = gap, n_events, m
            n_seen += 1
            if gap <= (goal if passes else good_start):
                return n_seen
        if passes == gaps.shape[0] - 1:
            return 0
        passes += 1
        # 2. the next level, and the columns that are expected to matter there
        before = level
        level, n_wanted = _choose(
            coef, gradient, last, level, last_level, l1, positive, inside, wanted, reach, expected
        )
        if before == 1.0 and n_wanted == 0 and passes > 1:
            return 0  # rounding
        if before > level:
            last_level = before
        m = keep_near(
            pool, m, inside, rows, gram, active, sign, n_active, expected, coef, l1, _FAR,
            _FAR_SHARE,
        )  # fmt: skip
        if m + n_wanted > most:
            return 0
        if m + n_wanted > pool.shape[0]:
            pool, rows, gram, sign = widened(pool, rows, gram, sign, m, m + n_wanted, most)
            if ridge:
                rank, n_active = pool.shape[0], np.int64(-1)
                factor, active = np.empty(rank * (rank + 1) // 2), np.zeros(rank, np.int64)
        take_in(x, weights, means, wanted[:n_wanted], pool, m, inside, rows, gram)
        m += n_wanted
        # 3. the solution on the pool
        columns, slopes = pool[:m], np.empty(m)
        for c in range(m):
            slopes[c] = dot(rows[c, :n], weighted[0]) / n
        coefs, l1_now = np.empty((1, m)), np.empty(m)
        at = coefs[0]
        for c in range(m):
            at[c], l1_now[c] = coef[columns[c]], level * l1[columns[c]]
        status, changes, n_active = follow(
            gram, slopes, at, l1_now, take(l2, columns), np.zeros(m, dtype=np.bool_), positive,
            min(m, rank), _EVENTS_PER_FEATURE * m + 100, 0.0, factor, active, sign, n_active,
        )  # fmt: skip
        if status != DONE:
            return 0
        n_events += changes
        for c in range(m):
            coef[columns[c]] = at[c]
        # 4. what it leaves: a pass over X
        weighted, squares = residuals_of(y, coefs, rows, weights, centered, left)
        all_gradients(x, means, weighted, gradients)
        sq_residual = squares[0]
        copy(left[0], residual)
        copy(gradient, last)
        copy(gradients[0], gradient)


@kernel()
def _choose(
    coef, gradient, last, level, last_level, l1, positive, inside, wanted, reach, expected
):  # fmt: skip
    """Return the next level and how many columns are ``wanted`` there."""
    lowest = _STEEPEST * level
    if lowest < _FINAL:
        lowest = 1.0
    # 1. the columns near their bounds at the lowest level there may be
    rate = 1.0 / (last_level - level) if level > 1.0 else 0.0  # 0 at first
    ahead = rate * (level - lowest)
    n_near = np.int64(0)
    for j in range(coef.shape[0]):
        value = gradient[j] + ahead * (gradient[j] - last[j])
        size = value if positive else abs(value)
        expected[j] = size / lowest
        if inside[j] or not (size >= _NEARLY * lowest * l1[j] or coef[j] != 0.0):
            continue
        wanted[n_near], reach[n_near] = j, np.inf
        if coef[j] == 0.0:  # the level t at which g + slope (level - t) is t l1
            side = 1.0 if value > 0.0 else -1.0
            g, slope = side * gradient[j], side * rate * (gradient[j] - last[j])
            t = (g + slope * level) / (l1[j] + slope) if l1[j] + slope > 0.0 else lowest
            reach[n_near] = level if g >= level * l1[j] else min(max(t, lowest), level)
        n_near += 1
    # 2. a level that few of them reach, by bisection, and those that do
    room = _MOST_NEW if rate > 0.0 else _MOST_AT_FIRST
    new = lowest
    if n_near > room and level > 1.0:
        low, high = lowest, _FLATTEST * level
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            n_beyond = 0
            for c in range(n_near):
                n_beyond += reach[c] >= middle
            if n_beyond > room:
                low = middle
            else:
                high = middle
        new = 1.0 if high < _FINAL else max(high, lowest)
    n_wanted = np.int64(0)
    for c in range(n_near):
        if reach[c] >= _NEARLY * new:
            wanted[n_wanted] = wanted[c]
            n_wanted += 1
    return new, n_wanted
