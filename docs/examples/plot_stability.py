"""
Is the selection stable?
========================

Two of the ten columns that matter have twins: columns that say nearly the same. A lasso must choose
among twins, and which one it takes is a matter of chance. One fit does not show that. Fits on halves of
the data do.
"""

import matplotlib.pyplot as plt
import numpy as np

from sparsereg import Lasso, LassoCV
from sparsereg.plotting import SupportDisplay

rng = np.random.default_rng(1)
n, p = 120, 300
X = rng.standard_normal((n, p))
X[:, 10:13] = X[:, :1] + 0.15 * rng.standard_normal((n, 3))  # three twins of column 0
X[:, 13:15] = X[:, 1:2] + 0.15 * rng.standard_normal((n, 2))  # two twins of column 1
X /= X.std(axis=0)
truth = np.zeros(p)
truth[:10] = [1.5, -1.5, 1, -1, 1, -1, 0.8, -0.8, 0.6, -0.6]
y = X @ truth + rng.standard_normal(n)
names = [f"x{j}" for j in range(p)]
for twin, original in {10: 0, 11: 0, 12: 0, 13: 1, 14: 1}.items():
    names[twin] = f"x{twin} (twin of x{original})"

# %%
# One fit on everything, then a hundred on random halves of the rows at the same alpha.
model = LassoCV(selection="1se").fit(X, y)
frequency = np.zeros(p)
for _ in range(100):
    half = rng.choice(n, n // 2, replace=False)
    frequency += Lasso(model.alpha_).fit(X[half], y[half]).coef_ != 0
frequency /= 100

# %%
# Bars are the truth. Every column that matters by itself is found in nearly all halves. The effects of
# x0 and x1 are found too, but spread over the twins: none of these is reliable by its name, though
# their group is. Columns of noise come and go, and none of them is selected in half of the halves.
# The number beside a column is worth more than its coefficient.
display = SupportDisplay(
    {"lasso on all rows": model.coef_}, feature_names=names, truth=truth, frequency=frequency
)
display.plot(max_features=22)
display.ax_.texts[-1].set_text("of the halves")
print(f"most frequent column of noise: {frequency[15:].max():.0%} of the halves")

plt.show()
