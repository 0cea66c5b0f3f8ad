"""Sparse autoencoders: a dictionary, and an encoder that finds its codes in one pass.

With data centered and scaled to mean square 1 per feature,

    z = activation(W (x - b) + c),    x' = D z + b,    ||d_j|| = 1,

minimizing ||x - x'||^2. The activation keeps the k largest, k per row on average, as many as
explain the length of x, or is the prox of a penalty P, with 2 P(z) added to the loss: the network
then learns to solve sparse coding problems in one pass. In the first half of the training,
components that no sample has used for five epochs start anew from what is left of samples that are
reconstructed badly.

Sources: Gao et al., "Scaling and evaluating sparse autoencoders", 2024 (TopK, unit columns);
Bricken et al., "Towards monosemanticity", 2023 (new starts of dead components); Bussmann, Leask
and Nanda, 2024 (BatchTopK); Lee et al., "Evaluation and design of sparse autoencoders: top-AFA",
2025 (the adaptive number).
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor, nn

from sparsereg._caller import warn_caller
from sparsereg.exceptions import ConvergenceWarning
from sparsereg.linear_model._base import check_parameters
from sparsereg.linear_model._data import unchanged_on_failure
from sparsereg.nn._training import Epoch, Training, resolve_device, seeded, to_numpy
from sparsereg.nn.activations import AdaptiveTopK, ProxActivation, TopK
from sparsereg.penalties import Penalty, arrays
from sparsereg.penalties.checks import check_separable

# Weight of the lengths of codes, as published; share of the epochs in which components are revived.
_LENGTH_WEIGHT, _REVIVING = 1 / 32, 0.5
# A component that no sample has used for so many epochs is dead.
_EPOCHS_UNUSED = 5


class SparseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Dictionary learning by a one-layer autoencoder with sparse codes.

    Parameters
    ----------
    n_components : int, default=64
        Atoms of the dictionary.
    activation : {"topk", "batch_topk", "afa"} or Penalty, default="topk"
        The k largest codes of each sample; k for each on average; as many as explain the length of
        the sample; or the prox of a penalty, for codes of any sign on data of mean square 1: the
        loss is then that of sparse coding, ``||x - x'||^2 / 2 + penalty(z)``.
    k : int, default=8
        Codes per sample, of "topk" and "batch_topk".
    max_iter : int, default=100
        Passes over the data; more of them come closer to a minimum.
    batch_size : int, default=256
        Samples in a batch.
    learning_rate : float, default=3e-3
        Of Adam, at the start; it falls to zero along half a cosine over ``max_iter`` epochs.
    tol : float, default=1e-3
        Relative improvement of the loss that counts.
    n_iter_no_change : int, default=10
        Epochs without one after which the loss has settled.
    sparse_output : bool, default=False
        Whether ``transform`` returns a CSR array.
    device : str, default="cpu"
        Where to train: a device of torch, or "auto" for a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Of the initial dictionary and the batches.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        The dictionary D, transposed: rows of unit length.
    encoder_ : ndarray of shape (n_features, n_components)
        W, transposed.
    encoder_bias_ : ndarray of shape (n_components,)
        c.
    mean_ : ndarray of shape (n_features,)
        b, in units of X.
    scale_ : float
        By which the centered data were divided.
    threshold_ : float
        With "batch_topk": the codes below it are zero in ``transform``.
    dead_fraction_ : float
        Share of components that no training sample uses.
    history_ : list of (epoch, loss, monitored, sparsity)
        One line per epoch; the loss is the mean squared error of a feature, over its mean square.
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X had names that are all strings.

    References
    ----------
    Gao et al., "Scaling and evaluating sparse autoencoders", arXiv 2406.04093.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sparsereg.nn import SparseAutoencoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> codes = SparseAutoencoder(32, k=4, max_iter=25, tol=1.0, random_state=0).fit_transform(X)
    >>> codes.shape, int((codes != 0).sum(axis=1).max())
    ((1797, 32), 4)
    """

    components_: np.ndarray
    history_: list[Epoch]

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"topk", "batch_topk", "afa"}), Penalty],
        "k": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "sparse_output": ["boolean"],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        activation: Any = "topk",
        k: int = 8,
        max_iter: int = 100,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        tol: float = 1e-3,
        n_iter_no_change: int = 10,
        sparse_output: bool = False,
        device: str = "cpu",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.activation = activation
        self.k = k
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.sparse_output = sparse_output
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> SparseAutoencoder:
        """Learn the dictionary and its encoder.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            float32 is trained in single precision.
        y : Ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For wrong parameters or data; the estimator is then as it was before.

        Warns
        -----
        ConvergenceWarning
            If the loss still fell at ``max_iter``.
        """
        with unchanged_on_failure(self):
            check_parameters(
                type(self).__name__, self._parameter_constraints, self.get_params(False)
            )
            if not isinstance(self.activation, str):
                check_separable(self.activation, "activation")
            device = resolve_device(self.device)
            X = validate_data(self, X, dtype=[np.float64, np.float32])
            self.mean_ = X.mean(axis=0)
            size = float(np.sqrt(np.mean((X - self.mean_) ** 2)))
            self.scale_ = size if size > 0 else 1.0
            with seeded(self.random_state) as generator:
                data = torch.as_tensor((X - self.mean_) / self.scale_).to(device)
                network = _Autoencoder(data, self.n_components, self.activation, self.k).to(device)
                converged = self._train(network, data, generator)
            self._keep(network, data)
        if not converged:
            warn_caller(
                f"The loss still fell after max_iter={self.max_iter} epochs, to "
                f"{self.history_[-1].loss:.3g}. Increase max_iter, learning_rate or tol.",
                ConvergenceWarning,
            )
        return self

    def transform(self, X: Any) -> Any:
        """Return the sparse codes of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray or csr_array of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        centered = torch.as_tensor((X - self.mean_) / self.scale_)
        encoder, bias = torch.as_tensor(self.encoder_), torch.as_tensor(self.encoder_bias_)
        pre = centered.to(encoder.dtype) @ encoder + bias
        if self.activation == "batch_topk":
            codes = pre * (pre >= self.threshold_)
        else:
            columns = torch.as_tensor(self.components_.T)
            codes = _activation(self.activation, self.k, columns)(pre, centered.norm(dim=1))
        values = self.scale_ * codes.numpy()
        return sparse.csr_array(values) if self.sparse_output else values

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the data that codes stand for.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
        if X.shape[1] != len(self.components_):
            raise ValueError(
                f"X has {X.shape[1]} codes, but there are {len(self.components_)} components. Give "
                f"what transform returns."
            )
        return X @ self.components_ + self.mean_

    def score(self, X: Any, y: Any = None) -> float:
        """Return the share of the variance of X that the reconstruction explains."""
        X = check_array(X, dtype=[np.float64, np.float32])
        error = np.sum((X - self.inverse_transform(self.transform(X))) ** 2)
        return float(1.0 - error / max(np.sum((X - X.mean(axis=0)) ** 2), np.finfo(float).tiny))

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def _train(self, network: _Autoencoder, data: Tensor, generator: torch.Generator) -> bool:
        optimizer = torch.optim.Adam(network.parameters(), self.learning_rate)
        training = Training(
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            tol=self.tol,
            patience=self.n_iter_no_change,
            keep_best=False,
            verbose=self.verbose,
            label=type(self).__name__,
            first_judged=int(_REVIVING * self.max_iter),
            decay=True,
        )
        self.history_, converged = training.run(
            network,
            optimizer,
            len(data),
            lambda rows: network.loss(data[rows]),
            generator,
            monitor=lambda loss: loss,
            sparsity=lambda: network.end_epoch(optimizer, int(_REVIVING * self.max_iter)),
            after_step=network.normalize,
        )
        self.n_iter_ = len(self.history_)
        return converged

    def _keep(self, network: _Autoencoder, data: Tensor) -> None:
        with torch.no_grad():
            codes = network.encode(data)
        self.components_ = to_numpy(network.decoder.T)
        self.encoder_ = to_numpy(network.encoder.weight.T)
        self.encoder_bias_ = to_numpy(network.encoder.bias)
        self.mean_ = self.mean_ + self.scale_ * to_numpy(network.offset)
        used = (codes != 0).any(0)
        self.dead_fraction_ = float(1.0 - used.double().mean())
        kept = codes[codes > 0]
        self.threshold_ = (
            float(kept.min()) if self.activation == "batch_topk" and len(kept) else 0.0
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class _Autoencoder(nn.Module):
    """The network, on scaled data."""

    def __init__(self, data: Tensor, n_components: int, activation: Any, k: int) -> None:
        super().__init__()
        n_features = data.shape[1]
        self.encoder = nn.Linear(n_features, n_components, dtype=data.dtype)
        decoder = torch.randn(n_features, n_components, dtype=data.dtype)
        decoder = decoder / decoder.norm(dim=0)
        self.decoder = nn.Parameter(decoder)
        self.offset = nn.Parameter(torch.zeros(n_features, dtype=data.dtype))
        with torch.no_grad():
            self.encoder.weight.copy_(decoder.T)
            self.encoder.bias.zero_()
        self.activation = _activation(activation, k, self.decoder)
        self.adapts = activation == "afa"
        self.penalty = None if isinstance(activation, str) else activation
        self.used = torch.zeros(n_components, dtype=torch.bool)
        self.last: Tensor | None = None
        self.zeros = self.seen = self.n_epochs = 0

    def encode(self, x: Tensor) -> Tensor:
        centered = x - self.offset
        return self.activation(self.encoder(centered), centered.norm(dim=1))

    def loss(self, x: Tensor) -> Tensor:
        centered = x - self.offset
        pre = self.encoder(centered)
        codes = self.activation(pre, centered.norm(dim=1))
        residual = centered - codes @ self.decoder.T
        loss = (residual**2).mean()
        self.used |= (codes.detach() != 0).any(0).cpu()
        self.zeros += int((codes.detach() == 0).sum())
        self.seen += codes.numel()
        if self.penalty is not None:
            loss = loss + 2.0 * _penalty(self.penalty, codes) / x.numel()
        if self.adapts:
            lengths = codes.norm(dim=1) - centered.norm(dim=1)
            loss = loss + _LENGTH_WEIGHT * (lengths**2).mean() / x.shape[1]
        if self.last is None or len(residual) >= len(self.last):  # the last one may be short
            self.last = residual.detach()
        return loss

    def normalize(self) -> None:
        with torch.no_grad():
            norms = self.decoder.norm(dim=0)
            self.decoder.div_(norms.clamp(min=torch.finfo(norms.dtype).tiny))

    def end_epoch(self, optimizer: torch.optim.Optimizer, revive_until: int) -> float:
        """Give dead components a new start; return the share of zero codes in the epoch."""
        share = self.zeros / max(self.seen, 1)
        self.n_epochs += 1
        if self.n_epochs % _EPOCHS_UNUSED == 0:
            if self.n_epochs <= revive_until:
                self._revive(torch.nonzero(~self.used)[:, 0], optimizer)
            self.used = torch.zeros_like(self.used)
        self.zeros = self.seen = 0
        return share

    @torch.no_grad()
    def _revive(self, dead: Tensor, optimizer: torch.optim.Optimizer) -> None:
        residual = self.last
        assert residual is not None
        errors = (residual**2).sum(1)
        n_new = min(len(dead), int((errors > 0).sum()))
        if n_new == 0:
            return
        dead = dead[:n_new].to(residual.device)
        rows = residual[torch.multinomial(errors, n_new)]
        directions = rows / rows.norm(dim=1, keepdim=True)
        self.decoder[:, dead] = directions.T
        self.encoder.weight[dead] = directions
        self.encoder.bias[dead] = 0.0
        for parameter, index in (
            (self.decoder, (slice(None), dead)),
            (self.encoder.weight, dead),
            (self.encoder.bias, dead),
        ):
            for name in ("exp_avg", "exp_avg_sq"):
                optimizer.state[parameter][name][index] = 0.0


def _penalty(penalty: Penalty, codes: Tensor) -> Tensor:
    """Return a number whose gradient is that of the penalty: the tangent of a concave one."""
    slopes = torch.where(codes == 0, 0.0, arrays.slope(penalty, codes.detach()))
    return (slopes * codes.abs()).sum()


def _activation(activation: Any, k: int, columns: Tensor) -> Any:
    """Return a function of pre-activations and lengths of samples."""
    n_components = columns.shape[1]
    if activation == "afa":
        return AdaptiveTopK(columns)
    if isinstance(activation, str):
        top = TopK(min(k, n_components), batch=activation == "batch_topk")
        return lambda pre, _: top(pre)
    prox = ProxActivation(activation, learnable=False)
    return lambda pre, _: prox(pre)
