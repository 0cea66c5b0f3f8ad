"""Run families of problems by the protocol: every solver that is installed on every data set.

Cross-validation takes its tolerances over from the paths on the same data: from those of the same
run if both families are asked for, from a recording in the output folder if there is one, else they
are swept.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy import sparse

from . import environment, report
from .data import Dataset, Unavailable, UnknownDataset
from .problem import Problem, alpha_max, judge, null_objective
from .protocol import (
    OURS,
    Family,
    Protocol,
    Reference,
    Run,
    Solver,
    cells,
    fastest,
    find_reference,
    repeat,
    summarize,
    sweep,
    tightened,
    verdict,
)
from .worker import Answer, Worker, save_problem

__all__ = ["measure", "run"]

# Tight enough for the support, which polishing then solves for; tighter if that does not do.
_REFERENCE_TOLERANCES = (1e-8, 1e-13)
_N_QUICK_GRIDS = 2


def run(
    families: Sequence[Family],
    *,
    quick: bool,
    output: Path | None,
    time_limit: float | None = None,
    repeats: int | None = None,
    accuracy: float | None = None,
    data: Sequence[str] = (),
) -> None:
    """Run families and write ``<family>.json`` and ``<family>.md``, or ``<family>-quick``.

    Raises
    ------
    UnknownDataset
        If a data set is asked for that no family has.
    """
    protocol = Protocol(repeats=3, time_limit=2.0, cheap=0.2, bisections=1) if quick else Protocol()
    if time_limit is not None:
        protocol = replace(protocol, time_limit=time_limit)
    if accuracy is not None:
        protocol = replace(protocol, targets=(accuracy,))
    if repeats is not None:
        protocol = replace(protocol, repeats=repeats, cheap=0.1 * repeats)
    chosen = _chosen(families, quick, data)
    swept: Swept = {}
    for family, datasets in chosen:
        grids = family.grids[:_N_QUICK_GRIDS] if quick else family.grids
        recorded = {} if family.sweeps is None or quick else _recorded(family.sweeps, output)
        results = measure(
            replace(family, grids=grids), datasets, protocol, Console(stderr=True), swept, recorded
        )
        results["quick"] = quick
        report.write(results, f"{family.name}-quick" if quick else family.name, output)
        if results["interrupted"]:
            break


@dataclass(frozen=True)
class _Sweep:
    """The reference of one problem, and all runs on it."""

    reference: Reference
    runs: list[Run]


# By family, data set and the number of the grid.
Swept = dict[tuple[str, str, int], _Sweep]
# The runs of an earlier recording, as its JSON has them: by data set, alphas and shape.
Recorded = dict[tuple[Any, ...], list[dict[str, Any]]]


def _recorded(family: Family, folder: Path | None) -> Recorded:
    """Return the runs of a family that are recorded in the output folder, if any."""
    file = (folder or report.default_folder()) / f"{family.name}.json"
    if not file.is_file():
        return {}
    problems = json.loads(file.read_text())["problems"]
    return {
        (p["dataset"], p["alphas"], p["n_samples"], p["n_features"]): p["runs"] for p in problems
    }


def measure(
    family: Family,
    datasets: Sequence[Dataset],
    protocol: Protocol,
    console: Console,
    swept: Swept | None = None,
    recorded: Recorded | None = None,
) -> dict[str, Any]:
    """Measure every installed solver of a family on every data set that is here.

    Parameters
    ----------
    family : Family
    datasets : sequence of Dataset
    protocol : Protocol
    console : Console
        Where progress is told.
    swept : dict or None
        Runs that other families have left here, and where these leave theirs.
    recorded : dict or None
        Runs of another day, whose tolerances are taken where ``swept`` has none.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    swept = {} if swept is None else swept
    recorded = {} if recorded is None else recorded
    packages = list(dict.fromkeys(solver.package for solver in family.solvers))
    # Ours is measured from a source tree, too, where no distribution has a version.
    installed = [name for name in packages if name == OURS or environment.version(name)]
    results: dict[str, Any] = {
        **environment.heading(family.name, packages, installed, **asdict(protocol)),
        "ours": OURS,
        "packages": installed,
        "skipped": [],
        "problems": [],
        "interrupted": False,
    }
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(environment.interpreter(name))) for name in installed
        }
        done = []
        try:
            for dataset in datasets:
                _measure_dataset(
                    family, dataset, protocol, workers, results, console, swept, recorded
                )
                done.append(dataset)
        except KeyboardInterrupt:  # what is measured is kept
            if not results["problems"]:
                raise
            results["interrupted"] = True
            results["skipped"] += [
                {"dataset": dataset.name, "reason": "interrupted"}
                for dataset in datasets
                if dataset not in done
            ]
        results["threads"] = {name: worker.threads for name, worker in workers.items()}
    table = [cell for problem in results["problems"] for cell in problem["cells"]]
    results["summary"] = summarize(table, OURS)
    n_expected = len(datasets) * len(family.grids)
    results["verdicts"] = [
        verdict(table, target, OURS, n_expected)
        for target in family.targets
        if target.error in protocol.targets
    ]
    return results


