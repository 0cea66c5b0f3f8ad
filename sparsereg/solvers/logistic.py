"""Logistic regression with an elastic-net penalty, by proximal Newton steps of the lasso engine.

    F(w) = (1/n) sum_i s_i (log(1 + exp(z_i)) - y_i z_i) + P(w),    z = X w,

without intercept, for y_i in [0, 1] (classes or probabilities). With p = 1 / (1 + exp(-z)) and
d = p (1 - p), the loss around w is, up to a constant, the weighted squared loss

    (1/(2n)) sum_i s_i d_i (z_i + (y_i - p_i) / d_i - x_i' v)^2,

whose minimum v under P is a weighted lasso problem. With D = F'(w; v - w), the predicted decrease
is -D >= 0; it is zero only at the minimum, and beside a quadratic model about twice the distance
of F(w) from it. The step is halved until F falls by a share of it.

Source: Lee, Sun and Saunders, "Proximal Newton-type methods for minimizing composite functions",
SIAM Journal on Optimization, 2014; Yuan, Ho and Lin, "An improved GLMNET for l1-regularized
logistic regression", JMLR, 2012.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from sparsereg.backends.protocol import Backend, FloatArray
from sparsereg.losses import Squared
from sparsereg.penalties import ElasticNet
from sparsereg.solvers import working_set
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

# Share of the predicted decrease that a step must bring; halvings at most.
_SUFFICIENT, _HALVINGS = 1e-4, 40
# Below it, the curvature of a sample counts as this much: its target stays within reach.
_SMALLEST_CURVATURE = 1e-8
# Gap of each quadratic problem, in mean squares of its target.
_INNER_TOL = 1e-14


class LogisticSolution(NamedTuple):
    """What :func:`solve` returns: ``dual_gap`` holds the predicted decrease of a further step."""

    coef: FloatArray
    dual_gap: float
    tolerance: float
    n_iter: int
    converged: bool


def solve(
    X: FloatArray,
    y: FloatArray,
    weights: FloatArray | None,
    penalty: ElasticNet,
    backend: Backend,
    *,
    tol: float,
    max_iter: int,
) -> LogisticSolution:
    """Minimize the mean logistic loss plus the penalty.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    y : ndarray of shape (n,)
        Between 0 and 1.
    weights : ndarray of shape (n,) or None
        Normalized to sum n.
    penalty : ElasticNet
    backend : Backend
    tol : float
        Stop when the predicted decrease of the objective is at most this; the steps are then
        quadratic, and the last one is still taken.
    max_iter : int
        Newton steps at most, and passes over X of each of them.
    """
    s = np.ones(len(y)) if weights is None else weights
    w, z = np.zeros(X.shape[1]), np.zeros(len(y))
    value = _objective(z, y, s, penalty, w)
    decrease, n_iter = np.inf, 0
    while n_iter < max_iter:
        n_iter += 1
        # 1. the quadratic model at w, minimized
        p = expit(z)
        d = np.maximum(p * (1.0 - p), _SMALLEST_CURVATURE)
        share = float(np.mean(s * d))
        problem = Problem(
            X, z + (y - p) / d, penalty.with_alpha(penalty.alpha / share), Squared(),
            s * d / share, False,
        )  # fmt: skip
        work = Workspace(problem, backend)
        v = working_set.solve(work, problem.penalty, tol=_INNER_TOL, max_iter=max_iter).coef
        # 2. what it promises
        slope = X.T @ (s * (p - y)) / len(y)
        decrease = float(penalty.value(w) - penalty.value(v) - slope @ (v - w))
        # 3. a step that brings a share of it
        z_v, step = X @ v, 1.0
        for _ in range(_HALVINGS):
            w_new, z_new = w + step * (v - w), z + step * (z_v - z)
            new = _objective(z_new, y, s, penalty, w_new)
            if new <= value - _SUFFICIENT * step * decrease:
                break
            step *= 0.5
        else:  # rounding: nothing left to gain
            break
        w, z, value = w_new, z_new, new
        if decrease <= tol:
            break
    return LogisticSolution(w, max(decrease, 0.0), tol, n_iter, decrease <= tol)


def _objective(
    z: FloatArray, y: FloatArray, s: FloatArray, penalty: ElasticNet, w: FloatArray
) -> float:
    return float(np.mean(s * (np.logaddexp(0.0, z) - y * z))) + penalty.value(w)
