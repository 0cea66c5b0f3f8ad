"""The picture of a cross-validated path: coefficients above, error with its band below.

The figure is made without pyplot: it needs no screen and leaves no global state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparsereg.plotting import CrossValidationDisplay, RegularizationPathDisplay

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def path_figure(model: Any, names: list[str], title: str) -> Figure:
    """Draw the path of a fitted ``LassoCV`` and its cross-validation curve.

    Parameters
    ----------
    model : LassoCV
        Fitted.
    names : list of str of length n_features
        The columns, to name the largest coefficients.
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
    RegularizationPathDisplay.from_estimator(model, feature_names=names, ax=above)
    CrossValidationDisplay.from_estimator(model, ax=below)
    above.set_xlabel("")
    above.set_ylabel("coefficient (standardized columns)")
    above.set_title(title, loc="left", fontsize=12, pad=34)
    return figure
