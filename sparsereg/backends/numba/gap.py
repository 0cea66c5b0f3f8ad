"""The duality gap of an elastic-net problem, term by term; see :mod:`sparsereg.solvers.duality`."""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel


@kernel()
def dual_gaps(
    coefs, gradients, levels, l1, l2, curvatures, positive, sq_residuals, scale_y, rounding
):  # fmt: skip
    """Return the gap of each point at the better of the dual scales tried, and that scale.

    The strengths of a point are l1 and l2 times its level.
    """
    gaps, scales = np.empty(coefs.shape[0]), np.empty(coefs.shape[0])
    listed = np.empty(coefs.shape[1], dtype=np.int64)
    for k in range(coefs.shape[0]):
        gaps[k], scales[k] = dual_gap(
            coefs[k], gradients[k], levels[k], l1, l2, curvatures, positive, sq_residuals[k],
            scale_y, rounding, listed,
        )  # fmt: skip
    return gaps, scales


@kernel()
def dual_gap(
    coef, gradient, level, l1, l2, curvatures, positive, sq_residual, scale_y, rounding, listed
):  # fmt: skip
    """Return the gap and the scale of one point.

    A gradient that exceeds its bound by less than ``rounding`` times the norms of its column and of
    y or the fit counts as feasible; what it may hide is added. ``scale_y`` is ||y|| / sqrt(n).
    Features without penalty are left out: see there. Those at zero and within their bound add
    nothing; the others are ``listed``.
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
    n_listed = np.int64(0)
    for j in range(coef.shape[0]):
        if l2[j] > 0.0:
            ridge = True
        bound = level * l1[j]
        size = gradient[j] if positive else abs(gradient[j])
        tightens = size * feasible > bound
        if coef[j] == 0.0 and size <= bound and not tightens:
            continue
        if l1[j] + l2[j] == 0.0 and not positive:
            continue
        listed[n_listed] = j
        n_listed += 1
        if tightens and curvatures[j] > 0.0:
            if size > bound + noise * np.sqrt(curvatures[j]):
                feasible = bound / size
                if l2[j] == 0.0:
                    needed = feasible
            else:
                feasible = min(feasible, max(1.0, bound / size))
    scale = min(1.0, needed)
    if not ridge and sq_residual > 0.0:
        # gap(a) is a parabola with its minimum at 1 + w'g / ||r||^2
        scale = max(0.0, min(1.0 + product / sq_residual, feasible))
    gap = _gap_at(
        scale, coef, gradient, level, l1, l2, curvatures, positive, sq_residual, noise, listed,
        n_listed,
    )  # fmt: skip
    if ridge and feasible < scale:
        scaled = _gap_at(
            feasible, coef, gradient, level, l1, l2, curvatures, positive, sq_residual, noise,
            listed, n_listed,
        )  # fmt: skip
        if scaled < gap:
            return scaled, feasible
    return gap, scale


@kernel()
def _gap_at(
    a, coef, gradient, level, l1, l2, curvatures, positive, sq_residual, noise, listed, n_listed
):  # fmt: skip
    total = 0.5 * (1.0 - a) ** 2 * sq_residual
    for k in range(n_listed):
        j = listed[k]
        w = coef[j]
        u = a * gradient[j]
        bound, ridge = level * l1[j], level * l2[j]
        excess = max((u if positive else abs(u)) - bound, 0.0)
        within = 0.5 * ridge * w * w + abs(w) * max(bound - np.sign(w) * u, 0.0)
        if excess == 0.0:
            total += within
            continue
        # squares of gradients may underflow, and so are never taken by themselves
        term = np.inf
        if ridge > 0.0 and w * u > 0.0:
            # u exceeds its bound on the side of w: the whole term is one square
            lack = ridge * abs(w) - excess
            term = lack * (lack / (2.0 * ridge))
        elif ridge > 0.0:
            term = within + excess * (excess / (2.0 * ridge))
        if ridge == 0.0 or excess <= noise * np.sqrt(curvatures[j]):
            # rounding, which a ridge far below the curvature would blow up
            hidden = excess * abs(w) + excess * (excess / (2.0 * curvatures[j]))
            term = min(term, within + (hidden if curvatures[j] > 0.0 else 0.0))
        total += term
    return total
