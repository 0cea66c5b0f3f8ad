"""sparsereg: sparse regression with scikit-learn manners, certificates and a backend switch.

The public names are loaded on first use (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
import os.path
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sparsereg.config import config_context, get_config, set_config

if TYPE_CHECKING:
    from sparsereg.decomposition import sparse_encode
    from sparsereg.linear_model import (
        AdaptiveLasso,
        AdaptiveLassoCV,
        CEL0Regressor,
        ElasticNet,
        ElasticNetCV,
        GramFit,
        L0Path,
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
        enet_path,
        fit_gram,
        l0_path,
        lasso_path,
        sparse_path,
    )

# In a checkout gpu/ and benchmarks/ lie beside this package; an installation has them inside it.
_checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if all(os.path.exists(os.path.join(_checkout, name)) for name in ("pyproject.toml", "gpu")):
    __path__.append(_checkout)

try:
    __version__ = metadata.version("scikit-sparsereg")
except metadata.PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"

_PUBLIC = {
    "AdaptiveLasso": "sparsereg.linear_model",
    "AdaptiveLassoCV": "sparsereg.linear_model",
    "CEL0Regressor": "sparsereg.linear_model",
    "ElasticNet": "sparsereg.linear_model",
    "ElasticNetCV": "sparsereg.linear_model",
    "GramFit": "sparsereg.linear_model",
    "L0Path": "sparsereg.linear_model",
    "L0Regressor": "sparsereg.linear_model",
    "L0RegressorCV": "sparsereg.linear_model",
    "Lasso": "sparsereg.linear_model",
    "LassoCV": "sparsereg.linear_model",
    "LqRegressor": "sparsereg.linear_model",
    "MCPRegressor": "sparsereg.linear_model",
    "MultiTaskElasticNet": "sparsereg.linear_model",
    "MultiTaskElasticNetCV": "sparsereg.linear_model",
    "MultiTaskLasso": "sparsereg.linear_model",
    "MultiTaskLassoCV": "sparsereg.linear_model",
    "RelaxedLasso": "sparsereg.linear_model",
    "RelaxedLassoCV": "sparsereg.linear_model",
    "SCADRegressor": "sparsereg.linear_model",
    "SparseRegressor": "sparsereg.linear_model",
    "SparseRegressorCV": "sparsereg.linear_model",
    "enet_path": "sparsereg.linear_model",
    "fit_gram": "sparsereg.linear_model",
    "l0_path": "sparsereg.linear_model",
    "lasso_path": "sparsereg.linear_model",
    "sparse_encode": "sparsereg.decomposition",
    "sparse_path": "sparsereg.linear_model",
}
_SUBMODULES = {
    "backends",
    "decomposition",
    "exceptions",
    "linear_model",
    "losses",
    "mixture",
    "model_selection",
    "nn",
    "penalties",
    "plotting",
    "privacy",
}

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
    "__version__",
    "config_context",
    "enet_path",
    "fit_gram",
    "get_config",
    "l0_path",
    "lasso_path",
    "set_config",
    "sparse_encode",
    "sparse_path",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"sparsereg.{name}")
    raise AttributeError(f"module 'sparsereg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC, *_SUBMODULES})
