"""Any penalty trains a network, through any optimizer: hooks around ``optimizer.step``.

A weight tensor has a latent value z, which the optimizer moves, and a value x = prox(z), which the
network sees. In step t, with step size s, averaging a, and strength c:

    before    p <- a z + (1 - a) x                       the gradient g was taken at x
    step      p <- p - s * direction(g)                  whatever the optimizer does
    after     z <- p,    b <- a b + c s,    x = prox(z, b),    p <- x

a = 0 is the proximal gradient method (with projections: iterative hard thresholding). a = 1 is dual
averaging; with a projection, it is the straight-through estimator on latent weights. Between the
two lies extended regularized dual averaging (xRDA), in which a goes from 0 to 1.

The step size s makes fixed points of proximal steps stationary points of loss + penalty: the
learning rate, over 1 - momentum where the optimizer does not average its gradients; with
``metric="adaptive"`` each entry has its own, and the prox is that of the metric of Adam.

Sources: Xiao, "Dual averaging methods for regularized stochastic learning", JMLR 2010; Siegel,
Chen, Zhang and Xu, "Training sparse neural networks using compressed sensing", arXiv 2008.09661
(xRDA and the adaptive weights); Yun, Lozano and Yang, "Adaptive proximal gradient methods for
structured neural networks", NeurIPS 2021 (the metric).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, ClassVar, Protocol

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from sparsereg.nn.schedules import Schedule, at
from sparsereg.penalties import L1, L21, Hierarchical, KSupport, Penalty
from sparsereg.penalties.checks import check_has_prox


class HasProx(Protocol):
    """What can be attached: a penalty of the package, a pattern, or anything with a prox."""

    def prox(self, v: Any, step: Any) -> Any:
        """Return the minimizer over x of ``||x - v||^2 / (2 step) + value(x)``."""


class AdaptiveL1(L1):
    """Lasso penalty whose weights follow the sizes of the network weights, as in xRDA.

    With a the running mean of ``|x|``, the factor of an entry is ``m / (1 + (m - 1) a / max a)``:
    m at zero, 1 at the largest weight of the tensor. Integrated, that is a log-sum penalty with
    ``eps = max a / (m - 1)``: iteratively reweighted l1 inside the training.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength for the largest weights.
    factor : float >= 1, default=500.0
        The factor m of entries at zero.
    time_scale : float > 0, default=9.5
        Of the running mean, in units of learning rate times steps.

    References
    ----------
    Siegel, Chen, Zhang and Xu, "Training sparse neural networks using compressed sensing", arXiv
    2008.09661; Candes, Wakin and Boyd, "Enhancing sparsity by reweighted l1 minimization", 2008.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "alpha": [Interval(Real, 0, None, closed="left")],
        "factor": [Interval(Real, 1, None, closed="left")],
        "time_scale": [Interval(Real, 0, None, closed="neither")],
    }
    weights = None
    positive = False

    def __init__(
        self, alpha: float = 1.0, *, factor: float = 500.0, time_scale: float = 9.5
    ) -> None:
        self.alpha = alpha
        self.factor = factor
        self.time_scale = time_scale

    def factors(self, average: Tensor) -> Tensor:
        """Return the factor of each entry, given the running mean of the sizes."""
        largest = average.max()
        if largest == 0:
            return torch.full_like(average, self.factor)
        shares = 1.0 + (self.factor - 1.0) * average / largest
        return torch.full_like(average, self.factor) / shares


