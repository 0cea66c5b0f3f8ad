"""Local minima at several alphas at once: found on the pool, then checked in one pass over X.

The minima of neighboring alphas have most of their columns in common. A kernel descends at one
alpha after another on the Gram matrix of the pool; one matrix product then gives the gradients at
all of them, and each alpha gets the certificate it would have got on its own. Where columns were
missing, the strongest are taken in and the descent goes on from the first alpha that was wrong.

Looks at other minima, from below and from above, need the pool only, and a pass over X for those
that were lower.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray
from sparsereg.penalties.base import Penalty
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.coordinate_minimum import (
    choose_columns,
    extend_pool,
    inner_goal,
    stationarity_of,
)
from sparsereg.solvers.problem import LocalSolution, Stage
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.workspace import Point, Workspace

# Alphas that are checked together, and passes over X for them.
_TOGETHER, _PASSES = 5, 6
# Minima are solved to this share of the tolerance: what it leaves out would cost little here.
AIM = 0.5
# A second look is first solved to this; it must be lower by this share to be kept.
LOOK_TOL, LOWER = 1e-3, 1e-9


class Found(NamedTuple):
    """A local minimum, and its residual and gradient."""

    solution: LocalSolution
    point: Point

    @property
    def gradient(self) -> FloatArray:
        """That of all features: the certificate was computed from it."""
        assert self.point.gradient is not None
        return self.point.gradient


def walk(
    work: Workspace, penalty: Penalty, alphas: list[float], *, tol: float, max_iter: int
) -> list[Found]:
    """Return minima at the first of the alphas, maybe none; the workspace is at the last one.

    The alphas that follow are left to the ordinary descent, which is not bound to the pool.
    """
    alphas = alphas[:_TOGETHER]
    every = [SeparableTerms.of(penalty.with_alpha(alpha), work) for alpha in alphas]
    found: list[Found] = []
    with single_threaded_blas():
        work.active_set.forget()
        every[0].start_feasible(work)
        right, wanted, used = work.point, choose_columns(work, every[-1]), 0
        for _ in range(min(_PASSES, max_iter)):
            if not extend_pool(work, every[0], wanted):
                break
            coefs, steps = _go_down(work, every, tol)
            wrong, wanted = None, np.empty(0, dtype=np.intp)
            points = work.points(work.pool.columns, coefs, gradients=True)
            for k, terms in enumerate(every):
                work.move_to_point(points.at(k))
                stationarity = stationarity_of(work, terms)
                if wrong is None and stationarity <= AIM * tol:
                    right = work.point
                    n_iter, used = used + int(steps[k]), 0
                    found.append(Found(_solution(work, terms, stationarity, tol, n_iter), right))
                elif not stationarity <= AIM * tol:
                    wrong = k if wrong is None else wrong
                    wanted = np.union1d(wanted, choose_columns(work, terms))
            if wrong is None or not work.pool.is_missing(wanted).any():
                break
            used += int(steps[wrong])
            every = every[wrong:]
            work.move_to_point(points.at(wrong))
            wanted = np.union1d(wanted, work.support)
    work.move_to_point(right)
    return found


def _go_down(
    work: Workspace, every: list[SeparableTerms], tol: float
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return a row of coefficients per alpha, on the pool, and the steps of each."""
    columns = work.pool.columns
    form = every[0].form.at(columns)
    coefs, _, steps = work.backend.gram_go_down(
        work.pool.gram, work.gradient[columns], work.coef[columns], form,
        np.stack([terms.form.params for terms in every]), work.max_rank, inner_goal(work, tol),
    )  # fmt: skip
    return coefs, steps


def look_back(
    work: Workspace, penalty: Penalty, alphas: list[float], minima: list[Found], *, tol: float
) -> list[tuple[int, Found]] | None:
    """Return lower minima and their positions, which start from neighbors; None without a pool.

    From below first, going up; then from either side, as long as the minimum there is new.
    """
    every = [SeparableTerms.of(penalty.with_alpha(alpha), work) for alpha in alphas]
    wanted = np.flatnonzero(np.any([minimum.point.coef != 0 for minimum in minima], axis=0))
    with single_threaded_blas():
        if not extend_pool(work, every[0], np.union1d(wanted, every[0].free)):
            return None
        columns = work.pool.columns
        coefs = np.stack([minimum.point.coef[columns] for minimum in minima])
        gradients = np.stack([minimum.gradient[columns] for minimum in minima])
        steps, changed = work.backend.gram_look_back(
            work.pool.gram, work.slopes_at_zero[columns], coefs, gradients,
            every[0].form.at(columns), np.stack([terms.form.params for terms in every]),
            work.max_rank, inner_goal(work, max(tol, LOOK_TOL)), inner_goal(work, tol), LOWER,
        )  # fmt: skip
        new = np.flatnonzero(changed)
        lower: list[tuple[int, Found]] = []
        if not new.size:
            return lower
        points = work.points(columns, coefs[new], gradients=True)
        for at, k in enumerate(new.tolist()):
            work.move_to_point(points.at(at))
            n_iter = int(steps[k]) + minima[k].solution.n_iter
            stationarity = stationarity_of(work, every[k])
            solution = _solution(work, every[k], stationarity, tol, n_iter)
            lower.append((k, Found(solution, work.point)))
    return lower


def _solution(
    work: Workspace, terms: SeparableTerms, stationarity: float, tol: float, n_iter: int
) -> LocalSolution:
    objective = terms.objective(work)
    return LocalSolution(
        coef=work.coef,
        intercept=work.intercept,
        objective=objective,
        stationarity=stationarity,
        tolerance=tol,
        n_iter=n_iter,
        converged=stationarity <= tol,
        stalled=False,
        history=(Stage("path", n_iter, objective, stationarity),),
    )
