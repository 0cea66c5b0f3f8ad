"""Fits and paths on data of few rows: in one call of the backend each.

There the calls between kernels cost more than the kernels. What the one call does is what
:mod:`sparsereg.solvers.working_set` and :mod:`sparsereg.solvers.look_ahead` do step by step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsereg.backends.protocol import FewRowsProblem, FewRowsRules, FloatArray
from sparsereg.solvers.duality import ROUNDING
from sparsereg.solvers.problem import Solution, Step, Stretch
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import Point, Points, Workspace

# So many rows and numbers in X at most: with more, threads pay in passes over X, and blocks of
# columns in factors. Fits make fewer passes than paths, and change the active set less often.
_OF_PATHS, _OF_FITS = (160, 2_000_000), (640, 8_000_000)
# Passes over X after which a fit is left to the drivers.
_MAX_PASSES = 100


def walks_few_rows(work: Workspace) -> bool:
    """Whether the paths of a workspace are walked by one call."""
    return _in_one_call(work, *_OF_PATHS)


def fits_few_rows(work: Workspace) -> bool:
    """Whether single solves on a workspace are tried in one call."""
    return _in_one_call(work, *_OF_FITS)


def _in_one_call(work: Workspace, rows: int, numbers: int) -> bool:
    if work.design.is_sparse or work.backend.shares_passes or work.on_gram:
        return False
    n, p = work.design.shape
    return n <= rows and n * p <= numbers


def _problem(
    work: Workspace, restriction: Restriction, l1: FloatArray, goal: float
) -> FewRowsProblem:
    return FewRowsProblem(
        work.design, work.y, work.centered, l1, restriction.l2, restriction.positive, work.max_rank,
        goal, ROUNDING * work.y.size**0.5, work.sq_y**0.5,
    )  # fmt: skip


def fit_few_rows(
    work: Workspace, restriction: Restriction, *, goal: float, good_start: float, max_passes: int
) -> Solution | None:
    """Solve from the workspace's point on, and move to the solution.

    Parameters
    ----------
    work : Workspace
    restriction : Restriction
    goal, good_start : float
        The gap to reach, and the one with which the point is left as it is.
    max_passes : int
        Budget of passes over X, one for each level of the bounds.

    Returns
    -------
    Solution or None
        None if it was not found, or there are features without an l1 part.
    """
    bounded = restriction.all_bounded or restriction.l1[restriction.usable].all()
    if not (bounded and restriction.usable.size):
        return None
    l1 = restriction.l1
    if restriction.usable.size < l1.size:
        l1 = np.where(restriction.may_move, l1, np.inf)
    coef, residual, gradient = work.coef.copy(), work.residual.copy(), work.gradient.copy()
    found = work.backend.few_rows_fit(
        _problem(work, restriction, l1, goal), coef, residual, gradient,
        min(max_passes, _MAX_PASSES), good_start,
    )  # fmt: skip
    if found is None:
        return None
    history = tuple(
        Step(*step)
        for step in zip(found.events.tolist(), found.gaps.tolist(), found.sizes.tolist())
    )
    if len(history) > 1:
        work.move_to_point(Point(coef, residual, gradient, work.mean_square(residual)))
        work.active_set.forget()
    return work.solution(history[-1].dual_gap, goal, history[-1].n_iter, history=history)


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
        _problem(work, unit, unit.l1, goal), unit.may_move, np.array(alphas), at_once, known_alphas,
        residuals, gradients, coef, rules,
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
