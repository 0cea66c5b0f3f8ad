"""The benchmark of mixtures counts what it says it counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sparsereg.benchmarks import main, mixture, report
from sparsereg.benchmarks.data import UnknownDataset


def test_a_decoding_is_judged_by_its_coefficients():
    good = mixture.decode_once(100, 6, 2, 0)
    assert good["exact"]
    assert good["converged"]
    assert not good["false"]
    starved = mixture.decode_once(100, 30, 2, 0, bin_ratio=0.3)
    assert not starved["exact"]
    assert not starved["false"]


def test_large_coefficients_are_compared_without_dense_copies():
    from scipy import sparse

    coef = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    assert mixture._same_sparse(coef, sparse.csr_array(coef[::-1]))
    assert not mixture._same_sparse(coef, sparse.csr_array(coef + [[0, 0, 1], [0, 0, 0]]))


def test_the_dense_baseline_finds_what_it_can():
    from sparsereg.mixture import mixture_errors

    coef, X, y = mixture._gaussian(10, 10, 400, 0)
    found = mixture._dense_em(X, y, np.random.default_rng(0), n_starts=5)
    assert mixture_errors(coef, found, tol=1e-4).exact


def test_a_missed_target_is_reported_as_missed(tmp_path):
    results = {
        **mixture.environment.heading("mixture", [], set()),
        "claims": [
            mixture._claim("one", "here", "1", "2", False),
            mixture._claim("two", "there", "2"),
        ],
        "phase_transition": {
            "ratios": [5],
            "sizes": {"50": {"pilot": [0.5]}},
            "threshold": {"pilot": 4.0},
        },
    }
    file = report.write(results, "mixture", tmp_path)
    assert json.loads(file.read_text())["claims"][0]["met"] is False
    text = file.with_suffix(".md").read_text()
    assert "| one | here | 1 | 2 | MISSED |" in text
    assert "exact at m / K: 5: 50%" in text


def test_it_has_no_data_sets_to_choose():
    with pytest.raises(UnknownDataset, match="mixture"):
        main("mixture", data=["riboflavin"])
