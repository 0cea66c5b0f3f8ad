"""Strategies for non-convex penalties: coordinate minima, never a rise, and the global one on trust
only where brute force confirms it.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import nnls

from sparsereg.backends.numba import backend
from sparsereg.losses import Squared
from sparsereg.penalties import (
    CEL0,
    L0,
    L1,
    MCP,
    SCAD,
    CappedL1,
    ElasticNet,
    L0Constraint,
    LogSum,
    Lq,
    TransformedL1,
)
from sparsereg.solvers import nonconvex, sparse_constraint, working_set
from sparsereg.solvers.coordinate_minimum import descend
from sparsereg.solvers.problem import LocalSolution, Problem
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.support_polish import polish_support
from sparsereg.solvers.workspace import Workspace

PENALTIES = [
    MCP(0.2),
    MCP(0.2, 0.5),
    SCAD(0.2),
    SCAD(0.2, 1.2),
    Lq(0.1, 0.5),
    Lq(0.1, 0.1),
    L0(0.05),
    CEL0(0.05),
    LogSum(0.1, 0.1),
    TransformedL1(0.1, 0.2),
    CappedL1(0.2, 0.3),
]
TOL = 1e-7


def make_data(n=60, p=120, k=5, rho=0.5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    w = np.zeros(p)
    w[:: p // k][:k] = rng.choice([-1.0, 1.0], k)
    return X, X @ w + 0.5 * rng.standard_normal(n)


def workspace(X, y, penalty, fit_intercept=True, sample_weight=None):
    return Workspace(
        Problem(X, y, penalty, Squared(), sample_weight, fit_intercept=fit_intercept), backend
    )


def solve(X, y, penalty, strategy="portfolio", **more):
    work = workspace(X, y, penalty, **more)
    return nonconvex.solve(work, penalty, strategy=strategy, tol=TOL, max_iter=1000)


def objective(X, y, penalty, solution):
    residual = y - X @ solution.coef - solution.intercept
    return 0.5 * np.mean(residual**2) + penalty.value(solution.coef)


def best_single_moves(X, y, penalty, solution):
    """Return the lowest objectives along each coordinate, on a grid of moves."""
    centered, target = X - X.mean(axis=0), y - y.mean()
    residual = target - centered @ solution.coef
    lowest = np.inf
    for j in range(X.shape[1]):
        w = solution.coef[j]
        for t in np.concatenate([[-w], np.linspace(-2, 2, 401), 1e-4 * np.linspace(-1, 1, 41)]):
            moved = solution.coef.copy()
            moved[j] += t
            value = 0.5 * np.mean((residual - t * centered[:, j]) ** 2) + penalty.value(moved)
            lowest = min(lowest, value)
    return lowest


@pytest.mark.parametrize("strategy", sorted(nonconvex.STRATEGIES))
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_strategies_end_at_coordinate_minima(penalty, strategy):
    X, y = make_data()
    solution = solve(X, y, penalty, strategy)
    assert solution.converged
    assert solution.stationarity <= TOL
    assert solution.objective == pytest.approx(objective(X, y, penalty, solution), rel=1e-12)
    assert 0 < np.count_nonzero(solution.coef) < 60


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_no_move_of_one_coefficient_lowers_the_objective(penalty):
    X, y = make_data(n=40, p=15, k=3)
    solution = solve(X, y, penalty)
    assert best_single_moves(X, y, penalty, solution) >= solution.objective * (1 - 1e-10)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_history_never_rises_and_ends_at_the_solution(penalty):
    X, y = make_data(rho=0.9)
    work = workspace(X, y, penalty)
    work.move_to(np.random.default_rng(1).standard_normal(X.shape[1]))
    solution = nonconvex.solve(work, penalty, strategy="portfolio", tol=TOL, max_iter=1000)
    objectives = [line.objective for line in solution.history]
    assert [line.stage for line in solution.history] == ["start", "path", "irl1", "fbs"]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] == solution.objective
    steps = [line.n_iter for line in solution.history]
    assert steps == sorted(steps)
    np.testing.assert_array_equal(work.coef, solution.coef)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_descent_from_anywhere_never_rises(penalty):
    X, y = make_data(rho=0.9)
    work = workspace(X, y, penalty)
    terms = SeparableTerms.of(penalty, work)
    for seed in range(3):
        work.move_to(np.random.default_rng(seed).standard_normal(X.shape[1]))
        last = terms.objective(work)
        for _ in range(4):
            descend(work, terms, tol=0.0, max_iter=1)
            now = terms.objective(work)
            assert now <= last * (1 + 1e-13)
            last = now


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_polish_on_the_support_lowers_the_objective_and_keeps_the_gradient(penalty):
    X, y = make_data(n=80, p=10)
    X, y = X - X.mean(axis=0), y - y.mean()
    gram, n = X.T @ X / 80, 80
    coef = np.random.default_rng(0).standard_normal(10)
    coef[::3] = 0.0
    gradient = X.T @ (y - X @ coef) / n
    before = 0.5 * np.mean((y - X @ coef) ** 2) + penalty.value(coef)
    form = penalty.kernel_form(10)
    zeros = coef == 0
    polish_support(backend, gram, gradient, coef, form, max_rank=10, sweeps=2, goal=0.0)
    after = 0.5 * np.mean((y - X @ coef) ** 2) + penalty.value(coef)
    assert after < before
    assert np.all(coef[zeros] == 0)
    np.testing.assert_allclose(gradient, X.T @ (y - X @ coef) / n, atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("p", "alpha"), [(8, 0.02), (8, 0.2), (10, 0.05)])
def test_l0_solutions_are_global_on_small_independent_designs(p, alpha, sign):
    X, y = make_data(n=50, p=p, k=3, rho=0.2, seed=p)
    y = sign * y
    solution = solve(X, y, L0(alpha))
    centered, target = X - X.mean(axis=0), y - y.mean()
    lowest = np.inf
    for size in range(p + 1):
        for support in itertools.combinations(range(p), size):
            block = centered[:, support]
            fit = block @ np.linalg.lstsq(block, target, rcond=None)[0] if size else 0.0
            lowest = min(lowest, 0.5 * np.mean((target - fit) ** 2) + alpha * size)
    assert solution.objective == pytest.approx(lowest, rel=1e-10)


def test_cel0_and_l0_have_the_same_minima():
    X, y = make_data()
    norms = np.sqrt(np.mean((X - X.mean(axis=0)) ** 2, axis=0))
    cel0 = solve(X, y, CEL0(0.05, column_norms=norms))
    l0 = solve(X, y, L0(0.05))
    assert cel0.objective == pytest.approx(l0.objective, rel=1e-10)
    np.testing.assert_array_equal(np.flatnonzero(cel0.coef), np.flatnonzero(l0.coef))


@pytest.mark.parametrize("penalty", [L1(0.1), ElasticNet(0.1, l1_ratio=0.5), Lq(0.1, 1.0)])
def test_convex_penalties_get_the_global_minimum(penalty):
    X, y = make_data()
    lasso = ElasticNet(0.1, l1_ratio=getattr(penalty, "l1_ratio", 1.0))
    exact = working_set.solve(workspace(X, y, lasso), lasso, tol=1e-12, max_iter=100)
    np.testing.assert_allclose(solve(X, y, penalty).coef, exact.coef, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_everything_is_zero_from_alpha_max_on_and_not_below(penalty):
    X, y = make_data()
    work = workspace(X, y, penalty)
    largest = penalty.alpha_max(-work.gradient, work.design.sqnorms)
    assert not solve(X, y, penalty.with_alpha(largest * (1 + 1e-9)), "path").coef.any()
    assert solve(X, y, penalty.with_alpha(largest * (1 - 1e-6)), "path").coef.any()


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_without_strength_it_is_least_squares(penalty):
    X, y = make_data(n=40, p=10)
    solution = solve(X, y, penalty.with_alpha(0.0))
    design = np.column_stack([np.ones(40), X])
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(solution.coef, expected[1:], rtol=1e-9)
    assert solution.intercept == pytest.approx(expected[0], rel=1e-9)
    assert solution.stationarity <= 1e-12


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_without_strength_more_features_than_rows_are_fitted_exactly(penalty):
    X, y = make_data(n=20, p=50)
    solution = solve(X, y, penalty.with_alpha(0.0))
    np.testing.assert_allclose(X @ solution.coef + solution.intercept, y, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("make", [L0, lambda alpha: Lq(alpha, 0.5), MCP], ids=["l0", "lq", "mcp"])
def test_solutions_are_equivariant_to_the_scale_of_y(make, scale):
    X, y = make_data()
    alpha = {L0: scale**2, MCP: scale}.get(make, scale**1.5)
    one = solve(X, y, make(0.1)).coef
    np.testing.assert_allclose(solve(X, scale * y, make(0.1 * alpha)).coef, scale * one, rtol=1e-6)


def test_l0_does_not_depend_on_the_scales_of_columns():
    X, y = make_data()
    scales = 10.0 ** np.linspace(-5, 5, X.shape[1])
    one, other = solve(X, y, L0(0.05)), solve(X * scales, y, L0(0.05))
    assert other.objective == pytest.approx(one.objective, rel=1e-9)
    np.testing.assert_allclose(other.coef * scales, one.coef, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_duplicated_and_constant_columns_are_harmless(penalty):
    X, y = make_data(n=50, p=20)
    wide = np.column_stack([X, X, np.ones(50), np.zeros(50)])
    solution = solve(wide, y, penalty)
    assert np.all(np.isfinite(solution.coef))
    assert solution.converged
    assert not solution.coef[40:].any()
    assert solution.objective <= solve(X, y, penalty).objective * (1 + 1e-9)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_a_constant_target_needs_no_feature(penalty):
    X, _ = make_data()
    solution = solve(X, np.full(60, 3.0), penalty)
    assert not solution.coef.any()
    assert (solution.intercept, solution.objective, solution.stationarity) == (3.0, 0.0, 0.0)


def test_sparse_and_dense_storage_agree():
    X, y = make_data()
    X[np.abs(X) < 1] = 0.0
    for penalty in (MCP(0.2), Lq(0.1)):
        dense, stored = solve(X, y, penalty), solve(sparse.csc_matrix(X), y, penalty)
        np.testing.assert_allclose(stored.coef, dense.coef, rtol=1e-6, atol=1e-9)


def test_sparse_columns_that_are_dear_to_multiply_are_solved_on_the_residual(monkeypatch):
    X, y = make_data()
    X[np.abs(X) < 1] = 0.0
    expected = solve(X, y, MCP(0.2)).coef
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum._SMALL_WORK", 0.0)
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum._SPARSE_GRAM_PASSES", 0)
    work = workspace(sparse.csc_matrix(X), y, MCP(0.2))
    solution = nonconvex.solve(work, MCP(0.2), strategy="path", tol=TOL, max_iter=1000)
    assert len(work.pool) == 0
    np.testing.assert_allclose(solution.coef, expected, atol=1e-6)


def test_a_pool_that_is_too_small_is_filled_in_parts(monkeypatch):
    X, y = make_data(n=100, p=300, k=10)
    expected = solve(X, y, SCAD(0.1), "path").objective
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum._POOL_MINIMUM", 20)
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum._POOL_EXCESS", 1)
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum._MIN_NEW", 3)
    solution = solve(X, y, SCAD(0.1), "path")
    assert solution.converged
    assert solution.objective == pytest.approx(expected, rel=0.02)


def test_a_workspace_serves_penalties_that_exclude_different_features():
    X, y = make_data(n=60, p=20)
    work = workspace(X, y, MCP(0.1))
    nonconvex.solve(work, MCP(0.05), strategy="path", tol=TOL, max_iter=1000)
    weights = np.ones(20)
    weights[::2] = np.inf
    penalty = MCP(0.05, weights=weights)
    solution = nonconvex.solve(work, penalty, strategy="path", tol=TOL, max_iter=1000)
    assert not solution.coef[::2].any()
    alone = solve(X[:, 1::2], y, MCP(0.05), "path")
    np.testing.assert_allclose(solution.coef[1::2], alone.coef, rtol=1e-6, atol=1e-9)


def test_too_few_passes_are_reported():
    X, y = make_data(n=100, p=300, k=10)
    work = workspace(X, y, MCP(0.01))
    terms = SeparableTerms.of(MCP(0.01), work)
    end = descend(work, terms, tol=1e-12, max_iter=1)
    assert end.stationarity > 1e-12
    assert not end.stalled


def test_a_tolerance_below_rounding_ends_as_stalled():
    X, y = make_data()
    work = workspace(X, y, LogSum(0.1, 0.1))
    end = descend(work, SeparableTerms.of(LogSum(0.1, 0.1), work), tol=0.0, max_iter=10_000)
    assert end.stationarity < 1e-12
    assert end.stalled or end.stationarity == 0


# -------------------------------------------------------------------------- at most k coefficients


def constrained(X, y, k, positive=False):
    constraint = L0Constraint(k, positive=positive)
    work = workspace(X, y, constraint)
    return sparse_constraint.solve(work, constraint, tol=TOL, max_iter=100)


@pytest.mark.parametrize("k", [0, 1, 3, 7])
def test_constraint_holds_and_the_support_is_refitted(k):
    X, y = make_data()
    solution = constrained(X, y, k)
    support = np.flatnonzero(solution.coef)
    assert support.size == k
    design = np.column_stack([np.ones(60), X[:, support]])
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(solution.coef[support], expected[1:], rtol=1e-8)
    objectives = [line.objective for line in solution.history]
    assert objectives == sorted(objectives, reverse=True)


def test_constraint_finds_the_true_support_of_a_clear_signal():
    X, y = make_data(rho=0.0)
    assert set(np.flatnonzero(constrained(X, y, 5).coef)) == set(range(0, 120, 24))


@pytest.mark.parametrize("k", [10, 40, 10_000])
def test_constraint_that_does_not_bind_is_least_squares(k):
    X, y = make_data(n=40, p=10)
    solution = constrained(X, y, k)
    expected = np.linalg.lstsq(np.column_stack([np.ones(40), X]), y, rcond=None)[0]
    np.testing.assert_allclose(solution.coef, expected[1:], rtol=1e-8)


def test_constraint_with_signs_has_no_negative_coefficient():
    X, y = make_data()
    solution = constrained(X, y, 6, positive=True)
    assert np.all(solution.coef >= 0)
    assert 0 < np.count_nonzero(solution.coef) <= 6


@pytest.mark.parametrize("seed", range(8))
def test_constraint_with_signs_finds_the_best_of_all_supports(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 9)) + rng.standard_normal((30, 1))
    y = X[:, :4] @ [1.0, 1.0, 1.0, -1.0] + rng.standard_normal(30)
    centered, target = X - X.mean(axis=0), y - y.mean()
    best = min(
        nnls(centered[:, S], target)[1] ** 2 for S in map(list, itertools.combinations(range(9), 3))
    )
    assert 2 * 30 * constrained(X, y, 3, positive=True).objective == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("penalty", [MCP(), SCAD(), Lq(q=0.5)], ids=repr)
def test_a_path_looks_back_and_is_lower_for_it(penalty):
    looked = plain = 0.0
    for seed in range(4):
        work = workspace(*make_data(rho=0.8, k=10, seed=seed), penalty)
        alphas = nonconvex.alpha_grid(work, penalty, 40, 0.02)
        whole = [
            s.objective for s in nonconvex.solve_path(work, penalty, alphas, tol=TOL, max_iter=1000)
        ]
        work = workspace(*make_data(rho=0.8, k=10, seed=seed), penalty)  # and an empty pool
        nonconvex.null_model(work, penalty)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nonconvex, "_look_back", lambda *args: None)
            forward = [
                s.objective
                for s in nonconvex.solve_path(work, penalty, alphas, tol=TOL, max_iter=1000)
            ]
        first = nonconvex._WINDOW  # where both came by the same way
        assert np.all(np.array(whole[:first]) <= np.array(forward[:first]) * (1 + 1e-9))
        looked, plain = looked + sum(whole), plain + sum(forward)
    assert looked < plain * (1 - 1e-5)


def test_a_path_yields_with_the_workspace_at_the_solution():
    penalty = MCP()
    work = workspace(*make_data(rho=0.8, k=10), penalty)
    alphas = nonconvex.alpha_grid(work, penalty, 25, 0.05)
    for alpha, solution in zip(
        alphas, nonconvex.solve_path(work, penalty, alphas, tol=TOL, max_iter=1000)
    ):
        np.testing.assert_array_equal(work.coef, solution.coef)
        objective = 0.5 * work.sq_residual + penalty.with_alpha(alpha).value(work.coef)
        assert objective == pytest.approx(solution.objective, rel=1e-9)
        assert solution.converged


def test_a_new_minimum_above_is_tried_below_even_where_below_has_improved(monkeypatch):
    """Basins by number: 1 is entered going down, 2 leads up to 5, which is the best everywhere."""
    depth = {0: [9, 9, 9, 9], 1: [8, 8, 8, 8], 2: [9, 9, 7, 6], 5: [9, 5, 5, 5]}
    into = {(0, 1): 1, (1, 3): 2, (2, 1): 5}  # (from basin, at alpha): to basin

    def descend(work, penalty, name, tol, max_iter):
        k = int(penalty.alpha)
        basin = into.get((int(work.coef[0]), k), int(work.coef[0]))
        work.move_to(np.array([float(basin)]))
        return LocalSolution(work.coef, 0.0, float(depth[basin][k]), 0.0, tol, 1, True, False)

    monkeypatch.setattr(nonconvex, "_descend_from_here", descend)
    monkeypatch.setattr(nonconvex, "walk", lambda *args, **more: [])
    monkeypatch.setattr(nonconvex, "look_back", lambda *args, **more: None)
    penalty = MCP()
    work = workspace(np.eye(4)[:, :1], np.arange(4.0), penalty)
    alphas = np.arange(4.0)
    found = nonconvex.solve_path(work, penalty, alphas, tol=TOL, max_iter=10)
    assert [s.objective for s in found] == [9, 5, 5, 5]
