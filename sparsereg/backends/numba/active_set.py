"""Primal-dual active set: jump to the solution at new bounds, many changes at a time.

With the active set A and its signs z fixed, the elastic net on a Gram matrix is a linear system,
H_AA w_A = c_A - z_A l1_A. Its solution says which active coefficients have passed zero and which
inactive gradients their bound; all of them change sides at once, until none does. That is a Newton
method on the optimality conditions. Near the solution it ends after a few rounds, each of which
reads the factor a few times however many columns change, where the homotopy reads it for each of
them. It may also cycle: then the caller takes the homotopy, which cannot.

Source: Hintermüller, Ito and Kunisch, "The primal-dual active set strategy as a semismooth Newton
method", SIAM J. Optim. 2003.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.factor import append_together, remove, solve_lower, solve_upper
from sparsereg.backends.numba.gram_rows import add_row, combine_rows, free_slot, refresh
from sparsereg.backends.numba.jit import kernel

# Rounds after which it is taken to cycle.
_MAX_ROUNDS = 12
# A step down that would change more than so many columns, and this share of the active ones, is
# too long; it is not shortened beyond this, in the logarithm of the bounds.
_MANY_CHANGES, _MANY_SHARE, _SHORTEST = 16, 0.1, 1e-3
# Rounds with no more changes than this may have more of them than the round before.
_FEW_CHANGES = 8
# Inactive columns are watched if their gradient reaches this share of the bound at the end of the
# stretch; after so long a stretch the others are looked at.
_ASLEEP, _STRETCH = 0.7, 0.2
# Levels below this go to the next one wanted at once.
_TINY = 1e-300
# A gradient above its bound by less than this share counts as on it.
_ON_BOUND = 1e-11

# How an attempt at one level ended.
_SOLVED, _TOO_LONG, _FAILED = 0, 1, 2


@kernel(inline="always")
def _beyond(gradient, bound, positive):
    size = gradient if positive else abs(gradient)
    return size > (1.0 + _ON_BOUND) * bound


@kernel(inline="always")
def _watch(
    gram, gradient, fixed, slope, level, free, positive, inside, is_watched, watched
):  # fmt: skip
    """List the inactive columns whose gradient comes near their bound at a level."""
    q = np.int64(0)
    for j in range(gradient.shape[0]):
        size = gradient[j] if positive else abs(gradient[j])
        is_watched[j] = (
            not (inside[j] or free[j])
            and gram[j, j] > 0.0
            and size >= _ASLEEP * (fixed[j] + level * slope[j])
        )
        if is_watched[j]:
            watched[q] = j
            q += 1
    return q


@kernel()
def _compact(memory, gram, active, k, watched, q, max_rank, slot):
    """Copy the rows of the active columns at the watched ones, with room for more of both.

    Returns (memory, rows): they are written over what is there, if that has room.
    """
    most, width = min(max_rank, k + k // 8 + 64), min(gram.shape[0], q + q // 8 + 64)
    if memory.size < most * width:
        memory = np.empty(most * width)
    near = memory[: most * width].reshape(most, width)
    for i in range(near.shape[0]):
        slot[i] = i
    for i in range(k):
        add_row(near, i, gram, active[i], watched, q)
    return memory, near


@kernel(inline="always")
def _step(
    near, slot, gradient, coef, fixed, slope, l2, level, free, factor, active, sign, k, watched, q,
    move, drift,
):  # fmt: skip
    """Go to the solution on the active set; the gradient follows there and where it is watched."""
    for i in range(k):
        a = active[i]
        move[i] = (
            gradient[a]
            - l2[a] * coef[a]
            - (0.0 if free[a] else sign[a] * (fixed[a] + level * slope[a]))
        )
    solve_lower(factor, move, k)
    solve_upper(factor, move, k)
    combine_rows(near, slot, move, k, q, drift)
    for c in range(q):
        gradient[watched[c]] += drift[c]
    for i in range(k):
        a = active[i]
        coef[a] += move[i]
        gradient[a] = l2[a] * coef[a] + (
            0.0 if free[a] else sign[a] * (fixed[a] + level * slope[a])
        )


@kernel(inline="always")
def _add_column(near, slot, gram, active, k, j, q):
    """Add a watched column to the compact rows, if there is room."""
    if q < near.shape[1]:
        for i in range(k):
            near[slot[i], q] = gram[active[i], j]


@kernel(inline="always")
def _enter(
    near, slot, gram, gradient, l2, positive, max_rank, factor, active, sign, inside, k, watched, q,
    entering, n_entering,
):  # fmt: skip
    """Append the entering columns to the active ones; return whether they are independent."""
    if k + n_entering > max_rank:
        return False
    if not append_together(factor, active, k, gram, l2, entering, n_entering):
        return False
    for c in range(n_entering):
        j = entering[c]
        inside[j] = True
        sign[j] = 1.0 if positive or gradient[j] > 0.0 else -1.0
        if k + c < near.shape[0]:
            add_row(near, slot[k + c], gram, j, watched, min(q, near.shape[1]))
    return True


@kernel()
def _complete(gram, coef, l2, max_rank, factor, active, sign, inside, k, entering):
    """Append what is in the support but not active; return the number of active columns, or -1."""
    n_entering = np.int64(0)
    for j in range(coef.shape[0]):
        if coef[j] != 0.0 and not inside[j]:
            entering[n_entering] = j
            n_entering += 1
            inside[j] = True
            sign[j] = np.sign(coef[j])
    if not n_entering:
        return k
    if k + n_entering > max_rank:
        return -1
    if not append_together(factor, active, k, gram, l2, entering, n_entering):
        return -1
    return k + n_entering


@kernel(inline="always")
def _leave(
    near, slot, gram, gradient, coef, factor, active, inside, k, watched, is_watched, q, position
):  # fmt: skip
    """Set an active coefficient to zero and delete its column; return the number watched."""
    a = active[position]
    value = coef[a]
    coef[a] = 0.0
    inside[a] = False
    remove(factor, active, k, position)
    free_slot(slot, position, k)
    if not is_watched[a]:
        is_watched[a] = True
        watched[q] = a
        _add_column(near, slot, gram, active, k - 1, a, q)
        q += 1
    row = gram[a]
    for c in range(q):
        if not inside[watched[c]]:
            gradient[watched[c]] += value * row[watched[c]]
    for c in range(k - 1):
        gradient[active[c]] += value * row[active[c]]
    return q


@kernel()
def _solve_at(
    level, last_level, memory, near, slot, gram, gradient, coef, fixed, slope, l2, free, positive,
    max_rank, factor, active, sign, inside, k, watched, is_watched, q, move, drift, entering,
):  # fmt: skip
    """Go to the solution at one level, as far as the watched columns tell.

    Returns (status, changes, k, q, memory, near). Where the step was too long everything is as it
    was.
    """
    changes = 0
    last_changes = 0
    for attempt in range(_MAX_ROUNDS):
        if k > near.shape[0] or q > near.shape[1]:
            memory, near = _compact(memory, gram, active, k, watched, q, max_rank, slot)
        _step(
            near, slot, gradient, coef, fixed, slope, l2, level, free, factor, active, sign, k,
            watched, q, move, drift,
        )  # fmt: skip
        n_entering = np.int64(0)
        for c in range(q):
            j = watched[c]
            if not inside[j] and _beyond(gradient[j], fixed[j] + level * slope[j], positive):
                entering[n_entering] = j
                n_entering += 1
        n_leaving = 0
        for i in range(k):
            if not free[active[i]] and sign[active[i]] * coef[active[i]] < 0.0:
                n_leaving += 1
        n_changes = int(n_entering) + n_leaving
        if n_changes == 0:
            return _SOLVED, changes, k, q, memory, near
        if attempt == 0 and n_changes > _MANY_CHANGES + _MANY_SHARE * k and level != last_level:
            for c in range(q):
                gradient[watched[c]] -= drift[c]
            for i in range(k):
                a = active[i]
                coef[a] -= move[i]
                bound = 0.0 if free[a] else sign[a] * (fixed[a] + last_level * slope[a])
                gradient[a] = l2[a] * coef[a] + bound
            return _TOO_LONG, changes, k, q, memory, near
        if attempt > 0 and n_changes > max(last_changes, _FEW_CHANGES):
            break  # it diverges
        last_changes = n_changes
        changes += n_changes
        for position in range(k - 1, -1, -1):  # from the end, so that positions stay
            a = active[position]
            if not free[a] and sign[a] * coef[a] < 0.0:
                q = _leave(
                    near, slot, gram, gradient, coef, factor, active, inside, k, watched,
                    is_watched, q, position,
                )  # fmt: skip
                k -= 1
        if n_entering:
            if not _enter(
                near, slot, gram, gradient, l2, positive, max_rank, factor, active, sign, inside, k,
                watched, q, entering, n_entering,
            ):  # fmt: skip
                break
            k += n_entering
    return _FAILED, changes, k, q, memory, near


@kernel()
def jump(
    gram, gradient, coef, fixed, slope, levels, stride, l2, free, positive, max_rank, factor,
    active, sign, n_active, coefs, changes,
):  # fmt: skip
    """Move coef to the solutions for the bounds of one level after another, in place.

    Parameters
    ----------
    fixed, slope : (m,)
        The bounds at a level are ``fixed + level * slope``.
    levels : (1 + a,) decreasing; coef is near the solution at the first
    stride : float
        Longest step down, in the logarithm of the bounds.
    coefs, changes : (a, m), (a,)
        Filled with the solutions at the others, and the active-set changes of each. Between looks
        at all columns, a solution may miss one that it should have: its gap says so.
    gram, gradient, coef, ... : as for :func:`sparsereg.backends.numba.homotopy.follow`; what is
        missing of the support in the active set is appended

    Returns
    -------
    (number of levels whose solution was found, level that was reached, n_active)
        If these are not all, the factor is of no use.
    """
    m = coef.shape[0]
    k = n_active
    start = coef.copy()
    start_gradient = gradient.copy()
    last = coef.copy()
    inside = np.zeros(m, dtype=np.bool_)
    is_watched = np.zeros(m, dtype=np.bool_)
    watched = np.empty(m, dtype=np.int64)
    move = np.empty(m)
    drift = np.empty(m)
    rows = np.empty(m, dtype=np.int64)
    entering = np.empty(m, dtype=np.int64)
    slot = np.empty(m, dtype=np.int64)
    memory, near = np.empty(0), np.empty((0, 0))
    q = np.int64(0)
    for i in range(k):
        inside[active[i]] = True
    k = _complete(gram, coef, l2, max_rank, factor, active, sign, inside, k, entering)
    if k < 0:
        return 0, levels[0], -1

    n_levels = levels.shape[0]
    changes[:] = 0
    current = levels[0]
    longest = stride
    n_solved, n_checked, moved = 1, 1, False
    stretch_end = np.inf  # the watched columns will do down to this level
    while True:
        done = n_solved == n_levels
        target = current if done else max(levels[n_solved], current * np.exp(-stride))
        if target < _TINY:  # a stride no longer moves it
            target = levels[n_solved]
        if done or target < stretch_end:
            if moved:  # look at all columns
                refresh(gram, coef, start, gradient, start_gradient, rows, move, drift)
                n_entering = np.int64(0)
                for j in range(m):
                    if inside[j] or free[j] or is_watched[j] or gram[j, j] <= 0.0:
                        continue
                    if _beyond(gradient[j], fixed[j] + current * slope[j], positive):
                        entering[n_entering] = j
                        n_entering += 1
                        is_watched[j] = True
                        watched[q] = j
                        _add_column(near, slot, gram, active, k, j, q)
                        q += 1
                if n_entering:
                    status = _FAILED
                    if _enter(
                        near, slot, gram, gradient, l2, positive, max_rank, factor, active, sign,
                        inside, k, watched, q, entering, n_entering,
                    ):  # fmt: skip
                        k += n_entering
                        status, used, k, q, memory, near = _solve_at(
                            current, current, memory, near, slot, gram, gradient, coef, fixed,
                            slope, l2, free, positive, max_rank, factor, active, sign, inside, k,
                            watched, is_watched, q, move, drift, entering,
                        )  # fmt: skip
                        changes[max(n_solved - 2, 0)] += used + n_entering
                    if status != _SOLVED:
                        break
                    last[:] = coef
                    if n_solved > 1 and current == levels[n_solved - 1]:
                        coefs[n_solved - 2] = coef
                    continue
                start[:] = coef
                start_gradient[:] = gradient
                n_checked, moved = n_solved, False
            if done:
                return n_levels - 1, current, k
            stretch_end = current * np.exp(-_STRETCH)
            q = _watch(
                gram, gradient, fixed, slope, stretch_end, free, positive, inside, is_watched,
                watched,
            )  # fmt: skip
            memory, near = _compact(memory, gram, active, k, watched, q, max_rank, slot)
        status, used, k, q, memory, near = _solve_at(
            target, current, memory, near, slot, gram, gradient, coef, fixed, slope, l2, free,
            positive, max_rank, factor, active, sign, inside, k, watched, is_watched, q, move,
            drift, entering,
        )  # fmt: skip
        if status == _TOO_LONG and stride > _SHORTEST:
            stride = 0.5 * min(stride, np.log(current / target))
            continue
        if status != _SOLVED:
            break
        changes[n_solved - 1] += used
        current, moved = target, True
        last[:] = coef
        if 4 * used < _MANY_CHANGES + _MANY_SHARE * k:
            stride = min(2.0 * stride, longest)
        if target == levels[n_solved]:
            coefs[n_solved - 1] = coef
            n_solved += 1
    coef[:] = last
    refresh(gram, coef, start, gradient, start_gradient, rows, move, drift)
    return n_checked - 1, current, -1
