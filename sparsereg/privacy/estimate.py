"""From noisy means of products to coefficients: what the noise law says goes into the fit.

1. A noisy Gram matrix is replaced by the nearest positive definite one, after scaling.
2. The constant column is eliminated: ``G - g g' / k``, ``b - g b_k / k``.
3. The strength of the penalty on a coefficient is a multiple of the noise of its gradient, so that
   a feature without effect stays out. Where G is noisy, that noise grows with the coefficients,
   and the strength is the least that is consistent with its own solution. For many small effects
   nothing is left out: the coefficients have a normal prior, whose variance the products tell.
4. The covariance of the coefficients on their support follows from the same law.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.linear_model.gram import fit_gram
from sparsereg.penalties import L0, L1, MCP, SCAD, L0Constraint, Penalty
from sparsereg.privacy.statistics import NoiseLaw, nearest_psd

#: Penalties by name; each is given strengths that depend on the noise.
PENALTIES: dict[str, type[Penalty]] = {"l1": L1, "mcp": MCP, "scad": SCAD, "l0": L0}
#: The penalty that keeps all features; its strength is that of a normal prior.
RIDGE = "l2"

# Eigenvalues of the scaled matrix are raised to its noise, within these limits: a direction in
# which x hardly moves would otherwise make the noise of X'y large.
_LEAST_FLOOR, _LARGEST_FLOOR = 1e-3, 0.05
# Fits for the factor by which the noise of the Gram matrix raises the strengths.
_N_BISECTIONS, _HIGHEST = 8, 30.0
# Times that the noise at the coefficients is found anew, where it grows with them.
_N_MOMENTS = 5


@dataclass(frozen=True)
class Evidence:
    """Noisy means over the records.

    Attributes
    ----------
    gram : ndarray of shape (q, q)
        Of the products of the columns, positive definite.
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
    level: float | None,
    alpha: float | None,
    n_nonzero: int | None,
    backend: str,
) -> Estimate:
    """Return the penalized fit of noisy products.

    Parameters
    ----------
    evidence : Evidence
    penalty : str
        ``RIDGE`` or a key of ``PENALTIES``; not used if ``n_nonzero`` is given.
    level : float or None
        Strength in standard deviations of the noise of X'y. None is the universal level, in
        standard deviations of the noise of the gradient at the solution.
    alpha : float or None
        A strength to be used instead, the same for every feature.
    n_nonzero : int or None
        Keep so many features at most and do not shrink them.
    backend : str
    """
    gram, xty, q = _without_constant(evidence)
    anchor = None if evidence.noise.anchor is None else evidence.noise.anchor[:q]
    noise = NoiseLaw(evidence.noise.xty[:q], evidence.noise.gram[:q, :q], anchor)
    scale = np.sqrt(gram.diagonal())
    standard = gram / np.outer(scale, scale)

    def fit(strengths: FloatArray) -> FloatArray:
        term = penalty_of(penalty, strengths / scale)
        return _solve(standard, xty / scale, term, backend) / scale

    if n_nonzero is not None:
        strengths = np.zeros(q)
        coef = _solve(standard, xty / scale, L0Constraint(n_nonzero), backend) / scale
    elif penalty == RIDGE and alpha is not None:
        strengths = np.full(q, alpha)
        coef = np.asarray(np.linalg.solve(gram + np.diag(strengths), xty), dtype=np.float64)
    elif penalty == RIDGE:
        strengths = np.zeros(q)
        coef = shrunk(gram, xty, noise, 1.0 if level is None else level / universal_level(q))
    elif alpha is not None or level is not None:
        strengths = np.full(q, alpha) if alpha is not None else np.asarray(level) * noise.xty
        coef = fit(strengths)
    else:
        strengths = universal_level(q) * noise.xty
        coef = fit(strengths)
        if np.any(noise.gram):
            strengths, coef = _consistent(fit, strengths, coef, noise)
    full, covariance = np.zeros(q + evidence.n_constant), np.zeros((q + evidence.n_constant,) * 2)
    full[:q] = coef
    support = np.flatnonzero(coef)
    if evidence.n_constant:
        full[q] = (evidence.xty[q] - evidence.gram[q, :q] @ coef) / evidence.gram[q, q]
    if support.size:
        inverse = np.linalg.inv(gram[np.ix_(support, support)])
        variances = noise.of_gradient(coef)[support] ** 2
        covariance[np.ix_(support, support)] = (inverse * variances) @ inverse
    return Estimate(full, covariance, float(np.max(strengths, initial=0.0)))


