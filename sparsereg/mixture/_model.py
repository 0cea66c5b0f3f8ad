"""What mixtures of regressions share once they are fitted: predictions, labels, densities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsereg.backends.protocol import FloatArray
from sparsereg.linear_model._base import check_parameters


class MixtureModel(RegressorMixin, BaseEstimator):
    """A fitted mixture: ``coef_``, ``intercept_``, ``weights_`` and ``noise_variance_``.

    Predictions need X only; what depends on y has names of its own.
    """

    intercept_: FloatArray
    weights_: FloatArray
    noise_variance_: FloatArray

    def _check_parameters(self) -> None:
        check_parameters(type(self).__name__, self._parameter_constraints, self.get_params(False))

    @property
    def _coef_rows(self) -> Any:
        return self.coef_  # type: ignore[attr-defined]

    def predict(self, X: Any) -> FloatArray:
        """Predict the mean of y: the regressions' predictions, weighted by ``weights_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
            In the units of y.
        """
        return self.predict_components(X) @ self.weights_

    def predict_components(self, X: Any) -> FloatArray:
        """Predict y by each of the regressions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            In the units of y.
        """
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse=["csr", "csc", "coo"], dtype=[np.float64, np.float32],
            reset=False,
        )  # fmt: skip
        return safe_sparse_dot(X, self._coef_rows.T, dense_output=True) + self.intercept_

    def responsibilities(self, X: Any, y: Any) -> FloatArray:
        """Return the probability of each regression, given X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Rows sum to 1. Where ``noise_variance_`` is zero, the nearest regression has it all.
        """
        residual = self._residuals(X, y)
        if np.all(self.noise_variance_ > 0):
            joint = self._joint_log_density(residual)
            return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        distance = np.abs(residual)
        nearest = distance <= distance.min(axis=1, keepdims=True) * (1.0 + 1e-9)
        share = nearest * np.maximum(self.weights_, np.finfo(np.float64).tiny)
        return share / share.sum(axis=1, keepdims=True)

    def predict_labels(self, X: Any, y: Any) -> npt.NDArray[np.intp]:
        """Return the most probable regression of each row, given X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of int of shape (n_samples,)
        """
        return np.argmax(self.responsibilities(X, y), axis=1)

    def log_density(self, X: Any, y: Any) -> FloatArray:
        """Return the log-density of y given X under the mixture.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If a variance is zero: answers without noise have no density.
        """
        residual = self._residuals(X, y)
        if not np.all(self.noise_variance_ > 0):
            raise ValueError(
                "noise_variance_ is zero, and exact answers have no density. Use "
                "responsibilities(X, y) or predict_labels(X, y)."
            )
        return logsumexp(self._joint_log_density(residual), axis=1)

    def _residuals(self, X: Any, y: Any) -> FloatArray:
        predicted = self.predict_components(X)
        y = column_or_1d(
            check_array(y, dtype=np.float64, ensure_2d=False, ensure_min_samples=0, input_name="y")
        )
        if len(y) != len(predicted):
            raise ValueError(
                f"X has {len(predicted)} rows and y has {len(y)}. Give one y for each row."
            )
        return y[:, None] - predicted

    def _joint_log_density(self, residual: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return (
                np.log(self.weights_)
                - 0.5 * np.log(2.0 * np.pi * self.noise_variance_)
                - 0.5 * residual**2 / self.noise_variance_
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def canonical_order(weights: FloatArray, coefs: Any) -> list[int]:
    """Return the order of the regressions: by weight, largest first, then by coefficients."""
    rows = sparse.csr_array(coefs)

    def key(c: int) -> tuple:
        part = slice(rows.indptr[c], rows.indptr[c + 1])
        return -weights[c], rows.indices[part].tolist(), rows.data[part].tolist()

    return sorted(range(len(weights)), key=key)
