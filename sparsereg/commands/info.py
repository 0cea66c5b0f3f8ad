"""``python -m sparsereg info``: what a bug report needs to say about the machine."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click

from sparsereg.commands.messages import plain_console

# Names on the index; the first one installed counts, because CuPy has one for each CUDA version.
_DISTRIBUTIONS = {
    "sparsereg": ["scikit-sparsereg"],
    "numpy": ["numpy"],
    "scipy": ["scipy"],
    "numba": ["numba"],
    "scikit-learn": ["scikit-learn"],
    "cupy": ["cupy-cuda13x", "cupy-cuda12x", "cupy"],
    "torch": ["torch"],
    "matplotlib": ["matplotlib"],
}


@click.command()
def info() -> None:
    """Show versions, backends, threads and the cache of compiled kernels."""
    from rich.table import Table

    console = plain_console()
    sections = {
        "Versions": _versions,
        "Backends": _backends,
        "Threads": _threads,
        "Compiled kernels": _cache,
    }
    for title, facts in sections.items():
        table = Table(title=title, title_justify="left", show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts():
            table.add_row(name, value)
        console.print(table)


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", f"{platform.python_version()} ({sys.platform}, {platform.machine()})"
    for name, distributions in _DISTRIBUTIONS.items():
        yield name, next(filter(None, map(_version, distributions)), "not installed")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _backends() -> Iterator[tuple[str, str]]:
    from sparsereg.backends import list_backends

    for name, available, why in list_backends():
        yield name, "available" if available else f"unavailable: {why}"
    yield "SPARSEREG_BACKEND", os.environ.get("SPARSEREG_BACKEND", "not set")
    yield "used for NumPy arrays", _default_backend()


def _default_backend() -> str:
    import numpy as np

    from sparsereg.backends import resolve_backend

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            name = resolve_backend("auto", np.empty((1, 1))).name
        except (RuntimeError, ValueError) as error:
            return f"none: {error}"
    return " ".join([name, *(f"({warning.message})" for warning in caught)])


def _threads() -> Iterator[tuple[str, str]]:
    import scipy.linalg  # noqa: F401  (loads the BLAS of SciPy, which need not be NumPy's)
    from threadpoolctl import threadpool_info

    from sparsereg.backends.numba.threads import n_threads

    yield "cpu count", str(os.cpu_count())
    yield "numba threads", f"{n_threads()} (NUMBA_NUM_THREADS changes it)"
    for pool in threadpool_info():
        library = f"{pool['internal_api']} {pool['version'] or ''}".strip()
        yield f"{pool['user_api']} threads", f"{pool['num_threads']} ({library})"


def _cache() -> Iterator[tuple[str, str]]:
    yield "NUMBA_CACHE_DIR", os.environ.get("NUMBA_CACHE_DIR", "not set")
    folder = _cache_folder()
    if folder is None:
        yield "folder", "none: no folder is writable, and every process compiles anew"
        return
    yield "folder", str(folder)
    sizes = [path.stat().st_size for path in folder.glob("*.nbc")]
    yield "holds", f"{len(sizes)} compiled signatures, {sum(sizes) / 1e6:.1f} MB"


def _cache_folder() -> Path | None:
    """Return the folder that numba chose: beside the kernels, the user's, or the one set."""
    from numba.core.dispatcher import Dispatcher

    from sparsereg.backends.numba import descent

    kernels = [value for value in vars(descent).values() if isinstance(value, Dispatcher)]
    folder = kernels[0].stats.cache_path
    return Path(folder) if folder else None
