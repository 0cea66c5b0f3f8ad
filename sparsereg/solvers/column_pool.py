"""The pool: every column a solve has needed so far, with its Gram matrix.

The Gram matrix grows by blocks, each one BLAS-3 product; a path, a second target or another alpha
finds most of its columns already there. The restricted problem is solved on the whole pool, in
place: nothing is gathered.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf

from sparsereg.backends.protocol import ActiveSet, Backend, Design, FloatArray, IndexArray
from sparsereg.solvers.reserved import LARGE, reserved_square

# A pivot below this share of its diagonal means that the columns are dependent.
_DEPENDENT = 1e-10
# Fewer columns are appended to a factor one by one.
_FACTORIZED_TOGETHER = 16
# New columns whose products with the others are there twice, until they have been copied.
_MOST_AT_ONCE = 512
# A Gram matrix that has to grow gets room for this share of columns to spare, and
# below so many columns doubles: small ones are not copied again and again.
_SPARE, _DOUBLED = 0.0625, 400
# A large Gram matrix that has to grow gets addresses for so many times the columns.
_RESERVED = 4
# A factor has room for so many columns from the start.
_FIRST_ROOM = 64
# Rows that are copied at a time when columns are dropped, and rows of a factor that are computed.
_ROWS_MOVED, _ROWS_FACTORIZED = 64, 128


class ColumnPool:
    """A growing list of columns of a design and their Gram matrix.

    Attributes
    ----------
    columns : ndarray of int
        The features, in the order of the Gram matrix.
    n_moving : int
        Number of columns of the design that are not constant.
    is_rough : bool
        Whether the Gram matrix may have the error of single precision.
    version : int
        Changes when positions do, so that whoever keeps positions knows to forget them.
    """

    def __init__(self, backend: Backend, design: Design):
        self._backend, self._design = backend, design
        self._gram = Square()
        self._inside = np.zeros(design.shape[1], dtype=bool)
        self.n_moving = int(np.count_nonzero(design.sqnorms > 0))
        self.columns: IndexArray = np.empty(0, dtype=np.intp)
        self.is_rough = False
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
        return self._gram.array

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
        if not len(self):
            self._gram = Square(self._block(new, new.size))
            self.columns = new
            self._inside[new] = True
            return
        for start in range(0, new.size, _MOST_AT_ONCE):
            self._add(new[start : start + _MOST_AT_ONCE])

    def _add(self, new: IndexArray) -> None:
        known, size = len(self), len(self) + new.size
        columns = np.concatenate([self.columns, new])
        self._gram.grow(known, size, self._design.shape[1])
        block = self._block(columns, new.size)
        gram = self._gram.array
        gram[:size, known:size] = block
        gram[known:size, :known] = block[:known].T
        self.columns = columns
        self._inside[new] = True

    def _block(self, columns: IndexArray, n_new: int) -> FloatArray:
        if self.is_rough:
            return self._backend.gram(self._design, columns, n_new, rough=True)
        return self._backend.gram(self._design, columns, n_new)

    def make_exact(self) -> None:
        """Compute the Gram matrix anew, in double precision."""
        columns, self.is_rough = self.columns, False
        self.keep_only(np.zeros(columns.size, dtype=bool))
        self.add(columns)

    def complete(self) -> None:
        """Add every column that is not constant."""
        self.add(self.missing(np.flatnonzero(self._design.sqnorms > 0)))

    def fill(self, columns: IndexArray, gram: FloatArray) -> None:
        """Take a Gram matrix that was computed elsewhere as the whole content."""
        self.keep_only(np.zeros(len(self), dtype=bool))
        self.columns, self._gram = columns, Square(gram)
        self._inside[columns] = True

    def keep_only(self, wanted: np.ndarray) -> None:
        """Drop the columns at the positions where ``wanted`` is False."""
        positions = np.flatnonzero(wanted)
        self._gram.keep_only(positions)
        self.columns = self.columns[positions]
        self._inside[:] = False
        self._inside[self.columns] = True
        self.version += 1


class Square:
    """A square array that changes its size in place, so that there never are two of it.

    From a megabyte on it grows into addresses that are reserved, and nothing is moved.

    Parameters
    ----------
    array : ndarray of shape (c, c), optional
        Belongs to the square from now on.
    """

    def __init__(self, array: FloatArray | None = None):
        # one memory order, so that kernels are compiled once
        self.array = np.empty((0, 0)) if array is None else np.ascontiguousarray(array)
        self._is_reserved = False

    def grow(self, used: int, size: int, largest: int) -> None:
        """Make room for ``size`` rows and columns, and some more; the first ``used`` stay."""
        old = len(self.array)
        if size <= old:
            return
        new = min(max(size, int((1 + _SPARE) * old), min(2 * old, _DOUBLED)), largest)
        if 8 * new**2 >= LARGE:
            self._reserve(min(_RESERVED * new, largest), used)
            return
        self._resize(new)
        # from the end, as many rows at a time as do not overlap with where they go
        flat, last = self.array.ravel(), used
        while last > 1:
            first = min(-(-((last - 1) * old + used) // new), last - 1)
            rows = flat[first * old : last * old].reshape(-1, old)
            self.array[first:last, :used] = rows[:, :used]
            last = first

    def keep_only(self, positions: IndexArray) -> None:
        """Keep the rows and columns at increasing positions."""
        size = positions.size
        stays = self._is_reserved and 8 * size**2 >= LARGE
        flat, width = self.array.ravel(), len(self.array) if stays else size
        for start in range(0, size, _ROWS_MOVED):  # none goes where one is still to be read
            rows = self.array[positions[start : start + _ROWS_MOVED, None], positions]
            first, last = start * width, (start + len(rows)) * width
            flat[first:last].reshape(-1, width)[:, :size] = rows
        del flat
        if not stays:
            self._resize(size)

    def _reserve(self, size: int, used: int) -> None:
        """Move to a buffer of which only what is written to takes memory."""
        wider = reserved_square(size)
        wider[:used, :used] = self.array[:used, :used]
        self.array, self._is_reserved = wider, True

    def _resize(self, size: int) -> None:
        """Give the buffer a new size; its first numbers stay, one after another."""
        array, self._is_reserved = self.array, False
        self.array = np.empty((0, 0))
        try:
            array.resize((size, size))
        except ValueError:  # somebody still holds it: that one stays as it is
            known = array.ravel()[: size**2]
            array = np.empty((size, size))
            array.ravel()[: known.size] = known
        self.array = array


class KeptActiveSet:
    """The active set of one target on a pool, kept while the pool and the ridge part allow it.

    Attributes
    ----------
    had_free : bool
        Whether the last solve had unpenalized columns.
    """

    def __init__(self, pool: ColumnPool, max_rank: int):
        self._pool, self._max_rank = pool, max_rank
        self._version, self._columns = pool.version, pool.columns
        self._l2, self.had_free = 0.0, False
        self._state = ActiveSet.with_room(0, 0)

    @property
    def is_exact(self) -> bool:
        """Whether the last solve on the pool ended at its exact solution."""
        return self._state.n_active >= 0

    def for_solve(self, l2: float) -> ActiveSet:
        """Return the state with room for the whole pool, reset if it no longer fits."""
        state = self._state
        size = len(self._pool)
        rank = size if l2 > 0 else min(size, self._max_rank)
        if self._version != self._pool.version:
            self._follow_the_pool()
        self._version, self._columns = self._pool.version, self._pool.columns
        if l2 != self._l2:
            state.n_active, self._l2 = -1, l2
        if state.sign.size < size:
            sign = np.zeros(max(size, 2 * state.sign.size))
            sign[: state.sign.size] = state.sign
            state.sign = sign
        if state.active.size < rank:
            most = self._pool.n_moving if l2 > 0 else self._max_rank
            room = max(rank, min(max(int((1 + _SPARE) * rank), _FIRST_ROOM), most))
            _make_room(state, room)
        return state

    def _follow_the_pool(self) -> None:
        """Take over the new positions of the active columns, unless one of them was dropped."""
        state, n_active = self._state, max(self._state.n_active, 0)
        position = {feature: k for k, feature in enumerate(self._pool.columns.tolist())}
        active = state.active[:n_active]
        moved = [position.get(feature, -1) for feature in self._columns[active].tolist()]
        if -1 in moved:
            state.n_active = -1
            return
        sign = state.sign[active]
        state.sign[:] = 0.0
        state.active[:n_active] = moved
        state.sign[moved] = sign

    def factorize(self, coef: FloatArray, l2: FloatArray, free: np.ndarray) -> None:
        """Factorize the free columns and the support of coef at once, if they are independent.

        Otherwise the state belongs to no point, and the homotopy appends them one by one.

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
        state.n_active = -1
        if not _factorize(state, self._pool.gram, active, l2[active]):
            return
        state.active[: active.size] = active
        state.sign[active] = np.where(free[active], 1.0, np.sign(coef[active]))
        state.n_active = active.size

    def rewind(self, coef: FloatArray) -> None:
        """Keep the factor up to the first column whose coefficient is zero.

        After a walk that went too far, what it appended is at the end. The others of the support
        are to be appended again.
        """
        state = self._state
        at_zero = np.flatnonzero(coef[state.active[: max(state.n_active, 0)]] == 0)
        if at_zero.size:
            state.n_active = int(at_zero[0])

    def forget(self) -> None:
        """Say that coefficients were moved by somebody else."""
        self._state.n_active = -1


