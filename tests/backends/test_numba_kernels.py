"""Each kernel of the Numba backend against a few lines of NumPy, for every storage of X."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse

from sparsereg.backends.numba import backend
from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.penalty_kernels import prox_vector
from sparsereg.backends.numba.threads import run_blocks
from sparsereg.backends.protocol import ActiveSet, Backend
from sparsereg.penalties import ElasticNet

N, P = 37, 13
RNG = np.random.default_rng(11)
VALUES = RNG.standard_normal((N, P)) + RNG.standard_normal(P)
VALUES[RNG.random((N, P)) < 0.4] = 0.0
VALUES[:, 4] = 0.0  # an empty column
VALUES[:, 6] = VALUES[:, 2]  # a duplicate
VALUES = VALUES.astype(np.float32).astype(float)  # the same numbers in both precisions
WEIGHTS = RNG.integers(0, 3, N).astype(float)
WEIGHTS *= N / WEIGHTS.sum()


def with_int64(matrix):
    matrix = sparse.csc_array(matrix)
    matrix.indices, matrix.indptr = (a.astype(np.int64) for a in (matrix.indices, matrix.indptr))
    return matrix


STORAGES = {
    "F64": np.asfortranarray,
    "C64": np.ascontiguousarray,
    "F32": lambda X: np.asfortranarray(X, dtype=np.float32),
    "C32": lambda X: np.ascontiguousarray(X, dtype=np.float32),
    "csc64 int32": sparse.csc_array,
    "csc32 int32": lambda X: sparse.csc_array(X.astype(np.float32)),
    "csc64 int64": with_int64,
    "csc32 int64": lambda X: with_int64(X.astype(np.float32)),
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
}


class Setting(NamedTuple):
    """A design of the backend, and what it stands for."""

    design: object
    centered: np.ndarray
    s: np.ndarray


def make_setting(storage, weighted, center, values=VALUES):
    s = WEIGHTS if weighted else np.ones(N)
    means = s @ values / N if center else np.zeros(values.shape[1])
    weights = s if weighted else None
    return Setting(backend.design(STORAGES[storage](values), weights, center), values - means, s)


@pytest.fixture(params=STORAGES)
def storage(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def weighted(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["as is", "centered"])
def center(request):
    return request.param


@pytest.fixture
def setting(storage, weighted, center):
    return make_setting(storage, weighted, center)


COLUMNS = [
    pytest.param(np.arange(P), id="all"),
    pytest.param(np.array([5, 2, 11, 0, 9]), id="some"),
    pytest.param(np.array([4]), id="an empty one"),
    pytest.param(np.empty(0, dtype=np.intp), id="none"),
]


def test_the_backend_keeps_the_protocol():
    assert isinstance(backend, Backend)


# ------------------------------------------------------------------------------------ passes over X


def test_means_are_weighted_means(setting):
    np.testing.assert_allclose(
        setting.design.means, (setting.s @ (VALUES - setting.centered)) / N, atol=1e-14
    )


def test_squared_norms_are_weighted_and_centered(setting):
    expected = setting.s @ setting.centered**2 / N
    np.testing.assert_allclose(setting.design.sqnorms, expected, rtol=1e-13, atol=1e-30)


def test_squared_norms_of_constant_columns_are_exactly_zero(storage, weighted):
    constant = np.broadcast_to([0.1, 1 / 3, 1e6, -7.0], (N, 4)).astype(np.float32).astype(float)
    assert not np.any(make_setting(storage, weighted, True, constant).design.sqnorms)


def test_squared_norms_of_columns_that_vary_on_rows_without_weight_are_exactly_zero(storage):
    values = np.where((WEIGHTS == 0)[:, None], RNG.standard_normal((N, 3)), 2.0)
    assert not np.any(make_setting(storage, True, True, values).design.sqnorms)


def test_squared_norms_do_not_cancel_far_from_zero(storage, weighted):
    values = np.round(VALUES * 8) + 2.0**16  # exact in float32
    setting = make_setting(storage, weighted, True, values)
    expected = setting.s @ setting.centered**2 / N
    np.testing.assert_allclose(setting.design.sqnorms, expected, rtol=1e-9, atol=1e-9)


def test_the_shape_is_that_of_X(setting):
    assert tuple(setting.design.shape) == (N, P)


def test_the_number_of_entries_counts_what_is_stored(setting):
    stored = np.count_nonzero(VALUES) if setting.design.is_sparse else VALUES.size
    assert setting.design.nnz == stored


def test_xtr_is_the_centered_product(setting):
    residual = RNG.standard_normal(N)
    expected = setting.centered.T @ (setting.s * residual) / N
    np.testing.assert_allclose(backend.xtr(setting.design, residual), expected, atol=1e-14)


@pytest.mark.parametrize("columns", COLUMNS)
def test_xtr_of_listed_columns_is_part_of_the_whole(setting, columns):
    residual = RNG.standard_normal(N)
    expected = setting.centered[:, columns].T @ (setting.s * residual) / N
    listed = backend.xtr(setting.design, residual, columns)
    np.testing.assert_allclose(listed, expected, atol=1e-14)


@pytest.mark.parametrize("columns", COLUMNS)
def test_fitted_is_the_centered_combination(setting, columns):
    coef = RNG.standard_normal(columns.size)
    expected = setting.centered[:, columns] @ coef
    np.testing.assert_allclose(backend.fitted(setting.design, columns, coef), expected, atol=1e-13)


@pytest.mark.parametrize("columns", COLUMNS)
def test_packed_columns_are_centered_and_carry_the_root_of_the_weights(setting, columns):
    expected = np.sqrt(setting.s)[:, None] * setting.centered[:, columns]
    np.testing.assert_allclose(backend.pack(setting.design, columns), expected, atol=1e-14)


@pytest.mark.parametrize("n_new", [1, 3, 5])
def test_gram_is_the_block_of_the_new_columns(setting, n_new):
    columns = np.array([5, 2, 11, 0, 9])
    A = setting.centered[:, columns]
    expected = (A.T @ (setting.s[:, None] * A) / N)[:, -n_new:]
    block = backend.gram(setting.design, columns, n_new)
    np.testing.assert_allclose(block, expected, atol=1e-13)


def test_gram_does_not_cancel_far_from_zero(storage, weighted):
    values = np.round(VALUES * 8) + 2.0**16  # exact in float32
    setting = make_setting(storage, weighted, True, values)
    A = setting.centered
    block = backend.gram(setting.design, np.arange(P), P)
    np.testing.assert_allclose(block, A.T @ (setting.s[:, None] * A) / N, atol=1e-5)


def test_X_is_not_written_to(setting):
    design, before = setting.design, VALUES
    backend.xtr(design, np.ones(N))
    backend.gram(design, np.arange(P), P)
    np.testing.assert_array_equal(backend.pack(design, np.arange(P)).shape, (N, P))
    whole = make_setting("F64", False, False).design
    np.testing.assert_array_equal(backend.pack(whole, np.arange(P)), before)


def test_dense_data_is_not_copied():
    for order in "CF":
        X = np.array(VALUES, order=order)
        assert np.shares_memory(backend.design(X, None, True).X, X)


def test_sparse_data_is_not_copied():
    X = sparse.csc_array(VALUES)
    assert np.shares_memory(backend.design(X, None, True).data, X.data)


# ------------------------------------------------------------------------------- coordinate descent


def penalty_of(l1_ratio=1.0, positive=False, weights=None, alpha=0.05):
    return ElasticNet(alpha, l1_ratio=l1_ratio, positive=positive, weights=weights)


PENALTIES = {
    "lasso": penalty_of(),
    "weights": penalty_of(weights=np.linspace(0, 2, P)),
    "excluded": penalty_of(weights=np.where(np.arange(P) % 3 == 0, np.inf, 1.0)),
    "positive": penalty_of(positive=True),
    "elastic net": penalty_of(l1_ratio=0.5),
    "ridge": penalty_of(l1_ratio=0.0),
    "none": penalty_of(alpha=0.0),
}
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES.keys())


def descend(G, c, penalty, epochs, start=None):
    """Return cyclic coordinate descent on w'Gw/2 - c'w + penalty(w)."""
    w = np.zeros(c.size) if start is None else start.copy()
    weights = np.ones(c.size) if penalty.weights is None else penalty.weights
    for _ in range(epochs):
        for j in np.flatnonzero(np.diag(G) > 0):
            one = ElasticNet(
                penalty.alpha, l1_ratio=penalty.l1_ratio, positive=penalty.positive,
                weights=weights[j : j + 1],
            )  # fmt: skip
            g = c[j] - G[j] @ w
            w[j] = one.prox(w[j : j + 1] + g / G[j, j], 1 / G[j, j])[0]
    return w


def quadratic(setting, columns=slice(None)):
    """Return the Gram matrix and X'y/n of some columns, and a centered y."""
    y = setting.centered[:, :3].sum(axis=1) + np.sin(np.arange(N))
    y -= setting.s @ y / N
    A = setting.centered[:, columns]
    return A.T @ (setting.s[:, None] * A) / N, A.T @ (setting.s * y) / N, y


