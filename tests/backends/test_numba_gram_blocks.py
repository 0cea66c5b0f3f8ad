"""Blocks of a Gram matrix that are cut into tiles or parts, against a product of NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sparsereg.backends.numba import backend, gram_blocks, threads

RNG = np.random.default_rng(5)
# wider than a tile; enough rows per column for parts; enough work for threads
WIDE = RNG.standard_normal((70, 1100)) + RNG.standard_normal(1100)
TALL = RNG.standard_normal((3000, 40)) + RNG.standard_normal(40)
STORAGES = {
    "F64": np.asfortranarray,
    "C64": np.ascontiguousarray,
    "F32": lambda X: np.asfortranarray(X, dtype=np.float32),
}


def gram(X, columns, n_new, weights=None):
    return backend.gram(backend.design(X, weights, True), columns, n_new)


def expected(X, columns, n_new, weights=None):
    s = np.ones(len(X)) if weights is None else weights
    X = X.astype(np.float64)
    centered = (X - np.average(X, axis=0, weights=s))[:, columns]
    return centered.T @ (s[:, None] * centered[:, -n_new:]) / len(X)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(("n_columns", "n_new"), [(1100, 1100), (1000, 530), (600, 20), (530, 525)])
def test_tiles_make_up_the_block(storage, n_columns, n_new):
    X = STORAGES[storage](WIDE)
    columns = RNG.permutation(X.shape[1])[:n_columns]
    found = gram(X, columns, n_new)
    np.testing.assert_allclose(found, expected(X, columns, n_new), atol=1e-11)
    np.testing.assert_array_equal(found[-n_new:], found[-n_new:].T)


def test_weights_go_into_every_tile():
    weights = RNG.integers(0, 3, len(WIDE)).astype(float)
    weights *= weights.size / weights.sum()
    columns = np.arange(700)
    found = gram(WIDE, columns, 600, weights)
    np.testing.assert_allclose(found, expected(WIDE, columns, 600, weights), atol=1e-11)


@pytest.mark.parametrize("X", [TALL, WIDE[:, :512] - WIDE[:, :512].mean(axis=0)])
def test_a_whole_gram_matrix_is_symmetric_and_in_row_order(X):
    X = np.asfortranarray(X)
    columns = np.arange(X.shape[1])
    found = gram(X, columns, columns.size)
    np.testing.assert_allclose(found, expected(X, columns, columns.size), atol=1e-11)
    np.testing.assert_array_equal(found, found.T)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("X", [TALL - TALL.mean(axis=0), WIDE - WIDE.mean(axis=0)])
def test_the_number_of_threads_does_not_change_a_bit(X, monkeypatch):
    X = np.asfortranarray(X)
    columns = np.arange(X.shape[1])
    found = []
    for n_threads in (1, 2, 5):
        monkeypatch.setattr(threads, "n_threads", lambda n=n_threads: n)
        found.append(gram(X, columns, columns.size))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n_new", [40, 15])
@pytest.mark.parametrize("weighted", [False, True])
def test_rough_products_have_the_error_of_single_precision(storage, n_new, weighted):
    X = STORAGES[storage](TALL * np.logspace(-20, 18, 40))  # beyond the squares of float32
    weights = RNG.integers(0, 3, len(X)).astype(float) if weighted else None
    if weighted:
        weights *= weights.size / weights.sum()
    columns = RNG.permutation(40)
    design = backend.design(X, weights, True)
    found = backend.gram(design, columns, n_new, rough=True)
    lengths = np.sqrt(design.sqnorms[columns])
    error = (found - expected(X, columns, n_new, weights)) / np.outer(lengths, lengths[-n_new:])
    assert 1e-12 < np.max(np.abs(error)) < 1e-5
    np.testing.assert_array_equal(found[-n_new:], found[-n_new:].T)


def test_the_number_of_threads_does_not_change_rough_products(monkeypatch):
    X = np.asfortranarray(RNG.standard_normal((30_000, 40)))  # enough work, several pieces
    design, found = backend.design(X, None, True), []
    for n_threads in (1, 2, 5):
        monkeypatch.setattr(threads, "n_threads", lambda n=n_threads: n)
        found.append(backend.gram(design, np.arange(40), 40, rough=True))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("order", ["F", "C"])
def test_the_number_of_threads_does_not_change_a_pass_over_tall_X(order, monkeypatch):
    X = np.asarray(RNG.standard_normal((30_000, 70)), order=order)
    y, found = RNG.standard_normal(len(X)), []
    for n_threads in (1, 2, 5):
        monkeypatch.setattr(threads, "n_threads", lambda n=n_threads: n)
        design = backend.design(X, None, True)
        found.append(np.concatenate([design.means, design.sqnorms, backend.xtr(design, y)]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    slopes = (X - X.mean(axis=0)).T @ y / len(X)
    wanted = np.concatenate([X.mean(axis=0), X.var(axis=0), slopes])
    np.testing.assert_allclose(found[0], wanted, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 512), (3, 516), (10, 1100)])
def test_pieces_cover_the_range_evenly(start, stop):
    pieces = gram_blocks._even_pieces(start, stop, 512)
    sizes = [last - first for first, last in pieces]
    assert (pieces[0][0], pieces[-1][1]) == (start, stop)
    assert all(left[1] == right[0] for left, right in pairwise(pieces))
    assert max(sizes) <= 512
    assert max(sizes) - min(sizes) <= 1
