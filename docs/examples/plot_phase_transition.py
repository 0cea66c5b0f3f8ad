"""
How many rows does recovery need?
=================================

Without noise, a sparse vector is found exactly from few rows, or not at all, and there is little in
between. For the l1 norm the border is known (Donoho and Tanner, 2009). ``python -m sparsereg bench
phase-transition`` computes it and measures where the methods of this package have theirs; this page
draws what it recorded, or a tiny run where nothing is recorded. No method is told the number of
coefficients.
"""

import json

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from sparsereg.benchmarks import report
from sparsereg.benchmarks.phase_transition import l1_curve, measure

recorded = report.default_folder() / "phase-transition.json"
if recorded.is_file():
    results = json.loads(recorded.read_text())
else:
    deltas, rhos = np.linspace(0.2, 0.8, 4), np.linspace(0.1, 0.9, 5)
    results = measure(40, deltas, rhos, 3, Console(quiet=True))
columns, protocol = results["phase_transition"], results["protocol"]
print(f"p = {protocol['p']}, {protocol['instances']} instances at each point")

# %%
# Half of all instances are recovered on each line; below it, more. Gaussian coefficients help
# methods that find the large ones first, and take them out; coefficients of one size do not.
COLORS = dict(zip(protocol["methods"], ["#0072B2", "#CC79A7", "#D55E00", "#009E73"]))
grid = np.linspace(0.02, 0.98, 97)
curve = [l1_curve(delta) for delta in grid]

fig, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", sharey=True)
for ax, (law, title) in zip(axes, {"gaussian": "Gaussian", "signs": "+1 and -1"}.items()):
    own = [column for column in columns if column["law"] == law]
    ax.plot(grid, curve, color="0.6", lw=3, alpha=0.6, label="l1, computed")
    for name, color in COLORS.items():
        points = [(c["delta"], c["crossings"][name]) for c in own if c["crossings"][name]]
        ax.plot(*np.array(points).T, ".-", color=color, lw=1.2, label=name)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="rows / columns", title=f"{title} coefficients")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("nonzero coefficients / rows")
axes[0].legend(frameon=False)
plt.show()
