"""A black-box audit: what can be proven of the privacy loss from reports alone.

Two records, the same number of reports of each, and a test that guesses from a report which of
them it belongs to. With TPR and FPR the shares of either's reports on which it says "the first", a
mechanism with privacy loss epsilon has ``TPR <= e^epsilon FPR``: a lower confidence bound of TPR
and an upper one of FPR (Clopper and Pearson, 1934) prove a least epsilon. The test is fixed before
the first report, so that one sample is enough for an honest bound.

A bound above epsilon proves a bug. One far below it tells that privacy was bought too dearly, or
that the two records do not reach the worst case; the opposite records of the default do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from sparsereg.backends.registry import resolve_backend
from sparsereg.privacy.aggregator import parse
from sparsereg.privacy.client import Randomizer, lifted, read_record
from sparsereg.privacy.codebook import normal_table
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.reports import ReportArray, seeds_of

# Reports that are looked at together.
_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes
    ----------
    epsilon_lower : float
        With the confidence asked for, the privacy loss is at least this.
    epsilon : float
        What the protocol promises.
    n_trials : int
        Reports of each record.
    true_positives, false_positives : int
        Reports of the first and of the second record that were taken for the first's.
    """

    epsilon_lower: float
    epsilon: float
    n_trials: int
    true_positives: int
    false_positives: int


def audit(
    protocol: Protocol,
    *,
    n_trials: int = 10_000,
    confidence: float = 0.99,
    records: tuple[tuple[Any, Any], tuple[Any, Any]] | None = None,
    privatize: Callable[[Any, Any], bytes] | None = None,
) -> AuditResult:
    """Bound the privacy loss of a client from below, by reports of two records.

    Parameters
    ----------
    protocol : Protocol
    n_trials : int, default=10_000
        Reports of each record.
    confidence : float, default=0.99
        Of the bound.
    records : pair of (x, y), default=None
        None takes two with opposite statistics.
    privatize : callable, default=None
        ``(x, y) -> bytes``, the client to be audited; None is a new :class:`Randomizer` for each
        report, as on the devices of different persons. About 0.1 ms a report.

    Returns
    -------
    AuditResult

    Raises
    ------
    ValueError
        For wrong parameters, or a client whose reports do not have 24 bytes.

    Examples
    --------
    >>> from sparsereg.privacy import Protocol, audit
    >>> audit(Protocol(2, 1.0, protect="label"), n_trials=500).epsilon_lower < 1.0
    True
    """
    if not isinstance(n_trials, int) or n_trials < 1:
        raise ValueError(f"n_trials={n_trials!r} is not possible. Give a positive integer.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r} is no probability. Give one below 1.")
    if protocol.delta:
        raise ValueError(
            f"delta={protocol.delta:g}: audits are of pure protocols only. What normal noise gives "
            f"away cannot be seen from thousands of reports; see the tests for exact sums."
        )
    if privatize is None:

        def privatize(x: Any, y: Any) -> bytes:
            return Randomizer(protocol).privatize(x, y)

    first, second = opposite_records(protocol) if records is None else records
    hits = [
        sum(
            int(np.count_nonzero(taken_for(protocol, reports, first)))
            for reports in _batches(privatize, record, n_trials)
        )
        for record in (first, second)
    ]
    tail = (1.0 - confidence) / 2.0
    low = beta.ppf(tail, hits[0], n_trials - hits[0] + 1) if hits[0] else 0.0
    high = beta.ppf(1.0 - tail, hits[1] + 1, n_trials - hits[1]) if hits[1] < n_trials else 1.0
    bound = max(float(np.log(low / high)), 0.0) if low > 0 else 0.0
    return AuditResult(bound, protocol.epsilon, n_trials, *hits)


def opposite_records(protocol: Protocol) -> tuple[tuple[Any, float], tuple[Any, float]]:
    """Return two records with statistics far apart: opposite ones, where there are any."""
    x = np.zeros(protocol.n_features)
    if protocol.statistic == "gram":  # products have no opposite: two that share no column
        y_only = (x.copy(), protocol.y_bound)
        x[0 if protocol.support is None else protocol.support[0]] = protocol.x_radius
        return (x, 0.0), y_only
    x[0 if protocol.support is None else protocol.support[0]] = protocol.x_radius
    return (x, protocol.y_bound), (x, -protocol.y_bound)


def _batches(
    privatize: Callable[[Any, Any], bytes], record: tuple[Any, Any], n_trials: int
) -> Iterator[ReportArray]:
    """Yield that many reports of a record, some thousands at a time."""
    for start in range(0, n_trials, _AT_ONCE):
        number = min(_AT_ONCE, n_trials - start)
        reports, malformed = parse([privatize(*record) for _ in range(number)])
        if malformed:
            raise ValueError(
                f"{malformed} of {number} reports of the client do not have 24 bytes. Audit a "
                f"client that returns what Randomizer.privatize does."
            )
        yield reports


def taken_for(
    protocol: Protocol, reports: ReportArray, record: tuple[Any, Any]
) -> npt.NDArray[np.bool_]:
    """Return which reports are among those that are likely for a record."""
    index, window = reports["index"].astype(np.int64), protocol.subset_size
    if protocol.protect == "label":
        middle = (protocol.n_outputs - 1) / 2
        at_an_end = (index < window) | (index >= protocol.n_outputs - window)
        return at_an_end & ((index - middle) * record[1] > 0)
    x, y = read_record(protocol, *record)
    direction = lifted(protocol, x[None, :], np.array([y]))
    directions = np.repeat(direction, len(reports), axis=0)
    seeds = seeds_of(protocol.digest, reports["report_id"])
    backend = resolve_backend("numba", directions)
    taken = np.zeros(len(reports), dtype=bool)
    for rank in range(window):  # the output at this rank of the order that each seed makes
        ranks = np.full(len(reports), rank)
        outputs = backend.rank_outputs(directions, seeds, ranks, protocol.n_outputs, normal_table())
        taken |= index == outputs
    return taken
