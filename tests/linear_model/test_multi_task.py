"""Multi-task regression: what it minimizes, what its certificate says, what it shares.

References are the definition (proximal gradient on the matrix, optimality conditions feature by
feature) and scikit-learn's classes.
"""

from __future__ import annotations

import signal
import warnings

import numpy as np
import pytest
import sklearn.linear_model as sk
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from sparsereg import (
    ElasticNet,
    Lasso,
    LassoCV,
    MultiTaskElasticNet,
    MultiTaskElasticNetCV,
    MultiTaskLasso,
    MultiTaskLassoCV,
    enet_path,
    lasso_path,
)
from sparsereg.exceptions import ConvergenceWarning, PathInterruptedWarning

N, P, T = 40, 12, 3
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, P)) + RNG.standard_normal(P)
TRUTH = np.zeros((T, P))
TRUTH[:, :4] = RNG.standard_normal((T, 4))
Y = X @ TRUTH.T + RNG.standard_normal((N, T)) + [1.0, -20.0, 3.0]
S = RNG.integers(0, 4, N).astype(float)
V = np.concatenate([[0.0, np.inf, 0.3], np.ones(P - 3)])
TIGHT = 1e-13

WIDE = RNG.standard_normal((20, 60))
WIDE_Y = WIDE[:, :5] @ RNG.standard_normal((5, T)) + 0.1 * RNG.standard_normal((20, T))

SETTINGS = {
    "plain": {},
    "no intercept": {"fit_intercept": False},
    "penalty weights": {"penalty_weights": V},
    "elastic net": {"l1_ratio": 0.3},
    "ridge": {"l1_ratio": 0.0},
    "least squares": {"alpha": 0.0},
    "everything": {"l1_ratio": 0.3, "penalty_weights": V},
}
every_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
every_weight = pytest.mark.parametrize("s", [None, S], ids=["unweighted", "weighted"])


def model(**params):
    return MultiTaskElasticNet(**{"alpha": 0.1, "l1_ratio": 1.0, "tol": TIGHT, **params})


def parameters(fitted, s):
    """Return alpha, l1_ratio, v and s as the definition writes them."""
    v = fitted.penalty_weights
    v = np.ones(fitted.n_features_in_) if v is None else np.asarray(v)
    s = np.ones(N) if s is None else s
    return fitted.alpha, fitted.l1_ratio, v, s * s.size / s.sum()


def objective(fitted, X, Y, s, coef, intercept):
    alpha, l1_ratio, v, s = parameters(fitted, s)
    norms = np.sqrt((coef**2).sum(axis=0))
    used = norms > 0
    size = l1_ratio * norms[used] + (1 - l1_ratio) / 2 * norms[used] ** 2
    residual = Y - X @ coef.T - intercept
    return s @ (residual**2).sum(axis=1) / (2 * len(Y)) + alpha * v[used] @ size


def by_proximal_gradient(fitted, X, Y, s, n_steps=20000):
    """Return the coefficients of accelerated proximal gradient with restarts, to rounding."""
    alpha, l1_ratio, v, s = parameters(fitted, s)
    n = len(Y)
    if fitted.fit_intercept:
        X, Y = X - s @ X / n, Y - s @ Y / n
    step = 1 / np.linalg.eigvalsh((X.T * s) @ X / n)[-1]
    finite = np.where(np.isinf(v), 0.0, v)
    l1, l2 = alpha * l1_ratio * finite, alpha * (1 - l1_ratio) * finite
    l1[np.isinf(v)] = np.inf
    w = z = np.zeros((Y.shape[1], X.shape[1]))
    momentum = 1.0
    for _ in range(n_steps):
        u = z + step * (s[:, None] * (Y - X @ z.T)).T @ X / n
        norms = np.sqrt((u**2).sum(axis=0))
        new = u * np.maximum(norms - step * l1, 0) / np.maximum(norms, 1e-300) / (1 + step * l2)
        if np.vdot(z - new, new - w) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        z = new + (momentum - 1) / following * (new - w)
        if np.array_equal(new, w):
            break
        w, momentum = new, following
    return w


