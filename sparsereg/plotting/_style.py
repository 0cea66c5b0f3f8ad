"""What all displays share: axes, colors, the alpha axis, and labels that keep apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, distinct for color-blind readers; black and yellow are left out.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GRAY = "#B8B8B8"
DARK = "#333333"


def axes_for(ax: Axes | None, figsize: tuple[float, float] = (8.0, 4.8)) -> Axes:
    """Return the axes to draw on: those given, or those of a new figure."""
    if ax is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "Drawing needs matplotlib, which is not installed. Install it with "
                'pip install "scikit-sparsereg[plot]".'
            ) from error
        ax = plt.subplots(figsize=figsize, layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def positive_alphas(alphas: np.ndarray) -> np.ndarray:
    """Return the mask of the alphas that a logarithmic axis can show."""
    shown = alphas > 0
    if np.count_nonzero(shown) < 2:
        raise ValueError(
            f"The path has {np.count_nonzero(shown)} positive alphas, and a picture of a path "
            f"needs at least two. Fit it with n_alphas or alphas of more values."
        )
    return shown


def alpha_axis(ax: Axes, alphas: np.ndarray) -> None:
    """Put alpha on a logarithmic axis that falls from left to right."""
    ax.set_xscale("log")
    ax.set_xlim(float(alphas.max()), float(alphas.min()))
    ax.set_xlabel("alpha (the penalty weakens to the right)")


def mark_chosen(ax: Axes, chosen: Mapping[str, float], *, named: bool = True) -> None:
    """Draw a dashed line at each chosen value, with its name at the foot."""
    for x in chosen.values():
        ax.axvline(x, color=DARK, linewidth=1, linestyle="--", zorder=3)
    if not named:
        return
    low, high = ax.get_xlim()
    taken: list[float] = []
    for name, x in chosen.items():
        share = float(np.log(x / low) / np.log(high / low))
        level = sum(abs(share - other) < 0.15 for other in taken)
        taken.append(share)
        side = "right" if share > 0.5 else "left"
        ax.annotate(
            name,
            (x, 0.02 + 0.07 * level),
            xycoords=ax.get_xaxis_transform(),
            xytext=(-4 if side == "right" else 4, 0),
            textcoords="offset points",
            ha=side,
            fontsize=9,
            color=DARK,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.8},
            zorder=5,
        )


def spread(values: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Return ascending values moved until no two are closer than the gap, inside [low, high]."""
    positions = np.array(values, dtype=float)
    for k in range(1, positions.size):
        positions[k] = max(positions[k], positions[k - 1] + gap)
    excess = high - positions[-1:]
    if excess.size and excess[0] < 0:
        positions[-1] = high
        for k in range(positions.size - 2, -1, -1):
            positions[k] = min(positions[k], positions[k + 1] - gap)
    return np.maximum(positions, low)


def name_curves(
    ax: Axes, ends: Sequence[float], names: Sequence[str], colors: Sequence[Any]
) -> None:
    """Write the name of each curve to the right of its end, joined to it by a line."""
    if not names:
        return
    low, high = ax.get_ylim()
    order = np.argsort(ends)
    positions = spread(np.asarray(ends)[order], (high - low) / 18, low, high)
    x_end = ax.get_xlim()[1]
    for k, y in zip(order, positions):
        ax.annotate(
            names[k],
            (x_end, float(ends[k])),
            xytext=(1.035, float(y)),
            textcoords=ax.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=DARK,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colors[k],
                "linewidth": 1.2,
                "shrinkA": 1,
                "shrinkB": 0,
            },
        )


def checked_vector(values: Any, name: str, *, gaps: bool = False) -> np.ndarray:
    """Return a vector of finite numbers, or say that it is none; gaps are NaN."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"{name} has shape {array.shape}. Give one dimension with at least one value."
        )
    if not gaps:
        return all_finite(array, name)
    finite = np.isfinite(array)
    if not finite.any():
        raise ValueError(
            f"{name} has no finite value. Give at least one, there is nothing to draw."
        )
    return np.where(finite, array, np.nan)


def all_finite(array: np.ndarray, name: str) -> np.ndarray:
    """Return the array, or say that it holds NaN or infinity."""
    n_wrong = int(np.count_nonzero(~np.isfinite(array)))
    if n_wrong:
        raise ValueError(
            f"{name} has {n_wrong} values of {array.size} that are NaN or infinite. Give finite "
            f"numbers, or leave these out."
        )
    return array
