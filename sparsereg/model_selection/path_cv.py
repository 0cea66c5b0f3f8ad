"""Cross-validation of a path: all folds walk down the alphas together.

A fold is the whole data with zero weight on the rows that do not train: nothing is copied, and the
residual of the test rows, which is the prediction error, comes with every solve that reads X. Where
solves take place on a Gram matrix, test errors are computed for many alphas at once. Because the
folds are in step, an interruption leaves a complete table of the alphas that are finished. On a
device they are in step to the pass: the gradients of all folds come from one pass over X.

What a fold does at an alpha is a *walk*: it may fit one model there, or offer several candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.backends.protocol import Backend, FloatArray, IndexArray
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.driver import AnyWorkspace
from sparsereg.solvers.lock_step import LockStep, steps_of
from sparsereg.solvers.parts import part_of, rows_left_out
from sparsereg.solvers.path import PathRecord, solve_path
from sparsereg.solvers.problem import Problem, Solution, Stretch

# Alphas whose errors on the test rows are computed at once.
_JUDGED_TOGETHER = 50


class Candidate(NamedTuple):
    """A model offered at one alpha: its solution, and what it leaves of y on every row.

    A residual of None is computed on the test rows only, for many alphas at once.
    """

    solution: Solution
    residual: FloatArray | None


#: Mean squared error on the test rows, and score.
Judged = tuple[float, float]

#: Called with (workspace of a training part, its rows); yields the candidates at each alpha, or the
#: only ones of several alphas together.
Walk = Callable[[Any, IndexArray], Iterator[Sequence[Candidate] | Stretch]]

#: Called with (fold's solution, predictions on the test rows, test rows); greater is better.
Scorer = Callable[[Solution, FloatArray, IndexArray], float]


def path_walk(penalty: ElasticNet, alphas: FloatArray, *, tol: float, max_iter: int) -> Walk:
    """Return the walk that solves at each alpha, under the same penalty in every fold."""

    def walk(work: AnyWorkspace, train: IndexArray) -> Iterator[Stretch]:
        yield from solve_path(work, penalty, alphas, tol=tol, max_iter=max_iter)

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
        whole: AnyWorkspace,
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
        self._problem, self._backend = problem, backend
        self._test, self._scorer = test, scorer
        self.records: list[PathRecord] = []
        self._test_weights = weights[test]
        self._judged: list[list[Judged | Solution]] = []
        self._n_visited = 0
        times = np.bincount(train, minlength=weights.size)
        training = weights * times
        if not training.any():
            raise ValueError("A training fold has zero total sample weight: use fewer folds.")
        training *= training.size / training.sum()
        fold = Problem(
            problem.X, problem.y, problem.penalty, problem.loss, training, problem.fit_intercept
        )
        self._work = part_of(whole, fold, backend, rows_left_out(train, weights.size))
        self._steps = walk(self._work, train)

    def walk(self, n_alphas: int, together: LockStep) -> None:
        """Solve at all alphas."""
        for _ in range(n_alphas):
            self.advance()
            together.note()

    def advance(self) -> None:
        """Solve at the next alpha, unless it came together with one before."""
        self._n_visited += 1
        if self.n_solved >= self._n_visited:
            return
        found = next(self._steps)
        if isinstance(found, Stretch):
            self._append([found])
            self._judged.extend([entry] for entry in self._judge_stretch(found))
            return
        self._append([candidate.solution for candidate in found])
        self._judged.append([
            c.solution if c.residual is None else self._judge(c.solution, c.residual[self._test])
            for c in found
        ])  # fmt: skip

    def _append(self, found: Sequence[Solution | Stretch]) -> None:
        if not self.records:
            self.records.extend(PathRecord(self._work.coef.shape) for _ in found)
        for record, solutions in zip(self.records, found):
            record.append(solutions)

    @property
    def n_solved(self) -> int:
        """Number of alphas that are recorded and judged, or wait to be."""
        return len(self._judged)

    def judged(self, n_alphas: int) -> list[list[Judged]]:
        """Return the test error and the score of each candidate at the first alphas."""
        rows = self._judged[:n_alphas]
        waiting = [entry for row in rows for entry in row if isinstance(entry, Solution)]
        if waiting:
            errors = iter(self._errors(waiting))
            self._judged[:n_alphas] = [
                [self._judge(e, next(errors)) if isinstance(e, Solution) else e for e in row]
                for row in rows
            ]
        return self._judged[:n_alphas]  # type: ignore[return-value]

    def _errors(self, solutions: Sequence[Solution]) -> FloatArray:
        coefs = np.array([solution.coef for solution in solutions])
        used = np.flatnonzero(np.any(coefs != 0, axis=0))
        design = self._work.design
        fitted = self._backend.fitted_rows(design, self._test, used, coefs[:, used])
        intercepts = np.array([solution.intercept for solution in solutions])
        levels = intercepts + coefs[:, used] @ design.means[used]
        return self._problem.y[self._test] - levels[:, None] - fitted

    def _judge_stretch(self, stretch: Stretch) -> Sequence[Judged | Solution]:
        if stretch.residuals is None:
            return [stretch.solution(k) for k in range(len(stretch))]
        errors = stretch.residuals[:, self._test]
        if self._scorer is not None or errors.ndim == 3:
            return [self._judge(stretch.solution(k), error) for k, error in enumerate(errors)]
        total = float(self._test_weights.sum())
        if total == 0.0:
            return [(np.nan, np.nan)] * len(stretch)
        return [(mse, -mse) for mse in (errors**2 @ self._test_weights / total).tolist()]

    def _judge(self, solution: Solution, error: FloatArray) -> Judged:
        total = float(self._test_weights.sum())
        # the mean is over the tasks
        mse = float(np.mean(self._test_weights @ error**2 / total)) if total > 0.0 else np.nan
        if self._scorer is None:
            return mse, -mse
        return mse, self._scorer(solution, self._problem.y[self._test] - error, self._test)


def cross_validate_path(
    whole: AnyWorkspace,
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
    whole : Workspace or MultiTaskWorkspace
        Of all data; where it is.
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
        Not used where folds are in lock step: each has its own then.
    verbose : int

    Returns
    -------
    CrossValidatedPath
        Cut short, with a warning, if interrupted after the first alpha.
    """
    # limited here for the threads of the folds too: only one thread of a process may set limits
    # on a Gram matrix there are no passes to share
    in_lock_step = backend.shares_passes and not whole.on_gram
    with single_threaded_blas(), LockStep(backend, len(splits)) as together:

        def fold_of(number: int) -> _Fold:
            member = together.member(number) if in_lock_step else backend
            return _Fold(whole, problem, member, *splits[number], walk, scorer)

        numbers = range(len(splits))
        if in_lock_step:
            making = together.start([partial(fold_of, number) for number in numbers])
            folds = [fold.result() for fold in making]
        else:
            folds = [fold_of(number) for number in numbers]
        table = CrossValidatedPath([fold.records for fold in folds])
        try:
            with ThreadPoolExecutor(n_threads) if n_threads > 1 else nullcontext() as pool:
                if in_lock_step:
                    walks = [partial(fold.walk, n_alphas, together) for fold in folds]
                    steps = steps_of(together, walks, lambda: _finished(folds), n_alphas)
                else:
                    steps = _advance_together(folds, n_alphas, pool)
                for k, _ in enumerate(progress(steps, n_alphas, "cross-validation", verbose), 1):
                    if k % _JUDGED_TOGETHER == 0 or k == n_alphas:
                        _judge_together(folds, k, table)
        except KeyboardInterrupt:
            together.stop()
            if not _finished(folds):
                raise
            _keep_finished(folds, n_alphas, table)
    return table


