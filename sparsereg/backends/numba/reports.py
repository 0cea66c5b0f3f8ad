"""Codewords of private reports: regenerate and add them, or order a codebook by its products.

The stream is defined in :mod:`sparsereg.privacy.codebook`; what these kernels return equals what
NumPy does there, bit by bit. The constants below are those of that module.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.threads import run_blocks
from sparsereg.privacy.codebook import GOLDEN, INDEX_BITS, MIX_1, MIX_2, n_words

_GOLDEN, _MIX_1, _MIX_2 = np.uint64(GOLDEN), np.uint64(MIX_1), np.uint64(MIX_2)
_MASK = np.uint64((1 << INDEX_BITS) - 1)
_30, _27, _31, _16, _1 = (np.uint64(value) for value in (30, 27, 31, 16, 1))
# Words of a codeword that a thread takes at a time.
_BLOCK = 256


@kernel(inline="always")
def _word(seed, counter):
    h = seed + counter * _GOLDEN
    h = (h ^ (h >> _30)) * _MIX_1
    h = (h ^ (h >> _27)) * _MIX_2
    return h ^ (h >> _31)


@kernel()
def add_codewords(seeds, indices, table, words, start, stop, sums):
    """Add the words start, ..., stop - 1 of each report's codeword to sums."""
    dimension = sums.shape[0]
    for i in range(seeds.shape[0]):
        first = np.uint64(indices[i] * words) + _1
        for b in range(start, stop):
            h = _word(seeds[i], first + np.uint64(b))
            k = 4 * b
            if k + 4 <= dimension:
                sums[k] += table[h & _MASK]
                sums[k + 1] += table[(h >> _16) & _MASK]
                sums[k + 2] += table[(h >> (_16 + _16)) & _MASK]
                sums[k + 3] += table[(h >> (_16 + _16 + _16)) & _MASK]
            else:
                for lane in range(dimension - k):
                    sums[k + lane] += table[h & _MASK]
                    h = h >> _16


@kernel(fastmath={"reassoc", "contract"})
def _rank_outputs(directions, seeds, ranks, n_codewords, table, words, indices):
    """For each direction, write the codeword at a rank of their order by scalar product."""
    n, dimension = directions.shape
    codeword = np.empty(4 * words)
    scores = np.empty(n_codewords)
    direction = np.zeros(4 * words)
    for i in range(n):
        direction[:dimension] = directions[i]
        for j in range(n_codewords):
            first = np.uint64(j * words) + _1
            for b in range(words):
                h = _word(seeds[i], first + np.uint64(b))
                codeword[4 * b] = table[h & _MASK]
                codeword[4 * b + 1] = table[(h >> _16) & _MASK]
                codeword[4 * b + 2] = table[(h >> (_16 + _16)) & _MASK]
                codeword[4 * b + 3] = table[(h >> (_16 + _16 + _16)) & _MASK]
            total = 0.0
            for k in range(4 * words):
                total += codeword[k] * direction[k]
            scores[j] = -total
        indices[i] = np.argsort(scores, kind="mergesort")[ranks[i]]


def accumulate_reports(seeds, indices, table, sums):
    """Add the codeword of each report to sums; threads take blocks of its entries."""
    words = n_words(sums.size)
    work = float(words) * seeds.size

    def task(start: int, stop: int) -> None:
        add_codewords(seeds, indices, table, words, start, stop, sums)

    run_blocks(task, words, _BLOCK, work)


def rank_outputs(directions, seeds, ranks, n_codewords, table):
    """Return the codeword at a rank of each record's order; threads take blocks of records."""
    n, dimension = directions.shape
    indices = np.empty(n, dtype=np.int64)
    words = n_words(dimension)

    def task(start: int, stop: int) -> None:
        part = slice(start, stop)
        _rank_outputs(
            directions[part], seeds[part], ranks[part], n_codewords, table, words, indices[part]
        )

    run_blocks(task, n, 512, float(n) * n_codewords * dimension)
    return indices
