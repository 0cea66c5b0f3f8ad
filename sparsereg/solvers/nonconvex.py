"""Least squares under a separable penalty that need not be convex: strategies and paths.

Which local minimum is found depends on the way there. A strategy is a list of stages; each moves
the workspace somewhere, from zero or from the best point so far, coordinate descent takes it to a
coordinate-wise minimum, and the point with the lowest objective is kept:

``path``
    Down a grid of alphas from the one at which everything is zero, each minimum the start of the
    next. Follows the lasso at first, and is good where the relevant features enter early.
``irl1``
    Iteratively reweighted l1 from zero, on the exact relaxation of the penalty: all coefficients
    move together. See :mod:`sparsereg.solvers.reweighted_l1`.
``fbs``
    Forward-backward splitting from zero: see :mod:`sparsereg.solvers.forward_backward`.
``portfolio``
    All of these. None is safe alone: each finds minima that the others miss.

Sources: Soubies, Blanc-Feraud and Aubert, SIAM J. Imaging Sciences, 2015; Breheny and Huang, Annals
of Applied Statistics, 2011 (paths).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from sparsereg.backends.protocol import FloatArray
from sparsereg.penalties.base import Penalty
from sparsereg.solvers.coordinate_minimum import Descent, descend
from sparsereg.solvers.forward_backward import split_forward_backward
from sparsereg.solvers.local_path import AIM, LOOK_TOL, LOWER, Found, look_back, walk
from sparsereg.solvers.problem import LocalSolution, Stage
from sparsereg.solvers.reweighted_l1 import reweight
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.workspace import Workspace

# A path to a single alpha goes down by this factor, in at most so many steps, to this tolerance.
_PATH_FACTOR, _PATH_STEPS, _PATH_TOL = 0.85, 60, 1e-2
# Alphas of a path that are looked at again together.
_WINDOW = 20
# The tolerance of what is gone into, beside the one asked for.
_POLISHED = 1e-4
# A grid starts this share above the largest useful alpha, where rounding would choose between zero
# and a coefficient that is as good.
_ABOVE = 1e-9
_SMALLEST_ALPHA = float(np.finfo(np.float64).resolution)

#: Moves the workspace, which holds the best point so far, to another start; returns its steps.
StageFunction = Callable[[Workspace, Penalty, int], int]


def follow_path(work: Workspace, penalty: Penalty, max_iter: int) -> int:
    """Move to the end of a coarse path from the null model to the penalty's alpha."""
    null_model(work, penalty)
    start = penalty.alpha_max(-work.gradient, work.design.sqnorms)
    if not 0 < penalty.alpha < start < np.inf:
        return 0
    steps = min(int(np.ceil(np.log(penalty.alpha / start) / np.log(_PATH_FACTOR))), _PATH_STEPS)
    used = 0
    for alpha in np.geomspace(start, penalty.alpha, steps + 1)[1:-1]:
        terms = SeparableTerms.of(penalty.with_alpha(alpha), work)
        used += descend(work, terms, tol=_PATH_TOL, max_iter=max_iter).n_iter
    return used


STAGES: dict[str, StageFunction] = {
    "path": follow_path,
    "irl1": reweight,
    "fbs": split_forward_backward,
}
STRATEGIES: dict[str, tuple[str, ...]] = {
    "path": ("path",),
    "irl1": ("irl1",),
    "fbs": ("fbs",),
    "portfolio": ("path", "irl1", "fbs"),
}


def solve(
    work: Workspace, penalty: Penalty, *, strategy: str, tol: float, max_iter: int
) -> LocalSolution:
    """Minimize the squared loss plus the penalty: the best point of all stages of a strategy.

    Parameters
    ----------
    work : Workspace
        Afterwards holds the solution. A starting point other than zero is a stage of its own.
    penalty : Penalty
    strategy : str
        A key of ``STRATEGIES``; convex penalties need the path only.
    tol : float
        Stationarity asked for.
    max_iter : int
        Budget of passes over X of each descent.

    Returns
    -------
    LocalSolution
    """
    stages = ("path",) if penalty.is_convex else STRATEGIES[strategy]
    best = _descend_from_here(work, penalty, "start", tol, max_iter) if work.coef.any() else None
    used = best.n_iter if best is not None else 0
    history = list(best.history) if best is not None else []
    for name in stages:
        used += STAGES[name](work, penalty, max_iter)
        candidate = _descend_from_here(work, penalty, name, tol, max_iter)
        used += candidate.n_iter
        if best is None or candidate.objective < best.objective:
            best = candidate
        history.append(Stage(name, used, best.objective, best.stationarity))
    assert best is not None
    work.move_to(best.coef.copy())
    if _POLISHED * tol < best.stationarity <= tol:
        # starts that were solved roughly end within the tolerance: one more step is exact there
        best = _descend_well(work, penalty, _POLISHED, tol, max_iter)
        used += best.n_iter
        history[-1] = Stage(history[-1].stage, used, best.objective, best.stationarity)
    return replace(best, n_iter=used, history=tuple(history))


def solve_path(
    work: Workspace, penalty: Penalty, alphas: FloatArray, *, tol: float, max_iter: int
) -> Iterator[LocalSolution]:
    """Yield a local minimum at each alpha, each started where the last one ended.

    A path that only goes down stays in the basin it came in by. Without convexity, the alphas of a
    window are therefore tried again from the minimum below each, going up, and from the minimum
    above wherever that is a new one, going down; the lower objective is kept. At a yield the
    workspace has the coefficients and the residual of what is yielded. Ctrl-C ends the path after
    the minima that were found until then.
    """
    minima: list[Found] = []
    for first in range(0, len(alphas), _WINDOW):
        window = alphas[first : first + _WINDOW].tolist()
        if minima:
            work.move_to_point(minima[-1].point)
        minima = []
        interrupt: KeyboardInterrupt | None = None
        try:
            for found in _go_down(work, penalty, window, tol, max_iter):
                minima.append(found)
            if not penalty.is_convex:
                _look_back(work, penalty, window, minima, tol, max_iter)
        except KeyboardInterrupt as error:  # what was found is kept
            interrupt = error
        for solution, point in minima:
            work.move_to_point(point)
            yield replace(solution, coef=solution.coef.copy())
        if interrupt is not None:
            raise interrupt


