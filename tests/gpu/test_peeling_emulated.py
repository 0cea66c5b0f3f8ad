"""Peeling in rounds: the CUDA kernels, emulated in three orders, have the bits of the CPU."""

import numpy as np
import pytest
from emulated_cuda import ORDERS, EmulatedBackend, EmulationError, kernels_of, needs_compiler, run
from sparsereg.gpu.launch import source_of

from sparsereg.backends.numba import backend as numba
from sparsereg.backends.protocol import Balls, QueryGraph

pytestmark = needs_compiler

N, COLORS = 400, 2
GRAPH = QueryGraph(0, 11, N, 0, 0, np.array([0, 40, 80, 120], dtype=np.int64), 0.0, 0.0)
NONE = Balls(*(np.empty(0, dtype=np.int64),) * 2, *(np.empty(0),) * 3)


def problem(n_nonzero, seed, noise=0.0, missing=0.0):
    """Return the sets of a mixture, and its coefficients (colors, features)."""
    rng = np.random.default_rng(seed)
    coef = np.zeros((COLORS, N))
    for row in coef:
        row[rng.choice(N, n_nonzero, replace=False)] = rng.standard_normal(n_nonzero)
    offsets = np.array([10.0, -4.0])
    contents = [numba.graph_spread(GRAPH, np.flatnonzero(row), row[row != 0]) for row in coef]
    readings = np.stack(contents, axis=2) + offsets  # bins, kinds, colors
    readings += noise * rng.standard_normal(readings.shape)
    lost = rng.random((GRAPH.n_bins, COLORS)) < missing
    readings = np.where(lost[:, None], readings[:, :, ::-1], readings)
    readings = np.ascontiguousarray(readings.reshape(GRAPH.n_bins, -1))
    return numba.read_sets(readings, COLORS, offsets, 1e-9, missing > 0), coef


def assert_same_bits(found, expected):
    for part, other in zip(found.balls, expected.balls, strict=True):
        assert part.dtype == other.dtype
        np.testing.assert_array_equal(part, other)
    np.testing.assert_array_equal(found.state, expected.state)
    np.testing.assert_array_equal(found.left, expected.left)
    assert (found.conflicts, found.updates) == (expected.conflicts, expected.updates)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    ("n_nonzero", "missing"), [(0, 0.0), (3, 0.0), (25, 0.0), (90, 0.0), (30, 0.3)]
)
def test_balls_states_and_remainders_are_those_of_the_cpu(n_nonzero, missing, told, order):
    sets, coef = problem(n_nonzero, seed=n_nonzero, missing=missing)
    known = NONE
    if not told:  # peeling of unknown colors starts from some that are known
        features = [np.flatnonzero(row)[: n_nonzero // 2] for row in coef]
        color = np.repeat(np.arange(COLORS), [part.size for part in features])
        feature = np.concatenate([*features])
        values = coef[color, feature]
        known = Balls(feature, color, values, np.full(values.size, 1e-15), np.zeros(values.size))
    arguments = (GRAPH, sets, 1e-14, COLORS, known, told)
    expected = numba.peel(*arguments)
    assert_same_bits(EmulatedBackend(order).peel(*arguments), expected)
    if told and n_nonzero == 25:  # below the threshold: everything, from several rounds
        decoded = np.zeros_like(coef)
        decoded[expected.balls.color, expected.balls.feature] = expected.balls.value
        np.testing.assert_allclose(decoded, coef, atol=1e-9)
        assert expected.updates > GRAPH.n_bins
    if n_nonzero == 90:  # above it: some sets stay closed to both
        assert np.any(expected.state < 0)


@pytest.mark.parametrize("order", ORDERS)
def test_contradictions_are_counted_alike(order):
    sets, coef = problem(30, seed=5)
    feature = np.flatnonzero(coef[0])[[0, 1, 1, 2]]
    wrong = Balls(feature, np.zeros(4, dtype=np.int64), coef[0, feature] + 0.5, np.full(4, 1e-15),
                  np.zeros(4))  # fmt: skip
    expected = numba.peel(GRAPH, sets, 1e-14, COLORS, wrong, True)
    assert expected.conflicts > 1
    found = EmulatedBackend(order).peel(GRAPH, sets, 1e-14, COLORS, wrong, True)
    assert_same_bits(found, expected)


CLAIM = "atomicMin(owners + at, s);"
PLANTED = {
    "the last set to come owns a ball": (CLAIM, "owners[at] = s;"),
    "a free place is taken without asking": (
        "(index_t)atomicCAS((word_t*)table + at, (word_t)-1, (word_t)key);",
        "table[at]; if (there == -1) { __syncwarp(); table[at] = key; }",
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_race_shows_in_some_order(mistake):
    right, wrong = PLANTED[mistake]
    text = source_of("peeling", np.float64)
    assert right in text
    sets = np.array([7, 5, 7, 9, 5, 7, -1, 9] * 4)

    def owners_of(source, order):
        table, slots = np.full(16, -1), np.empty(32, dtype=np.int64)
        owners = np.full(16, 99)
        run(
            source, kernels_of("peeling"), "claim_balls", (1,), 32,
            (sets, table, owners, slots, np.int64(16), np.int64(32)), order=order,
        )  # fmt: skip
        return [int(owners[slot]) if slot >= 0 else -1 for slot in slots]

    first = [int(np.flatnonzero(sets == key)[0]) if key >= 0 else -1 for key in sets]
    for order in ORDERS:
        assert owners_of(text, order) == first
    found = []
    for order in ORDERS:
        try:
            found.append(owners_of(text.replace(right, wrong), order) == first)
        except EmulationError:
            found.append(False)
    assert not all(found)