# ---------------------------------------------------------------------------- what is minimized


@every_setting
@every_weight
def test_coefficients_are_those_of_proximal_gradient(setting, s):
    fitted = model(**setting).fit(X, Y, sample_weight=s)
    expected = by_proximal_gradient(fitted, X, Y, s)
    np.testing.assert_allclose(fitted.coef_, expected, atol=1e-6)


@every_setting
@every_weight
def test_optimality_conditions_hold_feature_by_feature(setting, s):
    fitted = model(**setting).fit(X, Y, sample_weight=s)
    alpha, l1_ratio, v, weights = parameters(fitted, s)
    residual = Y - X @ fitted.coef_.T - fitted.intercept_
    if fitted.fit_intercept:
        np.testing.assert_allclose(weights @ residual, 0, atol=1e-10)
    gradient = (weights[:, None] * residual).T @ X / N
    for j in range(P):
        w, g = fitted.coef_[:, j], gradient[:, j]
        if np.isinf(v[j]):
            assert not w.any()
        elif w.any():
            expected = alpha * v[j] * (l1_ratio * w / np.linalg.norm(w) + (1 - l1_ratio) * w)
            np.testing.assert_allclose(g, expected, atol=1e-6)
        else:
            assert np.linalg.norm(g) <= alpha * v[j] * l1_ratio + 1e-12


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("data", [(X, Y), (WIDE, WIDE_Y)], ids=["n > p", "p > n"])
def test_coefficients_are_scikit_learns(data, share, l1_ratio):
    alpha = enet_path(*data, l1_ratio=l1_ratio, n_alphas=1, fit_intercept=True)[0][0] * share
    ours = MultiTaskElasticNet(alpha, l1_ratio=l1_ratio, tol=TIGHT).fit(*data)
    theirs = sk.MultiTaskElasticNet(alpha, l1_ratio=l1_ratio, tol=1e-15, max_iter=10**6).fit(*data)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-6)
    np.testing.assert_array_equal(ours.coef_ == 0, theirs.coef_ == 0)


@pytest.mark.parametrize("data", [X, WIDE], ids=["n > p", "p > n"])
def test_one_task_is_the_lasso(data):
    y = RNG.standard_normal(len(data))
    tasks = MultiTaskLasso(0.05, tol=TIGHT).fit(data, y[:, None])
    single = Lasso(0.05, tol=TIGHT).fit(data, y)
    assert tasks.coef_.shape == (1, data.shape[1])
    assert tasks.intercept_.shape == (1,)
    np.testing.assert_allclose(tasks.coef_[0], single.coef_, atol=1e-6)
    np.testing.assert_allclose(tasks.intercept_[0], single.intercept_, atol=1e-6)


def test_ridge_is_the_closed_form():
    fitted = model(alpha=0.3, l1_ratio=0.0, fit_intercept=False).fit(X, Y)
    expected = np.linalg.solve(X.T @ X / N + 0.3 * np.eye(P), X.T @ Y / N).T
    np.testing.assert_allclose(fitted.coef_, expected, atol=1e-10)


def test_alpha_zero_is_least_squares_and_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = MultiTaskLasso(0.0).fit(X, Y)
    expected = sk.LinearRegression().fit(X, Y)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, atol=1e-10)
    np.testing.assert_allclose(fitted.intercept_, expected.intercept_, atol=1e-10)


def test_rotated_tasks_have_rotated_coefficients():
    Q = np.linalg.qr(RNG.standard_normal((T, T)))[0]
    straight, rotated = model().fit(X, Y), model().fit(X, Y @ Q)
    np.testing.assert_allclose(rotated.coef_, Q.T @ straight.coef_, atol=1e-6)


