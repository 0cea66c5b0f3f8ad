"""Every kernel compiles for every architecture, by NVRTC from its wheel and by nvcc."""

import re
import shutil
import subprocess

import numpy as np
import nvrtc
import pytest
from sparsereg.gpu.launch import MODULES, OPTIONS, source_of

ARCHITECTURES = ["sm_75", "sm_80", "sm_90", "sm_100"]
# X appears in the passes, scores in the patterns
SOURCES = [
    ("passes", np.float32),
    ("passes", np.float64),
    ("batch", np.float64),
    ("reports", np.float64),
    ("peeling", np.float64),
    ("patterns", np.float32),
    ("patterns", np.float64),
]
# what the compiler puts aside around calls of the rarer penalties, in bytes
MOST_SPILLED = {"passes": 0, "batch": 64, "reports": 0, "peeling": 0, "patterns": 0}

needs_nvrtc = pytest.mark.skipif(
    nvrtc.library() is None, reason="the wheel nvidia-cuda-nvrtc is not installed"
)
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not here")


def test_every_module_is_among_the_sources():
    assert {module for module, _ in SOURCES} == set(MODULES)


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("module", "real"), SOURCES)
def test_nvrtc_compiles_without_a_warning(module, real, architecture):
    code, log = nvrtc.compile_cuda(source_of(module, real), architecture, OPTIONS.get(module, ()))
    assert code[:4] == b"\x7fELF"
    assert not log.strip()


@needs_nvrtc
def test_what_is_wrong_is_told_with_its_line():
    with pytest.raises(nvrtc.CompilationError, match=r"kernels\.cu\(2\): error"):
        nvrtc.compile_cuda("\n__global__ void f() { nobody(); }\n", "sm_80")


@needs_nvcc
@pytest.mark.parametrize(("module", "real"), SOURCES)
def test_registers_are_not_spilled(module, real, tmp_path):
    source = tmp_path / "kernels.cu"
    source.write_text(source_of(module, real))
    options = ["-arch=sm_90", "-Xptxas=-v", *OPTIONS.get(module, ())]
    command = ["nvcc", "-cubin", *options, "-o", "/dev/null", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    spilled = [int(size) for size in re.findall(r"(\d+) bytes spill stores", done.stderr)]
    assert spilled
    assert max(spilled) <= MOST_SPILLED[module]
