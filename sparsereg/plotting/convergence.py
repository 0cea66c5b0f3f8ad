"""How a certificate closes while a fit goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from sparsereg.plotting._style import COLORS, DARK, axes_for, checked_vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ConvergenceDisplay:
    """A duality gap, or an objective with its lower bound, against the progress of a fit.

    Parameters
    ----------
    values : array-like of shape (n_steps,)
        Duality gaps, or objectives.
    steps : sequence of shape (n_steps,), default=None
        Numbers, or names of stages. None is ``1, 2, ...``.
    lower_bound : float, default=None
        Proven: no objective is smaller. It is drawn, with the values as objectives.
    tolerance : float, default=None
        The gap that was asked for.
    floor : float, default=None
        Values below are drawn there: rounding level, which a logarithmic axis would magnify.
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
        steps: Sequence[Any] | None = None,
        *,
        lower_bound: float | None = None,
        tolerance: float | None = None,
        floor: float | None = None,
        name: str | None = None,
        step_name: str = "pass over X",
        value_name: str = "duality gap",
    ) -> None:
        self.values = values
        self.steps = steps
        self.lower_bound = lower_bound
        self.tolerance = tolerance
        self.floor = floor
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
        """Draw the history of a fit.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``history_``: the duality gap after each pass over X of a convex model of
            one target, the best objective after each stage of the others.
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
        history = getattr(estimator, "history_", None)
        name = type(estimator).__name__ if name is None else name
        if not history:
            raise ValueError(
                f"{type(estimator).__name__} keeps no history of a single fit. Refit its choice "
                f"with the class that has no CV in its name, such as Lasso(alpha=model.alpha_) or "
                f"L0Regressor(n_nonzero=model.n_nonzero_), and draw that."
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
        """Draw; gaps on a logarithmic axis, objectives on a linear one.

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
        values = checked_vector(self.values, "values")
        steps = list(range(1, values.size + 1)) if self.steps is None else list(self.steps)
        if len(steps) != values.size:
            raise ValueError(
                f"There are {len(steps)} steps and {values.size} values. Give one step per value."
            )
        if self.floor is not None:
            values = np.maximum(values, self.floor)
        named = any(isinstance(step, str) for step in steps)
        x = np.arange(values.size) if named else np.asarray(steps, dtype=float)

        self.ax_ = ax = axes_for(ax)
        self.figure_ = ax.figure
        color = COLORS[sum(bool(line.get_marker() == "o") for line in ax.lines) % len(COLORS)]
        style = {"color": color, "marker": "o", "markersize": 4, "linewidth": 1.5, **line_kw}
        (self.line_,) = ax.plot(x, values, label=self.name, **style)
        if named:
            better = np.diff(values, prepend=np.inf) < 0
            labels = [str(step) if improves else "" for step, improves in zip(steps, better)]
            ax.set_xticks(x, labels, rotation=25, ha="right")
        elif values.size <= 20:
            ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        if self.value_name == "duality gap":
            ax.set_yscale("log", nonpositive="mask")
        if self.lower_bound is not None:
            ax.axhline(
                self.lower_bound, color=DARK, linewidth=1, linestyle=":",
                label="proven lower bound",
            )  # fmt: skip
        if self.tolerance is not None:
            ax.axhline(self.tolerance, color=DARK, linewidth=1, linestyle="--", label="asked for")
        ax.set_xlabel(self.step_name)
        ax.set_ylabel(self.value_name)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False)
        return self
