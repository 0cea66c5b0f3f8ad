"""glmnet, through an R process that keeps its data and times its own calls.

The data travel once, by files; a request is a line on the process's input, its answer a line on its
output and files. `glmnet.R` beside this module is the other side. With ``standardize=FALSE`` and
``intercept=FALSE``, glmnet's lambda is our alpha: it scales y to unit variance within, and the
lambda it is given likewise.
"""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from .problem import Fitted, Problem

__all__ = ["call_glmnet", "cross_validate_glmnet"]


def call_glmnet(problem: Problem, tol: float, variant: str) -> Fitted:
    """Compute a path by ``glmnet``; variant is its ``type.gaussian``."""
    session = _session()
    seconds, coefs = session.call("path", problem, tol, variant)
    return Fitted(coefs, seconds=seconds)


def cross_validate_glmnet(problem: Problem, tol: float, variant: str) -> Fitted:
    """Cross-validate by ``cv.glmnet``; its fit on all data has the coefficients at any alpha."""
    session = _session()
    seconds, coefs = session.call("cv", problem, tol, variant)
    shape = (len(problem.alphas), int(problem.folds.max()) + 1)
    mse_path = session.read("mse", np.float64).reshape(shape, order="F")
    best = int(mse_path.mean(axis=1).argmin())
    return Fitted(coefs[:, best], None, seconds, problem.alphas[best], mse_path)


class _Session:
    """An R process and the folder through which it is given data."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self._folder = Path(self._temporary.name)
        self._data: Any = None
        self._process = subprocess.Popen(
            ["Rscript", "--vanilla", str(Path(__file__).with_name("glmnet.R")), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def call(self, what: str, problem: Problem, tol: float, variant: str) -> tuple[float, Any]:
        if self._data is not problem.X:
            self._send_data(problem)
        self._write("alphas", problem.alphas)
        seconds = float(self._ask(f"{what} {tol!r} {variant}"))
        rows, starts = self.read("rows", np.int32), self.read("starts", np.int32)
        values = self.read("values", np.float64)
        shape = (problem.X.shape[1], len(problem.alphas))
        if len(starts) != shape[1] + 1:
            raise RuntimeError("glmnet gave up along the path")
        return seconds, sparse.csc_matrix((values, rows, starts), shape=shape)

    def read(self, name: str, dtype: type) -> Any:
        return np.fromfile(self._folder / name, dtype=dtype)

    def _send_data(self, problem: Problem) -> None:
        X = problem.X
        self._write("y", problem.y)
        self._write("folds", problem.folds.astype(np.int32) + 1)
        if sparse.issparse(X):
            self._write("X_rows", X.indices.astype(np.int32))
            self._write("X_starts", X.indptr.astype(np.int32))
            self._write("X", X.data)
        else:
            self._write("X", X.ravel(order="F"))
        form = "sparse" if sparse.issparse(X) else "dense"
        self._ask(f"data {form} {X.shape[0]} {X.shape[1]} {len(X.data) if form == 'sparse' else 0}")
        self._data = X

    def _write(self, name: str, values: Any) -> None:
        np.ascontiguousarray(values).tofile(self._folder / name)

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer or answer == "failed":
            raise RuntimeError("glmnet failed")
        return answer


_session = cache(_Session)
