"""The neural family: its rule of equal accuracy, and what it writes."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

pytest.importorskip("torch", reason="torch is not installed")

from sparsereg.benchmarks import neural, neural_training, report
from sparsereg.benchmarks.neural import EXPERIMENTS, Experiment
from sparsereg.benchmarks.neural_training import Outcome

DENSE = Outcome("dense", [1.0, 1.0], [0.5, 0.5], [0.9, 0.92])


def test_the_sparsest_that_is_as_accurate_is_chosen():
    outcomes = [
        Outcome("weak", [0.5, 0.5], [0.6, 0.6], [0.91, 0.91]),
        Outcome("right", [0.2, 0.2], [0.4, 0.4], [0.89, 0.912]),
        Outcome("strong", [0.1, 0.1], [0.9, 0.9], [0.88, 0.90]),
    ]
    best = neural_training.sparsest("l1", outcomes, DENSE)
    assert best.variant == "l1 (right)"
    assert best.score == [0.4, 0.4]  # test digits are told, and choose nothing


def test_a_missed_goal_is_told():
    outcomes = [Outcome("a", [0.1], [1.0], [0.5]), Outcome("b", [0.2], [0.0], [0.6])]
    assert neural_training.sparsest("l1", outcomes, DENSE).variant == "l1 (b, goal missed)"


def test_names_are_distinct_and_claims_are_sentences():
    names = [experiment.name for experiment in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert all(len(experiment.claim.split()) > 5 for experiment in EXPERIMENTS)


def test_results_are_written_with_means_and_verdicts(tmp_path, capsys):
    fake = Experiment(
        "fake", "a claim", "weights left", "accuracy",
        lambda seeds, quick: [Outcome("ours", [0.1, 0.3], [0.5, 0.7])],
        lambda outcomes: outcomes["ours"].score[1] > 0.6,
    )  # fmt: skip
    results = neural.measure([fake], quick=True, n_seeds=2, console=Console(quiet=True))
    report.write(results, "neural-test", tmp_path)
    text = (tmp_path / "neural-test.md").read_text()
    assert "| fake | ours | 0.200 weights left | 0.6000 (0.5000 to 0.7000) |" in text
    assert "fake: a claim: seen" in text
    written = json.loads((tmp_path / "neural-test.json").read_text())
    assert written["neural"][0]["outcomes"][0]["left"] == [0.1, 0.3]
    assert written["protocol"]["seeds"] == [0, 1]
    assert "fake" in capsys.readouterr().out


def test_training_validation_and_test_digits_are_different_rows():
    data = neural_training.Digits.load(False)
    parts = [data.X, data.X_val, data.X_test]
    assert [len(p) for p in parts] in ([3000, 1000, 1000], [1078, 359, 360])
    rows = [{tuple(row) for row in part.numpy().round(4)} for part in parts]
    assert not rows[0] & rows[1] | rows[0] & rows[2] | rows[1] & rows[2]


def test_an_experiment_without_its_package_is_skipped(tmp_path):
    def never(seeds, quick):
        raise AssertionError

    absent = Experiment(
        "absent", "a claim", "features", "accuracy", never, never, needs="no_such_package"
    )
    results = neural.measure([absent], quick=True, n_seeds=1, console=Console(quiet=True))
    report.write(results, "neural-test", tmp_path)
    text = (tmp_path / "neural-test.md").read_text()
    assert "absent: a claim: skipped, no_such_package is not installed" in text
