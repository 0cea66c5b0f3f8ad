"""Descent on the residual: extrapolation reaches the solution sooner, and changes nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from sparsereg import ElasticNet, Lasso
from sparsereg.solvers import residual_descent, working_set

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
def test_extrapolation_saves_epochs(monkeypatch):
    found = Lasso(ALPHA, tol=1e-10).fit(X, Y)
    monkeypatch.setattr(residual_descent, "_STEPS", ())
    plain = Lasso(ALPHA, tol=1e-10, max_iter=5000).fit(X, Y)
    assert found.converged_
    assert plain.n_iter_ > 2 * found.n_iter_


@pytest.mark.usefixtures("on_residual")
def test_no_round_raises_the_objective(monkeypatch):
    objectives = []
    solve_on_support = residual_descent._descend_on_support

    def watched(work, restriction, ws, residual, coef, form):
        gap = restriction.gap(work, ws)
        before = gap.objective(coef, work.mean_square(residual))
        outcome = solve_on_support(work, restriction, ws, residual, coef, form)
        objectives.append((before, gap.objective(coef, work.mean_square(residual))))
        fitted = work.backend.fitted(work.design, ws, coef)
        np.testing.assert_allclose(residual, work.y - fitted, atol=1e-10)
        return outcome

    monkeypatch.setattr(residual_descent, "_descend_on_support", watched)
    Lasso(ALPHA, tol=1e-10).fit(X, Y)
    assert len(objectives) > 3
    assert all(after <= before * (1 + 1e-14) for before, after in objectives)


def test_extrapolation_of_an_affine_map_is_its_fixed_point():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    contraction = basis @ np.diag([0.99, 0.9, 0.5]) @ basis.T
    fixed = rng.standard_normal(3)
    points = [np.zeros(3)]
    for _ in range(6):
        points.append(fixed + contraction @ (points[-1] - fixed))
    found = residual_descent._extrapolated(np.array(points))
    assert np.linalg.norm(found - fixed) < 1e-3 * np.linalg.norm(points[-1] - fixed)


@pytest.mark.parametrize("moves", [0.0, 1e-200])
def test_points_that_do_not_move_are_not_extrapolated(moves):
    points = np.outer(np.arange(4), np.full(3, moves))
    np.testing.assert_array_equal(residual_descent._extrapolated(points), points[-1])


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
