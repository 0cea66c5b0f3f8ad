"""sparsereg: sparse regression with scikit-learn manners, certificates and a backend switch.

The public names are loaded on first use (PEP 562), so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from sparsereg.config import config_context, get_config, set_config

if TYPE_CHECKING:
    from sparsereg.linear_model import (
        ElasticNet,
        ElasticNetCV,
        Lasso,
        LassoCV,
        enet_path,
        lasso_path,
    )

try:
    __version__ = metadata.version("scikit-sparsereg")
except metadata.PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0+unknown"

_PUBLIC = {
    "ElasticNet": "sparsereg.linear_model",
    "ElasticNetCV": "sparsereg.linear_model",
    "Lasso": "sparsereg.linear_model",
    "LassoCV": "sparsereg.linear_model",
    "enet_path": "sparsereg.linear_model",
    "lasso_path": "sparsereg.linear_model",
}
_SUBMODULES = {"backends", "exceptions", "linear_model", "losses", "model_selection", "penalties"}

__all__ = [
    "ElasticNet",
    "ElasticNetCV",
    "Lasso",
    "LassoCV",
    "__version__",
    "config_context",
    "enet_path",
    "get_config",
    "lasso_path",
    "set_config",
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
