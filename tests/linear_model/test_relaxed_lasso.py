"""The relaxed lasso is a blend of the lasso and of least squares on what the lasso selects."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.linear_model as reference
from scipy import sparse
from scipy.optimize import nnls
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparsereg import Lasso, LassoCV, RelaxedLasso, RelaxedLassoCV
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.linear_model import relaxed_lasso

N, P = 60, 15
RNG = np.random.default_rng(4)
X = RNG.standard_normal((N, P)) + 0.5 * RNG.standard_normal((N, 1))
Y = 3 + 2 * X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + RNG.standard_normal(N)
S = RNG.integers(0, 4, N).astype(float)
V = np.concatenate([[1.0, 0.5, np.inf, 0.0], np.ones(P - 4)])
TIGHT = {"tol": 1e-12}
GAMMAS = (0.0, 0.3, 1.0)


def least_squares(support, X, y, weights=None, intercept=True):
    """Coefficients and intercept of least squares on the columns of the support."""
    root = np.sqrt(np.ones(len(y)) if weights is None else weights)
    A = np.column_stack([X[:, support], np.full(len(y), float(intercept))])
    solution = np.linalg.lstsq(A * root[:, None], y * root)[0]
    coef = np.zeros(X.shape[1])
    coef[support] = solution[:-1]
    return coef, solution[-1] * intercept


def definition(alpha, gamma, X=X, y=Y, weights=None, intercept=True):
    """Hastie, Tibshirani and Tibshirani, equation 4, on scikit-learn's lasso."""
    lasso = reference.Lasso(alpha, tol=1e-14, max_iter=10**6, fit_intercept=intercept)
    lasso.fit(X, y, weights)
    coef, b = least_squares(lasso.coef_ != 0, X, y, weights, intercept)
    return gamma * lasso.coef_ + (1 - gamma) * coef, gamma * lasso.intercept_ + (1 - gamma) * b


def assert_is(model, expected, tol=1e-7):
    coef, intercept = expected
    np.testing.assert_allclose(model.coef_, coef, atol=tol)
    np.testing.assert_allclose(model.intercept_, intercept, atol=tol)


# ------------------------------------------------------------------------------------------ one fit


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", [0.02, 0.3, 100.0])
@pytest.mark.parametrize("weights", [None, S], ids=["equal", "weighted"])
@pytest.mark.parametrize("intercept", [True, False])
def test_it_is_the_blend_of_lasso_and_least_squares(gamma, alpha, weights, intercept):
    model = RelaxedLasso(alpha, gamma=gamma, fit_intercept=intercept, **TIGHT).fit(X, Y, weights)
    assert_is(model, definition(alpha, gamma, weights=weights, intercept=intercept))


def test_gamma_one_is_the_lasso():
    lasso, relaxed = (m.fit(X, Y) for m in (Lasso(0.1), RelaxedLasso(0.1, gamma=1.0)))
    np.testing.assert_array_equal(relaxed.coef_, lasso.coef_)
    assert relaxed.intercept_ == lasso.intercept_
    assert relaxed.dual_gap_ == lasso.dual_gap_


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_active_set_includes_the_unpenalized_features(gamma):
    lasso = Lasso(0.2, penalty_weights=V, **TIGHT).fit(X, Y)
    support = (lasso.coef_ != 0) | (V == 0)
    coef, intercept = least_squares(support, X, Y)
    model = RelaxedLasso(0.2, gamma=gamma, penalty_weights=V, **TIGHT).fit(X, Y)
    expected = gamma * lasso.coef_ + (1 - gamma) * coef
    assert_is(model, (expected, gamma * lasso.intercept_ + (1 - gamma) * intercept))
    assert model.coef_[2] == 0


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_with_positive_the_least_squares_are_non_negative(alpha):
    x = np.column_stack([X[:, 0], X[:, 0] + 0.1 * X[:, 1], -X[:, 1], X[:, 3:]])
    lasso = Lasso(alpha, positive=True, **TIGHT).fit(x, Y)
    support = lasso.coef_ != 0
    expected = np.zeros(P)
    expected[support] = nnls((x - x.mean(axis=0))[:, support], Y - Y.mean())[0]
    model = RelaxedLasso(alpha, positive=True, **TIGHT).fit(x, Y)
    np.testing.assert_allclose(model.coef_, expected, atol=1e-7)


