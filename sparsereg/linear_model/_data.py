"""From what a user passes to what a solver reads: validation, in scikit-learn's manners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, check_scalar
from sklearn.utils.validation import _check_sample_weight, validate_data

from sparsereg.backends.arrays import checked_on_device, is_on_device, to_host
from sparsereg.backends.protocol import FloatArray


class Data(NamedTuple):
    """Validated data. y has shape (n,) or (n, k); weights have sum n, None if they are equal."""

    X: Any
    y: FloatArray
    sample_weight: FloatArray | None

    @property
    def dtype(self) -> np.dtype:
        """The dtype fitted coefficients are given in: float32 stays float32."""
        return self.X.dtype


# X is read in place in either memory order and either precision; CSR is converted once.
_X_RULES: dict[str, Any] = {
    "accept_sparse": "csc",
    "dtype": [np.float64, np.float32],
    "accept_large_sparse": True,
}


def validate_fit_data(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    multi_output: bool,
    finite_later: bool = False,
) -> Data:
    """Validate the arguments of ``fit`` and record the feature names.

    With ``finite_later``, values of X that are not finite are left to :func:`noticing_unfinite`.
    """
    if is_on_device(X):
        validate = partial(validate_fit_data, estimator, multi_output=multi_output)
        return _validate_there(validate, estimator, X, y, sample_weight)
    if _is_clean(X, y, finite_later):
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
    else:
        _check_indices(X)
        rules = {**_X_RULES, "multi_output": multi_output, "y_numeric": True}
        X, y = validate_data(estimator, X, y, **rules)
    estimator._n_samples = len(y)  # for the summary
    if np.ndim(y) == 2 and np.shape(y)[1] == 1:
        y = np.ravel(y)
    return _as_read(X, y, sample_weight)


def validate_multi_task_data(estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any) -> Data:
    """Validate the arguments of ``fit`` of a multi-task model: y keeps its two dimensions."""
    if is_on_device(X):
        validate = partial(validate_multi_task_data, estimator)
        return _validate_there(validate, estimator, X, y, sample_weight)
    _check_indices(X)
    X, y = validate_data(estimator, X, y, **_X_RULES, multi_output=True, y_numeric=True)
    estimator._n_samples = len(y)
    if y.ndim == 1:
        name = type(estimator).__name__
        raise ValueError(
            f"For mono-task outputs, use {name.removeprefix('MultiTask')}; {name} needs y of shape "
            f"(n_samples, n_tasks)."
        )
    return _as_read(X, y, sample_weight)


def validate_path_data(X: Any, y: Any, sample_weight: Any, *, finite_later: bool = False) -> Data:
    """Validate the arguments of a path function: y of shape (n, T) is a multi-task problem.

    ``finite_later`` is that of :func:`validate_fit_data`.
    """
    if is_on_device(X):
        return _validate_there(validate_path_data, None, X, y, sample_weight)
    if not _is_clean(X, y, finite_later):
        _check_indices(X)
        X = check_array(X, **_X_RULES, input_name="X")
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        check_consistent_length(X, y)
    return _as_read(X, y, sample_weight)


def _validate_there(
    validate: Callable[[Any, Any, Any], Data],
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
) -> Data:
    """Validate X where it lives, and what goes with its rows on the host."""
    X = checked_on_device(X)
    rows = np.zeros((X.shape[0], 1))
    data = validate(rows, to_host(y), to_host(sample_weight))
    if estimator is not None:
        estimator.n_features_in_ = X.shape[1]
    return data._replace(X=X)


@contextmanager
def noticing_unfinite(X: Any, estimator: BaseEstimator | None = None) -> Iterator[None]:
    """Raise scikit-learn's error if the block raises because a value of X is not finite.

    The block prepares a workspace: the moments of X, which read all of it, tell.
    """
    try:
        yield
    except ValueError:
        if not is_on_device(X):
            name = "" if estimator is None else type(estimator).__name__
            assert_all_finite(X, estimator_name=name, input_name="X")
        raise


def _is_clean(X: Any, y: Any, finite_later: bool = False) -> bool:
    """Whether these are arrays that scikit-learn's checks, slow beside small fits, would pass."""
    if not (type(X) is type(y) is np.ndarray and X.ndim == 2 and y.ndim == 1):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return (
            X.dtype in (np.float64, np.float32)
            and y.dtype == np.float64
            and X.size > 0
            and len(X) == len(y)
            and bool((finite_later or np.isfinite(X.sum())) and np.isfinite(y.sum()))
        )


