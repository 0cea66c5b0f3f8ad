"""The duality gap of an elastic-net problem, term by term; see :mod:`sparsereg.solvers.duality`."""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel


@kernel()
def dual_gap(coef, gradient, l1, l2, curvatures, positive, sq_residual, noise):
    """Return the gap at the better of the dual scales tried, and that scale.

    ``noise`` times the norm of a column is the size below which its gradient counts as zero.
    """
    ridge = False
    penalized = False
    feasible = np.inf  # largest scale at which every |u_j| <= l1_j
    product = 0.0
    for j in range(coef.shape[0]):
        product += coef[j] * gradient[j]
        if l2[j] > 0.0:
            ridge = True
        if l1[j] > 0.0:
            penalized = True
            size = gradient[j] if positive else abs(gradient[j])
            if size * feasible > l1[j]:
                feasible = l1[j] / size
        elif positive and l2[j] == 0.0:
            penalized = True
            if gradient[j] > noise * np.sqrt(curvatures[j]):
                feasible = 0.0
    if ridge:
        gap = _gap_at(1.0, coef, gradient, l1, l2, curvatures, positive, sq_residual)
        if feasible < 1.0:
            scaled = _gap_at(feasible, coef, gradient, l1, l2, curvatures, positive, sq_residual)
            if scaled < gap:
                return scaled, feasible
        return gap, 1.0
    scale = 1.0
    if penalized:
        # gap(a) is a parabola with its minimum at 1 + w'g / ||r||^2
        if sq_residual > 0.0:
            scale = 1.0 + product / sq_residual
        scale = max(0.0, min(scale, feasible))
    return _gap_at(scale, coef, gradient, l1, l2, curvatures, positive, sq_residual), scale


@kernel()
def _gap_at(a, coef, gradient, l1, l2, curvatures, positive, sq_residual):
    total = 0.5 * (1.0 - a) ** 2 * sq_residual
    for j in range(coef.shape[0]):
        w = coef[j]
        g = gradient[j]
        if l2[j] > 0.0:
            excess = a * (g if positive else abs(g)) - l1[j]
            if excess > 0.0 and w * g > 0.0:
                # u exceeds its bound on the side of w: the whole term is one square
                total += (l2[j] * abs(w) - excess) ** 2 / (2.0 * l2[j])
                continue
            if excess > 0.0:
                total += excess**2 / (2.0 * l2[j])
            if w != 0.0:
                total += 0.5 * l2[j] * w * w
        if l1[j] + l2[j] > 0.0 or positive:
            if w != 0.0:
                total += abs(w) * max(l1[j] - np.sign(w) * a * g, 0.0)
        elif curvatures[j] > 0.0:
            total += g**2 / (2.0 * curvatures[j])
    return total
