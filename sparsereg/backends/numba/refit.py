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

from sparsereg.backends.numba.jit import kernel


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
        for j in range(p):
            if inside[j] != 0:
                continue
            loading = loadings[i, j]
            freed = remainder[j] + loading * loading / pivot
            if not freed > floor or (fixed_size and costs[j] == 0.0):
                continue
            reach = gradient[j] + move * loading
            change = lost - 0.5 * reach * reach / freed - refund
            if not fixed_size:
                change += alpha * costs[j]
            if change < best:
                best = change
                best_out = i
                best_in = j
    return best, best_out, best_in


@kernel()
def enter(inverse, loadings, coef, gradient, remainder, s, positions, row, j):
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
def leave(inverse, loadings, coef, gradient, remainder, s, position, j):
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