def _finished(folds: Sequence[_Fold]) -> int:
    return min(fold.n_solved for fold in folds)


def _keep_finished(folds: Sequence[_Fold], n_alphas: int, table: CrossValidatedPath) -> None:
    """Cut the table, with a warning, after the alphas that every fold has finished."""
    finished = _finished(folds)
    _judge_together(folds, finished, table)
    warn_caller(
        f"Interrupted: alpha is chosen among the {finished} of {n_alphas} alphas that every fold "
        f"has finished.",
        PathInterruptedWarning,
    )
    table.records = [[record.first(finished) for record in records] for records in table.records]


def _advance_together(folds: Sequence[_Fold], n_alphas: int, pool: Any) -> Iterator[None]:
    for _ in range(n_alphas):
        if pool is None:
            for fold in folds:
                fold.advance()
        else:
            list(pool.map(_Fold.advance, folds))
        yield


def _judge_together(folds: Sequence[_Fold], finished: int, table: CrossValidatedPath) -> None:
    """Add the finished alphas to the table that are not there yet."""
    del table.scores[table.n_finished :]  # an interruption may have come between the two
    of_folds = [fold.judged(finished)[table.n_finished :] for fold in folds]
    for row in zip(*of_folds):
        judged = np.array(row)  # fold, candidate, (error, score)
        table.scores.append(judged[:, :, 1].T)
        table.mse.append(judged[:, :, 0].T)
