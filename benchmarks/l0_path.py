"""Family "l0-path": the best model of every size, and of one size, against abess.

Two tasks on each problem: all sizes from 0 to a largest one, and one size, the number of columns
that matter. Whoever answers is judged by supports: the residual sum of squares of their
least-squares refit, in float64. A time counts only beside the objectives that it bought, so each
cell has both: the share of sizes at which ours is at least as low, the mean difference, and the
ratio of the times.

abess is run as its documentation says, with and without the covariance update, and with all columns
searched instead of the 128 most promising ones; the fastest of these is the one to beat in time,
the lowest at each size is the one to beat in objective. It returns one model per fit; the others of
its path are found, outside the clock, by asking for shorter paths.

Wall time, the median over instances of the least over repetitions. BLAS, OpenMP and kernels are all
limited to the number of threads of the cell.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from scipy.signal import lfilter

from . import environment, report
from .protocol import OURS

__all__ = ["SETTINGS", "Setting", "measure", "render", "run"]

PEERS = ("abess",)

# Residual sums of squares that differ by this share of the null model's are the same.
_SAME = 1e-9
_SNR = 6.0
_LARGEST = 50

Supports = list[np.ndarray]


@dataclass(frozen=True)
class Setting:
    """Rows with correlation rho^|i - j| between columns, of which ``n_nonzero`` matter."""

    n: int
    p: int
    rho: float

    @property
    def max_size(self) -> int:
        """The largest size of the path: n / (log log n log p), where abess stops too, 50 at most.

        The rate is that of Zhu, Wen, Zhu, Zhang and Wang, "A polynomial algorithm for best-subset
        selection problem", PNAS, 2020.
        """
        return min(int(self.n / (math.log(math.log(self.n)) * math.log(self.p))), _LARGEST)

    @property
    def n_nonzero(self) -> int:
        """The number of columns that matter, and the size of the task of one size."""
        return self.max_size // 2

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return standardized X and centered y, with coefficients +1 and -1 at random places."""
        rng = np.random.default_rng([seed, self.n, self.p])
        noise = rng.standard_normal((self.n, self.p))
        noise[:, 1:] *= math.sqrt(1.0 - self.rho**2)
        X = lfilter([1.0], [1.0, -self.rho], noise, axis=1)  # x_j = rho x_(j-1) + noise_j
        X = np.asfortranarray((X - X.mean(axis=0)) / X.std(axis=0))
        support = rng.choice(self.p, self.n_nonzero, replace=False)
        signal = X[:, support] @ rng.choice([-1.0, 1.0], self.n_nonzero)
        y = signal + rng.normal(0.0, signal.std() / math.sqrt(_SNR), self.n)
        return X, y - y.mean()


_SHAPES = ((100, 300), (500, 1000), (200, 5000), (2000, 500))
SETTINGS = tuple(Setting(*shape, rho) for shape in _SHAPES for rho in (0.0, 0.5, 0.7))


#: Ours: by name, the strategy.
STRATEGIES = {f"{OURS}, path": "path", OURS: "portfolio"}
#: Options beyond abess' defaults, with which it is run as well.
ABESS: dict[str, dict[str, Any]] = {
    "abess": {},
    "abess, covariance update": {"covariance_update": True},
    "abess, all columns": {"important_search": 0},
}


def abess_support(
    X: np.ndarray, y: np.ndarray, sizes: Any, threads: int, options: dict[str, Any]
) -> np.ndarray:
    """Return the support with the least loss among those of the sizes, which is the last one's."""
    from abess import LinearRegression

    model = LinearRegression(
        support_size=sizes, fit_intercept=False, ic_type="loss", thread=threads, **options
    )
    return np.flatnonzero(model.fit(X, y).coef_)


@dataclass(frozen=True)
class Method:
    """What is timed, and how the supports it stands for are had."""

    name: str
    package: str
    timed: Callable[[np.ndarray, np.ndarray, Setting, int], Any]
    supports: Callable[[np.ndarray, np.ndarray, Setting, Any], Supports]


def _as_they_are(X: np.ndarray, y: np.ndarray, setting: Setting, answer: Supports) -> Supports:
    return answer


