"""Linear models with sparse coefficients, in scikit-learn's manners."""

from sparsereg.linear_model._summary import Summary
from sparsereg.linear_model.adaptive_lasso import AdaptiveLasso
from sparsereg.linear_model.adaptive_lasso_cv import AdaptiveLassoCV
from sparsereg.linear_model.elastic_net import ElasticNet, Lasso
from sparsereg.linear_model.elastic_net_cv import ElasticNetCV, LassoCV
from sparsereg.linear_model.gram import GramFit, fit_gram
from sparsereg.linear_model.l0 import CEL0Regressor, L0Regressor
from sparsereg.linear_model.l0_cv import L0RegressorCV
from sparsereg.linear_model.l0_path import L0Path, l0_path
from sparsereg.linear_model.multi_task_lasso import MultiTaskElasticNet, MultiTaskLasso
from sparsereg.linear_model.multi_task_lasso_cv import MultiTaskElasticNetCV, MultiTaskLassoCV
from sparsereg.linear_model.nonconvex import LqRegressor, MCPRegressor, SCADRegressor
from sparsereg.linear_model.nonconvex_path import sparse_path
from sparsereg.linear_model.path import enet_path, lasso_path
from sparsereg.linear_model.relaxed_lasso import RelaxedLasso
from sparsereg.linear_model.relaxed_lasso_cv import RelaxedLassoCV
from sparsereg.linear_model.sparse_regressor import SparseRegressor
from sparsereg.linear_model.sparse_regressor_cv import SparseRegressorCV

__all__ = [
    "AdaptiveLasso",
    "AdaptiveLassoCV",
    "CEL0Regressor",
    "ElasticNet",
    "ElasticNetCV",
    "GramFit",
    "L0Path",
    "L0Regressor",
    "L0RegressorCV",
    "Lasso",
    "LassoCV",
    "LqRegressor",
    "MCPRegressor",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "RelaxedLasso",
    "RelaxedLassoCV",
    "SCADRegressor",
    "SparseRegressor",
    "SparseRegressorCV",
    "Summary",
    "enet_path",
    "fit_gram",
    "l0_path",
    "lasso_path",
    "sparse_path",
]
