"""What a backend does for the weight patterns of networks."""

from __future__ import annotations

from typing import Any, Protocol


class PatternPrimitives(Protocol):
    """Masks; NaN counts as larger than every number, and of equals the first is kept."""

    def mask_groups(self, scores: Any, n: int, m: int) -> Any:
        """Return the mask of the n largest of every m neighbors of a vector of floating point."""

    def mask_largest(self, scores: Any, k: int) -> Any:
        """Return the mask of the k largest entries of a vector of floating point."""