def _chosen(
    families: Sequence[Family], quick: bool, names: Sequence[str]
) -> list[tuple[Family, list[Dataset]]]:
    there_is = {family.name: family.datasets(quick) for family in families}
    every_name = dict.fromkeys(item.name for datasets in there_is.values() for item in datasets)
    for name in names:
        if name not in every_name:
            raise UnknownDataset(
                f"There is no data set {name!r} here. There is: {', '.join(every_name)}."
            )
    chosen = [
        (family, [item for item in there_is[family.name] if not names or item.name in names])
        for family in families
    ]
    return [(family, datasets) for family, datasets in chosen if datasets]


def _measure_dataset(
    family: Family,
    dataset: Dataset,
    protocol: Protocol,
    workers: dict[str, Worker],
    results: dict[str, Any],
    console: Console,
    swept: Swept,
    recorded: Recorded,
) -> None:
    try:
        problem = dataset.problem()
    except Unavailable as reason:
        console.print(f"{dataset.name}: skipped, {reason}")
        results["skipped"].append({"dataset": dataset.name, "reason": str(reason)})
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_problem(problem, folder)
        for k, ratios in enumerate(family.grids):
            with console.status(f"{family.name}: {dataset.name}, alpha/alpha_max {_span(ratios)}"):
                at_alphas = problem.at(alpha_max(problem) * np.array(ratios))
                session = _Session(at_alphas, folder, workers, protocol)
                key = (dataset.name, k)
                if family.sweeps is None:
                    sweep_of = session.sweep(family)
                    swept[family.name, *key] = sweep_of
                    record = _record(at_alphas, sweep_of, protocol)
                else:
                    source = (family.sweeps.name, *key)
                    known = recorded.get((dataset.name, _span(ratios), *problem.X.shape))
                    if source not in swept and known is not None:
                        swept[source] = session.revisit(family.sweeps, known)
                    elif source not in swept:
                        swept[source] = session.sweep(family.sweeps)
                    record = _record(at_alphas, session.take_over(family, swept[source]), protocol)
            results["problems"].append(
                {"dataset": dataset.name, "source": dataset.description, "alphas": _span(ratios)}
                | record
            )
            console.print(report.one_line(results["problems"][-1]))


@dataclass
class _Fold:
    """The problem of one training set and the best objectives known of it."""

    problem: Problem
    null: float
    best: Any = None

    @classmethod
    def of(cls, problem: Problem, rows: Any) -> _Fold:
        training = problem.rows(rows)
        return cls(training, null_objective(training))

    def error(self, coefs: Any, by_gap: bool) -> float:
        """Return the worst error over the alphas; the gap bounds it where the best is unknown."""
        objectives, gaps = judge(self.problem, coefs)
        errors = gaps if by_gap or self.best is None else objectives - self.best
        return float(errors.max()) / self.null


