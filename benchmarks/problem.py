"""The problem every solver is given, and our judgement of an answer.

    P(w) = (1/(2 n)) ||y - X w - b||^2 + alpha ||w||_1

at one alpha or at several, with one column of coefficients for each. All of it in float64, and with
the intercept b profiled out: for given coefficients the best b is the mean of y - X w, so that an
intercept means implicit centering and sparse X stays sparse.

The certificate is the duality gap at the residual r = y - X w - b, scaled to be feasible:

    theta = c r / n  with  c = min(1, alpha / ||g||_inf)  and  g = X' r / n
    gap = P - D = (1 - c)^2 ||r||^2 / (2 n) + sum_j (alpha |w_j| - c g_j w_j)

No term of the gap is negative, so that nothing cancels. No objective is below any D, so that the
best P less the best D bounds the error of P, whoever computed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

__all__ = [
    "Fitted",
    "Matrix",
    "Problem",
    "Vector",
    "alpha_max",
    "columns",
    "judge",
    "null_objective",
    "polish",
]

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = "NDArray[np.floating] | sparse.csc_matrix"

# A linear system larger than this takes longer than the solvers it is to judge.
_MAX_POLISHED = 4000


@dataclass(frozen=True)
class Problem:
    """A lasso problem at one or more alphas.

    Attributes
    ----------
    X : ndarray (Fortran order) or csc_matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    alphas : ndarray of shape (n_alphas,)
        Weights of the penalty, in scikit-learn's scale, decreasing.
    folds : ndarray of shape (n_samples,)
        For cross-validation: the fold whose test set each row belongs to.
    fit_intercept : bool
    """

    X: Matrix
    y: Vector
    alphas: Vector
    folds: NDArray[np.int64]
    fit_intercept: bool = False

    @property
    def alpha(self) -> float:
        """The alpha of a problem that has one."""
        (alpha,) = self.alphas
        return float(alpha)

    def at(self, alphas: Vector | float) -> Problem:
        """Return the same data with other alphas."""
        return replace(self, alphas=np.atleast_1d(np.asarray(alphas, dtype=np.float64)))

    def splits(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return the rows of the training and the test set of each fold."""
        return [
            (np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold))
            for fold in range(int(self.folds.max()) + 1)
        ]

    def rows(self, rows: NDArray[np.int64]) -> Problem:
        """Return the problem of some of the rows, copied in the order that solvers want."""
        X: Matrix = self.X[rows]
        X = X.tocsc() if sparse.issparse(X) else np.asfortranarray(X)
        return replace(self, X=X, y=self.y[rows], folds=self.folds[rows])


@dataclass(frozen=True)
class Fitted:
    """What a solver returns that has more to say than its coefficients.

    Attributes
    ----------
    coefs : ndarray or sparse matrix of shape (n_features,) or (n_features, n_alphas)
        Of a cross-validation: those of the refit at `alpha`.
    gaps : array-like of shape (n_alphas,) or float or None
        The duality gaps that the solver itself reports, in units of P.
    seconds : float or None
        Time of the call by the solver's own clock, where ours would time a detour.
    alpha : float or None
        The alpha that a cross-validation has chosen.
    mse_path : ndarray of shape (n_alphas, n_folds) or None
        Mean squared errors on the test sets.
    fold_coefs : sequence of ndarray or sparse matrix of shape (n_features, n_alphas)
        Of each training set, if they are known.
    coef_path : ndarray of shape (n_features, n_alphas) or None
        Of all data, where a cross-validation returns that, too.
    working_set : int or None
        Columns of the largest Gram matrix that the solver held, if it tells.
    """

    coefs: Any
    gaps: Any = None
    seconds: float | None = None
    alpha: float | None = None
    mse_path: Vector | None = None
    fold_coefs: Sequence[Any] = ()
    coef_path: Any = None
    working_set: int | None = None


