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

from sparsereg.backends.protocol import FloatArray, IndexArray, SupportFit
from sparsereg.solvers.subset import SubsetProblem

# A column with no more than this outside the span of the support counts as inside it.
COLLINEAR = 1e-10
# Each rank-one update multiplies rounding by one over its pivot. Where the sum of these is larger,
# the inverse is computed afresh: at once, or before a search ends.
_WORN, _WORN_AT_END = 1e4, 1e3
# A support is near if it differs by this share of its size.
_NEAR = 0.25
# Gram rows computed by the pass over X that one of them needs: more where they are short.
_AHEAD, _MOST_AHEAD, _AHEAD_ENTRIES = 8, 32, 6000
# A support of s among p columns is built by a factor, not by updates, from s^2 p = so much on.
_FACTORED = 300_000
# Columns that there is room for at first.
_ROOM = 32
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
    """

    def __init__(self, problem: SubsetProblem, support: IndexArray | None = None):
        self.problem, self._backend = problem, problem.work.backend
        self._any_free, self._n_refreshed = problem.free.size > 0, 0
        p, room = problem.n_features, _ROOM
        self._fit = SupportFit(
            inverse=np.zeros((room, room)), loadings=np.zeros((room, p)), coef=np.zeros(room),
            gradient=np.zeros(p), remainder=np.zeros(p), support=np.zeros(room, dtype=np.intp),
            inside=np.zeros(p, dtype=np.uint8), costs=problem.costs, size=0, half_rss=0.0,
        )  # fmt: skip
        self._start_at(np.empty(0, dtype=np.intp) if support is None else support)

    @property
    def support(self) -> IndexArray:
        """The columns, in no particular order."""
        return self._fit.support[: self._fit.size].copy()

    @property
    def size(self) -> int:
        """The number of columns that cost something."""
        if not self._any_free:
            return self._fit.size
        return int(np.count_nonzero(self.problem.costs[self._fit.support[: self._fit.size]]))

    @property
    def half_rss(self) -> float:
        """(1/2) ||y - X w||_s^2 / n, ridge part included."""
        return self._fit.half_rss

    @property
    def coef(self) -> FloatArray:
        """Coefficients z of the support: of its columns at unit norm."""
        return self._fit.coef[: self._fit.size]

    @property
    def gradient(self) -> FloatArray:
        """q, of shape (p,): what each unit column still explains of the residual."""
        return self._fit.gradient

    def objective(self, alpha: float) -> float:
        """Return half_rss plus the cost of the support."""
        return self.half_rss + alpha * float(self.problem.costs[self.support].sum())

    def interval(self) -> tuple[float, float]:
        """Return the alphas [low, high] at which the fit is a coordinate-wise minimum.

        It is one where no single column pays for entering, nor for leaving: the critical points of
        the exact relaxation CEL0. Empty where low > high.
        """
        return self._backend.refit_validity(self._fit, self.problem.ridge)

    def next_alpha(self) -> float:
        """Return the largest alpha at which one more column, with refit, would pay; 0 if none."""
        problem = self.problem
        open_ = (self._fit.inside == 0) & (self._fit.remainder > COLLINEAR) & (problem.costs > 0)
        gains = self._gains(open_)[open_]
        return float(np.max(gains / problem.costs[open_], initial=0.0))

    def move_to(self, support: IndexArray) -> None:
        """Go to a support: by updates where it is near, else by a fresh factor."""
        if self._fit.size and self._update_to(np.asarray(support, dtype=np.intp)):
            return
        self._start_at(support)

    def _update_to(self, support: IndexArray) -> bool:
        """Leave and enter columns one by one; return False where that is not worth it."""
        wanted = np.zeros(self.problem.n_features, dtype=bool)
        wanted[support] = True
        gone = self._fit.support[: self._fit.size][~wanted[self._fit.support[: self._fit.size]]]
        new = support[self._fit.inside[support] == 0]
        if gone.size + new.size > _NEAR * support.size:
            return False
        for column in gone:
            self._leave(int(np.flatnonzero(self._fit.support[: self._fit.size] == column)[0]))
        for column in new:
            if not self._fit.remainder[column] > COLLINEAR:
                return False
            self._enter(int(column))
        return True

    def _start_at(self, support: IndexArray) -> None:
        self._wear = 0.0
        self._build(support)

    def _build(self, support: IndexArray) -> None:
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
            before = self._fit.size
            wear, new = self._backend.refit_grow(
                self._fit, problem.known_rows, up_to, known, tol, COLLINEAR,
                _PROGRESS * problem.sq_y, max(_WORN - self._wear, 0.0),
            )  # fmt: skip
            if new >= 0:
                self._enter(new)
            elif self._fit.size == before and self.size < up_to:
                return False
            self._add_wear(wear)
        return True

    def shrink(self, down_to: int, known: FloatArray = _NONE, tol: float = 0.0) -> None:
        """Drop the column, among those that cost something, that raises half_rss least.

        Down to a size, and on while half_rss is within ``tol`` of ``known[size]``.
        """
        before = self._fit.size + 1
        while self.size > down_to and self._fit.size < before:
            before = self._fit.size
            wear = self._backend.refit_shrink(
                self._fit, down_to, known, tol, max(_WORN - self._wear, 0.0)
            )
            self._add_wear(wear)

    def follow_lasso(self, sizes: Sequence[int]) -> list[IndexArray]:
        """Follow the lasso on unit columns from here on; return the first supports of these sizes.

        The sizes increase; where the path ends in least squares, its last support is the last.
        """
        problem, supports = self.problem, list[IndexArray]()
        slopes, level, new = self._fit.gradient.copy(), 0.0, -1
        lasso, angles = np.zeros(problem.n_features), np.zeros(problem.n_features)
        for up_to in sizes:
            while self.size < up_to:
                wear, level, new = self._backend.refit_follow_lasso(
                    self._fit, problem.known_rows, lasso, slopes, angles, level, new, up_to,
                    COLLINEAR, max(_WORN - self._wear, 0.0),
                )  # fmt: skip
                self._add_wear(wear)
                if new < 0:
                    break
                self._look_up(new, slopes)
                if self._fit.size == len(self._fit.coef):
                    self._allocate(2 * self._fit.size)
            supports.append(self.support)
            if self.size < up_to:
                break
        return supports

    def is_at(self, support: IndexArray) -> bool:
        """Whether these, each of them once, are the columns."""
        return support.size == self._fit.size and bool(np.all(self._fit.inside[support]))

    def _search(self, alpha: float, max_moves: int) -> int:
        problem = self.problem
        least = _PROGRESS * problem.sq_y
        made, refreshed, at_refresh = 0, self._n_refreshed, np.inf
        while made < max_moves:
            moves, wear, out, new = self._backend.refit_search(
                self._fit, problem.known_rows, alpha, COLLINEAR, least, _WORN - self._wear,
                max_moves - made,
            )  # fmt: skip
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
            if self._n_refreshed > refreshed:  # what is true now shows whether moves led anywhere
                value = self.objective(max(alpha, 0.0))
                if not value < at_refresh - least:
                    break
                refreshed, at_refresh = self._n_refreshed, value
        return made

    def _enter(self, column: int) -> None:
        if self._fit.size == len(self._fit.coef):
            self._allocate(2 * self._fit.size)
        self._look_up(column)
        self._add_wear(self._backend.refit_enter(self._fit, self.problem.known_rows, column))

    def _gains(self, open_: npt.NDArray[np.bool_]) -> FloatArray:
        """Return what each of the open columns would lower half_rss by; zero for the others."""
        gains = np.zeros(open_.size)
        return np.divide(0.5 * self._fit.gradient**2, self._fit.remainder, out=gains, where=open_)

    def _look_up(self, column: int, slopes: FloatArray | None = None) -> None:
        """Make the Gram row of a column known; those of the next best ones come with it.

        These are those with the largest slopes, or, without, those that bring most.
        """
        place = self.problem.known_rows[1]
        if place[column] < 0:
            open_ = (place < 0) & (self._fit.inside == 0) & (self._fit.remainder > COLLINEAR)
            promise = self._gains(open_) if slopes is None else open_ * np.abs(slopes)
            promise[column] = np.inf
            ahead = min(max(_AHEAD_ENTRIES // promise.size, _AHEAD), _MOST_AHEAD, promise.size)
            best = np.argpartition(-promise, ahead - 1)[:ahead]
            best = best[promise[best] > 0]
            self.problem.compute_rows(best, keep=best)

    def _leave(self, position: int) -> None:
        self._add_wear(self._backend.refit_leave(self._fit, position))

    def _add_wear(self, wear: float) -> None:
        self._wear += wear
        if self._wear > _WORN:
            self._refresh()

    def _take_in(self, columns: IndexArray) -> None:
        """Add columns: all at once if they are independent enough, else those that are."""
        if not columns.size:
            return
        many = columns.size**2 * self.problem.n_features > _FACTORED
        if self._fit.size == 0 and many and self._factorize(columns):
            return
        self.problem.know(columns)
        while len(self._fit.coef) < self._fit.size + columns.size:
            self._allocate(2 * len(self._fit.coef))
        wear = self._backend.refit_take_in(self._fit, self.problem.known_rows, columns, COLLINEAR)
        self._add_wear(wear)

    def _refresh(self) -> None:
        self._n_refreshed += 1
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
        while len(self._fit.coef) < size:
            self._allocate(2 * len(self._fit.coef))
        loadings = inverse @ rows
        target = problem.correlation[columns]
        coef = inverse @ target
        coef += inverse @ (target - gram @ coef)
        self._reset()
        fit = self._fit
        fit.inverse[:size, :size] = inverse
        fit.loadings[:size] = loadings
        fit.coef[:size] = coef
        fit.gradient -= coef @ rows
        fit.remainder -= np.einsum("kj,kj->j", loadings, rows)
        fit.support[:size], fit.inside[columns], fit.size = columns, 1, size
        fit.half_rss = 0.5 * max(problem.sq_y - float(coef @ (2 * target - gram @ coef)), 0.0)
        return True

    def _reset(self) -> None:
        """Leave all columns."""
        problem, fit = self.problem, self._fit
        fit.gradient = problem.correlation.copy()
        fit.remainder = 1.0 + problem.ridge
        fit.inside[:] = ~problem.usable
        fit.size, fit.half_rss = 0, 0.5 * problem.sq_y

    def _allocate(self, capacity: int) -> None:
        fit = self._fit
        inverse = np.zeros((capacity, capacity))
        inverse[: fit.size, : fit.size] = fit.inverse[: fit.size, : fit.size]
        loadings = np.zeros((capacity, self.problem.n_features))
        loadings[: fit.size] = fit.loadings[: fit.size]
        fit.inverse, fit.loadings = inverse, loadings
        fit.coef = np.resize(fit.coef, capacity)
        fit.support = np.resize(fit.support, capacity)
