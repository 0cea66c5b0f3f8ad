"""
Penalties, and what they do to a coefficient
============================================

A penalty is a price for the size of a coefficient. Left: the price. Right: what it does to one
coefficient that least squares would give the value v, the proximal operator. All have the same
threshold: what is below one becomes zero.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import penalties

w = np.linspace(-3, 3, 601)
families = {
    "l1 (lasso)": penalties.L1(1.0),
    "MCP": penalties.MCP(1.0, gamma=2.0),
    "SCAD": penalties.SCAD(1.0, gamma=2.5),
    "l0.5": penalties.Lq((2 / 3) ** 1.5, q=0.5),
    "l0": penalties.L0(0.5),
    "CEL0": penalties.CEL0(0.5),
}

# %%
# The lasso goes on charging: a large coefficient comes out smaller than it should, by the same
# amount however large it is. The others stop. MCP and SCAD stop gradually, and small changes of v
# stay small changes of the coefficient. l0.5 and l0 jump: a coefficient is zero, or clearly not.
# CEL0 is the largest function below l0 that adds no minima to a least-squares problem with columns
# of unit norm. Its proximal operator is that of l0, its price is continuous.
fig, axes = plt.subplots(2, len(families), figsize=(12, 4.6), sharex=True, sharey="row")
for (above, below), (name, penalty) in zip(axes.T, families.items()):
    above.plot(w, [penalty.value([v]) for v in w], color="#0072B2", lw=2)
    prox = penalty.prox(w, 1.0)
    jumps = np.abs(np.diff(prox, append=prox[-1])) > 0.1
    below.plot(w, w, color="0.7", lw=0.8, ls="--")
    below.plot(w, np.where(jumps, np.nan, prox), color="#D55E00", lw=2)
    above.set_title(name, fontsize=11)
    above.set_ylim(0, 3)
    below.set_xlabel("v")
    for ax in (above, below):
        ax.axvline(0, color="0.85", lw=0.8, zorder=0)
        ax.spines[["top", "right"]].set_visible(False)
axes[0, 0].set_ylabel("price")
axes[1, 0].set_ylabel("coefficient")
fig.set_layout_engine("constrained")

plt.show()
