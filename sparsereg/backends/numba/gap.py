"""The duality gap of an elastic-net problem, term by term; see :mod:`sparsereg.solvers.duality`."""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel


@kernel()
def dual_gap(coef, gradient, l1, l2, curvatures, positive, sq_residual, scale_y, rounding):
    """Return the gap at the better of the dual scales tried, and that scale.

    A gradient that exceeds its bound by less than ``rounding`` times the norms of its column and of
    y or the fit counts as feasible; what it may hide is added. ``scale_y`` is ||y|| / sqrt(n).
    Features without penalty are left out: see there.
    """
    ridge = False
    feasible = np.inf  # largest scale at which every |u_j| <= l1_j
    needed = np.inf  # the same for features without a ridge part: there is no gap beyond it
    product = 0.0
    fitted = 0.0  # X'r is rounded at the size of what r was computed from
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            if l1[j] + l2[j] > 0.0 or positive:
                product += coef[j] * gradient[j]
            fitted += abs(coef[j]) * np.sqrt(curvatures[j])
    noise = rounding * max(scale_y, fitted)
    for j in range(coef.shape[0]):
        if l2[j] > 0.0:
            ridge = True
        elif l1[j] == 0.0 and not positive:
            continue
        size = gradient[j] if positive else abs(gradient[j])
        if curvatures[j] > 0.0 and size * feasible > l1[j]:
            if size > l1[j] + noise * np.sqrt(curvatures[j]):
                feasible = l1[j] / size
                if l2[j] == 0.0:
                    needed = feasible
            else:
                feasible = min(feasible, max(1.0, l1[j] / size))
    scale = min(1.0, needed)
    if not ridge and sq_residual > 0.0:
        # gap(a) is a parabola with its minimum at 1 + w'g / ||r||^2
        scale = max(0.0, min(1.0 + product / sq_residual, feasible))
    gap = _gap_at(scale, coef, gradient, l1, l2, curvatures, positive, sq_residual)
    if ridge and feasible < scale:
        scaled = _gap_at(feasible, coef, gradient, l1, l2, curvatures, positive, sq_residual)
        if scaled < gap:
            return scaled, feasible
    return gap, scale


@kernel()
def _gap_at(a, coef, gradient, l1, l2, curvatures, positive, sq_residual):
    total = 0.5 * (1.0 - a) ** 2 * sq_residual
    for j in range(coef.shape[0]):
        w = coef[j]
        u = a * gradient[j]
        if w == 0.0 and abs(u) <= l1[j]:
            continue  # most of them
        if l1[j] + l2[j] == 0.0 and not positive:
            continue
        excess = max((u if positive else abs(u)) - l1[j], 0.0)
        if l2[j] > 0.0 and excess > 0.0 and w * u > 0.0:
            # u exceeds its bound on the side of w: the whole term is one square
            total += (l2[j] * abs(w) - excess) ** 2 / (2.0 * l2[j])
            continue
        if w != 0.0:
            total += 0.5 * l2[j] * w * w + abs(w) * max(l1[j] - np.sign(w) * u, 0.0)
        if excess > 0.0:
            if l2[j] > 0.0:
                total += excess * excess / (2.0 * l2[j])
            elif curvatures[j] > 0.0:  # rounding
                total += excess * abs(w) + excess * excess / (2.0 * curvatures[j])
    return total
