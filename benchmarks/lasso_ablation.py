"""Family "lasso-ablation": what each idea of the lasso solver is worth, each off in turn.

The answers stay what they are: every idea has an ordinary way to fall back on. Times are medians,
in this process, of fits whose kernels are compiled; nothing is compared with other packages.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console

from . import data, environment, report
from .protocol import OURS

__all__ = ["IDEAS", "TASKS", "measure", "run"]

_SOLVERS = "sparsereg.solvers."
_NEVER = 10**9

#: What to replace so that an idea does not take part.
IDEAS: dict[str, dict[str, Any]] = {
    "Newton steps": {"restricted._NEWTON_FROM": _NEVER},
    "several alphas at once": {"look_ahead._MAX_ALPHAS": 1},
    "levels": {"working_set._DENSE_NEW": (_NEVER, 1.0), "working_set._SPARSE_NEW": (_NEVER, 1.0)},
    "whole Gram matrix": {"workspace.Workspace.whole_gram_fits": False},
    "folds by down-dating": {"parts._downdated": lambda *arguments: None},
    "factor at once": {"column_pool._FACTORIZED_TOGETHER": _NEVER},
}

_TOL, _DOWN_TO = 1e-6, 0.01


def _fit(share: float) -> Callable[[Any, Any], None]:
    def fit(X: Any, y: Any) -> None:
        from sparsereg import Lasso

        alpha = share * np.max(np.abs(X.T @ (y - y.mean()))) / len(y)
        Lasso(alpha, tol=_TOL).fit(X, y)

    return fit


def _path(X: Any, y: Any) -> None:
    from sparsereg import lasso_path

    lasso_path(X, y, eps=_DOWN_TO, tol=_TOL, fit_intercept=True)


def _cross_validation(X: Any, y: Any) -> None:
    from sparsereg import LassoCV

    LassoCV(eps=_DOWN_TO, tol=_TOL).fit(X, y)


#: Name of a task: (names of its data, full and quick, and what to do with them).
TASKS: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[Any, Any], None]]] = {
    "fit at .01, Toeplitz .5, 200 x 20,000": (
        lambda: data.toeplitz(200, 20_000, 0.5),
        lambda: data.toeplitz(50, 500, 0.5),
        _fit(0.01),
    ),
    "fit at .01, Toeplitz .9, 1,000 x 10,000": (
        lambda: data.toeplitz(1000, 10_000, 0.9),
        lambda: data.toeplitz(100, 400, 0.9),
        _fit(0.01),
    ),
    "path, Toeplitz .5, 200 x 20,000": (
        lambda: data.toeplitz(200, 20_000, 0.5),
        lambda: data.toeplitz(50, 500, 0.5),
        _path,
    ),
    "path, Toeplitz .5, 10,000 x 1,000": (
        lambda: data.toeplitz(10_000, 1000, 0.5),
        lambda: data.toeplitz(500, 60, 0.5),
        _path,
    ),
    "path, genotypes, 1,000 x 5,000": (
        lambda: data.genotypes(1000, 5000),
        lambda: data.genotypes(100, 300),
        _path,
    ),
    "path, text, 20,000 x 64,000": (
        lambda: data.text(20_000, 64_000, 1_200_000),
        lambda: data.text(300, 900, 9000),
        _path,
    ),
    "CV, Toeplitz .5, 10,000 x 1,000": (
        lambda: data.toeplitz(10_000, 1000, 0.5),
        lambda: data.toeplitz(500, 60, 0.5),
        _cross_validation,
    ),
}


@contextmanager
def without(idea: str) -> Iterator[None]:
    """Keep one idea from taking part."""
    with ExitStack() as stack:
        for name, value in IDEAS[idea].items():
            stack.enter_context(patch(_SOLVERS + name, value))
        yield


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``lasso-ablation.json`` and ``lasso-ablation.md``, or ``-quick``."""
    results = measure(
        quick=quick, repeats=repeats or (1 if quick else 3), time_limit=time_limit or 60.0,
        console=Console(stderr=True),
    )  # fmt: skip
    report.write(results, "lasso-ablation-quick" if quick else "lasso-ablation", output)


def measure(*, quick: bool, repeats: int, time_limit: float, console: Console) -> dict[str, Any]:
    """Time every task with everything, and without each idea.

    Parameters
    ----------
    quick : bool
        Whether to take small data.
    repeats : int
        Timings behind each median.
    time_limit : float
        Seconds after which a task is not repeated.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    tasks = []
    for name, (full, small, work) in TASKS.items():
        X, y = small() if quick else full()
        seconds = {}
        for idea in ("everything", *IDEAS):
            with console.status(f"{name}: {idea}"), warnings.catch_warnings(), ExitStack() as stack:
                warnings.simplefilter("ignore")
                if idea != "everything":
                    stack.enter_context(without(idea))
                seconds[idea] = _time(work, X, y, repeats, time_limit)
        tasks.append({"task": name, "seconds": seconds})
    return {
        "family": "lasso-ablation",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment.describe([OURS]),
        "protocol": {"repeats": repeats, "time_limit": time_limit, "ideas": list(IDEAS)},
        "ablation": tasks,
    }


def _time(
    work: Callable[[Any, Any], None], X: Any, y: Any, repeats: int, time_limit: float
) -> float:
    timings: list[float] = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work(X, y)
        timings.append(time.perf_counter() - start)
        if timings[-1] > time_limit:
            break
    return median(timings[1:] or timings)  # the first may have compiled
