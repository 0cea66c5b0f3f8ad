"""Sparse weights in formats that use their zeros: CSR, semi-structured, diagonals."""

from __future__ import annotations

from typing import Any

import torch
from scipy import sparse
from torch import Tensor, nn

from sparsereg.nn.patterns import NM, diagonal_numbers, weighted_layers


def to_csr(model: nn.Module) -> dict[str, sparse.csr_array]:
    """Return the weights of the linear layers as SciPy CSR arrays, by name.

    Convolutions are matrices of outputs x (inputs, positions).
    """
    return {
        name: sparse.csr_array(_numpy(layer.weight).reshape(layer.weight.shape[0], -1))  # type: ignore[operator, union-attr]
        for name, layer in weighted_layers(model).items()
    }


def to_semi_structured(weight: Tensor) -> Any:
    """Return a 2:4 sparse weight in torch's semi-structured format.

    Parameters
    ----------
    weight : Tensor of shape (outputs, inputs)
        Half precision, on a CUDA device of compute capability 8.0 or newer; two of every four
        neighbors are zero.

    Raises
    ------
    ValueError
        If the weight is not of that kind; the message says why.
    """
    if weight.ndim != 2 or weight.shape[0] % 32 or weight.shape[1] % 64:
        raise ValueError(
            f"A weight of shape {tuple(weight.shape)} has no semi-structured form. It needs "
            f"multiples of 32 outputs and 64 inputs."
        )
    if weight.dtype not in (torch.float16, torch.bfloat16):
        raise ValueError(f"A weight in {weight.dtype} is refused. Use float16 or bfloat16.")
    if NM(2, 4).value(weight) != 0:
        raise ValueError("The weight is not 2:4 sparse. Train it with NM(2, 4), and densify.")
    if not weight.is_cuda or torch.cuda.get_device_capability(weight.device) < (8, 0):
        raise ValueError(
            "Semi-structured weights need a CUDA device of compute capability 8.0. Move the model "
            "to one."
        )
    return torch.sparse.to_sparse_semi_structured(weight)


class DiagonalLinear(nn.Module):
    """A linear layer that stores its nonzero wrapped diagonals only: x is rolled and multiplied.

    With K diagonals of length D, a forward pass takes K D products for each row of x.
    Made by :meth:`from_linear`.
    """

    values: Tensor
    inputs: Tensor
    outputs: Tensor

    def __init__(
        self, values: Tensor, inputs: Tensor, outputs: Tensor, n_outputs: int, bias: Tensor | None
    ) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        self.values = nn.Parameter(values)
        self.register_buffer("inputs", inputs)
        self.register_buffer("outputs", outputs)
        self.bias = None if bias is None else nn.Parameter(bias)

    @classmethod
    def from_linear(cls, layer: nn.Linear) -> DiagonalLinear:
        """Return the layer with the diagonals that are not all zero."""
        weight = layer.weight.detach()
        numbers = diagonal_numbers(weight)
        m, n = weight.shape
        kept = torch.unique(numbers[weight != 0])
        short = torch.arange(min(m, n), device=weight.device)
        if m >= n:
            outputs, inputs = (kept[:, None] + short) % m, short.expand(len(kept), -1)
        else:
            outputs, inputs = short.expand(len(kept), -1), (kept[:, None] + short) % n
        bias = None if layer.bias is None else layer.bias.detach().clone()
        return cls(weight[outputs, inputs], inputs.contiguous(), outputs.contiguous(), m, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the transposed weight, plus the bias."""
        y = x.new_zeros(*x.shape[:-1], self.n_outputs)
        for values, inputs, outputs in zip(self.values, self.inputs, self.outputs):
            y = y.index_add(-1, outputs, x[..., inputs] * values)
        return y if self.bias is None else y + self.bias


def _numpy(weight: Any) -> Any:
    return weight.detach().cpu().numpy()
