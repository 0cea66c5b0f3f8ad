"""Paths and cross-validation: what they equal, what they keep, and how they are interrupted."""

from __future__ import annotations

import pickle
import signal
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)

from sparsereg import ElasticNet, ElasticNetCV, Lasso, LassoCV, enet_path, lasso_path
from sparsereg.exceptions import PathInterruptedWarning

N, P = 40, 12
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + RNG.standard_normal(N)
S = RNG.integers(1, 4, N).astype(float)
V = np.concatenate([[0.0, np.inf, 0.3], np.ones(P - 3)])

TIGHT = {"tol": 1e-12}
SETTINGS = {
    "plain": {},
    "intercept": {"fit_intercept": True},
    "positive": {"positive": True, "fit_intercept": True},
    "penalty weights": {"penalty_weights": V, "fit_intercept": True},
    "sample weights": {"sample_weight": S, "fit_intercept": True},
    "elastic net": {"l1_ratio": 0.3, "fit_intercept": True},
    "all": {
        "l1_ratio": 0.3, "fit_intercept": True, "positive": True, "sample_weight": S,
        "penalty_weights": np.where(V == 0, 1.0, V),
    },
}  # fmt: skip
every_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())


def path(setting, X=X, **changes):
    return enet_path(X, Y, **{"l1_ratio": 1.0, "n_alphas": 15, **TIGHT, **setting, **changes})


def single_fit(setting, alpha):
    params = {"l1_ratio": 1.0, "fit_intercept": False, **TIGHT, **setting}
    weights = params.pop("sample_weight", None)
    return ElasticNet(alpha=alpha, **params).fit(X, Y, sample_weight=weights)


# -------------------------------------------------------------------------------------------- paths


@every_setting
def test_a_path_equals_independent_fits(setting):
    alphas, coefs, _ = path(setting)
    for alpha, coef in zip(alphas, coefs.T):
        np.testing.assert_allclose(coef, single_fit(setting, alpha).coef_, atol=1e-8)


@every_setting
def test_a_path_on_sparse_data_equals_the_dense_path(setting):
    dense, stored = path(setting), path(setting, X=sparse.csr_array(X))
    np.testing.assert_allclose(stored[1], dense[1], atol=1e-8)


@every_setting
def test_alphas_decrease(setting):
    assert np.all(np.diff(path(setting)[0]) < 0)


@every_setting
def test_the_path_starts_at_zero(setting):
    coefs = path(setting)[1]
    penalized = setting.get("penalty_weights", np.ones(P)) > 0
    assert not np.any(coefs[penalized, 0])


@every_setting
def test_the_path_starts_at_the_smallest_such_alpha(setting):
    largest = path(setting)[0][0]
    penalized = setting.get("penalty_weights", np.ones(P)) > 0
    assert np.any(single_fit(setting, 0.999 * largest).coef_[penalized])


@every_setting
def test_the_grid_is_geometric_down_to_eps(setting):
    alphas = path(setting, eps=1e-2)[0]
    np.testing.assert_allclose(alphas, np.geomspace(alphas[0], alphas[0] * 1e-2, 15))


@every_setting
def test_gaps_of_a_path_are_within_tolerance(setting):
    _, _, gaps = path(setting, tol=1e-6)
    s = setting.get("sample_weight", np.ones(N))
    mean = np.average(Y, weights=s) if setting.get("fit_intercept") else 0.0
    assert np.all((gaps >= 0) & (gaps <= 1e-6 * np.average((Y - mean) ** 2, weights=s)))


def test_given_alphas_are_used_in_decreasing_order():
    np.testing.assert_array_equal(path({}, alphas=[0.1, 1.0, 0.3])[0], [1.0, 0.3, 0.1])


def test_repeated_alphas_are_kept():
    _, coefs, _ = path({}, alphas=[0.1, 0.1])
    np.testing.assert_array_equal(coefs[:, 0], coefs[:, 1])


def test_alphas_may_be_their_number():
    np.testing.assert_array_equal(path({}, alphas=7)[0], path({}, n_alphas=7)[0])


