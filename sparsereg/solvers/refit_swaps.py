"""Local search over supports: every add, drop and exchange is scored with its refit.

Best improvement: all moves are scored at once (:mod:`sparsereg.backends.numba.refit`), the best is
made, until none lowers the objective. What is reached is *swap-optimal*: no support that differs by
one column, or by one column for another, has a lower objective. That implies coordinate-wise
minimality, and optimality to exchanges without refit (Hazimeh and Mazumder, "Fast best subset
selection", Operations Research, 2020), because a refit only lowers further.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dpotrf, dpotri

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.subset import SubsetProblem

# A column with no more than this outside the span of the support counts as inside it.
COLLINEAR = 1e-10
# Each rank-one update multiplies rounding by one over its pivot. Where the sum of these is larger,
# the inverse is computed afresh: at once, or before a search ends.
_WORN, _WORN_AT_END = 1e4, 1e3
# A support is near if it differs by this share of its size.
_NEAR = 0.25
# Gram rows computed by the pass over X that one of them needs: more where they are short.
_AHEAD, _MOST_AHEAD, _AHEAD_ENTRIES = 6, 32, 8000
# A move must lower the objective by this share of ||y||^2 / n.
_PROGRESS = 1e-13
# No half_rss is known of any size.
_NONE = np.empty(0)


class Refit:
    """A support with its least-squares fit, and what its neighbors would have.

    Parameters
    ----------
    problem : SubsetProblem
    support : sequence of int
        Columns that depend on earlier ones are left out.

    Attributes
    ----------
    half_rss : float
        (1/2) ||y - X w||_s^2 / n, ridge part included.
    """

    half_rss: float

    def __init__(self, problem: SubsetProblem, support: IndexArray | None = None):
        self.problem, self._backend = problem, problem.work.backend
        self._inside = (~problem.usable).astype(np.uint8)
        self._any_free = problem.free.size > 0
        self._size, self._wear = 0, 0.0
        self._inverse, self._loadings = np.zeros((0, 0)), np.zeros((0, problem.n_features))
        self._coef, self._support = np.zeros(0), np.zeros(0, dtype=np.intp)
        self._allocate(8)
        self._start_at(np.empty(0, dtype=np.intp) if support is None else support)

    @property
    def support(self) -> IndexArray:
        """The columns, in no particular order."""
        return self._support[: self._size].copy()

    @property
    def size(self) -> int:
        """The number of columns that cost something."""
        if not self._any_free:
            return self._size
        return int(np.count_nonzero(self.problem.costs[self._support[: self._size]]))

    @property
    def coef(self) -> FloatArray:
        """Coefficients z of the support: of its columns at unit norm."""
        return self._coef[: self._size]

    @property
    def gradient(self) -> FloatArray:
        """q, of shape (p,): what each unit column still explains of the residual."""
        return self._gradient

    def objective(self, alpha: float) -> float:
        """Return half_rss plus the cost of the support."""
        return self.half_rss + alpha * float(self.problem.costs[self.support].sum())

    def interval(self) -> tuple[float, float]:
        """Return the alphas [low, high] at which the fit is a coordinate-wise minimum.

        It is one where no single column pays for entering, nor for leaving: the critical points of
        the exact relaxation CEL0. Empty where low > high.
        """
        problem = self.problem
        return self._backend.refit_validity(
            self.coef, self._gradient, self._support[: self._size], self._inside, problem.costs,
            problem.ridge,
        )  # fmt: skip

    def next_alpha(self) -> float:
        """Return the largest alpha at which one more column, with refit, would pay; 0 if none."""
        problem = self.problem
        open_ = (self._inside == 0) & (self._remainder > COLLINEAR) & (problem.costs > 0)
        gains = self._gains(open_)[open_]
        return float(np.max(gains / problem.costs[open_], initial=0.0))

    def move_to(self, support: IndexArray) -> None:
        """Go to a support: by updates where it is near, else by a fresh factor."""
        if self._size and self._update_to(np.asarray(support, dtype=np.intp)):
            return
        self._start_at(support)

    def _update_to(self, support: IndexArray) -> bool:
        """Leave and enter columns one by one; return False where that is not worth it."""
        wanted = np.zeros(self.problem.n_features, dtype=bool)
        wanted[support] = True
        gone = self._support[: self._size][~wanted[self._support[: self._size]]]
        new = support[self._inside[support] == 0]
        if gone.size + new.size > _NEAR * support.size:
            return False
        for column in gone:
            self._leave(int(np.flatnonzero(self._support[: self._size] == column)[0]))
        for column in new:
            if not self._remainder[column] > COLLINEAR:
                return False
            self._enter(int(column))
        return True

    def _start_at(self, support: IndexArray) -> None:
        self._wear = 0.0
        self._build(support)

    def _build(self, support: IndexArray) -> None:
        self._inside[:] = ~self.problem.usable
        self._size = 0
        self._reset()
        self._take_in(np.asarray(support, dtype=np.intp))

    def descend(self, alpha: float, max_moves: int = 10_000) -> int:
        """Make the best move until none lowers the objective; return the number of moves."""
        return self._search(alpha, max_moves)

    def exchange(self, max_moves: int = 10_000) -> int:
        """Do the same with exchanges only: half_rss falls, the size stays."""
        return self._search(-1.0, max_moves)

    def grow(self, up_to: int, known: FloatArray = _NONE, tol: float = 0.0) -> bool:
        """Add the column that lowers half_rss most, up to a size; return False if none does.

        Go on while half_rss is within ``tol`` of ``known[size]``.
        """
        problem, new = self.problem, 0
        while new >= 0 or self.size < up_to:
            rows, place = problem.known_rows
            before = self._size
            self._size, self.half_rss, wear, new = self._backend.refit_grow(
                self._inverse, self._loadings, self._coef, self._gradient, self._remainder,
                self._support, self._inside, self._size, problem.costs, self.half_rss, up_to,
                known, tol, COLLINEAR, _PROGRESS * problem.sq_y, rows, place,
                max(_WORN - self._wear, 0.0),
            )  # fmt: skip
            if new >= 0:
                self._enter(new)
            elif self._size == before and self.size < up_to:
                return False
            self._add_wear(wear)
        return True

    def shrink(self, down_to: int, known: FloatArray = _NONE, tol: float = 0.0) -> None:
        """Drop the column, among those that cost something, that raises half_rss least.

        Down to a size, and on while half_rss is within ``tol`` of ``known[size]``.
        """
        before = self._size + 1
        while self.size > down_to and self._size < before:
            before = self._size
            self._size, self.half_rss, wear = self._backend.refit_shrink(
                self._inverse, self._loadings, self._coef, self._gradient, self._remainder,
                self._support, self._inside, self._size, self.problem.costs, self.half_rss,
                down_to, known, tol, max(_WORN - self._wear, 0.0),
            )  # fmt: skip
            self._add_wear(wear)

    def follow_lasso(self, sizes: Sequence[int]) -> list[IndexArray]:
        """Follow the lasso on unit columns from here on; return the first supports of these sizes.

        The sizes increase; where the path ends in least squares, its last support is the last.
        """
        problem, supports = self.problem, list[IndexArray]()
        slopes, level, new = self._gradient.copy(), 0.0, -1
        lasso, angles = np.zeros(problem.n_features), np.zeros(problem.n_features)
        for up_to in sizes:
            while self.size < up_to:
                rows, place = problem.known_rows
                self._size, self.half_rss, wear, level, new = self._backend.refit_follow_lasso(
                    self._inverse, self._loadings, self._coef, self._gradient, self._remainder,
                    self._support, self._inside, self._size, problem.costs, self.half_rss,
                    lasso, slopes, angles, level, new, up_to, COLLINEAR, rows, place,
                    max(_WORN - self._wear, 0.0),
                )  # fmt: skip
                self._add_wear(wear)
                if new < 0:
                    break
                self._row(new, slopes)
                if self._size == len(self._coef):
                    self._allocate(2 * self._size)
            supports.append(self.support)
            if self.size < up_to:
                break
        return supports

    def is_at(self, support: IndexArray) -> bool:
        """Whether these, each of them once, are the columns."""
        return support.size == self._size and bool(np.all(self._inside[support]))

    def _search(self, alpha: float, max_moves: int) -> int:
        problem = self.problem
        least = _PROGRESS * problem.sq_y
        made, at_refresh = 0, np.inf
        while made < max_moves:
            rows, place = problem.known_rows
            self._size, change, moves, wear, out, new = self._backend.refit_search(
                self._inverse, self._loadings, self._coef, self._gradient, self._remainder,
                self._support, self._inside, self._size, problem.costs, alpha, COLLINEAR,
                rows, place, least, _WORN - self._wear, max_moves - made,
            )  # fmt: skip
            self.half_rss += change
            made += moves
            self._add_wear(wear)
            if new >= 0:  # the next move needs a row or room
                if out >= 0:
                    self._leave(out)
                self._enter(new)
                made += 1
            elif moves == 0 or self._wear > 0:  # none is left
                if self._wear <= _WORN_AT_END:
                    break
                self._refresh()  # what rounding left may hide a move, or show one
                value = self.objective(max(alpha, 0.0))
                if not value < at_refresh - least:
                    break
                at_refresh = value
        return made

    def _enter(self, column: int) -> None:
        if self._size == len(self._coef):
            self._allocate(2 * self._size)
        row = self._row(column)
        pivot = float(self._remainder[column])
        self.half_rss -= 0.5 * self._gradient[column] ** 2 / pivot
        self._backend.enter_support(
            self._inverse, self._loadings, self._coef, self._gradient, self._remainder,
            self._size, self._support, row, column,
        )  # fmt: skip
        self._support[self._size] = column
        self._inside[column] = 1
        self._size += 1
        self._add_wear(1.0 / pivot)

    def _gains(self, open_: npt.NDArray[np.bool_]) -> FloatArray:
        """Return what each of the open columns would lower half_rss by; zero for the others."""
        gains = np.zeros(open_.size)
        return np.divide(0.5 * self._gradient**2, self._remainder, out=gains, where=open_)

    def _row(self, column: int, slopes: FloatArray | None = None) -> FloatArray:
        """Return the Gram row of a column; those of the next best ones come with it.

        These are those with the largest slopes, or, without, those that bring most.
        """
        rows, place = self.problem.known_rows
        if place[column] < 0:
            open_ = (place < 0) & (self._inside == 0) & (self._remainder > COLLINEAR)
            promise = self._gains(open_) if slopes is None else open_ * np.abs(slopes)
            promise[column] = np.inf
            ahead = min(max(_AHEAD_ENTRIES // promise.size, _AHEAD), _MOST_AHEAD, promise.size)
            best = np.argpartition(-promise, ahead - 1)[:ahead]
            self.problem.gram_rows(best[promise[best] > 0])
            rows, place = self.problem.known_rows
        return rows[place[column]]

    def _leave(self, position: int) -> None:
        column = int(self._support[position])
        pivot = 1.0 / float(self._inverse[position, position])
        self.half_rss += 0.5 * self._coef[position] ** 2 * pivot
        self._backend.leave_support(
            self._inverse, self._loadings, self._coef, self._gradient, self._remainder,
            self._size, position, column,
        )  # fmt: skip
        self._size -= 1
        self._support[position] = self._support[self._size]
        self._inside[column] = 0
        self._add_wear(1.0 / pivot)

    def _add_wear(self, wear: float) -> None:
        self._wear += wear
        if self._wear > _WORN:
            self._refresh()

    def _take_in(self, columns: IndexArray) -> None:
        """Add columns: all at once if they are independent enough, else those that are."""
        if not columns.size:
            return
        self.problem.gram_rows(columns)
        if self._size == 0 and self._factorize(columns):
            return
        for column in columns:
            if self._inside[column] == 0 and self._remainder[column] > COLLINEAR:
                self._enter(int(column))

    def _refresh(self) -> None:
        support = self.support
        if not self._factorize(support):  # nearly dependent: in their order, leaving out the last
            self._wear = -np.inf  # there is nothing fresher to be had
            self._build(support)
        self._wear = 0.0

    def _factorize(self, columns: IndexArray) -> bool:
        """Compute everything of a support afresh; return False if it is too near dependent."""
        problem = self.problem
        size = columns.size
        if not np.all(problem.usable[columns]):
            return False
        rows = problem.gram_rows(columns)
        gram = rows[:, columns] + np.diag(problem.ridge[columns])
        factor, failed = dpotrf(gram, lower=True)
        if failed or (size and np.min(np.diag(factor)) ** 2 <= COLLINEAR):
            return False
        inverse = np.tril(dpotri(factor, lower=True)[0])
        inverse += np.tril(inverse, -1).T
        while len(self._coef) < size:
            self._allocate(2 * len(self._coef))
        loadings = inverse @ rows
        target = problem.correlation[columns]
        coef = inverse @ target
        coef += inverse @ (target - gram @ coef)
        self._size = 0
        self._reset()
        self._inverse[:size, :size] = inverse
        self._loadings[:size] = loadings
        self._coef[:size] = coef
        self._gradient -= coef @ rows
        self._remainder -= np.einsum("kj,kj->j", loadings, rows)
        self._support[:size] = columns
        self._size = size
        self._inside[:] = ~problem.usable
        self._inside[columns] = 1
        self.half_rss = 0.5 * max(problem.sq_y - float(coef @ (2 * target - gram @ coef)), 0.0)
        return True

    def _reset(self) -> None:
        problem = self.problem
        self._gradient = problem.correlation.copy()
        self._remainder = 1.0 + problem.ridge
        self.half_rss = 0.5 * problem.sq_y

    def _allocate(self, capacity: int) -> None:
        p, size = self.problem.n_features, self._size
        inverse, loadings = np.zeros((capacity, capacity)), np.zeros((capacity, p))
        coef, support = np.zeros(capacity), np.zeros(capacity, dtype=np.intp)
        inverse[:size, :size] = self._inverse[:size, :size]
        loadings[:size] = self._loadings[:size]
        coef[:size], support[:size] = self._coef[:size], self._support[:size]
        self._inverse, self._loadings, self._coef, self._support = inverse, loadings, coef, support
