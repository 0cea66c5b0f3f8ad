"""What a solver knows about its data, whatever the penalty: computed once, used for every alpha.

The targets are centered (b is recovered from the means), X is centered implicitly. Warm starts,
paths, folds and several targets are all the same thing: another solve on the same workspace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsereg.backends.protocol import Backend, Design, FloatArray, IndexArray
from sparsereg.solvers.gram_cache import GramCache
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.unpenalized import UnpenalizedSpan

# Working sets of up to this many columns are solved on their Gram matrix (half a gigabyte).
_GRAM_COLUMNS = 8000


@dataclass
class DataCache:
    """The part of a workspace that does not depend on y: shared by targets."""

    backend: Backend
    design: Design
    gram: GramCache
    max_gram_columns: int

    @classmethod
    def of(cls, problem: Problem, backend: Backend) -> DataCache:
        """Prepare X of a problem: two passes over it, no copy."""
        design = backend.design(problem.X, problem.sample_weight, problem.fit_intercept)
        if not np.all(np.isfinite(design.sqnorms)):
            raise ValueError(_OVERFLOW.format("the squared norm of a column of X"))
        columns = min(_GRAM_COLUMNS, design.shape[1])
        return cls(backend, design, GramCache(backend, design, columns), columns)


class Workspace:
    """Data of one problem, and the point reached on it.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        The current coefficients.
    residual : ndarray of shape (n,)
        ``y_c - X_c coef``.
    gradient : ndarray of shape (p,)
        ``X_c' (s residual) / n``, the negative gradient.
    """

    def __init__(self, problem: Problem, backend: Backend, cache: DataCache | None = None):
        self.cache = DataCache.of(problem, backend) if cache is None else cache
        self.backend, self.design, self.gram = backend, self.cache.design, self.cache.gram
        self.sample_weight = problem.sample_weight
        self.centered = problem.fit_intercept
        self.y_mean = (
            float(np.average(problem.y, weights=problem.sample_weight)) if self.centered else 0.0
        )
        self.y = problem.y - self.y_mean
        self.sq_y = self.mean_square(self.y)
        if not np.isfinite(self.sq_y):
            raise ValueError(_OVERFLOW.format("the squared norm of y"))
        self._spans: dict[bytes, UnpenalizedSpan] = {}
        self.move_to(np.zeros(self.design.shape[1]))

    @property
    def max_rank(self) -> int:
        """An upper bound on the rank of the centered X."""
        n, p = self.design.shape
        if self.sample_weight is not None:
            n = int(np.count_nonzero(self.sample_weight))
        return min(n - int(self.centered), p)

    def mean_square(self, residual: FloatArray) -> float:
        """Return ||r||_s^2 / n."""
        if self.sample_weight is None:
            return float(residual @ residual) / residual.size
        return float((self.sample_weight * residual) @ residual) / residual.size

    def move_to(self, coef: FloatArray) -> None:
        """Make ``coef`` the current point: residual and gradient afresh, one pass over X."""
        self.set_coef(coef)
        self.gradient = self.backend.xtr(self.design, self.residual)

    def set_coef(self, coef: FloatArray) -> None:
        """Make ``coef`` the current point and leave the gradient to the caller."""
        support = np.flatnonzero(coef)
        self.coef = coef
        self.residual = self.y - self.backend.fitted(self.design, support, coef[support])
        if self.centered:  # exact in theory; keeps rounding out of the dual
            self.residual -= np.average(self.residual, weights=self.sample_weight)
        self.sq_residual = self.mean_square(self.residual)

    def solve_unpenalized(self, columns: IndexArray) -> None:
        """Move to the exact least-squares fit of ``columns``, the others held; no gradient."""
        if columns.size == 0:
            return
        key = columns.tobytes()
        if key not in self._spans:
            self._spans = {key: UnpenalizedSpan(self.backend, self.design, columns)}
        span = self._spans[key]
        for _ in range(2):  # the second pass takes out what rounding left of the first
            coef = self.coef.copy()
            coef[span.columns] += span.fit(self.residual)
            self.set_coef(coef)

    @property
    def intercept(self) -> float:
        """The optimal intercept of the current coefficients."""
        support = np.flatnonzero(self.coef)
        return self.y_mean - float(self.design.means[support] @ self.coef[support])


_OVERFLOW = (
    "Coordinate descent iterations resulted in non-finite parameter values: {} overflows "
    "float64. Rescale the data, for example with StandardScaler."
)
