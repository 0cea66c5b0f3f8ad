"""How a certificate closes while a fit goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from sparsereg.linear_model._choice import chosen_alphas, grid_of
from sparsereg.plotting._style import (
    COLORS,
    DARK,
    alpha_axis,
    axes_for,
    checked_vector,
    mark_chosen,
    positive_alphas,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ConvergenceDisplay:
    """A certificate, or an objective with its lower bound, along a fit or along a path.

    Parameters
    ----------
    values : array-like of shape (n_steps,)
        Duality gaps, stationarities or objectives. NaN and infinity leave a gap in the line, and on
        a logarithmic axis zeros do, too; where all are zero, the axis is linear.
    steps : sequence of shape (n_steps,), default=None
        Numbers, or names of stages. None is ``1, 2, ...``.
    lower_bound : float, default=None
        Proven: no objective is smaller. It is drawn, with the values as objectives.
    tolerance : float, default=None
        The gap that was asked for.
    floor : float, default=None
        Values below are drawn there: rounding level, which a logarithmic axis would magnify.
    chosen : mapping from str to float, default=None
        Alphas to mark, by the name of the rule that chose them; the steps are then the alphas of a
        path, and have a logarithmic axis.
    name : str, default=None
        What the legend calls the curve.
    step_name, value_name : str
        What the axes say.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import Lasso
    >>> from sparsereg.plotting import ConvergenceDisplay
    >>> model = Lasso(alpha=0.1, tol=1e-10).fit(*load_diabetes(return_X_y=True))
    >>> ConvergenceDisplay.from_estimator(model).value_name
    'duality gap'
    """

    def __init__(
        self,
        values: npt.ArrayLike,
        steps: Sequence[Any] | np.ndarray | None = None,
        *,
        lower_bound: float | None = None,
        tolerance: float | None = None,
        floor: float | None = None,
        chosen: Mapping[str, float] | None = None,
        name: str | None = None,
        step_name: str = "pass over X",
        value_name: str = "duality gap",
    ) -> None:
        self.values = values
        self.steps = steps
        self.lower_bound = lower_bound
        self.tolerance = tolerance
        self.floor = floor
        self.chosen = chosen
        self.name = name
        self.step_name = step_name
        self.value_name = value_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        tolerance: float | None = None,
        floor: float | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> ConvergenceDisplay:
        """Draw the history of a fit, or the certificates along the path of a cross-validation.

        Parameters
        ----------
        estimator : estimator
            Fitted. With ``history_``: the duality gap after each pass over X of a convex model of
            one target, the best objective after each stage of the others. With
            ``dual_gap_path_`` or ``stationarity_path_``: that of the fit on all data at each alpha,
            and what was chosen.
        tolerance, floor, name
            As in the constructor; None names the class.
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        **line_kw : dict
            Passed to matplotlib for the curve.

        Returns
        -------
        ConvergenceDisplay

        Raises
        ------
        ValueError
            If the estimator keeps no history.
        """
        check_is_fitted(estimator)
        name = type(estimator).__name__ if name is None else name
        for measure in ("dual gap", "stationarity"):
            certificates = getattr(estimator, f"{measure.replace(' ', '_')}_path_", None)
            if certificates is not None:
                display = cls(
                    certificates,
                    grid_of(estimator)[: len(certificates)],
                    tolerance=tolerance,
                    floor=floor,
                    chosen=chosen_alphas(estimator),
                    name=name,
                    value_name=measure.replace("dual", "duality"),
                )
                return display.plot(ax, **line_kw)
        history = getattr(estimator, "history_", None)
        if not history:
            raise ValueError(
                f"{type(estimator).__name__} keeps no history and no certificates along a path. "
                f"Fit its choice with a class that does, such as L0Regressor(n_nonzero="
                f"model.n_nonzero_), and draw that."
            )
        if isinstance(history[0], list):
            raise ValueError(
                f"The model has {len(history)} targets, each with a history of its own. Give one "
                f"of them to the constructor: ConvergenceDisplay([step.dual_gap for step in "
                f"model.history_[0]])."
            )
        if hasattr(history[0], "dual_gap"):
            values = [step.dual_gap for step in history]
            display = cls(values, tolerance=tolerance, floor=floor, name=name)
        else:
            display = cls(
                [stage.objective for stage in history],
                [stage.stage for stage in history],
                lower_bound=getattr(estimator, "lower_bound_", None),
                tolerance=tolerance,
                floor=floor,
                name=name,
                step_name="stage",
                value_name="best objective",
            )
        return display.plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> ConvergenceDisplay:
        """Draw; certificates on a logarithmic axis, objectives on a linear one.

        Of stages with names, those that bring nothing are not named.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure. Several displays may share one.
        **line_kw : dict
            Passed to matplotlib for the curve.

        Returns
        -------
        ConvergenceDisplay
            Itself, with ``ax_``, ``figure_`` and ``line_``.
        """
        values = checked_vector(self.values, "values", gaps=True)
        steps = list(range(1, values.size + 1)) if self.steps is None else list(self.steps)
        if len(steps) != values.size:
            raise ValueError(
                f"There are {len(steps)} steps and {values.size} values. Give one step per value."
            )
        if self.floor is not None:
            values = np.maximum(values, self.floor)
        named = any(isinstance(step, str) for step in steps)
        x = np.arange(values.size) if named else checked_vector(steps, "steps")
        if self.chosen is not None:
            shown = positive_alphas(x)
            x, values = x[shown], values[shown]

        self.ax_ = ax = axes_for(ax)
        self.figure_ = ax.figure
        color = COLORS[sum(bool(line.get_marker() == "o") for line in ax.lines) % len(COLORS)]
        style = {"color": color, "marker": "o", "markersize": 4, "linewidth": 1.5, **line_kw}
        (self.line_,) = ax.plot(x, values, label=self.name, **style)
        if named:
            better = np.diff(values, prepend=np.inf) < 0
            labels = [str(step) if improves else "" for step, improves in zip(steps, better)]
            ax.set_xticks(x, labels, rotation=25, ha="right")
        elif values.size <= 20 and self.chosen is None:
            ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        if self.value_name in ("duality gap", "stationarity") and np.any(values > 0):
            ax.set_yscale("log", nonpositive="mask")
        if self.lower_bound is not None:
            ax.axhline(
                self.lower_bound, color=DARK, linewidth=1, linestyle=":",
                label="proven lower bound",
            )  # fmt: skip
        if self.tolerance is not None:
            ax.axhline(self.tolerance, color=DARK, linewidth=1, linestyle="--", label="asked for")
        if self.chosen is None:
            ax.set_xlabel(self.step_name)
        else:
            alpha_axis(ax, x)
            mark_chosen(ax, {rule: alpha for rule, alpha in self.chosen.items() if alpha > 0})
        ax.set_ylabel(self.value_name)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False)
        return self