def attach_prox(
    optimizer: torch.optim.Optimizer,
    params: Iterable[Tensor | Sequence[Tensor]],
    penalty: HasProx,
    *,
    averaging: Schedule = 0.0,
    strength: Schedule = 1.0,
    groups: str | None = None,
    metric: str = "euclidean",
    weight_decay: float = 0.0,
    freeze_at: int | None = None,
    vectors: bool = False,
) -> ProxHandle:
    """Let an optimizer minimize loss + penalty, with exact zeros in the parameters.

    After each ``optimizer.step()`` the parameters are the prox of the step's result; see the head
    of this module. Schedulers, gradient scalers (a skipped step does nothing here), closures, tied
    parameters and checkpoints work as before: what is remembered lies in ``optimizer.state``.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Any but LBFGS.
    params : iterable of parameters
        A tuple of matrices with as many columns each is one matrix to the penalty, stacked by
        rows; :class:`~sparsereg.penalties.Hierarchical` wants (skip weights, first layer).
    penalty : Penalty or Pattern
        Anything with ``prox(v, step)``.
    averaging : float in [0, 1] or function of the step, default=0.0
        0 is the proximal gradient method, 1 is dual averaging (straight-through for projections),
        a schedule such as ``Cosine(0, 1, n_steps)`` is xRDA.
    strength : float or function of the step, default=1.0
        Factor of the penalty; at 0, parameters are left alone.
    groups : {"inputs", "outputs", "kernels", "layer"} or None, default=None
        What a group of :class:`~sparsereg.penalties.L21` or
        :class:`~sparsereg.penalties.KSupport` is in a tensor of shape (outputs, inputs, ...).
    metric : {"euclidean", "adaptive"}, default="euclidean"
        "adaptive" takes the prox in the metric of Adam, AdamW, RMSprop or Adagrad, which makes the
        limit a stationary point of loss + penalty; for separable penalties and L21.
    weight_decay : float, default=0.0
        Ridge strength, acting on the weights the network uses. The optimizer's own acts on the
        latent weights.
    freeze_at : int or None, default=None
        From this step on, zeros stay zero and the others are trained without penalty.
    vectors : bool, default=False
        Whether one-dimensional parameters (biases, normalization) are penalized, too.

    Returns
    -------
    ProxHandle

    Raises
    ------
    ValueError, TypeError
        For parameters that the optimizer does not have, or combinations without a meaning.

    Examples
    --------
    >>> import torch
    >>> from sparsereg import penalties
    >>> from sparsereg.nn import attach_prox
    >>> model = torch.nn.Linear(4, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> handle = attach_prox(optimizer, model.parameters(), penalties.L1(10.0))
    >>> model(torch.ones(1, 4)).sum().backward(); optimizer.step()
    >>> handle.sparsity()
    1.0
    """
    check_has_prox(penalty)
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("LBFGS does not go with a prox. Use SGD, Adam or another one.")
    if metric not in ("euclidean", "adaptive"):
        raise ValueError(f"metric={metric!r} is unknown. Use 'euclidean' or 'adaptive'.")
    if metric == "adaptive" and not isinstance(penalty, Penalty):
        raise ValueError(
            f"metric='adaptive' needs a separable penalty or L21, and {type(penalty).__name__} is "
            f"neither. Use metric='euclidean'."
        )
    if isinstance(penalty, L21) and groups is None:
        raise ValueError(f"L21 needs groups. Use one of {', '.join(map(repr, _VIEWS))}.")
    if groups is not None and groups not in _VIEWS:
        raise ValueError(
            f"groups={groups!r} is unknown. Use one of {', '.join(map(repr, _VIEWS))}."
        )
    if groups is not None and not isinstance(penalty, (L21, KSupport)):
        raise ValueError(f"{type(penalty).__name__} has no groups. Use groups=None.")
    if isinstance(penalty, AdaptiveL1) and metric == "adaptive":
        raise ValueError("AdaptiveL1 has weights of its own. Use metric='euclidean'.")
    if not callable(averaging) and not 0 <= averaging <= 1:
        raise ValueError(f"averaging={averaging!r} must lie between 0 and 1.")
    for name, value in (("strength", strength), ("weight_decay", weight_decay)):
        if not callable(value) and not 0 <= value < math.inf:
            raise ValueError(f"{name}={value!r} must be a finite number >= 0.")
    blocks = _blocks(optimizer, params, vectors)
    if isinstance(penalty, Hierarchical) and any(len(block) < 2 for block in blocks):
        raise ValueError(
            "Hierarchical needs two matrices at once. Give params=[(skip.weight, first.weight)]."
        )
    handle = ProxHandle(optimizer, blocks, penalty, groups, metric)
    handle.averaging, handle.strength = averaging, strength
    handle.weight_decay, handle.freeze_at = weight_decay, freeze_at
    return handle


