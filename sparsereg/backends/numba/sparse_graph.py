"""Random sparse-graph queries without storing the graph: every number is a hash of its place.

Feature j is a member of one bin in every stage; stage s owns the bins ``starts[s]`` to
``starts[s + 1]``. Its bin there, its signs and its weights are hashes of (seed, stream, j), so that
whoever needs the neighbors of one feature computes them, and nobody ever holds those of all.

A bin has a few kinds of queries, all on its members. Kind q weighs feature j by ``signature``:

- ratio code: a_j, a_j t_j and a_j (1 + t_j), with a_j = +-U(1/2, 3/2) and the address
  t_j = 1 + (j + 1) / (n + 1), so that the second over the first tells j;
- binary code: s_j = +-1; s_j bit_k(j) for each binary digit of j and s_j h_v(j) with some random
  bits h_v; then s_j (1 - bit_k(j)) and s_j (1 - h_v(j)): integers, for coefficients on a lattice.

On top of every query lies the same pilot p, zero or not at random.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel

RATIO, BINARY = 0, 1

# Streams of hashes beside the stages, which are 0, 1, ...
_WEIGHT, _PILOT, _CHECK = 1 << 40, 1 << 41, 1 << 42
ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_ONE = np.uint64(1)
_UNIT = 2.0**-53


@kernel()
def mix(z):
    """Return a bijective scrambling of 64 bits (the finalizer of SplitMix64)."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@kernel()
def hashed(seed, stream, j):
    """Return 64 random bits that belong to (seed, stream, j)."""
    z = mix(np.uint64(seed) + ODD * np.uint64(stream + 1))
    return mix(z + ODD * np.uint64(j + 1))


@kernel()
def bin_of(seed, starts, stage, j):
    """Return the bin of feature j in a stage."""
    size = np.uint64(starts[stage + 1] - starts[stage])
    return starts[stage] + np.int64(hashed(seed, stage, j) % size)


@kernel()
def is_member(seed, starts, b, j):
    """Whether feature j is a member of bin b."""
    stage = np.searchsorted(starts, b, side="right") - 1
    return bin_of(seed, starts, stage, j) == b


@kernel()
def weight_of(seed, j):
    """Return a_j, of either sign and of size 1/2 to 3/2."""
    bits = hashed(seed, _WEIGHT, j)
    size = 0.5 + np.float64(bits >> _S11) * _UNIT
    return size if bits & _ONE else -size


@kernel()
def address_of(n, j):
    """Return t_j, between 1 and 2 and never either of them."""
    return 1.0 + (j + 1.0) / (n + 1.0)


@kernel()
def sign_of(seed, j):
    """Return s_j, 1 or -1."""
    return 1.0 if hashed(seed, _WEIGHT, j) & _ONE else -1.0


@kernel()
def check_bit(seed, v, j):
    """Return the random bit h_v(j)."""
    return np.float64(hashed(seed, _CHECK + v, j) & _ONE)


@kernel()
def write_signature(code, seed, n, n_bits, j, out):
    """Write the weight of feature j in each kind of query of a bin."""
    if code == RATIO:
        a = weight_of(seed, j)
        t = address_of(n, j)
        out[0] = a
        out[1] = a * t
        out[2] = a * (1.0 + t)
        return
    sign = sign_of(seed, j)
    n_digits = (out.size - 1) // 2
    out[0] = sign
    for k in range(n_digits):
        bit = np.float64((j >> k) & 1) if k < n_bits else check_bit(seed, k - n_bits, j)
        out[1 + k] = sign * bit
        out[1 + n_digits + k] = sign * (1.0 - bit)


@kernel()
def pilot_weight(code, seed, share, scale, j):
    """Return p_j: zero with probability 1 - share, else of either sign.

    Its size is scale times 1/2 to 3/2, or in the binary code an integer from 1 to scale.
    """
    bits = hashed(seed, _PILOT, j)
    if share < 1.0 and np.float64(bits >> _S11) * _UNIT >= share:
        return 0.0
    other = hashed(seed, _PILOT + 1, j)
    size = scale * np.float64(other >> _S11) * _UNIT
    size = np.floor(size) + 1.0 if code == BINARY else size + 0.5 * scale
    return size if other & _ONE else -size


@kernel()
def neighbors(seed, starts, features, out):
    """Write the bins of each feature to out, of shape (features, stages)."""
    for i in range(features.size):
        for stage in range(starts.size - 1):
            out[i, stage] = bin_of(seed, starts, stage, features[i])


@kernel()
def signatures(code, seed, n, n_bits, features, out):
    """Write the signature of each feature to out, of shape (features, kinds)."""
    for i in range(features.size):
        write_signature(code, seed, n, n_bits, features[i], out[i])


@kernel()
def pilots(code, seed, share, scale, features, out):
    """Write p at some features."""
    for i in range(features.size):
        out[i] = pilot_weight(code, seed, share, scale, features[i])


@kernel()
def count_members(seed, starts, n, first, last, indptr):
    """Count the members of the bins first to last - 1; indptr[b + 1] gets that of bin first + b."""
    for stage in range(starts.size - 1):
        if starts[stage + 1] <= first or starts[stage] >= last:
            continue
        for j in range(n):
            b = bin_of(seed, starts, stage, j)
            if first <= b < last:
                indptr[b - first + 1] += 1


@kernel()
def list_members(seed, starts, n, first, last, place, members):
    """List the members of those bins, increasing; ``place`` starts as where each bin begins."""
    for stage in range(starts.size - 1):
        if starts[stage + 1] <= first or starts[stage] >= last:
            continue
        for j in range(n):
            b = bin_of(seed, starts, stage, j)
            if first <= b < last:
                members[place[b - first]] = j
                place[b - first] += 1


@kernel()
def spread(code, seed, n, n_bits, starts, features, values, out):
    """Add to out, of shape (bins, kinds), what coefficients at some features contribute."""
    signature = np.empty(out.shape[1])
    for i in range(features.size):
        if values[i] == 0.0:
            continue
        write_signature(code, seed, n, n_bits, features[i], signature)
        for stage in range(starts.size - 1):
            b = bin_of(seed, starts, stage, features[i])
            for q in range(signature.size):
                out[b, q] += values[i] * signature[q]


@kernel()
def collect(code, seed, n, n_bits, starts, features, sums, out):
    """Write to out what features weigh ``sums``, of shape (bins, kinds), by: the adjoint."""
    signature = np.empty(sums.shape[1])
    for i in range(features.size):
        write_signature(code, seed, n, n_bits, features[i], signature)
        total = 0.0
        for stage in range(starts.size - 1):
            b = bin_of(seed, starts, stage, features[i])
            for q in range(signature.size):
                total += signature[q] * sums[b, q]
        out[i] = total
