"""
Lasso and best subset, by rows and nonzeros
===========================================

Noiseless data, 60 columns, k of them with coefficients of size one and random sign. Are the right
columns found? For each number of rows and each k: the share of eight draws in which they are.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import L0Regressor, lasso_path
from sparsereg.plotting import PhaseTransitionDisplay

p = 60
rows = np.arange(8, 57, 6)
sizes = np.arange(1, 17, 2)


def draw(rng, n, k):
    X = rng.standard_normal((n, p))
    X /= np.linalg.norm(X, axis=0)
    support = rng.choice(p, k, replace=False)
    return X, X[:, support] @ rng.choice([-1.0, 1.0], k), set(support)


def lasso_finds(X, y, support):
    """Whether some alpha of the path has exactly the right columns."""
    _, coefs, _ = lasso_path(X, y, n_alphas=40, eps=1e-3)
    return any(set(np.flatnonzero(np.abs(coef) > 1e-6)) == support for coef in coefs.T)


def best_subset_finds(X, y, support):
    model = L0Regressor(n_nonzero=len(support), fit_intercept=False).fit(X, y)
    return set(model.support_) == support


# %%
# The line is where half of the draws succeed. Here a search for the best subset needs fewer rows
# than the lasso: its moves are judged with a refit, while the lasso has to tell the columns apart
# through its own shrinkage. Both have the sharp transition that theory predicts: D. Donoho, J.
# Tanner, *Philosophical Transactions of the Royal Society A* 367 (2009).
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
for ax, finds, title in zip(axes, (lasso_finds, best_subset_finds), ("lasso", "best subset")):
    trials = [
        (n, k, finds(*draw(np.random.default_rng((n, k, repeat)), n, k)))
        for n in rows
        for k in sizes
        for repeat in range(8)
    ]
    PhaseTransitionDisplay.from_predictions(*np.array(trials, dtype=float).T, ax=ax)
    ax.set_title(title, loc="left")
axes[1].set_ylabel("")

plt.show()
