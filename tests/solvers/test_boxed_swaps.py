"""Supports of bounded coefficients: no neighbor is better, by refits in the box one by one."""

from __future__ import annotations

import numpy as np
import pytest
from l0_problems import best_by_size, correlated, half_rss, subset_problem

from sparsereg import L0Regressor
from sparsereg.solvers.boxed_swaps import BoxedSwaps

P = 7


def neighbors(support):
    inside, outside = set(support), set(range(P)) - set(support)
    drops = [inside - {i} for i in inside]
    adds = [inside | {j} for j in outside]
    swaps = [(inside - {i}) | {j} for i in inside for j in outside]
    return drops, adds, swaps


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("n", [4, 30])
@pytest.mark.parametrize("seed", range(5))
def test_no_neighbor_of_the_final_support_is_better_in_the_box(seed, n, l2):
    X, y = correlated(seed, n, P, 0.6)
    problem, bound = subset_problem(X, y, l2), 0.4
    problem.know(np.arange(P))
    alpha = 0.02 * problem.alpha_max()
    end = BoxedSwaps(problem, bound).descend(np.array([0, 1]), alpha, 1000)
    value = half_rss(X, y, end.support, l2, bound) + alpha * end.support.size
    assert end.objective == pytest.approx(value, rel=1e-6)
    least = min(
        half_rss(X, y, S, l2, bound) + alpha * len(S)
        for moves in neighbors(end.support.tolist())
        for S in moves
    )
    assert value <= least + 1e-8 * problem.sq_y


@pytest.mark.parametrize("seed", range(5))
def test_with_a_size_no_exchange_is_better_and_the_size_is_kept(seed):
    X, y = correlated(seed, 30, P, 0.6)
    problem, bound = subset_problem(X, y), 0.4
    problem.know(np.arange(P))
    end = BoxedSwaps(problem, bound).descend(np.array([0]), 0.0, 1000, 3)
    assert end.support.size == 3
    value = half_rss(X, y, end.support, 0.0, bound)
    swaps = neighbors(end.support.tolist())[2]
    assert value <= min(half_rss(X, y, S, 0.0, bound) for S in swaps) + 1e-8 * problem.sq_y


def test_free_columns_stay_and_excluded_ones_do_not_enter():
    X, y = correlated(0, 30, P, 0.6)
    costs = np.array([0.0, np.inf, 1, 1, 1, 1, 1])
    problem = subset_problem(X, y, costs=costs)
    problem.know(np.flatnonzero(problem.usable))
    for alpha in (1e-6, 1e6):
        support = BoxedSwaps(problem, 0.3).descend(np.array([3]), alpha, 1000).support.tolist()
        assert 0 in support
        assert 1 not in support
    assert support == [0]


def test_a_budget_of_moves_is_kept():
    X, y = correlated(0, 30, P, 0.6)
    problem = subset_problem(X, y)
    problem.know(np.arange(P))
    boxed, start = BoxedSwaps(problem, 0.3), np.array([6])
    assert boxed.descend(start, 1e-6, 0).support.tolist() == [6]
    assert boxed.descend(start, 1e-6, 2).n_moves == 2


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_few_rows_and_a_bound_end_at_the_minimum(n):
    # with bounds, more columns than the rank of X are useful
    for seed in range(5):
        X, y = correlated(seed, n, P, 0.5)
        alpha, bound = 1e-3 * y.var(), 0.2
        best = np.min(best_by_size(X, y, 0.0, bound) + alpha * np.arange(P + 1))
        model = L0Regressor(alpha, coef_bound=bound).fit(X, y)
        assert model.objective_ <= best * (1 + 1e-7) + 1e-12


def test_a_size_and_a_bound_end_at_the_minimum():
    for seed in range(5):
        X, y = correlated(seed, 12, P, 0.5)
        best = best_by_size(X, y, 0.0, 0.3)
        for size in (1, 2, 4):
            model = L0Regressor(n_nonzero=size, coef_bound=0.3).fit(X, y)
            assert model.objective_ == pytest.approx(best[: size + 1].min(), rel=1e-7)
            assert [stage.objective for stage in model.history_] == sorted(
                (stage.objective for stage in model.history_), reverse=True
            )
