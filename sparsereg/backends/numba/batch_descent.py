"""Many small problems with one Gram matrix: coordinate descent, each with its own certificate.

Problem b is  min over w of  ||x_b||^2 / 2 - q_b' w + w' G w / 2 + penalty(w),  with the correlations
q_b = D x_b and G = D D'. The negative gradient g = q_b - G w follows w through the epochs and is
computed anew before a problem counts as solved. With ||x_b - D'w||^2 = ||x_b||^2 - w'(q_b + g) the
certificate is the duality gap for the elastic net, and for any other penalty what the best move of
a single coefficient would bring (:mod:`sparsereg.backends.numba.coordinate_gains`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsereg.backends.numba.coordinate_gains import coordinate_gains
from sparsereg.backends.numba.descent import gram_cd
from sparsereg.backends.numba.gap import dual_gap
from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.threads import run_blocks
from sparsereg.backends.protocol import FloatArray, KernelForm

# Problems that one thread takes at a time, and multiply-adds that a problem takes per coefficient.
_BLOCK, _WORK = 16, 500.0


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
    certificates, epochs = np.empty(n_problems), np.empty(n_problems, dtype=np.int64)
    run_blocks(
        lambda start, stop: _solve_some(
            gram, correlations, sq_norms, coefs, *form, max_epochs, targets, rounding,
            start, stop, certificates, epochs,
        ),
        n_problems, _BLOCK, _WORK * n_problems * m,
    )  # fmt: skip
    return certificates, epochs


@kernel()
def _solve_some(
    gram, correlations, sq_norms, coefs, kind, params, weights, scales, max_epochs, targets,
    rounding, start, stop, certificates, epochs,
):  # fmt: skip
    m = coefs.shape[1]
    curvatures = np.empty(m)
    for j in range(m):
        curvatures[j] = gram[j, j]
    l1, l2 = params[0] * weights, params[1] * weights
    gradient = np.empty(m)
    for b in range(start, stop):
        coef = coefs[b]
        for j in range(m):
            if curvatures[j] <= 0.0:
                coef[j] = 0.0
        _refresh(gram, correlations[b], coef, gradient)
        used = 0
        is_fresh = True
        moving = True
        while True:
            certificate = _certificate(
                correlations[b], sq_norms[b], coef, gradient, curvatures,
                kind, params, weights, scales, l1, l2, rounding,
            )  # fmt: skip
            solved = certificate <= targets[b] or not moving
            if is_fresh and (solved or used >= max_epochs or not certificate < np.inf):
                break
            if solved or used >= max_epochs:
                _refresh(gram, correlations[b], coef, gradient)
                is_fresh = True
                moving = True
                continue
            _, largest = gram_cd(gram, gradient, coef, kind, params, weights, scales, 1, 0.0)
            used += 1
            moving = largest != 0.0
            is_fresh = is_fresh and not moving
        certificates[b] = certificate
        epochs[b] = used


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
    correlation, sq_norm, coef, gradient, curvatures, kind, params, weights, scales, l1, l2, rounding
):  # fmt: skip
    if kind != 0:
        return np.max(coordinate_gains(coef, gradient, curvatures, kind, params, weights, scales))
    sq_residual = sq_norm
    for j in range(coef.shape[0]):
        if coef[j] != 0.0:
            sq_residual -= coef[j] * (correlation[j] + gradient[j])
    return dual_gap(
        coef, gradient, l1, l2, curvatures, params[2] != 0.0, max(sq_residual, 0.0),
        np.sqrt(sq_norm), rounding,
    )[0]  # fmt: skip
