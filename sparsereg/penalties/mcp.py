"""The minimax concave penalty.

    P(w) = sum_j v_j phi(w_j),    phi(w) = alpha |w| - w^2 / (2 gamma)   if |w| <= gamma alpha
                                           gamma alpha^2 / 2             beyond

Its slope falls from alpha at zero to 0 at gamma alpha: large coefficients are not shrunk. With
t = step v_j, the prox is the firm threshold if t < gamma (zero up to t alpha, the identity from
gamma alpha), and the hard threshold at alpha sqrt(t gamma) if t >= gamma.
"""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.penalties.base import SHARED_CONSTRAINTS, FloatArray, Kind, Penalty


class MCP(Penalty):
    """Minimax concave penalty: the l1 norm that fades out from zero to ``gamma * alpha``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength: the slope at zero, as that of the lasso.
    gamma : float > 0, default=3.0
        Where it becomes flat, in units of alpha; infinite is the lasso. Coordinate problems are
        convex where the columns' ``||x_j||^2 / n`` exceed ``v_j / gamma``.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Zhang, "Nearly unbiased variable selection under minimax concave penalty", Annals of
    Statistics, 2010, equation (2.1).

    Examples
    --------
    >>> from sparsereg.penalties import MCP
    >>> MCP(alpha=1.0, gamma=3.0).prox([0.9, 2.0, 4.0], step=1.0)
    array([0. , 1.5, 4. ])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "gamma": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        gamma: float = 3.0,
        *,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.gamma = gamma
        self.weights = weights
        self.positive = positive

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (slope at zero, curvature, positive)."""
        return Kind.FIRM, (self.alpha, 1.0 / self.gamma, float(self.positive))

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        return z / np.where(t < self.gamma, t, np.sqrt(t) * np.sqrt(self.gamma))

    def _weak_convexity(self) -> float:
        return 1.0 / self.gamma

    def slope_by_alpha(self, w: npt.ArrayLike) -> FloatArray:
        """Return 1 where the penalty is not flat (see :meth:`Penalty.slope_by_alpha`)."""
        size = np.abs(np.asarray(w, dtype=np.float64))
        return self.feature_weights(size.size) * (size < self.gamma * self.alpha)
