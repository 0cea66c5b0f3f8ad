"""Information criteria for least-squares fits of different sizes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

CRITERIA = ("aic", "bic", "ebic")

# A mean square below this share of the largest counts as an exact fit.
_EXACT_FIT = 1e-14


def information_criterion(
    mse: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    n_samples: int,
    n_features: int,
    criterion: str = "ebic",
    gamma: float = 1.0,
) -> np.ndarray:
    """Return ``n log(mse) + penalty(size)`` for least-squares fits; smaller is better.

    The penalty is ``2 k`` for AIC, ``k log n`` for BIC, and ``k log n + 2 gamma log C(p, k)`` for
    EBIC, which counts the supports that were to choose from and stays consistent where p exceeds n.

    Parameters
    ----------
    mse : array-like of shape (m,)
        Mean squared residuals. Those that are rounding noise beside the largest are treated as
        equal, so that of several exact fits the smallest is chosen.
    sizes : array-like of shape (m,)
        Numbers of chosen features.
    n_samples, n_features : int
        n, and p: how many features there were to choose from. Unless ``2 p <= n``, sizes above
        ``n / log(p)`` get an infinite value: where so much was chosen from so much, the errors of
        the best models say nothing, and a criterion of this kind would take the largest.
    criterion : {"aic", "bic", "ebic"}, default="ebic"
    gamma : float, default=1.0
        Of EBIC; 0 is BIC.

    Returns
    -------
    ndarray of shape (m,)

    Raises
    ------
    ValueError
        If there is no such criterion.

    References
    ----------
    Chen and Chen, "Extended Bayesian information criteria for model selection with large model
    spaces", Biometrika, 2008.

    Examples
    --------
    >>> from sparsereg.model_selection import information_criterion
    >>> values = information_criterion(
    ...     [2.0, 1.0, 0.99], [0, 1, 2], n_samples=100, n_features=1000, criterion="ebic"
    ... )
    >>> int(values.argmin())
    1
    """
    if criterion not in CRITERIA:
        raise ValueError(
            f"There is no information criterion {criterion!r}. There is: {', '.join(CRITERIA)}."
        )
    mse, sizes = np.asarray(mse, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    floor = max(_EXACT_FIT * float(np.max(mse, initial=0.0)), np.finfo(np.float64).tiny)
    fit = n_samples * np.log(np.maximum(mse, floor))
    penalty = (2.0 if criterion == "aic" else np.log(n_samples)) * sizes
    if criterion == "ebic":
        choices = gammaln(n_features + 1) - gammaln(sizes + 1) - gammaln(n_features - sizes + 1)
        penalty += 2.0 * gamma * choices
    limit = n_features if 2 * n_features <= n_samples else n_samples / np.log(n_features + 1)
    return np.where(sizes <= max(limit, 1.0), fit + penalty, np.inf)
