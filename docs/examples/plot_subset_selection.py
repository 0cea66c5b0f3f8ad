"""
Best subset or lasso? It depends on the noise
=============================================

Hastie, Tibshirani and Tibshirani ("Best subset, forward stepwise or lasso?", Statistical Science,
2020) compared selection methods over a grid of signal-to-noise ratios. ``python -m sparsereg bench
subset-selection`` repeats their simulation at its low and medium sizes with the methods of this
package, all tuned on validation rows; this page draws the figures that it recorded.
"""

import json

import matplotlib.pyplot as plt
import numpy as np
from sparsereg.benchmarks import report

results = json.loads((report.default_folder() / "subset-selection.json").read_text())
cells = results["subset_selection"]
methods = results["protocol"]["methods"]
grid = results["protocol"]["grid"]
done = [
    size
    for size in dict.fromkeys(cell["size"] for cell in grid)
    if sum(cell["setting"]["size"] == size for cell in cells)
    == sum(cell["size"] == size for cell in grid)
]
print(f"{len(cells)} of {len(grid)} cells, {results['protocol']['instances']} instances each")
print(f"sizes recorded: {', '.join(done)}")

# %%
# Error against signal-to-noise ratio
# -----------------------------------
# The first five columns matter, and neighbors have correlation 0.35. The relative test error is 1
# for whoever knows the coefficients. Drawn is the largest size recorded: low has 100 rows and 10
# columns, medium 500 and 100.
COLORS = ["#0072B2", "#56B4E9", "#999999", "#E69F00", "#CC79A7", "#D55E00", "#009E73", "#000000"]


def curve(ax, name, color, measure, size=done[-1], beta_type=2, rho=0.35):
    chosen = [
        (cell["setting"]["snr"], *cell["methods"][name][measure])
        for cell in cells
        if (cell["setting"]["size"], cell["setting"]["beta_type"], cell["setting"]["rho"])
        == (size, beta_type, rho)
    ]
    snr, mean, error = np.array(chosen).T
    ax.errorbar(snr, mean, error, color=color, marker=".", lw=1.2, elinewidth=0.6, label=name)


fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for name, color in zip(methods, COLORS):
    curve(left, name, color, "rte")
    curve(right, name, color, "nnz")
left.set(xscale="log", xlabel="signal-to-noise ratio", ylabel="relative test error")
right.set(xscale="log", yscale="log", xlabel="signal-to-noise ratio", ylabel="columns used")
right.axhline(5, color="0.8", lw=1, zorder=0)
left.legend(frameon=False, fontsize=8)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)

# %%
# The whole grid
# --------------
# Mean over the four kinds of coefficients and three correlations, in multiples of the lasso's.
fig, axes = plt.subplots(
    1, len(done), figsize=(5.5 * len(done), 4.2), layout="constrained", sharey=True, squeeze=False
)
for ax, size in zip(axes[0], done):
    own = [cell for cell in cells if cell["setting"]["size"] == size]
    snrs = sorted({cell["setting"]["snr"] for cell in own})
    for name, color in zip(methods, COLORS):
        excess = [
            np.mean(
                [
                    cell["methods"][name]["rte"][0] / cell["methods"]["lasso"]["rte"][0]
                    for cell in own
                    if cell["setting"]["snr"] == snr
                ]
            )
            for snr in snrs
        ]
        ax.plot(snrs, excess, ".-", color=color, lw=1.2, label=name)
    ax.set(xscale="log", xlabel="signal-to-noise ratio", title=size)
    ax.spines[["top", "right"]].set_visible(False)
axes[0, 0].set_ylabel("relative test error / that of the lasso")
axes[0, 0].legend(frameon=False, fontsize=8)
plt.show()
