"""Blocks of the Gram matrix of centered columns: products of dense tiles, or of what shares a row.

A block of m new columns beside k known ones costs n m (k + m / 2) multiply-adds; what is above the
diagonal of the new ones is mirrored. BLAS comes near its peak only on wide tiles, while threads
need several of them. The cuts depend on the shape alone, and so do the results. In single precision
the products take half the time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.matrices import (
    SparseDesign,
    pack,
    pack_roughly,
    rows_at_once,
    weights_or_empty,
)
from sparsereg.backends.numba.threads import PRODUCT, run_blocks
from sparsereg.backends.protocol import FloatArray, IndexArray

# Largest width of a tile.
_TILE = 512
_LOWER = np.tri(64, dtype=bool)
# Columns of sparse X that a thread takes at a time.
_COLUMN_BLOCK = 128
# Rows of an outer product at a time.
_OUTER_ROWS = 64
# Where one tile is all there is, rows are shared among threads, so many per column at least.
_PARTS, _ROWS_PER_COLUMN = 8, 16
# Products of rows in single precision that are there at once, before they are added.
_ROUGH_PARTS = 4


def gram_block(design: Any, columns: IndexArray, n_new: int, rough: bool = False) -> FloatArray:
    """Return X_c[:, columns]' diag(s) X_c[:, columns[-n_new:]] / n; in C order if that is all.

    ``rough`` allows the error of single precision, where that is faster.
    """
    n = design.shape[0]
    known = columns.size - n_new
    means = design.means[columns]
    if design.is_sparse and not _is_far_from_zero(design, columns):
        out = _sparse_products(design, columns, known)
        _subtract_outer(out, n * means, means[known:])
        out = out.T
    elif rough and not design.is_sparse:
        out = _rough_products(design, columns, known)
    elif _is_plain(design, columns, known):
        out = _products_in_parts(design.X)
        _subtract_outer(out, n * means, means)
    else:
        out = np.empty((n_new, columns.size))  # a row for each of the new columns
        step = rows_at_once(design, columns.size)
        for start in range(0, n, step):
            # not kept: the next ones are packed where these were
            _put_products(
                pack(design, columns, start, min(start + step, n)), known, out, add=start > 0
            )
    _mirror(out[:, known:])
    out /= n
    return out.T if known else out


def _subtract_outer(out: FloatArray, left: FloatArray, right: FloatArray) -> None:
    """Subtract left right', some rows at a time: the product is not there as a whole."""
    for start in range(0, len(out), _OUTER_ROWS):
        rows = slice(start, start + _OUTER_ROWS)
        out[rows] -= np.outer(left[rows], right)


def _sparse_products(design: SparseDesign, columns: IndexArray, known: int) -> FloatArray:
    """Return X[:, columns]' diag(s) X[:, columns[known:]]: products of what shares a row.

    Only the new columns are put into rows; the others are read as they are stored.
    """
    arrays, n = (design.data, design.indices, design.indptr), design.shape[0]
    new = columns[known:]
    rows = _rows_of_columns(*arrays, weights_or_empty(design.sample_weight), n, new)
    out = np.zeros((columns.size, new.size))
    work = design.nnz_of(columns) * (1.0 + design.nnz_of(new) / n)
    run_blocks(
        lambda start, stop: _add_sparse_products(*arrays, *rows, columns, start, stop, out),
        columns.size, _COLUMN_BLOCK, work,
    )  # fmt: skip
    return out


def _rough_products(design: Any, columns: IndexArray, known: int) -> FloatArray:
    """Return X_c[:, columns[known:]]' diag(s) X_c[:, columns], rows multiplied in float32.

    Columns of unit length neither overflow nor underflow there; sums of rows are in float64.
    """
    n = design.shape[0]
    lengths = np.sqrt(design.sqnorms[columns])
    pieces = _even_pieces(0, n, 2 * rows_at_once(design, columns.size))  # in half the memory each
    longest = max(bottom - top for top, bottom in pieces)
    idle: list[np.ndarray] = []  # buffers: new ones cost as much as what is written to them
    out = np.zeros((columns.size - known, columns.size))
    for first in range(0, len(pieces), _ROUGH_PARTS):
        group = pieces[first : first + _ROUGH_PARTS]
        products = np.empty((len(group), *out.shape), dtype=np.float32)

        def task(start: int, stop: int, group: Any = group, products: Any = products) -> None:
            for k in range(start, stop):
                top, bottom = group[k]
                try:
                    buffer = idle.pop()
                except IndexError:
                    buffer = np.empty(longest * columns.size, np.float32)
                packed = pack_roughly(design, columns, 1.0 / lengths, top, bottom, buffer)
                np.matmul(packed[:, known:].T, packed, out=products[k])
                idle.append(buffer)

        run_blocks(task, len(group), 1, float(n) * out.size / PRODUCT)
        for product in products:  # in one order, whoever was first
            out += product
    out *= lengths
    out *= lengths[known:, None]
    return out


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


