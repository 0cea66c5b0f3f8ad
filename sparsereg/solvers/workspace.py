"""What a solver knows about its data, whatever the penalty: computed once, used for every alpha.

The targets are centered (b is recovered from the means), X is centered implicitly. Warm starts,
paths, folds and several targets are all the same thing: another solve on the same workspace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import Backend, Design, FloatArray, IndexArray
from sparsereg.solvers.column_pool import ColumnPool, KeptActiveSet
from sparsereg.solvers.problem import Problem, Solution, Step, Stretch
from sparsereg.solvers.unpenalized import UnpenalizedSpan


class RowSums(NamedTuple):
    """What some of the rows know on their own: their weight, means, and products around these."""

    weight: float
    columns: IndexArray
    means: FloatArray
    y_mean: float
    gram: FloatArray
    slopes: FloatArray


@dataclass
class DataCache:
    """The part of a workspace that does not depend on y: shared by targets.

    Attributes
    ----------
    parts : dict of bytes to RowSums
        By the row numbers, what was found on the way to the Gram matrix of all rows, once.
    """

    design: Design
    pool: ColumnPool
    parts: dict[bytes, RowSums] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem, backend: Backend) -> DataCache:
        """Prepare X of a problem: two passes over it, no copy."""
        with np.errstate(all="ignore"):
            design = backend.design(problem.X, problem.sample_weight, problem.fit_intercept)
        return cls._checked(design, backend)

    @classmethod
    def of_part(cls, whole: Design, problem: Problem, backend: Backend) -> DataCache:
        """Prepare the X of another design with the row weights of a problem."""
        with np.errstate(all="ignore"):
            design = backend.part_design(whole, problem.sample_weight, problem.fit_intercept)
        return cls._checked(design, backend)

    @classmethod
    def _checked(cls, design: Design, backend: Backend) -> DataCache:
        moving = design.sqnorms[design.sqnorms != 0]
        if not np.isfinite(design.means).all():
            _check_scale(np.nan, np.nan, "a column of X")
        if moving.size:
            _check_scale(float(moving.min()), float(moving.max()), "a column of X")
        return cls(design, ColumnPool(backend, design))


class Point(NamedTuple):
    """A point of a problem, and what is known there: see :class:`Workspace`."""

    coef: FloatArray
    residual: FloatArray | None
    gradient: FloatArray | None
    sq_residual: float


class Points(NamedTuple):
    """Several points that are zero outside ``columns``, a row each.

    Where the Gram matrix told the rest, ``residuals`` is None and ``gradients`` are those of
    ``columns``. Elsewhere they are those of all features, or None where they were not asked for.
    """

    n_features: int
    columns: IndexArray
    coefs: FloatArray
    residuals: FloatArray | None
    gradients: FloatArray | None
    sq_residuals: FloatArray

    def at(self, k: int) -> Point:
        """Return the k-th of them."""
        residual = None if self.residuals is None else self.residuals[k]
        gradient = None if self.gradients is None else self.gradients[k]
        if gradient is not None and residual is None:
            gradient = self._scattered(gradient)
        return Point(self._scattered(self.coefs[k]), residual, gradient, self.sq_residuals[k])

    def _scattered(self, values: FloatArray) -> FloatArray:
        full = np.zeros(self.n_features)
        full[self.columns] = values
        return full


class Workspace:
    """Data of one problem, and the point reached on it.

    Once the pool holds every column, gradients come from its Gram matrix, and X is read for a
    residual only.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        The current coefficients; replaced, never changed.
    residual : ndarray of shape (n,)
        ``y_c - X_c coef``.
    sq_residual : float
        ||residual||_s^2 / n; from the Gram matrix, an upper bound to rounding.
    gradient : ndarray of shape (p,)
        ``X_c' (s residual) / n``, the negative gradient.
    slopes_at_zero : ndarray of shape (p,)
        The gradient where all coefficients are zero.
    unpenalized_left : float
        What an exact fit of the unpenalized features would still bring: rounding.
    """

    def __init__(
        self,
        problem: Problem,
        backend: Backend,
        cache: DataCache | None = None,
        slopes_at_zero: FloatArray | None = None,
    ):
        self.cache = DataCache.of(problem, backend) if cache is None else cache
        self.backend, self.design, self.pool = backend, self.cache.design, self.cache.pool
        self.sample_weight = problem.sample_weight
        self.centered = problem.fit_intercept
        self.y_mean = self.mean(problem.y) if self.centered else 0.0
        self.y = problem.y - self.y_mean
        with np.errstate(all="ignore"):
            self.sq_y = self.mean_square(self.y)
            rows = slice(None) if self.sample_weight is None else self.sample_weight > 0
            largest = float(np.max(np.abs(problem.y[rows])))
            if largest > _SMALLEST**0.5 or largest == 0.0:
                constant = np.sqrt(self.sq_y) <= _CONSTANT * largest
            else:  # too small to square: compare without
                constant = np.max(np.abs(self.y[rows])) <= _CONSTANT * largest
            if constant:
                self.y[rows], self.sq_y = 0.0, 0.0
            else:
                _check_scale(self.sq_y, self.sq_y, "y")
        self.active_set = KeptActiveSet(self.pool, self.max_rank)
        self._spans: dict[bytes, UnpenalizedSpan] = {}
        self.unpenalized_left = 0.0
        self._gram_exhausted = False
        self._residual: FloatArray | None = None
        self.coef = np.zeros(self.design.shape[1])
        self._support: IndexArray | None = None
        self._sq_residual: float | None = None
        if slopes_at_zero is None:
            slopes_at_zero = self.backend.xtr(self.design, self.residual)
        self.slopes_at_zero = slopes_at_zero
        self._gradient: FloatArray | None = slopes_at_zero

    @property
    def max_rank(self) -> int:
        """An upper bound on the rank of the centered X."""
        n, p = self.design.shape
        if self.sample_weight is not None:
            n = int(np.count_nonzero(self.sample_weight))
        return min(n - int(self.centered), p)

    def mean(self, values: FloatArray) -> float:
        """Return the weighted mean of n values."""
        if self.sample_weight is None:
            return float(values.sum()) / values.size
        weights = self.sample_weight
        return float((weights * values).sum()) / float(weights.sum())

    def mean_square(self, residual: FloatArray) -> float:
        """Return ||r||_s^2 / n.

        Not by BLAS, which takes threads for it from 10,000 rows on: workspaces are made outside of
        :func:`single_threaded_blas`, and results must not depend on the number of threads.
        """
        squares = residual * residual
        if self.sample_weight is not None:
            squares *= self.sample_weight
        return float(squares.sum()) / residual.size

    @property
    def on_gram(self) -> bool:
        """Whether gradients come from the Gram matrix of all columns."""
        told = self.pool.is_complete and not self.pool.is_rough
        return told and self.whole_gram_fits and not self._gram_exhausted

    def leave_gram(self) -> None:
        """Take gradients from X from now on: they let rounding be corrected step by step."""
        self._gram_exhausted = True
        self.move_to(self.coef)

    @property
    def whole_gram_fits(self) -> bool:
        """Whether the Gram matrix of all columns is small beside a dense X."""
        n, p = self.design.shape
        return not self.design.is_sparse and p <= min(_GRAM_SHARE * n, MAX_POOL)

    @property
    def support(self) -> IndexArray:
        """The features whose coefficient is not zero, increasing."""
        if self._support is None:
            self._support = np.flatnonzero(self.coef != 0)  # much faster than of the numbers
        return self._support

    @property
    def residual(self) -> FloatArray:
        """``y_c - X_c coef``: computed when it is asked for."""
        if self._residual is None:
            fitted = self.backend.fitted(self.design, self.support, self.coef[self.support])
            residual = self.y - fitted
            if self.centered:  # exact in theory; keeps rounding out of the dual
                residual -= self.mean(residual)
            self._residual = residual
        return self._residual

    @property
    def gradient(self) -> FloatArray:
        """``X_c' (s residual) / n``: where a point came without it, computed when asked for."""
        if self._gradient is None:
            self._gradient = self.backend.xtr(self.design, self.residual)
        return self._gradient

    @gradient.setter
    def gradient(self, gradient: FloatArray) -> None:
        self._gradient = gradient

    @property
    def sq_residual(self) -> float:
        """||residual||_s^2 / n: computed when it is asked for, unless the gradient told it."""
        if self._sq_residual is None:
            self._sq_residual = self.mean_square(self.residual)
        return self._sq_residual

    def move_to(self, coef: FloatArray) -> None:
        """Make ``coef`` the current point, with its gradient: one pass over X at most."""
        self.set_coef(coef)
        self.refresh_gradient()

    def set_coef(self, coef: FloatArray) -> None:
        """Make ``coef`` the current point and leave the gradient to the caller."""
        self.coef = coef
        self._support = self._residual = self._sq_residual = None

    def refresh_gradient(self) -> None:
        """Compute the gradient at the current point: a pass over X, or over the Gram matrix."""
        if self.on_gram:
            self.move_to_point(self._points_on_gram(self.coef[None, self.pool.columns]).at(0))
        else:
            self.gradient = self.backend.xtr(self.design, self.residual)

    @property
    def point(self) -> Point:
        """The current point."""
        return Point(self.coef, self._residual, self._gradient, self.sq_residual)

    def move_to_point(self, point: Point) -> None:
        """Make a point that was computed before the current one."""
        self.coef, self._residual, self._gradient, self._sq_residual = point
        self._support = None

    def points(self, columns: IndexArray, coefs: FloatArray, *, gradients: bool = False) -> Points:
        """Return the points with these coefficients of ``columns``, a row each.

        Gradients that the Gram matrix does not tell are computed, in one pass over X, or left out.
        """
        if self.on_gram and columns is self.pool.columns:
            return self._points_on_gram(coefs)
        used = np.flatnonzero((coefs != 0).any(axis=0))
        fitted = self.backend.fitted_tasks(self.design, columns[used], coefs.take(used, axis=1))
        residuals = np.subtract(self.y, fitted, out=fitted)
        if self.centered:
            means = np.average(residuals, axis=1, weights=self.sample_weight)
            residuals -= means[:, None]
        weighted = residuals if self.sample_weight is None else self.sample_weight * residuals
        sq_residuals = (weighted * residuals).sum(axis=1) / self.y.size
        slopes = self.backend.xtr_tasks(self.design, residuals) if gradients else None
        return Points(self.coef.size, columns, coefs, residuals, slopes, sq_residuals)

    def _points_on_gram(self, coefs: FloatArray) -> Points:
        columns = self.pool.columns
        used = np.flatnonzero(np.any(coefs != 0, axis=0))
        slopes = self.slopes_at_zero[columns]
        gradients = np.tile(slopes, (len(coefs), 1))
        for start in range(0, used.size, _ROWS_TAKEN):
            rows = used[start : start + _ROWS_TAKEN]
            gradients -= coefs[:, rows] @ self.pool.gram[rows, : columns.size]
        # y'r / n + r'(y - r) / n from the gradients at both ends; rounding is added, to be safe
        sq_residuals = self.sq_y - np.einsum("kj,kj->k", coefs, slopes + gradients)
        sizes = np.abs(coefs) @ np.sqrt(self.design.sqnorms[columns])
        sq_residuals = np.maximum(sq_residuals, 0.0) + _ROUNDING * (self.sq_y + sizes**2)
        return Points(self.coef.size, columns, coefs, None, gradients, sq_residuals)

    def solve_unpenalized(self, columns: IndexArray) -> None:
        """Move to the exact least-squares fit of ``columns``, the others held; no gradient."""
        self.unpenalized_left = 0.0
        if columns.size == 0:
            return
        span = self._span_of(columns)
        for _ in range(2):  # the second pass takes out what rounding left of the first
            coef = self.coef.copy()
            coef[span.columns] += span.fit(self.residual)
            self.set_coef(coef)
        self.unpenalized_left = 0.5 * span.sq_part(self.residual)

    def _span_of(self, columns: IndexArray) -> UnpenalizedSpan:
        key = columns.tobytes()
        if key not in self._spans:
            self._spans = {key: UnpenalizedSpan(self.backend, self.design, columns)}
        return self._spans[key]

    def start_feasible(
        self, may_move: npt.NDArray[np.bool_], free: IndexArray, positive: bool
    ) -> None:
        """Bring the point inside the constraints, and fit what is not penalized.

        Parameters
        ----------
        may_move : ndarray of bool of shape (p,)
            The others are set to zero.
        free : ndarray of int
            The features without a penalty.
        positive : bool
            Whether negative coefficients are set to zero.
        """
        start = np.where(may_move, self.coef, 0.0)
        if positive:
            np.maximum(start, 0.0, out=start)
        if free.size and self._span_of(free).rank >= self.max_rank:
            start[:] = 0.0  # they fit everything by themselves: what is penalized is zero
        moved = not np.array_equal(start, self.coef)
        if moved:
            self.set_coef(start)
        self.solve_unpenalized(free)
        if moved or free.size:
            self.refresh_gradient()

    def solution(
        self,
        gap: float,
        tolerance: float,
        n_iter: int,
        *,
        stalled: bool = False,
        history: tuple[Step, ...] = (),
    ) -> Solution:
        """Return the current point as a solution."""
        return Solution(
            coef=self.coef,
            intercept=self.intercept,
            dual_gap=gap,
            tolerance=tolerance,
            n_iter=n_iter,
            converged=gap <= tolerance,
            stalled=stalled,
            history=history,
        )

    def stretch(
        self, points: Points, gaps: FloatArray, tolerance: float, n_iters: npt.NDArray[np.int64]
    ) -> Stretch:
        """Return the first of the points, as many as there are gaps, as solutions."""
        intercepts = np.zeros(len(points.coefs))
        if self.centered:
            intercepts = self.y_mean - points.coefs @ self.design.means[points.columns]
        return Stretch(
            self.coef.shape, points.columns, points.coefs, intercepts, gaps, tolerance, n_iters,
            False, points.residuals,
        ).first(len(gaps))  # fmt: skip

    @property
    def intercept(self) -> float:
        """The optimal intercept of the current coefficients."""
        if not self.centered:
            return 0.0
        return self.y_mean - float(self.design.means[self.support] @ self.coef[self.support])


