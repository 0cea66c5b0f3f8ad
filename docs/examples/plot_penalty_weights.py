"""
Penalty weights: adjust for some columns, shrink others less
============================================================

A factor per column turns the lasso into other estimators. Two of them on simulated data: 200
rows, 5 confounders that must be in the model whatever their size, and 300 candidates of which 6
matter. Every candidate shares some of its variation with the confounders.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import LassoCV

rng = np.random.default_rng(0)
n, n_confounders, n_candidates = 200, 5, 300
confounders = rng.standard_normal((n, n_confounders))
shared = 0.3 * confounders @ rng.standard_normal((n_confounders, n_candidates))
X = np.hstack([confounders, shared + rng.standard_normal((n, n_candidates))])
X /= X.std(axis=0)

truth = np.zeros(X.shape[1])
truth[:n_confounders] = [0.5, -0.5, 0.5, -0.5, 0.5]
truth[n_confounders : n_confounders + 6] = [2.0, -1.5, 1.2, -1.0, 0.8, -0.6]
y = X @ truth + rng.standard_normal(n)

# %%
# Three fits
# ----------
# The plain lasso penalizes everything alike. The second one leaves the confounders unpenalized:
# their weight is 0. The third is the adaptive lasso: candidates that the second fit found large
# become cheap, those it found small expensive, and those it did not find are excluded by an
# infinite weight. All three take the sparsest model within one standard error of the best.
plain = LassoCV(cv=5, selection="1se").fit(X, y)

weights = np.ones(X.shape[1])
weights[:n_confounders] = 0
adjusted = LassoCV(cv=5, selection="1se", penalty_weights=weights).fit(X, y)

with np.errstate(divide="ignore"):
    weights[n_confounders:] = 1 / np.abs(adjusted.coef_[n_confounders:])
adaptive = LassoCV(cv=5, selection="1se", penalty_weights=weights).fit(X, y)

# %%
# The first forty of the 305 coefficients. Bars mark the truth. The plain lasso hands a part of
# what the confounders do to candidates that resemble them. Adjusting for them stops that; the
# adaptive fit also lifts most of the shrinkage.
fig, axes = plt.subplots(1, 3, figsize=(10, 4.2), sharey=True, layout="constrained")
position = np.arange(X.shape[1])
matters = truth != 0
titles = ("lasso", "confounders unpenalized", "adaptive")
for ax, model, title in zip(axes, (plain, adjusted, adaptive), titles):
    ax.axvspan(-1, n_confounders - 0.5, color="0.93")
    ax.axhline(0, color="0.2", lw=0.8)
    ax.plot(position[matters], truth[matters], "_", color="0.2", ms=7, mew=2, label="truth")
    for which, color, label in (
        (matters, "#0072B2", "matters"),
        (~matters, "#D55E00", "false discovery"),
    ):
        found = which & (model.coef_ != 0)
        ax.vlines(position[found], 0, model.coef_[found], color=color, lw=1)
        ax.plot(position[found], model.coef_[found], "o", color=color, ms=4, label=label)
    n_false = np.count_nonzero(model.coef_[~matters])
    error = np.sqrt(np.mean((X @ (model.coef_ - truth)) ** 2))
    ax.set_title(f"{title}\n{n_false} false of 294, error {error:.2f}", loc="left", fontsize=11)
    ax.set_xlabel("column (gray: confounders)")
    ax.set_xlim(-1, 40)
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("coefficient")
axes[2].legend(frameon=False, loc="lower right")

plt.show()

# %%
# "Error" is the root mean square error of the fitted values against the true ones, in units of
# the noise. One caution: the cross-validation of an adaptive fit is optimistic, because its
# weights have seen the held-out rows. To compare it with other models, cross-validate both
# stages together.