@every_penalty
@pytest.mark.parametrize("epochs", [1, 3])
def test_gram_descent_follows_the_reference(penalty, epochs):
    G, c, _ = quadratic(make_setting("F64", False, True))
    coef, gradient = np.zeros(P), c.copy()
    backend.gram_cd(G, gradient, coef, penalty.kernel_form(P), epochs, 0.0)
    np.testing.assert_allclose(coef, descend(G, c, penalty, epochs), atol=1e-13)


@every_penalty
def test_gram_descent_keeps_the_gradient(penalty):
    G, c, _ = quadratic(make_setting("F64", False, True))
    coef, gradient = np.zeros(P), c.copy()
    backend.gram_cd(G, gradient, coef, penalty.kernel_form(P), 7, 0.0)
    np.testing.assert_allclose(gradient, c - G @ coef, atol=1e-13)


@every_penalty
def test_one_epoch_of_residual_descent_is_the_reference(setting, penalty):
    G, c, y = quadratic(setting)
    coef = np.zeros(P)
    backend.residual_cd(setting.design, np.arange(P), y, coef, penalty.kernel_form(P), 1, 0.0)
    np.testing.assert_allclose(coef, descend(G, c, penalty, 1), atol=1e-12)


def test_one_epoch_of_residual_descent_on_listed_columns_is_the_reference(setting):
    columns = np.array([5, 2, 11, 0, 9])
    G, c, y = quadratic(setting, columns)
    start = RNG.standard_normal(5)
    coef, residual = start.copy(), y - setting.centered[:, columns] @ start
    form = penalty_of().kernel_form(5)
    backend.residual_cd(setting.design, columns, residual, coef, form, 1, 0.0)
    np.testing.assert_allclose(coef, descend(G, c, penalty_of(), 1, start), atol=1e-12)


