"""Least squares on the supports, once it is known which regression answered what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, lsqr

from sparsereg.backends.protocol import Backend, FloatArray
from sparsereg.mixture.layout import Layout

if TYPE_CHECKING:
    from sparsereg.mixture.decoder import Decoded

_MAX_ITERATIONS = 200


def refine(
    layout: Layout, decoded: Decoded, y: FloatArray, backend: Backend, *, tol: float = 1e-12
) -> FloatArray:
    """Return the values of the decoded coefficients after least squares on the labeled rows.

    Parameters
    ----------
    layout : Layout
    decoded : Decoded
    y : ndarray of shape (n_rows,)
    backend : Backend
    tol : float, default=1e-12
        Of least squares, relative to what the present values leave. Columns share few rows, so
        that the problem is well conditioned.

    Returns
    -------
    ndarray of shape (n_nonzero,)
        Coefficients whose regression has no labeled rows keep their value.
    """
    values = decoded.values.copy()
    for c, offset in enumerate(decoded.offsets):
        own = np.flatnonzero(decoded.components == c)
        rows = decoded.labels == c
        rows[: layout.n_pilot] = False
        if own.size and rows.any():
            X = _columns(layout, decoded.features[own], rows, backend)
            left = rows * (y - offset) - X @ values[own]
            values[own] += lsqr(X, left, atol=tol, btol=tol, iter_lim=_MAX_ITERATIONS)[0]
    return values


def _columns(
    layout: Layout, features: npt.NDArray[np.int64], rows: npt.NDArray[np.bool_], backend: Backend
) -> LinearOperator:
    """Return some columns of the design, without the pilot, at some rows and zero elsewhere."""

    def answer(v: FloatArray) -> FloatArray:
        return rows * layout.rows_of(backend.graph_spread(layout.graph, features, v.ravel()))

    def adjoint(r: FloatArray) -> FloatArray:
        return backend.graph_collect(layout.graph, features, layout.sums_of(rows * r.ravel()))

    shape = (len(rows), len(features))
    return LinearOperator(shape, matvec=answer, rmatvec=adjoint, dtype=np.float64)
