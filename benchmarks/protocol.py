"""The protocol: same data, same accuracy, our objective for everybody.

One protocol serves single fits and paths: a path is a problem with several alphas, and its error
the worst over them. For each problem:

1. Reference. Every package in turn is run tightly, and its answer polished where that helps, until
   at each alpha the best objective and the best dual bound are so close (`CERTIFIED` times the
   hardest target) that the optimum P* is known, whoever found it. A better objective met later
   replaces it.
2. Sweep. Each solver's own tolerance is lowered a decade at a time, after a throw-away fit, until
   (P - P*) / scale is below the hardest target at every alpha or a fit takes longer than the limit.
   The scale is P* for single fits and P(0), the null objective, for paths. Around each target the
   tolerance is then refined by bisection, because a decade can overshoot. Who reports a duality gap
   to this protocol (we do) must bring that below the target, too.
3. Choice. For each target, the fastest run that reaches it is repeated; its median counts. A
   package may enter several variants of itself: its best one counts, target by target.
4. Ratio. Ours over the fastest peer. Cells that one side never reaches have no ratio and are
   counted apart, because leaving them out in silence would flatter whoever fails.

5. Memory. Each run that counts is repeated once more, out of competition, for its peak memory.

The duality gap of every answer is also computed from its coefficients alone, and recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import geometric_mean, median
from typing import Any

import numpy as np

from .data import Dataset
from .problem import Matrix, Problem, Vector, judge, null_objective, polish
from .worker import Answer, Fit

__all__ = [
    "CERTIFIED",
    "OURS",
    "Family",
    "Protocol",
    "Reference",
    "Run",
    "Solver",
    "Target",
    "cells",
    "fastest",
    "find_reference",
    "repeat",
    "summarize",
    "sweep",
    "tightened",
    "verdict",
]

OURS = "scikit-sparsereg"

# Gap of the reference, in units of the hardest target, below which it can judge every target.
CERTIFIED = 0.1

_DECADES = tuple(10.0**-k for k in range(1, 15))
_MAX_TIGHTENED = 5
# Bisecting a bracket whose ends take nearly the same time cannot change the result.
_WORTH_REFINING = 1.1


@dataclass(frozen=True)
class Protocol:
    """How accurately, how often and how long.

    Attributes
    ----------
    targets : tuple of float
        Objective errors relative to the family's scale, hardest last.
    repeats : int
        Timings behind each reported median.
    time_limit : float
        Seconds for one fit, path or, times the paths it takes, cross-validation.
    cheap : float
        A run is repeated at once while its timings sum to less than this many seconds.
    bisections : int
        Refinements of the tolerance around each target.
    """

    targets: tuple[float, ...] = (1e-6, 1e-10)
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
        ``(problem, tol) -> coefs or Fitted``, a module-level function.
    accepts : callable
        Whether the solver can take such an X.
    tolerances : tuple of float
        Loosest first; a direct method has one.
    blas_threads : int or None
        Two threads of BLAS can be slower than one, on small matrices or a busy machine, which a
        user would set by OMP_NUM_THREADS.
    tolerance_of : str or None
        For cross-validation: the solver of the path family whose tolerances it takes over.
    """

    name: str
    package: str
    fit: Fit
    accepts: Callable[[Matrix], bool] = lambda X: True
    tolerances: tuple[float, ...] = _DECADES
    blas_threads: int | None = None
    tolerance_of: str | None = None


@dataclass(frozen=True)
class Target:
    """What a family is to reach: bounds on the ratios of our time to the fastest peer's.

    Attributes
    ----------
    error : float
        The accuracy at which the ratios are taken.
    geometric_mean, worst : float
    """

    error: float
    geometric_mean: float
    worst: float


@dataclass(frozen=True)
class Family:
    """Problems of one kind, who solves them, and what we are to reach.

    Attributes
    ----------
    name : str
        The results are written under it.
    solvers : tuple of Solver
        The first of each package is its default, and may be asked for the reference optimum.
    datasets : callable
        ``quick -> list of Dataset``.
    grids : tuple of tuple of float
        The alphas of each problem, relative to the smallest one whose solution is zero. Quick runs
        take the first two.
    relative_to_null : bool
        Whether errors are relative to P(0) instead of the optimum.
    targets : tuple of Target
    sweeps : Family or None
        The family whose runs fix the tolerances, if they are not swept here.
    """

    name: str
    solvers: tuple[Solver, ...]
    datasets: Callable[[bool], list[Dataset]]
    grids: tuple[tuple[float, ...], ...]
    relative_to_null: bool
    targets: tuple[Target, ...] = ()
    sweeps: Family | None = None


