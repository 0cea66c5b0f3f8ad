"""The Gaussian mechanism on integers: noise in every entry of a long report, and a delta.

A record becomes D integers k with ``||k|| <= N``, a bound that is checked in integers and makes
everything else zero. Its report is ``2^28 k + X``, rounded to multiples of 2^34 and clipped, where
the entries of X are independent discrete Gaussians of parameter s: ``P(X_i = j) = e^(-j^2 / 2 s^2)
/ Z``. They are drawn from random integers by comparisons of integers, exactly.

*Privacy.* With Y = round(s N(0, 1)) in place of each entry of X, a report is a function of
``2^28 k + s N(0, I)``, the Gaussian mechanism for vectors at most ``2^29 N`` apart, which is
(epsilon, delta_0)-private exactly if (Balle and Wang, "Improving the Gaussian mechanism for
differential privacy", ICML 2018, theorem 8)

    delta_0 >= Phi(a - b) - e^epsilon Phi(-a - b),   a = 2^28 N / s,   b = epsilon s / (2^29 N).

X is that Y, nearly. The density of s N(0, 1), integrated over [j - 1/2, j + 1/2], is

    P(Y = j) = P(X = j) (Z / (s sqrt(2 pi))) int cosh(j t / s^2) e^(-t^2 / 2 s^2) dt,  |t| <= 1/2,

where cosh >= 1, the exponential is at least e^(-1 / 8 s^2), and Z >= s sqrt(2 pi) by Poisson's
formula. So P(X = j) <= e^(1 / 8 s^2) P(Y = j) for every j, and the laws of D entries are at a total
variation of at most eta = D / (8 s^2): with X, delta is ``delta_0 + (1 + e^epsilon) eta``. s is so
large that this is no more than rounding. Nothing is assumed of the record or of the arithmetic
that makes k of it; ``delta_0`` alone is computed in floating point, and a millionth is set aside.

The sampler is that of Canonne, Kamath and Steinke, "The discrete Gaussian for differential
privacy", NeurIPS 2020, algorithms 1 to 3.

NumPy and the standard library only: this file is part of the client.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsereg.privacy.codebook import UNIT

#: Report values are in units of radius / 2^16; k is in units of radius / 2^22, X of radius / 2^50.
GRID = 1 << 16
_FINE, _COARSE = 28, 34
_IN_RADIUS = 1 << 50
# delta_0 is computed with a relative error far below this.
_ROUNDING = 1e-6
# Values are clipped this many standard deviations beyond the radius: fewer than one in 10^30 is.
_CLIPPED_AT = 12


@dataclass(frozen=True)
class GaussianMechanism:
    """Add discrete Gaussian noise to a vector of integers.

    Parameters
    ----------
    epsilon, delta : float
        What is promised.
    dimension : int
        D, the number of integers.
    std : int
        s, the parameter of the noise, in units of radius / 2^50.
    """

    epsilon: float
    delta: float
    dimension: int
    std: int

    @property
    def largest_norm(self) -> int:
        """N: that of a rounded point of the sphere of radius 2^22."""
        return int(UNIT) + math.isqrt(self.dimension) // 2 + 2

    @property
    def delta_effective(self) -> float:
        """The delta of a report at epsilon."""
        exact = delta_of(self.std, self.largest_norm << (_FINE + 1), self.epsilon)
        eta = self.dimension / (8.0 * float(self.std) ** 2)
        return exact * (1.0 + _ROUNDING) + (1.0 + math.exp(self.epsilon)) * eta

    @property
    def epsilon_effective(self) -> float:
        """The epsilon that goes with ``delta``: the one promised."""
        return self.epsilon

    @property
    def noise(self) -> float:
        """Standard deviation of an entry of a report, in units of the radius."""
        return self.std / _IN_RADIUS

    @property
    def largest_value(self) -> int:
        """What the values of a report are clipped to, in units of radius / 2^16."""
        return GRID + _CLIPPED_AT * (self.std >> _COARSE)

    def values(self, direction: npt.ArrayLike) -> list[int]:
        """Return the values of a report, whatever the direction is."""
        draws = [discrete_gaussian(self.std) for _ in range(self.dimension)]
        most, half = self.largest_value, 1 << (_COARSE - 1)
        noisy = [(k << _FINE) + x for k, x in zip(self.bounded(direction), draws, strict=True)]
        return [min(max((value + half) >> _COARSE, -most), most) for value in noisy]

    def bounded(self, direction: npt.ArrayLike) -> list[int]:
        """Return k: the integers of a direction, or zeros if they are no point of the ball."""
        numbers = np.nan_to_num(np.asarray(direction, dtype=np.float64).ravel())
        integers = [int(k) for k in np.clip(np.rint(numbers), -UNIT, UNIT)]
        fits = len(integers) == self.dimension
        inside = sum(k * k for k in integers) <= self.largest_norm**2
        return integers if fits and inside else [0] * self.dimension


def calibrated(epsilon: float, delta: float, dimension: int) -> int:
    """Return the least s, up to a billionth, that spends at most delta."""
    low, high = 0, 1 << 62
    while high - low > 1:
        middle = (low + high) // 2
        enough = GaussianMechanism(epsilon, delta, dimension, middle).delta_effective <= delta
        low, high = (low, middle) if enough else (middle, high)
    return high + (high >> 30)


def delta_of(std: float, distance: float, epsilon: float) -> float:
    """Return the least delta of normal noise for vectors at a distance (Balle and Wang, 2018)."""
    a, b = distance / (2.0 * std), epsilon * std / distance
    return _normal_cdf(a - b) - math.exp(epsilon) * _normal_cdf(-a - b)


def _normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2.0)) / 2.0


def discrete_gaussian(std: int) -> int:
    """Return a number with probabilities proportional to ``exp(-j^2 / (2 std^2))``."""
    while True:
        draw = _discrete_laplace(std)
        if _bernoulli_exp((abs(draw) - std) ** 2, 2 * std * std):
            return draw


def _discrete_laplace(scale: int) -> int:
    """Return a number with probabilities proportional to ``exp(-|j| / scale)``."""
    while True:
        low, high = secrets.randbelow(scale), 0
        if not _bernoulli_exp(low, scale):
            continue
        while _bernoulli_exp(1, 1):
            high += 1
        size, negative = low + scale * high, secrets.randbelow(2)
        if size or not negative:
            return -size if negative else size


def _bernoulli_exp(numerator: int, denominator: int) -> bool:
    """Return True with probability ``exp(-numerator / denominator)``."""
    while numerator > denominator:
        if not _bernoulli_exp(1, 1):
            return False
        numerator -= denominator
    k = 1
    while secrets.randbelow(denominator * k) < numerator:
        k += 1
    return k % 2 == 1
