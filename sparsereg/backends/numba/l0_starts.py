"""Routes to starting points of l0 problems, on the Gram matrix of a pool of columns.

A is that matrix, the ridge on its diagonal, in units that make the diagonal one; c has the
correlations with y, q = c - A z. Both routes lower (1/2) z'A z - c'z plus the exact relaxation CEL0
of the costs,

    phi_j(z) = s_j^2 / 2 - (s_j - |z|)_+^2 / 2,     s_j = sqrt(2 cost_j),

from zero. *Reweighted l1* solves weighted lassos whose weights are the slopes (s_j - |z_j|)_+ at
the last solution. *Splitting* takes gradient steps of length t = .99 / (largest eigenvalue of A),
each followed by the prox of phi: 0 up to t s_j, then (|v| - t s_j) / (1 - t) up to s_j, then v.

Sources: Soubies, Blanc-Feraud and Aubert, SIAM J. Imaging Sciences, 2015 (CEL0); Zou and Li, Annals
of Statistics, 2008 (reweighting); Attouch, Bolte and Svaiter, Mathematical Programming, 2013.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.l0_relaxation import descend

# Passes of a weighted lasso, and the square of the step that ends it, beside that of reweighting.
_PASSES, _FINER = 100, 0.01
_POWER_STEPS, _SHARE = 30, 0.99


@kernel()
def reweight(gram, correlation, thresholds, coef, max_rounds, settled):
    """Move ``coef`` to where the weighted lassos settle, up to so many; return their number.

    They have settled when no coefficient moves by more than ``settled``.
    """
    m = coef.shape[0]
    weights = np.empty(m)
    before = np.empty(m)
    zeros = np.zeros(m)
    unlimited = np.full(m, np.inf)
    gradient = np.empty(m)
    _refresh(gram, correlation, coef, gradient)
    n_rounds = 0
    while n_rounds < max_rounds:
        n_rounds += 1
        for j in range(m):
            before[j] = coef[j]
            weights[j] = max(thresholds[j] - abs(coef[j]), 0.0)
        descend(
            gram, gradient, coef, weights, unlimited, zeros, unlimited, _PASSES,
            _FINER * settled * settled,
        )  # fmt: skip
        if not np.max(np.abs(coef - before)) > settled:
            break
    return n_rounds


@kernel()
def split(gram, correlation, thresholds, coef, max_steps, settled):
    """Move ``coef`` by forward-backward steps until they settle; return their number.

    A step that raises the objective, because the eigenvalue was found too small, is halved.
    """
    m = coef.shape[0]
    step = _SHARE / _largest_eigenvalue(gram)
    gradient = np.empty(m)
    moved = np.empty(m)
    new_gradient = np.empty(m)
    _refresh(gram, correlation, coef, gradient)
    objective = _objective(gram, correlation, thresholds, coef, gradient)
    slack = 1e-14 * max(abs(objective), 1e-300)
    n_steps = 0
    while n_steps < max_steps:
        n_steps += 1
        sq_length = 0.0
        for j in range(m):
            target = coef[j] + step * gradient[j]
            size = abs(target) - step * thresholds[j]
            value = 0.0
            if size > 0.0:
                value = min(size / (1.0 - step), abs(target))
            moved[j] = value if target > 0.0 else -value
            sq_length += (moved[j] - coef[j]) ** 2
        _refresh(gram, correlation, moved, new_gradient)
        new_objective = _objective(gram, correlation, thresholds, moved, new_gradient)
        if new_objective > objective + slack:
            step *= 0.5
            continue
        coef[:] = moved
        gradient[:] = new_gradient
        objective = new_objective
        if sq_length <= step * settled * settled:
            break
    return n_steps


@kernel(fastmath=REASSOCIATE)
def _refresh(gram, correlation, coef, gradient):
    """Set the gradient to c - A z."""
    gradient[:] = correlation
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            for k in range(coef.shape[0]):
                gradient[k] -= coef[j] * gram[j, k]


@kernel()
def _objective(gram, correlation, thresholds, coef, gradient):
    """Return the relaxed objective, less what it is at zero."""
    total = 0.0
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            missing = max(thresholds[j] - abs(coef[j]), 0.0)
            total -= 0.5 * coef[j] * (correlation[j] + gradient[j])
            total += 0.5 * (thresholds[j] ** 2 - missing * missing)
    return total


@kernel(fastmath=REASSOCIATE)
def _largest_eigenvalue(gram):
    """Return that of A, by power iteration from below, and at least its diagonal."""
    m = gram.shape[0]
    # not orthogonal to the leading eigenvector unless the columns are made so
    vector = 1.0 + np.arange(m) % 7 / 7.0
    image = np.empty(m)
    value = 0.0
    for _ in range(_POWER_STEPS):
        length = 0.0
        for j in range(m):
            length += vector[j] * vector[j]
        value = 0.0
        for j in range(m):
            total = 0.0
            for k in range(m):
                total += gram[j, k] * vector[k]
            image[j] = total / length**0.5
            value += image[j] * image[j]
        vector[:] = image
    return max(value**0.5, 1.0)
