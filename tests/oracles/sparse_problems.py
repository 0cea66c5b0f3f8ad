"""Small problems that several test files draw."""

from __future__ import annotations

import numpy as np


def lasso_gram(*, n, p, rho, seed):
    """Return X'X / n and X'y / n of rows with neighbor correlation rho and a sparse signal."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    X -= X.mean(axis=0)
    y = X[:, :: p // 10] @ rng.choice([-1.0, 1.0], len(range(0, p, p // 10)))
    y += rng.standard_normal(n)
    return X.T @ X / n, X.T @ (y - y.mean()) / n
