"""The CuPy backend, installed as ``sparsereg.gpu``.

Importing it needs neither CuPy nor a driver; :meth:`CupyBackend.available` says what is missing.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from sparsereg.gpu.device import Device, cupy_device
from sparsereg.gpu.primitives import DeviceBackend

__all__ = ["CupyBackend", "backend"]

_HOW_TO_INSTALL = (
    'Install it with pip install "scikit-sparsereg[cuda13]", or [cuda12] for drivers of CUDA 12.'
)


class CupyBackend(DeviceBackend):
    """CUDA devices through CuPy.

    The methods are described in :class:`sparsereg.backends.protocol.Backend`.
    """

    name = "cupy"

    def available(self) -> tuple[bool, str]:
        """Whether CuPy is installed and finds a device."""
        try:
            installed = find_spec("cupy") is not None
        except ValueError:  # sys.modules["cupy"] is None
            installed = False
        if not installed:
            return False, f"CuPy is not installed. {_HOW_TO_INSTALL}"
        try:
            import cupy
        except ImportError as error:
            return False, f"CuPy cannot be imported ({error}). {_HOW_TO_INSTALL}"
        try:
            if cupy.cuda.runtime.getDeviceCount() > 0:
                return True, ""
            why = "there is none"
        except cupy.cuda.runtime.CUDARuntimeError as error:
            why = str(error)
        return False, f"CuPy is installed but finds no CUDA device ({why})."

    def owns(self, X: Any) -> bool:
        """Whether X is a CuPy array."""
        return type(X).__module__.split(".", 1)[0] in {"cupy", "cupyx"}

    def device_of(self, X: Any) -> Device:
        """Return the device of X; for arrays of the host, the current one."""
        import cupy

        return cupy_device(X.device.id if self.owns(X) else cupy.cuda.Device().id)


backend = CupyBackend()
