"""The capped l1 penalty.

    P(w) = alpha sum_j v_j min(|w_j|, theta)

With u = step alpha v_j the prox is the soft threshold at u up to T, and the identity beyond:
T = theta + u / 2 for u <= 2 theta, T = sqrt(2 u theta) for larger u.
"""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.penalties.base import SHARED_CONSTRAINTS, FloatArray, Kind, Penalty


class CappedL1(Penalty):
    """Penalty ``alpha * sum_j v_j min(|w_j|, theta)``: the lasso up to theta, then constant.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength: the slope at zero, as that of the lasso.
    theta : float > 0, default=1.0
        From where on coefficients are not shrunk, in their units.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Zhang, "Analysis of multi-stage convex relaxation for sparse regularization", JMLR, 2010; Gong,
    Zhang, Lu, Huang and Ye, "A general iterative shrinkage and thresholding algorithm for
    non-convex regularized optimization problems", ICML 2013 (the prox).

    Examples
    --------
    >>> from sparsereg.penalties import CappedL1
    >>> CappedL1(alpha=1.0, theta=1.0).prox([0.9, 1.25, 2.0], step=1.0)
    array([0.  , 0.25, 2.  ])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "theta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        theta: float = 1.0,
        *,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.theta = theta
        self.weights = weights
        self.positive = positive

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (alpha, theta, positive)."""
        return Kind.CAPPED_L1, (self.alpha, self.theta, float(self.positive))

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        return np.where(z <= 2 * self.theta, z, z * (z / (2 * self.theta))) / t
