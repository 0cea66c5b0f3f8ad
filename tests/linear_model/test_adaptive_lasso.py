"""The adaptive lasso is a lasso on columns rescaled by the first estimate; folds keep it honest."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.linear_model as reference
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsereg import AdaptiveLasso, AdaptiveLassoCV, Lasso, LassoCV, lasso_path
from sparsereg.solvers import look_ahead
from sparsereg.solvers.workspace import Workspace

N, P = 60, 15
RNG = np.random.default_rng(3)
X = RNG.standard_normal((N, P)) + 0.5 * RNG.standard_normal((N, 1))
Y = 3 + 2 * X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + RNG.standard_normal(N)
S = RNG.integers(0, 4, N).astype(float)
TIGHT = {"tol": 1e-12}
FOLDS = list(KFold(4).split(X))
NAMED = ["lasso_cv", "lasso", "ols", "ridge"]


def rescaled_fit(initial, alpha, *, gamma=1.0, offset=0.0, factors=None, rows=None, **params):
    """Zou's definition: a lasso on X |b|^gamma / u, its coefficients multiplied back."""
    scale = (np.abs(initial) + offset) ** gamma / (np.ones(P) if factors is None else factors)
    rows = slice(None) if rows is None else rows
    weights = params.pop("sample_weight", None)
    model = reference.Lasso(alpha, tol=1e-14, max_iter=10**6, **params)
    model.fit(X[rows] * scale, Y[rows], None if weights is None else weights[rows])
    return model.coef_ * scale, model.intercept_


def assert_is(model, expected, tol=1e-7):
    coef, intercept = expected
    np.testing.assert_allclose(model.coef_, coef, atol=tol)
    np.testing.assert_allclose(model.intercept_, intercept, atol=tol)


# ------------------------------------------------------------------------------------------ one fit

SETTINGS = {
    "plain": {},
    "gamma": {"gamma": 2.0},
    "no intercept": {"fit_intercept": False},
    "offset": {"weight_offset": 0.3},
    "sample weights": {"sample_weight": S},
    "penalty weights": {"penalty_weights": np.linspace(0.5, 2, P)},
}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("name", NAMED)
def test_it_is_the_lasso_on_rescaled_columns(name, setting):
    params = dict(setting)
    weights = params.pop("sample_weight", None)
    model = AdaptiveLasso(0.1, initial=name, **params, **TIGHT).fit(X, Y, weights)
    expected = rescaled_fit(
        model.initial_coef_,
        0.1,
        gamma=params.get("gamma", 1.0),
        offset=params.get("weight_offset", 0.0),
        factors=params.get("penalty_weights"),
        fit_intercept=params.get("fit_intercept", True),
        sample_weight=weights,
    )
    assert_is(model, expected)
    assert 0 < np.count_nonzero(model.coef_) < P


def test_with_positive_it_is_the_non_negative_lasso_on_rescaled_columns():
    model = AdaptiveLasso(0.05, initial="ols", positive=True, **TIGHT).fit(X, Y)
    assert_is(model, rescaled_fit(model.initial_coef_, 0.05, positive=True))


def test_with_positive_negative_initial_coefficients_count_as_zero():
    model = AdaptiveLasso(0.01, initial="ridge", positive=True).fit(X, Y)
    np.testing.assert_array_equal(np.isinf(model.penalty_weights_), model.initial_coef_ <= 0)


INITIAL = {
    "lasso_cv": LassoCV(cv=FOLDS, **TIGHT),
    "lasso": Lasso(0.2, **TIGHT),
    "ols": reference.LinearRegression(),
}


@pytest.mark.parametrize("name", INITIAL)
@pytest.mark.parametrize("weights", [None, S], ids=["equal", "weighted"])
def test_initial_estimates_are_what_their_names_say(name, weights):
    model = AdaptiveLasso(0.2, initial=name, cv=FOLDS, **TIGHT).fit(X, Y, weights)
    expected = clone(INITIAL[name]).fit(X, Y, weights).coef_
    np.testing.assert_allclose(model.initial_coef_, expected, atol=1e-7)