@dataclass(frozen=True)
class _Session:
    """One problem, and the processes that can solve it."""

    problem: Problem
    folder: Path
    workers: dict[str, Worker]
    protocol: Protocol

    def sweep(self, family: Family) -> _Sweep:
        """Find the reference, then sweep every solver of the family."""
        solvers = self._usable(family)
        reference = self._reference(family, solvers)
        runs: list[Run] = []
        for solver in solvers:

            def attempt(tol: float, solver: Solver = solver) -> Run:
                answer = self._fit(solver, tol)
                return Run.of(solver, tol, answer, self.problem)

            runs += sweep(attempt, solver.tolerances, reference, self.protocol)
        reference.improve(runs)
        self._measure_memory(solvers, reference, runs)
        return _Sweep(reference, runs)

    def revisit(self, family: Family, known: Sequence[dict[str, Any]]) -> _Sweep:
        """Run every solver with the tolerances that reached each target another day.

        One that reached none of them then is not tried again.
        """
        solvers = self._usable(family)
        reference, once = self._reference(family, solvers), replace(self.protocol, cheap=0.0)
        runs: list[Run] = []
        for solver in solvers:

            def attempt(tol: float, solver: Solver = solver) -> Run:
                return Run.of(solver, tol, self._fit(solver, tol), self.problem)

            then = [run for run in known if run["solver"] == solver.name]
            found: list[Run] = []
            for target in self.protocol.targets:
                good = [r for r in then if r["status"] == "ok" and r["relative_error"] <= target]
                if good and not fastest(found, target, reference):
                    tol = min(good, key=lambda run: run["median"])["tol"]
                    found.append(tightened(attempt, tol, target, reference, once))
            runs += found
            if not found:
                runs += [
                    Run(solver.name, solver.package, run["tol"], run["status"], run["seconds"])
                    for run in then[-1:]
                ]
        reference.improve(runs)
        return _Sweep(reference, runs)

    def _reference(self, family: Family, solvers: Sequence[Solver]) -> Reference:
        return find_reference(
            self.problem,
            self._tight_solutions(solvers),
            min(self.protocol.targets),
            family.relative_to_null,
        )

    def take_over(self, family: Family, paths: _Sweep) -> _Sweep:
        """Cross-validate with the tolerances that reached each target on the path."""
        solvers = self._usable(family)
        exact = self._fit(solvers[0], _REFERENCE_TOLERANCES[-1], self._n_paths)
        folds = [_Fold.of(self.problem, rows) for rows, _ in self.problem.splits()]
        for fold, coefs in zip(folds, exact.fold_coefs):
            fold.best = judge(fold.problem, coefs)[0]
        runs: list[Run] = []
        attempts: dict[int, Callable[[float], Run]] = {}
        # 1) every solver at the accuracy
        for solver in solvers:
            swept = [run for run in paths.runs if run.solver == solver.tolerance_of]
            own: list[Run] = []
            for target in self.protocol.targets:
                path = fastest(swept, target, paths.reference)
                if path is None or fastest(own, target, paths.reference):
                    continue

                def attempt(tol: float, solver: Solver = solver, path: Run = path) -> Run:
                    answer = self._fit(solver, tol, self._n_paths)
                    return self._judge_cv(solver, tol, path, answer, folds, exact.mse_path)

                run = tightened(attempt, path.tol, target, paths.reference, self.protocol)
                attempts[id(run)] = attempt
                own.append(run)
            if not own:  # why it failed there is why it fails here
                own = [Run(solver.name, solver.package, r.tol, r.status, r.seconds) for r in swept]
            runs += own
        # 2) the runs that count
        for package in dict.fromkeys(run.package for run in runs):
            for target in self.protocol.targets:
                variants = [run for run in runs if run.package == package]
                winner = fastest(variants, target, paths.reference)
                if winner is not None:
                    repeat(winner, attempts[id(winner)], self.protocol.repeats)
        self._measure_memory(solvers, paths.reference, runs, self._n_paths)
        return _Sweep(paths.reference, runs)

    def _measure_memory(
        self,
        solvers: Sequence[Solver],
        reference: Reference,
        runs: Sequence[Run],
        n_paths: int = 1,
    ) -> None:
        by_name = {solver.name: solver for solver in solvers}
        for package in dict.fromkeys(run.package for run in runs):
            own = [run for run in runs if run.package == package]
            for target in self.protocol.targets:
                run = fastest(own, target, reference)
                if run is not None and run.peak_mib is None:
                    solver = by_name[run.solver]
                    run.peak_mib = self._fit(solver, run.tol, n_paths, True).peak_mib

    def _judge_cv(
        self,
        solver: Solver,
        tol: float,
        path: Run,
        answer: Answer,
        folds: Sequence[_Fold],
        exact_mse: Any,
    ) -> Run:
        """Take the worst error of the path, the final fit and the folds, as far as it is known."""
        run = Run(solver.name, solver.package, tol, answer.status, [answer.seconds])
        if answer.coefs is None or not np.isfinite(answer.coefs.data).all():
            return run
        run.objectives, run.gaps = path.objectives.copy(), path.gaps.copy()
        run.n_nonzero = path.n_nonzero
        run.answer_mib, run.working_set = answer.answer_mib, answer.working_set
        k = int(np.argmin(np.abs(self.problem.alphas - answer.alpha)))
        (final,), (gap,) = judge(self.problem.at(self.problem.alphas[k]), answer.coefs)
        run.objectives[k], run.gaps[k] = max(run.objectives[k], final), max(run.gaps[k], gap)
        if path.reported_gaps is not None:
            run.reported_gaps = path.reported_gaps.copy()
            if answer.gaps is not None:
                run.reported_gaps[k] = max(run.reported_gaps[k], answer.gaps.max())
        errors = [
            fold.error(coefs, by_gap=answer.gaps is not None)
            for fold, coefs in zip(folds, answer.fold_coefs)
        ]
        run.fold_error = max(errors, default=0.0)
        run.details = {
            "alpha": answer.alpha,
            "fold_error": run.fold_error if errors else None,
            "mse_deviation": None,
        }
        if exact_mse is not None and answer.mse_path is not None:
            deviation = np.abs(answer.mse_path.mean(axis=1) - exact_mse.mean(axis=1)).max()
            run.details["mse_deviation"] = float(deviation / (2 * null_objective(self.problem)))
        return run

    @property
    def _n_paths(self) -> int:
        """Of a cross-validation, with the one on all data."""
        return int(self.problem.folds.max()) + 2

    def _usable(self, family: Family) -> list[Solver]:
        return [
            solver
            for solver in family.solvers
            if solver.package in self.workers and solver.accepts(self.problem.X)
        ]

    def _fit(
        self, solver: Solver, tol: float, n_paths: int = 1, measure_memory: bool = False
    ) -> Answer:
        return self.workers[solver.package].fit(
            solver.fit,
            self.folder,
            self.problem,
            tol,
            time_limit=self.protocol.time_limit * n_paths,
            blas_threads=solver.blas_threads,
            measure_memory=measure_memory,
        )

    def _tight_solutions(self, solvers: Sequence[Solver]) -> Any:
        defaults = list({solver.package: solver for solver in reversed(solvers)}.values())[::-1]
        for tol in _REFERENCE_TOLERANCES:
            for solver in sorted(defaults, key=lambda item: item.package != OURS):
                yield solver.name, lambda: self._fit(solver, tol).coefs  # noqa: B023


