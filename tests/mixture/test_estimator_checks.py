"""scikit-learn's estimator contract, for mixtures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparsereg.mixture import (
    MixedColoringRegressor,
    SparseMixtureRegressor,
    SparseMixtureRegressorCV,
)

ESTIMATORS = [
    SparseMixtureRegressor(max_iter=100),
    SparseMixtureRegressor(solver="em-iht", n_nonzero=2, fit_intercept=False),
    SparseMixtureRegressor(3, solver="alternating", n_nonzero=1, variance="free", init="random"),
    SparseMixtureRegressor(1, alpha=0.01, variance="free", gamma=0.5),
    SparseMixtureRegressorCV((1, 2), n_alphas=2, n_init=1),
    SparseMixtureRegressorCV(
        2, solver="em-iht", n_nonzeros=(1, 2), selection="min", cv=2, n_init=1, max_iter=20
    ),
]

# These checks fit data of their own, and answers can only be decoded with the design they are to.
NEED_A_DESIGN = [
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimator_sparse_tag",
    "check_estimators_dtypes",
    "check_estimators_fit_returns_self",
    "check_estimators_nan_inf",
    "check_estimators_overwrite_params",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_regressor_data_not_an_array",
    "check_regressors_int",
    "check_regressors_no_decision_function",
    "check_regressors_train",
    "check_supervised_y_2d",
]
_REASON = "fit needs the design that X was made by"


@parametrize_with_checks(ESTIMATORS)
@pytest.mark.filterwarnings("ignore:EM did not converge")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [MixedColoringRegressor()],
    expected_failed_checks=lambda estimator: dict.fromkeys(NEED_A_DESIGN, _REASON),
)
def test_scikit_learn_contract_without_a_design(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [*ESTIMATORS, MixedColoringRegressor()])
def test_sparse_input_is_declared(estimator):
    assert estimator.__sklearn_tags__().input_tags.sparse