def test_the_initial_ridge_is_one_of_its_grid():
    initial = AdaptiveLasso(initial="ridge").fit(X, Y).initial_coef_
    centered, target = X - X.mean(axis=0), Y - Y.mean()
    gram = centered.T @ centered
    strength = (centered.T @ target - gram @ initial) / initial
    np.testing.assert_allclose(strength, strength[0], rtol=1e-6)
    steps = 4 * np.log10(strength[0] / (np.trace(gram) / P))
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-5)


@pytest.mark.parametrize("name", ["lasso_cv", "lasso", "ols"])
def test_the_initial_estimate_respects_penalty_weights(name):
    weights = np.concatenate([[0.0, np.inf], np.full(P - 2, 1e6)])
    initial = AdaptiveLasso(initial=name, penalty_weights=weights).fit(X, Y).initial_coef_
    assert initial[0] != 0
    assert initial[1] == 0


def test_an_excluded_feature_does_not_reach_the_initial_ridge():
    excluded = np.where(np.arange(P) == 0, np.inf, 1.0)
    model = AdaptiveLasso(0.1, initial="ridge", penalty_weights=excluded).fit(X, Y)
    without = AdaptiveLasso(0.1, initial="ridge").fit(X[:, 1:], Y)
    np.testing.assert_allclose(model.initial_coef_[1:], without.initial_coef_)
    np.testing.assert_allclose(model.coef_[1:], without.coef_)
    assert model.coef_[0] == 0


def test_an_unpenalized_feature_stays_unpenalized_whatever_its_initial_estimate():
    free = np.where(np.arange(P) == 5, 0.0, 1.0)
    initial = Constant(np.where(np.arange(P) == 0, 1.0, 0.0))
    model = AdaptiveLasso(0.1, initial=initial, penalty_weights=free, **TIGHT).fit(X, Y)
    assert model.penalty_weights_[5] == 0
    residual = Y - model.predict(X)
    np.testing.assert_allclose(X[:, 5] @ (residual - residual.mean()), 0, atol=1e-8)


def test_what_the_initial_estimate_leaves_out_is_excluded():
    model = AdaptiveLasso(1e-6, initial=Lasso(0.5)).fit(X, Y)
    left_out = model.initial_coef_ == 0
    assert np.any(left_out)
    assert np.all(np.isinf(model.penalty_weights_) == left_out)
    assert not np.any(model.coef_[left_out])


def test_with_an_offset_what_was_left_out_may_return():
    model = AdaptiveLasso(1e-6, initial=Lasso(0.5), weight_offset=0.1).fit(X, Y)
    assert np.any(model.coef_[model.initial_coef_ == 0])


def test_an_initial_estimate_of_zero_gives_zero():
    model = AdaptiveLasso(0.1, initial=Constant(np.zeros(P))).fit(X, Y)
    assert not np.any(model.coef_)
    assert model.intercept_ == pytest.approx(Y.mean())
    assert model.converged_


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_reweighting_repeats_the_weighted_fit(offset):
    params = {"initial": "ols", "weight_offset": offset}
    model = AdaptiveLasso(0.1, n_reweightings=3, **params, **TIGHT).fit(X, Y)
    coef = model.initial_coef_
    for _ in range(3):
        with np.errstate(divide="ignore"):
            weights = 1 / (np.abs(coef) + offset)
        coef = Lasso(0.1, penalty_weights=weights, **TIGHT).fit(X, Y).coef_
    np.testing.assert_allclose(model.coef_, coef, atol=1e-8)
    np.testing.assert_allclose(model.penalty_weights_, weights, rtol=1e-6)


def test_reweighting_from_the_lasso_lowers_the_log_sum_objective():
    def objective(coef):
        residual = Y - Y.mean() - (X - X.mean(axis=0)) @ coef
        return residual @ residual / (2 * N) + 0.1 * np.sum(np.log(np.abs(coef) + 0.2))

    params = {"alpha": 0.1, "initial": "lasso", "weight_offset": 0.2, **TIGHT}
    fits = [AdaptiveLasso(n_reweightings=k, **params).fit(X, Y).coef_ for k in range(1, 6)]
    values = [objective(coef) for coef in fits]
    assert np.all(np.diff(values) <= 1e-10)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("container", [sparse.csc_array, sparse.csr_matrix])
