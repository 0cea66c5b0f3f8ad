"""The protocol of the benchmarks itself: no claim here is about speed."""

from __future__ import annotations

import importlib
import json
import platform
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import sparse
from sparsereg.benchmarks import (
    _COMPARISONS,
    FAMILIES,
    cold_start,
    comparison,
    data,
    environment,
    lasso_cv,
    lasso_fit,
    lasso_path,
    main,
    packages,
    report,
)
from sparsereg.benchmarks.problem import Problem, alpha_max, judge, null_objective, polish
from sparsereg.benchmarks.protocol import (
    OURS,
    Protocol,
    Reference,
    Run,
    Target,
    cells,
    fastest,
    find_reference,
    summarize,
    sweep,
    verdict,
)
from sparsereg.benchmarks.worker import Worker, save_problem

TARGETS = (1e-4, 1e-6, 1e-8)


def make_problem(kind: str, fit_intercept: bool, alpha: float = 0.1) -> Problem:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((30, 12)) * (rng.random((30, 12)) < 0.4) + (kind == "shifted")
    y = 2 * X[:, 0] - X[:, 5] + rng.standard_normal(30) + 3
    folds = np.arange(30) % 3
    X = sparse.csc_matrix(X) if kind == "sparse" else np.asfortranarray(X)
    return Problem(X, y, np.array([alpha]), folds, fit_intercept)


def objective(problem: Problem, coef: np.ndarray) -> float:
    return float(judge(problem, coef)[0][0])


def solve(problem: Problem, tol: float = 1e-14) -> np.ndarray:
    from sklearn.linear_model import Lasso

    model = Lasso(problem.alpha, fit_intercept=problem.fit_intercept, tol=tol, max_iter=100_000)
    return model.fit(problem.X, problem.y).coef_


def run_of(package: str, seconds: float, error: float, *, tol: float = 0.1, status: str = "ok"):
    """A run whose objective is so far from a reference of one."""
    return Run(package, package, tol, status, [seconds], np.array([1 + error]))


def known(objective: float = 1.0) -> Reference:
    """A reference that is certain."""
    return Reference(np.array([objective]), np.array([objective]))


def column(coef: np.ndarray) -> sparse.csc_matrix:
    return sparse.csc_matrix(coef[:, None])


every_problem = pytest.mark.parametrize("fit_intercept", [False, True])
every_matrix = pytest.mark.parametrize("kind", ["dense", "shifted", "sparse"])


# --- how an answer is judged ---------------------------------------------------------------------


@every_problem
@every_matrix
def test_objective_is_the_formula_of_the_documentation(kind, fit_intercept):
    problem = make_problem(kind, fit_intercept)
    X = problem.X.toarray() if kind == "sparse" else problem.X
    coef = np.where(np.arange(12) % 3 == 0, np.linspace(-1, 2, 12), 0.0)
    intercept = sum(problem.y - X @ coef) / 30 if fit_intercept else 0.0

    squares = sum((problem.y[i] - X[i] @ coef - intercept) ** 2 for i in range(30))
    expected = squares / (2 * 30) + 0.1 * sum(abs(c) for c in coef)

    assert objective(problem, coef) == pytest.approx(expected, rel=1e-14)


def test_objective_of_float32_answers_and_data_is_computed_in_float64():
    problem = make_problem("dense", False)
    single = replace(problem, X=problem.X.astype(np.float32))
    double = replace(problem, X=single.X.astype(np.float64))
    coef = np.full(12, 1 / 3, dtype=np.float32)

    assert objective(single, coef) == pytest.approx(
        objective(double, coef.astype(float)), rel=1e-15
    )


@every_problem
@every_matrix
def test_zero_is_optimal_exactly_from_alpha_max_on(kind, fit_intercept):
    problem = make_problem(kind, fit_intercept)
    top = alpha_max(problem)

    assert not solve(problem.at(1.0001 * top)).any()
    assert solve(problem.at(0.999 * top)).any()


@every_problem
@every_matrix
def test_gap_is_zero_at_the_optimum_and_bounds_the_error_of_other_answers(kind, fit_intercept):
    problem = make_problem(kind, fit_intercept)
    coef = solve(problem)
    best = objective(problem, coef)

    assert judge(problem, coef)[1] == pytest.approx(0, abs=1e-10 * best)
    for crude in (np.zeros(12), np.ones(12), 0.9 * coef):
        (value,), (gap,) = judge(problem, crude)
        assert gap > value - best > 0


