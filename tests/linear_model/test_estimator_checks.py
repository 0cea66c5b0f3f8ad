"""scikit-learn's estimator contract holds for every public estimator, with no expected failures."""

import inspect

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import sparsereg
from sparsereg import ElasticNet, ElasticNetCV, Lasso, LassoCV

ESTIMATORS = [
    Lasso(),
    Lasso(alpha=0.01, positive=True),
    Lasso(alpha=0.0, fit_intercept=False),
    Lasso(alpha=0.1, warm_start=True, backend="numba"),
    ElasticNet(),
    ElasticNet(alpha=0.01, l1_ratio=0.0),
    ElasticNet(alpha=0.1, l1_ratio=0.9, positive=True),
    LassoCV(cv=3, n_alphas=10),
    LassoCV(cv=3, n_alphas=10, positive=True, selection="1se"),
    LassoCV(cv=3, n_alphas=10, n_jobs=2, scoring="neg_mean_absolute_error"),
    ElasticNetCV(cv=3, n_alphas=10, l1_ratio=[0.5, 1.0]),
    ElasticNetCV(cv=3, alphas=[0.01, 1.0], l1_ratio=0.0, fit_intercept=False),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_every_public_estimator_is_checked():
    public = {getattr(sparsereg, name) for name in sparsereg.__all__}
    estimators = {
        thing for thing in public if inspect.isclass(thing) and issubclass(thing, BaseEstimator)
    }
    assert estimators == {type(estimator) for estimator in ESTIMATORS}


@pytest.mark.parametrize("estimator", [Lasso(), ElasticNet(), LassoCV(), ElasticNetCV()])
def test_sparse_input_is_declared(estimator):
    assert estimator.__sklearn_tags__().input_tags.sparse
