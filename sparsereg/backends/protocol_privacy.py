"""What a backend does for private reports."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class ReportPrimitives(Protocol):
    """Codewords of private reports: what they add up to is the same integers everywhere."""

    def accumulate_reports(
        self,
        seeds: npt.NDArray[np.uint64],
        indices: npt.NDArray[np.int64],
        table: npt.NDArray[np.int16],
        sums: npt.NDArray[np.int64],
    ) -> None:
        """Add to ``sums`` the codeword of each private report, regenerated from its seed.

        The integers are those of :mod:`sparsereg.privacy.codebook`, exactly; ``table`` is its table
        of normal values, and sums are as long as a codeword.
        """

    def rank_outputs(
        self,
        directions: FloatArray,
        seeds: npt.NDArray[np.uint64],
        ranks: npt.NDArray[np.int64],
        n_codewords: int,
        table: npt.NDArray[np.int16],
    ) -> npt.NDArray[np.int64]:
        """Return the codeword at a rank of each direction's order of its codebook.

        For simulations of many clients: what ``numpy.argsort(-codewords @ direction)`` has at the
        rank, ties in the order of the codewords. Directions are integers, of shape (n, dimension).
        """
