"""The wire format: 24 bytes a report, whatever the dimension, unless noise is added.

======  =====  =========================================================
offset  bytes  content (little-endian)
======  =====  =========================================================
0       2      ``SR``
2       1      version of the format
3       1      flags: 1 marks a report of a simulation
4       8      digest of the protocol
12      8      report id, random: its codebook, and what tells duplicates
20      2      index: the output of the mechanism
22      2      checksum of all of this
======  =====  =========================================================

Where noise is added, a report is as long as the statistic: ``SG``, the same up to byte 20, a CRC-32
of all the rest, and the values, 4 bytes each.

NumPy and the standard library only: this file is part of the client.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from sparsereg.privacy.codebook import UInt64Array, mix

VERSION, SIMULATED = 1, 1
_MAGIC, _LONG_MAGIC = (int.from_bytes(magic, "little") for magic in (b"SR", b"SG"))

_HEAD = [
    ("magic", "<u2"),
    ("version", "u1"),
    ("flags", "u1"),
    ("protocol", "<u8"),
    ("report_id", "<u8"),
]
REPORT = np.dtype([*_HEAD, ("index", "<u2"), ("check", "<u2")])

ReportArray = npt.NDArray[np.void]


def make_reports(
    digest: bytes, report_ids: UInt64Array, indices: npt.ArrayLike, flags: int = 0
) -> ReportArray:
    """Return reports as an array; ``.tobytes()`` is what goes over the wire.

    Parameters
    ----------
    digest : bytes
        Of the protocol.
    report_ids : ndarray of uint64, of shape (n,)
    indices : array-like of int, of shape (n,)
    flags : int
    """
    reports = _with_head(REPORT, _MAGIC, digest, report_ids, flags)
    reports["index"] = indices
    reports["check"] = checksum(reports)
    return reports


def long_format(n_values: int) -> np.dtype:
    """Return the format of reports with so many values."""
    return np.dtype([*_HEAD, ("check", "<u4"), ("values", "<i4", (n_values,))])


def make_long_reports(
    digest: bytes, report_ids: UInt64Array, values: npt.ArrayLike, flags: int = 0
) -> ReportArray:
    """Return reports with values, of shape (n, n_values)."""
    values = np.asarray(values)
    reports = _with_head(long_format(values.shape[1]), _LONG_MAGIC, digest, report_ids, flags)
    reports["values"] = values
    reports["check"] = long_checksum(reports)
    return reports


def _with_head(
    layout: np.dtype, magic: int, digest: bytes, report_ids: UInt64Array, flags: int
) -> ReportArray:
    reports = np.zeros(len(report_ids), dtype=layout)
    reports["magic"], reports["version"], reports["flags"] = magic, VERSION, flags
    reports["protocol"] = int.from_bytes(digest, "little")
    reports["report_id"] = report_ids
    return reports


def checksum(reports: ReportArray) -> npt.NDArray[np.uint16]:
    """Return 16 bits that depend on every other field."""
    head = reports["version"].astype(np.uint64) << np.uint64(8) | reports["flags"]
    tail = head << np.uint64(16) | reports["index"]
    mixed = mix(reports["protocol"] ^ mix(reports["report_id"] ^ mix(tail)))
    return (mixed & np.uint64(0xFFFF)).astype(np.uint16)


def long_checksum(reports: ReportArray) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of each report with values, its check taken as 0."""
    blank = reports.copy()
    blank["check"] = 0
    rows = blank.view(np.uint8).reshape(len(blank), -1)
    return np.array([zlib.crc32(row.data) for row in rows], dtype=np.uint32)


def well_formed(reports: ReportArray) -> npt.NDArray[np.bool_]:
    """Return which reports have the format of this version, and their checksum."""
    is_long = reports.dtype != REPORT
    magic, check = (_LONG_MAGIC, long_checksum) if is_long else (_MAGIC, checksum)
    format_is_ours = (reports["magic"] == magic) & (reports["version"] == VERSION)
    return format_is_ours & (reports["check"] == check(reports))


def seeds_of(digest: bytes, report_ids: UInt64Array) -> UInt64Array:
    """Return the seed of the codebook of each report: a hash of protocol and report id.

    It is no cryptographic hash: a dishonest client can find an id with a codeword that suits it.
    What its report does to an entry of the sums is bounded by the largest entry of a codeword.
    """
    key = np.uint64(int.from_bytes(digest, "little"))
    return mix(mix(report_ids.astype(np.uint64)) ^ key)
