"""
Which estimator? It depends on the signal
=========================================

100 rows, 200 correlated columns, ten of which matter, and noise from deafening to faint. Four
estimators, each with its parameters chosen by cross-validation. Left: the error of the
predictions, relative to predicting the mean. Right: how many columns the models use.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import L0RegressorCV, LassoCV, RelaxedLassoCV, SparseRegressorCV

n, p, rho, n_repeats = 100, 200, 0.35, 4
ratios = np.array([0.1, 0.3, 1.0, 2.0, 4.0, 8.0])
truth = np.zeros(p)
truth[::20] = 1.0
covariance = rho ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
root = np.linalg.cholesky(covariance)
signal = truth @ covariance @ truth

estimators = {
    "lasso": LassoCV(n_alphas=40),
    "relaxed lasso": RelaxedLassoCV(n_alphas=40),
    "MCP": SparseRegressorCV(n_alphas=40, eps=0.05),
    "best subset": L0RegressorCV(max_size=20),
}

# %%
# Averages over four draws of the data at each ratio of signal to noise.
error = {name: np.zeros((len(ratios), n_repeats)) for name in estimators}
size = {name: np.zeros((len(ratios), n_repeats)) for name in estimators}
for i, ratio in enumerate(ratios):
    for repeat in range(n_repeats):
        rng = np.random.default_rng(repeat)
        X = rng.standard_normal((n, p)) @ root.T
        y = X @ truth + np.sqrt(signal / ratio) * rng.standard_normal(n)
        for name, estimator in estimators.items():
            coef = estimator.fit(X, y).coef_
            wrong = coef - truth
            error[name][i, repeat] = wrong @ covariance @ wrong / signal
            size[name][i, repeat] = np.count_nonzero(coef)

# %%
# Where the noise is strong, nobody does much better than the mean. At a ratio of one the lasso has
# nearly halved the error already, with many columns of which each contributes a little, while best
# subsets have hardly found a column that pays. At a ratio of two they come near, and at four it is
# the other way round: the lasso cannot afford a small penalty, because that would let in noise, so
# it shrinks what is right and keeps four times as many columns as matter; best subsets have the
# right ones at their full size. The relaxed lasso is with the best up to a ratio of two, and stays
# between the two beyond.
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
colors = ["#0072B2", "#009E73", "#E69F00", "#D55E00"]
for (name, values), color, marker in zip(error.items(), colors, "os^D"):
    style = {"color": color, "marker": marker, "ms": 5, "label": name}
    left.plot(ratios, values.mean(axis=1), **style)
    right.plot(ratios, size[name].mean(axis=1), **style)
left.axhline(1, color="0.6", lw=0.8, ls=":")
right.axhline(np.sum(truth != 0), color="0.6", lw=0.8, ls=":")
left.set(ylabel="prediction error / that of the mean", ylim=(0, 1.6))
right.set(ylabel="columns used", ylim=(0, None))
left.legend(frameon=False)
for ax in (left, right):
    ax.set(xscale="log", xlabel="signal-to-noise ratio")
    ax.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)

plt.show()