def _products_in_parts(X: FloatArray) -> FloatArray:
    """Return X'X, the lower triangle at least; the rows of a narrow X are shared among threads."""
    n, p = X.shape
    out = np.zeros((p, p))
    n_parts = min(_PARTS, n // (_ROWS_PER_COLUMN * p)) if p <= _TILE else 1
    if n_parts < 2:
        _put_products(X, 0, out)
        return out
    sums = np.empty((n_parts, p, p))
    pieces = _even_pieces(0, n, -(-n // n_parts))

    def task(first: int, last: int) -> None:
        for part in range(first, last):
            rows = X[slice(*pieces[part])]
            np.matmul(rows.T, rows, out=sums[part])

    run_blocks(task, n_parts, 1, float(X.size) * p / PRODUCT)
    for part in sums:  # in one order, whoever was first
        out += part
    return out


def _put_products(packed: FloatArray, known: int, out: FloatArray, *, add: bool = False) -> None:
    """Put packed[:, known:]' packed, but not what is above the diagonal of its last columns."""
    new = _even_pieces(known, packed.shape[1], _TILE)
    old = _even_pieces(0, known, _TILE) if known else []
    tiles = [(rows, columns) for rows in new for columns in (*old, *new) if columns < rows]
    tiles += [(rows, rows) for rows in new]  # half the work each, so they come last

    def task(first: int, last: int) -> None:
        for (top, bottom), (left, right) in tiles[first:last]:
            tile = out[top - known : bottom - known, left:right]
            if add:
                tile += packed[:, top:bottom].T @ packed[:, left:right]
            else:
                np.matmul(packed[:, top:bottom].T, packed[:, left:right], out=tile)

    run_blocks(task, len(tiles), 1, float(packed.size) * len(out) / PRODUCT)


def _even_pieces(start: int, stop: int, widest: int) -> list[tuple[int, int]]:
    """Cut start:stop into as few pieces as ``widest`` allows, of about equal size."""
    n_pieces = -(-(stop - start) // widest)
    cuts = [start + (stop - start) * k // n_pieces for k in range(n_pieces + 1)]
    return list(pairwise(cuts))


def _mirror(square: FloatArray) -> None:
    """Fill the upper triangle from the lower one."""
    width = len(_LOWER)
    for start in range(0, len(square), width):
        stop = start + width
        corner = square[start:stop, start:stop]
        corner[...] = np.where(_LOWER[: len(corner), : len(corner)], corner, corner.T)
        square[start:stop, stop:] = square[stop:, start:stop].T


def _is_far_from_zero(design: SparseDesign, columns: IndexArray) -> bool:
    """Whether subtracting n m m' from the raw products would lose half of the digits."""
    return bool(np.any(design.means[columns] ** 2 > 1e6 * design.sqnorms[columns]))


@kernel()
def _rows_of_columns(data, indices, indptr, weights, n, columns):
    """Return some columns, weighted, in compressed rows: their starts, positions and values.

    Rows without weight are left empty: in a fold, those that do not train.
    """
    weighted = weights.shape[0] > 0
    ends = np.zeros(n + 1, dtype=np.int64)
    for j in columns:
        for k in range(indptr[j], indptr[j + 1]):
            row = np.uintp(indices[k])
            if not weighted or weights[row] != 0.0:
                ends[row + np.uintp(1)] += 1
    for i in range(n):
        ends[i + 1] += ends[i]
    starts = ends.copy()
    positions = np.empty(ends[n], dtype=np.uint32)
    values = np.empty(ends[n])
    for c in range(columns.shape[0]):
        j = columns[c]
        for k in range(indptr[j], indptr[j + 1]):
            row = np.uintp(indices[k])
            weight = weights[row] if weighted else 1.0
            if weight != 0.0:
                e = starts[row]
                positions[e] = c
                values[e] = data[k] * weight
                starts[row] = e + 1
    return ends, positions, values


@kernel()
def _add_sparse_products(
    data, indices, indptr, ends, positions, values, columns, start, stop, out
):  # fmt: skip
    for c in range(start, stop):
        row = out[c]
        for k in range(indptr[columns[c]], indptr[columns[c] + 1]):
            i = np.uintp(indices[k])
            value = float(data[k])
            first = ends[i]
            where, what = positions[first : ends[i + np.uintp(1)]], values[first:]
            for e in range(where.shape[0]):
                row[where[e]] += value * what[e]