def test_penalty_weights_are_rescaled_columns():
    v = RNG.uniform(0.5, 3.0, P)
    weighted = model(penalty_weights=v).fit(X, Y)
    scaled = model().fit(X / v, Y)
    np.testing.assert_allclose(weighted.coef_, scaled.coef_ / v, atol=1e-6)


@every_setting
def test_sample_weights_are_repeated_rows(setting):
    rows = np.repeat(np.arange(N), S.astype(int))
    weighted = model(**setting).fit(X, Y, sample_weight=S)
    repeated = model(**setting).fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-5)


@every_setting
@every_weight
@pytest.mark.parametrize("form", [sparse.csc_array, sparse.csr_matrix])
def test_sparse_is_dense(setting, s, form):
    holes = np.where(RNG.random(X.shape) < 0.5, 0.0, X)
    dense = model(**setting).fit(holes, Y, sample_weight=s)
    stored = model(**setting).fit(form(holes), Y, sample_weight=s)
    np.testing.assert_allclose(stored.coef_, dense.coef_, atol=1e-6)
    np.testing.assert_allclose(stored.intercept_, dense.intercept_, atol=1e-5)


def test_float32_stays_float32():
    X32 = X.astype(np.float32)
    narrow, wide = model().fit(X32, Y), model().fit(X32.astype(float), Y)
    assert narrow.coef_.dtype == narrow.intercept_.dtype == np.float32
    np.testing.assert_allclose(narrow.coef_, wide.coef_, atol=1e-6)


def test_memory_order_does_not_matter():
    C, F = model().fit(np.ascontiguousarray(X), Y), model().fit(np.asfortranarray(X), Y)
    np.testing.assert_allclose(C.coef_, F.coef_, atol=1e-7)


def test_data_are_not_modified():
    before = X.copy(), Y.copy()
    model().fit(X, Y)
    np.testing.assert_array_equal(before[0], X)
    np.testing.assert_array_equal(before[1], Y)


# ---------------------------------------------------------------------------------- certificates


@every_setting
@every_weight
@pytest.mark.parametrize("tol", [1e-2, 1e-6])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("max_iter", [1, 1000])
def test_the_gap_bounds_the_error_of_the_objective(setting, s, tol, max_iter):
    optimum = model(**setting).fit(X, Y, sample_weight=s)
    best = objective(optimum, X, Y, s, optimum.coef_, optimum.intercept_)
    loose = model(**{**setting, "tol": tol, "max_iter": max_iter}).fit(X, Y, sample_weight=s)
    reached = objective(loose, X, Y, s, loose.coef_, loose.intercept_)
    assert reached - best <= loose.dual_gap_ + 1e-12
    assert loose.dual_gap_ >= 0


@pytest.mark.parametrize("share", [0.3, 0.03, 0.003])
def test_tight_gaps_are_reached_on_wide_data(share):
    alpha = lasso_path(WIDE, WIDE_Y, n_alphas=1, fit_intercept=True)[0][0] * share
    fitted = MultiTaskLasso(alpha, tol=1e-12).fit(WIDE, WIDE_Y)
    centered = WIDE_Y - WIDE_Y.mean(axis=0)
    assert fitted.converged_
    assert fitted.dual_gap_ <= 1e-12 * np.sum(centered**2) / len(WIDE)


def test_duplicated_columns_are_certified():
    fitted = MultiTaskLasso(0.05, tol=1e-10).fit(np.hstack([X, X]), Y)
    assert fitted.converged_
    np.testing.assert_allclose(
        fitted.coef_[:, :P] + fitted.coef_[:, P:], model(alpha=0.05).fit(X, Y).coef_, atol=1e-4
    )


