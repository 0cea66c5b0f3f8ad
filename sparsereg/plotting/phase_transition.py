"""Where a method succeeds: the share of successes over a plane of problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparsereg.plotting._style import COLORS, axes_for, checked_vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PhaseTransitionDisplay:
    """Share of successes over a grid of problem sizes, with the line of one half.

    Parameters
    ----------
    x, y : array-like of shape (n_x,), (n_y,)
        Increasing, such as numbers of rows and of non-zero coefficients.
    success : array-like of shape (n_y, n_x)
        Shares in [0, 1]; NaN where nothing was tried.
    x_name, y_name : str
        What the axes say.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib QuadMesh
    contour_ : matplotlib QuadContourSet or None
        Where half of the trials succeed; None where all or none do.

    Examples
    --------
    >>> from sparsereg.plotting import PhaseTransitionDisplay
    >>> display = PhaseTransitionDisplay.from_predictions(
    ...     [10, 10, 20, 20, 10, 20], [2, 2, 2, 2, 4, 4], [1, 0, 1, 1, 0, 0]
    ... )
    >>> display.success
    array([[0.5, 1. ],
           [0. , 0. ]])
    """

    def __init__(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        success: npt.ArrayLike,
        *,
        x_name: str = "rows",
        y_name: str = "non-zero coefficients",
    ) -> None:
        self.x = x
        self.y = y
        self.success = success
        self.x_name = x_name
        self.y_name = y_name

    @classmethod
    def from_predictions(
        cls,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        success: npt.ArrayLike,
        *,
        x_name: str = "rows",
        y_name: str = "non-zero coefficients",
        ax: Axes | None = None,
        **mesh_kw: Any,
    ) -> PhaseTransitionDisplay:
        """Draw trials, in any order and number.

        Parameters
        ----------
        x, y : array-like of shape (n_trials,)
            The problem of each trial.
        success : array-like of shape (n_trials,)
            Whether it succeeded, or a number in [0, 1].
        x_name, y_name : str
            What the axes say.
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        **mesh_kw : dict
            Passed to matplotlib's ``pcolormesh``.

        Returns
        -------
        PhaseTransitionDisplay
        """
        x, y = checked_vector(x, "x"), checked_vector(y, "y")
        success = checked_vector(success, "success")
        if not x.size == y.size == success.size:
            raise ValueError(
                f"x, y and success have {x.size}, {y.size} and {success.size} entries. Give one of "
                f"each per trial."
            )
        xs, column = np.unique(x, return_inverse=True)
        ys, row = np.unique(y, return_inverse=True)
        total, count = np.zeros((ys.size, xs.size)), np.zeros((ys.size, xs.size))
        np.add.at(total, (row, column), success)
        np.add.at(count, (row, column), 1)
        with np.errstate(invalid="ignore"):
            share = total / count
        return cls(xs, ys, share, x_name=x_name, y_name=y_name).plot(ax, **mesh_kw)

    def plot(
        self, ax: Axes | None = None, *, colorbar: bool = True, **mesh_kw: Any
    ) -> PhaseTransitionDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        colorbar : bool, default=True
            Whether to draw the scale of the shares.
        **mesh_kw : dict
            Passed to matplotlib's ``pcolormesh``.

        Returns
        -------
        PhaseTransitionDisplay
            Itself, with ``ax_``, ``figure_``, ``image_`` and ``contour_``.
        """
        x, y = checked_vector(self.x, "x"), checked_vector(self.y, "y")
        success = np.asarray(self.success, dtype=float)
        if success.shape != (y.size, x.size):
            raise ValueError(
                f"success has shape {success.shape}, x has {x.size} entries and y has {y.size}. "
                f"Give success of shape ({y.size}, {x.size}): a row per y."
            )
        if np.isnan(success).all():
            raise ValueError("success has no finite value. Give the share of at least one cell.")
        if np.any(success < 0) or np.any(success > 1):
            raise ValueError("success has values outside [0, 1]. Give shares of the trials.")
        self.ax_ = ax = axes_for(ax, figsize=(7.0, 4.8))
        self.figure_ = ax.figure
        style = {"cmap": "cividis", "vmin": 0.0, "vmax": 1.0, "shading": "nearest", **mesh_kw}
        self.image_ = ax.pcolormesh(x, y, success, **style)
        self.contour_ = None
        if min(x.size, y.size) > 1 and np.nanmin(success) < 0.5 < np.nanmax(success):
            self.contour_ = ax.contour(x, y, success, [0.5], colors=COLORS[1], linewidths=2)
        if colorbar:
            ax.figure.colorbar(self.image_, ax=ax, label="share of successes")
        ax.set_xlabel(self.x_name)
        ax.set_ylabel(self.y_name)
        return self
