"""X as the kernels read it, and everything that passes over it.

Three storages: dense with contiguous columns (Fortran order), dense with contiguous rows (C
order), and compressed sparse columns. Each has the same four operations, written for its memory
order: column moments, X'v, X w, and the packing of centered columns. X is read in place, in
float32 or float64; every accumulator is float64.

Floors: X'v and the moments read X once (8 n p bytes in float64, 2 n p flops); the residual reads
the active columns once; the Gram block of m new columns beside k known ones costs 2 n m k flops in
BLAS-3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.threads import PRODUCT, run_blocks
from sparsereg.backends.protocol import FloatArray, IndexArray

# Columns per block of a pass; part of what makes results independent of the number of threads.
_COLUMN_BLOCK = 512
# Columns per block of a Gram product.
_GRAM_BLOCK = 64
_LOWER = np.tri(_GRAM_BLOCK, dtype=bool)
# Rows packed at a time when a Gram block is built: keeps the packed copy in cache and small.
_PACK_BYTES = 8 << 20
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
    rows = (_weights_or_empty(sample_weight), center)
    if isinstance(X, np.ndarray):
        X = _readonly(X if X.flags.f_contiguous or X.flags.c_contiguous else np.asfortranarray(X))
        moments = _moments_columns if X.flags.f_contiguous else _moments_rows
        run_blocks(
            lambda start, stop: moments(X, *rows, start, stop, means, sqnorms),
            p, _COLUMN_BLOCK, 2.0 * X.size,
        )  # fmt: skip
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
    out = np.empty(listed.size)
    if design.is_sparse:

        def task(start: int, stop: int) -> None:
            _xtv_csc(design.data, design.indices, design.indptr, weighted, listed, start, stop, out)

    elif design.X.flags.f_contiguous:

        def task(start: int, stop: int) -> None:
            _xtv_columns(design.X, weighted, listed, start, stop, out)

    else:
        product = _xtv_rows if columns is None else _xtv_rows_listed

        def task(start: int, stop: int) -> None:
            product(design.X, weighted, listed, start, stop, out)

    run_blocks(task, listed.size, _COLUMN_BLOCK, float(design.nnz) * listed.size / max(p, 1))
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
    else:
        product = _xw_columns if design.X.flags.f_contiguous else _xw_rows
        product(design.X, design.means, columns, coef, out)
    return out


def gram_block(design: Any, columns: IndexArray, n_new: int) -> FloatArray:
    """Return X_c[:, columns]' diag(s) X_c[:, columns[-n_new:]] / n."""
    n = design.shape[0]
    known = columns.size - n_new
    out = np.zeros((columns.size, n_new))
    if design.is_sparse and not _is_far_from_zero(design, columns):
        out = _sparse_products(design, columns, known).T
        out -= n * np.outer(design.means[columns], design.means[columns[known:]])
        _mirror(out[known:])
    elif _is_plain(design, columns, known):
        _add_products(design.X, 0, out)
        out -= n * np.outer(design.means, design.means)
        _mirror(out)
    else:
        step = max(64, _PACK_BYTES // (8 * columns.size))
        for start in range(0, n, step):
            _add_products(pack(design, columns, start, min(start + step, n)), known, out)
        _mirror(out[known:])
    out /= n
    return out


def _sparse_products(design: SparseDesign, columns: IndexArray, known: int) -> FloatArray:
    """Return X[:, columns[known:]]' diag(s) X[:, columns]: products of what shares a row."""
    arrays = (design.data, design.indices, design.indptr)
    rows = _rows_of_columns(*arrays, design.shape[0], columns)
    weights = _weights_or_empty(design.sample_weight)
    new = columns[known:]
    out = np.zeros((new.size, columns.size))
    run_blocks(
        lambda start, stop: _add_sparse_products(*arrays, weights, *rows, new, start, stop, out),
        new.size, 32, gram_work(design, columns, new.size),
    )  # fmt: skip
    return out


def gram_work(design: Any, columns: IndexArray, n_new: int) -> float:
    """Return the multiply-adds of a Gram block."""
    if not design.is_sparse:
        return float(design.shape[0]) * columns.size * n_new
    return _count_sparse_products(design.indices, design.indptr, design.shape[0], columns, n_new)


def _is_plain(design: Any, columns: IndexArray, known: int) -> bool:
    """Whether the whole Gram matrix is wanted, and X can be read in place for it."""
    return (
        not known
        and not design.is_sparse
        and design.sample_weight is None
        and design.X.dtype == np.float64
        and np.array_equal(columns, np.arange(design.shape[1]))
        # so that subtracting n m m' costs a bit at most
        and bool(np.all(design.means**2 <= design.sqnorms))
    )


def _add_products(packed: FloatArray, known: int, out: FloatArray) -> None:
    """Add packed' packed[:, known:], but not what is above the diagonal of its last columns."""

    def task(start: int, stop: int) -> None:
        new = packed[:, known + start : known + stop]
        if known:
            out[:known, start:stop] += packed[:, :known].T @ new
        out[known + start :, start:stop] += packed[:, known + start :].T @ new

    run_blocks(task, out.shape[1], _GRAM_BLOCK, float(packed.size) * out.shape[1] / PRODUCT)


def _mirror(square: FloatArray) -> None:
    """Fill the upper triangle from the lower one."""
    for start in range(0, len(square), _GRAM_BLOCK):
        stop = start + _GRAM_BLOCK
        corner = square[start:stop, start:stop]
        corner[...] = np.where(_LOWER[: len(corner), : len(corner)], corner, corner.T)
        square[start:stop, stop:] = square[stop:, start:stop].T


def _is_far_from_zero(design: SparseDesign, columns: IndexArray) -> bool:
    """Whether subtracting n m m' from the raw products would lose half of the digits."""
    return bool(np.any(design.means[columns] ** 2 > 1e6 * design.sqnorms[columns]))


def pack(design: Any, columns: IndexArray, start: int, stop: int) -> FloatArray:
    """Return rows start:stop of sqrt(s) X_c[:, columns] as a Fortran-ordered float64 copy."""
    out = centered_columns(design, columns, start, stop)
    if design.sample_weight is not None:
        out *= np.sqrt(design.sample_weight[start:stop])[:, None]
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
            columns.size, _COLUMN_BLOCK, float(out.size),
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


def _weights_or_empty(sample_weight: FloatArray | None) -> FloatArray:
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
def _xw_columns(X, means, columns, coef, out):
    n = X.shape[0]
    for k in range(columns.shape[0]):
        j = columns[k]
        mean = means[j]
        value = coef[k]
        if value != 0.0:
            for i in range(n):
                out[i] += value * (X[i, j] - mean)


@kernel()
def _pack_columns(X, means, columns, first, out):
    for k in range(columns.shape[0]):
        j = columns[k]
        mean = means[j]
        for i in range(out.shape[1]):
            out[k, i] = X[first + i, j] - mean


@kernel()
def _take_rows_of_columns(X, rows, columns, out):
    for k in range(columns.shape[0]):
        j = columns[k]
        for i in range(rows.shape[0]):
            out[k, i] = X[rows[i], j]


# --------------------------------------------------------------------------------- contiguous rows


@kernel()
def _moments_rows(X, weights, center, start, stop, means, sqnorms):
    n = X.shape[0]
    weighted = weights.shape[0] > 0
    rest = np.zeros(stop - start)  # what rounding left of the means
    for j in range(start, stop):
        means[j] = 0.0
        sqnorms[j] = 0.0
    if center:
        for i in range(n):
            s = weights[i] if weighted else 1.0
            for j in range(start, stop):
                means[j] += s * X[i, j]
        for j in range(start, stop):
            means[j] /= n
    for i in range(n):
        s = weights[i] if weighted else 1.0
        for j in range(start, stop):
            d = X[i, j] - means[j]
            rest[j - start] += s * d
            sqnorms[j] += s * d * d
    for j in range(start, stop):
        if center:
            d = rest[j - start]
            means[j] += d / n
            sqnorms[j] = max(sqnorms[j] - d * d / n, 0.0)
        sqnorms[j] /= n


@kernel()
def _xtv_rows(X, v, columns, start, stop, out):
    n = X.shape[0]
    for j in range(start, stop):
        out[j] = 0.0
    i = 0
    while i + 4 <= n:  # four rows at a time, so that out is read and written once for all of them
        a = v[i]
        b = v[i + 1]
        c = v[i + 2]
        d = v[i + 3]
        for j in range(start, stop):
            out[j] += (a * X[i, j] + b * X[i + 1, j]) + (c * X[i + 2, j] + d * X[i + 3, j])
        i += 4
    while i < n:
        a = v[i]
        for j in range(start, stop):
            out[j] += a * X[i, j]
        i += 1


@kernel()
def _xtv_rows_listed(X, v, columns, start, stop, out):
    for k in range(start, stop):
        out[k] = 0.0
    for i in range(X.shape[0]):
        vi = v[i]
        for k in range(start, stop):
            out[k] += vi * X[i, columns[k]]


@kernel()
def _xw_rows(X, means, columns, coef, out):
    for i in range(X.shape[0]):
        total = 0.0
        for k in range(columns.shape[0]):
            j = columns[k]
            total += coef[k] * (X[i, j] - means[j])
        out[i] += total


@kernel()
def _pack_rows(X, means, columns, first, out):
    for i in range(out.shape[1]):
        for k in range(columns.shape[0]):
            j = columns[k]
            out[k, i] = X[first + i, j] - means[j]


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
        total = 0.0
        for k in range(indptr[j], indptr[j + 1]):
            total += data[k] * v[indices[k]]
        out[c] = total


@kernel()
def _xw_csc(data, indices, indptr, columns, coef, out):
    for c in range(columns.shape[0]):
        j = columns[c]
        value = coef[c]
        for k in range(indptr[j], indptr[j + 1]):
            out[indices[k]] += value * data[k]


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


@kernel()
def _rows_of_columns(data, indices, indptr, n, columns):
    """Return some columns in compressed rows: where each starts, its positions and values."""
    ends = np.zeros(n + 1, dtype=np.int64)
    for j in columns:
        for k in range(indptr[j], indptr[j + 1]):
            ends[indices[k] + 1] += 1
    for i in range(n):
        ends[i + 1] += ends[i]
    starts = ends.copy()
    positions = np.empty(ends[n], dtype=np.int32)
    values = np.empty(ends[n])
    for c in range(columns.shape[0]):
        j = columns[c]
        for k in range(indptr[j], indptr[j + 1]):
            i = indices[k]
            positions[starts[i]] = c
            values[starts[i]] = data[k]
            starts[i] += 1
    return ends, positions, values


@kernel()
def _add_sparse_products(
    data, indices, indptr, weights, ends, positions, values, new, start, stop, out
):  # fmt: skip
    weighted = weights.shape[0] > 0
    for c in range(start, stop):
        row = out[c]
        for k in range(indptr[new[c]], indptr[new[c] + 1]):
            i = indices[k]
            value = data[k] * (weights[i] if weighted else 1.0)
            for e in range(ends[i], ends[i + 1]):
                row[positions[e]] += value * values[e]


@kernel()
def _count_sparse_products(indices, indptr, n, columns, n_new):
    lengths = np.zeros(n, dtype=np.int64)
    for j in columns:
        for k in range(indptr[j], indptr[j + 1]):
            lengths[indices[k]] += 1
    total = 0.0
    for c in range(columns.shape[0] - n_new, columns.shape[0]):
        for k in range(indptr[columns[c]], indptr[columns[c] + 1]):
            total += lengths[indices[k]]
    return total