def test_non_negative_least_squares_where_plain_ones_are_negative():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 1)) + 0.3 * rng.standard_normal((40, 4))
    y = x @ [1.0, 1.0, 1.0, 0.0] + 0.5 * rng.standard_normal(40)
    negative = []
    for alpha in np.geomspace(1, 1e-3, 30):
        lasso = Lasso(alpha, positive=True, **TIGHT).fit(x, y)
        support = lasso.coef_ != 0
        negative.append(np.any(least_squares(support, x, y)[0] < -1e-3))
        expected = np.zeros(4)
        expected[support] = nnls((x - x.mean(axis=0))[:, support], y - y.mean())[0]
        model = RelaxedLasso(alpha, positive=True, **TIGHT).fit(x, y)
        np.testing.assert_allclose(model.coef_, expected, atol=1e-7)
    assert any(negative)


@pytest.mark.filterwarnings("ignore:Objective did not converge")
@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-5])
def test_nearly_dependent_selected_columns_are_fitted_as_well_as_possible(scale):
    x = np.column_stack([X[:, 0], X[:, 0] + scale * X[:, 1], X[:, 2:]])
    free = np.where(np.arange(P) < 2, 0.0, 1.0)
    model = RelaxedLasso(0.2, penalty_weights=free, **TIGHT).fit(x, Y)
    support = model.coef_ != 0
    A = np.column_stack([x[:, support], np.ones(N)])
    best = Y - A @ np.linalg.lstsq(A, Y, rcond=1e-13)[0]
    residual = Y - model.predict(x)
    assert np.all(np.isfinite(model.coef_))
    assert residual @ residual == pytest.approx(best @ best, rel=1e-6)


@pytest.mark.filterwarnings("ignore:Objective did not converge")
def test_ill_conditioned_selected_columns_get_accurate_coefficients():
    x = np.column_stack([X[:, 0], X[:, 0] + 1e-3 * X[:, 1], X[:, 2:]])
    free = np.where(np.arange(P) < 2, 0.0, 1.0)
    model = RelaxedLasso(0.2, penalty_weights=free, **TIGHT).fit(x, Y)
    coef, _ = least_squares(model.coef_ != 0, x, Y)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("container", [sparse.csc_array, sparse.csr_matrix])
def test_sparse_data_give_the_dense_fit(container):
    thin = np.where(np.abs(X) > 0.7, X, 0.0)
    dense, stored = (RelaxedLasso(0.1, **TIGHT).fit(form, Y) for form in (thin, container(thin)))
    np.testing.assert_allclose(stored.coef_, dense.coef_, atol=1e-8)


def test_float32_is_kept():
    model = RelaxedLasso(0.2).fit(X.astype(np.float32), Y)
    assert model.coef_.dtype == np.float32
    np.testing.assert_allclose(model.coef_, definition(0.2, 0.0)[0], atol=1e-4)


def test_integer_weights_are_repetitions():
    weighted = RelaxedLasso(0.1, gamma=0.4, **TIGHT).fit(X, Y, S)
    rows = np.repeat(np.arange(N), S.astype(int))
    repeated = RelaxedLasso(0.1, gamma=0.4, **TIGHT).fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-8)


def test_alpha_zero_is_least_squares():
    model = RelaxedLasso(0.0).fit(X, Y)
    assert_is(model, least_squares(np.ones(P, dtype=bool), X, Y))


def test_in_a_pipeline_and_a_grid_search():
    grid = {"relaxedlasso__gamma": [0.0, 1.0], "relaxedlasso__alpha": [0.01, 0.1]}
    search = GridSearchCV(make_pipeline(StandardScaler(), RelaxedLasso()), grid).fit(X, Y)
    assert search.score(X, Y) > 0.5


