"""The kernels of ``gpu/kernels`` as C++ on the CPU, behind the device that the GPU backend wants.

``EmulatedDevice`` compiles a kernel file with g++ and runs it in an order of threads and blocks
that can be chosen; NumPy arrays are its device arrays. During a launch arrays have a margin on both
sides, which a kernel that writes outside changes.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from scipy import sparse
from sparsereg.gpu.launch import check_arguments, signature_of, source_of
from sparsereg.gpu.primitives import DeviceBackend

#: Orders of the threads of a block, and of the blocks.
ORDERS = {"ascending": 0, "descending": 1, "random": 2}
OUTCOMES = {1: "a barrier that not all threads reach", 2: "a barrier after threads have exited"}

_MARGIN = 64  # bytes on both sides of an array
_FILL = 0xFF  # NaN in floating point
_one_at_a_time = Lock()  # the emulation has one set of fibers
_HEADER = Path(__file__).with_name("cuda_on_cpu.hpp")

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="g++ is not here to compile the kernels for the CPU"
)


class EmulationError(RuntimeError):
    """What would be undefined behavior on a device."""


@cache
def library(text, kernels):
    """Compile CUDA source for the CPU, once for each text on this machine."""
    entries = "\n".join(
        f'extern "C" int run_{name}(const unsigned* grid, unsigned threads, size_t shared_bytes, '
        f"void** arguments, int order, unsigned seed) {{ return emulation::launch({name}, grid, "
        f"threads, shared_bytes, arguments, order, seed); }}"
        for name in kernels
    )
    source = f"{_HEADER.read_text()}\n{text}\n{entries}\n"
    key = hashlib.sha256(source.encode()).hexdigest()[:20]
    folder = Path(tempfile.gettempdir()) / f"emulated-cuda-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    built = folder / f"{key}.so"
    if not built.exists():
        mine = folder / f"{key}.{os.getpid()}.so"
        command = ["g++", "-std=c++17", "-O1", "-fPIC", "-shared", "-U_FORTIFY_SOURCE",
               "-ffp-contract=off"]  # fmt: skip
        command += ["-Wno-unknown-pragmas", "-x", "c++", "-", "-o", str(mine)]
        done = subprocess.run(command, input=source, capture_output=True, text=True)
        if done.returncode:
            raise EmulationError(f"the kernels are not C++:\n{done.stderr[:4000]}")
        mine.replace(built)
    return ctypes.CDLL(str(built))


def run(text, kernels, kernel, grid, threads, arguments, shared_bytes=0, order="ascending"):
    """Run one kernel of a source on arrays, which it changes, and numbers."""
    guarded, pointers, arrays = [], [], []
    for value in arguments:
        if isinstance(value, np.ndarray):
            buffer = np.full(value.nbytes + 2 * _MARGIN, _FILL, dtype=np.uint8)
            inside = buffer[_MARGIN : _MARGIN + value.nbytes]
            inside[:] = np.frombuffer(value.tobytes(), dtype=np.uint8)
            guarded.append(buffer)
            arrays.append((value, buffer, inside))
            pointers.append(ctypes.c_void_p(inside.ctypes.data))
        else:
            pointers.append(np.ctypeslib.as_ctypes(np.array(value)))
    table = (ctypes.c_void_p * len(pointers))(
        *(ctypes.cast(ctypes.byref(item), ctypes.c_void_p) for item in pointers)
    )
    entry = getattr(library(text, tuple(kernels)), f"run_{kernel}")
    dims = (ctypes.c_uint * 3)(*(*grid, 1, 1)[:3])
    outcome = entry(
        dims, ctypes.c_uint(threads), ctypes.c_size_t(shared_bytes), table,
        ctypes.c_int(ORDERS[order]), ctypes.c_uint(7),
    )  # fmt: skip
    if outcome:
        raise EmulationError(f"{kernel} has {OUTCOMES[outcome]}.")
    for value, buffer, inside in arrays:
        if np.any(buffer[:_MARGIN] != _FILL) or np.any(buffer[-_MARGIN:] != _FILL):
            raise EmulationError(f"{kernel} writes outside of an array of shape {value.shape}.")
        found = inside.view(value.dtype).reshape(value.shape)
        if value.flags.writeable:
            value[...] = found
        elif found.tobytes() != value.tobytes():
            raise EmulationError(f"{kernel} writes to a read-only array of shape {value.shape}.")


def kernels_of(module):
    """Return the names of the kernels of a module."""
    from sparsereg.gpu import launch

    return [name for name, found in launch._signatures().items() if found.module == module]


class EmulatedDevice:
    """A device whose memory is the host's."""

    xp = np
    max_shared_bytes = 227 << 10

    def __init__(self, order="ascending"):
        self.order = order
        self.launches = 0

    def launch(self, kernel, real, grid, threads, args, shared_bytes=0):
        checked = check_arguments(kernel, real, args)
        module = signature_of(kernel).module
        with _one_at_a_time:
            self.launches += 1
            run(
                source_of(module, real), kernels_of(module), kernel, grid, threads, checked,
                shared_bytes, self.order,
            )  # fmt: skip

    def csc(self, X):
        return sparse.csc_array(X)

    def to_host(self, array):
        return np.asarray(array)

    @contextmanager
    def at_work(self, what):
        yield


class EmulatedBackend(DeviceBackend):
    """The backend of CUDA devices on an emulated one."""

    name = "emulated"

    def __init__(self, order="ascending"):
        self.device = EmulatedDevice(order)

    def owns(self, X):
        return False

    def device_of(self, X):
        return self.device
