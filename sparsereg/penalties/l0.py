"""The number of coefficients: as a penalty, as its exact continuous relaxation, as a constraint.

l0:      P(w) = alpha sum_j v_j 1{w_j != 0}. The prox is the hard threshold at
         sqrt(2 step alpha v_j).

CEL0:    with column norms a_j,

             P(w) = sum_j alpha_j - (sqrt(2 alpha_j) - a_j |w_j|)_+^2 / 2,

         alpha_j = alpha v_j: the largest function below l0 whose sum with a_j^2 w_j^2 / 2 is convex
         along every coordinate. With (1 / (2 n)) ||y - X w||^2 and a_j = ||x_j|| / sqrt(n) the sum
         has the global minimizers of l0, and no local minimizers that l0 does not have. In units of
         a_j w_j / sqrt(v_j) it is v_j times a firm penalty of slope sqrt(2 alpha) and curvature 1.

k-sparse: w has at most k nonzero coefficients. The prox keeps the k largest.

Sources: Soubies, Blanc-Feraud and Aubert, "A continuous exact l0 penalty (CEL0) for least squares
regularized problem", SIAM J. Imaging Sciences, 2015; Blumensath and Davies, "Iterative
thresholding for sparse approximations", J. Fourier Analysis and Applications, 2008.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from sparsereg.penalties import arrays
from sparsereg.penalties.base import SHARED_CONSTRAINTS, FloatArray, Kind, Penalty


class L0(Penalty):
    """Penalty ``alpha * sum_j v_j 1{w_j != 0}``: a price per coefficient.

    Parameters
    ----------
    alpha : float, default=1.0
        Price of a coefficient, in squared units of y.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Blumensath and Davies, "Iterative thresholding for sparse approximations", J. Fourier Analysis
    and Applications, 2008.

    Examples
    --------
    >>> from sparsereg.penalties import L0
    >>> L0(alpha=0.5).prox([1.0, 1.1], step=1.0)
    array([0. , 1.1])
    """

    is_convex = False

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

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (alpha, not used, positive)."""
        return Kind.L0, (self.alpha, 0.0, float(self.positive))

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        return z * (z / t) / 2


class CEL0(Penalty):
    """Continuous exact relaxation of :class:`L0` for least squares.

    Parameters
    ----------
    alpha : float, default=1.0
        Price of a coefficient, in squared units of y: the value far from zero.
    column_norms : float or array-like of shape (n_features,), default=1.0
        ``||x_j|| / sqrt(n)`` of the centered columns. It is exact for a problem with these norms;
        1 is right for standardized columns.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of alpha for each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Soubies, Blanc-Feraud and Aubert, "A continuous exact l0 penalty (CEL0) for least squares
    regularized problem", SIAM J. Imaging Sciences, 2015.

    Examples
    --------
    >>> from sparsereg.penalties import CEL0
    >>> CEL0(alpha=0.5).prox([0.4, 0.75, 2.0], step=0.5)
    array([0. , 0.5, 2. ])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "column_norms": [Interval(Real, 0, None, closed="neither"), "array-like"],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        column_norms: float | npt.ArrayLike = 1.0,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.column_norms = column_norms
        self.weights = weights
        self.positive = positive

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (slope at zero, curvature, positive), in units of a_j w_j."""
        return Kind.FIRM, (float(np.sqrt(2 * self.alpha)), 1.0, float(self.positive))

    def check_columns(self, n_features: int) -> None:
        """Raise a ValueError if there is no usable norm for each feature."""
        norms = np.asarray(self.column_norms, dtype=np.float64)
        if norms.shape not in ((), (n_features,)):
            raise ValueError(
                f"column_norms has shape {norms.shape}; X has {n_features} features, so it must "
                f"be a number or have shape ({n_features},)."
            )
        if not np.all((norms >= 0) & np.isfinite(norms)):
            raise ValueError("column_norms contains NaN, inf or negative values: give norms.")

    def _feature_scales(self, n_features: int) -> FloatArray:
        norms = np.broadcast_to(np.asarray(self.column_norms, dtype=np.float64), n_features)
        weights = self.feature_weights(n_features)
        weighed = (weights > 0) & np.isfinite(weights) & (norms > 0)  # the others have no penalty
        return np.divide(norms, np.sqrt(weights), out=np.ones(n_features), where=weighed)

    def slope_by_alpha(self, w: npt.ArrayLike) -> FloatArray:
        """Return a_j sqrt(v_j / (2 alpha)) where the penalty is not flat."""
        w = np.asarray(w, dtype=np.float64)
        weights = self.feature_weights(w.size)
        norms = np.broadcast_to(np.asarray(self.column_norms, dtype=np.float64), w.size)
        return norms * np.sqrt(weights / (2 * self.alpha)) * (self.slope(w) > 0)

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        return (z / np.where(t < 1, t, np.sqrt(t))) ** 2 / 2

    def _weak_convexity(self) -> float:
        return 1.0


class L0Constraint(BaseEstimator):
    """Constraint ``at most k coefficients are not zero``. It is not separable.

    Parameters
    ----------
    k : int, default=1
        Largest number of nonzero coefficients; k >= n_features allows everything.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Blumensath and Davies, "Iterative hard thresholding for compressed sensing", Applied and
    Computational Harmonic Analysis, 2009.

    Examples
    --------
    >>> from sparsereg.penalties import L0Constraint
    >>> L0Constraint(k=1).prox([1.0, -3.0, 2.0])
    array([ 0., -3.,  0.])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "k": [Interval(Integral, 0, None, closed="left")],
        "positive": ["boolean"],
    }

    def __init__(self, k: int = 1, *, positive: bool = False) -> None:
        self.k = k
        self.positive = positive

    def value(self, w: npt.ArrayLike) -> float:
        """Return 0 where the constraint holds and ``inf`` elsewhere."""
        w = np.asarray(w, dtype=np.float64)
        feasible = np.count_nonzero(w) <= self.k and not (self.positive and np.any(w < 0))
        return 0.0 if feasible else np.inf

    def prox(self, v: Any, step: float = 1.0) -> FloatArray:
        """Return the nearest feasible vector: the k largest entries, the first ones of equals.

        Parameters
        ----------
        v : array-like of shape (n_features,)
        step : float, default=1.0
            Not used: a projection does not depend on it.

        Returns
        -------
        ndarray of shape (n_features,)
            Of a torch tensor or CuPy array of any shape, one like it.
        """
        if arrays.is_foreign(v):
            x = arrays.namespace(v).clip(v, 0.0, None) if self.positive else v
            return x * arrays.largest(abs(x).reshape(-1), self.k).reshape(x.shape)
        x = np.array(v, dtype=np.float64)
        if self.positive:
            np.maximum(x, 0.0, out=x)
        x[np.argsort(-np.abs(x), kind="stable")[self.k :]] = 0.0
        return x
