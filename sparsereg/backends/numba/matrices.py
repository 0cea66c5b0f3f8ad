"""X as the kernels read it, and everything that passes over it.

Three storages: dense with contiguous columns (Fortran order), dense with contiguous rows (C
order), and compressed sparse columns. Each has the same four operations, written for its memory
order: column moments, X'v, X w, and the packing of centered columns. X is read in place, in
float32 or float64; every accumulator is float64.

Floors: X'v and the moments read X once (8 n p bytes in float64, 2 n p flops); the residual reads
the active columns once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsereg.backends.numba import dense_rows
from sparsereg.backends.numba.csc import add_column, column_dot
from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.threads import run_blocks
from sparsereg.backends.protocol import FloatArray, IndexArray

# Columns per block of a pass; part of what makes results independent of the number of threads. Tall
# columns come in blocks of so many entries.
_COLUMN_BLOCK, _BLOCK_ENTRIES, _NARROWEST = 512, 1 << 19, 8
# Rows that a thread takes at a time where X w is summed by columns: long runs.
_ROWS_SHARED = 8192
# Columns per block of a packed copy; its size, so that it stays in cache, is at most a share of X
# where that is not small.
_PACK_BLOCK = 64
_PACK_BYTES, _PACK_SHARE, _PACK_SMALL = 8 << 20, 16, 1 << 20
# A centered column counts as constant when its deviation is rounding noise beside its mean.
_CONSTANT = 64 * np.finfo(np.float64).eps
_SQUARE_UNDERFLOWS = 1e-150


@dataclass(frozen=True)
class DenseDesign:
    """A dense X in either memory order, with row weights and column moments."""

    X: np.ndarray
    sample_weight: FloatArray | None
    means: FloatArray
    sqnorms: FloatArray
    is_sparse = False

    @property
    def shape(self) -> tuple[int, int]:
        """n, p."""
        return self.X.shape  # type: ignore[return-value]

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return self.X.size

    def nnz_of(self, columns: IndexArray) -> int:
        """Return the number of stored entries of some columns."""
        return self.X.shape[0] * columns.size


@dataclass(frozen=True)
class SparseDesign:
    """X in compressed sparse columns, with row weights and column moments."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]
    sample_weight: FloatArray | None
    means: FloatArray
    sqnorms: FloatArray
    is_sparse = True

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return self.data.size

    def nnz_of(self, columns: IndexArray) -> int:
        """Return the number of stored entries of some columns."""
        return int(np.sum(self.indptr[columns + 1] - self.indptr[columns]))


def make_design(
    X: Any, sample_weight: FloatArray | None, center: bool
) -> DenseDesign | SparseDesign:
    """Wrap X (ndarray or CSC) and compute its column moments in one or two passes."""
    n, p = X.shape
    means, sqnorms = np.zeros(p), np.empty(p)
    rows = (weights_or_empty(sample_weight), center)
    if isinstance(X, np.ndarray):
        X = _readonly(X if X.flags.f_contiguous or X.flags.c_contiguous else np.asfortranarray(X))
        if X.flags.f_contiguous:
            run_blocks(
                lambda start, stop: _moments_columns(X, *rows, start, stop, means, sqnorms),
                p, _columns_at_once(X), 2.0 * X.size,
            )  # fmt: skip
        else:
            dense_rows.moments(X, *rows, means, sqnorms)
        drop_constant_columns(lambda j: X[:, j], np.full(p, n), sample_weight, means, sqnorms)
        return DenseDesign(X, sample_weight, means, sqnorms)
    arrays = (_readonly(X.data), _readonly(X.indices), _readonly(X.indptr))
    run_blocks(
        lambda start, stop: _moments_csc(*arrays, n, *rows, start, stop, means, sqnorms),
        p, _COLUMN_BLOCK, 2.0 * X.data.size,
    )  # fmt: skip
    drop_constant_columns(
        lambda j: X[:, [j]].toarray()[:, 0], np.diff(X.indptr), sample_weight, means, sqnorms
    )
    return SparseDesign(*arrays, (n, p), sample_weight, means, sqnorms)