def test_a_miss_warns_and_says_so():
    with pytest.warns(ConvergenceWarning, match="Objective did not converge"):
        fitted = MultiTaskLasso(1e-4, tol=1e-14, max_iter=1).fit(
            RNG.standard_normal((100, 400)), RNG.standard_normal((100, T))
        )
    assert not fitted.converged_


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
def test_a_support_larger_than_the_largest_gram_matrix_is_solved_in_parts(monkeypatch, l1_ratio):
    from sparsereg.solvers import multi_task

    whole = model(alpha=0.01, l1_ratio=l1_ratio).fit(X, Y)
    monkeypatch.setattr(multi_task, "_MAX_POOL", 5)
    parts = model(alpha=0.01, l1_ratio=l1_ratio, tol=1e-10, max_iter=2000).fit(X, Y)
    assert parts.converged_
    np.testing.assert_allclose(parts.coef_, whole.coef_, atol=1e-4)


def test_a_warm_start_at_the_solution_needs_no_iterations():
    fitted = model(warm_start=True, tol=1e-8).fit(X, Y)
    first = fitted.coef_.copy()
    assert fitted.fit(X, Y).n_iter_ == 0
    np.testing.assert_array_equal(fitted.coef_, first)


def test_verbose_prints_the_gap(capsys):
    model(verbose=1).fit(X, Y)
    assert "duality gap" in capsys.readouterr().out


# ------------------------------------------------------------------------------------ odd data


def test_constant_tasks_have_no_coefficients():
    constant = np.column_stack([Y[:, 0], np.full(N, 0.1)])
    fitted = MultiTaskLasso(0.05, tol=TIGHT).fit(X, constant)
    assert not fitted.coef_[1].any()
    assert fitted.intercept_[1] == pytest.approx(0.1)
    np.testing.assert_allclose(
        fitted.coef_[0], Lasso(0.05, tol=TIGHT).fit(X, Y[:, 0]).coef_, atol=1e-6
    )


def test_constant_columns_have_no_coefficients():
    fitted = MultiTaskLasso(0.05).fit(np.column_stack([X, np.ones(N)]), Y)
    assert not fitted.coef_[:, -1].any()


def test_one_sample_is_its_intercept():
    fitted = MultiTaskLasso().fit(X[:1], Y[:1])
    assert not fitted.coef_.any()
    np.testing.assert_allclose(fitted.intercept_, Y[0])


def test_intercepts_without_intercept_are_zeros():
    np.testing.assert_array_equal(model(fit_intercept=False).fit(X, Y).intercept_, np.zeros(T))


MODELS = [MultiTaskLasso, MultiTaskElasticNet, MultiTaskLassoCV, MultiTaskElasticNetCV]


@pytest.mark.parametrize("Model", MODELS)
def test_one_dimensional_y_is_pointed_to_the_single_task_class(Model):
    name = Model.__name__.removeprefix("MultiTask")
    with pytest.raises(ValueError, match=f"For mono-task outputs, use {name}"):
        Model().fit(X, Y[:, 0])


@pytest.mark.parametrize("Model", MODELS)
@pytest.mark.parametrize(
    ("bad_X", "bad_Y"),
    [
        (X, np.where(np.arange(T) == 1, np.nan, Y)),
        (np.where(np.arange(P) == 1, np.inf, X), Y),
        (X, Y[:-1]),
        (X, Y[:, :, None]),
        (X, Y[:, :0]),
    ],
    ids=["NaN", "inf", "short Y", "3-D Y", "no tasks"],
)
def test_bad_data_are_refused(Model, bad_X, bad_Y):
    with pytest.raises(ValueError):
        Model().fit(bad_X, bad_Y)


@pytest.mark.parametrize("params", [{"alpha": -1}, {"l1_ratio": 2}, {"penalty_weights": [1.0]}])
def test_bad_parameters_are_refused(params):
    with pytest.raises(ValueError):
        model(**params).fit(X, Y)


def test_there_is_no_positive():
    with pytest.raises(TypeError, match="positive"):
        MultiTaskLasso(positive=True)
    with pytest.raises(ValueError, match="positive=True is not allowed for multi-output"):
        lasso_path(X, Y, positive=True)


