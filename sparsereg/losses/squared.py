"""The squared loss, (1/(2n)) sum_i s_i (y_i - z_i)^2 with weights s of sum n.

Its conjugate makes the duality gap of a sparse least-squares problem a sum of non-negative terms;
see :mod:`sparsereg.solvers.duality`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator


class Squared(BaseEstimator):
    """Squared loss ``(1/(2n)) sum_i s_i (y_i - z_i)^2``.

    The sample weights s are normalized to sum n, so that their scale has no effect.

    Examples
    --------
    >>> from sparsereg.losses import Squared
    >>> Squared().value([1.0, 2.0], [0.0, 0.0])
    1.25
    """

    #: Largest second derivative of the loss of one sample.
    curvature = 1.0

    def value(
        self,
        y: npt.ArrayLike,
        prediction: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Return the mean loss.

        Parameters
        ----------
        y, prediction : array-like of shape (n_samples,)
            Targets and predictions, in the units of y.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; only their ratios matter.

        Returns
        -------
        float
            In squared units of y.
        """
        residual = np.asarray(y, dtype=float) - np.asarray(prediction, dtype=float)
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=float)
        return 0.5 * float(np.average(residual**2, weights=weights))

    def gradient(
        self,
        y: npt.ArrayLike,
        prediction: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> npt.NDArray[np.float64]:
        """Return the derivative of :meth:`value` with respect to the predictions.

        Parameters
        ----------
        y, prediction : array-like of shape (n_samples,)
            Targets and predictions, in the units of y.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights; only their ratios matter.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        residual = np.asarray(y, dtype=float) - np.asarray(prediction, dtype=float)
        weights = np.ones_like(residual) if sample_weight is None else np.asarray(sample_weight)
        return -residual * weights / weights.sum()
