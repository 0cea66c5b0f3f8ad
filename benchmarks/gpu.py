"""Family "gpu": a CUDA device against the CPU of the same machine, on the same problems.

X is on the device before the clock starts, as it is in the CPU's memory; a run ends when the device
is idle. Both sides use the same drivers and the same tolerance, and the CPU all of its threads. A
pass over X is limited by memory: its bytes per second are given beside those of a copy within the
device, with the transfer of the vectors ("gradient") and without ("kernel"). The single fits are
the two shapes that users of other GPU lassos have complained about, and a tall one. Wall time, the
median of several runs after one that compiles.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from sparsereg.backends.arrays import to_host

from . import environment, report
from .protocol import OURS

__all__ = ["Machine", "Task", "measure", "run", "tasks"]

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
    """

    name: str
    data: Data
    work: Callable[..., Any]
    bytes_read: Callable[[Any], float] | None = None
    prepare: Callable[[Any], Any] | None = None


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


def _wide(n: int, p: int, dtype: Any = np.float64, order: Any = "F") -> Data:
    def data() -> tuple[Any, ...]:
        rng = np.random.default_rng(0)
        X = np.asarray(rng.standard_normal((n, p), dtype=dtype), order=order)
        coef = np.zeros(p)
        coef[: min(20, p)] = rng.standard_normal(min(20, p))
        return X, X @ coef + rng.standard_normal(n)

    return data


def _signals(n_signals: int, n_features: int, n_atoms: int) -> Data:
    def data() -> tuple[Any, ...]:
        from .sparse_encode import Setting, problem

        return problem(Setting(n_signals, n_features, n_atoms, max(2, n_features // 16), 0.1))

    return data


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

    return LassoCV(eps=0.01, tol=1e-6).fit(X, y).coef_


def _codes(signals: Any, atoms: Any, alpha: float) -> Any:
    from sparsereg import penalties, sparse_encode

    return sparse_encode(signals, atoms, penalties.L1(alpha), tol=1e-6)


def tasks(quick: bool) -> tuple[Task, ...]:
    """Return the tasks; the quick ones only show that everything runs."""
    wide, tall, small = ((40, 900), (600, 50), (50, 30)) if quick else (
        (300, 120_000), (100_000, 5000), (1345, 934)
    )  # fmt: skip
    coding = (200, 16, 40) if quick else (100_000, 256, 512)
    passes = [
        Task(f"{what} of {n_tasks}, {n:,} x {p:,}, {np.dtype(dtype).name}, {order} order",
             _wide(n, p, dtype, order), **_pass(n_tasks, what == "gradient"))
        for n, p in (wide, tall)
        for dtype in (np.float32, np.float64)
        for order, n_tasks, what in (
            ("F", 1, "gradient"), ("F", 1, "kernel"), ("F", 8, "kernel"), ("C", 1, "kernel")
        )
    ]  # fmt: skip
    fits = [
        Task(f"lasso at .1, {n:,} x {p:,}", _wide(n, p), _fit(0.1)) for n, p in (wide, small, tall)
    ]
    return (
        *passes,
        *fits,
        Task(f"path of 100 alphas, {wide[0]:,} x {wide[1]:,}", _wide(*wide), _path),
        Task(f"path of 100 alphas, {tall[0]:,} x {tall[1]:,}", _wide(*tall), _path),
        Task(f"CV, {tall[0]:,} x {tall[1]:,}", _wide(*tall), _cross_validation),
        Task(f"{coding[0]:,} codes, {coding[2]:,} atoms", _signals(*coding), _codes),
    )


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
        tasks(quick), Machine(), repeats or 3, time_limit or 540.0, Console(stderr=True)
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
        "task": task.name, "device_seconds": device_seconds, "cpu_seconds": cpu_seconds,
        "bandwidth": bandwidth, "difference": float(np.max(np.abs(found - expected))) / scale,
    }  # fmt: skip


def _timed(
    task: Task, X: Any, others: list[Any], synchronize: Callable[[], None], repeats: int
) -> tuple[float, Any]:
    data = X if task.prepare is None else task.prepare(X)
    seconds = []
    for _ in range(repeats + 1):  # the first compiles
        synchronize()
        start = time.perf_counter()
        result = task.work(data, *others)
        synchronize()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:]), result