@every_matrix
def test_a_path_is_judged_alpha_by_alpha(kind):
    alphas = np.array([0.3, 0.1, 0.05])
    problem = make_problem(kind, True).at(alphas)
    coefs = np.column_stack([0.9 * solve(problem.at(alpha)) for alpha in alphas])

    for form in (coefs, sparse.csr_matrix(coefs)):
        objectives, gaps = judge(problem, form)
        for k, alpha in enumerate(alphas):
            one = judge(problem.at(alpha), coefs[:, k])
            np.testing.assert_allclose((objectives[k], gaps[k]), np.ravel(one), rtol=1e-12)


@every_problem
@every_matrix
def test_polishing_reaches_the_optimum_from_a_crude_answer(kind, fit_intercept):
    problem = make_problem(kind, fit_intercept)
    coef = solve(problem)
    crude = coef * 0.97

    np.testing.assert_allclose(polish(problem, crude), coef, atol=1e-9)


def test_polishing_never_raises_the_objective():
    problem = make_problem("dense", False)
    rng = np.random.default_rng(0)
    for _ in range(20):
        coef = rng.standard_normal(12) * (rng.random(12) < 0.5)
        assert objective(problem, polish(problem, coef)) <= objective(problem, coef)


def test_reference_is_certified_and_stops_at_the_first_proof():
    problem = make_problem("dense", True)
    asked = []

    def answer(name, coef):
        asked.append(name)
        return coef

    best = solve(problem)
    reference = find_reference(
        problem,
        [
            ("failed", partial(answer, "failed", None)),
            ("nan", partial(answer, "nan", column(np.full(12, np.nan)))),
            ("crude", partial(answer, "crude", column(np.ones(12)))),
            ("good", partial(answer, "good", column(best))),
            ("late", partial(answer, "late", column(best))),
        ],
        1e-10,
    )

    assert asked == ["failed", "nan", "crude", "good"]
    assert reference.certified(1e-10)
    assert any(name.startswith("good") for name in reference.by)
    assert reference.objectives == pytest.approx(objective(problem, best), rel=1e-12)


def test_reference_of_a_path_takes_the_best_of_each_alpha():
    problem = make_problem("dense", False).at(np.array([0.3, 0.1]))
    first, second = (solve(problem.at(alpha)) for alpha in problem.alphas)
    solutions = [
        ("early", lambda: sparse.csc_matrix(np.column_stack([first, np.ones(12)]))),
        ("late", lambda: sparse.csc_matrix(np.column_stack([np.ones(12), second]))),
    ]
    reference = find_reference(problem, solutions, 1e-10, relative_to_null=True)

    assert reference.certified(1e-10)
    assert reference.null == null_objective(problem)
    for k, coef in enumerate((first, second)):
        expected = objective(problem.at(problem.alphas[k]), coef)
        assert reference.objectives[k] == pytest.approx(expected, rel=1e-12)


def test_reference_without_any_answer_is_not_certified():
    reference = find_reference(make_problem("dense", False), [("failed", lambda: None)], 1e-6)

    assert not reference.certified(1e-6)
    assert reference.error(run_of("a", 1.0, 0.0)) == np.inf


def test_a_better_objective_met_later_becomes_the_reference():
    reference = known()
    reference.improve([run_of("worse", 1.0, 1e-3), run_of("better", 1.0, -1e-3)])

    assert reference.by == {"better"}
    assert reference.objectives == 1 - 1e-3


def test_error_of_a_path_is_its_worst_in_units_of_the_null_objective():
    reference = Reference(np.array([2.0, 1.0]), np.array([2.0, 1.0]), null=4.0)
    run = Run("a", "a", 0.1, "ok", [1.0], np.array([2.1, 1.2]), gaps=np.array([0.4, 0.3]))

    assert reference.error(run) == pytest.approx(0.2 / 4)
    assert reference.gap(run) == pytest.approx(0.4 / 4)