def _factorize(state: ActiveSet, gram: FloatArray, active: IndexArray, l2: FloatArray) -> bool:
    """Put the factor of the Gram matrix of the active columns where it belongs, rows by rows.

    With U'U = G, the first rows A of U known, and P the next ones, ``P'P = (G - A'A)`` in the
    columns from P's on: neither G nor U is there a second time.

    Returns whether the columns are independent.
    """
    size = active.size
    rows = list(_rows(state, size))
    for first in range(0, size, _ROWS_FACTORIZED):
        last = min(first + _ROWS_FACTORIZED, size)
        panel = gram[np.ix_(active[first:last], active[first:])]
        width = last - first
        panel[:, :width] += np.diag(l2[first:last])
        least = _DEPENDENT * panel.diagonal()
        for start in range(0, first, _ROWS_FACTORIZED):
            above = np.empty((_ROWS_FACTORIZED, size - first))
            for i in range(start, start + _ROWS_FACTORIZED):
                above[i - start] = rows[i][first - i :]
            panel -= above[:, :width].T @ above
        corner, failed = dpotrf(panel[:, :width])
        if failed or np.any(corner.diagonal() ** 2 <= least):
            return False
        panel = dtrsm(1.0, corner, panel.T, side=1, overwrite_b=1).T
        for i in range(width):
            rows[first + i][:] = panel[i, i:]
    return True


def _make_room(state: ActiveSet, room: int) -> None:
    """Widen the factor in place."""
    used, old = max(state.n_active, 0), state.active.size
    factor, state.factor = state.factor, np.empty(0)
    size = room * (room + 1) // 2
    if not used:
        factor = np.empty(0)  # gone before there is another
    try:
        factor.resize(size)
    except ValueError:  # somebody still holds it
        factor = np.concatenate([factor, np.empty(size - factor.size)])
    for i in range(used - 1, -1, -1):  # from the end: none goes where one is still to be read
        start, before = (i * c - i * (i - 1) // 2 for c in (room, old))
        factor[start : start + used - i] = factor[before : before + used - i]
    state.factor = factor
    active = np.zeros(room, dtype=np.int64)
    active[:used] = state.active[:used]
    state.active = active


def _rows(state: ActiveSet, used: int) -> Iterator[FloatArray]:
    """Yield the first rows of the factor, each from its diagonal to column ``used``."""
    start = 0
    for i in range(used):
        yield state.factor[start : start + used - i]
        start += state.active.size - i
