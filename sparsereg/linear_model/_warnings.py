"""The one place that says a fit did not converge, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from sparsereg.exceptions import ConvergenceWarning


def warn_unless_converged(
    dual_gaps: Sequence[float],
    tolerances: Sequence[float],
    n_iters: Sequence[int],
    max_iter: int,
    unit: str = "",
) -> None:
    """Warn once for all the solutions that missed their tolerance.

    Parameters
    ----------
    dual_gaps, tolerances, n_iters : sequences of equal length
        One entry for each solution.
    max_iter : int
        The budget each of them had.
    unit : str
        What the solutions are, such as "alphas"; empty for a single fit.
    """
    gaps, goals = np.asarray(dual_gaps), np.asarray(tolerances)
    missed = np.flatnonzero(~(gaps <= goals))
    if not missed.size:
        return
    with np.errstate(divide="ignore"):
        worst = missed[np.argmax(gaps[missed] / goals[missed])]
    message = "Objective did not converge. You might want to increase the number of iterations"
    if n_iters[worst] < max_iter:
        message += " (not here: they were not used up, the gap is at the level of rounding)"
    message += (
        f", raise tol, or standardize the features. Reached duality gap: {gaps[worst]:.3e}, "
        f"asked for: {goals[worst]:.3e}, max_iter={max_iter}"
    )
    message += f"; the worst of {missed.size} out of {gaps.size} {unit}." if unit else "."
    warnings.warn(message, ConvergenceWarning, stacklevel=3)