def drop_constant_columns(
    column_of: Callable[[int], np.ndarray],
    sizes: np.ndarray,
    sample_weight: FloatArray | None,
    means: FloatArray,
    sqnorms: FloatArray,
) -> None:
    """Set the norm of constant columns to exactly zero, but never that of an underflow.

    ``column_of(j)`` returns a dense column, and ``sizes`` has the number of stored entries of each.
    """
    constant = np.sqrt(sqnorms) <= _CONSTANT * np.abs(means)
    sqnorms[constant] = 0.0
    rows = slice(None) if sample_weight is None else np.flatnonzero(sample_weight)
    suspects = constant & (np.abs(means) < _SQUARE_UNDERFLOWS) & (sizes > 0)
    for j in np.flatnonzero(suspects):
        spread = np.ptp(column_of(int(j))[rows])
        if _CONSTANT * abs(means[j]) < spread < _SQUARE_UNDERFLOWS:
            sqnorms[j] = np.finfo(np.float64).tiny


def xtr(design: Any, residual: FloatArray, columns: IndexArray | None = None) -> FloatArray:
    """Return X_c[:, columns]' (s r) / n, where X_c is the implicitly centered X."""
    n, p = design.shape
    weighted = residual if design.sample_weight is None else design.sample_weight * residual
    listed = np.arange(p) if columns is None else columns
    means = design.means if columns is None else design.means[columns]
    work = float(design.nnz) * listed.size / max(p, 1)
    if design.is_sparse:
        out = np.empty(listed.size)
        arrays = (design.data, design.indices, design.indptr)
        run_blocks(
            lambda start, stop: _xtv_csc(*arrays, weighted, listed, start, stop, out),
            listed.size, _COLUMN_BLOCK, work,
        )  # fmt: skip
    elif design.X.flags.f_contiguous:
        out = np.empty(listed.size)
        run_blocks(
            lambda start, stop: _xtv_columns(design.X, weighted, listed, start, stop, out),
            listed.size, _columns_at_once(design.X), work,
        )  # fmt: skip
    else:
        out = dense_rows.products(design.X, weighted, columns)
    out -= means * weighted.sum()
    out /= n
    return out


def fitted(design: Any, columns: IndexArray, coef: FloatArray) -> FloatArray:
    """Return X_c[:, columns] @ coef."""
    n = design.shape[0]
    out = np.zeros(n)
    if columns.size == 0:
        return out
    if design.is_sparse:
        _xw_csc(design.data, design.indices, design.indptr, columns, coef, out)
        out -= design.means[columns] @ coef
    elif design.X.flags.f_contiguous:
        means = design.means[columns]
        run_blocks(
            lambda start, stop: _xw_columns(design.X, means, columns, coef, start, stop, out),
            n, _ROWS_SHARED, float(n) * columns.size,
        )  # fmt: skip
    else:
        out = dense_rows.combine(design.X, design.means, columns, coef)
    return out


def _columns_at_once(X: np.ndarray) -> int:
    """Return how many contiguous columns make a block of a pass: a large X has several."""
    wanted = _BLOCK_ENTRIES // max(X.shape[0], 1)
    return min(max(wanted - wanted % _NARROWEST, _NARROWEST), _COLUMN_BLOCK)


