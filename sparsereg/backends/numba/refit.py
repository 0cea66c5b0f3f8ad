"""Moves between supports, each with its least-squares refit: the kernels of best subset search.

Columns have unit norm; G is their Gram matrix, D = diag(ridge), and for a support S of size s

    V = (G_SS + D_SS)^-1,   W = V G_S. (s x p),   w_S = V c_S,   q = c - G_.S w_S,
    t_j = 1 + ridge_j - sum_k W_kj G_kj,

t_j being what column j has outside the span of S (and the ridge). Half the residual sum of
squares, ridge part included, then changes exactly by

    drop i:           w_i^2 / (2 V_ii)
    add j:           -q_j^2 / (2 t_j)
    swap i for j:     w_i^2 / (2 V_ii) - (q_j + w_i W_ij / V_ii)^2 / (2 (t_j + W_ij^2 / V_ii)).

One pass over W scores all moves; one rank-one update of (V, W, w, q, t) makes one: O(s p) both.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel

# A move is looked at exactly if it is better to rounding.
_SLACK = 1.0 - 1e-12
# Events of a lasso path, per column wanted, after which it is given up.
_MAX_EVENTS = 20


@kernel()
def best_move(inverse, loadings, coef, gradient, remainder, support, inside, costs, alpha, floor):
    """Return (change of the objective, position to drop or -1, column to add or -1).

    ``alpha * costs`` is the price of each column; a negative alpha allows only exchanges among
    columns with a price, at no price, so that the size stays. Columns with ``inside`` not zero are
    not offered, nor are those with a remainder up to ``floor``.
    """
    s = support.shape[0]
    p = gradient.shape[0]
    fixed_size = alpha < 0.0
    best = 0.0
    best_out = -1
    best_in = -1
    if not fixed_size:
        for j in range(p):
            if inside[j] == 0 and remainder[j] > floor:
                change = alpha * costs[j] - 0.5 * gradient[j] * gradient[j] / remainder[j]
                if change < best:
                    best = change
                    best_in = j
    for i in range(s):
        pivot = inverse[i, i]
        price = costs[support[i]]
        if not pivot > 0.0 or (fixed_size and price == 0.0):
            continue
        lost = 0.5 * coef[i] * coef[i] / pivot
        refund = 0.0
        if not fixed_size:
            refund = alpha * price
            if lost - refund < best:
                best = lost - refund
                best_out = i
                best_in = -1
        move = coef[i] / pivot
        row = loadings[i]
        if not _any_better(
            row, gradient, remainder, inside, costs, move, 1.0 / pivot, lost - refund - best,
            0.0 if fixed_size else alpha, floor,
        ):  # fmt: skip
            continue
        for j in range(p):
            freed = remainder[j] + row[j] * row[j] / pivot
            if inside[j] != 0 or not freed > floor or (fixed_size and costs[j] == 0.0):
                continue
            reach = gradient[j] + move * row[j]
            change = lost - 0.5 * reach * reach / freed - refund
            if not fixed_size:
                change += alpha * costs[j]
            if change < best:
                best = change
                best_out = i
                best_in = j
    return best, best_out, best_in


@kernel(fastmath=REASSOCIATE)
def _any_better(row, gradient, remainder, inside, costs, move, scale, margin, alpha, floor):
    """Whether some column in place of the one that leaves brings more than the margin.

    Few rows of W have one: this loop, which vectorizes, spares the others the division.
    """
    found = 0
    for j in range(gradient.shape[0]):
        loading = row[j]
        freed = remainder[j] + loading * loading * scale
        reach = gradient[j] + move * loading
        better = 0.5 * reach * reach > (margin + alpha * costs[j]) * freed * _SLACK
        found += better & (freed > floor) & (inside[j] == 0)
    return found > 0


@kernel()
def search(
    inverse, loadings, coef, gradient, remainder, support, inside, s, costs, alpha, floor,
    rows, place, least, max_wear, max_moves,
):  # fmt: skip
    """Make the best move until none lowers the objective by more than ``least``.

    Gram rows are ``rows[place[j]]`` where ``place[j]`` is not negative. Returns (size, change of
    half_rss, moves made, wear, position to drop, column to add): wear, which ends the search beyond
    ``max_wear``, is the sum of one over the pivots, and the last two are the next move where a row
    or room is missing for it, or -1 and -1.
    """
    total = 0.0
    moves = 0
    wear = 0.0
    while moves < max_moves and wear <= max_wear:
        change, out, new = best_move(
            inverse, loadings, coef, gradient, remainder, support[:s], inside, costs, alpha, floor
        )
        if not change < -least:
            break
        if new >= 0 and (place[new] < 0 or (out < 0 and s == coef.shape[0])):
            return s, total, moves, wear, out, new
        if out >= 0:
            rise, worn = take_out(
                inverse, loadings, coef, gradient, remainder, support, inside, s, out
            )
            total += rise
            wear += worn
            s -= 1
        if new >= 0:
            fall, worn = put_in(
                inverse, loadings, coef, gradient, remainder, support, inside, s, rows, place, new
            )
            total -= fall
            wear += worn
            s += 1
        moves += 1
    return s, total, moves, wear, -1, -1


@kernel()
def shrink(
    inverse, loadings, coef, gradient, remainder, support, inside, s, costs, half_rss,
    down_to, known, tol, max_wear,
):  # fmt: skip
    """Drop the column that costs least, down to a size, and on while half_rss is the known one.

    ``known[size]`` is compared to ``tol``; sizes count columns with a cost. Returns (number of
    columns, half_rss, wear); wear beyond ``max_wear`` ends it after the first step.
    """
    size = _n_priced(support[:s], costs)
    wear = 0.0
    while size > 0 and wear <= max_wear:
        if size <= down_to and not _is_known(half_rss, size, known, tol):
            break
        least = np.inf
        out = -1
        for i in range(s):
            if costs[support[i]] > 0.0:
                lost = coef[i] * coef[i] / inverse[i, i]
                if lost < least:
                    least = lost
                    out = i
        if out < 0:
            break
        rise, worn = take_out(inverse, loadings, coef, gradient, remainder, support, inside, s, out)
        half_rss += rise
        wear += worn
        s -= 1
        size -= 1
    return s, half_rss, wear


@kernel()
def grow(
    inverse, loadings, coef, gradient, remainder, support, inside, s, costs, half_rss,
    up_to, known, tol, floor, least, rows, place, max_wear,
):  # fmt: skip
    """Add the column that brings most, up to a size, and on while half_rss is the known one.

    Returns (number of columns, half_rss, wear, column to add or -1): the last one where its row or
    room is missing. No column that lowers half_rss by ``least`` at most is added.
    """
    size = _n_priced(support[:s], costs)
    wear = 0.0
    while wear <= max_wear and (size < up_to or _is_known(half_rss, size, known, tol)):
        most = least
        new = -1
        for j in range(gradient.shape[0]):
            if inside[j] == 0 and remainder[j] > floor:
                gain = 0.5 * gradient[j] * gradient[j] / remainder[j]
                if gain > most:
                    most = gain
                    new = j
        if new < 0:
            break
        if place[new] < 0 or s == coef.shape[0]:
            return s, half_rss, wear, new
        fall, worn = put_in(
            inverse, loadings, coef, gradient, remainder, support, inside, s, rows, place, new
        )
        half_rss -= fall
        wear += worn
        s += 1
        size += 1 if costs[new] > 0.0 else 0
    return s, half_rss, wear, -1


@kernel()
def follow_lasso(
    inverse, loadings, coef, gradient, remainder, support, inside, s, costs, half_rss,
    lasso, slopes, angles, level, new, up_to, floor, rows, place, max_wear,
):  # fmt: skip
    """Follow the lasso from the free columns on, event by event, up to a size.

    ``lasso`` are its coefficients, ``slopes`` its gradients, ``level`` the largest of them, which
    those of its columns share, and ``angles`` the changes of the gradients as the level falls by
    one; ``new`` is a column that is due. Returns (number of columns, half_rss, wear, level, column
    due or -1): the last one where its row or room is missing, or the wear is too large.
    """
    size = _n_priced(support[:s], costs)
    wear = 0.0
    for _ in range(_MAX_EVENTS * up_to):
        if size >= up_to:
            break
        if new < 0:
            # 1. the next event: a column enters, or one leaves
            step, new = _next_to_enter(slopes, angles, remainder, inside, costs, level, floor)
            out = -1
            moves = np.zeros(s)
            for k in range(s):
                for m in range(s):
                    if costs[support[m]] > 0.0:
                        moves[k] += inverse[k, m] * np.copysign(1.0, slopes[support[m]])
                at = lasso[support[k]]
                if costs[support[k]] > 0.0 and moves[k] * at < 0.0 and -at / moves[k] < step:
                    step = -at / moves[k]
                    out = k
            if new < 0 and out < 0:
                break
            # 2. the step to it
            level = abs(slopes[new]) if size == 0 else level - step
            for h in range(slopes.shape[0]):
                slopes[h] -= step * angles[h]
            for k in range(s):
                lasso[support[k]] += step * moves[k]
            # 3. the column that leaves
            if out >= 0:
                gone = support[out]
                lasso[gone] = 0.0
                tilt = moves[out] / inverse[out, out]
                for h in range(slopes.shape[0]):
                    if inside[h] == 0 or h == gone:
                        angles[h] -= tilt * loadings[out, h]
                rise, worn = take_out(
                    inverse, loadings, coef, gradient, remainder, support, inside, s, out
                )
                half_rss += rise
                wear += worn
                s -= 1
                size -= 1
                new = -1
                continue
        # 4. the column that enters
        if place[new] < 0 or s == coef.shape[0] or wear > max_wear:
            break
        sign = np.copysign(1.0, slopes[new])
        tilt = sign - angles[new]
        fall, worn = put_in(
            inverse, loadings, coef, gradient, remainder, support, inside, s, rows, place, new
        )
        half_rss -= fall
        wear += worn
        for h in range(slopes.shape[0]):
            if inside[h] == 0:
                angles[h] += tilt * loadings[s, h]
        angles[new] = sign
        s += 1
        size += 1
        new = -1
    return s, half_rss, wear, level, new


@kernel()
def _next_to_enter(slopes, angles, remainder, inside, costs, level, floor):
    """Return (fall of the level, column): where the first slope outside reaches the level.

    At no level yet, the column with the largest slope; column -1 where none is reached.
    """
    first = level
    new = -1
    for j in range(slopes.shape[0]):
        if inside[j] != 0 or not remainder[j] > floor or costs[j] == 0.0:
            continue
        if not level > 0.0:
            if abs(slopes[j]) > first:
                first = abs(slopes[j])
                new = j
            continue
        for sign in (1.0, -1.0):
            closing = 1.0 - sign * angles[j]
            if closing > 0.0:
                step = max(level - sign * slopes[j], 0.0) / closing
                if step < first:
                    first = step
                    new = j
    return (first if level > 0.0 else 0.0), new


@kernel()
def _n_priced(support, costs):
    """Return the number of columns with a cost."""
    size = 0
    for j in support:
        size += 1 if costs[j] > 0.0 else 0
    return size


@kernel()
def _is_known(half_rss, size, known, tol):
    """Whether half_rss is the known one of its size, NaN being none."""
    return size < known.shape[0] and abs(half_rss - known[size]) <= tol


@kernel()
def take_out(inverse, loadings, coef, gradient, remainder, support, inside, s, position):
    """Drop the column at a position; return what half_rss rises by, and the wear."""
    column = support[position]
    worn = inverse[position, position]
    rise = 0.5 * coef[position] * coef[position] / worn
    _leave(inverse, loadings, coef, gradient, remainder, np.int64(s), np.int64(position), column)
    support[position] = support[s - 1]
    inside[column] = 0
    return rise, worn


@kernel()
def put_in(inverse, loadings, coef, gradient, remainder, support, inside, s, rows, place, column):
    """Add a column whose row is known; return what half_rss falls by, and the wear."""
    worn = 1.0 / remainder[column]
    fall = 0.5 * gradient[column] * gradient[column] * worn
    _enter(
        inverse, loadings, coef, gradient, remainder, np.int64(s), support, rows[place[column]],
        np.int64(column),
    )  # fmt: skip
    support[s] = column
    inside[column] = 1
    return fall, worn


@kernel()
def take_in(
    inverse, loadings, coef, gradient, remainder, support, inside, s, floor, rows, place, columns
):  # fmt: skip
    """Add columns with known rows, in this order, but those with a remainder up to ``floor``.

    There is room. Returns (number of columns, what half_rss falls by, wear).
    """
    total = 0.0
    wear = 0.0
    for column in columns:
        if inside[column] == 0 and remainder[column] > floor:
            fall, worn = put_in(
                inverse, loadings, coef, gradient, remainder, support, inside, s, rows, place,
                column,
            )  # fmt: skip
            total += fall
            wear += worn
            s += 1
    return s, total, wear


@kernel()
def validity(coef, gradient, support, inside, costs, ridge):
    """Return the alphas [low, high] at which no single column pays for entering or leaving."""
    low = 0.0
    for j in range(gradient.shape[0]):
        if inside[j] == 0 and costs[j] > 0.0:
            low = max(low, 0.5 * gradient[j] * gradient[j] / ((1.0 + ridge[j]) * costs[j]))
    high = np.inf
    for i in range(coef.shape[0]):
        j = support[i]
        if costs[j] > 0.0:
            high = min(high, 0.5 * coef[i] * coef[i] * (1.0 + ridge[j]) / costs[j])
    return low, high


@kernel()
def _enter(inverse, loadings, coef, gradient, remainder, s, positions, row, j):
    """Add column j, with Gram row ``row``, to the support of size s; the arrays have room."""
    p = gradient.shape[0]
    pivot = remainder[j]
    value = gradient[j] / pivot
    own = loadings[:s, j].copy()
    fresh = loadings[s]
    for h in range(p):  # what is left of row j outside the span, over the pivot
        fresh[h] = row[h]
    for k in range(s):
        weight = row[positions[k]]
        if weight != 0.0:
            for h in range(p):
                fresh[h] -= weight * loadings[k, h]
    for h in range(p):
        gradient[h] -= fresh[h] * value
        remainder[h] -= fresh[h] * fresh[h] / pivot
        fresh[h] /= pivot
    for k in range(s):
        for h in range(p):
            loadings[k, h] -= own[k] * fresh[h]
        coef[k] -= own[k] * value
        for m in range(s):
            inverse[k, m] += own[k] * own[m] / pivot
        inverse[k, s] = -own[k] / pivot
        inverse[s, k] = -own[k] / pivot
    inverse[s, s] = 1.0 / pivot
    coef[s] = value


@kernel()
def _leave(inverse, loadings, coef, gradient, remainder, s, position, j):
    """Drop column j, at ``position`` of the support of size s; the last one takes its place."""
    p = gradient.shape[0]
    pivot = inverse[position, position]
    move = coef[position] / pivot
    column = inverse[:s, position].copy()
    gone = loadings[position].copy()
    for h in range(p):
        gradient[h] += gone[h] * move
        remainder[h] += gone[h] * gone[h] / pivot
    for k in range(s):
        if k == position:
            continue
        ratio = column[k] / pivot
        for h in range(p):
            loadings[k, h] -= ratio * gone[h]
        loadings[k, j] = -ratio
        coef[k] -= ratio * coef[position]
        for m in range(s):
            inverse[k, m] -= ratio * column[m]
    gradient[j] = move
    remainder[j] = 1.0 / pivot
    last = s - 1
    if position != last:
        for h in range(p):
            loadings[position, h] = loadings[last, h]
        coef[position] = coef[last]
        for m in range(s):
            inverse[position, m] = inverse[last, m]
        for m in range(s):
            inverse[m, position] = inverse[m, last]
