"""Newton steps on the active set, and the factor they work on, against plain linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from sparse_problems import lasso_gram

from sparsereg.backends.numba import backend, factor
from sparsereg.backends.protocol import ActiveSet

M = 40


def spd(seed=0, size=M):
    A = np.random.default_rng(seed).standard_normal((2 * size, size))
    return A.T @ A / (2 * size)


def upper(gram, active, l2):
    return np.linalg.cholesky(gram[np.ix_(active, active)] + np.diag(l2[active])).T


def filled(gram, active, l2, room):
    """Return a factor with room for more columns, garbage elsewhere."""
    square = np.full((room, room), np.nan)
    square[: len(active), : len(active)] = upper(gram, active, l2)
    columns = np.full(room, -1)
    columns[: len(active)] = active
    return square[np.triu_indices(room)], columns


def square_of(array, room):
    """Return the triangle that a factor with so much room holds."""
    square = np.zeros((room, room))
    square[np.triu_indices(room)] = array
    return square


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7, 8, 20])
def test_solves_are_those_of_the_triangle(k):
    gram, b = spd(), np.random.default_rng(1).standard_normal(M)
    array, _ = filled(gram, np.arange(k), np.zeros(M), M)
    lower, high = b.copy(), b.copy()
    factor.solve_lower(array, lower, k)
    factor.solve_upper(array, high, k)
    U = square_of(array, M)[:k, :k]
    np.testing.assert_allclose(U.T @ lower[:k], b[:k], rtol=1e-10)
    np.testing.assert_allclose(U @ high[:k], b[:k], rtol=1e-10)
    np.testing.assert_array_equal(lower[k:], b[k:])


@pytest.mark.parametrize("k", [0, 1, 3, 4, 9, 16])
@pytest.mark.parametrize("new", [1, 2, 5])
def test_columns_appended_together_extend_the_factor(k, new):
    gram, l2 = spd(), np.random.default_rng(2).uniform(0, 1, M)
    active = np.random.default_rng(3).permutation(M)[: k + new]
    array, columns = filled(gram, active[:k], l2, k + new)
    assert factor.append_together(array, columns, k, gram, l2, active[k:], new)
    np.testing.assert_array_equal(columns, active)
    expected = upper(gram, active, l2)
    np.testing.assert_allclose(square_of(array, k + new), expected, rtol=1e-9, atol=1e-12)


def test_dependent_columns_are_refused_together_and_the_factor_stays():
    gram = spd()
    T = np.eye(M)
    T[:, 9] = T[:, 2] - T[:, 3]  # column 9 is a difference of two others
    gram = T.T @ gram @ T
    array, columns = filled(gram, np.arange(8), np.zeros(M), 10)
    before = square_of(array, 10)[:8, :8]
    assert not factor.append_together(array, columns, 8, gram, np.zeros(M), np.array([8, 9]), 2)
    np.testing.assert_array_equal(square_of(array, 10)[:8, :8], before)


@pytest.mark.parametrize("position", [0, 1, 5, 10, 11])
def test_a_deleted_column_leaves_the_factor_of_the_others(position):
    gram, l2 = spd(), np.full(M, 0.1)
    active = np.random.default_rng(4).permutation(M)[:12]
    array, columns = filled(gram, active, l2, 14)
    factor.remove(array, columns, 12, position)
    left = np.delete(active, position)
    np.testing.assert_array_equal(columns[:11], left)
    U = square_of(array, 14)[:11, :11]
    expected = gram[np.ix_(left, left)] + 0.1 * np.eye(11)
    np.testing.assert_allclose(U.T @ U, expected, rtol=1e-10, atol=1e-13)


def state_at(gram, coef, l2, rank):
    active = np.flatnonzero(coef)
    array, columns = filled(gram, active, l2, rank)
    return ActiveSet(array, columns, np.sign(coef), active.size)


def optimality(gram, correlation, coef, bounds, l2):
    """Return how far coef is from the optimality conditions of the elastic net."""
    g = correlation - gram @ coef - l2 * coef
    off = np.where(coef == 0, np.maximum(np.abs(g) - bounds, 0), np.abs(g - bounds * np.sign(coef)))
    return float(np.max(off))


@pytest.mark.parametrize("rho", [0.0, 0.9])
@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_a_path_by_newton_steps_is_the_exact_one(rho, ridge):
    gram, correlation = lasso_gram(n=150, p=60, rho=rho, seed=5)
    l2 = np.full(60, ridge)
    alpha_max = np.max(np.abs(correlation))
    levels = alpha_max * np.geomspace(0.3, 0.01, 25)
    coef, gradient = np.zeros(60), correlation.copy()
    state = ActiveSet.with_room(60, 60)
    free, ones = np.zeros(60, dtype=bool), np.ones(60)
    done, _ = backend.homotopy(
        gram, gradient, coef, levels[0] * ones, l2, free, False, 60, 1000, 0.0, state
    )
    assert done
    start = np.count_nonzero(coef)
    coefs, changes, reached = backend.active_set_path(
        gram, gradient, coef, np.zeros(60), ones, levels, 0.3, l2, free, False, 60, state
    )
    assert len(coefs) == len(changes) == 24
    assert reached == levels[-1]
    assert np.count_nonzero(coefs[-1]) > start + 10
    assert np.sum(changes) >= np.count_nonzero(coefs[-1]) - start
    for level, solution in zip(levels[1:], coefs):
        assert optimality(gram, correlation, solution, level * ones, l2) < 1e-12 * alpha_max
    np.testing.assert_allclose(gradient, correlation - gram @ coef, atol=1e-13)
    np.testing.assert_array_equal(coef, coefs[-1])
    assert state.n_active == np.count_nonzero(coef)


def test_what_is_missing_of_the_support_is_appended():
    gram, correlation = lasso_gram(n=150, p=60, rho=0.5, seed=5)
    l2, ones, free = np.zeros(60), np.ones(60), np.zeros(60, dtype=bool)
    levels = np.max(np.abs(correlation)) * np.geomspace(0.1, 0.01, 8)
    start, gradient = np.zeros(60), correlation.copy()
    state = ActiveSet.with_room(60, 60)
    bounds = (levels[0] * ones, l2, free, False, 60, 1000, 0.0)
    assert backend.homotopy(gram, gradient, start, *bounds, state)[0]

    def path(state):
        coef, slopes = start.copy(), gradient.copy()
        coefs, _, _ = backend.active_set_path(
            gram, slopes, coef, np.zeros(60), ones, levels, 0.3, l2, free, False, 60, state
        )
        return coefs

    def head(kept):
        active = state.active[:kept]
        sign = np.zeros(60)
        sign[active] = state.sign[active]
        return ActiveSet(state.factor.copy(), state.active.copy(), sign, kept)

    expected = path(head(state.n_active))
    assert len(expected) == 7
    for kept in (state.n_active - 1, 5, 0):
        np.testing.assert_allclose(path(head(kept)), expected, rtol=1e-9, atol=1e-13)


def test_positive_coefficients_and_free_columns_are_respected():
    gram, correlation = lasso_gram(n=150, p=60, rho=0.5, seed=6)
    l2, ones = np.zeros(60), np.ones(60)
    ones[3] = 0.0
    free = ones == 0
    level = 0.3 * np.max(np.abs(correlation))
    for positive in (False, True):
        allowed = free & (not positive)
        coef, gradient = np.zeros(60), correlation.copy()
        state = ActiveSet.with_room(60, 60)
        arguments = (gram, gradient, coef)
        assert backend.homotopy(
            *arguments, level * ones, l2, allowed, positive, 60, 1000, 0.0, state
        )[0]
        coefs, _, _ = backend.active_set_path(
            *arguments, np.zeros(60), ones, np.array([level, level / 5]), 0.3, l2, allowed,
            positive, 60, state,
        )  # fmt: skip
        assert len(coefs) == 1
        g = correlation - gram @ coefs[0]
        bounds = level / 5 * ones
        assert np.all((g if positive else np.abs(g)) <= bounds + 1e-13)
        moved = coefs[0] != 0
        assert moved.sum() > 5
        np.testing.assert_allclose(g[moved], (bounds * np.sign(coefs[0]))[moved], atol=1e-13)
        assert not positive or np.all(coefs[0] >= 0)


def test_where_the_steps_diverge_the_point_is_consistent_and_the_factor_is_gone():
    gram, correlation = lasso_gram(n=30, p=60, rho=0.99, seed=7)
    l2, ones, free = np.zeros(60), np.ones(60), np.zeros(60, dtype=bool)
    levels = np.max(np.abs(correlation)) * np.array([0.2, 1e-6])
    coef, gradient = np.zeros(60), correlation.copy()
    state = ActiveSet.with_room(29, 60)
    assert backend.homotopy(
        gram, gradient, coef, levels[0] * ones, l2, free, False, 29, 1000, 0.0, state
    )[0]
    coefs, _, reached = backend.active_set_path(
        gram, gradient, coef, np.zeros(60), ones, levels, 5.0, l2, free, False, 29, state
    )
    assert len(coefs) == 0
    assert levels[1] < reached <= levels[0]
    assert state.n_active == -1
    np.testing.assert_allclose(gradient, correlation - gram @ coef, atol=1e-12)
    assert optimality(gram, correlation, coef, reached * ones, l2) < 1e-9
