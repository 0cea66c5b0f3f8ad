"""A fit from X'X and X'y is the fit on X and y."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg import ElasticNet, Lasso, SparseRegressor, fit_gram, penalties


def draw(n=60, p=12, seed=0, dependent=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    if dependent:
        X[:, -1] = X[:, 0] - X[:, 1]
    return X, 2 * X[:, 0] - X[:, 1] + rng.standard_normal(n)


@pytest.mark.parametrize("n", [60, 8], ids=["tall", "wide"])
@pytest.mark.parametrize("alpha", [0.01, 0.3])
def test_lasso_equals_the_fit_on_the_rows(n, alpha):
    X, y = draw(n)
    fit = fit_gram(X.T @ X, X.T @ y, n, penalty=penalties.L1(alpha))
    rows = Lasso(alpha, fit_intercept=False, tol=1e-12).fit(X, y)
    assert fit.converged
    np.testing.assert_allclose(X @ fit.coef, rows.predict(X), atol=1e-5)
    objective = np.sum((y - rows.predict(X)) ** 2) / (2 * n) + alpha * abs(rows.coef_).sum()
    assert fit.objective + y @ y / (2 * n) == pytest.approx(objective, rel=1e-9)


def test_elastic_net_with_weights_equals_the_fit_on_the_rows():
    X, y = draw(dependent=True)
    weights = np.r_[0.0, np.inf, np.ones(10)]
    penalty = penalties.ElasticNet(0.1, l1_ratio=0.5, weights=weights)
    fit = fit_gram(X.T @ X, X.T @ y, len(y), penalty=penalty)
    rows = ElasticNet(0.1, penalty_weights=weights, fit_intercept=False, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(fit.coef, rows.coef_, atol=1e-7)


@pytest.mark.parametrize(
    "penalty", [penalties.MCP(0.2), penalties.L0(0.05), penalties.L0Constraint(2)]
)
def test_nonconvex_penalties_equal_the_fit_on_the_rows(penalty):
    X, y = draw()
    fit = fit_gram(X.T @ X, X.T @ y, len(y), penalty=penalty)
    rows = SparseRegressor(penalty, fit_intercept=False).fit(X, y)
    np.testing.assert_allclose(fit.coef, rows.coef_, atol=1e-5)


def test_the_certificate_bounds_the_distance_to_the_minimum():
    X, y = draw()
    loose = fit_gram(X.T @ X, X.T @ y, len(y), penalty=penalties.L1(0.1), tol=1e-2)
    tight = fit_gram(X.T @ X, X.T @ y, len(y), penalty=penalties.L1(0.1), tol=1e-14)
    assert 0 <= loose.objective - tight.objective <= loose.certificate + 1e-15


def test_nothing_but_zeros_gives_zeros():
    assert fit_gram(np.zeros((3, 3)), np.zeros(3), 5).coef.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gram": np.diag([1.0, -1.0])}, "not positive semidefinite"),
        ({"gram": np.array([[1.0, 1.0], [0.0, 1.0]])}, "not symmetric"),
        ({"gram": np.ones((2, 3))}, "must be X'X"),
        ({"gram": np.diag([1.0, 0.0])}, "not in the range"),
        ({"gram": np.zeros((2, 2))}, "not in the range"),
        ({"xty": np.ones(3)}, "must be X'y"),
        ({"xty": [1.0, np.nan]}, "NaN"),
        ({"n": 0}, "'n' parameter"),
        ({"tol": -1.0}, "'tol' parameter"),
        ({"strategy": "magic"}, "'strategy' parameter"),
        ({"backend": "abacus"}, "no backend named"),
    ],
)
def test_wrong_arguments_say_what_would_be_right(change, message):
    arguments = {"gram": np.eye(2), "xty": np.ones(2), "n": 1, **change}
    with pytest.raises(ValueError, match=message):
        fit_gram(**arguments)


def test_a_penalty_that_is_none_is_refused():
    with pytest.raises(TypeError, match="not a separable penalty"):
        fit_gram(np.eye(2), np.ones(2), 1, penalty="l1")
