"""X on a device, in three storages, and the passes that read all of it.

Vectors of the drivers stay on the host: a pass sends a residual (8 n bytes), receives a gradient
(8 p bytes) and reads X (4 n p or 8 n p bytes) where it lies. What concerns a few columns in
sequence (packing them, coordinate descent on the residual) is done on the host, on copies of these
columns; :meth:`on_host` makes them once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sparsereg.gpu.device import Device

from sparsereg.backends.numba.matrices import DenseDesign, SparseDesign, drop_constant_columns
from sparsereg.backends.protocol import FloatArray, IndexArray

#: Right-hand sides that share a pass.
MOST_TASKS = 8

_THREADS = 256
# Columns shorter than this are summed by one warp, longer ones by a block.
_WARP_ROWS = 2048
# Row chunks of a pass over contiguous rows.
_CHUNK_ROWS, _MAX_CHUNKS = 512, 64
# Columns of a block that is a factor of a matrix product, in bytes of float64.
_BLOCK_BYTES = 256 << 20


@dataclass(frozen=True)
class DeviceDesign(ABC):
    """What the storages share: row weights and column moments, on the host."""

    device: Device
    X: Any
    shape: tuple[int, int]
    sample_weight: FloatArray | None
    means: FloatArray
    sqnorms: FloatArray
    is_sparse = False

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return self.shape[0] * self.shape[1]

    def nnz_of(self, columns: IndexArray) -> int:
        """Return the number of stored entries of some columns."""
        return self.shape[0] * columns.size

    @cached_property
    def every_column(self) -> Any:
        """0 .. p - 1, there."""
        return self.device.xp.arange(self.shape[1], dtype=np.int64)

    @cached_property
    def means_there(self) -> Any:
        """The column means, there."""
        return self.device.xp.asarray(self.means)

    @cached_property
    def weights_there(self) -> Any:
        """The row weights, there; ones if there are none."""
        if self.sample_weight is None:
            return self.device.xp.ones(self.shape[0])
        return self.device.xp.asarray(self.sample_weight)

    @cached_property
    def uncentered(self) -> DeviceDesign:
        """The same X, as if all column means were zero."""
        return replace(self, means=np.zeros(self.shape[1]))

    def dot(self, v: Any, columns: Any) -> Any:
        """Return v X_c[:, columns] / n for v there, of shape (T, n).

        Many rows of v and all columns are a matrix product, if X is dense; else it is a pass for
        every MOST_TASKS rows.
        """
        totals = v.sum(axis=1)
        out = self.device.xp.empty((len(v), len(columns)))
        if len(v) > MOST_TASKS and columns is self.every_column and not self.is_sparse:
            self._multiply(v, out)
            out -= totals[:, None] * self.means_there
            out /= self.shape[0]
            return out
        for first in range(0, len(v), MOST_TASKS):
            part = slice(first, first + MOST_TASKS)
            self._dot(v[part], totals[part], columns, out[part])
        return out

    @abstractmethod
    def _dot(self, v: Any, totals: Any, columns: Any, out: Any) -> None:
        """Write v X_c[:, columns] / n to out, for at most MOST_TASKS rows of v with their sums."""

    def _multiply(self, v: Any, out: Any) -> None:
        """Write v X to out, by products with blocks of columns in float64."""
        n, p = self.shape
        step = max(64, _BLOCK_BYTES // (8 * n))
        for start in range(0, p, step):
            part = slice(start, min(start + step, p))
            out[:, part] = v @ self._columns(part).astype(np.float64, copy=False)

    def _columns(self, part: slice) -> Any:
        """Return X[:, part], as it is stored."""
        raise NotImplementedError  # of sparse X

    @abstractmethod
    def spread(self) -> tuple[Any, Any]:
        """Return sum_i s_i (x_ij - m_j) and sum_i s_i (x_ij - m_j)^2, there."""


class ColumnsDesign(DeviceDesign):
    """A dense X whose columns are contiguous: ``X`` is its transpose, of shape (p, n)."""

    def _dot(self, v: Any, totals: Any, columns: Any, out: Any) -> None:
        n, threads = self.shape[0], self._threads
        self.device.launch(
            _of(len(v), "dot_columns"), self.X.dtype, (len(columns),), threads,
            (self.X, columns, v, self.means_there, totals, out, n, len(columns), len(v)),
            shared_bytes=threads // 4,
        )  # fmt: skip

    def spread(self) -> tuple[Any, Any]:  # noqa: D102
        n, p = self.shape
        rests, squares = self.device.xp.empty(p), self.device.xp.empty(p)
        self.device.launch(
            "spread_columns", self.X.dtype, (p,), self._threads,
            (self.X, self.weights_there, self.means_there, rests, squares, n),
            shared_bytes=self._threads // 4,
        )  # fmt: skip
        return rests, squares

    def _columns(self, part: slice) -> Any:
        return self.X[part].T

    @property
    def _threads(self) -> int:
        return 32 if self.shape[0] <= _WARP_ROWS else _THREADS

    def combine(self, columns: IndexArray, coef: FloatArray) -> Any:
        """Return coef X_c[:, columns]' there, for coef of shape (T, k) on the host."""
        xp, n = self.device.xp, self.shape[0]
        out = xp.empty((len(coef), n))
        self.device.launch(
            "combine_columns", self.X.dtype, (_blocks(n, _THREADS), min(len(coef), 64)), _THREADS,
            (self.X, xp.asarray(columns), xp.asarray(coef), self.means_there, out, n,
             columns.size, len(coef)),
        )  # fmt: skip
        return out

    def block(self, rows: Any, columns: Any) -> Any:
        """Return X[rows][:, columns]', not centered, in float64.

        Rows may be a slice; None for the columns are all of them.
        """
        if columns is None:
            return self.X[:, rows].astype(np.float64)
        if isinstance(rows, slice):
            return self.X[:, rows][columns].astype(np.float64)
        return self.X[columns[:, None], rows].astype(np.float64)

    def on_host(self, columns: IndexArray) -> tuple[DenseDesign, IndexArray]:
        """Return some columns as the CPU kernels read them, and their positions there."""
        rows = self.X[self.device.xp.asarray(columns)]
        return _dense_on_host(self, self.device.to_host(rows).T, columns)


