"""Life with scikit-learn around: pickles, clones, pipelines, searches, threads, warm starts."""

from __future__ import annotations

import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_regression
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sparsereg
from sparsereg import (
    AdaptiveLasso,
    AdaptiveLassoCV,
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    RelaxedLasso,
    RelaxedLassoCV,
)

N, P = 40, 12
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + RNG.standard_normal(N)

ESTIMATORS = [
    Lasso(alpha=0.1),
    ElasticNet(alpha=0.1),
    LassoCV(n_alphas=5),
    ElasticNetCV(n_alphas=5),
    AdaptiveLasso(alpha=0.1),
    RelaxedLasso(alpha=0.1),
    AdaptiveLassoCV(n_alphas=5),
    RelaxedLassoCV(n_alphas=5),
]
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)

# Warnings of any kind are failures here: what is right is quiet, what is wrong raises.
pytestmark = pytest.mark.filterwarnings("error")


def fit(X=X, y=Y, sample_weight=None, **params):
    params = {"alpha": 0.1, "tol": 1e-12, **params}
    return Lasso(**params).fit(X, y, sample_weight=sample_weight)


def assert_same_coefficients(a, b, tol=1e-10):
    np.testing.assert_allclose(a.coef_, b.coef_, atol=tol, rtol=0)


REFERENCE = Lasso(alpha=0.1, tol=1e-12).fit(X, Y)


@every_estimator
def test_pickling_keeps_the_model(estimator):
    model = clone(estimator).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@every_estimator
def test_joblib_keeps_the_model(estimator):
    model, file = clone(estimator).fit(X, Y), io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).predict(X), model.predict(X))


@every_estimator
def test_cloning_keeps_the_parameters(estimator):
    estimator = clone(estimator).set_params(penalty_weights=np.arange(P), tol=1e-5)
    params, cloned = estimator.get_params(), clone(estimator).get_params()
    np.testing.assert_array_equal(params.pop("penalty_weights"), cloned.pop("penalty_weights"))
    assert params == cloned


@every_estimator
def test_fitting_does_not_change_the_parameters(estimator):
    estimator = clone(estimator)
    before = dict(estimator.get_params())
    estimator.fit(X, Y)
    assert estimator.get_params() == before


@every_estimator
def test_setting_an_unknown_parameter_is_refused(estimator):
    with pytest.raises(ValueError, match="nonsense"):
        clone(estimator).set_params(nonsense=1)


def test_setting_alpha_and_refitting_equals_a_new_model():
    model = fit().set_params(alpha=0.3).fit(X, Y)
    np.testing.assert_array_equal(model.coef_, fit(alpha=0.3).coef_)


def test_repr_shows_changed_parameters():
    assert repr(Lasso(alpha=0.25, penalty_weights=np.ones(2))).startswith("Lasso(alpha=0.25")


def test_works_in_a_pipeline():
    model = make_pipeline(StandardScaler(), LassoCV(n_alphas=10)).fit(X, Y)
    assert model.score(X, Y) > 0.5


def test_grid_search_in_processes_equals_fitting_by_hand():
    alphas, folds = [0.01, 0.1, 1.0], KFold(3)
    search = GridSearchCV(Lasso(tol=1e-8), {"alpha": alphas}, cv=folds, n_jobs=2).fit(X, Y)
    by_hand = [
        np.mean([
            Lasso(alpha, tol=1e-8).fit(X[train], Y[train]).score(X[test], Y[test])
            for train, test in folds.split(X)
        ])
        for alpha in alphas
    ]  # fmt: skip
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-10)


def test_cross_val_score_works_in_processes():
    model = LassoCV(n_alphas=5, n_jobs=2)
    once, twice = (cross_val_score(model, X, Y, cv=3, n_jobs=jobs) for jobs in (None, 2))
    np.testing.assert_array_equal(once, twice)


def test_fitting_in_threads_gives_the_same_as_alone():
    data = [(X[:, :k], Y) for k in range(2, P)]
    alone = [fit(X=part, y=y).coef_ for part, y in data]
    together = joblib.Parallel(n_jobs=4, backend="threading")(
        joblib.delayed(fit)(X=part, y=y) for part, y in data
    )
    for expected, model in zip(alone, together):
        np.testing.assert_array_equal(model.coef_, expected)


def test_sparse_coef_holds_the_coefficients():
    np.testing.assert_array_equal(REFERENCE.sparse_coef_.toarray(), REFERENCE.coef_[None])


def test_warm_start_ignores_coefficients_of_another_shape():
    model = fit(warm_start=True)
    np.testing.assert_allclose(
        model.fit(X[:, :5], Y).coef_, fit(X=X[:, :5]).coef_, rtol=0, atol=1e-9
    )


