"""How near estimated regressions are to true ones, whatever their order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment


def match_components(true: npt.ArrayLike, estimated: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Return, for each true regression, the estimated one that is matched with it.

    The matching has the least sum of squared distances.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
    estimated : array-like of shape (n_estimated, n_features)
        Rows of zeros are added where there are fewer than true ones.

    Returns
    -------
    ndarray of int of shape (n_components,)
        Rows of ``estimated``; numbers from n_estimated on are rows of zeros.

    Examples
    --------
    >>> from sparsereg.mixture import match_components
    >>> match_components([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.1], [0.9, 0.0]])
    array([1, 0])
    """
    true, estimated = _padded(true, estimated)
    cost = np.sum((true[:, None, :] - estimated[None, :, :]) ** 2, axis=2)
    return linear_sum_assignment(cost)[1]


class MixtureErrors(NamedTuple):
    """Errors after matching.

    Attributes
    ----------
    coef_error : float
        Norm of the difference, relative to the norm of the true coefficients.
    precision, recall : float
        Of the supports; 1 where there is nothing to find, or nothing was found.
    n_false : int
        Coefficients that were reported as non-zero and are off by more than ``tol``, under the
        matching that has fewest of them.
    exact : bool
        Whether every coefficient is right to ``tol``.
    """

    coef_error: float
    precision: float
    recall: float
    n_false: int
    exact: bool


def mixture_errors(
    true: npt.ArrayLike, estimated: npt.ArrayLike, *, tol: float = 1e-6
) -> MixtureErrors:
    """Compare coefficients, after matching regressions.

    Parameters
    ----------
    true : array-like of shape (n_components, n_features)
    estimated : array-like of shape (n_estimated, n_features)
    tol : float, default=1e-6
        Coefficients this near to each other are the same.

    Returns
    -------
    MixtureErrors
    """
    order = match_components(true, estimated)
    true, estimated = _padded(true, estimated)
    wrong = np.array([[_n_false(row, other, tol) for other in estimated] for row in true])
    n_false = int(wrong[linear_sum_assignment(wrong)].sum())
    estimated = estimated[order]
    is_there, found = true != 0, estimated != 0
    off = np.abs(true - estimated) > tol
    norm = float(np.linalg.norm(true))
    both = int(np.count_nonzero(is_there & found))
    return MixtureErrors(
        float(np.linalg.norm(true - estimated)) / (norm or 1.0),
        both / int(np.count_nonzero(found)) if found.any() else 1.0,
        both / int(np.count_nonzero(is_there)) if is_there.any() else 1.0,
        n_false,
        not off.any(),
    )


def _n_false(true: np.ndarray, estimated: np.ndarray, tol: float) -> int:
    return int(np.count_nonzero((estimated != 0) & (np.abs(true - estimated) > tol)))


def label_error(true: npt.ArrayLike, estimated: npt.ArrayLike) -> float:
    """Return the share of rows with a wrong label, under the best matching of labels.

    Parameters
    ----------
    true, estimated : array-like of int of shape (n_rows,)
        Negative labels are wrong ones.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    true, estimated = np.asarray(true), np.asarray(estimated)
    if true.shape != estimated.shape:
        raise ValueError(
            f"Labels have shapes {true.shape} and {estimated.shape}. Give one label for each row."
        )
    if not true.size:
        return 0.0
    known = (true >= 0) & (estimated >= 0)
    table = np.zeros((true.max() + 1, max(estimated.max(), 0) + 1))
    np.add.at(table, (true[known], estimated[known]), 1)
    rows, columns = linear_sum_assignment(-table)
    return 1.0 - float(table[rows, columns].sum()) / true.size


def _padded(
    true: npt.ArrayLike, estimated: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    true = np.atleast_2d(np.asarray(true, dtype=np.float64))
    estimated = np.atleast_2d(np.asarray(estimated, dtype=np.float64))
    if true.shape[1] != estimated.shape[1]:
        raise ValueError(
            f"Regressions of {true.shape[1]} and {estimated.shape[1]} features cannot be compared. "
            f"Give coefficients of shape (n_components, n_features) for the same features."
        )
    missing = len(true) - len(estimated)
    if missing > 0:
        estimated = np.vstack([estimated, np.zeros((missing, true.shape[1]))])
    return true, estimated
