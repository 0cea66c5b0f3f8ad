"""Parametric active-set method for an elastic-net problem on its Gram matrix.

Every point w is optimal for *some* bounds: lambda_j = z_j (g_j - l2_j w_j) where w_j has sign z_j,
and anything above |g_j| where it is zero. Moving the bounds on a straight line from there to the
wanted l1 moves the solution along a piecewise linear path. On a piece, with H = G_AA + diag(l2_A),

    dw_A = - H^-1 (z_A dlambda_A),        dg = - G_{.A} dw_A,

and a piece ends when an active coefficient reaches zero (it leaves) or an inactive |g_j| reaches
its bound (it enters). The end point is the exact solution. One event costs |A|^2 for the factor and
m |A| for the gradient of the m columns, whatever the conditioning: where coordinate descent crawls,
this walks. From the solution at one alpha to the next, it is the lasso homotopy.

A column that depends on the active ones enters by exchange: moving along the null space changes
nothing but the coefficients, until one of them reaches zero and leaves in its place.

The factor, the active list and its signs survive from call to call.

Sources: Osborne, Presnell and Turlach, IMA J. Numer. Anal. 2000 (the lasso homotopy); Ferreau, Bock
and Diehl, Int. J. Robust Nonlinear Control 2008 (parametric active sets from any start).
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.factor import append, pivot_of, remove, solve_lower, solve_upper
from sparsereg.backends.numba.gram_rows import add_row, combine_rows, free_slot, refresh
from sparsereg.backends.numba.jit import kernel

# Rates below this share of their terms are rounding: the gradient runs along its bound.
_PARALLEL = 1e-11
# Inactive columns are followed from event to event if their gradient reaches this share of its
# bound; the others are looked at again at the end.
_ASLEEP = 0.8
# Rounding below this share of the steepest gradient is left alone.
_CLEAN = 1e-14
# What is left beyond this share is no rounding: the factor has lost its digits. Less is for the
# next pass to take out.
_BROKEN = 1.0

# Multiples of it, modulo one, are spread evenly: shares for breaking ties.
_GOLDEN = 0.6180339887498949

# How a call ended.
DONE = 0
OUT_OF_EVENTS = 1
FAILED = 2


@kernel()
def _exchange(active, sign, k, coef, free, j, direction, coordinates):
    """Move column j along the null space until a coefficient is zero; the fit does not change.

    ``coordinates`` solve x_j = X_A coordinates. Returns the position that reached zero, k if it is
    column j itself, and -1 if nothing ever does.
    """
    step = np.inf
    leaving = -1
    if direction * coef[j] < 0.0:
        step = abs(coef[j])
        leaving = k
    for i in range(k):
        a = active[i]
        rate = -direction * coordinates[i]
        if not free[a] and sign[a] * rate < 0.0:
            room = max(sign[a] * coef[a], 0.0) / abs(rate)
            if room < step:
                step = room
                leaving = i
    if leaving < 0:
        return -1
    for i in range(k):
        a = active[i]
        coef[a] -= direction * step * coordinates[i]
        if not free[a] and sign[a] * coef[a] < 0.0:
            coef[a] = 0.0
    coef[j] += direction * step
    if leaving == k:
        coef[j] = 0.0
    else:
        coef[active[leaving]] = 0.0
    return leaving


@kernel()
def _activate(factor, active, sign, inside, max_rank, gram, coef, l1, l2, free, row):
    """Build the factor for the free columns and the support of coef.

    Where the support is dependent, coef goes down the null space until it is not, which leaves
    the fit and the gradient as they are. Returns the number of active columns, -1 on failure.
    """
    m = coef.shape[0]
    k = np.int64(0)
    for j in range(m):  # first the free ones: they never leave
        if not free[j] or gram[j, j] <= 0.0:
            continue
        if append(factor, active, k, max_rank, gram, l2, j, row):
            inside[j] = True
            sign[j] = 1.0
            k += 1
    for j in range(m):
        if coef[j] == 0.0 or free[j] or gram[j, j] <= 0.0:
            continue
        sign[j] = np.sign(coef[j])
        if not append(factor, active, k, max_rank, gram, l2, j, row):
            solve_upper(factor, row, k)
            slope = l1[j] * sign[j]
            for i in range(k):
                a = active[i]
                if not free[a]:
                    slope -= l1[a] * sign[a] * row[i]
            down = -1.0 if slope > 0.0 else 1.0
            leaving = _exchange(active, sign, k, coef, free, j, down, row)
            if leaving < 0:
                leaving = _exchange(active, sign, k, coef, free, j, -down, row)
            if leaving < 0:
                return -1
            if leaving == k:
                continue
            inside[active[leaving]] = False
            remove(factor, active, k, leaving)
            k -= 1
            if not append(factor, active, k, max_rank, gram, l2, j, row):
                return -1
        inside[j] = True
        k += 1
    return k


@kernel()
def _solve_rates(factor, active, sign, speed, k, rate):
    """Solve for the rates of the active coefficients."""
    for i in range(k):
        rate[i] = -sign[active[i]] * speed[active[i]]
    solve_lower(factor, rate, k)
    solve_upper(factor, rate, k)


@kernel()
def _polish(factor, active, sign, k, gram, gradient, coef, l1, l2, free, rate, drift, steepest):
    """One Newton step at the end, unless it would change a sign: takes out collected rounding.

    Returns whether there was nothing but rounding to take out.
    """
    m = coef.shape[0]
    worst = 0.0
    size = steepest
    is_sound = True
    for i in range(k):
        a = active[i]
        rate[i] = gradient[a] - l2[a] * coef[a] - (0.0 if free[a] else sign[a] * l1[a])
        worst = max(worst, abs(rate[i]))
        size = max(size, l1[a])
        is_sound = is_sound and rate[i] == rate[i]
    if not (is_sound and worst <= _BROKEN * size):
        return False
    if worst <= _CLEAN * steepest:
        return True
    solve_lower(factor, rate, k)
    solve_upper(factor, rate, k)
    for i in range(k):
        a = active[i]
        if not free[a] and sign[a] * (coef[a] + rate[i]) < 0.0:
            return True
    combine_rows(gram, active, rate, k, m, drift)
    for i in range(k):
        coef[active[i]] += rate[i]
    for j in range(m):
        gradient[j] += drift[j]
    return True


@kernel()
def _open_bounds(gram, gradient, coef, l1, l2, positive, jitter, sign, inside, bound, speed):
    """Set the bounds for which the starting point is optimal, and their speeds towards l1.

    One level for all that are at zero. Returns the steepest gradient.
    """
    m = coef.shape[0]
    level = 1.0
    steepest = 0.0
    for j in range(m):
        size = gradient[j] if positive else abs(gradient[j])
        steepest = max(steepest, size)
        if not inside[j] and gram[j, j] > 0.0 and l1[j] > 0.0:
            level = max(level, size / l1[j])
        elif inside[j] and l1[j] > 0.0:
            level = max(level, min(sign[j] * (gradient[j] - l2[j] * coef[j]) / l1[j], 1e3))
    for j in range(m):
        if inside[j]:
            bound[j] = sign[j] * (gradient[j] - l2[j] * coef[j])
        else:
            size = gradient[j] if positive else abs(gradient[j])
            # no higher than what could let the feature in: spread-out weights would lose digits
            common = min(level * l1[j], max(l1[j], 2.0 * steepest)) if l1[j] > 0.0 else 0.0
            bound[j] = max(size, common)
            if jitter > 0.0:
                share = (_GOLDEN * (j + 1)) % 1.0
                bound[j] += jitter * share * (bound[j] + steepest)
        speed[j] = l1[j] - bound[j]
    return steepest


@kernel()
def _wake(gram, gradient, l1, free, positive, inside, drift, watched, awake):
    """List the inactive columns that come near their bound: at the start, or after ``drift``."""
    q = 0
    for j in range(gradient.shape[0]):
        watched[j] = False
        if inside[j] or free[j] or gram[j, j] <= 0.0:
            continue
        before = gradient[j]
        after = before + drift[j]
        reach = max(before, after) if positive else max(abs(before), abs(after))
        if reach >= _ASLEEP * l1[j]:
            awake[q] = j
            watched[j] = True
            q += 1
    return q


@kernel()
def _first_leaving(active, sign, free, coef, rate, k, step):
    """Return the step to the first active coefficient at zero, and its position; -1 if none."""
    leaving = -1
    for i in range(k):
        a = active[i]
        if free[a]:
            continue
        # rounding may have left a coefficient on the wrong side of zero: it has no room at all
        if sign[a] * rate[i] < 0.0:
            room = max(sign[a] * coef[a], 0.0) / abs(rate[i])
            if room < step:
                step = room
                leaving = i
    return step, leaving


@kernel()
def _first_entering(
    awake, q, inside, blocked, positive, dropped, sign, gradient, drift, bound, speed, step
):
    """Return the step to the first watched gradient at its bound, the column and the side."""
    entering = -1
    side = 0.0
    for c in range(q):
        j = awake[c]
        if inside[j] or blocked[j]:
            continue
        noise = _PARALLEL * (abs(drift[c]) + abs(speed[j]))
        for s in (1.0, -1.0):
            if (s < 0.0 and positive) or (j == dropped and s == sign[j]):
                continue
            closing = s * drift[c] - speed[j]
            if not closing > noise:
                continue
            room = max(bound[j] - s * gradient[j], 0.0) / closing
            if room < step:
                step = room
                entering = j
                side = s
    return step, entering, side


@kernel()
def follow(
    gram, gradient, coef, l1, l2, free, positive, max_rank, max_events, jitter,
    factor, active, sign, n_active,
):  # fmt: skip
    """Move coef to the solution of the problem on the first m columns of gram, in place.

    Parameters
    ----------
    gram : array with at least (m, m) entries
    gradient, coef : (m,) negative gradient of the loss, and the starting point; both follow
    l1, l2 : (m,) strengths
    free : (m,) bool, unpenalized features
    positive : bool
    max_rank : int, an upper bound on the rank of the columns (m if l2 > 0)
    max_events : int
    jitter : float
        Raises the starting bounds of the zero coefficients by different shares of up to this
        much, so that ties which made the path cycle are broken.
    factor, active, sign : (c (c + 1) / 2,), (c,), (m,) with c >= max_rank; kept from call to call
    n_active : int, active columns in the factor; -1 if it does not belong to coef

    Returns
    -------
    (status, events, n_active)
    """
    m = coef.shape[0]
    row = np.empty(m)
    rate = np.empty(m)
    change = np.empty(m)
    drift = np.empty(m)
    bound = np.empty(m)
    speed = np.empty(m)
    rows = np.empty(m, dtype=np.int64)
    awake = np.empty(m, dtype=np.int64)
    slot = np.empty(m, dtype=np.int64)
    inside = np.zeros(m, dtype=np.bool_)
    watched = np.zeros(m, dtype=np.bool_)
    blocked = np.zeros(m, dtype=np.bool_)  # dependent, and no exchange is possible for now
    if n_active < 0:
        k = _activate(factor, active, sign, inside, max_rank, gram, coef, l1, l2, free, row)
        if k < 0:
            return FAILED, 0, -1
    else:
        k = n_active
        for i in range(k):
            inside[active[i]] = True

    events = 0
    while True:  # until nothing that slept has passed its bound
        steepest = _open_bounds(
            gram, gradient, coef, l1, l2, positive, jitter, sign, inside, bound, speed
        )
        jitter = 0.0
        start = coef.copy()
        start_gradient = gradient.copy()
        _solve_rates(factor, active, sign, speed, k, rate)
        combine_rows(gram, active, rate, k, m, drift)
        q = _wake(gram, gradient, l1, free, positive, inside, drift, watched, awake)
        # the rows of active columns at the watched ones, with room for more of both
        n_rows = min(max_rank, 2 * k + 64)
        n_columns = min(m, 2 * q + 64)
        near = np.empty((n_rows, n_columns))
        for i in range(k):
            slot[i] = i
            for c in range(q):
                near[i, c] = gram[active[i], awake[c]]
        for i in range(k, n_rows):
            slot[i] = i
        for c in range(q):
            drift[c] = drift[awake[c]]  # awake is increasing: nothing is overwritten too early

        t = 0.0
        dropped = np.int64(-1)
        fresh = True
        while True:
            if not fresh:
                combine_rows(near, slot, rate, k, q, drift)
            fresh = False
            step, leaving = _first_leaving(active, sign, free, coef, rate, k, 1.0 - t)
            step, entering, side = _first_entering(
                awake, q, inside, blocked, positive, dropped, sign, gradient, drift, bound, speed,
                step,
            )  # fmt: skip
            if entering >= 0:
                leaving = -1

            # go there
            for i in range(k):
                a = active[i]
                coef[a] += step * rate[i]
                gradient[a] += step * (l2[a] * rate[i] + sign[a] * speed[a])
                bound[a] += step * speed[a]
            for c in range(q):
                j = awake[c]
                if not inside[j]:
                    gradient[j] += step * drift[c]
                    bound[j] += step * speed[j]
            t += step
            dropped = np.int64(-1)
            if leaving < 0 and entering < 0:
                break
            if events >= max_events:
                return OUT_OF_EVENTS, events, -1
            events += 1

            if entering >= 0:
                sign[entering] = side
                if append(factor, active, k, max_rank, gram, l2, entering, row):
                    inside[entering] = True
                    add_row(near, slot[k], gram, entering, awake, q)
                    k += 1
                    # the direction changes by what the new column takes over
                    value = -side * speed[entering]
                    for i in range(k - 1):
                        value -= gram[entering, active[i]] * rate[i]
                    value /= pivot_of(factor, k - 1) ** 2
                    solve_upper(factor, row, k - 1)
                    for i in range(k - 1):
                        rate[i] -= value * row[i]
                    rate[k - 1] = value
                    if k == n_rows < max_rank:
                        break  # no room for another row
                    continue
                solve_upper(factor, row, k)
                leaving = _exchange(active, sign, k, coef, free, entering, side, row)
                if leaving < 0:
                    # a direction in which everything grows at no cost: nothing is gained by it
                    blocked[entering] = True
                    continue
                dropped = active[leaving]
                inside[dropped] = False
                remove(factor, active, k, leaving)
                free_slot(slot, leaving, k)
                k -= 1
                if not append(factor, active, k, max_rank, gram, l2, entering, row):
                    return FAILED, events, -1
                inside[entering] = True
                add_row(near, slot[k], gram, entering, awake, q)
                k += 1
            else:
                dropped = active[leaving]
                coef[dropped] = 0.0
                inside[dropped] = False
                remove(factor, active, k, leaving)
                free_slot(slot, leaving, k)
                k -= 1
            blocked[:] = False
            # the bound of an active column may have been wrong for a zero one: right from here on
            size = gradient[dropped] if positive else abs(gradient[dropped])
            if size > bound[dropped]:
                bound[dropped] = size
                speed[dropped] = (l1[dropped] - size) / max(1.0 - t, 1e-300)
            if not watched[dropped]:
                if q == n_columns:
                    break  # no room for another column
                watched[dropped] = True
                awake[q] = dropped
                for i in range(k):
                    near[slot[i], q] = gram[active[i], dropped]
                q += 1
            _solve_rates(factor, active, sign, speed, k, rate)

        refresh(gram, coef, start, gradient, start_gradient, rows, change, drift)
        if t >= 1.0:
            is_sound = _polish(
                factor, active, sign, k, gram, gradient, coef, l1, l2, free, rate, drift, steepest
            )
            if not is_sound:
                return FAILED, events, -1
            slept = False
            for j in range(m):
                if not (inside[j] or watched[j] or free[j]) and gram[j, j] > 0.0:
                    size = gradient[j] if positive else abs(gradient[j])
                    slept = slept or size > (1.0 + _PARALLEL) * l1[j]
            if not slept:
                return DONE, events, k
        elif events >= max_events:
            return OUT_OF_EVENTS, events, -1


@kernel()
def follow_levels(
    gram, gradient, coef, l1, levels, free, positive, max_rank, max_events, max_active,
    factor, active, sign, n_active, coefs, events,
):  # fmt: skip
    """Follow the bounds ``levels[i] * l1`` one after another, without a ridge part.

    Stops early once more than ``max_active`` columns are active. The solutions are written to the
    rows of ``coefs``, and to ``events`` what each took; the other arguments are those of
    :func:`follow`.

    Returns
    -------
    (number of levels whose solution was found, n_active)
    """
    l2 = np.zeros_like(l1)
    for i in range(levels.shape[0]):
        if n_active > max_active:
            return i, n_active
        status, events[i], n_active = follow(
            gram, gradient, coef, levels[i] * l1, l2, free, positive, max_rank, max_events, 0.0,
            factor, active, sign, n_active,
        )  # fmt: skip
        if status != DONE:
            return i, -1
        coefs[i] = coef
    return levels.shape[0], n_active
