"""Cross-validation of a path: all folds walk down the alphas together.

A fold is the whole data with zero weight on the rows that do not train: nothing is copied, and the
residual of the test rows, which is the prediction error, comes with every solve. Because the folds
are in step, an interruption leaves a complete table of the alphas that are finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.backends.protocol import Backend, FloatArray, IndexArray
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.solvers.path import PathRecord, solve_path
from sparsereg.solvers.problem import Problem, Solution
from sparsereg.solvers.workspace import Workspace

#: Called with (fold's solution, predictions on the test rows, test rows); greater is better.
Scorer = Callable[[Solution, FloatArray, IndexArray], float]


@dataclass
class CrossValidatedPath:
    """Errors, scores and solutions of every fold at every finished alpha.

    Attributes
    ----------
    mse, scores : list of rows, a row per alpha with an entry per fold
    records : list of PathRecord, one per fold
    """

    records: list[PathRecord]
    mse: list[list[float]] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)

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
        alphas: FloatArray,
        scorer: Scorer | None,
        tol: float,
        max_iter: int,
    ):
        weights = (
            np.ones(problem.y.size) if problem.sample_weight is None else problem.sample_weight
        )
        self._problem, self._test, self._scorer = problem, test, scorer
        self.record = PathRecord(problem.X.shape[1])
        self._test_weights = weights[test]
        training = weights * np.bincount(train, minlength=weights.size)
        if not training.any():
            raise ValueError("A training fold has zero total sample weight: use fewer folds.")
        training *= training.size / training.sum()
        fold = Problem(
            problem.X, problem.y, problem.penalty, problem.loss, training, problem.fit_intercept
        )
        self._work = Workspace(fold, backend)
        self._steps = solve_path(self._work, problem.penalty, alphas, tol=tol, max_iter=max_iter)

    def advance(self) -> tuple[float, float]:
        """Solve at the next alpha; return the test error and the score."""
        solution = next(self._steps)
        self.record.append(solution)
        error = self._work.residual[self._test]
        if self._test_weights.any():
            mse = float(np.average(error**2, weights=self._test_weights))
        else:
            mse = np.nan
        if self._scorer is None:
            return mse, -mse
        prediction = self._problem.y[self._test] - error
        return mse, self._scorer(solution, prediction, self._test)


def cross_validate_path(
    problem: Problem,
    backend: Backend,
    alphas: FloatArray,
    splits: Sequence[tuple[IndexArray, IndexArray]],
    *,
    scorer: Scorer | None,
    tol: float,
    max_iter: int,
    n_threads: int,
    verbose: int,
) -> CrossValidatedPath:
    """Walk every fold down the alphas.

    Parameters
    ----------
    problem : Problem
        The whole data; the alpha of its penalty is not used.
    backend : Backend
    alphas : ndarray of shape (n_alphas,)
        In decreasing order.
    splits : sequence of (train, test)
        Row numbers of each fold; a row that occurs twice in train counts twice.
    scorer : callable or None
        None scores by the negative mean squared error.
    tol, max_iter
        As in :func:`sparsereg.solvers.working_set.solve`, for each fold and alpha.
    n_threads : int
    verbose : int

    Returns
    -------
    CrossValidatedPath
        Cut short, with a warning, if interrupted after the first alpha.
    """
    folds = [
        _Fold(problem, backend, train, test, alphas, scorer, tol, max_iter)
        for train, test in splits
    ]
    table = CrossValidatedPath([fold.record for fold in folds])
    try:
        with ThreadPoolExecutor(n_threads) if n_threads > 1 else nullcontext() as pool:
            rows = _advance_together(folds, len(alphas), pool)
            for row in progress(rows, len(alphas), "cross-validation", verbose):
                mse, scores = zip(*row)
                table.scores.append(list(scores))
                table.mse.append(list(mse))
    except KeyboardInterrupt:
        if not table.n_finished:
            raise
        warn_caller(
            f"Interrupted: alpha is chosen among the {table.n_finished} of {len(alphas)} alphas "
            f"that every fold has finished.",
            PathInterruptedWarning,
        )
        table.records = [record.first(table.n_finished) for record in table.records]
    return table


def _advance_together(
    folds: Sequence[_Fold], n_alphas: int, pool: Any
) -> Iterator[list[tuple[float, float]]]:
    for _ in range(n_alphas):
        if pool is None:
            yield [fold.advance() for fold in folds]
        else:
            yield list(pool.map(_Fold.advance, folds))