@every_penalty
def test_many_epochs_of_residual_descent_end_at_an_optimum(setting, penalty):
    G, c, y = quadratic(setting)
    coef = np.zeros(P)
    backend.residual_cd(setting.design, np.arange(P), y, coef, penalty.kernel_form(P), 3000, 0.0)
    distance = penalty.subdiff_distance(coef, G @ coef - c)
    np.testing.assert_allclose(distance[np.diag(G) > 0], 0.0, atol=1e-8)


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_the_residual_follows_descent(setting, epochs):
    _, _, y = quadratic(setting)
    coef, residual = np.zeros(P), y.copy()
    form = penalty_of().kernel_form(P)
    backend.residual_cd(setting.design, np.arange(P), residual, coef, form, epochs, 0.0)
    counts = setting.s > 0
    expected = y - setting.centered @ coef
    np.testing.assert_allclose(residual[counts], expected[counts], atol=1e-12)


def test_descent_counts_its_epochs():
    G, c, _ = quadratic(make_setting("F64", False, True))
    epochs, _ = backend.gram_cd(G, c.copy(), np.zeros(P), penalty_of().kernel_form(P), 4, 0.0)
    assert epochs == 4


def test_descent_stops_when_nothing_changes():
    G, c, _ = quadratic(make_setting("F64", False, True))
    form = penalty_of(alpha=100.0).kernel_form(P)
    assert tuple(backend.gram_cd(G, c.copy(), np.zeros(P), form, 50, 0.0)) == (1, 0.0)


