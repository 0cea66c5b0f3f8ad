"""Scalar formulas of the separable penalties: the one place where a kind is spelled out.

A kernel receives (kind, params, weight) and switches here, so that one compiled kernel serves
every penalty. Kinds are numbered by :class:`sparsereg.penalties.base.Kind`.

Kind 0, elastic net, params = (l1, l2, positive):
    weight * (l1 |w| + l2 / 2 w^2), plus the constraint w >= 0 if positive is not 0.
"""

from __future__ import annotations

from sparsereg.backends.numba.jit import kernel


@kernel(inline="always")
def prox_scalar(kind, params, weight, v, step):
    """Global minimizer over x of (x - v)^2 / (2 step) + penalty(x)."""
    threshold = step * params[0] * weight
    if v > threshold:
        return (v - threshold) / (1.0 + step * params[1] * weight)
    if v < -threshold and params[2] == 0.0:
        return (v + threshold) / (1.0 + step * params[1] * weight)
    return 0.0 if v == v else v  # NaN stays to be seen


@kernel()
def prox_vector(kind, params, weights, v, step):
    """Apply the scalar prox elementwise (for tests: the vector API has its own code)."""
    out = v.copy()
    for j in range(v.shape[0]):
        out[j] = prox_scalar(kind, params, weights[j], v[j], step)
    return out
