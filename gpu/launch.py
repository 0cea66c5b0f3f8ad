"""Kernel sources, their signatures, and the check of every launch.

CUDA passes arguments as bare addresses: an array of the wrong type or with strides would be read as
something else. What a kernel takes is read from its source, so there is one place that says it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

__all__ = ["MODULES", "OPTIONS", "Signature", "check_arguments", "signature_of", "source_of"]

#: The files of each module, in the order in which they are put together.
MODULES: dict[str, tuple[str, ...]] = {
    "passes": ("common.cuh", "passes.cu"),
    "batch": ("common.cuh", "penalties.cuh", "batch.cu"),
    "reports": ("common.cuh", "hashing.cuh", "reports.cu"),
    "peeling": ("common.cuh", "hashing.cuh", "peeling.cu"),
    "patterns": ("common.cuh", "hashing.cuh", "patterns.cu"),
}

#: What each module asks of the compiler. Peeling has the bits of the CPU: products are rounded.
OPTIONS: dict[str, tuple[str, ...]] = {"peeling": ("--fmad=false",)}

_KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(([^)]*)\)')
_TYPES: dict[str, type] = {
    "double": np.float64,
    "float": np.float32,
    "int": np.int32,
    "index_t": np.int64,
    "short": np.int16,
    "word_t": np.uint64,
    "bool": np.bool_,
}


class Parameter(NamedTuple):
    """A parameter of a kernel: its name, its type in CUDA, and whether it is an array."""

    name: str
    type: str
    is_array: bool


class Signature(NamedTuple):
    """Where a kernel is, and what it takes."""

    module: str
    parameters: tuple[Parameter, ...]


@cache
def _signatures() -> dict[str, Signature]:
    found = {}
    for module in MODULES:
        for name, parameters in _KERNEL.findall(_text(module)):
            parsed = tuple(_parameter(text) for text in parameters.split(","))
            found[name] = Signature(module, parsed)
    return found


def _parameter(text: str) -> Parameter:
    kind, name = text.replace("const ", "").split()
    return Parameter(name, kind.rstrip("*"), kind.endswith("*"))


def signature_of(kernel: str) -> Signature:
    """Return the signature of a kernel."""
    return _signatures()[kernel]


def source_of(module: str, real: np.dtype | type) -> str:
    """Return the text to compile for an X stored as ``real``, float32 or float64."""
    name = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}[np.dtype(real)]
    return f"#define REAL {name}\n{_text(module)}"


@cache
def _text(module: str) -> str:
    folder = resources.files(__package__) / "kernels"
    return "\n".join((folder / file).read_text(encoding="utf-8") for file in MODULES[module])


def check_arguments(
    kernel: str, real: np.dtype | type, arguments: Sequence[Any], device_id: int | None = None
) -> list[Any]:
    """Return the arguments of a launch, scalars in the type that the kernel reads.

    Parameters
    ----------
    kernel : str
    real : dtype
        How X is stored.
    arguments : sequence
        Arrays and numbers.
    device_id : int or None
        Where arrays have to be; None where there is one memory only.

    Raises
    ------
    TypeError
        If an array is of another type, not C-contiguous, or elsewhere; or if their number is wrong.
    """
    parameters = signature_of(kernel).parameters
    if len(arguments) != len(parameters):
        raise TypeError(
            f"Kernel {kernel!r} takes {len(parameters)} arguments, not {len(arguments)}."
        )
    checked = []
    for parameter, value in zip(parameters, arguments):
        dtype = np.dtype(real if parameter.type == "real" else _TYPES[parameter.type])
        if not parameter.is_array:
            checked.append(dtype.type(value))
            continue
        is_right = hasattr(value, "flags") and value.dtype == dtype and value.flags.c_contiguous
        if not is_right:
            raise TypeError(
                f"Kernel {kernel!r} reads {parameter.name!r} as a C-contiguous {dtype} array, but "
                f"got {_described(value)}."
            )
        if device_id is not None and value.device.id != device_id:
            raise TypeError(
                f"Kernel {kernel!r} runs on device {device_id}, but {parameter.name!r} is on "
                f"device {value.device.id}. All arrays of a fit must be on the device of X."
            )
        checked.append(value)
    return checked


def _described(value: Any) -> str:
    if not hasattr(value, "flags"):
        return f"a {type(value).__name__}"
    return f"{'a' if value.flags.c_contiguous else 'a strided'} {value.dtype} array"
