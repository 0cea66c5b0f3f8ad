"""Least squares on the supports, once it is known which regression answered what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
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
    graph = layout.graph
    for c, offset in enumerate(decoded.offsets):
        own = np.flatnonzero(decoded.components == c)
        mask = decoded.labels == c
        mask[: layout.n_pilot] = False
        if not own.size or not mask.any():
            continue
        features = decoded.features[own]

        def answer(v: FloatArray, features=features, mask=mask) -> FloatArray:
            return mask * layout.rows_of(backend.graph_spread(graph, features, v.ravel()))

        def adjoint(r: FloatArray, features=features, mask=mask) -> FloatArray:
            return backend.graph_collect(graph, features, layout.sums_of(mask * r.ravel()))

        X = LinearOperator((len(y), len(own)), matvec=answer, rmatvec=adjoint, dtype=np.float64)
        left = mask * (y - offset) - answer(values[own])
        values[own] += lsqr(X, left, atol=tol, btol=tol, iter_lim=_MAX_ITERATIONS)[0]
    return values
