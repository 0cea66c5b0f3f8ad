"""Cross-validation: what it equals, what it chooses, what it keeps."""

from __future__ import annotations

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

from sparsereg import ElasticNet, ElasticNetCV, Lasso, LassoCV, lasso_path
from sparsereg.model_selection import select_alpha

N, P = 40, 12
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + 0.5 * X[:, 2] + RNG.standard_normal(N)
S = RNG.integers(1, 4, N).astype(float)
V = np.concatenate([[0.0, np.inf, 0.3], np.ones(P - 3)])

TIGHT = {"tol": 1e-14}


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
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-5, atol=1e-10)


@every_splitter
def test_weighted_errors_equal_a_loop_over_folds(cv):
    model = LassoCV(cv=cv, n_alphas=6, **TIGHT).fit(X, Y, sample_weight=S)
    by_hand = errors_by_hand(model.alphas_, cv.split(X), sample_weight=S)
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-5, atol=1e-10)


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
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-5, atol=1e-10)


def test_errors_on_sparse_data_equal_a_loop_over_folds():
    stored = sparse.csr_array(np.where(np.abs(X) > 0.7, X, 0))
    model = LassoCV(cv=KFold(4), n_alphas=6, **TIGHT).fit(stored, Y)
    by_hand = errors_by_hand(model.alphas_, KFold(4).split(X), data=stored)
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-5, atol=1e-10)


def test_a_feature_absent_from_a_training_fold_is_allowed():
    counts = np.zeros((N, P))
    counts[np.arange(P) * 3, np.arange(P)] = 1.0  # each feature in one row only
    model = LassoCV(cv=KFold(N // 2), n_alphas=4, **TIGHT).fit(sparse.csc_array(counts), Y)
    by_hand = errors_by_hand(model.alphas_, KFold(N // 2).split(X), data=counts)
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-5, atol=1e-10)


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
        np.testing.assert_allclose(coef, subset.coef_, atol=2e-6)


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
    np.testing.assert_allclose(weighted.mse_path_, longer.mse_path_, rtol=1e-5)


def test_equal_weights_equal_none_in_cross_validation():
    plain = LassoCV(n_alphas=8).fit(X, Y)
    weighted = LassoCV(n_alphas=8).fit(X, Y, sample_weight=np.full(N, 3.0))
    np.testing.assert_array_equal(plain.mse_path_, weighted.mse_path_)


def test_a_row_twice_in_a_training_fold_counts_twice():
    rows, test = np.concatenate([np.arange(20), np.arange(10)]), np.arange(20, N)
    model = LassoCV(cv=[(rows, test)], n_alphas=5, **TIGHT).fit(X, Y)
    by_hand = errors_by_hand(model.alphas_, [(rows, test)])
    np.testing.assert_allclose(model.mse_path_, by_hand, rtol=1e-5)


def test_a_row_twice_in_a_test_fold_counts_twice():
    train, test = np.arange(20), np.array([20, 20, 20, 21])
    model = LassoCV(cv=[(train, test)], n_alphas=5, **TIGHT).fit(X, Y)
    np.testing.assert_allclose(
        model.mse_path_, errors_by_hand(model.alphas_, [(train, test)]), rtol=1e-5
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
    np.testing.assert_allclose(model.scores_, by_hand, rtol=1e-5, atol=1e-9)


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
    np.testing.assert_allclose(model.coef_, alone.coef_, atol=2e-6)
    assert model.intercept_ == pytest.approx(alone.intercept_, abs=2e-6)


def test_the_kept_path_equals_the_path_function():
    model = LassoCV(n_alphas=9, **TIGHT).fit(X, Y)
    alphas, coefs, _ = lasso_path(X, Y, n_alphas=9, fit_intercept=True, **TIGHT)
    np.testing.assert_allclose(model.alphas_, alphas, rtol=1e-12)
    np.testing.assert_allclose(model.coef_path_, coefs, atol=2e-6)


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
        np.testing.assert_allclose(several.mse_path_[k], alone.mse_path_, rtol=1e-5)


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


@pytest.mark.parametrize("selection", ["min", "1se"])
def test_of_scores_that_only_rounding_tells_apart_the_largest_alpha_is_chosen(selection):
    scores = -np.array([[2.0, 2.0], [1.0, 1.0 + 1e-13], [1.0, 1.0]])
    assert select_alpha([3.0, 2.0, 1.0], scores, selection) == 1
    assert select_alpha([3.0, 2.0, 1.0], scores * [[1.0], [1.0 + 1e-6], [1.0]], selection) == 2