def _our_path(name: str, strategy: str) -> Method:
    def timed(X: np.ndarray, y: np.ndarray, setting: Setting, threads: int) -> Supports:
        from sparsereg import l0_path

        options = {"max_size": setting.max_size, "strategy": strategy, "fit_intercept": False}
        return list(l0_path(X, y, **options).supports)

    return Method(name, OURS, timed, _as_they_are)


def _our_size(name: str, strategy: str) -> Method:
    def timed(X: np.ndarray, y: np.ndarray, setting: Setting, threads: int) -> Supports:
        from sparsereg import L0Regressor

        model = L0Regressor(n_nonzero=setting.n_nonzero, strategy=strategy, fit_intercept=False)
        return [model.fit(X, y).support_]

    return Method(name, OURS, timed, _as_they_are)


def _abess_path(name: str, options: dict[str, Any]) -> Method:
    def timed(X: np.ndarray, y: np.ndarray, setting: Setting, threads: int) -> Any:
        return abess_support(X, y, range(setting.max_size + 1), threads, options)

    def supports(X: np.ndarray, y: np.ndarray, setting: Setting, last: Any) -> Supports:
        shorter = range(setting.max_size)
        return [*(abess_support(X, y, range(k + 1), 1, options) for k in shorter), last]

    return Method(name, "abess", timed, supports)


def _abess_size(name: str, options: dict[str, Any]) -> Method:
    def timed(X: np.ndarray, y: np.ndarray, setting: Setting, threads: int) -> Any:
        return [abess_support(X, y, [setting.n_nonzero], threads, options)]

    return Method(name, "abess", timed, _as_they_are)


TASKS: dict[str, tuple[Method, ...]] = {
    "path": (
        *(_our_path(name, strategy) for name, strategy in STRATEGIES.items()),
        *(_abess_path(name, options) for name, options in ABESS.items()),
    ),
    "size": (
        *(_our_size(name, strategy) for name, strategy in STRATEGIES.items()),
        *(_abess_size(name, options) for name, options in ABESS.items()),
    ),
}


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``l0-path.json`` and ``l0-path.md``, or ``-quick``.

    The problems are small: ``time_limit`` is not used.
    """
    settings = tuple(s for s in SETTINGS if s.n * s.p <= 30_000) if quick else SETTINGS
    results = measure(
        settings, 1 if quick else 3, repeats or 3, (1,) if quick else (1, 2), Console(stderr=True)
    )
    report.write(results, "l0-path-quick" if quick else "l0-path", output, render)


def measure(
    settings: tuple[Setting, ...],
    n_instances: int,
    repeats: int,
    threads: tuple[int, ...],
    console: Console,
) -> dict[str, Any]:
    """Time every installed package on every setting, task and number of threads.

    Parameters
    ----------
    settings : tuple of Setting
    n_instances : int
        Instances of each setting.
    repeats : int
        Timings on each instance, of which the least counts.
    threads : tuple of int
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    installed = [name for name in (OURS, *PEERS) if name == OURS or environment.version(name)]
    first = environment.heading(
        "l0-path", [OURS, *PEERS], installed,
        instances=n_instances, repeats=repeats, same=_SAME, snr=_SNR,
    )  # fmt: skip
    cells = []
    for setting in settings:
        draws = [setting.draw(seed) for seed in range(n_instances)]
        for task, methods in TASKS.items():
            chosen = [method for method in methods if method.package in installed]
            with console.status(f"{setting}, {task}"):
                cells += _cells(setting, task, chosen, draws, repeats, threads)
    return {**first, "cells": cells}


def _cells(
    setting: Setting,
    task: str,
    methods: list[Method],
    draws: list[tuple[np.ndarray, np.ndarray]],
    repeats: int,
    threads: tuple[int, ...],
) -> list[dict[str, Any]]:
    """Return a cell for each number of threads; objectives do not depend on it."""
    values = {
        method.name: np.array(
            [
                _objectives(X, y, method.supports(X, y, setting, method.timed(X, y, setting, 1)))
                for X, y in draws
            ]
        )
        for method in methods
    }
    peers = [method.name for method in methods if method.package != OURS]
    cells = []
    for count in threads:
        with _limited(count):
            seconds = {
                method.name: median(
                    _least_time(method, setting, X, y, count, repeats) for X, y in draws
                )
                for method in methods
            }
        cells.append(
            {
                "setting": {
                    **asdict(setting),
                    "n_nonzero": setting.n_nonzero,
                    "max_size": setting.max_size,
                },
                "task": task,
                "threads": count,
                "seconds": seconds,
                "ours": {
                    name: _compared(name, values, seconds, peers) for name in STRATEGIES if peers
                },
            }
        )
    return cells