def _go_down(
    work: Workspace, penalty: Penalty, alphas: list[float], tol: float, max_iter: int
) -> Iterator[Found]:
    """Yield a minimum at each alpha: several at once on the pool, where that is possible."""
    rest = alphas
    while rest:
        found = walk(work, penalty, rest, tol=tol, max_iter=max_iter)
        if not found:
            at_alpha = penalty.with_alpha(rest[0])
            solution = _descend_well(work, at_alpha, AIM, tol, max_iter)
            found = [Found(solution, work.point)]
        yield from found
        rest = rest[len(found) :]


def _look_back(
    work: Workspace,
    penalty: Penalty,
    alphas: list[float],
    minima: list[Found],
    tol: float,
    max_iter: int,
) -> None:
    """Replace minima by lower ones that start from a neighbor."""
    lower_ones = look_back(work, penalty, alphas, minima, tol=tol)
    if lower_ones is None:
        _look_back_on_residuals(work, penalty, alphas, minima, tol, max_iter)
        return
    for k, found in lower_ones:
        if found.solution.stationarity > AIM * tol:  # columns outside the pool were missing
            work.move_to_point(found.point)
            used = found.solution.n_iter
            solution = _descend_well(work, penalty.with_alpha(alphas[k]), AIM, tol, max_iter)
            found = Found(replace(solution, n_iter=used + solution.n_iter), work.point)
        if found.solution.objective < minima[k].solution.objective:
            minima[k] = found


def _look_back_on_residuals(
    work: Workspace,
    penalty: Penalty,
    alphas: list[float],
    minima: list[Found],
    tol: float,
    max_iter: int,
) -> None:
    """Look from below, then from above: there only where the minimum is new, improved or not."""

    def lower(k: int, neighbor: int) -> bool:
        at_alpha = penalty.with_alpha(alphas[k])
        work.move_to_point(minima[neighbor].point)
        found = _descend_from_here(work, at_alpha, "path", max(tol, LOOK_TOL), max_iter)
        if not found.objective < (1.0 - LOWER) * minima[k].solution.objective:
            return False
        used = found.n_iter + minima[k].solution.n_iter
        # the look may have come near enough to stop there: one more step is exact on the support
        found = _descend_well(work, at_alpha, _POLISHED, tol, max_iter)
        found = replace(found, n_iter=used + found.n_iter)
        minima[k] = Found(found, work.point)
        return True

    last = len(alphas) - 1
    from_above = set[int]()  # where the solution above has changed since it was a start
    for k in range(last - 1, -1, -1):
        if lower(k, k + 1):
            from_above.add(k + 1)
    for k in range(1, last + 1):
        if k in from_above and lower(k, k - 1):
            from_above.add(k + 1)


def alpha_grid(
    work: Workspace, penalty: Penalty, wanted: int | FloatArray, eps: float
) -> FloatArray:
    """Return the alphas that were given, or a geometric grid of ``wanted`` of them.

    The grid goes from the smallest alpha at which every penalized coefficient is zero by itself
    down to eps times it; the workspace is then left at that null model.
    """
    if not isinstance(wanted, int):
        return wanted
    null_model(work, penalty)
    alpha_max = penalty.alpha_max(-work.gradient, work.design.sqnorms)
    if not np.isfinite(alpha_max):
        raise ValueError(
            f"Automatic alpha grid generation is not supported for {penalty!r}: no alpha makes "
            f"the coefficients zero. Supply a grid by providing the appropriate `alphas=` argument."
        )
    if alpha_max <= np.finfo(np.float64).tiny:
        return np.full(wanted, _SMALLEST_ALPHA)
    return np.geomspace((1.0 + _ABOVE) * alpha_max, alpha_max * eps, num=wanted)


def null_model(work: Workspace, penalty: Penalty) -> None:
    """Move to the fit with intercept and unpenalized features only."""
    work.move_to(np.zeros_like(work.coef))
    SeparableTerms.of(penalty.with_alpha(max(penalty.alpha, 1.0)), work).start_feasible(work)


def _descend_well(
    work: Workspace, penalty: Penalty, share: float, tol: float, max_iter: int
) -> LocalSolution:
    """Descend to a share of the tolerance; whether that is reached is not the question."""
    found = _descend_from_here(work, penalty, "path", share * tol, max_iter)
    converged = found.stationarity <= tol
    return replace(
        found, tolerance=tol, converged=converged, stalled=found.stalled and not converged
    )


def _descend_from_here(
    work: Workspace, penalty: Penalty, name: str, tol: float, max_iter: int
) -> LocalSolution:
    terms = SeparableTerms.of(penalty, work)
    end: Descent = descend(work, terms, tol=tol, max_iter=max_iter)
    objective = terms.objective(work)
    return LocalSolution(
        coef=work.coef.copy(),
        intercept=work.intercept,
        objective=objective,
        stationarity=end.stationarity,
        tolerance=tol,
        n_iter=end.n_iter,
        converged=end.stationarity <= tol,
        stalled=end.stalled,
        history=(Stage(name, end.n_iter, objective, end.stationarity),),
    )
