"""Extended regularized dual averaging: the sparse trainer for networks from random weights.

With step size s, averaging a, time scale tau, ridge strength d and soft threshold S:

    g = grad f(x) + d x
    v = exp(-s / tau) v + (1 - exp(-s / tau)) g            a running mean of the gradient
    z = a z + (1 - a) x - s v
    b = a b + s w                                          w: the adaptive weights
    x = S(z, alpha b)

The mean, and the step along it, are this optimizer; the rest is :func:`attach_prox`.

Source: Siegel, Chen, Zhang and Xu, "Training sparse neural networks using compressed sensing",
arXiv 2008.09661.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from sparsereg.nn.proximal import HasProx, ProxHandle, attach_prox
from sparsereg.nn.schedules import Schedule


class XRDA(torch.optim.Optimizer):
    """Momentum over a time scale, with a penalty attached.

    Parameters
    ----------
    params : iterable of parameters
        Those with one dimension (biases, normalization) are trained without penalty.
    penalty : Penalty
        Such as :class:`AdaptiveL1`.
    lr : float, default=1.0
        Step size s; the gradient's running mean makes large ones usable.
    time_scale : float, default=9.5
        In units of lr times steps: at lr = 1, 9.5 is a momentum of 0.9.
    averaging : float or function of the step, default=0.0
        From 0 to 1 in the published method, such as ``Cosine(0, 1, n_steps)``.
    weight_decay : float, default=5e-4
        Ridge strength d.

    Attributes
    ----------
    handle : ProxHandle

    References
    ----------
    Siegel, Chen, Zhang and Xu, arXiv 2008.09661.
    """

    def __init__(
        self,
        params: Iterable[Any],
        penalty: HasProx,
        *,
        lr: float = 1.0,
        time_scale: float = 9.5,
        averaging: Schedule = 0.0,
        weight_decay: float = 5e-4,
    ) -> None:
        if not lr > 0 or not time_scale > 0:
            raise ValueError(f"lr={lr!r} and time_scale={time_scale!r} must both be positive.")
        super().__init__(params, {"lr": lr, "time_scale": time_scale})
        every = [p for group in self.param_groups for p in group["params"]]
        self.handle: ProxHandle = attach_prox(
            self, every, penalty, averaging=averaging, weight_decay=weight_decay
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make one step along the running mean of the gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            kept = math.exp(-group["lr"] / group["time_scale"])
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean: Tensor | float = self.state[p].get("mean", 0.0)
                self.state[p]["mean"] = mean = kept * mean + (1.0 - kept) * p.grad
                p.copy_(p - group["lr"] * mean)
        return loss
