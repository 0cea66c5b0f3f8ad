"""The server's side: reports in, sums out; merge as you like.

The state of an :class:`Aggregator` is a vector of integers, as long as the statistic: the sum of
the reported codewords, or of the values of reports with noise. Sums of integers do not depend on
the order of reports, on how they were spread over servers, or on the machine.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np

from sparsereg.backends.protocol import FloatArray
from sparsereg.privacy.codebook import UInt64Array, normal_table
from sparsereg.privacy.gaussian import GaussianMechanism
from sparsereg.privacy.mechanisms import window_moments
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.reports import (
    REPORT,
    SIMULATED,
    ReportArray,
    long_format,
    seeds_of,
    well_formed,
)
from sparsereg.privacy.statistics import PrivateStatistics, statistics_of

_MAGIC = b"SRAG\x01"
# Bytes of reports that are looked at together.
_CHUNK = 1 << 21

#: Reasons for which a report is not counted.
REASONS = ("malformed", "foreign", "duplicated", "simulated")


class Aggregator:
    """Sum the reports of one protocol.

    Parameters
    ----------
    protocol : Protocol
        With ``protect="record"``; private labels belong to public rows, see
        :func:`debiased_labels`.
    check_duplicates : bool, default=True
        Whether to keep the ids of all reports (8 bytes each) and refuse one that comes again. False
        keeps the memory constant, for transports that deliver once.
    accept_simulated : bool, default=False
        Whether reports that a simulation made count; they are not private.
    backend : str, default="auto"
        Who computes.

    Attributes
    ----------
    n_reports : int
        Number of reports that count.
    rejected : dict
        Number of reports that do not, for each of the reasons.

    Examples
    --------
    >>> from sparsereg.privacy import Aggregator, Protocol, Randomizer
    >>> protocol = Protocol(n_features=2, epsilon=1.0)
    >>> report = Randomizer(protocol).privatize([0.5, -0.5], 1.0)
    >>> aggregator = Aggregator(protocol).update([report, report, b"not a report"])
    >>> aggregator.n_reports, aggregator.rejected["duplicated"], aggregator.rejected["malformed"]
    (1, 1, 1)
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        check_duplicates: bool = True,
        accept_simulated: bool = False,
        backend: str = "auto",
    ) -> None:
        if not isinstance(protocol, Protocol) or protocol.protect != "record":
            raise ValueError(
                'An Aggregator sums reports of records. Give a Protocol with protect="record", and '
                "use debiased_labels for reports of labels."
            )
        self.protocol = protocol
        self.check_duplicates = check_duplicates
        self.accept_simulated = accept_simulated
        self.backend = backend
        self.n_reports = 0
        self.rejected = dict.fromkeys(REASONS, 0)
        self._sums = np.zeros(protocol.dimension + 1, dtype=np.int64)
        self._seen = IdSet()

    def update(self, reports: Any) -> Aggregator:
        """Count reports.

        Parameters
        ----------
        reports : bytes, iterable of bytes, or ndarray of reports
            24 bytes each, and more with a delta; bytes may hold many, one after another.

        Returns
        -------
        self
        """
        from sparsereg.backends.registry import resolve_backend

        noisy = isinstance(self.protocol.mechanism, GaussianMechanism)
        array, malformed = parse(reports, report_format(self.protocol))
        self.rejected["malformed"] += malformed
        backend = resolve_backend(self.backend, self._sums)
        n_together = max(1, _CHUNK // array.itemsize)
        for start in range(0, len(array), n_together):
            chunk = self._counted(array[start : start + n_together])
            if noisy:
                self._sums += chunk["values"].sum(axis=0, dtype=np.int64)
            else:
                seeds = seeds_of(self.protocol.digest, chunk["report_id"])
                indices = chunk["index"].astype(np.int64)
                backend.accumulate_reports(seeds, indices, normal_table(), self._sums)
            self.n_reports += len(chunk)
        return self

    def add_sums(self, sums: np.ndarray, n_reports: int) -> Aggregator:
        """Add the sum of reports (of their codewords, or their values) that was made elsewhere.

        That may be a secure aggregation, which shows the server nothing but the sum.

        Parameters
        ----------
        sums : ndarray of int64, of shape (dimension + 1,)
        n_reports : int

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If sums are not that many integers, or larger than so many reports can make them.
        """
        sums = np.asarray(sums)
        if sums.shape != self._sums.shape or not np.issubdtype(sums.dtype, np.integer):
            raise ValueError(
                f"sums has shape {sums.shape} and dtype {sums.dtype}. It must have "
                f"{self._sums.size} integers: the sum of codewords of this protocol."
            )
        if not isinstance(n_reports, Integral) or n_reports < 0:
            raise ValueError(
                f"n_reports={n_reports!r} is no number of reports. Give how many codewords were "
                f"summed, an integer >= 0."
            )
        most = largest_sum(self.protocol, int(n_reports))
        if max(int(sums.max()), -int(sums.min())) > most:
            raise ValueError(
                f"sums has an entry beyond {most:g}, which {n_reports} reports cannot make. Give "
                f"the sum of the reports of this protocol, and how many they were."
            )
        self._check_room(int(n_reports))
        self._sums += sums.astype(np.int64)
        self.n_reports += int(n_reports)
        return self

    def _check_room(self, n_reports: int) -> None:
        total = self.n_reports + n_reports
        if largest_sum(self.protocol, total) >= 1 << 63:
            raise ValueError(
                f"The sums of {total:g} reports may not fit into 64 bits. Give at most "
                f"{((1 << 63) - 1) // largest_sum(self.protocol, 1):g} to one aggregator."
            )

    def merge(self, other: Aggregator) -> Aggregator:
        """Add what another aggregator of the same protocol has counted.

        Raises
        ------
        ValueError
            If the protocols differ, if one of them accepts simulated reports and the other does
            not, or if both have counted the same report: send each report to one of them, for
            example by the first byte of its id.
        """
        if not isinstance(other, Aggregator) or other.protocol != self.protocol:
            raise ValueError(
                "Only aggregators of the same protocol can be merged. Their protocol.id must agree."
            )
        if self.accept_simulated != other.accept_simulated:
            raise ValueError(
                "One aggregator accepts simulated reports and the other does not. Keep simulations "
                "apart from the reports of devices."
            )
        if self.check_duplicates != other.check_duplicates:
            raise ValueError(
                "One aggregator checks for duplicates and the other does not. Give both the same "
                "check_duplicates."
            )
        common = int(np.count_nonzero(self._seen.contains(other._seen.ids())))
        if common:
            raise ValueError(
                f"Both aggregators have counted the same {common} reports. Send each report to one "
                f"of them only, for example by the first byte of its id."
            )
        self._check_room(other.n_reports)
        self._seen.add(other._seen.ids())
        self._sums += other._sums
        self.n_reports += other.n_reports
        for reason in REASONS:
            self.rejected[reason] += other.rejected[reason]
        return self

    def stats(self) -> PrivateStatistics:
        """Return the debiased sums and their noise.

        Raises
        ------
        ValueError
            If there are no reports yet.
        """
        if self.n_reports == 0:
            raise ValueError("No report was counted yet. Call update with reports first.")
        return statistics_of(self.protocol, self._sums, self.n_reports)

    @property
    def sums(self) -> np.ndarray:
        """A copy of the state: the sum of the reports, of shape (dimension + 1,), int64."""
        return self._sums.copy()

    def to_bytes(self) -> bytes:
        """Return the state for storage or transport."""
        head = json.dumps(
            {
                "protocol": self.protocol.to_json(),
                "check_duplicates": self.check_duplicates,
                "accept_simulated": self.accept_simulated,
                "n_reports": self.n_reports,
                "rejected": self.rejected,
                "n_sums": int(self._sums.size),
            }
        ).encode()
        body = self._sums.astype("<i8").tobytes() + self._seen.ids().astype("<u8").tobytes()
        content = len(head).to_bytes(8, "little") + head + body
        return _MAGIC + zlib.crc32(content).to_bytes(4, "little") + content

    @classmethod
    def from_bytes(cls, state: bytes, *, backend: str = "auto") -> Aggregator:
        """Return the aggregator that :meth:`to_bytes` wrote.

        Raises
        ------
        ValueError
            If the bytes are damaged, or of another format.
        """
        if not isinstance(state, bytes | bytearray | memoryview):
            raise TypeError(
                f"state is of type {type(state).__name__}. Pass the bytes that Aggregator.to_bytes "
                f"returned."
            )
        state, start = bytes(state), len(_MAGIC) + 4
        checksum, content = state[len(_MAGIC) : start], state[start:]
        intact = zlib.crc32(content).to_bytes(4, "little") == checksum
        if not (intact and state.startswith(_MAGIC)):
            raise ValueError(
                "These bytes are damaged, or no aggregator of this version. Pass what "
                "Aggregator.to_bytes returned."
            )
        size = int.from_bytes(content[:8], "little")
        head, body = json.loads(content[8 : 8 + size]), content[8 + size :]
        aggregator = cls(
            Protocol.from_json(head["protocol"]),
            check_duplicates=head["check_duplicates"],
            accept_simulated=head["accept_simulated"],
            backend=backend,
        )
        aggregator.n_reports, aggregator.rejected = head["n_reports"], head["rejected"]
        cut = 8 * head["n_sums"]
        aggregator._sums = np.frombuffer(body[:cut], dtype="<i8").astype(np.int64)
        aggregator._seen.add(np.frombuffer(body[cut:], dtype="<u8").astype(np.uint64))
        return aggregator

    def _counted(self, reports: ReportArray) -> ReportArray:
        """Return the reports that count, and note why the others do not."""
        counts, rejected = screen(self.protocol, reports, self.accept_simulated)
        kept = reports[counts]
        for reason, number in rejected.items():
            self.rejected[reason] += number
        if not self.check_duplicates:
            return kept
        _, first = np.unique(kept["report_id"], return_index=True)
        unique = kept[np.sort(first)]
        unique = unique[~self._seen.contains(unique["report_id"])]
        self.rejected["duplicated"] += len(kept) - len(unique)
        self._seen.add(unique["report_id"])
        return unique


def report_format(protocol: Protocol) -> np.dtype:
    """Return the format of the reports of a protocol; its ``itemsize`` is their length."""
    noisy = isinstance(protocol.mechanism, GaussianMechanism)
    return long_format(protocol.dimension + 1) if noisy else REPORT


def largest_sum(protocol: Protocol, n_reports: int) -> int:
    """Return the largest entry that a sum of so many reports can have."""
    mechanism = protocol.mechanism
    if isinstance(mechanism, GaussianMechanism):
        return n_reports * mechanism.largest_value
    return n_reports * int(normal_table().max())


def parse(reports: Any, layout: np.dtype = REPORT) -> tuple[ReportArray, int]:
    """Return reports as an array, and how many pieces have not the length of one."""
    if isinstance(reports, np.ndarray) and reports.dtype == layout:
        return reports.ravel(), 0
    if isinstance(reports, bytes | bytearray | memoryview):
        pieces, malformed = [bytes(reports)], 0
        if len(pieces[0]) % layout.itemsize:
            return np.empty(0, dtype=layout), 1
    elif isinstance(reports, Iterable) and not isinstance(reports, str):
        pieces = list(reports)
        if any(not isinstance(piece, bytes | bytearray) for piece in pieces):
            raise TypeError("A report is not bytes. Pass what Randomizer.privatize returned.")
        whole = [piece for piece in pieces if len(piece) == layout.itemsize]
        malformed, pieces = len(pieces) - len(whole), whole
    else:
        raise TypeError(
            f"reports is of type {type(reports).__name__}. Pass bytes, a list of bytes, or an "
            f"array of reports."
        )
    return np.frombuffer(b"".join(pieces), dtype=layout), malformed


def screen(
    protocol: Protocol, reports: ReportArray, accept_simulated: bool
) -> tuple[np.ndarray, dict[str, int]]:
    """Return which reports are of a protocol, and how many others there are, by reason."""
    good = well_formed(reports)
    ours = good & (reports["protocol"] == int.from_bytes(protocol.digest, "little"))
    if isinstance(protocol.mechanism, GaussianMechanism):
        sizes = np.abs(reports["values"].astype(np.int64)).max(axis=1, initial=0)
        in_range = ours & (sizes <= protocol.mechanism.largest_value)
    else:
        in_range = ours & (reports["index"] < protocol.n_outputs)
    real = in_range & (accept_simulated | (reports["flags"] & SIMULATED == 0))
    rejected = {
        "malformed": int(np.count_nonzero(~good) + np.count_nonzero(ours & ~in_range)),
        "foreign": int(np.count_nonzero(good & ~ours)),
        "simulated": int(np.count_nonzero(in_range & ~real)),
    }
    return real, rejected


def debiased_labels(
    protocol: Protocol, reports: Any, *, accept_simulated: bool = False
) -> tuple[FloatArray, np.ndarray]:
    """Return noisy labels, unbiased for the labels within ``y_bound``.

    Parameters
    ----------
    protocol : Protocol
        With ``protect="label"``.
    reports : bytes, list of bytes, or ndarray of reports
        In the order of the public rows they belong to.
    accept_simulated : bool, default=False
        Whether reports that a simulation made count.

    Returns
    -------
    y : ndarray of shape (n_reports,)
        The noise of each has mean 0 and the same largest standard deviation,
        ``noise_per_report(protocol)``.
    valid : ndarray of bool, of shape (n_reports,)
        Whether the report counts; the others, duplicates among them, have label 0.
    """
    if protocol.protect != "label":
        raise ValueError(
            'This protocol protects whole records. Give one with protect="label", or use an '
            "Aggregator."
        )
    array, malformed = parse(reports)
    if malformed:
        raise ValueError(
            f"{malformed} reports do not have 24 bytes, so that the rows of the others are not "
            f"known. Pass one report per row, in their order."
        )
    ours = np.flatnonzero(screen(protocol, array, accept_simulated)[0])
    _, first = np.unique(array["report_id"][ours], return_index=True)
    valid = np.zeros(len(array), dtype=bool)
    valid[ours[first]] = True
    gain, _ = window_moments(protocol.epsilon_effective, protocol.n_outputs, protocol.subset_size)
    levels = array["index"] - (protocol.n_outputs - 1) / 2
    return np.where(valid, protocol.y_bound / gain * levels, 0.0), valid


class IdSet:
    """A growing set of 64-bit ids in sorted arrays of doubling size: 8 bytes an id."""

    def __init__(self) -> None:
        self._parts: list[UInt64Array] = []

    def contains(self, ids: UInt64Array) -> np.ndarray:
        """Return which ids are in the set."""
        found = np.zeros(len(ids), dtype=bool)
        for part in self._parts:
            places = np.minimum(np.searchsorted(part, ids), len(part) - 1)
            found |= part[places] == ids
        return found

    def add(self, ids: UInt64Array) -> None:
        """Add ids that are not in the set."""
        if not len(ids):
            return
        self._parts.append(np.sort(ids.astype(np.uint64)))
        while len(self._parts) > 1 and len(self._parts[-2]) <= 2 * len(self._parts[-1]):
            last = self._parts.pop()
            self._parts[-1] = np.sort(np.concatenate([self._parts[-1], last]))

    def ids(self) -> UInt64Array:
        """Return all ids, sorted."""
        return np.sort(np.concatenate([np.empty(0, dtype=np.uint64), *self._parts]))
