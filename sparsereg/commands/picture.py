"""The picture of a cross-validated path: coefficients above, error with its band below.

Built on matplotlib's objects alone (no pyplot): needs no display and leaves no global state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, distinct for color-blind readers; black and yellow are left out.
_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_GRAY = "#B8B8B8"
_DARK = "#333333"


def path_figure(model: Any, names: list[str], title: str) -> Figure:
    """Draw the path of a fitted ``LassoCV`` and its cross-validation curve.

    Parameters
    ----------
    model : LassoCV
        Fitted, with ``alphas_``, ``alpha_``, ``coef_path_`` and ``mse_path_``.
    names : list of str of length n_features
        The columns, to label the largest coefficients.
    title : str
        The heading.

    Returns
    -------
    matplotlib.figure.Figure
        Its ``savefig`` writes the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=150, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    x = -np.log10(model.alphas_)
    chosen = int(np.argmin(abs(model.alphas_ - model.alpha_)))
    _draw_coefficients(above, x, model.coef_path_, names, chosen)
    _draw_error(below, x, model.mse_path_, chosen)
    for axes in (above, below):
        axes.axvline(x[chosen], color=_DARK, linewidth=1, linestyle="--", zorder=3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
    above.set_title(title, loc="left", fontsize=12, pad=12)
    return figure


def _draw_coefficients(
    axes: Axes, x: np.ndarray, coef_path: np.ndarray, names: list[str], chosen: int
) -> None:
    """Every coefficient in gray; the largest at the chosen alpha in color and by name."""
    largest = np.argsort(-abs(coef_path[:, chosen]), kind="stable")[: len(_COLORS)]
    axes.plot(x, coef_path.T, color=_GRAY, linewidth=0.8)
    for color, j in zip(_COLORS, largest):
        axes.plot(x, coef_path[j], color=color, linewidth=2)
    axes.axhline(0, color=_DARK, linewidth=0.8)
    axes.set_ylabel("coefficient (standardized columns)")

    low, high = axes.get_ylim()
    largest = largest[np.argsort(coef_path[largest, -1])]
    ends = axes.secondary_yaxis("right")
    ends.set_yticks(_apart(coef_path[largest, -1], (high - low) / 25), [names[j] for j in largest])
    ends.tick_params(length=0)
    ends.spines["right"].set_visible(False)

    # The number of non-zero coefficients along the top, as R's glmnet draws it.
    support = np.count_nonzero(coef_path, axis=0)
    counts = axes.secondary_xaxis("top")
    ticks = np.unique(np.linspace(0, len(x) - 1, 7).round().astype(int))
    counts.set_xticks(x[ticks], [str(support[tick]) for tick in ticks])
    counts.set_xlabel("non-zero coefficients")
    counts.spines["top"].set_visible(False)


def _apart(values: np.ndarray, gap: float) -> list[float]:
    """Return ascending values pushed up until no two are closer than the gap."""
    positions: list[float] = []
    for value in values:
        positions.append(max(value, positions[-1] + gap) if positions else value)
    return positions


def _draw_error(axes: Axes, x: np.ndarray, mse_path: np.ndarray, chosen: int) -> None:
    """The mean over the folds, its standard error as a band, and the chosen alpha."""
    mean = mse_path.mean(axis=1)
    error = mse_path.std(axis=1, ddof=1) / np.sqrt(mse_path.shape[1])
    axes.fill_between(
        x, mean - error, mean + error, color=_COLORS[0], alpha=0.2, linewidth=0, label="± 1 se"
    )
    axes.plot(x, mean, color=_COLORS[0], linewidth=2, label="mean of the folds")
    axes.plot(
        x[chosen],
        mean[chosen],
        "o",
        color=_DARK,
        linestyle="none",
        label=f"chosen α = {10 ** -x[chosen]:.3g}",
        zorder=4,
    )
    axes.set_ylabel("CV mean squared error")
    axes.set_xlabel("$-\\log_{10}(\\alpha)$: the penalty weakens to the right")
    axes.legend(frameon=False)
