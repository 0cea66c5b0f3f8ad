"""The privacy family: its draws are what they say, and the table holds what was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sparsereg.benchmarks import privacy, report


@pytest.mark.parametrize("draw", [privacy.normal_draw, privacy.equal_draw])
@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_draws_have_the_covariance_and_the_truth_that_estimators_are_told_of(draw, rho):
    setting = privacy.Setting("", draw, 50_000, 5, 2, (), rho=rho)
    data = draw(setting, 0)
    np.testing.assert_allclose(data.X.T @ data.X / 50_000, data.covariance, atol=0.03)
    assert np.count_nonzero(data.truth) == 2
    assert np.linalg.norm(data.truth) == pytest.approx(1.0)
    fitted = np.linalg.lstsq(data.X, data.y, rcond=None)[0]
    assert data.error(fitted) < 0.03
    assert data.error(0 * fitted) == pytest.approx(1.0)


def test_rows_of_categories_have_norm_one_and_labels_of_sign():
    setting = replace(privacy.SETTINGS[-1], n=2000)
    data = privacy.categories_draw(setting, 0)
    np.testing.assert_allclose(np.linalg.norm(data.X, axis=1), 1.0, atol=1e-6)
    assert set(np.unique(data.y)) == {-1.0, 1.0}
    assert data.error(np.zeros(105)) == 1.0
    assert data.error(privacy.least_squares(data, setting, 0)) < 1.0


def test_every_setting_has_the_zero_estimator_and_one_that_is_not_private():
    for setting in privacy.SETTINGS:
        names = [arm.name for arm in setting.arms]
        assert "zero" in names
        assert any("not private" in name for name in names)
        assert names[0].startswith("ours")
        assert all(arm.told for arm in setting.arms)


def test_the_family_runs_on_few_persons(tmp_path, monkeypatch):
    costs = [
        {
            "statistic": "score", "dimension": 101, "report_bytes": 24, "client_ms": 0.1,
            "reports_per_second": 1e6, "state_bytes_after_1000": 900, "state_bytes_at_end": 900,
            "n_reports": 1000,
        }
    ]  # fmt: skip
    monkeypatch.setattr(privacy, "costs", lambda: costs)
    first = privacy.SETTINGS[0]
    known, zero = first.arms[0], privacy.ZERO
    setting = replace(first, n=20_000, d=6, s=1, arms=(known, zero), target=0.5)
    results = privacy.measure((setting,), 2, Console())
    (block,) = results["privacy"]
    ours, nothing = block["arms"]
    assert nothing["errors"] == [1.0, 1.0]
    assert ours["median"] < 0.5
    assert block["met"]
    report.write(results, "privacy", tmp_path)
    table = (tmp_path / "privacy.md").read_text()
    assert "covariance, normality" in table
    assert "≤ 0.5" in table


def test_reports_are_as_small_and_fast_as_the_costs_say():
    score, gram, noisy = privacy.costs()
    assert noisy["report_bytes"] == 24 + 4 * (noisy["dimension"] + 1)
    assert score["report_bytes"] == gram["report_bytes"] == 24
    assert score["state_bytes_at_end"] - score["state_bytes_after_1000"] < 16
    assert score["reports_per_second"] > gram["reports_per_second"] > 0
