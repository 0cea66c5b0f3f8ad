"""The wire format: 24 bytes a report, whatever the dimension.

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

NumPy and the standard library only: this file is part of the client.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsereg.privacy.codebook import UInt64Array, mix

VERSION, SIMULATED = 1, 1
_MAGIC = int.from_bytes(b"SR", "little")

REPORT = np.dtype(
    [
        ("magic", "<u2"),
        ("version", "u1"),
        ("flags", "u1"),
        ("protocol", "<u8"),
        ("report_id", "<u8"),
        ("index", "<u2"),
        ("check", "<u2"),
    ]
)

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
    reports = np.zeros(len(report_ids), dtype=REPORT)
    reports["magic"], reports["version"], reports["flags"] = _MAGIC, VERSION, flags
    reports["protocol"] = int.from_bytes(digest, "little")
    reports["report_id"], reports["index"] = report_ids, indices
    reports["check"] = checksum(reports)
    return reports


def checksum(reports: ReportArray) -> npt.NDArray[np.uint16]:
    """Return 16 bits that depend on every other field."""
    head = reports["version"].astype(np.uint64) << np.uint64(8) | reports["flags"]
    tail = head << np.uint64(16) | reports["index"]
    mixed = mix(reports["protocol"] ^ mix(reports["report_id"] ^ mix(tail)))
    return (mixed & np.uint64(0xFFFF)).astype(np.uint16)


def well_formed(reports: ReportArray) -> npt.NDArray[np.bool_]:
    """Return which reports have the format of this version, and their checksum."""
    format_is_ours = (reports["magic"] == _MAGIC) & (reports["version"] == VERSION)
    return format_is_ours & (reports["check"] == checksum(reports))


def seeds_of(digest: bytes, report_ids: UInt64Array) -> UInt64Array:
    """Return the seed of the codebook of each report: a hash of protocol and report id.

    It is no cryptographic hash: a dishonest client can find an id with a codeword that suits it.
    What its report does to an entry of the sums is bounded by the largest entry of a codeword.
    """
    key = np.uint64(int.from_bytes(digest, "little"))
    return mix(mix(report_ids.astype(np.uint64)) ^ key)