class RowsDesign(DeviceDesign):
    """A dense X whose rows are contiguous."""

    def _dot(self, v: Any, totals: Any, columns: Any, out: Any) -> None:
        n, p = self.shape
        rows, chunks = self._chunks
        partial = self.device.xp.empty((chunks, len(v), len(columns)))
        self.device.launch(
            _of(len(v), "dot_rows"), self.X.dtype, (_blocks(len(columns), _THREADS), chunks),
            _THREADS, (self.X, columns, v, partial, n, p, len(columns), rows, len(v)),
        )  # fmt: skip
        out[...] = (partial.sum(axis=0) - totals[:, None] * self.means_there[columns]) / n

    def spread(self) -> tuple[Any, Any]:  # noqa: D102
        n, p = self.shape
        rows, chunks = self._chunks
        xp = self.device.xp
        rests, squares = xp.empty((chunks, p)), xp.empty((chunks, p))
        self.device.launch(
            "spread_rows", self.X.dtype, (_blocks(p, _THREADS), chunks), _THREADS,
            (self.X, self.weights_there, self.means_there, rests, squares, n, p, rows),
        )  # fmt: skip
        return rests.sum(axis=0), squares.sum(axis=0)

    def _columns(self, part: slice) -> Any:
        return self.X[:, part]

    @property
    def _chunks(self) -> tuple[int, int]:
        """Rows of a chunk, and how many chunks: they depend on n alone."""
        n = self.shape[0]
        rows = max(_CHUNK_ROWS, _blocks(n, _MAX_CHUNKS))
        return rows, _blocks(n, rows)

    def combine(self, columns: IndexArray, coef: FloatArray) -> Any:
        """Return coef X_c[:, columns]' there, for coef of shape (T, k) on the host."""
        xp, (n, p) = self.device.xp, self.shape
        out = xp.empty((len(coef), n))
        self.device.launch(
            "combine_rows", self.X.dtype, (_blocks(n, _THREADS // 32), min(len(coef), 64)),
            _THREADS,
            (self.X, xp.asarray(columns), xp.asarray(coef), self.means_there, out, n, p,
             columns.size, len(coef)),
        )  # fmt: skip
        return out

    def block(self, rows: Any, columns: Any) -> Any:
        """Return X[rows][:, columns]', not centered, in float64.

        Rows may be a slice; None for the columns are all of them.
        """
        if columns is None:
            return self.X[rows].T.astype(np.float64)
        if isinstance(rows, slice):
            return self.X[rows][:, columns].T.astype(np.float64)
        return self.X[rows[:, None], columns].T.astype(np.float64)

    def on_host(self, columns: IndexArray) -> tuple[DenseDesign, IndexArray]:
        """Return some columns as the CPU kernels read them, and their positions there."""
        listed = self.X[:, self.device.xp.asarray(columns)]
        return _dense_on_host(self, self.device.to_host(listed.T).T, columns)


@dataclass(frozen=True)
class CscDesign(DeviceDesign):
    """X in compressed sparse columns: ``X`` is the matrix of the device.

    Attributes
    ----------
    indices, indptr : arrays there, of 32 and 64 bits
    column_sizes : ndarray of shape (p,)
        Stored entries of each column.
    known : HostColumns
        The columns that are on the host, too.
    """

    indices: Any
    indptr: Any
    column_sizes: npt.NDArray[np.int64]
    known: HostColumns
    is_sparse = True

    @property
    def nnz(self) -> int:  # noqa: D102
        return int(self.column_sizes.sum())

    def nnz_of(self, columns: IndexArray) -> int:  # noqa: D102
        return int(self.column_sizes[columns].sum())

    def _dot(self, v: Any, totals: Any, columns: Any, out: Any) -> None:
        self.device.launch(
            _of(len(v), "dot_csc"), self.X.dtype, (_blocks(len(columns), _THREADS // 32),),
            _THREADS,
            (self.X.data, self.indices, self.indptr, columns, v, self.means_there, totals, out,
             self.shape[0], len(columns), len(v)),
        )  # fmt: skip

    def spread(self) -> tuple[Any, Any]:  # noqa: D102
        n, p = self.shape
        xp = self.device.xp
        masses, rests, squares = xp.empty(p), xp.empty(p), xp.empty(p)
        self.device.launch(
            "spread_csc", self.X.dtype, (_blocks(p, _THREADS // 32),), _THREADS,
            (self.X.data, self.indices, self.indptr, self.weights_there, self.means_there,
             masses, rests, squares, p),
        )  # fmt: skip
        # the other rows hold -m; none are left where every row is stored
        is_full = xp.asarray(self.column_sizes == n)
        others = xp.where(is_full, 0.0, xp.maximum(n - masses, 0.0))
        return rests - others * self.means_there, squares + others * self.means_there**2

    def on_host(self, columns: IndexArray) -> tuple[SparseDesign, IndexArray]:
        """Return columns as the CPU kernels read them, and their positions there."""
        matrix, listed, where = self.known.including(self, columns)
        design = SparseDesign(
            matrix.data, matrix.indices, matrix.indptr, matrix.shape, self.sample_weight,
            self.means[listed], self.sqnorms[listed],
        )  # fmt: skip
        return design, where


class HostColumns:
    """Columns of a sparse X of a device that were copied to the host; it grows as they are needed.

    Parameters
    ----------
    matrix : CSC matrix
        The copies made so far, or the whole X where it came from the host.
    listed : ndarray of int
        Which columns of X they are.
    n_columns : int
        Of X.
    """

    def __init__(self, matrix: Any, listed: IndexArray, n_columns: int) -> None:
        self._matrix, self._listed, self._lock = matrix, listed, Lock()
        self._positions = np.full(n_columns, -1, dtype=np.intp)
        self._positions[listed] = np.arange(listed.size)

    def including(
        self, design: CscDesign, columns: IndexArray
    ) -> tuple[Any, IndexArray, IndexArray]:
        """Return all copies, which columns they are, and the positions of those asked for."""
        with self._lock:  # solves in lock step share the copies
            missing = columns[self._positions[columns] < 0]
            if missing.size:
                fetched = _csc_to_host(design.X[:, design.device.xp.asarray(missing)])
                self._positions[missing] = self._listed.size + np.arange(missing.size)
                together = sparse.hstack([self._matrix, fetched], format="csc")
                self._matrix = sparse.csc_array(together)
                self._listed = np.concatenate([self._listed, missing])
            return self._matrix, self._listed, self._positions[columns]


def make_design(
    device: Device, X: Any, sample_weight: FloatArray | None, center: bool
) -> DeviceDesign:
    """Bring X there, if it is not, and compute its column moments in two passes.

    Parameters
    ----------
    device : Device
    X : dense or CSC matrix, of the host or of the device
    sample_weight : ndarray of shape (n,) or None
    center : bool
    """
    n, p = X.shape
    xp = device.xp
    parts: dict[str, Any] = {
        "device": device, "shape": (n, p), "sample_weight": sample_weight,
        "means": np.zeros(p), "sqnorms": np.zeros(p),
    }  # fmt: skip
    design: DeviceDesign
    if hasattr(X, "indptr"):
        design = _sparse_there(device, X, parts)
    else:
        if X.flags.f_contiguous or not X.flags.c_contiguous:
            design = ColumnsDesign(X=xp.ascontiguousarray(xp.asarray(X.T)), **parts)
        else:
            design = RowsDesign(X=xp.asarray(X), **parts)
    return with_moments(design, sample_weight, center)


def with_moments(
    design: DeviceDesign, sample_weight: FloatArray | None, center: bool
) -> DeviceDesign:
    """Return the same X with some row weights and its column moments, in two passes."""
    device, (n, p) = design.device, design.shape
    nothing = np.zeros(p)
    design = replace(design, sample_weight=sample_weight, means=nothing, sqnorms=nothing)
    sizes = design.column_sizes if isinstance(design, CscDesign) else np.full(p, n)
    if center:
        means = design.dot(design.weights_there[None, :], design.every_column)[0]
        design = replace(design, means=device.to_host(means))
    rests, squares = (device.to_host(values) for values in design.spread())
    if center:
        squares = np.maximum(squares - rests * rests / n, 0.0)
        design = replace(design, means=design.means + rests / n)
    design = replace(design, sqnorms=squares / n)
    drop_constant_columns(
        lambda j: _column(design, j), sizes, sample_weight, design.means, design.sqnorms
    )
    return design


def _sparse_there(device: Device, X: Any, parts: dict[str, Any]) -> CscDesign:
    xp, (n, p) = device.xp, X.shape
    if n > np.iinfo(np.int32).max:
        raise ValueError(
            f"X has {n} rows, but sparse X of the device has 32-bit row indices. Use the CPU, "
            f'backend="numba".'
        )
    comes_from_host = isinstance(X.data, np.ndarray)
    there = device.csc(X) if comes_from_host else X
    kept = sparse.csc_array(X) if comes_from_host else sparse.csc_array((n, 0))
    indptr = xp.asarray(there.indptr).astype(np.int64)
    return CscDesign(
        X=there,
        indices=xp.asarray(there.indices).astype(np.int32, copy=False),
        indptr=indptr,
        column_sizes=np.diff(device.to_host(indptr)),
        known=HostColumns(kept, np.arange(kept.shape[1]), p),
        **parts,
    )


def _column(design: Any, j: int) -> np.ndarray:
    host, where = design.on_host(np.array([j]))
    if design.is_sparse:
        entries = slice(host.indptr[where[0]], host.indptr[where[0] + 1])
        column = np.zeros(design.shape[0])
        column[host.indices[entries]] = host.data[entries]
        return column
    return host.X[:, 0]


def _dense_on_host(
    design: DeviceDesign, X: np.ndarray, columns: IndexArray
) -> tuple[DenseDesign, IndexArray]:
    moments = (design.sample_weight, design.means[columns], design.sqnorms[columns])
    return DenseDesign(X, *moments), np.arange(columns.size)


def _csc_to_host(matrix: Any) -> Any:
    return matrix.get() if hasattr(matrix, "get") else matrix


def _of(n_tasks: int, kernel: str) -> str:
    return kernel if n_tasks == 1 else f"{kernel}_many"


def _blocks(n: int, size: int) -> int:
    return -(-n // size)
