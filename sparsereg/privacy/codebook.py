"""Pseudo-random codewords: the same on every machine, regenerated from the 64 bits of a seed.

Codeword j of a seed is a vector of integers, near normal with standard deviation ``SCALE``. Its
coordinates 4 b, ..., 4 b + 3 come from one number of the SplitMix64 stream that starts at the seed,

    h = mix(seed + (j B + b + 1) GOLDEN)  (mod 2^64),

with B words per codeword: 13 bits of each 16 pick an entry of a table of normal quantiles. Sums of
codewords are sums of integers: they do not depend on the order, the machine or the library.

The mixer is that of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
2014. It need not be unpredictable: codewords are public, and the privacy of a report does not
depend on them.

NumPy and the standard library only: this file is part of the client.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

UInt64Array = npt.NDArray[np.uint64]

#: Codeword coordinates in one word of the stream, and the bits of each that are used.
LANES, INDEX_BITS = 4, 13
#: Standard deviation of a coordinate before rounding to integers.
SCALE = 4096
#: Directions are rounded to integers of this unit: products with codewords are then exact in
#: float64, so that every machine orders the codebook in the same way.
UNIT = float(1 << 22)
# Coordinates that scores regenerates at once: they stay in the cache.
_AT_ONCE = 16_384
GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@cache
def normal_table() -> npt.NDArray[np.int16]:
    """Return 2^13 equally likely values: normal quantiles of variance ``SCALE^2``, as integers."""
    normal, size = NormalDist(), 1 << INDEX_BITS
    upper = [normal.inv_cdf((size + 2 * i + 1) / (2 * size)) for i in range(size // 2)]
    factor = SCALE / math.sqrt(2.0 * math.fsum(z * z for z in upper) / size)
    half = np.array([round(factor * z) for z in upper], dtype=np.int16)
    table = np.concatenate([-half[::-1], half])
    table.flags.writeable = False
    return table


def mix(words: UInt64Array) -> UInt64Array:
    """Return the SplitMix64 finalizer of each word."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(MIX_1)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(MIX_2)
    return words ^ (words >> np.uint64(31))


def n_words(dimension: int) -> int:
    """Return B, the words of the stream that a codeword takes."""
    return -(-dimension // LANES)


def codewords(seed: int, first: int, n_codewords: int, dimension: int) -> npt.NDArray[np.int16]:
    """Return consecutive codewords of a seed, of shape (n_codewords, dimension).

    Parameters
    ----------
    seed : int
        64 bits.
    first : int
        The first codeword.
    n_codewords, dimension : int
    """
    words = n_words(dimension)
    counters = np.arange(first * words + 1, (first + n_codewords) * words + 1, dtype=np.uint64)
    stream = mix(np.array([seed], dtype=np.uint64) + counters * np.uint64(GOLDEN))
    indices = stream.astype("<u8", copy=False).view("<u2") & np.uint16((1 << INDEX_BITS) - 1)
    return normal_table().take(indices).reshape(n_codewords, -1)[:, :dimension]


def scores(seed: int, n_codewords: int, direction: npt.NDArray[np.float64]) -> npt.NDArray:
    """Return the products of all codewords with a direction, a few codewords at a time.

    They are exact for integers below 2^22 in at most 2^17 dimensions, whatever order they are added
    in.
    """
    at_once = max(1, _AT_ONCE // direction.size)
    products = [
        codewords(seed, first, min(at_once, n_codewords - first), direction.size).astype(np.float64)
        @ direction
        for first in range(0, n_codewords, at_once)
    ]
    return np.concatenate(products)