def rows_at_once(design: Any, n_columns: int) -> int:
    """Return how many rows of so many columns are packed at a time."""
    n, p = design.shape
    n_bytes = min(_PACK_BYTES, max(8 * n * p // _PACK_SHARE, _PACK_SMALL))
    return max(64, n_bytes // (8 * max(n_columns, 1)))


def pack(design: Any, columns: IndexArray, start: int, stop: int) -> FloatArray:
    """Return rows start:stop of sqrt(s) X_c[:, columns] as a Fortran-ordered float64 copy."""
    out = centered_columns(design, columns, start, stop)
    if design.sample_weight is not None:
        out *= np.sqrt(design.sample_weight[start:stop])[:, None]
    return out


def pack_roughly(
    design: DenseDesign,
    columns: IndexArray,
    factors: FloatArray,
    start: int,
    stop: int,
    buffer: np.ndarray,
) -> np.ndarray:
    """Return rows of sqrt(s) X_c[:, columns] diag(factors) in float32, in the memory order of X.

    They are put into ``buffer``. All on the calling thread: others may be packing other rows.
    """
    flat = buffer[: (stop - start) * columns.size]
    if design.X.flags.f_contiguous:
        flat = flat.reshape(columns.size, -1)
        _pack_columns_roughly(design.X, design.means, factors, columns, start, flat)
        out = flat.T
    else:
        out = flat.reshape(-1, columns.size)
        dense_rows.pack_roughly(design.X[start:stop], design.means, factors, columns, out)
    if design.sample_weight is not None:
        out *= np.sqrt(design.sample_weight[start:stop], dtype=np.float32)[:, None]
    return out


def centered_columns(design: Any, columns: IndexArray, start: int, stop: int) -> FloatArray:
    """Return rows start:stop of X_c[:, columns] as a Fortran-ordered float64 copy."""
    out = np.empty((columns.size, stop - start))  # kernels see its rows: one layout always
    if design.is_sparse:
        _pack_csc(design.data, design.indices, design.indptr, columns, start, stop, out)
        out -= design.means[columns, None]
    else:
        product = _pack_columns if design.X.flags.f_contiguous else _pack_rows
        run_blocks(
            lambda first, last: product(
                design.X, design.means, columns[first:last], start, out[first:last]
            ),
            columns.size, _PACK_BLOCK, float(out.size),
        )  # fmt: skip
    return out.T


def take(design: DenseDesign, rows: IndexArray, columns: IndexArray) -> FloatArray:
    """Return X[rows][:, columns], not centered, in Fortran order and float64."""
    X = design.X
    out = np.empty((columns.size, rows.size))
    product = _take_rows_of_columns if X.flags.f_contiguous else _take_rows
    run_blocks(
        lambda start, stop: product(X, rows, columns[start:stop], out[start:stop]),
        columns.size, _COLUMN_BLOCK, float(out.size),
    )  # fmt: skip
    return out.T


def _readonly(array: np.ndarray) -> np.ndarray:
    # Kernels see X read-only always: one compiled signature for writable and read-only input.
    view = array.view()
    view.flags.writeable = False
    return view


def weights_or_empty(sample_weight: FloatArray | None) -> FloatArray:
    """Return the weights as kernels take them: none are an empty array."""
    return np.empty(0) if sample_weight is None else sample_weight


# ------------------------------------------------------------------------------ contiguous columns


@kernel(fastmath=REASSOCIATE)
def _moments_columns(X, weights, center, start, stop, means, sqnorms):
    n = X.shape[0]
    weighted = weights.shape[0] > 0
    for j in range(start, stop):
        mean = 0.0
        if center:
            if weighted:
                for i in range(n):
                    mean += weights[i] * X[i, j]
            else:
                for i in range(n):
                    mean += X[i, j]
            mean /= n
        square = 0.0
        rest = 0.0  # what rounding left of the mean
        if weighted:
            for i in range(n):
                d = X[i, j] - mean
                rest += weights[i] * d
                square += weights[i] * d * d
        else:
            for i in range(n):
                d = X[i, j] - mean
                rest += d
                square += d * d
        if center:
            means[j] = mean + rest / n
            sqnorms[j] = max(square - rest * rest / n, 0.0) / n
        else:
            means[j] = 0.0
            sqnorms[j] = square / n


@kernel(fastmath=REASSOCIATE)
def _xtv_columns(X, v, columns, start, stop, out):
    n = X.shape[0]
    k = start
    while k + 4 <= stop:  # four columns at a time, so that v is read once for all of them
        ja, jb, jc, jd = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        a = 0.0
        b = 0.0
        c = 0.0
        d = 0.0
        for i in range(n):
            vi = v[i]
            a += X[i, ja] * vi
            b += X[i, jb] * vi
            c += X[i, jc] * vi
            d += X[i, jd] * vi
        out[k] = a
        out[k + 1] = b
        out[k + 2] = c
        out[k + 3] = d
        k += 4
    while k < stop:
        j = columns[k]
        a = 0.0
        for i in range(n):
            a += X[i, j] * v[i]
        out[k] = a
        k += 1


@kernel()
def _xw_columns(X, means, columns, coef, start, stop, out):
    part, k = out[start:stop], 0
    while k + 4 <= columns.shape[0]:  # four columns at a time, so that out is read once for them
        first, second = X[start:stop, columns[k]], X[start:stop, columns[k + 1]]
        third, fourth = X[start:stop, columns[k + 2]], X[start:stop, columns[k + 3]]
        a, b, c, d = coef[k], coef[k + 1], coef[k + 2], coef[k + 3]
        ma, mb, mc, md = means[k], means[k + 1], means[k + 2], means[k + 3]
        for i in range(stop - start):
            left = a * (first[i] - ma) + b * (second[i] - mb)
            part[i] += left + (c * (third[i] - mc) + d * (fourth[i] - md))
        k += 4
    while k < columns.shape[0]:
        column, value, mean = X[start:stop, columns[k]], coef[k], means[k]
        for i in range(stop - start):
            part[i] += value * (column[i] - mean)
        k += 1


@kernel()
def _pack_columns(X, means, columns, first, out):
    for k in range(columns.shape[0]):
        j = columns[k]
        mean = means[j]
        column, row = X[first : first + out.shape[1], j], out[k]
        for i in range(out.shape[1]):  # from zero, over slices: this vectorizes
            row[i] = column[i] - mean


@kernel()
def _pack_columns_roughly(X, means, factors, columns, first, out):
    for k in range(columns.shape[0]):
        j = columns[k]
        mean, factor = means[j], factors[k]
        column, row = X[first : first + out.shape[1], j], out[k]
        for i in range(out.shape[1]):
            row[i] = np.float32((column[i] - mean) * factor)


@kernel()
def _take_rows_of_columns(X, rows, columns, out):
    for k in range(columns.shape[0]):
        j = columns[k]
        for i in range(rows.shape[0]):
            out[k, i] = X[rows[i], j]


# --------------------------------------------------------------------------------- contiguous rows


@kernel()
def _pack_rows(X, means, columns, first, out):
    size = out.shape[1]
    for start in range(0, size, 8):  # a line of cache, so that each is written once
        rows = X[first + start : first + min(start + 8, size)]
        for k in range(columns.shape[0]):
            j = columns[k]
            mean, line = means[j], out[k, start : start + 8]
            for i in range(rows.shape[0]):
                line[i] = rows[i, j] - mean


@kernel()
def _take_rows(X, rows, columns, out):
    for i in range(rows.shape[0]):
        for k in range(columns.shape[0]):
            out[k, i] = X[rows[i], columns[k]]


# ------------------------------------------------------------------------ compressed sparse columns


@kernel()
def _moments_csc(data, indices, indptr, n, weights, center, start, stop, means, sqnorms):
    weighted = weights.shape[0] > 0
    for j in range(start, stop):
        mean = 0.0
        mass = 0.0  # weight of the rows that are stored
        for k in range(indptr[j], indptr[j + 1]):
            s = weights[indices[k]] if weighted else 1.0
            mean += s * data[k]
            mass += s
        mean = mean / n if center else 0.0
        # the other rows hold -mean; none are left where every row is stored
        others = max(n - mass, 0.0) if indptr[j + 1] - indptr[j] < n else 0.0
        square = others * mean * mean
        rest = -others * mean
        for k in range(indptr[j], indptr[j + 1]):
            s = weights[indices[k]] if weighted else 1.0
            d = data[k] - mean
            rest += s * d
            square += s * d * d
        if center:
            means[j] = mean + rest / n
            sqnorms[j] = max(square - rest * rest / n, 0.0) / n
        else:
            means[j] = 0.0
            sqnorms[j] = square / n


@kernel()
def _xtv_csc(data, indices, indptr, v, columns, start, stop, out):
    for c in range(start, stop):
        j = columns[c]
        out[c] = column_dot(data, indices, indptr[j], indptr[j + 1], v)


@kernel()
def _xw_csc(data, indices, indptr, columns, coef, out):
    for c in range(columns.shape[0]):
        j = columns[c]
        add_column(data, indices, indptr[j], indptr[j + 1], coef[c], out)


@kernel()
def _pack_csc(data, indices, indptr, columns, start, stop, out):
    for c in range(columns.shape[0]):
        j = columns[c]
        for i in range(out.shape[1]):
            out[c, i] = 0.0
        for k in range(indptr[j], indptr[j + 1]):
            i = indices[k]
            if start <= i < stop:
                out[c, i - start] += data[k]
