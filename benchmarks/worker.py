"""Fits in a process of their own, so that a peer can hang, crash or exhaust memory alone.

Each package gets one warm process, which keeps its data and whatever its compiler has produced.
The parent sends one fit at a time and waits no longer than the limit; after that it kills the
process, and the next fit starts a new one. Only the call of the solver is inside the clock.

The process may run under another interpreter (`sparsereg.benchmarks.environment.interpreter`), for
packages that need an environment of their own: it needs NumPy, SciPy and threadpoolctl besides
them. That is why this module imports little, and why only plain values and arrays travel.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_info, threadpool_limits

from .problem import Fitted, Matrix, Problem, Vector, alpha_max, columns

__all__ = ["Answer", "Fit", "Worker", "save_problem", "serve"]

# Returns coefficients, or them and more.
Fit: TypeAlias = Callable[[Problem, float], Any]

# Starting a process, importing a package and compiling its kernels: never timed, but not endless.
_START_LIMIT = 300.0
# This package under a name that does not import its parent, which another interpreter may lack.
_CHILD = """
import sys
sys.path.insert(0, {folder!r})
from {package}.worker import serve
sys.path.remove({folder!r})
serve()
"""


@dataclass(frozen=True)
class Answer:
    """What came back from one fit.

    Attributes
    ----------
    status : str
        "ok", "timeout", "crashed", or the name of the exception that was raised.
    seconds : float
        Wall time of the call; the limit if there was no answer.
    coefs : csc_matrix of shape (n_features, n_alphas) or None
    gaps : ndarray of shape (n_alphas,) or None
        As the solver reports them.
    alpha : float or None
        That of the refit of a cross-validation.
    mse_path : ndarray of shape (n_alphas, n_folds) or None
    fold_coefs : sequence of csc_matrix of shape (n_features, n_alphas)
    peak_mib : float or None
        Largest resident memory during the call, less that just before it, if it was measured; Linux
        only, and None for a solver that computes in yet another process.
    answer_mib : float
        Memory of the coefficients as they were returned, which is part of the peak.
    working_set : int or None
        Columns of the largest Gram matrix that the solver held, if it tells.
    """

    status: str
    seconds: float
    coefs: sparse.csc_matrix | None = None
    gaps: Vector | None = None
    alpha: float | None = None
    mse_path: Vector | None = None
    fold_coefs: Sequence[sparse.csc_matrix] = ()
    peak_mib: float | None = None
    answer_mib: float = 0.0
    working_set: int | None = None


class Worker:
    """One warm process, started when first needed and again after each loss.

    Parameters
    ----------
    python : str, default=sys.executable
        The interpreter it runs under.
    """

    def __init__(self, python: str = sys.executable) -> None:
        self.python = python
        self.threads: dict[str, Any] | None = None
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        self._loaded: Path | None = None
        self._warmed: set[tuple[Fit, bool]] = set()

    def fit(
        self,
        fit: Fit,
        folder: Path,
        problem: Problem,
        tol: float,
        *,
        time_limit: float,
        blas_threads: int | None = None,
        measure_memory: bool = False,
    ) -> Answer:
        """Fit once; before a function meets its first dense or sparse X, warm it up.

        Parameters
        ----------
        fit : callable
            ``(problem, tol) -> coefs or Fitted``, importable by name.
        folder : Path
            Where `save_problem` put the data of `problem`.
        problem : Problem
            Only its alphas and fit_intercept are sent.
        tol : float
            In the solver's own meaning.
        time_limit : float
            Seconds after which the fit is given up.
        blas_threads : int or None
            Limit set before the clock starts; None leaves BLAS as it is.
        measure_memory : bool, default=False
            Give free memory back to the system before, so that none of it hides what the fit takes.
            The time that it then takes is not one to report.

        Returns
        -------
        Answer
        """
        warm_key = (fit, sparse.issparse(problem.X))
        named = (_relative(fit.__module__), fit.__name__)
        if self._connection is None and not self._start():
            return Answer("crashed", time_limit)
        if self._loaded != folder:
            answer = self._ask(("load", str(folder)), _START_LIMIT)
            if answer.status != "ok":
                return answer
            self._loaded = folder
        if warm_key not in self._warmed:
            several = len(problem.alphas) > 1
            answer = self._ask(("warm up", *named, several, problem.fit_intercept), _START_LIMIT)
            if answer.status != "ok":
                return answer
            self._warmed.add(warm_key)
        how = (problem.alphas, problem.fit_intercept, tol, blas_threads, measure_memory)
        answer = self._ask(("fit", *named, *how), time_limit)
        if answer.status == "ok" and answer.seconds > time_limit:
            return Answer("timeout", time_limit)
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing, and what it has started."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            if hasattr(os, "killpg"):
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._process = self._connection = self._loaded = None
        self._warmed = set()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _start(self) -> bool:
        here = Path(__file__).resolve().parent
        key = os.urandom(16)
        environ = dict(os.environ)
        if self.python == sys.executable:  # it sees what we see, wherever that came from
            environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [self.python, "-c", _CHILD.format(folder=str(here.parent), package=here.name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            start_new_session=True,  # the parent alone decides what Ctrl-C means
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(key)
            self._process.stdin.close()
            self._connection = Client(self._process.stdout.readline().decode().strip(), authkey=key)
        except (OSError, ValueError, EOFError):
            self.close()
            return False
        return True

    def _ask(self, request: tuple, limit: float) -> Answer:
        assert self._connection is not None
        try:
            self._connection.send(request)
            if not self._connection.poll(limit):
                self.close()
                return Answer("timeout", limit)
            fields, self.threads = self._connection.recv()
        except (EOFError, OSError):
            self.close()
            return Answer("crashed", limit)
        return Answer(**fields)


def save_problem(problem: Problem, folder: Path) -> None:
    """Write X, y and the folds where workers find them; the order of X in memory is kept."""
    np.save(folder / "y.npy", problem.y)
    np.save(folder / "folds.npy", problem.folds)
    if sparse.issparse(problem.X):
        sparse.save_npz(folder / "X.npz", problem.X, compressed=False)
    else:
        np.save(folder / "X.npy", problem.X)


def serve() -> None:
    """Be the process: say where, then answer until the parent closes the connection."""
    family = "AF_PIPE" if sys.platform == "win32" else "AF_UNIX"
    with Listener(family=family, authkey=sys.stdin.buffer.read()) as listener:
        print(listener.address, flush=True)
        connection = listener.accept()
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # nobody reads what a solver prints
    warnings.filterwarnings("ignore")
    with suppress(EOFError, OSError):
        _answer_requests(connection)


def _answer_requests(connection: Connection) -> None:
    data: Problem | None = None
    while True:
        what, *arguments = connection.recv()
        answer: dict[str, Any] = {"status": "ok", "seconds": 0.0}
        if what == "load":
            data = None  # before the next one: two large problems may not fit
            data = _load_problem(Path(*arguments))
        else:
            assert data is not None
            module, name, *arguments = arguments
            fit = getattr(importlib.import_module(module, __package__), name)
            if what == "warm up":
                answer = _warm_up(data, fit, *arguments)
            else:
                alphas, fit_intercept, tol, blas_threads, measure_memory = arguments
                problem = Problem(data.X, data.y, alphas, data.folds, fit_intercept)
                with threadpool_limits(blas_threads, user_api="blas"):
                    answer = _timed(fit, problem, tol, measure_memory)
        connection.send((answer, _thread_counts()))


def _load_problem(folder: Path) -> Problem:
    X: Matrix
    if (folder / "X.npz").exists():
        X = sparse.csc_matrix(sparse.load_npz(folder / "X.npz"))
    else:
        X = np.load(folder / "X.npy")
    return Problem(X, np.load(folder / "y.npy"), np.empty(0), np.load(folder / "folds.npy"))


def _relative(module: str) -> str:
    """Return the name by which a process finds a module, in this package or anywhere."""
    inside = __package__ is not None and module.startswith(f"{__package__}.")
    return module.removeprefix(__package__ or "") if inside else module


def _warm_up(data: Problem, fit: Fit, several: bool, fit_intercept: bool) -> dict[str, Any]:
    """Fit a few columns tightly: every branch of an iterative solver is met, and compiled."""
    small = Problem(data.X[:, :50], data.y, data.alphas, data.folds, fit_intercept)
    ratios = np.geomspace(1, 0.01, 5) if several else np.array([0.01])
    answer = _timed(fit, small.at(alpha_max(small) * ratios), 1e-10)
    return {"status": answer["status"], "seconds": answer["seconds"]}


def _timed(fit: Fit, problem: Problem, tol: float, measure_memory: bool = False) -> dict[str, Any]:
    gc.collect()
    if measure_memory:
        _give_memory_back()
    _reset_peak_memory()
    before = _memory_mib("VmRSS")
    start = time.perf_counter()
    try:
        result = fit(problem, tol)
    except Exception as error:  # a peer's failure is a result; its message may hold paths
        return {"status": type(error).__name__, "seconds": time.perf_counter() - start}
    seconds = time.perf_counter() - start
    peak = _memory_mib("VmHWM")
    fitted = result if isinstance(result, Fitted) else Fitted(result)
    elsewhere = fitted.seconds is not None
    known = measure_memory and not elsewhere and peak is not None and before is not None
    coefs = fitted.coefs
    n_bytes = sum(
        part.data.nbytes if sparse.issparse(part) else np.asarray(part).nbytes
        for part in (coefs, fitted.coef_path, *fitted.fold_coefs)
        if part is not None
    )
    return {
        "status": "ok",
        "seconds": fitted.seconds if elsewhere else seconds,
        "coefs": columns(coefs),
        "gaps": None if fitted.gaps is None else np.atleast_1d(np.asarray(fitted.gaps, float)),
        "alpha": None if fitted.alpha is None else float(fitted.alpha),
        "mse_path": fitted.mse_path,
        "fold_coefs": [columns(item) for item in fitted.fold_coefs],
        "peak_mib": max(peak - before, 0.0) if known else None,
        "answer_mib": n_bytes / 2**20,
        "working_set": fitted.working_set,
    }


def _give_memory_back() -> None:
    with suppress(OSError, AttributeError, TypeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


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
