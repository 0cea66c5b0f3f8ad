"""The log-sum penalty.

    P(w) = alpha sum_j v_j log(1 + |w_j| / eps)

With u = step alpha v_j, stationary points solve x + u / (eps + x) = |v|. The prox is continuous for
u <= eps^2, with threshold u / eps; for larger u it jumps from zero to the larger root where the
objective there falls below that at zero.
"""

from __future__ import annotations

from numbers import Real
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.penalties.base import SHARED_CONSTRAINTS, FloatArray, Kind, Penalty


class LogSum(Penalty):
    """Penalty ``alpha * sum_j v_j log(1 + |w_j| / eps)``, between l1 and l0.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, in squared units of y.
    eps : float > 0, default=1.0
        Size at which the slope has halved, in units of the coefficients.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.
    positive : bool, default=False
        Restrict the coefficients to be non-negative.

    References
    ----------
    Candes, Wakin and Boyd, "Enhancing sparsity by reweighted l1 minimization", J. Fourier Analysis
    and Applications, 2008; Gong, Zhang, Lu, Huang and Ye, "A general iterative shrinkage and
    thresholding algorithm for non-convex regularized optimization problems", ICML 2013 (the prox).

    Examples
    --------
    >>> from sparsereg.penalties import LogSum
    >>> LogSum(alpha=1.0, eps=1.0).prox([1.0, 2.0], step=1.0).round(4)
    array([0.   , 1.618])
    """

    is_convex = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "eps": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        eps: float = 1.0,
        *,
        weights: npt.ArrayLike | None = None,
        positive: bool = False,
    ) -> None:
        self.alpha = alpha
        self.eps = eps
        self.weights = weights
        self.positive = positive

    def kernel_params(self) -> tuple[Kind, tuple[float, ...]]:
        """Return the kind and (alpha, eps, positive)."""
        return Kind.LOG_SUM, (self.alpha, self.eps, float(self.positive))

    def _alpha_at_threshold(self, z: FloatArray, t: FloatArray) -> FloatArray:
        # z <= eps: the slope at zero decides. Beyond, the prox jumps to the x in (0, z) at which
        # (z - x) (eps + x) log(1 + x / eps) = x (z - x / 2), stationary and as good as zero.
        from sparsereg.backends.numba.penalty_kernels import log_sum_strength

        return log_sum_strength(z, self.eps) / t

    def _weak_convexity(self) -> float:
        return float(self.alpha / np.square(self.eps))
