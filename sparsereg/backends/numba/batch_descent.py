"""Many small problems with one Gram matrix: coordinate descent, each with its own certificate.

Problem b is

    min over w of  ||x_b||^2 / 2 - q_b' w + w' G w / 2 + penalty(w),    q_b = D x_b,  G = D D'.

An elastic net is finished by Newton steps: where the support S and its signs s are right,

    (G_SS + diag(l2_S)) d = g_S - l2_S w_S - l1_S s

leads to the solution, and it is tried while it costs no more than a few sweeps. The negative
gradient g = q_b - G w follows w through the sweeps and is computed anew before a
problem counts as solved. With ||x_b - D'w||^2 = ||x_b||^2 - w'(q_b + g) the certificate is the
duality gap for the elastic net, and for any other penalty what the best move of a single
coefficient would bring (:mod:`sparsereg.backends.numba.coordinate_gains`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsereg.backends.numba.coordinate_gains import coordinate_gains
from sparsereg.backends.numba.gap import dual_gap
from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.penalty_kernels import prox_column
from sparsereg.backends.numba.threads import run_blocks
from sparsereg.backends.protocol import FloatArray, KernelForm

# Problems that one thread takes at a time, and multiply-adds that a problem takes per coefficient.
_BLOCK, _WORK = 16, 100.0
# Steps count as large beside the first down to this share of what they bring.
_LARGE = 0.002
# A Newton step on k of m coefficients is tried while k^2 is at most so many times m: then its
# factorization costs at most as much as four sweeps do. Pivots below a share mean dependence.
_NEWTON, _DEPENDENT = 12.0, 1e-11
# Bisections for the size of gradient at which a zero moves, and where it never does.
_BISECTIONS, _FAR = 40, 1e100


def solve(
    gram: FloatArray,
    correlations: FloatArray,
    sq_norms: FloatArray,
    coefs: FloatArray,
    form: KernelForm,
    max_epochs: int,
    targets: FloatArray,
    rounding: float,
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Move the rows of ``coefs`` to their solutions; return the certificates and the epochs."""
    n_problems, m = coefs.shape
    thresholds = zero_thresholds(np.ascontiguousarray(gram.diagonal()), *form)
    certificates, epochs = np.empty(n_problems), np.empty(n_problems, dtype=np.int64)
    run_blocks(
        lambda start, stop: _solve_some(
            gram, thresholds, correlations, sq_norms, coefs, *form, max_epochs, targets, rounding,
            start, stop, certificates, epochs,
        ),
        n_problems, _BLOCK, _WORK * n_problems * m,
    )  # fmt: skip
    return certificates, epochs


@kernel()
def zero_thresholds(curvatures, kind, params, weights, scales):
    """Return, for each coefficient, a size of gradient up to which zero stays zero.

    The largest one to a few digits, by bisection on the prox: most visits of a sweep end here. It
    is infinite for columns that do not move.
    """
    out = np.zeros(curvatures.shape[0])
    for j in range(curvatures.shape[0]):
        if curvatures[j] <= 0.0:
            out[j] = np.inf
            continue
        step = 1.0 / curvatures[j]
        low, high = 0.0, np.sqrt(curvatures[j])
        while high < _FAR and prox_column(kind, params, weights, scales, j, high, step) == 0.0:
            low, high = high, 4.0 * high
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if prox_column(kind, params, weights, scales, j, middle, step) == 0.0:
                low = middle
            else:
                high = middle
        out[j] = low / step
    return out


@kernel()
def _solve_some(
    gram, thresholds, correlations, sq_norms, coefs, kind, params, weights, scales, max_epochs,
    targets, rounding, start, stop, certificates, epochs,
):  # fmt: skip
    m = coefs.shape[1]
    curvatures, steps = np.zeros(m), np.zeros(m)
    for j in range(m):
        if gram[j, j] > 0.0:
            curvatures[j] = gram[j, j]
            steps[j] = 1.0 / gram[j, j]
    l1, l2 = params[0] * weights, params[1] * weights
    gradient, scores = np.empty(m), np.empty(m)
    support, room = np.empty(m, dtype=np.int64), min(m, np.int64(np.sqrt(_NEWTON * m)))
    factor, step = np.empty((room, room)), np.empty(room)
    for b in range(start, stop):
        coef = coefs[b]
        for j in range(m):
            if curvatures[j] == 0.0:
                coef[j] = 0.0
        _refresh(gram, correlations[b], coef, gradient)
        _take_large_steps(
            gram, curvatures, steps, thresholds, gradient, coef, kind, params, weights, scales,
            scores, support,
        )  # fmt: skip
        used, newton_at = 0, 1 if kind == 0 else -1
        while True:
            decrease = _sweep(
                gram, curvatures, steps, thresholds, gradient, coef, kind, params, weights, scales
            )
            used += 1
            moved = False
            if decrease > targets[b] and used == newton_at:
                moved = _newton_step(gram, gradient, coef, l1, l2, factor, step, support)
                newton_at = used + 1 if moved else 2 * used
            if decrease > targets[b] and used < max_epochs and not moved:
                continue
            # near the end, a certificate from a gradient that is computed anew
            _refresh(gram, correlations[b], coef, gradient)
            certificate = _certificate(
                correlations[b], sq_norms[b], coef, gradient, curvatures,
                kind, params, weights, scales, l1, l2, rounding,
            )  # fmt: skip
            solved = certificate <= targets[b] or not certificate < np.inf
            if solved or used >= max_epochs or decrease == 0.0:
                break
        certificates[b] = certificate
        epochs[b] = used


