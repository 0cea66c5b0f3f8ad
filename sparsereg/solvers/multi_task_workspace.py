"""The workspace of a multi-task problem: what :class:`~sparsereg.solvers.workspace.Workspace` is
for one target. Matrices have a row per task: coefficients and gradient (T, p), residuals (T, n).
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.protocol import Backend, FloatArray, IndexArray
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.unpenalized import UnpenalizedSpan
from sparsereg.solvers.workspace import _CONSTANT, DataCache, _check_scale, check_gradients


class MultiTaskWorkspace:
    """Data of one multi-task problem, and the point reached on it.

    Attributes
    ----------
    coef : ndarray of shape (T, p)
        The current coefficients.
    gradient : ndarray of shape (T, p)
        ``(s residuals) X_c / n``, the negative gradient.
    unpenalized_left : float
        What an exact fit of the unpenalized features would still bring: rounding.
    stiffness : float
        What has served Newton steps so far; see :mod:`sparsereg.solvers.block_newton`.
    """

    on_gram = False  # gradients come from X always

    def __init__(self, problem: Problem, backend: Backend, cache: DataCache | None = None):
        self.cache = DataCache.of(problem, backend) if cache is None else cache
        self.backend, self.design, self.pool = backend, self.cache.design, self.cache.pool
        self.sample_weight = problem.sample_weight
        self.centered = problem.fit_intercept
        n_tasks = problem.y.shape[1]
        self.y_mean = (
            np.average(problem.y, axis=0, weights=problem.sample_weight)
            if self.centered
            else np.zeros(n_tasks)
        )
        self._y = np.ascontiguousarray((problem.y - self.y_mean).T)
        self._drop_constant_tasks(problem.y)
        with np.errstate(all="ignore"):
            self.sq_y = self.mean_square(self._y)
        if self.sq_y != 0.0 or self._y.any():
            _check_scale(self.sq_y, self.sq_y, "y")
            check_gradients(self.sq_y, self.design)
        self._spans: dict[bytes, UnpenalizedSpan] = {}
        self.unpenalized_left = 0.0
        self.stiffness = 0.1
        with single_threaded_blas():
            self.move_to(np.zeros((n_tasks, self.design.shape[1])))

    def _drop_constant_tasks(self, y: FloatArray) -> None:
        """Make exactly zero what is rounding noise beside the mean of its task."""
        rows = slice(None) if self.sample_weight is None else self.sample_weight > 0
        largest = np.max(np.abs(y[rows]), axis=0)
        constant = np.max(np.abs(self._y[:, rows]), axis=1) <= _CONSTANT * largest
        self._y[np.ix_(constant, np.arange(len(y))[rows])] = 0.0

    @property
    def residual(self) -> FloatArray:
        """``y_c - X_c coef'``, of the shape (n, T) of y."""
        return self.residuals.T

    def mean_square(self, residuals: FloatArray) -> float:
        """Return ||R||_s^2 / n; not by BLAS, as for one target."""
        squares = residuals * residuals
        if self.sample_weight is not None:
            squares *= self.sample_weight
        return float(squares.sum()) / residuals.shape[1]

    def move_to(self, coef: FloatArray) -> None:
        """Make ``coef`` the current point: residuals and gradient afresh, one pass over X."""
        self.set_coef(coef)
        self.refresh_gradient()

    def refresh_gradient(self) -> None:
        """Compute the gradient of the current residuals: one pass over X."""
        self.gradient = self.backend.xtr_tasks(self.design, self.residuals)

    def set_coef(self, coef: FloatArray) -> None:
        """Make ``coef`` the current point and leave the gradient to the caller."""
        support = np.flatnonzero(np.any(coef != 0, axis=0))
        self.coef = coef
        fitted = self.backend.fitted_tasks(self.design, support, coef[:, support])
        self.residuals = self._y - fitted
        if self.centered:  # exact in theory; keeps rounding out of the dual
            means = np.average(self.residuals, axis=1, weights=self.sample_weight)
            self.residuals -= means[:, None]
        self.sq_residual = self.mean_square(self.residuals)

    def solve_unpenalized(self, columns: IndexArray) -> None:
        """Move to the exact least-squares fit of ``columns``, the others held; no gradient."""
        self.unpenalized_left = 0.0
        if columns.size == 0:
            return
        key = columns.tobytes()
        if key not in self._spans:
            self._spans = {key: UnpenalizedSpan(self.backend, self.design, columns)}
        span = self._spans[key]
        for _ in range(2):  # the second pass takes out what rounding left of the first
            coef = self.coef.copy()
            coef[:, span.columns] += span.fit(self.residual).T
            self.set_coef(coef)
        self.unpenalized_left = 0.5 * span.sq_part(self.residual)

    @property
    def intercept(self) -> FloatArray:
        """The optimal intercepts of the current coefficients, of shape (T,)."""
        return self.y_mean - self.coef @ self.design.means
