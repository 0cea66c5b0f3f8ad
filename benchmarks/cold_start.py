"""Family "cold-start": what a new Python process pays before it has a first answer.

Every timing is of a fresh process with its own clock, started after the interpreter is up and
before anything is imported. All processes share one temporary folder for compiled kernels, so that
the user's own cache is neither used nor touched:

- *import*: ``import sparsereg`` alone, which loads no estimator, so that no peer stands beside it;
- *import Lasso*: the estimator's class;
- *first fit*: imports, 100 x 500 numbers and one lasso fit, with the kernels already in that
  folder; a peer that cannot cache what it compiles pays each time, as its users do;
- *cold fit*: the same with an empty folder;
- *compile command*: ``python -m sparsereg compile``: every kernel, on all processors;
- *all kernels*: the fits of that command one after the other in one process, with an empty folder,
  and again with compiled kernels. Kernels that they do not meet are listed with the results.

With compiled kernels at hand a throw-away process comes first, which also leaves the files of the
package in the page cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from . import environment, report
from .protocol import OURS

__all__ = ["HEAVY_MODULES", "measure", "run"]

# What `import sparsereg` must leave to those who use it.
HEAVY_MODULES = ("numba", "scipy.sparse", "sklearn", "torch", "matplotlib", "pandas", "cupy")

_TIME_LIMIT = 300.0

# The clock of a child; what it prints last is read as JSON. Numba's dispatchers know whether a
# kernel was compiled or loaded.
_TIMED = """
import time
_start = time.perf_counter()
{code}
_seconds = time.perf_counter() - _start
import json, sys
_kernels = {{
    module.__name__.rpartition(".")[2] + "." + name: bool(value.signatures)
    for module in list(sys.modules.values())
    if module.__name__.startswith("sparsereg.backends.numba")
    for name, value in vars(module).items()
    if hasattr(value, "py_func") and value.py_func.__module__ == module.__name__
}}
print(json.dumps({{"seconds": _seconds, "kernels": _kernels}}))
"""

_MODULES = """
import json, sys
_before = set(sys.modules)
import sparsereg
print(json.dumps(sorted(set(sys.modules) - _before)))
"""

_FIRST_FIT = """
import numpy as np
from {module} import Lasso
rng = np.random.default_rng(0)
X = np.asfortranarray(rng.standard_normal((100, 500)))
y = X[:, 0] + rng.standard_normal(100)
Lasso(alpha=0.1).fit(X, y)
"""

# One after the other in one process: small problems, so that nearly all of the time goes into
# compiling; the same with compiled kernels shows how much does not.
_ALL_KERNELS = """
from sparsereg.commands.compile import EXERCISES, exercise
for name in EXERCISES:
    exercise(name)
"""

# What users are told to run: the same on all processors.
_COMPILE = """
import subprocess, sys
subprocess.run([sys.executable, "-m", "sparsereg", "compile"], check=True, capture_output=True)
"""


@dataclass(frozen=True)
class Case:
    """One thing to time.

    Attributes
    ----------
    what : str
    package : str
        Name of the distribution.
    code : str
        Python source.
    target : float or None
        Seconds allowed by the design.
    empty_cache : bool
        Whether each process starts without compiled kernels.
    """

    what: str
    package: str
    code: str
    target: float | None = None
    empty_cache: bool = False


CASES = (
    Case("import", OURS, "import sparsereg", target=0.3),
    Case("import Lasso", OURS, "from sparsereg import Lasso"),
    Case("import Lasso", "scikit-learn", "from sklearn.linear_model import Lasso"),
    Case("import Lasso", "celer", "from celer import Lasso"),
    Case("import Lasso", "skglm", "from skglm import Lasso"),
    Case("first fit", OURS, _FIRST_FIT.format(module="sparsereg"), target=1.5),
    Case("first fit", "scikit-learn", _FIRST_FIT.format(module="sklearn.linear_model")),
    Case("first fit", "celer", _FIRST_FIT.format(module="celer")),
    Case("first fit", "skglm", _FIRST_FIT.format(module="skglm")),
    Case("cold fit", OURS, _FIRST_FIT.format(module="sparsereg"), empty_cache=True),
    Case("cold fit", "skglm", _FIRST_FIT.format(module="skglm"), empty_cache=True),
    Case("compile command", OURS, _COMPILE, target=20.0, empty_cache=True),
    Case("all kernels", OURS, _ALL_KERNELS, target=20.0, empty_cache=True),
    Case("all kernels, again", OURS, _ALL_KERNELS),
)


def run(
    *,
    quick: bool,
    output: Path | None,
    repeats: int | None = None,
    time_limit: float | None = None,
) -> None:
    """Run the family and write ``cold-start.json`` and ``cold-start.md``, or ``-quick``.

    There is no limit to the time of a fresh process: ``time_limit`` is not used.
    """
    results = measure(
        CASES, repeats or (3 if quick else 7), 1 if quick else 3, Console(stderr=True)
    )
    report.write(results, "cold-start-quick" if quick else "cold-start", output)


def measure(
    cases: tuple[Case, ...], repeats: int, cold_repeats: int, console: Console
) -> dict[str, Any]:
    """Time every case in fresh processes.

    Parameters
    ----------
    cases : tuple of Case
    repeats : int
        Processes behind a median.
    cold_repeats : int
        The same for cases that start without compiled kernels.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    packages = list(dict.fromkeys(case.package for case in cases))
    installed = {name for name in packages if name == OURS or environment.version(name)}
    first = environment.heading(
        "cold-start", packages, installed, repeats=repeats, cold_repeats=cold_repeats
    )
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            if case.package in installed:
                with console.status(f"{case.what}: {case.package}"):
                    count = cold_repeats if case.empty_cache else repeats
                    measurements.append(_measure_case(case, count, Path(folder)))
        modules = _child(_MODULES, Path(folder), Path(folder))
    return {
        **first,
        "imports": {
            "heavy_modules": list(HEAVY_MODULES),
            "heavy_modules_loaded": [name for name in HEAVY_MODULES if name in (modules or ())],
            "n_modules": len(modules or ()),
        },
        "measurements": measurements,
    }


def _measure_case(case: Case, repeats: int, folder: Path) -> dict[str, Any]:
    seconds: list[float] = []
    kernels: dict[str, bool] = {}
    why = None
    throw_away = 0 if case.empty_cache else 1
    for k in range(throw_away + repeats):
        with tempfile.TemporaryDirectory() as empty:
            cache = Path(empty) if case.empty_cache else folder / "kernels"
            result = _child(_TIMED.format(code=case.code), cache, folder)
        if result is None:
            why = "failed"
            break
        if k >= throw_away:
            seconds.append(result["seconds"])
            kernels = result["kernels"]
    middle = median(seconds) if seconds else None
    return {
        "what": case.what,
        "package": case.package,
        "seconds": seconds,
        "median": middle,
        "target_seconds": case.target,
        "met": None if case.target is None or middle is None else middle < case.target,
        "why": why,
        "kernels_met": sorted(name for name, met in kernels.items() if met),
        "kernels_not_met": sorted(name for name, met in kernels.items() if not met),
    }


def _child(code: str, kernel_cache: Path, folder: Path) -> Any:
    """Run code in a fresh interpreter, away from the source tree; None if it fails."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            cwd=folder,
            env={**os.environ, "NUMBA_CACHE_DIR": str(kernel_cache)},
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    return json.loads(child.stdout.splitlines()[-1])
