"""Passes over X for several tasks at once: matrices with a row per task.

On dense X they are BLAS-3 products of blocks that depend on the problem alone; each block runs on
one thread, so that any number of threads gives the same result. On sparse X every stored entry is
read once for all tasks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.matrices import centered_columns, rows_at_once, take
from sparsereg.backends.numba.threads import PRODUCT, run_blocks
from sparsereg.backends.protocol import FloatArray, IndexArray

_COLUMN_BLOCK = 256
# Rows of a block that is converted from float32: they stay in cache.
_ROW_BLOCK = 1024


def xtr_tasks(design: Any, residuals: FloatArray, columns: IndexArray | None = None) -> FloatArray:
    """Return (s R) X_c[:, columns] / n for residuals R of shape (T, n)."""
    n, p = design.shape
    weighted = residuals if design.sample_weight is None else design.sample_weight * residuals
    listed = np.arange(p) if columns is None else columns
    out = np.empty((len(residuals), listed.size))
    if design.is_sparse:
        rows = np.ascontiguousarray(weighted.T)

        def task(start: int, stop: int) -> None:
            _xtv_csc_tasks(
                design.data, design.indices, design.indptr, rows, listed, start, stop, out
            )

    else:
        in_place = columns is None and design.X.dtype == np.float64  # else X is copied, by blocks

        def task(start: int, stop: int) -> None:
            step = stop - start if in_place else _COLUMN_BLOCK
            for first in range(start, stop, step):
                last = min(first + step, stop)
                block = slice(first, last) if columns is None else columns[first:last]
                _add_products(design.X, block, weighted, out[:, first:last])

    work = float(design.nnz) * len(residuals) * listed.size / max(p, 1)
    run_blocks(task, listed.size, _COLUMN_BLOCK, work if design.is_sparse else work / PRODUCT)
    means = design.means if columns is None else design.means[columns]
    for row, total in zip(out, weighted.sum(axis=1)):
        row -= total * means
    out /= n
    return out


def _add_products(X: np.ndarray, columns: Any, weighted: FloatArray, out: FloatArray) -> None:
    if X.dtype == np.float64 and isinstance(columns, slice):
        np.matmul(weighted, X[:, columns], out=out)
        return
    out[...] = 0.0
    for start in range(0, X.shape[0], _ROW_BLOCK):
        rows = slice(start, start + _ROW_BLOCK)
        out += weighted[:, rows] @ X[rows, columns].astype(np.float64)


def fitted_tasks(design: Any, columns: IndexArray, coef: FloatArray) -> FloatArray:
    """Return coef @ X_c[:, columns].T for coefficients of shape (T, k)."""
    n = design.shape[0]
    out = np.zeros((len(coef), n))
    if columns.size == 0:
        return out
    if design.is_sparse:
        rows = np.zeros((n, len(coef)))
        _xw_csc_tasks(
            design.data, design.indices, design.indptr, columns, np.ascontiguousarray(coef.T), rows
        )
        out[...] = rows.T
        out -= (coef @ design.means[columns])[:, None]
        return out
    step = rows_at_once(design, columns.size)
    for start in range(0, n, step):
        stop = min(start + step, n)
        np.matmul(coef, centered_columns(design, columns, start, stop).T, out=out[:, start:stop])
    return out


def fitted_rows(design: Any, rows: IndexArray, columns: IndexArray, coef: FloatArray) -> FloatArray:
    """Return coef @ X_c[rows][:, columns].T for coefficients of shape (T, k)."""
    out = np.empty((len(coef), rows.size))
    step = rows_at_once(design, columns.size)
    for start in range(0, rows.size, step):
        block = take(design, rows[start : start + step], columns)
        np.matmul(coef, block.T, out=out[:, start : start + step])
    out -= (coef @ design.means[columns])[:, None]
    return out


@kernel()
def _xtv_csc_tasks(data, indices, indptr, v, columns, start, stop, out):
    tasks = v.shape[1]
    total = np.empty(tasks)
    for c in range(start, stop):
        j = columns[c]
        total[:] = 0.0
        for k in range(indptr[j], indptr[j + 1]):
            i = indices[k]
            x = float(data[k])
            for t in range(tasks):
                total[t] += x * v[i, t]
        for t in range(tasks):
            out[t, c] = total[t]


@kernel()
def _xw_csc_tasks(data, indices, indptr, columns, coef, out):
    for c in range(columns.shape[0]):
        j = columns[c]
        for k in range(indptr[j], indptr[j + 1]):
            i = indices[k]
            x = float(data[k])
            for t in range(coef.shape[1]):
                out[i, t] += x * coef[c, t]
