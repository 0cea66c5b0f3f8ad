"""The CuPy backend, installed as ``sparsereg.gpu``.

It is registered so that the toggle knows its name and can say what is missing. Its kernels are
not part of this version; importing this module needs neither CuPy nor a driver.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

__all__ = ["CupyBackend", "backend"]


class CupyBackend:
    """The backend object of CUDA devices; unavailable in this version, and it says so."""

    name = "cupy"

    def available(self) -> tuple[bool, str]:
        """Whether the backend can run here and, if not, why."""
        if find_spec("cupy") is None:
            return False, (
                "CuPy is not installed, and this version of sparsereg has no GPU kernels yet."
            )
        return False, "this version of sparsereg has no GPU kernels yet."

    def owns(self, X: Any) -> bool:
        """Whether X is a CuPy array."""
        return type(X).__module__.split(".", 1)[0] in {"cupy", "cupyx"}


backend = CupyBackend()
