"""Passes over a dense X with contiguous rows, by tiles that stay in cache.

A tile is a run of rows of a run of columns. What it adds to a sum over rows is kept apart and added
in order at the end: the tiles depend on the shape alone, and so do the results. Moments come from
two passes within each tile; with W_b the weight of a tile, m_b its means and Q_b its squares around
them,

    m = sum_b W_b m_b / W,        Q = sum_b (Q_b + W_b (m_b - m)^2)

(Chan, Golub and LeVeque, The American Statistician 1983). All of it is relative to one of the rows,
so that large means cost no digits of Q.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel
from sparsereg.backends.numba.threads import run_blocks
from sparsereg.backends.protocol import FloatArray, IndexArray

# Largest width of a tile, and its entries.
_WIDTH, _ENTRIES = 512, 1 << 17
# From this share of the columns on, all of them are read instead of those listed.
_DENSE_SHARE = 0.25


def moments(
    X: np.ndarray, weights: FloatArray, center: bool, means: FloatArray, sqnorms: FloatArray
) -> None:
    """Put the weighted means of the columns (0 if not centered), and mean squares around them."""
    n, p = X.shape
    tiles, n_runs = _tiles(n, p)
    masses = np.zeros(n_runs)
    parts, squares = np.zeros((n_runs, p)), np.empty((n_runs, p))
    origin = np.zeros(p)
    if center:  # a row that counts: one far away without weight would cost digits
        origin[:] = X[np.argmax(weights) if weights.size else 0]

    def task(start: int, stop: int) -> None:
        for run, rows, left, right in tiles[start:stop]:
            columns = slice(left, right)
            s = weights[rows] if weights.size else weights
            masses[run] = _tile_moments(
                X[rows], s, origin, center, left, right, parts[run, columns], squares[run, columns]
            )

    run_blocks(task, len(tiles), 1, 2.0 * X.size)
    np.sum(squares, axis=0, out=sqnorms)
    if n_runs == 1:
        means[:] = parts[0]
    else:  # not by BLAS, whose sums may depend on the number of threads
        means[:] = np.einsum("b,bj->j", masses, parts) / n
        if center:
            sqnorms += np.einsum("b,bj->j", masses, (parts - means) ** 2)
    means += origin
    sqnorms /= n


def products(X: np.ndarray, v: FloatArray, columns: IndexArray | None) -> FloatArray:
    """Return X[:, columns]' v."""
    n, p = X.shape
    k = p if columns is None else columns.size
    tiles, n_runs = _tiles(n, k)
    parts = np.zeros((n_runs, k))

    def task(start: int, stop: int) -> None:
        for run, rows, left, right in tiles[start:stop]:
            out = parts[run, left:right]
            if columns is None:
                _add_products(X[rows], v[rows], left, right, out)
            else:
                _add_listed_products(X[rows], v[rows], columns[left:right], out)

    run_blocks(task, len(tiles), 1, float(n) * k)
    return parts.sum(axis=0)


