"""Linear models with sparse coefficients, in scikit-learn's manners."""

from sparsereg.linear_model.elastic_net import ElasticNet, Lasso
from sparsereg.linear_model.elastic_net_cv import ElasticNetCV, LassoCV
from sparsereg.linear_model.path import enet_path, lasso_path

__all__ = ["ElasticNet", "ElasticNetCV", "Lasso", "LassoCV", "enet_path", "lasso_path"]
