"""Cross-validation of a path: all folds walk down the alphas together.

A fold is the whole data with zero weight on the rows that do not train: nothing is copied, and the
residual of the test rows, which is the prediction error, comes with every solve. Because the folds
are in step, an interruption leaves a complete table of the alphas that are finished.

What a fold does at an alpha is a *walk*: it may fit one model there, or offer several candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.backends.protocol import Backend, FloatArray, IndexArray
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.driver import AnyWorkspace, make_workspace
from sparsereg.solvers.path import PathRecord, solve_path
from sparsereg.solvers.problem import Problem, Solution


class Candidate(NamedTuple):
    """A model offered at one alpha: its solution, and what it leaves of y on every row."""

    solution: Solution
    residual: FloatArray


#: Called with (workspace of a training part, its rows); yields the candidates at each alpha.
Walk = Callable[[Any, IndexArray], Iterator[Sequence[Candidate]]]

#: Called with (fold's solution, predictions on the test rows, test rows); greater is better.
Scorer = Callable[[Solution, FloatArray, IndexArray], float]


def path_walk(penalty: ElasticNet, alphas: FloatArray, *, tol: float, max_iter: int) -> Walk:
    """Return the walk that solves at each alpha, under the same penalty in every fold."""

    def walk(work: AnyWorkspace, train: IndexArray) -> Iterator[Sequence[Candidate]]:
        for solution in solve_path(work, penalty, alphas, tol=tol, max_iter=max_iter):
            yield [Candidate(solution, work.residual)]

    return walk


@dataclass
class CrossValidatedPath:
    """Errors, scores and solutions of every fold at every finished alpha.

    Attributes
    ----------
    records : list of lists of PathRecord
        A list per fold with an entry per candidate.
    mse, scores : list of ndarray of shape (n_candidates, n_folds)
        An array per alpha.
    """

    records: list[list[PathRecord]]
    mse: list[FloatArray] = field(default_factory=list)
    scores: list[FloatArray] = field(default_factory=list)

    @property
    def n_finished(self) -> int:
        """Number of alphas that every fold has finished."""
        return len(self.mse)


class _Fold:
    """One training part, walking down the path."""

    def __init__(
        self,
        problem: Problem,
        backend: Backend,
        train: IndexArray,
        test: IndexArray,
        walk: Walk,
        scorer: Scorer | None,
    ):
        weights = (
            np.ones(len(problem.y)) if problem.sample_weight is None else problem.sample_weight
        )
        self._problem, self._test, self._scorer = problem, test, scorer
        self.records: list[PathRecord] = []
        self._test_weights = weights[test]
        training = weights * np.bincount(train, minlength=weights.size)
        if not training.any():
            raise ValueError("A training fold has zero total sample weight: use fewer folds.")
        training *= training.size / training.sum()
        fold = Problem(
            problem.X, problem.y, problem.penalty, problem.loss, training, problem.fit_intercept
        )
        self._steps = walk(make_workspace(fold, backend), train)

    def advance(self) -> list[tuple[float, float]]:
        """Solve at the next alpha; return the test error and the score of each candidate."""
        candidates = next(self._steps)
        if not self.records:
            self.records.extend(PathRecord(c.solution.coef.shape) for c in candidates)
        for record, candidate in zip(self.records, candidates):
            record.append(candidate.solution)
        return [self._judge(candidate) for candidate in candidates]

    def _judge(self, candidate: Candidate) -> tuple[float, float]:
        error = candidate.residual[self._test]
        if self._test_weights.any():
            errors = np.average(error**2, axis=0, weights=self._test_weights)  # of each task
            mse = float(np.mean(errors))
        else:
            mse = np.nan
        if self._scorer is None:
            return mse, -mse
        prediction = self._problem.y[self._test] - error
        return mse, self._scorer(candidate.solution, prediction, self._test)


def cross_validate_path(
    problem: Problem,
    backend: Backend,
    walk: Walk,
    n_alphas: int,
    splits: Sequence[tuple[IndexArray, IndexArray]],
    *,
    scorer: Scorer | None,
    n_threads: int,
    verbose: int,
) -> CrossValidatedPath:
    """Walk every fold down the alphas.

    Parameters
    ----------
    problem : Problem
        The whole data; its penalty is not used.
    backend : Backend
    walk : callable
        What a fold does; see :data:`Walk`.
    n_alphas : int
        Number of alphas the walk visits.
    splits : sequence of (train, test)
        Row numbers of each fold; a row that occurs twice in train counts twice.
    scorer : callable or None
        None scores by the negative mean squared error.
    n_threads : int
    verbose : int

    Returns
    -------
    CrossValidatedPath
        Cut short, with a warning, if interrupted after the first alpha.
    """
    folds = [_Fold(problem, backend, train, test, walk, scorer) for train, test in splits]
    table = CrossValidatedPath([fold.records for fold in folds])
    try:
        with ThreadPoolExecutor(n_threads) if n_threads > 1 else nullcontext() as pool:
            rows = _advance_together(folds, n_alphas, pool)
            for row in progress(rows, n_alphas, "cross-validation", verbose):
                judged = np.array(row)  # fold, candidate, (error, score)
                table.scores.append(judged[:, :, 1].T)
                table.mse.append(judged[:, :, 0].T)
    except KeyboardInterrupt:
        if not table.n_finished:
            raise
        warn_caller(
            f"Interrupted: alpha is chosen among the {table.n_finished} of {n_alphas} alphas "
            f"that every fold has finished.",
            PathInterruptedWarning,
        )
        table.records = [
            [record.first(table.n_finished) for record in records] for records in table.records
        ]
    return table


def _advance_together(
    folds: Sequence[_Fold], n_alphas: int, pool: Any
) -> Iterator[list[list[tuple[float, float]]]]:
    for _ in range(n_alphas):
        if pool is None:
            yield [fold.advance() for fold in folds]
        else:
            yield list(pool.map(_Fold.advance, folds))
