"""Reweighted l1 and splitting on a Gram matrix against a few lines of NumPy."""

import numpy as np
import pytest

from sparsereg.backends.numba import backend
from sparsereg.penalties import CEL0, L0, L1, MCP, SCAD, LogSum

PENALTIES = [MCP(0.2), SCAD(0.2), L0(0.03), LogSum(0.2), MCP(0.2, weights=[0, np.inf] + [1] * 28)]


def problem(seed=0, m=30, n=60):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, m)) + 0.7 * rng.standard_normal((n, 1))
    y = X[:, :4] @ np.array([1.0, -1.0, 0.5, 0.3]) + 0.3 * rng.standard_normal(n)
    return X.T @ X / n, X.T @ y / n


def value(gram, correlation, coef, penalty):
    return 0.5 * coef @ gram @ coef - correlation @ coef + penalty.value(coef)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_splitting_follows_the_prox_gradient_steps(penalty):
    gram, correlation = problem()
    coef, steps = np.zeros(30), 200
    used = backend.gram_split(gram, correlation, coef, penalty.kernel_form(30), steps, 0.0)
    step, expected = 0.99 / np.linalg.eigvalsh(gram)[-1], np.zeros(30)
    for _ in range(steps):
        expected = penalty.prox(expected + step * (correlation - gram @ expected), step)
    assert used <= steps
    np.testing.assert_allclose(coef, expected, atol=1e-6)
    assert np.count_nonzero(coef) > 1


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_where_reweighting_settles_the_next_lasso_is_the_same(penalty):
    gram, correlation = problem()
    coef = np.zeros(30)
    rounds = backend.gram_reweight(gram, correlation, coef, penalty.kernel_form(30), 100, 1e-9)
    assert 1 < rounds < 100
    slopes = penalty.relaxed_slope(coef, np.diag(gram))
    gradient = correlation - gram @ coef
    inside = coef != 0
    assert np.count_nonzero(inside) > 1
    np.testing.assert_allclose(gradient[inside], np.sign(coef[inside]) * slopes[inside], atol=1e-8)
    assert np.all(np.abs(gradient[~inside]) <= slopes[~inside] + 1e-8)


def test_one_round_is_the_lasso():
    gram, correlation = problem()
    coef, lasso = np.zeros(30), L1(0.1)
    backend.gram_reweight(gram, correlation, coef, lasso.kernel_form(30), 1, 1e-9)
    expected = np.zeros(30)
    step = 1.0 / np.linalg.eigvalsh(gram)[-1]
    for _ in range(20_000):
        expected = lasso.prox(expected + step * (correlation - gram @ expected), step)
    np.testing.assert_allclose(coef, expected, atol=1e-8)


def test_splitting_keeps_to_non_negative_coefficients():
    gram, correlation = problem()
    coef, penalty = np.zeros(30), MCP(0.1, positive=True)
    backend.gram_split(gram, correlation, coef, penalty.kernel_form(30), 500, 1e-9)
    assert np.all(coef >= 0)
    assert np.any(coef > 0)
    fixed = penalty.prox(coef + 0.01 * (correlation - gram @ coef), 0.01)
    np.testing.assert_allclose(fixed, coef, atol=1e-7)


@pytest.mark.parametrize("method", ["gram_split", "gram_reweight"])
def test_both_lower_the_relaxed_objective(method):
    gram, correlation = problem(1)
    coef, norms = np.zeros(30), np.sqrt(np.diag(gram))
    relaxed = CEL0(0.02, column_norms=norms)
    getattr(backend, method)(gram, correlation, coef, relaxed.kernel_form(30), 200, 1e-8)
    assert value(gram, correlation, coef, relaxed) < 0


@pytest.mark.parametrize("method", ["gram_split", "gram_reweight"])
def test_what_has_no_correlation_stays_at_zero(method):
    gram = np.zeros((3, 3))
    gram[:2, :2] = [[1.0, 1.0], [1.0, 1.0]]
    coef = np.zeros(3)
    getattr(backend, method)(gram, np.zeros(3), coef, MCP(0.1).kernel_form(3), 50, 1e-8)
    assert not coef.any()
