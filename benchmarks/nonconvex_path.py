"""Family "nonconvex-path": 100 alphas of MCP and SCAD, from the largest useful one to a hundredth.

Local minima cannot be compared by a common optimum. A path counts as solved when at every alpha the
answer is a coordinate-wise minimum to a given accuracy: the largest step from a coefficient to the
best value it could have by itself, in standard deviations of y, judged from the coefficients alone.

Every package is swept over tolerances, and its time is that of the loosest tolerance that is
accurate enough. Which minima it has found is a column of its own: the mean over the alphas of its
objective less ours, in units of the null objective. Columns are standardized and there is no
intercept; kernels are compiled before the clock starts. It is processor time, and BLAS and kernels
are expected to run on one thread.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from . import data, environment, report
from .problem import Vector
from .protocol import OURS

__all__ = ["SETTINGS", "Setting", "accuracy_of", "measure", "run"]

PEERS = ("skglm",)

_ACCURACIES = (1e-4, 1e-6)
_TOLERANCES = tuple(10.0**-k for k in range(2, 9))
_ALPHAS = np.geomspace(1, 0.01, 100)


@dataclass(frozen=True)
class Setting:
    """A penalty on rows with correlation rho^|i - j| between columns."""

    penalty: str
    gamma: float
    n: int
    p: int
    rho: float


_SHAPES = ((100, 300, 0.7), (500, 1000, 0.5), (200, 5000, 0.8), (2000, 500, 0.5), (1000, 5000, 0.5))
SETTINGS = tuple(
    Setting(penalty, gamma, *shape)
    for penalty, gamma in (("MCP", 3.0), ("SCAD", 3.7))
    for shape in _SHAPES
)

#: Called with (setting, X, y, alphas, tolerance); returns coefficients of shape (p, n_alphas).
Path_ = Callable[[Setting, Any, Vector, Vector, float], Vector]


def path_sparsereg(setting: Setting, X: Any, y: Vector, alphas: Vector, tol: float) -> Vector:
    from sparsereg import penalties, sparse_path

    penalty = getattr(penalties, setting.penalty)(gamma=setting.gamma)
    return sparse_path(X, y, penalty, alphas=alphas, tol=tol)[1]


def path_skglm(setting: Setting, X: Any, y: Vector, alphas: Vector, tol: float) -> Vector:
    from skglm.datafits import Quadratic
    from skglm.penalties import SCAD, MCPenalty
    from skglm.solvers import AndersonCD
    from skglm.utils.jit_compilation import compiled_clone

    family = {"MCP": MCPenalty, "SCAD": SCAD}[setting.penalty]
    solver = AndersonCD(tol=tol * alphas[0], fit_intercept=False, warm_start=True)
    penalty = compiled_clone(family(alphas[0], setting.gamma))
    return solver.path(X, y, compiled_clone(Quadratic()), penalty, alphas)[1]


PATHS: dict[str, Path_] = {OURS: path_sparsereg, "skglm": path_skglm}


def objectives(setting: Setting, X: Any, y: Vector, alphas: Vector, coefs: Vector) -> Vector:
    """Return the objective at each alpha, from formulas of its own."""
    size, gamma = np.abs(coefs), setting.gamma
    if setting.penalty == "MCP":
        inner = alphas * size - size**2 / (2 * gamma)
        values = np.where(size < gamma * alphas, inner, gamma * alphas**2 / 2)
    else:
        inner = (2 * gamma * alphas * size - size**2 - alphas**2) / (2 * (gamma - 1))
        values = np.where(size < gamma * alphas, inner, (gamma + 1) * alphas**2 / 2)
        values = np.where(size <= alphas, alphas * size, values)
    return np.mean((y[:, None] - X @ coefs) ** 2, axis=0) / 2 + values.sum(axis=0)


def accuracy_of(setting: Setting, X: Any, y: Vector, alphas: Vector, coefs: Vector) -> float:
    """Return the largest step over all alphas, for columns of mean square 1.

    At curvature 1 the best value of a coefficient by itself has a closed form.
    """
    gradient = X.T @ (y[:, None] - X @ coefs) / len(y)
    z, gamma = coefs + gradient, setting.gamma
    size = np.abs(z)
    soft = np.maximum(size - alphas, 0.0)
    if setting.penalty == "MCP":
        best = np.where(size < gamma * alphas, soft / (1 - 1 / gamma), size)
    else:
        middle = ((gamma - 1) * size - gamma * alphas) / (gamma - 2)
        best = np.where(size <= 2 * alphas, soft, np.where(size < gamma * alphas, middle, size))
    step = np.abs(np.copysign(best, z) - coefs)
    return float(step.max() / np.sqrt(np.mean(y**2)))


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``nonconvex-path.json`` and ``nonconvex-path.md``, or ``-quick``."""
    settings = tuple(s for s in SETTINGS if s.n * s.p <= 500_000) if quick else SETTINGS
    results = measure(settings, repeats or 3, time_limit or 60.0, Console(stderr=True))
    report.write(results, "nonconvex-path-quick" if quick else "nonconvex-path", output)


