"""The lq penalties, from l0 to l1.

    P(w) = alpha sum_j v_j |w_j|^q,    0 <= q <= 1

With u = step alpha v_j and 0 < q < 1, the prox is zero up to the threshold

    T = (2 - q) / (2 (1 - q)) beta,    beta = (2 u (1 - q))^(1 / (2 - q)),

jumps to beta there, and is the larger root of x + u q x^(q-1) = |v| beyond.
"""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.penalties.base import SHARED_CONSTRAINTS, FloatArray, Kind, Penalty


class Lq(Penalty):
    """Penalty ``alpha * sum_j v_j |w_j|^q``: sparser than l1 and less biased.

    Its slope at zero is infinite for q < 1: zero is always stationary, and the solvers judge
    coefficients by the best move along their coordinate instead.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, in units of squared y per (unit of coefficient)^q.
    q : float in [0, 1], default=0.5
        The power; 0 counts the coefficients, 1 is the lasso.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Frank and Friedman, "A statistical view of some chemometrics regression tools", Technometrics,
    1993; Zuo, Meng, Zhang, Feng and Zhang, "A generalized iterated shrinkage algorithm for
    non-convex sparse coding", ICCV 2013 (the threshold); Xu, Chang, Xu and Zhang, "L1/2
    regularization: a thresholding representation theory and a fast solver", IEEE TNNLS, 2012.

    Examples
    --------
    >>> from sparsereg.penalties import Lq
    >>> Lq(alpha=1.0, q=0.5).prox([1.4, 1.6, 9.0], step=1.0).round(4)
    array([0.    , 1.1295, 8.8318])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "q": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        q: float = 0.5,
        *,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.q = q
        self.weights = weights
        self.positive = positive

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (alpha, q, positive); l0 and the lasso at the ends."""
        positive = float(self.positive)
        if self.q == 0:
            return Kind.L0, (self.alpha, 0.0, positive)
        if self.q == 1:
            return Kind.FIRM, (self.alpha, 0.0, positive)
        return Kind.LQ, (self.alpha, self.q, positive)

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        if self.q == 1:
            return z / t
        jump = z * (2 * (1 - self.q) / (2 - self.q))
        return jump ** (2 - self.q) / (2 * (1 - self.q)) / t

    def _weak_convexity(self) -> float:
        return 0.0 if self.q == 1 else float("inf")
