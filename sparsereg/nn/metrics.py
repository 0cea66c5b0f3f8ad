"""What a sparse network is: how many zeros, how much work, and how much sparsity it tolerates.

Sources: Jaiswal et al., "The emergence of essential sparsity", NeurIPS 2023 (the curve); Luo et
al., "Sparsing law", 2024 (sparsity of activations that a loss tolerates); Zhou et al., ICLR 2021
(sparse architecture divergence); Li et al., "Large language model evaluation via matrix
nuclear-norm", 2024; Li et al., ICLR 2024 (signal-to-noise ratio of a weight's size); Paria et al.,
"Minimizing FLOPs to learn efficient sparse representations", ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from sparsereg.nn.patterns import weighted_layers
from sparsereg.nn.pruning import prune
from sparsereg.nn.sparsify import densify

__all__ = [
    "architecture_divergence",
    "essential_sparsity",
    "flops",
    "flops_loss",
    "folded_snr",
    "loss_tolerant_sparsity",
    "matrix_nuclear_norm",
    "sparsity",
    "sparsity_curve",
]


def sparsity(model: nn.Module) -> float:
    """Return the share of zeros in the weights of linear and convolutional layers."""
    weights = _weights(model)
    nonzero = sum(int(torch.count_nonzero(w)) for w in weights.values())
    total = sum(w.numel() for w in weights.values())
    return (total - nonzero) / total


@torch.no_grad()
def flops(model: nn.Module, *inputs: Tensor) -> int:
    """Return the multiplications and additions that nonzero weights take for these inputs.

    Parameters
    ----------
    model : Module
    *inputs : Tensor
        What the model is called with; the batch counts.
    """
    counts: list[int] = []

    def count(layer: Any, _: object, output: Tensor) -> None:
        weight = layer.weight
        n_nonzero = int(torch.count_nonzero(weight))
        places = output.numel() // output.shape[-1 if isinstance(layer, nn.Linear) else 1]
        counts.append(2 * n_nonzero * places)

    hooks = [layer.register_forward_hook(count) for layer in weighted_layers(model).values()]
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def sparsity_curve(
    model: nn.Module, score: Callable[[nn.Module], float], sparsities: Sequence[float]
) -> list[float]:
    """Return the score after global magnitude pruning in one shot, without training, at each."""
    scores = []
    for level in sparsities:
        pruned = deepcopy(model)
        if level > 0:
            densify(prune(pruned, 1.0 - level))
        scores.append(float(score(pruned)))
    return scores


def essential_sparsity(
    sparsities: Sequence[float], scores: Sequence[float], *, drop: float = 0.01
) -> float:
    """Return the largest sparsity up to which no score is more than ``drop`` below the first."""
    best = 0.0
    for level, score in sorted(zip(sparsities, scores)):
        if score < scores[0] - drop:
            break
        best = float(level)
    return best


@torch.no_grad()
def loss_tolerant_sparsity(
    model: nn.Module,
    layers: Mapping[str, nn.Linear],
    loss: Callable[[nn.Module], float],
    *,
    tolerance: float = 0.01,
    n_bisections: int = 12,
) -> float:
    """Return the share of activations that can be left out while the loss grows by p at most.

    Activation i of the input of a layer is left out where ``|h_i| ||W_:i||`` is below a threshold
    of that layer, such that in each layer the same relative error of its output is caused; that
    error is bisected until the loss is ``1 + tolerance`` times what it was.

    Parameters
    ----------
    model : Module
    layers : mapping from name to Linear
        The layers of the model whose inputs are thresholded, such as the second of an MLP block.
    loss : callable
        ``loss(model)`` runs the model on data and returns the mean loss, positive.
    tolerance : float, default=0.01
        What is called p in PPL-p %.
    n_bisections : int, default=12
        Runs of the loss.

    Returns
    -------
    float
        Mean share of activations left out, over layers and inputs.
    """
    gates = {name: _Gate(layer) for name, layer in layers.items()}
    hooks = [layer.register_forward_pre_hook(gates[name]) for name, layer in layers.items()]
    try:
        allowed = (1.0 + tolerance) * float(loss(model))
        low, high, reached = 0.0, 1.0, sum(g.share for g in gates.values()) / len(gates)
        for _ in range(n_bisections):
            error = 0.5 * (low + high)
            for gate in gates.values():
                gate.start(error)
            if float(loss(model)) <= allowed:
                low, reached = error, sum(g.share for g in gates.values()) / len(gates)
            else:
                high = error
        return reached
    finally:
        for hook in hooks:
            hook.remove()


class _Gate:
    """Leaves out activations of small contribution, up to a relative error of the output."""

    def __init__(self, layer: nn.Linear) -> None:
        self.layer, self.error = layer, 0.0
        self.left_out, self.seen = 0, 0

    def start(self, error: float) -> None:
        self.error, self.left_out, self.seen = error, 0, 0

    @property
    def share(self) -> float:
        return self.left_out / max(self.seen, 1)

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = inputs
        weight = self.layer.weight
        sizes = h.abs() * weight.norm(dim=0)
        keep = torch.ones_like(h, dtype=torch.bool)
        if self.error > 0:
            full = (h @ weight.T).norm(dim=-1).mean()
            low, high = 0.0, float(sizes.max())
            for _ in range(20):
                threshold = 0.5 * (low + high)
                lost = ((h * (sizes < threshold)) @ weight.T).norm(dim=-1).mean()
                low, high = (threshold, high) if lost <= self.error * full else (low, threshold)
            keep = sizes >= low
        self.left_out += int((~keep | (h == 0)).sum())
        self.seen += h.numel()
        return (h * keep,)


def matrix_nuclear_norm(rows: Tensor) -> float:
    """Return the sum of the largest column norms of the centered, normalized rows.

    It bounds, in O(n d), the nuclear norm of representations, a measure of how many directions
    they use.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
    """
    rows = rows - rows.mean(0)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    norms = rows.norm(dim=0).sort(descending=True).values
    return float(norms[: min(rows.shape)].sum())


def architecture_divergence(before: nn.Module, after: nn.Module) -> dict[str, int]:
    """Return, for each layer, in how many places one model has a zero and the other has none."""
    first, second = _weights(before), _weights(after)
    if first.keys() != second.keys():
        raise ValueError("The models have different layers. Compare two states of one model.")
    return {name: int(((w != 0) != (second[name] != 0)).sum()) for name, w in first.items()}


def folded_snr(mean: Tensor, std: Tensor) -> Tensor:
    """Return mean over standard deviation of ``|w|`` for w ~ N(mean, std^2).

    The score by which sparse subspace variational inference drops weights.
    """
    ratio = mean / (std * math.sqrt(2.0))
    first = mean * torch.erf(ratio) + std * math.sqrt(2.0 / math.pi) * torch.exp(-(ratio**2))
    return first / (std**2 + mean**2 - first**2).clamp(min=torch.finfo(mean.dtype).tiny).sqrt()


def flops_loss(codes: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return ``sum_j (weights_j mean_i |codes_ij|)^2``: the expected work of sparse retrieval.

    Parameters
    ----------
    codes : Tensor of shape (n, d)
    weights : Tensor of shape (d,), default=None
        Such as inverse document frequencies, inverted; None is ones.
    """
    sizes = codes.abs().mean(0)
    return ((sizes if weights is None else weights * sizes) ** 2).sum()


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: layer.weight.detach() for name, layer in weighted_layers(model).items()}  # type: ignore[union-attr, operator]
