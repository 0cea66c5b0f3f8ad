"""
A certificate closes
====================

The duality gap says how far the objective is above its minimum at most. Here is the gap after
each pass over the data, for one lasso on columns that resemble each other.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import sklearn.linear_model
from sklearn.exceptions import ConvergenceWarning

from sparsereg import L0Regressor, Lasso
from sparsereg.plotting import ConvergenceDisplay

rng = np.random.default_rng(0)
n, p, rho = 200, 1000, 0.9
X = rng.standard_normal((n, p))
for j in range(1, p):
    X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
X -= X.mean(axis=0)
y = X[:, ::50] @ rng.standard_normal(20) + rng.standard_normal(n)
y -= y.mean()
alpha = 0.01 * np.max(np.abs(X.T @ y)) / n

# %%
# ``history_`` of a fit keeps the gap after each pass. For comparison: coordinate descent as in
# scikit-learn, with its gap after so many sweeps. A sweep and a pass read X once each; what happens
# between our passes is exact work on the columns that matter, on their Gram matrix.
model = Lasso(alpha, fit_intercept=False, tol=1e-14).fit(X, y)
sweeps = np.unique(np.geomspace(1, 1000, 16).astype(int))
gaps = []
for n_sweeps in sweeps:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = sklearn.linear_model.Lasso(alpha, fit_intercept=False, max_iter=n_sweeps, tol=0)
        theirs.fit(X, y)
    gaps.append(theirs.dual_gap_)

# %%
# Scikit-learn's gap falls geometrically, slower the more correlated the columns are. Ours falls
# in a few passes, each of which brings in columns that were missing. Once none is, the solution is
# exact. The gray zone is the rounding level of double precision relative to the mean square of y:
# gaps in it all mean "exact".
variance = np.mean(y**2)
floor = 1e-17 * variance
fig, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
ConvergenceDisplay.from_estimator(model, name="sparsereg", floor=floor, ax=ax)
ConvergenceDisplay(gaps, sweeps, name="scikit-learn", floor=floor).plot(ax)
ax.axhspan(floor / 3, 2.2e-16 * variance, color="0.9", zorder=0)
ax.set(xscale="log", ylim=(floor / 3, None), xlabel="passes over X")
print(
    f"sparsereg: {len(model.history_)} passes, gap {model.dual_gap_ / variance:.0e} of the variance"
)

# %%
# A problem that is not convex has another certificate. Below: the best objective after each stage
# of the search of an l0 problem (those that improve it have names), and the lower bound that no
# coefficients at all can go below.
subset = L0Regressor(alpha=0.004 * variance, l2=0.05).fit(X, y)
display = ConvergenceDisplay.from_estimator(subset)
display.ax_.set_ylim(0.95 * subset.lower_bound_, 1.1 * subset.objective_)
print(f"l0: within {subset.optimality_gap_:.1%} of the minimum")

plt.show()