def _compared(
    name: str, values: dict[str, np.ndarray], seconds: dict[str, float], peers: list[str]
) -> dict[str, float]:
    """Hold one of our strategies against the fastest and the lowest of the peer's variants."""
    lowest = np.min([values[peer] for peer in peers], axis=0)
    return {
        "ratio": seconds[name] / min(seconds[peer] for peer in peers),
        "not_beaten": float(np.mean(values[name] <= lowest + _SAME)),
        "lower": float(np.mean(values[name] < lowest - _SAME)),
        "mean_difference": float(np.mean(lowest - values[name])),
    }


def _objectives(X: np.ndarray, y: np.ndarray, supports: Supports) -> np.ndarray:
    """Return the residual sum of squares of each refit, over that of the null model."""
    values = []
    for support in supports:
        inside = X[:, support]
        residual = y - inside @ np.linalg.lstsq(inside, y, rcond=None)[0]
        values.append(float(residual @ residual) / float(y @ y))
    return np.array(values)


def _least_time(
    method: Method, setting: Setting, X: np.ndarray, y: np.ndarray, threads: int, repeats: int
) -> float:
    seconds = []
    for _ in range(repeats):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            method.timed(X, y, setting, threads)
            seconds.append(time.perf_counter() - start)
    return min(seconds)


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    """Give BLAS, OpenMP and our kernels so many threads."""
    import numba
    from threadpoolctl import threadpool_limits

    before = numba.config.NUMBA_NUM_THREADS
    numba.config.NUMBA_NUM_THREADS = threads
    try:
        with threadpool_limits(threads):
            yield
    finally:
        numba.config.NUMBA_NUM_THREADS = before


def render(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the table: one row for each setting, task, number of threads and strategy of ours."""
    cells = results["cells"]
    peers = [name for name in (cells[0]["seconds"] if cells else []) if name not in STRATEGIES]
    header = ["problem", "task", "threads", "ours", "time", *peers, "ours / fastest"]
    header += ["not beaten", "lower", "mean difference"]
    rows = []
    for cell in cells:
        s = cell["setting"]
        sizes = f"0-{s['max_size']}" if cell["task"] == "path" else str(s["n_nonzero"])
        for name, strategy in STRATEGIES.items():
            own = cell["ours"].get(name)
            rows.append(
                [
                    f"n={s['n']} p={s['p']} ρ={s['rho']:g}",
                    f"{cell['task']} {sizes}",
                    str(cell["threads"]),
                    strategy,
                    report.duration(cell["seconds"][name]),
                    *(report.duration(cell["seconds"][peer]) for peer in peers),
                    *(
                        ["-"] * 4
                        if own is None
                        else [
                            f"{own['ratio']:.2f}",
                            f"{own['not_beaten']:.2f}",
                            f"{own['lower']:.2f}",
                            f"{own['mean_difference']:+.1e}",
                        ]
                    ),
                ]
            )
    notes = [
        f"{results['protocol']['instances']} instances a setting. Not beaten, lower: the shares of "
        f"sizes and instances at which our residual sum of squares is at most, or below, the least "
        f"of all variants of the peer; mean difference: theirs less ours, in null models."
    ]
    for task in TASKS:
        for name, strategy in STRATEGIES.items():
            own = [c["ours"][name] for c in cells if c["task"] == task and name in c["ours"]]
            if own:
                mean = math.exp(sum(math.log(item["ratio"]) for item in own) / len(own))
                notes.append(
                    f"{task}, {strategy}: geometric mean of the ratios {mean:.2f}, worst "
                    f"{max(item['ratio'] for item in own):.2f}; not beaten at "
                    f"{np.mean([item['not_beaten'] for item in own]):.1%} of the sizes, lower at "
                    f"{np.mean([item['lower'] for item in own]):.1%}."
                )
    return header, rows, notes + report.not_installed_notes(results)