def judge(problem: Problem, coefs: Any) -> tuple[Vector, Vector]:
    """Evaluate P and the duality gap at each alpha.

    Parameters
    ----------
    problem : Problem
    coefs : ndarray or sparse matrix of shape (n_features,) or (n_features, n_alphas)

    Returns
    -------
    objectives, gaps : ndarray of shape (n_alphas,)
    """
    coefs = columns(coefs)
    residuals = _residuals(problem, coefs)
    n = len(residuals)
    squares = np.einsum("ij,ij->j", residuals, residuals) / (2 * n)
    norms = np.asarray(abs(coefs).sum(axis=0), dtype=np.float64).ravel()

    slopes = np.asarray(problem.X.T @ residuals) / n
    steepest = np.abs(slopes).max(axis=0)
    scale = np.minimum(1.0, problem.alphas / np.maximum(steepest, np.finfo(float).tiny))
    entries = coefs.tocoo()
    terms = problem.alphas[entries.col] * np.abs(entries.data) - (
        scale[entries.col] * slopes[entries.row, entries.col] * entries.data
    )
    complementarity = np.bincount(entries.col, weights=terms, minlength=len(scale))
    return squares + problem.alphas * norms, (1 - scale) ** 2 * squares + complementarity


def columns(coefs: Any) -> sparse.csc_matrix:
    """Return coefficients of any form as a float64 matrix with a column for each alpha."""
    if not sparse.issparse(coefs):
        coefs = np.asarray(coefs, dtype=np.float64)
        coefs = coefs[:, None] if coefs.ndim == 1 else coefs
    return sparse.csc_matrix(coefs, dtype=np.float64)


def null_objective(problem: Problem) -> float:
    """Return P(0), the objective without any feature."""
    target = _centered(problem, problem.y)
    return float(target @ target) / (2 * len(target))


def alpha_max(problem: Problem) -> float:
    """Return the smallest alpha at which zero is a solution."""
    target = _centered(problem, problem.y)
    return float(np.abs(problem.X.T @ target).max()) / len(target)


def polish(problem: Problem, coef: Vector) -> Vector:
    """Solve the normal equations on the support of `coef` at one alpha, keeping its signs.

    Belongs to no solver, and brings a reference optimum to machine precision when the support is
    right. The result is returned only if it lowers the objective, and `coef` otherwise.
    """
    support = np.flatnonzero(coef)
    if not 0 < len(support) <= min(_MAX_POLISHED, problem.X.shape[0]):
        return coef
    block = problem.X[:, support]
    slope = block.T @ _centered(problem, problem.y)
    right_side = slope - len(problem.y) * problem.alpha * np.sign(coef[support])
    polished = np.zeros_like(coef)
    gram = _gram(problem, block)
    try:
        polished[support] = linalg.cho_solve(linalg.cho_factor(gram), right_side)
    except linalg.LinAlgError:
        polished[support] = linalg.lstsq(gram, right_side)[0]
    return polished if judge(problem, polished)[0] < judge(problem, coef)[0] else coef


def _gram(problem: Problem, block: Matrix) -> Vector:
    if sparse.issparse(block):
        gram = (block.T @ block).toarray()
        means = np.asarray(block.mean(axis=0), dtype=np.float64).ravel()
        return gram - block.shape[0] * np.outer(means, means) if problem.fit_intercept else gram
    dense = np.asarray(block, dtype=np.float64)
    if problem.fit_intercept:
        dense = dense - dense.mean(axis=0)
    return dense.T @ dense


def _residuals(problem: Problem, coefs: sparse.csc_matrix) -> Vector:
    support = np.unique(coefs.indices)
    fitted = np.asarray(problem.X[:, support] @ coefs[support].toarray(), dtype=np.float64)
    return _centered(problem, np.asarray(problem.y, dtype=np.float64)[:, None] - fitted)


def _centered(problem: Problem, values: Vector) -> Vector:
    values = np.asarray(values, dtype=np.float64)
    return values - values.mean(axis=0) if problem.fit_intercept else values
