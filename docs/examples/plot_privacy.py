"""
What local privacy costs
========================

The error of private estimates against the number of persons: 20 normal features, three of which
matter, and a privacy loss of 1. Without privacy a hundred persons are enough for what takes a
million devices here.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import Lasso
from sparsereg.privacy import LDPSparseRegression

d, noise = 20, 0.5
truth = np.zeros(d)
truth[[2, 7, 13]] = np.array([1.0, -1.0, 1.0]) / np.sqrt(3)
sizes = np.array([1_000, 10_000, 100_000, 1_000_000])

# %%
# Reports are simulated by the normal limit of their sum. What an estimator is told besides the
# reports has to be public.
told = {"clipping": "gaussian", "x_radius": 1.5 * np.sqrt(d), "y_bound": 3.4}
arms = {
    "sequential, covariance public": {"interaction": "sequential", "covariance": "identity"},
    "one round, covariance public": {"covariance": "identity"},
    "one round, nothing public": {},
}
errors = {name: np.zeros(sizes.size) for name in [*arms, "not private"]}
for k, n in enumerate(sizes):
    rng = np.random.default_rng(k)
    X = rng.standard_normal((n, d), dtype=np.float32)
    y = X @ truth + noise * rng.standard_normal(n)
    for name, settings in arms.items():
        model = LDPSparseRegression(
            epsilon=1.0, penalty="mcp", fit_intercept=False, simulate="clt", random_state=0,
            **told, **settings,
        )  # fmt: skip
        errors[name][k] = np.linalg.norm(model.fit(X, y).coef_ - truth)
    lasso = Lasso(noise * np.sqrt(2 * np.log(d) / n), fit_intercept=False).fit(X, y)
    errors["not private"][k] = np.linalg.norm(lasso.coef_ - truth)

# %%
# All curves fall with the square root of the number of persons, once they fall at all. Knowing the
# covariance of the features, for example from public data, is worth a factor of ten in persons.
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
colors = ("#0072B2", "#56B4E9", "#E69F00", "0.4")
for (name, values), color in zip(errors.items(), colors, strict=True):
    ax.loglog(sizes, values, "o-", color=color, ms=4, label=name)
ax.axhline(1.0, color="0.8", lw=1, zorder=0)
ax.annotate("all zero", (sizes[-1], 1.02), ha="right", va="bottom", color="0.5")
ax.set(xlabel="persons", ylabel="error of the coefficients, their norm is 1", ylim=(None, 2))
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

plt.show()
