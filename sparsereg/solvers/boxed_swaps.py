"""Local search over supports whose coefficients are bounded: every refit respects |w_j| <= M_j.

What is best without bounds need not be near what is best within them: columns at their bound leave
something that others explain, and more columns than the rank of X can be useful. Moves are scored
and made in compiled code (:mod:`sparsereg.backends.numba.boxed_swaps`) on the columns whose Gram
rows are known, those that would bring most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.subset import SubsetProblem

# Columns outside the support that may enter, and how often they are chosen anew.
_CANDIDATES, _ROUNDS = 32, 4
# Moves that are tried with a refit before a support is taken to be the best of its neighbors.
_MOST_TRIED = 50
# A move must lower the objective by this share of ||y||^2 / n.
_PROGRESS = 1e-10


class End(NamedTuple):
    """Where moves from a start end.

    Attributes
    ----------
    support : ndarray of int
    objective : float
        That of its fit, to rounding of the Gram matrix.
    n_moves : int
    """

    support: IndexArray
    objective: float
    n_moves: int


class BoxedSwaps:
    """Moves on the supports of a problem with |w_j| <= coef_bound.

    Parameters
    ----------
    problem : SubsetProblem
    coef_bound : float
    """

    def __init__(self, problem: SubsetProblem, coef_bound: float):
        self._problem = problem
        self._limit = np.where(problem.usable, coef_bound * problem.norms, 0.0)

    def descend(
        self, start: IndexArray, alpha: float, max_moves: int, max_size: int | None = None
    ) -> End:
        """Move from a support until no move that is tried lowers the objective.

        With ``max_size``, among supports of at most so many columns with a cost.
        """
        problem = self._problem
        support = np.union1d(start, problem.free)
        problem.know(support)
        coef, made = np.zeros(problem.n_features), 0
        # first the fit in the box alone: what it leaves tells the candidates
        objective, support, _ = self._search(support, support, coef, alpha, max_size, 0)
        for _ in range(_ROUNDS if max_moves > 0 else 0):
            columns, left = self._with_candidates(support, coef), max_moves - made
            objective, support, moves = self._search(columns, support, coef, alpha, max_size, left)
            made += moves
            if not moves or made == max_moves or columns.size == np.count_nonzero(problem.usable):
                break
        return End(support, objective, made)

    def _search(
        self,
        columns: IndexArray,
        support: IndexArray,
        coef: FloatArray,
        alpha: float,
        max_size: int | None,
        max_moves: int,
    ) -> tuple[float, IndexArray, int]:
        """Make moves among some columns, ``coef`` in place; return objective, support, moves."""
        problem = self._problem
        costs, values = problem.costs[columns], coef[columns]
        inside = np.isin(columns, support, assume_unique=True).astype(np.uint8)
        value, moves = problem.work.backend.boxed_search(
            problem.gram_rows(columns)[:, columns], problem.correlation[columns],
            problem.ridge[columns], self._limit[columns], np.where(costs > 0, alpha * costs, -1.0),
            inside, values, columns.size if max_size is None else max_size, max_moves, _MOST_TRIED,
            _PROGRESS * problem.sq_y,
        )  # fmt: skip
        coef[:] = 0.0
        coef[columns] = values
        return 0.5 * problem.sq_y + value, columns[inside == 1], moves

    def _with_candidates(self, support: IndexArray, coef: FloatArray) -> IndexArray:
        """Return the support and the columns with known rows that would bring most, increasing."""
        problem = self._problem
        slope = np.abs(problem.correlation - coef[support] @ problem.gram_rows(support))
        curvature = 1.0 + problem.ridge
        step = np.minimum(slope / curvature, self._limit)
        gain = step * (slope - 0.5 * curvature * step)
        gain[support] = 0.0
        gain[problem.known_rows[1] < 0] = 0.0
        best = np.argsort(-gain, kind="stable")[:_CANDIDATES]
        return np.union1d(support, best[gain[best] > 0])
