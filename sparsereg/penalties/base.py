"""What a separable penalty is: sum_j weights_j * scalar_penalty(w_j)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from enum import IntEnum
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from sparsereg.backends.protocol import KernelForm

FloatArray = npt.NDArray[np.float64]


class Kind(IntEnum):
    """Number of each family of scalar formulas in the kernels."""

    ELASTIC_NET = 0


class Penalty(BaseEstimator, ABC):
    """A separable penalty: a parameter object with a vector API and a kernel form.

    Subclasses take ``alpha`` (the overall strength) and ``weights`` (a factor per feature) among
    their constructor arguments and store them unchanged, so that ``clone``, ``get_params`` and
    grid searches over ``penalty__alpha`` work.
    """

    alpha: float
    weights: npt.ArrayLike | None
    is_convex: bool

    @abstractmethod
    def value(self, w: npt.ArrayLike) -> float:
        """Return the penalty of the coefficient vector w, of shape (n_features,)."""

    @abstractmethod
    def prox(self, v: npt.ArrayLike, step: float) -> FloatArray:
        """Return the global minimizer over x of ``||x - v||^2 / (2 step) + value(x)``."""

    @abstractmethod
    def subdiff_distance(self, w: npt.ArrayLike, grad: npt.ArrayLike) -> FloatArray:
        """Return, per coordinate, the distance of ``-grad`` to the subdifferential at w.

        Zero everywhere means that w is stationary when ``grad`` is the gradient of the loss.
        """

    @abstractmethod
    def alpha_max(self, grad: npt.ArrayLike) -> float:
        """Return the smallest alpha whose solution is zero on every penalized feature.

        ``grad`` is the gradient of the loss at the null model, of shape (n_features,).
        """

    @abstractmethod
    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and its parameters, at most four numbers."""

    def kernel_form(self, n_features: int) -> KernelForm:
        """Return the penalty as compiled kernels read it."""
        kind, values = self.kernel_params()
        params = np.zeros(4)
        params[: len(values)] = values
        return KernelForm(int(kind), params, self.feature_weights(n_features))

    def feature_weights(self, n_features: int) -> FloatArray:
        """Return the weights as an array of shape (n_features,), ones if there are none."""
        if self.weights is None:
            return np.ones(n_features)
        return np.asarray(self.weights, dtype=np.float64)

    def with_alpha(self, alpha: float) -> Self:
        """Return the same penalty at another strength; the weights are shared."""
        other = copy(self)
        other.alpha = alpha
        return other


def weighted_sum(weights: FloatArray, terms: FloatArray) -> float:
    """Return sum_j weights_j terms_j, where an infinite weight times zero is zero."""
    active = terms != 0.0
    return float(weights[active] @ terms[active])
