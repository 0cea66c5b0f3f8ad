"""scikit-learn's estimator contract holds for every public estimator, with no expected failures."""

import inspect

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import sparsereg
from sparsereg import (
    AdaptiveLasso,
    AdaptiveLassoCV,
    CEL0Regressor,
    ElasticNet,
    ElasticNetCV,
    L0Regressor,
    L0RegressorCV,
    Lasso,
    LassoCV,
    LqRegressor,
    MCPRegressor,
    MultiTaskElasticNet,
    MultiTaskElasticNetCV,
    MultiTaskLasso,
    MultiTaskLassoCV,
    RelaxedLasso,
    RelaxedLassoCV,
    SCADRegressor,
    SparseRegressor,
    SparseRegressorCV,
    penalties,
)

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
    MultiTaskLasso(),
    MultiTaskLasso(alpha=0.01, fit_intercept=False, warm_start=True),
    MultiTaskElasticNet(),
    MultiTaskElasticNet(alpha=0.01, l1_ratio=0.0),
    MultiTaskLassoCV(cv=3, n_alphas=10, selection="1se", n_jobs=2),
    MultiTaskElasticNetCV(cv=3, n_alphas=10, l1_ratio=[0.5, 1.0]),
    AdaptiveLasso(cv=3),
    AdaptiveLasso(alpha=0.01, positive=True, cv=3),
    AdaptiveLasso(alpha=0.01, initial="ols", gamma=2.0, cv=3),
    AdaptiveLasso(alpha=0.1, initial="lasso", weight_offset=0.1, n_reweightings=3),
    AdaptiveLassoCV(cv=3, n_alphas=10),
    AdaptiveLassoCV(cv=3, n_alphas=10, initial="lasso", n_reweightings=2, selection="1se"),
    RelaxedLasso(),
    RelaxedLasso(alpha=0.01, gamma=0.5, positive=True),
    RelaxedLassoCV(cv=3, n_alphas=10),
    RelaxedLassoCV(cv=3, n_alphas=10, positive=True, gammas=[0.5], selection="1se"),
    L0Regressor(),
    L0Regressor(n_nonzero=2, l2=0.1),
    L0Regressor(alpha=0.01, l2=0.1, exact=True, max_nodes=20_000),
    L0Regressor(alpha=0.0, fit_intercept=False),
    CEL0Regressor(alpha=0.01),
    CEL0Regressor(alpha=0.01, strategy="fbs", n_swaps=0, coef_bound=10.0),
    L0RegressorCV(cv=3),
    L0RegressorCV(cv=3, selection="1se", l2=0.01, n_jobs=2),
    MCPRegressor(),
    MCPRegressor(alpha=0.01, gamma=1.5, positive=True, warm_start=True),
    MCPRegressor(alpha=0.0, fit_intercept=False),
    SCADRegressor(alpha=0.1, strategy="fbs"),
    LqRegressor(alpha=0.01, q=0.3, strategy="path"),
    SparseRegressor(),
    SparseRegressor(penalties.L0(alpha=0.1), strategy="irl1"),
    SparseRegressor(penalties.LogSum(alpha=0.1, eps=0.1)),
    SparseRegressor(penalties.L1(alpha=0.1)),
    SparseRegressorCV(cv=3, n_alphas=10, tol=1e-10),
    SparseRegressorCV(penalties.Lq(q=0.5), cv=3, n_alphas=10, selection="1se", n_jobs=2),
    SparseRegressorCV(penalties.SCAD(), n_alphas=10, selection="ebic"),
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


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_sparse_input_is_declared(estimator):
    assert estimator.__sklearn_tags__().input_tags.sparse
