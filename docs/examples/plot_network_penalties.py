"""
What a penalty leaves of a network
==================================

A perceptron of 64-64-10 units is trained on handwritten digits under four penalties of its
weights, each at several strengths: l1, MCP, l0 in its continuous form (CEL0), and an l1 norm of
whole inputs. The optimizer is SGD with momentum; the two lines that attach the penalty are the
same for all.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sparsereg import penalties
from sparsereg.nn import attach_prox

X, y = load_digits(return_X_y=True)
parts = train_test_split(X / 16, y, test_size=0.4, random_state=0, stratify=y)
X_train, X_test, y_train, y_test = (torch.tensor(part) for part in parts)


def train(penalty, groups=None):
    """Return share of nonzero weights, test accuracy, and the first layer."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    ).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    weights = [model[0].weight, model[2].weight]
    attach_prox(optimizer, weights[:1] if groups else weights, penalty, groups=groups)
    for _ in range(30):
        for batch in torch.randperm(len(X_train)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(X_train[batch]), y_train[batch]).backward()
            optimizer.step()
    nonzero = sum(int((w != 0).sum()) for w in weights) / sum(w.numel() for w in weights)
    accuracy = float((model(X_test).argmax(1) == y_test).double().mean())
    return nonzero, accuracy, model[0].weight.detach().abs().sum(0).reshape(8, 8)


families = {
    "l1": [penalties.L1(a) for a in (3e-4, 1e-3, 2e-3, 4e-3)],
    "MCP": [penalties.MCP(a, gamma=50.0) for a in (1e-3, 2e-3, 4e-3, 8e-3)],
    "CEL0": [penalties.CEL0(a, column_norms=0.2) for a in (5e-5, 2e-4, 4e-4, 8e-4)],
    "inputs": [penalties.L21(a) for a in (2e-3, 5e-3, 1e-2, 2e-2)],
}
results = {
    name: [train(penalty, "inputs" if name == "inputs" else None) for penalty in members]
    for name, members in families.items()
}

# %%
# With a third of the weights, the penalties do not differ by much on a problem as easy as this one;
# one seed is no comparison, and ``python -m sparsereg bench neural`` is a better one. Penalizing
# inputs keeps more weights and looks at fewer pixels: those in the picture on the right, at the
# strongest penalty.
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", width_ratios=(1.6, 1))
colors = ("#D55E00", "#0072B2", "#009E73", "0.5")
for color, (name, runs) in zip(colors, results.items()):
    nonzero, accuracy, _ = zip(*runs)
    axes[0].plot(nonzero, accuracy, "o-", color=color, ms=4, lw=1.5, label=name)
    print(f"{name:7s}", " ".join(f"{n:.3f}: {a:.3f}" for n, a in zip(nonzero, accuracy)))
axes[0].set_xscale("log")
axes[0].set_xlabel("share of weights that are not zero")
axes[0].set_ylabel("test accuracy")
axes[0].legend(frameon=False)
axes[0].spines[["top", "right"]].set_visible(False)
pixels = np.ma.masked_equal(results["inputs"][-1][2].numpy(), 0)
axes[1].imshow(pixels, cmap="viridis")
axes[1].set_title(f"{pixels.count()} of 64 pixels are used", loc="left")
axes[1].set_xticks([])
axes[1].set_yticks([])

plt.show()
