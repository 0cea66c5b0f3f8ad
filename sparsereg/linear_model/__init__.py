"""Linear models with sparse coefficients, in scikit-learn's manners."""

from sparsereg.linear_model.adaptive_lasso import AdaptiveLasso
from sparsereg.linear_model.adaptive_lasso_cv import AdaptiveLassoCV
from sparsereg.linear_model.elastic_net import ElasticNet, Lasso
from sparsereg.linear_model.elastic_net_cv import ElasticNetCV, LassoCV
from sparsereg.linear_model.multi_task_lasso import MultiTaskElasticNet, MultiTaskLasso
from sparsereg.linear_model.multi_task_lasso_cv import MultiTaskElasticNetCV, MultiTaskLassoCV
from sparsereg.linear_model.path import enet_path, lasso_path
from sparsereg.linear_model.relaxed_lasso import RelaxedLasso
from sparsereg.linear_model.relaxed_lasso_cv import RelaxedLassoCV

__all__ = [
    "AdaptiveLasso",
    "AdaptiveLassoCV",
    "ElasticNet",
    "ElasticNetCV",
    "Lasso",
    "LassoCV",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "RelaxedLasso",
    "RelaxedLassoCV",
    "enet_path",
    "lasso_path",
]
