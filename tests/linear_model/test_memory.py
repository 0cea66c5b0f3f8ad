"""Peak memory of fits, paths and cross-validation beside X: no second copy, whatever its form.

NumPy and Numba tell `tracemalloc` what they allocate, so that these are exact figures. The data
have few relevant features: what is held beside X are Gram matrices of some hundred columns.
"""

from __future__ import annotations

import mmap
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sparsereg import Lasso, LassoCV, lasso_path
from sparsereg.backends.numba import backend
from sparsereg.solvers.column_pool import ColumnPool
from sparsereg.solvers.reserved import LARGE

N, P = 2000, 1250
ALPHAS = np.array([0.9, 0.6, 0.4])


def problem():
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.standard_normal((N, P)))
    return X, X[:, :20] @ np.ones(20) + rng.standard_normal(N)


X, Y = problem()
WEIGHTS = np.linspace(0.5, 1.5, N)
FORMS = {
    "float64 by columns": lambda: X,
    "float64 by rows": lambda: np.ascontiguousarray(X),
    "float32 by columns": lambda: X.astype(np.float32),
    "float32 by rows": lambda: np.ascontiguousarray(X, dtype=np.float32),
}
TASKS = {
    "fit": lambda data: Lasso(alpha=0.4).fit(data, Y),
    "fit with weights": lambda data: Lasso(alpha=0.4).fit(data, Y, sample_weight=WEIGHTS),
    "path": lambda data: lasso_path(data, Y, alphas=ALPHAS, fit_intercept=True),
    "cv": lambda data: LassoCV(alphas=ALPHAS, cv=5, n_jobs=1).fit(data, Y),
}

every_form = pytest.mark.parametrize("form", FORMS)
every_task = pytest.mark.parametrize("task", TASKS)


def peak_of(call, *arguments):
    """Return the bytes that a call has at most at a time; kernels are compiled before."""
    call(*arguments)
    tracemalloc.start()
    try:
        call(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@every_form
@every_task
def test_nothing_takes_a_fifth_of_a_dense_X(form, task):
    assert peak_of(TASKS[task], FORMS[form]()) < 0.2 * X.nbytes


@every_task
def test_X_in_neither_order_is_copied_once(task):
    data = np.repeat(X, 2, axis=1)[:, ::2]
    assert not data.flags.forc
    assert X.nbytes <= peak_of(TASKS[task], data) < 1.2 * X.nbytes


@every_task
@pytest.mark.parametrize(("form", "copies"), [(sparse.csc_array, 0), (sparse.csr_array, 1)])
def test_sparse_X_is_copied_by_a_change_of_format_only(form, copies, task):
    stored = sparse.csr_array(np.where(np.abs(X) > 0.8, X, 0.0))
    data = form(stored)
    size = data.data.nbytes + data.indices.nbytes + data.indptr.nbytes
    assert copies <= peak_of(TASKS[task], data) / size < copies + 0.3


def test_a_tall_path_holds_one_gram_matrix_and_a_factor():
    data = X[:, :700]
    gram = 8 * 700**2
    alphas = np.geomspace(1, 1e-3, 20)
    assert peak_of(lambda: lasso_path(data, Y, alphas=alphas)) < 2.4 * gram + 0.1 * data.nbytes


@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
def test_a_pool_that_grows_holds_one_gram_matrix_and_what_is_new(container):
    design = backend.design(container(np.where(np.abs(X) > 1.64, X, 0.0)), None, True)

    def grow():
        pool = ColumnPool(backend, design)
        for start in range(0, 1200, 150):
            pool.add(np.arange(start, start + 150))

    gram, block = 8 * 1200**2, 8 * 1200 * 150
    spare = 1.07**2  # columns that it has room for
    # what is mapped is not traced, but what NumPy gave before is, and what is new
    assert peak_of(grow) < min(LARGE, spare * gram) + 2 * block + 0.1 * X.nbytes


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for the memory used")
def test_a_large_pool_takes_the_memory_of_what_it_holds():
    design = backend.design(X, None, True)

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    pool = ColumnPool(backend, design)
    pool.add(np.arange(700))
    before = resident()
    pool.add(np.arange(700, 1200))
    assert pool.gram.nbytes > 1.05 * 8 * 1200**2  # it has room for more
    assert resident() - before < 1.5 * 8 * 1200**2


def test_a_pool_that_shrinks_holds_one_gram_matrix():
    design, kept = backend.design(X, None, True), np.arange(1200) % 3 > 0
    whole = backend.gram(design, np.arange(1200), 1200)

    def shrink():
        pool = ColumnPool(backend, design)
        pool.fill(np.arange(1200), whole.copy())
        pool.keep_only(kept)
        np.testing.assert_array_equal(pool.columns, np.flatnonzero(kept))

    assert peak_of(shrink) < 1.1 * whole.nbytes


@pytest.mark.parametrize("columns", [None, np.arange(3, 6203)], ids=["all", "listed"])
def test_a_short_pass_over_float32_converts_a_part_of_X(columns):
    data = np.random.default_rng(1).standard_normal((100, 6250)).astype(np.float32)
    design, residuals = backend.design(data, None, True), np.ones((3, 100))
    vectors = 8 * 6250 * 5  # three of results, one of column numbers, one of means
    assert peak_of(backend.xtr_tasks, design, residuals, columns) < 0.15 * data.nbytes + vectors


def test_an_array_that_somebody_holds_is_left_to_them():
    pool = ColumnPool(backend, backend.design(X, None, True))
    pool.add(np.arange(10))
    held = pool.gram
    before = held.copy()
    pool.add(np.arange(10, 30))
    pool.keep_only(np.arange(30) % 2 == 0)
    np.testing.assert_array_equal(held, before)
    expected = backend.gram(pool._design, pool.columns, 15)
    np.testing.assert_allclose(pool.gram[:15, :15], expected, atol=1e-12)


def test_folds_take_no_more_memory_than_one_of_them():
    rng = np.random.default_rng(1)
    wide = np.asfortranarray(rng.standard_normal((400, 2000)))
    y = wide[:, :100] @ rng.standard_normal(100) + rng.standard_normal(400)
    alphas = np.abs(wide.T @ (y - y.mean())).max() / 400 * np.geomspace(1.0, 0.02, 30)

    def folds(n_folds):
        rows = np.arange(400)
        splits = [(np.flatnonzero(rows % 5 != k), rows[rows % 5 == k]) for k in range(n_folds)]
        return LassoCV(alphas=alphas, cv=splits)

    one, five = (peak_of(folds(n).fit, wide, y) for n in (1, 5))
    assert five < 1.25 * one
