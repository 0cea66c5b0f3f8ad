"""Masks of weight patterns on a device; ties are those of :mod:`sparsereg.backends.numba.masks`."""

from __future__ import annotations

from typing import Any

import numpy as np
from sparsereg.gpu.device import Device

_THREADS, _MAX_BLOCKS = 256, 1024
# Bits of a number that one pass over all of them tells, as in patterns.cu, and of all.
_DIGIT_BITS, _BITS = 12, 64


def mask_groups(device: Device, scores: Any, n: int, m: int) -> Any:
    """Return the mask of the n largest of every m neighbors of a vector."""
    mask = device.xp.empty(scores.size, dtype=np.bool_)
    _launch(device, "mask_groups", scores, (scores, mask, scores.size, n, m))
    return mask


def mask_largest(device: Device, scores: Any, k: int) -> Any:
    """Return the mask of the k largest entries of a vector: radix selection, then two passes."""
    xp, size = device.xp, scores.size
    if k <= 0 or k >= size:
        return xp.full(size, k > 0, dtype=np.bool_)
    smallest, above = _select(device, scores, k)
    mask, ties = (xp.empty(size, dtype=np.bool_) for _ in range(2))
    _launch(device, "mask_above", scores, (scores, mask, ties, smallest, size))
    mask[xp.flatnonzero(ties)[: k - above]] = True
    return mask


def _select(device: Device, scores: Any, k: int) -> tuple[int, int]:
    """Return the bits of the k-th largest entry, and how many entries are larger."""
    xp = device.xp
    blocks = min(-(-scores.size // _THREADS), _MAX_BLOCKS)
    prefix, above, shift = 0, 0, _BITS
    while shift > 0:
        digit = min(_DIGIT_BITS, shift)
        shift -= digit
        counts = xp.zeros(1 << _DIGIT_BITS, dtype=np.int64)
        device.launch(
            "count_digits", scores.dtype, (blocks,), _THREADS,
            (scores, counts, prefix, scores.size, blocks * _THREADS, shift, digit),
            shared_bytes=4 << _DIGIT_BITS,
        )  # fmt: skip
        from_above = np.cumsum(device.to_host(counts)[::-1])
        place = int(np.searchsorted(from_above, k - above))
        above += int(from_above[place - 1]) if place else 0
        prefix = (prefix << digit) + counts.size - 1 - place
    return prefix, above


def _launch(device: Device, kernel: str, scores: Any, arguments: tuple[Any, ...]) -> None:
    if scores.size:
        device.launch(kernel, scores.dtype, (-(-scores.size // _THREADS),), _THREADS, arguments)
