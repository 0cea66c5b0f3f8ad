"""Masks of weight patterns. NaN counts as larger than every number; of equals the first is kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsereg.backends.numba.jit import kernel
from sparsereg.backends.numba.threads import run_blocks

_Mask = npt.NDArray[np.bool_]
# Groups that a thread takes at a time.
_BLOCK = 4096


def mask_groups(scores: np.ndarray, n: int, m: int) -> _Mask:
    """Return the mask of the n largest of every m neighbors of a vector."""
    mask = np.empty(scores.size, dtype=np.bool_)
    run_blocks(
        lambda start, stop: _mask_groups(scores, n, m, start, stop, mask),
        scores.size // m, _BLOCK, float(m) * scores.size,
    )  # fmt: skip
    return mask


def mask_largest(scores: np.ndarray, k: int) -> _Mask:
    """Return the mask of the k largest entries of a vector."""
    size = scores.size
    if k <= 0 or k >= size:
        return np.full(size, k > 0)
    smallest = np.partition(scores, size - k)[size - k]  # NaN is sorted to the end
    is_nan = np.isnan(scores)
    if np.isnan(smallest):
        mask, ties = np.zeros(size, dtype=np.bool_), is_nan
    else:
        mask, ties = (scores > smallest) | is_nan, scores == smallest
    mask[np.flatnonzero(ties)[: k - np.count_nonzero(mask)]] = True
    return mask


@kernel()
def _mask_groups(scores, n, m, start, stop, mask):
    for group in range(start, stop):
        first = group * m
        for i in range(first, first + m):
            before = 0
            for k in range(first, first + m):
                earlier = scores[k] > scores[i] or (np.isnan(scores[k]) > np.isnan(scores[i]))
                if earlier or (
                    k < i and (scores[k] == scores[i] or np.isnan(scores[k]) & np.isnan(scores[i]))
                ):
                    before += 1
            mask[i] = before < n
