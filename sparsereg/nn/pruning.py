"""Prune, train again, merge: magnitude pruning in one shot or in rounds; soups of sparse models.

Sources: Han, Pool, Tran and Dally, NIPS 2015 (pruning by magnitude in rounds); Zimmer, Spiegel and
Pokutta, "Sparse model soups", ICLR 2024 (averaging of models that share their zeros).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparsereg.nn.patterns import Unstructured, weighted_layers
from sparsereg.nn.sparsify import StaticMask, densify, sparsify


def prune(
    model: nn.Module,
    density: float,
    *,
    scope: str = "global",
    n_rounds: int = 1,
    train: Callable[[nn.Module], object] | None = None,
) -> nn.Module:
    """Keep the largest weights, in one shot or in rounds of pruning and training.

    Parameters
    ----------
    model : Module
        Changed in place; afterwards it has static masks (see :func:`densify`).
    density : float in (0, 1]
        Share of the weights of linear and convolutional layers that is left.
    scope : {"global", "layer"}, default="global"
        Compare the weights of all layers, or of each layer by itself. A global comparison can take
        all weights of a layer.
    n_rounds : int, default=1
        Rounds; each keeps the same share of what the last one left.
    train : callable, default=None
        ``train(model)`` is called after each pruning.

    Returns
    -------
    Module
        The model.
    """
    if scope not in ("global", "layer"):
        raise ValueError(f"scope={scope!r}: use 'global' or 'layer'.")
    if n_rounds < 1:
        raise ValueError(f"n_rounds={n_rounds} must be at least 1.")
    for k in range(1, n_rounds + 1):
        densify(model)
        left = density ** (k / n_rounds)
        if scope == "layer":
            sparsify(model, Unstructured(left), method="static")
        else:
            _mask_globally(model, left)
        if train is not None:
            train(model)
    return model


def _mask_globally(model: nn.Module, density: float) -> None:
    layers = weighted_layers(model)
    sizes = [layer.weight.detach().abs() for layer in layers.values()]
    kept = Unstructured(density).mask(torch.cat([size.reshape(-1) for size in sizes]))
    for layer, size, mask in zip(layers.values(), sizes, kept.split([s.numel() for s in sizes])):
        parametrize.register_parametrization(layer, "weight", StaticMask(mask.reshape(size.shape)))


def soup(
    models: Sequence[nn.Module],
    weights: Sequence[float] | None = None,
    *,
    score: Callable[[nn.Module], float] | None = None,
) -> nn.Module:
    """Average models that have their zeros in the same places.

    Parameters
    ----------
    models : sequence of Module
        Of one architecture, their weights zero at the same entries.
    weights : sequence of float, default=None
        Of the average; None is equal weights.
    score : callable, default=None
        ``score(model)``, greater is better: the best model is taken, and each other one only if
        the equal average gets no worse (greedy soup).

    Returns
    -------
    Module
        A new model. Running statistics of normalization layers are averaged too; estimate them
        anew on data.

    Raises
    ------
    ValueError
        If the zeros differ.
    """
    if not models:
        raise ValueError("There is no model to average. Give at least one.")
    _check_same_zeros(models)
    if score is not None:
        if weights is not None:
            raise ValueError("score chooses the weights itself. Give one of score and weights.")
        ranked = sorted(models, key=score, reverse=True)
        members, best = [ranked[0]], score(ranked[0])
        for candidate in ranked[1:]:
            reached = score(_average([*members, candidate], [1.0] * (len(members) + 1)))
            if reached >= best:
                members, best = [*members, candidate], reached
        return _average(members, [1.0] * len(members))
    if weights is None:
        weights = [1.0] * len(models)
    if len(weights) != len(models) or not sum(weights) > 0:
        raise ValueError(
            f"There are {len(models)} models and {len(weights)} weights: give one each."
        )
    return _average(models, weights)


def _average(models: Sequence[nn.Module], weights: Sequence[float]) -> nn.Module:
    mixed = deepcopy(models[0])
    states = [model.state_dict() for model in models]
    total = float(sum(weights))
    average: dict[str, Tensor] = {}
    for name, first in states[0].items():
        if first.is_floating_point():
            average[name] = sum(w / total * s[name] for w, s in zip(weights, states))  # type: ignore[assignment]
        else:
            average[name] = first
    mixed.load_state_dict(average)
    return mixed


def _check_same_zeros(models: Sequence[nn.Module]) -> None:
    first = {name: layer.weight != 0 for name, layer in weighted_layers(models[0]).items()}
    for k, model in enumerate(models[1:], 1):
        for name, layer in weighted_layers(model).items():
            if name not in first or not torch.equal(first[name], layer.weight != 0):
                raise ValueError(
                    f"Models 0 and {k} have their zeros in different places of layer {name!r}. "
                    f"Train them from one pruned model."
                )
