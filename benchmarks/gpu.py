"""Family "gpu": a CUDA device against the CPU of the same machine, on the same problems.

X is on the device before the clock starts, as it is in the CPU's memory; a run ends when the device
is idle. Both sides use the same drivers and the same tolerance, and the CPU all of its threads. A
pass over X is limited by memory: its bytes per second are given beside those of a copy within the
device, with the transfer of the vectors ("gradient") and without ("kernel"). The single fits are
the two shapes that users of other GPU lassos have complained about, and a tall one. Folds of a
cross-validation walk in lock step on the device. Sums of private reports, peeling and masks have to
be the same to the last bit. Tasks with a curve are one kind of work at growing sizes: where the two
times cross is where the device begins to pay. Wall time, the median of several runs after one that
compiles; of long ones, a single run.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from sparsereg.backends.arrays import to_host

from . import environment, report
from .protocol import OURS

__all__ = ["Machine", "Task", "measure", "run", "tasks"]

# Seconds of all runs of a task together after which none is added.
_LONG = 10.0

#: Makes the data of a task: X, and what else its work takes.
Data = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True)
class Task:
    """Something to compute on either side.

    Attributes
    ----------
    name : str
    data : callable
        Returns the arrays of the work; the first is put on the device.
    work : callable
        From the arrays to what is compared.
    bytes_read : callable or None
        From X to the bytes that a run has to read, where they are the limit.
    prepare : callable or None
        From the first array, in its place, to what the work gets instead of it.
    curve : (str, float) or None
        Which curve of the crossover plot the task is a point of, and its size.
    """

    name: str
    data: Data
    work: Callable[..., Any]
    bytes_read: Callable[[Any], float] | None = None
    prepare: Callable[[Any], Any] | None = None
    curve: tuple[str, float] | None = None


class Machine:
    """The device: how to get data there, when it is idle, and how fast its memory is."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy

    def asarray(self, X: Any) -> Any:
        """Return a copy of X there, in its memory order."""
        return self._cupy.asarray(X)

    def synchronize(self) -> None:
        """Wait until the device is idle."""
        self._cupy.cuda.Device().synchronize()

    def facts(self) -> dict[str, Any]:
        """Describe it."""
        properties = self._cupy.cuda.runtime.getDeviceProperties(self._cupy.cuda.Device().id)
        return {
            "name": properties["name"].decode(),
            "memory": int(properties["totalGlobalMem"]),
            "cupy": self._cupy.__version__,
            "cuda": int(self._cupy.cuda.runtime.runtimeGetVersion()),
        }

    def copy_bandwidth(self, size: int = 1 << 30) -> float:
        """Return the bytes per second that a copy within the device reads and writes."""
        source = self._cupy.zeros(size, dtype=np.uint8)
        target = self._cupy.empty_like(source)
        seconds = []
        for _ in range(10):
            self.synchronize()
            start = time.perf_counter()
            target[...] = source
            self.synchronize()
            seconds.append(time.perf_counter() - start)
        return 2.0 * size / median(seconds[1:])


def _linear(n: int, p: int, dtype: Any = np.float64, order: Any = "F") -> Data:
    return lambda: _linear_data(n, p, dtype, order)


@lru_cache(maxsize=1)  # tasks on the same data follow one another
def _linear_data(n: int, p: int, dtype: Any, order: Any) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((p, n), dtype=dtype).T
    n_used = min(20, p)
    y = X[:, :n_used] @ rng.standard_normal(n_used) + rng.standard_normal(n)
    return np.asarray(X, order=order), y


