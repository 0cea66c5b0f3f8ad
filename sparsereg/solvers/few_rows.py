"""Paths on data of few rows: all alphas that are left, in one call of the backend.

There the calls between kernels cost more than the kernels. What the one call does is what
:mod:`sparsereg.solvers.look_ahead` does step by step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsereg.backends.protocol import FewRowsRules, FloatArray
from sparsereg.solvers.duality import ROUNDING
from sparsereg.solvers.problem import Stretch
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import Point, Points, Workspace

# Up to so many rows and numbers in X: beyond, passes are worth threads.
_ROWS, _NUMBERS = 160, 2_000_000


def has_few_rows(work: Workspace) -> bool:
    """Whether the paths of a workspace are walked by one call."""
    if work.design.is_sparse or work.backend.shares_passes or work.on_gram:
        return False
    n, p = work.design.shape
    return n <= _ROWS and n * p <= _NUMBERS and work.design.X.dtype == np.float64  # type: ignore[attr-defined]


def walk_few_rows(
    work: Workspace,
    unit: Restriction,
    alphas: Sequence[float],
    known_alphas: FloatArray,
    residuals: FloatArray,
    gradients: FloatArray,
    *,
    at_once: int,
    rules: FewRowsRules,
    goal: float,
    tolerance: float,
) -> Stretch | None:
    """Solve at as many of the alphas as go well, and move to the last solution.

    Parameters
    ----------
    work : Workspace
        At the last of the known solutions.
    unit : Restriction
        At alpha = 1; nothing is free of penalty.
    alphas : sequence of float
        Decreasing.
    known_alphas, residuals, gradients : ndarray of shape (2,), (2, n), (2, p)
        Those of the last two solutions; overwritten by those of the last two found.
    at_once : int
        How many alphas to try first.
    rules : FewRowsRules
    goal, tolerance : float
        The gap to reach, and the one that was asked for.

    Returns
    -------
    Stretch or None
        None if there is not one.
    """
    coef = work.coef.copy()
    found = work.backend.few_rows_path(
        work.design, work.y, work.centered, unit.l1, unit.l2, unit.may_move, unit.positive,
        work.max_rank, np.array(alphas), at_once, known_alphas, residuals, gradients, coef,
        rules, goal, ROUNDING * work.y.size**0.5, work.sq_y**0.5,
    )  # fmt: skip
    n_found = len(found.gaps)
    if not n_found:
        return None
    residual = residuals[1].copy()
    work.move_to_point(Point(coef, residual, gradients[1].copy(), work.mean_square(residual)))
    work.active_set.forget()
    columns, where = np.unique(found.features, return_inverse=True)
    coefs = np.zeros((n_found, columns.size))
    coefs[np.repeat(np.arange(n_found), np.diff(found.starts)), where] = found.values
    points = Points(coef.size, columns, coefs, found.residuals, None, np.empty(0))
    return work.stretch(points, found.gaps, tolerance, found.events)
