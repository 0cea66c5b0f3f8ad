"""Coefficients along a path of alphas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparsereg._names import feature_names as names_of
from sparsereg.linear_model._choice import chosen_alphas, grid_of, require
from sparsereg.plotting._style import (
    COLORS,
    DARK,
    GRAY,
    all_finite,
    alpha_axis,
    axes_for,
    checked_vector,
    mark_chosen,
    name_curves,
    positive_alphas,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RegularizationPathDisplay:
    """Every coefficient against alpha; the largest by name.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Decreasing. An alpha of 0 has no place on the logarithmic axis and is left out.
    coefs : array-like of shape (n_features, n_alphas) or (n_tasks, n_features, n_alphas)
        Of several tasks, the norm over the tasks is drawn.
    feature_names : sequence of str, default=None
        None is ``x0, x1, ...``.
    chosen : mapping from str to float, default=None
        Alphas to mark, by the name of the rule that chose them; the last one says which
        coefficients are the largest.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict from str to matplotlib Line2D
        The named curves.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import LassoCV
    >>> from sparsereg.plotting import RegularizationPathDisplay
    >>> data = load_diabetes(as_frame=True)
    >>> display = RegularizationPathDisplay.from_estimator(LassoCV().fit(data.data, data.target))
    >>> sorted(display.lines_)[:3]
    ['bmi', 'bp', 's1']
    """

    def __init__(
        self,
        alphas: npt.ArrayLike,
        coefs: npt.ArrayLike,
        *,
        feature_names: Sequence[str] | None = None,
        chosen: Mapping[str, float] | None = None,
    ) -> None:
        self.alphas = alphas
        self.coefs = coefs
        self.feature_names = feature_names
        self.chosen = chosen

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Sequence[str] | None = None,
        ax: Axes | None = None,
        max_names: int = 6,
        **line_kw: Any,
    ) -> RegularizationPathDisplay:
        """Draw the path of an estimator that chose along one.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``coef_path_``, or an :class:`~sparsereg.L0RegressorCV`.
        feature_names : sequence of str, default=None
            None is the names seen in ``fit``.
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        max_names : int, default=6
            Number of curves drawn in color and by name, at most six.
        **line_kw : dict
            Passed to matplotlib for the named curves.

        Returns
        -------
        RegularizationPathDisplay

        Raises
        ------
        ValueError
            If the estimator has no path.
        """
        if hasattr(estimator, "path_"):  # best subsets: one model per interval of alpha
            alphas, coefs = _steps(estimator.path_)
            index = int(np.searchsorted(estimator.path_.sizes, estimator.n_nonzero_))
            low, high = estimator.path_.alpha_low[index], estimator.path_.alpha_high[index]
            inside = (alphas >= low) & (alphas <= high)
            name = f"{estimator.n_nonzero_} columns"
            chosen = {name: float(np.exp(np.mean(np.log(alphas[inside]))))} if inside.any() else {}
        else:
            require(estimator, "coef_path_", "a path of coefficients", "LassoCV")
            coefs = estimator.coef_path_
            alphas = grid_of(estimator)[: coefs.shape[-1]]
            chosen = chosen_alphas(estimator)
        names = names_of(estimator, feature_names, coefs.shape[-2])
        display = cls(alphas, coefs, feature_names=names, chosen=chosen)
        return display.plot(ax, max_names=max_names, **line_kw)

    @classmethod
    def from_path(
        cls,
        path: Any,
        *,
        feature_names: Sequence[str] | None = None,
        chosen: Mapping[str, float] | None = None,
        ax: Axes | None = None,
        max_names: int = 6,
        **line_kw: Any,
    ) -> RegularizationPathDisplay:
        """Draw what a path function returned.

        Parameters
        ----------
        path : tuple or L0Path
            From :func:`~sparsereg.lasso_path`, :func:`~sparsereg.enet_path`,
            :func:`~sparsereg.sparse_path` (alphas and coefs come first) or
            :func:`~sparsereg.l0_path`, whose coefficients are steps: constant on the interval of
            alpha on which a size wins.
        feature_names, chosen, ax, max_names, **line_kw
            As in the constructor and in :meth:`from_estimator`.

        Returns
        -------
        RegularizationPathDisplay
        """
        alphas, coefs = _steps(path) if hasattr(path, "alpha_low") else path[:2]
        display = cls(alphas, coefs, feature_names=feature_names, chosen=chosen)
        return display.plot(ax, max_names=max_names, **line_kw)

    def plot(
        self, ax: Axes | None = None, *, max_names: int = 6, **line_kw: Any
    ) -> RegularizationPathDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        max_names : int, default=6
            Number of curves drawn in color and by name, at most six.
        **line_kw : dict
            Passed to matplotlib for the named curves.

        Returns
        -------
        RegularizationPathDisplay
            Itself, with ``ax_``, ``figure_`` and ``lines_``.
        """
        alphas, coefs = self._checked()
        shown = positive_alphas(alphas)
        alphas, coefs = alphas[shown], coefs[:, shown]
        names = names_of(None, self.feature_names, len(coefs))
        chosen = {name: alpha for name, alpha in (self.chosen or {}).items() if alpha > 0}
        at = list(chosen.values())[-1] if chosen else alphas[-1]
        column = coefs[:, int(np.argmin(np.abs(np.log(alphas / at))))]
        n_named = min(max_names, len(COLORS), np.count_nonzero(column))
        largest = np.argsort(-np.abs(column), kind="stable")[:n_named]

        self.ax_ = ax = axes_for(ax)
        self.figure_ = ax.figure
        rest = np.setdiff1d(np.flatnonzero(coefs.any(axis=1)), largest)
        ax.plot(alphas, coefs[rest].T, color=GRAY, linewidth=0.8)
        self.lines_ = {}
        for color, j in zip(COLORS, largest):
            style = {"color": color, "linewidth": 2, **line_kw}
            (self.lines_[names[j]],) = ax.plot(alphas, coefs[j], **style)
        ax.axhline(0, color=DARK, linewidth=0.8)
        alpha_axis(ax, alphas)
        several_tasks = np.ndim(self.coefs) == 3
        ax.set_ylabel("norm of the coefficients" if several_tasks else "coefficient")
        ax.margins(y=0.05)
        mark_chosen(ax, chosen)
        colors = [line.get_color() for line in self.lines_.values()]
        name_curves(ax, coefs[largest, -1], [names[j] for j in largest], colors)
        _count_support(ax, alphas, coefs)
        return self

    def _checked(self) -> tuple[np.ndarray, np.ndarray]:
        alphas = checked_vector(self.alphas, "alphas")
        coefs = all_finite(np.asarray(self.coefs, dtype=float), "coefs")
        if coefs.ndim == 3:
            coefs = np.linalg.norm(coefs, axis=0)
        if coefs.ndim != 2 or coefs.shape[1] != alphas.size:
            raise ValueError(
                f"coefs has shape {np.shape(self.coefs)} and there are {alphas.size} alphas. Give "
                f"coefs of shape (n_features, n_alphas), as the path functions return them."
            )
        return alphas, coefs


def _steps(path: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of each interval of alpha of an l0 path, and the coefficients there."""
    winners = np.flatnonzero(path.alpha_high > path.alpha_low)
    low, high = path.alpha_low[winners].copy(), path.alpha_high[winners].copy()
    if winners.size and not np.isfinite(high[0]):
        high[0] = 2 * low[0]
    if winners.size and low[-1] == 0:
        low[-1] = high[-1] / 2
    alphas = np.column_stack([high, low]).ravel()
    return alphas, np.repeat(np.asarray(path.coefs)[:, winners], 2, axis=1)


def _count_support(ax: Axes, alphas: np.ndarray, coefs: np.ndarray) -> None:
    """Write the number of non-zero coefficients along the top, as R's glmnet does."""
    support = np.count_nonzero(coefs, axis=0)
    ticks = np.unique(np.linspace(0, len(alphas) - 1, 7).round().astype(int))
    for tick in ticks:
        ax.annotate(
            str(support[tick]),
            (float(alphas[tick]), 1.0),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=DARK,
        )
    ax.annotate(
        "non-zero coefficients",
        (0.5, 1.0),
        xycoords="axes fraction",
        xytext=(0, 15),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        color=DARK,
    )