@dataclass
class Run:
    """The timings of one solver at one tolerance, and how good its answer is.

    Attributes
    ----------
    solver, package : str
    tol : float
    status : str
        As in `sparsereg.benchmarks.worker.Answer`.
    seconds : list of float
    objectives : ndarray of shape (n_alphas,)
        Infinite without an answer.
    gaps : ndarray of shape (n_alphas,)
        Computed from the coefficients.
    reported_gaps : ndarray of shape (n_alphas,) or None
        By the solver, if it has to keep to them.
    fold_error : float
        The worst relative error over the folds of a cross-validation, as far as it is known.
    n_nonzero : int or None
        The largest number along the path.
    peak_mib, answer_mib : float or None
        Memory used during the call, and how much of it is the answer; of the runs that count.
    working_set : int or None
        Columns of the largest Gram matrix that the solver held, if it tells.
    details : dict
        What only some families record.
    """

    solver: str
    package: str
    tol: float
    status: str
    seconds: list[float]
    objectives: Vector = field(default_factory=lambda: np.array([np.inf]))
    gaps: Vector = field(default_factory=lambda: np.array([np.inf]))
    reported_gaps: Vector | None = None
    fold_error: float = 0.0
    n_nonzero: int | None = None
    peak_mib: float | None = None
    answer_mib: float | None = None
    working_set: int | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, solver: Solver, tol: float, answer: Answer, problem: Problem) -> Run:
        """Judge an answer with our own objective."""
        run = cls(solver.name, solver.package, tol, answer.status, [answer.seconds])
        coefs = answer.coefs
        if coefs is not None and np.isfinite(coefs.data).all():
            run.objectives, run.gaps = judge(problem, coefs)
            run.reported_gaps = answer.gaps
            run.n_nonzero = int((coefs != 0).sum(axis=0).max())
            run.answer_mib, run.working_set = answer.answer_mib, answer.working_set
        return run

    @property
    def median(self) -> float:
        """Median of the timings."""
        return median(self.seconds)


@dataclass
class Reference:
    """The best objectives known, and what proves them.

    Attributes
    ----------
    objectives : ndarray of shape (n_alphas,)
    lower_bounds : ndarray of shape (n_alphas,)
        The best dual objectives.
    by : set of str
        The solvers that found them, "polished" if a support was solved for directly.
    null : float or None
        P(0) if errors are relative to it, else None.
    """

    objectives: Vector
    lower_bounds: Vector
    by: set[str] = field(default_factory=set)
    null: float | None = None

    @classmethod
    def unknown(cls, problem: Problem, relative_to_null: bool) -> Reference:
        """Return what is known before anything is solved."""
        shape = problem.alphas.shape
        null = null_objective(problem) if relative_to_null else None
        return cls(np.full(shape, np.inf), np.zeros(shape), set(), null)

    @property
    def relative_gap(self) -> float:
        """A bound on the relative error of the reference itself."""
        if not np.isfinite(self.objectives).all():
            return np.inf
        return float((np.maximum(self.objectives - self.lower_bounds, 0.0) / self._scale).max())

    def certified(self, target: float) -> bool:
        """Whether it is good enough to judge a target by."""
        return self.relative_gap <= CERTIFIED * target

    def error(self, run: Run) -> float:
        """Return the relative error of a run, the worst over the alphas; infinite without answer.

        For a run that reports gaps it is at least the worst of these, for a cross-validation at
        least that of its folds.
        """
        if not (np.isfinite(run.objectives).all() and np.isfinite(self.objectives).all()):
            return np.inf
        error = max(float(((run.objectives - self.objectives) / self._scale).max()), run.fold_error)
        if run.reported_gaps is None:
            return error
        return max(error, float((run.reported_gaps / self._scale).max()))

    def gap(self, run: Run) -> float:
        """Return the worst relative gap over the alphas, computed from the coefficients alone."""
        if not np.isfinite(self.objectives).all():
            return np.inf
        return float((run.gaps / self._scale).max())

    def improve(self, runs: Iterable[Run]) -> None:
        """Take over the objectives of runs that are better."""
        for run in runs:
            if np.isfinite(run.objectives).all():
                self.take(run.solver, run.objectives, run.gaps)

    def take(self, name: str, objectives: Vector, gaps: Vector) -> None:
        """Take over, alpha by alpha, what is better than the best known."""
        if (objectives < self.objectives).any():
            self.by.add(name)
        self.objectives = np.minimum(self.objectives, objectives)
        self.lower_bounds = np.maximum(self.lower_bounds, objectives - gaps)

    @property
    def _scale(self) -> Vector | float:
        return self.objectives if self.null is None else self.null


def find_reference(
    problem: Problem,
    solutions: Iterable[tuple[str, Callable[[], Any]]],
    target: float,
    relative_to_null: bool = False,
) -> Reference:
    """Return the best of the solutions, polished; stop as soon as every alpha is certified.

    Parameters
    ----------
    problem : Problem
    solutions : iterable of (name, callable)
        A callable returns a csc_matrix of coefficients, or None if its solver failed.
    target : float
        The hardest.
    relative_to_null : bool, default=False
    """
    best = Reference.unknown(problem, relative_to_null)
    for name, solve in solutions:
        coefs = solve()
        if coefs is None or not np.isfinite(coefs.data).all():
            continue
        objectives, gaps = judge(problem, coefs)
        best.take(name, objectives, gaps)
        slack = best.objectives - best.lower_bounds
        allowed = CERTIFIED * target * (best.objectives if best.null is None else best.null)
        for k in np.flatnonzero(slack > allowed):
            at_alpha = problem.at(problem.alphas[k])
            coef = coefs[:, [k]].toarray().ravel()
            polished = polish(at_alpha, coef)
            if polished is not coef:
                (objectives[k],), (gaps[k],) = judge(at_alpha, polished)
        best.take(f"{name}, polished", objectives, gaps)
        if best.certified(target):
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
            repeat(winner, attempt, protocol.repeats)
    return runs


