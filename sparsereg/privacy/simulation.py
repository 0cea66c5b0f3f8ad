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
from sparsereg.privacy.aggregator import Aggregator
from sparsereg.privacy.client import UNIT, lifted, window_starts
from sparsereg.privacy.codebook import SCALE, normal_table
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.reports import SIMULATED, ReportArray, make_reports, seeds_of
from sparsereg.privacy.statistics import selected_moments

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
        return aggregator.update(simulate_reports(protocol, X, y, rng, backend))
    total = np.zeros(protocol.dimension + 1)
    for rows in _chunks(len(y), protocol.dimension):
        total += lifted(protocol, X[rows], y[rows]).sum(axis=0) / UNIT
    mean, square = selected_moments(protocol.mechanism)
    spread = np.sqrt(len(y) * (1.0 + (square - 1.0) / total.size))
    noisy = mean * total + spread * rng.standard_normal(total.size)
    return aggregator.add_sums(np.rint(SCALE * noisy).astype(np.int64), len(y))


def _chunks(n: int, dimension: int) -> list[slice]:
    size = max(1, _AT_ONCE // (dimension + 1))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
