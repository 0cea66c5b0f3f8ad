"""Features without a penalty are solved for exactly.

A dual point is feasible only if it is orthogonal to every unpenalized column, so coordinate
descent alone would certify nothing. One pivoted QR factorization of those columns per data set
makes the residual orthogonal to them, to rounding, whenever it is asked to.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr, solve_triangular

from sparsereg.backends.protocol import Backend, Design, FloatArray, IndexArray


class UnpenalizedSpan:
    """Least squares on a fixed set of columns; of minimum norm if they are dependent.

    Parameters
    ----------
    backend : Backend
    design : Design
    columns : ndarray of int
        Needs n times this many float64 numbers of memory.

    Attributes
    ----------
    rank : int
        That of these columns.
    """

    def __init__(self, backend: Backend, design: Design, columns: IndexArray):
        packed = backend.pack(design, columns)
        scale = np.sqrt(design.sqnorms[columns] * design.shape[0])
        packed /= scale
        q, r, pivots = qr(
            packed, mode="economic", pivoting=True, check_finite=False, overwrite_a=True
        )
        diagonal = np.abs(np.diag(r))
        self.rank = int(np.sum(diagonal > max(packed.shape) * np.finfo(float).eps * diagonal[0]))
        self.columns = columns[pivots]
        self._q = q[:, : self.rank]
        self._rows = r[: self.rank] * scale[pivots]  # rows @ coef = q' target
        self._rank_deficient = self.rank < columns.size
        if self._rank_deficient:
            self._basis, self._triangle = qr(self._rows.T, mode="economic", check_finite=False)
        self._root_weight = None if design.sample_weight is None else np.sqrt(design.sample_weight)

    def sq_part(self, residual: FloatArray) -> float:
        """Return ||P r||_s^2 / n, P the projection on the span of the columns."""
        projected = self._project(residual)
        return float(np.vdot(projected, projected)) / len(residual)

    def fit(self, residual: FloatArray) -> FloatArray:
        """Return the coefficients, on ``self.columns``, that best explain the residual.

        A residual of shape (n, T) gives one column of coefficients for each of its own.
        """
        projected = self._project(residual)
        if self._rank_deficient:
            inner = solve_triangular(self._triangle, projected, trans="T", check_finite=False)
            return self._basis @ inner
        return solve_triangular(self._rows, projected, check_finite=False)

    def _project(self, residual: FloatArray) -> FloatArray:
        if self._root_weight is not None:
            residual = (residual.T * self._root_weight).T
        return self._q.T @ residual
