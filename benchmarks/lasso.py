"""Family "lasso": one fit at one alpha, from zero, without an intercept.

Every package enters the variants that its documentation recommends for some shape of X, and the
best one counts in each cell. What a tolerance means differs, which is why it is swept:

- sparsereg, scikit-learn and celer stop at a duality gap of ``tol * ||y||^2 / n``;
- skglm stops at a distance of ``tol`` between the gradient and the subdifferential, in units of
  alpha; here its tolerance is swept relative to alpha.

Iteration limits are set so high that the clock decides, not they. Dense X is in Fortran order and
sparse X in CSC with 32-bit indices, which all of them take without a copy.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from scipy import sparse

from . import environment, report
from .data import Dataset, Unavailable, datasets
from .problem import Matrix, Problem, Vector, alpha_max
from .protocol import Protocol, Reference, Run, Solver, cells, find_reference, summarize, sweep
from .worker import Worker, save_problem

__all__ = ["OURS", "SOLVERS", "run"]

OURS = "scikit-sparsereg"
ALPHA_RATIOS = (0.1, 0.01, 0.001)

# A Gram matrix of more columns than this is not worth its time for one alpha.
_MAX_GRAM = 5000
_MAX_ITER = 1_000_000
# Tight enough for the support, which polishing then solves for; tighter if that does not do.
_REFERENCE_TOLERANCES = (1e-8, 1e-12)


def fit_sparsereg(problem: Problem, tol: float) -> Vector:
    from sparsereg import Lasso

    model = Lasso(problem.alpha, fit_intercept=problem.fit_intercept, tol=tol, max_iter=_MAX_ITER)
    return model.fit(problem.X, problem.y).coef_


def fit_sklearn(problem: Problem, tol: float) -> Vector:
    return _sklearn(problem, tol)


def fit_sklearn_random(problem: Problem, tol: float) -> Vector:
    return _sklearn(problem, tol, selection="random", random_state=0)


def fit_sklearn_gram(problem: Problem, tol: float) -> Vector:
    return _sklearn(problem, tol, precompute=True)


def fit_sklearn_lars(problem: Problem, tol: float) -> Vector:
    from sklearn.linear_model import LassoLars

    model = LassoLars(problem.alpha, fit_intercept=problem.fit_intercept, max_iter=_MAX_ITER)
    return model.fit(problem.X, problem.y).coef_


def fit_celer(problem: Problem, tol: float) -> Vector:
    return _celer(problem, tol)


def fit_celer_no_pruning(problem: Problem, tol: float) -> Vector:
    return _celer(problem, tol, prune=False)


def fit_skglm(problem: Problem, tol: float) -> Vector:
    from skglm import Lasso

    model = Lasso(
        problem.alpha,
        fit_intercept=problem.fit_intercept,
        tol=tol * problem.alpha,
        max_iter=1000,
    )
    return model.fit(problem.X, problem.y).coef_


def fit_skglm_gram(problem: Problem, tol: float) -> Vector:
    return _skglm_gram(problem, tol, greedy_cd=True, use_acc=False)


def fit_skglm_gram_anderson(problem: Problem, tol: float) -> Vector:
    return _skglm_gram(problem, tol, greedy_cd=False, use_acc=True)


def _sklearn(problem: Problem, tol: float, **variant: Any) -> Vector:
    from sklearn.linear_model import Lasso

    model = Lasso(
        problem.alpha,
        fit_intercept=problem.fit_intercept,
        tol=tol,
        max_iter=_MAX_ITER,
        **variant,
    )
    return model.fit(problem.X, problem.y).coef_


def _celer(problem: Problem, tol: float, **variant: Any) -> Vector:
    from celer import Lasso

    model = Lasso(
        problem.alpha,
        fit_intercept=problem.fit_intercept,
        tol=tol,
        max_iter=1000,
        **variant,
    )
    return model.fit(problem.X, problem.y).coef_


def _skglm_gram(problem: Problem, tol: float, **variant: Any) -> Vector:
    """Call the solver itself, which checks no input: no estimator of skglm offers it."""
    from skglm.penalties import L1
    from skglm.solvers import GramCD

    # A greedy iteration updates one coefficient, a cyclic one all of them.
    solver = GramCD(
        max_iter=_MAX_ITER, tol=tol * problem.alpha, fit_intercept=problem.fit_intercept, **variant
    )
    return solver.solve(problem.X, problem.y, None, L1(problem.alpha))[0]


def _is_dense(X: Matrix) -> bool:
    return not sparse.issparse(X)


def _is_dense_and_gram_sized(X: Matrix) -> bool:
    return _is_dense(X) and X.shape[1] <= _MAX_GRAM


def _is_tall(X: Matrix) -> bool:
    """Where skglm recommends its Gram solver."""
    return X.shape[1] <= min(X.shape[0], _MAX_GRAM)


def _single_threaded(solver: Solver) -> Solver:
    return replace(solver, name=f"{solver.name}, 1 thread", blas_threads=1)


_SKLEARN_GRAM = Solver(
    "scikit-learn, Gram", "scikit-learn", fit_sklearn_gram, _is_dense_and_gram_sized
)
_SKLEARN_LARS = Solver("scikit-learn, LARS", "scikit-learn", fit_sklearn_lars, _is_dense, (0.0,))
_SKGLM_GRAM = Solver("skglm, Gram", "skglm", fit_skglm_gram, _is_tall)

# The first of each package is its default, and may be asked for the reference optimum. What leans
# on matrix products enters with one thread, too: sparsereg makes that choice for itself.
SOLVERS = (
    Solver("sparsereg", OURS, fit_sparsereg),
    Solver("scikit-learn", "scikit-learn", fit_sklearn),
    Solver("scikit-learn, random", "scikit-learn", fit_sklearn_random),
    _SKLEARN_GRAM,
    _single_threaded(_SKLEARN_GRAM),
    _SKLEARN_LARS,
    _single_threaded(_SKLEARN_LARS),
    Solver("celer", "celer", fit_celer),
    Solver("celer, no pruning", "celer", fit_celer_no_pruning),
    Solver("skglm", "skglm", fit_skglm),
    _SKGLM_GRAM,
    _single_threaded(_SKGLM_GRAM),
    Solver("skglm, Gram, Anderson", "skglm", fit_skglm_gram_anderson, _is_tall),
)


def run(
    *,
    quick: bool,
    output: Path | None,
    time_limit: float | None = None,
    repeats: int | None = None,
    accuracy: float | None = None,
) -> None:
    """Run the family and write ``lasso.json`` and ``lasso.md``, or ``lasso-quick``."""
    protocol = Protocol(repeats=3, time_limit=10.0, cheap=0.2) if quick else Protocol()
    if time_limit is not None:
        protocol = replace(protocol, time_limit=time_limit)
    if accuracy is not None:
        protocol = replace(protocol, targets=(accuracy,))
    if repeats is not None:
        protocol = replace(protocol, repeats=repeats, cheap=0.1 * repeats)
    ratios = ALPHA_RATIOS[:2] if quick else ALPHA_RATIOS
    results = measure(datasets(quick), ratios, protocol, Console(stderr=True))
    report.write(results, "lasso-quick" if quick else "lasso", output)


def measure(
    data: list[Dataset], alpha_ratios: tuple[float, ...], protocol: Protocol, console: Console
) -> dict[str, Any]:
    """Measure every installed solver on every data set that is here.

    Parameters
    ----------
    data : list of Dataset
    alpha_ratios : tuple of float
        Values of alpha over the smallest one whose solution is zero.
    protocol : Protocol
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    packages = list(dict.fromkeys(solver.package for solver in SOLVERS))
    # Ours is measured from a source tree, too, where no distribution has a version.
    installed = [name for name in packages if name == OURS or environment.version(name)]
    solvers = [solver for solver in SOLVERS if solver.package in installed]
    results: dict[str, Any] = {
        "family": "lasso",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment.describe(packages),
        "protocol": asdict(protocol),
        "ours": OURS,
        "packages": installed,
        "not_installed": [name for name in packages if name not in installed],
        "skipped": [],
        "problems": [],
    }
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(protocol.time_limit)) for name in installed}
        try:
            for dataset in data:
                _measure_dataset(
                    dataset, alpha_ratios, protocol, solvers, workers, results, console
                )
        except KeyboardInterrupt:  # what is measured is kept
            if not results["problems"]:
                raise
            done = {problem["dataset"] for problem in results["problems"]}
            results["skipped"] += [
                {"dataset": dataset.name, "reason": "interrupted"}
                for dataset in data
                if dataset.name not in done
            ]
        results["threads"] = {name: worker.threads for name, worker in workers.items()}
    all_cells = [cell for problem in results["problems"] for cell in problem["cells"]]
    results["summary"] = summarize(all_cells, OURS)
    return results