def shrunk(gram: FloatArray, xty: FloatArray, noise: NoiseLaw, strength: float) -> FloatArray:
    """Return the posterior mean of normal coefficients of equal variance t^2.

    ``b = G w + e`` with known deviations s of e: the w with the least

        ||(b - G w) / s||^2 + strength^2 ||w||^2 / t^2,

    where t^2 is such that ``||b / s||^2`` is what it is on average (the method of moments). Noise
    is equal in all entries of a report, in the units in which x is bounded; the prior is, too.
    """
    coef = np.zeros_like(xty)
    for _ in range(_N_MOMENTS if np.any(noise.gram) else 1):
        spread = noise.of_gradient(coef)
        scores, slopes = xty / spread, gram / spread[:, None]
        variance = (scores @ scores - scores.size) / np.sum(slopes**2)
        if variance <= 0:  # no more than noise
            return np.zeros_like(xty)
        prior = strength**2 / variance * np.eye(scores.size)
        normal = slopes.T @ slopes + prior
        coef = np.asarray(np.linalg.solve(normal, slopes.T @ scores), dtype=np.float64)
    return coef


def _consistent(
    fit: Callable[[FloatArray], FloatArray],
    least: FloatArray,
    coef: FloatArray,
    noise: NoiseLaw,
) -> tuple[FloatArray, FloatArray]:
    """Return the smallest strengths that are at least the noise of the gradient at their solution.

    The noise of the Gram matrix grows with the coefficients, and they grow as the strengths fall:
    between strengths that are enough, as those at which all is zero are, and others that are not,
    the factor of the least strengths is found by bisection.
    """

    def enough(factor: float, at: FloatArray) -> bool:
        return bool(np.all(noise.of_gradient(at) <= factor * noise.xty))

    if enough(1.0, coef):
        return least, coef
    low, high = 0.0, 0.0
    while not enough(np.exp(high), coef) and high < _HIGHEST:
        low, high = high, high + 1.0
        coef = fit(np.exp(high) * least)
    for _ in range(_N_BISECTIONS):
        middle = (low + high) / 2.0
        trial = fit(np.exp(middle) * least)
        if enough(np.exp(middle), trial):
            high, coef = middle, trial
        else:
            low = middle
    return np.exp(high) * least, coef


def _solve(
    gram: FloatArray, xty: FloatArray, term: Penalty | L0Constraint, backend: str
) -> FloatArray:
    return fit_gram(gram, xty, 1, penalty=term, strategy="path", backend=backend).coef


def repaired(gram: FloatArray, noise: FloatArray, n_constant: int, constant: float) -> FloatArray:
    """Return a positive definite matrix near a noisy Gram matrix of means.

    The square of the constant column is known. Columns are scaled to a unit diagonal, or to their
    noise where that is larger; eigenvalues are raised to the noise, within limits.
    """
    gram = gram.copy()
    q = len(gram) - n_constant
    gram[q:, q:] = constant**2
    least = np.maximum(noise.diagonal(), np.finfo(np.float64).tiny ** 0.25)
    scale = np.sqrt(np.maximum(gram.diagonal(), least))
    standard = gram / np.outer(scale, scale)
    spread = float(np.max(noise / np.outer(scale, scale))) * np.sqrt(2.0 * len(gram))
    floor = float(np.clip(spread, _LEAST_FLOOR, _LARGEST_FLOOR))
    return nearest_psd(standard, floor) * np.outer(scale, scale)


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
    inverse = np.linalg.inv(gram)
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
        share = evidence.gram[:q, q] / evidence.gram[q, q]
        gram = gram - np.outer(share, evidence.gram[:q, q])
        xty = xty - share * evidence.xty[q]
    return gram, xty, q
