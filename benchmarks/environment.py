"""What a timing depends on: processor, threads, versions. No names of hosts, users or folders.

A package whose dependencies do not go with ours can have an environment of its own: the environment
variable SPARSEREG_BENCH_PYTHON_<PACKAGE>, such as SPARSEREG_BENCH_PYTHON_ADELIE, names the Python
interpreter in which it is installed, together with threadpoolctl. glmnet is used where ``Rscript``
is on the PATH and R has it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["describe", "how_to_install", "interpreter", "version"]

_CORE = ("numpy", "scipy", "numba", "scikit-learn")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


_IN_R = ("glmnet",)
_VERSION = "from importlib import metadata; import threadpoolctl; print(metadata.version({!r}))"
_R_VERSION = "cat(as.character(packageVersion({!r})))"


def interpreter(package: str) -> str:
    """Return the Python interpreter that a package's fits run under."""
    return os.environ.get(_variable(package), sys.executable)


def version(package: str) -> str | None:
    """Return the version of a package that would be measured, or None if there is none."""
    if package in _IN_R:
        r = shutil.which("Rscript")
        return _output(r, "-e", _R_VERSION.format(package)) if r else None
    python = interpreter(package)
    if python != sys.executable:
        return _output(python, "-c", _VERSION.format(package))
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def how_to_install(package: str) -> str:
    """Return half a sentence for a report in which a package is missing."""
    if package in _IN_R:
        return "it needs Rscript on the PATH and the R package of that name"
    return f"install it, or name an interpreter that has it by {_variable(package)}"


def describe(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Describe this machine and what is installed.

    Parameters
    ----------
    packages : iterable of str
        Whose versions to record besides the core dependencies'.
    """
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "usable_cpus": _usable_cpus(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "thread_variables": {
            name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ
        },
        "versions": {name: version(name) for name in dict.fromkeys([*_CORE, *packages])},
    }


def heading(
    family: str, packages: Sequence[str], installed: Collection[str], **options: Any
) -> dict[str, Any]:
    """Return what every family says first: its name, when, where, and which packages take part.

    To be called before anything is timed: it notes the load of the machine.

    Parameters
    ----------
    family : str
    packages, installed : collections of str
        All that could take part, and those that are here.
    **options
        The protocol.
    """
    return {
        "family": family,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": describe(packages),
        "protocol": options,
        "not_installed": {name: how_to_install(name) for name in packages if name not in installed},
    }


def _variable(package: str) -> str:
    return f"SPARSEREG_BENCH_PYTHON_{package.upper().replace('-', '_')}"


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _usable_cpus() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
