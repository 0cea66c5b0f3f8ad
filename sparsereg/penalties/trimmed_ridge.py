"""The trimmed ridge penalty: shrink all but the largest.

    P(w) = (alpha / 2) sum_{i not among the k largest |w_i|} w_i^2

It is zero exactly on k-sparse vectors. Its prox divides the small entries by 1 + step alpha and
leaves the k largest alone: with step alpha = 1 / 19 that multiplies them by 0.95, the iterative
soft shrinkage of ISS-P, and with step alpha infinite it is iterative hard thresholding. Its
gradient is the decay of pruned weights in SR-STE.

Sources: Wang et al., "Iterative soft shrinkage learning for efficient image super-resolution",
ICCV 2023; Zhou et al., "Learning N:M fine-grained structured sparse neural networks from scratch",
ICLR 2021.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from sparsereg.penalties import arrays


def count_of(k: int | float, n: int) -> int:
    """Return a number of entries: k itself, or the share k of n if it is a float, at least one."""
    if isinstance(k, Integral):
        return min(int(k), n)
    return max(1, min(round(float(k) * n), n))


class TrimmedRidge(BaseEstimator):
    """Penalty ``alpha / 2`` times the sum of squares of all but the k largest coefficients.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength.
    k : int or float in (0, 1), default=1
        How many are left alone; a float is a share of the entries.

    References
    ----------
    Wang et al., "Iterative soft shrinkage learning for efficient image super-resolution", ICCV
    2023.

    Examples
    --------
    >>> from sparsereg.penalties import TrimmedRidge
    >>> TrimmedRidge(alpha=1.0, k=1).prox([1.0, -3.0, 2.0], step=1.0)
    array([ 0.5, -3. ,  1. ])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "k": [
            Interval(Integral, 0, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
    }

    def __init__(self, alpha: float = 1.0, k: int | float = 1) -> None:
        self.alpha = alpha
        self.k = k

    def value(self, w: npt.ArrayLike) -> float:
        """Return the penalty of w, an array of any shape."""
        x = arrays.as_array(w)
        small = x * ~self._kept(x)
        return 0.5 * self.alpha * float((small * small).sum())

    def prox(self, v: Any, step: float) -> Any:
        """Return the global minimizer over x of ``||x - v||^2 / (2 step) + value(x)``.

        Parameters
        ----------
        v : array-like of any shape
            Of NumPy, torch or CuPy; the same comes back.
        step : float

        Returns
        -------
        array like v
        """
        v = arrays.as_array(v)
        xp = arrays.namespace(v)
        return xp.where(self._kept(v), v, v / (1.0 + step * self.alpha))

    def _kept(self, w: Any) -> Any:
        sizes = abs(w).reshape(-1)
        return arrays.largest(sizes, count_of(self.k, sizes.shape[0])).reshape(w.shape)
