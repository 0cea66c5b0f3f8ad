"""The client is total, silent, self-contained, and its reports never change their format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from privacy_laws import (
    CLIENT_FILES,
    check_directions,
    check_fresh_codebooks,
    check_source,
    check_total,
)

import sparsereg.privacy
from sparsereg.privacy import BudgetExceededError, PrivacyBudget, Protocol, Randomizer
from sparsereg.privacy import client as client_module
from sparsereg.privacy.client import UNIT, bounded_statistics
from sparsereg.privacy.codebook import SCALE, codewords, normal_table, scores

FOLDER = Path(sparsereg.privacy.__file__).parent
PROTOCOLS = [
    Protocol(3, 1.0),
    Protocol(3, 1.0, statistic="score", coef=(1e5, 0.0, 0.0, 0.0)),
    Protocol(3, 1.0, statistic="score", x_radius=9.0, radius=1.0, coef=(1e305, -1e305, 0.0, 0.0)),
    Protocol(3, 1.0, protect="label"),
]


@pytest.mark.parametrize("name", CLIENT_FILES)
def test_client_imports_numpy_and_the_standard_library_and_no_generator(name):
    check_source((FOLDER / f"{name}.py").read_text(encoding="utf-8"))


def test_client_files_are_short():
    assert len((FOLDER / "client.py").read_text(encoding="utf-8").splitlines()) <= 300


def test_importing_the_client_loads_neither_scipy_nor_numba_nor_sklearn():
    code = (
        "import sys; from sparsereg.privacy import Protocol, Randomizer\n"
        "Randomizer(Protocol(2, 1.0)).privatize([1.0, 0.0], 1.0)\n"
        "print(*[m for m in ('scipy', 'numba', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda p: p.statistic)
def test_every_record_gives_a_report_of_the_same_size_in_silence(protocol):
    check_total(protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS[:2], ids=lambda p: p.statistic)
def test_every_direction_is_on_the_unit_sphere(protocol):
    check_directions(protocol)


def test_statistics_within_the_bounds_are_not_changed():
    protocol = Protocol(2, 1.0, x_radius=2.0, y_bound=3.0, y_scale=0.5)
    x, y, k = np.array([1.0, -0.5]), 2.0, protocol.constant
    z = np.array([1.0, -0.5, k, 1.0])
    entries = bounded_statistics(protocol, x[None, :], np.array([y]))[0]
    products = np.zeros((4, 4))
    products[np.triu_indices(4)] = entries
    expected = np.outer(z, z) * np.sqrt(2.0)
    expected[np.diag_indices(4)] = z**2
    np.testing.assert_allclose(products, np.triu(expected), rtol=1e-14)
    assert np.linalg.norm(entries) == pytest.approx(z @ z)


def test_scores_are_gradients_at_the_public_coefficients():
    w = np.array([0.5, -1.0, 2.0])
    protocol = Protocol(2, 1.0, statistic="score", x_radius=5.0, y_bound=9.0, coef=tuple(w))
    x = np.array([1.0, 2.0])
    columns = np.append(x, protocol.constant)
    expected = columns * (3.0 - columns @ w)
    found = bounded_statistics(protocol, x[None, :], np.array([3.0]))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("size", [1e3, 1e150, 1e308])
def test_long_records_are_scaled_to_the_bounds(size):
    protocol = Protocol(3, 1.0, statistic="score", fit_intercept=False, radius=0.25)
    x = np.array([[3.0, 0.0, 4.0]]) * (size / 5)
    found = bounded_statistics(protocol, x, np.array([1.0]))[0]
    np.testing.assert_allclose(found, [0.15, 0.0, 0.2], rtol=1e-12)


def test_golden_bytes():
    protocol = Protocol(3, 1.0, x_radius=2.0, n_outputs=16)
    assert protocol.id == "18ad53dd979a306f"
    with (
        patch.object(client_module.secrets, "randbits", return_value=0x0123456789ABCDEF),
        patch.object(client_module.secrets, "randbelow", return_value=2),
    ):
        report = Randomizer(protocol).privatize([0.5, -1.0, 0.25], 0.75)
    assert report.hex() == "5352010018ad53dd979a306fefcdab89674523010300dfa3"


def test_the_codebook_is_the_same_on_every_machine():
    table = normal_table()
    assert table.dtype == np.int16
    assert table[[0, 1, 4095, 4096, 8191]].tolist() == [-15738, -14596, -1, 1, 15738]
    assert codewords(2**64 - 1, 3, 2, 5).tolist() == [
        [9375, -6250, -981, 421, -9211],
        [-1132, 1799, -3166, -4140, -608],
    ]
    np.testing.assert_array_equal(table, -table[::-1])
    assert np.mean(table.astype(float) ** 2) == pytest.approx(SCALE**2, rel=1e-4)


def test_scores_are_exact_products():
    rng = np.random.default_rng(0)
    direction = np.rint(UNIT * rng.uniform(-1, 1, 3000))
    exact = [
        sum(int(g) * int(u) for g, u in zip(row, direction)) for row in codewords(9, 0, 5, 3000)
    ]
    assert scores(9, 5, direction).tolist() == exact


def test_the_table_is_near_enough_to_normal_for_records_with_one_entry():
    # For a record along a coordinate the score is an entry of the table instead of a sum of many:
    # the mean of the largest of K entries against that of normal numbers, exactly.
    from scipy.stats import norm

    values = np.sort(normal_table().astype(float)) / SCALE
    for K in (64, 256):
        below = np.arange(1, values.size + 1) / values.size
        largest = values @ np.diff(np.r_[0.0, below**K])
        z = np.linspace(-10, 10, 200_001)
        normal = np.sum(z * K * norm.pdf(z) * norm.cdf(z) ** (K - 1)) * (z[1] - z[0])
        assert largest == pytest.approx(normal, rel=1e-3)


def test_a_second_report_is_refused_unless_budgeted():
    protocol = Protocol(2, 1.0)
    randomizer = Randomizer(protocol)
    randomizer.privatize([0.0, 0.0], 0.0)
    with pytest.raises(BudgetExceededError, match="do not report again"):
        randomizer.privatize([0.0, 0.0], 0.0)
    budget = PrivacyBudget(2.0)
    for _ in range(2):
        Randomizer(protocol, budget).privatize([0.0, 0.0], 0.0)
    with pytest.raises(BudgetExceededError, match="is spent"):
        Randomizer(protocol, budget).privatize([0.0, 0.0], 0.0)
    assert budget.entries == [(1.0, 0.0, protocol.id)] * 2


def test_reports_of_one_record_have_different_codebooks():
    check_fresh_codebooks(Protocol(3, 1.0))


def test_a_randomizer_without_a_protocol_says_how_to_get_one():
    with pytest.raises(TypeError, match=r"Protocol\.from_json"):
        Randomizer({"n_features": 3})


@pytest.mark.parametrize("epsilon", [-1.0, 0.0, float("nan"), float("inf"), "1"])
def test_a_budget_is_spent_by_positive_numbers_only(epsilon):
    budget = PrivacyBudget(1.0)
    with pytest.raises(ValueError, match="not what a report costs"):
        budget.spend(epsilon, "round")
    assert budget.remaining == 1.0


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"epsilon": 1.0, "delta": 0.0, "entries": [[-5.0, 0.0, "round"]]}',
     '{"epsilon": 1.0, "delta": 0.0, "entries": [[NaN, 0.0, "round"]]}',
     '{"epsilon": 1.0, "delta": 0.0, "entries": 3}'],
)  # fmt: skip
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(ValueError, match=r"not a budget|not what a report costs"):
        PrivacyBudget.from_json(text)
