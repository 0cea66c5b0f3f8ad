"""Passes over X for several tasks at once: matrices with a row per task.

On dense X they are BLAS-3 products of blocks that depend on the problem alone; each block runs on
one thread, so that any number of threads gives the same result. For few tasks BLAS spends most of
its time on a copy of X, and columns are read in place instead. On sparse X every stored entry is
read once for all tasks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.matrices import centered_columns, rows_at_once, take
from sparsereg.backends.numba.threads import PRODUCT, run_blocks
from sparsereg.backends.protocol import FloatArray, IndexArray

_COLUMN_BLOCK = 256
# Listed columns are copied so many at a time.
_LISTED_BLOCK = 256
# Tasks up to which contiguous columns are read in place.
_FEW_TASKS = 20
# Rows of a block that is converted from float32: they stay in cache.
_ROW_BLOCK = 1024


def xtr_tasks(design: Any, residuals: FloatArray, columns: IndexArray | None = None) -> FloatArray:
    """Return (s R) X_c[:, columns] / n for residuals R of shape (T, n)."""
    n, p = design.shape
    weighted = residuals if design.sample_weight is None else design.sample_weight * residuals
    if not design.is_sparse and columns is not None:
        return _xtr_of_columns(design, weighted, columns)
    listed = np.arange(p) if columns is None else columns
    out = np.empty((len(residuals), listed.size))
    if design.is_sparse:
        rows = np.ascontiguousarray(weighted.T)

        def task(start: int, stop: int) -> None:
            _xtv_csc_tasks(
                design.data, design.indices, design.indptr, rows, listed, start, stop, out
            )

    elif len(residuals) <= _FEW_TASKS and design.X.flags.f_contiguous:
        rows = np.ascontiguousarray(weighted)

        def task(start: int, stop: int) -> None:
            xtv_columns_tasks(design.X, rows, listed, start, stop, out)

    else:
        in_place = design.X.dtype == np.float64  # else X is converted, by blocks

        def task(start: int, stop: int) -> None:
            step = stop - start if in_place else _COLUMN_BLOCK
            for first in range(start, stop, step):
                block = slice(first, min(first + step, stop))
                _add_products(design.X, block, weighted, out[:, block])

    work = float(design.nnz) * len(residuals) * listed.size / max(p, 1)
    run_blocks(task, listed.size, _COLUMN_BLOCK, work if design.is_sparse else work / PRODUCT)
    if design.means.any():
        means = design.means[listed]
        for row, total in zip(out, weighted.sum(axis=1)):
            row -= total * means
    out /= n
    return out


def _xtr_of_columns(design: Any, weighted: FloatArray, columns: IndexArray) -> FloatArray:
    """Return R X_c[:, columns] / n for dense X: the columns are copied, a block at a time."""
    n = design.shape[0]
    out = np.zeros((len(weighted), columns.size))
    step = rows_at_once(design, min(columns.size, _LISTED_BLOCK))
    for left in range(0, columns.size, _LISTED_BLOCK):
        block = slice(left, left + _LISTED_BLOCK)
        for start in range(0, n, step):
            stop = min(start + step, n)
            packed = centered_columns(design, columns[block], start, stop)
            _add_product(weighted[:, start:stop], packed, out[:, block])
    out /= n
    return out


def _add_product(rows: FloatArray, packed: FloatArray, out: FloatArray) -> None:
    def task(start: int, stop: int) -> None:
        out[:, start:stop] += rows @ packed[:, start:stop]

    run_blocks(task, out.shape[1], _COLUMN_BLOCK, float(packed.size) * len(rows) / PRODUCT)


def _add_products(X: np.ndarray, columns: slice, weighted: FloatArray, out: FloatArray) -> None:
    if X.dtype == np.float64:
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


@kernel(fastmath=REASSOCIATE)
def xtv_columns_tasks(X, v, columns, start, stop, out):
    """Put v X[:, columns] into ``out``, for the columns from start to stop."""
    n = X.shape[0]
    tasks = v.shape[0]
    k = start
    while k + 4 <= stop:  # four columns and four tasks at a time: each entry read serves four sums
        j0, j1, j2, j3 = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        t = 0
        while t + 4 <= tasks:
            a0 = a1 = a2 = a3 = 0.0
            b0 = b1 = b2 = b3 = 0.0
            c0 = c1 = c2 = c3 = 0.0
            d0 = d1 = d2 = d3 = 0.0
            for i in range(n):
                x0, x1, x2, x3 = X[i, j0], X[i, j1], X[i, j2], X[i, j3]
                va, vb, vc, vd = v[t, i], v[t + 1, i], v[t + 2, i], v[t + 3, i]
                a0 += va * x0
                a1 += va * x1
                a2 += va * x2
                a3 += va * x3
                b0 += vb * x0
                b1 += vb * x1
                b2 += vb * x2
                b3 += vb * x3
                c0 += vc * x0
                c1 += vc * x1
                c2 += vc * x2
                c3 += vc * x3
                d0 += vd * x0
                d1 += vd * x1
                d2 += vd * x2
                d3 += vd * x3
            out[t, k], out[t, k + 1], out[t, k + 2], out[t, k + 3] = a0, a1, a2, a3
            out[t + 1, k], out[t + 1, k + 1], out[t + 1, k + 2], out[t + 1, k + 3] = b0, b1, b2, b3
            out[t + 2, k], out[t + 2, k + 1], out[t + 2, k + 2], out[t + 2, k + 3] = c0, c1, c2, c3
            out[t + 3, k], out[t + 3, k + 1], out[t + 3, k + 2], out[t + 3, k + 3] = d0, d1, d2, d3
            t += 4
        while t + 2 <= tasks:
            a0 = a1 = a2 = a3 = 0.0
            b0 = b1 = b2 = b3 = 0.0
            for i in range(n):
                x0, x1, x2, x3 = X[i, j0], X[i, j1], X[i, j2], X[i, j3]
                va, vb = v[t, i], v[t + 1, i]
                a0 += va * x0
                a1 += va * x1
                a2 += va * x2
                a3 += va * x3
                b0 += vb * x0
                b1 += vb * x1
                b2 += vb * x2
                b3 += vb * x3
            out[t, k], out[t, k + 1], out[t, k + 2], out[t, k + 3] = a0, a1, a2, a3
            out[t + 1, k], out[t + 1, k + 1], out[t + 1, k + 2], out[t + 1, k + 3] = b0, b1, b2, b3
            t += 2
        while t < tasks:
            a0 = a1 = a2 = a3 = 0.0
            for i in range(n):
                va = v[t, i]
                a0 += va * X[i, j0]
                a1 += va * X[i, j1]
                a2 += va * X[i, j2]
                a3 += va * X[i, j3]
            out[t, k], out[t, k + 1], out[t, k + 2], out[t, k + 3] = a0, a1, a2, a3
            t += 1
        k += 4
    while k < stop:
        j = columns[k]
        for t in range(tasks):
            total = 0.0
            for i in range(n):
                total += v[t, i] * X[i, j]
            out[t, k] = total
        k += 1


@kernel(fastmath=REASSOCIATE)
def _xtv_csc_tasks(data, indices, indptr, v, columns, start, stop, out):
    tasks = v.shape[1]
    total = np.empty(tasks)
    for c in range(start, stop):
        first, last = indptr[columns[c]], indptr[columns[c] + 1]
        values, rows = data[first:last], indices[first:last]
        if tasks == 2:  # in registers
            a = b = 0.0
            for k in range(last - first):
                i = np.uintp(rows[k])
                a += values[k] * v[i, 0]
                b += values[k] * v[i, 1]
            out[0, c], out[1, c] = a, b
            continue
        total[:] = 0.0
        for k in range(last - first):
            row, x = v[np.uintp(rows[k])], float(values[k])
            for t in range(tasks):
                total[t] += x * row[t]
        for t in range(tasks):
            out[t, c] = total[t]


@kernel(fastmath={"contract"})
def _xw_csc_tasks(data, indices, indptr, columns, coef, out):
    for c in range(columns.shape[0]):
        first, last = indptr[columns[c]], indptr[columns[c] + 1]
        values, rows, multiples = data[first:last], indices[first:last], coef[c]
        for k in range(last - first):
            row, x = out[np.uintp(rows[k])], float(values[k])
            for t in range(multiples.shape[0]):
                row[t] += x * multiples[t]
