"""How a single fit comes down to its bounds: in levels, with steps that see some columns only."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from sparsereg import ElasticNet, Lasso, lasso_path
from sparsereg.solvers import working_set
from sparsereg.solvers.column_pool import ColumnPool

pytestmark = pytest.mark.usefixtures("step_by_step")

RNG = np.random.default_rng(8)
N, P = 60, 900
X = np.asfortranarray(RNG.standard_normal((N, P)) + RNG.standard_normal((N, 1)))
Y = X[:, :8] @ RNG.standard_normal(8) + RNG.standard_normal(N)
ALPHA_MAX = np.max(np.abs((X - X.mean(axis=0)).T @ (Y - Y.mean()))) / N
FORMS = {
    "columns": np.asfortranarray,
    "rows": np.ascontiguousarray,
    "sparse": lambda values: sparse.csc_array(np.where(np.abs(values) > 1.0, values, 0.0)),
}
MODELS = {
    "lasso": lambda: Lasso(0.02 * ALPHA_MAX, tol=1e-10),
    "positive": lambda: Lasso(0.02 * ALPHA_MAX, positive=True, tol=1e-10),
    "elastic net": lambda: ElasticNet(0.02 * ALPHA_MAX, l1_ratio=0.7, tol=1e-10),
    "weights": lambda: Lasso(
        0.02 * ALPHA_MAX, penalty_weights=np.where(np.arange(P) % 7, 1.0, np.inf), tol=1e-10
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", MODELS)
def test_steps_between_passes_end_at_the_same_solution(form, model, monkeypatch):
    data = FORMS[form](X)
    found = MODELS[model]().fit(data, Y)
    monkeypatch.setattr(working_set, "_STEPS_IN_SIGHT", 0)
    expected = MODELS[model]().fit(data, Y)
    assert found.converged_
    assert expected.converged_
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-7)


def test_steps_between_passes_save_passes(monkeypatch):
    passes = len(Lasso(0.05 * ALPHA_MAX).fit(X, Y).history_)
    monkeypatch.setattr(working_set, "_STEPS_IN_SIGHT", 0)
    assert passes < len(Lasso(0.05 * ALPHA_MAX).fit(X, Y).history_)


def test_columns_out_of_sight_are_found_by_the_next_pass(monkeypatch):
    # nothing but the pool is in sight: each step between passes is blind
    monkeypatch.setattr(working_set, "_IN_SIGHT", 1e9)
    model = Lasso(0.02 * ALPHA_MAX, tol=1e-10).fit(X, Y)
    assert model.converged_
    monkeypatch.setattr(working_set, "_STEPS_IN_SIGHT", 0)
    expected = Lasso(0.02 * ALPHA_MAX, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-7)


def test_sparse_data_need_no_coordinate_descent(monkeypatch):
    def never(*arguments):
        raise AssertionError("descent on the residual")

    monkeypatch.setattr(working_set, "descend_on_residual", never)
    model = Lasso(0.02 * ALPHA_MAX, tol=1e-10).fit(FORMS["sparse"](X), Y)
    assert model.converged_


def test_more_sparse_columns_than_a_gram_matrix_is_built_for_are_solved_on_the_residual(
    monkeypatch,
):
    data = FORMS["sparse"](X)
    expected = Lasso(0.05 * ALPHA_MAX, tol=1e-10).fit(data, Y)
    monkeypatch.setattr(working_set, "_SPARSE_POOL", 5)
    model = Lasso(0.05 * ALPHA_MAX, tol=1e-8).fit(data, Y)
    assert model.converged_
    np.testing.assert_allclose(model.predict(data), expected.predict(data), atol=1e-2)


def test_an_unpenalized_feature_is_fitted_exactly_at_every_level():
    weights = np.ones(P)
    weights[:2] = 0.0
    model = Lasso(0.02 * ALPHA_MAX, penalty_weights=weights, tol=1e-10).fit(X, Y)
    residual = Y - model.predict(X)
    assert model.converged_
    assert np.max(np.abs((X - X.mean(axis=0))[:, :2].T @ residual)) < 1e-8


@pytest.mark.parametrize("seed", [46, 66, 74])
def test_a_factor_that_lost_its_digits_is_not_a_solution(seed):
    # nearly as many active columns as rows, and hundreds of changes on the way there
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((7, 1000)) * (rng.random((7, 1000)) < 0.1)
    target, weights = rng.standard_normal(7), rng.choice([0.1, 1.0, 2.0], 7)
    centered = values - np.average(values, axis=0, weights=weights)
    alpha_max = np.max(np.abs(centered.T @ (weights * target))) / weights.sum()
    model = Lasso(1e-3 * alpha_max, tol=1e-8).fit(values, target, sample_weight=weights)
    assert model.converged_


@pytest.mark.parametrize("seed", [7, 17, 25])
def test_descent_that_crawls_among_sparse_columns_goes_to_the_gram_matrix(seed, monkeypatch):
    # more columns near their bounds than a Gram matrix is made of
    monkeypatch.setattr(working_set, "_SPARSE_POOL", 200)
    monkeypatch.setattr(working_set, "_FIRST_SPARSE_SIZE", 100)
    rng = np.random.default_rng(seed)
    values = 0.1 * rng.standard_normal((50, 500)) + rng.standard_normal((50, 1))
    target = values[:, :5].sum(axis=1)
    alpha = 0.03 * np.max(np.abs(values.T @ target)) / len(target)
    model = Lasso(alpha, tol=1e-10, fit_intercept=False).fit(sparse.csc_array(values), target)
    assert model.converged_


# Columns that others explain come near their bound, and leave again.
SUMS = RNG.standard_normal((N, 150))
CHANGING = np.asfortranarray(np.hstack([SUMS, SUMS @ RNG.standard_normal((150, 300)) / 8, X]))


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_paths_that_drop_far_columns_have_the_same_solutions(form, positive, monkeypatch):
    dropped = []
    keep_only = ColumnPool.keep_only

    def counted(pool, wanted):
        dropped.append(np.count_nonzero(~wanted))
        keep_only(pool, wanted)

    monkeypatch.setattr(ColumnPool, "keep_only", counted)
    monkeypatch.setattr(working_set, "FAR_SHARE", 0.01)
    data = FORMS[form](CHANGING)
    how = {"positive": positive, "tol": 1e-10, "fit_intercept": True, "eps": 1e-2}
    _, found, gaps = lasso_path(data, Y, **how)
    assert sum(dropped) > 0
    monkeypatch.setattr(working_set, "FAR_SHARE", 1.0)
    assert np.all(gaps <= 1e-10 * np.mean((Y - Y.mean()) ** 2))
    _, expected, _ = lasso_path(data, Y, **how)
    np.testing.assert_allclose(found, expected, atol=1e-6)