def test_one_alpha_is_a_path():
    assert path({}, alphas=[0.1])[1].shape == (P, 1)


def test_alphas_are_not_modified():
    alphas = np.array([0.1, 1.0])
    path({}, alphas=alphas)
    np.testing.assert_array_equal(alphas, [0.1, 1.0])


def test_a_path_may_end_at_zero():
    _, coefs, _ = path({"fit_intercept": True}, alphas=[1.0, 0.0])
    A = np.column_stack([X, np.ones(N)])
    np.testing.assert_allclose(coefs[:, 1], np.linalg.lstsq(A, Y)[0][:-1], atol=1e-7)


def test_iterations_are_returned_on_request():
    result = path({}, return_n_iter=True)
    assert [int(count) for count in result[3]] == result[3]
    assert len(result[3]) == 15


def test_a_path_keeps_float32():
    assert path({}, X=X.astype(np.float32))[1].dtype == np.float32


def test_starting_at_the_solution_needs_no_iterations():
    _, coefs, _ = path({}, alphas=[0.1])
    start = {"coef_init": coefs[:, 0], "alphas": [0.1], "return_n_iter": True, "tol": 1e-8}
    assert path({}, **start)[3] == [0]


def test_the_starting_point_is_not_modified():
    start = np.ones(P)
    path({}, coef_init=start)
    np.testing.assert_array_equal(start, 1.0)


def test_the_starting_point_does_not_change_the_path():
    np.testing.assert_allclose(path({}, coef_init=10 * np.ones(P))[1], path({})[1], atol=1e-7)


def test_lasso_path_is_the_path_of_l1_ratio_one():
    for a, b in zip(lasso_path(X, Y, n_alphas=9), enet_path(X, Y, l1_ratio=1.0, n_alphas=9)):
        np.testing.assert_array_equal(a, b)


def test_positive_with_no_positive_correlation_is_a_path_of_zeros():
    x = np.abs(X)
    assert not np.any(lasso_path(x, -x.sum(axis=1), positive=True)[1])


def test_ridge_paths_need_alphas():
    with pytest.raises(ValueError, match="alphas"):
        enet_path(X, Y, l1_ratio=0)


def test_ridge_paths_agree_with_the_closed_form():
    alphas, coefs, _ = enet_path(X, Y, l1_ratio=0, alphas=[1.0, 0.1], **TIGHT)
    for alpha, coef in zip(alphas, coefs.T):
        expected = np.linalg.solve(X.T @ X / N + alpha * np.eye(P), X.T @ Y / N)
        np.testing.assert_allclose(coef, expected, atol=1e-5)


# ------------------------------------------------------------------------------------------- Ctrl-C


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
    whole = path({})
    press_ctrl_c(monkeypatch, after=6)
    with pytest.warns(PathInterruptedWarning):
        part = path({})
    for finished, full in zip(part, whole):
        np.testing.assert_array_equal(finished, full[..., :6])


def test_an_interrupted_path_says_how_much_is_finished(monkeypatch):
    press_ctrl_c(monkeypatch, after=6)
    with pytest.warns(PathInterruptedWarning, match="6 of 15 alphas"):
        path({})


def test_an_interrupted_path_with_a_progress_bar_returns_the_finished_part(monkeypatch, capsys):
    press_ctrl_c(monkeypatch, after=6)
    with pytest.warns(PathInterruptedWarning):
        assert len(path({}, verbose=1)[0]) == 6


def test_a_path_interrupted_before_its_first_alpha_is_interrupted(monkeypatch):
    press_ctrl_c(monkeypatch, after=0)
    with pytest.raises(KeyboardInterrupt):
        path({})


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupted_cross_validation_keeps_the_alphas_that_every_fold_finished(
    monkeypatch, n_jobs
):
    model = LassoCV(cv=3, n_alphas=10, n_jobs=n_jobs)
    whole = model.fit(X, Y).mse_path_
    if n_jobs == 1:
        press_ctrl_c(monkeypatch, after=3 * 4 + 1)
    else:
        raise_in_solve(monkeypatch, after=3 * 4 + 1)
    with pytest.warns(PathInterruptedWarning):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.mse_path_, whole[:4])


