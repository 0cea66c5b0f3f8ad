"""The smoothly clipped absolute deviation.

    P(w) = sum_j v_j phi(w_j),    phi'(x) = alpha                                for x <= alpha
                                            (gamma alpha - x)_+ / (gamma - 1)    for x > alpha

The lasso near zero, constant from gamma alpha, and a parabola in between. With t = step v_j the
prox is continuous for t < gamma - 1; from there on it jumps to the identity, from the soft
threshold at alpha (gamma + 1 + t) / 2 for t <= gamma + 1, from zero at alpha sqrt(t (gamma + 1))
for larger t.
"""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.penalties.base import SHARED_CONSTRAINTS, FloatArray, Kind, Penalty


class SCAD(Penalty):
    """Smoothly clipped absolute deviation: the l1 norm up to alpha, flat from ``gamma * alpha``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength: the slope at zero, as that of the lasso.
    gamma : float > 1, default=3.7
        Where it becomes flat, in units of alpha. Coordinate problems are convex where the columns'
        ``||x_j||^2 / n`` exceed ``v_j / (gamma - 1)``.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Fan and Li, "Variable selection via nonconcave penalized likelihood and its oracle
    properties", JASA, 2001, equation (2.7).

    Examples
    --------
    >>> from sparsereg.penalties import SCAD
    >>> SCAD(alpha=1.0, gamma=3.7).prox([0.9, 1.5, 4.0], step=1.0)
    array([0. , 0.5, 4. ])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "gamma": [Interval(Real, 1, None, closed="neither")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        gamma: float = 3.7,
        *,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.gamma = gamma
        self.weights = weights
        self.positive = positive

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (alpha, gamma, positive)."""
        return Kind.SCAD, (self.alpha, self.gamma, float(self.positive))

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        return z / np.where(t <= self.gamma + 1, t, np.sqrt(t) * np.sqrt(self.gamma + 1))

    def _weak_convexity(self) -> float:
        return 1.0 / (self.gamma - 1.0)

    def slope_by_alpha(self, w: npt.ArrayLike) -> FloatArray:
        """Return 1 up to alpha, then gamma / (gamma - 1) until the penalty is flat."""
        size = np.abs(np.asarray(w, dtype=np.float64))
        rate = np.where(size <= self.alpha, 1.0, self.gamma / (self.gamma - 1.0))
        return self.feature_weights(size.size) * rate * (size < self.gamma * self.alpha)
