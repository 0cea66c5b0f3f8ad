"""The protocol: same data, same accuracy, our objective for everybody.

For each problem:

1. Reference. Every solver in turn is run tightly and its answer polished, until the best objective
   and the best dual bound are so close (`CERTIFIED`) that the optimum P* is known, whoever found
   it. A better objective met later replaces it.
2. Sweep. Each solver's own tolerance is lowered a decade at a time, after a throw-away fit, until
   (P - P*) / P* is below the hardest target or a fit takes longer than the limit. Around each
   target the tolerance is then refined by bisection, because a decade can overshoot.
3. Choice. For each target, the fastest run that reaches it is repeated; its median counts. A
   package may enter several variants of itself: its best one counts, target by target.
4. Ratio. Ours over the fastest peer. Cells that one side never reaches have no ratio and are
   counted apart, because leaving them out in silence would flatter whoever fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import geometric_mean, median
from typing import Any

import numpy as np

from .problem import Matrix, Problem, Vector, dual_objective, objective, polish
from .worker import Answer, Fit

__all__ = [
    "CERTIFIED",
    "Protocol",
    "Reference",
    "Run",
    "Solver",
    "cells",
    "fastest",
    "find_reference",
    "summarize",
    "sweep",
]

# Relative duality gap below which the reference optimum is exact for every target.
CERTIFIED = 1e-10

_DECADES = tuple(10.0**-k for k in range(1, 15))
# Bisecting a bracket whose ends take nearly the same time cannot change the result.
_WORTH_REFINING = 1.1


@dataclass(frozen=True)
class Protocol:
    """How accurately, how often and how long.

    Attributes
    ----------
    targets : tuple of float
        Relative objective errors, hardest last.
    repeats : int
        Timings behind each reported median.
    time_limit : float
        Seconds for one fit.
    cheap : float
        A run is repeated at once while its timings sum to less than this many seconds.
    bisections : int
        Refinements of the tolerance around each target.
    """

    targets: tuple[float, ...] = (1e-4, 1e-6, 1e-8)
    repeats: int = 5
    time_limit: float = 60.0
    cheap: float = 1.0
    bisections: int = 2


@dataclass(frozen=True)
class Solver:
    """One way of one package to solve the problem.

    Attributes
    ----------
    name : str
    package : str
        Name of the distribution; the variants of a package share it.
    fit : callable
        ``(problem, tol) -> coef``, a module-level function.
    accepts : callable
        Whether the solver can take such an X.
    tolerances : tuple of float
        Loosest first; a direct method has one.
    blas_threads : int or None
        Two threads of BLAS can be slower than one, on small matrices or a busy machine, which a
        user would set by OMP_NUM_THREADS.
    """

    name: str
    package: str
    fit: Fit
    accepts: Callable[[Matrix], bool] = lambda X: True
    tolerances: tuple[float, ...] = _DECADES
    blas_threads: int | None = None


@dataclass
class Run:
    """The timings of one solver at one tolerance, and how good its answer is."""

    solver: str
    package: str
    tol: float
    status: str
    seconds: list[float]
    objective: float = np.inf
    n_nonzero: int | None = None
    peak_mib: float | None = None

    @classmethod
    def of(cls, solver: Solver, tol: float, answer: Answer, problem: Problem) -> Run:
        """Judge an answer with our own objective."""
        run = cls(solver.name, solver.package, tol, answer.status, [answer.seconds])
        if answer.coef is not None and np.isfinite(answer.coef).all():
            run.objective = objective(problem, answer.coef)
            run.n_nonzero = int(np.count_nonzero(answer.coef))
            run.peak_mib = answer.peak_mib
        return run

    @property
    def median(self) -> float:
        """Median of the timings."""
        return median(self.seconds)


@dataclass
class Reference:
    """The best objective known, and what proves it.

    Attributes
    ----------
    objective : float
    lower_bound : float
        The best dual objective.
    by : str
        The solver that found it, "polished" if its support was solved for directly.
    n_nonzero : int
    """

    objective: float = np.inf
    lower_bound: float = 0.0
    by: str = "none"
    n_nonzero: int = 0

    @property
    def relative_gap(self) -> float:
        """A bound on the relative error of the reference itself."""
        if not np.isfinite(self.objective):
            return np.inf
        return max(self.objective - self.lower_bound, 0.0) / self.objective

    @property
    def certified(self) -> bool:
        """Whether it is good enough to judge every target by."""
        return self.relative_gap <= CERTIFIED

    def error(self, run: Run) -> float:
        """Return the relative objective error of a run; infinite if it has no answer."""
        if not (np.isfinite(run.objective) and np.isfinite(self.objective)):
            return np.inf
        return (run.objective - self.objective) / self.objective

    def improve(self, runs: Iterable[Run]) -> None:
        """Take over the best objective among the runs if it is better."""
        best = min(runs, key=lambda run: run.objective, default=None)
        if best is not None and best.objective < self.objective:
            self.objective, self.by = best.objective, best.solver
            self.n_nonzero = best.n_nonzero or 0


def find_reference(
    problem: Problem, solutions: Iterable[tuple[str, Callable[[], Vector | None]]]
) -> Reference:
    """Return the best of the solutions, polished; stop at the first that is certified.

    Parameters
    ----------
    problem : Problem
    solutions : iterable of (name, callable)
        A callable returns coefficients, or None if its solver failed.
    """
    best = Reference()
    for name, solve in solutions:
        coef = solve()
        if coef is None or not np.isfinite(coef).all():
            continue
        polished = polish(problem, coef)
        value = objective(problem, polished)
        best.lower_bound = max(best.lower_bound, dual_objective(problem, polished))
        if value < best.objective:
            best.objective, best.n_nonzero = value, int(np.count_nonzero(polished))
            best.by = name if polished is coef else f"{name}, polished"
        if best.certified:
            break
    return best


def sweep(
    attempt: Callable[[float], Run],
    tolerances: Sequence[float],
    reference: Reference,
    protocol: Protocol,
) -> list[Run]:
    """Run a solver at ever smaller tolerances, as the head of this module describes.

    Parameters
    ----------
    attempt : callable
        Fits once at the given tolerance.
    tolerances : sequence of float
        Loosest first.
    reference : Reference
    protocol : Protocol

    Returns
    -------
    list of Run
        One for each tolerance tried.
    """
    throw_away = attempt(tolerances[0])
    if throw_away.status != "ok":
        return [throw_away]

    # 1) from loose to tight
    runs: list[Run] = []
    for tol in tolerances:
        runs.append(_repeat_if_cheap(attempt, tol, protocol))
        if runs[-1].status != "ok" or reference.error(runs[-1]) <= min(protocol.targets):
            break

    # 2) between the tolerances on both sides of a target
    for target in protocol.targets:
        for _ in range(protocol.bisections):
            between = _between(runs, target, reference)
            if between is None:
                break
            runs.append(_repeat_if_cheap(attempt, between, protocol))

    # 3) the runs that count
    for target in protocol.targets:
        winner = fastest(runs, target, reference)
        if winner is not None:
            _repeat(winner, attempt, protocol.repeats)
    return runs


def fastest(runs: Iterable[Run], target: float, reference: Reference) -> Run | None:
    """Return the fastest run that reaches the target, or None."""
    reaching = [run for run in runs if run.status == "ok" and reference.error(run) <= target]
    return min(reaching, key=lambda run: run.median, default=None)


def cells(
    runs: Sequence[Run], reference: Reference, targets: Sequence[float], ours: str
) -> list[dict[str, Any]]:
    """Compare the packages at each target.

    Parameters
    ----------
    runs : sequence of Run
        Of all solvers, for one problem.
    reference : Reference
    targets : sequence of float
    ours : str
        The package that the ratio puts on top.

    Returns
    -------
    list of dict
        For each target: ``target``, ``packages`` (the chosen run of each, or why there is none),
        ``fastest_peer`` and ``ratio``, which is None where one side has no run.
    """
    table = []
    packages = list(dict.fromkeys(run.package for run in runs))
    for target in targets:
        chosen = {
            package: fastest((run for run in runs if run.package == package), target, reference)
            for package in packages
        }
        peers = {name: run for name, run in chosen.items() if run is not None and name != ours}
        peer = min(peers, key=lambda name: peers[name].median, default=None)
        own = chosen.get(ours)
        table.append(
            {
                "target": target,
                "packages": {
                    name: _never(runs, name) if run is None else _reached(run)
                    for name, run in chosen.items()
                },
                "fastest_peer": peer,
                "ratio": own.median / peers[peer].median if own and peer else None,
            }
        )
    return table


def summarize(table: Sequence[dict[str, Any]], ours: str) -> list[dict[str, Any]]:
    """Summarize cells: for each target and for all together, the geometric mean of the ratios.

    Parameters
    ----------
    table : sequence of dict
        Cells of many problems, as `cells` returns them.
    ours : str

    Returns
    -------
    list of dict
        ``target`` (None for all), ``geometric_mean``, ``n_ratios``, ``n_faster`` (ratio below
        one), ``only_peers`` and ``only_ours`` (cells that the other side never reaches).
    """
    return [
        _summary([cell for cell in table if target in (None, cell["target"])], target, ours)
        for target in [*dict.fromkeys(cell["target"] for cell in table), None]
    ]


def _summary(table: Sequence[dict[str, Any]], target: float | None, ours: str) -> dict[str, Any]:
    ratios = [cell["ratio"] for cell in table if cell["ratio"] is not None]
    own_times = [cell["packages"].get(ours, {}).get("seconds") for cell in table]
    has_peer = [cell["fastest_peer"] is not None for cell in table]
    return {
        "target": target,
        "geometric_mean": geometric_mean(ratios) if ratios else None,
        "n_ratios": len(ratios),
        "n_faster": sum(ratio < 1 for ratio in ratios),
        "only_peers": sum(own is None and peer for own, peer in zip(own_times, has_peer)),
        "only_ours": sum(own is not None and not peer for own, peer in zip(own_times, has_peer)),
    }


def _repeat_if_cheap(attempt: Callable[[float], Run], tol: float, protocol: Protocol) -> Run:
    run = attempt(tol)
    while (
        run.status == "ok"
        and len(run.seconds) < protocol.repeats
        and sum(run.seconds) < protocol.cheap
    ):
        _repeat(run, attempt, len(run.seconds) + 1)
    return run


def _repeat(run: Run, attempt: Callable[[float], Run], repeats: int) -> None:
    while len(run.seconds) < repeats:
        again = attempt(run.tol)
        if again.status != "ok":  # what does not succeed every time does not count
            run.status = again.status
            return
        run.seconds += again.seconds


def _between(runs: Sequence[Run], target: float, reference: Reference) -> float | None:
    """Return the middle of the bracket of the target, or None if refining cannot pay."""
    by_tol = sorted((run for run in runs if run.status == "ok"), key=lambda run: -run.tol)
    for miss, hit in pairwise(by_tol):
        if reference.error(hit) <= target:
            reached_before = reference.error(miss) <= target
            if reached_before or hit.median <= _WORTH_REFINING * miss.median:
                return None
            return float(np.sqrt(miss.tol * hit.tol))
    return None


def _reached(run: Run) -> dict[str, Any]:
    return {
        "seconds": run.median,
        "repeats": len(run.seconds),
        "solver": run.solver,
        "tol": run.tol,
        "peak_mib": run.peak_mib,
    }


def _never(runs: Sequence[Run], package: str) -> dict[str, Any]:
    failures = {run.status for run in runs if run.package == package and run.status != "ok"}
    return {"seconds": None, "why": ", ".join(sorted(failures)) or "stalled"}