def raise_in_solve(monkeypatch, after):
    """Raise what Ctrl-C raises: signals reach the main thread only."""
    import sparsereg.solvers.path as module

    solve, calls = module.solve, []

    def interrupted(*args, **kwargs):
        calls.append(None)
        if len(calls) == after + 1:
            raise KeyboardInterrupt
        return solve(*args, **kwargs)

    monkeypatch.setattr(module, "solve", interrupted)


INTERRUPTED = {"coef_path_": 1, "intercept_path_": 0, "alphas_": 0, "mse_path_": 0, "scores_": 0}


@pytest.mark.parametrize(("name", "axis"), INTERRUPTED.items(), ids=INTERRUPTED.keys())
def test_an_interrupted_cross_validation_has_tables_of_one_length(monkeypatch, name, axis):
    press_ctrl_c(monkeypatch, after=3 * 4 + 1)
    with pytest.warns(PathInterruptedWarning):
        model = LassoCV(cv=3, n_alphas=10).fit(X, Y)
    assert np.shape(getattr(model, name))[axis] == 4


def test_an_interrupted_cross_validation_chooses_among_the_finished_alphas(monkeypatch):
    press_ctrl_c(monkeypatch, after=3 * 4 + 1)
    with pytest.warns(PathInterruptedWarning):
        model = LassoCV(cv=3, n_alphas=10).fit(X, Y)
    best = model.alphas_[np.argmin(model.mse_path_.mean(axis=1))]
    assert model.alpha_ == best
    assert np.all(np.isfinite(model.predict(X)))


def test_a_cross_validation_interrupted_at_once_leaves_the_estimator_as_it_was(monkeypatch):
    model = LassoCV(cv=3, n_alphas=10).fit(X, Y)
    before = pickle.dumps(vars(model))
    press_ctrl_c(monkeypatch, after=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :3], Y)
    assert pickle.dumps(vars(model)) == before


def test_interrupting_the_path_on_all_data_after_the_choice_keeps_the_choice(monkeypatch):
    whole = LassoCV(cv=3, n_alphas=10, selection=lambda alphas, scores: 4).fit(X, Y)
    press_ctrl_c(monkeypatch, after=3 * 10 + 7)
    with pytest.warns(PathInterruptedWarning):
        part = LassoCV(cv=3, n_alphas=10, selection=lambda alphas, scores: 4).fit(X, Y)
    np.testing.assert_array_equal(part.coef_, whole.coef_)
    np.testing.assert_array_equal(part.coef_path_, whole.coef_path_[:, :7])


def test_interrupting_the_path_on_all_data_before_the_choice_is_an_interruption(monkeypatch):
    press_ctrl_c(monkeypatch, after=3 * 10 + 2)
    with pytest.raises(KeyboardInterrupt):
        LassoCV(cv=3, n_alphas=10, selection=lambda alphas, scores: 4).fit(X, Y)


def test_interrupting_the_second_l1_ratio_keeps_the_first(monkeypatch):
    press_ctrl_c(monkeypatch, after=3 * 10 + 3 * 6 + 1)
    with pytest.warns(PathInterruptedWarning):
        model = ElasticNetCV(l1_ratio=[0.5, 1.0], cv=3, n_alphas=10).fit(X, Y)
    assert np.all(np.isfinite(model.mse_path_))
    assert model.predict(X).shape == (N,)


def test_an_interruption_gives_blas_its_threads_back(monkeypatch):
    from threadpoolctl import threadpool_info

    before = [entry["num_threads"] for entry in threadpool_info()]
    press_ctrl_c(monkeypatch, after=2)
    with pytest.warns(PathInterruptedWarning):
        path({})
    assert [entry["num_threads"] for entry in threadpool_info()] == before


# ------------------------------------------------------------------------- what cross-validation is


