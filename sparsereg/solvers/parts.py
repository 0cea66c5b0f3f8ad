"""Training parts of one data set.

The scatter of the whole is that of its two parts and what lies between their means: with total
weights N = N_a + N_b, means m_a, m_b and Gram matrices G, G_a, G_b of centered columns,

    N G = N_a G_a + N_b G_b + (N_a N_b / N) (m_a - m_b)(m_a - m_b)',

and the same holds for X'y. Where the Gram matrix of the whole is known, that of a training part
costs the rows that are left out; five folds together cost what the whole did. Where every row is
left out once, those are all products there are: the whole is their sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsereg.backends.protocol import Backend, FloatArray, IndexArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.column_pool import ColumnPool
from sparsereg.solvers.driver import AnyWorkspace, make_workspace, prepare
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.working_set import wants_whole_gram
from sparsereg.solvers.workspace import DataCache, RowSums, Workspace

# A part this much smaller than the whole would lose digits in the difference, in a column or in y.
_KEPT = 1e-3
# Rows of a Gram matrix that change at a time.
_ROWS_CHANGED = 64


def rows_left_out(train: IndexArray, n_samples: int) -> IndexArray | None:
    """Return the rows that do not train; None where one trains more than once."""
    times = np.bincount(train, minlength=n_samples)
    return np.flatnonzero(times == 0) if times.max() == 1 else None


def prepare_parts(
    whole: AnyWorkspace, penalty: ElasticNet, n_alphas: int, trains: Sequence[IndexArray]
) -> None:
    """Do at once what pays for so many solves, on all rows and on the training parts."""
    if isinstance(whole, Workspace) and wants_whole_gram(whole, penalty, n_alphas):
        n = whole.y.size
        left_out = [rows_left_out(train, n) for train in trains]
        known = [rows for rows in left_out if rows is not None]
        once = sum(rows.size for rows in known) == n == np.unique(np.concatenate(known)).size
        if once and len(known) == len(trains) and not len(whole.pool):
            with single_threaded_blas():
                _take_gram_by_parts(whole, known)
    prepare(whole, penalty, n_alphas)


def _take_gram_by_parts(whole: Workspace, left_out: Sequence[IndexArray]) -> None:
    """Fill the pool of the whole with the sum over parts of its rows; keep what they gave."""
    columns = np.flatnonzero(whole.design.sqnorms > 0)
    weights = _weights(whole)
    if not columns.size or not all(0 < weights[r].sum() <= 0.5 * weights.size for r in left_out):
        return
    gram = np.zeros((columns.size, columns.size))
    for rows in sorted(left_out, key=lambda rows: int(rows[0])):  # whatever their order is
        sums = _sums_of(whole, rows, columns)
        share = sums.weight / whole.y.size
        away = (sums.means - whole.design.means)[columns] if whole.centered else None
        _add_scaled(gram, 1.0, sums.gram, share, away, share)
        whole.cache.parts[rows.tobytes()] = sums
    whole.pool.fill(columns, gram)


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
    n, n_out = whole.y.size, float(_weights(whole)[left_out].sum())
    if not 0.0 < n_out <= 0.5 * n:
        return None
    n_in = n - n_out
    columns = whole.pool.columns
    out = whole.cache.parts.pop(left_out.tobytes(), None)
    if out is None or not np.array_equal(out.columns, columns):
        out = _sums_of(whole, left_out, columns)
    slopes = n * whole.slopes_at_zero - n_out * out.slopes
    means, away = whole.design.means, None
    if whole.centered:
        means = (n * means - n_out * out.means) / n_in
        away = (means - out.means)[columns]
        # y is centered already: what is left of its mean in the part is that of the other rows
        between = n_in * n_out / n * (means - out.means)
        slopes -= between * (-n_out * out.y_mean / n_in - out.y_mean)
    gram = out.gram  # in place: there is no other besides that of the whole
    _add_scaled(gram, -n_out / n_in, whole.pool.gram, n / n_in, away, -n_out / n)
    sqnorms = np.zeros_like(whole.design.sqnorms)
    sqnorms[columns] = gram.diagonal()
    if np.any(sqnorms[columns] < _KEPT * whole.design.sqnorms[columns]):
        return None
    design = backend.reweighted(whole.design, problem.sample_weight, means, sqnorms)
    pool = ColumnPool(backend, design)
    pool.fill(columns, gram)
    part = Workspace(problem, backend, DataCache(design, pool), slopes_at_zero=slopes / n_in)
    return part if part.sq_y >= _KEPT * whole.sq_y else None


def _weights(whole: Workspace) -> FloatArray:
    return np.ones(whole.y.size) if whole.sample_weight is None else whole.sample_weight


def _sums_of(whole: Workspace, rows: IndexArray, columns: IndexArray) -> RowSums:
    """Return what some rows know on their own; reads them, and copies them meanwhile."""
    weights, y = _weights(whole)[rows], whole.y[rows]
    total, backend = float(weights.sum()), whole.backend
    scaled = None if whole.sample_weight is None else weights * (rows.size / total)
    design = backend.design(backend.take_rows(whole.design, rows), scaled, whole.centered)
    y_mean = float(np.average(y, weights=weights)) if whole.centered else 0.0
    gram = backend.gram(design, columns, columns.size)
    slopes = backend.xtr(design, y - y_mean)
    return RowSums(total, columns, design.means, y_mean, gram, slopes)


def _add_scaled(
    gram: FloatArray,
    factor: float,
    other: FloatArray,
    other_factor: float,
    away: FloatArray | None,
    outer_factor: float,
) -> None:
    """Replace ``gram`` by its multiple plus those of another one and of ``away away'``."""
    size = len(gram)
    for start in range(0, size, _ROWS_CHANGED):
        rows = slice(start, start + _ROWS_CHANGED)
        gram[rows] *= factor
        gram[rows] += other_factor * other[rows, :size][: len(gram[rows])]
        if away is not None:
            gram[rows] += np.outer(outer_factor * away[rows], away)
