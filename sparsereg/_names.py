"""What features are called where a person reads about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def feature_names(model: Any, given: Sequence[str] | None, n_features: int) -> list[str]:
    """Return the names given, else those seen in ``fit``, else ``x0, x1, ...``.

    Raises
    ------
    ValueError
        If the number of names given is not that of the features.
    """
    if given is not None:
        if len(given) != n_features:
            raise ValueError(
                f"feature_names has {len(given)} names, and there are {n_features} features. "
                f"Give one name per feature, in the order of the columns."
            )
        return [str(name) for name in given]
    seen = getattr(model, "feature_names_in_", None)
    if seen is not None:
        return [str(name) for name in seen]
    return [f"x{j}" for j in range(n_features)]
