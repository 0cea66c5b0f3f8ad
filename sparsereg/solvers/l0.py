"""The best solution of an l0 problem that can be found, and how good it is.

Several starts (:mod:`sparsereg.solvers.l0_starts`), each improved by moves with refit until none
is left (:mod:`sparsereg.solvers.refit_swaps`); the best is kept. Its objective is compared with a
proven lower bound (:mod:`sparsereg.solvers.l0_certificate`), and on small problems the two are
brought together (:mod:`sparsereg.solvers.branch_and_bound`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.boxed_swaps import BoxedSwaps, End
from sparsereg.solvers.branch_and_bound import Exact, branch_and_bound
from sparsereg.solvers.l0_certificate import (
    DualPoint,
    RootBound,
    dual_point,
    size_bound,
)
from sparsereg.solvers.l0_path import SupportPool, search_size
from sparsereg.solvers.l0_starts import starting_supports
from sparsereg.solvers.refit_swaps import Refit
from sparsereg.solvers.subset import SubsetProblem


class Stage(NamedTuple):
    """A line of the history: what was tried, and the best objective after it."""

    stage: str
    objective: float


@dataclass(frozen=True)
class L0Solution:
    """What :func:`minimize_l0` and :func:`best_of_size` return.

    Attributes
    ----------
    coef : ndarray of shape (p,)
    objective : float
    lower_bound : float or None
        No w has a lower objective; None if nothing is proven.
    stationarity : float
        What the best move of one coefficient would still bring, as a share of ||y||_s^2 / (2 n).
    history : tuple of Stage
        The objectives never rise.
    point : DualPoint
        That of the residual.
    n_moves, n_nodes : int
        Moves of the local search; nodes of branch and bound.
    stopped : str
        Why branch and bound ended early: "nodes", "time", "interrupted", "precision", or "size"
        where a size wins at no price, so that no price proves it; else "".
    """

    coef: FloatArray
    objective: float
    lower_bound: float | None
    stationarity: float
    history: tuple[Stage, ...]
    point: DualPoint
    n_moves: int
    n_nodes: int = 0
    stopped: str = ""


def minimize_l0(
    problem: SubsetProblem,
    alpha: float,
    *,
    strategy: str = "portfolio",
    max_moves: int = 10_000,
    coef_bound: float = np.inf,
    exact: bool = False,
    tol: float = 1e-8,
    max_nodes: int = 1_000_000,
    time_limit: float = np.inf,
) -> L0Solution:
    """Minimize squared loss, ridge and alpha times the cost of the support.

    Parameters
    ----------
    problem : SubsetProblem
    alpha : float
    strategy : {"portfolio", "path", "irl1", "fbs"}
    max_moves : int
        Budget of moves for each start; 0 keeps the starts as they are.
    coef_bound : float
        |w_j| <= coef_bound is part of the problem.
    exact : bool
        Whether to go on by branch and bound until the objective is proven to be the minimum,
        within ``tol`` of it, ``max_nodes`` and ``time_limit``.
    """
    with single_threaded_blas():
        root = RootBound(problem, alpha, coef_bound)
        coef, history, moves = _search(problem, alpha, strategy, max_moves, coef_bound, root)
        objective = history[-1].objective
        found: Exact | None = None
        if exact and alpha > 0:
            found = branch_and_bound(
                problem, alpha, coef, coef_bound=coef_bound, tol=tol, max_nodes=max_nodes,
                time_limit=time_limit,
            )  # fmt: skip
            coef, objective = found.coef, found.objective
            history.append(Stage("branch and bound", objective))
        point = dual_point(problem, coef)
        lower: float | None = None
        if found is not None:
            lower = found.lower_bound
        elif alpha > 0:
            root.solve(objective)
            root.include(point)
            lower = root.lower
        return L0Solution(
            coef, objective, lower, stationarity(problem, coef, point, alpha, coef_bound),
            tuple(history), point, moves, found.n_nodes if found else 0,
            found.stopped if found else "",
        )  # fmt: skip


def best_of_size(
    problem: SubsetProblem,
    size: int,
    *,
    strategy: str = "portfolio",
    max_moves: int = 10_000,
    coef_bound: float = np.inf,
    exact: bool = False,
    tol: float = 1e-8,
    max_nodes: int = 1_000_000,
    time_limit: float = np.inf,
) -> tuple[L0Solution, float]:
    """Minimize squared loss and ridge over supports of at most ``size`` columns with a cost.

    Returns the solution, and a price alpha at which this size is, or nearly is, the best. With
    ``exact``, branch and bound at that price: what is a minimum there is the best of its size.
    """
    with single_threaded_blas():
        pool, history = SupportPool(problem), []
        for stage in search_size(pool, size, strategy=strategy, max_moves=max_moves):
            entry = pool.best_up_to(size)
            history.append(Stage(stage, entry.half_rss))
        coef = problem.fit(entry.support, coef_bound)
        if max_moves and np.any(np.abs(coef) >= coef_bound):
            boxed = BoxedSwaps(problem, coef_bound)
            starts = (problem.free, entry.support)
            ends = [boxed.descend(start, 0.0, max_moves, size) for start in starts]
            pool.n_moves += sum(end.n_moves for end in ends)
            best = min(ends, key=lambda end: end.objective)
            coef = problem.fit(best.support, coef_bound)
        start, point = coef, dual_point(problem, coef)
        objective = 0.5 * point.sq_norm + 0.5 * problem.l2 * float(coef @ coef)
        history = [Stage(stage, max(value, objective)) for stage, value in history]
        n_nodes, stopped, price = 0, "", pool.price_of(size)
        lower = size_bound(problem, size, price, point, objective, coef_bound)
        history.append(Stage("final refit", objective))
        for _ in range(_MAX_PRICES if exact and price > 0 else 0):
            found = branch_and_bound(
                problem, price, coef, coef_bound=coef_bound, tol=tol, max_nodes=max_nodes,
                time_limit=time_limit,
            )  # fmt: skip
            support = np.flatnonzero(found.coef)
            if np.count_nonzero(problem.costs[support]) <= size:
                better = problem.half_rss(found.coef)
                coef, objective = (found.coef, better) if better < objective else (coef, objective)
            charge = price * size
            lower = min(max(lower or 0.0, found.lower_bound - charge), objective)
            n_nodes, stopped = n_nodes + found.n_nodes, found.stopped
            history.append(Stage("branch and bound", objective))
            closed = objective - lower <= 2.0 * tol * (objective + charge)
            if closed or stopped or not pool.offer(Refit(problem, support)):
                break
            price = pool.price_of(size)  # another size was better than it was known to be
        if exact and price > 0 and not closed:
            stopped = stopped or "size"
        point = point if coef is start else dual_point(problem, coef)
        still = stationarity(problem, coef, point, 0.0, coef_bound, inside=True)
        solution = L0Solution(
            coef, objective, lower, still, tuple(history), point, pool.n_moves, n_nodes, stopped
        )
        return solution, price


def stationarity(
    problem: SubsetProblem,
    coef: FloatArray,
    point: DualPoint,
    alpha: float,
    coef_bound: float = np.inf,
    *,
    inside: bool = False,
) -> float:
    """Return the length of the best step of a single coefficient, in standard deviations of y.

    It would lower the objective by half of its square times ||y||^2 / n. Zero, up to the root of
    rounding, at coordinate-wise minima. ``point`` is that of the residual. With ``inside``,
    coefficients that are zero must stay so and the others are not charged.
    """
    if problem.sq_y == 0:
        return 0.0
    z = problem.norms * coef
    gradient = point.gradient - problem.ridge * z
    curvature = 1.0 + problem.ridge
    cost = alpha * problem.costs
    with np.errstate(invalid="ignore"):
        limit = np.where(problem.usable, coef_bound * problem.norms, 0.0)
    best = np.clip(z + gradient / curvature, -limit, limit)

    def gain(target: FloatArray | float) -> FloatArray:
        move = target - z
        return gradient * move - 0.5 * curvature * move**2 + cost * ((z != 0) - 1.0 * (target != 0))

    gains = np.maximum(gain(best), 0.0 if inside else gain(0.0 * z))
    movable = problem.usable & (z != 0) if inside else problem.usable
    return float(np.sqrt(2.0 * np.max(gains[movable], initial=0.0) / problem.sq_y))


# A relative gap at which a solution is as good as proven, so that no other start is tried.
_CLOSED = 1e-8
# As many first starts that end at the same support end the search as well.
_AGREEING = 5
# An objective by updates of the refit may be off by this share.
_ROUNDING = 1e-6
# Prices tried to prove a size, each one for what the last one found of other sizes.
_MAX_PRICES = 10


def _search(
    problem: SubsetProblem,
    alpha: float,
    strategy: str,
    max_moves: int,
    coef_bound: float,
    root: RootBound,
) -> tuple[FloatArray, list[Stage], int]:
    best, moves = problem.fit(problem.free, coef_bound), 0
    history = [Stage("null model", problem.objective(best, alpha))]
    if alpha == 0:
        best = problem.fit(np.flatnonzero(problem.usable), coef_bound)
        return best, [*history, Stage("least squares", problem.objective(best, alpha))], 0
    ends = dict[bytes, bytes]()  # of each start, where its moves end
    reached = list[bytes]()
    refit = Refit(problem)
    boxed = BoxedSwaps(problem, coef_bound) if np.isfinite(coef_bound) else None
    for name, start in starting_supports(problem, alpha, strategy, root):
        objective = history[-1].objective
        if _key(start) not in ends:
            end = _descend(refit, boxed, start, alpha, max_moves)
            moves += end.n_moves
            key = _key(end.support)
            if key not in reached and end.objective < objective * (1.0 + _ROUNDING):
                coef = problem.fit(end.support, coef_bound)
                value = problem.objective(coef, alpha)
                if value < objective:
                    best, objective = coef, value
            ends[_key(start)] = key
        reached.append(ends[_key(start)])
        history.append(Stage(f"{name}, moves" if max_moves else name, objective))
        if strategy == "portfolio":
            if len(reached) == 1:
                root.solve(objective)
            closed = root.lower is not None and objective - root.lower <= _CLOSED * objective
            if closed or (len(reached) >= _AGREEING and len(set(reached)) == 1):
                break
    return best, history, moves


def _descend(
    refit: Refit, boxed: BoxedSwaps | None, start: IndexArray, alpha: float, max_moves: int
) -> End:
    """Return where the moves from a start end."""
    if boxed is not None:
        return boxed.descend(start, alpha, max_moves)
    refit.move_to(start)
    made = refit.descend(alpha, max_moves) if max_moves else 0
    return End(refit.support, refit.objective(alpha), made)


def _key(support: IndexArray) -> bytes:
    return np.sort(support).tobytes()