def test_who_reports_a_gap_is_held_to_it():
    reference = known()
    run = run_of("a", 1.0, 0.0)
    run.reported_gaps = np.array([1e-3])

    assert reference.error(run) == 1e-3


# --- time to accuracy ----------------------------------------------------------------------------


def test_the_fastest_run_that_reaches_the_target_counts():
    reference = known()
    runs = [
        run_of("a", 1.0, 1e-3),
        run_of("a", 3.0, 1e-5),
        run_of("a", 2.0, 1e-7),  # tighter and yet faster
        run_of("a", 0.1, 0.0, status="timeout"),
    ]

    assert fastest(runs, 1e-4, reference) is runs[2]
    assert fastest(runs, 1e-2, reference) is runs[0]
    assert fastest(runs, 1e-8, reference) is None


class Simulated:
    """A solver whose error is its tolerance, and whose time grows with the digits."""

    def __init__(self, limit: float = np.inf, floor: float = 0.0) -> None:
        self.limit, self.floor = limit, floor
        self.asked: list[float] = []

    def __call__(self, tol: float) -> Run:
        self.asked.append(tol)
        seconds = -np.log10(tol)
        if seconds > self.limit:
            return Run("simulated", "a", tol, "timeout", [self.limit])
        error = max(tol, self.floor) / 2
        return Run("simulated", "a", tol, "ok", [seconds], np.array([1 + error]))


DECADES = tuple(10.0**-k for k in range(1, 15))


def test_sweep_starts_with_a_throw_away_and_ends_at_the_hardest_target():
    solver = Simulated()
    runs = sweep(solver, DECADES, known(), Protocol(TARGETS, repeats=1, bisections=0))

    assert solver.asked == [DECADES[0], *DECADES[:8]]
    assert [run.tol for run in runs] == list(DECADES[:8])


def test_sweep_stops_at_the_time_limit():
    solver = Simulated(limit=4.5)
    runs = sweep(solver, DECADES, known(), Protocol(TARGETS, repeats=1, bisections=0))

    assert [run.status for run in runs] == ["ok"] * 4 + ["timeout"]
    assert max(solver.asked[1:]) == 0.1
    assert min(solver.asked) == 1e-5


def test_sweep_of_a_solver_that_fails_at_once_asks_once():
    solver = Simulated(limit=0.0)
    runs = sweep(solver, DECADES, known(), Protocol())

    assert len(solver.asked) == 1
    assert [run.status for run in runs] == ["timeout"]


def test_sweep_of_a_solver_that_stalls_ends():
    runs = sweep(Simulated(floor=1e-5), DECADES, known(), Protocol(repeats=2))

    assert fastest(runs, 1e-4, known()) is not None
    assert fastest(runs, 1e-6, known()) is None


def test_bisection_finds_a_looser_tolerance_between_two_decades():
    target = 3e-3  # reached from a tolerance of 6e-3 on: between 1e-2 and 1e-3
    protocol = Protocol(targets=(target,), repeats=1, bisections=3)
    runs = sweep(Simulated(), DECADES, known(), protocol)
    best = fastest(runs, target, known())

    assert best is not None
    assert 10**-2.5 < best.tol <= 6e-3


def test_only_the_runs_that_count_are_repeated_when_runs_are_expensive():
    protocol = Protocol(targets=(1e-4,), repeats=3, bisections=0, cheap=0.0)
    runs = sweep(Simulated(), DECADES, known(), protocol)

    assert [len(run.seconds) for run in runs] == [1, 1, 1, 3]


def test_every_run_is_repeated_when_runs_are_cheap():
    protocol = Protocol(targets=(1e-4,), repeats=3, bisections=0, cheap=100.0)
    runs = sweep(Simulated(), DECADES, known(), protocol)

    assert [len(run.seconds) for run in runs] == [3, 3, 3, 3]


def test_a_run_that_fails_when_repeated_does_not_count():
    asked = []

    def flaky(tol: float) -> Run:
        asked.append(tol)
        status = "ok" if len(asked) < 3 else "crashed"
        return Run("flaky", "a", tol, status, [1.0], np.array([1.0]))

    runs = sweep(flaky, (0.1,), known(), Protocol(repeats=5))

    assert fastest(runs, 1e-4, known()) is None


# --- comparing packages --------------------------------------------------------------------------


