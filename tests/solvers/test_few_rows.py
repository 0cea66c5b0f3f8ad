"""Paths of data with few rows in one call: the same solutions, and where the drivers go on."""

import numpy as np
import pytest
from sklearn.linear_model import lasso_path as sklearn_lasso_path
from sparsereg.benchmarks import data

from sparsereg import LassoCV
from sparsereg.backends.numba import backend
from sparsereg.losses import Squared
from sparsereg.penalties import ElasticNet
from sparsereg.solvers import few_rows
from sparsereg.solvers.path import alpha_grid, solve_path
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

N, P = 40, 400


def wide(seed=0, n=N, p=P):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 1)) + 0.3 * rng.standard_normal((n, p))  # correlated .9
    X += 0.7 * rng.standard_normal((n, p)).cumsum(axis=1) / np.sqrt(p)
    y = X[:, ::50].sum(axis=1) + rng.standard_normal(n)
    return X, y


def weights_of_some_rows(n=N):
    weights = np.random.default_rng(1).uniform(0.5, 2.0, n)
    weights[::4] = 0.0
    return weights * n / weights.sum()


def penalty_weights():
    weights = np.linspace(0.5, 2.0, P)
    weights[3] = np.inf
    return weights


def path(X, y, penalty=None, weights=None, fit_intercept=True, alphas=50):
    penalty = ElasticNet(1.0, l1_ratio=1.0) if penalty is None else penalty
    work = Workspace(Problem(X, y, penalty, Squared(), weights, fit_intercept), backend)
    alphas = alpha_grid(work, penalty, alphas, 0.01)
    stretches = list(solve_path(work, penalty, alphas, tol=1e-9, max_iter=1000))
    return work, alphas, stretches


def step_by_step(monkeypatch, *args, **kwargs):
    with monkeypatch.context() as patch:
        patch.setattr(few_rows, "_OF_PATHS", (0, 0))
        patch.setattr(few_rows, "_OF_FITS", (0, 0))
        return path(*args, **kwargs)[2]


def all_of(stretches, name):
    return np.concatenate([np.atleast_1d(getattr(stretch, name)) for stretch in stretches])


def coefs_of(stretches):
    return np.array([stretch.coef(k) for stretch in stretches for k in range(len(stretch))])


CASES = {
    "lasso": {},
    "no intercept": {"fit_intercept": False},
    "weights": {"weights": weights_of_some_rows()},
    "positive": {"penalty": ElasticNet(1.0, l1_ratio=1.0, positive=True)},
    "penalty weights": {"penalty": ElasticNet(1.0, l1_ratio=1.0, weights=penalty_weights())},
    "elastic net": {"penalty": ElasticNet(1.0, l1_ratio=0.7)},
    "elastic net, weights": {
        "penalty": ElasticNet(1.0, l1_ratio=0.9, weights=penalty_weights()),
        "weights": weights_of_some_rows(),
    },
}


STORES = {"columns": np.asfortranarray, "rows": np.ascontiguousarray, "float32": np.float32}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_call_finds_what_one_step_after_the_other_finds(case, store, monkeypatch):
    X, y = wide()
    X = STORES[store](X)
    work, alphas, stretches = path(X, y, **case)
    expected = step_by_step(monkeypatch, X, y, **case)

    assert max(map(len, stretches)) > 12  # more than are tried at once
    assert sum(map(len, stretches)) == len(alphas)
    coefs, wanted = coefs_of(stretches), coefs_of(expected)
    np.testing.assert_allclose(coefs, wanted, atol=1e-8 * np.abs(wanted).max())
    for name in ("intercepts", "residuals"):
        np.testing.assert_allclose(
            all_of(stretches, name), all_of(expected, name), atol=1e-8 * np.abs(y).max()
        )
    assert np.all(all_of(stretches, "dual_gaps") <= 1e-9 * work.sq_y)


def test_the_path_is_the_one_of_scikit_learn():
    X, y = data.toeplitz(60, 500, 0.5)
    _, alphas, stretches = path(X, y, fit_intercept=False)
    _, expected, _ = sklearn_lasso_path(X, y, alphas=alphas, tol=1e-12, max_iter=100_000)
    np.testing.assert_allclose(coefs_of(stretches).T, expected, atol=1e-5)


def test_afterwards_the_workspace_is_at_the_last_solution():
    X, y = wide()
    work, _, stretches = path(X, y)
    np.testing.assert_array_equal(work.coef, stretches[-1].coef(-1))
    centered = X - X.mean(axis=0)
    residual = y - y.mean() - centered @ work.coef
    np.testing.assert_allclose(work.residual, residual, atol=1e-12)
    np.testing.assert_allclose(work.gradient, centered.T @ residual / N, atol=1e-12)
    assert work.sq_residual == pytest.approx(residual @ residual / N)


def test_alphas_that_do_not_fall_are_solved_one_by_one():
    X, y = wide()
    _, grid, expected = path(X, y)
    zigzag = np.concatenate([grid[:10], grid[5:20], grid[2:4]])
    _, _, stretches = path(X, y, alphas=zigzag)
    wanted = coefs_of(expected)
    wanted = np.concatenate([wanted[:10], wanted[5:20], wanted[2:4]])
    np.testing.assert_allclose(coefs_of(stretches), wanted, atol=1e-8 * np.abs(wanted).max())


def test_where_the_pool_has_no_room_left_the_drivers_go_on():
    X, y = wide(n=12, p=900)
    work, alphas, stretches = path(X, y, ElasticNet(1.0, l1_ratio=0.05))
    assert np.count_nonzero(work.coef) > 250 + 8 * 12
    assert sum(map(len, stretches)) == len(alphas)
    assert np.all(all_of(stretches, "dual_gaps") <= 1e-9 * work.sq_y)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_folds_give_the_same_bits_for_any_number_of_jobs(n_jobs):
    X, y = wide()
    one, other = (LassoCV(n_jobs=jobs).fit(X, y) for jobs in (None, n_jobs))
    np.testing.assert_array_equal(one.mse_path_, other.mse_path_)
    np.testing.assert_array_equal(one.coef_path_, other.coef_path_)


def test_the_errors_of_folds_are_those_of_their_predictions():
    X, y = wide()
    folds = [(np.arange(10, N), np.arange(10)), (np.arange(30), np.arange(30, N))]
    model = LassoCV(cv=folds).fit(X, y)
    for k, (train, test) in enumerate(folds):
        coefs = model.fold_coef_path_[k].toarray()
        intercepts = y[train].mean() - X[train].mean(axis=0) @ coefs
        errors = np.mean((y[test, None] - X[test] @ coefs - intercepts) ** 2, axis=0)
        np.testing.assert_allclose(model.mse_path_[:, k], errors, rtol=1e-9)