SPLITTERS = {
    "KFold": KFold(4),
    "shuffled": KFold(3, shuffle=True, random_state=0),
    "ShuffleSplit": ShuffleSplit(4, test_size=0.3, random_state=0),
    "TimeSeriesSplit": TimeSeriesSplit(4),
    "LeaveOneOut": LeaveOneOut(),
    "repeated": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
}
every_splitter = pytest.mark.parametrize("cv", SPLITTERS.values(), ids=SPLITTERS.keys())


def errors_by_hand(alphas, splits, sample_weight=None, data=X, **params):
    """Return the test errors of Lasso on every fold, of shape (n_alphas, n_folds)."""
    table = []
    for train, test in splits:
        weights = None if sample_weight is None else sample_weight[train]
        test_weights = None if sample_weight is None else sample_weight[test]
        errors = []
        for alpha in alphas:
            model = ElasticNet(alpha=alpha, **{"l1_ratio": 1.0, **params}, **TIGHT)
            model.fit(data[train], Y[train], sample_weight=weights)
            squares = (Y[test] - model.predict(data[test])) ** 2
            errors.append(np.average(squares, weights=test_weights))
        table.append(errors)
    return np.array(table).T


@every_splitter
def test_errors_equal_a_loop_over_folds(cv):
    model = LassoCV(cv=cv, n_alphas=6, **TIGHT).fit(X, Y)
    by_hand = errors_by_hand(model.alphas_, cv.split(X))
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-6, atol=1e-10)


@every_splitter
def test_weighted_errors_equal_a_loop_over_folds(cv):
    model = LassoCV(cv=cv, n_alphas=6, **TIGHT).fit(X, Y, sample_weight=S)
    by_hand = errors_by_hand(model.alphas_, cv.split(X), sample_weight=S)
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    "params",
    [
        {"positive": True},
        {"penalty_weights": V},
        {"fit_intercept": False},
        {"positive": True, "penalty_weights": np.where(V == 0, 1.0, V)},
    ],
    ids=["positive", "penalty weights", "no intercept", "positive, penalty weights"],
)
def test_errors_equal_a_loop_over_folds_with_constraints(params):
    model = LassoCV(cv=KFold(4), n_alphas=6, **TIGHT, **params).fit(X, Y)
    by_hand = errors_by_hand(model.alphas_, KFold(4).split(X), **params)
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-6, atol=1e-10)


def test_errors_on_sparse_data_equal_a_loop_over_folds():
    stored = sparse.csr_array(np.where(np.abs(X) > 0.7, X, 0))
    model = LassoCV(cv=KFold(4), n_alphas=6, **TIGHT).fit(stored, Y)
    by_hand = errors_by_hand(model.alphas_, KFold(4).split(X), data=stored)
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-6, atol=1e-10)


def test_a_feature_absent_from_a_training_fold_is_allowed():
    counts = np.zeros((N, P))
    counts[np.arange(P) * 3, np.arange(P)] = 1.0  # each feature in one row only
    model = LassoCV(cv=KFold(N // 2), n_alphas=4, **TIGHT).fit(sparse.csc_array(counts), Y)
    by_hand = errors_by_hand(model.alphas_, KFold(N // 2).split(X), data=counts)
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-6, atol=1e-10)


def test_constant_y_on_a_training_fold_is_allowed():
    y = np.where(np.arange(N) < 20, 1.0, Y)
    LassoCV(cv=[(np.arange(20), np.arange(20, N)), (np.arange(20, N), np.arange(20))]).fit(X, y)


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csc_array])
def test_a_fold_as_zero_weights_equals_fitting_the_subset(container):
    train = np.arange(N) % 3 > 0
    model = LassoCV(cv=[(train, ~train)], n_alphas=6, **TIGHT).fit(container(X), Y)
    for k, alpha in enumerate(model.alphas_):
        subset = Lasso(alpha=alpha, **TIGHT).fit(X[train], Y[train])
        coef = model.fold_coef_path_[0].toarray()[:, k]
        np.testing.assert_allclose(coef, subset.coef_, atol=1e-8)


def test_integer_weights_equal_repeated_rows_in_cross_validation():
    times = S.astype(int)
    owner = np.repeat(np.arange(N), times)
    splits = list(KFold(4).split(X))
    repeated = [
        (np.flatnonzero(np.isin(owner, train)), np.flatnonzero(np.isin(owner, test)))
        for train, test in splits
    ]
    weighted = LassoCV(cv=splits, n_alphas=8, **TIGHT).fit(X, Y, sample_weight=S)
    longer = LassoCV(cv=repeated, n_alphas=8, **TIGHT).fit(X[owner], Y[owner])
    np.testing.assert_allclose(weighted.mse_path_, longer.mse_path_, rtol=1e-6)


def test_equal_weights_equal_none_in_cross_validation():
    plain = LassoCV(n_alphas=8).fit(X, Y)
    weighted = LassoCV(n_alphas=8).fit(X, Y, sample_weight=np.full(N, 3.0))
    np.testing.assert_array_equal(plain.mse_path_, weighted.mse_path_)


def test_a_row_twice_in_a_training_fold_counts_twice():
    rows, test = np.concatenate([np.arange(20), np.arange(10)]), np.arange(20, N)
    model = LassoCV(cv=[(rows, test)], n_alphas=5, **TIGHT).fit(X, Y)
    by_hand = errors_by_hand(model.alphas_, [(rows, test)])
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-6)