def test_sparse_data_give_the_dense_fit(name, container):
    thin = np.where(np.abs(X) > 0.7, X, 0.0)
    dense, stored = (
        AdaptiveLasso(0.05, initial=name, **TIGHT).fit(form, Y) for form in (thin, container(thin))
    )
    np.testing.assert_allclose(stored.coef_, dense.coef_, atol=1e-6)


@pytest.mark.parametrize("name", NAMED)
def test_float32_is_kept(name):
    model = AdaptiveLasso(0.1, initial=name).fit(X.astype(np.float32), Y)
    assert model.coef_.dtype == np.float32
    np.testing.assert_allclose(
        model.coef_, AdaptiveLasso(0.1, initial=name).fit(X, Y).coef_, atol=1e-3
    )


@pytest.mark.parametrize("name", ["lasso", "ols"])
def test_integer_weights_are_repetitions(name):
    weighted = AdaptiveLasso(0.1, initial=name, **TIGHT).fit(X, Y, S)
    rows = np.repeat(np.arange(N), S.astype(int))
    repeated = AdaptiveLasso(0.1, initial=name, **TIGHT).fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)


@pytest.mark.parametrize("name", NAMED)
def test_more_features_than_rows(name):
    wide = np.random.default_rng(0).standard_normal((30, 80))
    y = 3 * wide[:, 0] - 2 * wide[:, 1]
    model = AdaptiveLasso(0.01, initial=name).fit(wide, y)
    assert model.converged_
    assert np.all(np.abs(model.coef_[:2]) > 0.5)


def test_in_a_pipeline_and_a_grid_search():
    pipeline = make_pipeline(StandardScaler(), AdaptiveLasso(initial=Lasso(0.1)))
    grid = {"adaptivelasso__gamma": [0.5, 1.0], "adaptivelasso__initial__alpha": [0.01, 0.1]}
    search = GridSearchCV(pipeline, grid).fit(X, Y)
    assert search.score(X, Y) > 0.5


def test_the_given_initial_estimator_is_left_unfitted():
    initial = Lasso(0.1)
    AdaptiveLasso(initial=initial).fit(X, Y)
    assert not hasattr(initial, "coef_")


def test_verbose_prints_the_gaps_of_every_fit(capsys):
    AdaptiveLasso(0.1, initial="lasso", verbose=1).fit(X, Y)
    assert capsys.readouterr().out.count("working set      0") == 2


def test_a_missed_tolerance_is_a_warning():
    wide = np.random.default_rng(0).standard_normal((40, 400))
    model = AdaptiveLasso(1e-4, initial=Constant(np.ones(400)), tol=1e-14, max_iter=1)
    with pytest.warns(ConvergenceWarning):
        model.fit(wide, Y[:40])
    assert not model.converged_


# ----------------------------------------------------------------------------------------- refusals


class Constant(RegressorMixin, BaseEstimator):
    """An estimator with given coefficients, whose fit takes no weights."""

    def __init__(self, coef=None):
        self.coef = coef

    def fit(self, X, y):
        if self.coef is not None:
            self.coef_ = self.coef
        return self