def measure(
    settings: tuple[Setting, ...], repeats: int, time_limit: float, console: Console
) -> dict[str, Any]:
    """Time every installed package on every setting.

    Parameters
    ----------
    settings : tuple of Setting
    repeats : int
        Timings behind each median.
    time_limit : float
        Seconds of a path after which no tighter tolerance of a package is tried.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    installed = [name for name in PATHS if name == OURS or environment.version(name)]
    first = environment.heading(
        "nonconvex-path", [OURS, *PEERS], installed, repeats=repeats, time_limit=time_limit
    )
    cells = []
    for setting in settings:
        X, y = data.toeplitz(setting.n, setting.p, setting.rho)
        alphas = _ALPHAS * np.max(np.abs(X.T @ y)) / setting.n
        with console.status(f"{setting}"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = {
                name: _sweep(PATHS[name], setting, X, y, alphas, repeats, time_limit)
                for name in installed
            }
        for accuracy in _ACCURACIES:
            entry = {name: answers[name].get(accuracy) for name in installed}
            ours = entry[OURS]
            packages = {
                name: answer and _compared(answer, ours, 0.5 * float(np.mean(y**2)))
                for name, answer in entry.items()
            }
            cells.append({"setting": asdict(setting), "accuracy": accuracy, "packages": packages})
    return {
        **first,
        "local_paths": cells,
    }


def _compared(
    answer: dict[str, Any], ours: dict[str, Any] | None, null_objective: float
) -> dict[str, Any]:
    """Return time, tolerance, and the mean of the objectives less ours."""
    excess = None
    if ours is not None:
        excess = float(np.mean(answer["objectives"] - ours["objectives"])) / null_objective
    return {"seconds": answer["seconds"], "tol": answer["tol"], "excess": excess}


def _sweep(
    path: Path_,
    setting: Setting,
    X: Any,
    y: Vector,
    alphas: Vector,
    repeats: int,
    time_limit: float,
) -> dict[float, dict[str, Any]]:
    """Return, for each accuracy, time and objectives at the loosest tolerance that reaches it."""
    path(setting, X[:, :20].copy(order="F"), y, alphas[:3], 1e-3)  # compiles
    reached: dict[float, dict[str, Any]] = {}
    for tol in _TOLERANCES:
        seconds, coefs = _timed(path, setting, X, y, alphas, tol)
        accuracy = accuracy_of(setting, X, y, alphas, coefs)
        wanted = [goal for goal in _ACCURACIES if goal not in reached and accuracy <= goal]
        if wanted:
            more = [_timed(path, setting, X, y, alphas, tol)[0] for _ in range(repeats - 1)]
            values = objectives(setting, X, y, alphas, coefs)
            for goal in wanted:
                answer = {"seconds": median([seconds, *more]), "tol": tol, "objectives": values}
                reached[goal] = answer
        if len(reached) == len(_ACCURACIES) or seconds > time_limit:
            break
    return reached


def _timed(
    path: Path_, setting: Setting, X: Any, y: Vector, alphas: Vector, tol: float
) -> tuple[float, Vector]:
    start = time.process_time()
    coefs = path(setting, X, y, alphas, tol)
    return time.process_time() - start, np.asarray(coefs, dtype=np.float64)
