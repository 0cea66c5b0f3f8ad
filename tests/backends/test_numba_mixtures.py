"""Kernels of mixtures against a few lines of NumPy."""

import itertools

import numpy as np
import pytest

from sparsereg.backends.numba import lattice
from sparsereg.backends.protocol import Balls, QueryGraph
from sparsereg.backends.registry import get_backend

backend = get_backend("numba")
RATIO = QueryGraph(0, 7, 30, 0, 0, np.array([0, 5, 10, 15]), 1.0, 1.0)
BINARY = QueryGraph(1, 7, 30, 5, 2, np.array([0, 5, 10, 15]), 0.5, 8.0)
NONE = Balls(np.empty(0, np.int64), np.empty(0, np.int64), *(np.empty(0) for _ in range(3)))


def dense(graph):
    """Return the weights of every feature, of shape (bins, kinds, features)."""
    features = np.arange(graph.n_features)
    out = np.zeros((graph.n_bins, graph.n_kinds, graph.n_features))
    bins, weights = (
        backend.graph_neighbors(graph, features),
        backend.graph_signatures(graph, features),
    )
    for j, k in itertools.product(features, range(bins.shape[1])):
        out[bins[j, k], :, j] += weights[j]
    return out


@pytest.mark.parametrize("graph", [RATIO, BINARY], ids=["ratio", "binary"])
def test_spread_and_collect_are_products_with_the_dense_graph(graph):
    rng = np.random.default_rng(0)
    A, features = dense(graph), np.array([3, 17, 29])
    values, sums = rng.standard_normal(3), rng.standard_normal(A.shape[:2])
    np.testing.assert_allclose(
        backend.graph_spread(graph, features, values), A[:, :, features] @ values, atol=1e-13
    )
    np.testing.assert_allclose(
        backend.graph_collect(graph, features, sums),
        np.einsum("bkj,bk->j", A[:, :, features], sums),
        atol=1e-12,
    )


def test_the_binary_code_spells_the_feature_and_its_complement():
    weights = backend.graph_signatures(BINARY, np.arange(30))
    sign, digits, rest = weights[:, :1], weights[:, 1:8], weights[:, 8:]
    np.testing.assert_array_equal(digits + rest, np.repeat(sign, 7, axis=1))
    spelled = (digits[:, :5] * sign) @ 2.0 ** np.arange(5)
    np.testing.assert_array_equal(spelled, np.arange(30))


def test_the_pilot_has_the_share_and_the_sizes_that_were_asked_for():
    pilot = backend.graph_pilot(BINARY._replace(n_features=20_000), np.arange(20_000))
    assert np.mean(pilot != 0) == pytest.approx(0.5, abs=0.02)
    assert set(np.abs(pilot[pilot != 0])) == set(range(1, 9))
    assert np.mean(pilot) == pytest.approx(0.0, abs=0.15)


def test_sets_are_all_readings_whose_sum_was_read():
    rng = np.random.default_rng(0)
    offsets = np.array([0.0, 3.5])
    contents = rng.standard_normal((40, 2, 2))  # bins, colors, (u, w)
    labels = rng.integers(0, 2, (40, 6))
    kind = np.array([0, 0, 1, 1, 2, 2])
    value = np.concatenate([contents, contents.sum(axis=2, keepdims=True)], axis=2)
    readings = value[np.arange(40)[:, None], labels, kind] + offsets[labels]
    sets = backend.read_sets(readings, 2, offsets, 1e-10, False)
    found = [
        (b, sets.color[s]) for b in range(40) for s in range(sets.indptr[b], sets.indptr[b + 1])
    ]
    visible = [
        (b, c)
        for b in range(40)
        for c in range(2)
        if all(c in labels[b, kind == k] for k in range(3))
    ]
    assert found == visible
    for s, (b, c) in enumerate(found):
        np.testing.assert_allclose([sets.u[s], sets.w[s]], contents[b, c], atol=1e-12)
    pairs = backend.read_sets(readings, 2, offsets, 1e-10, True)
    for b, c in itertools.product(range(40), range(2)):
        own = slice(pairs.indptr[b], pairs.indptr[b + 1])
        off = np.abs(pairs.u[own] - contents[b, c, 0]) + np.abs(pairs.w[own] - contents[b, c, 1])
        is_there = np.any((off < 1e-9) & (pairs.color[own] == c))
        assert is_there == (sum(c in labels[b, kind == k] for k in range(3)) >= 2)


def test_peeling_finds_everything_where_readings_are_complete():
    rng = np.random.default_rng(0)
    graph = RATIO._replace(starts=np.arange(0, 60, 12))
    features = np.array([1, 8, 20, 27])
    values = rng.standard_normal((2, 4))
    offsets = np.array([10.0, -4.0])
    contents = np.stack([backend.graph_spread(graph, features, v) for v in values], axis=1)
    readings = np.ascontiguousarray(
        (contents + offsets[:, None]).transpose(0, 2, 1).reshape(graph.n_bins, 6)
    )
    sets = backend.read_sets(readings, 2, offsets, 1e-9, True)
    peeled = backend.peel(graph, sets, 1e-15, 2, NONE, True)
    coef = np.zeros((2, 30))
    coef[peeled.balls.color, peeled.balls.feature] = peeled.balls.value
    np.testing.assert_allclose(coef[:, features], values, atol=1e-12)
    assert np.count_nonzero(coef) == 8
    assert peeled.conflicts == 0
    assert np.abs(peeled.left).max() < 1e-12


def test_two_levels_are_the_most_likely_pair():
    rng = np.random.default_rng(0)
    for _ in range(20):
        means = rng.integers(-6, 7, 2)
        y = means[rng.integers(0, 2, 9)] + 0.4 * rng.standard_normal(9)
        levels, lead = backend.lattice_levels(y[None], 0.4, 0.5)

        def value(pair, y=y):
            density = np.exp(-0.5 * ((y[:, None] - np.array(pair)) / 0.4) ** 2)
            return np.log(0.5 * density.sum(axis=1) + 1e-300).sum()

        pairs = list(itertools.combinations_with_replacement(range(-8, 9), 2))
        ranked = sorted(pairs, key=value)
        assert sorted(levels[0]) == list(ranked[-1])
        assert lead[0] == pytest.approx(value(ranked[-1]) - value(ranked[-2]), rel=1e-6)


def test_alignment_tells_colors_apart_in_any_order_of_the_levels():
    rng = np.random.default_rng(0)
    offsets = np.array([3, -11])
    contents = rng.integers(-9, 10, (50, 2, 3))  # kind 0 and two digits
    rest = contents[:, :, :1] - contents[:, :, 1:]
    kinds = np.concatenate([contents, rest], axis=2) + offsets[:, None]
    levels = rng.permuted(kinds.transpose(0, 2, 1), axis=2)
    found, visible = np.zeros((50, 2, 3), dtype=np.int64), np.zeros((50, 2), dtype=bool)
    lattice.align(levels, offsets, found, visible)
    assert visible[:, 0].mean() > 0.5
    np.testing.assert_array_equal(found[visible[:, 0]], contents[visible[:, 0]])
