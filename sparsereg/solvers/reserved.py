"""Large arrays whose memory is taken as they are written to.

NumPy asks for pages of two megabytes from four megabytes on. Each of them holds parts of many rows,
so that a matrix with room to grow is there as a whole; and where free memory is in small pieces,
the system first moves what lies between them, for longer than it takes to fill the matrix. Memory
that is mapped here comes in small pages, the first time that they are written to.
"""

from __future__ import annotations

import mmap

import numpy as np

from sparsereg.backends.protocol import FloatArray

# Smaller arrays come from NumPy: they are not worth a mapping of their own.
LARGE = 1 << 20


def reserved_square(size: int) -> FloatArray:
    """Return a square array of zeros of which only what is written to takes memory."""
    n_bytes = 8 * size**2
    if not hasattr(mmap, "MAP_PRIVATE"):  # where memory is taken when it is reserved
        return np.zeros((size, size))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    memory = mmap.mmap(-1, n_bytes, flags=flags)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory).reshape(size, size)
