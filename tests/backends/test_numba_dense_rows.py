"""Passes over contiguous rows by tiles, against sums over whole columns."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg.backends.numba import dense_rows
from sparsereg.backends.registry import resolve_backend

N, P = 700, 21
RNG = np.random.default_rng(7)
VALUES = RNG.standard_normal((N, P))
WEIGHTS = RNG.integers(0, 3, N).astype(float)
WEIGHTS[128:192] = 0.0  # a whole run of rows
WEIGHTS *= N / WEIGHTS.sum()


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Runs of 64 rows and of 8 columns, so that both have a rest."""
    monkeypatch.setattr(dense_rows, "_WIDTH", 8)
    monkeypatch.setattr(dense_rows, "_ENTRIES", 512)
    tiles, n_runs = dense_rows._tiles(N, P)
    assert n_runs == 11
    assert len(tiles) == 33


def design_of(X, weights=None, center=True):
    return resolve_backend("numba", X).design(np.ascontiguousarray(X), weights, center)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
def test_moments_lose_nothing_beside_large_means(weights, center, offset):
    X = VALUES + offset
    design = design_of(X, weights, center)
    exact, s = X.astype(np.longdouble), np.ones(N) if weights is None else weights
    means = s @ exact / N if center else np.zeros(P)
    squares = s @ (exact - means) ** 2 / N
    np.testing.assert_allclose(design.means, means.astype(float), rtol=4e-16 * 8, atol=1e-15)
    np.testing.assert_allclose(design.sqnorms, squares.astype(float), rtol=1e-13)


def test_a_constant_column_has_no_norm():
    X = VALUES.copy()
    X[:, 10] = 1e9 / 3
    assert design_of(X).sqnorms[10] == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("row", [0, 150, N - 1])
def test_what_is_not_finite_shows_even_where_rows_have_no_weight(bad, center, row):
    X = VALUES.copy()
    X[row, 13] = bad
    with np.errstate(invalid="ignore"):
        design = design_of(X, WEIGHTS, center)
    assert np.flatnonzero(~np.isfinite(design.sqnorms)).tolist() == [13]


@pytest.mark.parametrize("columns", [None, np.array([20, 3, 4, 0, 11, 9, 8, 7, 1])])
def test_products_are_those_of_whole_columns(columns):
    v = RNG.standard_normal(N)
    listed = slice(None) if columns is None else columns
    found = dense_rows.products(VALUES, v, columns)
    np.testing.assert_allclose(found, VALUES[:, listed].T @ v, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 4, 12, P])
def test_combinations_are_of_centered_columns(size):
    columns, coef = RNG.permutation(P)[:size], RNG.standard_normal(size)
    means = RNG.standard_normal(P)
    found = dense_rows.combine(VALUES, means, columns, coef)
    expected = (VALUES - means)[:, columns] @ coef
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("columns", [np.arange(P), np.arange(5, 9), np.array([3, 1, 8])])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_rough_products_have_the_error_of_single_precision(columns, weights):
    design = design_of(VALUES + 5.0, weights)
    backend = resolve_backend("numba", VALUES)
    known = columns.size // 2
    exact = backend.gram(design, columns, columns.size - known)
    rough = backend.gram(design, columns, columns.size - known, rough=True)
    assert 0 < np.max(np.abs(rough - exact)) < 1e-6
