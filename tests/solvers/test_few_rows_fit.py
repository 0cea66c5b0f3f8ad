"""Single fits on data of few rows in one call: the same solutions, and where the drivers go on."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg import ElasticNet, Lasso, lasso_path
from sparsereg.exceptions import ConvergenceWarning
from sparsereg.solvers import few_rows, working_set

N, P = 40, 400
RNG = np.random.default_rng(0)
X = np.asfortranarray(RNG.standard_normal((N, P)) + 0.8 * RNG.standard_normal((N, 1)))
Y = X[:, ::50].sum(axis=1) + RNG.standard_normal(N)
ALPHA_MAX = np.max(np.abs((X - X.mean(axis=0)).T @ (Y - Y.mean()))) / N
SAMPLE_WEIGHT = np.where(np.arange(N) % 4, RNG.uniform(0.5, 2.0, N), 0.0)
PENALTY_WEIGHTS = np.where(np.arange(P) % 7, np.linspace(0.5, 2.0, P), np.inf)

MODELS = {
    "lasso": {},
    "no intercept": {"fit_intercept": False},
    "positive": {"positive": True},
    "penalty weights": {"penalty_weights": PENALTY_WEIGHTS},
    "positive, penalty weights": {"positive": True, "penalty_weights": PENALTY_WEIGHTS},
    "elastic net": {"l1_ratio": 0.7},
    "nearly ridge": {"l1_ratio": 0.05},
}
STORES = {"columns": np.asfortranarray, "rows": np.ascontiguousarray, "float32": np.float32}


@pytest.fixture
def outcomes(monkeypatch):
    """Whether each solve that was tried in one call was finished by it."""
    finished = []

    def noted(*arguments, **options):
        solution = few_rows.fit_few_rows(*arguments, **options)
        finished.append(solution is not None)
        return solution

    monkeypatch.setattr(working_set, "fit_few_rows", noted)
    return finished


def gap(model, X, y, sample_weight=None):
    """Return the duality gap of a fitted model, from its coefficients and its definition alone."""
    X, w = np.asarray(X, dtype=float), model.coef_.astype(float)
    s = np.ones(len(y)) if sample_weight is None else sample_weight * len(y) / sample_weight.sum()
    residual = y - X @ w - model.intercept_
    v = np.ones(w.size) if model.penalty_weights is None else model.penalty_weights
    used = np.isfinite(v)
    assert not w[~used].any()
    X, w, v = X[:, used], w[used], v[used]
    l1, l2 = model.alpha * model.l1_ratio * v, model.alpha * (1 - model.l1_ratio) * v
    slopes = X.T @ (s * residual) / len(y)
    size = np.maximum(slopes, 0.0) if model.positive else np.abs(slopes)
    if model.l1_ratio == 1:
        scale = min(1.0, 1.0 / np.max(size / l1))
        conjugate = 0.0
    else:
        scale = 1.0
        conjugate = np.sum(np.maximum(size - l1, 0.0) ** 2 / (2 * l2))
    theta = scale * residual
    shift = s @ y / len(y) if model.fit_intercept else 0.0
    dual = (s @ (y - shift) ** 2 - s @ (y - shift - theta) ** 2) / (2 * len(y)) - conjugate
    primal = s @ residual**2 / (2 * len(y)) + l1 @ np.abs(w) + 0.5 * l2 @ w**2
    return primal - dual


@pytest.mark.parametrize("ratio", [0.5, 0.05, 0.001])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", MODELS)
def test_one_call_reaches_the_gap(name, store, weighted, ratio, outcomes):
    data, weights = STORES[store](X), SAMPLE_WEIGHT if weighted else None
    tol = 1e-6 if store == "float32" else 1e-11
    model = ElasticNet(**{"alpha": ratio * ALPHA_MAX, "l1_ratio": 1.0, "tol": tol, **MODELS[name]})
    model.fit(data, Y, weights)
    assert outcomes == [True]
    assert model.converged_
    assert gap(model, data, Y, weights) <= 2 * tol * np.mean(Y**2)


@pytest.mark.parametrize("name", MODELS)
def test_the_drivers_find_the_same(name, monkeypatch):
    found, expected = (
        ElasticNet(**{"alpha": 0.02, "l1_ratio": 1.0, "tol": 1e-12, **MODELS[name]})
        for _ in range(2)
    )
    found.fit(X, Y)
    monkeypatch.setattr(few_rows, "_OF_FITS", (0, 0))
    expected.fit(X, Y)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-8)
    assert found.intercept_ == pytest.approx(expected.intercept_, abs=1e-8)


@pytest.mark.parametrize("start", [0.5, 0.01, "anywhere"])
def test_warm_starts_end_at_the_same_solution(start, outcomes):
    model = Lasso(0.05 * ALPHA_MAX, tol=1e-12)
    expected = model.fit(X, Y).coef_
    if start == "anywhere":
        model.coef_ = np.random.default_rng(1).standard_normal(P)
    else:
        model.set_params(alpha=start * ALPHA_MAX).fit(X, Y)
    model.set_params(alpha=0.05 * ALPHA_MAX, warm_start=True).fit(X, Y)
    assert all(outcomes)
    np.testing.assert_allclose(model.coef_, expected, atol=1e-9)


def test_a_good_start_is_left_as_it_is():
    model = Lasso(0.05 * ALPHA_MAX, tol=1e-6, warm_start=True).fit(X, Y)
    coef = model.coef_.copy()
    model.fit(X, Y)
    np.testing.assert_array_equal(model.coef_, coef)
    assert model.n_iter_ == 0
    assert len(model.history_) == 1


def test_the_history_goes_from_the_null_model_to_the_certificate():
    model = Lasso(0.05 * ALPHA_MAX).fit(X, Y)
    first, last = model.history_[0], model.history_[-1]
    assert (first.n_iter, first.working_set_size) == (0, 0)
    assert last.dual_gap == model.dual_gap_ < first.dual_gap
    assert last.n_iter == model.n_iter_ > 0
    assert np.count_nonzero(model.coef_) <= last.working_set_size < P


def test_what_the_budget_of_passes_does_not_reach_is_left_to_the_drivers(outcomes):
    with pytest.warns(ConvergenceWarning):
        model = Lasso(0.001 * ALPHA_MAX, tol=1e-12, max_iter=1).fit(X, Y)
    assert outcomes == [False]
    assert not model.converged_


def test_unpenalized_features_are_left_to_the_drivers(outcomes):
    weights = np.ones(P)
    weights[3] = 0.0
    model = Lasso(0.05 * ALPHA_MAX, penalty_weights=weights, tol=1e-10).fit(X, Y)
    assert outcomes == [False]
    residual = Y - X @ model.coef_ - model.intercept_
    assert abs((X[:, 3] - X[:, 3].mean()) @ residual) / N < 1e-10


def test_supports_beyond_the_room_of_the_pool_are_left_to_the_drivers(outcomes):
    data = np.random.default_rng(2).standard_normal((12, 900))
    model = ElasticNet(0.01, l1_ratio=0.02, tol=1e-9).fit(data, Y[:12])
    assert np.count_nonzero(model.coef_) > 250 + 8 * 12
    assert outcomes == [False]
    assert model.converged_


def test_equal_constant_and_summed_columns(outcomes):
    data = X.copy()
    data[:, 100:200] = data[:, :100]
    data[:, 200:220] = 3.0
    data[:, 220:300] = data[:, :80] + data[:, 20:100]
    model = Lasso(0.001 * ALPHA_MAX, tol=1e-9).fit(data, Y)
    assert outcomes == [True]
    assert gap(model, data, Y) <= 1e-8 * np.mean(Y**2)
    assert not model.coef_[200:220].any()


@pytest.mark.parametrize("shape", [(2, 5), (3, 1), (5, 300), (30, 20), (200, 150)])
@pytest.mark.parametrize("seed", range(4))
def test_any_shape(shape, seed):
    rng = np.random.default_rng(seed)
    data = np.round(rng.standard_normal(shape), 1)
    y = data[:, 0] + np.round(rng.standard_normal(shape[0]), 1)
    model = Lasso(0.01, tol=1e-9, positive=bool(seed % 2), fit_intercept=seed < 2).fit(data, y)
    assert model.converged_
    assert gap(model, data, y) <= 1e-8 * np.mean(y**2)


def test_read_only_memory(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    expected = Lasso(0.05 * ALPHA_MAX).fit(X, Y)
    np.testing.assert_array_equal(Lasso(0.05 * ALPHA_MAX).fit(mapped, Y).coef_, expected.coef_)


def test_the_start_is_not_written_to():
    model = Lasso(0.05 * ALPHA_MAX, warm_start=True).fit(X, Y)
    start = model.coef_
    before = start.copy()
    model.set_params(alpha=0.01 * ALPHA_MAX).fit(X, Y)
    np.testing.assert_array_equal(start, before)


def test_a_path_on_more_rows_goes_on_from_the_pool(outcomes):
    rng = np.random.default_rng(3)
    data = rng.standard_normal((180, 200))
    y = data[:, :20].sum(axis=1) + rng.standard_normal(180)
    lasso_path(data, y, n_alphas=10)
    assert outcomes == []
    Lasso(0.01).fit(data, y)
    assert outcomes == [True]
