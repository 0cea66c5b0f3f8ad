"""What happens to x before it is private: steps of a pipeline, and which of them give it away.

A transformer that learns from data (a scaler, a principal component analysis, an encoder that
collects categories) sees all records in one place before any of them is private. Its parameters are
then published with the protocol or the model, without any guarantee. Transformers that learn
nothing can run on each device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import validate_data


class PublicScaler(TransformerMixin, BaseEstimator):
    """Subtract a public center and divide by a public scale: nothing is learned from data.

    Parameters
    ----------
    center : float or array-like of shape (n_features,), default=0.0
    scale : float or array-like of shape (n_features,), default=1.0
        Positive.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen in ``fit``.

    Examples
    --------
    >>> from sparsereg.privacy import PublicScaler
    >>> PublicScaler(center=[50, 0], scale=[25, 1]).fit_transform([[75, 0.5]])
    array([[1. , 0.5]])
    """

    def __init__(self, center: npt.ArrayLike = 0.0, scale: npt.ArrayLike = 1.0) -> None:
        self.center = center
        self.scale = scale

    def fit(self, X: Any, y: Any = None) -> PublicScaler:
        """Check the parameters against the number of features; X has no other effect."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        self._parameters(X.shape[1])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return ``(X - center) / scale``."""
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        center, scale = self._parameters(X.shape[1])
        return ((X - center) / scale).astype(X.dtype, copy=False)

    def _parameters(self, n_features: int) -> tuple[np.ndarray, np.ndarray]:
        center, scale = np.asarray(self.center, float), np.asarray(self.scale, float)
        for name, values in (("center", center), ("scale", scale)):
            if values.shape not in ((), (n_features,)) or not np.all(np.isfinite(values)):
                raise ValueError(
                    f"{name} has shape {values.shape} or is not finite. Give a number or one per "
                    f"feature, {n_features} here."
                )
        if np.any(scale <= 0):
            raise ValueError("scale has entries that are not positive. Give positive ones.")
        return center, scale

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class UnitNormRows(TransformerMixin, BaseEstimator):
    """Scale each row to a norm of at most one, the natural public bound: nothing is learned.

    Parameters
    ----------
    shrink_only : bool, default=False
        Whether rows that are shorter stay as they are.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen in ``fit``.

    Examples
    --------
    >>> from sparsereg.privacy import UnitNormRows
    >>> UnitNormRows().fit_transform([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """

    def __init__(self, *, shrink_only: bool = False) -> None:
        self.shrink_only = shrink_only

    def fit(self, X: Any, y: Any = None) -> UnitNormRows:
        """Check X; nothing is learned."""
        validate_data(self, X, dtype=[np.float64, np.float32])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the rows, scaled."""
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        norms = np.maximum(norms, 1.0) if self.shrink_only else np.where(norms > 0, norms, 1.0)
        return X / norms

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def check_pipeline(model: Any) -> list[str]:
    """Return what in a pipeline or a search around a private estimator is not private.

    Parameters
    ----------
    model : estimator
        A private estimator, a ``Pipeline`` that ends in one, or a search over one of these.

    Returns
    -------
    list of str
        A sentence for each problem; empty if there is none.

    Raises
    ------
    TypeError
        If there is no private estimator in it.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sparsereg.privacy import LDPLasso, check_pipeline
    >>> for problem in check_pipeline(make_pipeline(StandardScaler(), LDPLasso())):
    ...     print(problem.split(". ")[0])
    Step 'standardscaler' (StandardScaler) learns from raw records in one place
    """
    from sparsereg.privacy.regression import LDPSparseRegression

    problems = []
    while not isinstance(model, Pipeline | LDPSparseRegression):
        inner = getattr(model, "estimator", None)
        if inner is None:
            raise TypeError(
                f"There is no private estimator in {type(model).__name__}. Give an "
                f"LDPSparseRegression, or a Pipeline that ends in one."
            )
        problems.append(
            f"{type(model).__name__} fits its estimator many times, and each fit on devices would "
            f'cost each person another epsilon. Choose with alpha="cv", which costs nothing.'
        )
        model = inner
    if isinstance(model, Pipeline):
        if not isinstance(model.steps[-1][1], LDPSparseRegression):
            raise TypeError(
                "The last step of the Pipeline is not a private estimator. End it with an "
                "LDPSparseRegression."
            )
        problems += [
            f"Step {name!r} ({type(step).__name__}) learns from raw records in one place. Use "
            f"PublicScaler, or another transformer that learns nothing."
            for name, step in model.steps[:-1]
            if step not in (None, "passthrough") and get_tags(step).requires_fit
        ]
    return problems
