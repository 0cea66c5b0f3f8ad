"""From the scores of a cross-validated path to one alpha."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral

import numpy as np
import numpy.typing as npt

Selection = str | Callable[[np.ndarray, np.ndarray], int]

# Mean scores that differ by no more than this share are equal: rounding makes such differences.
_EQUAL = 1e-10


def select_alpha(alphas: npt.ArrayLike, scores: npt.ArrayLike, selection: Selection) -> int:
    """Return the index of the chosen alpha.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        In decreasing order.
    scores : array-like of shape (n_alphas, n_folds)
        Greater is better.
    selection : {"min", "1se"} or callable
        "min" takes the best mean score (the largest alpha of those equal to ten digits). "1se"
        takes the largest alpha whose mean score is within one standard error (over folds) of the
        best. A callable gets ``(alphas, scores)`` and returns an index.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the scores of every alpha contain NaN, or a callable returns no index of an alpha.

    References
    ----------
    The one-standard-error rule: Breiman, Friedman, Olshen and Stone, "Classification and
    Regression Trees", 1984, section 3.4.3.

    Examples
    --------
    >>> from sparsereg.model_selection import select_alpha
    >>> select_alpha([1.0, 0.5, 0.1], [[-2.0, -2.2], [-1.0, -1.4], [-0.9, -1.3]], "1se")
    1
    """
    alphas, scores = np.asarray(alphas), np.asarray(scores)
    if callable(selection):
        chosen = selection(alphas.copy(), scores.copy())
        if not isinstance(chosen, Integral) or not -alphas.size <= chosen < alphas.size:
            raise ValueError(
                f"selection returned {chosen!r}; it must return the index of one of the "
                f"{alphas.size} alphas."
            )
        return int(chosen) % alphas.size
    means, scores = mean_scores(scores)
    if np.all(np.isnan(means)):
        raise ValueError(
            "Every alpha has a score that is NaN, so none can be chosen. The test folds are too "
            "small for this scorer, or have no sample weight: use fewer folds."
        )
    best = int(np.nanargmax(means))
    n_folds = scores.shape[1]
    error = 0.0
    if selection == "1se" and n_folds > 1:
        error = float(scores[best].std(ddof=1)) / np.sqrt(n_folds)
    error = max(error, _EQUAL * abs(float(means[best])))
    return int(np.flatnonzero(means >= means[best] - error)[0])


def mean_scores(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over folds, NaN where there is none, and the folds that count.

    A fold without any score, such as one whose test rows have no weight, is as good as absent.
    """
    counted = scores[:, ~np.all(np.isnan(scores), axis=0)]
    means = counted.mean(axis=1) if counted.shape[1] else np.full(len(scores), np.nan)
    return means, counted
