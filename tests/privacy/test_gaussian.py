"""The Gaussian mechanism: its delta is that of the definition, its sampler and sums are exact."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest
from privacy_laws import check_noise, check_sampler, check_total, delta_between, noisy_law
from scipy.integrate import quad
from scipy.stats import kstest, norm

from sparsereg.backends import get_backend
from sparsereg.privacy import (
    Aggregator,
    BudgetExceededError,
    LDPLasso,
    LDPSparseRegression,
    PrivacyBudget,
    Protocol,
    Randomizer,
    audit,
    dp_accounting_event,
    gaussian,
)
from sparsereg.privacy import client as client_module
from sparsereg.privacy.aggregator import report_format
from sparsereg.privacy.gaussian import GaussianMechanism, calibrated, delta_of, discrete_gaussian
from sparsereg.privacy.reports import make_long_reports
from sparsereg.privacy.simulation import simulate_aggregator, simulate_reports

BACKEND = get_backend("numba")
PROTOCOL = Protocol(3, 1.0, delta=1e-5, x_radius=2.0)


# Calibration


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("std", [0.4, 1.0, 3.0, 20.0])
def test_delta_is_that_of_the_definition(epsilon, std):
    # the sup over sets of P(S) - e^epsilon Q(S), of normal laws with means 0 and 1
    def excess(x):
        return norm.pdf(x, 0, std) - math.exp(epsilon) * norm.pdf(x, 1, std)

    edge = 0.5 - epsilon * std**2  # the excess is positive to the left of it
    numbers = [edge - 40 * std, edge - 10 * std, edge - std, edge]
    pieces = [
        quad(excess, *pair, epsabs=1e-14, limit=200)[0] for pair in itertools.pairwise(numbers)
    ]
    assert delta_of(std, 1.0, epsilon) == pytest.approx(sum(pieces), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(
    ("epsilon", "delta", "noise"),
    # the analytic Gaussian mechanism for vectors at a distance of 2, to the digits given
    [
        (0.5, 1e-5, 14.06),
        (1.0, 1e-5, 7.46),
        (2.0, 1e-5, 3.99),
        (4.0, 1e-5, 2.16),
        (1.0, 1e-6, 8.45),
    ],
)
def test_noise_is_that_of_the_analytic_gaussian_mechanism(epsilon, delta, noise):
    mechanism = Protocol(100, epsilon, delta=delta, statistic="score").mechanism
    assert mechanism.noise == pytest.approx(noise, abs=0.006)
    assert delta * (1 - 1e-5) <= mechanism.delta_effective <= delta


def test_another_accountant_agrees():
    accounting = pytest.importorskip("dp_accounting", reason="dp-accounting is not installed")
    for epsilon, delta in [(0.1, 1e-9), (1.0, 1e-6), (8.0, 1e-3)]:
        sigma = accounting.get_sigma_gaussian(epsilon, delta)
        found = calibrated(epsilon, delta, 10) / 2.0**51  # of distance 2, in units of 2^50
        assert found == pytest.approx(sigma, rel=1e-4)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-12), (1.0, 1e-6), (20.0, 0.01)])
@pytest.mark.parametrize("dimension", [2, 65_001])
def test_every_protocol_has_a_noise_that_is_the_least_and_fits(epsilon, delta, dimension):
    std = calibrated(epsilon, delta, dimension)
    enough, less = (
        GaussianMechanism(epsilon, delta, dimension, s) for s in (std, int(0.9999 * std))
    )
    assert enough.delta_effective <= delta < less.delta_effective
    assert enough.largest_value < 2**31


# The discrete law


@pytest.mark.parametrize("std", [1, 2, 5, 20])
def test_the_discrete_law_is_below_a_multiple_of_the_rounded_normal_law(std):
    j = np.arange(-15 * std, 15 * std + 1)
    discrete = np.exp(-(j**2) / (2 * std**2))
    discrete /= discrete.sum()
    rounded = norm.sf((np.abs(j) - 0.5) / std) - norm.sf((np.abs(j) + 0.5) / std)
    seen = discrete > 1e-40
    assert np.all(discrete[seen] <= math.exp(1 / (8 * std**2)) * rounded[seen] * (1 + 1e-9))


def exact_delta(shift, std, epsilon):
    """Return the delta of discrete Gaussians around 0 and around ``shift``, by enumeration."""
    size = 12 * std + int(np.abs(shift).max())
    axes = [np.arange(-size, size + 1)] * len(shift)

    def law(center):
        one = [np.exp(-((axis - c) ** 2) / (2.0 * std**2)) for axis, c in zip(axes, center)]
        joint = one[0] if len(one) == 1 else np.multiply.outer(*one)
        return joint / joint.sum()

    return float(np.maximum(law(0 * np.array(shift)) - np.exp(epsilon) * law(shift), 0).sum())


@pytest.mark.parametrize("shift", [(1,), (5,), (30,), (3, 4), (5, 0), (-20, 21)])
@pytest.mark.parametrize("std", [1, 3, 12])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
def test_the_discrete_delta_is_at_most_the_normal_one_and_the_allowance(shift, std, epsilon):
    eta = len(shift) / (8.0 * std**2)
    normal = delta_of(std, math.hypot(*shift), epsilon)
    assert exact_delta(shift, std, epsilon) <= normal + (1 + math.exp(epsilon)) * eta + 1e-12


def test_without_the_allowance_it_would_not_hold():
    assert exact_delta((1,), 1, 1.0) > delta_of(1, 1.0, 1.0)


# The whole mechanism, enumerated at a coarse resolution


@pytest.fixture
def coarse(monkeypatch):
    """Make the units of directions, noise and reports so large that all draws can be tried."""

    def use(unit, fine, coarse):
        monkeypatch.setattr(gaussian, "UNIT", float(unit))
        monkeypatch.setattr(gaussian, "_FINE", fine)
        monkeypatch.setattr(gaussian, "_COARSE", coarse)
        monkeypatch.setattr(gaussian, "GRID", max(unit << fine >> coarse, 1))

    return use


LINE, PLANE = (16, 1, 2), (1, 0, 1)


def line():
    return GaussianMechanism(1.0, 0.01, 1, calibrated(1.0, 0.01, 1))


def plane():
    return GaussianMechanism(2.0, 0.08, 2, calibrated(2.0, 0.08, 2))


@pytest.mark.parametrize(("units", "mechanism"), [(LINE, line), (PLANE, plane)])
def test_reports_of_any_two_directions_are_within_epsilon_and_delta(coarse, units, mechanism):
    coarse(*units)
    check_noise(mechanism())


def test_most_of_the_delta_is_needed(coarse):
    coarse(*LINE)
    laws = [noisy_law(line(), [sign * 16.0]) for sign in (1, -1)]
    # the rest allows for the rounding of directions, on a grid as coarse as this
    assert 0.4 * 0.01 <= delta_between(*laws, 1.0) <= 0.01


def norm_is_not_checked(patch):
    def bounded(self, direction):
        numbers = np.nan_to_num(np.resize(np.asarray(direction, dtype=float), self.dimension))
        return [int(k) for k in np.rint(np.clip(numbers, -1e3, 1e3))]

    patch.setattr(GaussianMechanism, "bounded", bounded)


def radius_in_the_place_of_the_distance(patch):
    original = gaussian.delta_of
    patch.setattr(gaussian, "delta_of", lambda std, distance, e: original(std, distance / 2, e))


def noise_is_rounded_before_it_is_added(patch):
    def values(self, direction):
        draws = [gaussian.discrete_gaussian(self.std) for _ in range(self.dimension)]
        noise = [draw >> gaussian._COARSE << gaussian._COARSE for draw in draws]
        pairs = zip(self.bounded(direction), noise, strict=True)
        return [(k << gaussian._FINE) + x for k, x in pairs]

    patch.setattr(GaussianMechanism, "values", values)


@pytest.mark.parametrize(
    "mutate",
    [
        norm_is_not_checked,
        radius_in_the_place_of_the_distance,
        noise_is_rounded_before_it_is_added,
    ],
)
def test_the_enumeration_fails_on_the_bug(coarse, monkeypatch, mutate):
    coarse(*LINE)
    with monkeypatch.context() as patch:
        mutate(patch)
        with pytest.raises(AssertionError):
            check_noise(line())


def variance_in_the_place_of_the_deviation(patch):
    original = gaussian._discrete_laplace
    patch.setattr(gaussian, "_discrete_laplace", lambda scale: original(math.isqrt(scale)))


def coins_are_turned(patch):
    original = gaussian._bernoulli_exp
    patch.setattr(gaussian, "_bernoulli_exp", lambda n, d: not original(n, d))


def zero_has_two_signs(patch):
    original = gaussian._discrete_laplace

    def laplace(scale):
        while True:
            draw = original(scale)
            if draw == 0 or gaussian.secrets.randbelow(2):
                return draw

    patch.setattr(gaussian, "_discrete_laplace", laplace)


@pytest.mark.parametrize(
    "mutate", [variance_in_the_place_of_the_deviation, coins_are_turned, zero_has_two_signs]
)
def test_the_test_of_the_sampler_fails_on_the_bug(monkeypatch, mutate):
    check_sampler()
    with monkeypatch.context() as patch:
        mutate(patch)
        with pytest.raises(AssertionError):
            check_sampler()


# The sampler


class Undecided(Exception):
    pass


def mass_of_true(ratio, outcomes=()):
    """Return the probability of True, by all outcomes of comparisons that begin with some."""
    script, share = iter(outcomes), Fraction(1)

    class Draw:
        def __init__(self, n):
            self.n = n

        def __lt__(self, bound):
            nonlocal share
            outcome = next(script, None)
            if outcome is None:
                raise Undecided
            below = min(Fraction(bound, self.n), Fraction(1))
            share *= below if outcome else 1 - below
            return outcome

    with patch.object(gaussian.secrets, "randbelow", Draw):
        try:
            return share if gaussian._bernoulli_exp(*ratio) else Fraction(0)
        except Undecided:
            if share < Fraction(1, 10**11):
                return Fraction(0)
    return sum(mass_of_true(ratio, (*outcomes, outcome)) for outcome in (True, False))


@pytest.mark.parametrize("ratio", [(0, 1), (2, 3), (1, 1), (5, 2), (21, 9)])
def test_the_probability_of_an_exponential_coin_is_exact(ratio):
    assert float(mass_of_true(ratio)) == pytest.approx(math.exp(-ratio[0] / ratio[1]), abs=1e-8)


@pytest.mark.parametrize("std", [1, 3, 10])
def test_draws_are_discrete_gaussian(std):
    check_sampler(std)


def test_draws_of_a_real_protocol_are_nearly_normal():
    std = PROTOCOL.mechanism.std
    draws = np.array([discrete_gaussian(std) for _ in range(5000)], dtype=float)
    assert kstest(draws / std, "norm").pvalue > 1e-6


# The client


def test_every_record_gives_a_report_of_the_same_size_in_silence():
    check_total(PROTOCOL)
    assert report_format(PROTOCOL).itemsize == 24 + 4 * (PROTOCOL.dimension + 1)


def test_an_honest_direction_is_never_refused():
    rng = np.random.default_rng(0)
    for d in (1, 7, 200):
        protocol = Protocol(d, 1.0, delta=1e-6, statistic="score", fit_intercept=False)
        X, y = rng.standard_normal((20, d)), rng.standard_normal(20)
        for direction in client_module.lifted(protocol, X, y):
            assert protocol.mechanism.bounded(direction) == direction.astype(int).tolist()


def test_golden_bytes():
    protocol = Protocol(
        1, 1.0, delta=1e-5, x_radius=2.0, statistic="score", fit_intercept=False, noise_std=9 << 50
    )
    assert protocol.id == "a50965d7c97e97a2"
    draws = iter([3 << 45, -(5 << 52)])
    with (
        patch.object(client_module.secrets, "randbits", return_value=0x0123456789ABCDEF),
        patch.object(gaussian, "discrete_gaussian", lambda std: next(draws)),
    ):
        report = Randomizer(protocol).privatize([0.5], 0.75)
    golden = "53470100a50965d7c97e97a2efcdab89674523017cf735f00048000076fbecff"
    assert report.hex() == golden


def test_a_report_is_paid_for_in_epsilon_and_delta():
    record = [0.1, 0.2, 0.3], 0.4
    with pytest.raises(BudgetExceededError, match="A report of delta 1e-05 does not fit"):
        Randomizer(PROTOCOL, PrivacyBudget(5.0)).privatize(*record)
    budget = PrivacyBudget(5.0, 2e-5)
    randomizer = Randomizer(PROTOCOL, budget)
    for _ in range(2):
        randomizer.privatize(*record)
    again = PrivacyBudget.from_json(budget.to_json())
    assert (again.spent, again.delta, again.entries) == (2.0 + 2**-51, 2e-5, budget.entries)
    assert 2e-5 <= again.spent_delta <= 2.0001e-5
    with pytest.raises(BudgetExceededError, match="delta"):
        Randomizer(PROTOCOL, again).privatize(*record)
    Randomizer(Protocol(3, 1.0), again).privatize(*record)  # pure: it costs no delta
    with pytest.raises(ValueError, match="event is of pure mechanisms"):
        dp_accounting_event(again)
    for wrong in (-1e-6, 1.0, float("nan"), "0"):
        with pytest.raises(ValueError, match="delta="):
            PrivacyBudget(1.0, wrong)


# The protocol


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delta": 0.5}, "delta=0.5 is not possible. Give a number from 1e-12 to 0.01"),
        ({"delta": float("nan")}, "delta=nan"),
        ({"delta": None}, "delta=None"),
        ({"delta": -1e-6}, "delta=-1e-06"),
        (
            {"delta": 1e-6, "epsilon": 1e-3},
            "epsilon=0.001 is not possible. Give a number from 0.01",
        ),
        ({"delta": 1e-6, "protect": "label"}, "buys nothing for labels"),
        ({"delta": 1e-6, "n_outputs": 8}, "no meaning with delta"),
        ({"delta": 1e-6, "noise_std": 10**15}, "spends a delta of"),
        ({"delta": 1e-6, "noise_std": 2.5}, "Give an integer"),
        ({"delta": 1e-6, "noise_std": 2**62}, "Give an integer from 1 to 2305843009213693952"),
        ({"noise_std": 10**16}, "no meaning without a delta"),
    ],
)
def test_wrong_settings_say_what_would_be_right(settings, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**{"n_features": 3, "epsilon": 1.0, **settings})


def test_the_largest_noise_fits_into_a_report():
    protocol = Protocol(2, 1.0, delta=1e-6, noise_std=2**61)
    most = protocol.mechanism.largest_value
    assert most < 2**31
    with patch.object(gaussian, "discrete_gaussian", lambda std: -(2**80)):
        report = Randomizer(protocol).privatize([0.0, 0.0], 0.0)
    values = np.frombuffer(report, report_format(protocol))["values"]
    assert set(values.ravel().tolist()) == {-most}


def test_json_round_trip_keeps_everything_and_pure_protocols_as_they_were():
    again = Protocol.from_json(PROTOCOL.to_json())
    assert again == PROTOCOL
    assert (again.id, again.mechanism) == (PROTOCOL.id, PROTOCOL.mechanism)
    assert "delta" not in Protocol(3, 1.0).to_json()
    more = Protocol(3, 1.0, delta=1e-5, x_radius=2.0, noise_std=2 * PROTOCOL.noise_std)
    assert more.id != PROTOCOL.id
    for text in (
        PROTOCOL.to_json().replace('"format":2', '"format":1'),
        PROTOCOL.to_json().replace('"delta":1e-05', '"delta":0.0'),
    ):
        with pytest.raises(ValueError, match="This is not a protocol"):
            Protocol.from_json(text)


# The server


def reports_of(n, seed=0, protocol=PROTOCOL):
    rng = np.random.default_rng(seed)
    X, y = rng.uniform(-1, 1, (n, protocol.n_features)), rng.uniform(-1, 1, n)
    return simulate_reports(protocol, X, y, rng, BACKEND)


def aggregate(reports):
    return Aggregator(PROTOCOL, accept_simulated=True).update(reports)


def test_sums_are_exact_in_any_order_and_partition_and_survive_storage():
    reports = reports_of(60)
    whole = aggregate(reports)
    exact = [sum(int(v) for v in column) for column in reports["values"].T]
    assert whole.sums.tolist() == exact
    order = np.random.default_rng(1).permutation(60)
    parts = [aggregate(part) for part in np.split(reports[order], [11, 40])]
    parts = [Aggregator.from_bytes(part.to_bytes()) for part in parts]
    merged = parts[2].merge(parts[0].merge(parts[1])).update(reports)
    assert merged.sums.tolist() == exact
    assert (merged.n_reports, merged.rejected["duplicated"]) == (60, 60)


def test_a_report_with_any_byte_changed_does_not_count():
    report = Randomizer(PROTOCOL).privatize([0.1, 0.2, 0.3], 0.4)
    assert Aggregator(PROTOCOL).update([report]).n_reports == 1
    for byte in range(len(report)):
        wrong = bytearray(report)
        wrong[byte] ^= 0x10
        aggregator = Aggregator(PROTOCOL).update(bytes(wrong))
        assert (aggregator.n_reports, sum(aggregator.rejected.values())) == (0, 1)


def test_reasons_for_not_counting_are_told_apart():
    mechanism, ids = PROTOCOL.mechanism, np.array([5], dtype=np.uint64)
    values = np.full((1, mechanism.dimension), mechanism.largest_value)
    beyond = make_long_reports(PROTOCOL.digest, ids, values + 1).tobytes()
    at_the_bound = make_long_reports(PROTOCOL.digest, ids, values).tobytes()
    foreign = Randomizer(Protocol(3, 1.0, delta=1e-6)).privatize([0.1, 0.2, 0.3], 0.4)
    short = Randomizer(Protocol(3, 1.0)).privatize([0.1, 0.2, 0.3], 0.4)
    simulated = reports_of(1).tobytes()
    aggregator = Aggregator(PROTOCOL).update([beyond, at_the_bound, foreign, short, simulated])
    assert aggregator.n_reports == 1
    assert aggregator.rejected == {
        "malformed": 2, "foreign": 1, "duplicated": 0, "simulated": 1
    }  # fmt: skip


@pytest.mark.parametrize("law", ["exact", "clt"])
@pytest.mark.parametrize("statistic", ["gram", "score"])
def test_statistics_are_unbiased_and_their_noise_is_what_it_is_said_to_be(law, statistic):
    protocol = Protocol(
        3, 8.0, delta=0.01, statistic=statistic, x_radius=2.0, y_bound=1.0, fit_intercept=False
    )
    rng = np.random.default_rng(2)
    n, repeats = 400, 200
    X, y = rng.uniform(-1, 1, (n, 3)), rng.uniform(-1, 1, n)
    estimates = []
    for _ in range(repeats):
        stats = simulate_aggregator(protocol, X, y, rng, BACKEND, law).stats()
        estimates.append(np.concatenate([stats.xty, *([] if stats.gram is None else stats.gram)]))
    noise = np.concatenate([stats.noise.xty, *([] if stats.gram is None else stats.noise.gram)])
    truth = np.concatenate([X.T @ y, *([] if stats.gram is None else X.T @ X)])
    z = (np.mean(estimates, axis=0) - truth) / (noise / np.sqrt(repeats))
    assert np.max(np.abs(z)) < 4.5
    ratio = np.std(estimates, axis=0) / noise
    assert np.all((ratio > 0.8) & (ratio < 1.2))


def test_reports_of_devices_have_the_law_of_the_simulated_ones():
    protocol = Protocol(2, 4.0, delta=1e-3, statistic="score", fit_intercept=False)
    randomizer = Randomizer(protocol, PrivacyBudget(1e9, 0.999))
    n = 900
    layout = report_format(protocol)
    reports = [np.frombuffer(randomizer.privatize([0.6, 0.0], 1.0), layout) for _ in range(n)]
    values = np.concatenate(reports)["values"] / gaussian.GRID
    noise = protocol.mechanism.noise
    for column, mean in zip(values.T, [0.6, 0.0, 0.8], strict=True):
        assert kstest((column - mean) / noise, "norm").pvalue > 1e-6


# The estimators


@pytest.mark.parametrize("interaction", ["none", "two-stage", "sequential"])
@pytest.mark.parametrize("covariance", [None, "identity"])
def test_every_way_finds_the_coefficients(interaction, covariance):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 4))
    y = X @ [0.8, -0.6, 0.0, 0.0] + 0.5 * rng.standard_normal(len(X))
    model = LDPSparseRegression(
        8.0, delta=1e-3, interaction=interaction, covariance=covariance, clipping="gaussian",
        x_radius=3.0, y_bound=3.4, penalty="mcp", random_state=0,
    ).fit(X, y)  # fmt: skip
    assert np.linalg.norm(model.coef_ - [0.8, -0.6, 0.0, 0.0]) < 0.2
    assert {protocol.delta for protocol in model.protocols_} == {1e-3}
    assert (model.privacy_.epsilon_effective, model.privacy_.delta) == (8.0, 1e-3)
    last = model.protocols_[-1]
    assert model.report_nbytes_ == 24 + 4 * (last.dimension + 1)


def test_the_statement_and_the_summary_say_that_it_is_not_pure():
    reports = [Randomizer(PROTOCOL).privatize([0.1, 0.2, 0.3], 0.4) for _ in range(3)]
    model = LDPLasso().fit_reports(Aggregator(PROTOCOL).update(reports))
    text = str(model.privacy_)
    for phrase in ("epsilon = 1, delta = 1e-05", "p <= e^epsilon q + delta", "not pure", "deltas"):
        assert phrase in text
    assert model.summary().facts["privacy"] == "local, of the record: epsilon 1, delta 1e-05"
    pure = LDPLasso(random_state=0).fit(np.eye(3), np.ones(3))
    assert "at most e^epsilon." in str(pure.privacy_)
    assert "p <=" not in str(pure.privacy_)


def test_what_needs_pure_privacy_says_so():
    with pytest.raises(ValueError, match="buys nothing for labels"):
        LDPSparseRegression(delta=1e-6, protect="label").fit(np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match="pure protocols only"):
        audit(PROTOCOL, n_trials=10)
