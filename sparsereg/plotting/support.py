"""Which features are selected, by how much, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from sparsereg._names import feature_names as names_of
from sparsereg.linear_model._choice import grid_of
from sparsereg.plotting._style import COLORS, DARK, GRAY, axes_for, checked_vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "^", "D", "v", "P")


class SupportDisplay:
    """The selected features by name, the largest on top; one color and marker per model.

    Parameters
    ----------
    coefs : mapping from str to array-like of shape (n_features,)
        Coefficients of up to six models, by the name of the model.
    feature_names : sequence of str, default=None
        None is ``x0, x1, ...``.
    truth : array-like of shape (n_features,), default=None
        True coefficients, drawn as bars behind.
    frequency : array-like of shape (n_features,), default=None
        Share of fits that select each feature, in [0, 1]; written beside it.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    shown_ : list of str
        The features drawn, from the top.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import LassoCV
    >>> from sparsereg.plotting import SupportDisplay
    >>> data = load_diabetes(as_frame=True)
    >>> model = LassoCV(selection="1se").fit(data.data, data.target)
    >>> SupportDisplay.from_estimator(model).shown_
    ['bmi', 's5', 'bp', 's3', 'sex', 's6']
    """

    def __init__(
        self,
        coefs: Mapping[str, npt.ArrayLike],
        *,
        feature_names: Sequence[str] | None = None,
        truth: npt.ArrayLike | None = None,
        frequency: npt.ArrayLike | None = None,
    ) -> None:
        self.coefs = coefs
        self.feature_names = feature_names
        self.truth = truth
        self.frequency = frequency

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Sequence[str] | None = None,
        truth: npt.ArrayLike | None = None,
        max_features: int = 25,
        ax: Axes | None = None,
    ) -> SupportDisplay:
        """Draw the support of a fitted model.

        Where the estimator keeps the paths of its folds, the share of the folds that select a
        feature at the chosen alpha is written beside it.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``coef_`` of one target.
        feature_names, truth
            As in the constructor; None is the names seen in ``fit``.
        max_features : int, default=25
            Number of features drawn at most, those with the largest coefficients.
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        SupportDisplay
        """
        check_is_fitted(estimator)
        coef = np.asarray(estimator.coef_)
        display = cls(
            {type(estimator).__name__: coef},
            feature_names=names_of(estimator, feature_names, coef.shape[-1]),
            truth=truth,
            frequency=fold_frequency(estimator),
        )
        return display.plot(ax, max_features=max_features)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        *,
        feature_names: Sequence[str] | None = None,
        truth: npt.ArrayLike | None = None,
        max_features: int = 25,
        ax: Axes | None = None,
    ) -> SupportDisplay:
        """Draw the supports of several models of the same features.

        Parameters
        ----------
        estimators : mapping from str to estimator
            Up to six fitted models.
        feature_names, truth, max_features, ax
            As in :meth:`from_estimator`.

        Returns
        -------
        SupportDisplay
        """
        coefs = {}
        for name, estimator in estimators.items():
            check_is_fitted(estimator)
            coefs[name] = np.asarray(estimator.coef_)
        first = next(iter(estimators.values()), None)
        if first is None:
            raise ValueError("There is no model to draw. Give at least one fitted estimator.")
        names = names_of(first, feature_names, next(iter(coefs.values())).shape[-1])
        display = cls(coefs, feature_names=names, truth=truth)
        return display.plot(ax, max_features=max_features)

    def plot(self, ax: Axes | None = None, *, max_features: int = 25) -> SupportDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        max_features : int, default=25
            Number of features drawn at most, those with the largest coefficients.

        Returns
        -------
        SupportDisplay
            Itself, with ``ax_``, ``figure_`` and ``shown_``.
        """
        coefs, truth, frequency = self._checked()
        names = names_of(None, self.feature_names, coefs.shape[1])
        size = np.max(np.abs(coefs), axis=0)
        if truth is not None:
            size = np.maximum(size, np.abs(truth))
        order = np.argsort(-size, kind="stable")[: min(max_features, np.count_nonzero(size))]
        if not order.size:
            raise ValueError(
                "No model selects any feature, so there is nothing to draw. Fit with a smaller "
                "alpha."
            )
        self.shown_ = [names[j] for j in order]
        has_legend = len(coefs) > 1 or truth is not None
        self.ax_ = ax = axes_for(ax, figsize=(8.0, 1.2 + 0.28 * order.size + 0.4 * has_legend))
        self.figure_ = ax.figure
        rows = np.arange(order.size)
        ax.axvline(0, color=DARK, linewidth=0.8)
        if truth is not None:
            ax.barh(rows, truth[order], height=0.7, color="#E2E2E2", label="truth", zorder=0)
        shift = 0.16 if len(coefs) > 1 else 0.0
        middle = (len(coefs) - 1) / 2
        for k, (name, coef) in enumerate(zip(self.coefs, coefs)):
            kept = coef[order] != 0
            y = rows[kept] + shift * (k - middle)
            ax.hlines(y, 0, coef[order][kept], color=COLORS[k], linewidth=1.2)
            ax.plot(
                coef[order][kept], y, _MARKERS[k], color=COLORS[k], markersize=5, label=name,
                linestyle="none",
            )  # fmt: skip
        ax.set_yticks(rows, self.shown_)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(order.size - 0.4, -0.6)
        ax.set_xlabel("coefficient")
        ax.grid(axis="y", color=GRAY, linewidth=0.4, alpha=0.6)
        ax.set_axisbelow(True)
        if frequency is not None:
            self._write_frequency(ax, rows, frequency[order])
        if has_legend:  # below the name of the axis: rows are everywhere
            from matplotlib.transforms import ScaledTranslation

            below = ax.transAxes + ScaledTranslation(0, -0.4, self.figure_.dpi_scale_trans)
            ax.legend(
                frameon=False, loc="upper center", ncols=4,
                bbox_to_anchor=(0.5, 0.0), bbox_transform=below,
            )  # fmt: skip
        return self

    def _write_frequency(self, ax: Axes, rows: np.ndarray, frequency: np.ndarray) -> None:
        for row, share in zip(rows, frequency):
            ax.text(
                1.02, row, f"{share:.0%}", transform=ax.get_yaxis_transform(), va="center",
                fontsize=9, color=DARK, fontweight="bold" if share == 1 else "normal",
            )  # fmt: skip
        ax.annotate(
            "of the folds", (1.02, 1.0), xycoords="axes fraction", xytext=(0, 4),
            textcoords="offset points", fontsize=9, color=DARK, va="bottom",
        )  # fmt: skip

    def _checked(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        if not 1 <= len(self.coefs) <= len(COLORS):
            raise ValueError(
                f"There are {len(self.coefs)} models. Give between one and {len(COLORS)}: more "
                f"cannot be told apart by color."
            )
        shapes = {np.shape(coef) for coef in self.coefs.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError(
                f"The coefficients have the shapes {sorted(shapes)}. Give one target and the same "
                f"features for every model: shape (n_features,)."
            )
        coefs = np.array([checked_vector(coef, name) for name, coef in self.coefs.items()])
        extras = []
        for name, values in (("truth", self.truth), ("frequency", self.frequency)):
            extra = None if values is None else checked_vector(values, name)
            if extra is not None and extra.size != coefs.shape[1]:
                raise ValueError(
                    f"{name} has {extra.size} entries and there are {coefs.shape[1]} features. "
                    f"Give one entry per feature."
                )
            extras.append(extra)
        return coefs, extras[0], extras[1]


def fold_frequency(estimator: Any) -> np.ndarray | None:
    """Return the share of folds that select each feature at the chosen alpha; None if unknown."""
    paths = getattr(estimator, "fold_coef_path_", None)
    if not paths or np.ndim(estimator.coef_) != 1:
        return None
    index = int(np.argmin(np.abs(grid_of(estimator) - estimator.alpha_)))
    selected = [path[:, [index]].toarray().ravel() != 0 for path in paths]
    return np.mean(selected, axis=0)
