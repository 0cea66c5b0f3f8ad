"""The lasso and elastic-net penalties.

    P(w) = alpha * sum_j v_j * (l1_ratio |w_j| + (1 - l1_ratio) / 2 w_j^2)

with feature weights v_j >= 0; optionally restricted to w >= 0. With l1_j = alpha l1_ratio v_j and
l2_j = alpha (1 - l1_ratio) v_j, the conjugate is

    P*(u) = sum_j (|u_j| - l1_j)_+^2 / (2 l2_j)        (the constraint |u_j| <= l1_j if l2_j = 0),

with u_j in place of |u_j| when w >= 0 is required. The Fenchel-Young terms below are written so
that each one is a sum of non-negative numbers.
"""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.penalties import arrays
from sparsereg.penalties.base import (
    SHARED_CONSTRAINTS,
    FloatArray,
    Kind,
    Penalty,
    weighted_sum,
)


class ElasticNet(Penalty):
    """Elastic-net penalty ``alpha * sum_j v_j (l1_ratio |w_j| + (1 - l1_ratio) / 2 w_j^2)``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, as in scikit-learn's ``ElasticNet``.
    l1_ratio : float in [0, 1], default=0.5
        Share of the l1 part.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Zou and Hastie, "Regularization and variable selection via the elastic net", JRSS B, 2005.

    Examples
    --------
    >>> from sparsereg.penalties import ElasticNet
    >>> ElasticNet(alpha=1.0, l1_ratio=0.5).prox([3.0, -0.2], step=1.0)
    array([1.66666667, 0.        ])
    """

    is_convex = True
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.weights = weights
        self.positive = positive

    @property
    def l1(self) -> float:
        """Strength of the l1 part, before feature weights."""
        return self.alpha * self.l1_ratio

    @property
    def l2(self) -> float:
        """Strength of the squared l2 part, before feature weights."""
        return self.alpha * (1.0 - self.l1_ratio)

    def value(self, w: npt.ArrayLike) -> float:
        """Return the penalty of w, of shape (n_features,); ``inf`` outside the constraints."""
        w = np.asarray(w, dtype=np.float64)
        if self.positive and np.any(w < 0):
            return np.inf
        return weighted_sum(
            self.feature_weights(w.size), self.l1 * np.abs(w) + 0.5 * self.l2 * w**2
        )

    def prox(self, v: npt.ArrayLike, step: float) -> FloatArray:
        """Return the soft-thresholded and shrunk v (see :meth:`Penalty.prox`)."""
        if arrays.is_foreign(v):
            return arrays.prox(self, v, step)
        v = np.asarray(v, dtype=np.float64)
        l1, l2 = self._strengths(v.size)
        size = v if self.positive else np.abs(v)
        kept = np.maximum(size - step * l1, 0.0) / (1.0 + step * l2)
        return np.where(kept > 0, np.copysign(kept, v), 0.0)

    def subdiff_distance(self, w: npt.ArrayLike, grad: npt.ArrayLike) -> FloatArray:
        """Return the distance of ``-grad`` to the subdifferential (see :class:`Penalty`)."""
        w, u = np.asarray(w, dtype=np.float64), -np.asarray(grad, dtype=np.float64)
        l1, l2 = self._strengths(w.size)
        at_zero = np.maximum((u if self.positive else np.abs(u)) - l1, 0.0)
        with np.errstate(invalid="ignore"):
            elsewhere = np.abs(u - l1 * np.sign(w) - l2 * w)
        return np.where(w == 0, at_zero, elsewhere)

    def entry_alpha(
        self, grad: npt.ArrayLike, curvatures: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Return, per feature, the smallest alpha at which its coefficient stays at zero.

        Parameters
        ----------
        grad : array-like of shape (n_features,)
            Gradient of the loss.
        curvatures : array-like of shape (n_features,), default=None
            Not used: the curvature of the loss does not matter for a convex penalty.

        Returns
        -------
        ndarray of shape (n_features,)
            Infinite where the gradient is not zero and there is no l1 part or no penalty.
        """
        u = -np.asarray(grad, dtype=np.float64)
        weights = self.feature_weights(u.size)
        size = np.maximum(u, 0.0) if self.positive else np.abs(u)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            entry = size / weights / self.l1_ratio
        return np.where((size == 0) | np.isinf(weights), 0.0, entry)

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        return z / t / self.l1_ratio

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (l1, l2, positive)."""
        return Kind.ELASTIC_NET, (self.l1, self.l2, float(self.positive))

    def _strengths(self, n_features: int) -> tuple[FloatArray, FloatArray]:
        weights = self.feature_weights(n_features)
        with np.errstate(invalid="ignore"):  # 0 * inf: an excluded feature stays excluded
            l1, l2 = self.l1 * weights, self.l2 * weights
        excluded = np.isinf(weights)
        return np.where(excluded, np.inf, l1), np.where(excluded, 0.0, l2)


class L1(ElasticNet):
    """Lasso penalty ``alpha * sum_j v_j |w_j|``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, as in scikit-learn's ``Lasso``.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Tibshirani, "Regression shrinkage and selection via the lasso", JRSS B, 1996.

    Examples
    --------
    >>> from sparsereg.penalties import L1
    >>> L1(alpha=1.0).prox([3.0, -0.2], step=1.0)
    array([2., 0.])
    """

    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.weights = weights
        self.positive = positive
