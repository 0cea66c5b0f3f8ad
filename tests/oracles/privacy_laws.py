"""The exact law of a report: every random choice of the client, enumerated in rational numbers."""

from __future__ import annotations

import ast
import itertools
import sys
import warnings
from collections import defaultdict
from fractions import Fraction
from unittest.mock import patch

import numpy as np
from scipy.stats import chisquare

from sparsereg.privacy import PrivacyBudget, client, gaussian
from sparsereg.privacy.aggregator import report_format
from sparsereg.privacy.mechanisms import exp_lower_bound

#: The files that run on a device.
CLIENT_FILES = ("client", "protocol", "mechanisms", "gaussian", "codebook", "reports", "accounting")

# Uniform numbers in the middle of equal parts: stochastic rounding between windows of labels.
ROUNDINGS = [Fraction(2 * k + 1, 16) for k in range(8)]


def report_law(protocol, x, y, seed):
    """Return {index: probability} of a report, through the code that makes reports.

    The bits of the threshold are summed up in two cases; ranks, and the roundings of labels, are
    all tried.
    """
    mechanism = protocol.mechanism
    law = defaultdict(Fraction)
    roundings = ROUNDINGS if protocol.protect == "label" else [Fraction(1, 2)]
    for rounding in roundings:
        bits = int(rounding * 2**32)
        with patch.object(client.secrets, "randbits", return_value=bits):
            record = client.read_record(protocol, x, y)
            order = client.output_order(protocol, seed, *record)
        for inside in (True, False):
            share = Fraction(mechanism.threshold, 2**64)
            share = share if inside else 1 - share
            size = protocol.subset_size if inside else protocol.n_outputs - protocol.subset_size
            for rank in range(size):
                ranks = (rank, 0) if inside else (0, rank)
                index = client.choose(order, protocol, inside, *ranks)
                law[index] += share / size / len(roundings)
    return dict(law)


def largest_ratio(one, other):
    """Return the largest ratio of probabilities of two laws, as a Fraction; None if infinite."""
    outputs = one.keys() | other.keys()
    if any((one.get(j, 0) == 0) != (other.get(j, 0) == 0) for j in outputs):
        return None
    ratios = [one[j] / other[j] for j in outputs if one.get(j, 0)]
    return max(max(ratios), 1 / min(ratios))


def noisy_law(mechanism, direction):
    """Return {values: probability} of a report with noise, through the code that makes reports.

    All draws within 6 standard deviations are tried; beyond is less than 1e-8.
    """
    size = 6 * mechanism.std
    weights = np.exp(-(np.arange(-size, size + 1) ** 2) / (2.0 * mechanism.std**2))
    law, total = defaultdict(float), float(weights.sum())
    for draws in itertools.product(range(-size, size + 1), repeat=mechanism.dimension):
        given = iter(draws)
        with patch.object(gaussian, "discrete_gaussian", lambda std, given=given: next(given)):
            values = tuple(mechanism.values(direction))
        law[values] += float(np.prod([weights[draw + size] / total for draw in draws]))
    return dict(law)


def delta_between(one, other, epsilon):
    """Return the largest P(S) - e^epsilon Q(S) over all sets S of outputs."""
    return sum(max(p - np.exp(epsilon) * other.get(value, 0.0), 0.0) for value, p in one.items())


