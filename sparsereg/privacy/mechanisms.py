"""The mechanism of pure privacy: report an index, from a set that depends on the record.

Outputs are 0, ..., K - 1. The record decides, by any rule, a set C of m of them. With probability
P the report is uniform on C, and otherwise uniform on its complement:

    P(j) = P / m  for j in C,    (1 - P) / (K - m)  for j outside.

*Privacy.* Both values are public constants: whatever two records and whatever j, the probabilities
differ by the factor ``odds = P (K - m) / (m (1 - P))`` at most. Nothing is used but |C| = m. How C
was computed - rounding, overflow, NaN, ties, a bug in it - changes accuracy and never privacy. If C
itself is random, the law is a mixture of such laws and the ratio is bounded by the same factor.

*Exactness.* P is T / 2^64 with an integer threshold T, compared with 64 random bits. T is rounded
to the private side, so that odds, a rational number, is at most e^epsilon; ``epsilon_effective`` is
the logarithm of that rational number.

With K codewords and C the m nearest to a vector this is the k-closest encoding (a member of the
randomly rotated simplex family of Isik et al., "Exact optimality of communication-privacy-utility
tradeoffs in distributed mean estimation", 2023); with m = 1 it is randomized response; with windows
of consecutive levels it is the mechanism of Duchi, Jordan and Wainwright (K = 2) and a discrete
form of the piecewise mechanism (Wang et al., ICDE 2019).

Standard library only: this file is part of the client.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from functools import cached_property
from statistics import NormalDist

_BITS = 64
_DIGITS = 60  # of the decimal logarithm and exponential; both are rounded correctly
#: Numbers of levels a scalar is reported with.
_LEVELS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@dataclass(frozen=True)
class SubsetMechanism:
    """Report an output from a chosen set with the largest probability that epsilon allows.

    Parameters
    ----------
    epsilon : float
        The privacy loss that must not be exceeded.
    n_outputs : int
        K, the number of outputs.
    subset_size : int
        m, the size of the chosen set, with ``1 <= m < K``.
    """

    epsilon: float
    n_outputs: int
    subset_size: int

    @cached_property
    def threshold(self) -> int:
        """T: of 2^64 equally likely numbers, how many lead into the chosen set."""
        K, m = self.n_outputs, self.subset_size
        ratio = exp_lower_bound(self.epsilon)
        return math.floor(2**_BITS * m * ratio / (m * ratio + (K - m)))

    @property
    def p_inside(self) -> Fraction:
        """The probability of the chosen set, exactly."""
        return Fraction(self.threshold, 2**_BITS)

    @property
    def p_each_inside(self) -> Fraction:
        """The probability of one output of the chosen set, exactly."""
        return self.p_inside / self.subset_size

    @property
    def p_each_outside(self) -> Fraction:
        """The probability of one output outside of the chosen set, exactly."""
        return (1 - self.p_inside) / (self.n_outputs - self.subset_size)

    @property
    def odds(self) -> Fraction:
        """The largest ratio of the probabilities of an output under two records, exactly."""
        ratio = self.p_each_inside / self.p_each_outside
        return max(ratio, 1 / ratio)

    @property
    def epsilon_effective(self) -> float:
        """The privacy loss: the logarithm of ``odds``, rounded up, and at most epsilon."""
        return min(log_upper_bound(self.odds), self.epsilon)

    def draw(self) -> tuple[bool, int, int]:
        """Return whether to report from the set, a rank inside it, and a rank outside.

        All three are drawn from the operating system, whatever the first one says, so that the
        record decides nothing about what is drawn.
        """
        return (
            secrets.randbits(_BITS) < self.threshold,
            secrets.randbelow(self.subset_size),
            secrets.randbelow(self.n_outputs - self.subset_size),
        )


def exp_lower_bound(epsilon: float) -> Fraction:
    """Return a rational number just below e^epsilon."""
    context = Context(prec=_DIGITS, rounding=ROUND_FLOOR)
    return Fraction(context.next_minus(context.exp(Decimal(epsilon))))


def log_upper_bound(ratio: Fraction) -> float:
    """Return a float just above the logarithm of a rational number."""
    context = Context(prec=_DIGITS, rounding=ROUND_CEILING)
    quotient = context.divide(Decimal(ratio.numerator), Decimal(ratio.denominator))
    return math.nextafter(float(context.next_plus(context.ln(quotient))), math.inf)


def default_codewords(epsilon: float) -> int:
    """Return a number of codewords with which the noise is within about 2 % of its limit."""
    return 64 if epsilon <= 2 else 256 if epsilon <= 4 else 1024


def best_subset_size(epsilon: float, n_codewords: int) -> int:
    """Return the m for which the mean score of a reported codeword is largest.

    Expected normal order statistics are approximated by quantiles (Blom, 1958): the choice changes
    the noise in the fourth digit, and privacy not at all.
    """
    ratio, normal, K = math.exp(epsilon), NormalDist(), n_codewords
    best, best_gain, total = 1, 0.0, 0.0
    for m in range(1, K):
        total += normal.inv_cdf((K - m + 0.625) / (K + 0.25))
        gain = (ratio - 1.0) * total / (m * ratio + K - m)
        if gain > best_gain:
            best, best_gain = m, gain
    return best


def window_moments(epsilon: float, n_levels: int, window: int) -> tuple[float, list[float]]:
    """Return what a scalar report says on average, and its square.

    Levels are ``j - (K - 1) / 2``; the number -1 is the first window of m consecutive levels, 1 is
    the last, and those between are rounded at random to a window beside them.

    Returns
    -------
    gain : float
        The mean level reported for the number 1; that for any other is proportional.
    squares : list of float
        The mean squared level, for each window.
    """
    ratio, K, m = math.exp(epsilon), n_levels, window
    outside = 1.0 / (m * ratio + K - m)
    extra = (ratio - 1.0) * outside
    levels = [j - (K - 1) / 2 for j in range(K)]
    base = outside * sum(level * level for level in levels)
    squares = [
        base + extra * sum(level * level for level in levels[start : start + m])
        for start in range(K - m + 1)
    ]
    return extra * m * (K - m) / 2, squares


def best_window(epsilon: float) -> tuple[int, int]:
    """Return the levels and the window of a scalar report with the least worst variance."""
    best, least = (2, 1), math.inf
    for K in _LEVELS:
        for m in range(1, K // 2 + 1):
            gain, squares = window_moments(epsilon, K, m)
            worst = _worst_variance(gain, squares)
            if worst < least * (1.0 - 1e-9):
                best, least = (K, m), worst
    return best


def _worst_variance(gain: float, squares: list[float]) -> float:
    """Return the largest variance over [-1, 1]: between two windows it is a parabola."""
    steps, worst = len(squares) - 1, 0.0
    for k in range(4 * steps + 1):
        y = k / (2 * steps) - 1.0
        low = min(k // 4, steps - 1)
        share = k / 4 - low
        square = (1.0 - share) * squares[low] + share * squares[low + 1]
        worst = max(worst, square / gain**2 - y * y)
    return worst
