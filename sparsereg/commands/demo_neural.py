"""The neural part of the demo: digits by a perceptron, dense and under penalties of its weights."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_SEED = 0

LEGEND = (
    "Digits of scikit-learn, 8 x 8; a perceptron of 64-50-10 units.\n"
    "accuracy: on the 25% of the digits that are held out. seconds: wall time of fit."
)


def neural_table() -> Table:
    """Train three perceptrons and return their table."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from sparsereg.nn import SparseMLPClassifier
    from sparsereg.penalties import L1, L21, MCP

    X, y = load_digits(return_X_y=True)
    split = train_test_split(X / 16, y, test_size=0.25, random_state=_SEED, stratify=y)
    X_train, X_test, y_train, y_test = split
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("network of")
    for name in ("weights left", "inputs", "accuracy", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, penalty, penalize in (
        ("no penalty", L1(0.0), "weights"),
        ("MCP(0.005) on weights", MCP(0.005, gamma=50.0), "weights"),
        ("L21(0.01) on inputs", L21(0.01), "inputs"),
    ):
        model = SparseMLPClassifier(
            (50,), penalty, penalize=penalize, learning_rate=5e-3, max_iter=60, random_state=_SEED
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            model.fit(X_train, y_train)
            seconds = time.perf_counter() - start
        table.add_row(
            name,
            f"{1 - model.sparsity_:.0%}",
            str(model.support_.size),
            f"{model.score(X_test, y_test):.3f}",
            f"{seconds:.1f}",
        )
    return table
