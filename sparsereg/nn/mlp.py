"""Multi-layer perceptrons with a penalty: sparse weights, few inputs, or few neurons.

The mean loss (half the squared error of the standardized y, or the cross-entropy) plus the penalty
is minimized by Adam with the prox in Adam's metric (:mod:`sparsereg.nn.proximal`), so that the
limit is a stationary point and zeros are exact. Penalties without such a prox (:class:`KSupport`,
:class:`Hierarchical`) are trained by SGD with momentum.

With ``skip="lasso"`` the network is ``f(x) = x' b + g(x)`` under the hierarchical penalty of
LassoNet; ``path`` follows its alphas from the dense network to the empty one.

Sources: Scardapane et al., "Group sparse regularization for deep neural networks", Neurocomputing,
2017; Lemhadri, Ruan, Abraham and Tibshirani, "LassoNet", JMLR, 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data
from torch import Tensor, nn

from sparsereg.linear_model._docs import documented
from sparsereg.nn._mlp import SparseMLP

# Relative spread of a y that is constant but for rounding.
_CONSTANT = 1e-14


@documented
class SparseMLPRegressor(RegressorMixin, SparseMLP):
    """A perceptron for regression with sparse weights, few inputs, or few neurons.

    Minimizes half the mean squared error of the standardized y plus the penalty of the weights;
    biases are not penalized.

    Parameters
    ----------
    {mlp_parameters}

    Attributes
    ----------
    {mlp_attributes}
    y_mean_, y_scale_ : ndarray of shape (n_outputs,)
        With which y was standardized.

    References
    ----------
    {mlp_references}

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import penalties
    >>> from sparsereg.nn import SparseMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = SparseMLPRegressor((20,), penalties.L1(1e-2), max_iter=20, tol=1.0)
    >>> model.fit(X, y).coefs_[0].shape
    (10, 20)
    """

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            In the units of y.
        """
        raw = self._raw(X) * self.y_scale_ + self.y_mean_
        return raw[:, 0] if self._single_output else raw

    def _validate(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
        )
        return X, np.asarray(y)

    def _targets(self, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, int]:
        self._single_output = y.ndim == 1
        y = y.reshape(len(y), -1).astype(np.float64)
        # in units of the largest value, so that no square leaves the range of numbers
        largest = np.abs(y).max(axis=0)
        unit = np.where(largest > 0, largest, 1.0)
        mean = np.average(y / unit, axis=0, weights=weights)
        scale = np.sqrt(np.average((y / unit - mean) ** 2, axis=0, weights=weights))
        scale = np.where(scale > _CONSTANT, scale, 1.0)
        self.y_mean_, self.y_scale_ = unit * mean, unit * scale
        return (y / unit - mean) / scale, y.shape[1]

    def _loss(self, out: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        return 0.5 * (weights * ((out - y) ** 2).sum(1)).mean()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@documented
class SparseMLPClassifier(ClassifierMixin, SparseMLP):
    """A perceptron for classification with sparse weights, few inputs, or few neurons.

    Minimizes the mean cross-entropy plus the penalty of the weights; biases are not penalized.

    Parameters
    ----------
    {mlp_parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    {mlp_attributes}

    References
    ----------
    {mlp_references}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sparsereg import penalties
    >>> from sparsereg.nn import SparseMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SparseMLPClassifier((10,), penalties.CEL0(1e-4), random_state=0, max_iter=500)
    >>> model.fit(X, y).score(X, y) > 0.9
    True
    """

    classes_: np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """Predict classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        raw = self._raw(X)
        best = raw[:, 0] > 0 if raw.shape[1] == 1 else np.argmax(raw, axis=1)
        return self.classes_[best.astype(int)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        raw = self._raw(X)
        if raw.shape[1] > 1:
            return softmax(raw, axis=1)
        positive = expit(raw[:, 0])
        return np.column_stack([1.0 - positive, positive])

    def _validate(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        return X, np.asarray(y)

    def _targets(self, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, int]:
        encoder = LabelEncoder().fit(y)
        self.classes_ = encoder.classes_
        if len(self.classes_) < 2:
            raise ValueError(
                f"Classifier can't train when only one class is present: y has the class "
                f"{self.classes_[0]!r} only. Give at least two."
            )
        codes = encoder.transform(y)
        return (codes[:, None], 1) if len(self.classes_) == 2 else (codes, len(self.classes_))

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return y

    def _loss(self, out: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        if out.shape[1] == 1:
            losses = nn.functional.binary_cross_entropy_with_logits(
                out[:, 0], y[:, 0].to(out.dtype), reduction="none"
            )
        else:
            losses = nn.functional.cross_entropy(out, y.long(), reduction="none")
        return (weights * losses).mean()