def test_a_row_twice_in_a_test_fold_counts_twice():
    train, test = np.arange(20), np.array([20, 20, 20, 21])
    model = LassoCV(cv=[(train, test)], n_alphas=5, **TIGHT).fit(X, Y)
    np.testing.assert_allclose(
        model.mse_path_, errors_by_hand(model.alphas_, [(train, test)]), rtol=1e-6
    )


SPLITS = [(np.arange(20), np.arange(20, N)), (np.arange(20, N), np.arange(20))]


@pytest.mark.parametrize(
    "cv",
    [
        SPLITS,
        iter(SPLITS),
        (pair for pair in SPLITS),
        [(train.tolist(), test.tolist()) for train, test in SPLITS],
        [tuple(np.isin(np.arange(N), rows) for rows in pair) for pair in SPLITS],
        [(train - N, test - N) for train, test in SPLITS],
        [(train.astype(np.uint8), test.astype(np.int32)) for train, test in SPLITS],
    ],
    ids=["arrays", "iterator", "generator", "lists", "masks", "negative rows", "small integers"],
)
def test_every_form_of_custom_splits_gives_the_same(cv):
    model = LassoCV(cv=cv, n_alphas=5).fit(X, Y)
    np.testing.assert_array_equal(
        model.mse_path_, LassoCV(cv=KFold(2), n_alphas=5).fit(X, Y).mse_path_[:, ::-1]
    )


@pytest.mark.parametrize(("cv", "folds"), [(None, 5), (3, 3), (N, N)])
def test_a_number_of_folds_is_kfold_without_shuffling(cv, folds):
    by_number, by_splitter = (LassoCV(cv=c, n_alphas=5).fit(X, Y) for c in (cv, KFold(folds)))
    np.testing.assert_array_equal(by_number.mse_path_, by_splitter.mse_path_)


@pytest.mark.parametrize("name", ["coef_", "mse_path_", "coef_path_", "alphas_", "intercept_path_"])
@pytest.mark.parametrize("n_jobs", [2, -1, 7])
@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
def test_the_number_of_jobs_does_not_change_a_bit(name, n_jobs, container):
    one = LassoCV(n_alphas=15).fit(container(X), Y)
    many = LassoCV(n_alphas=15, n_jobs=n_jobs).fit(container(X), Y)
    np.testing.assert_array_equal(getattr(one, name), getattr(many, name))


# --------------------------------------------------------------------------------------- the choice


def test_the_default_takes_the_smallest_mean_error():
    model = LassoCV(n_alphas=20).fit(X, Y)
    assert model.alpha_ == model.alphas_[np.argmin(model.mse_path_.mean(axis=1))]


def test_one_standard_error_takes_the_largest_alpha_within_it():
    model = LassoCV(n_alphas=20, selection="1se").fit(X, Y)
    means = model.mse_path_.mean(axis=1)
    best = np.argmin(means)
    limit = means[best] + model.mse_path_[best].std(ddof=1) / np.sqrt(5)
    assert model.alpha_ == model.alphas_[means <= limit].max()


