"""Sparse training and sparse layers for PyTorch: the package's penalties and solvers in networks.

Install with the extra ``nn``. What is promised is accuracy and sparsity: a mask on a dense tensor
saves no time.
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ImportError(
        "sparsereg.nn needs PyTorch, which is not installed. Install the extra: "
        'pip install "scikit-sparsereg[nn]".'
    )

from sparsereg.nn.activations import AdaptiveTopK, ProxActivation, SoftThreshold, TopK
from sparsereg.nn.autoencoder import SparseAutoencoder
from sparsereg.nn.dynamic import DynamicMask
from sparsereg.nn.export import DiagonalLinear, to_csr, to_semi_structured
from sparsereg.nn.lasso_layer import LassoLayer
from sparsereg.nn.mlp import SparseMLPClassifier, SparseMLPRegressor
from sparsereg.nn.noise import NoiseInjection
from sparsereg.nn.patterns import (
    NM,
    Block,
    Diagonal,
    Group,
    Pattern,
    Staged,
    Unstructured,
    layer_densities,
)
from sparsereg.nn.proximal import AdaptiveL1, ProxHandle, attach_prox
from sparsereg.nn.pruning import prune, soup
from sparsereg.nn.schedules import Cosine, Exponential, Linear
from sparsereg.nn.sparsify import advance, densify, sparsify
from sparsereg.nn.unrolled import LISTA
from sparsereg.nn.xrda import XRDA

__all__ = [
    "LISTA",
    "NM",
    "XRDA",
    "AdaptiveL1",
    "AdaptiveTopK",
    "Block",
    "Cosine",
    "Diagonal",
    "DiagonalLinear",
    "DynamicMask",
    "Exponential",
    "Group",
    "LassoLayer",
    "Linear",
    "NoiseInjection",
    "Pattern",
    "ProxActivation",
    "ProxHandle",
    "SoftThreshold",
    "SparseAutoencoder",
    "SparseMLPClassifier",
    "SparseMLPRegressor",
    "Staged",
    "TopK",
    "Unstructured",
    "advance",
    "attach_prox",
    "densify",
    "layer_densities",
    "prune",
    "soup",
    "sparsify",
    "to_csr",
    "to_semi_structured",
]
