"""Sums of reports: exact, in any order, over any partition, on any backend; bad reports counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsereg.backends import get_backend
from sparsereg.privacy import Aggregator, PrivacyBudget, Protocol, Randomizer, debiased_labels
from sparsereg.privacy.aggregator import IdSet, largest_sum
from sparsereg.privacy.client import choose, lifted, output_order
from sparsereg.privacy.codebook import SCALE, codewords, normal_table
from sparsereg.privacy.reports import REPORT, make_reports, seeds_of
from sparsereg.privacy.simulation import simulate_aggregator, simulate_reports
from sparsereg.privacy.statistics import noise_per_report

BACKEND = get_backend("numba")
PROTOCOL = Protocol(3, 1.0, n_outputs=8)


def reports_of(protocol, n, seed=0):
    rng = np.random.default_rng(seed)
    X, y = rng.uniform(-1, 1, (n, protocol.n_features)), rng.uniform(-1, 1, n)
    return simulate_reports(protocol, X, y, rng, BACKEND)


def aggregate(protocol, reports):
    return Aggregator(protocol, accept_simulated=True).update(reports)


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 5, 8, 101])
@pytest.mark.parametrize("n", [0, 1, 50])
def test_the_kernel_adds_what_numpy_adds(dimension, n):
    rng = np.random.default_rng(dimension)
    seeds = rng.integers(0, 2**64, n, dtype=np.uint64)
    indices = rng.integers(0, 1024, n)
    sums = rng.integers(-100, 100, dimension)
    expected = sums.copy()
    for seed, index in zip(seeds, indices):
        expected += codewords(int(seed), int(index), 1, dimension)[0]
    BACKEND.accumulate_reports(seeds, indices, normal_table(), sums)
    np.testing.assert_array_equal(sums, expected)


def test_threads_do_not_change_the_sums(monkeypatch):
    from sparsereg.backends.numba import reports, threads

    seeds = np.random.default_rng(0).integers(0, 2**64, 300, dtype=np.uint64)
    results = []
    for n_threads in (1, 3):
        monkeypatch.setattr(threads, "n_threads", lambda n=n_threads: n)
        monkeypatch.setattr(threads, "_MIN_WORK", 1)
        monkeypatch.setattr(reports, "_BLOCK", 2)
        sums = np.zeros(37, dtype=np.int64)
        reports.accumulate_reports(seeds, np.arange(300), normal_table(), sums)
        results.append(sums)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    "protocol",
    [PROTOCOL, Protocol(5, 2.0, statistic="score"), Protocol(2, 1.0, protect="label")],
    ids=["gram", "score", "label"],
)
def test_simulated_clients_choose_what_clients_choose(protocol):
    rng = np.random.default_rng(1)
    n, d = 200, protocol.n_features
    X, y = rng.uniform(-1, 1, (n, d)), rng.uniform(-2, 2, n)
    X[:5] = 0.0  # ties of their scores
    ids = rng.integers(0, 2**64, n, dtype=np.uint64)
    seeds, ranks = seeds_of(protocol.digest, ids), rng.integers(0, protocol.n_outputs, n)
    if protocol.protect == "label":
        from sparsereg.privacy.client import window_order, window_starts

        uniform = rng.random(n)
        found = (window_starts(protocol, y, uniform) + ranks) % protocol.n_outputs
        orders = [window_order(protocol, *pair) for pair in zip(y, uniform)]
    else:
        found = BACKEND.rank_outputs(
            lifted(protocol, X, y), seeds, ranks, protocol.n_outputs, normal_table()
        )
        orders = [output_order(protocol, int(s), x, v) for s, x, v in zip(seeds, X, y)]
    m = protocol.subset_size
    expected = [choose(o, protocol, r < m, r, r - m) for o, r in zip(orders, ranks)]
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=25)
@given(st.permutations(range(30)), st.lists(st.integers(0, 30), min_size=2, max_size=2))
def test_order_and_partition_do_not_matter(order, cuts):
    reports = reports_of(PROTOCOL, 30)
    whole = aggregate(PROTOCOL, reports)
    first, second = sorted(cuts)
    parts = np.split(reports[np.array(order)], [first, second])
    shards = [aggregate(PROTOCOL, part) for part in parts]
    left = shards[0].merge(shards[1]).merge(shards[2])
    shards = [aggregate(PROTOCOL, part) for part in parts]
    right = shards[0].merge(shards[1].merge(shards[2]))
    for merged in (left, right):
        np.testing.assert_array_equal(merged.sums, whole.sums)
        assert merged.n_reports == whole.n_reports == 30


def test_bytes_keep_the_state_and_what_it_has_seen():
    reports = reports_of(PROTOCOL, 40)
    before = aggregate(PROTOCOL, reports[:25]).update(b"junk")
    after = Aggregator.from_bytes(before.to_bytes())
    assert after.to_bytes() == before.to_bytes()
    after.update(reports)
    assert (after.n_reports, after.rejected["duplicated"], after.rejected["malformed"]) == (
        40, 25, 1
    )  # fmt: skip
    np.testing.assert_array_equal(after.sums, aggregate(PROTOCOL, reports).sums)


@pytest.mark.parametrize("position", [0, 4, 6, 20, -1])
def test_damaged_bytes_are_refused(position):
    state = bytearray(aggregate(PROTOCOL, reports_of(PROTOCOL, 3)).to_bytes())
    state[position] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        Aggregator.from_bytes(bytes(state))


def test_the_three_ways_to_pass_reports_are_one():
    randomizer = Randomizer(PROTOCOL, PrivacyBudget(100.0))
    pieces = [randomizer.privatize([0.1, 0.2, 0.3], 0.4) for _ in range(7)]
    joined = b"".join(pieces)
    array = np.frombuffer(joined, dtype=REPORT)
    sums = [Aggregator(PROTOCOL).update(form).sums for form in (pieces, joined, array)]
    np.testing.assert_array_equal(sums[0], sums[1])
    np.testing.assert_array_equal(sums[0], sums[2])


@pytest.mark.parametrize("byte", range(24))
def test_a_report_with_any_byte_changed_does_not_count(byte):
    report = bytearray(Randomizer(PROTOCOL).privatize([0.1, 0.2, 0.3], 0.4))
    report[byte] ^= 0x10
    aggregator = Aggregator(PROTOCOL).update(bytes(report))
    assert aggregator.n_reports == 0
    assert sum(aggregator.rejected.values()) == 1


def test_reasons_for_not_counting_are_told_apart():
    good = Randomizer(PROTOCOL).privatize([0.1, 0.2, 0.3], 0.4)
    foreign = Randomizer(Protocol(3, 2.0, n_outputs=8)).privatize([0.1, 0.2, 0.3], 0.4)
    beyond = make_reports(PROTOCOL.digest, np.array([5], dtype=np.uint64), [8]).tobytes()
    simulated = reports_of(PROTOCOL, 1).tobytes()
    aggregator = Aggregator(PROTOCOL).update([good, good, foreign, beyond, simulated, b"short"])
    assert aggregator.n_reports == 1
    assert aggregator.rejected == {
        "malformed": 2, "foreign": 1, "duplicated": 1, "simulated": 1
    }  # fmt: skip


def test_without_the_check_for_duplicates_no_ids_are_kept():
    aggregator = Aggregator(PROTOCOL, check_duplicates=False, accept_simulated=True)
    size = len(aggregator.to_bytes())
    aggregator.update(reports_of(PROTOCOL, 1000))
    assert len(aggregator.to_bytes()) < size + 16


def test_merging_what_has_counted_the_same_report_is_refused():
    reports = reports_of(PROTOCOL, 10)
    with pytest.raises(ValueError, match="the same 4 reports"):
        aggregate(PROTOCOL, reports[:7]).merge(aggregate(PROTOCOL, reports[3:]))


@pytest.mark.parametrize(
    "other",
    [Aggregator(Protocol(3, 2.0)), Aggregator(PROTOCOL, check_duplicates=False), "no aggregator"],
)
def test_merging_what_does_not_go_together_is_refused(other):
    with pytest.raises(ValueError, match=r"Only aggregators|One aggregator"):
        Aggregator(PROTOCOL).merge(other)


@pytest.mark.parametrize("reports", [5, "text", [b"x" * 24, "text"], None])
def test_what_is_no_report_at_all_is_a_type_error(reports):
    with pytest.raises(TypeError, match="Pass"):
        Aggregator(PROTOCOL).update(reports)


@settings(max_examples=30)
@given(st.lists(st.sets(st.integers(0, 60)), max_size=8))
def test_id_sets_are_sets(batches):
    ours, theirs = IdSet(), set()
    for batch in batches:
        ours.add(np.array(sorted(batch - theirs), dtype=np.uint64))
        theirs |= batch
        found = ours.contains(np.arange(61, dtype=np.uint64))
        assert set(np.flatnonzero(found)) == theirs


def test_poisoned_reports_move_the_mean_by_no_more_than_their_share():
    # whoever chooses the report freely is bound to a codeword: its length is that of all others
    n, n_bad = 2000, 100
    reports = reports_of(PROTOCOL, n)
    honest = aggregate(PROTOCOL, reports).stats().xty / n
    bad = reports[:n_bad].copy()
    bad["index"] = (bad["index"] + 3) % 8
    bad = make_reports(PROTOCOL.digest, bad["report_id"], bad["index"], flags=1)
    poisoned = aggregate(PROTOCOL, np.concatenate([bad, reports[n_bad:]])).stats().xty / n
    longest = 4.5 * noise_per_report(PROTOCOL)  # no entry of the table is 4.5 deviations from 0
    assert np.max(np.abs(poisoned - honest)) <= 2 * n_bad / n * longest / PROTOCOL.y_scale


@pytest.mark.parametrize("law", ["exact", "clt"])
@pytest.mark.parametrize("statistic", ["gram", "score"])
def test_statistics_are_unbiased_and_their_noise_is_what_it_is_said_to_be(law, statistic):
    protocol = Protocol(
        3, 2.0, statistic=statistic, x_radius=2.0, y_bound=2.0, n_outputs=16,
        **({"coef": (0.5, 0.0, 0.0, 0.0)} if statistic == "score" else {}),
    )  # fmt: skip
    rng = np.random.default_rng(2)
    n, repeats = 400, 200
    X, y = rng.uniform(-1, 1, (n, 3)), rng.uniform(-1, 1, n)
    Z = np.column_stack([X, np.full(n, protocol.constant)])
    target = y - (0.5 * X[:, 0] if statistic == "score" else 0.0)
    estimates = []
    for _ in range(repeats):
        stats = simulate_aggregator(protocol, X, y, rng, BACKEND, law).stats()
        estimates.append(np.concatenate([stats.xty, *([] if stats.gram is None else stats.gram)]))
    noise = np.concatenate([stats.noise.xty, *([] if stats.gram is None else stats.noise.gram)])
    truth = np.concatenate([Z.T @ target, *([] if stats.gram is None else Z.T @ Z)])
    z = (np.mean(estimates, axis=0) - truth) / (noise / np.sqrt(repeats))
    assert np.max(np.abs(z)) < 4.5
    ratio = np.std(estimates, axis=0) / noise
    assert np.all((ratio > 0.75) & (ratio < 1.2))
    assert stats.n == n


def test_the_lift_tells_how_far_inside_the_radius_records_are():
    protocol = Protocol(2, 4.0, statistic="score", fit_intercept=False)
    rng = np.random.default_rng(0)
    X, y = np.tile([0.6, 0.0], (40_000, 1)), np.ones(40_000)
    lift = simulate_aggregator(protocol, X, y, rng, BACKEND, "exact").stats().lift
    assert lift == pytest.approx(0.8, abs=4.5 * noise_per_report(protocol) / 200)


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("label", [-1.5, 0.3, 2.5])
def test_labels_are_unbiased_with_at_most_the_noise_they_are_said_to_have(epsilon, label):
    protocol = Protocol(1, epsilon, protect="label", y_bound=2.0)
    n = 100_000
    reports = simulate_reports(
        protocol, np.empty((n, 1)), np.full(n, label), np.random.default_rng(0), BACKEND
    )
    labels, valid = debiased_labels(protocol, reports, accept_simulated=True)
    assert valid.all()
    spread = noise_per_report(protocol)
    assert labels.mean() == pytest.approx(min(label, 2.0), abs=4.5 * spread / np.sqrt(n))
    assert np.sqrt(np.mean(labels**2)) <= spread * 1.02


def test_labels_that_do_not_count_are_marked():
    protocol = Protocol(1, 1.0, protect="label")
    good = [Randomizer(protocol).privatize(None, 0.5) for _ in range(3)]
    other = Randomizer(Protocol(1, 2.0, protect="label")).privatize(None, 0.5)
    labels, valid = debiased_labels(protocol, [good[0], other, good[1], good[0], good[2]])
    assert valid.tolist() == [True, False, True, False, True]
    assert labels[~valid].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="1 reports do not have 24 bytes"):
        debiased_labels(protocol, [good[0], b"short"])


def test_record_and_label_reports_are_not_mixed_up():
    with pytest.raises(ValueError, match="debiased_labels"):
        Aggregator(Protocol(1, 1.0, protect="label"))
    with pytest.raises(ValueError, match="protects whole records"):
        debiased_labels(PROTOCOL, b"")


def test_statistics_need_a_report():
    with pytest.raises(ValueError, match="No report was counted"):
        Aggregator(PROTOCOL).stats()


def test_simulated_reports_do_not_slip_in_by_a_merge():
    real = Aggregator(PROTOCOL).update(Randomizer(PROTOCOL).privatize([0.1, 0.2, 0.3], 0.5))
    with pytest.raises(ValueError, match="Keep simulations apart"):
        real.merge(aggregate(PROTOCOL, reports_of(PROTOCOL, 5)))
    assert real.n_reports == 1


def test_what_a_dishonest_report_can_do_is_bounded():
    assert np.abs(normal_table()).max() < 3.9 * SCALE  # as the guide says


@pytest.mark.parametrize("flaw", ["foreign", "out of range", "simulated"])
def test_a_bad_label_with_the_id_of_a_good_one_does_not_count(flaw):
    protocol = Protocol(1, 1.0, protect="label")
    good = np.frombuffer(Randomizer(protocol).privatize([0.0], 0.5), dtype=REPORT)
    source = Protocol(1, 2.0, protect="label") if flaw == "foreign" else protocol
    index, flags = protocol.n_outputs if flaw == "out of range" else 0, int(flaw == "simulated")
    bad = make_reports(source.digest, good["report_id"], [index], flags)
    alone, _ = debiased_labels(protocol, good)
    labels, valid = debiased_labels(protocol, np.concatenate([bad, good]))
    assert valid.tolist() == [False, True]
    assert labels.tolist() == [0.0, alone[0]]


@pytest.mark.parametrize("number", [-1, 2.5, float("nan"), "3"])
def test_sums_of_what_is_no_number_of_reports_are_refused(number):
    aggregator = Aggregator(PROTOCOL)
    with pytest.raises(ValueError, match="no number of reports"):
        aggregator.add_sums(aggregator.sums, number)


@pytest.mark.parametrize("protocol", [PROTOCOL, Protocol(3, 1.0, delta=1e-6)])
def test_sums_that_no_reports_make_are_refused(protocol):
    aggregator = Aggregator(protocol)
    most = largest_sum(protocol, 3)
    for sums in (np.full(aggregator.sums.size, sign * most) for sign in (1, -1)):
        assert Aggregator(protocol).add_sums(sums, 3).n_reports == 3
        with pytest.raises(ValueError, match="3 reports cannot make"):
            aggregator.add_sums(sums + np.sign(sums), 3)
    with pytest.raises(ValueError, match="0 reports cannot make"):
        aggregator.add_sums(np.ones(aggregator.sums.size, dtype=np.int8), 0)
    for huge in (np.full(aggregator.sums.size, 2**64 - 1, dtype=np.uint64),
                 np.full(aggregator.sums.size, -(2**63))):  # fmt: skip
        with pytest.raises(ValueError, match="3 reports cannot make"):
            aggregator.add_sums(huge, 3)
    assert aggregator.n_reports == 0
    assert not aggregator.sums.any()


@pytest.mark.parametrize("protocol", [PROTOCOL, Protocol(3, 1.0, delta=1e-6)])
def test_more_reports_than_64_bits_can_sum_are_refused(protocol):
    most = (2**63 - 1) // largest_sum(protocol, 1)
    zeros = np.zeros(protocol.dimension + 1, dtype=np.int64)
    full = Aggregator(protocol).add_sums(zeros, most)
    for act in (
        lambda: full.add_sums(zeros, 1),
        lambda: full.merge(Aggregator(protocol).add_sums(zeros, 1)),
        lambda: Aggregator(protocol).add_sums(zeros, 10**30),
    ):
        with pytest.raises(ValueError, match="may not fit into 64 bits"):
            act()
    assert full.n_reports == most


@pytest.mark.parametrize("state", [None, "text", 3])
def test_a_state_that_is_not_bytes_is_a_type_error(state):
    with pytest.raises(TypeError, match="to_bytes"):
        Aggregator.from_bytes(state)


def test_any_integers_and_any_bytes_will_do():
    aggregator = aggregate(PROTOCOL, reports_of(PROTOCOL, 5))
    positive = np.arange(aggregator.sums.size, dtype=np.uint64)
    again = Aggregator.from_bytes(memoryview(aggregator.to_bytes())).add_sums(positive, np.int32(2))
    assert again.n_reports == 7
    np.testing.assert_array_equal(again.sums, aggregator.sums + np.arange(positive.size))
