"""
Few columns: the lasso, MCP and the best model of each size
===========================================================

How well do sparse models predict, given how many columns they may use? 100 rows, 300 correlated
columns, ten of which matter; the error is measured on 10,000 new rows.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import l0_path, lasso_path, penalties, sparse_path

rng = np.random.default_rng(0)
n, p, rho = 100, 300, 0.7


def draw(n_rows):
    rows = rng.standard_normal((n_rows, p))
    for j in range(1, p):
        rows[:, j] = rho * rows[:, j - 1] + np.sqrt(1 - rho**2) * rows[:, j]
    return rows


truth = np.zeros(p)
truth[::30] = 1.0
X, X_new = draw(n), draw(10_000)
noise = np.std(X_new @ truth) / np.sqrt(6)  # six times as much signal as noise
y = X @ truth + noise * rng.standard_normal(n)

# %%
# Three paths
# -----------
# The lasso and MCP go down a grid of alphas. ``l0_path`` needs none: it looks for the best model of
# every size, and knows on which interval of alpha each of them wins.
_, lasso, _ = lasso_path(X, y, eps=0.01)
_, mcp, _ = sparse_path(X, y, penalties.MCP(), eps=0.05)
subsets = l0_path(X, y, max_size=30, fit_intercept=False)
chosen = subsets.select("ebic")
print(f"EBIC takes {subsets.sizes[chosen]} columns, {int(np.sum(truth != 0))} matter")

# %%
# Left: the lasso needs many columns to predict well, because what it selects is shrunk. MCP and
# the best subsets reach less than half of its error with ten to fifteen; with more columns they fit
# noise. Right: the intervals of alpha; the longer one is, the clearer the choice of that size.
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for coefs, color, label in (
    (lasso, "#0072B2", "lasso"),
    (mcp, "#E69F00", "MCP"),
    (subsets.coefs, "#009E73", "best subset"),
):
    size = np.count_nonzero(coefs, axis=0)
    error = np.sqrt(np.mean((X_new @ (coefs - truth[:, None])) ** 2, axis=0)) / noise
    left.plot(size, error, ".-", color=color, ms=4, lw=1, label=label)
left.axvline(np.sum(truth != 0), color="0.8", lw=1, zorder=0)
left.set(xlim=(0, 60), ylim=(0, None), xlabel="columns used", ylabel="error / noise")
left.legend(frameon=False)

wins = subsets.alpha_high > subsets.alpha_low
top = np.minimum(subsets.alpha_high, 2 * np.nanmax(subsets.alpha_low))
right.hlines(
    subsets.sizes[wins], np.maximum(subsets.alpha_low[wins], 1e-4), top[wins], color="#009E73", lw=2
)
right.axhline(np.sum(truth != 0), color="0.8", lw=1, zorder=0)
right.set(xscale="log", xlabel="alpha, the price of a column", ylabel="columns of the best model")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)

plt.show()