class ProxHandle:
    """What :func:`attach_prox` returns: looks at the penalized parameters, and detaches.

    Attributes
    ----------
    averaging, strength, weight_decay, freeze_at
        As given to :func:`attach_prox`; may be changed while training.
    """

    averaging: Schedule = 0.0
    strength: Schedule = 1.0
    weight_decay: float = 0.0
    freeze_at: int | None = None

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        blocks: list[tuple[Tensor, ...]],
        penalty: HasProx,
        groups: str | None,
        metric: str,
    ) -> None:
        self._optimizer, self._blocks = optimizer, blocks
        self._penalty, self._groups, self._metric = penalty, groups, metric
        self._pending: dict[int, Any] = {}
        self._hooks = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]
        self._attached = {id(p) for block in blocks for p in block}
        optimizer.__dict__.setdefault("_sparsereg_attached", set()).update(self._attached)

    @property
    def parameters(self) -> list[Tensor]:
        """The penalized parameters."""
        return [p for block in self._blocks for p in block]

    def sparsity(self) -> float:
        """Return the share of zeros in the penalized parameters."""
        zeros = sum(int((p == 0).sum()) for p in self.parameters)
        return zeros / sum(p.numel() for p in self.parameters)

    def value(self) -> float:
        """Return the penalty of the parameters, at strength one."""
        total = 0.0
        for block in self._blocks:
            w = self._view([p.detach().cpu() for p in block], block)
            separable = isinstance(self._penalty, Penalty) and not isinstance(self._penalty, L21)
            values = (w.reshape(-1) if separable else w).numpy()
            total += self._penalty.value(values)  # type: ignore[attr-defined]
        return total

    def freeze(self) -> None:
        """From now on, keep zeros at zero and train the others without penalty."""
        self.freeze_at = 0

    def remove(self) -> None:
        """Detach; the parameters stay as the network sees them."""
        for hook in self._hooks:
            hook.remove()
        self._optimizer.__dict__["_sparsereg_attached"] -= self._attached

    # --------------------------------------------------------------------------------- the hooks

    @torch.no_grad()
    def _before(self, optimizer: Any, args: tuple, kwargs: dict) -> Any:
        replaced = self._closure_at_weights(args, kwargs)
        self._pending = {}
        if _is_skipped(optimizer):
            return replaced
        for k, block in enumerate(self._blocks):
            if all(p.grad is None for p in block):
                continue
            step = self._step_of(block)
            if self._is_frozen(step):
                self._pending[k] = [p != 0 for p in block]
                for p, mask in zip(block, self._pending[k]):
                    if p.grad is not None:
                        p.grad.mul_(mask)
                continue
            self._pending[k] = self._running_mean(block)
            averaging = at(self.averaging, step)
            for p in block:
                if self.weight_decay and p.grad is not None:
                    p.grad.copy_(p.grad + self.weight_decay * p)
                if averaging > 0:
                    latent = optimizer.state[p].get("prox_latent", p) if optimizer.state[p] else p
                    p.copy_(averaging * latent + (1.0 - averaging) * p if averaging < 1 else latent)
        return replaced

    @torch.no_grad()
    def _after(self, optimizer: Any, args: tuple, kwargs: dict) -> None:
        for k, pending in self._pending.items():
            block = self._blocks[k]
            state, step = optimizer.state[block[0]], self._step_of(block)
            state["prox_step"] = step + 1
            if self._is_frozen(step):
                for p, mask in zip(block, pending):
                    p.mul_(mask)
                continue
            averaging, strength = at(self.averaging, step), at(self.strength, step)
            if callable(self.averaging) or averaging > 0:
                for p in block:
                    optimizer.state[p]["prox_latent"] = p.clone()
            sizes = self._step_sizes(block)
            if pending is not None:
                state["prox_mean"] = pending
                sizes = sizes * self._penalty.factors(pending)  # type: ignore[attr-defined]
            threshold = averaging * state.get("prox_threshold", 0.0) + strength * sizes
            state["prox_threshold"] = threshold
            if strength > 0:
                latent = self._view(block, block)
                self._write(block, self._penalty.prox(latent, threshold))

    def _is_frozen(self, step: int) -> bool:
        return self.freeze_at is not None and step >= self.freeze_at

    def _step_of(self, block: tuple[Tensor, ...]) -> int:
        state = self._optimizer.state
        return int(state[block[0]].get("prox_step", 0)) if block[0] in state else 0

    def _running_mean(self, block: tuple[Tensor, ...]) -> Tensor | None:
        if not isinstance(self._penalty, AdaptiveL1):
            return None
        lr = float(_group_of(self._optimizer, block[0])["lr"])
        sizes = self._view(block, block).abs()
        mean = self._optimizer.state[block[0]].get("prox_mean", 0.0)
        kept = math.exp(-lr / self._penalty.time_scale)
        return kept * mean + (1.0 - kept) * sizes

    def _step_sizes(self, block: tuple[Tensor, ...]) -> Any:
        if self._metric == "adaptive":
            sizes = [_adaptive_step(self._optimizer, p) for p in block]
            return self._view(sizes, block)
        return _plain_step(_group_of(self._optimizer, block[0]))

    def _view(self, values: Sequence[Tensor], block: tuple[Tensor, ...]) -> Tensor:
        """Return what the penalty sees of tensors shaped like those of a block."""
        if len(block) > 1:
            return torch.cat(tuple(values))
        if self._groups is not None:
            return _VIEWS[self._groups](values[0])
        return values[0].reshape(-1) if isinstance(self._penalty, KSupport) else values[0]

    def _write(self, block: tuple[Tensor, ...], values: Tensor) -> None:
        if len(block) > 1:
            for p, part in zip(block, values.split([p.shape[0] for p in block])):
                p.copy_(part)
        elif self._groups == "inputs":
            p = block[0]
            p.copy_(values.T.reshape(p.shape[1], p.shape[0], *p.shape[2:]).movedim(0, 1))
        else:
            values = values.T if self._groups is not None else values
            block[0].copy_(values.reshape(block[0].shape))

    def _closure_at_weights(self, args: tuple, kwargs: dict) -> Any:
        """Evaluate a closure where the network's weights are, before they become latent."""
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None or not (callable(self.averaging) or self.averaging > 0):
            return None
        with torch.enable_grad():
            loss = closure()
        return (args[0], lambda: loss, *args[2:]), {
            k: v for k, v in kwargs.items() if k != "closure"
        }


