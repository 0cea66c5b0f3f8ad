"""Fits in a process of their own, so that a peer can hang, crash or exhaust memory alone.

Each package gets one warm process, which keeps its data and whatever its compiler has produced.
The parent sends one fit at a time and waits no longer than the limit; after that it kills the
process, and the next fit starts a new one. Only the call of the solver is inside the clock.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from .problem import Matrix, Problem, Vector, alpha_max

__all__ = ["Answer", "Fit", "Worker", "save_problem"]

Fit: TypeAlias = Callable[[Problem, float], Vector]

# Starting a process, importing a package and compiling its kernels: never timed, but not endless.
_START_LIMIT = 300.0


@dataclass(frozen=True)
class Answer:
    """What came back from one fit.

    Attributes
    ----------
    status : str
        "ok", "timeout", "crashed", or the name of the exception that was raised.
    seconds : float
        Wall time of the call; the limit if there was no answer.
    coef : ndarray of shape (n_features,) or None
    peak_mib : float or None
        Largest resident memory during the call, less that just before it; Linux only.
    """

    status: str
    seconds: float
    coef: Vector | None = None
    peak_mib: float | None = None


class Worker:
    """One warm process, started when first needed and again after each loss.

    Parameters
    ----------
    time_limit : float
        Seconds after which a fit is given up.
    """

    def __init__(self, time_limit: float) -> None:
        self.time_limit = time_limit
        self.threads: dict[str, Any] | None = None
        self._process: Any = None
        self._connection: Connection | None = None
        self._loaded: Path | None = None
        self._warmed: set[tuple[Fit, bool]] = set()

    def fit(
        self,
        fit: Fit,
        folder: Path,
        problem: Problem,
        tol: float,
        blas_threads: int | None = None,
    ) -> Answer:
        """Fit once; before a function meets its first dense or sparse X, warm it up.

        Parameters
        ----------
        fit : callable
            ``(problem, tol) -> coef``, importable by name.
        folder : Path
            Where `save_problem` put the data of `problem`.
        problem : Problem
            Only its alpha and fit_intercept are sent.
        tol : float
            In the solver's own meaning.
        blas_threads : int or None
            Limit set before the clock starts; None leaves BLAS as it is.

        Returns
        -------
        Answer
        """
        warm_key = (fit, sparse.issparse(problem.X))
        if self._connection is None:
            self._start()
        if self._loaded != folder:
            answer = self._ask(("load", folder), _START_LIMIT)
            if answer.status != "ok":
                return answer
            self._loaded = folder
        if warm_key not in self._warmed:
            answer = self._ask(("warm up", fit, problem.fit_intercept), _START_LIMIT)
            if answer.status != "ok":
                return answer
            self._warmed.add(warm_key)
        request = ("fit", fit, problem.alpha, problem.fit_intercept, tol, blas_threads)
        answer = self._ask(request, self.time_limit)
        if answer.status == "ok" and answer.seconds > self.time_limit:
            return Answer("timeout", self.time_limit)
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
        self._connection = self._loaded = None
        self._warmed = set()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_serve, args=(remote,), daemon=True)
        self._process.start()
        remote.close()

    def _ask(self, request: tuple, limit: float) -> Answer:
        assert self._connection is not None
        try:
            self._connection.send(request)
            if not self._connection.poll(limit):
                self.close()
                return Answer("timeout", limit)
            answer, self.threads = self._connection.recv()
        except (EOFError, OSError):
            self.close()
            return Answer("crashed", limit)
        return answer


def save_problem(problem: Problem, folder: Path) -> None:
    """Write X and y where workers find them; the order of X in memory is kept."""
    np.save(folder / "y.npy", problem.y)
    if sparse.issparse(problem.X):
        sparse.save_npz(folder / "X.npz", problem.X, compressed=False)
    else:
        np.save(folder / "X.npy", problem.X)


def _load_problem(folder: Path) -> Problem:
    X: Matrix
    if (folder / "X.npz").exists():
        X = sparse.csc_matrix(sparse.load_npz(folder / "X.npz"))
    else:
        X = np.load(folder / "X.npy")
    return Problem(X, np.load(folder / "y.npy"), alpha=np.nan)


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    warnings.filterwarnings("ignore")
    data: Problem | None = None
    while True:
        try:
            what, *arguments = connection.recv()
        except EOFError:
            return
        answer = Answer("ok", 0.0)
        if what == "load":
            data = None  # before the next one: two large problems may not fit
            data = _load_problem(*arguments)
        elif what == "warm up":
            assert data is not None
            answer = _warm_up(data, *arguments)
        else:
            assert data is not None
            fit, alpha, fit_intercept, tol, blas_threads = arguments
            with threadpool_limits(blas_threads, user_api="blas"):
                answer = _timed(fit, Problem(data.X, data.y, alpha, fit_intercept), tol)
        connection.send((answer, _thread_counts()))


def _warm_up(data: Problem, fit: Fit, fit_intercept: bool) -> Answer:
    """Fit a few columns tightly: every branch of an iterative solver is met, and compiled."""
    small = Problem(data.X[:, :50], data.y, np.nan, fit_intercept)
    return _timed(fit, small.at(0.01 * alpha_max(small)), 1e-10)


def _timed(fit: Fit, problem: Problem, tol: float) -> Answer:
    gc.collect()
    _reset_peak_memory()
    before = _memory_mib("VmRSS")
    start = time.perf_counter()
    try:
        coef = fit(problem, tol)
    except Exception as error:  # a peer's failure is a result; its message may hold paths
        return Answer(type(error).__name__, time.perf_counter() - start)
    seconds = time.perf_counter() - start
    peak = _memory_mib("VmHWM")
    extra = None if peak is None or before is None else max(peak - before, 0.0)
    return Answer("ok", seconds, np.asarray(coef, dtype=np.float64), extra)


def _reset_peak_memory() -> None:
    with suppress(OSError):  # not on this system
        Path("/proc/self/clear_refs").write_text("5")


def _memory_mib(field: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), None)


def _thread_counts() -> dict[str, Any]:
    """Threads that the libraries loaded so far would use."""
    pools = {
        f"{pool['user_api']}/{pool['internal_api']}": pool["num_threads"]
        for pool in threadpool_info()
    }
    if "numba" in sys.modules:
        pools["numba"] = sys.modules["numba"].config.NUMBA_NUM_THREADS
    return pools
