"""Scalar formulas of the separable penalties: the one place where a kind is spelled out.

A penalty is sum_j weight_j phi(scale_j |w_j|), restricted to w >= 0 if ``params[2]`` is not 0. A
kernel receives (kind, params) and switches here, so that one compiled kernel serves every penalty.
Kinds are numbered by :class:`sparsereg.penalties.base.Kind`; for sizes x >= 0:

====================  ==================  ==========================================================
kind                  params[:2]          phi(x)
====================  ==================  ==========================================================
0  elastic net        l1, l2              l1 x + l2 x^2 / 2
1  firm               slope, curvature    slope x - curvature x^2 / 2 up to slope / curvature, then
                                          constant (lasso, MCP, CEL0)
2  l0                 alpha               alpha 1{x > 0}
3  lq                 alpha, q            alpha x^q, 0 < q < 1
4  SCAD               alpha, gamma        alpha x, then quadratic, then alpha^2 (gamma + 1) / 2
                                          from gamma alpha
5  log-sum            alpha, eps          alpha log(1 + x / eps)
6  transformed l1     alpha, a            alpha (a + 1) x / (a + x)
7  capped l1          alpha, theta        alpha min(x, theta)
====================  ==================  ==========================================================

Every proximal operator is the *global* minimizer over x >= 0 of (x - z)^2 / 2 + t phi(x), z >= 0,
for every t = step * weight, also where that is not convex; among equal minimizers, the smallest.
Where it is not convex the prox has a jump: below z = T it is at most ``low``, above T at least
``high``.

Sources: Gao and Bruce, "WaveShrink with firm shrinkage", Statistica Sinica, 1997 (firm); Fan and
Li, JASA 2001 (SCAD); Zuo, Meng, Zhang, Feng and Zhang, "A generalized iterated shrinkage
algorithm", ICCV 2013 (the threshold of lq); Xu, Chang, Xu and Zhang, "L1/2 regularization", IEEE
TNNLS 2012; Gong et al., "A general iterative shrinkage and thresholding algorithm", ICML 2013
(log-sum, capped l1); Zhang and Xin, "Minimization of transformed l1 penalty", Mathematical
Programming, 2018.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.penalties.base import Kind

_ELASTIC_NET = int(Kind.ELASTIC_NET)
_FIRM = int(Kind.FIRM)
_L0 = int(Kind.L0)
_LQ = int(Kind.LQ)
_SCAD = int(Kind.SCAD)
_LOG_SUM = int(Kind.LOG_SUM)
_TRANSFORMED_L1 = int(Kind.TRANSFORMED_L1)
_CAPPED_L1 = int(Kind.CAPPED_L1)

# step * curvature this close to 1 is 1: what is left of the difference is rounding.
_FLAT = 1.0 - 16 * np.finfo(np.float64).eps
# Newton steps for lq; from above they are monotone, and seven reach the last digit.
_NEWTON_STEPS = 12


@kernel(inline="always")
def prox_scalar(kind, params, weight, v, step):
    """Global minimizer over x of (x - v)^2 / (2 step) + weight * penalty(x)."""
    if kind == 0:
        threshold = step * params[0] * weight
        if v > threshold:
            return (v - threshold) / (1.0 + step * params[1] * weight)
        if v < -threshold and params[2] == 0.0:
            return (v + threshold) / (1.0 + step * params[1] * weight)
        return 0.0 if v == v else v  # NaN stays to be seen
    return _prox_signed(kind, params, weight * step, v)


@kernel(inline="always")
def prox_column(kind, params, weights, scales, j, v, step):
    """Return the prox of column j: that of phi(scale |w|) is the one of phi on another scale."""
    if scales.shape[0] == 0:
        return prox_scalar(kind, params, weights[j], v, step)
    scale = scales[j]
    scaled = scale * v
    x = prox_scalar(kind, params, weights[j], scaled, step * scale * scale)
    return v if x == scaled else x / scale


@kernel()
def prox_vector(kind, params, weights, scales, v, step):
    """Apply the prox of each column; infinite weights give zero."""
    out = np.zeros(v.shape[0])
    for j in range(v.shape[0]):
        if weights[j] < np.inf:
            out[j] = prox_column(kind, params, weights, scales, j, v[j], step)
    return out


@kernel()
def value_vector(kind, params, weights, scales, w):
    """Return the penalty of each coefficient; an infinite weight times zero is zero."""
    out = np.zeros(w.shape[0])
    for j in range(w.shape[0]):
        if w[j] != 0.0:
            out[j] = value_column(kind, params, weights, scales, j, w[j])
    return out


@kernel()
def slope_vector(kind, params, weights, scales, w):
    """Return the derivative at the size of each coefficient; at zero, the one from the right."""
    out = np.empty(w.shape[0])
    for j in range(w.shape[0]):
        scale = scales[j] if scales.shape[0] else 1.0
        slope = slope_scalar(kind, params, abs(scale * w[j]))
        out[j] = weights[j] * scale * slope if slope > 0.0 else 0.0
        if weights[j] == np.inf:
            out[j] = np.inf
        if weights[j] == 0.0:
            out[j] = 0.0
    return out


@kernel()
def penalty_terms(kind, params, weights, scales, w):
    """Return value, derivative and second derivative at the size of each coefficient."""
    bend = np.zeros(w.shape[0])
    for j in range(w.shape[0]):
        if weights[j] > 0.0 and w[j] != 0.0:
            scale = scales[j] if scales.shape[0] else 1.0
            bend[j] = weights[j] * scale * scale * bend_scalar(kind, params, abs(scale * w[j]))
    values = value_vector(kind, params, weights, scales, w)
    return values, slope_vector(kind, params, weights, scales, w), bend


@kernel()
def relaxed_slope_vector(kind, params, weights, scales, w, curvatures):
    """Return the slope, at the size of each coefficient, of the exact relaxation of the penalty.

    Along a coordinate of curvature L the relaxation is the largest function below the penalty whose
    sum with L x^2 / 2 is convex: inside a jump of the prox (low, high) at T it has slope L (T - x),
    and elsewhere it is the penalty. For l0 it is CEL0.
    """
    out = np.zeros(w.shape[0])
    for j in range(w.shape[0]):
        if weights[j] == np.inf:
            out[j] = np.inf
        elif weights[j] > 0.0 and curvatures[j] > 0.0:
            scale = scales[j] if scales.shape[0] else 1.0
            t = weights[j] * scale * scale / curvatures[j]
            x = abs(scale * w[j])
            threshold, low, high = jump_scalar(kind, params, t)
            if low <= x < high:
                out[j] = curvatures[j] * (threshold - x) / scale
            else:
                out[j] = weights[j] * scale * slope_scalar(kind, params, x)
    return out


@kernel(inline="always")
def value_column(kind, params, weights, scales, j, w):
    """Penalty of the coefficient w of column j."""
    scale = scales[j] if scales.shape[0] else 1.0
    if w < 0.0 and params[2] != 0.0:
        return np.inf
    value = value_scalar(kind, params, abs(scale * w))
    return weights[j] * value if value != 0.0 else 0.0


@kernel()
def _prox_signed(kind, params, t, v):
    if np.isnan(v):
        return v
    if v < 0.0:
        return 0.0 if params[2] != 0.0 else -_prox_size(kind, params[0], params[1], t, -v)
    return _prox_size(kind, params[0], params[1], t, v)


@kernel()
def _prox_size(kind, a, b, t, z):
    """Prox of each kind but the first, for z >= 0; a, b are its parameters."""
    if z == 0.0 or t == np.inf:
        return 0.0
    if t * a == 0.0:
        return z
    if kind == _FIRM:
        return _prox_firm(a, b, t, z)
    if kind == _L0:
        return z if z > np.sqrt(2.0 * t) * np.sqrt(a) else 0.0
    if kind == _LQ:
        return _prox_lq(t * a, b, z)
    if kind == _SCAD:
        return _prox_scad(a, b, t, z)
    if kind == _LOG_SUM:
        return _prox_log_sum(t * a, b, z)
    if kind == _TRANSFORMED_L1:
        return _prox_transformed_l1(t * a, b, z)
    return _prox_capped_l1(t * a, b, z)


@kernel()
def value_scalar(kind, params, x):
    """phi(x) for x >= 0."""
    a, b = params[0], params[1]
    if x == 0.0:
        return 0.0
    if kind == _ELASTIC_NET:
        return a * x + 0.5 * b * x * x
    if kind == _FIRM:
        if b * x < a:
            return x * (a - 0.5 * b * x)
        return 0.5 * a * a / b if b > 0.0 else 0.0
    if kind == _L0:
        return a
    if kind == _LQ:
        return a * x**b
    if kind == _SCAD:
        if x <= a:
            return a * x
        if x < b * a:
            return (2.0 * b * a * x - x * x - a * a) / (2.0 * (b - 1.0))
        return 0.5 * a * a * (b + 1.0)
    if kind == _LOG_SUM:
        return a * np.log1p(x / b)
    if kind == _TRANSFORMED_L1:
        return a * (b + 1.0) * (x / (b + x)) if x < np.inf else a * (b + 1.0)
    return a * min(x, b)


@kernel()
def slope_scalar(kind, params, x):
    """Return phi'(x) for x > 0, and the slope from the right at 0."""
    a, b = params[0], params[1]
    if kind == _ELASTIC_NET:
        return a + b * x
    if kind == _FIRM:
        return max(a - b * x, 0.0)
    if kind == _L0:
        return np.inf if x == 0.0 and a > 0.0 else 0.0
    if kind == _LQ:
        return a * b * x ** (b - 1.0) if a > 0.0 else 0.0
    if kind == _SCAD:
        return a if x <= a else max(b * a - x, 0.0) / (b - 1.0)
    if kind == _LOG_SUM:
        return a / (b + x)
    if kind == _TRANSFORMED_L1:
        return a * (b + 1.0) * (b / (b + x)) / (b + x)
    return a if x < b else 0.0


