"""The privacy of a report is a theorem about rational numbers: every step of it, checked."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from privacy_laws import check_budget_of, check_laws, largest_ratio, report_law
from scipy.stats import chisquare

from sparsereg.privacy import Protocol
from sparsereg.privacy.mechanisms import (
    SubsetMechanism,
    best_subset_size,
    best_window,
    exp_lower_bound,
    log_upper_bound,
    window_moments,
)
from sparsereg.privacy.statistics import selected_moments

EPSILONS = [1e-6, 0.1, 0.5, 1.0, 2.0, math.pi, 4.0, 8.0, 20.0]
PROTOCOLS = {
    "gram": Protocol(3, 1.0, n_outputs=8),
    "gram of a support": Protocol(3, 2.0, support=(0, 2), n_outputs=16, radius=0.5),
    "score": Protocol(3, 1.0, statistic="score", n_outputs=8),
    "score at coefficients": Protocol(
        3, 0.5, statistic="score", coef=(1.0, 0.0, -2.0, 0.5), radius=0.1, n_outputs=16
    ),
    "one bit": Protocol(3, 1.0, statistic="score", fit_intercept=False, n_outputs=2),
    "label": Protocol(3, 1.0, protect="label"),
    "label of many levels": Protocol(3, 4.0, protect="label", y_bound=2.0),
}


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize(("K", "m"), [(2, 1), (3, 2), (64, 22), (64, 63), (1024, 3)])
def test_the_threshold_spends_at_most_epsilon_and_almost_all_of_it(epsilon, K, m):
    mechanism = SubsetMechanism(epsilon, K, m)
    check_budget_of(mechanism)
    assert mechanism.epsilon_effective <= epsilon
    # 2^-64 of probability: relative to the least probability there is
    least = min(float(mechanism.p_inside), float(1 - mechanism.p_inside))
    assert epsilon - mechanism.epsilon_effective <= 4 * 2**-64 / least + 1e-15 * epsilon


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_the_bounds_of_exponential_and_logarithm_are_on_the_safe_side(epsilon):
    low = exp_lower_bound(epsilon)
    terms, total, k = Fraction(1), Fraction(1), 0
    while k < 200:  # a partial sum of the exponential series lies below it, with a known remainder
        k += 1
        terms *= Fraction(epsilon) / k
        total += terms
    assert low <= total + terms
    assert low >= total * (1 - Fraction(1, 10**50))
    assert log_upper_bound(low) >= math.log(low) - 1e-15


@pytest.mark.parametrize("name", PROTOCOLS)
def test_adversarial_records_have_laws_within_the_effective_epsilon(name):
    check_laws(PROTOCOLS[name])


def test_the_bound_is_reached():
    protocol = PROTOCOLS["score"]
    laws = [report_law(protocol, sign * np.eye(3)[0], 1.0, 7) for sign in (1, -1)]
    assert largest_ratio(*laws) == protocol.mechanism.odds


any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)
record = st.tuples(st.lists(any_float, min_size=3, max_size=3), any_float)


@pytest.mark.parametrize("name", ["gram", "score at coefficients", "label of many levels"])
@settings(max_examples=40)
@given(one=record, other=record, seed=st.integers(0, 2**64 - 1))
def test_any_two_records_have_laws_within_the_effective_epsilon(name, one, other, seed):
    protocol = PROTOCOLS[name]
    ratio = largest_ratio(report_law(protocol, *one, seed), report_law(protocol, *other, seed))
    assert ratio is not None
    assert ratio <= protocol.mechanism.odds


def test_draws_follow_the_law_of_the_mechanism():
    mechanism = SubsetMechanism(1.0, 8, 3)
    n = 60_000
    counts = np.zeros(8)
    for _ in range(n):
        inside, first, second = mechanism.draw()
        counts[first if inside else 3 + second] += 1
    inside, outside = float(mechanism.p_each_inside), float(mechanism.p_each_outside)
    expected = n * np.array([inside] * 3 + [outside] * 5)
    assert chisquare(counts, expected).pvalue > 1e-6


def test_every_rank_is_drawn_whatever_the_first_bit_says():
    mechanism = SubsetMechanism(20.0, 4, 2)
    draws = {mechanism.draw() for _ in range(500)}
    assert {(first, second) for inside, first, second in draws if inside} == {
        (0, 0), (0, 1), (1, 0), (1, 1)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("epsilon", "K", "deviation"),
    [(0.5, 256, 5.03), (1.0, 64, 2.55), (1.0, 256, 2.52), (2.0, 256, 1.28), (4.0, 256, 0.66)],
)
def test_noise_of_codewords_is_that_of_the_literature(epsilon, K, deviation):
    # limits of the best unbiased mechanisms in units of the radius: PrivUnitG, tabulated by the
    # formula 1 / max_g (e^eps - 1) phi(g) / (q e^eps + 1 - q), q = 1 - Phi(g)
    mechanism = SubsetMechanism(epsilon, K, best_subset_size(epsilon, K))
    mean, _ = selected_moments(mechanism)
    assert 1.0 / mean == pytest.approx(deviation, abs=0.01)


def test_subset_size_is_the_best_one():
    means = [selected_moments(SubsetMechanism(1.0, 32, m))[0] for m in range(1, 32)]
    assert best_subset_size(1.0, 32) - 1 == np.argmax(means)


@pytest.mark.parametrize(
    ("epsilon", "variance"),
    # the hybrid mechanism of Wang et al. (2019): (e^eps + 1)^2 / (e^eps - 1)^2 below 0.61, and
    # 1.04, 0.219 at 2 and 4; ours has to be as good
    [(0.5, 16.671), (1.0, 4.683), (2.0, 1.04), (4.0, 0.219)],
)
def test_worst_variance_of_labels_is_at_most_that_of_the_literature(epsilon, variance):
    K, m = best_window(epsilon)
    gain, squares = window_moments(epsilon, K, m)
    y = np.linspace(-1, 1, 2001)
    places = (y + 1) / 2 * (K - m)
    below = np.minimum(places.astype(int), K - m - 1)
    share, squares = places - below, np.array(squares)
    second = (1 - share) * squares[below] + share * squares[below + 1]
    assert np.max(second / gain**2 - y**2) <= variance * 1.0001
