"""Local minima of several alphas on the Gram matrix of a pool, without a look at X.

From one alpha to the next, and back: sweeps of coordinate descent over the pool find the support,
sweeps and Newton steps on the support's own block of the Gram matrix settle its values. MCP, SCAD
and the like are made of pieces between kinks: where two points have the same support, signs and
pieces, and the Hessian there is positive definite, descent from either ends at the same minimum. A
second look takes that for granted, and stops on the pieces of the minimum it would have to beat.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.descent import gram_cd, gram_move
from sparsereg.backends.numba.factor import packed, solve_lower, solve_upper
from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.penalty_kernels import penalty_terms, piece_scalar

# Rounds of sweeps over the pool, and on its support: sweeps until the pieces stay, Newton steps.
_MAX_ROUNDS, _SWEEPS, _NEWTON_STEPS = 50, 200, 10
# The support's block is solved to this share of what a sweep over the pool moved, squared; a Newton
# step costs as much as a sweep for every so many coefficients.
_INNER_SHARE, _PER_SWEEP = 0.001, 4
# Times that a path goes up and down again, as long as that finds new minima.
_LOOKS = 4
# Lengths tried, as shares of the Newton step.
_LENGTHS = np.array([1.0, 0.5, 0.25, 0.1])


@kernel()
def go_down(
    gram, gradient, coef, kind, params, weights, scales, max_rank, goal, coefs, gradients, used
):  # fmt: skip
    """Descend at each alpha, a row of params each, from where the last two point to.

    ``coef`` and ``gradient`` are the start; rows of ``coefs`` and ``gradients`` are filled.
    """
    nothing = np.empty(0, dtype=np.int8)
    for k in range(params.shape[0]):
        if k > 1 and params[k - 2, 0] > params[k - 1, 0]:
            stretch = (params[k, 0] - params[k - 1, 0]) / (params[k - 1, 0] - params[k - 2, 0])
            _extrapolate(gram, gradient, coef, kind, params, scales, coefs, k, stretch)
        used[k] = _descend(
            gram, gradient, coef, kind, params[k], weights, scales, max_rank, goal, nothing
        )[0]
        coefs[k] = coef
        gradients[k] = gradient


@kernel()
def _extrapolate(gram, gradient, coef, kind, params, scales, coefs, k, stretch):
    """Go on as from the last alpha but one to the last, where signs and pieces stayed."""
    before = _pieces(kind, params[k - 2], scales, coefs[k - 2])
    last = _pieces(kind, params[k - 1], scales, coefs[k - 1])
    moving = np.flatnonzero((before == last) & (last != 0))
    step = stretch * (coefs[k - 1][moving] - coefs[k - 2][moving])
    for c in range(moving.shape[0]):
        w = coef[moving[c]]
        if (w + step[c]) * w <= 0.0:
            step[c] = 0.0
        coef[moving[c]] = w + step[c]
    gram_move(gram, gradient, moving, step)


@kernel()
def look_back(
    gram, slopes, coefs, gradients, kind, params, weights, scales, max_rank, rough, goal, lower,
    used, changed,
):  # fmt: skip
    """Try each alpha again from the minimum below, going up, and from new ones on either side.

    Where the objective becomes lower by a share of it, the rows of ``coefs`` and ``gradients`` are
    replaced and ``changed`` is set. ``slopes`` is the gradient at zero, ``rough`` the tolerance of
    a look and ``goal`` that of what is kept.
    """
    last = params.shape[0] - 1
    objectives = np.empty(last + 1)
    for k in range(last + 1):
        objectives[k] = _objective(slopes, coefs[k], gradients[k], kind, params[k], weights, scales)
    from_below = np.ones(last + 1, dtype=np.bool_)  # where the minimum below was not a start yet
    from_above = np.zeros(last + 1, dtype=np.bool_)
    for _ in range(_LOOKS):
        for k in range(last - 1, -1, -1):
            if from_below[k]:
                from_below[k] = False
                if _look(
                    gram, slopes, coefs, gradients, kind, params, weights, scales, max_rank, rough,
                    goal, lower, used, changed, objectives, k, k + 1,
                ):  # fmt: skip
                    from_below[max(k - 1, 0)] = from_above[k + 1] = True
        for k in range(1, last + 1):
            if from_above[k]:
                from_above[k] = False
                if _look(
                    gram, slopes, coefs, gradients, kind, params, weights, scales, max_rank, rough,
                    goal, lower, used, changed, objectives, k, k - 1,
                ):  # fmt: skip
                    from_below[k - 1] = from_above[min(k + 1, last)] = True
        if not np.any(from_below[:last]) and not np.any(from_above[1:]):
            break


@kernel()
def _look(
    gram, slopes, coefs, gradients, kind, params, weights, scales, max_rank, rough, goal, lower,
    used, changed, objectives, k, neighbor,
):  # fmt: skip
    """Look at alpha k from a neighbor; return whether that was lower, and is now kept."""
    coef, gradient = coefs[neighbor].copy(), gradients[neighbor].copy()
    to_beat = _pieces(kind, params[k], scales, coefs[k])
    steps, is_same = _descend(
        gram, gradient, coef, kind, params[k], weights, scales, max_rank, rough, to_beat
    )
    if is_same:
        return False
    found = _objective(slopes, coef, gradient, kind, params[k], weights, scales)
    if not found < objectives[k] - lower * abs(objectives[k]):
        return False
    steps += _descend(
        gram, gradient, coef, kind, params[k], weights, scales, max_rank, goal, to_beat[:0]
    )[0]
    coefs[k], gradients[k] = coef, gradient
    objectives[k] = _objective(slopes, coef, gradient, kind, params[k], weights, scales)
    used[k] += steps
    changed[k] = True
    return True


@kernel()
def _objective(slopes, coef, gradient, kind, params, weights, scales):
    """Return the objective less that at zero, from the gradients at both ends."""
    support = np.flatnonzero(coef)
    w = coef[support]
    factors = scales[support] if scales.shape[0] else scales
    values = penalty_terms(kind, params, weights[support], factors, w)[0]
    total = 0.0
    for c in range(support.shape[0]):
        total += values[c] - 0.5 * w[c] * (slopes[support[c]] + gradient[support[c]])
    return total


@kernel()
def _pieces(kind, params, scales, coef):
    """Return 0 where a coefficient is zero, else its sign times the number of its piece."""
    out = np.zeros(coef.shape[0], dtype=np.int8)
    for j in range(coef.shape[0]):
        w = coef[j]
        if w != 0.0:
            scale = scales[j] if scales.shape[0] else 1.0
            piece = 1 + piece_scalar(kind, params, abs(scale * w))
            out[j] = piece if w > 0.0 else -piece
    return out


@kernel()
def _descend(gram, gradient, coef, kind, params, weights, scales, max_rank, goal, to_beat):
    """Descend on the pool until a sweep moves nothing by more than the goal, in place.

    Returns the steps, and whether it stopped on the pieces ``to_beat`` (if these are not empty).
    """
    used = 0
    for _ in range(_MAX_ROUNDS):
        epochs, largest = gram_cd(gram, gradient, coef, kind, params, weights, scales, 1, goal)
        used += epochs
        if not largest > goal or not largest < np.inf:
            break
        support = np.flatnonzero(coef)
        if not support.shape[0]:
            continue
        size = support.shape[0]
        wanted = np.empty(0, dtype=np.int8)
        if to_beat.shape[0] and np.count_nonzero(to_beat) == size:
            wanted = to_beat[support]
        block = np.empty((size, size))
        for a in range(size):
            row = gram[support[a]]
            for b in range(size):
                block[a, b] = row[support[b]]
        w, g, factors = coef[support], gradient[support], weights[support]
        on_support = scales[support] if scales.shape[0] else scales
        steps, is_same = _settle(
            block,
            g,
            w,
            kind,
            params,
            factors,
            on_support,
            size <= max_rank,
            max(goal, _INNER_SHARE * largest),
            wanted,
        )
        used += steps
        if is_same:
            return used, True
        gram_move(gram, gradient, support, w - coef[support])
        coef[support] = w
    return used, False


@kernel()
def _settle(block, g, w, kind, params, weights, scales, may_step, goal, wanted):
    """Sweep over the support until its pieces stay, then step to the minimum on them; repeat."""
    used = 0
    steps_left = _NEWTON_STEPS if may_step else 0
    pieces = _pieces(kind, params, scales, w)
    still = 0
    for _ in range(_SWEEPS):
        _, largest = gram_cd(block, g, w, kind, params, weights, scales, 1, goal)
        used += 1
        if not largest > goal or not largest < np.inf:
            break
        before, pieces = pieces, _pieces(kind, params, scales, w)
        if not np.array_equal(pieces, before):
            still = 0
            continue
        still += 1
        if wanted.shape[0] and np.array_equal(pieces, wanted):
            return used, True
        if steps_left > 0 and still >= w.shape[0] // _PER_SWEEP and np.all(pieces != 0):
            steps_left -= 1
            still = 0
            if _newton_step(block, g, w, kind, params, weights, scales):
                used += 1
                pieces = _pieces(kind, params, scales, w)
                if not np.all(pieces != 0):
                    break
            else:
                steps_left = 0
    return used, False


@kernel()
def _newton_step(block, g, w, kind, params, weights, scales):
    """Take one step, in place; return whether it lowered the objective.

    Coefficients that would change sign stop at zero.
    """
    size = w.shape[0]
    values, slopes, bends = penalty_terms(kind, params, weights, scales, w)
    hessian = block.copy()
    for a in range(size):
        hessian[a, a] += bends[a]
    direction = g - np.sign(w) * slopes
    try:
        factor = packed(np.linalg.cholesky(hessian))
    except Exception:  # not convex here
        return False
    solve_lower(factor, direction, size)
    solve_upper(factor, direction, size)
    if not np.all(np.isfinite(direction)):
        return False
    for length in _LENGTHS:
        moved = w + length * direction
        for a in range(size):
            if moved[a] * w[a] < 0.0:
                moved[a] = 0.0
        step = moved - w
        image = block @ step
        new_values = penalty_terms(kind, params, weights, scales, moved)[0]
        change = 0.0
        for a in range(size):
            change += step[a] * (0.5 * image[a] - g[a]) + (new_values[a] - values[a])
        if change < 0.0:
            w[:] = moved
            g -= image
            return True
    return False
