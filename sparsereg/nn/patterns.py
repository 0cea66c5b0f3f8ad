"""Which entries of a weight tensor may be nonzero: patterns, and their densities over a network.

A pattern turns scores (sizes, gradients, random numbers) into a mask: ``mask(scores)``. As a
constraint it has the projection on the tensors of the pattern as its prox, so that it can be
attached to an optimizer like a penalty. :class:`NM` and :class:`Unstructured` take arrays of NumPy
and CuPy, too; their backend computes the mask, of the same type.

Weights have the shape (outputs, inputs) of linear layers, or (outputs, inputs, ...) of
convolutions, which are matrices of outputs x (positions x inputs) to N:M and block patterns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparsereg.backends.arrays import namespace_of
from sparsereg.backends.registry import resolve_backend
from sparsereg.penalties import arrays


class Pattern(ABC):
    """A set of masks, and the choice among them by scores."""

    @abstractmethod
    def mask(self, scores: Tensor) -> Tensor:
        """Return the mask, a bool tensor like ``scores``, with the largest sum of scores."""

    def at(self, step: int) -> Pattern:
        """Return the pattern of a training step: itself, unless it is staged."""
        return self

    def prox(self, v: Tensor, step: float = 1.0) -> Tensor:
        """Return the nearest tensor of this pattern; ``step`` is not used."""
        return v * self.mask(_squares(v))

    def value(self, w: Tensor) -> float:
        """Return 0 where w has the pattern and ``inf`` elsewhere."""
        w = w if hasattr(w, "shape") else torch.as_tensor(w)
        return 0.0 if bool((w[~self.mask(_squares(w))] == 0).all()) else float("inf")


def _squares(w: Tensor) -> Tensor:
    """Return squares in float32 at least: in half precision those of small weights are zero."""
    if isinstance(w, Tensor):
        return w.to(torch.promote_types(w.dtype, torch.float32)) ** 2
    return w.astype(np.promote_types(w.dtype, np.float32)) ** 2


def _computed(method: str, scores: Any, *parameters: int) -> Any:
    """Return the mask that a backend computes of an array of NumPy or CuPy, as a vector there."""
    xp = namespace_of(scores)
    real = np.float32 if scores.dtype.kind == "f" and scores.dtype.itemsize <= 4 else np.float64
    values = xp.ascontiguousarray(scores.reshape(-1).astype(real, copy=False))
    backend = resolve_backend("auto", values)
    mask = getattr(backend, method)(values, *parameters)
    return backend.to_host(mask) if xp is np else mask


@dataclass(frozen=True)
class Unstructured(Pattern):
    """Any entries, a share ``density`` of them."""

    density: float

    def __post_init__(self) -> None:
        _check_density(self.density)

    def mask(self, scores: Tensor) -> Tensor:
        """Return the mask of the largest entries; of equals, the first."""
        if not isinstance(scores, Tensor):
            kept = _number(scores.size, self.density)
            return _computed("mask_largest", scores, kept).reshape(scores.shape)
        return _largest_share(scores.reshape(-1), self.density).reshape(scores.shape)


@dataclass(frozen=True)
class NM(Pattern):
    """``n`` of every ``m`` neighboring inputs of an output.

    For convolutions, inputs are neighbors at the same position of the kernel.

    References
    ----------
    Zhou et al., "Learning N:M fine-grained structured sparse neural networks from scratch", ICLR
    2021.
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        whole = isinstance(self.n, Integral) and isinstance(self.m, Integral)
        if not whole or not 1 <= self.n <= self.m:
            raise ValueError(
                f"NM({self.n}, {self.m}) keeps n of m: it needs integers with 1 <= n <= m."
            )

    def mask(self, scores: Tensor) -> Tensor:
        """Return the mask of the n largest of every m; of equals, the first."""
        matrix = _as_matrix(scores)
        if matrix.shape[1] % self.m:
            raise ValueError(
                f"NM({self.n}, {self.m}) needs a number of inputs that {self.m} divides; a weight "
                f"of shape {tuple(scores.shape)} has {matrix.shape[1]}. Leave that layer out by "
                f"where=."
            )
        if not isinstance(scores, Tensor):
            mask = _computed("mask_groups", matrix, self.n, self.m)
            return _as_weight(mask.reshape(matrix.shape), scores)
        groups = matrix.reshape(-1, self.m)
        order = torch.sort(groups, dim=1, descending=True, stable=True).indices[:, : self.n]
        mask = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, order, True)
        return _as_weight(mask.reshape(matrix.shape), scores)


