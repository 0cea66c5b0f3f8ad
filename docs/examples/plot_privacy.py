"""
What local privacy costs
========================

The error of private estimates against the number of persons: 20 normal features, three of which
matter, and a privacy loss of 1. Somebody who may see the data and adds noise once, to the sums
that he publishes, needs far fewer persons than devices that trust nobody.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import Lasso, fit_gram
from sparsereg.penalties import MCP
from sparsereg.privacy import LDPSparseRegression, nearest_psd

d, noise = 20, 0.5
truth = np.zeros(d)
truth[[2, 7, 13]] = np.array([1.0, -1.0, 1.0]) / np.sqrt(3)
sizes = np.array([1_000, 10_000, 100_000, 1_000_000])

# %%
# Reports are simulated by the normal limit of their sum. What an estimator is told besides the
# reports has to be public.
x_radius, y_bound = 1.5 * np.sqrt(d), 3.4
told = {"clipping": "gaussian", "x_radius": x_radius, "y_bound": y_bound}
arms = {
    "local: rounds, covariance public": {"interaction": "sequential", "covariance": "identity"},
    "local: one round, covariance public": {"covariance": "identity"},
    "local: one round, nothing public": {},
}


# %%
# A trusted curator sums the products of the clipped records ``z = (x, s y)`` and adds noise to the
# sums, once. The products of two persons are :math:`\sqrt2 \max\lVert z\rVert^2` apart at most,
# in the Frobenius norm; noise with density proportional to
# :math:`\exp(-\varepsilon \lVert N\rVert_F / \Delta)` at this distance :math:`\Delta` is the same
# promise to the public, without a :math:`\delta`: the K-norm mechanism of Hardt and Talwar (STOC
# 2010). Its direction is uniform, and its length has a gamma law.
def curator(X, y, epsilon, rng):
    """Return the estimate from noisy sums of products."""
    n, scale = len(y), x_radius / (2.0 * y_bound)
    shrink = np.minimum(1.0, x_radius / np.linalg.norm(X, axis=1))
    z = np.column_stack([X * shrink[:, None], scale * np.clip(y, -y_bound, y_bound)])
    distance = np.sqrt(2.0) * (x_radius**2 + (scale * y_bound) ** 2)
    size = (d + 1) * (d + 2) // 2
    direction = rng.standard_normal(size)
    length = rng.gamma(size, distance / epsilon)
    upper = np.zeros((d + 1, d + 1))
    upper[np.triu_indices(d + 1)] = length / np.linalg.norm(direction) * direction
    added = (upper + upper.T) / np.sqrt(2.0)
    added[np.diag_indices(d + 1)] /= np.sqrt(2.0)
    noisy = (z.T @ z + added) / n
    # the standard deviation of an entry beside the diagonal, and of the gradient at the truth
    entry = np.sqrt(size / 2.0) * distance / epsilon / n
    level = np.hypot(entry * np.hypot(1.0 / scale, np.linalg.norm(truth)), noise / np.sqrt(n))
    penalty = MCP(np.sqrt(2.0 * np.log(d)) * level)
    gram = nearest_psd(noisy[:d, :d], 0.05)
    return fit_gram(gram, noisy[:d, d] / scale, 1, penalty=penalty, strategy="path").coef


# %%
# What is left is to run them.
names = [*arms, "trusted curator", "not private"]
errors = {name: np.zeros(sizes.size) for name in names}
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
    coef = curator(X, y, 1.0, rng)
    errors["trusted curator"][k] = np.linalg.norm(coef - truth)
    lasso = Lasso(noise * np.sqrt(2 * np.log(d) / n), fit_intercept=False).fit(X, y)
    errors["not private"][k] = np.linalg.norm(lasso.coef_ - truth)

# %%
# The noise of local reports falls with the square root of the number of persons, as that of the
# data does: their curves keep their distance from the lowest one. The noise of the curator falls
# with the number itself, and his curve falls towards it. He is not told the covariance: compare him
# with "nothing public". (For the strength of his penalty he is told the noise of y and the norm of
# the coefficients, which flatters him a little.) Knowing the covariance of the features, for
# example from public data, is worth about a factor of ten in persons, and rounds about another.
# Each point is a single draw.
fig, ax = plt.subplots(figsize=(8.5, 4), layout="constrained")
colors = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "0.4")
for (name, values), color in zip(errors.items(), colors, strict=True):
    ax.loglog(sizes, values, "o-", color=color, ms=4, label=name)
ax.axhline(1.0, color="0.8", lw=1, zorder=0)
ax.annotate("all zero", (sizes[-1], 1.02), ha="right", va="bottom", color="0.5")
ax.set(xlabel="persons", ylabel="error of the coefficients, their norm is 1", ylim=(None, 2))
fig.legend(frameon=False, loc="outside right upper")
ax.spines[["top", "right"]].set_visible(False)

plt.show()
