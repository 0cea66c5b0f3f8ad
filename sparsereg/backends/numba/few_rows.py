"""Paths on data of few rows: what :mod:`sparsereg.solvers.look_ahead` does, in one call.

With few rows some hundred columns matter at a time, and a pass over X takes less than the calls
that lead to it. The steps are the same: columns are taken into the pool by what the gradient
is expected to be, the homotopy visits several alphas, their residuals and gradients come from X,
and each alpha is accepted by its duality gap.

The pool lies here as rows: ``rows[k]`` is column ``pool[k]`` of X, centered, and ``gram`` has the
products ``sum_i s_i rows[k, i] rows[l, i] / n``.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.gap import dual_gaps
from sparsereg.backends.numba.homotopy import DONE, follow
from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.multi_task import xtv_columns_tasks
from sparsereg.backends.numba.reach import within_reach

# Room for so many columns in the pool, and for so many per row more.
_ROOM, _ROOM_PER_ROW = 250, 8
# Changes of the active set, per column of the pool, beyond which the homotopy is cycling.
_EVENTS_PER_FEATURE = 10


@kernel()
def room_for(n, p):
    """Return how many columns the pool has room for."""
    return min(p, _ROOM + _ROOM_PER_ROW * n)


@kernel()
def follow_path(
    X, weights, means, sqnorms, y, centered, l1, l2, may_move, positive, max_rank,
    levels, at_once, last_levels, last_residuals, last_gradients, coef, rules, goal, noise, scale_y,
    starts, features, values, residuals, gaps, events,
):  # fmt: skip
    """Solve at one level after another, as long as all goes well.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    weights, y : ndarray of shape (n,)
        The weights add up to n; y is centered if there is an intercept.
    means, sqnorms, l1, l2 : ndarray of shape (p,)
        Of the columns; their strengths at level 1.
    centered : bool
    may_move : ndarray of bool of shape (p,)
    positive : bool
    max_rank : int
    levels : ndarray of shape (K,)
        Decreasing.
    at_once : int
        How many to try first.
    last_levels : ndarray of shape (2,)
        Where the solution is known, decreasing.
    last_residuals, last_gradients : ndarray of shape (2, n), (2, p)
        What it leaves there; overwritten by those of the last levels solved.
    coef : ndarray of shape (p,)
        The last solution; overwritten.
    rules : tuple
        ``nearly, far, far_share, inside, most_at_once, attempts, few`` of the drivers.
    goal, noise, scale_y : float
        The gap to reach; how :mod:`sparsereg.solvers.duality` measures rounding.
    starts, features, values : ndarray of shape (K + 1,), (K m,), (K m,)
        Take the nonzero coefficients, one solution after another; m is the largest support.
    residuals, gaps, events : ndarray of shape (K, n), (K,), (K,)
        Take those of each solution.

    Returns
    -------
    int
        Number of levels that were solved.
    """
    nearly, far, far_share, inside_share, most_at_once, attempts, few = rules
    n, p = X.shape
    K = levels.shape[0]
    ridge = l2.any()
    room = room_for(n, p)
    pool, inside = np.empty(room, dtype=np.int64), np.zeros(p, dtype=np.bool_)
    rows, gram = np.empty((room, n)), np.empty((room, room))
    rank = room if ridge else max_rank
    factor, active = np.empty(rank * (rank + 1) // 2), np.zeros(rank, dtype=np.int64)
    sign, n_active = np.zeros(room), np.int64(-1)
    roots, lengths = np.sqrt(weights), np.sqrt(sqnorms)
    known, known_gradients = np.empty((4, n)), np.empty((4, p))
    everything, expected = np.arange(p), np.empty(p)
    wanted = np.empty(p, dtype=np.int64)
    m, done = np.int64(0), np.int64(0)
    starts[0] = 0

    while done < K:
        left = min(at_once, most_at_once, K - done)
        at_once = min(2 * at_once, most_at_once)
        # 1. the columns that will matter at the last of these levels
        target = levels[done + left - 1]
        ahead = (target - last_levels[1]) / (last_levels[1] - last_levels[0])
        for j in range(p):
            expected[j] = (1.0 + ahead) * last_gradients[1, j] - ahead * last_gradients[0, j]
        n_kept = _keep_near(
            pool, m, inside, rows, gram, active, sign, n_active, expected, coef, far * target * l1,
            positive, far_share,
        )  # fmt: skip
        m, n_wanted = n_kept, 0
        for j in range(p):
            size = expected[j] if positive else abs(expected[j])
            near = size > nearly * target * l1[j] or coef[j] != 0.0
            if near and may_move[j] and not inside[j]:
                wanted[n_wanted] = j
                n_wanted += 1
        for _ in range(attempts):
            if m + n_wanted > room:
                return done
            _take_in(X, weights, means, wanted[:n_wanted], pool, m, inside, rows, gram)
            m += n_wanted
            # 2. down the levels, by the homotopy on the pool
            now = levels[done : done + left]
            free, bound, weight = np.zeros(m, dtype=np.bool_), l1[pool[:m]], l2[pool[:m]]
            at = coef[pool[:m]]
            slopes = np.dot(rows[:m], weights * last_residuals[1]) / n
            coefs = np.empty((left, m))
            walked = 0
            for k in range(left):
                if ridge:  # another factor for each level
                    n_active = np.int64(-1)
                status, events[done + k], n_active = follow(
                    gram, slopes, at, now[k] * bound, now[k] * weight, free, positive,
                    min(m, rank), _EVENTS_PER_FEATURE * m + 100, 0.0, factor, active, sign,
                    n_active,
                )  # fmt: skip
                if status != DONE:
                    break
                coefs[k] = at
                walked += 1
            if walked == 0:
                return done
            # 3. what they leave, and the gradients of the last two: a pass over X
            found = residuals[done : done + walked]
            found[:] = -np.dot(coefs[:walked], rows[:m])
            weighted, sq_residuals = np.empty((walked, n)), np.empty(walked)
            for k in range(walked):
                found[k] += y
                if centered:
                    found[k] -= np.dot(weights, found[k]) / n
                weighted[k] = weights * found[k]
                sq_residuals[k] = np.dot(weighted[k], found[k]) / n
            first = max(walked - 2, 0)
            n_ends = walked - first
            known_gradients[2:] = last_gradients
            _gradients(X, means, weighted[first:], everything, known_gradients[:n_ends])
            # 4. the columns within reach between, and the gap at each level
            known[:n_ends] = roots * found[first:]
            known[2:] = roots * last_residuals
            if n_ends == 1:
                known[1], known_gradients[1] = known[3], known_gradients[3]
            used = 2 + n_ends
            reached = within_reach(
                known[:used], known_gradients[:used], roots * found, lengths,
                inside_share * now[:walked], l1, positive, noise,
            )  # fmt: skip
            n_others = 0
            for j in range(p):
                if reached[j] and may_move[j] and not inside[j]:
                    wanted[n_others] = j
                    n_others += 1
            others = wanted[:n_others].copy()
            seen = np.concatenate((pool[:m], others))
            seen_coefs = np.zeros((walked, m + n_others))
            seen_gradients = np.empty((walked, m + n_others))
            seen_coefs[:, :m] = coefs[:walked]
            seen_gradients[:, :m] = np.dot(weighted, rows[:m].T) / n
            if n_others:
                outside = np.empty((walked, n_others))
                _gradients(X, means, weighted, others, outside)
                seen_gradients[:, m:] = outside
            of_levels, scales = dual_gaps(
                seen_coefs, seen_gradients, now[:walked], l1[seen], l2[seen], sqnorms[seen],
                positive, sq_residuals, scale_y, noise,
            )  # fmt: skip
            # 5. those that are right
            n_right = 0
            while n_right < walked and (
                of_levels[n_right] <= goal and scales[n_right] * inside_share <= 1.0
            ):
                gaps[done + n_right] = of_levels[n_right]
                end = starts[done + n_right]
                for c in range(m):
                    if coefs[n_right, c] != 0.0:
                        if end == features.shape[0]:
                            return done
                        features[end], values[end] = pool[c], coefs[n_right, c]
                        end += 1
                starts[done + n_right + 1] = end
                n_right += 1
            for k in range(max(n_right - 2, 0), n_right):
                if k < first and k < n_right - 1:
                    continue  # its gradient is not known, and not needed
                last_levels[0], last_residuals[0] = last_levels[1], last_residuals[1]
                last_gradients[0] = last_gradients[1]
                last_levels[1], last_residuals[1] = now[k], found[k]
                if k >= first:
                    last_gradients[1] = known_gradients[k - first]
                else:
                    _gradients(X, means, weighted[k : k + 1], everything, last_gradients[1:])
            if n_right:
                coef[pool[:m]] = coefs[n_right - 1]
            done += n_right
            left -= n_right
            if left == 0:
                break
            # 6. what the others lacked
            n_active, n_wanted = np.int64(-1), 0
            for c in range(n_others):
                for k in range(n_right, walked):
                    size = seen_gradients[k, m + c]
                    if (size if positive else abs(size)) > now[k] * l1[others[c]]:
                        wanted[n_wanted] = others[c]
                        n_wanted += 1
                        break
            if not 0 < n_wanted <= max(few, m):
                return done
        if left > 0:
            return done
    return done


@kernel()
def _take_in(X, weights, means, new, pool, m, inside, rows, gram):
    """Append columns to the pool that has m of them."""
    if not new.shape[0]:
        return
    n = X.shape[0]
    size = m + new.shape[0]
    for c in range(new.shape[0]):
        j = new[c]
        pool[m + c], inside[j] = j, True
        row, mean = rows[m + c], means[j]
        for i in range(n):
            row[i] = X[i, j] - mean
    block = np.dot(weights * rows[m:size], rows[:size].T) / n
    gram[m:size, :size] = block
    gram[:m, m:size] = block[:, :m].T
    for c in range(m, size):  # symmetric to the bit
        for d in range(m, c):
            gram[d, c] = gram[c, d]


@kernel()
def _keep_near(
    pool, m, inside, rows, gram, active, sign, n_active, expected, coef, bounds, positive, far_share
):  # fmt: skip
    """Drop columns at zero that are far from their bound, if they are many; return how many stay.

    The active columns are found at their new positions.
    """
    kept = np.empty(m, dtype=np.int64)
    moved = np.full(m, -1)
    size = 0
    for c in range(n_active):
        moved[active[c]] = 0
    for c in range(m):
        j = pool[c]
        value = expected[j] if positive else abs(expected[j])
        if coef[j] != 0.0 or moved[c] == 0 or value >= bounds[j]:
            kept[size] = c
            moved[c] = size
            size += 1
    if m - size <= far_share * m:
        return m
    for c in range(m):
        inside[pool[c]] = False
    for c in range(size):
        old = kept[c]
        pool[c], rows[c], sign[c] = pool[old], rows[old], sign[old]
        inside[pool[c]] = True
        for d in range(size):
            gram[c, d] = gram[old, kept[d]]
    for c in range(n_active):
        active[c] = moved[active[c]]
    return size


@kernel()
def _gradients(X, means, weighted, columns, out):
    """Put X_c[:, columns]' (s r) / n for the rows s r of ``weighted`` into the rows of out."""
    n = X.shape[0]
    xtv_columns_tasks(X, weighted, columns, 0, columns.shape[0], out)
    for k in range(weighted.shape[0]):
        total = weighted[k].sum()
        row = out[k]
        for c in range(columns.shape[0]):
            row[c] = (row[c] - means[columns[c]] * total) / n