@kernel()
def bend_scalar(kind, params, x):
    """Return phi''(x) for x > 0."""
    a, b = params[0], params[1]
    if kind == _ELASTIC_NET:
        return b
    if kind == _FIRM:
        return -b if b * x < a else 0.0
    if kind == _LQ:
        return a * b * (b - 1.0) * x ** (b - 2.0) if a > 0.0 else 0.0
    if kind == _SCAD:
        return -1.0 / (b - 1.0) if a < x < b * a else 0.0
    if kind == _LOG_SUM:
        return -a / ((b + x) * (b + x))
    if kind == _TRANSFORMED_L1:
        return -2.0 * a * (b + 1.0) * (b / (b + x)) / ((b + x) * (b + x))
    return 0.0


@kernel()
def piece_scalar(kind, params, x):
    """Return the number of kinks of phi' below x > 0."""
    a, b = params[0], params[1]
    if kind == _FIRM:
        return 1 if b * x >= a else 0
    if kind == _SCAD:
        return (1 if x > a else 0) + (1 if x >= b * a else 0)
    if kind == _CAPPED_L1:
        return 1 if x >= b else 0
    return 0


@kernel()
def jump_scalar(kind, params, t):
    """Return (T, low, high): where the prox of t phi jumps, and between which values.

    All three are zero where it is continuous.
    """
    a, b = params[0], params[1]
    u = t * a
    if u == 0.0:
        return 0.0, 0.0, 0.0
    if kind == _FIRM and t * b >= _FLAT:
        threshold = a * np.sqrt(t / b)
        return threshold, 0.0, threshold
    if kind == _L0:
        threshold = np.sqrt(2.0 * t) * np.sqrt(a)
        return threshold, 0.0, threshold
    if kind == _LQ:
        jump = (2.0 * u * (1.0 - b)) ** (1.0 / (2.0 - b))
        return jump * (2.0 - b) / (2.0 * (1.0 - b)), 0.0, jump
    if kind == _SCAD and t >= (b - 1.0) * _FLAT:
        threshold = _scad_threshold(a, b, t)
        return threshold, max(threshold - u, 0.0), threshold
    if kind == _LOG_SUM and u > b * b:
        threshold = _log_sum_threshold(u, b)
        return threshold, 0.0, _log_sum_root(u, b, threshold)
    if kind == _TRANSFORMED_L1 and 2.0 * u * (b + 1.0) > b * b:
        threshold = np.sqrt(2.0 * u * (b + 1.0)) - 0.5 * b
        return threshold, 0.0, threshold - 0.5 * b
    if kind == _CAPPED_L1:
        threshold = _capped_threshold(u, b)
        return threshold, max(threshold - u, 0.0), threshold
    return 0.0, 0.0, 0.0


