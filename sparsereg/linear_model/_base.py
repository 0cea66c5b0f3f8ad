"""What all linear models here share: prediction, tags, and the parameters of an elastic net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsereg.backends.arrays import checked_on_device, is_on_device, like, to_host
from sparsereg.backends.protocol import Backend, FloatArray
from sparsereg.backends.registry import to_current_device
from sparsereg.penalties import L1, ElasticNet

if TYPE_CHECKING:
    from sparsereg.linear_model._summary import Summary

# What is checked of the parameters that estimators and path functions share.
COMMON_CONSTRAINTS: dict[str, list] = {
    "fit_intercept": ["boolean"],
    "positive": ["boolean"],
    "penalty_weights": ["array-like", None],
    "tol": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "backend": [str],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
GRID_CONSTRAINTS: dict[str, list] = {
    "eps": [Interval(Real, 0, 1, closed="right")],
    "n_alphas": [Interval(Integral, 1, None, closed="left")],
    "alphas": [Interval(Integral, 1, None, closed="left"), "array-like", None],
}
# Fitted attributes that are where X was: what predictions and plots are made of.
_PLACED_ATTRIBUTES = {"coef_", "intercept_", "coef_path_", "intercept_path_"}
# Values without parts that could change, so that what is known of them stays true.
_PLAIN = {bool, int, float, np.float64, str, type(None)}
L1_RATIO_CONSTRAINT: list = [Interval(Real, 0, 1, closed="both")]


def check_parameters(
    caller: str, constraints: Mapping[str, list], values: Mapping[str, Any]
) -> None:
    """Raise scikit-learn's errors for wrong parameters; NaN is one."""
    checked = {name: values[name] for name in constraints if name in values}
    rules = {name: constraints[name] for name in checked}
    validate_parameter_constraints(rules, checked, caller_name=caller)
    for name, value in checked.items():
        if isinstance(value, Real) and value != value:
            raise ValueError(f"The {name!r} parameter of {caller} is NaN; it must be a number.")


def check_parameters_of(owner: Any, values: Mapping[str, Any]) -> None:
    """Check the parameters of a class or a function; many small fits have the same ones."""
    given = {name: values[name] for name in owner._parameter_constraints if name in values}
    if all(type(value) in _PLAIN for value in given.values()):
        _check_plain_parameters(owner, tuple(given), *given.values())
    else:
        check_parameters(owner.__name__, owner._parameter_constraints, given)


@lru_cache(maxsize=256, typed=True)
def _check_plain_parameters(owner: Any, names: tuple[str, ...], *values: Any) -> None:
    """Check parameters that were not accepted before."""
    check_parameters(owner.__name__, owner._parameter_constraints, dict(zip(names, values)))


class SparseLinearModel(RegressorMixin, BaseEstimator):
    """A fitted ``X @ coef_ + intercept_`` with scikit-learn's regressor interface."""

    coef_: np.ndarray
    intercept_: float | np.ndarray
    backend_: str
    n_features_in_: int

    def _check_parameters(self) -> None:
        check_parameters_of(type(self), vars(self))

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            In the units of y; a CuPy array if X is one.
        """
        check_is_fitted(self)
        if is_on_device(X) or is_on_device(self.coef_):
            return self._predict_there(X)
        X = validate_data(
            self,
            X,
            accept_sparse=["csr", "csc", "coo"],
            dtype=[np.float64, np.float32],
            reset=False,
        )
        return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_

    def summary(
        self,
        *,
        feature_names: Sequence[str] | None = None,
        scaler: Any = None,
        max_rows: int = 20,
    ) -> Summary:
        """Return the fitted model at a glance: data, choice, support, certificate, warnings.

        Parameters
        ----------
        feature_names : sequence of str of length n_features, default=None
            None is the names seen in ``fit``.
        scaler : transformer, default=None
            The fitted scaler that X went through, such as ``pipeline[0]``: coefficients are then
            given per original unit as well. It must map each column by itself, linearly.
        max_rows : int, default=20
            Number of features printed, those with the largest coefficients.

        Returns
        -------
        Summary
            Prints as text, and as a table in a notebook or a rich console.

        Raises
        ------
        ValueError
            If the names do not fit, or the scaler mixes or bends columns.
        """
        from sparsereg.linear_model._summary import summarize

        return summarize(self, feature_names, scaler, max_rows)

    def _predict_there(self, X: Any) -> Any:
        if is_on_device(X) != is_on_device(self.coef_):
            has, wants = ("CuPy", "cuda") if is_on_device(X) else ("NumPy", "cpu")
            raise TypeError(
                f"X is a {has} array and the model is not: nothing is copied silently. Move the "
                f"model to where X is, model.to({wants!r}), or X to where the model is."
            )
        X = checked_on_device(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return X @ self.coef_.T + self.intercept_

    def _finish_fit(self, backend: Backend, X: Any) -> None:
        """Note who computed, and put the fitted model where X lives."""
        self.backend_ = backend.name
        if is_on_device(X):
            self._move(lambda values: like(values, X))

    def to(self, device: str) -> Self:
        """Move the fitted model, so that it predicts from arrays of another place.

        Parameters
        ----------
        device : {"cpu", "cuda"}
            "cpu" is NumPy, "cuda" is CuPy on its current device.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For another device.
        BackendUnavailableError
            If there is no CUDA device here.
        """
        check_is_fitted(self)
        if device == "cpu":
            self._move(to_host)
        elif device == "cuda":
            self._move(to_current_device)
        else:
            raise ValueError(f'device={device!r} is neither "cpu" nor "cuda".')
        return self

    def _move(self, moved: Callable[[Any], Any]) -> None:
        for name in _PLACED_ATTRIBUTES & vars(self).keys():
            values = getattr(self, name)
            if is_on_device(values) or isinstance(values, np.ndarray):
                setattr(self, name, moved(values))

    def __getstate__(self) -> dict[str, Any]:
        # a pickle can be loaded where there is no device
        return {name: to_host(value) for name, value in super().__getstate__().items()}

    @property
    def support_(self) -> np.ndarray:
        """The features with a non-zero coefficient, of any target, increasing."""
        return np.flatnonzero(np.any(np.atleast_2d(to_host(self.coef_)) != 0, axis=0))

    @property
    def sparse_coef_(self) -> sparse.csr_array:
        """The coefficients as a sparse array of shape (n_targets, n_features)."""
        return sparse.csr_array(np.atleast_2d(to_host(self.coef_)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def elastic_net_penalty(
    alpha: float, l1_ratio: float, weights: FloatArray | None, positive: bool
) -> ElasticNet:
    """Return the penalty of an estimator."""
    if l1_ratio == 1:
        return L1(alpha, weights=weights, positive=positive)
    return ElasticNet(alpha, l1_ratio=l1_ratio, weights=weights, positive=positive)
