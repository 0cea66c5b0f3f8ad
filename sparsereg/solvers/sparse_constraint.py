"""Least squares with at most k nonzero coefficients.

Any signs: the search by size of :mod:`sparsereg.solvers.l0`. Non-negative coefficients: three
stages, each followed by a non-negative refit on the support, and the best result is kept:

``forward``
    Orthogonal matching pursuit: k times, the feature that explains most of the residual by itself
    enters, and all are refitted.
``pursuit``
    Hard thresholding pursuit from there: a gradient step scaled by the curvatures, the k largest
    contributions, a refit; until the support repeats or the loss no longer falls.
``exchanges``
    Each feature in turn leaves for the one that explains most in its place, and nobody does where
    there is room; until none of these exchanges lowers the loss.

Sources: Pati, Rezaiifar and Krishnaprasad, "Orthogonal matching pursuit", Asilomar, 1993; Foucart,
"Hard thresholding pursuit: an algorithm for compressive sensing", SIAM J. Numerical Analysis, 2011.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties.elastic_net import L1
from sparsereg.penalties.l0 import L0Constraint
from sparsereg.solvers.coordinate_minimum import Descent, descend
from sparsereg.solvers.l0 import best_of_size
from sparsereg.solvers.problem import LocalSolution, Stage
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.subset import SubsetProblem
from sparsereg.solvers.workspace import Workspace


def solve(work: Workspace, constraint: L0Constraint, *, tol: float, max_iter: int) -> LocalSolution:
    """Move to a k-sparse fit; its stationarity is that of the refit on its support."""
    if constraint.positive:
        return _pursue(work, constraint, tol=tol, max_iter=max_iter)
    found, _ = best_of_size(SubsetProblem(work), constraint.k)
    work.move_to(found.coef.copy())
    return LocalSolution(
        coef=found.coef,
        intercept=work.intercept,
        objective=found.objective,
        stationarity=found.stationarity,
        tolerance=tol,
        n_iter=max(found.n_moves, 1),
        converged=found.stationarity <= tol,
        stalled=found.stationarity > tol,
        history=tuple(
            Stage(line.stage, found.n_moves, line.objective, found.stationarity)
            for line in found.history
        ),
    )


def _pursue(
    work: Workspace, constraint: L0Constraint, *, tol: float, max_iter: int
) -> LocalSolution:
    k = min(constraint.k, int(np.count_nonzero(work.design.sqnorms)))
    history: list[Stage] = []
    used = 0

    def refit(support: IndexArray) -> Descent:
        weights = np.full(work.coef.size, np.inf)
        weights[support] = 0.0
        penalty = L1(1.0, weights=weights, positive=constraint.positive)
        return descend(work, SeparableTerms.of(penalty, work), tol=tol, max_iter=max_iter)

    # 1. forward
    work.move_to(np.zeros_like(work.coef))
    support = np.empty(0, dtype=np.intp)
    if k == np.count_nonzero(work.design.sqnorms):
        support = np.flatnonzero(work.design.sqnorms)
    while support.size < k:
        promise = _promise(work)
        promise[support] = 0.0
        if not promise.any():
            break
        support = np.append(support, np.argmax(promise))
        used += refit(support).n_iter
    end = refit(support)
    used += end.n_iter
    best, best_end = work.point, end
    history.append(Stage("forward", used, 0.5 * work.sq_residual, end.stationarity))
    # 2. pursuit
    for _ in range(max_iter):
        scale = np.sqrt(work.design.sqnorms)
        step = np.divide(work.gradient, scale, out=np.zeros_like(scale), where=scale > 0)
        target = constraint.prox(scale * work.coef + step)
        chosen = np.flatnonzero(target)
        if np.array_equal(chosen, np.flatnonzero(work.coef)):
            break
        end = refit(chosen)
        used += end.n_iter
        if not work.sq_residual < best.sq_residual * (1 - 1e-12):
            break
        best, best_end = work.point, end
    history.append(Stage("pursuit", used, 0.5 * best.sq_residual, best_end.stationarity))
    # 3. exchanges
    waiting = _leaving(best.coef, k)
    for _ in range(max_iter):
        if not waiting:
            break
        out, support = waiting.pop(), np.flatnonzero(best.coef)
        used += refit(support[support != out]).n_iter
        promise = _promise(work)
        promise[support] = 0.0
        if promise.any():
            end = refit(np.append(support[support != out], np.argmax(promise)))
            used += end.n_iter
            if work.sq_residual < best.sq_residual * (1 - 1e-12):
                best, best_end = work.point, end
                waiting = _leaving(best.coef, k)
        work.move_to_point(best)
    work.move_to_point(best)
    objective = 0.5 * work.sq_residual
    history.append(Stage("exchanges", used, objective, best_end.stationarity))
    return LocalSolution(
        coef=work.coef.copy(),
        intercept=work.intercept,
        objective=objective,
        stationarity=best_end.stationarity,
        tolerance=tol,
        n_iter=used,
        converged=best_end.stationarity <= tol,
        stalled=best_end.stalled,
        history=tuple(history),
    )


def _leaving(coef: FloatArray, k: int) -> list[int]:
    """Return who may leave for another feature: those in, and -1, nobody, where there is room."""
    support = np.flatnonzero(coef).tolist()
    return [*support, -1] if len(support) < k else support


def _promise(work: Workspace) -> FloatArray:
    """Return how far each feature by itself would lower twice the loss."""
    gradient, curvatures = np.maximum(work.gradient, 0.0), work.design.sqnorms
    return np.divide(gradient**2, curvatures, out=np.zeros_like(curvatures), where=curvatures > 0)
