"""What the server knows after a round: debiased sums and the law of their noise.

A report is a codeword g, selected to point along the direction u of the record. Codewords are
rotation invariant, so that E g = c u with a public constant

    c = (P / m - (1 - P) / (K - m)) sum_{j <= m} E z_(j),

z_(1) > ... > z_(K) the order statistics of K normal numbers. ``radius g / c`` without its last
entry is therefore an unbiased estimate of the statistic of the record, with a variance of nearly
``(radius / c)^2`` in every entry, whatever the dimension and whatever the record.

A report with noise instead is the direction itself, and ``radius`` times it without its last entry
the estimate; its noise has the variance of the mechanism.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.privacy.codebook import SCALE
from sparsereg.privacy.gaussian import GRID, GaussianMechanism
from sparsereg.privacy.mechanisms import SubsetMechanism, window_moments
from sparsereg.privacy.protocol import Protocol


@dataclass(frozen=True)
class NoiseLaw:
    """Standard deviations of the noise of noisy statistics; errors of entries are uncorrelated.

    Attributes
    ----------
    xty : ndarray of shape (q,)
        Of the entries of X'y.
    gram : ndarray of shape (q, q)
        Of the entries of the Gram matrix, which is symmetric; zeros where it is known.
    anchor : ndarray of shape (q,) or None
        Coefficients at which the error of the Gram matrix does not matter, because X'y was computed
        with the same matrix from a score at them; None is zero.
    """

    xty: FloatArray
    gram: FloatArray
    anchor: FloatArray | None = None

    def of_gradient(self, coef: FloatArray) -> FloatArray:
        """Return the standard deviations of ``xty - gram @ coef``, of shape (q,)."""
        away = np.asarray(coef) if self.anchor is None else coef - self.anchor
        return np.sqrt(self.xty**2 + self.gram**2 @ away**2)


@dataclass(frozen=True)
class PrivateStatistics:
    """Estimates of sums over the reports, unbiased for the records within the bounds.

    Attributes
    ----------
    xty : ndarray of shape (q,)
        X'y over the reported features, then the constant column if there is one; for a score taken
        at coefficients w, ``X'(y - X w)``.
    gram : ndarray of shape (q, q) or None
        X'X, symmetric and not necessarily positive semidefinite; None if it was not reported.
    yty : float or None
        y'y, reported with the Gram matrix.
    n : int
        Number of reports.
    noise : NoiseLaw
    lift : float
        Estimate of the mean of ``sqrt(1 - ||v||^2 / radius^2)`` over the records: how far inside of
        the radius their statistics v are.
    columns : ndarray of int, of shape (q,)
        The feature that each entry belongs to; ``n_features`` is the constant column.
    """

    xty: FloatArray
    gram: FloatArray | None
    yty: float | None
    n: int
    noise: NoiseLaw
    lift: float
    columns: IndexArray


@cache
def selected_moments(mechanism: SubsetMechanism) -> tuple[float, float]:
    """Return mean and mean square of a codeword along the direction that selected it."""
    from scipy.stats import binom, norm

    K, m = mechanism.n_outputs, mechanism.subset_size
    z = np.linspace(-10.0, 10.0, 20001)
    among_m = binom.cdf(m - 1, K - 1, norm.sf(z))  # that a codeword with score z is in the set
    density = norm.pdf(z) * (z[1] - z[0])
    difference = float(mechanism.p_each_inside - mechanism.p_each_outside)
    mean = difference * K * float(np.sum(z * among_m * density))
    square = difference * K * float(np.sum(z**2 * among_m * density))
    return mean, square + K * float(mechanism.p_each_outside)


def noise_per_report(protocol: Protocol) -> float:
    """Return the standard deviation of one report in an entry of the statistic.

    For a label, its largest over all labels.
    """
    if protocol.protect == "label":
        gain, squares = window_moments(
            protocol.epsilon_effective, protocol.n_outputs, protocol.subset_size
        )
        return protocol.y_bound * float(np.sqrt(max(squares))) / gain
    if isinstance(protocol.mechanism, GaussianMechanism):
        return protocol.radius * protocol.mechanism.noise
    mean, square = selected_moments(protocol.mechanism)
    return protocol.radius / mean * float(np.sqrt(1.0 + (square - 1.0) / (protocol.dimension + 1)))


def sum_per_direction(protocol: Protocol) -> float:
    """Return what a report adds to the sums, on average, where the direction of a record is one."""
    if isinstance(protocol.mechanism, GaussianMechanism):
        return float(GRID)
    return SCALE * selected_moments(protocol.mechanism)[0]


def statistics_of(
    protocol: Protocol, sums: npt.NDArray[np.int64], n_reports: int
) -> PrivateStatistics:
    """Return the debiased statistics of a sum of reports.

    Parameters
    ----------
    protocol : Protocol
    sums : ndarray of int64, of shape (dimension + 1,)
    n_reports : int
    """
    directions = sums / sum_per_direction(protocol)
    values, lift = protocol.radius * directions[:-1], float(directions[-1] / max(n_reports, 1))
    spread = noise_per_report(protocol) * np.sqrt(n_reports)
    features = range(protocol.n_features) if protocol.support is None else protocol.support
    columns = np.array([*features, *[protocol.n_features] * protocol.fit_intercept], dtype=np.intp)
    q = columns.size
    if protocol.statistic == "score":
        noise = NoiseLaw(np.full(q, spread), np.zeros((q, q)))
        return PrivateStatistics(values, None, None, n_reports, noise, lift, columns)
    products = np.zeros((q + 1, q + 1))
    products[np.triu_indices(q + 1)] = values
    products = (products + products.T) / np.sqrt(2.0)
    products[np.diag_indices(q + 1)] /= np.sqrt(2.0)
    gram_noise = np.full((q, q), spread / np.sqrt(2.0))
    gram_noise[np.diag_indices(q)] = spread
    noise = NoiseLaw(np.full(q, spread / np.sqrt(2.0) / protocol.y_scale), gram_noise)
    return PrivateStatistics(
        xty=products[:q, q] / protocol.y_scale,
        gram=products[:q, :q],
        yty=float(products[q, q]) / protocol.y_scale**2,
        n=n_reports,
        noise=noise,
        lift=lift,
        columns=columns,
    )


def nearest_psd(gram: FloatArray, floor: float) -> FloatArray:
    """Return the symmetric matrix with eigenvalues of at least ``floor`` nearest to a noisy one.

    Parameters
    ----------
    gram : ndarray of shape (q, q)
        Symmetric.
    floor : float
        At least zero.

    Returns
    -------
    ndarray of shape (q, q)
        The nearest in the Frobenius norm.
    """
    values, vectors = np.linalg.eigh(gram)
    repaired = (vectors * np.maximum(values, floor)) @ vectors.T
    return (repaired + repaired.T) / 2.0