# ----------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
def test_paths_are_scikit_learns(l1_ratio):
    Xc, Yc = X - X.mean(axis=0), Y - Y.mean(axis=0)
    alphas, coefs, _ = enet_path(
        X, Y, l1_ratio=l1_ratio, n_alphas=12, fit_intercept=True, tol=TIGHT
    )
    theirs = sk.enet_path(Xc, Yc, l1_ratio=l1_ratio, alphas=12, tol=1e-15, max_iter=10**6)
    assert coefs.shape == (T, P, 12)
    np.testing.assert_allclose(alphas, theirs[0])
    np.testing.assert_allclose(coefs, theirs[1], atol=1e-6)


@pytest.mark.parametrize("weights", [None, V], ids=["plain", "penalty weights"])
@every_weight
def test_a_path_is_a_list_of_fits(weights, s):
    alphas, coefs, gaps = lasso_path(
        X, Y, n_alphas=6, fit_intercept=True, penalty_weights=weights, sample_weight=s, tol=TIGHT
    )
    assert np.all(gaps >= 0)
    for k, alpha in enumerate(alphas):
        single = model(alpha=alpha, penalty_weights=weights).fit(X, Y, sample_weight=s)
        np.testing.assert_allclose(coefs[:, :, k], single.coef_, atol=1e-6)


def test_a_path_of_one_column_is_the_path_of_one_task():
    tasks, single = lasso_path(X, Y[:, :1], tol=TIGHT), lasso_path(X, Y[:, 0], tol=TIGHT)
    assert tasks[1].shape == (1, P, 100)
    np.testing.assert_allclose(tasks[1][0], single[1], atol=1e-5)


def test_a_path_may_start_anywhere():
    start = RNG.standard_normal((T, P))
    from_there = lasso_path(X, Y, n_alphas=5, coef_init=start, tol=TIGHT)[1]
    np.testing.assert_allclose(from_there, lasso_path(X, Y, n_alphas=5, tol=TIGHT)[1], atol=1e-6)
    with pytest.raises(ValueError, match=r"shape \(3, 12\)"):
        lasso_path(X, Y, coef_init=start[0])


def press_ctrl_c(monkeypatch, after):
    """Deliver the signal of Ctrl-C in the solve that follows ``after`` complete ones."""
    import sparsereg.solvers.path as module

    solve, calls = module.solve, []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == after + 1:
            signal.raise_signal(signal.SIGINT)
        return solve(*args, **kwargs)

    monkeypatch.setattr(module, "solve", interrupted)


def test_an_interrupted_path_returns_the_finished_part(monkeypatch):
    whole = lasso_path(X, Y, n_alphas=15)
    press_ctrl_c(monkeypatch, after=6)
    with pytest.warns(PathInterruptedWarning, match="6 of 15"):
        part = lasso_path(X, Y, n_alphas=15)
    for finished, full in zip(part, whole):
        np.testing.assert_array_equal(finished, full[..., :6])


# ------------------------------------------------------------------------------ cross-validation


def test_cross_validation_is_scikit_learns():
    ours = MultiTaskElasticNetCV(l1_ratio=[0.5, 0.9], alphas=8, cv=3, tol=TIGHT).fit(X, Y)
    theirs = sk.MultiTaskElasticNetCV(
        l1_ratio=[0.5, 0.9], alphas=8, cv=3, tol=1e-14, max_iter=10**6
    ).fit(X, Y)
    np.testing.assert_allclose(ours.mse_path_, theirs.mse_path_, rtol=1e-6)
    np.testing.assert_allclose(ours.alphas_, theirs.alphas_)
    assert ours.alpha_ == pytest.approx(theirs.alpha_)
    assert ours.l1_ratio_ == theirs.l1_ratio_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-6)


