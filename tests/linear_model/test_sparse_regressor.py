"""Estimators of non-convex penalties: inputs, weights, attributes, cross-validation, criteria."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsereg import (
    L0Regressor,
    Lasso,
    LqRegressor,
    MCPRegressor,
    SCADRegressor,
    SparseRegressor,
    SparseRegressorCV,
    penalties,
    sparse_path,
)
from sparsereg.exceptions import ConvergenceWarning, PathInterruptedWarning

MODELS = [
    MCPRegressor(0.2),
    SCADRegressor(0.2),
    LqRegressor(0.1),
    SparseRegressor(penalties.L0(0.05)),
    SparseRegressor(penalties.LogSum(0.1, 0.1)),
]


def make_data(n=60, p=100, k=5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + rng.standard_normal((n, 1))
    w = np.zeros(p)
    w[:: p // k][:k] = rng.choice([-2.0, 2.0], k)
    return X, X @ w + 0.5 * rng.standard_normal(n) + 3.0


@pytest.fixture
def data():
    return make_data()


def penalty_of(model):
    return model._penalty(100)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_attributes_describe_the_solution(model, data):
    X, y = data
    fitted = clone(model).fit(X, y)
    residual = y - X @ fitted.coef_ - fitted.intercept_
    value = 0.5 * np.mean(residual**2) + penalty_of(model).value(fitted.coef_)
    assert fitted.objective_ == pytest.approx(value, rel=1e-12)
    np.testing.assert_array_equal(fitted.support_, np.flatnonzero(fitted.coef_))
    assert fitted.converged_
    assert fitted.stationarity_ <= fitted.tol
    assert fitted.history_[-1].objective == fitted.objective_
    assert fitted.backend_ == "numba"
    assert np.mean(residual) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("model", "penalty"),
    [
        (MCPRegressor(0.2, gamma=2.0), penalties.MCP(0.2, 2.0)),
        (SCADRegressor(0.2, gamma=3.0), penalties.SCAD(0.2, 3.0)),
        (LqRegressor(0.1, q=0.3), penalties.Lq(0.1, 0.3)),
    ],
)
def test_named_regressors_are_the_general_one_with_their_penalty(model, penalty, data):
    expected = SparseRegressor(penalty).fit(*data)
    np.testing.assert_array_equal(model.fit(*data).coef_, expected.coef_)
    assert model.objective_ == expected.objective_


def test_the_lasso_penalty_gives_the_lasso(data):
    expected = Lasso(0.3, tol=1e-12).fit(*data)
    model = SparseRegressor(penalties.L1(0.3)).fit(*data)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-7)


def test_large_coefficients_are_not_shrunk(data):
    X, y = data
    for model in (MCPRegressor(0.2), SCADRegressor(0.2), SparseRegressor(penalties.L0(0.05))):
        support = model.fit(X, y).support_
        assert set(support) == set(range(0, 100, 20))
        design = np.column_stack([np.ones(60), X[:, support]])
        expected = np.linalg.lstsq(design, y, rcond=None)[0]
        np.testing.assert_allclose(model.coef_[support], expected[1:], rtol=1e-6)


# ------------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_integer_weights_equal_repetition(model, data):
    X, y = data
    counts = np.random.default_rng(1).integers(0, 4, len(y))
    weighted = clone(model).fit(X, y, sample_weight=counts)
    repeated = clone(model).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-5, atol=1e-8)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-9)


@pytest.mark.parametrize("make", [MCPRegressor, SCADRegressor, LqRegressor])
def test_penalty_weights_exclude_free_and_scale(make, data):
    X, y = data
    weights = np.ones(100)
    weights[0], weights[1:11], weights[11] = np.inf, 0.0, 2.0
    model = make(0.2, penalty_weights=weights).fit(X, y)
    assert model.coef_[0] == 0
    assert np.all(model.coef_[1:11] != 0)
    gradient = (X - X.mean(axis=0))[:, 1:11].T @ (y - model.predict(X)) / len(y)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize("make", [MCPRegressor, SCADRegressor, LqRegressor])
def test_positive_gives_no_negative_coefficient(make, data):
    X, y = data
    model = make(0.05, positive=True).fit(X, -y)
    assert np.all(model.coef_ >= 0)
    assert model.support_.size
    assert model.converged_


@pytest.mark.parametrize("positive", [False, True])
def test_alpha_zero_with_signs_is_least_squares_with_signs(positive):
    from scipy.optimize import nnls

    X, y = make_data(n=50, p=10)
    model = MCPRegressor(0.0, positive=positive, fit_intercept=False).fit(X, y)
    expected = nnls(X, y)[0] if positive else np.linalg.lstsq(X, y, rcond=None)[0]
    np.testing.assert_allclose(model.coef_, expected, atol=1e-5)


# ------------------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("form", [np.asfortranarray, sparse.csc_matrix, sparse.csr_matrix])
def test_forms_of_x_give_the_same_solution(model, form, data):
    X, y = data
    expected = clone(model).fit(X, y)
    fitted = clone(model).fit(form(X), y)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-5, atol=1e-8)


def test_float32_stays_float32(data):
    X, y = data
    model = MCPRegressor(0.2).fit(X.astype(np.float32), y)
    assert model.coef_.dtype == np.float32
    np.testing.assert_allclose(model.coef_, MCPRegressor(0.2).fit(X, y).coef_, rtol=1e-4, atol=1e-6)


def test_x_is_not_modified(data):
    X, y = data
    before = X.copy(), y.copy()
    MCPRegressor(0.1).fit(X, y)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_units_of_x_and_y_change_nothing_for_l0(data):
    X, y = data
    one = SparseRegressor(penalties.L0(0.05)).fit(X, y)
    other = SparseRegressor(penalties.L0(0.05 * 1e12)).fit(1e-3 * X + 7.0, 1e6 * y)
    np.testing.assert_allclose(other.coef_, 1e9 * one.coef_, rtol=1e-5)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_results_are_reproducible(model, data):
    one, two = clone(model).fit(*data), clone(model).fit(*data)
    np.testing.assert_array_equal(one.coef_, two.coef_)


def test_warm_start_is_one_more_stage_and_never_worse(data):
    X, y = data
    model = LqRegressor(0.02, warm_start=True).fit(X, y)
    first = model.objective_
    model.fit(X, y)
    assert [line.stage for line in model.history_] == ["start", "path", "irl1", "fbs"]
    assert model.objective_ <= first * (1 + 1e-12)


def test_verbose_prints_the_stages(data, capsys):
    MCPRegressor(0.2, verbose=1).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["path", "irl1", "fbs"]


def test_a_miss_is_a_warning_that_names_the_stationarity():
    X, y = make_data(n=100, p=400, k=20)
    with pytest.warns(ConvergenceWarning, match="Reached stationarity"):
        LqRegressor(0.001, strategy="path", tol=1e-14, max_iter=1).fit(X, y)


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("penalty", "error", "message"),
    [
        ("mcp", TypeError, "not a separable penalty"),
        (penalties.L21(), TypeError, "not a separable penalty"),
        (penalties.MCP(-1.0), ValueError, "'alpha' parameter of MCP"),
        (penalties.MCP(1.0, gamma=0.0), ValueError, "'gamma' parameter of MCP"),
        (penalties.SCAD(1.0, gamma=1.0), ValueError, "'gamma' parameter of SCAD"),
        (penalties.Lq(1.0, q=1.5), ValueError, "'q' parameter of Lq"),
        (penalties.Lq(float("nan")), ValueError, "'alpha' parameter of Lq"),
        (penalties.LogSum(1.0, eps=0.0), ValueError, "'eps' parameter of LogSum"),
        (penalties.TransformedL1(1.0, a=0.0), ValueError, "'a' parameter of TransformedL1"),
        (penalties.CappedL1(1.0, theta=-1.0), ValueError, "'theta' parameter of CappedL1"),
        (penalties.L0(1.0, weights=[1.0, 2.0]), ValueError, "penalty_weights has shape"),
        (penalties.L0(1.0, weights=np.full(100, -1.0)), ValueError, "negative"),
        (penalties.CEL0(1.0, column_norms=[1.0]), ValueError, "column_norms has shape"),
        (penalties.CEL0(1.0, column_norms=np.full(100, np.nan)), ValueError, "column_norms"),
        (penalties.L0Constraint(-1), ValueError, "'k' parameter of L0Constraint"),
        (penalties.L0Constraint(1.5), ValueError, "'k' parameter of L0Constraint"),
    ],
    ids=repr,
)
def test_wrong_penalties_are_refused(penalty, error, message, data):
    with pytest.raises(error, match=message):
        SparseRegressor(penalty).fit(*data)


@pytest.mark.parametrize(
    "parameters", [{"strategy": "best"}, {"loss": "huber"}, {"tol": -1.0}, {"max_iter": 0}]
)
def test_wrong_parameters_are_refused(parameters, data):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        SparseRegressor(**parameters).fit(*data)


def test_a_failed_fit_leaves_the_estimator(data):
    X, y = data
    model = MCPRegressor(0.2).fit(X, y)
    before = model.coef_
    with pytest.raises(ValueError, match="alpha"):
        model.set_params(alpha=-1).fit(X, y)
    assert model.coef_ is before


# ------------------------------------------------------------------------------------ scikit-learn


def test_grid_search_over_the_parameters_of_the_penalty(data):
    X, y = data
    grid = {"penalty__alpha": [0.02, 0.1, 50.0], "penalty__q": [0.3, 0.8]}
    search = GridSearchCV(SparseRegressor(penalties.Lq()), grid, cv=3).fit(X, y)
    assert search.best_params_["penalty__alpha"] < 50
    assert search.best_estimator_.penalty.q == search.best_params_["penalty__q"]
    assert search.best_score_ > 0.8


def test_in_a_pipeline(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), MCPRegressor(0.2)).fit(1e3 * X, y)
    assert pipeline.score(1e3 * X, y) > 0.9


# ---------------------------------------------------------------------------------------- the path


@pytest.mark.parametrize(
    "penalty",
    [penalties.MCP(), penalties.SCAD(), penalties.Lq(), penalties.L0(), penalties.CappedL1()],
    ids=repr,
)
def test_path_is_decreasing_and_stationary(penalty, data):
    X, y = data
    alphas, coefs, stationarities = sparse_path(X, y, penalty, n_alphas=20, fit_intercept=True)
    assert np.all(np.diff(alphas) < 0)
    assert coefs.shape == (100, 20)
    assert stationarities.max() <= 1e-6
    assert not coefs[:, 0].any()
    assert coefs[:, 1].any()
    assert np.count_nonzero(coefs[:, -1]) > np.count_nonzero(coefs[:, 5])


def test_path_agrees_with_fits_that_start_from_it(data):
    X, y = data
    alphas, coefs, _ = sparse_path(X, y, penalties.MCP(), n_alphas=20, fit_intercept=True)
    model = MCPRegressor(alphas[10], strategy="path", warm_start=True)
    model.coef_ = coefs[:, 10]
    model.fit(X, y)
    assert model.history_[0].objective == pytest.approx(
        0.5 * np.mean((y - y.mean() - (X - X.mean(axis=0)) @ coefs[:, 10]) ** 2)
        + penalties.MCP(alphas[10]).value(coefs[:, 10]),
        rel=1e-9,
    )


def test_path_takes_a_start_and_counts_its_iterations(data):
    X, y = data
    start = np.ones(100)
    *_, n_iters = sparse_path(
        X, y, penalties.MCP(), alphas=[0.3, 0.5], coef_init=start, return_n_iter=True
    )
    assert len(n_iters) == 2
    np.testing.assert_array_equal(start, np.ones(100))
    with pytest.raises(ValueError, match="coef_init has shape"):
        sparse_path(X, y, penalties.MCP(), coef_init=np.ones(3))


def test_path_refuses_several_targets_and_penalties_without_an_alpha_max(data):
    X, y = data
    with pytest.raises(ValueError, match="one target"):
        sparse_path(X, np.column_stack([y, y]), penalties.MCP())
    with pytest.raises(ValueError, match="Automatic alpha grid"):
        sparse_path(X, y, penalties.ElasticNet(l1_ratio=0.0))


def test_path_that_is_interrupted_returns_what_is_finished(data, monkeypatch):
    from sparsereg.solvers import nonconvex

    def interrupted(*args, **kwargs):
        steps = original(*args, **kwargs)
        yield next(steps)
        yield next(steps)
        raise KeyboardInterrupt

    original = nonconvex.solve_path
    monkeypatch.setattr("sparsereg.linear_model.nonconvex_path.solve_path", interrupted)
    with pytest.warns(PathInterruptedWarning, match="2 of 10"):
        alphas, coefs, _ = sparse_path(*data, penalties.MCP(), n_alphas=10)
    assert alphas.shape == (2,)
    assert coefs.shape == (100, 2)


# ----------------------------------------------------------------------- cross-validation, criteria


@pytest.mark.parametrize("selection", ["min", "1se", "aic", "bic", "ebic"])
@pytest.mark.parametrize("penalty", [None, penalties.Lq(), penalties.L0()], ids=repr)
def test_cv_finds_the_signal(penalty, selection, data):
    X, y = data
    model = SparseRegressorCV(penalty, selection=selection, n_alphas=30).fit(X, y)
    assert set(model.support_) >= set(range(0, 100, 20))
    assert model.alpha_ in model.alphas_
    assert model.coef_path_.shape == (100, 30)
    assert model.scores_.shape == (30, 1 if selection.endswith("ic") else 5)
    index = int(np.flatnonzero(model.alphas_ == model.alpha_)[0])
    np.testing.assert_array_equal(model.coef_path_[:, index], model.coef_)
    base = penalties.MCP() if penalty is None else penalty
    value = 0.5 * np.mean((y - model.predict(X)) ** 2)
    value += base.with_alpha(model.alpha_).value(model.coef_)
    assert model.objective_ == pytest.approx(value, rel=1e-10)
    assert model.stationarity_ <= 1e-6
    assert not hasattr(model, "dual_gap_")


def test_ebic_finds_exactly_the_signal(data):
    model = SparseRegressorCV(selection="ebic").fit(*data)
    assert set(model.support_) == set(range(0, 100, 20))


@pytest.mark.parametrize("selection", ["aic", "bic", "ebic"])
def test_criteria_never_choose_a_model_that_fits_noise_exactly(selection):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 200)), rng.standard_normal(30)
    model = SparseRegressorCV(penalties.Lq(), selection=selection, eps=1e-6).fit(X, y)
    largest = 30 / np.log(201)
    assert model.support_.size <= largest
    sizes = np.count_nonzero(model.coef_path_, axis=0)
    assert sizes.max() > 15
    np.testing.assert_array_equal(np.isneginf(model.scores_[:, 0]), sizes > largest)


def test_criteria_compare_all_sizes_where_rows_are_plenty():
    X, y = make_data(n=60, p=30)
    model = SparseRegressorCV(selection="bic", eps=1e-4).fit(X, y)
    assert np.count_nonzero(model.coef_path_[:, -1]) == 30
    assert np.all(np.isfinite(model.scores_))


def test_criterion_is_the_one_by_hand(data):
    X, y = data
    model = SparseRegressorCV(selection="bic", n_alphas=15).fit(X, y)
    errors = y[:, None] - X @ model.coef_path_ - model.intercept_path_
    mse, sizes = np.mean(errors**2, axis=0), np.count_nonzero(model.coef_path_, axis=0)
    expected = -(60 * np.log(mse) + np.log(60) * sizes)
    allowed = sizes <= 60 / np.log(101)
    assert 3 < np.count_nonzero(allowed) < 15
    np.testing.assert_allclose(model.scores_[allowed, 0], expected[allowed], rtol=1e-9)
    np.testing.assert_allclose(model.mse_path_[:, 0], mse, rtol=1e-8)


def test_criteria_count_integer_weights_as_repetitions_and_others_as_rows(data):
    X, y = data
    counts = np.random.default_rng(1).integers(0, 4, len(y))
    model = SparseRegressorCV(selection="bic", alphas=[0.1, 0.3])
    weighted = clone(model).fit(X, y, sample_weight=counts)
    repeated = clone(model).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.scores_, repeated.scores_, rtol=1e-6)
    fractions = clone(model).fit(X, y, sample_weight=counts / 8)
    absent = clone(model).fit(X[counts > 0], y[counts > 0], sample_weight=counts[counts > 0] / 8)
    np.testing.assert_allclose(fractions.scores_, absent.scores_, rtol=1e-6)


def test_cv_errors_are_those_of_the_held_out_rows(data):
    X, y = data
    folds = [(np.arange(20, 60), np.arange(20)), (np.arange(40), np.arange(40, 60))]
    model = SparseRegressorCV(penalties.MCP(), cv=folds, n_alphas=10).fit(X, y)
    train, test = folds[0]
    coefs = model.fold_coef_path_[0].toarray()
    intercepts = y[train].mean() - X[train].mean(axis=0) @ coefs
    errors = y[test][:, None] - X[test] @ coefs - intercepts
    np.testing.assert_allclose(model.mse_path_[:, 0], np.mean(errors**2, axis=0), rtol=1e-8)


def test_cv_threads_change_nothing(data):
    one = SparseRegressorCV(penalties.SCAD(), n_alphas=10, n_jobs=1).fit(*data)
    two = SparseRegressorCV(penalties.SCAD(), n_alphas=10, n_jobs=2).fit(*data)
    np.testing.assert_array_equal(one.mse_path_, two.mse_path_)


def test_cv_takes_scorers(data):
    named = SparseRegressorCV(scoring="r2", n_alphas=10).fit(*data)
    callable_ = SparseRegressorCV(scoring=lambda model, X, y: model.score(X, y), n_alphas=10).fit(
        *data
    )
    np.testing.assert_allclose(named.scores_, callable_.scores_, rtol=1e-9)


def test_nothing_warns_on_ordinary_data(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in MODELS:
            clone(model).fit(*data)
        SparseRegressorCV(penalties.Lq(), n_alphas=20).fit(*data)


@pytest.mark.parametrize("k", [0, 2, 6])
def test_a_constraint_is_the_l0_regressor_of_that_size(k, data):
    ours = SparseRegressor(penalties.L0Constraint(k)).fit(*data)
    reference = L0Regressor(n_nonzero=k).fit(*data)
    np.testing.assert_array_equal(ours.coef_, reference.coef_)
    assert ours.objective_ == reference.objective_
