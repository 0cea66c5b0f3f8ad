"""A CUDA device through CuPy: its arrays, its compiled kernels, and its errors.

Everything above this file is written against the few members of :class:`Device`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

import numpy as np
from sparsereg.gpu.launch import OPTIONS, check_arguments, signature_of, source_of

# Shared memory that a block may have without being asked for, in bytes.
_SHARED_BYTES = 48 << 10


class Device(Protocol):
    """Where arrays live and kernels run."""

    #: The array namespace: ``cupy``, or a look-alike.
    xp: Any
    #: The most shared memory that a block can have, in bytes.
    max_shared_bytes: int

    def launch(
        self, kernel: str, real: Any, grid: tuple[int, ...], threads: int, args: Sequence[Any],
        shared_bytes: int = 0,
    ) -> None:  # fmt: skip
        """Run a kernel of blocks of ``threads`` threads on checked arguments."""

    def csc(self, X: Any) -> Any:
        """Return a CSC matrix of the host as one of the device."""

    def to_host(self, array: Any) -> np.ndarray:
        """Return an array of the device as a NumPy array."""

    def at_work(self, what: str) -> Any:
        """Make it the current device in a ``with`` block; ``what`` is done there, for errors."""


class CupyDevice:
    """One CUDA device."""

    def __init__(self, number: int) -> None:
        import cupy

        self.xp, self.number = cupy, number
        attributes = cupy.cuda.Device(number).attributes
        self.max_shared_bytes = int(attributes["MaxSharedMemoryPerBlockOptin"])

    def launch(
        self, kernel: str, real: Any, grid: tuple[int, ...], threads: int, args: Sequence[Any],
        shared_bytes: int = 0,
    ) -> None:  # fmt: skip
        """Run a kernel on the current stream."""
        checked = check_arguments(kernel, real, args, self.number)
        function = _compiled(self.number, signature_of(kernel).module, np.dtype(real).str, kernel)
        if shared_bytes > _SHARED_BYTES:
            function.max_dynamic_shared_size_bytes = shared_bytes
        function(grid, (threads,), tuple(checked), shared_mem=shared_bytes)

    def csc(self, X: Any) -> Any:
        """Return a copy of a CSC matrix there."""
        from cupyx.scipy.sparse import csc_matrix

        parts = tuple(self.xp.asarray(part) for part in (X.data, X.indices, X.indptr))
        return csc_matrix(parts, shape=X.shape)

    def to_host(self, array: Any) -> np.ndarray:
        """Return a copy in NumPy."""
        return self.xp.asnumpy(array)

    @contextmanager
    def at_work(self, what: str) -> Iterator[None]:
        """Make it the current device, and explain where memory does not suffice."""
        with self.xp.cuda.Device(self.number):
            try:
                yield
            except self.xp.cuda.memory.OutOfMemoryError as error:
                self.xp.get_default_memory_pool().free_all_blocks()
                free, total = self.xp.cuda.runtime.memGetInfo()
                raise MemoryError(
                    f"Device {self.number} has too little memory for {what} ({error}); "
                    f"{free / 1e9:.2f} of {total / 1e9:.2f} GB are free now. Free arrays of your "
                    f'own, store X in float32, or compute on the CPU with backend="numba".'
                ) from error


@cache
def _module(number: int, module: str, real: str) -> Any:
    import cupy

    with cupy.cuda.Device(number):
        options = ("-std=c++17", *OPTIONS.get(module, ()))
        return cupy.RawModule(code=source_of(module, np.dtype(real)), options=options)


@cache
def _compiled(number: int, module: str, real: str, kernel: str) -> Any:
    return _module(number, module, real).get_function(kernel)


@cache
def cupy_device(number: int) -> CupyDevice:
    """Return a device by its number."""
    return CupyDevice(number)
