"""Sums of private reports: the CUDA kernel against the definition of the stream in NumPy."""

import numpy as np
import pytest
from emulated_cuda import ORDERS, EmulatedBackend, needs_compiler

pytestmark = needs_compiler

RNG = np.random.default_rng(9)
TABLE = RNG.integers(-20_000, 20_000, 8192).astype(np.int16)
GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
MASK = (1 << 64) - 1


def codeword(seed, index, dimension):
    """Return a codeword by arithmetic of Python's integers."""
    words = -(-dimension // 4)
    values = []
    for b in range(words):
        h = (seed + (index * words + b + 1) * GOLDEN) & MASK
        h = ((h ^ (h >> 30)) * MIX_1) & MASK
        h = ((h ^ (h >> 27)) * MIX_2) & MASK
        h ^= h >> 31
        values += [int(TABLE[(h >> (16 * lane)) & 8191]) for lane in range(4)]
    return values[:dimension]


@pytest.mark.parametrize(("n", "dimension"), [(1, 1), (5, 7), (300, 21), (3, 1030)])
def test_sums_are_those_of_the_definition_in_every_order(n, dimension):
    seeds = RNG.integers(0, 1 << 63, n).astype(np.uint64) * np.uint64(2) + np.uint64(1)
    indices = RNG.integers(0, 1 << 20, n)
    expected = np.full(dimension, 17)
    for seed, index in zip(seeds, indices):
        expected += codeword(int(seed), int(index), dimension)
    for order in ORDERS:
        sums = np.full(dimension, 17)
        EmulatedBackend(order).accumulate_reports(seeds, indices, TABLE, sums)
        np.testing.assert_array_equal(sums, expected)


def test_no_reports_change_nothing():
    sums = np.arange(4)
    EmulatedBackend().accumulate_reports(np.empty(0, np.uint64), np.empty(0, np.int64), TABLE, sums)
    np.testing.assert_array_equal(sums, np.arange(4))


def test_a_table_of_another_size_is_refused():
    with pytest.raises(ValueError, match="must have 8192"):
        EmulatedBackend().accumulate_reports(
            np.ones(1, np.uint64), np.zeros(1, np.int64), TABLE[:4096], np.zeros(4, np.int64)
        )