def test_one_standard_error_of_one_fold_is_the_minimum():
    models = [LassoCV(cv=SPLITS[:1], selection=rule).fit(X, Y) for rule in ("min", "1se")]
    assert models[0].alpha_ == models[1].alpha_


@pytest.mark.parametrize("answer", [3, np.int64(3), np.uint8(3), -7])
def test_a_callable_selection_is_obeyed(answer):
    model = LassoCV(n_alphas=10, selection=lambda alphas, scores: answer).fit(X, Y)
    assert model.alpha_ == model.alphas_[answer]


def test_a_callable_selection_gets_the_alphas_and_the_scores():
    got = {}

    def selection(alphas, scores):
        got.update(alphas=alphas, scores=scores)
        return 0

    model = LassoCV(n_alphas=10, cv=3, selection=selection).fit(X, Y)
    np.testing.assert_array_equal(got["alphas"], model.alphas_)
    np.testing.assert_array_equal(got["scores"], model.scores_)


def test_a_selection_that_spoils_its_arguments_does_not_spoil_the_results():
    def selection(alphas, scores):
        alphas[:], scores[:] = -1, np.nan
        return 0

    try:
        model = LassoCV(n_alphas=10, cv=3, selection=selection).fit(X, Y)
    except ValueError as error:
        assert "read-only" in str(error)  # noqa: PT017
    else:
        assert model.alpha_ > 0
        assert np.all(np.isfinite(model.scores_))


def test_scores_without_scoring_are_negative_errors():
    model = LassoCV(n_alphas=5).fit(X, Y)
    np.testing.assert_array_equal(model.scores_, -model.mse_path_)


def test_r2_scores_equal_a_loop_over_folds():
    model = LassoCV(n_alphas=5, cv=KFold(4), scoring="r2", **TIGHT).fit(X, Y)
    by_hand = [
        [
            r2_score(Y[test], Lasso(alpha=a, **TIGHT).fit(X[train], Y[train]).predict(X[test]))
            for train, test in KFold(4).split(X)
        ]
        for a in model.alphas_
    ]
    np.testing.assert_allclose(model.scores_, by_hand, rtol=1e-7, atol=1e-9)


def test_the_best_score_is_chosen():
    model = LassoCV(n_alphas=20, scoring="r2").fit(X, Y)
    assert model.alpha_ == model.alphas_[np.argmax(model.scores_.mean(axis=1))]


def test_errors_are_kept_beside_other_scores():
    plain, scored = LassoCV(n_alphas=5).fit(X, Y), LassoCV(n_alphas=5, scoring="r2").fit(X, Y)
    np.testing.assert_array_equal(plain.mse_path_, scored.mse_path_)


def test_a_callable_scorer_gets_a_fitted_model_and_the_test_rows():
    def scorer(estimator, X_test, y_test):
        return -np.max(np.abs(y_test - estimator.predict(X_test)))

    model = LassoCV(n_alphas=4, cv=SPLITS, scoring=scorer, **TIGHT).fit(X, Y)
    train, test = SPLITS[0]
    fitted = Lasso(alpha=model.alphas_[2], **TIGHT).fit(X[train], Y[train])
    worst = -np.max(np.abs(Y[test] - fitted.predict(X[test])))
    assert model.scores_[2, 0] == pytest.approx(worst, rel=1e-6)


@pytest.mark.parametrize("container", [sparse.csr_array, pd.DataFrame, np.asfortranarray])
def test_callable_scorers_work_on_every_form_of_X(container):
    def scorer(estimator, X_test, y_test):
        return estimator.score(X_test, y_test)

    model = LassoCV(n_alphas=4, scoring=scorer, **TIGHT).fit(container(X), Y)
    named = LassoCV(n_alphas=4, scoring="r2", **TIGHT).fit(X, Y)
    np.testing.assert_allclose(model.scores_, named.scores_, atol=1e-7)