def _signals(n_signals: int, n_features: int, n_atoms: int) -> Data:
    def data() -> tuple[Any, ...]:
        from .sparse_encode import Setting, problem

        return problem(Setting(n_signals, n_features, n_atoms, max(2, n_features // 16), 0.1))

    return data


def _reports(n_reports: int, dimension: int) -> Data:
    def data() -> tuple[Any, ...]:
        rng = np.random.default_rng(0)
        seeds = rng.integers(0, 1 << 63, n_reports).astype(np.uint64)
        return seeds, rng.integers(0, 1 << 16, n_reports), dimension

    return data


def _with_backend(X: Any) -> tuple[Any, Any]:
    from sparsereg.backends import resolve_backend

    return resolve_backend("auto", X), X


def _accumulate(given: tuple[Any, Any], indices: Any, dimension: int) -> Any:
    from sparsereg.privacy.codebook import normal_table

    sums = np.zeros(dimension, dtype=np.int64)
    backend, seeds = given
    backend.accumulate_reports(seeds, indices, normal_table(), sums)
    return sums


def _mixture(n_features: int, n_nonzero: int) -> Data:
    """Return the exact readings of two regressions in three stages of bins, and their sets."""

    def data() -> tuple[Any, ...]:
        from sparsereg.backends import get_backend
        from sparsereg.backends.protocol import QueryGraph

        rng, numba = np.random.default_rng(0), get_backend("numba")
        starts = np.arange(4) * max(4, n_nonzero // 2)  # three bins for two non-zeros
        graph = QueryGraph(0, 1, n_features, 0, 0, starts, 0.0, 0.0)
        offsets = np.array([10.0, -4.0])
        contents = [
            numba.graph_spread(
                graph, np.sort(rng.choice(n_features, n_nonzero, replace=False)),
                rng.standard_normal(n_nonzero),
            )
            for _ in offsets
        ]  # fmt: skip
        readings = np.stack(contents, axis=2) + offsets
        readings = np.ascontiguousarray(readings.reshape(graph.n_bins, -1))
        return readings, graph, numba.read_sets(readings, 2, offsets, 1e-9, False)

    return data


def _peel(given: tuple[Any, Any], graph: Any, sets: Any) -> Any:
    from sparsereg.backends.protocol import Balls

    none = np.empty(0, dtype=np.int64)
    known = Balls(none, none, *(np.empty(0),) * 3)
    return given[0].peel(graph, sets, 1e-14, 2, known, True).left


def _scores(size: int) -> Data:
    return lambda: (np.random.default_rng(0).standard_normal(size, dtype=np.float32),)


def _mask(method: str, *parameters: int) -> Callable[..., Any]:
    def mask(given: tuple[Any, Any]) -> Any:
        backend, scores = given
        return getattr(backend, method)(scores, *parameters).astype(np.int8)

    return mask


def _pass(n_tasks: int, whole: bool = True) -> dict[str, Any]:
    """Return the work of a gradient: of the primitive, or of its kernel without the transfers."""

    def prepare(X: Any) -> Callable[[], Any]:
        from sparsereg.backends import resolve_backend

        backend = resolve_backend("auto", X)
        design = backend.design(X, None, True)
        residuals = np.tile(np.cos(np.arange(X.shape[0])), (n_tasks, 1))
        if whole or not hasattr(design, "dot"):
            return lambda: backend.xtr_tasks(design, residuals)
        there = design.device.xp.asarray(residuals)
        return lambda: design.dot(there, design.every_column)

    def bytes_read(X: Any) -> float:
        return float(X.size) * X.dtype.itemsize

    return {"work": lambda gradient, y: gradient(), "prepare": prepare, "bytes_read": bytes_read}


def _fit(share: float) -> Callable[..., Any]:
    def fit(X: Any, y: Any) -> Any:
        from sparsereg import Lasso, lasso_path

        top = lasso_path(X, y, n_alphas=1)[0][0]
        return Lasso(share * top, tol=1e-6, fit_intercept=False).fit(X, y).coef_

    return fit


def _path(X: Any, y: Any) -> Any:
    from sparsereg import lasso_path

    return lasso_path(X, y, eps=0.01, tol=1e-6)[1]


def _cross_validation(X: Any, y: Any) -> Any:
    from sparsereg import LassoCV

    return LassoCV(alphas=50, eps=0.01, tol=1e-6).fit(X, y).coef_


def _codes(signals: Any, atoms: Any, alpha: float) -> Any:
    from sparsereg import penalties, sparse_encode

    return sparse_encode(signals, atoms, penalties.L1(alpha), tol=1e-6)


def tasks(quick: bool) -> tuple[Task, ...]:
    """Return the tasks, the ones to be reported first; the quick ones only show that all run."""
    wide, tall, small = ((40, 120), (300, 40), (50, 30)) if quick else (
        (300, 120_000), (50_000, 4000), (1345, 934)
    )  # fmt: skip
    coding = (200, 16, 40) if quick else (100_000, 256, 512)
    reports = (300, 50) if quick else (1_000_000, 2000)
    mixture = (1000, 40) if quick else (1_000_000, 100_000)
    n_scores = 4096 if quick else 1 << 25
    return (
        *(Task(f"lasso at .1, {n:,} x {p:,}", _linear(n, p), _fit(0.1)) for n, p in (wide, small)),
        Task(f"{coding[0]:,} codes, {coding[2]:,} atoms", _signals(*coding), _codes),
        Task(f"path of 100 alphas, {wide[0]:,} x {wide[1]:,}", _linear(*wide), _path),
        Task(f"CV in lock step, {wide[0]:,} x {wide[1]:,}", _linear(*wide), _cross_validation),
        Task(f"sum of {reports[0]:,} reports of {reports[1]:,}", _reports(*reports), _accumulate,
             prepare=_with_backend),
        Task(f"peeling of {2 * mixture[1]:,} non-zeros", _mixture(*mixture), _peel,
             prepare=_with_backend),
        Task(f"mask 2:4 of {n_scores:,}", _scores(n_scores), _mask("mask_groups", 2, 4),
             prepare=_with_backend),
        Task(f"mask of the largest tenth of {n_scores:,}", _scores(n_scores),
             _mask("mask_largest", n_scores // 10), prepare=_with_backend),
        *_passes(wide),
        *_passes(tall),
        Task(f"lasso at .1, {tall[0]:,} x {tall[1]:,}", _linear(*tall), _fit(0.1)),
        Task(f"path of 100 alphas, {tall[0]:,} x {tall[1]:,}", _linear(*tall), _path),
        Task(f"CV on Gram matrices, {tall[0]:,} x {tall[1]:,}", _linear(*tall), _cross_validation),
        *_curves(quick),
    )  # fmt: skip


def _passes(shape: tuple[int, int]) -> tuple[Task, ...]:
    n, p = shape
    return tuple(
        Task(f"{what} of {n_tasks}, {n:,} x {p:,}, {np.dtype(dtype).name}, {order} order",
             _linear(n, p, dtype, order), **_pass(n_tasks, what == "gradient"))
        for dtype in (np.float32, np.float64)
        for order, n_tasks, what in (
            ("F", 1, "gradient"), ("F", 1, "kernel"), ("F", 8, "kernel"), ("F", 40, "kernel"),
            ("C", 1, "kernel"),
        )
    )  # fmt: skip


def _curves(quick: bool) -> tuple[Task, ...]:
    """Return one kind of work at growing sizes, for the crossover plot."""
    columns = (20, 60) if quick else (100, 1000, 10_000, 100_000)
    signals = (30, 60) if quick else (100, 1000, 10_000, 100_000)
    n, atoms = (30, 40) if quick else (1000, 256)
    gradients = [
        Task(f"crossover: gradient of {k}, {n:,} x {p:,}", _linear(n, p), **_pass(k),
             curve=(f"gradient of {k}", 8.0 * n * p))
        for p in columns for k in (1, 8)
    ]  # fmt: skip
    fits = [
        Task(f"crossover: lasso at .1, {n:,} x {p:,}", _linear(n, p), _fit(0.1),
             curve=("lasso at .1", 8.0 * n * p))
        for p in columns
    ]  # fmt: skip
    codes = [
        Task(f"crossover: {b:,} codes, {atoms} atoms", _signals(b, max(8, atoms // 4), atoms),
             _codes, curve=(f"codes, {atoms} atoms", float(b)))
        for b in signals
    ]  # fmt: skip
    return (*gradients, *fits, *codes)


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``gpu.json`` and ``gpu.md``, or ``-quick``.

    ``time_limit`` is for the whole family: tasks that it leaves no time for are left out.

    Raises
    ------
    BackendUnavailableError
        If there is no CUDA device.
    """
    from sparsereg.backends.registry import require

    require("cupy")
    results = measure(
        tasks(quick), Machine(), repeats or 3, time_limit or 480.0, Console(stderr=True)
    )
    report.write(results, "gpu-quick" if quick else "gpu", output)


def measure(
    todo: tuple[Task, ...], machine: Any, repeats: int, time_limit: float, console: Console
) -> dict[str, Any]:
    """Time every task on both sides, as long as there is time.

    Parameters
    ----------
    todo : tuple of Task
    machine : Machine
    repeats : int
        Timings behind each median.
    time_limit : float
        Seconds after which no task is started.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    first = environment.heading("gpu", [OURS], [OURS], repeats=repeats, time_limit=time_limit)
    end = time.perf_counter() + time_limit
    measured: list[dict[str, Any]] = []
    left_out: list[str] = []
    copy = machine.copy_bandwidth()
    for task in todo:
        if time.perf_counter() > end:
            left_out.append(task.name)
            continue
        with console.status(task.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            measured.append(_compare(task, machine, repeats))
    return {
        **first, "device": measured, "left_out": left_out, "copy": copy,
        "device_facts": machine.facts(),
    }  # fmt: skip


def _compare(task: Task, machine: Any, repeats: int) -> dict[str, Any]:
    X, *others = task.data()
    there = machine.asarray(X)
    device_seconds, found = _timed(task, there, others, machine.synchronize, repeats)
    found = to_host(found)
    cpu_seconds, expected = _timed(task, X, others, lambda: None, repeats)
    bandwidth = None if task.bytes_read is None else task.bytes_read(X) / device_seconds
    scale = max(float(np.max(np.abs(expected))), np.finfo(float).tiny)
    return {
        "task": task.name, "curve": task.curve, "device_seconds": device_seconds,
        "cpu_seconds": cpu_seconds, "bandwidth": bandwidth,
        "difference": float(np.max(np.abs(found - expected))) / scale,
    }  # fmt: skip


def _timed(
    task: Task, X: Any, others: list[Any], synchronize: Callable[[], None], repeats: int
) -> tuple[float, Any]:
    data = X if task.prepare is None else task.prepare(X)
    seconds: list[float] = []
    # the first compiles; a long one is timed once more
    while len(seconds) < (repeats + 1 if sum(seconds) < _LONG else 2):
        synchronize()
        start = time.perf_counter()
        result = task.work(data, *others)
        synchronize()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:]), result
