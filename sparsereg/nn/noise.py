"""Noise on weights, of learned size: a regularizer against adversarial inputs.

    w <- w + a_c sigma eta,    eta ~ N(0, 1),  sigma the standard deviation of w

with a learned factor a_c for each output channel, in training only.

Sources: He, Rakin and Fan, "Parametric noise injection", CVPR 2019; Rakin et al., "Robust sparse
regularization", arXiv 1905.13074 (with channel-wise noise, l1 and adversarial training).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NoiseInjection(nn.Module):
    """A parametrization that adds noise of learned size to each output of a weight.

    Register it with ``torch.nn.utils.parametrize.register_parametrization(layer, "weight",
    NoiseInjection(layer.weight))``, together with masks if wanted.

    Parameters
    ----------
    weight : Tensor of shape (n_outputs, ...)
    scale : float, default=0.25
        Initial factor of each output, in standard deviations of the weights.
    """

    def __init__(self, weight: Tensor, scale: float = 0.25) -> None:
        super().__init__()
        shape = (weight.shape[0], *[1] * (weight.ndim - 1))
        self.scales = nn.Parameter(weight.new_full(shape, scale))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight; with noise on its nonzero entries while training."""
        if not self.training:
            return weight
        noise = torch.randn_like(weight) * weight.detach().std() * (weight.detach() != 0)
        return weight + self.scales * noise
