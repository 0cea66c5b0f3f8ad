"""Penalized regression as a layer: solved by the package, differentiated at the solution.

    w(X, y, alpha, s) = argmin_w (1/n) sum_i s_i loss(y_i, x_i' w) + P(w; alpha),    sum_i s_i = n

On the support S of the solution, let r and d be the first (negative) and second derivatives of each
loss in x_i' w (squared loss: r = y - X w and d = 1), and g a gradient with respect to w. With
H = X_S' diag(s d) X_S / n + diag(P''(w_S)), one linear system H u = g_S gives, with m = X_S u,

    d/dy_i      s_i m_i / n
    d/dX_iS     s_i (r_i u' - d_i m_i w_S') / n
    d/dalpha    -sum_j sign(w_j) u_j dP'(|w_j|)/dalpha
    d/ds_i      (r_i m_i - mean(s r m)) / n

and zero elsewhere: off the support, small changes change nothing. At kinks (a coefficient that is
about to enter or to leave) these are one-sided derivatives. For penalties that are not convex, they
follow the local minimum that was found.

Sources: Bertrand et al., "Implicit differentiation of lasso-type models for hyperparameter
optimization", ICML 2020 (the derivative on the support); the formulas follow from differentiating
the optimality conditions.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sparsereg._caller import warn_caller
from sparsereg.backends.registry import resolve_backend
from sparsereg.exceptions import ConvergenceWarning
from sparsereg.losses import Squared
from sparsereg.penalties import L1, ElasticNet, Penalty, arrays
from sparsereg.penalties.checks import check_separable
from sparsereg.solvers import logistic, nonconvex, working_set
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

# For a local minimum of a penalty that is not convex, to rounding.
_NEWTON_STEPS = 10


class LassoLayer(nn.Module):
    """Coefficients of a penalized regression, differentiable in X, y, alpha and sample weights.

    Minimizes the mean loss plus ``penalty(w)`` over w in float64, by the package's exact solvers;
    there is no intercept: center X and y before (which is differentiable, too), or give X a column
    of ones whose penalty weight is zero. The zeros of the result are exact.

    Parameters
    ----------
    penalty : Penalty, default=None
        Any separable penalty; its ``alpha`` is replaced by that of the call. None is ``L1()``.
    loss : {"squared", "logistic"}, default="squared"
        ``(y - z)^2 / 2``, or ``log(1 + exp(z)) - y z`` for classes y in {0, 1} or probabilities
        between them; the latter with an l1 or elastic-net penalty.
    tol : float, default=1e-12
        Squared loss: duality gap in mean squares of y. Logistic loss: decrease of the objective
        that a further Newton step predicts. Where the penalty is not convex, Newton's method ends
        a local minimum at rounding level.
    max_iter : int, default=1000
        Budget of passes over X.
    backend : str, default="auto"
        Who computes. Tensors of other devices are copied to the CPU for it, and results back.

    References
    ----------
    Bertrand et al., "Implicit differentiation of lasso-type models for hyperparameter
    optimization", ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sparsereg.nn import LassoLayer
    >>> X = 2 * torch.eye(2, dtype=torch.float64)
    >>> y = torch.tensor([3.0, 0.1], dtype=torch.float64)
    >>> alpha = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    >>> w = LassoLayer()(X, y, alpha)
    >>> w.sum().backward()
    >>> w.detach().numpy(), alpha.grad.item()
    (array([1., 0.]), -0.5)
    """

    def __init__(
        self,
        penalty: Penalty | None = None,
        *,
        loss: str = "squared",
        tol: float = 1e-12,
        max_iter: int = 1000,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        penalty = L1() if penalty is None else check_separable(penalty)
        if loss not in _LOSSES:
            raise ValueError(f"loss={loss!r} is unknown. Use 'squared' or 'logistic'.")
        if loss == "logistic" and not isinstance(penalty, ElasticNet):
            raise ValueError(
                f"{penalty!r} does not go with loss='logistic'. Use L1() or ElasticNet()."
            )
        self.penalty, self.loss = penalty, loss
        self.tol, self.max_iter, self.backend = tol, max_iter, backend

    def forward(
        self,
        X: Tensor,
        y: Tensor,
        alpha: Tensor | float,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the coefficients.

        Parameters
        ----------
        X : Tensor of shape (n, p) or (batch, n, p)
        y : Tensor of shape (n,) or (batch, n)
            A batch of y may share one X, which is then prepared once.
        alpha : float or Tensor of shape () or (p,)
            Strength. One for each feature with an l1 or elastic-net penalty.
        sample_weight : Tensor of shape (n,) or (batch, n), default=None
            Not negative; only their ratios matter, and weight 0 equals absence.

        Returns
        -------
        Tensor of shape (p,) or (batch, p)
        """
        if X.ndim not in (2, 3) or y.ndim not in (1, 2) or X.shape[-2] != y.shape[-1]:
            raise ValueError(
                f"X of shape {tuple(X.shape)} and y of shape {tuple(y.shape)} do not fit. Give "
                f"(n, p) or (batch, n, p), and (n,) or (batch, n)."
            )
        if X.ndim == 3 and (y.ndim != 2 or y.shape[0] != X.shape[0]):
            raise ValueError(
                f"X is a batch of {X.shape[0]} and y has shape {tuple(y.shape)}. Give one y for "
                f"each X."
            )
        if not X.is_floating_point() or not y.is_floating_point():
            raise TypeError(
                f"X of {X.dtype} and y of {y.dtype} are not both of floating point. Convert them, "
                f"for example with X.double()."
            )
        strength = torch.as_tensor(alpha, dtype=X.dtype, device=X.device)
        if strength.ndim and not (
            isinstance(self.penalty, ElasticNet) and strength.shape == X.shape[-1:]
        ):
            raise ValueError(
                f"alpha of shape {tuple(strength.shape)} is refused: a strength for each of the "
                f"{X.shape[-1]} features needs an l1 or elastic-net penalty. Give a number."
            )
        if not bool(torch.all((strength > 0) & torch.isfinite(strength))):
            raise ValueError("alpha must be positive and finite: at 0 there is no sparse solution.")
        for name, values in (("X", X), ("y", y)):
            if not bool(torch.isfinite(values).all()):
                raise ValueError(f"{name} contains NaN or inf. Remove them first.")
        if self.loss == "logistic" and not bool(torch.all((y >= 0) & (y <= 1))):
            raise ValueError(
                f"y goes from {float(y.min()):g} to {float(y.max()):g}, and loss='logistic' needs "
                f"numbers from 0 to 1. Code the two classes as 0 and 1."
            )
        weights = None if sample_weight is None else _checked_weights(sample_weight, X, y)
        return _Implicit.apply(X, y, strength, weights, self)

    def extra_repr(self) -> str:
        """Return what torch prints of the layer."""
        return f"{self.penalty!r}, loss={self.loss!r}"

    def penalty_at(self, alpha: Any) -> Penalty:
        """Return the penalty with the alphas of a call as its strength."""
        alpha = np.asarray(alpha)
        if alpha.ndim == 0:
            return self.penalty.with_alpha(float(alpha))
        weighted = self.penalty.with_alpha(1.0)
        weighted.weights = alpha * self.penalty.feature_weights(alpha.size)
        return weighted

    def solve(
        self, X: np.ndarray, y: np.ndarray, penalty: Penalty, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the coefficients of each row of y, of shape (batch, n).

        The weights, of shape (n,), have the sum n.
        """
        backend, X = resolve_backend(self.backend, X), np.asfortranarray(X)
        coefs, cache = np.zeros((len(y), X.shape[1])), None
        for k, target in enumerate(np.ascontiguousarray(y)):
            solution: Any
            if self.loss == "logistic":
                solution = logistic.solve(
                    X, target, weights, cast(ElasticNet, penalty), backend,
                    tol=self.tol, max_iter=self.max_iter,
                )  # fmt: skip
            else:
                problem = Problem(X, target, penalty, Squared(), weights, False)
                work = Workspace(problem, backend, cache)
                cache = work.cache
                if isinstance(penalty, ElasticNet):
                    solution = working_set.solve(
                        work, penalty, tol=self.tol, max_iter=self.max_iter
                    )
                else:
                    solution = nonconvex.solve(
                        work, penalty, strategy="path", tol=1e-6, max_iter=self.max_iter
                    )
            if not solution.converged:
                warn_caller(
                    f"LassoLayer reached {solution.dual_gap:.1e} and not {solution.tolerance:.1e}: "
                    f"its gradients are as inexact. Increase max_iter or tol.",
                    ConvergenceWarning,
                )
            is_exact = self.loss == "squared" and isinstance(penalty, ElasticNet)
            coefs[k] = (
                solution.coef
                if is_exact
                else self._polished(X, target, penalty, weights, solution.coef)
            )
        return coefs

    def derivatives(
        self, X: np.ndarray, y: np.ndarray, w: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return r and d: the first (negative) and second derivatives of each loss in x_i' w."""
        return _LOSSES[self.loss](y, X @ w)

    def _polished(
        self,
        X: np.ndarray,
        y: np.ndarray,
        penalty: Penalty,
        weights: np.ndarray | None,
        w: np.ndarray,
    ) -> np.ndarray:
        """Return the end of Newton's method on the support, as long as the gradient there falls."""
        support = np.flatnonzero(w)
        part, best, lowest = X[:, support], w, np.inf
        s = 1.0 if weights is None else weights
        for _ in range(_NEWTON_STEPS):
            slopes = np.sign(w[support]) * penalty.slope(w)[support]
            r, d = self.derivatives(part, y, w[support])
            gradient = slopes - part.T @ (s * r) / len(y)
            size = float(np.linalg.norm(gradient))
            if not size < lowest:
                break
            best, lowest = w, size
            moved = w.copy()
            hessian = _hessian(part, s * d, arrays.bend(penalty, w)[support])
            moved[support] -= np.linalg.lstsq(hessian, gradient, rcond=None)[0]
            if np.any(np.sign(moved) != np.sign(w)):
                break
            w = moved
        return best


def _squared(y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return y - z, np.ones_like(z)


def _logistic(y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = expit(z)
    return y - p, p * (1.0 - p)


_LOSSES = {"squared": _squared, "logistic": _logistic}


class _Implicit(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, X: Tensor, y: Tensor, alpha: Tensor, weights: Tensor | None, layer: LassoLayer
    ) -> Tensor:
        penalty = layer.penalty_at(_host(alpha))
        targets, s = _host(y).reshape(-1, y.shape[-1]), _normalized(weights)
        if X.ndim == 3 or (s is not None and s.ndim == 2):
            matrices = _host(X)
            coefs = np.concatenate(
                [
                    layer.solve(_item(matrices, k, 3), target[None], penalty, _item(s, k, 2))
                    for k, target in enumerate(targets)
                ]
            )
        else:
            coefs = layer.solve(_host(X), targets, penalty, s)
        ctx.layer, ctx.penalty, ctx.coefs, ctx.weights = layer, penalty, coefs, s
        ctx.save_for_backward(X, y, alpha, weights)
        shape = (*y.shape[:-1], X.shape[-1])
        return torch.as_tensor(coefs.reshape(shape), dtype=X.dtype, device=X.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        X, y, alpha, weights = ctx.saved_tensors
        matrices, targets = _host(X), _host(y).reshape(-1, y.shape[-1])
        gradients = _host(gradient).reshape(len(targets), -1)
        by_X, by_y = np.zeros_like(matrices), np.zeros_like(targets)
        by_alpha = np.zeros(tuple(alpha.shape))
        by_weights = None if weights is None else np.zeros(tuple(weights.shape))
        n = targets.shape[1]
        for k, (target, g, w) in enumerate(zip(targets, gradients, ctx.coefs)):
            support = np.flatnonzero(w)
            if support.size == 0:
                continue
            part, w_part = _item(matrices, k, 3)[:, support], w[support]
            s = 1.0 if weights is None else _item(ctx.weights, k, 2)
            r, d = ctx.layer.derivatives(part, target, w_part)
            u = _solve(_hessian(part, s * d, arrays.bend(ctx.penalty, w)[support]), g[support])
            m = part @ u
            by_y[k] = s * m / n
            into = _item(by_X, k, 3)
            into[:, support] += (np.outer(s * r, u) - np.outer(s * d * m, w_part)) / n
            if by_weights is not None:
                # of the weights as given, which only count by their ratios
                total = float(_item(_host(weights), k, 2).sum())
                _item(by_weights, k, 2)[...] += (r * m - np.mean(s * r * m)) / total
            rates = _alpha_rates(ctx.layer, ctx.penalty, alpha, w)[support]
            pull = -np.sign(w_part) * u * rates
            if alpha.ndim:
                by_alpha[support] += pull
            else:
                by_alpha += pull.sum()
        return (
            _like(by_X, X),
            _like(by_y, y),
            _like(by_alpha, alpha),
            None if weights is None else _like(by_weights, weights),
            None,
        )


def _checked_weights(weights: Tensor, X: Tensor, y: Tensor) -> Tensor:
    weights = torch.as_tensor(weights, dtype=X.dtype, device=X.device)
    if weights.shape not in (y.shape[-1:], y.shape):
        raise ValueError(
            f"sample_weight of shape {tuple(weights.shape)} does not fit y of shape "
            f"{tuple(y.shape)}. Give a weight for each sample."
        )
    if not bool(torch.all((weights >= 0) & torch.isfinite(weights))):
        raise ValueError("sample_weight has negative numbers, NaN or inf. Give numbers >= 0.")
    if not bool(torch.all(weights.sum(-1) > 0)):
        raise ValueError("All sample_weight are zero. At least one must be positive.")
    return weights


def _normalized(weights: Tensor | None) -> Any:
    """Return weights of sum n as an array, or None."""
    if weights is None:
        return None
    s = _host(weights)
    return s / s.mean(axis=-1, keepdims=True)


def _item(values: Any, k: int, batch_ndim: int) -> Any:
    """Return the part of a problem of a batch, or what all share."""
    return values[k] if values is not None and values.ndim == batch_ndim else values


def _hessian(X: np.ndarray, curvatures: np.ndarray, bends: np.ndarray) -> np.ndarray:
    return (X.T * curvatures) @ X / len(X) + np.diag(bends)


def _solve(hessian: np.ndarray, g: np.ndarray) -> np.ndarray:
    if np.linalg.cond(hessian) < 1.0 / np.finfo(np.float64).eps:
        return np.linalg.solve(hessian, g)
    warn_caller(
        "The Hessian on the support is singular, so that the solution is not unique: the gradient "
        "of LassoLayer is one of many. Add a ridge part, or increase alpha.",
        RuntimeWarning,
    )
    return np.linalg.lstsq(hessian, g, rcond=None)[0]


def _alpha_rates(layer: LassoLayer, penalty: Penalty, alpha: Tensor, w: np.ndarray) -> np.ndarray:
    """Return the derivative of each slope with respect to its alpha."""
    if alpha.ndim == 0:
        return penalty.slope_by_alpha(w)
    return layer.penalty.with_alpha(1.0).slope(w)


def _host(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _like(values: Any, tensor: Tensor) -> Tensor:
    shaped = np.reshape(values, tuple(tensor.shape))
    return torch.as_tensor(shaped, dtype=tensor.dtype, device=tensor.device)
