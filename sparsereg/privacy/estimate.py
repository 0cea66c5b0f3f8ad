"""From noisy means of products to coefficients: what the noise law says goes into the fit.

1. The constant column is eliminated: ``G - g g' / k``, ``b - g b_k / k``.
2. Columns are scaled to a unit diagonal, and the matrix is replaced by the nearest positive
   definite one.
3. The strength of the penalty on a coefficient is a multiple of the noise of its gradient, so that
   a feature without effect stays out. Where G is noisy, that noise grows with the coefficients,
   and the fit is repeated with its own.
4. The covariance of the coefficients on their support follows from the same law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.linear_model.gram import fit_gram
from sparsereg.penalties import L0, L1, MCP, SCAD, L0Constraint, Penalty
from sparsereg.privacy.statistics import NoiseLaw, nearest_psd

#: Penalties by name; each is given strengths that depend on the noise.
PENALTIES: dict[str, type[Penalty]] = {"l1": L1, "mcp": MCP, "scad": SCAD, "l0": L0}

# Eigenvalues of the scaled matrix are raised to its noise, within these limits: a direction in
# which x hardly moves would otherwise make the noise of X'y large.
_LEAST_FLOOR, _LARGEST_FLOOR = 1e-3, 0.05
# Fits until the noise that the coefficients imply has settled.
_N_FITS = 6


@dataclass(frozen=True)
class Evidence:
    """Noisy means over the records.

    Attributes
    ----------
    gram : ndarray of shape (q, q)
        Of the products of the columns.
    xty : ndarray of shape (q,)
        Of their products with y.
    noise : NoiseLaw
        Of these means.
    n_constant : int
        1 if the last column is constant, else 0.
    """

    gram: FloatArray
    xty: FloatArray
    noise: NoiseLaw
    n_constant: int


@dataclass(frozen=True)
class Estimate:
    """Coefficients and what is known of their errors.

    Attributes
    ----------
    coef : ndarray of shape (q,)
        Of all columns; the constant one is last.
    covariance : ndarray of shape (q, q)
        Of the errors that the noise causes, on the support; zero elsewhere and for the constant.
    alpha : float
        The largest strength of the penalty, in units of the gradient.
    """

    coef: FloatArray
    covariance: FloatArray
    alpha: float


def universal_level(n_features: int) -> float:
    """Return how many standard deviations the largest of so many normal numbers has at most."""
    return float(np.sqrt(2.0 * np.log(max(n_features, 2))))


def fit_evidence(
    evidence: Evidence,
    *,
    penalty: str,
    level: float,
    alpha: float | None,
    n_nonzero: int | None,
    backend: str,
) -> Estimate:
    """Return the penalized fit of noisy products.

    Parameters
    ----------
    evidence : Evidence
    penalty : str
        A key of ``PENALTIES``; not used if ``n_nonzero`` is given.
    level : float
        Strength in standard deviations of the noise of the gradient.
    alpha : float or None
        A strength to be used instead, the same for every feature.
    n_nonzero : int or None
        Keep so many features at most and do not shrink them.
    backend : str
    """
    gram, xty, q = _without_constant(evidence)
    noise = NoiseLaw(evidence.noise.xty[:q], evidence.noise.gram[:q, :q])
    scale = _scales(gram, noise)
    standard = gram / np.outer(scale, scale)
    spread = float(np.max(noise.gram / np.outer(scale, scale))) * np.sqrt(2.0 * q)
    standard = nearest_psd(standard, float(np.clip(spread, _LEAST_FLOOR, _LARGEST_FLOOR)))
    coef, strengths = np.zeros(q), np.zeros(q)
    for _ in range(_N_FITS if np.any(noise.gram) and alpha is None else 1):
        noise_of_gradient = noise.of_gradient(coef)
        strengths = np.full(q, alpha) if alpha is not None else level * noise_of_gradient
        term = penalty_of(penalty, strengths / scale) if n_nonzero is None else None
        fit = fit_gram(
            standard,
            xty / scale,
            1,
            penalty=L0Constraint(n_nonzero) if term is None else term,  # type: ignore[arg-type]
            backend=backend,
        )
        coef = fit.coef / scale
    full, covariance = np.zeros(q + evidence.n_constant), np.zeros((q + evidence.n_constant,) * 2)
    full[:q] = coef
    support = np.flatnonzero(coef)
    if evidence.n_constant:
        full[q] = (evidence.xty[q] - evidence.gram[q, :q] @ coef) / evidence.gram[q, q]
    if support.size:
        repaired = (standard * np.outer(scale, scale))[np.ix_(support, support)]
        inverse = np.linalg.inv(repaired)
        variances = noise.of_gradient(coef)[support] ** 2
        covariance[np.ix_(support, support)] = (inverse * variances) @ inverse
    return Estimate(full, covariance, float(np.max(strengths, initial=0.0)))


def penalty_of(name: str, strengths: FloatArray) -> Penalty:
    """Return a penalty that keeps a gradient below its strength from entering a unit column."""
    top = float(np.max(strengths, initial=0.0))
    weights = strengths / top if top > 0 else np.ones_like(strengths)
    if name == "l0":  # the threshold of a price a is sqrt(2 a)
        return L0(top**2 / 2.0, weights=weights**2)
    return PENALTIES[name](top, weights=weights)


def debiased_scores(evidence: Evidence) -> FloatArray:
    """Return least-squares estimates of the features, without a penalty, over their noise."""
    gram, xty, q = _without_constant(evidence)
    inverse = np.linalg.inv(nearest_psd(gram, 1e-6 * float(np.max(np.abs(gram)))))
    return (inverse @ xty) / np.sqrt((inverse**2) @ evidence.noise.xty[:q] ** 2)


def strongest(scores: FloatArray, n_nonzero: int | None) -> IndexArray:
    """Return the features to go on with, increasing: with some that will turn out to be nothing.

    Those whose size is at least ``sqrt(log p)`` standard deviations, of which about sqrt(p) are
    noise; if the number of effects is known, twice that number.
    """
    size = np.abs(scores)
    if n_nonzero is not None:
        kept = np.argsort(-size, kind="stable")[: 2 * n_nonzero]
    else:
        kept = np.flatnonzero(size >= np.sqrt(np.log(max(size.size, 2))))
        kept = kept if kept.size else np.array([np.argmax(size)])
    return np.sort(kept)


def _without_constant(evidence: Evidence) -> tuple[FloatArray, FloatArray, int]:
    q = evidence.xty.size - evidence.n_constant
    gram, xty = evidence.gram[:q, :q], evidence.xty[:q]
    if evidence.n_constant:
        with_constant = evidence.gram[:q, q] / max(float(evidence.gram[q, q]), np.finfo(float).tiny)
        gram = gram - np.outer(with_constant, evidence.gram[:q, q])
        xty = xty - with_constant * evidence.xty[q]
    return gram, xty, q


def _scales(gram: FloatArray, noise: NoiseLaw) -> FloatArray:
    """Return the root of the diagonal, or of its noise where that is larger."""
    least = np.maximum(noise.gram.diagonal(), np.finfo(np.float64).tiny ** 0.5)
    return np.sqrt(np.maximum(gram.diagonal(), least))
