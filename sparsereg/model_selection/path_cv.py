"""Cross-validation of a path: every fold walks down the alphas.

A fold is the whole data with zero weight on the rows that do not train: nothing is copied, and the
residual of the test rows, which is the prediction error, comes with every solve that reads X. Where
solves take place on a Gram matrix, test errors are computed for many alphas at once.

There are as many folds at a time as there are threads for them, and one that is done keeps nothing
but its coefficients and scores: the Gram matrices of the others are not there yet, or no longer. On
a device all go side by side, in step to the pass: their gradients come from one pass over X.

What a fold does at an alpha is a *walk*: it may fit one model there, or offer several candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
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
        An array per alpha; NaN for folds that an interruption left unfinished.
    interrupted : bool
    """

    records: list[list[PathRecord]]
    mse: list[FloatArray]
    scores: list[FloatArray]
    interrupted: bool = False

    @property
    def n_finished(self) -> int:
        """Number of alphas that are finished in every fold that counts."""
        return len(self.mse)


class _Fold:
    """One training part, walking down the path."""

    def __init__(
        self,
        problem: Problem,
        backend: Backend,
        train: IndexArray,
        test: IndexArray,
        scorer: Scorer | None,
    ):
        weights = (
            np.ones(len(problem.y)) if problem.sample_weight is None else problem.sample_weight
        )
        self._problem, self._backend = problem, backend
        self._train, self._test, self._scorer = train, test, scorer
        self.records: list[PathRecord] = []
        self._test_weights = weights[test]
        self._judged: list[list[Judged | Solution]] = []
        self._n_judged = 0
        self._design: Any = None
        self._left_out = rows_left_out(train, weights.size)
        self._training = weights * np.bincount(train, minlength=weights.size)
        if not self._training.any():
            raise ValueError("A training fold has zero total sample weight: use fewer folds.")
        self._training *= weights.size / self._training.sum()

    def steps(self, whole: AnyWorkspace, walk: Walk, n_alphas: int) -> Iterator[None]:
        """Solve at all alphas; yield after each."""
        part = replace(self._problem, sample_weight=self._training)
        work = part_of(whole, part, self._backend, self._left_out)
        self._design, shape = work.design, work.coef.shape
        walked = walk(work, self._train)
        del work  # it belongs to the walk, and goes with it
        for k in range(n_alphas):
            if self.n_solved <= k:  # it may have come together with one before
                self._take(next(walked), shape)
            if k == n_alphas - 1 or self.n_solved - self._n_judged >= _JUDGED_TOGETHER:
                self.judge()
            yield
        self._design = None

    def _take(self, found: Sequence[Candidate] | Stretch, shape: tuple[int, ...]) -> None:
        if isinstance(found, Stretch):
            self._append([found], shape)
            self._judged.extend([entry] for entry in self._judge_stretch(found))
            return
        self._append([candidate.solution for candidate in found], shape)
        self._judged.append([
            c.solution if c.residual is None else self._judge(c.solution, c.residual[self._test])
            for c in found
        ])  # fmt: skip

    def _append(self, found: Sequence[Solution | Stretch], shape: tuple[int, ...]) -> None:
        if not self.records:
            self.records.extend(PathRecord(shape) for _ in found)
        for record, solutions in zip(self.records, found):
            record.append(solutions)

    @property
    def n_solved(self) -> int:
        """Number of alphas that are recorded and judged, or wait to be."""
        return len(self._judged)

    def judge(self) -> None:
        """Compute the test errors and scores that wait, all at once."""
        rows = self._judged[self._n_judged :]
        waiting = [entry for row in rows for entry in row if isinstance(entry, Solution)]
        if waiting:
            errors = iter(self._errors(waiting))
            self._judged[self._n_judged :] = [
                [self._judge(e, next(errors)) if isinstance(e, Solution) else e for e in row]
                for row in rows
            ]
        self._n_judged = len(self._judged)

    def judged(self, n_alphas: int) -> FloatArray:
        """Return error and score of each candidate at the first alphas: (alpha, candidate, 2)."""
        return np.array(self._judged[:n_alphas])

    def _errors(self, solutions: Sequence[Solution]) -> FloatArray:
        coefs = np.array([solution.coef for solution in solutions])
        used = np.flatnonzero(np.any(coefs != 0, axis=0))
        design = self._design
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
        Folds at a time; not used where they are in lock step: all are then.
    verbose : int

    Returns
    -------
    CrossValidatedPath
        If interrupted after the first alpha, the largest part in which each fold has finished each
        alpha, with a warning.
    """
    # on a Gram matrix there are no passes to share
    in_lock_step = backend.shares_passes and not whole.on_gram
    n_threads = len(splits) if in_lock_step else n_threads
    total = n_alphas * len(splits)
    # limited here for the threads of the folds too: only one thread of a process may set limits
    with single_threaded_blas(), LockStep(backend, n_threads) as together:
        folds = [
            _Fold(problem, together.member(k) if in_lock_step else backend, train, test, scorer)
            for k, (train, test) in enumerate(splits)
        ]
        walks = [fold.steps(whole, walk, n_alphas) for fold in folds]
        steps: Iterator[None] = chain.from_iterable(walks)
        if n_threads > 1:
            tasks = [partial(together.follow, steps_of_fold) for steps_of_fold in walks]
            steps = steps_of(together, tasks, lambda: sum(f.n_solved for f in folds), total)
        try:
            for _ in progress(steps, total, "cross-validation", verbose):
                pass
        except KeyboardInterrupt:
            together.stop()
            return _what_is_finished(folds, n_alphas)
    return _table(folds, n_alphas)


def _what_is_finished(folds: Sequence[_Fold], n_alphas: int) -> CrossValidatedPath:
    """Return, with a warning, the part with the most (fold, alpha) pairs that has no gaps."""
    solved = np.sort([fold.n_solved for fold in folds])[::-1]
    if not solved[0]:
        raise KeyboardInterrupt
    finished = int(solved[np.argmax(solved * np.arange(1, solved.size + 1))])
    counted = [fold for fold in folds if fold.n_solved >= finished]
    every = len(counted) == len(folds)
    who = "every fold has" if every else f"{len(counted)} of {len(folds)} folds have"
    warn_caller(
        f"Interrupted: alpha is chosen among the {finished} of {n_alphas} alphas that {who} "
        f"finished.",
        PathInterruptedWarning,
    )
    for fold in counted:
        fold.judge()
    table = _table(folds, finished)
    table.interrupted = True
    return table


def _table(folds: Sequence[_Fold], n_alphas: int) -> CrossValidatedPath:
    """Return the first alphas of the folds that have finished so many, NaN for the others."""
    furthest = max(folds, key=lambda fold: fold.n_solved).records
    judged = np.full((len(folds), n_alphas, len(furthest), 2), np.nan)
    records = []
    for k, fold in enumerate(folds):
        if fold.n_solved >= n_alphas:
            judged[k] = fold.judged(n_alphas)
        n_recorded = min(fold.n_solved, n_alphas)
        records.append([record.first(n_recorded) for record in fold.records or furthest])
    mse, scores = judged.transpose(3, 1, 2, 0)
    return CrossValidatedPath(records, list(mse), list(scores))