def combine(X: np.ndarray, means: FloatArray, columns: IndexArray, coef: FloatArray) -> FloatArray:
    """Return X_c[:, columns] coef."""
    n, p = X.shape
    out = np.empty(n)
    if columns.size >= _DENSE_SHARE * p:
        full = np.zeros(p)
        full[columns] = coef

        def task(start: int, stop: int) -> None:
            _combine_all(X[start:stop], means, full, out[start:stop])

    else:

        def task(start: int, stop: int) -> None:
            _combine_listed(X[start:stop], means, columns, coef, out[start:stop])

    run_blocks(task, n, max(_ENTRIES // p, 64), float(n) * columns.size)
    return out


def pack_roughly(
    X: np.ndarray, means: FloatArray, factors: FloatArray, columns: IndexArray, out: np.ndarray
) -> None:
    """Put X_c[:, columns] diag(factors) into float32 ``out``."""
    first, last = (int(columns[0]), int(columns[-1])) if columns.size else (0, -1)
    means = means[columns]
    if last - first == columns.size - 1 and np.array_equal(columns, np.arange(first, last + 1)):
        _pack_run_roughly(X, means, factors, first, out)
    else:
        _pack_listed_roughly(X, means, factors, columns, out)


def _tiles(n: int, p: int) -> tuple[list[tuple[int, slice, int, int]], int]:
    """Return tiles of n x p (number of the run, its rows, first column, end), and how many runs."""
    height = max(_ENTRIES // max(min(p, _WIDTH), 1), 64)
    cuts = range(0, n, height)
    tiles = [
        (run, slice(top, min(top + height, n)), left, min(left + _WIDTH, p))
        for run, top in enumerate(cuts)
        for left in range(0, p, _WIDTH)
    ]
    return tiles, len(cuts)


@kernel()
def _tile_moments(X, weights, origin, center, left, right, mean, square):
    """Put the means less the origin, and sums of squares around them; return the weight."""
    n, m, zero = X.shape[0], right - left, origin[left:right]
    weighted = weights.shape[0] > 0
    mass = weights.sum() if weighted else float(n)
    rest = np.zeros(m)  # what rounding left of the means
    square[:] = 0.0
    if center:
        for i in range(n):
            row = X[i, left:right]
            if weighted:
                s = weights[i]
                for c in range(m):
                    mean[c] += s * (row[c] - zero[c])
            else:
                for c in range(m):
                    mean[c] += row[c] - zero[c]
        if mass > 0.0:
            for c in range(m):
                mean[c] /= mass
    for i in range(n):
        row = X[i, left:right]
        s = weights[i] if weighted else 1.0
        for c in range(m):
            d = (row[c] - zero[c]) - mean[c]
            rest[c] += s * d
            square[c] += s * d * d
    if center and mass > 0.0:
        for c in range(m):
            d = rest[c]
            mean[c] += d / mass
            square[c] = max(square[c] - d * d / mass, 0.0)
    return mass


@kernel()
def _add_products(X, v, left, right, out):
    n, m = X.shape[0], right - left
    i = 0
    while i + 4 <= n:  # four rows at a time, so that out is read and written once for all of them
        a, b, c, d = v[i], v[i + 1], v[i + 2], v[i + 3]
        first, second = X[i, left:right], X[i + 1, left:right]
        third, fourth = X[i + 2, left:right], X[i + 3, left:right]
        for j in range(m):
            out[j] += (a * first[j] + b * second[j]) + (c * third[j] + d * fourth[j])
        i += 4
    while i < n:
        a, first = v[i], X[i, left:right]
        for j in range(m):
            out[j] += a * first[j]
        i += 1


@kernel()
def _add_listed_products(X, v, columns, out):
    n = X.shape[0]
    i = 0
    while i + 4 <= n:
        a, b, c, d = v[i], v[i + 1], v[i + 2], v[i + 3]
        first, second, third, fourth = X[i], X[i + 1], X[i + 2], X[i + 3]
        for k in range(columns.shape[0]):
            j = columns[k]
            out[k] += (a * first[j] + b * second[j]) + (c * third[j] + d * fourth[j])
        i += 4
    while i < n:
        a, first = v[i], X[i]
        for k in range(columns.shape[0]):
            out[k] += a * first[columns[k]]
        i += 1


@kernel(fastmath=REASSOCIATE)
def _combine_all(X, means, coef, out):
    for i in range(X.shape[0]):
        row = X[i]
        total = 0.0
        for j in range(coef.shape[0]):
            total += coef[j] * (row[j] - means[j])
        out[i] = total


@kernel(fastmath=REASSOCIATE)
def _combine_listed(X, means, columns, coef, out):
    for i in range(X.shape[0]):
        row = X[i]
        total = 0.0
        for k in range(columns.shape[0]):
            j = columns[k]
            total += coef[k] * (row[j] - means[j])
        out[i] = total


@kernel()
def _pack_run_roughly(X, means, factors, first, out):
    for i in range(out.shape[0]):
        row, packed = X[i, first : first + out.shape[1]], out[i]
        for k in range(out.shape[1]):
            packed[k] = np.float32((row[k] - means[k]) * factors[k])


@kernel()
def _pack_listed_roughly(X, means, factors, columns, out):
    for i in range(out.shape[0]):
        row, packed = X[i], out[i]
        for k in range(out.shape[1]):
            packed[k] = np.float32((row[columns[k]] - means[k]) * factors[k])
