"""Supports to start a local search for l0 problems from, by routes that end in different basins.

- Forward: columns enter one at a time as alpha comes down, with the moves that pay at each alpha.
- Reweighted l1 on CEL0, from zero: weights a_j (sqrt(2 alpha v_j) - |z_j|)_+, each weighted lasso
  solved exactly. All coefficients move jointly, which coordinate-wise methods cannot. Starting
  from smaller alphas adds supports that the descent prunes.
- Forward-backward splitting on CEL0, from zero, with steps below 1 / ||X'X / n||.

CEL0 is the exact continuous relaxation of Soubies, Blanc-Feraud and Aubert, "A continuous exact l0
penalty (CEL0) for least squares regularized problem", SIAM J. Imaging Sciences, 2015; exact
*coordinate* descent on it is coordinate descent on l0, so it is never used that way here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties import L1
from sparsereg.solvers.l0_certificate import Relaxation, has_bound, solve_relaxation
from sparsereg.solvers.refit_swaps import Refit
from sparsereg.solvers.subset import SubsetProblem
from sparsereg.solvers.working_set import solve

STRATEGIES = ("portfolio", "path", "irl1", "fbs")

# Reweighting ends when no coefficient moves by this share of the threshold, or after so many fits.
_SETTLED, _MAX_REWEIGHTINGS = 1e-5, 20
# Gap and budget of each weighted lasso: a support is wanted.
_LASSO_TOL, _LASSO_PASSES = 1e-6, 100
# Shares of alpha at which reweighting is started as well.
_SMALLER = (1.0, 0.5, 0.25)
# Relative gap of the perspective relaxation.
_ROUGH = 1e-4
# A forward path that goes on to this share of alpha and is then pruned is a backward one.
_BEYOND = 0.25
# Splitting: steps, and the movement that ends it, as a share of the threshold.
_MAX_STEPS, _STILL = 1000, 1e-6
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
    work, norms = problem.work, problem.norms
    edge = np.sqrt(2.0 * alpha * problem.costs)
    work.move_to(np.zeros(problem.n_features))
    size = np.zeros(problem.n_features)
    for _ in range(_MAX_REWEIGHTINGS):
        weights = np.where(problem.usable, norms * np.maximum(edge - size, 0.0), np.inf)
        solve(work, L1(1.0, weights=weights), tol=_LASSO_TOL, max_iter=_LASSO_PASSES)
        last, size = size, norms * np.abs(work.coef)
        if np.all(np.abs(size - last) <= _SETTLED * edge):
            break
    return np.flatnonzero(size > 0.5 * edge)


def splitting(problem: SubsetProblem, alpha: float) -> IndexArray:
    """Return the support of forward-backward splitting on CEL0, started at zero."""
    edge = np.sqrt(2.0 * alpha * problem.costs)
    step = 0.95 / _largest_eigenvalue(problem)
    z = np.zeros(problem.n_features)
    gradient = problem.correlation
    for _ in range(_MAX_STEPS):
        v = z + step * gradient
        size = np.abs(v)
        shrunk = np.maximum(size - step * edge, 0.0) / (1.0 - step)
        last, z = z, np.sign(v) * np.minimum(size, shrunk)
        if np.all(np.abs(z - last) <= _STILL * edge.max()):
            break
        gradient = problem.correlation - _gram_times(problem, z)
    return np.flatnonzero(np.abs(z) > 0.5 * edge)


def _gram_times(problem: SubsetProblem, z: FloatArray) -> FloatArray:
    """Return G z: two passes over X, the first over the support only."""
    work, support = problem.work, np.flatnonzero(z)
    fitted = work.backend.fitted(work.design, support, z[support] * problem.per_norm[support])
    return work.backend.xtr(work.design, fitted) * problem.per_norm


def _largest_eigenvalue(problem: SubsetProblem) -> float:
    """Return the largest eigenvalue of G by the power method, rounded up; at least 1."""
    vector = np.where(problem.usable, 1.0 + np.cos(np.arange(problem.n_features)), 0.0)
    value = 1.0
    for _ in range(50):
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            break
        vector = _gram_times(problem, vector / length)
        last, value = value, float(np.linalg.norm(vector))
        if abs(value - last) <= 1e-3 * value:
            break
    return 1.05 * max(value, 1.0)