def test_a_scorer_that_fails_leaves_the_estimator_as_it_was():
    def scorer(estimator, X_test, y_test):
        raise ZeroDivisionError

    model = LassoCV(n_alphas=4).fit(X, Y)
    model.set_params(scoring=scorer)
    before = dict(vars(model))
    with pytest.raises(ZeroDivisionError):
        model.fit(X, -Y)
    assert vars(model) == before


def test_equal_scores_choose_the_largest_alpha():
    model = LassoCV(n_alphas=10, scoring=lambda estimator, X, y: 1.0).fit(X, Y)
    assert model.alpha_ == model.alphas_.max()


# ----------------------------------------------------------------------------- the fit that is kept


def test_the_kept_fit_equals_fitting_all_data_at_the_chosen_alpha():
    model = LassoCV(n_alphas=20, **TIGHT).fit(X, Y)
    alone = Lasso(alpha=model.alpha_, **TIGHT).fit(X, Y)
    np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-8)
    assert model.intercept_ == pytest.approx(alone.intercept_, abs=1e-8)


def test_the_kept_path_equals_the_path_function():
    model = LassoCV(n_alphas=9, **TIGHT).fit(X, Y)
    alphas, coefs, _ = lasso_path(X, Y, n_alphas=9, fit_intercept=True, **TIGHT)
    np.testing.assert_allclose(model.alphas_, alphas, rtol=1e-12)
    np.testing.assert_allclose(model.coef_path_, coefs, atol=1e-8)


def test_the_kept_fit_is_a_column_of_the_path():
    model = LassoCV(n_alphas=9).fit(X, Y)
    index = int(np.flatnonzero(model.alphas_ == model.alpha_)[0])
    np.testing.assert_array_equal(model.coef_, model.coef_path_[:, index])
    assert model.intercept_ == model.intercept_path_[index]


def test_intercepts_of_the_path_belong_to_its_coefficients():
    model = LassoCV(n_alphas=9).fit(X, Y)
    np.testing.assert_allclose(
        model.intercept_path_, Y.mean() - X.mean(axis=0) @ model.coef_path_, atol=1e-12
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("alphas_", (7,)), ("mse_path_", (7, 3)), ("scores_", (7, 3)), ("coef_path_", (P, 7)),
        ("intercept_path_", (7,)), ("coef_", (P,)),
    ],
)  # fmt: skip
def test_tables_have_the_documented_shapes(name, shape):
    assert getattr(LassoCV(n_alphas=7, cv=3).fit(X, Y), name).shape == shape


def test_folds_keep_their_paths_as_sparse_columns():
    model = LassoCV(n_alphas=7, cv=3).fit(X, Y)
    assert [part.shape for part in model.fold_coef_path_] == [(P, 7)] * 3


def test_cross_validation_keeps_float32():
    model = LassoCV(n_alphas=4).fit(X.astype(np.float32), Y)
    assert model.coef_.dtype == model.coef_path_.dtype == np.float32


# -------------------------------------------------------------------------------- several l1_ratios


@pytest.mark.parametrize(
    ("name", "shape"), [("alphas_", (2, 6)), ("mse_path_", (2, 6, 3)), ("scores_", (2, 6, 3))]
)
def test_tables_of_several_l1_ratios_have_an_axis_for_them(name, shape):
    model = ElasticNetCV(l1_ratio=[0.3, 0.9], n_alphas=6, cv=3).fit(X, Y)
    assert getattr(model, name).shape == shape


def test_given_alphas_are_shared_by_several_l1_ratios():
    model = ElasticNetCV(l1_ratio=[0.3, 0.9], alphas=[1.0, 0.1]).fit(X, Y)
    np.testing.assert_array_equal(model.alphas_, [1.0, 0.1])


def test_each_l1_ratio_has_the_errors_it_has_alone():
    several = ElasticNetCV(l1_ratio=[0.3, 0.9], n_alphas=6, **TIGHT).fit(X, Y)
    for k, ratio in enumerate([0.3, 0.9]):
        alone = ElasticNetCV(l1_ratio=ratio, n_alphas=6, **TIGHT).fit(X, Y)
        np.testing.assert_allclose(several.mse_path_[k], alone.mse_path_, rtol=1e-7)


