"""The local search: every move is scored as if it had been made, and the best is made."""

from __future__ import annotations

import numpy as np
import pytest
from l0_problems import correlated, half_rss, subset_problem
from sklearn.linear_model import lars_path

from sparsereg.solvers.refit_swaps import Refit

N, P = 30, 10
START = np.array([1, 2, 3, 4])


def neighbors(support, p=P):
    inside, outside = set(support), set(range(p)) - set(support)
    drops = [inside - {i} for i in inside]
    adds = [inside | {j} for j in outside]
    swaps = [(inside - {i}) | {j} for i in inside for j in outside]
    return drops, adds, swaps


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("share", [0.5, 0.05, 0.001])
@pytest.mark.parametrize("seed", range(4))
def test_the_first_move_is_the_best_of_all_refits(seed, share, l2):
    X, y = correlated(seed, N, P, scales=l2 == 0.0)
    problem = subset_problem(X, y, l2)
    alpha = share * problem.alpha_max()
    drops, adds, swaps = neighbors(START)
    best = min(half_rss(X, y, S, l2) + alpha * len(S) for S in [START, *drops, *adds, *swaps])
    refit = Refit(problem, START)
    refit.descend(alpha, max_moves=1)
    assert refit.objective(alpha) == pytest.approx(best, rel=1e-9)
    assert half_rss(X, y, refit.support, l2) == pytest.approx(refit.half_rss, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_first_exchange_is_the_best_of_its_size(seed):
    X, y = correlated(seed, N, P)
    refit = Refit(subset_problem(X, y), START)
    refit.exchange(max_moves=1)
    swaps = neighbors(START)[2]
    assert refit.half_rss == pytest.approx(
        min(half_rss(X, y, S) for S in [START, *swaps]), rel=1e-10
    )
    assert refit.size == 4


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_no_neighbor_of_the_final_support_is_better(l2):
    X, y = correlated(0, 25, 40, rho=0.9, n_nonzero=6)
    problem = subset_problem(X, y, l2)
    alpha = 0.03 * problem.alpha_max()
    refit = Refit(problem)
    refit.descend(alpha)
    drops, adds, swaps = neighbors(refit.support, 40)
    best = min(half_rss(X, y, S, l2) + alpha * len(S) for S in [*drops, *adds, *swaps])
    assert refit.objective(alpha) <= best + 1e-12


def test_many_updates_leave_no_drift():
    X, y = correlated(1, 60, 50, rho=0.9, n_nonzero=8)
    problem = subset_problem(X, y)
    rng = np.random.default_rng(0)
    refit = Refit(problem)
    for _ in range(300):  # in and out at random: refreshes and rank-one updates
        support = refit.support
        if support.size > 15 or (support.size > 3 and rng.random() < 0.5):
            refit._leave(int(rng.integers(support.size)))
        else:
            refit._enter(int(rng.choice(np.setdiff1d(np.arange(50), support))))
    assert refit.half_rss == pytest.approx(half_rss(X, y, refit.support), rel=1e-10)


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_a_support_built_by_updates_is_that_of_a_factor(l2, monkeypatch):
    X, y = correlated(6, 60, 50, rho=0.5, n_nonzero=8)
    support = np.random.default_rng(1).permutation(50)[:40]  # more than there is room for at first
    built = []
    for share in (0, np.inf):
        monkeypatch.setattr("sparsereg.solvers.refit_swaps._FACTORED", share)
        built.append(Refit(subset_problem(X, y, l2), support))
    factor, updates = built
    np.testing.assert_array_equal(updates.support, factor.support)
    np.testing.assert_allclose(updates.coef, factor.coef, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(updates.gradient, factor.gradient, atol=1e-10)
    assert updates.half_rss == pytest.approx(factor.half_rss, rel=1e-9)
    assert updates.interval() == pytest.approx(factor.interval(), rel=1e-9, abs=1e-12)


def test_swaps_recover_what_forward_selection_gets_wrong():
    # x_0 is the sum of the two columns that matter, and beats each of them alone
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 100))
    X = np.column_stack([a + b + 0.3 * rng.standard_normal(100), a, b])
    refit = Refit(subset_problem(X, a + b))
    refit.grow(refit.size + 1)
    assert set(refit.support) == {0}
    refit.grow(refit.size + 1)
    refit.exchange()
    assert set(refit.support) == {1, 2}


