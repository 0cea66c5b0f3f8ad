"""The quality benchmark judges supports by their refit, and counts fairly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console
from sparsereg.benchmarks import main, nonconvex, report
from sparsereg.benchmarks.data import UnknownDataset
from sparsereg.benchmarks.nonconvex import Answer, Setting, draw, measure
from sparsereg.benchmarks.protocol import OURS

SMALL = Setting(30, 20, 3, 0.5, 6.0, 0.1)


def test_the_objective_of_a_support_is_that_of_our_fit():
    from sparsereg import L0Regressor

    for setting in (SMALL, Setting(30, 20, 3, 0.5, 6.0, None, l2=0.1)):
        instance = draw(setting, 1)
        model = L0Regressor(instance.alpha, l2=instance.l2, fit_intercept=False)
        model.fit(instance.X, instance.y)
        assert instance.objective(model.support_) == pytest.approx(model.objective_, rel=1e-12)
        assert instance.f1(instance.support) == 1.0


def test_a_method_that_is_worse_is_not_at_the_best_known(monkeypatch, tmp_path):
    def nothing(instance, context):
        return Answer([np.empty(0, dtype=int)], finished=False)

    monkeypatch.setattr(nonconvex.environment, "version", lambda package: None)
    ours = (f"{OURS} L0Regressor", OURS, nonconvex.l0_regressor)
    monkeypatch.setattr(nonconvex, "SEARCH", (ours, ("nothing", OURS, nothing)))
    monkeypatch.setattr(nonconvex, "PROOF", (ours,))
    results = measure(
        (SMALL,), (Setting(30, 20, 3, 0.5, 6.0, None, l2=0.1),), 2, 1.0, Console(quiet=True)
    )
    best, worst = results["quality"][0]["methods"]
    assert (best["share_at_best"], worst["share_at_best"]) == (1.0, 0.0)
    assert worst["mean_excess"] > 0
    assert worst["finished"] == worst["f1"] == 0.0
    (certified,) = [part for part in results["quality"] if part["table"] == "certified"]
    assert 0 < certified["methods"][0]["median_gap"] < 1
    assert set(results["not_installed"]) == {"skglm", "abess", "el0ps"}
    file = report.write(results, "nonconvex", tmp_path)
    assert json.loads(file.read_text())["quality"][0]["setting"]["p"] == 20
    assert "n=30 p=20 k=3" in file.with_suffix(".md").read_text()


def test_it_has_no_data_sets_to_choose():
    with pytest.raises(UnknownDataset, match="nonconvex"):
        main("nonconvex", data=["riboflavin"])
