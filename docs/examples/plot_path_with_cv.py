"""
Which alpha? A path and its cross-validation curve
==================================================

The diabetes data has ten columns; with squares and products there are 64. Above: every
coefficient along the path, from the largest alpha (left, nothing selected) to the smallest
(right, close to least squares). Below: the held-out error of five folds, its mean with a band of
one standard error. The two rules choose different models from the same curve.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sparsereg import LassoCV

# %%
# Columns are standardized before products are formed and again afterwards, so that every
# coefficient is "change of y per standard deviation of the column". ``selection`` only decides
# which alpha of the path is used.
data = load_diabetes()
expand = make_pipeline(
    StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler()
)
X, y = expand.fit_transform(data.data), data.target
names = expand[1].get_feature_names_out(data.feature_names)
different = names != "sex^2"  # sex has two values: its square says the same as sex
X, names = X[:, different], names[different]

best = LassoCV(cv=5, selection="min").fit(X, y)
sparse = LassoCV(cv=5, selection="1se").fit(X, y)
for rule, model in (("min", best), ("1se", sparse)):
    print(f"{rule}: alpha {model.alpha_:.2f}, {np.count_nonzero(model.coef_)} columns")

# %%
# Colored are the columns with the largest coefficients under the one-standard-error rule.
colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
selected = np.argsort(-np.abs(sparse.coef_))[: np.count_nonzero(sparse.coef_)]

fig, (above, below) = plt.subplots(
    2, 1, sharex=True, figsize=(8, 7), height_ratios=[3, 2], layout="constrained"
)
above.semilogx(best.alphas_, best.coef_path_.T, color="0.75", lw=0.8)
for color, j in zip(colors, selected):
    above.semilogx(best.alphas_, best.coef_path_[j], color=color, lw=2, label=names[j])
above.axhline(0, color="0.2", lw=0.8)
above.invert_xaxis()
above.set_ylabel("coefficient")
above.legend(loc="lower left", frameon=False)

mean = best.mse_path_.mean(axis=1)
error = best.mse_path_.std(axis=1, ddof=1) / np.sqrt(best.mse_path_.shape[1])
below.fill_between(best.alphas_, mean - error, mean + error, color="0.85")
below.plot(best.alphas_, mean, color="0.2")
below.axhline(mean.min() + error[mean.argmin()], color="0.5", lw=0.8, ls=":")
below.set_xlabel("alpha (logarithmic, decreasing)")
below.set_ylabel("held-out mean squared error")

for model, style, label, side in (
    (sparse, "-", "1se", "right"),
    (best, "--", "min", "left"),
):
    for ax in (above, below):
        ax.axvline(model.alpha_, color="0.2", ls=style, lw=1)
    below.annotate(
        f"{label}: {np.count_nonzero(model.coef_)} columns",
        (model.alpha_, below.get_ylim()[1]),
        xytext=(-5 if side == "right" else 5, -4),
        textcoords="offset points",
        ha=side,
        va="top",
    )
for ax in (above, below):
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlim(best.alphas_[0], best.alphas_[-1])

# %%
# How stable is the selection? The paths of the folds are kept. For the columns chosen by the
# one-standard-error rule: in how many of the five training sets are they selected at that alpha?
k = np.flatnonzero(sparse.alphas_ == sparse.alpha_)[0]
votes = sum((path.toarray()[:, k] != 0).astype(int) for path in sparse.fold_coef_path_)
for j in selected:
    print(f"{names[j]:8} {sparse.coef_[j]:6.1f}   {votes[j]} of 5")

plt.show()
