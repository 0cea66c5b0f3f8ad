"""Descent on the residual: Newton steps reach the solution sooner, and change nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from sparsereg import ElasticNet, Lasso, penalties
from sparsereg.backends.numba import backend
from sparsereg.losses import Squared
from sparsereg.solvers import residual_descent, working_set
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.workspace import Workspace

pytestmark = pytest.mark.usefixtures("step_by_step")

RNG = np.random.default_rng(3)
N, P = 80, 300
DENSE = RNG.standard_normal((N, P)) + 2.0 * RNG.standard_normal((N, 1))
X = sparse.csc_array(np.where(np.abs(DENSE) > 1.5, DENSE, 0.0))
Y = X[:, :10] @ RNG.standard_normal(10) + RNG.standard_normal(N)
CENTERED = X.toarray() - X.toarray().mean(axis=0)
ALPHA = 0.02 * np.max(np.abs(CENTERED.T @ (Y - Y.mean()))) / N
WEIGHTS = RNG.integers(0, 3, N).astype(float)
MODELS = {
    "lasso": (Lasso, {}),
    "no intercept": (Lasso, {"fit_intercept": False}),
    "positive": (Lasso, {"positive": True}),
    "elastic net": (ElasticNet, {"l1_ratio": 0.7}),
    "penalty weights": (Lasso, {"penalty_weights": np.where(np.arange(P) % 5, 1.0, 0.5)}),
    "a free feature": (Lasso, {"penalty_weights": np.where(np.arange(P), 1.0, 0.0)}),
}


@pytest.fixture
def on_residual(monkeypatch):
    """No pool at all: every solve descends on the residual."""
    monkeypatch.setattr(working_set, "make_pool", lambda *arguments, **options: False)


@pytest.mark.parametrize("storage", ["sparse", "columns"])
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("model", MODELS)
def test_it_ends_at_the_exact_solution(model, sample_weight, storage, monkeypatch):
    make, options = MODELS[model]
    data = X if storage == "sparse" else np.asfortranarray(X.toarray())
    exact = make(ALPHA, tol=1e-12, **options).fit(data, Y, sample_weight=sample_weight)
    monkeypatch.setattr(working_set, "make_pool", lambda *arguments, **options: False)
    found = make(ALPHA, tol=1e-12, **options).fit(data, Y, sample_weight=sample_weight)
    assert found.converged_
    np.testing.assert_allclose(found.coef_, exact.coef_, atol=1e-5)


@pytest.mark.usefixtures("on_residual")
def test_newton_steps_save_epochs(monkeypatch):
    found = Lasso(ALPHA, tol=1e-10).fit(X, Y)
    monkeypatch.setattr(residual_descent, "_STEPS", ())
    plain = Lasso(ALPHA, tol=1e-10, max_iter=5000).fit(X, Y)
    assert found.converged_
    assert plain.n_iter_ > 2 * found.n_iter_


@pytest.mark.usefixtures("on_residual")
def test_no_round_raises_the_objective(monkeypatch):
    objectives = []
    solve_on_support = residual_descent._descend_on_support

    def watched(work, restriction, ws, residual, coef, form, cg_steps):
        gap = restriction.gap(work, ws)
        before = gap.objective(coef, work.mean_square(residual))
        outcome = solve_on_support(work, restriction, ws, residual, coef, form, cg_steps)
        objectives.append((before, gap.objective(coef, work.mean_square(residual))))
        fitted = work.backend.fitted(work.design, ws, coef)
        np.testing.assert_allclose(residual, work.y - fitted, atol=1e-10)
        return outcome

    monkeypatch.setattr(residual_descent, "_descend_on_support", watched)
    Lasso(ALPHA, tol=1e-10).fit(X, Y)
    assert len(objectives) > 3
    assert all(after <= before * (1 + 1e-14) for before, after in objectives)


@pytest.mark.parametrize("storage", ["sparse", "columns"])
@pytest.mark.parametrize("sample_weight", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.6])
def test_the_direction_solves_the_linear_system(l1_ratio, sample_weight, storage, monkeypatch):
    monkeypatch.setattr(residual_descent, "_CG_SHARE", 1e-12)
    s = np.ones(N) if sample_weight is None else sample_weight * N / sample_weight.sum()
    penalty = penalties.ElasticNet(alpha=ALPHA, l1_ratio=l1_ratio)
    data = sparse.csc_matrix(X) if storage == "sparse" else np.asfortranarray(X.toarray())
    weights = None if sample_weight is None else s
    work = Workspace(Problem(data, Y, penalty, Squared(), weights), backend)
    columns = np.arange(0, 60, 4)
    coef = np.resize([0.3, -0.2, 0.0], columns.size)  # what is at zero stays there
    full = np.zeros(P)
    full[columns] = coef
    work.move_to(full)
    gap = Restriction.of(penalty, work).gap(work, columns)
    direction, fitted, used = residual_descent._newton_direction(
        work, columns, work.residual, coef, gap, 200
    )
    moving = columns[coef != 0]
    centered = X.toarray() - s @ X.toarray() / N
    hessian = centered[:, moving].T @ (s[:, None] * centered[:, moving]) / N
    hessian += ALPHA * (1 - l1_ratio) * np.eye(moving.size)
    slope = centered[:, moving].T @ (s * (Y - s @ Y / N - centered @ full)) / N
    values = full[moving]
    right = slope - ALPHA * (1 - l1_ratio) * values - ALPHA * l1_ratio * np.sign(values)
    np.testing.assert_allclose(direction[coef != 0], np.linalg.solve(hessian, right), rtol=1e-8)
    np.testing.assert_array_equal(direction[coef == 0], 0.0)
    np.testing.assert_allclose(fitted, centered[:, columns] @ direction, atol=1e-10)
    assert 1 < used < 200


def test_a_fit_that_would_outgrow_the_pool_does_not_start_on_it(monkeypatch):
    monkeypatch.setattr(working_set, "_SPARSE_POOL", 60)
    monkeypatch.setattr(working_set, "_CRAWLS", 10**6)  # nor goes to it later
    sizes = []
    make_pool = working_set.make_pool

    def counted(work, restriction, wanted, **options):
        sizes.append(wanted.size)
        return make_pool(work, restriction, wanted, **options)

    monkeypatch.setattr(working_set, "make_pool", counted)
    model = Lasso(ALPHA, tol=1e-6).fit(X, Y)
    assert model.converged_
    assert not sizes
    Lasso(40 * ALPHA, tol=1e-6).fit(X, Y)  # near the largest alpha it does
    assert sizes


def test_a_fit_near_interpolation_stays_on_the_pool(monkeypatch):
    rng = np.random.default_rng(5)
    n = 400
    data = sparse.random_array((n, 800), density=0.05, rng=rng, format="csc")
    y = rng.standard_normal(n)
    monkeypatch.setattr(working_set, "_SPARSE_POOL", n)
    sizes = []
    solve_on_pool = working_set.solve_on_pool

    def counted(work, restriction, columns, *arguments, **options):
        sizes.append(columns.size)
        return solve_on_pool(work, restriction, columns, *arguments, **options)

    def never(*arguments):
        raise AssertionError("descent on the residual")

    monkeypatch.setattr(working_set, "solve_on_pool", counted)
    monkeypatch.setattr(working_set, "descend_on_residual", never)
    alpha = 1e-3 * np.max(np.abs(data.T @ (y - y.mean()))) / n
    model = Lasso(alpha, tol=1e-12).fit(data, y)
    assert model.converged_
    assert max(sizes) > n  # more than there may be where the rank sets no limit
