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
    """Least squares on a fixed set of columns; dependent ones get no coefficient of their own.

    Parameters
    ----------
    backend : Backend
    design : Design
    columns : ndarray of int
        Needs n times this many float64 numbers of memory.
    """

    def __init__(self, backend: Backend, design: Design, columns: IndexArray):
        packed = backend.pack(design, columns)
        scale = np.sqrt(design.sqnorms[columns] * design.shape[0])
        scale[scale == 0] = 1.0
        q, r, pivots = qr(packed / scale, mode="economic", pivoting=True, check_finite=False)
        diagonal = np.abs(np.diag(r))
        rank = int(np.sum(diagonal > max(packed.shape) * np.finfo(float).eps * diagonal.max()))
        self._q, self._r = q[:, :rank], r[:rank, :rank]
        self._scale = scale[pivots[:rank]]
        self.columns = columns[pivots[:rank]]
        self._root_weight = None if design.sample_weight is None else np.sqrt(design.sample_weight)

    def fit(self, residual: FloatArray) -> FloatArray:
        """Return the coefficients, on ``self.columns``, that best explain the residual."""
        target = residual if self._root_weight is None else self._root_weight * residual
        return solve_triangular(self._r, self._q.T @ target, check_finite=False) / self._scale
