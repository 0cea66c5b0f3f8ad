"""Where an array lives, and moving it: the one place that tells CuPy arrays from others.

Nothing here imports CuPy: an array of it has imported it already.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

__all__ = ["checked_on_device", "is_on_device", "like", "namespace_of", "to_host", "zeros"]

_DEVICE_MODULES = {"cupy", "cupyx"}


def is_on_device(values: Any) -> bool:
    """Whether it is a CuPy array or a sparse matrix of ``cupyx``."""
    return type(values).__module__.split(".", 1)[0] in _DEVICE_MODULES


def namespace_of(values: Any) -> Any:
    """Return ``cupy`` for what lives on a device, else ``numpy``."""
    return importlib.import_module("cupy") if is_on_device(values) else np


def to_host(values: Any) -> Any:
    """Return a NumPy copy of what lives on a device, and anything else as it is."""
    return values.get() if is_on_device(values) else values


def like(values: Any, X: Any) -> Any:
    """Return the values as an array where X lives."""
    if not is_on_device(X):
        return to_host(values)
    with X.device:
        return namespace_of(X).asarray(values)


def zeros(shape: tuple[int, ...], X: Any) -> Any:
    """Return zeros where X lives, in its precision."""
    if not is_on_device(X):
        return np.zeros(shape, dtype=X.dtype)
    with X.device:
        return namespace_of(X).zeros(shape, dtype=X.dtype)


def checked_on_device(X: Any, name: str = "X") -> Any:
    """Return a matrix of a device as fits read it: two dimensions, floating point, finite.

    Raises
    ------
    ValueError
        As scikit-learn would for an array of the host.
    """
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(
            f"Expected 2D array, got {name} of shape {tuple(X.shape)} instead: it needs at least "
            f"one sample and one feature."
        )
    if hasattr(X, "indptr") or hasattr(X, "tocsc"):
        X = X.tocsc()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    elif hasattr(X, "format"):
        raise ValueError(f"{name} is sparse in format {X.format!r}. Convert it to CSC or CSR.")
    if X.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {X.dtype}.")
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    entries = X.data if hasattr(X, "indptr") else X
    with X.device:
        finite = bool(namespace_of(X).isfinite(entries).all())
    if not finite:
        raise ValueError(f"Input {name} contains NaN or infinity, on its device.")
    return X