def test_the_l1_ratio_with_the_best_score_is_chosen():
    model = ElasticNetCV(l1_ratio=[0.01, 0.3, 0.9], n_alphas=10).fit(X, Y)
    best = np.argmax(model.scores_.mean(axis=2).max(axis=1))
    assert model.l1_ratio_ == [0.01, 0.3, 0.9][best]


def test_the_kept_fit_is_at_the_chosen_l1_ratio():
    model = ElasticNetCV(l1_ratio=[0.01, 0.3, 0.9], n_alphas=10, **TIGHT).fit(X, Y)
    alone = ElasticNet(alpha=model.alpha_, l1_ratio=model.l1_ratio_, **TIGHT).fit(X, Y)
    np.testing.assert_allclose(model.coef_, alone.coef_, atol=1e-7)


def test_lasso_cv_is_elastic_net_cv_with_l1_ratio_one():
    lasso, net = LassoCV(n_alphas=6).fit(X, Y), ElasticNetCV(l1_ratio=1.0, n_alphas=6).fit(X, Y)
    np.testing.assert_array_equal(lasso.mse_path_, net.mse_path_)


# ------------------------------------------------------------------------------------------ routing


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


GROUPS = np.arange(N) % 8


@pytest.mark.usefixtures("routing")
def test_groups_reach_the_splitter():
    model = LassoCV(cv=GroupKFold(4), n_alphas=5).fit(X, Y, groups=GROUPS)
    splits = list(GroupKFold(4).split(X, Y, GROUPS))
    np.testing.assert_array_equal(
        model.mse_path_, LassoCV(cv=splits, n_alphas=5).fit(X, Y).mse_path_
    )


@pytest.mark.usefixtures("routing")
def test_groups_and_weights_go_together():
    model = LassoCV(cv=GroupKFold(4), n_alphas=5).fit(X, Y, sample_weight=S, groups=GROUPS)
    splits = list(GroupKFold(4).split(X, Y, GROUPS))
    by_hand = LassoCV(cv=splits, n_alphas=5).fit(X, Y, sample_weight=S)
    np.testing.assert_array_equal(model.mse_path_, by_hand.mse_path_)


@pytest.mark.usefixtures("routing")
def test_groups_for_a_splitter_without_groups_are_refused():
    with pytest.raises(TypeError, match="groups"):
        LassoCV(cv=5).fit(X, Y, groups=GROUPS)


def test_groups_without_routing_are_refused():
    with pytest.raises(ValueError, match="enable_metadata_routing"):
        LassoCV(cv=GroupKFold(4)).fit(X, Y, groups=GROUPS)


def test_a_group_splitter_without_groups_is_refused():
    with pytest.raises(ValueError, match="groups"):
        LassoCV(cv=GroupKFold(4)).fit(X, Y)


# --------------------------------------------------------------------------------- degenerate folds


def test_a_test_fold_of_zero_weight_is_told_or_ignored():
    weights = np.where(np.arange(N) < 8, 0.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            model = LassoCV(n_alphas=4, cv=5).fit(X, Y, sample_weight=weights)
        except ValueError as error:
            assert "weight" in str(error)  # noqa: PT017
        else:
            assert np.isfinite(model.alpha_)


def test_a_training_fold_of_zero_weight_is_refused():
    weights = np.where(np.arange(N) < 8, 1.0, 0.0)
    with pytest.raises(ValueError, match="weight"):
        LassoCV(n_alphas=4, cv=5).fit(X, Y, sample_weight=weights)


@pytest.mark.parametrize("n", [2, 3])
def test_training_folds_of_one_row_predict_it(n):
    splits = [([0], np.arange(1, n))]
    model = LassoCV(cv=splits, n_alphas=3).fit(X[:n], Y[:n])
    expected = np.mean((Y[1:n] - Y[0]) ** 2)
    np.testing.assert_allclose(model.mse_path_, expected, rtol=1e-10)
