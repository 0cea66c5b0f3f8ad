"""Masks that move while a network is trained: drop the least useful weights, grow others.

Every few steps, a share of each layer's weights is dropped by score and as many are grown, at zero,
among those that were not there. By score: SET drops small and grows random ones; RigL grows where
the gradient is large; sparse subspace variational inference drops by the signal-to-noise ratio of a
Gaussian posterior (:func:`sparsereg.nn.metrics.folded_snr`).

Sources: Mocanu et al., Nature Communications, 2018 (SET); Evci et al., "Rigging the lottery", ICML
2020 (RigL); Li et al., "Training Bayesian neural networks with sparse subspace variational
inference", ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparsereg.nn.schedules import Schedule, at
from sparsereg.nn.sparsify import StaticMask, parametrization, sparse_layers
from sparsereg.penalties import arrays

#: Returns a score for each entry of a weight, given the layer's name and its (masked) weight.
Score = Callable[[str, Tensor], Tensor]


class DynamicMask:
    """Drops and grows weights of a network with static masks.

    Parameters
    ----------
    model : Module
        Sparsified with ``method="static"``.
    drop : "magnitude" or callable, default="magnitude"
        ``drop(name, weight)`` returns scores; the least are dropped.
    grow : {"gradient", "random"} or callable, default="gradient"
        The largest scores are grown.
    fraction : float or function of the step, default=0.3
        Share of a layer's weights that is exchanged.
    every : int, default=100
        Steps between two changes.
    until : int, default=None
        The step of the last change; None goes on.
    optimizer : Optimizer, default=None
        Its memory of the weights that are exchanged is set to zero.
    random_state : int, default=0
        Seed of random growth.

    Examples
    --------
    >>> import torch
    >>> from sparsereg.nn import DynamicMask, Unstructured, sparsify
    >>> model = sparsify(torch.nn.Linear(8, 4), Unstructured(0.25), method="static")
    >>> masks = DynamicMask(model, every=1)
    >>> model(torch.ones(1, 8)).sum().backward()
    >>> masks.step()
    >>> int((model.weight != 0).sum()), int(model.parametrizations.weight[0].mask.sum())
    (6, 8)
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        drop: str | Score = "magnitude",
        grow: str | Score = "gradient",
        fraction: Schedule = 0.3,
        every: int = 100,
        until: int | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        random_state: int = 0,
    ) -> None:
        if drop != "magnitude" and not callable(drop):
            raise ValueError(f"drop={drop!r}: use 'magnitude' or a function of (name, weight).")
        if grow not in ("gradient", "random") and not callable(grow):
            raise ValueError(f"grow={grow!r}: use 'gradient', 'random' or a function.")
        if every < 1:
            raise ValueError(f"every={every} must be at least 1.")
        self.layers = {
            name: layer
            for name, layer in sparse_layers(model).items()
            if isinstance(parametrization(layer), StaticMask)
        }
        if not self.layers:
            raise ValueError("The model has no static mask. Use sparsify(..., method='static').")
        self.drop, self.grow, self.fraction = drop, grow, fraction
        self.every, self.until, self.optimizer = every, until, optimizer
        self.generator = torch.Generator().manual_seed(random_state)
        self.n_steps = 0
        self._watch()

    def step(self) -> None:
        """Say that a training step is over (after ``optimizer.step()``); change masks in time."""
        self.n_steps += 1
        if self.n_steps % self.every == 0 and (self.until is None or self.n_steps <= self.until):
            for name, layer in self.layers.items():
                self._exchange(name, layer)
        self._watch()

    def state_dict(self) -> dict[str, object]:
        """Return what is not part of the model's state."""
        return {"n_steps": self.n_steps, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        """Go on where the state was taken."""
        self.n_steps = state["n_steps"]
        self.generator.set_state(state["generator"])
        self._watch()

    def _watch(self) -> None:
        """Keep gradients in the step before a change only: they are dense."""
        for layer in self.layers.values():
            is_next = (self.n_steps + 1) % self.every == 0
            parametrization(layer).keeps_gradient = self.grow == "gradient" and is_next

    @torch.no_grad()
    def _exchange(self, name: str, layer: nn.Module) -> None:
        masking = parametrization(layer)
        mask, latent = masking.mask, layer.parametrizations["weight"].original  # type: ignore[index, union-attr]
        weight = latent * mask
        n_exchanged = min(
            round(at(self.fraction, self.n_steps) * int(mask.sum())), int((~mask).sum())
        )
        if n_exchanged == 0:
            return
        kept_scores = weight.abs() if self.drop == "magnitude" else self.drop(name, weight)  # type: ignore[operator]
        kept = _largest(kept_scores, mask, int(mask.sum()) - n_exchanged)
        grown = _largest(self._growth(name, weight, masking), ~mask, n_exchanged)
        latent.mul_(kept)
        masking.mask.copy_(kept | grown)
        masking.gradient = None
        self._forget(latent, grown | (mask & ~kept))

    def _growth(self, name: str, weight: Tensor, masking: StaticMask) -> Tensor:
        if self.grow == "random":
            return torch.rand(weight.shape, generator=self.generator).to(weight.device)
        if callable(self.grow):
            return self.grow(name, weight)
        if masking.gradient is None:
            raise RuntimeError(
                f"Layer {name!r} has had no backward pass. Call step() after each optimizer step."
            )
        return masking.gradient.abs()

    def _forget(self, latent: Tensor, changed: Tensor) -> None:
        if self.optimizer is None:
            return
        for value in self.optimizer.state.get(latent, {}).values():
            if isinstance(value, Tensor) and value.shape == latent.shape:
                value.masked_fill_(changed, 0.0)


def _largest(scores: Tensor, among: Tensor, k: int) -> Tensor:
    candidates = torch.where(among, scores.to(torch.float64), -torch.inf).reshape(-1)
    return arrays.largest(candidates, k).reshape(scores.shape) & among