# ---------------------------------------------------------------------------------- the families


@kernel()
def _prox_firm(slope, curvature, t, z):
    if t * curvature >= _FLAT:
        return z if z > slope * np.sqrt(t / curvature) else 0.0
    if z <= t * slope:
        return 0.0
    if z * curvature >= slope:
        return z
    return min((z - t * slope) / (1.0 - t * curvature), z)


@kernel()
def _prox_lq(u, q, z):
    """On the scale of the jump y = 1, x + u q x^(q-1) = z is y + c y^(q-1) = z / jump."""
    jump = (2.0 * u * (1.0 - q)) ** (1.0 / (2.0 - q))
    if z <= jump * ((2.0 - q) / (2.0 * (1.0 - q))):
        return 0.0
    if q == 0.5:
        angle = np.arccos(-0.75 * np.sqrt(3.0) * u * z**-1.5)
        return (2.0 / 3.0) * z * (1.0 + np.cos((2.0 / 3.0) * angle))
    if not z < 1e100 * jump:
        return z
    target, c = z / jump, q / (2.0 * (1.0 - q))
    y = target
    for _ in range(_NEWTON_STEPS):
        power = c * y ** (q - 2.0)
        smaller = y - (y + power * y - target) / (1.0 - (1.0 - q) * power)
        if not smaller < y:
            break
        y = smaller
    return y * jump