@pytest.mark.parametrize("model", [AdaptiveLasso, AdaptiveLassoCV])
@pytest.mark.parametrize(
    "params",
    [
        {"initial": "lassocv"}, {"initial": None}, {"initial": 3}, {"initial": Lasso},
        {"gamma": 0}, {"gamma": -1.0}, {"gamma": np.nan}, {"gamma": "a"},
        {"n_reweightings": 0}, {"n_reweightings": 1.5},
        {"weight_offset": -0.1}, {"weight_offset": np.inf}, {"weight_offset": np.nan},
        {"tol": -1}, {"max_iter": 0}, {"penalty_weights": -np.ones(P)}, {"cv": "a"},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_parameters_are_refused(model, params):
    with pytest.raises((ValueError, TypeError), match=f"{next(iter(params))}|class"):
        model(**params).fit(X, Y)


@pytest.mark.parametrize("model", [AdaptiveLasso(0.1), AdaptiveLassoCV(n_alphas=3)])
@pytest.mark.parametrize(
    "coef",
    [None, np.ones(P - 1), np.full(P, np.nan), np.ones((2, P))],
    ids=["missing", "too few", "NaN", "two targets"],
)
def test_an_initial_estimator_without_usable_coefficients_is_refused(model, coef):
    with pytest.raises(ValueError, match="coef_"):
        clone(model).set_params(initial=Constant(coef)).fit(X, Y)


def test_an_initial_estimator_that_takes_no_weights_is_refused_with_weights():
    with pytest.raises(ValueError, match="sample_weight"):
        AdaptiveLasso(initial=Constant(np.ones(P))).fit(X, Y, S)


@pytest.mark.parametrize("model", [AdaptiveLasso(0.1), AdaptiveLassoCV(n_alphas=3)])
def test_a_failing_fit_changes_nothing(model):
    model = clone(model).fit(X, Y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X[:, :4], np.where(np.arange(N) == 3, np.nan, Y))
    model.set_params(initial=Constant())
    with pytest.raises(ValueError, match="coef_"):
        model.fit(X[:, :4], Y)
    assert vars(model) == {**before, "initial": model.initial}


# -------------------------------------------------------------------------------- cross-validation

GRID = np.geomspace(1.0, 0.01, 8)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("n_reweightings", [1, 2])
def test_cross_validation_is_the_loop_over_folds_and_alphas(name, n_reweightings):
    params = {"initial": name, "n_reweightings": n_reweightings, **TIGHT}
    model = AdaptiveLassoCV(alphas=GRID, cv=FOLDS, **params).fit(X, Y)
    expected = np.empty((GRID.size, len(FOLDS)))
    for k, (train, test) in enumerate(FOLDS):
        # the other folds, numbered within the training rows
        blocks = [np.searchsorted(train, block) for _, block in FOLDS[:k] + FOLDS[k + 1 :]]
        inner = [(np.setdiff1d(np.arange(train.size), block), block) for block in blocks]
        for a, alpha in enumerate(GRID):
            single = AdaptiveLasso(alpha, cv=inner, **params).fit(X[train], Y[train])
            expected[a, k] = np.mean((Y[test] - single.predict(X[test])) ** 2)
    np.testing.assert_allclose(model.mse_path_, expected, rtol=1e-6)
    assert model.alpha_ == GRID[expected.mean(axis=1).argmin()]
    final = AdaptiveLasso(model.alpha_, cv=FOLDS, **params).fit(X, Y)
    np.testing.assert_allclose(model.coef_, final.coef_, atol=1e-8)
    np.testing.assert_allclose(model.initial_coef_, final.initial_coef_, atol=1e-8)
    np.testing.assert_allclose(model.penalty_weights_, final.penalty_weights_, rtol=1e-6)


def test_cross_validation_agrees_with_scikit_learn_on_rescaled_columns():
    model = AdaptiveLassoCV(alphas=GRID, cv=FOLDS, initial=reference.Ridge(2.0), **TIGHT).fit(X, Y)
    for k, (train, test) in enumerate(FOLDS):
        initial = reference.Ridge(2.0).fit(X[train], Y[train]).coef_
        for a, alpha in enumerate(GRID):
            coef, intercept = rescaled_fit(initial, alpha, rows=train)
            mse = np.mean((Y[test] - X[test] @ coef - intercept) ** 2)
            np.testing.assert_allclose(model.mse_path_[a, k], mse, rtol=1e-6)


@pytest.mark.parametrize("name", NAMED)
def test_a_fold_never_sees_the_rows_it_is_judged_on(name):
    _, test = FOLDS[1]
    X2, y2 = X.copy(), Y.copy()
    X2[test], y2[test] = RNG.standard_normal((test.size, P)), 100.0
    paths = [
        AdaptiveLassoCV(alphas=GRID, cv=FOLDS, initial=name, **TIGHT).fit(*data).fold_coef_path_[1]
        for data in ((X, Y), (X2, y2))
    ]
    np.testing.assert_allclose(paths[0].toarray(), paths[1].toarray(), atol=1e-8)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("offset", [0.0, 0.5, 2.0])
def test_the_grid_starts_at_zero_coefficients(name, offset):
    model = AdaptiveLassoCV(initial=name, n_alphas=5, weight_offset=offset, n_reweightings=2)
    assert not np.any(model.fit(X, Y).coef_path_[:, 0])


@pytest.mark.parametrize("name", ["lasso_cv", "ols", "ridge"])
def test_the_grid_is_that_of_the_weighted_lasso(name):
    model = AdaptiveLassoCV(initial=name, n_alphas=5, **TIGHT).fit(X, Y)
    alphas, coefs, _ = lasso_path(
        X, Y, n_alphas=5, fit_intercept=True, penalty_weights=model.penalty_weights_, **TIGHT
    )
    np.testing.assert_allclose(model.alphas_, alphas, rtol=1e-10)
    np.testing.assert_allclose(model.coef_path_, coefs, atol=1e-8)


def test_sample_weights_weight_the_fits_and_the_errors():
    params = {"alphas": GRID, "cv": FOLDS, "initial": "ols", **TIGHT}
    model = AdaptiveLassoCV(**params).fit(X, Y, S)
    train, test = FOLDS[2]
    for a, alpha in enumerate(GRID):
        single = AdaptiveLasso(alpha, initial="ols", **TIGHT).fit(X[train], Y[train], S[train])
        mse = np.average((Y[test] - single.predict(X[test])) ** 2, weights=S[test])
        np.testing.assert_allclose(model.mse_path_[a, 2], mse, rtol=1e-6)


@pytest.mark.parametrize("name", ["lasso_cv", "ridge"])
def test_threads_do_not_change_the_result(name):
    one, two = (AdaptiveLassoCV(initial=name, n_alphas=9, n_jobs=k).fit(X, Y) for k in (1, 2))
    np.testing.assert_array_equal(one.mse_path_, two.mse_path_)
    np.testing.assert_array_equal(one.coef_, two.coef_)


@pytest.mark.parametrize("cv", [2, TimeSeriesSplit(3), KFold(3, shuffle=True, random_state=0)])
def test_initial_estimates_have_folds_under_every_splitter(cv):
    model = AdaptiveLassoCV(cv=cv, n_alphas=5).fit(X, Y)
    assert np.all(np.isfinite(model.mse_path_))


def test_the_inner_folds_keep_groups_together():
    groups = np.arange(N) % 6
    splits = list(GroupKFold(3).split(X, Y, groups))
    model = AdaptiveLassoCV(cv=splits, alphas=GRID, **TIGHT).fit(X, Y)
    train, test = splits[0]
    inner = [(np.intersect1d(a, train), np.intersect1d(b, train)) for a, b in splits[1:]]
    numbers = [(np.searchsorted(train, a), np.searchsorted(train, b)) for a, b in inner]
    single = AdaptiveLasso(GRID[4], cv=numbers, **TIGHT).fit(X[train], Y[train])
    mse = np.mean((Y[test] - single.predict(X[test])) ** 2)
    np.testing.assert_allclose(model.mse_path_[4, 0], mse, rtol=1e-6)


def test_scoring_and_selection():
    params = {"alphas": GRID, "cv": FOLDS, "initial": "ols"}
    seen = set()

    def scorer(estimator, X, y):
        seen.add(type(estimator))
        return r2_score(y, estimator.predict(X))

    named = AdaptiveLassoCV(scoring="r2", **params).fit(X, Y)
    custom = AdaptiveLassoCV(scoring=scorer, **params).fit(X, Y)
    np.testing.assert_allclose(named.scores_, custom.scores_)
    assert seen == {AdaptiveLasso}
    chosen = AdaptiveLassoCV(selection=lambda alphas, scores: 2, **params).fit(X, Y)
    assert chosen.alpha_ == GRID[2]
    assert AdaptiveLassoCV(selection="1se", **params).fit(X, Y).alpha_ >= named.alpha_


@pytest.mark.filterwarnings("ignore::sparsereg.exceptions.PathInterruptedWarning")
@pytest.mark.parametrize(
    ("model", "after"),
    [
        (AdaptiveLasso(), 0), (AdaptiveLasso(), 30), (AdaptiveLasso(), 595),
        (AdaptiveLassoCV(), 30), (AdaptiveLassoCV(), 700),
    ],
    ids=["start", "folds", "path", "all data", "fold"],
)  # fmt: skip
def test_ctrl_c_during_an_initial_estimate_ends_the_fit(monkeypatch, model, after):
    monkeypatch.setattr(look_ahead, "_MAX_ALPHAS", 1)  # each alpha is a solution of its own
    solution, calls = Workspace.solution, []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return solution(*args, **kwargs)

    monkeypatch.setattr(Workspace, "solution", interrupted)
    model = clone(model)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not hasattr(model, "coef_")
