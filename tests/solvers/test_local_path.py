"""Local minima of several alphas on the Gram matrix of a pool."""

import numpy as np
import pytest
from scipy import sparse

from sparsereg import sparse_path
from sparsereg.backends.numba import backend
from sparsereg.backends.numba.penalty_kernels import piece_scalar
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.losses import Squared
from sparsereg.penalties import CEL0, MCP, SCAD, CappedL1, LogSum, Lq
from sparsereg.solvers import local_path, nonconvex
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

GOAL = 1e-16
PENALTIES = [MCP(), MCP(gamma=1.5), SCAD(), Lq(q=0.5), LogSum(), CappedL1(), CEL0()]


def make_data(n=60, p=40, rho=0.8, k=8, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    y = X[:, :: p // k] @ rng.choice([-1.0, 1.0], size=len(range(0, p, p // k)))
    return X, y + rng.standard_normal(n)


def problem_on_gram(penalty, seed=0, n_alphas=12):
    X, y = make_data(seed=seed)
    gram, slopes = X.T @ X / len(y), X.T @ y / len(y)
    largest = penalty.alpha_max(-slopes, gram.diagonal())
    forms = [
        penalty.with_alpha(alpha).kernel_form(slopes.size)
        for alpha in np.geomspace(0.9, 0.05, n_alphas) * largest
    ]
    return gram, slopes, forms, np.stack([form.params for form in forms])


def go_down(gram, slopes, forms, params, max_rank=40):
    return backend.gram_go_down(
        gram, slopes.copy(), np.zeros_like(slopes), forms[0], params, max_rank, GOAL
    )


def objective(gram, slopes, form, coef):
    values, _, _ = backend.penalty_terms(coef, form)
    return coef @ (0.5 * gram @ coef - slopes) + values.sum()


@pytest.mark.parametrize("max_rank", [40, 0], ids=["newton", "sweeps"])
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_every_row_is_a_coordinate_minimum_with_its_gradient(penalty, max_rank):
    gram, slopes, forms, params = problem_on_gram(penalty)
    coefs, gradients, steps = go_down(gram, slopes, forms, params, max_rank)
    np.testing.assert_allclose(gradients, slopes - coefs @ gram, atol=1e-12)
    for form, coef, gradient in zip(forms, coefs, gradients):
        assert backend.coordinate_gains(coef, gradient, gram.diagonal(), form).max() <= 1e-12
    assert np.count_nonzero(coefs[-1]) > 5
    assert np.all(steps > 0)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_looks_lower_what_they_change_and_leave_the_rest(penalty):
    n_changed = 0
    for seed in range(6):
        gram, slopes, forms, params = problem_on_gram(penalty, seed)
        before, old_gradients, _ = go_down(gram, slopes, forms, params)
        coefs, gradients = before.copy(), old_gradients.copy()
        _, changed = backend.gram_look_back(
            gram, slopes, coefs, gradients, forms[0], params, 40, 1e-8, GOAL, 1e-9
        )
        n_changed += changed.sum()
        np.testing.assert_array_equal(coefs[~changed], before[~changed])
        np.testing.assert_allclose(gradients, slopes - coefs @ gram, atol=1e-12)
        for k in np.flatnonzero(changed):
            old = objective(gram, slopes, forms[k], before[k])
            assert objective(gram, slopes, forms[k], coefs[k]) < old
            gains = backend.coordinate_gains(coefs[k], gradients[k], gram.diagonal(), forms[k])
            assert gains.max() <= 1e-12
    assert n_changed > 0


@pytest.mark.parametrize("penalty", [MCP(0.7, 2.5), SCAD(0.7, 3.0), CappedL1(0.7)], ids=repr)
def test_within_a_piece_the_slope_is_a_straight_line(penalty):
    kind, params = penalty.kernel_params()
    params = np.array([*params, 0.0])
    x = np.linspace(1e-3, 4.0, 4001)
    pieces = np.array([piece_scalar(int(kind), params, value) for value in x])
    slope = penalty.slope(x)
    bend = np.abs(np.diff(slope, 2)) > 1e-9
    borders = np.flatnonzero(np.diff(pieces))
    assert np.all(np.diff(pieces) >= 0)
    assert pieces[-1] == borders.size > 0
    for at in np.flatnonzero(bend):
        assert np.min(np.abs(borders - at)) <= 1


def path_of(X, y, penalty, alphas, tol=1e-8):
    work = Workspace(Problem(X, y, penalty, Squared(), None, True), backend)
    return list(nonconvex.solve_path(work, penalty, alphas, tol=tol, max_iter=1000))


@pytest.mark.parametrize("penalty", [MCP(), SCAD(), Lq(q=0.5)], ids=repr)
def test_paths_on_the_pool_and_by_ordinary_descent_are_as_good(penalty, monkeypatch):
    X, y = make_data(n=60, p=150)
    work = Workspace(Problem(X, y, penalty, Squared(), None, True), backend)
    alphas = nonconvex.alpha_grid(work, penalty, 30, 0.05)
    together = path_of(X, y, penalty, alphas)
    monkeypatch.setattr(nonconvex, "walk", lambda *args, **more: [])
    monkeypatch.setattr(nonconvex, "look_back", lambda *args, **more: None)
    apart = path_of(X, y, penalty, alphas)
    assert all(s.converged for s in (*together, *apart))
    mean, other = np.mean([s.objective for s in together]), np.mean([s.objective for s in apart])
    assert mean <= 1.01 * other


def test_columns_that_were_missing_are_taken_in(monkeypatch):
    """A pool that may take three new columns at a time still ends at minima of the whole."""
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum._MIN_NEW", 3)
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum._NEW_SHARE", 0.0)
    X, y = make_data(n=60, p=150)
    alphas = np.geomspace(0.5, 0.05, 10)
    for solution in path_of(X, y, MCP(), alphas):
        assert solution.stationarity <= 1e-8


def test_without_a_pool_a_path_descends_on_the_residual(monkeypatch):
    monkeypatch.setattr(local_path, "extend_pool", lambda *args: False)
    monkeypatch.setattr("sparsereg.solvers.coordinate_minimum.extend_pool", lambda *args: False)
    X, y = make_data(n=60, p=100)
    X[np.abs(X) < 1.0] = 0.0
    for solution in path_of(sparse.csc_array(X), y, MCP(), np.geomspace(0.5, 0.1, 6), 1e-6):
        assert solution.converged


def test_free_and_excluded_features_stay_so_along_a_path():
    X, y = make_data(n=60, p=100)
    weights = np.ones(100)
    weights[:2], weights[10:20] = 0.0, np.inf
    X[:, 30] = 1.0
    for solution in path_of(X, y, MCP(weights=weights), np.geomspace(1.0, 0.05, 15)):
        assert solution.converged
        assert np.all(solution.coef[:2] != 0)
        assert not solution.coef[10:20].any()
        assert solution.coef[30] == 0


@pytest.mark.parametrize(
    ("step", "call", "kept"), [("walk", 2, 5), ("look_back", 1, 10)], ids=["down", "back"]
)
def test_minima_found_before_an_interrupt_are_kept(monkeypatch, step, call, kept):
    X, y = make_data(n=60, p=200)
    compute, calls = getattr(nonconvex, step), []

    def interrupted(*args, **options):
        calls.append(step)
        if len(calls) == call:
            raise KeyboardInterrupt
        return compute(*args, **options)

    monkeypatch.setattr(nonconvex, step, interrupted)
    with pytest.warns(PathInterruptedWarning):
        alphas, _, stationarities = sparse_path(X, y, MCP(), n_alphas=10, eps=0.5)
    assert len(alphas) == kept
    assert np.all(stationarities <= 1e-6)