@dataclass(frozen=True)
class Block(Pattern):
    """Blocks of ``shape`` (outputs x inputs), a share ``density`` of them."""

    shape: tuple[int, int]
    density: float

    def __post_init__(self) -> None:
        _check_density(self.density)
        sides = tuple(self.shape)
        if len(sides) != 2 or not all(isinstance(s, Integral) and s >= 1 for s in sides):
            raise ValueError(
                f"shape={self.shape!r} is not that of a block. Give two positive integers, "
                f"(outputs, inputs)."
            )

    def mask(self, scores: Tensor) -> Tensor:
        """Return the mask of the blocks with the largest sums of scores."""
        matrix, (rows, columns) = _as_matrix(scores), self.shape
        if matrix.shape[0] % rows or matrix.shape[1] % columns:
            raise ValueError(
                f"Blocks of {rows} x {columns} do not tile a matrix of {matrix.shape[0]} x "
                f"{matrix.shape[1]}. Choose divisors, or leave that layer out by where=."
            )
        blocks = matrix.reshape(matrix.shape[0] // rows, rows, -1, columns)
        sums = blocks.sum((1, 3))
        kept = _largest_share(sums.reshape(-1), self.density).reshape(sums.shape)
        mask = kept[:, None, :, None].expand(blocks.shape).reshape(matrix.shape)
        return _as_weight(mask, scores)


@dataclass(frozen=True)
class Group(Pattern):
    """Whole outputs (``dim=0``) or inputs (``dim=1``), a share ``density`` of them."""

    density: float
    dim: int = 0

    def __post_init__(self) -> None:
        _check_density(self.density)
        if self.dim not in (0, 1):
            raise ValueError(f"dim={self.dim} must be 0 (outputs) or 1 (inputs).")

    def mask(self, scores: Tensor) -> Tensor:
        """Return the mask of the groups with the largest sums of scores."""
        others = [d for d in range(scores.ndim) if d != self.dim]
        kept = _largest_share(scores.sum(others), self.density)
        return kept.reshape([-1 if d == self.dim else 1 for d in range(scores.ndim)]).expand(
            scores.shape
        )


@dataclass(frozen=True)
class Diagonal(Pattern):
    """Wrapped diagonals of a matrix, a share ``density`` of them.

    A matrix of m rows and n columns has max(m, n) diagonals of min(m, n) entries, which tile it:
    diagonal p has the entries ((p + j) mod m, j) if m >= n, and (j, (p + j) mod n) otherwise.

    References
    ----------
    Tyagi et al., "Dynamic sparse training of diagonally sparse networks", ICML 2025.
    """

    density: float

    def __post_init__(self) -> None:
        _check_density(self.density)

    def mask(self, scores: Tensor) -> Tensor:
        """Return the mask of the diagonals with the largest sums of scores."""
        numbers = diagonal_numbers(scores)
        sums = scores.new_zeros(max(scores.shape)).index_add_(
            0, numbers.reshape(-1), scores.reshape(-1)
        )
        return _largest_share(sums, self.density)[numbers]


@dataclass(frozen=True)
class Staged(Pattern):
    """One pattern after another, each for ``steps`` steps; the last one stays.

    ``Staged([NM(7, 8), NM(4, 8), NM(2, 8), NM(1, 8)], 500)`` prunes in stages.

    References
    ----------
    Bambhaniya et al., "Progressive gradient flow for robust N:M sparsity training in
    transformers", 2024.
    """

    patterns: Sequence[Pattern]
    steps: int

    def at(self, step: int) -> Pattern:
        """Return the pattern of a training step."""
        return self.patterns[min(step // self.steps, len(self.patterns) - 1)]

    def mask(self, scores: Tensor) -> Tensor:
        """Return the mask of the last pattern."""
        return self.patterns[-1].mask(scores)


def diagonal_numbers(matrix: Tensor) -> Tensor:
    """Return the number of the wrapped diagonal that each entry of a matrix lies on."""
    if matrix.ndim != 2:
        raise ValueError(f"Diagonals need a matrix; this weight has shape {tuple(matrix.shape)}.")
    m, n = matrix.shape
    rows = torch.arange(m, device=matrix.device)[:, None]
    columns = torch.arange(n, device=matrix.device)
    return (rows - columns) % m if m >= n else (columns - rows) % n


def layer_densities(model: nn.Module, density: float, method: str = "erk") -> dict[str, float]:
    """Return a density for each linear and convolutional layer of a network.

    Parameters
    ----------
    model : Module
    density : float in (0, 1]
        Of all weights of these layers together.
    method : {"uniform", "er", "erk", "magnitude"}, default="erk"
        The same everywhere; proportional to (outputs + inputs) / (outputs * inputs), of the kernel
        sizes, too, for "erk"; or what is left if the smallest weights of all layers are pruned.
        Layers that would exceed 1 are dense, and the others share the rest.

    Returns
    -------
    dict
        From the name of a layer to its density.

    References
    ----------
    Mocanu et al., Nature Communications, 2018 (ER); Evci et al., "Rigging the lottery", ICML 2020
    (ERK); Liu et al., "The unreasonable effectiveness of random pruning", ICLR 2022.
    """
    _check_density(density)
    weights = {name: module.weight.detach() for name, module in weighted_layers(model).items()}
    if not weights:
        raise ValueError("The model has no linear or convolutional layer.")
    sizes = {name: w.numel() for name, w in weights.items()}
    if method == "uniform":
        return dict.fromkeys(weights, float(density))
    if method == "magnitude":
        every = torch.cat([w.abs().reshape(-1) for w in weights.values()])
        kept = _largest_share(every, density).split(list(sizes.values()))
        return {name: float(mask.float().mean()) for name, mask in zip(weights, kept)}
    if method not in ("er", "erk"):
        raise ValueError(f"method={method!r}: use 'uniform', 'er', 'erk' or 'magnitude'.")
    raw = {}
    for name, w in weights.items():
        shape = tuple(w.shape) if method == "erk" else tuple(w.shape[:2])
        raw[name] = sum(shape) / float(torch.tensor(shape, dtype=torch.float64).prod())
    dense: set[str] = set()
    total = density * sum(sizes.values())
    while True:
        left = total - sum(sizes[name] for name in dense)
        scale = left / sum(raw[name] * sizes[name] for name in raw if name not in dense)
        too_dense = {name for name in raw if name not in dense and scale * raw[name] > 1.0}
        if not too_dense:
            return {name: 1.0 if name in dense else scale * raw[name] for name in raw}
        dense |= too_dense
        if len(dense) == len(raw):
            return dict.fromkeys(raw, 1.0)


def weighted_layers(model: nn.Module) -> dict[str, Any]:
    """Return the linear and convolutional layers of a network by name."""
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return {name: module for name, module in model.named_modules() if isinstance(module, kinds)}


def _check_density(density: float) -> None:
    if not 0 < density <= 1:
        raise ValueError(f"density={density!r} must be in (0, 1]: the share of entries to keep.")


def _largest_share(scores: Tensor, density: float) -> Tensor:
    return arrays.largest(scores, _number(scores.numel(), density))


def _number(size: int, density: float) -> int:
    return max(1, round(density * size))


def _as_matrix(weight: Tensor) -> Tensor:
    """Return outputs x (positions, inputs): neighbors in a row are inputs."""
    if weight.ndim < 2:
        raise ValueError(f"A weight of shape {tuple(weight.shape)} is no matrix.")
    return _moved(weight, 1, -1).reshape(weight.shape[0], -1)


def _as_weight(matrix: Tensor, weight: Tensor) -> Tensor:
    shape = _moved(weight, 1, -1).shape
    return _moved(matrix.reshape(shape), -1, 1)


def _moved(weight: Any, axis: int, to: int) -> Any:
    if isinstance(weight, Tensor):
        return weight.movedim(axis, to)
    return namespace_of(weight).moveaxis(weight, axis, to)
