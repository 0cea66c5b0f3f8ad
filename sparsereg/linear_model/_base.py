"""What all linear models here share: prediction, tags, and the parameters of an elastic net."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsereg.backends.protocol import FloatArray
from sparsereg.penalties import L1, ElasticNet


class SparseLinearModel(RegressorMixin, BaseEstimator):
    """A fitted ``X @ coef_ + intercept_`` with scikit-learn's regressor interface."""

    coef_: np.ndarray
    intercept_: float | np.ndarray

    # every elastic-net estimator validates these; subclasses add theirs
    _common_constraints: ClassVar[dict[str, list]] = {
        "fit_intercept": ["boolean"],
        "positive": ["boolean"],
        "penalty_weights": ["array-like", None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "backend": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            In the units of y.
        """
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            accept_sparse=["csr", "csc", "coo"],
            dtype=[np.float64, np.float32],
            reset=False,
        )
        return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_

    @property
    def sparse_coef_(self) -> sparse.csr_array:
        """The coefficients as a sparse array of shape (n_targets, n_features)."""
        return sparse.csr_array(np.atleast_2d(self.coef_))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def elastic_net_penalty(
    alpha: float, l1_ratio: float, weights: FloatArray | None, positive: bool
) -> ElasticNet:
    """Return the penalty of an estimator."""
    if l1_ratio == 1:
        return L1(alpha, weights=weights, positive=positive)
    return ElasticNet(alpha, l1_ratio=l1_ratio, weights=weights, positive=positive)
