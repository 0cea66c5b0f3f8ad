"""Activations that are zero: thresholds, the prox of any penalty, the k largest.

The derivative of a prox follows from its optimality condition: with x = prox(v) not zero and t the
step, dx/dv = 1 / (1 + t P''(x)) and dx/dt = -sign(x) P'(|x|) / (1 + t P''(x)); where x is zero,
both are zero. Top-k activations pass gradients to the entries they keep.

What is kept is decided by scores: the values themselves; values times the norms of the columns that
read them (WINA, and the neurons' outputs in loss-tolerant sparsity); or values plus a multiple of
values times gradients (gradient sparse autoencoders).

Sources: Gao et al., "Scaling and evaluating sparse autoencoders", 2024 (TopK); Bussmann, Leask and
Nanda, "BatchTopK sparse autoencoders", 2024; Chen et al., "WINA: weight informed neuron
activation", 2025; Lee et al., "Evaluation and design of sparse autoencoders: top-AFA", 2025.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sparsereg.penalties import L1, Penalty, arrays
from sparsereg.penalties.checks import check_separable


class ProxActivation(nn.Module):
    """The prox of a separable penalty as an activation: the threshold of your choice.

    Parameters
    ----------
    penalty : Penalty
        Such as ``L1()``, ``MCP()``, ``CEL0()`` or ``Lq(q=0.5)``.
    step : float, default=1.0
        The step of the prox.
    n_features : int, default=None
        With it, there is a step for each of so many features.
    learnable : bool, default=True
        Whether the step is a parameter. It is kept positive by its exponential form.

    Examples
    --------
    >>> import torch
    >>> from sparsereg import penalties
    >>> from sparsereg.nn import ProxActivation
    >>> ProxActivation(penalties.MCP(), learnable=False)(torch.tensor([0.9, 2.0, 4.0]))
    tensor([0.0000, 1.5000, 4.0000])
    """

    log_step: Tensor

    def __init__(
        self,
        penalty: Penalty,
        step: float = 1.0,
        *,
        n_features: int | None = None,
        learnable: bool = True,
    ) -> None:
        super().__init__()
        if not step > 0:
            raise ValueError(f"step={step!r} must be positive.")
        self.penalty = check_separable(penalty)
        log_step = torch.full(() if n_features is None else (n_features,), float(step)).log()
        if learnable:
            self.log_step = nn.Parameter(log_step)
        else:
            self.register_buffer("log_step", log_step)

    @property
    def step(self) -> Tensor:
        """The step of the prox, for each feature if there are several."""
        return self.log_step.exp()

    def forward(self, v: Tensor) -> Tensor:
        """Return the prox of v, of shape (..., n_features)."""
        return _Prox.apply(v, self.step.to(v.dtype).expand(v.shape), self.penalty)

    def extra_repr(self) -> str:
        """Return what torch prints of the layer."""
        return repr(self.penalty)


class SoftThreshold(ProxActivation):
    """``sign(v) max(|v| - theta, 0)`` with a learnable or fixed threshold.

    Parameters
    ----------
    theta : float, default=1.0
        Threshold.
    n_features, learnable
        As in :class:`ProxActivation`.
    positive : bool, default=False
        Whether negative values become zero: a shifted ReLU.
    """

    def __init__(
        self,
        theta: float = 1.0,
        *,
        n_features: int | None = None,
        learnable: bool = True,
        positive: bool = False,
    ) -> None:
        super().__init__(
            L1(1.0, positive=positive), theta, n_features=n_features, learnable=learnable
        )


class _Prox(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, step: Tensor, penalty: Penalty) -> Tensor:  # type: ignore[override]
        x = arrays.prox(penalty, v.detach(), step.detach())
        ctx.penalty = penalty
        ctx.save_for_backward(x, step)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        x, step = ctx.saved_tensors
        steepness = 1.0 + step * arrays.bend(ctx.penalty, x)
        passed = torch.where(x != 0, gradient / steepness, 0.0)
        slope = torch.where(x != 0, arrays.slope(ctx.penalty, x), 0.0)
        return passed, -x.sign() * slope * passed, None


class TopK(nn.Module):
    """Keep the k entries with the largest scores, per row or over the batch.

    Parameters
    ----------
    k : int
        Entries to keep in each row.
    columns : Tensor of shape (n_outputs, n_features) or Linear, default=None
        Scores are ``|v_i|`` times the norm of column i: what the entry contributes to the next
        layer. None scores by v itself.
    relu : bool, default=True
        Whether negative values become zero first, and are never kept.
    batch : bool, default=False
        Keep k times the number of rows over the whole batch: rows share.

    Examples
    --------
    >>> import torch
    >>> from sparsereg.nn import TopK
    >>> TopK(1)(torch.tensor([[0.5, 2.0, -3.0], [0.1, 0.0, 0.2]]))
    tensor([[0.0000, 2.0000, 0.0000],
            [0.0000, 0.0000, 0.2000]])
    """

    def __init__(
        self,
        k: int,
        *,
        columns: Tensor | nn.Linear | None = None,
        relu: bool = True,
        batch: bool = False,
    ) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k={k} must be at least 1.")
        self.k, self.relu, self.batch = k, relu, batch
        self._columns = (columns,)  # a tuple, so that the next layer is not a child of this one

    def forward(self, v: Tensor, scores: Tensor | None = None) -> Tensor:
        """Return v, of shape (..., n_features), with zeros where scores are not among the largest.

        ``scores``, like v, replace those of the layer; :func:`gradient_scores` makes one kind.
        """
        v = v.relu() if self.relu else v
        if scores is None:
            scores = v.abs() * column_norms(self._columns[0], v)
        keeps = _keep_in_batch if self.batch else _keep_in_rows
        return v * keeps(scores.detach(), self.k)

    def extra_repr(self) -> str:
        """Return what torch prints of the layer."""
        return f"{self.k}, relu={self.relu}, batch={self.batch}"


class AdaptiveTopK(nn.Module):
    """Keep as many entries as explain the length of the input: no k.

    With contributions ``c_i = |v_i| ||d_i||`` in decreasing order, the first k are kept for which
    the root of ``c_1^2 + ... + c_k^2`` is nearest to the length of the input: what an orthogonal
    dictionary would need.

    Parameters
    ----------
    columns : Tensor of shape (n_outputs, n_features) or Linear
        The dictionary.

    References
    ----------
    Lee et al., "Evaluation and design of sparse autoencoders: top-AFA", 2025.
    """

    def __init__(self, columns: Tensor | nn.Linear) -> None:
        super().__init__()
        self._columns = (columns,)

    def forward(self, v: Tensor, length: Tensor) -> Tensor:
        """Return v, of shape (..., n_features), given the length of each input, (...)."""
        v = v.relu()
        sizes = (v.detach() * column_norms(self._columns[0], v)).abs()
        ordered = sizes.sort(-1, descending=True)
        reached = (ordered.values**2).cumsum(-1).sqrt()
        best = (reached - length.detach()[..., None]).abs().argmin(-1, keepdim=True)
        ranks = torch.arange(v.shape[-1], device=v.device).expand(v.shape)
        mask = torch.zeros_like(v, dtype=torch.bool).scatter(-1, ordered.indices, ranks <= best)
        return v * mask


def gradient_scores(
    v: Tensor, gradient: Tensor, columns: Tensor | nn.Linear, beta: float
) -> Tensor:
    """Return ``v + beta v * (D' gradient)``: values plus what they change in a loss, linearly.

    Parameters
    ----------
    v : Tensor of shape (..., n_features)
    gradient : Tensor of shape (..., n_outputs)
        Of the loss with respect to the reconstruction.
    columns : Tensor of shape (n_outputs, n_features) or Linear
        The dictionary D.
    beta : float
    """
    weight = columns.weight if isinstance(columns, nn.Linear) else columns
    return v + beta * v * (gradient @ weight.detach())


def column_norms(columns: Tensor | nn.Linear | None, v: Tensor) -> Tensor | float:
    """Return the norms of the columns that read the features of v; one without columns."""
    if columns is None:
        return 1.0
    weight = columns.weight if isinstance(columns, nn.Linear) else columns
    if weight.shape[-1] != v.shape[-1]:
        raise ValueError(
            f"columns has shape {tuple(weight.shape)} for {v.shape[-1]} features. Give a matrix "
            f"with a column for each."
        )
    return weight.detach().norm(dim=0)


def _keep_in_rows(scores: Tensor, k: int) -> Tensor:
    if k >= scores.shape[-1]:
        return torch.ones_like(scores, dtype=torch.bool)
    kept = scores.topk(k, dim=-1).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, kept, True)


def _keep_in_batch(scores: Tensor, k: int) -> Tensor:
    rows = scores.numel() // scores.shape[-1]
    return arrays.largest(scores.reshape(-1), k * rows).reshape(scores.shape)
