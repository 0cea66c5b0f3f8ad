"""The envelope of group sparsity: half the squared k-support norm, weighted and grouped.

The function s(w) = 1/2 sum_g d_g ||w_g||^2 where at most k groups are not zero, and infinity
elsewhere, has as its largest convex function below

    S(w) = 1/2 min_u sum_g d_g ||w_g||^2 / u_g      over u in [0, 1]^G with sum_g u_g <= k,

which equals s on k-sparse w. The user says how many groups, not how strongly. The prox of rho S
scales each group by u_g / (u_g + rho d_g), where

    u_g = clip(sqrt(d_g) ||v_g|| / tau - rho d_g, 0, 1)    with tau such that sum_g u_g = k;

in 1 / tau the sum is piecewise linear and increasing, and the breakpoints are sorted to find its
piece. Groups that are kept are still shrunk by 1 / (1 + rho d_g): it replaces weight decay.

Sources: Argyriou, Foygel and Srebro, "Sparse prediction with the k-support norm", NIPS 2012;
Refael, Arbel and Huleihel, "A weighted group sparse envelope function", arXiv 2212.12921. The
formula of the prox follows from the optimality conditions in w and u.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from sparsereg.penalties import arrays
from sparsereg.penalties.trimmed_ridge import count_of


class KSupport(BaseEstimator):
    """Convex penalty whose ball has corners at k-sparse vectors: ``alpha`` times S of the module.

    A vector has a group per entry. A matrix has a group per column, as for :class:`L21`.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, that of a ridge penalty where at most k groups are not zero.
    k : int or float in (0, 1), default=1
        The number of groups to keep; a float is a share of the groups.
    weights : array-like of shape (n_groups,), default=None
        Positive factors d_g of the groups.

    References
    ----------
    Argyriou, Foygel and Srebro, "Sparse prediction with the k-support norm", NIPS 2012; Refael,
    Arbel and Huleihel, arXiv 2212.12921.

    Examples
    --------
    >>> from sparsereg.penalties import KSupport
    >>> KSupport(alpha=1.0, k=1).prox([3.0, 0.5], step=1.0)
    array([1.5, 0. ])
    """

    is_convex = True
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "k": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "weights": ["array-like", None],
    }

    def __init__(
        self, alpha: float = 1.0, k: int | float = 1, *, weights: npt.ArrayLike | None = None
    ) -> None:
        self.alpha = alpha
        self.k = k
        self.weights = weights

    def value(self, w: npt.ArrayLike) -> float:
        """Return the penalty of w, a vector or a matrix with a column per group."""
        x = arrays.as_array(w)
        sizes = _sizes(x)
        u = self._shares(sizes, 0.0)
        nonzero = sizes > 0
        terms = (self._weights(sizes) * sizes**2)[nonzero] / u[nonzero]
        return 0.5 * self.alpha * float(terms.sum())

    def prox(self, v: Any, step: float) -> Any:
        """Return the minimizer over x of ``||x - v||^2 / (2 step) + value(x)``.

        Parameters
        ----------
        v : array-like of shape (n_groups,) or (group_size, n_groups)
            Of NumPy, torch or CuPy; the same comes back.
        step : float

        Returns
        -------
        array like v
        """
        v = arrays.as_array(v)
        rho = step * self.alpha
        if rho == 0:
            return v
        sizes = _sizes(v)
        u = self._shares(sizes, rho)
        return v * (u / (u + rho * self._weights(sizes)))

    def _weights(self, sizes: Any) -> Any:
        if self.weights is None:
            return sizes * 0.0 + 1.0
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.shape != tuple(sizes.shape) or not np.all(weights > 0):
            raise ValueError(
                f"KSupport has weights of shape {weights.shape} for {sizes.shape[0]} groups. Give "
                f"one positive weight for each group, or weights=None."
            )
        return arrays.like(weights, sizes)

    def _shares(self, sizes: Any, rho: float) -> Any:
        """Return u: the share that each group has of the k."""
        xp = arrays.namespace(sizes)
        k, nonzero = count_of(self.k, sizes.shape[0]), sizes > 0
        if int(nonzero.sum()) <= k:
            return nonzero + 0.0 * sizes
        weights = self._weights(sizes)[nonzero]
        rates = weights**0.5 * sizes[nonzero]  # of growth of u_g in s = 1 / tau
        begins, ends = rho * weights / rates, (1.0 + rho * weights) / rates
        points = xp.concatenate([begins, ends])
        order = xp.argsort(points)
        points = points[order]
        slopes = xp.cumsum(xp.concatenate([rates, -rates])[order], 0)
        totals = xp.cumsum(slopes[:-1] * (points[1:] - points[:-1]), 0)
        s = points[int((totals < k).sum())]  # the piece starts here; on it, u is one formula
        growing, full = (begins <= s) & (ends > s), ends <= s
        rate = rates[growing].sum()
        if float(rate) > 0:
            s = (k - full.sum() + rho * weights[growing].sum()) / rate
        shares = 0.0 * sizes
        shares[nonzero] = xp.clip(s * rates - rho * weights, 0.0, 1.0)
        return shares


def _sizes(w: Any) -> Any:
    return abs(w) if w.ndim == 1 else (w * w).sum(0) ** 0.5
