"""The pool of columns: a Gram matrix that grows and shrinks, and the active set kept on it."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
from scipy import sparse

from sparsereg.backends.numba import backend
from sparsereg.solvers.column_pool import ColumnPool, KeptActiveSet, Square
from sparsereg.solvers.reserved import reserved_square

N, P = 25, 14
X = np.random.default_rng(2).standard_normal((N, P))
CENTERED = X - X.mean(axis=0)
GRAM = CENTERED.T @ CENTERED / N


def new_pool(container=np.asarray):
    return ColumnPool(backend, backend.design(container(X), None, True))


def assert_holds(pool, columns):
    """Check that the pool has these columns, in this order, and their Gram matrix."""
    columns = np.array(columns, dtype=np.intp)
    np.testing.assert_array_equal(pool.columns, columns)
    k = columns.size
    np.testing.assert_allclose(pool.gram[:k, :k], GRAM[np.ix_(columns, columns)], atol=1e-13)


def test_a_new_pool_is_empty():
    assert len(new_pool()) == 0


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csc_array])
@pytest.mark.parametrize(
    "blocks",
    [
        [[3, 1, 7]],
        [[3], [1], [7]],
        [[3, 1], [13, 0, 5, 6], [2]],
        [list(range(P))],
        [[3], [], [4]],
    ],
    ids=str,
)
def test_columns_may_come_in_any_blocks(container, blocks):
    pool = new_pool(container)
    for block in blocks:
        pool.add(np.array(block, dtype=np.intp))
    assert_holds(pool, [column for block in blocks for column in block])


def test_the_gram_matrix_is_exactly_symmetric():
    pool = new_pool()
    for block in ([3, 1], [13, 0, 5], [2]):
        pool.add(np.array(block))
    np.testing.assert_array_equal(pool.gram[:6, :6], pool.gram[:6, :6].T)


def test_missing_columns_are_those_not_added():
    pool = new_pool()
    pool.add(np.array([3, 1]))
    np.testing.assert_array_equal(pool.missing(np.array([0, 1, 2, 3])), [0, 2])


def test_dropping_columns_keeps_the_others():
    pool = new_pool()
    pool.add(np.array([3, 1, 7, 9]))
    pool.keep_only(np.array([True, False, True, False]))
    assert_holds(pool, [3, 7])


def test_dropped_columns_are_missing_again():
    pool = new_pool()
    pool.add(np.array([3, 1, 7]))
    pool.keep_only(np.array([True, False, True]))
    np.testing.assert_array_equal(pool.missing(np.array([1, 3, 7])), [1])


def test_dropped_columns_may_come_back():
    pool = new_pool()
    pool.add(np.array([3, 1, 7]))
    pool.keep_only(np.array([False, False, True]))
    pool.add(np.array([1, 3]))
    assert_holds(pool, [7, 1, 3])


def test_every_column_may_be_dropped():
    pool = new_pool()
    pool.add(np.array([3, 1]))
    pool.keep_only(np.zeros(2, dtype=bool))
    pool.add(np.array([5]))
    assert_holds(pool, [5])


def test_adding_leaves_positions_as_they_are():
    pool = new_pool()
    pool.add(np.array([3, 1]))
    before = pool.version
    pool.add(np.array([5]))
    assert pool.version == before


def test_dropping_says_that_positions_changed():
    pool = new_pool()
    pool.add(np.array([3, 1]))
    before = pool.version
    pool.keep_only(np.array([False, True]))
    assert pool.version != before


# --------------------------------------------------------------------------------- kept active sets


def filled_pool():
    pool = new_pool()
    pool.add(np.arange(4))
    return pool


def used_state(kept, l2=0.0):
    """Return the state after a solve that left two active columns."""
    state = kept.for_solve(l2)
    state.n_active = 2
    state.factor[[0, 1, state.active.size]] = [1.0, 0.5, 2.0]
    state.active[:2] = [3, 1]
    state.sign[[3, 1]] = [1.0, -1.0]
    return state


def test_an_active_set_starts_unknown():
    assert KeptActiveSet(filled_pool(), 20).for_solve(0.0).n_active == -1


def test_an_active_set_is_kept_from_solve_to_solve():
    kept = KeptActiveSet(filled_pool(), 20)
    used_state(kept)
    assert kept.for_solve(0.0).n_active == 2


def test_an_active_set_survives_a_growing_pool():
    pool = filled_pool()
    kept = KeptActiveSet(pool, 20)
    used_state(kept)
    pool.add(np.arange(4, P))
    state = kept.for_solve(0.0)
    np.testing.assert_array_equal(state.factor[[0, 1, state.active.size]], [1.0, 0.5, 2.0])
    np.testing.assert_array_equal(state.active[:2], [3, 1])
    np.testing.assert_array_equal(state.sign[:4], [0.0, -1.0, 0.0, 1.0])


def test_an_active_set_has_room_for_the_whole_pool():
    pool = filled_pool()
    kept = KeptActiveSet(pool, 20)
    used_state(kept)
    pool.add(np.arange(4, P))
    state = kept.for_solve(0.0)
    assert min(state.active.size, state.sign.size) >= P
    assert state.factor.size == state.active.size * (state.active.size + 1) // 2


def test_an_active_set_has_room_for_no_more_than_the_rank_needs():
    pool = filled_pool()
    assert KeptActiveSet(pool, 3).for_solve(0.0).active.size == 3


def test_an_active_set_with_a_ridge_part_has_room_beyond_the_rank():
    pool = filled_pool()
    assert KeptActiveSet(pool, 3).for_solve(0.1).active.size >= 4


def test_an_active_set_is_forgotten_when_columns_are_dropped():
    pool = filled_pool()
    kept = KeptActiveSet(pool, 20)
    used_state(kept)
    pool.keep_only(np.array([True, False, True, True]))
    assert kept.for_solve(0.0).n_active == -1


def test_an_active_set_follows_its_columns_when_others_are_dropped():
    pool = filled_pool()
    kept = KeptActiveSet(pool, 20)
    used_state(kept)
    pool.keep_only(np.array([False, True, True, True]))
    state = kept.for_solve(0.0)
    assert state.n_active == 2
    np.testing.assert_array_equal(pool.columns[state.active[:2]], [3, 1])
    np.testing.assert_array_equal(state.sign[state.active[:2]], [1.0, -1.0])
    np.testing.assert_array_equal(state.factor[[0, 1, state.active.size]], [1.0, 0.5, 2.0])


def test_an_active_set_is_forgotten_when_the_ridge_part_changes():
    kept = KeptActiveSet(filled_pool(), 20)
    used_state(kept)
    assert kept.for_solve(0.1).n_active == -1


def test_an_active_set_is_forgotten_on_request():
    kept = KeptActiveSet(filled_pool(), 20)
    used_state(kept)
    kept.forget()
    assert kept.for_solve(0.0).n_active == -1


def test_a_support_is_factorized_at_once_as_one_by_one():
    rng = np.random.default_rng(0)
    pool = make_pool_of(rng.standard_normal((60, 30)))
    coef = np.where(np.arange(30) % 3 == 0, 0.0, rng.standard_normal(30))
    free = np.arange(30) == 7
    l2 = np.full(30, 0.1)
    kept = KeptActiveSet(pool, 30)
    state = kept.for_solve(0.1)
    kept.factorize(coef, l2, free)
    active = state.active[: state.n_active]
    assert active[0] == 7
    assert set(active) == set(np.flatnonzero(coef)) | {7}
    room = state.active.size
    factor = np.zeros((room, room))
    factor[np.triu_indices(room)] = state.factor
    factor = factor[: active.size, : active.size]
    expected = pool.gram[np.ix_(active, active)] + 0.1 * np.eye(active.size)
    np.testing.assert_allclose(factor.T @ factor, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(state.sign[active[1:]], np.sign(coef[active[1:]]))


def test_a_dependent_support_is_left_to_the_homotopy():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 30))
    X[:, 20] = X[:, 3] - X[:, 4]
    kept = KeptActiveSet(make_pool_of(X), 30)
    state = kept.for_solve(0.0)
    kept.factorize(np.ones(30), np.zeros(30), np.zeros(30, dtype=bool))
    assert state.n_active == -1


def make_pool_of(X):
    pool = ColumnPool(backend, backend.design(np.asfortranarray(X), None, True))
    assert not pool.is_complete
    pool.complete()
    assert pool.is_complete
    return pool


def test_a_rewound_active_set_keeps_what_comes_before_the_first_zero():
    pool = new_pool()
    pool.add(np.arange(P))
    kept, coef = KeptActiveSet(pool, N - 1), np.ones(P)
    state = kept.for_solve(0.0)
    state.active[:P], state.n_active = np.arange(P)[::-1], P
    kept.rewind(coef)
    assert state.n_active == P
    coef[[2, 7]] = 0.0
    kept.rewind(coef)
    assert state.n_active == P - 8  # columns P - 1, ..., 8
    kept.forget()
    kept.rewind(coef)
    assert state.n_active == -1


@pytest.fixture(scope="module")
def large():
    """Return a square of five megabytes."""
    return np.random.default_rng(5).standard_normal((800, 800))


def test_a_large_square_grows_and_shrinks_where_it_is(large):
    size = len(large)
    square = Square(large[:700, :700].copy())
    square.grow(700, size, 5000)
    place = square.array.ctypes.data
    np.testing.assert_array_equal(square.array[:700, :700], large[:700, :700])
    square.array[:size, :size] = large
    square.grow(size, size + 300, 5000)
    kept = np.flatnonzero(np.arange(size) % 20)
    square.keep_only(kept)
    assert square.array.ctypes.data == place
    np.testing.assert_array_equal(square.array[:760, :760], large[np.ix_(kept, kept)])


@pytest.mark.parametrize("n_kept", [0, 1, 100, 300])
def test_a_square_that_is_large_no_longer_gives_its_memory_back(large, n_kept):
    square = Square()
    square.grow(0, len(large), 5000)
    square.array[: len(large), : len(large)] = large
    square.keep_only(np.arange(n_kept))
    assert square.array.shape == (n_kept, n_kept)
    np.testing.assert_array_equal(square.array, large[:n_kept, :n_kept])


def test_a_square_has_addresses_for_no_more_than_the_largest():
    square = Square()
    square.grow(0, 800, 900)
    assert square.array.shape == (900, 900)


def test_without_mappings_of_memory_squares_come_from_numpy(monkeypatch):
    monkeypatch.delattr(mmap, "MAP_PRIVATE", raising=False)
    square = reserved_square(30)
    assert square.shape == (30, 30)
    assert not square.any()


# ------------------------------------------------------------------------------ factors at once

RANDOM = np.random.default_rng(7)
WIDE = RANDOM.standard_normal((400, 330))
ACTIVE = np.sort(RANDOM.permutation(330)[:300])


def factorized(X, l2):
    """Return the state after factorizing ``ACTIVE`` on a pool of all columns, and its target."""
    pool = ColumnPool(backend, backend.design(np.asfortranarray(X), None, True))
    pool.add(np.arange(330))
    kept = KeptActiveSet(pool, 330)
    state = kept.for_solve(float(l2.max()))
    coef = np.zeros(330)
    coef[ACTIVE] = np.where(ACTIVE % 2 == 0, 1.0, -1.0)
    kept.factorize(coef, l2, np.zeros(330, dtype=bool))
    gram = pool.gram[np.ix_(ACTIVE, ACTIVE)] + np.diag(l2[ACTIVE])
    return state, gram


def upper(state, size):
    """Return the factor as a matrix."""
    room = state.active.size
    starts = [i * room - i * (i - 1) // 2 for i in range(size)]
    rows = [state.factor[start : start + size - i] for i, start in enumerate(starts)]
    return np.array([np.concatenate([np.zeros(i), row]) for i, row in enumerate(rows)])


@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_a_factor_that_is_built_by_rows_is_that_of_the_gram_matrix(l2):
    state, gram = factorized(WIDE, np.full(330, l2))
    assert state.n_active == 300
    np.testing.assert_array_equal(state.active[:300], ACTIVE)
    np.testing.assert_array_equal(state.sign[ACTIVE], np.where(ACTIVE % 2 == 0, 1.0, -1.0))
    np.testing.assert_allclose(upper(state, 300), np.linalg.cholesky(gram).T, atol=1e-12)


@pytest.mark.parametrize("last", [40, 200, 299])
def test_dependent_columns_leave_no_factor(last):
    X = WIDE.copy()
    X[:, ACTIVE[last]] = X[:, ACTIVE[:30]].sum(axis=1)
    state, _ = factorized(X, np.zeros(330))
    assert state.n_active == -1


@pytest.mark.parametrize("somebody_holds_it", [False, True])
def test_a_factor_is_the_same_after_it_got_more_room(somebody_holds_it):
    pool = ColumnPool(backend, backend.design(np.asfortranarray(WIDE), None, True))
    pool.add(np.arange(150))
    kept = KeptActiveSet(pool, 330)
    coef = np.ones(150)
    kept.for_solve(0.0)
    kept.factorize(coef, np.zeros(150), np.zeros(150, dtype=bool))
    before = upper(kept.for_solve(0.0), 150)
    held = kept.for_solve(0.0).factor if somebody_holds_it else None
    pool.add(np.arange(150, 330))
    state = kept.for_solve(0.0)
    assert state.active.size == 330
    assert held is not state.factor
    np.testing.assert_array_equal(upper(state, 150), before)
    np.testing.assert_array_equal(state.active[:150], np.arange(150))