def test_ratio_is_ours_over_the_fastest_peer():
    runs = [
        run_of("ours", 1.0, 1e-9),
        run_of("slow", 4.0, 1e-9),
        run_of("fast", 2.0, 1e-9),
        run_of("crude", 0.1, 1e-3),
    ]
    (cell,) = cells(runs, known(), (1e-8,), "ours")

    assert cell["ratio"] == 0.5
    assert cell["fastest_peer"] == "fast"
    assert cell["packages"]["slow"]["seconds"] == 4.0
    assert cell["packages"]["crude"] == {"seconds": None, "why": "stalled"}


def test_cells_that_one_side_never_reaches_have_no_ratio_and_are_counted():
    reference = known()
    timeout = run_of("ours", 60.0, np.inf, status="timeout")
    ours_fails = cells([timeout, run_of("peer", 1.0, 0.0)], reference, (1e-8,), "ours")
    peer_fails = cells(
        [run_of("ours", 1.0, 0.0), run_of("peer", 1.0, 1.0)], reference, (1e-8,), "ours"
    )
    both_reach = cells(
        [run_of("ours", 1.0, 0.0), run_of("peer", 4.0, 0.0)], reference, (1e-8,), "ours"
    )

    assert ours_fails[0]["ratio"] is None
    assert ours_fails[0]["packages"]["ours"] == {"seconds": None, "why": "timeout"}
    overall = summarize([*ours_fails, *peer_fails, *both_reach], "ours")[-1]
    assert overall == {
        "target": None,
        "geometric_mean": 0.25,
        "worst": 0.25,
        "n_ratios": 1,
        "n_faster": 1,
        "only_peers": 1,
        "only_ours": 1,
    }


def test_geometric_mean_of_inverse_ratios_is_one():
    reference = known()
    table = [
        *cells([run_of("ours", 1.0, 0.0), run_of("peer", 5.0, 0.0)], reference, TARGETS, "ours"),
        *cells([run_of("ours", 5.0, 0.0), run_of("peer", 1.0, 0.0)], reference, TARGETS, "ours"),
    ]
    summary = summarize(table, "ours")

    assert [item["target"] for item in summary] == [*TARGETS, None]
    assert all(item["geometric_mean"] == pytest.approx(1.0) for item in summary)
    assert summary[-1]["n_ratios"] == 6


def test_an_uncertified_optimum_judges_only_the_targets_well_above_its_gap():
    reference = Reference(np.array([1.0]), np.array([1 - 1e-8]))
    table = cells([run_of("ours", 1.0, 0.0)], reference, (1e-6, 1e-8), "ours")

    assert [cell["target"] for cell in table] == [1e-6]


@pytest.mark.parametrize(
    ("seconds", "n_expected", "met"),
    [((1.0, 1.0), 2, True), ((1.0, 1.0), 3, False), ((1.0, 3.5), 2, False), ((2.2, 2.2), 2, False)],
)
def test_a_target_is_met_only_by_all_cells_in_the_mean_and_at_worst(seconds, n_expected, met):
    table = [
        cell
        for own in seconds
        for cell in cells(
            [run_of("ours", own, 0.0), run_of("peer", 4.0, 0.0)], known(), (1e-6,), "ours"
        )
    ]

    assert verdict(table, Target(1e-6, 0.5, 0.8), "ours", n_expected)["met"] is met


def test_a_cell_that_we_do_not_reach_misses_the_target():
    runs = [run_of("ours", 60.0, np.inf, status="timeout"), run_of("peer", 4.0, 0.0)]
    item = verdict(cells(runs, known(), (1e-6,), "ours"), Target(1e-6, 1.0, 1.0), "ours", 1)

    assert item["n_lost"] == 1
    assert not item["met"]


# --- data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "generate",
    [
        partial(data.toeplitz, 40, 70, 0.9),
        partial(data.text, 300, 500, 6000),
        partial(data.genotypes, 60, 150),
    ],
    ids=["toeplitz", "text", "genotypes"],
)
def test_generators_depend_on_their_seed_alone(generate):
    (X, y), (X_again, y_again), (_, y_other) = generate(), generate(), generate(seed=1)

    assert abs(X - X_again).max() == 0
    np.testing.assert_array_equal(y, y_again)
    assert not np.array_equal(y, y_other)


