"""Convex relaxations of l0 costs: coordinate descent, dual bound and fixing, on a Gram matrix.

Columns have unit norm, z are the coefficients, c the correlations with y, q = c - G z. A free
coordinate has the cost and its perspective relaxation (the reverse Huber function; Dong, Chen and
Linderoth, 2015)

    cost 1{z != 0} + ridge z^2 / 2,  |z| <= bound      >=      phi(z),
    phi(z) = slope |z| for |z| <= knot, and cost + ridge z^2 / 2 beyond,
    knot = min(sqrt(2 cost / ridge), bound),    slope = cost / knot + ridge knot / 2.

A coordinate fixed in has slope = knot = 0, one fixed out has bound = 0. With the conjugate

    psi*(q) = max_{|z| <= bound} q z - ridge z^2 / 2,

every z gives the lower bound (Guyard, Herzet and Elvira, 2022; take the residual as dual point)

    D = (yy - c'z + q'z) / 2 - sum_free (psi*(q_j) - cost_j)_+ - sum_in (psi*(q_j) - cost_j),

and D + |psi*(q_j) - cost_j| bounds the problem in which free coordinate j is fixed to the side that
the relaxation does not take: beyond the objective to beat, j is fixed to the other.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel

FREE, INSIDE, OUTSIDE = 0, 1, 2

# Passes between two evaluations of the bound, and epochs on the support in each of them.
_PASSES, _EPOCHS = 2, 6
# Newton steps are taken on so many coordinates, of pivots above this.
_LARGEST_STEP, _SMALLEST_PIVOT = 500, 1e-10
# A gap that is this share of the way from the bound to the cutoff will not close the node.
_HOPELESS = 0.2


@kernel(inline="always")
def _conjugate(size, ridge, bound):
    """Return psi*(size) and where it is attained, for size >= 0."""
    reach = ridge * bound if ridge > 0.0 else 0.0
    if size > reach and bound > 0.0:
        return bound * (size - 0.5 * reach), bound
    if ridge > 0.0 and bound > 0.0:
        return 0.5 * size * size / ridge, size / ridge
    return 0.0, 0.0


@kernel(fastmath={"contract"})
def _step(gram, gradient, coef, j, slope, knot, ridge, bound):
    """Minimize over coordinate j; return curvature times the square of the step."""
    curvature = gram[j, j]
    target = curvature * coef[j] + gradient[j]
    size = abs(target)
    value = 0.0
    if size > slope:
        value = (size - slope) / curvature
        if value > knot:
            value = max(knot, size / (curvature + ridge))
        value = min(value, bound)
    delta = (value if target > 0.0 else -value) - coef[j]
    if delta == 0.0:
        return 0.0
    coef[j] += delta
    for k in range(gradient.shape[0]):
        gradient[k] -= delta * gram[j, k]
    return curvature * delta * delta


@kernel()
def _factorize(matrix, size):
    """Replace the lower triangle by its Cholesky factor; return False if it has none."""
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i > j:
                matrix[i, j] = total / matrix[j, j]
            elif total > _SMALLEST_PIVOT:
                matrix[i, i] = total**0.5
            else:
                return False
    return True


@kernel()
def _newton(gram, gradient, coef, slope, knot, ridge, bound, active, size, matrix, move):
    """Take the Newton step of the pieces that the active coordinates are on, up to their ends.

    The relaxation is quadratic there, so the step leads to its minimum, or as far down towards it
    as the pieces reach. Coordinates at a bound stay.
    """
    n_moving = np.int64(0)
    for k in range(size):
        j = active[k]
        value = abs(coef[j])
        if value == 0.0 or value >= bound[j]:
            continue
        active[n_moving] = j
        force = slope[j] if value < knot[j] else ridge[j] * value
        move[n_moving] = gradient[j] - (force if coef[j] > 0.0 else -force)
        n_moving += 1
    if n_moving == 0:
        return
    for i in range(n_moving):
        for k in range(i + 1):
            matrix[i, k] = gram[active[i], active[k]]
        j = active[i]
        if abs(coef[j]) >= knot[j]:
            matrix[i, i] += ridge[j]
    if not _factorize(matrix, n_moving):
        return
    for i in range(n_moving):
        for k in range(i):
            move[i] -= matrix[i, k] * move[k]
        move[i] /= matrix[i, i]
    for i in range(n_moving - 1, -1, -1):
        for k in range(i + 1, n_moving):
            move[i] -= matrix[k, i] * move[k]
        move[i] /= matrix[i, i]
    share = 1.0
    for k in range(n_moving):
        j = active[k]
        if move[k] == 0.0:
            continue
        value = abs(coef[j])
        inward = (coef[j] > 0.0) != (move[k] > 0.0)
        if value < knot[j]:
            room = value if inward else knot[j] - value
        else:
            room = value - knot[j] if inward else bound[j] - value
        share = min(share, room / abs(move[k]))
    for k in range(n_moving):
        j = active[k]
        old = coef[j]
        coef[j] += share * move[k]
        if coef[j] * old < 0.0:  # what rounding would carry across zero
            coef[j] = 0.0
        delta = coef[j] - old
        for h in range(gradient.shape[0]):
            gradient[h] -= delta * gram[j, h]


@kernel()
def descend(gram, gradient, coef, slope, knot, ridge, bound, max_passes, tol):
    """Passes over all coordinates, each followed by descent and a Newton step on the support."""
    m = coef.shape[0]
    active = np.empty(m, dtype=np.int64)
    matrix = np.empty((0, 0))
    move = np.empty(m)
    for _ in range(max_passes):
        largest = 0.0
        n_active = np.int64(0)
        for j in range(m):
            if bound[j] > 0.0 or coef[j] != 0.0:
                change = _step(gram, gradient, coef, j, slope[j], knot[j], ridge[j], bound[j])
                largest = max(largest, change)
                if coef[j] != 0.0:
                    active[n_active] = j
                    n_active += 1
        if not largest > tol:
            break
        inner = largest
        for _ in range(_EPOCHS):
            inner = 0.0
            for k in range(n_active):
                j = active[k]
                change = _step(gram, gradient, coef, j, slope[j], knot[j], ridge[j], bound[j])
                inner = max(inner, change)
            if not inner > max(tol, 0.01 * largest):
                break
        if inner > tol and n_active <= _LARGEST_STEP:
            if matrix.shape[0] < n_active:
                matrix = np.empty((2 * n_active, 2 * n_active))
            _newton(gram, gradient, coef, slope, knot, ridge, bound, active, n_active, matrix, move)


@kernel()
def solve_node(
    gram, correlation, sq_y, costs, slopes, knots, ridge, bounds, state, coef, gradient,
    cutoff, tol, max_rounds, rounding,
):  # fmt: skip
    """Solve the relaxation of a node until it is closed, cannot be, or has a gap up to ``tol``.

    Free coordinates are fixed in ``state`` where the bound allows. Returns the lower bound, the
    value of the relaxation, the objective at ``coef`` and the coordinate to branch on, -1 if the
    relaxation is exact there. Bounds are lowered by what rounding may have added to them.
    """
    m = coef.shape[0]
    slope = np.empty(m)
    knot = np.empty(m)
    bound = np.empty(m)
    lower = -np.inf
    for _ in range(max_rounds):
        for j in range(m):
            slope[j] = slopes[j] if state[j] == FREE else 0.0
            knot[j] = knots[j] if state[j] == FREE else 0.0
            bound[j] = 0.0 if state[j] == OUTSIDE else bounds[j]
        descend(gram, gradient, coef, slope, knot, ridge, bound, _PASSES, 0.01 * tol)
        # the gradient afresh, so that the bound is of this point
        for k in range(m):
            gradient[k] = correlation[k]
        mass = 0.0
        for j in range(m):
            if coef[j] != 0.0:
                mass += abs(coef[j])
                for k in range(m):
                    gradient[k] -= coef[j] * gram[j, k]
        # value of the relaxation, true objective, and the coordinate nearest to a decision
        fit = sq_y
        dual = sq_y
        relaxed = 0.0
        true = 0.0
        branch = -1
        farthest = 0.0
        for j in range(m):
            if coef[j] != 0.0 or state[j] == INSIDE:
                size = abs(coef[j])
                fit -= (correlation[j] + gradient[j]) * coef[j]
                dual -= (correlation[j] - gradient[j]) * coef[j]
                exact = costs[j] + 0.5 * ridge[j] * size * size
                true += exact
                if state[j] == FREE and size < knot[j] * (1.0 - 1e-9):
                    relaxed += slope[j] * size
                    if size > farthest:
                        farthest = size
                        branch = j
                else:
                    relaxed += exact
        # gradients and the bound, to the side of caution
        scale = sq_y**0.5
        noise = rounding * (scale + mass)
        spread = mass
        for j in range(m):
            if state[j] == OUTSIDE:
                continue
            value, at = _conjugate(abs(gradient[j]) + noise, ridge[j], bounds[j])
            if state[j] == INSIDE or value > costs[j]:
                dual -= 2.0 * (value - costs[j])
                spread += at
        caution = rounding * (scale + spread) ** 2
        new = 0.5 * dual - caution
        value = 0.5 * fit + relaxed
        if new > lower:
            lower = new
        if lower >= cutoff:
            return lower, value, 0.5 * fit + true, -1
        # fixing: one side of a coordinate is beyond the cutoff
        n_fixed = np.int64(0)
        for j in range(m):
            if state[j] != FREE:
                continue
            star, _ = _conjugate(abs(gradient[j]) + noise, ridge[j], bounds[j])
            if new + (costs[j] - star) > cutoff:
                state[j] = OUTSIDE
                n_fixed += 1 if coef[j] != 0.0 else 0
            else:
                star, _ = _conjugate(max(abs(gradient[j]) - noise, 0.0), ridge[j], bounds[j])
                if new + (star - costs[j]) > cutoff:
                    state[j] = INSIDE
                    n_fixed += 1
        gap = value - lower
        if n_fixed == 0 and (gap <= tol or gap <= _HOPELESS * (cutoff - lower) < np.inf):
            break
    return lower, value, 0.5 * fit + true, branch