# A matrix with a column per group.
_VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "inputs": lambda p: p.movedim(1, 0).reshape(p.shape[1], -1).T,
    "outputs": lambda p: p.reshape(p.shape[0], -1).T,
    "kernels": lambda p: p.reshape(p.shape[0] * p.shape[1], -1).T,
    "layer": lambda p: p.reshape(1, -1).T,
}


def _blocks(
    optimizer: torch.optim.Optimizer, params: Iterable[Any], vectors: bool
) -> list[tuple[Tensor, ...]]:
    if isinstance(params, Tensor):
        raise TypeError("params is a tensor; it must be an iterable of them, such as [tensor].")
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    taken = set(optimizer.__dict__.get("_sparsereg_attached", ()))
    blocks: list[tuple[Tensor, ...]] = []
    seen: set[int] = set()
    for item in params:
        block = (item,) if isinstance(item, Tensor) else tuple(item)
        for p in block:
            if id(p) not in known:
                raise ValueError(
                    f"A parameter of shape {tuple(p.shape)} is not one of the optimizer's. Build "
                    f"the optimizer with it first."
                )
            if id(p) in taken:
                raise ValueError(
                    f"A parameter of shape {tuple(p.shape)} has a penalty already. Remove that "
                    f"first: handle.remove()."
                )
        if len(block) > 1 and len({p.shape[1:] for p in block}) > 1:
            shapes = ", ".join(str(tuple(p.shape)) for p in block)
            raise ValueError(f"Matrices of shapes {shapes} do not stack: give equal columns.")
        if id(block[0]) in seen or (block[0].ndim < 2 and not vectors):
            continue
        seen.update(id(p) for p in block)
        blocks.append(block)
    if not blocks:
        raise ValueError(
            "There is no parameter to penalize. One-dimensional ones need vectors=True."
        )
    return blocks


def _group_of(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Any]:
    for group in optimizer.param_groups:
        if any(p is parameter for p in group["params"]):
            return group
    raise ValueError("The optimizer has lost a penalized parameter. Attach the penalty anew.")


def _plain_step(group: dict[str, Any]) -> float:
    momentum = float(group.get("momentum", 0.0) or 0.0)
    return float(group["lr"]) * (1.0 - float(group.get("dampening", 0.0))) / (1.0 - momentum)


def _adaptive_step(optimizer: torch.optim.Optimizer, p: Tensor) -> Tensor:
    """Return the step of each entry: the learning rate over the root that the optimizer takes."""
    group, state = _group_of(optimizer, p), optimizer.state[p]
    if "exp_avg_sq" in state and "betas" in group:
        square = state.get("max_exp_avg_sq", state["exp_avg_sq"])
        root = (square / (1.0 - group["betas"][1] ** float(state["step"]))).sqrt()
    elif "square_avg" in state:
        root = state["square_avg"].sqrt()
    elif "sum" in state:
        root = state["sum"].sqrt()
    else:
        raise ValueError(
            f"metric='adaptive' does not know the metric of {type(optimizer).__name__}. Use Adam, "
            f"AdamW, RMSprop or Adagrad, or metric='euclidean'."
        )
    return _plain_step(group) / (root + group["eps"])


def _is_skipped(optimizer: Any) -> bool:
    """Whether a fused optimizer has been told by a gradient scaler to do nothing."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found > 0)