@pytest.mark.parametrize("storage", ["F64", "csc64 int32"])
def test_residual_descent_stops_when_nothing_changes(storage):
    setting = make_setting(storage, False, True)
    _, _, y = quadratic(setting)
    form = penalty_of(alpha=100.0).kernel_form(P)
    end = backend.residual_cd(setting.design, np.arange(P), y, np.zeros(P), form, 50, 0.0)
    assert tuple(end) == (1, 0.0)


@pytest.mark.parametrize("storage", ["F64", "csc64 int32"])
def test_residual_descent_does_not_stop_before_every_column_was_visited(storage):
    setting = make_setting(storage, False, True)
    G, c, y = quadratic(setting)
    coef, form = np.zeros(P), penalty_of().kernel_form(P)
    backend.residual_cd(setting.design, np.arange(P), y, coef, form, 5000, 1e-20)
    distance = penalty_of().subdiff_distance(coef, G @ coef - c)
    np.testing.assert_allclose(distance[np.diag(G) > 0], 0.0, atol=1e-8)


def test_descent_stops_below_its_tolerance():
    G, c, _ = quadratic(make_setting("F64", False, True))
    form = penalty_of().kernel_form(P)
    epochs, largest = backend.gram_cd(G, c.copy(), np.zeros(P), form, 5000, 1e-6)
    assert largest <= 1e-6
    assert epochs < 5000


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_descent_on_data_that_overflowed_ends(value):
    G, c, _ = quadratic(make_setting("F64", False, True))
    c[0] = value
    form = penalty_of().kernel_form(P)
    epochs, largest = backend.gram_cd(G, c, np.zeros(P), form, 20, 1e-6)
    assert epochs <= 20
    assert not np.isfinite(largest)


@every_penalty
def test_scalar_prox_equals_the_vector_prox(penalty):
    v = np.linspace(-1, 1, P)
    kernel_value = prox_vector(*penalty.kernel_form(P), v, 0.7)
    np.testing.assert_allclose(kernel_value, penalty.prox(v, 0.7), rtol=1e-14, atol=1e-16)


# ------------------------------------------------------------------------------------- the homotopy


class Walk(NamedTuple):
    """What a homotopy returns."""

    coef: np.ndarray
    gradient: np.ndarray
    reached: bool
    events: int


def new_state(m):
    return ActiveSet.with_room(m, m)


def walk(G, c, l1, l2=0.0, free=None, positive=False, start=None, rank=None, state=None, **limits):
    m = c.size
    l1, l2 = (np.broadcast_to(np.asarray(v, float), m).copy() for v in (l1, l2))
    free = np.zeros(m, dtype=bool) if free is None else free
    l1[free] = 0.0
    coef = np.zeros(m) if start is None else start.copy()
    gradient = c - G[:m, :m] @ coef
    reached, events = backend.homotopy(
        gram=G,
        gradient=gradient,
        coef=coef,
        l1=l1,
        l2=l2,
        free=free,
        positive=positive,
        max_rank=m if rank is None else rank,
        max_events=limits.get("max_events", 50 * m),
        jitter=limits.get("jitter", 0.0),
        state=new_state(m) if state is None else state,
    )
    return Walk(coef, gradient, reached, events)


