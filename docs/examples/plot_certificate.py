"""
How small a duality gap can be certified
========================================

Both scikit-learn and this package stop when a duality gap is below ``tol`` times the mean square
of y. The gap is an upper bound of the error of the objective, provided that it is computed
accurately. Computed as the difference of primal and dual objective, it has the rounding error of
these two numbers, and of the vectors behind them, however close to the optimum the fit is. Here it
is a sum of non-negative terms, with all vectors in double precision even when X is stored in
single precision. The derivation is in the user guide, :doc:`/guide/lasso`.

The data: diabetes with squares and products, 442 rows and 65 columns, at ``alpha=1``.
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
X = PolynomialFeatures(2, include_bias=False).fit_transform(X)
X = StandardScaler().fit_transform(X)
tols = 10.0 ** -np.arange(2, 15)


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
# Below the dotted line the tolerance is met; crosses are fits that used up 10000 iterations and
# gave up with a ``ConvergenceWarning``. The gray zone is the rounding level of double precision:
# values there, or below, all mean "exact". A fit of ours on a problem of this size ends there
# whatever is asked for, because its last step is an exact solve.
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
rounding = np.finfo(np.float64).eps
for ax, dtype in zip(axes, (np.float64, np.float32)):
    ax.axhspan(1e-17, rounding, color="0.9")
    ax.loglog(tols, tols, color="0.4", ls=":", lw=1)
    for color, name, Lasso in (
        ("#D55E00", "scikit-learn", sklearn.linear_model.Lasso),
        ("#0072B2", "sparsereg", sparsereg.Lasso),
    ):
        gaps, met = reported_gaps(Lasso, dtype)
        drawn = np.maximum(gaps, rounding / 4)
        ax.plot(tols, drawn, color=color, lw=1.5, label=name)
        ax.plot(tols[met], drawn[met], "o", color=color, ms=5)
        ax.plot(tols[~met], drawn[~met], "x", color=color, ms=6)
        print(f"X in {np.dtype(dtype)}, {name}: {met.sum()} of {met.size} tolerances met")
    ax.invert_xaxis()
    ax.set_ylim(1e-17, 0.1)
    ax.set_title(f"X in {np.dtype(dtype)}", loc="left")
    ax.set_xlabel("tol asked for")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("gap reported / variance of y")
axes[0].legend(frameon=False)

plt.show()
