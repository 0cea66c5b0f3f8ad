"""Supports to start a local search for l0 problems from, by routes that end in different basins.

- Forward: columns enter one at a time as alpha comes down, with the moves that pay at each alpha.
- Reweighted l1 on CEL0, from zero (:mod:`sparsereg.solvers.reweighted_l1`). Starting from smaller
  alphas adds supports that the descent prunes.
- Forward-backward splitting on CEL0, from zero (:mod:`sparsereg.solvers.forward_backward`).

CEL0 is the exact continuous relaxation of Soubies, Blanc-Feraud and Aubert, "A continuous exact l0
penalty (CEL0) for least squares regularized problem", SIAM J. Imaging Sciences, 2015; exact
*coordinate* descent on it is coordinate descent on l0, so it is never used that way here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties import CEL0, L0
from sparsereg.solvers.forward_backward import split_forward_backward
from sparsereg.solvers.l0_certificate import Relaxation, has_bound, solve_relaxation
from sparsereg.solvers.refit_swaps import Refit
from sparsereg.solvers.reweighted_l1 import reweight
from sparsereg.solvers.subset import SubsetProblem

STRATEGIES = ("portfolio", "path", "irl1", "fbs")

# Passes over X of each weighted lasso, and steps of the splitting.
_LASSO_PASSES, _MAX_STEPS = 100, 1000
# Shares of alpha at which reweighting is started as well.
_SMALLER = (1.0, 0.5, 0.25)
# Relative gap of the perspective relaxation.
_ROUGH = 1e-4
# A forward path that goes on to this share of alpha and is then pruned is a backward one.
_BEYOND = 0.25
# An event of a forward path lies this much below the alpha at which a column begins to pay.
_BELOW = 1.0 - 1e-6


def starting_supports(
    problem: SubsetProblem, alpha: float, strategy: str, coef_bound: float = np.inf
) -> Iterator[tuple[str, IndexArray]]:
    """Yield (name, support) of the routes that make up a strategy, for alpha > 0.

    Parameters
    ----------
    problem : SubsetProblem
    alpha : float
    strategy : {"portfolio", "path", "irl1", "fbs"}
        The portfolio is all of them.
    coef_bound : float
        With this or a ridge, the portfolio has the perspective relaxation as well.
    """
    everything = strategy == "portfolio"
    if everything or strategy == "path":
        yield "forward path", forward(problem, alpha)
        if everything:
            yield "forward path, beyond", forward(problem, _BEYOND * alpha)
    if everything or strategy == "irl1":
        for share in _SMALLER if everything else _SMALLER[:1]:
            label = "" if share == 1.0 else f" at {share:g} alpha"
            yield f"reweighted l1{label}", reweighted(problem, share * alpha)
    if everything or strategy == "fbs":
        yield "forward-backward splitting", splitting(problem, alpha)
    if everything and has_bound(problem, coef_bound):
        relaxation = Relaxation.of(problem, alpha, coef_bound)
        relaxed = np.abs(solve_relaxation(problem, relaxation, _ROUGH))
        yield "perspective relaxation", np.flatnonzero(relaxed > 0.5 * relaxation.knot)


def forward(problem: SubsetProblem, alpha: float) -> IndexArray:
    """Follow the local minima from the empty support down to alpha, event by event."""
    refit = Refit(problem, problem.free)
    while (level := _BELOW * refit.next_alpha()) > alpha:
        if refit.descend(level) == 0:
            break
    return refit.support


def reweighted(problem: SubsetProblem, alpha: float) -> IndexArray:
    """Return the support of iteratively reweighted l1 on CEL0, started at zero."""
    reweight(problem.work, L0(alpha, weights=_weights(problem)), _LASSO_PASSES)
    return _support(problem, alpha)


def splitting(problem: SubsetProblem, alpha: float) -> IndexArray:
    """Return the support of forward-backward splitting on CEL0, started at zero."""
    penalty = CEL0(alpha, column_norms=problem.norms, weights=_weights(problem))
    split_forward_backward(problem.work, penalty, _MAX_STEPS)
    return _support(problem, alpha)


def _weights(problem: SubsetProblem) -> FloatArray:
    return np.where(problem.usable, problem.costs, np.inf)


def _support(problem: SubsetProblem, alpha: float) -> IndexArray:
    """Return the columns whose coefficient is beyond half of the threshold of l0."""
    size = problem.norms * np.abs(problem.work.coef)
    return np.flatnonzero(size > 0.5 * np.sqrt(2.0 * alpha * problem.costs))
