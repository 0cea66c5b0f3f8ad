"""
What a certificate is worth at tight tolerances
===============================================

Both scikit-learn and this package stop when a duality gap is below ``tol`` times the mean square
of y. The gap is an upper bound of the error of the objective, provided that it is computed
accurately. As the difference of two nearly equal numbers it is not, once it comes close to the
rounding error of those numbers; as a sum of non-negative terms it is. The derivation is in the
user guide, :doc:`/guide/lasso`.

The data: diabetes with products of columns, 442 rows and 55 columns, at ``alpha=1``.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import sklearn.linear_model
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import sparsereg

X, y = load_diabetes(return_X_y=True)
X = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(X)
X = StandardScaler().fit_transform(X)
tols = 10.0 ** -np.arange(2, 17)


def reported_gaps(Lasso, dtype):
    """Gap of each fit, in units of the variance of y, and whether it claims success."""
    gaps, met = [], []
    for tol in tols:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model = Lasso(alpha=1.0, tol=tol, max_iter=10_000)
            model.fit(X.astype(dtype), y.astype(dtype))
        gaps.append(model.dual_gap_ / y.var())
        met.append(not caught)
    return np.array(gaps), np.array(met)


# %%
# Below the dotted line is where the tolerance is met. Crosses are fits that gave up with a
# ``ConvergenceWarning``. Hollow marks at the lower edge are reported gaps that are zero or
# negative: a negative bound of an error proves nothing.
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
floor = 3e-18
for ax, dtype in zip(axes, (np.float64, np.float32)):
    ax.loglog(tols, tols, color="0.4", ls=":", lw=1)
    for color, name, Lasso in (
        ("#D55E00", "scikit-learn", sklearn.linear_model.Lasso),
        ("#0072B2", "sparsereg", sparsereg.Lasso),
    ):
        gaps, met = reported_gaps(Lasso, dtype)
        drawn = np.where(gaps > floor, gaps, floor)
        ax.plot(tols, drawn, color=color, lw=1.5, label=name)
        for mask, style in (
            (met & (gaps > 0), {"marker": "o", "mfc": color}),
            (met & (gaps <= 0), {"marker": "o", "mfc": "white"}),
            (~met, {"marker": "x"}),
        ):
            ax.plot(tols[mask], drawn[mask], ls="", mec=color, ms=6, **style)
        print(
            f"{np.dtype(dtype)}, {name}: smallest gap {gaps.min():.1e}, "
            f"{met.sum()} of {met.size} tolerances met"
        )
    ax.invert_xaxis()
    ax.set_title(f"X in {np.dtype(dtype)}", loc="left")
    ax.set_xlabel("tol asked for")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("gap reported / variance of y")
axes[0].legend(frameon=False)

plt.show()