def test_toeplitz_columns_are_standardized_and_correlated_as_asked():
    X, y = data.toeplitz(20_000, 5, 0.7)

    assert X.flags.f_contiguous
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(X.std(axis=0), 1)
    assert y.mean() == pytest.approx(0, abs=1e-12)
    assert y.std() == pytest.approx(1)
    distance = np.abs(np.subtract.outer(range(5), range(5)))
    np.testing.assert_allclose(np.corrcoef(X.T), 0.7**distance, atol=0.03)


def test_text_has_power_law_columns_unit_rows_and_as_many_nonzeros_as_asked():
    X, y = data.text(2000, 5000, 80_000)
    counts = np.sort(np.diff(X.indptr))[::-1]

    assert X.shape == (2000, 5000)
    assert X.indices.dtype == np.int32
    assert X.has_sorted_indices
    assert X.nnz == pytest.approx(80_000, rel=0.02)
    assert counts[-1] >= 1
    # From the 20th to the 500th word the counts fall about as one over the rank.
    slope = np.log(counts[499] / counts[19]) / np.log(500 / 20)
    assert -1.4 < slope < -0.6
    np.testing.assert_allclose(sparse.linalg.norm(X, axis=1), 1)
    assert y.std() == pytest.approx(1)


def test_genotypes_have_three_values_and_blocks_of_correlated_columns():
    X, y = data.genotypes(1000, 400)
    correlations = np.corrcoef(X.T)
    neighbors = np.diag(correlations, 1)

    assert X.flags.f_contiguous
    assert X.shape[1] == 400
    assert max(len(np.unique(X[:, j])) for j in range(400)) == 3
    np.testing.assert_allclose(X.std(axis=0), 1)
    # 20 to 100 columns a block: few neighbors are independent, distant columns all are
    assert 4 <= (np.abs(neighbors) < 0.2).sum() <= 19
    assert np.median(neighbors) > 0.5
    assert np.abs(np.diag(correlations, 150)).max() < 0.2
    assert y.std() == pytest.approx(1)


def test_folds_are_balanced_and_the_same_every_time():
    dataset = data.Dataset("tiny", "generated", partial(data.toeplitz, 32, 5, 0.5))
    problem, again = dataset.problem(), dataset.problem()

    np.testing.assert_array_equal(problem.folds, again.folds)
    assert np.bincount(problem.folds).tolist() == [7, 7, 6, 6, 6]
    for train, test in problem.splits():
        assert sorted([*train, *test]) == list(range(32))


def test_a_wrong_name_of_a_data_set_lists_the_right_ones():
    with pytest.raises(data.UnknownDataset, match=r"'iris'.*riboflavin.*genotypes-2000x10000"):
        main("lasso-path", data=["iris"])
    with pytest.raises(data.UnknownDataset, match="cold-start"):
        main("cold-start", data=["riboflavin"])


def test_diabetes_has_all_products():
    X, y = data.diabetes(2)

    assert X.shape == (442, 65)
    assert y.shape == (442,)


def test_real_data_are_read_from_the_named_folder_and_standardized(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, (20, 6)).astype(np.int8)
    X[:, 2] = 1
    np.savez(tmp_path / "wheat.npz", X=X, Y=rng.standard_normal((20, 4)))
    monkeypatch.setenv("SPARSEREG_DATA", str(tmp_path))
    X_read, y = data.real("wheat")

    assert X_read.shape == (20, 5)  # without the constant column
    np.testing.assert_allclose(X_read.std(axis=0), 1)
    assert y.shape == (20,)
    with pytest.raises(data.Unavailable, match="riboflavin"):
        data.real("riboflavin")


