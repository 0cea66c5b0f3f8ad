"""Scores of a cross-validated path, with the choices of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparsereg.linear_model._choice import chosen_alphas, grid_of, require, table_of
from sparsereg.plotting._style import (
    COLORS,
    DARK,
    GRAY,
    alpha_axis,
    axes_for,
    checked_vector,
    mark_chosen,
    positive_alphas,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class CrossValidationDisplay:
    """Mean score over the folds with a band of one standard error, and the chosen alphas.

    Parameters
    ----------
    grid : array-like of shape (n_alphas,)
        Alphas, decreasing; or numbers of columns.
    values : array-like of shape (n_alphas, n_folds)
        A column per fold. A single column, such as an information criterion, has no band. Where
        a fold has NaN or infinity, the mean has a gap; a fold that has nothing else is left out.
    value_name : str, default="mean squared error"
        What the values are.
    chosen : mapping from str to float, default=None
        Values of the grid to mark, by the name of the rule that chose them.
    by_size : bool, default=False
        Whether the grid holds numbers of columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The mean.
    band_ : matplotlib PolyCollection or None
        One standard error around it.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import LassoCV
    >>> from sparsereg.plotting import CrossValidationDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> display = CrossValidationDisplay.from_estimator(LassoCV(selection="1se").fit(X, y))
    >>> list(display.chosen)
    ['min', '1se']
    """

    def __init__(
        self,
        grid: npt.ArrayLike,
        values: npt.ArrayLike,
        *,
        value_name: str = "mean squared error",
        chosen: Mapping[str, float] | None = None,
        by_size: bool = False,
    ) -> None:
        self.grid = grid
        self.values = values
        self.value_name = value_name
        self.chosen = chosen
        self.by_size = by_size

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, show_folds: bool = False, **line_kw: Any
    ) -> CrossValidationDisplay:
        """Draw what an estimator chose by.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``mse_path_`` and ``scores_``.
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        show_folds : bool, default=False
            Whether to draw each fold, too.
        **line_kw : dict
            Passed to matplotlib for the mean.

        Returns
        -------
        CrossValidationDisplay

        Raises
        ------
        ValueError
            If the estimator chose nothing by cross-validation or a criterion.
        """
        require(estimator, "scores_", "scores of a path", "LassoCV")
        selection = estimator.selection
        if selection in ("aic", "bic", "ebic"):
            values, value_name = -table_of(estimator, "scores_"), str(selection).upper()
        elif estimator.scoring is None:
            values, value_name = table_of(estimator, "mse_path_"), "held-out mean squared error"
        else:
            values = table_of(estimator, "scores_")
            name = getattr(estimator.scoring, "__name__", estimator.scoring)
            value_name = f"held-out {name}"
        display = cls(
            grid_of(estimator),
            values,
            value_name=value_name,
            chosen=chosen_alphas(estimator),
            by_size=hasattr(estimator, "sizes_"),
        )
        return display.plot(ax, show_folds=show_folds, **line_kw)

    def plot(
        self, ax: Axes | None = None, *, show_folds: bool = False, **line_kw: Any
    ) -> CrossValidationDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        show_folds : bool, default=False
            Whether to draw each fold, too.
        **line_kw : dict
            Passed to matplotlib for the mean.

        Returns
        -------
        CrossValidationDisplay
            Itself, with ``ax_``, ``figure_``, ``line_`` and ``band_``.
        """
        grid, values = self._checked()
        if not self.by_size:
            shown = positive_alphas(grid)
            grid, values = grid[shown], values[shown]
        values = np.where(np.isfinite(values), values, np.nan)
        values = values[:, ~np.isnan(values).all(axis=0)]  # a fold without any score is absent
        if not values.size:
            raise ValueError(
                "No value of the grid has a finite score. Look at scores_, and use fewer folds or "
                "another scorer."
            )
        mean = values.mean(axis=1)

        self.ax_ = ax = axes_for(ax)
        self.figure_ = ax.figure
        if show_folds:
            ax.plot(grid, values, color=GRAY, linewidth=0.8)
        self.band_ = None
        if values.shape[1] > 1:
            error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
            self.band_ = ax.fill_between(
                grid, mean - error, mean + error, color=COLORS[0], alpha=0.2, linewidth=0,
                label="± 1 standard error",
            )  # fmt: skip
        label = f"mean of {values.shape[1]} folds" if values.shape[1] > 1 else self.value_name
        style = {"color": COLORS[0], "linewidth": 2, "label": label, **line_kw}
        (self.line_,) = ax.plot(grid, mean, **style)
        self._mark(ax, grid, mean)
        ax.set_ylabel(self.value_name)
        ax.legend(frameon=False)
        return self

    def _mark(self, ax: Axes, grid: np.ndarray, mean: np.ndarray) -> None:
        if self.by_size:
            ax.set_xlim(float(grid.min()), float(grid.max()))
            ax.set_xlabel("number of columns")
        else:
            alpha_axis(ax, grid)
        chosen = {
            name: float(x) for name, x in (self.chosen or {}).items() if self.by_size or x > 0
        }
        mark_chosen(ax, chosen, named=False)  # the legend names them
        for k, (name, x) in enumerate(chosen.items()):
            taken = k == len(chosen) - 1
            y = mean[int(np.argmin(np.abs(grid - x)))]
            text = f"{x:.0f} columns" if self.by_size else f"alpha = {x:.3g}"
            ax.plot(
                x, y, "o", markersize=7, markeredgecolor=DARK,
                markerfacecolor=DARK if taken else "white", zorder=4, label=f"{name}: {text}",
                linestyle="none",
            )  # fmt: skip

    def _checked(self) -> tuple[np.ndarray, np.ndarray]:
        grid, values = checked_vector(self.grid, "grid"), np.asarray(self.values, dtype=float)
        if values.ndim != 2 or len(values) != grid.size:
            raise ValueError(
                f"values has shape {values.shape} and the grid has {grid.size} entries. Give "
                f"values of shape (n_alphas, n_folds), such as mse_path_."
            )
        return grid, values
