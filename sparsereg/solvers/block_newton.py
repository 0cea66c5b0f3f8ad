"""Newton's method for several tasks, on the features that are not zero.

There the objective is smooth. With W of shape (T, a), its columns w_j, e_j = w_j / ||w_j||,
c_j = l1_j / ||w_j||, the Gram matrix G and the negative gradient Q of the loss,

    descent direction at W   B = Q - (l1 e + l2 W)
    Hessian times D          D M - sum_j c_j e_j (e_j' d_j),       M = G + diag(l2 + c).

The Hessian acts on T a numbers, but M is the same for every task and what is subtracted has rank a:
by Woodbury's identity the Newton direction is

    D = (B + E diag(z)) M^-1,    S z = q,    q_j = e_j' (B M^-1)_j,
    S = diag(1 / c) - M^-1 o (E'E)           (o: elementwise),

two factorizations of order a, whatever the number of tasks. As M - diag(c) = G + diag(l2), the
diagonal of S is (M^-1 (G + diag(l2)))_jj / c_j, which loses no digits where c_j is large.

A norm is linear in the direction of its vector, so that far from the solution Newton steps are far
too long. Multiplying what is subtracted by 1 - stiffness, 0 <= stiffness <= 1, adds curvature along
e_j; stiffness 1 is the Hessian of the quadratic majorizer of the norms. In S, 1 / c then becomes
1 / ((1 - stiffness) c).

The step length is the zero of the derivative along the direction, of which nothing cancels: the
objective cannot rise, also where its decrease is below rounding.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import brentq

from sparsereg.backends.protocol import FloatArray
from sparsereg.penalties.l21 import feature_norms

# Added to the Gram matrix, relative to its mean diagonal, until the Hessian is positive definite.
_DAMPING = (0.0, 1e-10, 1e-6, 1e-3)
# A full step beyond the minimum along it is taken if the derivative there is at most this share of
# its start; a shorter one is known to this accuracy.
_FLAT, _LENGTH_TOLERANCE = 0.1, 1e-3


def newton_step(
    gram: FloatArray,
    gradient: FloatArray,
    coef: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
    stiffness: float,
) -> float:
    """Take one step on the features that are not zero, in place; ``gradient`` follows.

    Parameters
    ----------
    gram : ndarray of shape (m, m)
    gradient, coef : ndarray of shape (T, m)
    l1, l2 : ndarray of shape (m,)
    stiffness : float in [0, 1)

    Returns
    -------
    float
        The length of the step, at most 1; 0 where no direction descends.
    """
    active = np.flatnonzero(np.any(coef != 0, axis=0))
    w, l1, l2 = coef[:, active], l1[active], l2[active]
    gram_active = gram[np.ix_(active, active)]
    norms = feature_norms(w)
    directions, curvatures = w / norms, l1 / norms
    descent = gradient[:, active] - (l1 * directions + l2 * w)
    step = _direction(gram_active, descent, directions, curvatures, l2, stiffness)
    if step is None:
        return 0.0
    moved = step @ gram_active
    length = _step_length(w, step, descent, moved, l1, l2)
    if length > 0.0:
        coef[:, active] = w + length * step
        gradient -= (length * step) @ gram[active]
    return length


def _direction(
    gram: FloatArray,
    descent: FloatArray,
    directions: FloatArray,
    curvatures: FloatArray,
    l2: FloatArray,
    stiffness: float,
) -> FloatArray | None:
    """Return D, or None if the Hessian is not positive definite even when damped."""
    penalized = np.flatnonzero(curvatures > 0)
    e, c = directions[:, penalized], curvatures[penalized]
    for damping in _DAMPING:
        smooth = gram + np.diag(l2 + damping * np.trace(gram) / len(gram))
        try:
            # 1. M, its factor and its inverse
            factor = cho_factor(smooth + np.diag(curvatures), lower=True, check_finite=False)
            if not penalized.size:
                return cho_solve(factor, descent.T, check_finite=False).T
            inverse = _inverse(factor[0])
            # 2. S, and with it z
            capacity = -inverse[np.ix_(penalized, penalized)] * (e.T @ e)
            diagonal = np.einsum("jk,jk->j", inverse, smooth)[penalized] / c
            np.fill_diagonal(capacity, diagonal + stiffness / ((1.0 - stiffness) * c))
            q = np.einsum("tj,tj->j", e, (descent @ inverse)[:, penalized])
            z = cho_solve(cho_factor(capacity, lower=True, check_finite=False), q)
        except np.linalg.LinAlgError:
            continue
        # 3. D
        descent = descent.copy()
        descent[:, penalized] += e * z
        return descent @ inverse
    return None


def _inverse(factor: FloatArray) -> FloatArray:
    """Return the inverse of the matrix with this lower Cholesky factor."""
    lower, _ = lapack.dpotri(factor, lower=1)
    lower = np.tril(lower)
    return lower + np.tril(lower, -1).T


def _step_length(
    w: FloatArray,
    step: FloatArray,
    descent: FloatArray,
    moved: FloatArray,
    l1: FloatArray,
    l2: FloatArray,
) -> float:
    """Return where the derivative of the objective along ``step`` is zero, or 1 if near enough.

    With b_j = w_j'd_j and a_j = ||d_j||^2 the derivative is

        -<B, D> + t (<D, D G> + sum_j l2_j a_j)
            + sum_j l1_j [ (b_j + t a_j) / ||w_j + t d_j|| - b_j / ||w_j|| ].
    """
    start = -float(np.vdot(descent, step))
    if not start < 0.0:
        return 0.0
    a, b = np.einsum("tj,tj->j", step, step), np.einsum("tj,tj->j", w, step)
    norms = feature_norms(w)
    quadratic = float(np.vdot(step, moved)) + float(l2 @ a)

    def slope(t: float) -> float:
        ends = feature_norms(w + t * step)
        # the bracket, times ||w_j|| ||w_j + t d_j||
        bracket = t * (a * norms - b * (2.0 * b + t * a) / (norms + ends))
        with np.errstate(divide="ignore", invalid="ignore"):
            return start + t * quadratic + float(np.sum(l1 * bracket / (norms * ends)))

    at_one = slope(1.0)
    if not np.isfinite(at_one):
        return 0.0
    if at_one <= -_FLAT * start:
        return 1.0
    return float(brentq(slope, 0.0, 1.0, rtol=_LENGTH_TOLERANCE, maxiter=50, disp=False))
