"""Lower bounds are below the optimum of an exhaustive search, and near it where they can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from l0_problems import best_by_size, correlated, subset_problem

from sparsereg import CEL0Regressor, L0Regressor
from sparsereg.solvers.branch_and_bound import branch_and_bound
from sparsereg.solvers.l0_certificate import Relaxation, RootBound, data_bounds, dual_point

P = 6


def optimum(X, y, alpha, l2=0.0, bound=np.inf):
    values = best_by_size(X, y, l2, bound)
    return float(np.min(values + alpha * np.arange(len(values))))


problems = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from([5, 9, 30]),  # fewer rows than columns, and more
    st.sampled_from([0.0, 0.5, 0.95]),
    st.sampled_from([0.0, 1e-3, 0.1, 2.0]),
    st.sampled_from([1.0, 0.3, 0.05, 1e-3]),
    st.sampled_from([np.inf, 3.0, 0.5]),
)


@given(problems)
@example((1, 5, 0.5, 0.0, 0.001, 3.0))  # a leaf whose bound was for an incumbent it improved
@settings(max_examples=80)
def test_no_bound_is_above_the_optimum_and_branch_and_bound_reaches_it(case):
    seed, n, rho, l2, share, bound = case
    X, y = correlated(seed, n, P, rho, n_nonzero=2)
    problem = subset_problem(X, y, l2)
    alpha = share * problem.alpha_max()
    best = optimum(X, y, alpha, l2, bound)
    candidate = problem.fit(np.array([0, 1]), bound)
    objective = problem.objective(candidate, alpha)
    root = RootBound(problem, alpha, bound)
    root.solve(objective)
    root.include(dual_point(problem, candidate))
    proven = root.lower
    if l2 == 0 and np.isinf(bound) and n <= P:
        assert proven is None
        with pytest.raises(ValueError, match="Give l2 > 0 or coef_bound"):
            branch_and_bound(problem, alpha, candidate)
        return
    assert proven is not None
    assert 0 <= proven <= best * (1 + 1e-14)
    exact = branch_and_bound(problem, alpha, candidate, coef_bound=bound, tol=1e-7)
    assert exact.stopped == ""
    assert exact.lower_bound <= best * (1 + 1e-14)
    assert exact.objective <= best * (1 + 2e-7)
    assert exact.lower_bound >= exact.objective * (1 - 1.1e-7)


@given(st.integers(0, 10_000), st.floats(0, 3))
@settings(max_examples=40)
def test_any_dual_point_gives_a_lower_bound(seed, scale):
    X, y = correlated(seed, 12, P, 0.5, n_nonzero=2)
    problem = subset_problem(X, y, 0.1)
    alpha = 0.1 * problem.alpha_max()
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(P) * scale
    point = dual_point(problem, w)
    bound = point.bound(Relaxation.of(problem, alpha, np.inf), 12, problem.sq_y)
    assert bound <= optimum(X, y, alpha, 0.1) * (1 + 1e-14)


@given(st.integers(0, 10_000), st.floats(0.001, 1.0), st.sampled_from([np.inf, 0.3]))
@settings(max_examples=40)
def test_no_scale_of_a_dual_point_gives_more_than_its_bound(seed, share, coef_bound):
    X, y = correlated(seed, 12, P, 0.5, n_nonzero=2, scales=True)
    problem = subset_problem(X, y, 0.1)
    w = np.random.default_rng(seed).standard_normal(P) / problem.norms
    point = dual_point(problem, w * problem.sq_y**0.5)
    relaxation = Relaxation.of(problem, share * problem.alpha_max(), coef_bound)
    bound = point.bound(relaxation, 12, problem.sq_y)
    grid = [point.at_scale(a, relaxation, 12, problem.sq_y) for a in np.linspace(0, 2, 2001)]
    assert bound >= max(grid) - 1e-12 * problem.sq_y


def test_a_clear_signal_is_proven_optimal_by_the_root_bound():
    # no coefficient of the relaxation lies between 0 and its knot, sqrt(2 alpha / l2) = 1
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 60))
    y = X[:, 0] * 3 - X[:, 1] * 2 + 0.1 * rng.standard_normal(400)
    model = L0Regressor(0.05, l2=0.1).fit(X, y)
    assert model.support_.tolist() == [0, 1]
    assert 0 <= model.optimality_gap_ <= 1e-7


def test_bounds_from_the_data_hold_for_everything_that_is_as_good():
    X, y = correlated(1, 30, P, 0.5)
    problem = subset_problem(X, y)
    upper = problem.objective(problem.fit(np.array([0])), 0.0)
    bounds = data_bounds(problem, upper)
    center = problem.fit(np.arange(P))
    inverse = np.linalg.inv(np.cov(X.T, bias=True))
    room = upper - problem.objective(center, 0.0)
    for direction in inverse:  # the extreme points of the ellipsoid along the axes
        w = center + np.sqrt(2 * room) * direction / np.sqrt(
            direction @ np.linalg.solve(inverse, direction)
        )
        assert problem.objective(w, 0.0) == pytest.approx(upper, rel=1e-9)
        assert np.all(np.abs(w) <= bounds)


def test_nothing_is_claimed_without_an_assumption():
    X, y = correlated(0, 20, 40)
    model = L0Regressor(0.05).fit(X, y)
    assert model.lower_bound_ is None
    assert model.optimality_gap_ is None
    with pytest.raises(ValueError, match="needs a bound on the coefficients"):
        L0Regressor(0.05, exact=True).fit(X, y)


@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_a_conditional_bound_holds_under_its_condition(l2):
    X, y = correlated(3, 30, 8, 0.5)
    model = L0Regressor(0.1, l2=l2).fit(X, y)
    largest = np.abs(model.coef_).max()
    bounds = [model.conditional_lower_bound(M) for M in largest * np.array([0.5, 1, 2, 10, 1e3])]
    assert np.all(np.diff(bounds) <= 1e-15)
    for M, bound in zip(largest * np.array([0.5, 1, 2]), bounds, strict=False):
        assert bound <= optimum(X, y, 0.1, l2, M) * (1 + 1e-14)
    assert bounds[1] > 0.3 * model.objective_
    assert (model.conditional_lower_bound(np.inf) > 0) == (l2 > 0)
    with pytest.raises(ValueError, match="not positive"):
        model.conditional_lower_bound(0.0)


def test_where_nothing_may_move_the_conditional_bound_is_the_null_model():
    X, y = correlated(3, 30, 8, 0.5)
    null = 0.5 * np.mean((y - y.mean()) ** 2)
    for model in (L0Regressor(0.1), L0Regressor(n_nonzero=2)):
        assert model.fit(X, y).conditional_lower_bound(1e-9) == pytest.approx(null, rel=1e-6)


def test_the_conditional_bound_of_a_size_holds_too():
    X, y = correlated(3, 30, 8, 0.5)
    model = L0Regressor(n_nonzero=2).fit(X, y)
    best = best_by_size(X, y)[2]
    assert model.objective_ == pytest.approx(best, rel=1e-10)
    assert model.lower_bound_ <= best
    assert model.conditional_lower_bound(np.abs(model.coef_).max()) <= best


def test_the_bound_of_a_size_is_below_its_optimum():
    for seed in range(10):
        X, y = correlated(seed, 30, 8, 0.8, n_nonzero=4, noise=2.0)
        truth = best_by_size(X, y, 0.05)
        for size in (1, 3, 5):
            model = L0Regressor(n_nonzero=size, l2=0.05).fit(X, y)
            assert model.lower_bound_ <= truth[size] * (1 + 1e-14)
            assert model.objective_ >= truth[size] * (1 - 1e-10)


def test_a_size_is_proven_from_the_data_where_columns_are_few():
    X, y = correlated(0, 160, 101, 0.3, n_nonzero=3)
    few = L0Regressor(n_nonzero=3).fit(X[:, :100], y)
    many = L0Regressor(n_nonzero=3).fit(X, y)
    assert 0 < few.lower_bound_ <= few.objective_
    assert many.lower_bound_ is None
    assert many.conditional_lower_bound(np.abs(many.coef_).max()) > 0
    assert L0Regressor(n_nonzero=3, l2=0.1).fit(X, y).lower_bound_ > 0


@given(problems, st.integers(0, P), st.floats(0, 2))
@settings(max_examples=60)
def test_no_dual_point_says_too_much_of_a_size(case, size, scale):
    seed, n, rho, l2, _, bound = case
    X, y = correlated(seed, n, P, rho, n_nonzero=2)
    problem = subset_problem(X, y, l2)
    assume(l2 > 0 or np.isfinite(bound))
    best = best_by_size(X, y, l2, bound)[: size + 1].min()
    w = scale * np.random.default_rng(seed).standard_normal(P)
    counted = Relaxation.of(problem, 1.0, bound)
    proven = dual_point(problem, w).bound(counted, n, problem.sq_y, size)
    assert proven <= best * (1 + 1e-14)


@given(problems, st.integers(1, 3), st.sampled_from([0.2, 1.0, 4.0]))
@settings(max_examples=40)
def test_no_conditional_bound_says_too_much(case, size, multiple):
    seed, n, rho, l2, share, _ = case
    X, y = correlated(seed, n, P, rho, n_nonzero=2)
    by_size = L0Regressor(n_nonzero=size, l2=l2).fit(X, y)
    bound = multiple * float(np.abs(by_size.coef_).max())
    values = best_by_size(X, y, l2, bound)
    assert by_size.conditional_lower_bound(bound) <= values[: size + 1].min() * (1 + 1e-14)
    alpha = share * subset_problem(X, y, l2).alpha_max()
    by_price = L0Regressor(alpha, l2=l2).fit(X, y)
    least = np.min(values + alpha * np.arange(P + 1))
    assert by_price.conditional_lower_bound(bound) <= least * (1 + 1e-14)


def test_a_stopped_search_keeps_the_incumbent_and_a_valid_gap():
    X, y = correlated(0, 60, 100, 0.7, n_nonzero=8, noise=3.0)
    problem = subset_problem(X, y, 0.001)
    alpha = 0.03 * problem.alpha_max()
    start = problem.fit(np.array([0]))
    short = branch_and_bound(problem, alpha, start, max_nodes=5)
    longer = branch_and_bound(problem, alpha, start, max_nodes=200)
    assert (short.stopped, short.n_nodes) == ("nodes", 5)
    assert short.lower_bound <= longer.lower_bound <= longer.objective <= short.objective
    assert longer.objective < problem.objective(start, alpha)


def test_ctrl_c_keeps_the_incumbent(monkeypatch):
    from sparsereg.backends.numba import NumbaBackend

    X, y = correlated(0, 60, 100, 0.7, n_nonzero=8, noise=3.0)
    problem = subset_problem(X, y, 0.001)
    calls, solve = [], NumbaBackend.solve_l0_node

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) > 10:
            raise KeyboardInterrupt
        return solve(self, *args)

    monkeypatch.setattr(NumbaBackend, "solve_l0_node", interrupted)
    alpha = 0.03 * problem.alpha_max()
    stopped = branch_and_bound(problem, alpha, problem.fit(np.array([0])))
    assert stopped.stopped == "interrupted"
    assert 0 < stopped.lower_bound <= stopped.objective


def test_cel0_has_the_same_certificate():
    X, y = correlated(2, 40, 10)
    cel0, l0 = CEL0Regressor(0.05).fit(X, y), L0Regressor(0.05).fit(X, y)
    assert cel0.lower_bound_ == l0.lower_bound_
    assert cel0.objective_ == l0.objective_