def random_quadratic(seed, n=30, m=12, duplicates=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, m))
    if duplicates:
        A = A[:, rng.integers(0, max(m // 2, 1), m)]
    y = A[:, 0] + rng.standard_normal(n)
    return A.T @ A / n, A.T @ y / n


def violation(G, c, w, l1, l2=0.0, positive=False):
    """Return how far w is from optimality, relative to the largest gradient at zero."""
    m = w.size
    l1, l2 = (np.broadcast_to(np.asarray(v, float), m) for v in (l1, l2))
    u = c - G @ w - l2 * w
    at_zero = np.maximum((u if positive else np.abs(u)) - l1, 0)
    distance = np.where(w == 0, at_zero, np.abs(u - l1 * np.sign(w)))
    return np.max(distance) / np.max(np.abs(c))


KINDS = {
    "lasso": {},
    "ridge part": {"l2": 0.1},
    "ridge only": {"l1": 0.0, "l2": 0.1},
    "positive": {"positive": True},
    "positive, ridge part": {"positive": True, "l2": 0.1},
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


def params_of(kind, c, share):
    return {"l1": share * np.max(np.abs(c)), **kind}


@every_kind
@pytest.mark.parametrize("share", [0.9, 0.3, 1e-2, 1e-6])
@pytest.mark.parametrize("seed", range(5))
def test_the_homotopy_ends_at_the_optimum(kind, share, seed):
    G, c = random_quadratic(seed)
    params = params_of(kind, c, share)
    end = walk(G, c, **params)
    assert end.reached
    assert violation(G, c, end.coef, **params) < 1e-12


@every_kind
@pytest.mark.parametrize("seed", range(5))
def test_the_homotopy_agrees_with_coordinate_descent(kind, seed):
    G, c = random_quadratic(seed)
    params = params_of(kind, c, 0.1)
    strength, l2 = params["l1"], params.get("l2", 0.0)
    penalty = ElasticNet(
        strength + l2, l1_ratio=strength / (strength + l2), positive=params.get("positive", False)
    )
    np.testing.assert_allclose(walk(G, c, **params).coef, descend(G, c, penalty, 600), atol=1e-9)


@every_kind
@pytest.mark.parametrize("seed", range(5))
def test_the_homotopy_keeps_the_gradient(kind, seed):
    G, c = random_quadratic(seed)
    end = walk(G, c, **params_of(kind, c, 0.05))
    np.testing.assert_allclose(end.gradient, c - G @ end.coef, atol=1e-12)


@every_kind
@pytest.mark.parametrize("seed", range(5))
def test_the_homotopy_ends_at_the_same_optimum_from_any_start(kind, seed):
    G, c = random_quadratic(seed)
    params = params_of(kind, c, 0.1)
    start = np.random.default_rng(seed).standard_normal(12)
    start[::3] = 0
    start = np.abs(start) if params.get("positive") else start
    expected = walk(G, c, **params).coef
    np.testing.assert_allclose(walk(G, c, start=start, **params).coef, expected, atol=1e-9)


@every_kind
@pytest.mark.parametrize("jitter", [1e-6, 1e-2])
def test_the_homotopy_ends_at_the_same_optimum_with_any_jitter(kind, jitter):
    G, c = random_quadratic(3)
    params = params_of(kind, c, 0.1)
    expected = walk(G, c, **params).coef
    np.testing.assert_allclose(walk(G, c, jitter=jitter, **params).coef, expected, atol=1e-9)


@every_kind
def test_starting_at_the_optimum_is_the_end(kind):
    G, c = random_quadratic(0)
    params = params_of(kind, c, 0.1)
    first = walk(G, c, **params)
    again = walk(G, c, start=first.coef, **params)
    assert (again.reached, again.events) == (True, 0)
    np.testing.assert_allclose(again.coef, first.coef, atol=1e-14)


@every_kind
@pytest.mark.parametrize("seed", range(5))
def test_exact_duplicates_end_at_an_optimum(kind, seed):
    G, c = random_quadratic(seed, duplicates=True)
    params = params_of(kind, c, 0.05)
    end = walk(G, c, **params)
    assert end.reached
    assert violation(G, c, end.coef, **params) < 1e-11


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("share", [0.1, 1e-4, 1e-8])
@pytest.mark.parametrize("seed", range(5))
def test_more_columns_than_rank_end_at_an_optimum(positive, share, seed):
    G, c = random_quadratic(seed, n=8, m=30)
    l1 = share * np.max(np.abs(c))
    end = walk(G, c, l1, positive=positive, rank=8)
    assert end.reached
    assert violation(G, c, end.coef, l1, positive=positive) < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_the_active_set_never_exceeds_the_rank(seed):
    G, c = random_quadratic(seed, n=8, m=30)
    assert np.count_nonzero(walk(G, c, 1e-8, rank=8).coef) <= 8


@pytest.mark.parametrize("seed", range(5))
def test_a_dependent_start_ends_at_an_optimum(seed):
    G, c = random_quadratic(seed, n=8, m=30)
    end = walk(G, c, 0.01, rank=8, start=np.random.default_rng(seed).standard_normal(30))
    assert end.reached
    assert violation(G, c, end.coef, 0.01) < 1e-9


@pytest.mark.parametrize("n_free", [1, 4, 12])
@pytest.mark.parametrize("seed", range(5))
def test_free_columns_end_without_a_slope(n_free, seed):
    G, c = random_quadratic(seed)
    free = np.arange(12) < n_free
    l1 = np.where(free, 0.0, 0.1 * np.max(np.abs(c)))
    end = walk(G, c, l1, free=free)
    assert end.reached
    assert violation(G, c, end.coef, l1) < 1e-12


@pytest.mark.parametrize("seed", [2022, 2474, 3713, 7618, 18000, 29245, *range(6)])
def test_tied_columns_stay_nonnegative_where_they_must(seed):
    # many columns of -1, 0, 1 that meet at one point: coefficients return to zero together
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(10, 25)), int(rng.integers(60, 110))
    A = rng.integers(-1, 2, (n, m)).astype(float)
    A -= A.mean(axis=0)
    y = A[:, :3].sum(axis=1) + np.round(rng.standard_normal(n))
    y -= y.mean()
    end = walk(A.T @ A / n, A.T @ y / n, 0.0, positive=True, rank=n - 1, max_events=60 * m)
    assert not end.reached or np.all(end.coef >= 0)


def test_zero_columns_stay_at_zero():
    G, c = random_quadratic(0)
    G[3], G[:, 3], c[3] = 0.0, 0.0, 0.0
    end = walk(G, c, 0.01)
    assert end.reached
    assert end.coef[3] == 0


def test_bounds_that_differ_by_orders_end_at_the_optimum_of_two_walks():
    G, c = random_quadratic(1)
    l1 = 10.0 ** np.linspace(-12, 2, 12)
    first = walk(G, c, l1)  # starts at bounds of 1e14 and loses digits on the way
    end = walk(G, c, l1, start=first.coef)
    assert end.reached
    assert violation(G, c, end.coef, l1) < 1e-12


def test_a_larger_gram_matrix_is_read_in_its_corner_only():
    G, c = random_quadratic(0)
    large = np.full((20, 20), np.nan)
    large[:12, :12] = G
    np.testing.assert_array_equal(walk(large, c, 0.05).coef, walk(G, c, 0.05).coef)


def test_the_budget_of_events_is_kept():
    G, c = random_quadratic(0)
    end = walk(G, c, 1e-6, max_events=3)
    assert not end.reached
    assert end.events <= 3


def test_running_out_of_events_leaves_a_gradient_that_belongs_to_the_point():
    G, c = random_quadratic(0)
    end = walk(G, c, 1e-6, max_events=3)
    np.testing.assert_allclose(end.gradient, c - G @ end.coef, atol=1e-12)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_kept_active_set_gives_the_same_as_a_fresh_one(positive, seed):
    G, c = random_quadratic(seed, n=15, m=20)
    state, coef = new_state(20), None
    for share in (0.5, 0.1, 0.02, 0.3, 1e-4):
        l1 = share * np.max(np.abs(c))
        kept = walk(G, c, l1, positive=positive, rank=15, start=coef, state=state)
        assert kept.reached
        assert violation(G, c, kept.coef, l1, positive=positive) < 1e-11
        coef = kept.coef


def test_signs_of_tied_columns_do_not_cycle():
    A = np.array([[1.0, -1, 1, 0], [1, 1, -1, 0], [0, 1, 1, 1], [1, 0, 0, -1]])
    G, c = A.T @ A, A.T @ np.array([1.0, 1, 1, 1])
    for l1 in (1.5, 1.0, 0.5, 1e-3):
        end = walk(G, c, l1)
        assert end.reached
        assert violation(G, c, end.coef, l1) < 1e-12


# ---------------------------------------------------------------------------- threads and the cache


@pytest.mark.parametrize("n_items", [0, 1, 7, 64, 1000])
@pytest.mark.parametrize("block", [1, 8, 512])
@pytest.mark.parametrize("work", [0.0, 1e9])
def test_blocks_cover_every_item_once(n_items, block, work):
    seen = np.zeros(n_items, dtype=int)

    def task(start, stop):
        seen[start:stop] += 1

    run_blocks(task, n_items, block, work)
    assert np.all(seen == 1)


def test_an_error_in_a_block_reaches_the_caller():
    def task(start, stop):
        if start >= 500:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_blocks(task, 1000, 8, 1e9)


FIT_AND_HASH = """
import hashlib, os, sys
import numpy as np
from scipy import sparse
from sparsereg import Lasso, LassoCV
rng = np.random.default_rng(0)
X = rng.standard_normal((300, 3000))
y = X[:, :10].sum(axis=1) + rng.standard_normal(300)
digest = hashlib.sha256()
for data in (X, np.asfortranarray(X), X.astype(np.float32), sparse.csc_array(X * (X > 0.5))):
    for weights in (None, rng.integers(0, 3, 300)):
        digest.update(Lasso(alpha=0.05, tol=1e-8).fit(data, y, sample_weight=weights).coef_)
        digest.update(LassoCV(n_alphas=10, cv=3, n_jobs=2).fit(data[:, :1200], y).mse_path_)
print(digest.hexdigest())
"""


def run_in_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_number_of_threads_does_not_change_a_bit():
    answers = {
        run_in_process(FIT_AND_HASH, NUMBA_NUM_THREADS=str(n), OPENBLAS_NUM_THREADS=str(blas))
        for n, blas in ((1, 1), (2, 1), (3, 2))
    }
    assert len(answers) == 1


def test_kernels_work_after_a_fork():
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this platform")
    code = """
import os
import numpy as np
from sparsereg import Lasso
X = np.random.default_rng(0).standard_normal((400, 3000))
first = Lasso(alpha=0.05).fit(X, X[:, 0]).coef_
child = os.fork()
if child == 0:
    again = Lasso(alpha=0.05).fit(X, X[:, 0]).coef_
    os._exit(0 if np.array_equal(first, again) else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    run_in_process(code, NUMBA_NUM_THREADS="2")


def test_a_kernel_without_a_place_for_its_cache_compiles_in_memory(monkeypatch):
    import sparsereg.backends.numba.jit as module

    njit = module.njit

    def without_cache(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(module, "njit", without_cache)

    @kernel()
    def double(x):
        return 2 * x

    assert double(3.0) == 6.0


UNCACHED = """
import numba.core.caching as caching

def refuse(*args, **kwargs):
    raise RuntimeError("cannot cache function: no locator available for this file")

caching.FunctionCache.__init__ = refuse
from sparsereg.backends.numba.penalty_kernels import prox_vector
import numpy as np
params, v = np.array([1.0, 0.0, 0.0, 0.0]), np.array([3.0])
print(prox_vector(0, params, np.ones(1), np.empty(0), v, 1.0)[0])
"""


def test_kernels_work_where_nothing_can_be_cached():
    assert run_in_process(UNCACHED).strip() == "2.0"


def test_kernels_work_with_a_cache_folder_that_cannot_be_made(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code = """
from sparsereg.backends.numba.penalty_kernels import prox_vector
import numpy as np
params, v = np.array([1.0, 0.0, 0.0, 0.0]), np.array([3.0])
print(prox_vector(0, params, np.ones(1), np.empty(0), v, 1.0)[0])
"""
    folder = str(blocked / "cache")
    assert run_in_process(code, NUMBA_CACHE_DIR=folder).strip() == "2.0"


CACHED = """
import numpy as np
from sparsereg.backends.numba.penalty_kernels import prox_vector
prox_vector(0, np.zeros(4), np.ones(1), np.empty(0), np.ones(1), 1.0)
stats = prox_vector.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_the_next_process_finds_the_compiled_kernels(tmp_path):
    folder = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run_in_process(CACHED, **folder).split() == ["0", "1"]
    assert run_in_process(CACHED, **folder).split() == ["1", "0"]