@kernel(fastmath={"contract"})
def _take_large_steps(
    gram, curvatures, steps, thresholds, gradient, coef, kind, params, weights, scales, scores,
    support,
):  # fmt: skip
    """Move the coefficient that is furthest from its place, while it is far beside the first.

    From zero, a sweep would bring in most of the columns that one relevant column is correlated
    with, and later sweeps would have to take them out. How far a zero is from its place is how much
    its gradient is above the threshold.
    """
    m = coef.shape[0]
    positive = params[2] != 0.0
    bits = scores.view(np.int64)  # ordered as the scores above zero are, with a fast maximum
    first = 0.0
    delta = 0.0
    mover = np.int64(0)
    n_support = np.int64(0)
    for j in range(m):
        if coef[j] != 0.0:
            support[n_support] = j
            n_support += 1
    for _ in range(m):
        row = gram[mover]
        for k in range(m):  # the step before, and the scores of zeros
            gradient[k] -= delta * row[k]
            excess = (gradient[k] if positive else abs(gradient[k])) - thresholds[k]
            scores[k] = steps[k] * excess * abs(excess)
        for i in range(n_support):
            j = support[i]
            v = coef[j] + steps[j] * gradient[j]
            delta = prox_column(kind, params, weights, scales, j, v, steps[j]) - coef[j]
            if coef[j] != 0.0:
                scores[j] = curvatures[j] * delta * delta
        highest = np.int64(0)
        for k in range(m):
            highest = max(highest, bits[k])
        if highest == 0:
            return
        mover = np.int64(0)
        while bits[mover] != highest:
            mover += 1
        largest = scores[mover]
        first = max(first, largest)
        if not _LARGE * first < largest < np.inf:
            return
        v = coef[mover] + steps[mover] * gradient[mover]
        new = prox_column(kind, params, weights, scales, mover, v, steps[mover])
        delta = new - coef[mover]
        if coef[mover] == 0.0 and n_support < m:
            support[n_support] = mover
            n_support += 1
        coef[mover] = new
    for k in range(m):
        gradient[k] -= delta * gram[mover, k]


@kernel(fastmath={"contract"})
def _newton_step(gram, gradient, coef, l1, l2, factor, step, support):
    """Move to the minimum on the support under its signs; return whether it keeps them.

    The gradient is left to the caller. Where a sign would change, where columns are dependent and
    where the support is large, nothing moves.
    """
    size = np.int64(0)
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            if size == step.shape[0]:
                return False
            support[size] = j
            size += 1
    # 1. the Cholesky factor, row after row, and the forward substitution
    for i in range(size):
        j = support[i]
        row, mine = gram[j], factor[i]
        value = gradient[j] - l2[j] * coef[j] - (l1[j] if coef[j] > 0.0 else -l1[j])
        diagonal = row[j] + l2[j]
        pivot = diagonal
        for c in range(i):
            entry = row[support[c]]
            other = factor[c]
            for e in range(c):
                entry -= mine[e] * other[e]
            entry /= other[c]
            mine[c] = entry
            pivot -= entry * entry
            value -= entry * step[c]
        if not pivot > _DEPENDENT * diagonal:
            return False
        mine[i] = np.sqrt(pivot)
        step[i] = value / mine[i]
    # 2. the backward substitution
    for i in range(size - 1, -1, -1):
        step[i] /= factor[i, i]
        for c in range(i):
            step[c] -= factor[i, c] * step[i]
    for i in range(size):
        w = coef[support[i]]
        if not w * (w + step[i]) > 0.0:
            return False
    for i in range(size):
        coef[support[i]] += step[i]
    return True


@kernel(fastmath={"contract"})
def _sweep(gram, curvatures, steps, thresholds, gradient, coef, kind, params, weights, scales):
    """Give every coefficient its turn; return the sum of L delta^2 / 2."""
    m = coef.shape[0]
    decrease = 0.0
    for j in range(m):
        old = coef[j]
        if old == 0.0 and abs(gradient[j]) <= thresholds[j]:
            continue
        v = old + steps[j] * gradient[j]
        new = prox_column(kind, params, weights, scales, j, v, steps[j])
        delta = new - old
        if delta != 0.0:
            coef[j] = new
            for k in range(m):
                gradient[k] -= delta * gram[j, k]
            decrease += 0.5 * curvatures[j] * delta * delta
    return decrease


@kernel(fastmath={"contract"})
def _refresh(gram, correlation, coef, gradient):
    """Set the gradient to correlation - gram @ coef."""
    gradient[:] = correlation
    for j in range(coef.shape[0]):
        w = coef[j]
        if w != 0.0:
            for k in range(coef.shape[0]):
                gradient[k] -= w * gram[j, k]


@kernel()
def _certificate(
    correlation, sq_norm, coef, gradient, curvatures, kind, params, weights, scales, l1, l2,
    rounding,
):  # fmt: skip
    if kind != 0:
        return np.max(coordinate_gains(coef, gradient, curvatures, kind, params, weights, scales))
    sq_residual = sq_norm
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            sq_residual -= coef[j] * (correlation[j] + gradient[j])
    return dual_gap(
        coef, gradient, 1.0, l1, l2, curvatures, params[2] != 0.0, max(sq_residual, 0.0),
        np.sqrt(sq_norm), rounding, np.empty(coef.shape[0], dtype=np.int64),
    )[0]  # fmt: skip
