"""scikit-learn's estimator contract, for mixtures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsereg.mixture import SparseMixtureRegressor, SparseMixtureRegressorCV

ESTIMATORS = [
    SparseMixtureRegressor(),
    SparseMixtureRegressor(solver="em-iht", n_nonzero=2, fit_intercept=False),
    SparseMixtureRegressor(3, solver="alternating", n_nonzero=1, variance="free", init="random"),
    SparseMixtureRegressor(1, alpha=0.01, variance="free", gamma=0.5),
    SparseMixtureRegressorCV((1, 2), n_alphas=3, n_init=2),
    SparseMixtureRegressorCV(2, solver="em-iht", n_nonzeros=(1, 2), criterion="cv", cv=3),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_sparse_input_is_declared(estimator):
    assert estimator.__sklearn_tags__().input_tags.sparse