def test_missing_data_folder_is_a_reason_to_skip(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSEREG_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(data.Unavailable, match="SPARSEREG_DATA"):
        data.real("colon")


# --- processes -----------------------------------------------------------------------------------

MISBEHAVING_PEER = """
import os, time
import numpy as np

def fit(problem, tol):
    if tol == -1:
        time.sleep(60)
    if tol == -2:
        os._exit(1)
    if tol == -3:
        raise ArithmeticError("in /a/folder")
    if tol == -4:
        np.ones(5_000_000)
    return np.full(problem.X.shape[1], tol)
"""


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_worker_survives_peers_that_hang_crash_or_raise(kind, tmp_path, monkeypatch):
    (tmp_path / "misbehaving_peer.py").write_text(MISBEHAVING_PEER)
    monkeypatch.syspath_prepend(str(tmp_path))
    fit = importlib.import_module("misbehaving_peer").fit
    problem = make_problem(kind, False)
    save_problem(problem, tmp_path)

    with Worker() as worker:
        hanging, well, crashing, raising = (
            worker.fit(fit, tmp_path, problem, tol, time_limit=0.5) for tol in (-1, 0.25, -2, -3)
        )

    assert (hanging.status, hanging.seconds) == ("timeout", 0.5)
    assert well.status == "ok"
    np.testing.assert_array_equal(well.coefs.toarray(), np.full((12, 1), 0.25))
    assert crashing.status == "crashed"
    assert raising.status == "ArithmeticError"


@pytest.mark.skipif(platform.system() != "Linux", reason="peak memory is read from /proc")
def test_memory_is_measured_even_where_an_earlier_fit_has_left_some(tmp_path, monkeypatch):
    (tmp_path / "misbehaving_peer.py").write_text(MISBEHAVING_PEER)
    monkeypatch.syspath_prepend(str(tmp_path))
    fit = importlib.import_module("misbehaving_peer").fit
    problem = make_problem("dense", False)
    save_problem(problem, tmp_path)

    with Worker() as worker:
        peaks = [
            worker.fit(fit, tmp_path, problem, tol, time_limit=30.0, measure_memory=True).peak_mib
            for tol in (-4, -4, 0.5)
        ]

    assert peaks[:2] == pytest.approx([5e6 * 8 / 2**20] * 2, abs=2)
    assert peaks[2] < 2


# --- families ------------------------------------------------------------------------------------


TINY = data.Dataset("tiny", "generated", partial(data.toeplitz, 30, 60, 0.5))
FAST = Protocol((1e-4, 1e-8), repeats=2, time_limit=20.0, cheap=0.01, bisections=1)


def miniature(family, *names: str, grid: tuple[float, ...]):
    solvers = tuple(solver for solver in family.solvers if solver.name in names)
    sweeps = family.sweeps and miniature(family.sweeps, *names, grid=grid)
    return replace(family, solvers=solvers, grids=(grid,), sweeps=sweeps)


def test_a_miniature_family_gives_complete_json_and_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPARSEREG_DATA", str(tmp_path / "nowhere"))
    family = miniature(lasso_fit.FAMILY, "sparsereg", "scikit-learn", grid=(0.1,))
    absent = data.Dataset("absent", "real", partial(data.real, "colon"))

    results = comparison.measure(family, [TINY, absent], FAST, Console(quiet=True))
    file = report.write(results, "miniature", tmp_path)

    read = json.loads(file.read_text())
    assert read["family"] == "lasso-fit"
    assert read["packages"] == ["scikit-sparsereg", "scikit-learn"]
    assert [item["dataset"] for item in read["skipped"]] == ["absent"]
    assert {"python", "cpu", "usable_cpus", "versions"} <= read["environment"].keys()
    assert read["threads"].keys() == set(read["packages"])
    (problem,) = read["problems"]
    assert (problem["dataset"], problem["n_samples"], problem["n_features"]) == ("tiny", 30, 60)
    assert problem["reference"]["uncertified"] == []
    assert [cell["target"] for cell in problem["cells"]] == list(FAST.targets)
    for cell in problem["cells"]:
        assert cell["packages"]["scikit-learn"]["seconds"] > 0
        assert cell["packages"]["scikit-sparsereg"]["seconds"] > 0
        assert cell["ratio"] > 0
        own = cell["packages"]["scikit-sparsereg"]
        assert own["n_nonzero"] <= own["working_set"] <= 60
        assert cell["packages"]["scikit-learn"]["working_set"] is None
    assert all(run["relative_error"] >= 0 for run in problem["runs"])
    assert read["summary"][-1]["n_ratios"] == 2
    assert "| tiny | 0.1 | 1e-04 |" in file.with_suffix(".md").read_text()
    printed = capsys.readouterr().out
    assert "geometric mean" in printed
    assert "peak memory" in printed


@pytest.mark.parametrize(
    ("peak", "by_working_set", "by_support"), [(30.0, 1, 1), (35.0, 1, 0), (50.0, 0, 0)]
)
def test_memory_is_held_to_the_gram_matrix_of_the_working_set(peak, by_working_set, by_support):
    own = {"peak_mib": peak, "answer_mib": 1.0, "n_nonzero": 1920, "working_set": 2200}
    packages = {OURS: own, "celer": {"peak_mib": 4.0}, "skglm": {"peak_mib": 2.0}, "adelie": None}
    cell = {"target": 1e-6, "packages": packages}
    problem = {"dataset": "x", "alphas": "0.1", "x_mib": 100.0, "cells": [cell]}
    note = report._memory_note({"ours": OURS, "problems": [problem]})
    # 8 bytes times 1,920 squared are 28.1 MiB and times 2,200 squared 36.9
    assert f"in {by_working_set} of 1 cells ({by_support} by" in note
    assert ("2200 columns" in note) == (not by_working_set)
    assert report._memory(packages, OURS, 100.0) == [f"{peak:.0f}%", "2%"]


def test_cross_validation_takes_its_tolerances_over_from_the_paths(tmp_path, capsys):
    names = ("sparsereg", "scikit-learn", "scikit-learn, 2 jobs")
    family = miniature(lasso_cv.FAMILY, *names, grid=(1.0, 0.3, 0.1))
    swept: dict = {}
    paths = comparison.measure(family.sweeps, [TINY], FAST, Console(quiet=True), swept)
    results = comparison.measure(family, [TINY], FAST, Console(quiet=True), swept)
    report.write(results, "miniature", tmp_path)

    (problem,) = results["problems"]
    sklearn = paths["problems"][0]["cells"][-1]["packages"]["scikit-learn"]
    assert {run["solver"] for run in problem["runs"]} == set(names)
    for run in problem["runs"]:
        assert run["mse_deviation"] < 0.05
        assert run["relative_error"] < FAST.targets[0]
        if run["package"] == OURS:  # its folds are held to the accuracy, too
            assert run["fold_error"] < FAST.targets[0]
            assert run["mse_deviation"] < 1e-3
    assert sklearn["tol"] in [run["tol"] for run in problem["runs"]]
    assert [cell["target"] for cell in problem["cells"]] == list(FAST.targets)
    assert all(cell["ratio"] > 0 for cell in problem["cells"])


def test_cross_validation_takes_its_tolerances_over_from_a_recording(tmp_path, monkeypatch):
    names = ("sparsereg", "scikit-learn")
    family = miniature(lasso_cv.FAMILY, *names, grid=(1.0, 0.3, 0.1))
    family = replace(family, datasets=lambda quick: [TINY])
    paths = replace(family.sweeps, datasets=lambda quick: [TINY])
    kwargs = {"quick": False, "output": tmp_path, "repeats": 2, "time_limit": 20.0}
    comparison.run([paths], **kwargs)
    file = tmp_path / "lasso-path.json"
    recorded = json.loads(file.read_text())
    for run in recorded["problems"][0]["runs"]:  # one solver never got there
        if run["solver"] == "scikit-learn":
            run["relative_error"] = np.inf
    file.write_text(json.dumps(recorded))
    monkeypatch.setattr(comparison, "sweep", None)
    comparison.run([family], **kwargs)

    (problem,) = json.loads((tmp_path / "lasso-cv.json").read_text())["problems"]
    tolerances = {run["tol"] for run in recorded["problems"][0]["runs"]}
    ours = [run for run in problem["runs"] if run["package"] == OURS]
    assert ours
    assert all(run["tol"] in tolerances and len(run["seconds"]) >= 2 for run in ours)
    assert all(run["relative_error"] < 1e-10 for run in ours)
    assert [cell["fastest_peer"] for cell in problem["cells"]] == [None, None]


def test_an_interrupted_run_keeps_what_is_measured_and_goes_no_further(tmp_path, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    never = data.Dataset("never", "generated", interrupt)
    family = replace(
        miniature(lasso_path.FAMILY, "sparsereg", grid=(1.0, 0.1)),
        datasets=lambda quick: [TINY, never],
    )
    comparison.run([family, family], quick=True, output=tmp_path, accuracy=1e-4, repeats=1)

    read = json.loads((tmp_path / "lasso-path-quick.json").read_text())
    assert [problem["dataset"] for problem in read["problems"]] == ["tiny"]
    assert read["skipped"] == [{"dataset": "never", "reason": "interrupted"}]


def adapters():
    every = {
        solver.fit: (solver, alphas)
        for solvers, alphas in ((packages.ONE_ALPHA, 1), (packages.PATHS, 3), (lasso_cv.SOLVERS, 3))
        for solver in solvers
    }
    names = sorted({solver.package for solver, _ in every.values()})
    return [(name, [item for item in every.values() if item[0].package == name]) for name in names]


@pytest.mark.parametrize(("package", "solvers"), adapters(), ids=lambda item: str(item)[:20])
def test_every_adapter_solves_our_problem(package, solvers, tmp_path, monkeypatch):
    if package != OURS and environment.version(package) is None:
        pytest.skip(f"{package} is not installed")
    if package == "skglm":  # it would compile for many seconds
        monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    problem = make_problem("dense", False)
    save_problem(problem, tmp_path)

    with Worker(environment.interpreter(package)) as worker:
        for solver, n_alphas in solvers:
            path = problem.at(np.array([0.3, 0.1, 0.05]) if n_alphas > 1 else 0.1)
            tol = 1e-15 if package in ("adelie", "glmnet") else 1e-10
            answer = worker.fit(solver.fit, tmp_path, path, tol, time_limit=60.0)
            assert answer.status == "ok", solver.name
            solved = path if answer.alpha is None else path.at(answer.alpha)
            best = [objective(solved.at(alpha), solve(solved.at(alpha))) for alpha in solved.alphas]
            found, gaps = judge(solved, answer.coefs)
            np.testing.assert_allclose(found, best, rtol=1e-8, err_msg=solver.name)
            if answer.gaps is not None:  # what is reported is about what there is
                np.testing.assert_allclose(answer.gaps, gaps, atol=1e-9)


def test_a_package_with_its_own_interpreter_is_measured_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSEREG_BENCH_PYTHON_SCIKIT_LEARN", str(tmp_path / "no-python"))

    assert environment.interpreter("scikit-learn").endswith("no-python")
    assert environment.version("scikit-learn") is None
    assert "SPARSEREG_BENCH_PYTHON_SCIKIT_LEARN" in environment.how_to_install("scikit-learn")


def test_cold_start_measures_fresh_processes_and_reports_failures(tmp_path):
    cases = (
        cold_start.Case("import", OURS, "import sparsereg", target=60.0),
        cold_start.Case("nothing", "scikit-learn", "pass", target=0.0, empty_cache=True),
        cold_start.Case("fails", "scikit-learn", "raise SystemExit(1)", target=1.0),
        cold_start.Case("load", OURS, "import sparsereg.backends.numba.matrices"),
    )
    results = cold_start.measure(cases, 2, 1, Console(quiet=True))
    file = report.write(results, "cold", tmp_path)

    read = json.loads(file.read_text())
    assert [item["met"] for item in read["measurements"]] == [True, False, None, None]
    assert [len(item["seconds"]) for item in read["measurements"]] == [2, 1, 0, 2]
    assert read["measurements"][2]["why"] == "failed"
    assert read["measurements"][3]["kernels_not_met"]
    assert "MISSED" in file.with_suffix(".md").read_text()


def test_importing_the_package_loads_nothing_heavy():
    results = cold_start.measure((), 1, 1, Console(quiet=True))

    assert results["imports"]["heavy_modules_loaded"] == []
    assert results["imports"]["n_modules"] > 0


def test_results_name_no_host_and_no_folder():
    text = json.dumps(environment.describe(["scikit-learn", "not-a-distribution"]))

    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert json.loads(text)["versions"]["not-a-distribution"] is None


def test_unknown_family_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'ridge'.*lasso-cv.*cold-start"):
        main("ridge")


def test_every_family_is_named_as_it_is_asked_for():
    members = {module.FAMILY.name for module in (lasso_fit, lasso_path, lasso_cv)}

    assert members == set(_COMPARISONS) < set(FAMILIES)
