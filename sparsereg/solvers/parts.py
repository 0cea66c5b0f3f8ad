"""Training parts of one data set.

The scatter of the whole is that of its two parts and what lies between their means: with total
weights N = N_a + N_b, means m_a, m_b and Gram matrices G, G_a, G_b of centered columns,

    N G = N_a G_a + N_b G_b + (N_a N_b / N) (m_a - m_b)(m_a - m_b)',

and the same holds for X'y. Where the Gram matrix of the whole is known, that of a training part
costs the rows that are left out; five folds together cost what the whole did.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.protocol import Backend, IndexArray
from sparsereg.solvers.column_pool import ColumnPool
from sparsereg.solvers.driver import AnyWorkspace, make_workspace
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import DataCache, Workspace

# A part this much smaller than the whole would lose digits in the difference, in a column or in y.
_KEPT = 1e-3


def part_of(
    whole: AnyWorkspace, problem: Problem, backend: Backend, left_out: IndexArray | None
) -> AnyWorkspace:
    """Return the workspace of a part of the data, at zero.

    Parameters
    ----------
    whole : Workspace or MultiTaskWorkspace
        Of all rows.
    problem : Problem
        The same X and y with the sample weights of the part.
    backend : Backend
    left_out : ndarray of int or None
        The rows of zero weight, if all others have the weights that they have in the whole (up to a
        common factor); None if they do not.
    """
    if left_out is not None and isinstance(whole, Workspace) and whole.on_gram:
        part = _downdated(whole, problem, backend, left_out)
        if part is not None:
            return part
    cache = None
    if backend.shares_passes:  # X lies on a device, and another copy of it would, too
        cache = DataCache.of_part(whole.design, problem, backend)
    return make_workspace(problem, backend, cache)


def _downdated(
    whole: Workspace, problem: Problem, backend: Backend, left_out: IndexArray
) -> Workspace | None:
    n = whole.y.size
    weights = np.ones(n) if whole.sample_weight is None else whole.sample_weight
    out_weights, out_y = weights[left_out], whole.y[left_out]
    n_out = float(out_weights.sum())
    if not 0.0 < n_out <= 0.5 * n:
        return None
    scaled = None if whole.sample_weight is None else out_weights * (left_out.size / n_out)
    out = backend.design(backend.take_rows(whole.design, left_out), scaled, whole.centered)
    out_y_mean = float(np.average(out_y, weights=out_weights)) if whole.centered else 0.0

    n_in = n - n_out
    columns = whole.pool.columns
    gram = n * whole.pool.gram[: columns.size, : columns.size]
    lost = backend.gram(out, columns, columns.size)
    lost *= n_out
    gram -= lost
    del lost
    slopes = n * whole.slopes_at_zero - n_out * backend.xtr(out, out_y - out_y_mean)
    means = whole.design.means
    if whole.centered:
        means = (n * means - n_out * out.means) / n_in
        between = n_in * n_out / n * (means - out.means)
        gram -= np.outer(between[columns], (means - out.means)[columns])
        # y is centered already: what is left of its mean in the part is that of the other rows
        slopes -= between * (-n_out * out_y_mean / n_in - out_y_mean)
    gram /= n_in
    sqnorms = np.zeros_like(whole.design.sqnorms)
    sqnorms[columns] = gram.diagonal()
    if np.any(sqnorms[columns] < _KEPT * whole.design.sqnorms[columns]):
        return None
    design = backend.reweighted(whole.design, problem.sample_weight, means, sqnorms)
    pool = ColumnPool(backend, design)
    pool.fill(columns, gram)
    part = Workspace(problem, backend, DataCache(design, pool), slopes_at_zero=slopes / n_in)
    return part if part.sq_y >= _KEPT * whole.sq_y else None
