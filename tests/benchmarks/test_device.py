"""The benchmarks of the GPU backend and of sparse coding judge what they say they judge."""

import fake_cupy
import numpy as np
import pytest
from emulated_cuda import needs_compiler
from rich.console import Console
from sparsereg.benchmarks import gpu, report
from sparsereg.benchmarks import sparse_encode as coding

from sparsereg import penalties, sparse_encode
from sparsereg.exceptions import BackendUnavailableError

QUIET = Console(quiet=True)


class FakeMachine:
    """The stand-in's device."""

    def asarray(self, X):
        return fake_cupy.asarray(X)

    def synchronize(self):
        pass

    def facts(self):
        return {"name": "none", "memory": 1, "cupy": "none", "cuda": 0}

    def copy_bandwidth(self):
        return 1e9


@needs_compiler
def test_every_task_gives_the_same_on_both_sides(monkeypatch, tmp_path):
    fake_cupy.install(monkeypatch)
    todo = gpu.tasks(quick=True)
    results = gpu.measure(todo, FakeMachine(), 1, 600.0, QUIET)
    assert [item["task"] for item in results["device"]] == [task.name for task in todo]
    for item in results["device"]:
        exact = item["task"].startswith(("sum of", "peeling", "mask"))
        assert item["difference"] <= (0.0 if exact else 1e-3), item["task"]
    text = report.write(results, "gpu", tmp_path).with_suffix(".md").read_text()
    assert "CPU / device" in text
    assert "Crossover, gradient of 8: the device is faster" in text


def test_the_full_run_has_what_the_quick_one_has():
    quick, full = gpu.tasks(quick=True), gpu.tasks(quick=False)
    curves = {task.curve[0].split(",")[0] for task in full if task.curve}
    assert curves == {"gradient of 1", "gradient of 8", "lasso at .1", "codes"}
    kinds = [
        {task.name.split(",")[0].rstrip("0123456789 x") for task in tasks if not task.curve}
        for tasks in (quick, full)
    ]
    assert len(kinds[0]) == len(kinds[1])
    names = " ".join(task.name for task in full)
    assert all(shape in names for shape in ("300 x 120,000", "1,345 x 934", "100,000 codes"))


def test_tasks_that_time_does_not_suffice_for_are_named(monkeypatch, tmp_path):
    results = gpu.measure(gpu.tasks(quick=True)[:2], FakeMachine(), 1, -1.0, QUIET)
    assert len(results["left_out"]) == 2
    assert results["device"] == []


def test_without_a_device_the_family_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(BackendUnavailableError, match="CuPy"):
        gpu.run(quick=True, output=None, repeats=None, time_limit=None)


def test_gaps_are_those_that_sparse_encode_proves():
    signals, atoms, alpha = coding.problem(coding.Setting(30, 12, 20, 3, 0.1))
    codes, gaps, _ = sparse_encode(
        signals, atoms, penalties.L1(alpha), tol=1e-3, return_certificates=True
    )
    judged = coding.relative_gaps(signals, atoms, alpha, codes)
    # ours takes the better of several dual points
    assert np.all(judged >= gaps / np.sum(signals**2, axis=1) * (1 - 1e-9) - 1e-15)
    assert np.all(coding.relative_gaps(signals, atoms, alpha, 0.0 * codes) > 1e-3)


def test_sparse_encode_is_compared_at_the_gap_of_the_peer(tmp_path):
    setting = coding.Setting(30, 12, 20, 3, 0.1)
    results = coding.measure((setting,), 1, QUIET)
    assert {cell["peer"] for cell in results["coding"]} == set(coding.PEERS)
    for cell in results["coding"]:
        assert cell["gap"] <= max(cell["peer_gap"], 1e-12) * 1.5 + 1e-15
    text = report.write(results, "sparse-encode", tmp_path).with_suffix(".md").read_text()
    assert "peer / ours" in text
