"""A path is a list of fits: what it equals, where it starts, what it returns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from sparsereg import ElasticNet, enet_path, lasso_path

N, P = 40, 12
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + RNG.standard_normal(N)
S = RNG.integers(1, 4, N).astype(float)
V = np.concatenate([[0.0, np.inf, 0.3], np.ones(P - 3)])

TIGHT = {"tol": 1e-14}
SETTINGS = {
    "plain": {},
    "intercept": {"fit_intercept": True},
    "positive": {"positive": True, "fit_intercept": True},
    "penalty weights": {"penalty_weights": V, "fit_intercept": True},
    "sample weights": {"sample_weight": S, "fit_intercept": True},
    "elastic net": {"l1_ratio": 0.3, "fit_intercept": True},
    "all": {
        "l1_ratio": 0.3, "fit_intercept": True, "positive": True, "sample_weight": S,
        "penalty_weights": np.where(V == 0, 1.0, V),
    },
}  # fmt: skip
every_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())


def path(setting, X=X, **changes):
    return enet_path(X, Y, **{"l1_ratio": 1.0, "n_alphas": 15, **TIGHT, **setting, **changes})


def single_fit(setting, alpha):
    params = {"l1_ratio": 1.0, "fit_intercept": False, **TIGHT, **setting}
    weights = params.pop("sample_weight", None)
    return ElasticNet(alpha=alpha, **params).fit(X, Y, sample_weight=weights)


@every_setting
def test_a_path_equals_independent_fits(setting):
    alphas, coefs, _ = path(setting)
    for alpha, coef in zip(alphas, coefs.T):
        np.testing.assert_allclose(coef, single_fit(setting, alpha).coef_, atol=2e-6)


@every_setting
def test_a_path_on_sparse_data_equals_the_dense_path(setting):
    dense, stored = path(setting), path(setting, X=sparse.csr_array(X))
    np.testing.assert_allclose(stored[1], dense[1], atol=2e-6)


@every_setting
def test_alphas_decrease(setting):
    assert np.all(np.diff(path(setting)[0]) < 0)


@every_setting
def test_the_path_starts_at_zero(setting):
    coefs = path(setting)[1]
    penalized = setting.get("penalty_weights", np.ones(P)) > 0
    assert not np.any(coefs[penalized, 0])


@every_setting
def test_the_path_starts_at_the_smallest_such_alpha(setting):
    largest = path(setting)[0][0]
    penalized = setting.get("penalty_weights", np.ones(P)) > 0
    assert np.any(single_fit(setting, 0.999 * largest).coef_[penalized])


@every_setting
def test_the_grid_is_geometric_down_to_eps(setting):
    alphas = path(setting, eps=1e-2)[0]
    np.testing.assert_allclose(alphas, np.geomspace(alphas[0], alphas[0] * 1e-2, 15))


@every_setting
def test_gaps_of_a_path_are_within_tolerance(setting):
    _, _, gaps = path(setting, tol=1e-6)
    s = setting.get("sample_weight", np.ones(N))
    mean = np.average(Y, weights=s) if setting.get("fit_intercept") else 0.0
    assert np.all((gaps >= 0) & (gaps <= 1e-6 * np.average((Y - mean) ** 2, weights=s)))


def test_given_alphas_are_used_in_decreasing_order():
    np.testing.assert_array_equal(path({}, alphas=[0.1, 1.0, 0.3])[0], [1.0, 0.3, 0.1])


def test_repeated_alphas_are_kept():
    _, coefs, _ = path({}, alphas=[0.1, 0.1])
    np.testing.assert_array_equal(coefs[:, 0], coefs[:, 1])


def test_alphas_may_be_their_number():
    np.testing.assert_array_equal(path({}, alphas=7)[0], path({}, n_alphas=7)[0])


def test_one_alpha_is_a_path():
    assert path({}, alphas=[0.1])[1].shape == (P, 1)


def test_alphas_are_not_modified():
    alphas = np.array([0.1, 1.0])
    path({}, alphas=alphas)
    np.testing.assert_array_equal(alphas, [0.1, 1.0])


def test_a_path_may_end_at_zero():
    _, coefs, _ = path({"fit_intercept": True}, alphas=[1.0, 0.0])
    A = np.column_stack([X, np.ones(N)])
    np.testing.assert_allclose(coefs[:, 1], np.linalg.lstsq(A, Y)[0][:-1], atol=1e-7)


def test_iterations_are_returned_on_request():
    result = path({}, return_n_iter=True)
    assert [int(count) for count in result[3]] == result[3]
    assert len(result[3]) == 15


def test_a_path_keeps_float32():
    assert path({}, X=X.astype(np.float32))[1].dtype == np.float32


def test_starting_at_the_solution_needs_no_iterations():
    _, coefs, _ = path({}, alphas=[0.1])
    start = {"coef_init": coefs[:, 0], "alphas": [0.1], "return_n_iter": True, "tol": 1e-8}
    assert path({}, **start)[3] == [0]


def test_the_starting_point_is_not_modified():
    start = np.ones(P)
    path({}, coef_init=start)
    np.testing.assert_array_equal(start, 1.0)


def test_the_starting_point_does_not_change_the_path():
    np.testing.assert_allclose(path({}, coef_init=10 * np.ones(P))[1], path({})[1], atol=1e-7)


def test_lasso_path_is_the_path_of_l1_ratio_one():
    for a, b in zip(lasso_path(X, Y, n_alphas=9), enet_path(X, Y, l1_ratio=1.0, n_alphas=9)):
        np.testing.assert_array_equal(a, b)


def test_positive_with_no_positive_correlation_is_a_path_of_zeros():
    x = np.abs(X)
    assert not np.any(lasso_path(x, -x.sum(axis=1), positive=True)[1])


def test_ridge_paths_need_alphas():
    with pytest.raises(ValueError, match="alphas"):
        enet_path(X, Y, l1_ratio=0)


def test_ridge_paths_agree_with_the_closed_form():
    alphas, coefs, _ = enet_path(X, Y, l1_ratio=0, alphas=[1.0, 0.1], **TIGHT)
    for alpha, coef in zip(alphas, coefs.T):
        expected = np.linalg.solve(X.T @ X / N + alpha * np.eye(P), X.T @ Y / N)
        np.testing.assert_allclose(coef, expected, atol=1e-5)
