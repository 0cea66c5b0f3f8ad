"""
Density evolution: why the transition is sharp
==============================================

A peeling decoder works in rounds: what is found in one round makes more bins readable in the next.
For large problems a recursion in one number says how far this goes: the share p of coefficients
that are still hidden, as seen from one of their bins. Here it is, beside what the decoder does.
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
from sparsereg.mixture.density_evolution import evolve, largest_load, visibility

# %%
# The design: two equally likely regressions, every feature in d = 7 bins, and 2 x 2 + 2 rows in a
# bin, which shows a given regression with probability g. The load is the number of coefficients of
# a regression in a bin; more measurements make more bins, and lower it.
degree, n_repeats, n_verify = 7, 2, 2
rows = 2 * n_repeats + n_verify
g = visibility(0.5, n_repeats, n_verify, coloring=False)
critical = largest_load(degree, g, 1e-4)


def next_share(p, load):
    return (1 - g * np.exp(-load * p)) ** (degree - 1)


# %%
# The same for the decoder: 2,000 coefficients of 100,000 features, five designs at each number of
# measurements. A coefficient is hidden from everybody if none of its d bins shows it, which takes
# the power d / (d - 1) of p.
def hidden_share(ratio, seed, n_features=100_000, n_nonzero=2000):
    coef = make_sparse_mixture(n_features, n_nonzero, random_state=seed)
    design = SparseGraphDesign(
        n_features, 2, n_nonzero, left_degree=degree, n_repeats=n_repeats, n_verify=n_verify,
        bin_ratio=ratio / rows, random_state=seed,
    )  # fmt: skip
    y = MixtureOracle(coef, random_state=seed).answer(design)
    model = MixedColoringRegressor().fit_measurements(y, design)
    return 1 - np.count_nonzero(model.coef_) / n_nonzero


ratios = np.arange(4.0, 7.01, 0.2)
measured = np.empty((len(ratios), 5))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # incomplete decodings warn: they are what is counted here
    for i, ratio in enumerate(ratios):
        measured[i] = [hidden_share(ratio, seed) for seed in range(5)]
fine = np.linspace(ratios[0], ratios[-1], 200)
expected = [
    evolve(degree, rows * degree / (2 * ratio), g).hidden_fraction ** (degree / (degree - 1))
    for ratio in fine
]

# %%
# Left: a round takes p to the curve, and the diagonal takes it back. Below the critical load the
# curve stays below the diagonal and the staircase reaches zero; above it, the two meet, and peeling
# is stuck there. Right: therefore the share that stays hidden does not fall gradually. It jumps,
# for the decoder at about the place where it does for infinitely many coefficients.
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.9), layout="constrained")
p = np.linspace(0, 1, 400)
left.plot(p, p, color="0.6", lw=1)
for factor, color in ((0.85, "#0072B2"), (1.15, "#D55E00")):
    load = factor * critical
    left.plot(p, next_share(p, load), color=color, lw=2, label=f"load {factor:.2f} x critical")
    share, xs, ys = 1.0, [1.0], [1.0]
    for _ in range(60):
        following = next_share(share, load)
        xs += [share, following]
        ys += [following, following]
        share = following
    left.plot(xs, ys, color=color, lw=0.8)
left.set(xlabel="hidden before a round, p", ylabel="hidden after it", xlim=(0, 1), ylim=(0, 1))
left.legend(frameon=False, loc="upper left")
right.plot(fine, expected, color="#0072B2", lw=2, label="density evolution")
right.plot(ratios, measured, ".", color="#D55E00", ms=5, label=["decoder", *[None] * 4])
right.axvline(rows * degree / (2 * critical), color="0.4", lw=1, ls=":")
right.set(xlabel="measurements per coefficient", ylabel="coefficients still hidden")
right.legend(frameon=False)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
print(f"critical: {rows * degree / (2 * critical):.2f} measurements per coefficient")

plt.show()
