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

from sparsereg.nn._mlp import PathStep, SparseMLP


class SparseMLPRegressor(RegressorMixin, SparseMLP):
    """A perceptron for regression with sparse weights, few inputs, or few neurons.

    Minimizes half the mean squared error of the standardized y plus the penalty of the weights;
    biases are not penalized.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Rectified units in each hidden layer.
    penalty : Penalty, KSupport or Hierarchical, default=None
        Of :mod:`sparsereg.penalties`. None is ``L1(1e-4)`` for weights, ``L21(1e-3)`` for groups,
        ``Hierarchical(1e-3)`` with ``skip="lasso"``.
    penalize : {"weights", "inputs", "neurons"}, default="weights"
        Single weights of all layers; the weights of an input in the first layer together; or those
        that enter a hidden neuron together.
    skip : {"lasso"}, default=None
        LassoNet: linear terms beside the network, and a feature is in the network only if it has
        one. The network is first trained without penalty.
    learning_rate : float, default=None
        None is 1e-3 for Adam, and 1e-2 for the SGD with momentum of ``KSupport`` and
        ``Hierarchical``.
    max_epochs : int, default=200
        Passes over the data at most.
    batch_size : int, default=200
        Samples in a batch.
    tol : float, default=1e-4
        Relative improvement that counts.
    n_epochs_no_change : int, default=10
        Epochs without one after which the training stops.
    early_stopping : bool, default=False
        Whether to look at the loss on held-out samples, and to return the best network.
    validation_fraction : float, default=0.1
        Share of samples held out for it.
    device : str, default="cpu"
        Where to train: a device of torch, or "auto" for a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Of the initial weights, the batches and the held-out samples.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of each layer, with exact zeros.
    intercepts_ : list of ndarray of shape (n_out,)
        Biases.
    skip_coef_ : ndarray of shape (n_features, n_outputs) or None
        The linear terms.
    support_ : ndarray of int
        The inputs that are used.
    sparsity_ : float
        Share of zeros in the weights.
    history_ : list of (epoch, loss, monitored, sparsity)
        One line per epoch.
    n_iter_ : int
        Number of epochs.
    y_mean_, y_scale_ : ndarray of shape (n_outputs,)
        With which y was standardized.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X had names that are all strings.

    References
    ----------
    Scardapane et al., "Group sparse regularization for deep neural networks", Neurocomputing, 2017;
    Lemhadri et al., "LassoNet: a neural network with feature sparsity", JMLR, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import penalties
    >>> from sparsereg.nn import SparseMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = SparseMLPRegressor((20,), penalties.L1(1e-2), max_epochs=20, tol=1.0)
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

    def path(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        factor: float = 1.02,
        max_steps: int = 1000,
    ) -> list[PathStep]:
        """Follow LassoNet from the dense network to the empty one; needs ``skip="lasso"``.

        Parameters
        ----------
        X, y, sample_weight
            As in ``fit``.
        factor : float > 1, default=1.02
            Between an alpha and the next.
        max_steps : int, default=1000
            Alphas at most.

        Returns
        -------
        list of PathStep
            With alpha, support, loss and weights. The estimator is left fitted at the last one.
        """
        return self._path(X, y, sample_weight, factor, max_steps)

    def _validate(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
        )
        return X, np.asarray(y)

    def _targets(self, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, int]:
        self._single_output = y.ndim == 1
        y = y.reshape(len(y), -1).astype(np.float64)
        self.y_mean_ = np.average(y, axis=0, weights=weights)
        scale = np.sqrt(np.average((y - self.y_mean_) ** 2, axis=0, weights=weights))
        self.y_scale_ = np.where(scale > 0, scale, 1.0)
        return (y - self.y_mean_) / self.y_scale_, y.shape[1]

    def _loss(self, out: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        return 0.5 * (weights * ((out - y) ** 2).sum(1)).mean()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class SparseMLPClassifier(ClassifierMixin, SparseMLP):
    """A perceptron for classification with sparse weights, few inputs, or few neurons.

    Minimizes the mean cross-entropy plus the penalty of the weights; biases are not penalized.
    Parameters are those of :class:`SparseMLPRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes.
    coefs_, intercepts_, skip_coef_, support_, sparsity_, history_, n_iter_
        As those of :class:`SparseMLPRegressor`.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X had names that are all strings.

    References
    ----------
    Scardapane et al., "Group sparse regularization for deep neural networks", Neurocomputing, 2017;
    Lemhadri et al., "LassoNet: a neural network with feature sparsity", JMLR, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sparsereg import penalties
    >>> from sparsereg.nn import SparseMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SparseMLPClassifier((10,), penalties.CEL0(1e-4), random_state=0, max_epochs=500)
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

    def path(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        factor: float = 1.02,
        max_steps: int = 1000,
    ) -> list[PathStep]:
        """Follow LassoNet from the dense network to the empty one; needs ``skip="lasso"``.

        See :meth:`SparseMLPRegressor.path`.
        """
        return self._path(X, y, sample_weight, factor, max_steps)

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
