"""
The same data under the lasso and under CEL0
============================================

Eight of 40 correlated columns matter. CEL0 is the exact continuous relaxation of the l0 problem:
the same minima, no shrinkage. Its path is a staircase, because between two events the support
stays, and with it the least-squares fit on the support.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import lasso_path, sparse_path
from sparsereg.penalties import CEL0
from sparsereg.plotting import RegularizationPathDisplay

rng = np.random.default_rng(3)
n, p, rho = 80, 40, 0.5
X = rng.standard_normal((n, p))
for j in range(1, p):
    X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
X -= X.mean(axis=0)
X /= X.std(axis=0)
truth = np.zeros(p)
truth[::5] = [3, -2.5, 2, -2, 1.5, -1.5, 1, -1]
y = X @ truth + rng.standard_normal(n)
y -= y.mean()

# %%
# Columns have the norm 1 (times the root of n), which is what ``column_norms=1`` stands for.
lasso = lasso_path(X, y, eps=0.005)
cel0 = sparse_path(X, y, CEL0(column_norms=1.0), eps=1e-3)

# %%
# Triangles at the right edge mark the true values. On the lasso path every coefficient is too small
# wherever the noise columns (gray) are still out; when the large ones are nearly right, two dozen
# noise columns are in. Under CEL0 a column enters with its full size, and there is a wide range of
# alpha in which the right columns, and only these, are in the model at the right size.
fig, axes = plt.subplots(1, 2, figsize=(10.5, 4.6), sharey=True, layout="constrained")
for ax, path, title in zip(axes, (lasso, cel0), ("lasso", "CEL0")):
    RegularizationPathDisplay.from_path(path, ax=ax, max_names=0)
    for j in np.flatnonzero(truth):
        ax.plot(path[0], path[1][j], color="#0072B2", lw=1.8)
        ax.plot(path[0][-1], truth[j], "<", color="#D55E00", ms=7, clip_on=False, zorder=5)
    right = [set(np.flatnonzero(coef)) == set(np.flatnonzero(truth)) for coef in path[1].T]
    if any(right):
        first, last = np.flatnonzero(right)[[0, -1]]
        ax.axvspan(path[0][last], path[0][first], color="#009E73", alpha=0.15, lw=0)
    ax.set_title(title, loc="left", pad=30)
    ax.set_xlabel("alpha")
    print(f"{title}: the right columns and no others at {sum(right)} of {len(right)} alphas")
axes[1].set_ylabel("")

plt.show()
