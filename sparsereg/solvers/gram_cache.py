"""The Gram matrix of every column that was ever in a working set, grown by blocks.

A block of new columns beside the known ones is one BLAS-3 product; a path or a second target finds
most of its columns already there.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.protocol import Backend, Design, FloatArray, IndexArray


class GramCache:
    """Gram matrix of a growing list of columns of a design.

    Parameters
    ----------
    backend : Backend
    design : Design
    max_columns : int
        Once more columns than this are known, only those of the current request are kept.
    """

    def __init__(self, backend: Backend, design: Design, max_columns: int):
        self._backend, self._design = backend, design
        self._max_columns = max_columns
        self._columns = np.empty(0, dtype=np.intp)
        self._position = np.full(design.shape[1], -1, dtype=np.intp)
        self._values = np.empty((0, 0))

    def submatrix(self, columns: IndexArray) -> FloatArray:
        """Return the Gram matrix of the given distinct columns as a fresh (m, m) array."""
        new = columns[self._position[columns] < 0]
        if self._columns.size + new.size > self._max_columns:
            self._forget_all_but(columns)
        if new.size:
            self._append(new)
        at = self._position[columns]
        return self._values[np.ix_(at, at)]

    def _append(self, new: IndexArray) -> None:
        known = self._columns.size
        size = known + new.size
        self._reserve(size)
        values = self._values
        if known:
            block = self._backend.gram(self._design, self._columns, new)
            values[:known, known:size] = block
            values[known:size, :known] = block.T
        corner = self._backend.gram(self._design, new, new)
        values[known:size, known:size] = 0.5 * (corner + corner.T)
        self._columns = np.concatenate([self._columns, new])
        self._position[new] = np.arange(known, size)

    def _reserve(self, size: int) -> None:
        if size > len(self._values):
            capacity = max(size, len(self._values) + len(self._values) // 2)
            grown = np.empty((capacity, capacity))
            known = self._columns.size
            grown[:known, :known] = self._values[:known, :known]
            self._values = grown

    def _forget_all_but(self, columns: IndexArray) -> None:
        kept = columns[self._position[columns] >= 0]
        at = self._position[kept]
        self._values = self._values[np.ix_(at, at)]
        self._position[:] = -1
        self._position[kept] = np.arange(kept.size)
        self._columns = kept
