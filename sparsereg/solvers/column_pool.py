"""The pool: every column a solve has needed so far, with its Gram matrix.

The Gram matrix grows by blocks, each one BLAS-3 product; a path, a second target or another alpha
finds most of its columns already there. The restricted problem is solved on the whole pool, in
place: nothing is gathered.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf

from sparsereg.backends.protocol import ActiveSet, Backend, Design, FloatArray, IndexArray

# A pivot below this share of its diagonal means that the columns are dependent.
_DEPENDENT = 1e-10
# Fewer columns are appended to a factor one by one.
_FACTORIZED_TOGETHER = 16
# A Gram matrix that grows has room for so many columns: small ones are not copied again and again.
_SMALLEST_ROOM = 400


class ColumnPool:
    """A growing list of columns of a design and their Gram matrix.

    Attributes
    ----------
    columns : ndarray of int
        The features, in the order of the Gram matrix.
    n_moving : int
        Number of columns of the design that are not constant.
    version : int
        Changes when positions do, so that whoever keeps positions knows to forget them.
    """

    def __init__(self, backend: Backend, design: Design):
        self._backend, self._design = backend, design
        self._gram = np.empty((0, 0))
        self._inside = np.zeros(design.shape[1], dtype=bool)
        self.n_moving = int(np.count_nonzero(design.sqnorms > 0))
        self.columns: IndexArray = np.empty(0, dtype=np.intp)
        self.version = 0

    def __len__(self) -> int:
        return self.columns.size

    @property
    def is_complete(self) -> bool:
        """Whether every column that is not constant is here: then X is no longer needed."""
        return len(self) == self.n_moving > 0

    @property
    def gram(self) -> FloatArray:
        """The Gram matrix in its first ``len(self)`` rows and columns; the rest is unset."""
        return self._gram

    def missing(self, columns: IndexArray) -> IndexArray:
        """Return those of the columns that are not in the pool."""
        return columns[self.is_missing(columns)]

    def is_missing(self, columns: IndexArray) -> np.ndarray:
        """Return for each of the columns whether it is outside the pool."""
        return ~self._inside[columns]

    def add(self, new: IndexArray) -> None:
        """Append distinct columns that are not in the pool yet."""
        if not new.size:
            return
        known = len(self)
        size = known + new.size
        self.columns = np.concatenate([self.columns, new])
        self._inside[new] = True
        block = self._backend.gram(self._design, self.columns, new.size)
        if not known:  # one memory order, so that kernels are compiled once
            self._gram = np.ascontiguousarray(block)
            return
        self._reserve(size, known)
        self._gram[:size, known:size] = block
        self._gram[known:size, :known] = block[:known].T

    def complete(self) -> None:
        """Add every column that is not constant."""
        self.add(self.missing(np.flatnonzero(self._design.sqnorms > 0)))

    def fill(self, columns: IndexArray, gram: FloatArray) -> None:
        """Take a Gram matrix that was computed elsewhere as the whole content."""
        self.keep_only(np.zeros(len(self), dtype=bool))
        self.columns, self._gram = columns, gram
        self._inside[columns] = True

    def keep_only(self, wanted: np.ndarray) -> None:
        """Drop the columns at the positions where ``wanted`` is False."""
        positions = np.flatnonzero(wanted)
        self._gram = self._gram[np.ix_(positions, positions)]
        self.columns = self.columns[positions]
        self._inside[:] = False
        self._inside[self.columns] = True
        self.version += 1

    def _reserve(self, size: int, known: int) -> None:
        if size <= len(self._gram):
            return
        capacity = max(size, 2 * len(self._gram), _SMALLEST_ROOM)
        capacity = min(capacity, self._design.shape[1])
        grown = np.empty((capacity, capacity))
        grown[:known, :known] = self._gram[:known, :known]
        self._gram = grown


class KeptActiveSet:
    """The active set of one target on a pool, kept while the pool and the ridge part allow it."""

    def __init__(self, pool: ColumnPool, max_rank: int):
        self._pool, self._max_rank = pool, max_rank
        self._version = pool.version
        self._l2 = 0.0
        self._state = ActiveSet(np.empty((0, 0)), np.empty(0, dtype=np.int64), np.empty(0))

    @property
    def is_exact(self) -> bool:
        """Whether the last solve on the pool ended at its exact solution."""
        return self._state.n_active >= 0

    def for_solve(self, l2: float) -> ActiveSet:
        """Return the state with room for the whole pool, reset if it no longer fits."""
        state = self._state
        size = len(self._pool)
        rank = size if l2 > 0 else min(size, self._max_rank)
        if self._version != self._pool.version or l2 != self._l2:
            state.n_active = -1
            self._version, self._l2 = self._pool.version, l2
        if state.sign.size < size:
            sign = np.zeros(max(size, 2 * state.sign.size))
            sign[: state.sign.size] = state.sign
            state.sign = sign
        if state.active.size < rank:
            room = max(rank, min(2 * state.active.size, size))
            used = max(state.n_active, 0)
            factor, active = np.empty((room, room)), np.zeros(room, dtype=np.int64)
            factor[:used, :used] = state.factor[:used, :used]
            active[:used] = state.active[:used]
            state.factor, state.active = factor, active
        return state

    def factorize(self, coef: FloatArray, l2: FloatArray, free: np.ndarray) -> None:
        """Factorize the free columns and the support of coef at once, if they are independent.

        Otherwise the state stays as it is, and the homotopy appends them one by one.

        Parameters
        ----------
        coef, l2 : ndarray of shape (m,)
            By position in the pool.
        free : ndarray of bool of shape (m,)
        """
        state = self._state
        active = np.concatenate([np.flatnonzero(free), np.flatnonzero((coef != 0) & ~free)])
        rank = active.size if l2.any() else min(len(self._pool), self._max_rank)
        if not _FACTORIZED_TOGETHER <= active.size <= min(rank, state.active.size):
            return
        square = self._pool.gram[np.ix_(active, active)]
        square.flat[:: active.size + 1] += l2[active]
        diagonal = square.diagonal().copy()
        factor, failed = dpotrf(square.T, lower=True, clean=True, overwrite_a=True)
        if failed or np.any(factor.diagonal() ** 2 <= _DEPENDENT * diagonal):
            return
        state.factor[: active.size, : active.size] = factor.T
        state.active[: active.size] = active
        state.sign[active] = np.where(free[active], 1.0, np.sign(coef[active]))
        state.n_active = active.size

    def forget(self) -> None:
        """Say that coefficients were moved by somebody else."""
        self._state.n_active = -1
