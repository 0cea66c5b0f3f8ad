"""Sphere tests of all columns at several points; see :mod:`sparsereg.solvers.reach`."""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import kernel

# Columns at a time: what is combined of them stays in cache.
_BLOCK = 512


@kernel(fastmath={"contract"})
def within_reach(gradients, shares, radii, lengths, levels, l1, positive):
    """Return for each column whether a ball around a combination of gradients leaves its bound."""
    p = lengths.shape[0]
    reached = np.zeros(p, dtype=np.bool_)
    center = np.empty(_BLOCK)
    for start in range(0, p, _BLOCK):
        stop = min(start + _BLOCK, p)
        length, bound, found = lengths[start:stop], l1[start:stop], reached[start:stop]
        for k in range(shares.shape[0]):
            radius, level = radii[k], levels[k]
            center[:] = 0.0
            for i in range(shares.shape[1]):
                share, row = shares[k, i], gradients[i, start:stop]
                for c in range(stop - start):
                    center[c] += share * row[c]
            for c in range(stop - start):
                size = center[c] if positive else abs(center[c])
                found[c] |= not size + radius * length[c] <= level * bound[c]
    return reached
