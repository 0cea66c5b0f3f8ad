"""The one place that says a fit did not converge, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsereg._caller import warn_caller
from sparsereg.exceptions import ConvergenceWarning


def warn_unless_converged(
    dual_gaps: Sequence[float],
    tolerances: Sequence[float],
    stalled: Sequence[bool],
    max_iter: int,
    unit: str = "",
    measure: str = "duality gap",
) -> None:
    """Warn once for all the solutions that missed their tolerance.

    Parameters
    ----------
    dual_gaps, tolerances, stalled : sequences of equal length
        One entry for each solution.
    max_iter : int
        The budget each of them had.
    unit : str
        What the solutions are, such as "alphas"; empty for a single fit.
    measure : str
        What the numbers in ``dual_gaps`` are.
    """
    gaps, goals = np.asarray(dual_gaps), np.asarray(tolerances)
    missed = np.flatnonzero(~(gaps <= goals))
    if not missed.size:
        return
    with np.errstate(divide="ignore"):
        worst = missed[np.argmax(gaps[missed] / goals[missed])]
    message = "Objective did not converge. You might want to increase the number of iterations"
    if stalled[worst]:
        message += f" (but here they were not used up: the {measure} no longer falls)"
    message += (
        f", raise tol, or standardize the features. Reached {measure}: {gaps[worst]:.3e}, "
        f"asked for: {goals[worst]:.3e}, max_iter={max_iter}"
    )
    message += f"; the worst of {missed.size} out of {gaps.size} {unit}." if unit else "."
    warn_caller(message, ConvergenceWarning)
