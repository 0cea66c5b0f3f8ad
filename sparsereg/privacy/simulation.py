"""Many clients at once, for simulations: the arithmetic of the client, not its randomness.

Each row is read, bounded and lifted by the functions of :mod:`sparsereg.privacy.client`; a seeded
generator takes the place of the operating system, and reports are marked as simulated, so that an
aggregator of real reports refuses them.

``"clt"`` replaces the sum of many reports by what it is in the limit: the sum of the directions and
normal noise of the same variance. It is for sample sizes whose codebooks would take too long.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.protocol import Backend, FloatArray
from sparsereg.privacy.aggregator import Aggregator, largest_sum
from sparsereg.privacy.client import lifted, window_starts
from sparsereg.privacy.codebook import UNIT, normal_table
from sparsereg.privacy.gaussian import GRID, GaussianMechanism
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.reports import (
    SIMULATED,
    ReportArray,
    make_long_reports,
    make_reports,
    seeds_of,
)
from sparsereg.privacy.statistics import noise_per_report, sum_per_direction

# Numbers in the directions of the records that are worked on at a time: they stay in the cache.
_AT_ONCE = 1 << 15


def simulate_reports(
    protocol: Protocol,
    X: FloatArray,
    y: FloatArray,
    rng: np.random.Generator,
    backend: Backend,
) -> ReportArray:
    """Return a report for each row, in their order; they are not private.

    Parameters
    ----------
    protocol : Protocol
    X : ndarray of shape (n, n_features)
        Not read if labels are protected.
    y : ndarray of shape (n,)
    rng : numpy Generator
    backend : Backend
    """
    n, K, m = len(y), protocol.n_outputs, protocol.subset_size
    report_ids = rng.integers(0, 2**64, n, dtype=np.uint64)
    if isinstance(protocol.mechanism, GaussianMechanism):
        noise, most = protocol.mechanism.noise, protocol.mechanism.largest_value
        directions = lifted(protocol, X, y) / UNIT
        noisy = np.rint(GRID * (directions + noise * rng.standard_normal(directions.shape)))
        values = np.clip(noisy, -most, most).astype(np.int32)
        return make_long_reports(protocol.digest, report_ids, values, flags=SIMULATED)
    inside = rng.integers(0, 2**64, n, dtype=np.uint64) < np.uint64(protocol.mechanism.threshold)
    ranks = np.where(inside, rng.integers(0, m, n), m + rng.integers(0, K - m, n))
    if protocol.protect == "label":
        indices = (window_starts(protocol, y, rng.random(n)) + ranks) % K
    else:
        seeds = seeds_of(protocol.digest, report_ids)
        chunks = _chunks(n, protocol.dimension)
        indices = np.concatenate(
            [
                backend.rank_outputs(
                    lifted(protocol, X[rows], y[rows]), seeds[rows], ranks[rows], K, normal_table()
                )
                for rows in chunks
            ]
        )
    return make_reports(protocol.digest, report_ids, indices, flags=SIMULATED)


def simulate_aggregator(
    protocol: Protocol,
    X: FloatArray,
    y: FloatArray,
    rng: np.random.Generator,
    backend: Backend,
    law: str,
) -> Aggregator:
    """Return the aggregator of a simulated report of each row.

    Parameters
    ----------
    protocol, X, y, rng, backend
        As in :func:`simulate_reports`.
    law : {"exact", "clt"}
    """
    aggregator = Aggregator(protocol, accept_simulated=True, check_duplicates=False)
    if law == "exact":
        whole = _chunks(len(y), protocol.dimension) if protocol.delta else [slice(None)]
        for rows in whole:  # reports with noise are long: they are not kept
            aggregator.update(simulate_reports(protocol, X[rows], y[rows], rng, backend))
        return aggregator
    total = np.zeros(protocol.dimension + 1)
    for rows in _chunks(len(y), protocol.dimension):
        total += lifted(protocol, X[rows], y[rows]).sum(axis=0) / UNIT
    spread = np.sqrt(len(y)) * noise_per_report(protocol) / protocol.radius
    noisy = sum_per_direction(protocol) * (total + spread * rng.standard_normal(total.size))
    most = largest_sum(protocol, len(y))
    return aggregator.add_sums(np.clip(np.rint(noisy), -most, most).astype(np.int64), len(y))


def _chunks(n: int, dimension: int) -> list[slice]:
    size = max(1, _AT_ONCE // (dimension + 1))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
