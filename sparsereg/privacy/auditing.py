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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from sparsereg.privacy.accounting import PrivacyBudget
from sparsereg.privacy.client import Randomizer, output_order, read_record
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.reports import REPORT, seeds_of


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
        ``(x, y) -> bytes``, the client to be audited; None is a :class:`Randomizer`.

    Returns
    -------
    AuditResult

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
    if privatize is None:
        privatize = Randomizer(protocol, PrivacyBudget(3.0 * n_trials * protocol.epsilon)).privatize
    first, second = opposite_records(protocol) if records is None else records
    hits = [
        sum(_is_taken_for(protocol, privatize(*record), first) for _ in range(n_trials))
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


def _is_taken_for(protocol: Protocol, report: bytes, record: tuple[Any, Any]) -> bool:
    """Return whether a report is among those that are likely for a record."""
    (fields,) = np.frombuffer(report, dtype=REPORT)
    index = int(fields["index"])
    if protocol.protect == "label":
        middle = (protocol.n_outputs - 1) / 2
        return (index - middle) * record[1] > 0 and _in_end_window(protocol, index)
    seed = int(seeds_of(protocol.digest, fields["report_id"][None])[0])
    order = output_order(protocol, seed, *read_record(protocol, *record))
    return index in order[: protocol.subset_size]


def _in_end_window(protocol: Protocol, index: int) -> bool:
    window = protocol.subset_size
    return index < window or index >= protocol.n_outputs - window
