"""Penalized least squares as a layer: solved by the package, differentiated at the solution.

    w(X, y, alpha) = argmin_w (1 / (2 n)) ||y - X w||^2 + P(w; alpha)

On the support S of the solution, with r = y - X w, H = X_S' X_S / n + diag(P''(w_S)) and a gradient
g of some loss with respect to w, one linear system H u = g_S gives

    d/dy        X_S u / n
    d/dX_S      (r u' - (X_S u) w_S') / n
    d/dalpha    -sum_j sign(w_j) u_j dP'(|w_j|)/dalpha

and zero elsewhere: off the support, small changes change nothing. At kinks (a coefficient that is
about to enter or to leave) these are one-sided derivatives. For penalties that are not convex, they
follow the local minimum that was found.

Sources: Bertrand et al., "Implicit differentiation of lasso-type models for hyperparameter
optimization", ICML 2020 (the derivative on the support); the formulas follow from differentiating
the optimality conditions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sparsereg._caller import warn_caller
from sparsereg.backends.registry import resolve_backend
from sparsereg.exceptions import ConvergenceWarning
from sparsereg.losses import Squared
from sparsereg.penalties import L1, ElasticNet, Penalty, arrays
from sparsereg.penalties.checks import check_separable
from sparsereg.solvers import nonconvex, working_set
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

# For a local minimum of a penalty that is not convex, to rounding.
_NEWTON_STEPS = 10


class LassoLayer(nn.Module):
    """Coefficients of a penalized least-squares fit, differentiable in X, y and alpha.

    Minimizes ``(1 / (2 n)) ||y - X w||^2 + penalty(w)`` over w in float64, by the package's exact
    solvers; there is no intercept: center X and y before, which is differentiable, too. The zeros
    of the result are exact.

    Parameters
    ----------
    penalty : Penalty, default=None
        Any separable penalty; its ``alpha`` is replaced by that of the call. None is ``L1()``.
    tol : float, default=1e-12
        Duality gap in mean squares of y. Where the penalty is not convex, Newton's method ends a
        local minimum at rounding level.
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
        tol: float = 1e-12,
        max_iter: int = 1000,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        penalty = L1() if penalty is None else check_separable(penalty)
        self.penalty, self.tol, self.max_iter, self.backend = penalty, tol, max_iter, backend

    def forward(self, X: Tensor, y: Tensor, alpha: Tensor | float) -> Tensor:
        """Return the coefficients.

        Parameters
        ----------
        X : Tensor of shape (n, p) or (batch, n, p)
        y : Tensor of shape (n,) or (batch, n)
            A batch of y may share one X, which is then prepared once.
        alpha : float or Tensor of shape () or (p,)
            Strength. One for each feature with an l1 or elastic-net penalty.

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
        return _Implicit.apply(X, y, strength, self)

    def extra_repr(self) -> str:
        """Return what torch prints of the layer."""
        return repr(self.penalty)

    def penalty_at(self, alpha: Any) -> Penalty:
        """Return the penalty with the alphas of a call as its strength."""
        alpha = np.asarray(alpha)
        if alpha.ndim == 0:
            return self.penalty.with_alpha(float(alpha))
        weighted = self.penalty.with_alpha(1.0)
        weighted.weights = alpha * self.penalty.feature_weights(alpha.size)
        return weighted

    def solve(self, X: np.ndarray, y: np.ndarray, penalty: Penalty) -> np.ndarray:
        """Return the coefficients of each row of y, of shape (batch, n)."""
        backend, X = resolve_backend(self.backend, X), np.asfortranarray(X)
        coefs, cache = np.zeros((len(y), X.shape[1])), None
        for k, target in enumerate(y):
            problem = Problem(X, np.ascontiguousarray(target), penalty, Squared(), None, False)
            work = Workspace(problem, backend, cache)
            cache = work.cache
            if isinstance(penalty, ElasticNet):
                solution: Any = working_set.solve(
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
            is_exact = isinstance(penalty, ElasticNet)
            coefs[k] = solution.coef if is_exact else _polished(X, target, penalty, solution.coef)
        return coefs


class _Implicit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, X: Tensor, y: Tensor, alpha: Tensor, layer: LassoLayer) -> Tensor:  # type: ignore[override]
        penalty = layer.penalty_at(_host(alpha))
        targets = _host(y).reshape(-1, y.shape[-1])
        if X.ndim == 3:
            pairs = zip(_host(X), targets)
            coefs = np.concatenate([layer.solve(x, target[None], penalty) for x, target in pairs])
        else:
            coefs = layer.solve(_host(X), targets, penalty)
        ctx.layer, ctx.penalty, ctx.coefs = layer, penalty, coefs
        ctx.save_for_backward(X, y, alpha)
        shape = (*y.shape[:-1], X.shape[-1])
        return torch.as_tensor(coefs.reshape(shape), dtype=X.dtype, device=X.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        X, y, alpha = ctx.saved_tensors
        matrices, targets = _host(X), _host(y).reshape(-1, y.shape[-1])
        gradients = _host(gradient).reshape(len(targets), -1)
        by_X, by_y = np.zeros_like(matrices), np.zeros_like(targets)
        by_alpha = np.zeros(tuple(alpha.shape))
        for k, (target, g, w) in enumerate(zip(targets, gradients, ctx.coefs)):
            x = matrices[k] if X.ndim == 3 else matrices
            support = np.flatnonzero(w)
            if support.size == 0:
                continue
            part, w_part = x[:, support], w[support]
            u = _solve(part, arrays.bend(ctx.penalty, w)[support], g[support])
            moved, residual = part @ u, target - part @ w_part
            by_y[k] = moved / len(target)
            into = by_X[k] if X.ndim == 3 else by_X
            into[:, support] += (np.outer(residual, u) - np.outer(moved, w_part)) / len(target)
            rates = _alpha_rates(ctx.layer, ctx.penalty, alpha, w)[support]
            pull = -np.sign(w_part) * u * rates
            if alpha.ndim:
                by_alpha[support] += pull
            else:
                by_alpha += pull.sum()
        return (
            *(
                torch.as_tensor(
                    grad.reshape(tuple(like.shape)), dtype=like.dtype, device=like.device
                )
                for grad, like in ((by_X, X), (by_y, y), (by_alpha, alpha))
            ),
            None,
        )


def _polished(X: np.ndarray, y: np.ndarray, penalty: Penalty, w: np.ndarray) -> np.ndarray:
    """Return the end of Newton's method on the support, as long as the gradient there falls."""
    support = np.flatnonzero(w)
    part, best, lowest = X[:, support], w, np.inf
    for _ in range(_NEWTON_STEPS):
        slopes = np.sign(w[support]) * penalty.slope(w)[support]
        gradient = part.T @ (part @ w[support] - y) / len(y) + slopes
        size = float(np.linalg.norm(gradient))
        if not size < lowest:
            break
        best, lowest = w, size
        hessian = part.T @ part / len(y) + np.diag(arrays.bend(penalty, w)[support])
        moved = w.copy()
        moved[support] -= np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        if np.any(np.sign(moved) != np.sign(w)):
            break
        w = moved
    return best


def _solve(X: np.ndarray, bends: np.ndarray, g: np.ndarray) -> np.ndarray:
    hessian = X.T @ X / len(X) + np.diag(bends)
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
