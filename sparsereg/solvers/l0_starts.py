"""Supports to start a local search for l0 problems from, by routes that end in different basins.

- Forward: columns enter one at a time as alpha comes down, with the moves that pay at each alpha.
- The perspective relaxation, solved for its bound, rounded.
- Reweighted l1 on CEL0, from zero, and forward-backward splitting: compiled, on the Gram matrix of
  a pool of columns (:mod:`sparsereg.backends.numba.starts`). Smaller alphas add supports that
  the descent prunes.

CEL0 is the exact continuous relaxation of Soubies, Blanc-Feraud and Aubert, "A continuous exact l0
penalty (CEL0) for least squares regularized problem", SIAM J. Imaging Sciences, 2015; exact
*coordinate* descent on it is coordinate descent on l0, so it is never used that way here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.penalties.base import Kind
from sparsereg.solvers.l0_certificate import RootBound
from sparsereg.solvers.refit_swaps import Refit
from sparsereg.solvers.subset import SubsetProblem

STRATEGIES = ("portfolio", "path", "irl1", "fbs")

# Weighted lassos, steps of the splitting, the move in standard deviations of y that ends both.
_LASSOS, _MAX_STEPS, _SETTLED = 50, 300, 1e-4
# Columns of the first pool, those that join at a time, and how often.
_FIRST, _MOST_NEW, _EXTENSIONS = 128, 32, 20
# Routes at smaller alphas, as shares of alpha, those first that find most.
_SMALLER = (
    ("reweighted l1", 0.25),
    ("reweighted l1", 0.5),
    ("forward-backward splitting", 0.25),
    ("reweighted l1", 0.1),
    ("forward-backward splitting", 0.5),
    ("reweighted l1", 0.7),
    ("reweighted l1", 0.35),
)
# A forward path that goes on to this share of alpha and is then pruned is a backward one.
_BEYOND = 0.25
# An event of a forward path lies this much below the alpha at which a column begins to pay.
_BELOW = 1.0 - 1e-6


def starting_supports(
    problem: SubsetProblem, alpha: float, strategy: str, root: RootBound
) -> Iterator[tuple[str, IndexArray]]:
    """Yield (name, support) of the routes that make up a strategy, for alpha > 0.

    Parameters
    ----------
    problem : SubsetProblem
    alpha : float
    strategy : {"portfolio", "path", "irl1", "fbs"}
        The portfolio is all of them.
    root : RootBound
        Where its relaxation has been solved after the first start, the portfolio rounds it.
    """
    everything = strategy == "portfolio"
    if everything or strategy == "path":
        yield "forward path", forward(problem, alpha)
        if everything:
            rounded = root.rounded()
            if rounded is not None:
                yield "perspective relaxation", rounded
            yield "forward path, beyond", forward(problem, _BEYOND * alpha)
    relaxed = Relaxed(problem)
    if everything or strategy == "irl1":
        yield "reweighted l1", relaxed.reweighted(alpha)
    if everything or strategy == "fbs":
        yield "forward-backward splitting", relaxed.splitting(alpha)
    for name, share in _SMALLER if everything else ():
        route = relaxed.reweighted if name == "reweighted l1" else relaxed.splitting
        support = route(share * alpha)
        if 2 * support.size <= problem.max_size:  # pruning what nearly interpolates takes long
            yield f"{name} at {share:g} alpha", support


def forward(problem: SubsetProblem, alpha: float) -> IndexArray:
    """Follow the local minima from the empty support down to alpha, event by event."""
    refit = Refit(problem, problem.free)
    while (level := _BELOW * refit.next_alpha()) > alpha:
        if refit.descend(level) == 0:
            break
    return refit.support


class Relaxed:
    """CEL0 on a pool of columns whose Gram rows are known; the pool grows by what is missing.

    Coordinates are scaled so that each has curvature 1, ridge included: column j then enters by
    itself where its correlation is beyond sqrt(2 alpha v_j).
    """

    def __init__(self, problem: SubsetProblem):
        self._problem, self._backend = problem, problem.work.backend
        self._scale = 1.0 / np.sqrt(1.0 + problem.ridge)
        self._correlation = self._scale * problem.correlation
        self._settled = _SETTLED * problem.sq_y**0.5
        self._gram = np.empty((0, 0))
        known = np.flatnonzero(problem.usable & (problem.known_rows[1] >= 0))
        strongest = np.argsort(-np.abs(self._correlation[known]), kind="stable")[:_FIRST]
        self._take(np.sort(known[strongest]))

    def reweighted(self, alpha: float) -> IndexArray:
        """Return the support of iteratively reweighted l1, started at zero."""
        coef = np.zeros(self._problem.n_features)
        for max_rounds in (1, _LASSOS):  # the first lasso on all columns it needs
            for _ in range(_EXTENSIONS):
                self._run(self._backend.gram_reweight, alpha, coef, max_rounds)
                if not self._extend(alpha, coef):
                    break
        return self._support(alpha, coef)

    def splitting(self, alpha: float) -> IndexArray:
        """Return the support of forward-backward splitting, started at zero."""
        for _ in range(_EXTENSIONS):
            coef = np.zeros(self._problem.n_features)
            self._run(self._backend.gram_split, alpha, coef, _MAX_STEPS)
            if not self._extend(alpha, coef):
                break
        return self._support(alpha, coef)

    def _run(
        self, method: Callable[..., int], alpha: float, coef: FloatArray, max_iter: int
    ) -> None:
        columns = self._columns
        if columns.size:
            inner = coef[columns]
            form = self._form(alpha).at(columns)
            method(self._gram, self._correlation[columns], inner, form, max_iter, self._settled)
            coef[columns] = inner

    def _take(self, columns: IndexArray) -> None:
        """Make these the pool, and their Gram matrix known, with a unit diagonal."""
        scale = self._scale[columns]
        self._problem.know(columns)
        rows, place = self._problem.known_rows
        self._columns = columns
        self._gram = rows[place[columns][:, None], columns] * scale * scale[:, None]
        self._gram.flat[:: columns.size + 1] = 1.0

    def _extend(self, alpha: float, coef: FloatArray) -> bool:
        """Take in the columns that would enter most; return whether there are any."""
        problem, support = self._problem, np.flatnonzero(coef)
        explained = (self._scale[support] * coef[support]) @ problem.gram_rows(support)
        excess = np.abs(self._correlation - self._scale * explained) - self._thresholds(alpha)
        excess[~problem.usable] = -np.inf
        excess[self._columns] = -np.inf
        entering = np.flatnonzero(excess > self._settled)
        if entering.size > _MOST_NEW:
            entering = entering[np.argpartition(-excess[entering], _MOST_NEW)[:_MOST_NEW]]
        if entering.size:
            self._take(np.union1d(self._columns, entering))
        return entering.size > 0

    def _form(self, alpha: float) -> KernelForm:
        """Return CEL0 at curvature 1: slope s_j at zero, falling by one per unit up to s_j."""
        thresholds = self._thresholds(alpha)
        scales = np.divide(1.0, thresholds, out=np.ones_like(thresholds), where=thresholds > 0)
        return KernelForm(int(Kind.FIRM), np.array([1.0, 1.0, 0.0, 0.0]), thresholds**2, scales)

    def _thresholds(self, alpha: float) -> FloatArray:
        return np.sqrt(2.0 * alpha * self._problem.costs)

    def _support(self, alpha: float, coef: FloatArray) -> IndexArray:
        """Return the columns whose coefficient is beyond half of the threshold of l0."""
        return np.flatnonzero(np.abs(coef) > 0.5 * self._thresholds(alpha))
