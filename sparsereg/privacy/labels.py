"""Regression of private labels on public rows: an ordinary fit, with a noise that is known.

Debiased labels have mean y and a variance of at most ``noise_per_report(protocol)^2``, so that the
gradient of a feature that explains nothing has a standard deviation of at most this, times the
root mean square of the centered feature, over sqrt(n).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsereg.backends.protocol import FloatArray
from sparsereg.linear_model import Lasso, SparseRegressor
from sparsereg.penalties import L0Constraint
from sparsereg.privacy.aggregator import debiased_labels
from sparsereg.privacy.estimate import penalty_of, universal_level
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.statistics import noise_per_report


@dataclass(frozen=True)
class LabelFit:
    """A fit of noisy labels; the covariance is that of the coefficients that are not zero."""

    coef: FloatArray
    intercept: float
    covariance: FloatArray
    alpha: float
    n_reports: int


def fit_labels(
    protocol: Protocol,
    reports: Any,
    X: np.ndarray,
    *,
    penalty: str,
    alpha: float | None,
    n_nonzero: int | None,
    fit_intercept: bool,
    accept_simulated: bool,
) -> LabelFit:
    """Fit the reports of labels on the rows that they belong to.

    Parameters
    ----------
    protocol, reports, accept_simulated
        As of :func:`debiased_labels`; a report per row.
    X : ndarray of shape (n, n_features)
    penalty, alpha, n_nonzero
        As of :func:`sparsereg.privacy.estimate.fit_evidence`.
    fit_intercept : bool
    """
    labels, valid = debiased_labels(protocol, reports, accept_simulated=accept_simulated)
    if len(labels) != len(X):
        raise ValueError(
            f"There are {len(labels)} reports and {len(X)} rows of X. Give one per row."
        )
    if not valid.any():
        raise ValueError(
            "No report counts: none of them is a report of this protocol, made by a client. Give "
            "the protocol that the clients had."
        )
    X, labels = (X, labels) if valid.all() else (X[valid], labels[valid])
    spread = noise_per_report(protocol)
    if alpha is None:
        mean = X.mean(axis=0, dtype=np.float64) if fit_intercept else 0.0
        squares = np.einsum("ij,ij->j", X, X, dtype=np.float64) / len(X) - np.square(mean)
        level = universal_level(X.shape[1]) * spread / np.sqrt(len(X))
        strengths = level * np.sqrt(np.maximum(squares, 0.0))
    else:
        strengths = np.full(X.shape[1], alpha)
    model = _model(penalty, strengths, n_nonzero, fit_intercept).fit(X, labels)
    coef = np.asarray(model.coef_, dtype=np.float64)
    active = X[:, np.flatnonzero(coef)].astype(np.float64)
    active -= active.mean(axis=0) if fit_intercept else 0.0
    return LabelFit(
        coef=coef,
        intercept=float(model.intercept_),
        covariance=spread**2 * np.linalg.pinv(active.T @ active),
        alpha=float(np.max(strengths, initial=0.0)),
        n_reports=int(np.count_nonzero(valid)),
    )


def _model(
    penalty: str, strengths: FloatArray, n_nonzero: int | None, fit_intercept: bool
) -> Lasso | SparseRegressor:
    if n_nonzero is not None:
        return SparseRegressor(L0Constraint(n_nonzero), fit_intercept=fit_intercept)
    term = penalty_of(penalty, strengths)
    if penalty == "l1":
        return Lasso(term.alpha, penalty_weights=term.weights, fit_intercept=fit_intercept)
    return SparseRegressor(term, fit_intercept=fit_intercept, strategy="path")
