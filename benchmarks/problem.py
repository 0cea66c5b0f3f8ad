"""The problem every solver is given, and our judgement of an answer.

    P(w) = (1/(2 n)) ||y - X w - b||^2 + alpha ||w||_1

All of it in float64, and with the intercept b profiled out: for given coefficients the best b is
the mean of y - X w, so that an intercept means implicit centering and sparse X stays sparse.

The certificate is the duality gap at the residual r = y - X w - b, scaled to be feasible:

    theta = c r / n  with  c = min(1, alpha / ||X' r / n||_inf)
    D = ||y_c||^2/(2 n) - (n/2) ||y_c/n - theta||^2

where y_c is y, centered if there is an intercept. No objective is below any D, so that the best P
less the best D bounds the error of P, whoever computed them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["Matrix", "Problem", "Vector", "alpha_max", "dual_objective", "objective", "polish"]

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = "NDArray[np.floating] | sparse.csc_matrix"

# A linear system larger than this takes longer than the solvers it is to judge.
_MAX_POLISHED = 4000


@dataclass(frozen=True)
class Problem:
    """One lasso problem.

    Attributes
    ----------
    X : ndarray (Fortran order) or csc_matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    alpha : float
        Weight of the penalty, in scikit-learn's scale.
    fit_intercept : bool
    """

    X: Matrix
    y: Vector
    alpha: float
    fit_intercept: bool = False

    def at(self, alpha: float) -> Problem:
        """Return the same data with another alpha."""
        return replace(self, alpha=alpha)


def objective(problem: Problem, coef: Vector) -> float:
    """Evaluate P(coef) in float64, at the best intercept for these coefficients."""
    coef = np.asarray(coef, dtype=np.float64)
    residual = _residual(problem, coef)
    return float(
        residual @ residual / (2 * len(residual)) + problem.alpha * np.abs(coef).sum(dtype=float)
    )


def dual_objective(problem: Problem, coef: Vector) -> float:
    """Evaluate D at the feasible point that belongs to coef: a lower bound on min P."""
    residual = _residual(problem, np.asarray(coef, dtype=np.float64))
    n = len(residual)
    steepest = float(np.abs(problem.X.T @ residual).max()) / n
    theta = residual / n * (min(1.0, problem.alpha / steepest) if steepest > 0 else 1.0)
    target = _centered(problem, problem.y)
    dual = target @ target / (2 * n) - n / 2 * np.sum((target / n - theta) ** 2)
    return float(dual)


def alpha_max(problem: Problem) -> float:
    """Return the smallest alpha at which zero is a solution."""
    target = _centered(problem, problem.y)
    return float(np.abs(problem.X.T @ target).max()) / len(target)


def polish(problem: Problem, coef: Vector) -> Vector:
    """Solve the normal equations on the support of `coef`, keeping its signs.

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
    polished[support] = np.linalg.lstsq(_gram(problem, block), right_side, rcond=None)[0]
    return polished if objective(problem, polished) < objective(problem, coef) else coef


def _gram(problem: Problem, block: Matrix) -> Vector:
    if sparse.issparse(block):
        gram = (block.T @ block).toarray()
        means = np.asarray(block.mean(axis=0), dtype=np.float64).ravel()
        return gram - block.shape[0] * np.outer(means, means) if problem.fit_intercept else gram
    dense = np.asarray(block, dtype=np.float64)
    if problem.fit_intercept:
        dense = dense - dense.mean(axis=0)
    return dense.T @ dense


def _residual(problem: Problem, coef: Vector) -> Vector:
    support = np.flatnonzero(coef)
    return _centered(problem, problem.y - problem.X[:, support] @ coef[support])


def _centered(problem: Problem, values: Vector) -> Vector:
    values = np.asarray(values, dtype=np.float64)
    return values - values.mean() if problem.fit_intercept else values
