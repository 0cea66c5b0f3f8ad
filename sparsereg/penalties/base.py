"""What a separable penalty is: sum_j weights_j * scalar_penalty(w_j)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from enum import IntEnum
from numbers import Real
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from sparsereg.backends.protocol import KernelForm
from sparsereg.penalties import arrays

FloatArray = npt.NDArray[np.float64]


class Kind(IntEnum):
    """Number of each family of scalar formulas in the kernels."""

    ELASTIC_NET = 0
    FIRM = 1
    L0 = 2
    LQ = 3
    SCAD = 4
    LOG_SUM = 5
    TRANSFORMED_L1 = 6
    CAPPED_L1 = 7


#: What is allowed for the parameters that all penalties share.
SHARED_CONSTRAINTS: dict[str, list] = {
    "alpha": [Interval(Real, 0, None, closed="left")],
    "weights": ["array-like", None],
    "positive": ["boolean"],
}


class Penalty(BaseEstimator, ABC):
    """A separable penalty: a parameter object with a vector API and a kernel form.

    Subclasses take ``alpha`` (the overall strength) and ``weights`` (a factor per feature) among
    their constructor arguments and store them unchanged, so that ``clone``, ``get_params`` and
    grid searches over ``penalty__alpha`` work.
    """

    alpha: float
    weights: npt.ArrayLike | None
    positive: bool
    is_convex: bool
    _parameter_constraints: ClassVar[dict[str, list]] = SHARED_CONSTRAINTS

    @abstractmethod
    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and its parameters, at most four numbers; the third is ``positive``."""

    @abstractmethod
    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        """Return the alpha at which z > 0 is the largest number whose prox with step t is zero."""

    def value(self, w: npt.ArrayLike) -> float:
        """Return the penalty of w, of shape (n_features,); ``inf`` outside the constraints."""
        from sparsereg.backends.numba.penalty_kernels import value_vector

        w = _vector(w)
        return float(np.sum(value_vector(*self.kernel_form(w.size), w)))

    def prox(self, v: npt.ArrayLike, step: float) -> FloatArray:
        """Return the global minimizer over x of ``||x - v||^2 / (2 step) + value(x)``.

        It is global for every step > 0, convex or not; where two minimizers tie, it is the smaller.

        Parameters
        ----------
        v : array-like of shape (n_features,)
            Or a torch tensor or CuPy array of any shape; the same comes back.
        step : float

        Returns
        -------
        ndarray of shape (n_features,)
        """
        if arrays.is_foreign(v):
            return arrays.prox(self, v, step)
        from sparsereg.backends.numba.penalty_kernels import prox_vector

        v = _vector(v)
        return prox_vector(*self.kernel_form(v.size), v, float(step))

    def slope(self, w: npt.ArrayLike) -> FloatArray:
        """Return the derivative with respect to the size of each coefficient.

        At zero it is the one from the right, which may be infinite. These are the weights of the
        lasso that touches a concave penalty at w from above.
        """
        from sparsereg.backends.numba.penalty_kernels import slope_vector

        w = _vector(w)
        return slope_vector(*self.kernel_form(w.size), w)

    def slope_by_alpha(self, w: npt.ArrayLike) -> FloatArray:
        """Return how fast the slope at the size of each nonzero coefficient grows with alpha.

        Finite for alpha > 0; penalties that are not proportional to alpha say their own.
        """
        return self.slope(w) / self.alpha

    def relaxed_slope(self, w: npt.ArrayLike, curvatures: npt.ArrayLike) -> FloatArray:
        """Return the slope of the exact relaxation of the penalty, at the size of each coefficient.

        Beside a loss of these curvatures, the relaxation is the largest function below the penalty
        that makes every coordinate problem convex: where the prox jumps, it is the parabola over
        the jump. It has the global minimizers of the penalty; for l0 it is CEL0.

        Parameters
        ----------
        w, curvatures : array-like of shape (n_features,)

        Returns
        -------
        ndarray of shape (n_features,)
            Finite on features that are not excluded, as long as their curvature is positive.
        """
        from sparsereg.backends.numba.penalty_kernels import relaxed_slope_vector

        w = _vector(w)
        return relaxed_slope_vector(*self.kernel_form(w.size), w, _vector(curvatures))

    def subdiff_distance(self, w: npt.ArrayLike, grad: npt.ArrayLike) -> FloatArray:
        """Return, per coordinate, the distance of ``-grad`` to the subdifferential at w.

        Zero everywhere means that w is stationary when ``grad`` is the gradient of the loss. It
        does not mean more: with an infinite slope at zero, every zero is stationary.
        """
        w, u = _vector(w), -_vector(grad)
        slope = self.slope(w)
        at_zero = np.maximum((u if self.positive else np.abs(u)) - slope, 0.0)
        with np.errstate(invalid="ignore"):
            distance = np.where(w == 0, at_zero, np.abs(u - slope * np.sign(w)))
        return np.where(w < 0, np.inf, distance) if self.positive else distance

    def alpha_max(self, grad: npt.ArrayLike, curvatures: npt.ArrayLike | None = None) -> float:
        """Return the smallest alpha at which zero is optimal for every penalized feature by itself.

        For a convex penalty it is the smallest alpha whose solution is zero there.

        Parameters
        ----------
        grad : array-like of shape (n_features,)
            Gradient of the loss at the null model: intercept and unpenalized features only.
        curvatures : array-like of shape (n_features,), default=None
            Second derivatives of the loss along the coordinates, ``||x_j||^2 / n`` for the squared
            loss; ones if None. Those of convex penalties do not matter.

        Returns
        -------
        float
        """
        entry = self.entry_alpha(grad, curvatures)
        penalized = self.feature_weights(entry.size) > 0
        return float(np.max(entry[penalized], initial=0.0))

    def entry_alpha(
        self, grad: npt.ArrayLike, curvatures: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Return, per feature, the smallest alpha at which its coefficient stays at zero.

        Parameters are those of :meth:`alpha_max`. It is infinite for a feature without penalty
        that moves, and zero for one that is excluded or does not.
        """
        u = -_vector(grad)
        size = np.maximum(u, 0.0) if self.positive else np.abs(u)
        curvatures = np.ones(u.size) if curvatures is None else _vector(curvatures)
        form = self.kernel_form(u.size)
        scales = form.scales if form.scales.size else np.ones(u.size)
        moving = (size > 0) & (curvatures > 0) & np.isfinite(form.weights)
        entry = np.where(moving, np.inf, 0.0)
        weighed = moving & (form.weights > 0)
        scale, curvature = scales[weighed], curvatures[weighed]
        with np.errstate(over="ignore", under="ignore"):
            z = scale * (size[weighed] / curvature)
            t = form.weights[weighed] * (scale * (scale / curvature))
            entry[weighed] = self._alpha_at_threshold(z, t)
        return entry

    def weak_convexity(self, n_features: int) -> FloatArray:
        """Return, per feature, the smallest rho for which penalty + rho w^2 / 2 is convex.

        Coordinate problems of larger curvature are convex. It is infinite for penalties that jump
        or have a vertical slope at zero.
        """
        form, bend = self.kernel_form(n_features), self._weak_convexity()
        scales = form.scales if form.scales.size else np.ones(n_features)
        bent = (form.weights > 0) & (bend > 0)
        return np.where(bent, form.weights * scales**2 * (bend or 1.0), 0.0)

    def _weak_convexity(self) -> float:
        """Return the weak convexity for a feature of weight one."""
        return 0.0 if self.is_convex else np.inf

    def kernel_form(self, n_features: int) -> KernelForm:
        """Return the penalty as compiled kernels read it."""
        kind, values = self.kernel_params()
        params = np.zeros(4)
        params[: len(values)] = values
        scales = self._feature_scales(n_features)
        return KernelForm(int(kind), params, self.feature_weights(n_features), scales)

    def feature_weights(self, n_features: int) -> FloatArray:
        """Return the weights as an array of shape (n_features,), ones if there are none."""
        if self.weights is None:
            return np.ones(n_features)
        return np.asarray(self.weights, dtype=np.float64)

    def _feature_scales(self, n_features: int) -> FloatArray:
        """Return the factors of the coefficients inside the penalty; empty if all are one."""
        return np.empty(0)

    def check_columns(self, n_features: int) -> None:
        """Raise a ValueError if parameters that have an entry per feature do not fit the data."""

    def with_alpha(self, alpha: float) -> Self:
        """Return the same penalty at another strength; the weights are shared."""
        other = copy(self)
        other.alpha = alpha
        return other


def weighted_sum(weights: FloatArray, terms: FloatArray) -> float:
    """Return sum_j weights_j terms_j, where an infinite weight times zero is zero."""
    active = terms != 0.0
    return float(weights[active] @ terms[active])


def _vector(values: npt.ArrayLike) -> FloatArray:
    return np.ascontiguousarray(values, dtype=np.float64)