def test_a_missed_tolerance_is_a_warning():
    wide = np.random.default_rng(0).standard_normal((40, 400))
    with pytest.warns(ConvergenceWarning):
        model = RelaxedLasso(1e-4, tol=1e-14, max_iter=1).fit(wide, Y[:40])
    assert not model.converged_


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": -1}, {"alpha": np.nan}, {"gamma": -0.1}, {"gamma": 1.1}, {"gamma": np.nan},
        {"gamma": "a"}, {"tol": -1}, {"max_iter": 0}, {"penalty_weights": -np.ones(P)},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_parameters_are_refused(params):
    with pytest.raises((ValueError, TypeError), match=next(iter(params))):
        RelaxedLasso(**params).fit(X, Y)


@pytest.mark.parametrize(
    "gammas", [[], 0.5, [0.5, 2.0], [-0.1], [np.nan], ["a"], [None], [[0.5, 0.6]], None], ids=str
)
def test_wrong_gammas_are_refused(gammas):
    with pytest.raises((ValueError, TypeError), match="gammas"):
        RelaxedLassoCV(gammas=gammas, n_alphas=3).fit(X, Y)


@pytest.mark.parametrize("model", [RelaxedLasso(0.1), RelaxedLassoCV(n_alphas=3)])
def test_a_failing_fit_changes_nothing(model):
    model = clone(model).fit(X, Y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="y contains"):
        model.fit(X[:, :4], np.where(np.arange(N) == 3, np.nan, Y))
    assert vars(model) == before


# -------------------------------------------------------------------------------- cross-validation

FOLDS = list(KFold(4).split(X))
GRID = np.geomspace(1.0, 0.01, 8)


def hand_written_table(weights=None):
    table = np.empty((len(GAMMAS), GRID.size, len(FOLDS)))
    for g, gamma in enumerate(sorted(GAMMAS, reverse=True)):
        for a, alpha in enumerate(GRID):
            for k, (train, test) in enumerate(FOLDS):
                part = None if weights is None else weights[train]
                coef, b = definition(alpha, gamma, X[train], Y[train], part)
                error = (Y[test] - X[test] @ coef - b) ** 2
                table[g, a, k] = np.average(
                    error, weights=None if weights is None else weights[test]
                )
    return table


@pytest.mark.parametrize("weights", [None, S], ids=["equal", "weighted"])
def test_cross_validation_is_the_loop_over_folds_alphas_and_gammas(weights):
    model = RelaxedLassoCV(gammas=GAMMAS, alphas=GRID, cv=FOLDS, **TIGHT).fit(X, Y, weights)
    expected = hand_written_table(weights)
    np.testing.assert_allclose(model.mse_path_, expected, rtol=1e-7)
    np.testing.assert_array_equal(model.scores_, -model.mse_path_)
    g, a = np.unravel_index(expected.mean(axis=2).argmin(), expected.shape[:2])
    assert (model.gamma_, model.alpha_) == (model.gammas_[g], GRID[a])
    assert_is(model, definition(model.alpha_, model.gamma_, weights=weights))


def test_one_standard_error_takes_the_largest_alpha_then_gamma():
    model = RelaxedLassoCV(alphas=GRID, cv=FOLDS, selection="1se").fit(X, Y)
    means = model.scores_.mean(axis=2)
    best = np.unravel_index(means.argmax(), means.shape)
    error = model.scores_[best].std(ddof=1) / np.sqrt(len(FOLDS))
    good = [
        (model.alphas_[a], model.gammas_[g])
        for g, a in zip(*np.nonzero(means >= means[best] - error))
    ]
    assert (model.alpha_, model.gamma_) == max(good)


def test_gamma_one_alone_is_lasso_cv():
    relaxed = RelaxedLassoCV(gammas=[1.0], cv=FOLDS, n_alphas=20, tol=1e-12).fit(X, Y)
    plain = LassoCV(cv=FOLDS, n_alphas=20, tol=1e-12).fit(X, Y)
    np.testing.assert_allclose(relaxed.mse_path_[0], plain.mse_path_, rtol=1e-7)
    np.testing.assert_allclose(relaxed.coef_path_, plain.coef_path_, rtol=1e-7, atol=1e-9)
    assert relaxed.alpha_ == plain.alpha_


