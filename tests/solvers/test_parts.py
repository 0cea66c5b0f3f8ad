"""Training parts by down-dating, against workspaces made of the part itself."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg import Lasso, LassoCV
from sparsereg.backends.registry import resolve_backend
from sparsereg.losses import Squared
from sparsereg.penalties import L1
from sparsereg.solvers import parts
from sparsereg.solvers.parts import part_of
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

N, P = 120, 12


def data(seed=0, dtype=np.float64, order="F"):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P)) + rng.uniform(-5, 5, P)
    y = X[:, :3].sum(axis=1) + rng.standard_normal(N) + 10
    return np.array(X, dtype=dtype, order=order), y


def weights_of(kind, rng):
    return None if kind == "unweighted" else rng.integers(0, 4, N).astype(float)


def whole_and_part(X, y, weights, fit_intercept, left_out):
    """Return the workspace of all rows, complete, and the problem of the part."""
    backend = resolve_backend("numba", X)
    if weights is not None:
        weights = weights * N / weights.sum()
    problem = Problem(X, y, L1(), Squared(), weights, fit_intercept)
    whole = Workspace(problem, backend)
    whole.pool.complete()
    kept = np.ones(N) if weights is None else weights.copy()
    kept[left_out] = 0.0
    kept *= N / kept.sum()
    return whole, Problem(X, y, L1(), Squared(), kept, fit_intercept), backend


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["unweighted", "weighted"])
@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_part_knows_what_its_rows_say(fit_intercept, kind, order, dtype):
    rng = np.random.default_rng(1)
    X, y = data(dtype=dtype, order=order)
    left_out = rng.choice(N, 40, replace=False)
    whole, problem, backend = whole_and_part(X, y, weights_of(kind, rng), fit_intercept, left_out)
    part = part_of(whole, problem, backend, left_out)
    direct = Workspace(problem, backend)
    direct.pool.complete()
    assert part.on_gram  # it was not computed from the rows
    np.testing.assert_allclose(part.design.means, direct.design.means, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(part.design.sqnorms, direct.design.sqnorms, rtol=1e-10)
    np.testing.assert_allclose(part.pool.gram, direct.pool.gram, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(part.gradient, direct.gradient, rtol=1e-10, atol=1e-12)
    coef = rng.standard_normal(P)
    part.move_to(coef)
    direct.move_to(coef)
    np.testing.assert_allclose(part.gradient, direct.gradient, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(part.residual, direct.residual, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(part.sq_residual, direct.sq_residual, rtol=1e-9)
    np.testing.assert_allclose(part.intercept, direct.intercept, rtol=1e-9, atol=1e-12)


def test_a_column_that_varies_in_the_rows_left_out_only_is_constant_in_the_part():
    X, y = data()
    left_out = np.arange(30)
    X[30:, 4] = 2.5
    whole, problem, backend = whole_and_part(X, y, None, True, left_out)
    assert part_of(whole, problem, backend, left_out).design.sqnorms[4] == 0.0


def test_a_target_that_varies_in_the_rows_left_out_only_is_constant_in_the_part():
    X, y = data()
    left_out = np.arange(30)
    y[30:] = 1.0
    whole, problem, backend = whole_and_part(X, y, None, True, left_out)
    part = part_of(whole, problem, backend, left_out)
    assert part.sq_y == 0.0
    assert not part.gradient.any()


def test_rows_of_zero_weight_may_be_left_out():
    X, y = data()
    weights = np.ones(N)
    weights[:30] = 0.0
    left_out = np.arange(30)
    whole, problem, backend = whole_and_part(X, y, weights, True, left_out)
    part = part_of(whole, problem, backend, left_out)
    np.testing.assert_allclose(part.gradient, whole.gradient, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_validation_is_the_same_by_down_dating_and_by_rows(monkeypatch, weighted):
    rng = np.random.default_rng(3)
    X, y = data()
    weights = rng.uniform(0.1, 2, N) if weighted else None
    fast = LassoCV(tol=1e-12).fit(X, y, weights)
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "whole_gram_fits", False)
        patch.setattr(parts, "_downdated", None)
        slow = LassoCV(tol=1e-12).fit(X, y, weights)
    np.testing.assert_allclose(fast.mse_path_, slow.mse_path_, rtol=1e-8)
    np.testing.assert_allclose(fast.coef_path_, slow.coef_path_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.999999])
@pytest.mark.parametrize("share", [0.3, 0.01, 1e-5])
def test_gradients_from_the_gram_matrix_certify_what_those_from_x_do(
    monkeypatch, share, correlation
):
    rng = np.random.default_rng(4)
    X = rng.standard_normal((N, 40))
    X = np.sqrt(1 - correlation) * X + np.sqrt(correlation) * rng.standard_normal((N, 1))
    y = X[:, :5] @ rng.standard_normal(5) + 0.1 * rng.standard_normal(N)
    alpha = share * np.max(np.abs((X - X.mean(0)).T @ (y - y.mean()))) / N
    fast = Lasso(alpha, tol=1e-11).fit(X, y)
    monkeypatch.setattr(Workspace, "whole_gram_fits", False)
    slow = Lasso(alpha, tol=1e-11).fit(X, y)
    assert fast.converged_
    assert slow.converged_
    assert objective(X, y, fast, alpha) == pytest.approx(objective(X, y, slow, alpha), rel=1e-9)


def objective(X, y, model, alpha):
    residual = y - model.predict(X)
    return residual @ residual / (2 * len(y)) + alpha * np.abs(model.coef_).sum()


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["unweighted", "weighted"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_whole_is_the_sum_of_what_is_left_out(fit_intercept, kind, offset):
    rng = np.random.default_rng(3)
    X, y = data()
    X = X + offset * (np.arange(P) % 2)
    X[:, 5] = 7.0
    direct, _, _ = whole_and_part(X, y, weights_of(kind, rng), fit_intercept, np.arange(3))
    problem = Problem(X, y, L1(), Squared(), direct.sample_weight, fit_intercept)
    whole = Workspace(problem, direct.backend)
    folds = np.array_split(rng.permutation(N), 4)
    trains = [np.setdiff1d(np.arange(N), fold) for fold in folds]
    parts.prepare_parts(whole, L1(), 500, trains)
    assert len(whole.cache.parts) == 4
    assert whole.on_gram
    np.testing.assert_array_equal(whole.pool.columns, direct.pool.columns)
    norms = np.sqrt(direct.pool.gram.diagonal())
    error = np.abs(whole.pool.gram - direct.pool.gram) / np.outer(norms, norms)
    assert np.max(error) < 1e-9
    kept = np.ones(N) if direct.sample_weight is None else direct.sample_weight.copy()
    kept[folds[2]] = 0.0
    kept *= N / kept.sum()
    fold = Problem(X, y, L1(), Squared(), kept, fit_intercept)
    part = part_of(whole, fold, direct.backend, np.sort(folds[2]))
    assert len(whole.cache.parts) == 3  # each is used up
    own = Workspace(fold, direct.backend)
    own.pool.complete()
    error = np.abs(part.pool.gram - own.pool.gram) / np.outer(norms, norms)
    assert np.max(error) < 1e-9
    np.testing.assert_allclose(part.gradient / norms.max(), own.gradient / norms.max(), atol=1e-9)


@pytest.mark.parametrize("rows", [np.arange(20, N), np.arange(30, N), np.r_[np.arange(N - 1), 0]])
def test_parts_are_gathered_only_if_small_and_every_row_is_left_out_once(rows):
    X, y = data()
    whole, _, _ = whole_and_part(X, y, None, True, np.arange(3))
    fresh = Workspace(Problem(X, y, L1(), Squared(), None, True), whole.backend)
    parts.prepare_parts(fresh, L1(), 500, [rows, np.arange(30)])
    assert not fresh.cache.parts
    assert fresh.on_gram
