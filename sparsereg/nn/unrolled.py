"""Sparse coding in a fixed number of layers: ISTA unrolled, and learned.

    x <- prox(W y + S x, step)        n_layers times, from x = 0

Initialized from a dictionary D with L the largest eigenvalue of D'D, W = D' / L, S = I - D'D / L
and step 1 / L make each layer one step of ISTA on ||y - D x||^2 / 2 + penalty(x). Trained, W, S and
the steps need far fewer layers for the same accuracy on data like those they were trained on.

Source: Gregor and LeCun, "Learning fast approximations of sparse coding", ICML 2010.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparsereg.nn.activations import ProxActivation
from sparsereg.penalties import L1, Penalty


class LISTA(nn.Module):
    """Learned iterative thresholding; before training, it is ISTA.

    Parameters
    ----------
    dictionary : Tensor of shape (n_outputs, n_features)
        D of the problem ``||y - D x||^2 / 2 + penalty(x)`` that the layers start with.
    n_layers : int, default=16
        Number of iterations.
    penalty : Penalty, default=None
        None is ``L1(0.1)``.
    untied : bool, default=True
        Whether each layer has matrices of its own.
    learnable : bool, default=True
        Whether there is anything to train; False is ISTA.

    References
    ----------
    Gregor and LeCun, "Learning fast approximations of sparse coding", ICML 2010.
    """

    def __init__(
        self,
        dictionary: Tensor,
        *,
        n_layers: int = 16,
        penalty: Penalty | None = None,
        untied: bool = True,
        learnable: bool = True,
    ) -> None:
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"n_layers={n_layers} must be at least 1.")
        penalty = L1(0.1) if penalty is None else penalty
        self.n_layers = n_layers
        curvature = float(torch.linalg.matrix_norm(dictionary, 2)) ** 2
        n_own = n_layers if untied else 1
        eye = torch.eye(dictionary.shape[1], dtype=dictionary.dtype, device=dictionary.device)
        encoder = dictionary.T / curvature
        self.encoders = nn.Parameter(encoder.repeat(n_own, 1, 1), requires_grad=learnable)
        mixer = eye - encoder @ dictionary
        self.mixers = nn.Parameter(mixer.repeat(n_own, 1, 1), requires_grad=learnable)
        self.thresholds = nn.ModuleList(
            ProxActivation(penalty, 1.0 / curvature, learnable=learnable).to(dictionary)
            for _ in range(n_own)
        )

    def forward(self, y: Tensor) -> Tensor:
        """Return the codes of y, of shape (..., n_outputs): (..., n_features)."""
        x = y.new_zeros(*y.shape[:-1], self.encoders.shape[1])
        for k in range(self.n_layers):
            own = k % len(self.thresholds)
            x = self.thresholds[own](y @ self.encoders[own].T + x @ self.mixers[own].T)
        return x
