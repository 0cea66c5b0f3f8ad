"""What clipping did to a score, told by the reports themselves, for normal features.

A score x r with r = y - x'w is clipped to ``radius``. For normal x and r, with M = E||x||^2,
residual scale sigma and t = radius / (sigma sqrt(M)), Stein's identity gives

    E[clipped x r] = a(t) E[x x'] (w* - w),    a(t) = E[rho^2 P(|N| < t / rho)]

to first order in w* - w (farther away it is found by quadrature), where rho^2 = ||x||^2 / M and N
is standard normal. Reports also carry the last entry of the lifted direction, whose mean is

    lift(t) = E[sqrt(1 - min(1, rho |N| / t)^2)].

The mean lift therefore tells t, and t tells both the attenuation a and the residual scale: at no
cost in privacy or noise. The law of rho^2 is taken to be a gamma law with the mean and the variance
that the covariance of x implies (Satterthwaite).

The gain is a radius near a typical score instead of one beyond the largest, and noise is
proportional to the radius. The price is an assumption on x: it is made with
``clipping="gaussian"`` only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import gamma, norm

from sparsereg.backends.protocol import FloatArray

_N_RHO, _N_NORMAL = 64, 400
# A step that explains less of the residual variance is small.
_NEGLIGIBLE = 1e-3
# t is looked for in this range; beyond it nothing is clipped, below it everything.
_T_RANGE = (0.05, 20.0)
#: The radius of a score in typical scores, sigma sqrt(M): what noise gains by a smaller one is lost
#: to the attenuation, slowly, and the lift tells the scale best near this value.
TYPICAL = 1.0


@dataclass(frozen=True)
class SquaredNorm:
    """The law of ||x||^2: a gamma law.

    Attributes
    ----------
    mean : float
    dof : float
        Twice the shape: the degrees of freedom of a chi-squared law of this form.
    """

    mean: float
    dof: float

    @classmethod
    def of(cls, covariance: FloatArray) -> SquaredNorm:
        """Return the law for normal x with second moments ``covariance``."""
        trace = float(np.trace(covariance))
        return cls(trace, trace**2 / float(np.sum(covariance**2)))

    def plus(self, variance: float) -> SquaredNorm:
        """Return the law for one more independent normal entry of this variance."""
        spread = self.mean**2 / self.dof + variance**2
        return SquaredNorm(self.mean + variance, (self.mean + variance) ** 2 / spread)

    def quantile(self, level: float) -> float:
        """Return a quantile of ||x||^2."""
        return float(gamma.ppf(level, self.dof / 2.0, scale=2.0 * self.mean / self.dof))

    @property
    def rho(self) -> FloatArray:
        """Equally likely values of ||x|| / sqrt(E||x||^2), of mean square one."""
        levels = (np.arange(_N_RHO) + 0.5) / _N_RHO
        squares = gamma.ppf(levels, self.dof / 2.0, scale=2.0 / self.dof)
        return np.sqrt(squares / squares.mean())


def attenuation(t: float, law: SquaredNorm) -> float:
    """Return a(t), for coefficients near the truth."""
    rho = law.rho
    return float(np.mean(rho**2 * (2.0 * norm.cdf(t / rho) - 1.0)))


@dataclass(frozen=True)
class Step:
    """How far the coefficients of a score are from the truth, in the data's own units.

    Attributes
    ----------
    explained : float
        The share of the residual variance that the missing step explains.
    variance : float
        What the direction of the step adds to ``E||x||^2``.
    """

    explained: float
    variance: float


def clipped_moments(t: float, law: SquaredNorm, step: Step) -> tuple[float, float]:
    """Return attenuation and mean lift where the step is not small, by quadrature.

    ``x = e g + x_rest`` with g the normal score of the step; the residual has correlation
    ``sqrt(explained)`` with g, so that long x come with large residuals.
    """
    share = min(step.variance / law.mean, 0.999)
    rest_dof = (1.0 - share) ** 2 / max(1.0 / law.dof - share**2, 1e-9)
    rest = SquaredNorm(1.0 - share, rest_dof).rho ** 2 * (1.0 - share)
    points = norm.ppf((np.arange(_N_RHO) + 0.5) / _N_RHO)
    points /= np.sqrt(np.mean(points**2))
    g, other, square = np.meshgrid(points, points, rest, indexing="ij")
    correlation = np.sqrt(step.explained)
    residual = correlation * g + np.sqrt(1.0 - step.explained) * other
    size = np.sqrt(share * g**2 + square) * np.abs(residual) / t
    kept = np.minimum(1.0, 1.0 / np.maximum(size, np.finfo(float).tiny))
    lift = float(np.mean(np.sqrt(1.0 - np.minimum(size, 1.0) ** 2)))
    return float(np.mean(g * residual * kept)) / correlation, lift


def mean_lift(t: float, law: SquaredNorm) -> float:
    """Return lift(t)."""
    size = norm.ppf(0.5 + (np.arange(_N_NORMAL) + 0.5) / (2 * _N_NORMAL))
    share = np.minimum(np.outer(law.rho, size) / t, 1.0)
    return float(np.mean(np.sqrt(1.0 - share**2)))


def radius_in_scores(lift: float, law: SquaredNorm) -> float:
    """Return the t whose mean lift was observed, within the range that is looked at."""
    grid = np.geomspace(*_T_RANGE, 100)
    lifts = np.array([mean_lift(t, law) for t in grid])
    return float(np.exp(np.interp(lift, lifts, np.log(grid))))


def corrected(lift: float, law: SquaredNorm, step: Step) -> tuple[float, float]:
    """Return the t and the attenuation that a mean lift tells, where the step is not small."""
    t = radius_in_scores(lift, law)
    if step.explained <= _NEGLIGIBLE:
        return t, attenuation(t, law)
    for _ in range(3):  # the lift hardly depends on the step
        kept, found = clipped_moments(t, law, step)
        slope = (mean_lift(1.05 * t, law) - mean_lift(t, law)) / (0.05 * t)
        t = float(np.clip(t + (lift - found) / slope, t / 2.0, 2.0 * t))
    return t, kept
