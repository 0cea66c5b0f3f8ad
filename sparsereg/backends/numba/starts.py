"""Routes to starting points of non-convex problems, on the Gram matrix G of a pool of columns.

Both lower (1/2) w'G w - c'w + penalty(w), c the correlations with y, q = c - G w.

- *Reweighted l1* solves weighted lassos whose weights are the slopes, at the last solution, of the
  exact relaxation of the penalty.
- *Splitting* takes gradient steps of length t = .99 / (largest eigenvalue of G), each followed by
  the prox of the penalty.

Sources: Zou and Li, Annals of Statistics, 2008 (reweighting); Soubies, Blanc-Feraud and Aubert,
SIAM J. Imaging Sciences, 2015 (the relaxation of l0); Attouch, Bolte and Svaiter, Mathematical
Programming, 2013 (splitting).
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.l0_relaxation import descend
from sparsereg.backends.numba.penalty_kernels import (
    prox_column,
    relaxed_slope_vector,
    value_column,
)

# Passes of a weighted lasso, and the step that ends it, beside that of reweighting.
_PASSES, _FINER = 100, 0.1
_POWER_STEPS, _SHARE = 30, 0.99
# What rounding may add to an objective, beside the square of the step that ends the splitting.
_SLACK = 1e-4


@kernel()
def reweight(gram, correlation, coef, kind, params, weights, scales, max_rounds, settled):
    """Move ``coef`` to where the weighted lassos settle, up to so many; return their number.

    They have settled when no coefficient, times the norm of its column, moves by more than
    ``settled``.
    """
    m = coef.shape[0]
    curvatures = np.empty(m)
    for j in range(m):
        curvatures[j] = gram[j, j]
    no_ridge = np.zeros(m)
    no_knot = np.full(m, np.inf)
    bound = np.empty(m)
    gradient = np.empty(m)
    _refresh(gram, correlation, coef, gradient)
    n_rounds = 0
    while n_rounds < max_rounds:
        n_rounds += 1
        before = coef.copy()
        slopes = relaxed_slope_vector(kind, params, weights, scales, coef, curvatures)
        for j in range(m):
            bound[j] = np.inf if slopes[j] < np.inf and curvatures[j] > 0.0 else 0.0
        descend(
            gram, gradient, coef, slopes, no_knot, no_ridge, bound, _PASSES, (_FINER * settled) ** 2
        )
        largest = 0.0
        for j in range(m):
            largest = max(largest, curvatures[j] * (coef[j] - before[j]) ** 2)
        if not largest > settled * settled:
            break
    return n_rounds


@kernel()
def split(gram, correlation, coef, kind, params, weights, scales, max_steps, settled):
    """Move ``coef`` by forward-backward steps until they settle; return their number.

    They have settled when the length of a step is at most ``settled`` times the root of t. A step
    that raises the objective, because the eigenvalue was found too small, is halved.
    """
    m = coef.shape[0]
    step = _SHARE / _largest_eigenvalue(gram, m)
    gradient = np.empty(m)
    new_gradient = np.empty(m)
    _refresh(gram, correlation, coef, gradient)
    objective = _objective(correlation, coef, gradient, kind, params, weights, scales)
    slack = _SLACK * settled * settled
    moved = np.empty(m)
    zero_up_to = np.zeros(m)  # targets whose prox is known to be zero: most of them, soon
    n_steps = 0
    while n_steps < max_steps:
        n_steps += 1
        sq_length = 0.0
        for j in range(m):
            target = coef[j] + step * gradient[j]
            moved[j] = 0.0
            if abs(target) > zero_up_to[j] and weights[j] < np.inf:
                moved[j] = prox_column(kind, params, weights, scales, j, target, step)
                if moved[j] == 0.0 and (target > 0.0 or params[2] == 0.0):
                    zero_up_to[j] = abs(target)
            sq_length += (moved[j] - coef[j]) ** 2
        _refresh(gram, correlation, moved, new_gradient)
        reached = _objective(correlation, moved, new_gradient, kind, params, weights, scales)
        if reached > objective + slack:
            step *= 0.5
            zero_up_to[:] = 0.0
            continue
        coef[:] = moved
        gradient[:] = new_gradient
        objective = reached
        if sq_length <= step * settled * settled:
            break
    return n_steps


@kernel()
def _objective(correlation, coef, gradient, kind, params, weights, scales):
    """Return the objective, less what it is at zero."""
    total = 0.0
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            total -= 0.5 * coef[j] * (correlation[j] + gradient[j])
            total += value_column(kind, params, weights, scales, j, coef[j])
    return total


@kernel(fastmath=REASSOCIATE)
def _refresh(gram, correlation, coef, gradient):
    """Set the gradient to c - G w."""
    gradient[:] = correlation
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            for k in range(coef.shape[0]):
                gradient[k] -= coef[j] * gram[j, k]


@kernel(fastmath=REASSOCIATE)
def _largest_eigenvalue(gram, m):
    """Return that of G, by power iteration from below, and at least its largest entry."""
    largest = 0.0
    vector = np.empty(m)
    for j in range(m):
        largest = max(largest, gram[j, j])
        # not orthogonal to the leading eigenvector unless the columns are made so
        vector[j] = gram[j, j] ** 0.5 * (1.0 + j % 7 / 7.0)
    image = np.empty(m)
    value = 0.0
    for _ in range(_POWER_STEPS):
        length = 0.0
        for j in range(m):
            length += vector[j] * vector[j]
        if not length > 0.0:
            break
        value = 0.0
        for j in range(m):
            total = 0.0
            for k in range(m):
                total += gram[j, k] * vector[k]
            image[j] = total / length**0.5
            value += image[j] * image[j]
        vector[:] = image
    return max(value**0.5, largest)