def test_warm_start_ignores_coefficients_that_are_not_finite():
    model = fit(warm_start=True)
    model.coef_[0] = np.nan
    assert_same_coefficients(model.fit(X, Y), REFERENCE)


def test_warm_start_respects_constraints_that_are_new():
    model = fit(warm_start=True).set_params(positive=True).fit(X, Y)
    assert_same_coefficients(model, fit(positive=True), tol=1e-6)


def test_warm_start_respects_exclusions_that_are_new():
    weights = np.where(np.arange(P) == 0, np.inf, 1.0)
    model = fit(warm_start=True).set_params(penalty_weights=weights).fit(X, Y)
    assert model.coef_[0] == 0


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("freed", [0.0, 1.0])
def test_warm_start_finds_what_is_allowed_again(l1_ratio, positive, freed):
    excluded = np.where(np.arange(P) == 0, np.inf, 1.0)
    params = {"alpha": 0.1, "l1_ratio": l1_ratio, "positive": positive, "tol": 1e-10}
    model = ElasticNet(**params, penalty_weights=excluded, warm_start=True).fit(X, Y)
    weights = np.where(np.arange(P) == 0, freed, 1.0)
    model.set_params(penalty_weights=weights).fit(X, Y)
    fresh = ElasticNet(**params, penalty_weights=weights).fit(X, Y)
    assert_same_coefficients(model, fresh, tol=1e-4)


# --- selection, names and the display -------------------------------------------------------------


@every_estimator
def test_select_from_model_keeps_what_was_selected(estimator):
    selector = SelectFromModel(clone(estimator), threshold=1e-12).fit(X, Y)
    np.testing.assert_array_equal(selector.get_support(), selector.estimator_.coef_ != 0)


def test_select_from_model_needs_no_threshold():
    # scikit-learn knows l1 models by their name; without it the mean size would be the threshold
    for estimator in (Lasso(alpha=0.01), LassoCV(n_alphas=10)):
        selector = SelectFromModel(estimator).fit(X, Y)
        np.testing.assert_array_equal(selector.get_support(), selector.estimator_.coef_ != 0)


def test_selected_names_go_through_a_pipeline():
    pandas = pytest.importorskip("pandas")
    names = [f"gene {j}" for j in range(P)]
    frame = pandas.DataFrame(X, columns=names)
    pipeline = make_pipeline(StandardScaler(), SelectFromModel(LassoCV(n_alphas=10)))
    kept = pipeline.set_output(transform="pandas").fit_transform(frame, Y)
    selected = pipeline[-1].estimator_.coef_ != 0
    assert list(kept.columns) == [name for name, chosen in zip(names, selected) if chosen]
    assert list(pipeline.get_feature_names_out()) == list(kept.columns)
    np.testing.assert_array_equal(pipeline[-1].estimator_.feature_names_in_, names)


def test_transformed_targets_work():
    model = TransformedTargetRegressor(LassoCV(n_alphas=10), transformer=StandardScaler())
    assert model.fit(X, 1000 * Y).score(X, 1000 * Y) > 0.5


@every_estimator
def test_html_diagram_names_the_estimator_and_its_state(estimator):
    estimator = clone(estimator)
    name = type(estimator).__name__
    assert name in estimator._repr_html_()
    assert "not fitted" in estimator._repr_html_().lower()
    assert "not fitted" not in estimator.fit(X, Y)._repr_html_().lower()


@pytest.mark.parametrize("model", [Lasso(0.1), LassoCV(n_alphas=5)], ids=["Lasso", "LassoCV"])
def test_html_diagram_of_a_pipeline_has_its_steps(model):
    diagram = make_pipeline(StandardScaler(), model).fit(X, Y)._repr_html_()
    assert type(model).__name__ in diagram
    assert "StandardScaler" in diagram


def test_cross_val_predict_equals_fitting_by_hand():
    folds = KFold(3)
    predicted = cross_val_predict(Lasso(0.1, tol=1e-10), X, Y, cv=folds)
    for train, test in folds.split(X):
        model = Lasso(0.1, tol=1e-10).fit(X[train], Y[train])
        np.testing.assert_allclose(predicted[test], model.predict(X[test]))


@pytest.mark.parametrize("name", ["Lasso", "ElasticNetCV", "MultiTaskLasso", "MCPRegressor"])
def test_the_support_is_where_coefficients_are(name):
    X, y = make_regression(40, 12, n_informative=3, noise=5.0, random_state=0)
    model = getattr(sparsereg, name)().fit(X, np.column_stack([y, y]) if "Multi" in name else y)
    nonzero = np.any(np.atleast_2d(model.coef_) != 0, axis=0)
    np.testing.assert_array_equal(model.support_, np.flatnonzero(nonzero))
    assert not hasattr(getattr(sparsereg, name)(), "support_")
