"""
Is the selection stable?
========================

Two of the ten columns that matter have twins: columns that say nearly the same. A lasso must
choose among twins, and which one it takes is a matter of chance. One fit does not show that. Fits
on halves of the data do.
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
# Bars are the truth. Columns that matter by themselves are found in nearly all halves while their
# effect is large, and in fewer the smaller it is. x0 is found in half of them, and a twin of it
# in the others: nothing is wrong with the group, only with the name. x1 loses to a twin, and does
# so again and again, because halves of one sample share its accidents: stability does not tell
# twins apart either. A column of noise is as frequent as the weakest of the true ones. A high
# bar, such as four fifths, keeps it out, and the price is the weak ones.
display = SupportDisplay(
    {"lasso on all rows": model.coef_}, feature_names=names, truth=truth, frequency=frequency
)
display.plot(max_features=22)
display.ax_.texts[-1].set_text("of the halves")
for group in ([0, 10, 11, 12], [1, 13, 14]):
    print("  ".join(f"{names[j]}: {frequency[j]:.0%}" for j in group))
print(f"the most frequent column of noise: {frequency[15:].max():.0%} of the halves")

plt.show()
