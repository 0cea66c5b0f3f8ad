"""A stand-in for CuPy: arrays of its own type in the memory of the host.

It shows where results live and what is moved; it computes with NumPy.
"""

import sys
import types
from contextlib import nullcontext

import numpy as np
from emulated_cuda import EmulatedBackend, EmulatedDevice


class ndarray(np.ndarray):
    """What ``cupy.ndarray`` is called, and where."""

    @property
    def device(self):
        return _Device()

    def get(self):
        return np.array(self.view(np.ndarray))


class _Device(nullcontext):
    id = 0


ndarray.__module__ = "cupy"


def asarray(values, dtype=None):
    return np.array(values, dtype=dtype).view(ndarray)


class FakeCupyBackend(EmulatedBackend):
    """The GPU backend on arrays of the stand-in."""

    name = "cupy"

    def __init__(self):
        self.device = _DeviceOfTheStandIn()

    def owns(self, X):
        return isinstance(X, ndarray)


class _DeviceOfTheStandIn(EmulatedDevice):
    def to_host(self, array):
        return np.array(np.asarray(array).view(np.ndarray))


def install(monkeypatch):
    """Make ``import cupy`` find the stand-in, and its backend available."""
    module = types.ModuleType("cupy")
    module.__dict__.update(
        ndarray=ndarray,
        asarray=asarray,
        isfinite=np.isfinite,
        moveaxis=np.moveaxis,
        zeros=lambda shape, dtype: np.zeros(shape, dtype).view(ndarray),
        ascontiguousarray=lambda values: np.ascontiguousarray(values).view(ndarray),
    )
    monkeypatch.setitem(sys.modules, "cupy", module)
    backend = FakeCupyBackend()
    monkeypatch.setattr("sparsereg.gpu.backend", backend)
    return backend
