"""Regularization paths: one workspace, decreasing alphas, each started where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sparsereg.backends.protocol import FloatArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.problem import Solution
from sparsereg.solvers.working_set import null_model, solve
from sparsereg.solvers.workspace import Workspace

# The alphas of a path on which everything is zero anyway, as in scikit-learn.
_SMALLEST_ALPHA = float(np.finfo(np.float64).resolution)


def solve_path(
    work: Workspace, penalty: ElasticNet, alphas: Sequence[float], *, tol: float, max_iter: int
) -> Iterator[Solution]:
    """Yield the solution at each alpha, in the order given (decreasing is fast)."""
    for alpha in alphas:
        yield solve(work, penalty.with_alpha(alpha), tol=tol, max_iter=max_iter)


def alpha_grid(work: Workspace, penalty: ElasticNet, n_alphas: int, eps: float) -> FloatArray:
    """Return the geometric grid from alpha_max down to ``eps * alpha_max``.

    alpha_max is the smallest alpha at which every penalized coefficient is zero; the workspace is
    left at that null model (intercept and unpenalized features only).

    Raises
    ------
    ValueError
        If the penalty has no l1 part: then no alpha makes the coefficients zero.
    """
    if penalty.l1_ratio == 0:
        raise ValueError(
            "Automatic alpha grid generation is not supported for l1_ratio=0. Please supply a grid "
            "by providing your estimator with the appropriate `alphas=` argument."
        )
    null_model(work, penalty)
    alpha_max = penalty.alpha_max(-work.gradient)
    if alpha_max <= _SMALLEST_ALPHA:
        return np.full(n_alphas, _SMALLEST_ALPHA)
    return np.geomspace(alpha_max, alpha_max * eps, num=n_alphas)
