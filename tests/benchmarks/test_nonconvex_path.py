"""The judge of non-convex paths agrees with the package's own formulas; the family runs."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console
from sparsereg.benchmarks import data, nonconvex_path, report
from sparsereg.benchmarks.protocol import OURS

from sparsereg import penalties

SETTINGS = [
    nonconvex_path.Setting("MCP", 3.0, 40, 30, 0.5),
    nonconvex_path.Setting("SCAD", 3.7, 40, 30, 0.5),
]


@pytest.fixture(params=SETTINGS, ids=lambda setting: setting.penalty)
def problem(request):
    setting = request.param
    X, y = data.toeplitz(setting.n, setting.p, setting.rho)
    return setting, X, y, np.array([0.3, 0.1])


def test_objectives_are_those_of_the_penalties(problem):
    setting, X, y, alphas = problem
    coefs = np.random.default_rng(0).normal(0, 0.3, (30, 2))
    make = getattr(penalties, setting.penalty)
    expected = [
        0.5 * np.mean((y - X @ w) ** 2) + make(alpha, setting.gamma).value(w)
        for alpha, w in zip(alphas, coefs.T)
    ]
    found = nonconvex_path.objectives(setting, X, y, alphas, coefs)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_accuracy_is_the_largest_step_to_the_prox(problem):
    setting, X, y, alphas = problem
    coefs = np.random.default_rng(0).normal(0, 0.3, (30, 2))
    steps = []
    for alpha, w in zip(alphas, coefs.T):
        penalty = getattr(penalties, setting.penalty)(alpha, setting.gamma)
        steps.append(penalty.prox(w + X.T @ (y - X @ w) / len(y), 1.0) - w)
    expected = np.max(np.abs(steps)) / np.sqrt(np.mean(y**2))
    found = nonconvex_path.accuracy_of(setting, X, y, alphas, coefs)
    assert found == pytest.approx(expected, rel=1e-10)


def test_solved_paths_are_accurate(problem):
    setting, X, y, alphas = problem
    coefs = nonconvex_path.path_sparsereg(setting, X, y, alphas, 1e-8)
    assert nonconvex_path.accuracy_of(setting, X, y, alphas, coefs) <= 1e-7


def test_the_family_measures_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(nonconvex_path, "PATHS", {OURS: nonconvex_path.path_sparsereg})
    results = nonconvex_path.measure(tuple(SETTINGS), 2, 60.0, Console(quiet=True))
    assert len(results["local_paths"]) == 4
    for cell in results["local_paths"]:
        assert cell["packages"][OURS]["seconds"] > 0
        assert cell["packages"][OURS]["excess"] == 0
    report.write(results, "nonconvex-path-quick", tmp_path)
    assert "MCP γ=3 n=40 p=30" in (tmp_path / "nonconvex-path-quick.md").read_text(encoding="utf-8")
