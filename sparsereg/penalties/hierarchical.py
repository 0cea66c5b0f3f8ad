"""The hierarchical penalty of LassoNet: a feature is in the network only if it is linear, too.

A column per feature holds its n_skip coefficients b_j in the linear part and its weights u_j in the
first hidden layer:

    P(b, u) = alpha sum_j ||b_j||     subject to    max_i |u_ij| <= hierarchy ||b_j||.

The prox of a column (b, u) with threshold t: for s = 0, ..., K largest entries of |u| at the bound,

    r_s = (||b|| - t + M sum_{i <= s} |u|_(i))_+ / (1 + s M^2),

the right s is the first with M r_s >= |u|_(s+1); the result is r_s b / ||b|| and u clipped to
[-M r_s, M r_s].

Source: Lemhadri, Ruan, Abraham and Tibshirani, "LassoNet: a neural network with feature sparsity",
JMLR, 2021, section 3 (the problem and its exact solution by sorting).
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from sparsereg.penalties import arrays


class Hierarchical(BaseEstimator):
    """Penalty ``alpha * sum_j ||b_j||`` under ``max_i |u_ij| <= hierarchy * ||b_j||``.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength.
    hierarchy : float > 0, default=10.0
        Bound M of the weights of a feature, in units of the size of its linear coefficients.
        Infinite is no bound; near zero it leaves a linear model.
    n_skip : int, default=1
        Number of first rows of a column that hold linear coefficients.

    References
    ----------
    Lemhadri, Ruan, Abraham and Tibshirani, "LassoNet: a neural network with feature sparsity",
    JMLR, 2021.

    Examples
    --------
    >>> from sparsereg.penalties import Hierarchical
    >>> Hierarchical(alpha=1.0, hierarchy=1.0).prox([[3.0, 0.5], [0.5, 0.4]], step=1.0)
    array([[2. , 0. ],
           [0.5, 0. ]])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "hierarchy": [Interval(Real, 0, None, closed="neither")],
        "n_skip": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, alpha: float = 1.0, hierarchy: float = 10.0, *, n_skip: int = 1) -> None:
        self.alpha = alpha
        self.hierarchy = hierarchy
        self.n_skip = n_skip

    def value(self, w: npt.ArrayLike) -> float:
        """Return the penalty of w, of shape (n_skip + n_hidden, n_features); ``inf`` outside."""
        x = arrays.as_array(w)
        lengths = (x[: self.n_skip] ** 2).sum(0) ** 0.5
        bounds = self.hierarchy * lengths * (1 + 16 * float(np.finfo(np.float32).eps))
        if bool((abs(x[self.n_skip :]) > bounds).any()):
            return float("inf")
        return self.alpha * float(lengths.sum())

    def prox(self, v: Any, step: float) -> Any:
        """Return the minimizer over x of ``||x - v||^2 / (2 step) + value(x)``.

        Parameters
        ----------
        v : array-like of shape (n_skip + n_hidden, n_features)
            Of NumPy, torch or CuPy; the same comes back.
        step : float

        Returns
        -------
        array like v
        """
        v = arrays.as_array(v)
        xp, bound = arrays.namespace(v), self.hierarchy
        linear, hidden = v[: self.n_skip], v[self.n_skip :]
        lengths = (linear * linear).sum(0) ** 0.5
        decreasing = xp.flip(arrays.sort(abs(hidden)), (0,))
        none = 0.0 * lengths[None]
        at_bound = xp.cumsum(xp.concatenate([none + 1.0, decreasing * 0.0 + 1.0]), 0) - 1.0
        pull = xp.cumsum(xp.concatenate([none, decreasing]), 0)
        radii = xp.clip(lengths - step * self.alpha + bound * pull, 0.0, None)
        radii = radii / (1.0 + at_bound * bound**2)
        too_small = bound * radii < xp.concatenate([decreasing, none])
        first = xp.cumprod(1 * too_small, 0).sum(0)
        columns = xp.cumsum(1 + 0 * first, 0) - 1
        radius = radii[first, columns]
        direction = xp.where(lengths > 0, linear / lengths, 0.0 * linear + self.n_skip**-0.5)
        limit = bound * radius
        return xp.concatenate([radius * direction, xp.minimum(xp.maximum(hidden, -limit), limit)])
