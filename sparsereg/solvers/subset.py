"""The l0 problem in the coordinates that searches and bounds use, with its Gram rows on demand.

    minimize (1/2) ||y - X w||_s^2 / n + alpha sum_j v_j 1{w_j != 0} + (l2/2) ||w||^2

With norms a_j = ||x_j||_s / sqrt(n) (X and y centered if there is an intercept), z_j = a_j w_j and
ridge_j = l2 / a_j^2, it reads

    minimize (1/2) (yy - 2 c'z + z'(G + diag(ridge)) z) + alpha sum_j v_j 1{z_j != 0},

where G has ones on its diagonal. A coordinate z_j alone is worth moving from 0 where
c_j^2 / (2 (1 + ridge_j)) > alpha v_j: all columns are on one scale, whatever their units.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.unpenalized import UnpenalizedSpan
from sparsereg.solvers.workspace import Workspace

# Rows computed by one pass over X, and bytes of rows kept.
_ROW_BLOCK, _MAX_ROW_BYTES = 64, 512 << 20
# Rows that there is room for at first, up to so many bytes: memory is taken when it is written to.
_FIRST_ROWS, _FIRST_ROW_BYTES = 128, 64 << 20
# Pivots of a Gram matrix of unit columns from which on it is as good as their QR factor.
_INDEPENDENT = 1e-6
# Gram matrices of up to so many columns are inverted for bounds on coefficients.
_MAX_INVERTED = 3000
# Residuals computed at a time for several supports.
_RESIDUALS = 4_000_000
# A ridge so large beside a column that the column is as good as excluded.
_LARGEST_RIDGE = 1e100


class SubsetProblem:
    """Squared loss and the cost of each column, in unit-norm coordinates.

    Parameters
    ----------
    work : Workspace
        The data; left at zero.
    costs : ndarray of shape (p,) or None
        Factors v_j: 0 is free of charge, ``inf`` excluded; None is all ones.
    l2 : float

    Attributes
    ----------
    usable : ndarray of bool, shape (p,)
        Neither constant nor excluded.
    norms, per_norm, costs, ridge, correlation : ndarray of shape (p,)
        a_j, 1 / a_j, v_j, ridge_j and c_j; zero where a column is not usable.
    sq_y : float
    """

    def __init__(self, work: Workspace, costs: FloatArray | None = None, l2: float = 0.0):
        self.work, self.l2 = work, float(l2)
        n_features = work.design.shape[1]
        given = np.ones(n_features) if costs is None else costs
        self.usable = (work.design.sqnorms > 0) & np.isfinite(given)
        self.norms = np.where(self.usable, np.sqrt(work.design.sqnorms), 0.0)
        self.costs = np.where(self.usable, given, 0.0)
        with np.errstate(divide="ignore", over="ignore"):
            self.per_norm = np.where(self.usable, 1.0 / self.norms, 0.0)
            ridge = np.where(self.usable, self.l2 * self.per_norm**2, 0.0)
        self.ridge = np.minimum(ridge, _LARGEST_RIDGE)
        if work.support.size:
            work.move_to(np.zeros(n_features))
        self.correlation = work.gradient * self.per_norm
        self.sq_y = work.sq_y
        self._rows = np.empty((0, n_features))
        self._columns = np.empty(0, dtype=np.intp)
        self._position = np.full(n_features, -1, dtype=np.intp)

    @property
    def n_features(self) -> int:
        """Number of columns, p."""
        return self.usable.size

    @property
    def n_rows(self) -> int:
        """Number of rows with a weight."""
        weights = self.work.sample_weight
        return self.work.design.shape[0] if weights is None else int(np.count_nonzero(weights))

    @property
    def free(self) -> IndexArray:
        """The columns that cost nothing."""
        return np.flatnonzero(self.usable & (self.costs == 0))

    @property
    def max_size(self) -> int:
        """The largest useful support: all usable columns, or the rank without a ridge."""
        usable = int(np.count_nonzero(self.usable))
        return usable if self.l2 > 0 else min(usable, self.work.max_rank)

    def alpha_max(self) -> float:
        """Return the smallest alpha at which no single column beats the null model."""
        priced = self.usable & (self.costs > 0)
        gains = 0.5 * self.correlation[priced] ** 2 / (1.0 + self.ridge[priced])
        return float(np.max(gains / self.costs[priced], initial=0.0))

    @cached_property
    def unrestricted_fit(self) -> tuple[FloatArray, FloatArray, float] | None:
        """The fit on all usable columns: z, the diagonal of (G + ridge)^-1, and half_rss there.

        None where the columns are too many, or too near dependent.
        """
        usable = np.flatnonzero(self.usable)
        dependent = self.l2 == 0 and usable.size > self.work.max_rank
        if usable.size > _MAX_INVERTED or dependent:
            return None
        gram = self.gram_rows(usable)[:, usable]
        gram.flat[:: usable.size + 1] += self.ridge[usable]
        factor, failed = dpotrf(gram, lower=True)
        if failed or np.min(np.diag(factor), initial=1.0) ** 2 < _INDEPENDENT:
            return None
        inverse = np.tril(dpotri(factor, lower=True)[0]) if usable.size else gram
        inverse += np.tril(inverse, -1).T
        z = inverse @ self.correlation[usable]
        half_rss = 0.5 * max(self.sq_y - float(self.correlation[usable] @ z), 0.0)
        return z, np.diag(inverse).copy(), half_rss

    @property
    def known_rows(self) -> tuple[FloatArray, IndexArray]:
        """The rows of G computed so far, and the place of each column's among them or -1."""
        return self._rows, self._position

    def gram_rows(self, columns: IndexArray) -> FloatArray:
        """Return rows of G, one per column; computed once, a pass over X per block of them."""
        self.know(columns)
        return self._rows[self._position[columns]]

    def know(self, columns: IndexArray) -> None:
        """Make the rows of G of these columns known."""
        missing = columns[self._position[columns] < 0]
        if missing.size:
            self.compute_rows(np.unique(missing), keep=columns)

    def fit(self, support: IndexArray, bound: float | FloatArray = np.inf) -> FloatArray:
        """Return w, of shape (p,): the stable least-squares refit on a support, |w_j| <= bound.

        Of minimum norm where the columns are dependent and there is no ridge.
        """
        work = self.work
        coef = np.zeros(self.n_features)
        support = np.sort(support)
        if not support.size:
            return coef
        if self.l2 > 0:
            coef[support] = self._ridge_fit(support)
        elif not self._cholesky_fit(support, coef):
            span = UnpenalizedSpan(work.backend, work.design, support)
            residual = work.y
            for _ in range(2):  # the second pass takes out what rounding left of the first
                coef[span.columns] += span.fit(residual)
                residual = work.y - work.backend.fitted(work.design, support, coef[support])
        limits = np.broadcast_to(bound, coef.shape)
        if np.any(np.abs(coef) > limits):
            coef[support] = self._bounded_fit(support, limits[support])
        return coef

    def fits(self, supports: Sequence[IndexArray]) -> tuple[FloatArray, FloatArray]:
        """Return the fits on several supports, of shape (k, p), and their mean squared residuals.

        The supports are read together, a few million residuals at a time.
        """
        step = max(_RESIDUALS // self.work.y.size, 1)
        parts = [
            self._fit_together(supports[start : start + step])
            for start in range(0, len(supports), step)
        ]
        return np.vstack([coefs for coefs, _ in parts]), np.concatenate([mse for _, mse in parts])

    def objective(self, coef: FloatArray, alpha: float) -> float:
        """Return the objective at w, from the data."""
        return self.half_rss(coef) + alpha * float(np.sum(self.costs[coef != 0]))

    def half_rss(self, coef: FloatArray) -> float:
        """Return (1/2) ||y - X w||_s^2 / n + (l2/2) ||w||^2, from the data."""
        work, support = self.work, np.flatnonzero(coef)
        residual = work.y - work.backend.fitted(work.design, support, coef[support])
        if work.centered:
            residual -= np.average(residual, weights=work.sample_weight)
        return 0.5 * work.mean_square(residual) + 0.5 * self.l2 * float(coef @ coef)

    def compute_rows(self, missing: IndexArray, keep: IndexArray) -> None:
        """Make rows of G known that are not; where there is no room, those to ``keep`` stay."""
        work, p = self.work, self.n_features
        if 8.0 * p * (self._columns.size + missing.size) > _MAX_ROW_BYTES:
            self._keep_only(np.intersect1d(self._columns, keep))
        self._reserve(self._columns.size + missing.size)
        for start in range(0, missing.size, _ROW_BLOCK):
            block = missing[start : start + _ROW_BLOCK]
            columns = work.backend.fitted_tasks(work.design, block, np.diag(self.per_norm[block]))
            if work.centered:
                columns -= np.average(columns, axis=1, weights=work.sample_weight)[:, None]
            first = self._columns.size
            rows = self._rows[first : first + block.size]
            np.multiply(work.backend.xtr_tasks(work.design, columns), self.per_norm, out=rows)
            rows[np.arange(block.size), block] = 1.0
            self._position[block] = np.arange(first, first + block.size)
            self._columns = np.concatenate([self._columns, block])

    def _keep_only(self, columns: IndexArray) -> None:
        self._rows = self._rows[self._position[columns]]
        self._columns = columns
        self._position[:] = -1
        self._position[columns] = np.arange(columns.size)

    def _reserve(self, size: int) -> None:
        if size > len(self._rows):
            least = min(_FIRST_ROWS, _FIRST_ROW_BYTES // (8 * self.n_features))
            capacity = min(max(size, 2 * len(self._rows), least), self.n_features)
            grown = np.empty((capacity, self.n_features))
            grown[: self._columns.size] = self._rows[: self._columns.size]
            self._rows = grown

    def _fit_together(self, supports: Sequence[IndexArray]) -> tuple[FloatArray, FloatArray]:
        work = self.work
        coefs = np.zeros((len(supports), self.n_features))
        union = np.unique(np.concatenate(supports))

        def residuals() -> FloatArray:
            left = work.y - work.backend.fitted_tasks(work.design, union, coefs[:, union])
            if work.centered:
                left -= np.average(left, axis=1, weights=work.sample_weight)[:, None]
            return left

        # 1. from the Gram matrix
        columns = np.concatenate(supports)
        sizes = [support.size for support in supports]
        starts, owner = np.cumsum([0, *sizes]), np.repeat(np.arange(len(supports)), sizes)
        factors, least = work.backend.factor_supports(self.known_rows, columns, starts)
        least[(least**2 < _INDEPENDENT) | (self.l2 > 0)] = 0.0
        scale, values = self.per_norm[columns], self.correlation[columns]
        work.backend.solve_supports(starts, factors, least, values)
        coefs[owner, columns] = scale * values
        for k in np.flatnonzero(least == 0).tolist():
            coefs[k] = self.fit(supports[k])
        # 2. what rounding left of the residuals
        gradients = work.backend.xtr_tasks(work.design, residuals(), union)
        values = scale * gradients[owner, np.searchsorted(union, columns)]
        work.backend.solve_supports(starts, factors, least, values)
        coefs[owner, columns] += scale * values
        return coefs, np.array([work.mean_square(residual) for residual in residuals()])

    def _factor(self, support: IndexArray) -> FloatArray | None:
        """Return the Cholesky factor of independent columns whose Gram rows are known, or None."""
        place = self._position[support]
        if not support.size or np.any(place < 0):
            return None
        gram = self._rows[place[:, None], support]
        factor, failed = dpotrf(gram, lower=True, overwrite_a=True)
        independent = not failed and factor.diagonal().min() ** 2 >= _INDEPENDENT
        return factor if independent else None

    def _cholesky_fit(self, support: IndexArray, coef: FloatArray) -> bool:
        """Fit independent columns whose Gram rows are known, in place; return False for others."""
        factor = self._factor(support)
        if factor is None:
            return False
        scale = self.per_norm[support]
        work, values = self.work, scale * dpotrs(factor, self.correlation[support], lower=True)[0]
        residual = work.y - work.backend.fitted(work.design, support, values)
        left = scale * work.backend.xtr(work.design, residual, support)  # by rounding
        coef[support] = values + scale * dpotrs(factor, left, lower=True)[0]
        return True

    def _ridge_fit(self, support: IndexArray) -> FloatArray:
        stacked, target = self._stacked(support)
        scale = np.sqrt(np.sum(stacked**2, axis=0))
        return np.linalg.lstsq(stacked / scale, target, rcond=None)[0] / scale

    def _bounded_fit(self, support: IndexArray, limits: FloatArray) -> FloatArray:
        from scipy.optimize import lsq_linear

        stacked, target = self._stacked(support)
        room = np.minimum(limits, np.finfo(float).max)
        solution = lsq_linear(stacked, target, (-room, room), method="bvls").x
        return np.clip(solution, -limits, limits)

    def _stacked(self, support: IndexArray) -> tuple[FloatArray, FloatArray]:
        """Return the least-squares problem of a support with the ridge as further rows."""
        work = self.work
        n = work.design.shape[0]
        packed = work.backend.pack(work.design, support)
        root = 1.0 if work.sample_weight is None else np.sqrt(work.sample_weight)
        below = np.sqrt(n * self.l2) * np.eye(support.size)
        return np.vstack([packed, below]), np.concatenate([root * work.y, np.zeros(support.size)])
