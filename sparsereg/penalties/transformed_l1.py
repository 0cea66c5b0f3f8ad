"""The transformed l1 penalty.

    P(w) = alpha sum_j v_j (a + 1) |w_j| / (a + |w_j|)

between l0 (a -> 0) and l1 (a -> inf). With u = step alpha v_j the prox is continuous for
u <= a^2 / (2 (a + 1)), with threshold u (a + 1) / a; for larger u it jumps at
sqrt(2 u (a + 1)) - a / 2. Beyond, it is the largest root of a cubic, in closed form.
"""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.penalties.base import SHARED_CONSTRAINTS, FloatArray, Kind, Penalty


class TransformedL1(Penalty):
    """Penalty ``alpha * sum_j v_j (a + 1) |w_j| / (a + |w_j|)``, between l0 and l1.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, in squared units of y: the price of a coefficient of size 1.
    a : float > 0, default=1.0
        Small is nearer to l0, large nearer to l1; in units of the coefficients.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Lv and Fan, "A unified approach to model selection and sparse recovery using regularized least
    squares", Annals of Statistics, 2009; Zhang and Xin, "Minimization of transformed l1 penalty:
    theory, difference of convex function algorithm, and robust application in compressed sensing",
    Mathematical Programming, 2018 (the prox).

    Examples
    --------
    >>> from sparsereg.penalties import TransformedL1
    >>> TransformedL1(alpha=1.0, a=1.0).prox([1.4, 1.6, 3.0], step=1.0).round(4)
    array([0.    , 1.1786, 2.8662])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "a": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        a: float = 1.0,
        *,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.a = a
        self.weights = weights
        self.positive = positive

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (alpha, a, positive)."""
        return Kind.TRANSFORMED_L1, (self.alpha, self.a, float(self.positive))

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        a = self.a
        u = np.where(z <= a / 2, z * (a / (a + 1)), (z + a / 2) * ((z + a / 2) / (2 * (a + 1))))
        return u / t

    def _weak_convexity(self) -> float:
        return float(2 * self.alpha * (self.a + 1) / np.square(self.a))
