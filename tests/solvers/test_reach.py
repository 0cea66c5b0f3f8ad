"""What is said of columns nobody looked at: it must hold, and it must be said of most of them."""

from __future__ import annotations

import numpy as np
import pytest
from sparsereg.benchmarks import data
from threadpoolctl import threadpool_info, threadpool_limits

from sparsereg.backends.numba import backend
from sparsereg.losses import Squared
from sparsereg.penalties import L1
from sparsereg.solvers.path import alpha_grid, solve_path
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.reach import INSIDE, within_reach
from sparsereg.solvers.workspace import Workspace

N, P = 30, 400


class Case:
    """Centered columns, some known residuals and their gradients."""

    def __init__(self, seed, n_known=4, weighted=False):
        self.rng = rng = np.random.default_rng(seed)
        self.X = rng.standard_normal((N, P)) * rng.uniform(0.1, 10, P)
        self.weights = rng.integers(0, 3, N).astype(float) if weighted else None
        s = np.ones(N) if self.weights is None else self.weights
        self.lengths = np.sqrt(s @ self.X**2 / N)
        self.l1 = self.lengths * rng.uniform(0.5, 2, P)
        self.gradients = lambda residuals: (s * residuals) @ self.X / N
        known = rng.standard_normal((n_known, N))
        self.known = list(zip(known, self.gradients(known), strict=True))

    def reached(self, residuals, levels, positive=False):
        return within_reach(
            backend, self.known, residuals, self.weights, self.lengths, levels, self.l1, positive
        )

    def beyond(self, residuals, levels, positive=False, share=1.0):
        gradients = self.gradients(residuals)
        sizes = gradients if positive else np.abs(gradients)
        return np.any(sizes > share * levels[:, None] * self.l1, axis=0)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("distance", [0.0, 0.01, 0.1, 1.0])
def test_no_column_out_of_reach_passes_its_bound(distance, weighted, positive):
    for seed in range(20):
        case = Case(seed, n_known=1 + seed % 4, weighted=weighted)
        shares = case.rng.standard_normal((5, len(case.known)))
        residuals = shares @ np.array([residual for residual, _ in case.known])
        residuals += distance * case.rng.standard_normal(residuals.shape)
        levels = case.rng.uniform(0.05, 1.0, 5)
        reached = case.reached(residuals, levels, positive)
        beyond = case.beyond(residuals, levels, positive, INSIDE)
        assert not np.any(beyond & ~reached)


def test_inside_the_span_of_the_known_only_columns_at_their_bound_are_reached():
    case = Case(0)
    residuals = np.array([residual for residual, _ in case.known])[:2] * 0.7
    levels = np.array([0.3, 0.4])
    expected = case.beyond(residuals, levels, share=INSIDE)
    assert 0 < np.count_nonzero(expected) < P / 2
    np.testing.assert_array_equal(case.reached(residuals, levels), expected)


def test_a_column_along_what_is_unknown_is_reached_as_soon_as_it_can_be():
    case = Case(1, n_known=2)
    known = np.array([residual for residual, _ in case.known])
    unknown = case.rng.standard_normal(N)
    unknown -= np.linalg.lstsq(known.T, unknown)[0] @ known
    case.X[:, 7] = unknown  # its gradient is as large as the ball allows
    case.lengths[7] = np.sqrt(unknown @ unknown / N)
    case.known = list(zip(known, case.gradients(known), strict=True))
    case.l1[7] = 1.0
    gradient = case.gradients(unknown)[7]
    for share, expected in ((0.998, False), (1.0, True)):  # of its bound
        assert case.reached(unknown[None], np.array([gradient / share]))[7] == expected


@pytest.mark.parametrize("kind", ["twice the same", "zero", "nearly the same"])
def test_dependent_residuals_are_no_trouble(kind):
    case = Case(2, n_known=2)
    first, _ = case.known[0]
    other = {
        "twice the same": first,
        "zero": np.zeros(N),
        "nearly the same": first * (1 + 1e-12) + 1e-13,
    }[kind]
    case.known.append((other, case.gradients(other)))
    residuals = 0.5 * (case.known[0][0] + case.known[1][0])[None]
    levels = np.array([0.4])
    expected = case.beyond(residuals, levels, share=INSIDE)
    np.testing.assert_array_equal(case.reached(residuals, levels), expected)


class Counting:
    """A backend that notes how many full and listed passes over X there were."""

    def __init__(self):
        self.full, self.listed = 0, []

    def __getattr__(self, name):
        return getattr(backend, name)

    def xtr(self, design, residual, columns=None):
        self._note(1, columns)
        return backend.xtr(design, residual, columns)

    def xtr_tasks(self, design, residuals, columns=None):
        self._note(len(residuals), columns)
        return backend.xtr_tasks(design, residuals, columns)

    def _note(self, n_residuals, columns):
        if columns is None:
            self.full += n_residuals
        else:
            self.listed.append(columns.size)


def workspace(engine, X, y, weights=None):
    problem = Problem(X, y, L1(), Squared(), weights, fit_intercept=True)
    return Workspace(problem, engine)


@pytest.mark.usefixtures("step_by_step")
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_path_on_few_rows_looks_at_few_columns(kind):
    X, y = data.toeplitz(60, 3000, 0.5) if kind == "dense" else data.text(300, 3000, 20_000)
    engine = Counting()
    work = workspace(engine, X, y)
    alphas = alpha_grid(work, L1(), 100, 0.1)
    stretches = list(solve_path(work, L1(), alphas, tol=1e-8, max_iter=1000))
    for stretch in stretches:
        assert np.all(stretch.dual_gaps <= stretch.tolerance)
    assert sum(map(len, stretches)) == 100
    assert len(stretches) < 25
    assert engine.full < 50  # for 100 alphas
    assert max(engine.listed) < 1000


@pytest.mark.parametrize("weighted", [False, True])
def test_after_each_stretch_of_a_path_the_workspace_is_at_its_last_solution(weighted):
    X, y = data.toeplitz(60, 300, 0.5)
    weights = np.random.default_rng(0).integers(0, 3, 60).astype(float) if weighted else None
    if weights is not None:
        weights *= 60 / weights.sum()
    s = np.ones(60) if weights is None else weights
    centered = X - s @ X / 60
    work = workspace(backend, X, y, weights)
    alphas = alpha_grid(work, L1(), 40, 0.05)
    for stretch in solve_path(work, L1(), alphas, tol=1e-8, max_iter=1000):
        residuals = [y - s @ y / 60 - centered @ stretch.coef(k) for k in range(len(stretch))]
        np.testing.assert_allclose(stretch.residuals, residuals, atol=1e-12)
        gradient = centered.T @ (s * residuals[-1]) / 60
        np.testing.assert_array_equal(work.coef, stretch.coef(-1))
        np.testing.assert_allclose(work.gradient, gradient, atol=1e-13)


@pytest.mark.usefixtures("step_by_step")
def test_gram_blocks_of_a_path_are_made_on_one_thread_of_blas():
    """Otherwise the coefficients would depend on the number of threads."""
    threads = []

    class Watching(Counting):
        def gram(self, design, columns, n_new):
            blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
            threads.extend(pool["num_threads"] for pool in blas)
            return backend.gram(design, columns, n_new)

    X, y = data.genotypes(200, 300, n_causal=20)
    with threadpool_limits(2, user_api="blas"):
        work = workspace(Watching(), X, y)
        alphas = alpha_grid(work, L1(), 60, 0.01)
        for _ in solve_path(work, L1(), alphas, tol=1e-8, max_iter=1000):
            pass
    assert len(threads) > 4
    assert set(threads) == {1}
