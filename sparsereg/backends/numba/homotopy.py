"""Parametric active-set method for an elastic-net problem on its Gram matrix.

Every point w is optimal for *some* bounds: lambda_j = z_j (g_j - l2_j w_j) where w_j has sign z_j,
and max(|g_j|, l1_j) where it is zero. Moving the bounds on a straight line from there to the wanted
l1 moves the solution along a piecewise linear path. On a piece, with H = G_AA + diag(l2_A),

    dw_A = - H^-1 (z_A dlambda_A),        dg = - G_{.A} dw_A,

and a piece ends when an active coefficient reaches zero (it leaves) or an inactive |g_j| reaches
its bound (it enters). The end point is the exact solution. One event costs |A|^2 for the factor and
|W| |A| for the gradient, whatever the conditioning: where coordinate descent crawls, this walks.

A column that depends on the active ones enters by exchange: moving along the null space changes
nothing but the coefficients, until one of them reaches zero and leaves in its place.

Sources: the lasso homotopy of Osborne, Presnell and Turlach, IMA J. Numer. Anal. 2000; parametric
active sets from any starting point, Ferreau, Bock and Diehl, Int. J. Robust Nonlinear Control 2008.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel

# A pivot below this share of its diagonal means that the column depends on the active ones.
_DEPENDENT = 1e-11
# Rates below this share of their terms are rounding: the gradient runs along its bound.
_PARALLEL = 1e-11


@kernel(fastmath=REASSOCIATE)
def _dot(a, b, size):
    total = 0.0
    for i in range(size):
        total += a[i] * b[i]
    return total


@kernel(fastmath={"contract"})
def _axpy(a, x, y, size):
    for i in range(size):
        y[i] += a * x[i]


@kernel()
def _solve_lower(factor, b, k):
    for i in range(k):
        b[i] = (b[i] - _dot(factor[i], b, i)) / factor[i, i]


@kernel()
def _solve_upper(factor, b, k):
    for i in range(k - 1, -1, -1):
        b[i] /= factor[i, i]
        _axpy(-b[i], factor[i], b, i)


@kernel()
def _append(factor, active, k, max_rank, gram, l2, j, row):
    """Try to extend the factor by column j; return whether it is independent.

    On return ``row[:k]`` solves L row = H_Aj.
    """
    for i in range(k):
        row[i] = gram[j, active[i]]
    _solve_lower(factor, row, k)
    diagonal = gram[j, j] + l2[j]
    pivot = diagonal - _dot(row, row, k)
    if k >= max_rank or not pivot > _DEPENDENT * diagonal:
        return False
    for i in range(k):
        factor[k, i] = row[i]
    factor[k, k] = np.sqrt(pivot)
    active[k] = j
    return True


@kernel(fastmath={"contract"})
def _remove(factor, active, k, position):
    """Delete one row of the factor: Givens rotations restore the triangle."""
    for i in range(position, k - 1):
        active[i] = active[i + 1]
        for c in range(i + 2):
            factor[i, c] = factor[i + 1, c]
    for i in range(position, k - 1):
        a = factor[i, i]
        b = factor[i, i + 1]
        norm = np.hypot(a, b)
        cos = a / norm
        sin = b / norm
        factor[i, i] = norm
        factor[i, i + 1] = 0.0
        for r in range(i + 1, k - 1):
            x = factor[r, i]
            y = factor[r, i + 1]
            factor[r, i] = cos * x + sin * y
            factor[r, i + 1] = cos * y - sin * x


@kernel()
def _exchange(factor, active, k, coef, free, j, sign, row):
    """Let the dependent column j in along the null space; return the position that leaves.

    Moves coef so that the fit is unchanged. Returns k if column j itself is driven to zero, and
    -1 if nothing ever reaches zero.
    """
    _solve_upper(factor, row, k)  # row solves L row = H_Aj: now x_j = X_A row
    step = np.inf
    leaving = -1
    if coef[j] != 0.0 and sign * coef[j] < 0.0:
        step = abs(coef[j])
        leaving = k
    for i in range(k):
        a = active[i]
        rate = -sign * row[i]
        if not free[a] and coef[a] * rate < 0.0:
            t = -coef[a] / rate
            if t < step:
                step = t
                leaving = i
    if leaving < 0:
        return -1
    for i in range(k):
        if not free[active[i]] or row[i] != 0.0:
            coef[active[i]] -= sign * step * row[i]
    coef[j] += sign * step
    if leaving == k:
        coef[j] = 0.0
    else:
        coef[active[leaving]] = 0.0
    return leaving


@kernel()
def follow(gram, gradient, coef, l1, l2, free, positive, max_rank, max_events):
    """Move coef to the solution of the problem on this Gram matrix, in place.

    Parameters
    ----------
    gram : (m, m) Gram matrix
    gradient, coef : (m,) negative gradient of the loss, and the starting point; both follow
    l1, l2 : (m,) strengths
    free : (m,) bool, unpenalized features (not used with ``positive``)
    positive : bool
    max_rank : int, an upper bound on the rank of the columns (m if l2 > 0)
    max_events : int

    Returns
    -------
    (events, done) : number of active-set changes, and whether the end was reached
    """
    m = coef.shape[0]
    factor = np.empty((m, m))
    active = np.empty(m, dtype=np.int64)
    row = np.empty(m)
    rate = np.empty(m)
    drift = np.empty(m)
    sign = np.zeros(m)
    inside = np.zeros(m, dtype=np.bool_)
    bound = l1.copy()
    k = 0

    # the bounds for which the starting point is optimal; one level for all that are at zero
    level = 1.0
    for j in range(m):
        if coef[j] != 0.0:
            sign[j] = np.sign(coef[j])
            bound[j] = sign[j] * (gradient[j] - l2[j] * coef[j])
        size = gradient[j] if positive else abs(gradient[j])
        if l1[j] > 0.0 and gram[j, j] > 0.0:
            level = max(level, max(size, bound[j]) / l1[j])
    for j in range(m):
        if coef[j] == 0.0:
            bound[j] = level * l1[j]
        if free[j]:
            sign[j] = 1.0
            bound[j] = gradient[j]
    for j in range(m):
        if (coef[j] == 0.0 and not free[j]) or gram[j, j] <= 0.0:
            continue
        if _append(factor, active, k, max_rank, gram, l2, j, row):
            inside[j] = True
            k += 1
        elif not free[j]:
            # more columns than their rank: go down the null space until one of them is zero
            for i in range(k):
                rate[i] = row[i]
            _solve_upper(factor, rate, k)
            slope = bound[j] * sign[j]
            for i in range(k):
                a = active[i]
                if not free[a]:
                    slope -= bound[a] * sign[a] * rate[i]
            direction = -1.0 if slope > 0.0 else 1.0
            leaving = _exchange(factor, active, k, coef, free, j, direction, row)
            if leaving < 0:
                return 0, False
            if leaving == k:
                bound[j] = level * l1[j]
            else:
                a = active[leaving]
                inside[a] = False
                bound[a] = level * l1[a]
                _remove(factor, active, k, leaving)
                k -= 1
                if not _append(factor, active, k, max_rank, gram, l2, j, row):
                    return 0, False
                inside[j] = True
                k += 1

    speed = np.empty(m)
    for j in range(m):
        speed[j] = (0.0 if free[j] else l1[j]) - bound[j]
    t = 0.0
    dropped = -1
    events = 0
    while True:
        # direction of this piece
        for i in range(k):
            rate[i] = -sign[active[i]] * speed[active[i]]
        _solve_lower(factor, rate, k)
        _solve_upper(factor, rate, k)
        drift[:] = 0.0
        for i in range(k):
            if rate[i] != 0.0:
                _axpy(-rate[i], gram[active[i]], drift, m)

        # the first event
        step = 1.0 - t
        leaving = -1
        entering = -1
        side = 0.0
        for i in range(k):
            a = active[i]
            if free[a]:
                continue
            if coef[a] != 0.0:
                if coef[a] * rate[i] < 0.0 and -coef[a] / rate[i] < step:
                    step = -coef[a] / rate[i]
                    leaving = i
            elif sign[a] * rate[i] < 0.0:  # just entered and turning back
                step = 0.0
                leaving = i
        for j in range(m):
            if inside[j] or free[j] or gram[j, j] <= 0.0:
                continue
            for s in (1.0, -1.0):
                if s < 0.0 and positive:
                    continue
                closing = s * drift[j] - speed[j]
                if not closing > _PARALLEL * (abs(drift[j]) + abs(speed[j])):
                    continue
                if j == dropped and s == sign[j]:
                    continue
                room = max(bound[j] - s * gradient[j], 0.0) / closing
                if room < step:
                    step = room
                    leaving = -1
                    entering = j
                    side = s

        # go there
        for i in range(k):
            coef[active[i]] += step * rate[i]
        _axpy(step, drift, gradient, m)
        _axpy(step, speed, bound, m)
        t += step
        dropped = -1
        if leaving < 0 and entering < 0:
            return events, True
        if events >= max_events:
            return events, False
        events += 1
        remaining = max(1.0 - t, 1e-300)

        if entering >= 0:
            sign[entering] = side
            if _append(factor, active, k, max_rank, gram, l2, entering, row):
                inside[entering] = True
                k += 1
                continue
            leaving = _exchange(factor, active, k, coef, free, entering, side, row)
            if leaving < 0 or leaving == k:
                return events, False
            dropped = active[leaving]
            inside[dropped] = False
            _remove(factor, active, k, leaving)
            k -= 1
            if not _append(factor, active, k, max_rank, gram, l2, entering, row):
                return events, False
            inside[entering] = True
            k += 1
        else:
            dropped = active[leaving]
            coef[dropped] = 0.0
            inside[dropped] = False
            _remove(factor, active, k, leaving)
            k -= 1
        # a starting bound may have been wrong for a zero coefficient: make it right from here
        size = gradient[dropped] if positive else abs(gradient[dropped])
        if size > bound[dropped]:
            bound[dropped] = size
            speed[dropped] = (l1[dropped] - size) / remaining
            if size > l1[dropped] + 1e-12 * max(size, l1[dropped]):
                dropped = -1
