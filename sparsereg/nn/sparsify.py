"""Layers whose weights have a pattern while they are trained: masks as parametrizations.

The parameter that is trained is w; the layer computes with

    static             m * w                      the mask m is chosen once; gradients are masked
    straight-through   (m + (1 - m) leak) * w     m follows |w| in every forward pass

and, for the straight-through estimator, the gradient reaches w as if there were no mask, plus
decay (1 - m) w, which keeps pruned weights from growing (SR-STE). A leak that falls to zero lets
the pruned weights fade out (progressive gradient flow). With ``temperature``, diagonals are chosen
softly: diagonal p is scaled by min(1, K softmax(a / temperature)_p), with learned a (DynaDiag).

A mask saves no time in a forward pass; :func:`densify`, :func:`to_csr` and
:class:`DiagonalLinear` are for afterwards.

Sources: Zhou et al., ICLR 2021 (SR-STE); Bambhaniya et al., 2024 (decaying masks); Tyagi et al.,
ICML 2025 (diagonals); Liu et al., ICLR 2022 (random static masks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sparsereg.nn.patterns import Diagonal, Pattern, diagonal_numbers, weighted_layers
from sparsereg.nn.schedules import Schedule, at


def sparsify(
    model: nn.Module,
    pattern: Pattern | Mapping[str, Pattern],
    *,
    method: str = "straight-through",
    decay: float = 2e-4,
    leak: Schedule = 0.0,
    temperature: Schedule | None = None,
    score: str = "magnitude",
    where: Callable[[str, nn.Module], bool] | None = None,
    random_state: int | None = None,
) -> nn.Module:
    """Give the weights of linear and convolutional layers a pattern; biases stay as they are.

    Parameters
    ----------
    model : Module
        Changed in place. Build the optimizer afterwards.
    pattern : Pattern or mapping from layer name to Pattern
        A mapping leaves the layers out that it does not name.
    method : {"straight-through", "static", "soft"}, default="straight-through"
        "soft" is for :class:`Diagonal` only.
    decay : float, default=2e-4
        Strength of the shrinkage of pruned weights under "straight-through"; 0 is plain STE.
    leak : float or function of the step, default=0.0
        Factor of pruned weights under "straight-through".
    temperature : float or function of the step, default=None
        Of "soft"; None is ``1.0``. Low temperatures choose sharply.
    score : {"magnitude", "random"}, default="magnitude"
        What a static mask keeps.
    where : callable, default=None
        ``where(name, layer)`` says whether a layer takes part; None takes all.
    random_state : int, default=None
        Seed of random scores.

    Returns
    -------
    Module
        The model.

    Raises
    ------
    ValueError
        For a pattern that does not fit a layer, or options without a meaning.

    Examples
    --------
    >>> import torch
    >>> from sparsereg.nn import NM, densify, sparsify
    >>> model = sparsify(torch.nn.Linear(8, 4), NM(2, 4))
    >>> int((densify(model).weight != 0).sum())
    16
    """
    if method not in ("straight-through", "static", "soft"):
        raise ValueError(f"method={method!r}: use 'straight-through', 'static' or 'soft'.")
    if score not in ("magnitude", "random"):
        raise ValueError(f"score={score!r}: use 'magnitude' or 'random'.")
    if score == "random" and method != "static":
        raise ValueError("score='random' is for masks that stay. Use method='static'.")
    generator = torch.Generator()
    if random_state is None:
        generator.seed()
    else:
        generator.manual_seed(random_state)
    chosen: dict[str, Masking] = {}
    for name, module in weighted_layers(model).items():
        of_layer = pattern.get(name) if isinstance(pattern, Mapping) else pattern
        if of_layer is None or (where is not None and not where(name, module)):
            continue
        if parametrize.is_parametrized(module, "weight"):
            raise ValueError(f"Layer {name!r} has a parametrization already. Densify it first.")
        weight = module.weight.detach()
        if method == "soft":
            if not isinstance(of_layer, Diagonal):
                raise ValueError("method='soft' is for Diagonal patterns only.")
            chosen[name] = SoftDiagonal(
                of_layer, weight, 1.0 if temperature is None else temperature
            )
        elif method == "static":
            random = torch.rand(weight.shape, generator=generator, dtype=torch.float64)
            scores = weight.abs() if score == "magnitude" else random.to(weight.device)
            chosen[name] = StaticMask(of_layer.mask(scores))
        else:
            of_layer.at(0).mask(weight.abs())  # raises for a pattern that does not fit
            chosen[name] = StraightThrough(of_layer, decay, leak)
    if not chosen:
        raise ValueError("No layer takes part. Linear and convolutional layers can.")
    for name, parametrization in chosen.items():
        parametrize.register_parametrization(model.get_submodule(name), "weight", parametrization)
    return model


def densify(model: nn.Module) -> nn.Module:
    """Make what the layers compute with their parameters: masks are applied and removed.

    The outputs stay what they are. Returns the model, changed in place.
    """
    for module in sparse_layers(model).values():
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return model


def advance(model: nn.Module) -> None:
    """Say that a training step is over: leaks, temperatures and staged patterns move on."""
    for module in sparse_layers(model).values():
        parametrization(module).step += 1


def sparse_layers(model: nn.Module) -> dict[str, Any]:
    """Return the layers that have a mask, by name."""
    return {
        name: module
        for name, module in weighted_layers(model).items()
        if parametrize.is_parametrized(module, "weight")
        and isinstance(parametrization(module), Masking)
    }


def parametrization(module: nn.Module) -> Any:
    """Return the mask of a layer."""
    return module.parametrizations["weight"][0]  # type: ignore[index, union-attr]


class Masking(nn.Module):
    """What the masks share: a step that is part of the state."""

    step: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))


class StaticMask(Masking):
    """``m * w``; keeps the gradient at all entries if it is told to."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.clone())
        self.keeps_gradient = False
        self.gradient: Tensor | None = None

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight."""
        masked = weight * self.mask
        if self.keeps_gradient and masked.requires_grad:
            masked.register_hook(self._keep)
        return masked

    def _keep(self, gradient: Tensor) -> None:
        self.gradient = gradient.detach()


class StraightThrough(Masking):
    """``(m + (1 - m) leak) * w`` with the gradient of w, plus ``decay (1 - m) w``."""

    def __init__(self, pattern: Pattern, decay: float, leak: Schedule) -> None:
        super().__init__()
        self.pattern, self.decay, self.leak = pattern, decay, leak

    def forward(self, weight: Tensor) -> Tensor:
        """Return the masked weight."""
        step = int(self.step)
        mask = self.pattern.at(step).mask(weight.detach().abs())
        return _StraightThrough.apply(weight, mask, self.decay, at(self.leak, step))


class _StraightThrough(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, mask: Tensor, decay: float, leak: float) -> Tensor:  # type: ignore[override]
        return torch.where(mask, weight, leak * weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        weight, mask, ctx.decay, _ = inputs
        ctx.save_for_backward(weight, mask)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        weight, mask = ctx.saved_tensors
        return gradient + ctx.decay * torch.where(mask, 0.0, weight), None, None, None


class SoftDiagonal(Masking):
    """Diagonals scaled by ``min(1, K softmax(a / temperature))``, with learned logits a."""

    numbers: Tensor

    def __init__(self, pattern: Diagonal, weight: Tensor, temperature: Schedule) -> None:
        super().__init__()
        self.pattern, self.temperature = pattern, temperature
        n = max(weight.shape)
        self.n_kept = max(1, round(pattern.density * n))
        self.register_buffer("numbers", diagonal_numbers(weight))
        self.logits = nn.Parameter(weight.new_full((n,), 1.0 / n))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the softly masked weight; in evaluation, the K diagonals of largest logit."""
        if not self.training:
            kept = torch.topk(self.logits, self.n_kept).indices
            hard = torch.zeros_like(self.logits).index_fill_(0, kept, 1.0)
            return weight * (hard * self._shares())[self.numbers]
        return weight * self._shares()[self.numbers]

    def _shares(self) -> Tensor:
        temperature = at(self.temperature, int(self.step))
        return (self.n_kept * torch.softmax(self.logits / temperature, 0)).clamp(max=1.0)