@every_weight
def test_errors_are_those_of_fits_on_the_folds(s):
    folds = list(KFold(3).split(X))
    cv = MultiTaskLassoCV(alphas=[0.5, 0.1], cv=folds, tol=TIGHT).fit(X, Y, sample_weight=s)
    for k, alpha in enumerate([0.5, 0.1]):
        for fold, (train, test) in enumerate(folds):
            weights = None if s is None else s[train]
            part = model(alpha=alpha).fit(X[train], Y[train], sample_weight=weights)
            squares = ((Y[test] - part.predict(X[test])) ** 2).mean(axis=1)
            expected = np.average(squares, weights=None if s is None else s[test])
            assert cv.mse_path_[k, fold] == pytest.approx(expected, rel=1e-6)


def test_the_choice_and_what_is_kept():
    cv = MultiTaskLassoCV(n_alphas=10, cv=3).fit(X, Y)
    assert cv.alpha_ == cv.alphas_[np.argmin(cv.mse_path_.mean(axis=1))]
    assert cv.coef_path_.shape == (T, P, 10)
    assert cv.intercept_path_.shape == (T, 10)
    assert [path.shape for path in cv.fold_coef_path_] == [(T * P, 10)] * 3
    index = list(cv.alphas_).index(cv.alpha_)
    np.testing.assert_array_equal(cv.coef_, cv.coef_path_[:, :, index])
    np.testing.assert_array_equal(cv.intercept_, cv.intercept_path_[:, index])
    assert MultiTaskLassoCV(n_alphas=10, cv=3, selection="1se").fit(X, Y).alpha_ >= cv.alpha_


def test_threads_do_not_change_the_result():
    one, two = (MultiTaskLassoCV(n_alphas=10, cv=3, n_jobs=n).fit(X, Y) for n in (1, 2))
    np.testing.assert_array_equal(one.mse_path_, two.mse_path_)
    np.testing.assert_array_equal(one.coef_path_, two.coef_path_)


@pytest.mark.parametrize("scoring", ["neg_mean_squared_error", lambda m, X, Y: m.score(X, Y)])
def test_scorers_see_all_tasks(scoring):
    cv = MultiTaskLassoCV(n_alphas=6, cv=3, scoring=scoring).fit(X, Y)
    assert np.all(np.isfinite(cv.scores_))
    if isinstance(scoring, str):
        np.testing.assert_allclose(cv.scores_, -cv.mse_path_)


def test_one_task_chooses_what_the_lasso_chooses():
    tasks = MultiTaskLassoCV(cv=3, tol=TIGHT).fit(X, Y[:, :1])
    single = LassoCV(cv=3, tol=TIGHT).fit(X, Y[:, 0])
    assert tasks.alpha_ == pytest.approx(single.alpha_)
    np.testing.assert_allclose(tasks.mse_path_, single.mse_path_, rtol=1e-5)


def test_an_interrupted_cross_validation_keeps_the_finished_alphas(monkeypatch):
    whole = MultiTaskLassoCV(cv=3, n_alphas=10).fit(X, Y)
    press_ctrl_c(monkeypatch, after=10 + 7)
    with pytest.warns(PathInterruptedWarning, match="7 of 10 alphas that 2 of 3 folds"):
        part = MultiTaskLassoCV(cv=3, n_alphas=10).fit(X, Y)
    np.testing.assert_array_equal(part.mse_path_[:, :2], whole.mse_path_[:7, :2])
    assert part.coef_path_.shape == (T, P, 7)
    assert [path.shape for path in part.fold_coef_path_] == [(T * P, 7), (T * P, 7), (T * P, 0)]


def test_grid_search_takes_the_estimator():
    search = GridSearchCV(MultiTaskElasticNet(), {"alpha": [0.1, 1.0], "l1_ratio": [0.5, 1.0]})
    assert search.fit(X, Y).predict(X).shape == Y.shape


def test_elastic_net_still_fits_columns_one_by_one():
    one = ElasticNet(0.1, tol=TIGHT)
    together, apart = clone(one).fit(X, Y), [clone(one).fit(X, y) for y in Y.T]
    np.testing.assert_allclose(together.coef_, [m.coef_ for m in apart], atol=1e-6)
    assert together.dual_gap_.shape == (T,)
