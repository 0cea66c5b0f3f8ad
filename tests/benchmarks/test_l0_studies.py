"""The studies of l0 methods: fair judges, published formulas, runs that can be resumed."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from rich.console import Console
from sparsereg.benchmarks import l0_path, phase_transition, report, subset_selection
from sparsereg.benchmarks.protocol import OURS

# --- l0-path -------------------------------------------------------------------------------------


def test_paths_are_judged_by_refits_and_ours_are_not_above_forward_selection(tmp_path, monkeypatch):
    def greedy(X, y, setting, threads):
        coefs = subset_selection.forward_stepwise(X, y)
        return [np.flatnonzero(coef) for coef in coefs.T[: setting.max_size + 1]]

    setting = l0_path.Setting(60, 40, 0.7)
    peer = l0_path.Method("greedy", "numpy", greedy, l0_path._as_they_are)
    ours = [m for m in l0_path.TASKS["path"] if m.package == OURS]
    draws = [setting.draw(seed) for seed in range(3)]
    cells = l0_path._cells(setting, "path", [*ours, peer], draws, 1, (1,))
    for item in cells[0]["ours"].values():
        assert item["not_beaten"] == 1.0
        assert item["mean_difference"] >= 0
        assert item["ratio"] > 0
    results = {**l0_path.measure((), 1, 1, (1,), Console(quiet=True)), "cells": cells}
    report.write(results, "l0-path", tmp_path, l0_path.render)
    assert "n=60 p=40 ρ=0.7" in (tmp_path / "l0-path.md").read_text(encoding="utf-8")


def test_objectives_of_supports_are_shares_of_the_null_model():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 5))
    y = X[:, 2].copy()
    nothing, one, true = l0_path._objectives(
        X, y, [np.array([], dtype=int), np.array([0]), np.array([2])]
    )
    assert nothing == 1.0
    assert 0.5 < one < 1.0
    assert true == pytest.approx(0.0, abs=1e-25)


# --- subset-selection ----------------------------------------------------------------------------


def test_the_grid_is_the_published_one():
    cells = subset_selection.settings()
    assert len(cells) == 240
    assert {(c.n, c.p, c.n_nonzero) for c in cells} == {(100, 10, 5), (500, 100, 5)}
    assert subset_selection.SNRS[0] == 0.05
    assert subset_selection.SNRS[-1] == 6.0
    np.testing.assert_array_equal(
        np.flatnonzero(subset_selection.coefficients(1, 10, 5)), [0, 2, 4, 7, 9]
    )
    assert subset_selection.coefficients(3, 10, 5)[:5].tolist() == [10, 7.625, 5.25, 2.875, 0.5]
    assert subset_selection.coefficients(5, 10, 5)[5:7].tolist() == [0.5, 0.25]


def test_errors_are_those_of_new_rows():
    setting = subset_selection.Setting("low", 100, 10, 5, 2, 0.35, 1.0)
    instance = subset_selection.draw(setting, 0)
    coef = np.linspace(-1, 1, 10)
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((200_000, 10)) @ np.linalg.cholesky(instance.covariance).T
    noise = np.sqrt(instance.noise_variance) * rng.standard_normal(len(rows))
    expected = np.mean((rows @ (instance.beta - coef) + noise) ** 2) / instance.noise_variance
    assert instance.judge(coef)["rte"] == pytest.approx(expected, rel=0.02)
    assert instance.judge(instance.beta)["rte"] == 1.0
    assert instance.judge(np.zeros(10))["rr"] == pytest.approx(1.0)


def test_forward_stepwise_adds_the_best_column_each_time():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 6))
    y = X[:, :2].sum(axis=1) + 0.5 * rng.standard_normal(40)
    supports = [np.flatnonzero(c) for c in subset_selection.forward_stepwise(X, y).T]
    for smaller, larger in itertools.pairwise(supports):
        rss = {
            j: np.linalg.lstsq(X[:, [*smaller, j]], y, rcond=None)[1][0]
            for j in set(range(6)) - set(smaller)
        }
        assert set(larger) == {*smaller, min(rss, key=rss.get)}


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    methods = {"forward stepwise": subset_selection.forward_stepwise}
    monkeypatch.setattr(subset_selection, "METHODS", methods)
    cells, file = subset_selection.settings(quick=True)[:3], tmp_path / "subset-selection.json"
    steps = subset_selection.measure(subset_selection.begin(cells, 2, file), Console(quiet=True))
    report.save(next(steps), file)
    first = json.loads(file.read_text())["subset_selection"]
    state = subset_selection.begin(cells, 2, file)
    assert state["subset_selection"] == first
    list(subset_selection.measure(state, Console(quiet=True)))
    assert len(state["subset_selection"]) == 3
    report.write(state, "subset-selection", tmp_path, subset_selection.render)
    assert subset_selection.begin(cells, 2, file)["subset_selection"] == []  # complete: anew
    assert subset_selection.begin(cells, 3, file)["subset_selection"] == []  # another protocol


# --- phase-transition ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delta", "rho"), [(0.05, 0.154), (0.1, 0.189), (0.25, 0.267), (0.5, 0.386), (0.9, 0.678)]
)
def test_the_computed_curve_has_the_known_values(delta, rho):
    assert phase_transition.l1_curve(delta) == pytest.approx(rho, abs=1e-3)


def test_the_crossing_is_interpolated():
    rhos = np.array([0.1, 0.2, 0.3])
    assert phase_transition.crossing(rhos, np.array([1.0, 0.75, 0.25])) == pytest.approx(0.25)
    assert phase_transition.crossing(rhos, np.array([0.2, 0.0, 0.0])) == 0.1
    assert phase_transition.crossing(rhos, np.ones(3)) is None


@pytest.mark.parametrize("method", phase_transition.METHODS)
@pytest.mark.parametrize("law", ["gaussian", "signs"])
def test_easy_problems_are_recovered_and_impossible_ones_are_not(method, law):
    solve = phase_transition.METHODS[method]
    X, y, beta = phase_transition.draw(30, 60, 3, law, 0)
    assert phase_transition.succeeds(solve(X, y), X, y, beta)
    X, y, beta = phase_transition.draw(30, 60, 29, law, 0)
    assert not phase_transition.succeeds(solve(X, y), X, y, beta)