@pytest.mark.parametrize("copies", [2, 5])
def test_duplicated_columns_enter_once(copies):
    X, y = correlated(2, N, 6)
    X = np.tile(X, (1, copies))
    refit = Refit(subset_problem(X, y), np.arange(X.shape[1]))
    assert len(refit.support) == 6
    refit.descend(0.0)
    assert len(refit.support) == 6
    assert refit.half_rss == pytest.approx(half_rss(X[:, :6], y, range(6)), rel=1e-9)


def test_sizes_beyond_the_rank_are_not_reached():
    X, y = correlated(3, 8, 30)
    refit = Refit(subset_problem(X, y))
    while refit.grow(refit.size + 1):
        pass
    assert refit.size <= 7
    assert refit.half_rss == pytest.approx(0.0, abs=1e-12)


def test_excluded_columns_stay_out_and_free_ones_in():
    X, y = correlated(4, N, P)
    costs = np.ones(P)
    costs[[0, 1]], costs[[2, 3]] = 0.0, np.inf
    problem = subset_problem(X, y, costs=costs)
    refit = Refit(problem, problem.free)
    refit.descend(0.01 * problem.alpha_max())
    assert {0, 1} <= set(refit.support)
    assert not {2, 3} & set(refit.support)
    assert refit.size == len(refit.support) - 2
    refit.exchange()
    assert {0, 1} <= set(refit.support)


def test_the_validity_interval_is_where_no_single_coefficient_wants_to_move():
    X, y = correlated(5, 40, 12, rho=0.8)
    problem = subset_problem(X, y)
    refit = Refit(problem, np.array([0, 5]))
    refit.exchange()
    low, high = refit.interval()
    w = problem.fit(refit.support)
    base = X @ w

    def gain_of_one_coordinate(alpha):
        """Return the best decrease over one coordinate, by its closed form."""
        r = (y - base) - np.mean(y - base)
        gains = []
        for j in range(12):
            x = X[:, j] - X[:, j].mean()
            partial = r + x * w[j]
            zero = 0.5 * np.mean(partial**2)
            free = zero - 0.5 * (x @ partial) ** 2 / (x @ x) / 40 + alpha
            now = 0.5 * np.mean(r**2) + alpha * (w[j] != 0)
            gains.append(now - min(zero, free))
        return max(gains)

    assert 0 < low < high
    for alpha in (low * 1.001, (low * high) ** 0.5, high * 0.999):
        assert gain_of_one_coordinate(alpha) <= 1e-12
    assert gain_of_one_coordinate(low * 0.99) > 0
    assert gain_of_one_coordinate(high * 1.01) > 0


@pytest.mark.parametrize("share_free", [0.0, 0.2])
def test_growing_and_shrinking_make_the_best_steps(share_free):
    X, y = correlated(6, N, P)
    costs = np.where(np.arange(P) < share_free * P, 0.0, 1.0)
    problem = subset_problem(X, y, costs=costs)
    refit = Refit(problem, problem.free)
    free, inside = set(problem.free), set(problem.free)
    for size in range(1, 6):
        inside = min(
            (inside | {j} for j in set(range(P)) - inside), key=lambda S: half_rss(X, y, S)
        )
        assert refit.grow(size)
        assert set(refit.support) == inside
        assert refit.half_rss == pytest.approx(half_rss(X, y, inside), rel=1e-9)
    for size in range(4, 0, -1):
        inside = min((inside - {i} for i in inside - free), key=lambda S: half_rss(X, y, S))
        refit.shrink(size)
        assert set(refit.support) == inside
        assert refit.half_rss == pytest.approx(half_rss(X, y, inside), rel=1e-9)


