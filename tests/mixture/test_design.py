"""The design is one and the same, however it is looked at."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from sparsereg.backends.registry import get_backend
from sparsereg.mixture import SparseGraphDesign

DESIGNS = [
    SparseGraphDesign(60, 2, 8),
    SparseGraphDesign(60, 2, 8, method="coloring", random_state=3),
    SparseGraphDesign(60, 2, 8, method="robust", quantum=0.5, noise_std=0.1),
    SparseGraphDesign(60, 3, 9, min_weight=0.2, extensions=(7, 5)),
]
WAYS = [pytest.param(design, id=f"{design.method}-{k}") for k, design in enumerate(DESIGNS)]


@pytest.mark.parametrize("design", WAYS)
def test_the_operator_is_the_matrix(design):
    rng = np.random.default_rng(0)
    X, operator = design.matrix(), design.operator()
    assert X.shape == operator.shape == design.shape
    v, r = rng.standard_normal(X.shape[1]), rng.standard_normal(X.shape[0])
    np.testing.assert_allclose(operator @ v, X @ v, atol=1e-12)
    np.testing.assert_allclose(operator.rmatvec(r), X.T @ r, atol=1e-11)


@pytest.mark.parametrize("design", WAYS)
def test_blocks_are_the_matrix(design):
    blocks = list(design.iter_blocks(20))
    assert len(blocks) > 2
    assert abs(sparse.vstack(blocks) - design.matrix()).max() == 0


@pytest.mark.parametrize("design", WAYS)
def test_an_extension_keeps_the_rows_that_were_there(design):
    longer = design.extend(0.5)
    X, more = design.matrix(), longer.matrix()
    assert more.shape[0] > 1.2 * X.shape[0]
    assert abs(more[: X.shape[0]] - X).max() == 0
    assert abs(longer.matrix(start=design.n_queries) - more[X.shape[0] :]).max() == 0


@pytest.mark.parametrize("design", WAYS)
def test_copies_are_the_same_queries(design):
    for twin in (clone(design), pickle.loads(pickle.dumps(design))):
        assert twin.fingerprint == design.fingerprint
        assert abs(twin.matrix() - design.matrix()).max() == 0


def test_fingerprints_tell_designs_apart():
    others = [clone(DESIGNS[0]).set_params(random_state=1), DESIGNS[0].extend(), *DESIGNS]
    assert len({design.fingerprint for design in others}) == len(others)


@pytest.mark.parametrize("design", WAYS)
def test_every_feature_is_in_one_bin_of_each_stage(design):
    graph, backend = design.layout.graph, get_backend("numba")
    bins = backend.graph_neighbors(graph, np.arange(graph.n_features))
    assert np.all((bins >= graph.starts[:-1]) & (bins < graph.starts[1:]))
    indptr, members = backend.graph_members(graph, 0, graph.n_bins)
    listed = {(b, j) for b in range(graph.n_bins) for j in members[indptr[b] : indptr[b + 1]]}
    assert listed == {(b, j) for j in range(graph.n_features) for b in bins[j]}


def test_the_rows_of_a_bin_are_what_the_table_says():
    design = SparseGraphDesign(40, 2, 4, method="coloring")
    X, rows = design.matrix().toarray(), design.rows
    for b in range(design.layout.graph.n_bins):
        first, second, total = (X[(rows["bin"] == b) & (rows["kind"] == kind)] for kind in range(3))
        assert np.ptp(first, axis=0).max() == 0
        np.testing.assert_allclose(first[0] + second[0], total[0], atol=1e-14)
        members = first[0] != 0
        address = (second[0][members] / first[0][members] - 1) * 41 - 1
        np.testing.assert_allclose(address, np.flatnonzero(members), atol=1e-9)
        assert np.all((np.abs(first[0][members]) >= 0.5) & (np.abs(first[0][members]) <= 1.5))


def test_queries_of_a_noisy_design_are_integers():
    X = SparseGraphDesign(40, 2, 4, method="robust", quantum=2.0, noise_std=0.1).matrix()
    assert np.all(X.data == np.rint(X.data))


def test_neighbors_spread_evenly():
    design = SparseGraphDesign(20_000, 2, 50, left_degree=5, bin_ratio=1.0)
    graph = design.layout.graph
    bins = get_backend("numba").graph_neighbors(graph, np.arange(20_000))
    counts = np.bincount(bins.ravel(), minlength=graph.n_bins)
    expected = 20_000 / np.repeat(np.diff(graph.starts), np.diff(graph.starts))
    chi2 = np.sum((counts - expected) ** 2 / expected)
    assert chi2 < graph.n_bins + 6 * np.sqrt(2 * graph.n_bins)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_nonzero": 300}, "do not fit"),
        ({"min_weight": 0.6}, "too large"),
        ({"min_weight": 1e-9}, "too small"),
        ({"noise_std": 0.1}, "method='robust'"),
        ({"method": "robust"}, "needs quantum"),
        ({"method": "robust", "quantum": 1.0, "noise_std": 0.1, "n_components": 3}, "two"),
        ({"method": "robust", "quantum": 1.0, "noise_std": 99.0}, "10,000 readings"),
        ({"method": "fountain"}, "method"),
        ({"n_components": 0}, "n_components"),
        ({"random_state": -1}, "random_state"),
        ({"bin_ratio": np.nan}, "bin_ratio"),
        ({"extensions": (0,)}, "extensions"),
    ],
)
def test_wrong_parameters_are_told(parameters, message):
    design = SparseGraphDesign(**{"n_features": 100, **parameters})
    with pytest.raises(ValueError, match=message):
        design.n_queries  # noqa: B018


def test_a_start_inside_of_a_bin_is_refused():
    with pytest.raises(ValueError, match="not where a bin starts"):
        DESIGNS[0].matrix(start=DESIGNS[0].n_queries - 1)


@pytest.mark.parametrize("start", [-1, -10])
def test_rows_before_the_first_are_refused(start):
    with pytest.raises(ValueError, match="not where a bin starts"):
        SparseGraphDesign(20).matrix(start=start)


def test_no_rows_come_after_the_last():
    design = SparseGraphDesign(20)
    assert design.matrix(start=design.n_queries).shape == (0, 20)
