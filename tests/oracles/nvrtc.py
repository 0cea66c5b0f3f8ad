"""NVRTC through ctypes: CUDA source to binary code, without a driver, a device or CuPy."""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path


class CompilationError(RuntimeError):
    """The log of the compiler."""


@cache
def library():
    """Return the library of the installed wheel, or None."""
    spec = find_spec("nvidia")
    folders = [Path(folder) for folder in spec.submodule_search_locations] if spec else []
    found = [file for folder in folders for file in folder.glob("*/lib/libnvrtc.so.*")]
    return ctypes.CDLL(str(found[0])) if found else None


def compile_cuda(source, architecture, options=()):
    """Return the binary code of a source for an architecture such as "sm_90", and the log."""
    nvrtc, program = library(), ctypes.c_void_p()
    create = nvrtc.nvrtcCreateProgram
    if create(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None):
        raise CompilationError("NVRTC does not start.")
    options = [f"--gpu-architecture={architecture}", "-std=c++17", "-ftz=true", *options]
    options = [option.encode() for option in options]
    failed = nvrtc.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*options)
    )
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    if failed:
        raise CompilationError(log.value.decode())
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    code = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, code)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code.raw, log.value.decode()
