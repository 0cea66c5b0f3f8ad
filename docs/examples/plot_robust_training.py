"""
Sparse and robust at once
=========================

Robust sparse regularization (Rakin et al., arXiv 1905.13074) minimizes, over the weights w,

    (loss(x; w + noise) + loss(x adversarial; w + noise)) / 2 + alpha ||w||_1

with noise on the weights whose size is learned for each output. Its pieces are a few lines each:
adversarial inputs by projected gradient steps, :class:`~sparsereg.nn.NoiseInjection`, and a penalty
attached to the optimizer. The data are the 8 x 8 digits of scikit-learn; an attack may change each
pixel by a tenth of its range.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize

from sparsereg import penalties
from sparsereg.nn import NoiseInjection, attach_prox, metrics

X, y = load_digits(return_X_y=True)
parts = train_test_split(X / 16, y, test_size=0.4, random_state=0, stratify=y)
X_train, X_test, y_train, y_test = (torch.tensor(part) for part in parts)
STRENGTH = 0.1


def attack(model, x, target, steps):
    """Return the inputs within STRENGTH of x that projected gradient ascent finds."""
    moved = x.clone()
    for _ in range(steps):
        moved.requires_grad_()
        (slope,) = torch.autograd.grad(cross_entropy(model(moved), target), moved)
        moved = moved.detach() + 2.5 * STRENGTH / steps * slope.sign()
        moved = (x + (moved - x).clamp(-STRENGTH, STRENGTH)).clamp(0, 1)
    return moved


def train(adversarial, noise, alpha):
    """Return share of nonzero weights, and accuracy on clean and on attacked test digits."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    ).double()
    weights = [model[0].weight, model[2].weight]
    if noise:
        for layer in (model[0], model[2]):
            parametrize.register_parametrization(layer, "weight", NoiseInjection(layer.weight))
        weights = [layer.parametrizations.weight.original for layer in (model[0], model[2])]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    if alpha:
        attach_prox(optimizer, weights, penalties.L1(alpha))
    for _ in range(30):
        for batch in torch.randperm(len(X_train)).split(64):
            x, target = X_train[batch], y_train[batch]
            inputs = [x, attack(model, x, target, 5)] if adversarial else [x]
            optimizer.zero_grad()
            sum(cross_entropy(model(i), target) / len(inputs) for i in inputs).backward()
            optimizer.step()
    model.eval()
    attacked = attack(model, X_test, y_test, 20)
    clean, robust = (
        float((model(inputs).argmax(1) == y_test).double().mean()) for inputs in (X_test, attacked)
    )
    return 1.0 - metrics.sparsity(model), clean, robust


variants = {
    "plain": (False, False, 0.0),
    "plain + l1": (False, False, 1e-3),
    "adversarial": (True, False, 0.0),
    "adversarial + l1": (True, False, 1e-3),
    "adversarial + l1 + noise": (True, True, 1e-3),
}
results = {name: train(*options) for name, options in variants.items()}
for name, (nonzero, clean, robust) in results.items():
    print(f"{name:25s} {nonzero:4.0%} of the weights, clean {clean:.3f}, attacked {robust:.3f}")

# %%
# Accuracy without and under attack. The numbers beside the names are the shares of weights
# that are not zero.
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
rows = range(len(results))
for color, column, label in (("0.6", 1, "clean"), ("#0072B2", 2, "attacked")):
    ax.plot([r[column] for r in results.values()], rows, "o", color=color, label=label)
ax.set_yticks(rows, [f"{name} ({r[0]:.0%})" for name, r in results.items()])
ax.invert_yaxis()
ax.set_xlabel("test accuracy")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

plt.show()