def _as_read(X: Any, y: Any, sample_weight: Any) -> Data:
    X = _canonical(X) if sparse.issparse(X) else np.asarray(X)
    if isinstance(X, np.ndarray) and not (X.flags.f_contiguous or X.flags.c_contiguous):
        X = np.asfortranarray(X)  # once for all solves and folds: kernels need one or the other
    return Data(X, np.asarray(y, dtype=np.float64), normalized_weights(sample_weight, X))


def _check_indices(X: Any) -> None:
    """Refuse compressed data whose indices point outside: compiled code would follow them."""
    if not sparse.issparse(X):
        return
    matrix: Any = X
    if matrix.format in ("csr", "csc", "bsr"):
        try:
            matrix.check_format(full_check=True)
        except (ValueError, IndexError) as error:
            raise ValueError(
                f"X is not a valid {matrix.format.upper()} matrix ({error}). Build it anew, for "
                f"example from its COO form."
            ) from error


def in_dtype(values: Any, dtype: np.dtype) -> Any:
    """Return the values in the dtype of X, or in float64 where that would overflow."""
    values = np.asarray(values)
    if np.max(np.abs(values), initial=0.0) > np.finfo(dtype).max:
        return values[()]
    return values.astype(dtype, copy=False)[()]


def _canonical(X: Any) -> Any:
    """Return CSC data in which no entry is stored twice, copied only if X has such entries."""
    if X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def normalized_weights(sample_weight: Any, X: Any) -> FloatArray | None:
    """Return the weights scaled to sum n, or None where they are all equal."""
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if np.any(weights < 0):
        raise ValueError("Negative values in sample_weight: weights must be 0 or more.")
    largest = float(weights.max())
    if largest == 0:
        raise ValueError("All sample_weight are zero: at least one must be positive.")
    if np.all(weights == largest):
        return None
    weights = weights / largest
    return weights * (weights.size / weights.sum())


def check_penalty_weights(penalty_weights: Any, n_features: int) -> FloatArray | None:
    """Return the feature weights as float64, or None where they are all one."""
    if penalty_weights is None:
        return None
    weights = check_array(
        penalty_weights,
        ensure_2d=False,
        dtype=np.float64,
        ensure_all_finite=False,
        input_name="penalty_weights",
    )
    if weights.shape != (n_features,):
        raise ValueError(
            f"penalty_weights has shape {weights.shape}; X has {n_features} features, so it must "
            f"have shape ({n_features},)."
        )
    if np.any(np.isnan(weights)) or np.any(weights < 0):
        raise ValueError(
            "penalty_weights contains NaN or negative values: each must be 0 (unpenalized), "
            "positive, or inf (excluded)."
        )
    return None if np.all(weights == 1) else weights


def check_alphas(alphas: npt.ArrayLike | None, n_alphas: int) -> int | FloatArray:
    """Return the number of alphas of an automatic grid, or the given alphas in decreasing order."""
    if alphas is None:
        return int(n_alphas)
    if isinstance(alphas, Integral):
        return int(alphas)
    if np.ndim(alphas) != 1:
        raise ValueError(
            f"alphas={alphas!r} must be a list of values, or a number of alphas (an integer)."
        )
    values = list(alphas)  # type: ignore[arg-type]
    if not values:
        raise ValueError("alphas is empty: give at least one value, or a number of alphas.")
    for index, alpha in enumerate(values):
        check_scalar(alpha, f"alphas[{index}]", Real, min_val=0.0)
        if not np.isfinite(alpha):
            raise ValueError(f"alphas[{index}] is infinite or NaN, it must be finite.")
    return np.sort(np.asarray(values, dtype=np.float64))[::-1]


@contextmanager
def unchanged_on_failure(estimator: BaseEstimator) -> Iterator[None]:
    """Give the estimator its attributes back if the block raises, Ctrl-C included."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
