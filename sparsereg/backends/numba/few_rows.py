"""Paths on data of few rows: what :mod:`sparsereg.solvers.look_ahead` does, in one call.

With few rows some hundred columns matter at a time, and a pass over X takes less than the calls
that lead to it. The steps are the same: columns are taken into the pool by what the gradient
is expected to be, the homotopy visits several alphas, their residuals and gradients come from X,
and each alpha is accepted by its duality gap.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.few_rows_pool import (
    FIRST_ROOM,
    all_gradients,
    copy,
    gradients_of,
    keep_near,
    residuals_of,
    room_for,
    take,
    take_in,
    widened,
    width_for,
)
from sparsereg.backends.numba.gap import dual_gaps
from sparsereg.backends.numba.homotopy import DONE, follow
from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.reach import dot, within_reach

# Changes of the active set, per column of the pool, beyond which the homotopy is cycling.
_EVENTS_PER_FEATURE = 10


@kernel()
def follow_path(
    X, row_step, column_step, weights, means, sqnorms, y, centered, l1, l2, may_move, positive,
    max_rank, levels, at_once, last_levels, last_residuals, last_gradients, coef, rules, goal,
    noise, scale_y, starts, features, values, residuals, gaps, events,
):  # fmt: skip
    """Solve at one level after another, as long as all goes well.

    Parameters
    ----------
    X : ndarray of shape (n p,)
        The memory of X, in either order: ``x_ij`` is at ``i * row_step + j * column_step``.
    row_step, column_step : int
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
    n, p, K = y.shape[0], means.shape[0], levels.shape[0]
    x = (X, row_step, column_step)
    ridge = l2[0] > 0.0
    lengths, roots = np.empty(p), np.empty(n)
    for j in range(p):
        lengths[j] = np.sqrt(sqnorms[j])
        ridge |= l2[j] > 0.0
    for i in range(n):
        roots[i] = np.sqrt(weights[i])
    most = room_for(n, p)
    room = min(FIRST_ROOM, most)
    pool, inside = np.empty(room, dtype=np.int64), np.zeros(p, dtype=np.bool_)
    rows, gram = np.empty((room, width_for(n))), np.empty((room, room))
    rank = room if ridge else max_rank
    factor, active = np.empty(rank * (rank + 1) // 2), np.zeros(rank, dtype=np.int64)
    sign, n_active = np.zeros(room), np.int64(-1)
    known, known_gradients = np.empty((4, n)), np.empty((4, p))
    wanted, expected = np.empty(p, dtype=np.int64), np.empty(p)
    m, done = np.int64(0), np.int64(0)
    starts[0] = 0

    while done < K:
        left = min(at_once, most_at_once, K - done)
        at_once = min(2 * at_once, most_at_once)
        # 1. the columns that will matter at the last of these levels
        target = levels[done + left - 1]
        ahead = (target - last_levels[1]) / (last_levels[1] - last_levels[0])
        for j in range(p):
            value = (1.0 + ahead) * last_gradients[1, j] - ahead * last_gradients[0, j]
            expected[j] = (value if positive else abs(value)) / target
        m = keep_near(
            pool, m, inside, rows, gram, active, sign, n_active, expected, coef, l1, far, far_share
        )
        n_wanted = 0
        for j in range(p):
            near = expected[j] > nearly * l1[j] or coef[j] != 0.0
            if near and may_move[j] and not inside[j]:
                wanted[n_wanted] = j
                n_wanted += 1
        for _ in range(attempts):
            if m + n_wanted > most:
                return done
            if m + n_wanted > pool.shape[0]:
                pool, rows, gram, sign = widened(pool, rows, gram, sign, m, m + n_wanted, most)
                if ridge:  # whose factor is another one at each level
                    rank = pool.shape[0]
                    factor, active = np.empty(rank * (rank + 1) // 2), np.zeros(rank, np.int64)
            take_in(x, weights, means, wanted[:n_wanted], pool, m, inside, rows, gram)
            m += n_wanted
            columns, now = pool[:m], levels[done : done + left]
            # 2. down the levels, by the homotopy on the pool
            coefs = np.zeros((left, m))
            walked, n_active = _walk(
                rows, gram, take(l1, columns), take(l2, columns), ridge, positive, min(m, rank),
                now, take(coef, columns), weights, last_residuals[1], factor, active, sign,
                n_active, coefs, events[done:],
            )  # fmt: skip
            if walked == 0:
                return done
            now, coefs = now[:walked], coefs[:walked]
            # 3. what they leave, and the gradients of the last two: a pass over X
            found = residuals[done : done + walked]
            weighted, sq_residuals = residuals_of(y, coefs, rows, weights, centered, found)
            first = max(walked - 2, 0)
            n_ends = walked - first
            all_gradients(x, means, weighted[first:], known_gradients)
            # 4. the columns within reach between, and the gap at each level
            for k in range(2):
                end = found[first + k] if k < n_ends else found[first]
                if k == n_ends:
                    copy(known_gradients[0], known_gradients[1])
                copy(last_gradients[k], known_gradients[2 + k])
                for i in range(n):
                    known[k, i] = roots[i] * end[i]
                    known[2 + k, i] = roots[i] * last_residuals[k, i]
            points, bounds = np.empty((walked, n)), np.empty(walked)
            for k in range(walked):
                bounds[k] = inside_share * now[k]
                for i in range(n):
                    points[k, i] = roots[i] * found[k, i]
            reached = within_reach(
                known, known_gradients, points, lengths, bounds, l1, positive, noise
            )
            seen, size = np.empty(p, dtype=np.int64), m
            for c in range(m):
                seen[c] = columns[c]
            for j in range(p):
                if reached[j] and may_move[j] and not inside[j]:
                    seen[size] = j
                    size += 1
            seen = seen[:size]
            seen_coefs, seen_gradients = np.zeros((walked, size)), np.empty((walked, size))
            others = seen[m:]
            outside = np.empty((walked, others.shape[0]))
            gradients_of(x, means, weighted, others, outside)
            for k in range(walked):
                copy(coefs[k], seen_coefs[k])
                copy(outside[k], seen_gradients[k, m:])
                for c in range(m):
                    seen_gradients[k, c] = dot(rows[c, :n], weighted[k]) / n
            of_levels, scales = dual_gaps(
                seen_coefs, seen_gradients, now, take(l1, seen), take(l2, seen),
                take(sqnorms, seen), positive, sq_residuals, scale_y, noise,
            )  # fmt: skip
            # 5. those that are right
            n_right = 0
            while n_right < walked and (
                of_levels[n_right] <= goal and scales[n_right] * inside_share <= 1.0
            ):
                end = starts[done + n_right]
                for c in range(m):
                    if coefs[n_right, c] != 0.0:
                        features[end], values[end] = columns[c], coefs[n_right, c]
                        end += 1
                gaps[done + n_right] = of_levels[n_right]
                starts[done + n_right + 1] = end
                n_right += 1
            for k in range(max(n_right - 2, 0), n_right):
                if k < first and k < n_right - 1:
                    continue  # its gradient is not known, and not needed
                last_levels[0], last_levels[1] = last_levels[1], now[k]
                copy(last_residuals[1], last_residuals[0])
                copy(found[k], last_residuals[1])
                copy(last_gradients[1], last_gradients[0])
                if k >= first:
                    copy(known_gradients[k - first], last_gradients[1])
                else:
                    all_gradients(x, means, weighted[k : k + 1], last_gradients[1:])
            if n_right:
                for c in range(m):
                    coef[columns[c]] = coefs[n_right - 1, c]
            done += n_right
            left -= n_right
            if left == 0:
                break
            # 6. what the others lacked
            n_active, n_wanted = np.int64(-1), 0
            for c in range(m, size):
                for k in range(n_right, walked):
                    value = seen_gradients[k, c]
                    if (value if positive else abs(value)) > now[k] * l1[seen[c]]:
                        wanted[n_wanted] = seen[c]
                        n_wanted += 1
                        break
            if not 0 < n_wanted <= max(few, m):
                return done
        if left > 0:
            return done
    return done


@kernel(inline="always")
def _walk(
    rows, gram, l1, l2, ridge, positive, rank, levels, at, weights, residual, factor, active, sign,
    n_active, coefs, events,
):  # fmt: skip
    """Put the solutions on the pool at the levels into ``coefs``; return how many, and n_active."""
    m, n = l1.shape[0], residual.shape[0]
    free, slopes, weighted = np.zeros(m, dtype=np.bool_), np.empty(m), np.empty(n)
    for i in range(n):
        weighted[i] = weights[i] * residual[i]
    for c in range(m):
        slopes[c] = dot(rows[c, :n], weighted) / n
    l1_now, l2_now = np.empty(m), np.empty(m)
    for k in range(levels.shape[0]):
        for c in range(m):
            l1_now[c], l2_now[c] = levels[k] * l1[c], levels[k] * l2[c]
        if ridge:  # another factor for each level
            n_active = np.int64(-1)
        status, events[k], n_active = follow(
            gram, slopes, at, l1_now, l2_now, free, positive, rank, _EVENTS_PER_FEATURE * m + 100,
            0.0, factor, active, sign, n_active,
        )  # fmt: skip
        if status != DONE:
            return k, n_active
        copy(at, coefs[k])
    return levels.shape[0], n_active