def _record(problem: Problem, swept: _Sweep, protocol: Protocol) -> dict[str, Any]:
    reference, runs = swept.reference, swept.runs
    return {
        "n_samples": problem.X.shape[0],
        "n_features": problem.X.shape[1],
        "n_stored": int(problem.X.nnz if sparse.issparse(problem.X) else problem.X.size),
        "x_mib": _mib(problem.X),
        "sparse": bool(sparse.issparse(problem.X)),
        "fit_intercept": problem.fit_intercept,
        "alpha_max": float(problem.alphas[0]),
        "n_alphas": len(problem.alphas),
        "reference": {
            "objectives": reference.objectives.tolist(),
            "by": sorted(reference.by),
            "null_objective": reference.null,
            "relative_gap": reference.relative_gap,
            "uncertified": [t for t in protocol.targets if not reference.certified(t)],
        },
        "runs": [
            {
                "solver": run.solver,
                "package": run.package,
                "tol": run.tol,
                "status": run.status,
                "seconds": run.seconds,
                "median": run.median,
                "relative_error": reference.error(run),
                "relative_gap": reference.gap(run),
                "n_nonzero": run.n_nonzero,
                "peak_mib": run.peak_mib,
                "answer_mib": run.answer_mib,
                "working_set": run.working_set,
            }
            | run.details
            for run in runs
        ],
        "cells": cells(runs, reference, protocol.targets, OURS),
    }


def _mib(X: Any) -> float:
    parts = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
    return sum(part.nbytes for part in parts) / 2**20


def _span(ratios: Sequence[float]) -> str:
    first = f"{ratios[0]:g}"
    return first if len(ratios) == 1 else f"{first} to {ratios[-1]:g} in {len(ratios)}"
