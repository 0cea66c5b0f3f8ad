"""Products with one column in compressed storage: what every pass over sparse X is made of.

A position in a column is never negative. Numba does not know that, and would look at each; as an
unsigned number it is taken as it is. Loops count from zero over slices for the same reason.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.numba.jit import REASSOCIATE, kernel


@kernel(fastmath=REASSOCIATE)
def column_dot(data, indices, start, stop, v):
    """Return the product with v of the column whose entries are stored from start to stop."""
    values, rows = data[start:stop], indices[start:stop]
    total = 0.0
    for k in range(stop - start):
        total += values[k] * v[np.uintp(rows[k])]
    return total


@kernel()
def add_column(data, indices, start, stop, multiple, v):
    """Add a multiple of the column whose entries are stored from start to stop to v."""
    values, rows = data[start:stop], indices[start:stop]
    for k in range(stop - start):
        v[np.uintp(rows[k])] += multiple * values[k]
