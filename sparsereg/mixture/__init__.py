"""Mixtures of sparse linear regressions, from designed queries or from given data."""

from sparsereg.mixture.coloring_regressor import MixedColoringRegressor
from sparsereg.mixture.decoder import DecodeReport
from sparsereg.mixture.design import SparseGraphDesign
from sparsereg.mixture.generators import MixtureOracle, make_sparse_mixture
from sparsereg.mixture.metrics import (
    MixtureErrors,
    label_error,
    match_components,
    mixture_errors,
)
from sparsereg.mixture.mixture_regressor import SparseMixtureRegressor
from sparsereg.mixture.mixture_regressor_cv import SparseMixtureRegressorCV

__all__ = [
    "DecodeReport",
    "MixedColoringRegressor",
    "MixtureErrors",
    "MixtureOracle",
    "SparseGraphDesign",
    "SparseMixtureRegressor",
    "SparseMixtureRegressorCV",
    "label_error",
    "make_sparse_mixture",
    "match_components",
    "mixture_errors",
]
