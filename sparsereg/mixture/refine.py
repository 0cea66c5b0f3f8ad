"""Least squares on the supports, once it is known which regression answered what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsqr

from sparsereg.backends.protocol import Backend, FloatArray, IndexArray
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
        rows = np.flatnonzero((decoded.labels == c) & (np.arange(len(y)) >= layout.n_pilot))
        if not own.size or not rows.size:
            continue
        X = columns(layout, decoded.features[own], backend)[rows]
        residual = y[rows] - offset - X @ values[own]
        values[own] += lsqr(
            X, residual, atol=tol, btol=tol, iter_lim=_MAX_ITERATIONS
        )[0]
    return values


def columns(layout: Layout, features: IndexArray, backend: Backend) -> sparse.csr_array:
    """Return some columns of the design, without the pilot, of shape (n_rows, n_columns)."""
    graph, kinds = layout.graph, layout.kinds
    bins = backend.graph_neighbors(graph, features)
    weights = backend.graph_signatures(graph, features)[:, kinds]
    first = layout.n_pilot + bins * layout.rows_per_bin
    rows = first[:, :, None] + np.arange(layout.rows_per_bin)
    data = np.broadcast_to(weights[:, None, :], rows.shape)
    position = np.broadcast_to(np.arange(len(features))[:, None, None], rows.shape)
    return sparse.csr_array(
        (data.ravel(), (rows.ravel(), position.ravel())), shape=(layout.n_rows, len(features))
    )
