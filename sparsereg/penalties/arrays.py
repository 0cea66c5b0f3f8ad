"""The separable penalties on whole arrays of NumPy, torch or CuPy: one text for all three.

These are the formulas of :mod:`sparsereg.backends.numba.penalty_kernels`, written with the
functions that the three libraries have under one name; the tests hold them equal to the compiled
ones. Compiled solvers use the kernels; networks and devices use these.

The prox is the global minimizer over x of (x - v)^2 / (2 step) + weight phi(scale |x|), the
smallest if there are several. With z = scale |v| and t = step weight scale^2 it solves
x + t phi'(x) = z wherever it is not zero, so that its derivatives are

    dx/dz = 1 / (1 + t phi''(x)),    dx/dt = -phi'(x) / (1 + t phi''(x)).

Branches that do not apply are computed and thrown away; they may be NaN.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sparsereg.penalties.base import Penalty

#: An array of NumPy, torch or CuPy.
Array = Any

# Newton steps for lq; from above they are monotone, and seven reach the last digit.
_NEWTON_STEPS = 12


def is_foreign(x: Any) -> bool:
    """Whether x is an array of torch or CuPy."""
    return namespace(x) is not np


def namespace(x: Any) -> Any:
    """Return the module whose functions take x: torch, cupy or numpy."""
    for cls in type(x).__mro__:
        module = cls.__module__.partition(".")[0]
        if module in ("torch", "cupy"):
            return sys.modules[module]
    return np


def as_array(values: Any) -> Array:
    """Return an array of torch or CuPy as it is, and anything else as a NumPy array of float64."""
    return values if is_foreign(values) else np.asarray(values, dtype=np.float64)


def prox(penalty: Penalty, v: Array, step: Any) -> Array:
    """Return the prox of a separable penalty: see :meth:`Penalty.prox`.

    Parameters
    ----------
    penalty : Penalty
    v : array of any shape
        Of floating-point numbers. Half precision is computed in single precision.
    step : float or array like v
        A step for each coefficient is a prox in a diagonal metric.

    Returns
    -------
    array like v
    """
    xp = namespace(v)
    if xp.finfo(v.dtype).bits < 32:
        return cast(prox(penalty, cast(v, xp.float32), step), v.dtype)
    kind, params = penalty.kernel_params()
    weights, scales = _factors(penalty, v)
    a, b, positive = params[0], params[1], bool(params[2])
    size = xp.abs(v)
    with np.errstate(all="ignore"):
        t = step * weights
        if kind == 0 and isinstance(t, float):
            x = xp.clip(size - t * a, 0.0, None) / (1.0 + t * b)
        else:
            z = scales * size
            t = xp.zeros_like(z) + t * scales**2
            t = xp.where(xp.isnan(t), float("inf"), t)  # an infinite weight times a step of zero
            x = _FORMULAS[kind](xp, a, b, t, z)
            x = xp.where(t * a == 0, z, x) if kind else x
            x = xp.where((z == 0) | xp.isinf(t), 0.0, x)
            x = xp.where(x == z, size, x / scales)
    x = xp.where(size == size, x, v)
    return xp.where(v < 0, 0.0 if positive else -x, x)


def slope(penalty: Penalty, w: Array) -> Array:
    """Return the derivative with respect to the size of each coefficient; from the right at 0."""
    xp = namespace(w)
    kind, params = penalty.kernel_params()
    weights, scales = _factors(penalty, w)
    with np.errstate(all="ignore"):
        value = _SLOPES[kind](xp, params[0], params[1], scales * xp.abs(w))
    return xp.where(value > 0, weights * scales * value, 0.0)


def bend(penalty: Penalty, w: Array) -> Array:
    """Return the second derivative at the size of each coefficient; 0 where that is 0."""
    xp = namespace(w)
    kind, params = penalty.kernel_params()
    weights, scales = _factors(penalty, w)
    with np.errstate(all="ignore"):
        value = _BENDS[kind](xp, params[0], params[1], scales * xp.abs(w))
    return xp.where(w == 0, 0.0, weights * scales**2 * value)


def cast(x: Array, dtype: Any) -> Array:
    """Return the array in another dtype."""
    return x.to(dtype) if hasattr(x, "to") else x.astype(dtype)


def like(values: Any, x: Array) -> Array:
    """Return NumPy values as an array of the library, dtype and device of x."""
    xp = namespace(x)
    if hasattr(xp, "Tensor"):
        return xp.asarray(values, dtype=x.dtype, device=x.device)
    return xp.asarray(values, dtype=x.dtype)


def largest(sizes: Array, k: int) -> Array:
    """Return the mask of the k largest entries of a vector, the first ones of equals."""
    xp = namespace(sizes)
    n = sizes.shape[0]
    if k <= 0 or k >= n:
        return (sizes == sizes) & (k > 0)
    if hasattr(xp, "kthvalue"):
        smallest_kept = xp.kthvalue(sizes, n - k + 1).values
    else:
        smallest_kept = xp.partition(sizes, n - k)[n - k]
    mask = sizes > smallest_kept
    ties = sizes == smallest_kept
    return mask | (ties & (xp.cumsum(ties, 0) <= k - mask.sum()))


def sort(x: Array) -> Array:
    """Return the array with its columns sorted, increasing."""
    in_order = namespace(x).sort(x, 0)
    return in_order[0] if isinstance(in_order, tuple) else in_order


def _factors(penalty: Penalty, v: Array) -> tuple[Any, Any]:
    """Return weights and scales: numbers where they are the same everywhere, else arrays."""
    if penalty.weights is None and np.ndim(getattr(penalty, "column_norms", 1.0)) == 0:
        form = penalty.kernel_form(1)
        return float(form.weights[0]), float(form.scales[0]) if form.scales.size else 1.0
    size = int(np.prod(v.shape))
    if penalty.weights is not None and np.size(penalty.weights) != size:
        raise ValueError(
            f"The penalty has {np.size(penalty.weights)} weights and the array {size} entries. "
            f"Give a weight for each entry, or weights=None."
        )
    form = penalty.kernel_form(size)
    weights = like(form.weights.reshape(tuple(v.shape)), v)
    if not form.scales.size:
        return weights, 1.0
    return weights, like(form.scales.reshape(tuple(v.shape)), v)


# ------------------------------------------------------------- the families, for sizes z >= 0


def _soft(xp, z, u):
    return xp.clip(z - u, 0.0, None)


def _flat(xp, z):
    return 1.0 - 16 * float(xp.finfo(z.dtype).eps)


def _elastic_net(xp, l1, l2, t, z):
    return _soft(xp, z, t * l1) / (1.0 + t * l2)


def _firm(xp, slope, curvature, t, z):
    if curvature == 0:
        return _soft(xp, z, t * slope)
    hard = xp.where(z > slope * xp.sqrt(t / curvature), z, 0.0)
    shrunk = xp.minimum((z - t * slope) / (1.0 - t * curvature), z)
    firm = xp.where(z <= t * slope, 0.0, xp.where(z * curvature >= slope, z, shrunk))
    return xp.where(t * curvature >= _flat(xp, z), hard, firm)


def _l0(xp, alpha, _, t, z):
    return xp.where(z > xp.sqrt(2.0 * t) * alpha**0.5, z, 0.0)


def _lq(xp, alpha, q, t, z):
    u = t * alpha
    jump = (2.0 * u * (1.0 - q)) ** (1.0 / (2.0 - q))
    if q == 0.5:
        angle = xp.arccos(-0.75 * 3.0**0.5 * u * z**-1.5)
        x = (2.0 / 3.0) * z * (1.0 + xp.cos((2.0 / 3.0) * angle))
    else:  # on the scale of the jump, x + u q x^(q-1) = z is y + c y^(q-1) = z / jump
        target, c = z / jump, q / (2.0 * (1.0 - q))
        y = target
        for _ in range(_NEWTON_STEPS):
            power = c * y ** (q - 2.0)
            lower = y - (y + power * y - target) / (1.0 - (1.0 - q) * power)
            y = xp.where(lower < y, lower, y)
        x = xp.where(target < float(xp.finfo(z.dtype).max) ** 0.3, y * jump, z)
    return xp.where(z <= jump * ((2.0 - q) / (2.0 * (1.0 - q))), 0.0, x)


def _scad(xp, alpha, gamma, t, z):
    soft = _soft(xp, z, t * alpha)
    low_threshold = 0.5 * alpha * (gamma + 1.0 + t)
    threshold = xp.where(t <= gamma + 1.0, low_threshold, alpha * xp.sqrt(t * (gamma + 1.0)))
    between = z - t * (gamma * alpha - z) / (gamma - 1.0 - t)
    smooth = xp.where(z >= gamma * alpha, z, between)
    smooth = xp.where(z <= (1.0 + t) * alpha, soft, smooth)
    jumps = t >= (gamma - 1.0) * _flat(xp, z)
    return xp.where(jumps, xp.where(z > threshold, z, soft), smooth)


def _log_sum(xp, alpha, eps, t, z):
    u = t * alpha
    vertex = 2.0 * xp.sqrt(u)
    root = xp.sqrt(z + eps - vertex) * xp.sqrt(z + eps + vertex)
    small = 2.0 * (z * eps - u) / (root + (eps - z))  # the same root without cancellation
    x = xp.where(z < eps, small, 0.5 * (z - eps) + 0.5 * root)
    better = (z * eps >= u) | (x * (0.5 * x - z) + u * xp.log1p(x / eps) < 0.0)
    jumping = xp.where((z > vertex - eps) & better, x, 0.0)
    return xp.where(u <= eps * eps, xp.where(z * eps > u, x, 0.0), jumping)


def _transformed_l1(xp, alpha, a, t, z):
    total = t * alpha * (a + 1.0)
    jumps = 2.0 * total > a * a
    threshold = xp.where(jumps, xp.sqrt(2.0 * total) - 0.5 * a, total / a)
    both = a + z
    cosine = 1.0 - 13.5 * (total / both) * (a / both) / both
    angle = xp.arccos(xp.clip(cosine, -1.0, 1.0)) / 3.0
    x = (2.0 / 3.0) * both * xp.cos(angle) - (2.0 / 3.0) * a + z / 3.0
    # one Newton step on the equation x - z + total a / (a + x)^2 = 0 restores the digits
    pull = (total / (a + x)) * (a / (a + x))
    steepness = 1.0 - 2.0 * pull / (a + x)
    x = xp.where(steepness > 1e-3, x - (x - z + pull) / steepness, x)
    return xp.where(z <= threshold, 0.0, xp.minimum(xp.clip(x, 0.0, None), z))


def _capped_l1(xp, alpha, theta, t, z):
    u = t * alpha
    threshold = xp.where(u <= 2.0 * theta, theta + 0.5 * u, xp.sqrt(2.0 * u) * theta**0.5)
    return xp.where(z > threshold, z, _soft(xp, z, u))


# In the order of :class:`sparsereg.penalties.base.Kind`.
_FORMULAS = (_elastic_net, _firm, _l0, _lq, _scad, _log_sum, _transformed_l1, _capped_l1)

_SLOPES = (
    lambda xp, a, b, x: a + b * x,
    lambda xp, a, b, x: xp.clip(a - b * x, 0.0, None),
    lambda xp, a, b, x: xp.where((x == 0) & (a > 0), float("inf"), 0.0 * x),
    lambda xp, a, b, x: a * b * x ** (b - 1.0) if a > 0 else 0.0 * x,
    lambda xp, a, b, x: xp.where(x <= a, a, xp.clip(b * a - x, 0.0, None) / (b - 1.0)),
    lambda xp, a, b, x: a / (b + x),
    lambda xp, a, b, x: a * (b + 1.0) * (b / (b + x)) / (b + x),
    lambda xp, a, b, x: xp.where(x < b, a, 0.0 * x),
)
_BENDS = (
    lambda xp, a, b, x: b + 0.0 * x,
    lambda xp, a, b, x: xp.where(b * x < a, -b, 0.0 * x),
    lambda xp, a, b, x: 0.0 * x,
    lambda xp, a, b, x: a * b * (b - 1.0) * x ** (b - 2.0),
    lambda xp, a, b, x: xp.where((x > a) & (x < b * a), -1.0 / (b - 1.0), 0.0 * x),
    lambda xp, a, b, x: -a / ((b + x) * (b + x)),
    lambda xp, a, b, x: -2.0 * a * (b + 1.0) * (b / (b + x)) / ((b + x) * (b + x)),
    lambda xp, a, b, x: 0.0 * x,
)
