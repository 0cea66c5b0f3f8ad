"""The one place that says a fit did not converge, and what to do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from sparsereg.exceptions import ConvergenceWarning
from sparsereg.solvers.problem import Solution


def warn_unless_converged(solutions: Sequence[Solution], max_iter: int, what: str = "") -> None:
    """Warn once for all the solutions that missed their tolerance.

    Parameters
    ----------
    solutions : sequence of Solution
    max_iter : int
        The budget they had.
    what : str
        Where they come from, such as "3 of 100 alphas"; empty for a single fit.
    """
    missed = [solution for solution in solutions if not solution.converged]
    if not missed:
        return
    worst = max(missed, key=lambda s: s.dual_gap / s.tolerance if s.tolerance > 0 else float("inf"))
    message = "Objective did not converge. You might want to increase the number of iterations"
    if worst.n_iter < max_iter:
        message += " (here they were not used up: the gap is at the level of rounding)"
    message += (
        f", raise tol, or standardize the features. Reached duality gap: {worst.dual_gap:.3e}, "
        f"asked for: {worst.tolerance:.3e}, max_iter={max_iter}"
    )
    message += f"; {what}." if what else "."
    warnings.warn(message, ConvergenceWarning, stacklevel=3)
