"""Bugs that private packages have had, put into ours: each check that guards against one fails.

A check that passes on correct code proves nothing unless it fails on wrong code.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from privacy_laws import (
    check_budget_of,
    check_directions,
    check_fresh_codebooks,
    check_inside_unchanged,
    check_laws,
    check_source,
    check_total,
)

from sparsereg.privacy import Protocol, client, mechanisms
from sparsereg.privacy.mechanisms import SubsetMechanism

MECHANISM = SubsetMechanism(1.0, 64, 22)
SCORE = Protocol(3, 1.0, statistic="score", n_outputs=8, subset_size=3)
LABEL = Protocol(3, 1.0, protect="label", n_outputs=8, subset_size=3)


def threshold_with(change):
    """Return a threshold whose computation is changed."""

    def threshold(self):
        K, m = self.n_outputs, self.subset_size
        return change(self, K, m, mechanisms.exp_lower_bound(self.epsilon))

    return property(threshold)


def exact(K, m, ratio):
    return 2**64 * m * ratio / (m * ratio + (K - m))


def epsilon_doubled(patch):
    change = threshold_with(lambda self, K, m, ratio: math.floor(exact(K, m, ratio**2)))
    patch.setattr(SubsetMechanism, "threshold", change)


def rounded_to_the_wrong_side(patch):
    change = threshold_with(lambda self, K, m, ratio: math.ceil(exact(K, m, ratio)))
    patch.setattr(SubsetMechanism, "threshold", change)


def probability_of_the_set_as_if_it_had_one_element(patch):
    change = threshold_with(lambda self, K, m, ratio: math.floor(exact(K, 1, ratio**3)))
    patch.setattr(SubsetMechanism, "threshold", change)


def set_of_the_wrong_size(patch):
    def choose(order, protocol, inside, rank_inside, rank_outside):
        return int(order[rank_inside if inside else protocol.subset_size - 1 + rank_outside])

    patch.setattr(client, "choose", choose)


def set_whose_size_depends_on_the_record(patch):
    original = client.output_order

    def output_order(protocol, seed, x, y):
        order = original(protocol, seed, x, y)
        return np.where(order < abs(y) * protocol.n_outputs, order, order[0])

    patch.setattr(client, "output_order", output_order)


def clipping_skipped(patch):
    patch.setattr(client, "_within", lambda rows, bound: rows)


def one_bound_used_twice(patch):
    # the radius of a score forgets that y and the intercept have bounds of their own
    patch.setattr(Protocol, "largest_norm", property(lambda self: self.x_radius * 0.5))


def out_of_range_records_are_refused(patch):
    original = client.read_record

    def read_record(protocol, x, y):
        features, label = original(protocol, x, y)
        if abs(label) > protocol.y_bound:
            raise ValueError("y is out of range")
        return features, label

    patch.setattr(client, "read_record", read_record)


def warnings_about_the_record(patch):
    def numbers(values):
        array = np.array(values, dtype=np.float64).ravel()
        return np.where(np.isfinite(array), array, 0.0)

    patch.setattr(client, "_numbers", numbers)


def seed_used_again(patch):
    patch.setattr(client.secrets, "randbits", lambda bits: 12345)


MUTATIONS = [
    (epsilon_doubled, check_budget_of, MECHANISM),
    (epsilon_doubled, check_laws, SCORE),
    (rounded_to_the_wrong_side, check_budget_of, MECHANISM),
    (probability_of_the_set_as_if_it_had_one_element, check_laws, LABEL),
    (set_of_the_wrong_size, check_laws, SCORE),
    (set_of_the_wrong_size, check_laws, LABEL),
    (set_whose_size_depends_on_the_record, check_laws, SCORE),
    (clipping_skipped, check_directions, SCORE),
    (one_bound_used_twice, check_inside_unchanged, None),
    (out_of_range_records_are_refused, check_total, SCORE),
    (out_of_range_records_are_refused, check_total, LABEL),
    (warnings_about_the_record, check_total, SCORE),
    (seed_used_again, check_fresh_codebooks, SCORE),
]


def fresh(thing):
    """Return an equal object that has computed nothing yet; None is a protocol made now."""
    if isinstance(thing, SubsetMechanism):
        return SubsetMechanism(thing.epsilon, thing.n_outputs, thing.subset_size)
    return Protocol(3, 1.0, statistic="score") if thing is None else Protocol(**vars_of(thing))


def vars_of(protocol):
    return {name: getattr(protocol, name) for name in Protocol.__dataclass_fields__}


@pytest.mark.parametrize(
    ("mutate", "check", "thing"),
    [pytest.param(*row, id=f"{row[0].__name__}-{row[1].__name__}") for row in MUTATIONS],
)
def test_the_check_fails_on_the_bug_and_passes_without_it(monkeypatch, mutate, check, thing):
    check(fresh(thing))
    with monkeypatch.context() as patch:
        mutate(patch)
        with pytest.raises(AssertionError):
            check(fresh(thing))
    check(fresh(thing))


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "from random import SystemRandom",
        "import numpy.random",
        "from numpy.random import default_rng",
        "from numpy import random",
        "rng = np.random.default_rng()",
        "import scipy",
        "from sparsereg.linear_model import Lasso",
        "from sparsereg.privacy.simulation import simulate_reports",
        "from . import simulation",
    ],
)
def test_the_check_of_the_source_fails_on_other_imports_and_generators(line):
    source = Path(client.__file__).read_text(encoding="utf-8")
    check_source(source)
    with pytest.raises(AssertionError):
        check_source(source + "\n" + line + "\n")
