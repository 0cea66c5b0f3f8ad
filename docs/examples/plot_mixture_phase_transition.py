"""
Several regressions from few measurements: the phase transition
================================================================

Two sparse regressions of 500 features, 50 coefficients together. Every measurement is answered by
one of them, at random. How many measurements of a sparse-graph design does it take to find all
coefficients, exactly?
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from sparsereg.mixture import (
    MixedColoringRegressor,
    MixtureOracle,
    SparseGraphDesign,
    make_sparse_mixture,
)
from sparsereg.mixture.density_evolution import largest_load, visibility

n_nonzero = 50
decoders = {
    "pilot": {"left_degree": 7, "n_repeats": 2, "n_verify": 2},
    "coloring, semi-strong": {
        "method": "coloring", "left_degree": 15, "n_repeats": 3, "n_verify": 3,
    },
    "coloring, strong (published)": {
        "method": "coloring", "left_degree": 15, "n_repeats": 3, "n_verify": 3,
    },
}  # fmt: skip


def success(name, ratio, n_runs=25):
    """Share of exact decodings at ``ratio`` measurements per coefficient."""
    options = decoders[name]
    rows = 2 * options["n_repeats"] + options["n_verify"]
    decoder = "strong" if "published" in name else "semi-strong"
    exact = 0
    for seed in range(n_runs):
        coef = make_sparse_mixture(500, n_nonzero, random_state=seed)
        design = SparseGraphDesign(
            500, 2, n_nonzero, bin_ratio=ratio / rows, random_state=seed,
            **options,
        )  # fmt: skip
        y = MixtureOracle(coef, random_state=1000 + seed).answer(design)
        model = MixedColoringRegressor(decoder=decoder).fit_measurements(y, design)
        exact += model.converged_  # every single measurement is explained
    return exact / n_runs


# %%
# Density evolution says where the transition is for very large problems. With a pilot, that is the
# largest load of a bin from which peeling still gets through. Without one, colors have to be found
# out first: what a coefficient shares with others must connect them, which takes a branching factor
# above 1.
g = visibility(0.5, 2, 2, coloring=False)
threshold = {"pilot": 6 * 7 / (2 * largest_load(7, g, 1e-4))}
g, loads = visibility(0.5, 3, 3), np.linspace(0.5, 8, 400)
for name in list(decoders)[1:]:
    known = 1.0 if "semi" in name else 1 - (1 - g * np.exp(-loads)) ** 14
    branching = 14 * g * loads * np.exp(-loads) * known
    threshold[name] = 9 * 15 / (2 * loads[branching >= 1].max())

# %%
ratios = np.array([4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 25, 28, 31, 34])
colors = {"pilot": "#0072B2", "coloring, semi-strong": "#009E73"}
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # incomplete decodings warn: that is what is counted here
    for name in decoders:
        color = colors.get(name, "#E69F00")
        shares = [success(name, ratio) for ratio in ratios]
        ax.plot(ratios, shares, ".-", color=color, label=name)
        ax.axvline(threshold[name], color=color, lw=1, ls=":")
ax.set(xlabel="measurements per coefficient, m / K", ylabel="share of exact decodings")
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Dotted: the thresholds of density evolution for infinitely many coefficients. With a pilot or
# semi-strong doubletons, 50 need somewhat more; with strong ones fewer are enough, as that
# condition is pessimistic. The pilot needs a third of what the published scheme needs. The designs
# that are chosen automatically stay on the safe side.
design = SparseGraphDesign(500, 2, n_nonzero)
print(
    f"automatic design: m = {design.n_queries}, {design.n_queries / n_nonzero:.1f} per coefficient"
)
