"""The l0 estimators: input forms, degenerate data, weights, and what their objectives promise."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from l0_problems import best_by_size, correlated
from scipy import sparse
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV

from sparsereg import CEL0Regressor, L0Regressor, L0RegressorCV, l0_path
from sparsereg.exceptions import ConvergenceWarning, PathInterruptedWarning
from sparsereg.model_selection import information_criterion
from sparsereg.solvers.l0_path import envelope

pytestmark = pytest.mark.filterwarnings("error")

X, Y = correlated(0, 50, 20, rho=0.6, n_nonzero=4)
ESTIMATORS = [
    L0Regressor(0.05),
    L0Regressor(0.05, l2=0.01, exact=True),
    L0Regressor(n_nonzero=4),
    L0Regressor("bic"),
    CEL0Regressor(0.05),
    CEL0Regressor(0.05, strategy="fbs"),
    L0RegressorCV(cv=3, max_size=6),
]
every_estimator = pytest.mark.parametrize("model", ESTIMATORS, ids=str)


def objective(model, X, y, alpha, l2=0.0):
    """Return the documented objective, from scratch."""
    residual = y - X @ model.coef_ - model.intercept_
    penalty = alpha * np.count_nonzero(model.coef_) + 0.5 * l2 * np.sum(model.coef_**2)
    return 0.5 * np.mean(residual**2) + penalty


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("estimator", [L0Regressor, CEL0Regressor])
def test_the_objective_is_the_documented_one(estimator, l2):
    model = estimator(0.05, l2=l2).fit(X, Y)
    assert model.objective_ == pytest.approx(objective(model, X, Y, 0.05, l2), rel=1e-12)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_exact_is_the_best_of_all_supports(seed, l2):
    X, y = correlated(seed, 30, 9, rho=0.9, n_nonzero=4, noise=1.0)
    truth = best_by_size(X, y, l2)
    for alpha in (0.3, 0.02, 0.002):
        model = L0Regressor(alpha, l2=l2, exact=True).fit(X, y)
        assert model.objective_ == pytest.approx(np.min(truth + alpha * np.arange(10)), rel=1e-7)
        assert 0 <= model.optimality_gap_ <= 1.01e-8
        assert model.converged_


@pytest.mark.parametrize("size", [0, 1, 4, 20, 1000])
def test_n_nonzero_is_a_limit_that_is_used(size):
    model = L0Regressor(n_nonzero=size).fit(X, Y)
    assert model.support_.size == min(size, 20)
    if size >= 20:
        ols = LinearRegression().fit(X, Y)
        np.testing.assert_allclose(model.coef_, ols.coef_, rtol=1e-8)


def test_alpha_zero_is_least_squares_or_ridge():
    for model, reference in [
        (L0Regressor(0.0), LinearRegression()),
        (L0Regressor(0.0, l2=0.3), Ridge(alpha=0.3 * len(Y))),
    ]:
        np.testing.assert_allclose(
            model.fit(X, Y).coef_, reference.fit(X, Y).coef_, rtol=1e-8, atol=1e-12
        )


def test_a_huge_alpha_is_the_null_model():
    for alpha in (1e3, 1e300):
        model = L0Regressor(alpha).fit(X, Y)
        assert not model.support_.size
        assert model.intercept_ == pytest.approx(Y.mean())


def test_a_coefficient_bound_binds():
    free = L0Regressor(0.05).fit(X, Y)
    bound = 0.5 * np.abs(free.coef_).max()
    model = L0Regressor(0.05, coef_bound=bound).fit(X, Y)
    assert np.abs(model.coef_).max() == pytest.approx(bound)
    assert model.objective_ > free.objective_
    assert 0 < model.lower_bound_ <= model.objective_


@pytest.mark.parametrize("seed", range(20))
def test_with_a_coefficient_bound_the_portfolio_is_as_good_as_each_start(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 8))
    y = X @ np.where(rng.random(8) < 0.5, rng.standard_normal(8), 0.0) + rng.standard_normal(12)
    settings = {"alpha": 1e-3 * y.var(), "coef_bound": 0.3}
    best = min(
        L0Regressor(strategy=route, n_swaps=n_swaps, **settings).fit(X, y).objective_
        for route in ("path", "irl1", "fbs")
        for n_swaps in (0, "auto")
    )
    assert L0Regressor(**settings).fit(X, y).objective_ <= best * (1 + 1e-9)


@every_estimator
@pytest.mark.parametrize("form", ["csr", "csc", "fortran", "float32", "integer weights"])
def test_forms_of_the_same_data_give_the_same_model(model, form):
    reference = model.fit(X, Y).coef_.copy()
    weights, data = None, X
    if form in ("csr", "csc"):
        data = getattr(sparse, f"{form}_array")(X)
    elif form == "fortran":
        data = np.asfortranarray(X)
    elif form == "float32":
        data = X.astype(np.float32)
    elif isinstance(model, L0RegressorCV) or model.get_params().get("alpha") == "bic":
        pytest.skip("folds and criteria count rows")
    else:
        weights = np.full(50, 7)
        weights[:10] = 14
        reference = model.fit(np.vstack([X, X[:10]]), np.append(Y, Y[:10])).coef_.copy()
    coef = model.fit(data, Y, sample_weight=weights).coef_
    assert coef.dtype == data.dtype
    np.testing.assert_allclose(coef, reference, rtol=1e-4 if form == "float32" else 1e-7, atol=1e-9)


@every_estimator
def test_scaling_columns_scales_coefficients(model):
    if model.get_params()["l2"] > 0:
        pytest.skip("the ridge part depends on the scale")
    scale = 10.0 ** np.linspace(-6, 6, 20)
    reference = model.fit(X, Y).coef_.copy()
    coef = model.fit(X * scale, Y).coef_ * scale
    np.testing.assert_allclose(coef, reference, rtol=1e-6, atol=1e-9)


def degenerate():
    rng = np.random.default_rng(1)
    Z, y = rng.standard_normal((12, 5)), rng.standard_normal(12)
    yield "duplicates", np.hstack([Z, Z, Z]), y
    yield "constant columns", np.hstack([Z, np.full((12, 2), 7.0), np.zeros((12, 1))]), y
    yield "nearly duplicates", np.hstack([Z, Z + 1e-9 * rng.standard_normal(Z.shape)]), y
    yield "wide", rng.standard_normal((6, 80)), y[:6]
    yield "constant y", Z, np.full(12, 3.0)
    yield "noiseless", Z, Z @ [1, 0, 0, -2, 0]
    yield "one column", Z[:, :1], y
    yield "tiny", 1e-120 * Z, 1e-120 * y
    yield "huge", 1e120 * Z, 1e120 * y
    yield "far from the origin", Z + 1e6, y


@every_estimator
@pytest.mark.parametrize("case", list(degenerate()), ids=lambda case: case[0])
def test_degenerate_data_gives_finite_answers(model, case):
    _, Z, y = case
    model.fit(Z, y)
    assert np.all(np.isfinite(model.coef_))
    assert np.isfinite(model.intercept_)
    if hasattr(model, "lower_bound_"):
        assert np.isfinite(model.objective_)
        assert model.lower_bound_ is None or 0 <= model.lower_bound_ <= model.objective_
        assert np.isfinite(model.stationarity_)


def test_of_duplicates_one_is_chosen():
    model = L0Regressor(1e-3).fit(np.hstack([X, X]), Y)
    single = L0Regressor(1e-3).fit(X, Y)
    assert sorted(model.support_ % 20) == single.support_.tolist()
    assert model.objective_ == pytest.approx(single.objective_, rel=1e-10)


def test_penalty_weights_force_in_keep_out_and_grade():
    weights = np.ones(20)
    weights[[0, 1]], weights[[2, 3]] = 0.0, np.inf
    for model in (
        L0Regressor(0.05, penalty_weights=weights),
        L0Regressor(n_nonzero=3, penalty_weights=weights),
    ):
        model.fit(X, Y)
        assert {0, 1} <= set(model.support_)
        assert not {2, 3} & set(model.support_)
    assert model.support_.size == 5
    dear = np.where(np.arange(20) == L0Regressor(n_nonzero=1).fit(X, Y).support_[0], 100.0, 1.0)
    graded = L0Regressor(0.05, penalty_weights=dear).fit(X, Y)
    assert not np.any(dear[graded.support_] > 1)
    with pytest.raises(ValueError, match="a size counts them alike"):
        L0Regressor(n_nonzero=3, penalty_weights=dear).fit(X, Y)


@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_exact_by_size_proves_the_sizes_that_win_somewhere(l2):
    n_proven = 0
    for seed in range(6):
        X, y = correlated(seed, 30, 9, rho=0.9, n_nonzero=4, noise=1.0)
        truth = best_by_size(X, y, l2)
        low = envelope(np.arange(10.0), truth)[0]
        for size in range(1, 9):
            model = L0Regressor(n_nonzero=size, l2=l2, exact=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(X, y)
            assert model.lower_bound_ <= truth[size] * (1 + 1e-12) <= model.objective_ * (1 + 1e-9)
            if np.isfinite(low[size]):
                assert model.converged_
                assert model.objective_ == pytest.approx(truth[size], rel=1e-7)
                assert model.optimality_gap_ <= 1e-6
                n_proven += 1
    assert n_proven >= 24


def test_exact_with_a_criterion_keeps_its_size_and_proves_it():
    free = L0Regressor("bic").fit(X, Y)
    proven = L0Regressor("bic", exact=True).fit(X, Y)
    assert proven.support_.size == free.support_.size
    assert proven.converged_
    assert proven.optimality_gap_ <= 1e-6


def test_a_size_that_wins_nowhere_is_not_claimed_to_be_proven():
    for seed in range(20):
        X, y = correlated(seed, 30, 9, rho=0.9, n_nonzero=4, noise=1.0)
        losers = np.flatnonzero(np.isnan(l0_path(X, y).alpha_low))
        if losers.size:
            break
    with pytest.warns(ConvergenceWarning, match="wins at none"):
        model = L0Regressor(n_nonzero=int(losers[0]), exact=True).fit(X, y)
    assert not model.converged_
    assert model.optimality_gap_ > 0


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_the_portfolio_is_never_worse_than_the_path_and_finds_more(rho):
    better = 0
    for seed in range(10):
        X, y = correlated(seed, 60, 120, rho=rho, n_nonzero=15, noise=0.5)
        quick = l0_path(X, y, max_size=15, strategy="path")
        whole = l0_path(X, y, max_size=15)
        assert np.all(whole.mse <= quick.mse * (1 + 1e-10))
        better += np.sum(whole.mse < quick.mse * (1 - 1e-6))
    assert better > 0


def test_a_search_out_of_budget_warns_and_names_the_gap():
    Z, y = correlated(0, 60, 100, 0.7, n_nonzero=8, noise=3.0)
    with pytest.warns(ConvergenceWarning, match=r"within .* of the minimum.* raise max_nodes"):
        model = L0Regressor(0.1, l2=0.001, exact=True, max_nodes=3).fit(Z, y)
    assert not model.converged_
    assert 0 < model.optimality_gap_ < 1


def test_ctrl_c_in_branch_and_bound_keeps_the_model(monkeypatch):
    from sparsereg.solvers import branch_and_bound

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(branch_and_bound._Search, "_process", interrupt)
    Z, y = correlated(0, 60, 100, 0.7, n_nonzero=8, noise=3.0)
    with pytest.warns(PathInterruptedWarning, match="Interrupted"):
        model = L0Regressor(0.1, l2=0.001, exact=True).fit(Z, y)
    assert model.support_.size
    assert model.lower_bound_ > 0


def test_the_path_is_the_table_of_best_subsets():
    Z, y = correlated(1, 40, 9, rho=0.5)
    path = l0_path(Z, y)
    truth = best_by_size(Z, y)
    np.testing.assert_array_equal(path.sizes, np.arange(10))
    np.testing.assert_allclose(path.objectives, truth, rtol=1e-9)
    np.testing.assert_allclose(path.mse, 2 * truth, rtol=1e-9)
    for k, support in enumerate(path.supports):
        assert np.flatnonzero(path.coefs[:, k]).tolist() == support.tolist()
        fitted = Z @ path.coefs[:, k] + path.intercepts[k]
        assert np.mean((y - fitted) ** 2) == pytest.approx(path.mse[k], rel=1e-10)
    for alpha in (1e-4, 1e-2, 1.0):
        k = path.at(alpha)
        assert path.alpha_low[k] <= alpha <= path.alpha_high[k]
        single = L0Regressor(alpha).fit(Z, y)
        assert single.objective_ == pytest.approx(path.objectives[k] + alpha * k, rel=1e-9)


def test_criteria_find_the_size_of_a_clear_signal_where_p_exceeds_n():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((80, 400))
    y = Z[:, :5].sum(axis=1) + 0.5 * rng.standard_normal(80)
    path = l0_path(Z, y)
    assert path.sizes[path.select("ebic")] == 5
    assert path.select("aic") >= path.select("bic") >= path.select("ebic", gamma=0.5)
    assert L0Regressor("ebic").fit(Z, y).support_.tolist() == [0, 1, 2, 3, 4]
    noiseless = l0_path(Z, Z[:, :5].sum(axis=1))
    assert all(noiseless.sizes[noiseless.select(name)] == 5 for name in ("aic", "bic", "ebic"))


def test_criteria_are_the_textbook_formulas():
    values = {
        name: information_criterion([2.0, 0.5], [0, 3], n_samples=50, n_features=10, criterion=name)
        for name in ("aic", "bic", "ebic")
    }
    gain = 50 * np.log(4.0)
    assert values["aic"][0] - values["aic"][1] == pytest.approx(gain - 6)
    assert values["bic"][0] - values["bic"][1] == pytest.approx(gain - 3 * np.log(50))
    assert values["ebic"][0] - values["ebic"][1] == pytest.approx(
        gain - 3 * np.log(50) - 2 * np.log(120)
    )
    with pytest.raises(ValueError, match="no information criterion 'cp'"):
        information_criterion([1.0], [0], n_samples=5, n_features=2, criterion="cp")


def test_cross_validation_over_sizes_matches_its_definition():
    model = L0RegressorCV(cv=4, max_size=6).fit(X, Y)
    from sklearn.model_selection import KFold

    errors = np.empty((7, 4))
    for f, (train, test) in enumerate(KFold(4).split(X)):
        path = l0_path(X[train], Y[train], max_size=6)
        fitted = X[test] @ path.coefs + path.intercepts
        errors[:, f] = np.mean((Y[test, None] - fitted) ** 2, axis=0)
    np.testing.assert_allclose(model.mse_path_, errors, rtol=1e-8)
    assert model.n_nonzero_ == errors.mean(axis=1).argmin()
    sparser = L0RegressorCV(cv=4, max_size=6, selection="1se").fit(X, Y)
    assert sparser.n_nonzero_ <= model.n_nonzero_


def test_grid_search_over_sizes():
    search = GridSearchCV(L0Regressor(), {"n_nonzero": [1, 4, 12]}).fit(X, Y)
    assert search.best_params_["n_nonzero"] == 4


def test_verbose_prints_the_stages(capsys):
    L0Regressor(0.05, verbose=1).fit(X, Y)
    assert "forward path" in capsys.readouterr().out


def test_wrong_n_swaps_is_refused():
    with pytest.raises(ValueError, match="must be 'auto' or a number"):
        L0Regressor(n_swaps="many").fit(X, Y)


def test_the_number_of_nonzeros_does_not_count_free_features():
    weights = np.ones(20)
    weights[[0, 7]] = 0.0
    for model in (
        L0Regressor(n_nonzero=3, penalty_weights=weights),
        L0Regressor(0.05, penalty_weights=weights),
        CEL0Regressor(0.05, penalty_weights=weights),
    ):
        model.fit(X, Y)
        assert model.n_nonzero_ == np.setdiff1d(model.support_, [0, 7]).size > 0


def test_the_chosen_size_comes_with_its_certificate():
    model = L0RegressorCV(cv=3, max_size=6, l2=0.02).fit(X, Y)
    assert model.objective_ == pytest.approx(objective(model, X, Y, 0.0, 0.02), rel=1e-10)
    assert 0 <= model.stationarity_ < 1e-7