def _measure_dataset(
    dataset: Dataset,
    alpha_ratios: tuple[float, ...],
    protocol: Protocol,
    solvers: list[Solver],
    workers: dict[str, Worker],
    results: dict[str, Any],
    console: Console,
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
        for ratio in alpha_ratios:
            with console.status(f"{dataset.name}, alpha/alpha_max = {ratio:g}"):
                at_alpha = problem.at(ratio * alpha_max(problem))
                record = _measure_problem(at_alpha, folder, solvers, workers, protocol)
            results["problems"].append(
                {"dataset": dataset.name, "source": dataset.description, "alpha_ratio": ratio}
                | record
            )
            console.print(report.one_line(results["problems"][-1]))


def _measure_problem(
    problem: Problem,
    folder: Path,
    solvers: list[Solver],
    workers: dict[str, Worker],
    protocol: Protocol,
) -> dict[str, Any]:
    usable = [solver for solver in solvers if solver.accepts(problem.X)]
    reference = _reference(problem, folder, usable, workers)
    runs: list[Run] = []
    for solver in usable:

        def attempt(tol: float, solver: Solver = solver) -> Run:
            worker = workers[solver.package]
            answer = worker.fit(solver.fit, folder, problem, tol, solver.blas_threads)
            return Run.of(solver, tol, answer, problem)

        runs += sweep(attempt, solver.tolerances, reference, protocol)
    reference.improve(runs)
    return {
        "n_samples": problem.X.shape[0],
        "n_features": problem.X.shape[1],
        "n_stored": int(problem.X.nnz if sparse.issparse(problem.X) else problem.X.size),
        "sparse": bool(sparse.issparse(problem.X)),
        "alpha": problem.alpha,
        "fit_intercept": problem.fit_intercept,
        "reference": asdict(reference)
        | {"relative_gap": reference.relative_gap, "certified": reference.certified},
        "runs": [
            asdict(run) | {"median": run.median, "relative_error": reference.error(run)}
            for run in runs
        ],
        # an error against an optimum that is not known to be one says nothing
        "cells": cells(runs, reference, protocol.targets, OURS) if reference.certified else [],
    }


def _reference(
    problem: Problem, folder: Path, solvers: list[Solver], workers: dict[str, Worker]
) -> Reference:
    defaults = list({solver.package: solver for solver in reversed(solvers)}.values())

    def solutions() -> Any:
        for tol in _REFERENCE_TOLERANCES:
            for solver in defaults:
                worker = workers[solver.package]
                yield (
                    solver.name,
                    lambda: worker.fit(solver.fit, folder, problem, tol).coef,  # noqa: B023
                )

    return find_reference(problem, solutions())
