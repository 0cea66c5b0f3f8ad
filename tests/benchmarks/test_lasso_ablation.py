"""The ablation: what it switches off exists, changes no answer, and is on again afterwards."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from rich.console import Console
from sparsereg.benchmarks import data, lasso_ablation, report

from sparsereg import LassoCV, lasso_path


@pytest.mark.parametrize("idea", lasso_ablation.IDEAS)
@pytest.mark.parametrize("shape", [(60, 300), (300, 40)], ids=["wide", "tall"])
def test_no_idea_changes_an_answer(idea, shape):
    X, y = data.toeplitz(*shape, 0.7)
    settings = {"eps": 0.01, "n_alphas": 20, "tol": 1e-10}
    expected = lasso_path(X, y, **settings)[1]
    scores = LassoCV(cv=3, **settings).fit(X, y).mse_path_
    with lasso_ablation.without(idea):
        np.testing.assert_allclose(lasso_path(X, y, **settings)[1], expected, atol=1e-7)
        found = LassoCV(cv=3, **settings).fit(X, y).mse_path_
    np.testing.assert_allclose(found, scores, rtol=1e-6)


@pytest.mark.parametrize("idea", lasso_ablation.IDEAS)
def test_ideas_are_on_again_afterwards(idea):
    def current():
        values = []
        for name in lasso_ablation.IDEAS[idea]:
            module, *path = name.split(".")
            value = importlib.import_module(f"sparsereg.solvers.{module}")
            for attribute in path:
                value = getattr(value, attribute)
            values.append(value)
        return values

    before = current()
    with lasso_ablation.without(idea):
        assert current() != before
    assert current() == before


def test_the_family_runs_on_small_data(tmp_path):
    tasks = lasso_ablation.TASKS[2:3]
    results = lasso_ablation.measure(tasks, quick=True, repeats=1, console=Console())
    (task,) = results["ablation"]
    assert task["seconds"].keys() == {"everything", *lasso_ablation.IDEAS}
    assert 0 <= task["largest_gap"] <= 1e-6
    report.write(results, "lasso-ablation", tmp_path)
    table = (tmp_path / "lasso-ablation.md").read_text()
    assert "without Newton steps" in table
    assert tasks[0].name in table