class Hostile:
    """An object on which every conversion fails."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array for you")

    def __float__(self):
        raise MemoryError


def adversarial_records(n_features):
    """Return records that have broken implementations, as (name, x, y)."""
    ones = np.ones(n_features)
    single = np.eye(n_features)[0]
    return [
        ("zero", 0 * ones, 0.0),
        ("one", single, 1.0),
        ("minus one", -single, 1.0),
        ("ties", ones, 1.0),
        ("infinite", np.inf * ones, np.inf),
        ("minus infinite", -np.inf * ones, -np.inf),
        ("NaN", np.nan * ones, np.nan),
        ("mixed", np.r_[np.nan, np.inf, np.zeros(n_features - 2)], -1.0),
        ("denormal", 5e-324 * ones, 5e-324),
        ("huge", 1e308 * ones, -1e308),
        ("beyond the bounds", 1e6 * single, 1e6),
        ("integers too large for floats", [10**400] * n_features, 10**400),
        ("text", ["a"] * n_features, "b"),
        ("nothing", None, None),
        ("too short", [1.0], [1.0, 2.0]),
        ("too long", np.ones(n_features + 1), []),
        ("nested", [[1.0], [2.0, 3.0]], {"y": 1}),
        ("complex", (1 + 2j) * ones, 1j),
        ("half precision", ones.astype(np.float16), np.float16(0.1)),
        ("masked", np.ma.masked_all(n_features), np.ma.masked),
        ("hostile", Hostile(), Hostile()),
    ]


# Checks of privacy, each in a form that can be run on code with a bug in it.


def check_budget_of(mechanism):
    """The odds of a mechanism, a rational number, are at most e^epsilon."""
    assert mechanism.odds <= exp_lower_bound(mechanism.epsilon)


def check_laws(protocol):
    """The laws of all pairs of adversarial records are within the odds of the mechanism."""
    laws = [report_law(protocol, x, y, 0x0123456789ABCDEF) for _, x, y in adversarial_records(3)]
    for law in laws:
        assert sum(law.values()) == 1
        assert law.keys() == set(range(protocol.n_outputs))
    for one, other in itertools.combinations(laws, 2):
        ratio = largest_ratio(one, other)
        assert ratio is not None
        assert ratio <= protocol.mechanism.odds <= exp_lower_bound(protocol.epsilon)


def adversarial_directions(mechanism, unit):
    """Return directions that no honest computation makes, and the opposite ones that some do."""
    axis = np.eye(mechanism.dimension)[0] * unit
    corner = np.full(mechanism.dimension, unit)
    huge = np.full(mechanism.dimension, -1e308)
    wrong = [np.nan * axis, np.inf * corner, huge, [unit], np.ones(7), -10.0 * corner]
    return [axis, -axis, 0 * axis, corner, -corner, corner / 2, corner - 1, *wrong]


def check_noise(mechanism):
    """The laws of reports of any two directions are within epsilon and delta."""
    unit = float(gaussian.UNIT)
    laws = [noisy_law(mechanism, u) for u in adversarial_directions(mechanism, unit)]
    for one, other in itertools.permutations(laws, 2):
        assert abs(sum(one.values()) - 1) < 1e-6
        assert delta_between(one, other, mechanism.epsilon) <= mechanism.delta


def check_sampler(std=3):
    """Draws are discrete Gaussian, at the level 1e-6."""
    n, values = 20_000, np.arange(-3 * std, 3 * std + 1)
    draws = np.array([gaussian.discrete_gaussian(std) for _ in range(n)])
    weights = np.exp(-(np.arange(-20 * std, 20 * std + 1) ** 2) / (2.0 * std**2))
    expected = n * np.exp(-(values**2) / (2.0 * std**2)) / weights.sum()
    counts = np.array([np.count_nonzero(draws == value) for value in values])
    rest = n - counts.sum(), n - expected.sum()
    assert chisquare([*counts, rest[0]], [*expected, rest[1]]).pvalue > 1e-6


def check_total(protocol):
    """Every record gives a report of the same size, without an error and without a warning."""
    for name, x, y in adversarial_records(3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                report = client.Randomizer(protocol).privatize(x, y)
            except Exception as error:
                raise AssertionError(f"{name}: {error!r}") from error
        assert len(report) == report_format(protocol).itemsize


def check_directions(protocol):
    """Every record, whatever it is, becomes a point on the unit sphere."""
    for _, x, y in adversarial_records(3):
        features, label = client.read_record(protocol, x, y)
        direction = client.lifted(protocol, features[None, :], np.array([label]))[0] / client.UNIT
        assert np.all(np.isfinite(direction))
        assert abs(np.linalg.norm(direction) - 1.0) < 1e-5


def check_fresh_codebooks(protocol):
    """Reports of one record come with different codebooks."""
    randomizer = client.Randomizer(protocol, PrivacyBudget(100.0))
    assert len({randomizer.privatize([0.1, 0.1, 0.1], 0.0)[12:20] for _ in range(20)}) == 20


def check_inside_unchanged(protocol):
    """A record at its bounds is not scaled down further."""
    x = protocol.x_radius * np.eye(3)[:1]
    found = client.bounded_statistics(protocol, x, np.array([protocol.y_bound]))[0]
    columns = np.append(x, protocol.constant)
    np.testing.assert_allclose(found, protocol.y_bound * columns, rtol=1e-12)


def check_source(source):
    """Source of the client imports NumPy and the standard library, and no generator."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            top = name.split(".")[0]
            # dp_accounting is optional, and imported inside a function of the accounting
            assert top in sys.stdlib_module_names | {"numpy", "sparsereg", "dp_accounting"}
            if top == "sparsereg" and name.count(".") == 2:
                assert name.removeprefix("sparsereg.privacy.") in CLIENT_FILES, name
            assert name != "random"
            assert not name.startswith(("random.", "numpy.random")), name
        if isinstance(node, ast.Attribute):
            assert node.attr != "random", "a generator of NumPy"