# Gram matrices of up to this many columns are built (half a gigabyte); of all columns, if they are
# this much fewer than the rows.
MAX_POOL, _GRAM_SHARE = 8000, 0.5

# Rows of a Gram matrix that are copied at a time.
_ROWS_TAKEN = 256

# A centered y counts as constant when it is rounding noise beside its mean.
_CONSTANT = 8 * np.finfo(np.float64).eps

# Rounding of a difference of squares, beside the squares.
_ROUNDING = 8 * np.finfo(np.float64).eps

# Squares must be representable, and so must their products with each other.
_SMALLEST, _LARGEST = 1e-290, 1e300


def check_gradients(sq_y: float, design: Design) -> None:
    """Refuse data whose gradients have squares that leave float64: a gap is made of them."""
    largest = float(np.max(design.sqnorms, initial=0.0)) * sq_y
    if sq_y > 0.0 and np.any(design.sqnorms):
        _check_scale(largest, largest, "y times that of a column of X")


def _check_scale(smallest: float, largest: float, what: str) -> None:
    if not (smallest >= _SMALLEST and largest <= _LARGEST):  # so that NaN is caught
        side = "underflows" if smallest < _SMALLEST else "overflows"
        raise ValueError(
            f"Coordinate descent iterations resulted in non-finite parameter values: the squared "
            f"norm of {what} {side} float64 arithmetic. Rescale the data, for example with "
            f"StandardScaler."
        )
