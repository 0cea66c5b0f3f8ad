"""The best models by size, the envelope they make, and how often they are the global optimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from l0_problems import best_by_size, correlated, half_rss, subset_problem

from sparsereg.solvers.l0 import best_of_size, minimize_l0
from sparsereg.solvers.l0_path import SupportPool, envelope, search_sizes


def search(problem, max_size):
    pool = SupportPool(problem)
    for _ in search_sizes(pool, max_size):
        pass
    return pool


def test_nearly_all_sizes_and_alphas_are_globally_optimal():
    """The published experiment: p = 12, correlation 0.8; forward paths alone reach 3 of 4."""
    sizes_hit, alphas_hit, direct_hit = [], [], []
    for seed in range(12):
        X, y = correlated(seed, 30, 12, rho=0.8, n_nonzero=4, noise=1.0)
        problem = subset_problem(X, y)
        truth = best_by_size(X, y)
        pool = search(problem, 12)
        found = np.array([pool[k].half_rss for k in range(13)])
        assert np.all(found >= truth - 1e-12)
        sizes_hit.extend(found <= truth + 1e-10)
        for alpha in np.geomspace(0.9, 1e-3, 10) * problem.alpha_max():
            optimum = np.min(truth + alpha * np.arange(13))
            alphas_hit.append(np.min(found + alpha * np.arange(13)) <= optimum + 1e-10)
            solution = minimize_l0(problem, alpha)
            direct_hit.append(solution.objective <= optimum + 1e-10)
    assert np.mean(sizes_hit) >= 0.97
    assert np.mean(alphas_hit) >= 0.97
    assert np.mean(direct_hit) >= 0.97


def test_errors_fall_with_the_size():
    X, y = correlated(0, 40, 80, n_nonzero=5)
    pool = search(subset_problem(X, y), 15)
    errors = [pool[k].half_rss for k in pool.sizes]
    assert pool.sizes == list(range(16))
    assert np.all(np.diff(errors) < 0)


def test_winners_win_inside_their_validity_intervals():
    X, y = correlated(1, 50, 100, rho=0.7, n_nonzero=6)
    pool = search(subset_problem(X, y), 15)
    values = np.array([pool[k].half_rss for k in pool.sizes])
    low, high = envelope(np.array(pool.sizes, dtype=float), values)
    winners = np.flatnonzero(np.isfinite(low))[:-1]  # the last one's interval ends with the search
    assert winners.size > 3
    for k in winners:
        assert pool[k].low <= low[k] * (1 + 1e-9)
        assert high[k] <= pool[k].high * (1 + 1e-9)


def test_hierarchy_of_necessary_conditions():
    """Global minimum => swap-optimal => coordinate-wise minimum, and fewer at each step."""
    X, y = correlated(2, 9, 8, rho=0.8, n_nonzero=3)
    problem = subset_problem(X, y)
    alpha = 0.1 * problem.alpha_max()
    from itertools import combinations

    from sparsereg.solvers.refit_swaps import Refit

    counts, optimum, winners = {"coordinate": 0, "swap": 0}, np.inf, []
    for k in range(7):
        for support in combinations(range(8), k):
            refit = Refit(problem, np.array(support, dtype=np.intp))
            value = half_rss(X, y, support) + alpha * k
            low, high = refit.interval()
            coordinate = low <= alpha <= high
            swap = refit.descend(alpha) == 0
            assert coordinate or not swap
            counts["coordinate"] += coordinate
            counts["swap"] += swap
            if value < optimum - 1e-12:
                optimum, winners = value, [swap]
    assert winners == [True]
    assert 1 <= counts["swap"] < counts["coordinate"]


@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 100)))
@settings(max_examples=100)
def test_the_envelope_is_the_minimum_over_sizes_at_every_alpha(values):
    sizes = np.arange(len(values), dtype=float)
    low, high = envelope(sizes, values)
    won = np.flatnonzero(np.isfinite(low))
    assert high[won[0]] == np.inf
    assert low[won[-1]] == 0.0
    np.testing.assert_allclose(low[won[:-1]], high[won[1:]])
    for alpha in [0.0, *np.linspace(0.01, 120, 50)]:
        inside = won[(low[won] <= alpha) & (alpha <= high[won])]
        lowest = np.min(values + alpha * sizes)
        assert inside.size >= 1
        np.testing.assert_allclose(values[inside] + alpha * sizes[inside], lowest, atol=1e-9)


@pytest.mark.parametrize("strategy", ["portfolio", "path", "irl1", "fbs"])
def test_the_history_never_rises(strategy):
    X, y = correlated(3, 40, 100, rho=0.9, n_nonzero=8)
    problem = subset_problem(X, y)
    solution = minimize_l0(problem, 0.02 * problem.alpha_max(), strategy=strategy)
    values = [stage.objective for stage in solution.history]
    assert np.all(np.diff(values) <= 0)
    assert values[-1] == solution.objective
    assert solution.stationarity <= 1e-7


def test_a_support_that_is_not_a_minimum_is_reported_so():
    X, y = correlated(3, 40, 100, rho=0.9, n_nonzero=8)
    problem = subset_problem(X, y)
    solution = minimize_l0(problem, 0.0005 * problem.alpha_max(), strategy="irl1", max_moves=0)
    better = minimize_l0(problem, 0.0005 * problem.alpha_max(), strategy="irl1")
    assert better.objective < solution.objective
    assert solution.stationarity >= 0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_fits_together_are_the_fits_one_by_one(l2, weighted, monkeypatch):
    X, y = correlated(0, 30, 12, scales=True)
    X[:, 5] = X[:, 3]
    weights = np.random.default_rng(0).random(30) if weighted else None
    if weighted:
        weights *= 30 / weights.sum()
    problem = subset_problem(X, y, l2, sample_weight=weights)
    monkeypatch.setattr("sparsereg.solvers.subset._RESIDUALS", 70)  # two supports at a time
    supports = [np.array(s, dtype=np.intp) for s in ([], [1], [0, 4, 7], [3, 5], range(10))]
    problem.gram_rows(np.array([0, 1, 3, 4, 5, 7]))
    coefs, mse = problem.fits(supports)
    for coef, support, error in zip(coefs, supports, mse, strict=True):
        alone = problem.fit(support)
        np.testing.assert_allclose(coef, alone, rtol=1e-9, atol=1e-12 * np.abs(alone).max())
        ridge = l2 * float(alone @ alone)
        assert error == pytest.approx(2 * problem.half_rss(alone) - ridge, rel=1e-10)


def test_one_size_is_searched_more_widely_where_the_lasso_disagrees():
    widely = {"easy": [], "hard": []}
    for seed in range(6):
        for name, rho, n_nonzero, noise in (("easy", 0.2, 4, 0.3), ("hard", 0.9, 10, 2.0)):
            X, y = correlated(seed, 40, 60, rho=rho, n_nonzero=n_nonzero, noise=noise)
            solution, _ = best_of_size(subset_problem(X, y), n_nonzero)
            stages = [line.stage for line in solution.history]
            widely[name].append("backward from more of the lasso" in stages)
    assert not any(widely["easy"])
    assert any(widely["hard"])
