"""What the two perceptrons share: the network, its training under a penalty, and LassoNet paths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.exceptions import ConvergenceWarning, PathInterruptedWarning
from sparsereg.linear_model._base import check_parameters
from sparsereg.linear_model._data import normalized_weights, unchanged_on_failure
from sparsereg.linear_model._docs import documented
from sparsereg.nn._training import Epoch, Training, resolve_device, seeded, to_numpy
from sparsereg.nn.proximal import ProxHandle, attach_prox
from sparsereg.penalties import L1, L21, Hierarchical, KSupport, Penalty
from sparsereg.penalties.checks import check_has_prox

_DEFAULTS = {"weights": L1(1e-4), "inputs": L21(1e-3), "neurons": L21(1e-3)}
_ADAM_RATE, _SGD_RATE = 5e-3, 1e-2


class PathStep(NamedTuple):
    """One network of a LassoNet path.

    ``coefs``, ``intercepts`` and ``skip_coef`` are as the attributes of the estimator that end in
    an underscore; ``support`` has the features that are used, ``loss`` is the mean loss on the
    training data.
    """

    alpha: float
    support: np.ndarray
    loss: float
    coefs: list[np.ndarray]
    intercepts: list[np.ndarray]
    skip_coef: np.ndarray


class _Network(nn.Module):
    """A perceptron with rectified units, and linear terms beside it if ``skip``."""

    def __init__(self, sizes: Sequence[int], skip: bool) -> None:
        super().__init__()
        self.layers: Any = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.skip: Any = nn.Linear(sizes[0], sizes[-1], bias=False) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for layer in self.layers[:-1]:
            h = layer(h).relu()
        out = self.layers[-1](h)
        return out if self.skip is None else out + self.skip(x)


class _Data(NamedTuple):
    X: Tensor
    y: Tensor
    weights: Tensor


class SparseMLP(BaseEstimator, ABC):
    """What the classifier and the regressor share: everything but the loss."""

    coefs_: list[np.ndarray]
    intercepts_: list[np.ndarray]
    skip_coef_: Any  # an array, or None without skip layer
    history_: list[Epoch]

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "penalty": [Penalty, KSupport, Hierarchical, None],
        "penalize": [StrOptions({"weights", "inputs", "neurons"})],
        "skip": [StrOptions({"lasso"}), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        penalty: Any = None,
        *,
        penalize: str = "weights",
        skip: str | None = None,
        learning_rate: float | None = None,
        max_iter: int = 200,
        batch_size: int = 100,
        tol: float = 1e-3,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        device: str = "cpu",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.penalty = penalty
        self.penalize = penalize
        self.skip = skip
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            float32 is trained in single precision.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Target; classes for the classifier.
        {fit_sample_weight}

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
            If the objective still fell after ``max_iter`` epochs. The learning rate falls to zero
            over them, so that a longer training may end lower even without the warning.
        """
        with unchanged_on_failure(self):
            self._check()
            with seeded(self.random_state) as generator:
                network, train, validation = self._prepare(X, y, sample_weight, generator)
                history: list[Epoch] = []
                if self.skip is not None:
                    history, _ = self._train(
                        network, train, validation, generator, None, decay=True
                    )
                penalty = self._penalty(network)
                last, converged = self._train(
                    network, train, validation, generator, penalty, decay=True
                )
            self._keep(network)
            self.history_ = history + last
            self.n_iter_ = len(self.history_)
        if not converged:
            warn_caller(
                f"The objective still fell after max_iter={self.max_iter} epochs, to "
                f"{last[-1].loss:.3g}. Increase max_iter, learning_rate or tol.",
                ConvergenceWarning,
            )
        return self

    @property
    def support_(self) -> np.ndarray:
        """The inputs that are used: with a nonzero weight in the first layer or the skip layer."""
        check_is_fitted(self)
        used = np.any(self.coefs_[0] != 0, axis=1)
        if self.skip_coef_ is not None:
            used |= np.any(self.skip_coef_ != 0, axis=1)
        return np.flatnonzero(used)

    @property
    def sparsity_(self) -> float:
        """Share of zeros in all weight matrices."""
        check_is_fitted(self)
        matrices = [*self.coefs_, *([] if self.skip_coef_ is None else [self.skip_coef_])]
        return 1.0 - sum(np.count_nonzero(w) for w in matrices) / sum(w.size for w in matrices)

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
        if self.skip != "lasso":
            raise ValueError("path needs the hierarchical penalty. Use skip='lasso'.")
        if not factor > 1:
            raise ValueError(f"factor={factor} must be greater than 1.")
        self._check()
        steps: list[PathStep] = []
        with unchanged_on_failure(self), seeded(self.random_state) as generator:
            network, train, validation = self._prepare(X, y, sample_weight, generator)
            self._train(network, train, validation, generator, None)
            penalty = self._penalty(network)
            alpha = self._first_alpha(network, penalty)
            try:
                for _ in progress(range(max_steps), max_steps, "LassoNet path", self.verbose):
                    penalty.alpha = alpha
                    self._train(network, train, validation, generator, penalty)
                    self._keep(network)
                    loss = float(self._loss(network(train.X), train.y, train.weights).detach())
                    steps.append(
                        PathStep(
                            alpha,
                            self.support_,
                            loss,
                            self.coefs_,
                            self.intercepts_,
                            self.skip_coef_,
                        )
                    )
                    if self.support_.size == 0:
                        break
                    alpha *= factor
            except KeyboardInterrupt:
                if not steps:
                    raise
                warn_caller(
                    f"The path was interrupted; its first {len(steps)} networks were kept.",
                    PathInterruptedWarning,
                )
        return steps

    def _first_alpha(self, network: _Network, penalty: Hierarchical) -> float:
        """Return the alpha, a power of 2 times 1e-6, at which the prox alone drops a feature."""
        stacked = torch.cat([network.skip.weight, network.layers[0].weight]).detach()
        rate, alpha = self._rate(_SGD_RATE) / 0.1, 1e-6
        while alpha < 1e6:
            shrunk, trial = stacked, copy(penalty)
            trial.alpha = 2 * alpha
            for _ in range(100):
                shrunk = trial.prox(shrunk, rate)
            if bool((shrunk[: trial.n_skip] == 0).all(0).any()):
                return alpha
            alpha *= 2
        return alpha

    def _check(self) -> None:
        if self.penalty is not None:
            check_has_prox(self.penalty)
        check_parameters(type(self).__name__, self._parameter_constraints, self.get_params(False))
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes))
        if sizes.ndim != 1 or sizes.size == 0 or not all(float(s).is_integer() for s in sizes):
            raise ValueError("hidden_layer_sizes must be integers: one for each hidden layer.")
        if np.any(sizes < 1):
            raise ValueError(f"hidden_layer_sizes={self.hidden_layer_sizes} must be positive.")
        grouped = isinstance(self.penalty, (L21, KSupport))
        if self.skip is not None:
            if not isinstance(self.penalty, (Hierarchical, type(None))):
                raise ValueError("skip='lasso' has its own penalty. Use Hierarchical(alpha, M).")
        elif isinstance(self.penalty, Hierarchical):
            raise ValueError("Hierarchical needs the linear terms. Use skip='lasso'.")
        elif self.penalize != "weights" and self.penalty is not None and not grouped:
            raise ValueError(
                f"penalize={self.penalize!r} needs a penalty of groups. Use L21(alpha) or KSupport."
            )
        elif self.penalize == "weights" and isinstance(self.penalty, L21):
            raise ValueError("L21 is a penalty of groups. Use penalize='inputs' or 'neurons'.")

    def _penalty(self, network: _Network) -> Any:
        if self.skip is not None:
            penalty = copy(self.penalty) if self.penalty is not None else Hierarchical(1e-3)
            penalty.n_skip = network.layers[-1].out_features
            return penalty
        return _DEFAULTS[self.penalize] if self.penalty is None else self.penalty

    def _rate(self, default: float) -> float:
        return default if self.learning_rate is None else float(self.learning_rate)

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, generator: torch.Generator
    ) -> tuple[_Network, _Data, _Data | None]:
        device = resolve_device(self.device)
        X, y = self._validate(X, y)
        weights = normalized_weights(sample_weight, X)
        if weights is None:
            weights = np.ones(len(X))
        else:  # absent rows are in no batch
            X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        target, n_outputs = self._targets(y, weights)
        sizes = [X.shape[1], *map(int, np.atleast_1d(self.hidden_layer_sizes)), n_outputs]
        network = _Network(sizes, self.skip is not None).to(device, _torch_dtype(X))
        rows = np.arange(len(X))
        held_out = None
        if self.early_stopping:
            seed = int(torch.randint(2**31 - 1, (), generator=generator))
            rows, held = train_test_split(
                rows,
                test_size=self.validation_fraction,
                random_state=seed,
                stratify=self._strata(y),
            )
            held_out = _on(device, X, target, weights, held)
        return network, _on(device, X, target, weights, rows), held_out

    def _train(
        self,
        network: _Network,
        train: _Data,
        validation: _Data | None,
        generator: torch.Generator,
        penalty: Any,
        *,
        decay: bool = False,
    ) -> tuple[list[Epoch], bool]:
        sgd = isinstance(penalty, (KSupport, Hierarchical))
        if sgd:
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                network.parameters(), self._rate(_SGD_RATE), momentum=0.9
            )
        else:
            optimizer = torch.optim.Adam(network.parameters(), self._rate(_ADAM_RATE))
        handle = None if penalty is None else self._attach(optimizer, network, penalty, sgd)

        def batch_loss(rows: Tensor) -> Tensor:
            return self._loss(network(train.X[rows]), train.y[rows], train.weights[rows])

        @torch.no_grad()
        def monitor(loss: float) -> float:
            if validation is None:
                return loss + (0.0 if handle is None else handle.value())
            return float(self._loss(network(validation.X), validation.y, validation.weights))

        training = Training(
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            tol=self.tol,
            patience=self.n_iter_no_change,
            keep_best=validation is not None,
            verbose=self.verbose,
            label=type(self).__name__,
            decay=decay,
        )
        history, converged = training.run(
            network,
            optimizer,
            len(train.X),
            batch_loss,
            generator,
            monitor=monitor,
            sparsity=(lambda: 0.0) if handle is None else handle.sparsity,
        )
        return history, converged

    def _attach(
        self, optimizer: torch.optim.Optimizer, network: _Network, penalty: Any, sgd: bool
    ) -> ProxHandle:
        metric = "euclidean" if sgd else "adaptive"
        first = network.layers[0].weight
        if isinstance(penalty, Hierarchical):
            return attach_prox(optimizer, [(network.skip.weight, first)], penalty)
        matrices = [layer.weight for layer in network.layers]
        if self.penalize == "inputs":
            return attach_prox(optimizer, [first], penalty, groups="inputs", metric=metric)
        if self.penalize == "neurons":
            hidden = matrices[:-1]
            return attach_prox(optimizer, hidden, penalty, groups="outputs", metric=metric)
        return attach_prox(optimizer, matrices, penalty, metric=metric)

    def _keep(self, network: _Network) -> None:
        self.coefs_ = [to_numpy(layer.weight.T) for layer in network.layers]
        self.intercepts_ = [to_numpy(layer.bias) for layer in network.layers]
        self.skip_coef_ = None if network.skip is None else to_numpy(network.skip.weight.T)

    def _raw(self, X: Any) -> np.ndarray:
        """Return the outputs of the network, of shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        h = X
        for k, (coef, intercept) in enumerate(zip(self.coefs_, self.intercepts_)):
            h = h @ coef + intercept
            if k < len(self.coefs_) - 1:
                np.maximum(h, 0.0, out=h)
        return h if self.skip_coef_ is None else h + X @ self.skip_coef_

    def to_torch(self) -> nn.Module:
        """Return the network as a module on the CPU: raw outputs, of standardized y or logits."""
        check_is_fitted(self)
        sizes = [self.coefs_[0].shape[0], *[len(b) for b in self.intercepts_]]
        network = _Network(sizes, self.skip_coef_ is not None)
        network = network.to(torch.as_tensor(self.coefs_[0]).dtype)
        with torch.no_grad():
            for layer, coef, intercept in zip(network.layers, self.coefs_, self.intercepts_):
                layer.weight.copy_(torch.as_tensor(coef.T))
                layer.bias.copy_(torch.as_tensor(intercept))
            if network.skip is not None:
                network.skip.weight.copy_(torch.as_tensor(self.skip_coef_.T))
        return network

    @abstractmethod
    def _validate(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return X and y, checked."""

    @abstractmethod
    def _targets(self, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, int]:
        """Return what the network is trained to say, and its number of outputs."""

    def _strata(self, y: np.ndarray) -> np.ndarray | None:
        return None

    @abstractmethod
    def _loss(self, out: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted mean loss of outputs."""


def _on(
    device: torch.device, X: np.ndarray, y: np.ndarray, weights: np.ndarray, rows: np.ndarray
) -> _Data:
    dtype = _torch_dtype(X)
    target, weights = torch.as_tensor(y[rows]), weights[rows]
    weights = weights / max(weights.mean(), np.finfo(np.float64).tiny)
    if target.is_floating_point():
        target = target.to(dtype)
    return _Data(
        torch.as_tensor(np.ascontiguousarray(X[rows])).to(device),
        target.to(device),
        torch.as_tensor(weights, dtype=dtype).to(device),
    )


def _torch_dtype(X: np.ndarray) -> torch.dtype:
    return torch.float32 if X.dtype == np.float32 else torch.float64
