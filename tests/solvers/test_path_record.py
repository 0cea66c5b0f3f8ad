"""A path is recorded in stretches: what is read from the record does not depend on how it came."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sparsereg import lasso_path
from sparsereg.solvers import look_ahead
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.path import PathRecord
from sparsereg.solvers.problem import Stretch

N_ALPHAS, P = 9, 20


def stretches(sizes, seed=0):
    """Return solutions that change their columns, in no order, from stretch to stretch."""
    rng = np.random.default_rng(seed)
    for size in sizes:
        columns = rng.permutation(P)[: rng.integers(0, 8)]
        coefs = rng.standard_normal((size, columns.size)) * (rng.random((size, columns.size)) < 0.6)
        yield Stretch(
            shape=(P,),
            columns=columns,
            coefs=coefs,
            intercepts=rng.standard_normal(size),
            dual_gaps=rng.random(size),
            tolerance=float(rng.random()),
            n_iters=rng.integers(0, 9, size),
            stalled=bool(rng.random() < 0.5),
            residuals=rng.standard_normal((size, 4)),
        )


def two_records(sizes=(3, 1, 0, 5)):
    """Record stretches as they are, and their solutions one by one."""
    together, alone = PathRecord(P), PathRecord(P)
    for stretch in stretches(sizes):
        together.append(stretch)
        for k in range(len(stretch)):
            alone.append(stretch.solution(k))
    return together, alone


def assert_same(first, second):
    assert len(first) == len(second)
    for name in ("intercepts", "dual_gaps", "tolerances", "n_iters", "stalled"):
        assert getattr(first, name) == getattr(second, name)
    dense = first.dense_coefs(np.dtype(float))
    np.testing.assert_array_equal(dense, second.dense_coefs(np.dtype(float)))
    for record in (first, second):
        sparse = record.sparse_coefs()
        assert sparse.has_canonical_format
        assert np.all(sparse.data != 0)
        np.testing.assert_array_equal(sparse.toarray(), dense)
        for k in range(len(record)):
            np.testing.assert_array_equal(record.coef(k), dense[:, k])


def test_solutions_recorded_together_read_as_if_recorded_one_by_one():
    assert_same(*two_records())


@pytest.mark.parametrize("n_alphas", [0, 2, 3, 4, 7, 9, 12])
def test_the_first_alphas_of_a_record_are_those_of_its_lists(n_alphas):
    together, alone = two_records()
    part = together.first(n_alphas)
    assert len(part) == min(n_alphas, N_ALPHAS)
    assert part.dual_gaps == together.dual_gaps[:n_alphas]
    assert_same(part, alone.first(n_alphas))
    assert len(together) == N_ALPHAS


def test_there_is_no_solution_after_the_last():
    record, _ = two_records()
    with pytest.raises(IndexError, match="no such alpha"):
        record.coef(N_ALPHAS)


def test_a_record_is_told_of_each_alpha_once():
    record = PathRecord(P)
    told = [len(record) for _ in record.follow(stretches((3, 1, 5)))]
    assert told == [3, 3, 3, 4, 9, 9, 9, 9, 9]


def test_residuals_are_not_kept():
    record, _ = two_records()
    assert all(stretch.residuals is None for stretch in record._stretches)


@pytest.mark.parametrize(("size", "kept"), [(1e30, np.float32), (1e300, np.float64)])
def test_coefficients_beyond_float32_are_returned_in_float64(size, kept):
    record = PathRecord(P)
    for stretch in stretches((3, 2)):
        stretch.coefs = np.full_like(stretch.coefs, size)
        record.append(stretch)
    coefs = record.dense_coefs(np.dtype(np.float32))
    assert coefs.dtype == kept
    assert np.max(coefs) == pytest.approx(size)


@pytest.mark.parametrize("form", ["columns", "rows"])
@pytest.mark.parametrize("params", [{}, {"positive": True}, {"fit_intercept": True}], ids=str)
def test_alphas_solved_together_are_those_solved_one_by_one(monkeypatch, form, params):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 200))
    X = np.asfortranarray(X) if form == "columns" else X
    y = X[:, :5].sum(axis=1) + rng.standard_normal(50)
    together = lasso_path(X, y, tol=1e-10, eps=0.02, **params)
    monkeypatch.setattr(look_ahead, "_MAX_ALPHAS", 1)
    alone = lasso_path(X, y, tol=1e-10, eps=0.02, **params)
    np.testing.assert_allclose(together[1], alone[1], rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(together[1] != 0, alone[1] != 0)


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_has_one_thread_inside_and_what_it_had_after():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with single_threaded_blas():
            with single_threaded_blas():
                inner = blas_threads()
            outer = blas_threads()
        assert before
        assert set(before) == {2}
        assert set(inner) == set(outer) == {1}
        assert blas_threads() == before