@kernel()
def _soft(z, u):
    return z - u if z > u else 0.0


@kernel()
def _scad_threshold(alpha, gamma, t):
    if t <= gamma + 1.0:
        return 0.5 * alpha * (gamma + 1.0 + t)
    return alpha * np.sqrt(t * (gamma + 1.0))


@kernel()
def _prox_scad(alpha, gamma, t, z):
    if t >= (gamma - 1.0) * _FLAT:
        return z if z > _scad_threshold(alpha, gamma, t) else _soft(z, t * alpha)
    if z <= (1.0 + t) * alpha:
        return _soft(z, t * alpha)
    if z >= gamma * alpha:
        return z
    return z - t * (gamma * alpha - z) / (gamma - 1.0 - t)


@kernel()
def _log_sum_root(u, eps, z):
    """Return the larger root of x + u / (eps + x) = z, where there is one."""
    root = np.sqrt(z + eps - 2.0 * np.sqrt(u)) * np.sqrt(z + eps + 2.0 * np.sqrt(u))
    if z < eps:  # the same root without cancellation
        return 2.0 * (z * eps - u) / (root + (eps - z))
    return 0.5 * (z - eps) + 0.5 * root


@kernel()
def _prox_log_sum(u, eps, z):
    if u <= eps * eps:
        return _log_sum_root(u, eps, z) if z * eps > u else 0.0
    if z <= 2.0 * np.sqrt(u) - eps:
        return 0.0
    x = _log_sum_root(u, eps, z)
    if z * eps >= u or x * (0.5 * x - z) + u * np.log1p(x / eps) < 0.0:
        return x
    return 0.0


@kernel()
def _log_sum_threshold(u, eps):
    """Return the largest z whose prox is zero, by bisection where it has no closed form."""
    if u <= eps * eps:
        return u / eps
    low, high = 2.0 * np.sqrt(u) - eps, u / eps
    while True:
        z = 0.5 * (low + high)
        if not low < z < high:
            return high
        x = _log_sum_root(u, eps, z)
        if x * (0.5 * x - z) + u * np.log1p(x / eps) < 0.0:
            high = z
        else:
            low = z


@kernel()
def _prox_transformed_l1(u, a, z):
    total = u * (a + 1.0)
    jumps = 2.0 * total > a * a
    if z <= (np.sqrt(2.0 * total) - 0.5 * a if jumps else total / a):
        return 0.0
    sum_ = a + z
    # the cosine of three times the angle; total <= sum_^2 / 2 there
    cosine = 1.0 - 13.5 * (total / sum_) * (a / sum_) / sum_
    angle = np.arccos(max(cosine, -1.0)) / 3.0
    x = (2.0 / 3.0) * sum_ * np.cos(angle) - (2.0 / 3.0) * a + z / 3.0
    # one Newton step on the equation x - z + total a / (a + x)^2 = 0 restores the digits
    pull = (total / (a + x)) * (a / (a + x))
    steepness = 1.0 - 2.0 * pull / (a + x)
    if steepness > 1e-3:
        x -= (x - z + pull) / steepness
    return min(max(x, 0.0), z)


@kernel()
def _capped_threshold(u, theta):
    return theta + 0.5 * u if u <= 2.0 * theta else np.sqrt(2.0 * u) * np.sqrt(theta)


@kernel()
def _prox_capped_l1(u, theta, z):
    return z if z > _capped_threshold(u, theta) else _soft(z, u)


@kernel()
def log_sum_strength(z, eps):
    """Return, for each z, the u whose threshold it is."""
    out = z * eps
    for j in range(z.shape[0]):
        if z[j] <= eps:
            continue
        low, high = 0.0, z[j]  # x brackets the size that the prox jumps to
        while True:
            x = 0.5 * (low + high)
            if not low < x < high:
                break
            if (z[j] - x) * (eps + x) * np.log1p(x / eps) > x * (z[j] - 0.5 * x):
                low = x
            else:
                high = x
        out[j] = (z[j] - high) * (eps + high)
    return out