def fastest(runs: Iterable[Run], target: float, reference: Reference) -> Run | None:
    """Return the fastest run that reaches the target, or None."""
    reaching = [run for run in runs if run.status == "ok" and reference.error(run) <= target]
    return min(reaching, key=lambda run: run.median, default=None)


def tightened(
    attempt: Callable[[float], Run],
    tol: float,
    target: float,
    reference: Reference,
    protocol: Protocol,
) -> Run:
    """Lower a tolerance that is nearly right until the target is reached.

    A run that is cheap is timed again: the first time may be that of something else.
    """
    for _ in range(_MAX_TIGHTENED):
        run = attempt(tol)
        if run.status != "ok" or reference.error(run) <= target:
            break
        tol /= 10
    if run.status == "ok" and run.median < protocol.cheap:
        run = _repeat_if_cheap(attempt, run.tol, protocol)
    return run


def cells(
    runs: Sequence[Run], reference: Reference, targets: Sequence[float], ours: str
) -> list[dict[str, Any]]:
    """Compare the packages at each target that the reference can judge.

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
        if not reference.certified(target):  # an error against no known optimum says nothing
            continue
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
                    name: _never(runs, name) if run is None else _reached(run, reference)
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
        ``target`` (None for all), ``geometric_mean``, ``worst``, ``n_ratios``, ``n_faster`` (ratio
        below one), ``only_peers`` and ``only_ours`` (cells that the other side never reaches).
    """
    return [
        _summary([cell for cell in table if target in (None, cell["target"])], target, ours)
        for target in [*dict.fromkeys(cell["target"] for cell in table), None]
    ]


def verdict(
    table: Sequence[dict[str, Any]], target: Target, ours: str, n_expected: int
) -> dict[str, Any]:
    """Hold the cells of many problems against what the family is to reach.

    Parameters
    ----------
    table : sequence of dict
        As `cells` returns them.
    target : Target
    ours : str
    n_expected : int
        Cells there should be; one that could not be judged is not one that was won.

    Returns
    -------
    dict
        ``met`` and what decides it. A cell that only we reach counts as won, one that we do not
        reach as lost.
    """
    judged = [cell for cell in table if cell["target"] == target.error]
    ratios = [cell["ratio"] for cell in judged if cell["ratio"] is not None]
    lost = sum(cell["packages"].get(ours, {}).get("seconds") is None for cell in judged)
    mean = geometric_mean(ratios) if ratios else None
    worst = max(ratios, default=None)
    met = (
        bool(judged)
        and lost == 0
        and len(judged) == n_expected
        and (mean is None or mean <= target.geometric_mean)
        and (worst is None or worst <= target.worst)
    )
    return {
        "error": target.error,
        "n_cells": len(judged),
        "n_expected": n_expected,
        "geometric_mean": mean,
        "geometric_mean_wanted": target.geometric_mean,
        "worst": worst,
        "worst_wanted": target.worst,
        "n_lost": lost,
        "met": met,
    }


def _summary(table: Sequence[dict[str, Any]], target: float | None, ours: str) -> dict[str, Any]:
    ratios = [cell["ratio"] for cell in table if cell["ratio"] is not None]
    own_times = [cell["packages"].get(ours, {}).get("seconds") for cell in table]
    has_peer = [cell["fastest_peer"] is not None for cell in table]
    return {
        "target": target,
        "geometric_mean": geometric_mean(ratios) if ratios else None,
        "worst": max(ratios, default=None),
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
        repeat(run, attempt, len(run.seconds) + 1)
    return run


def repeat(run: Run, attempt: Callable[[float], Run], repeats: int) -> None:
    """Time a run again until there are so many timings."""
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


def _reached(run: Run, reference: Reference) -> dict[str, Any]:
    return {
        "seconds": run.median,
        "repeats": len(run.seconds),
        "solver": run.solver,
        "tol": run.tol,
        "relative_gap": reference.gap(run),
        "n_nonzero": run.n_nonzero,
        "peak_mib": run.peak_mib,
        "answer_mib": run.answer_mib,
        "working_set": run.working_set,
    }


def _never(runs: Sequence[Run], package: str) -> dict[str, Any]:
    failures = {run.status for run in runs if run.package == package and run.status != "ok"}
    return {"seconds": None, "why": ", ".join(sorted(failures)) or "stalled"}
