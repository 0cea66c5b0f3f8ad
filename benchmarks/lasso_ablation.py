"""Family "lasso-ablation": what each idea of the lasso solver is worth, each off in turn.

The answers stay what they are: every idea has an ordinary way to fall back on, and the largest
duality gap of all variants stands beside their times. Times are medians, in this process, of fits
whose kernels are compiled; the variants take turns, so that a machine that slows down slows all of
them. Nothing is compared with other packages.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from . import data, environment, report
from .protocol import OURS

__all__ = ["IDEAS", "TASKS", "Task", "measure", "run", "without"]

_SOLVERS = "sparsereg.solvers."
_NEVER = 10**9

#: What to replace so that an idea does not take part.
IDEAS: dict[str, dict[str, Any]] = {
    "Newton steps": {"restricted._NEWTON_FROM": _NEVER},
    "several alphas at once": {"look_ahead._MAX_ALPHAS": 1},
    "levels": {
        "working_set._MOST_NEW": (_NEVER, 1.0),
        "working_set._MOST_NEW_IF_DEAR": (_NEVER, 1.0),
    },
    "steps between passes": {"working_set._STEPS_IN_SIGHT": 0},
    "whole Gram matrix": {"workspace.Workspace.whole_gram_fits": False},
    "folds by down-dating": {"parts._downdated": lambda *arguments: None},
    "factor at once": {"column_pool._FACTORIZED_TOGETHER": _NEVER},
}

_TOL, _DOWN_TO = 1e-6, 0.01

#: Solves a task; returns the largest duality gap, in mean squares of the centered y.
Work = Callable[[Any, Any], float]


def _fit(share: float) -> Work:
    def fit(X: Any, y: Any) -> float:
        from sparsereg import Lasso

        alpha = share * np.max(np.abs(X.T @ (y - y.mean()))) / len(y)
        return Lasso(alpha, tol=_TOL).fit(X, y).dual_gap_ / np.var(y)

    return fit


def _path(l1_ratio: float) -> Work:
    def path(X: Any, y: Any) -> float:
        from sparsereg import enet_path

        settings = {"eps": _DOWN_TO, "tol": _TOL, "fit_intercept": True}
        return np.max(enet_path(X, y, l1_ratio=l1_ratio, **settings)[2]) / np.var(y)

    return path


def _cross_validation(X: Any, y: Any) -> float:
    from sparsereg import LassoCV

    return LassoCV(eps=_DOWN_TO, tol=_TOL).fit(X, y).dual_gap_ / np.var(y)


@dataclass(frozen=True)
class Task:
    """Something to solve: the data, a small version of them, and what to do with them."""

    name: str
    full: Callable[[], Any]
    small: Callable[[], Any]
    work: Work


_WIDE = partial(data.toeplitz, 200, 20_000, 0.5), partial(data.toeplitz, 50, 500, 0.5)
_CORRELATED = partial(data.toeplitz, 1000, 10_000, 0.9), partial(data.toeplitz, 100, 400, 0.9)
_TALL = partial(data.toeplitz, 10_000, 1000, 0.5), partial(data.toeplitz, 500, 60, 0.5)
_MARKERS = partial(data.genotypes, 1000, 5000), partial(data.genotypes, 100, 300)
_TEXT = partial(data.text, 20_000, 64_000, 1_200_000), partial(data.text, 300, 900, 9000)

TASKS = (
    Task("fit at .01, Toeplitz .5, 200 x 20,000", *_WIDE, _fit(0.01)),
    Task("fit at .01, Toeplitz .9, 1,000 x 10,000", *_CORRELATED, _fit(0.01)),
    Task("path, Toeplitz .5, 200 x 20,000", *_WIDE, _path(1.0)),
    Task("path, Toeplitz .5, 10,000 x 1,000", *_TALL, _path(1.0)),
    Task("path, genotypes, 1,000 x 5,000", *_MARKERS, _path(1.0)),
    Task("path, text, 20,000 x 64,000", *_TEXT, _path(1.0)),
    Task("elastic-net path, Toeplitz .5, 10,000 x 1,000", *_TALL, _path(0.5)),
    Task("CV, Toeplitz .5, 10,000 x 1,000", *_TALL, _cross_validation),
)


@contextmanager
def without(idea: str) -> Iterator[None]:
    """Keep one idea from taking part."""
    with ExitStack() as stack:
        for name, value in IDEAS[idea].items():
            stack.enter_context(patch(_SOLVERS + name, value))
        yield


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``lasso-ablation.json`` and ``lasso-ablation.md``, or ``-quick``.

    The tasks are fixed and short: ``time_limit`` is not used.
    """
    results = measure(
        TASKS, quick=quick, repeats=repeats or (1 if quick else 5), console=Console(stderr=True)
    )
    report.write(results, "lasso-ablation-quick" if quick else "lasso-ablation", output)


def measure(
    tasks: Sequence[Task], *, quick: bool, repeats: int, console: Console
) -> dict[str, Any]:
    """Time every task with everything, and without each idea.

    Parameters
    ----------
    tasks : sequence of Task
    quick : bool
        Whether to take small data.
    repeats : int
        Timings behind each median.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    first = environment.heading(
        "lasso-ablation", [OURS], [OURS], repeats=repeats, ideas=list(IDEAS), tol=_TOL
    )
    measured = []
    for task in tasks:
        X, y = task.small() if quick else task.full()
        timings: dict[str, list[float]] = {idea: [] for idea in ("everything", *IDEAS)}
        gap = 0.0
        for _ in range(repeats + 1):
            for idea, times in timings.items():
                with console.status(f"{task.name}: {idea}"):
                    seconds, reached = _time(task.work, X, y, idea)
                times.append(seconds)
                gap = max(gap, reached)
        medians = {idea: median(times[1:]) for idea, times in timings.items()}  # first: compiling
        measured.append({"task": task.name, "seconds": medians, "largest_gap": gap})
    return {**first, "ablation": measured}


def _time(work: Work, X: Any, y: Any, idea: str) -> tuple[float, float]:
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        if idea != "everything":
            stack.enter_context(without(idea))
        start = time.perf_counter()
        gap = work(X, y)
        return time.perf_counter() - start, float(gap)
