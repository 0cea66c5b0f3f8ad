"""The penalty of multi-task regression: an elastic net on the norms of groups.

    P(W) = alpha * sum_j v_j * (l1_ratio ||w_j|| + (1 - l1_ratio) / 2 ||w_j||^2)

where w_j holds the coefficients of feature j for all T tasks, and ||.|| is the Euclidean norm. It
is the elastic net of the norms, so that its value, its largest alpha and the length of its prox are
those of the scalar penalty; the prox keeps the direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsereg.penalties import arrays
from sparsereg.penalties.base import FloatArray
from sparsereg.penalties.elastic_net import ElasticNet

# From near zero they are monotone and end quadratically.
_NEWTON_STEPS, _NEARLY_ZERO = 20, 1e-9


class L21(ElasticNet):
    """Penalty ``alpha * sum_j v_j (l1_ratio ||w_j|| + (1 - l1_ratio) / 2 ||w_j||^2)``.

    A matrix of coefficients has a row per task and a column w_j per feature, as ``coef_`` has.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength, as in scikit-learn's ``MultiTaskElasticNet``.
    l1_ratio : float in [0, 1], default=1.0
        Share of the sum of norms; the rest is squared.
    weights : array-like of shape (n_features,), default=None
        Factor v_j of each feature; 0 leaves it unpenalized, ``inf`` keeps it at zero.

    References
    ----------
    Yuan and Lin, "Model selection and estimation in regression with grouped variables", JRSS B,
    2006; Obozinski, Taskar and Jordan, "Joint covariate selection and joint subspace selection for
    multiple classification problems", Statistics and Computing, 2010.

    Examples
    --------
    >>> from sparsereg.penalties import L21
    >>> L21(alpha=1.0).prox([[3.0, 0.2], [4.0, 0.2]], step=1.0)
    array([[2.4, 0. ],
           [3.2, 0. ]])
    """

    positive = False

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 1.0,
        weights: npt.ArrayLike | None = None,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.weights = weights

    def value(self, w: npt.ArrayLike) -> float:
        """Return the penalty of w, of shape (n_tasks, n_features)."""
        return super().value(feature_norms(w))

    def prox(self, v: Any, step: Any) -> FloatArray:
        """Return v, of shape (n_tasks, n_features), each column shortened (see ``Penalty``)."""
        if arrays.is_foreign(v):
            if arrays.is_foreign(step) and step.ndim > 0:
                return self._prox_in_metric(v, step)
            norms = (v * v).sum(0) ** 0.5
            lengths = arrays.prox(self, norms, step)
            return v * arrays.namespace(v).where(norms > 0, lengths / norms, 0.0)
        v = np.asarray(v, dtype=np.float64)
        norms = feature_norms(v)
        lengths = super().prox(norms, step)
        return v * np.divide(lengths, norms, out=np.zeros_like(norms), where=norms > 0)

    def _prox_in_metric(self, v: Any, steps: Any) -> Any:
        """Return the prox with a step for each entry.

        With a = l1 + l2 r and r the length of the result, x_i = v_i r / (r + steps_i a); r solves
        ||v_i / (r + steps_i a)|| = 1. The inverse of that norm is concave in r, so that Newton's
        method from zero is monotone.
        """
        xp, l1, l2 = arrays.namespace(v), self.l1, self.l2
        if self.weights is not None:
            weights = arrays.like(self.weights, v)
            l1, l2 = l1 * weights, l2 * weights
        grows, begins = 1.0 + steps * l2, steps * l1
        smallest = _NEARLY_ZERO * (v * v).sum(0) ** 0.5  # not zero, for features without penalty
        r = smallest
        for _ in range(_NEWTON_STEPS):
            parts = r * grows + begins
            inverse = xp.where(v == 0, 0.0, v / parts) ** 2
            norm = inverse.sum(0)
            rise = (inverse * grows / parts).sum(0) / norm**1.5
            r = xp.where(norm > 1, r + (1.0 - norm**-0.5) / rise, r)
        return xp.where(r > smallest, v * r / (r * grows + begins), 0.0)

    def subdiff_distance(self, w: npt.ArrayLike, grad: npt.ArrayLike) -> FloatArray:
        """Return, per feature, the distance of ``-grad`` to the subdifferential at w.

        Both are of shape (n_tasks, n_features).
        """
        w, u = np.asarray(w, dtype=np.float64), -np.asarray(grad, dtype=np.float64)
        norms = feature_norms(w)
        l1, l2 = self._strengths(norms.size)
        at_zero = np.maximum(feature_norms(u) - l1, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            elsewhere = feature_norms(u - l1 * (w / norms) - l2 * w)
        return np.where(norms == 0, at_zero, elsewhere)

    def alpha_max(self, grad: npt.ArrayLike, curvatures: npt.ArrayLike | None = None) -> float:
        """Return the smallest alpha at which the solution is zero on the penalized features.

        ``grad``, of shape (n_tasks, n_features), is the gradient of the loss at the null model.
        """
        return super().alpha_max(-feature_norms(grad))


def feature_norms(matrix: npt.ArrayLike) -> FloatArray:
    """Return the Euclidean norm of each feature's coefficients: (n_tasks, p) to (p,)."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return np.sqrt(np.einsum("tj,tj->j", matrix, matrix))