def test_a_walk_goes_on_while_it_meets_what_is_known():
    X, y = correlated(7, N, P)
    problem = subset_problem(X, y)
    walk, known = Refit(problem), np.empty(P + 1)
    known[0] = walk.half_rss
    for size in range(1, P + 1):
        walk.grow(size)
        known[size] = walk.half_rss
    tol = 1e-12 * problem.sq_y
    for last in (2, 5):
        part = np.where(np.arange(P + 1) < last, known, np.nan)
        refit = Refit(problem)
        refit.grow(1, part, tol)
        assert refit.size == last  # the first size of which nothing is known
        assert refit.half_rss == pytest.approx(known[last], rel=1e-12)
    downhill = known.copy()
    for size in range(P - 1, -1, -1):
        walk.shrink(size)
        downhill[size] = walk.half_rss
    downhill[4] = np.nan
    refit = Refit(problem, np.arange(P))
    refit.shrink(P - 1, downhill, tol)
    assert refit.size == 4


def test_a_step_is_made_where_the_inverse_is_worn():
    X, y = correlated(8, N, P)
    refit = Refit(subset_problem(X, y), START)
    refit._wear = 1e9
    refit.shrink(1)
    assert refit.size == 1
    refit._wear = 1e9
    assert refit.grow(3)
    assert refit.size == 3
    assert refit.half_rss == pytest.approx(half_rss(X, y, refit.support), rel=1e-9)


def first_supports(X, y, sizes):
    """Return the first supports of these sizes on the lasso path, and whether a column left."""
    _, _, coefs = lars_path(X, y, method="lasso")
    coefs = coefs[:, 1:] + coefs[:, :-1]  # between events
    counts = np.count_nonzero(coefs, axis=0)
    supports = [np.flatnonzero(coefs[:, np.argmax(counts >= size)]) for size in sizes]
    return supports, bool(np.any(np.diff(counts) < 0))


@pytest.mark.parametrize("l2", [0.0, 0.2])
def test_the_lasso_is_followed_event_by_event(l2):
    left = []
    for seed in range(8):
        X, y = correlated(seed, 40, 60, rho=0.9, n_nonzero=8)
        X, y = (X - X.mean(axis=0)) / X.std(axis=0), y - y.mean()
        stacked = np.vstack([X, np.sqrt(40 * l2) * np.eye(60)])
        wanted, gone = first_supports(stacked, np.append(y, np.zeros(60)), (2, 9, 20))
        found = Refit(subset_problem(X, y, l2)).follow_lasso((2, 9, 20))
        assert [sorted(support) for support in found] == [list(support) for support in wanted]
        left.append(gone)
    assert any(left)


def test_the_lasso_is_followed_beside_free_columns():
    X, y = correlated(3, 40, 30, rho=0.8, n_nonzero=8)
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), y - y.mean()
    free, costs = [4, 11], np.ones(30)
    costs[free], costs[20] = 0.0, np.inf
    problem = subset_problem(X, y, costs=costs)
    found = Refit(problem, problem.free).follow_lasso((3, 7))
    basis = np.linalg.qr(X[:, free])[0]
    rest = X - basis @ (basis.T @ X)
    rest[:, [*free, 20]] = 0.0
    wanted, _ = first_supports(rest, y - basis @ (basis.T @ y), (3, 7))
    assert [sorted(support) for support in found] == [
        sorted([*free, *support]) for support in wanted
    ]


def test_the_lasso_ends_where_it_is_least_squares():
    X, y = correlated(0, 12, 30)
    refit = Refit(subset_problem(X, y))
    supports = refit.follow_lasso((5, 25, 28))
    assert len(supports) == 2
    assert supports[0].size == 5
    assert supports[1].size <= 11


def test_a_refit_is_right_after_following_the_lasso():
    X, y = correlated(2, 40, 60, rho=0.9, n_nonzero=8)
    refit = Refit(subset_problem(X, y))
    support = refit.follow_lasso((20,))[0]
    fresh = Refit(subset_problem(X, y), support)
    assert refit.half_rss == pytest.approx(half_rss(X, y, support), rel=1e-9)
    np.testing.assert_allclose(refit.coef, fresh.coef, rtol=1e-7)
    np.testing.assert_allclose(refit.gradient, fresh.gradient, atol=1e-10)
