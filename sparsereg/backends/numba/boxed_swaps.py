"""Best subsets of bounded coefficients: moves of a support with refits in the box.

Columns have unit norm, z are the coefficients, c the correlations with y, q = c - G z. A move drops
column i, adds column j, or does both. Without refit of the others it changes the objective by

    q_i z_i + (1 - ridge_i) z_i^2 / 2 - alpha v_i                                   for i,
    alpha v_j - max_{|t| <= limit_j} (q_j + G_ij z_i) t - (1 + ridge_j) t^2 / 2     for j.

Moves are tried in this order, each with a refit of the whole support in the box
(:func:`sparsereg.backends.numba.l0_relaxation.descend` without costs), and the first one that
lowers the objective is made.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.l0_relaxation import descend

# Passes of a refit.
_PASSES = 20


@kernel()
def _refit(gram, correlation, ridge, room, nothing, coef, gradient, tol):
    """Fit in the box |z| <= room, in place; return the loss with the ridge, less that of zero."""
    descend(gram, gradient, coef, nothing, nothing, ridge, room, _PASSES, tol)
    value = 0.0
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            value += coef[j] * (ridge[j] * coef[j] - correlation[j] - gradient[j])
    return 0.5 * value


@kernel()
def _take_out(gram, coef, gradient, j):
    """Set a coefficient to zero."""
    if coef[j] != 0.0:
        for k in range(coef.shape[0]):
            gradient[k] += coef[j] * gram[j, k]
        coef[j] = 0.0


@kernel()
def _score(gram, ridge, limit, prices, inside, coef, gradient, adds, changes):
    """Put what each move changes without a refit into ``changes[i, j]``: i = m or j = m is none."""
    m = coef.shape[0]
    changes[:] = np.inf
    for i in range(m + 1):
        if i < m and (not inside[i] or prices[i] < 0.0):
            continue
        value = coef[i] if i < m else 0.0
        start = 0.0
        if i < m:
            start = value * (gradient[i] + 0.5 * (1.0 - ridge[i]) * value) - prices[i]
            changes[i, m] = start
        elif not adds:
            continue
        for j in range(m):
            if inside[j] or limit[j] == 0.0:
                continue
            slope = abs(gradient[j] + (gram[i, j] * value if i < m else 0.0))
            step = min(slope / (1.0 + ridge[j]), limit[j])
            gain = step * (slope - 0.5 * (1.0 + ridge[j]) * step)
            changes[i, j] = start + abs(prices[j]) - gain


@kernel()
def search(
    gram, correlation, ridge, limit, prices, inside, coef, max_size, max_moves, most_tried, least
):
    """Make moves until none of those tried lowers the objective by ``least``, in place.

    ``inside`` marks the support, where ``coef`` may be anything; a negative price stands for none:
    such columns stay inside. At most ``max_size`` columns with a price are inside. Returns the
    objective, less the loss at zero, and the number of moves.
    """
    m = coef.shape[0]
    nothing, room = np.zeros(m), np.zeros(m)
    gradient = correlation.copy()
    changes = np.empty((m + 1, m + 1))
    size = np.int64(0)
    price = 0.0
    for j in range(m):
        value = coef[j]
        coef[j] = 0.0
        if inside[j]:
            room[j] = limit[j]
            if value != 0.0:
                coef[j] = min(max(value, -limit[j]), limit[j])
                for k in range(m):
                    gradient[k] -= coef[j] * gram[j, k]
            if prices[j] >= 0.0:
                size += 1
                price += prices[j]
    best = _refit(gram, correlation, ridge, room, nothing, coef, gradient, 1e-3 * least) + price
    moves = np.int64(0)
    while moves < max_moves:
        _score(gram, ridge, limit, prices, inside, coef, gradient, size < max_size, changes)
        found = False
        for _ in range(most_tried):
            place = np.argmin(changes)
            i, j = place // (m + 1), place % (m + 1)
            if not changes[i, j] < np.inf:
                break
            changes[i, j] = np.inf
            trial, slopes = coef.copy(), gradient.copy()
            cost = price
            if i < m:
                _take_out(gram, trial, slopes, i)
                room[i] = 0.0
                cost -= prices[i]
            if j < m:
                room[j] = limit[j]
                cost += prices[j]
            value = _refit(gram, correlation, ridge, room, nothing, trial, slopes, 1e-3 * least)
            if value + cost < best - least:
                best, price = value + cost, cost
                coef[:] = trial
                gradient[:] = slopes
                if i < m:
                    inside[i] = 0
                    size -= 1
                if j < m:
                    inside[j] = 1
                    size += 1
                found = True
                break
            if i < m:
                room[i] = limit[i]
            if j < m:
                room[j] = 0.0
        if not found:
            break
        moves += 1
    return best, moves
