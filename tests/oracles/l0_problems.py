"""Small l0 problems, and their solutions by trying every support: the oracle of these tests."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import lsq_linear

from sparsereg.backends.registry import get_backend
from sparsereg.losses import Squared
from sparsereg.penalties import L1
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.subset import SubsetProblem
from sparsereg.solvers.workspace import Workspace


def subset_problem(X, y, l2=0.0, costs=None, sample_weight=None, fit_intercept=True):
    problem = Problem(X, y, L1(1.0), Squared(), sample_weight, fit_intercept)
    return SubsetProblem(Workspace(problem, get_backend("numba")), costs, l2)


def correlated(seed, n, p, rho=0.5, n_nonzero=3, noise=0.5, scales=False):
    """Return X with correlations rho^|i-j|, perhaps of wild scales, and y off the origin."""
    rng = np.random.default_rng(seed)
    covariance = rho ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    X = rng.standard_normal((n, p)) @ np.linalg.cholesky(covariance).T
    signal = X[:, rng.choice(p, n_nonzero, replace=False)].sum(axis=1)
    y = 3.0 + signal + noise * rng.standard_normal(n)
    if scales:
        X = X * 10.0 ** rng.integers(-4, 5, p)
    return X, y


def half_rss(X, y, support, l2=0.0, bound=np.inf):
    """Return the minimum over w on a support, |w_j| <= bound, of the objective without alpha."""
    n = len(y)
    support = list(support)
    Xc, yc = X - X.mean(axis=0), y - y.mean()
    stacked = np.vstack([Xc[:, support], np.sqrt(n * l2) * np.eye(len(support))])
    target = np.concatenate([yc, np.zeros(len(support))])
    if not support:
        return 0.5 * np.mean(yc**2)
    if np.isfinite(bound):
        coef = lsq_linear(stacked, target, (-bound, bound), method="bvls", tol=1e-14).x
    else:
        scale = np.linalg.norm(stacked, axis=0)
        coef = np.linalg.lstsq(stacked / scale, target, rcond=None)[0] / scale
    return 0.5 * np.sum((target - stacked @ coef) ** 2) / n


def best_by_size(X, y, l2=0.0, bound=np.inf):
    """Return the minimum of ``half_rss`` over the supports of each size, 0 to p."""
    p = X.shape[1]
    return np.array(
        [
            min(half_rss(X, y, S, l2, bound) for S in itertools.combinations(range(p), k))
            for k in range(p + 1)
        ]
    )