@pytest.mark.parametrize("positive", [False, True])
def test_paths_equal_single_fits(positive):
    params = {"penalty_weights": V, "positive": positive, **TIGHT}
    model = RelaxedLassoCV(gammas=GAMMAS, alphas=GRID, cv=FOLDS, **params).fit(X, Y)
    single = {"gamma": model.gamma_, **params}
    train, _ = FOLDS[1]
    for a, alpha in enumerate(GRID):
        whole = RelaxedLasso(alpha, **single).fit(X, Y)
        np.testing.assert_allclose(model.coef_path_[:, a], whole.coef_, atol=1e-7)
        np.testing.assert_allclose(model.intercept_path_[a], whole.intercept_, atol=1e-7)
        part = RelaxedLasso(alpha, **single).fit(X[train], Y[train])
        stored = model.fold_coef_path_[1].toarray()[:, a]
        np.testing.assert_allclose(stored, part.coef_, atol=1e-7)


def test_a_fold_never_sees_the_rows_it_is_judged_on():
    _, test = FOLDS[1]
    x, y = X.copy(), Y.copy()
    x[test], y[test] = RNG.standard_normal((test.size, P)), 100.0
    params = {"gammas": [0.0], "alphas": GRID, "cv": FOLDS, **TIGHT}
    one, two = (RelaxedLassoCV(**params).fit(*d).fold_coef_path_[1] for d in ((X, Y), (x, y)))
    np.testing.assert_allclose(one.toarray(), two.toarray(), atol=1e-8)


def test_each_active_set_is_fitted_once(monkeypatch):
    calls = []
    inner = relaxed_lasso._least_squares
    monkeypatch.setattr(
        relaxed_lasso, "_least_squares", lambda *args: calls.append(args[1]) or inner(*args)
    )
    model = RelaxedLassoCV(cv=FOLDS, n_alphas=50).fit(X, Y)
    paths = [*(path.toarray() for path in model.fold_coef_path_), model.coef_path_]
    distinct = [len({tuple(np.flatnonzero(column)) for column in path.T}) for path in paths]
    assert len(calls) == sum(distinct) < 5 * 50


def test_threads_do_not_change_the_result():
    one, two = (RelaxedLassoCV(n_alphas=9, n_jobs=k).fit(X, Y) for k in (1, 2))
    np.testing.assert_array_equal(one.mse_path_, two.mse_path_)
    np.testing.assert_array_equal(one.coef_, two.coef_)


def test_sparse_data_give_the_dense_choice():
    thin = np.where(np.abs(X) > 0.7, X, 0.0)
    dense, stored = (
        RelaxedLassoCV(n_alphas=20, **TIGHT).fit(x, Y) for x in (thin, sparse.csr_array(thin))
    )
    np.testing.assert_allclose(stored.mse_path_, dense.mse_path_, rtol=1e-6)
    assert stored.gamma_ == dense.gamma_


def test_scoring_and_selection():
    seen = set()

    def scorer(estimator, X, y):
        seen.add(type(estimator))
        return r2_score(y, estimator.predict(X))

    def second_alpha_last_gamma(alphas, scores):
        assert alphas.shape == (GRID.size * 3,)
        assert scores.shape == (GRID.size * 3, len(FOLDS))
        return 1 * 3 + 2

    params = {"gammas": GAMMAS, "alphas": GRID, "cv": FOLDS}
    named = RelaxedLassoCV(scoring="r2", **params).fit(X, Y)
    custom = RelaxedLassoCV(scoring=scorer, **params).fit(X, Y)
    np.testing.assert_allclose(named.scores_, custom.scores_)
    assert seen == {RelaxedLasso}
    chosen = RelaxedLassoCV(selection=second_alpha_last_gamma, **params).fit(X, Y)
    assert (chosen.alpha_, chosen.gamma_) == (GRID[1], 0.0)


def test_an_interrupted_cross_validation_keeps_what_is_finished(monkeypatch):
    model = RelaxedLassoCV(gammas=GAMMAS, cv=FOLDS, n_alphas=10)
    whole = model.fit(X, Y).mse_path_
    inner, calls = relaxed_lasso.solve, []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == 4 * len(FOLDS) + 2:
            raise KeyboardInterrupt
        return inner(*args, **kwargs)

    monkeypatch.setattr(relaxed_lasso, "solve", interrupted)
    with pytest.warns(PathInterruptedWarning, match="7 of 10 alphas that 2 of 4 folds"):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.mse_path_[:, :, :2], whole[:, :7, :2])
