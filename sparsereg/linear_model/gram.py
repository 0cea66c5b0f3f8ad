"""Fits from sums over the rows instead of the rows: what a Gram matrix and X'y determine.

With gram = X'X and xty = X'y, and gram / n = V diag(s) V',

    (1 / (2 n)) ||y - X w||^2 = (1 / 2) ||r - R w||^2 + constant,
    R = diag(sqrt(s)) V',   r = diag(1 / sqrt(s)) V' xty / n,

so that the fit on X is a fit on as many rows as X has rank, by the same solvers and with the same
certificates.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions

from sparsereg.backends.protocol import FloatArray
from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._base import check_parameters
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._local import check_penalty
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.losses import Squared
from sparsereg.penalties import L1, ElasticNet, L0Constraint, Penalty
from sparsereg.solvers import nonconvex, sparse_constraint, working_set
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

# What rounding leaves of an eigenvalue that is zero, beside the largest one, for each column.
_ROUNDING = 8 * np.finfo(np.float64).eps

_CONSTRAINTS: dict[str, list] = {
    "n": [Interval(Real, 0, None, closed="neither")],
    "strategy": [StrOptions(set(nonconvex.STRATEGIES))],
    "tol": [Interval(Real, 0, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "backend": [str],
}


@dataclass(frozen=True)
class GramFit:
    """A fit from a Gram matrix.

    Attributes
    ----------
    coef : ndarray of shape (n_features,)
    objective : float
        ``w' gram w / (2 n) - w' xty / n + penalty(w)``: the objective of the rows without the
        constant ``y'y / (2 n)``.
    certificate : float
        The duality gap for an elastic-net penalty: the objective is at most this far above its
        minimum. For others the stationarity, as of :class:`sparsereg.SparseRegressor`.
    n_iter : int
        Steps taken.
    converged : bool
        Whether the certificate is as small as was asked for.
    """

    coef: FloatArray
    objective: float
    certificate: float
    n_iter: int
    converged: bool


@documented
def fit_gram(
    gram: npt.ArrayLike,
    xty: npt.ArrayLike,
    n: float,
    *,
    penalty: Penalty | L0Constraint | None = None,
    strategy: str = "portfolio",
    tol: float = 1e-8,
    max_iter: int = 1000,
    backend: str = "auto",
) -> GramFit:
    """Minimize least squares plus a penalty, given ``X'X`` and ``X'y`` instead of X and y.

    Minimizes, over the coefficients w::

        w' gram w / (2 n) - w' xty / n + penalty(w)

    which is the objective of the estimators without intercept. For one with an intercept, center:
    ``gram - n m m'`` and ``xty - n m mean(y)`` with the column means m.

    Parameters
    ----------
    gram : array-like of shape (n_features, n_features)
        ``X'X``, symmetric and positive semidefinite.
    xty : array-like of shape (n_features,)
        ``X'y``, in the range of gram.
    n : float
        Number of rows that were summed (their total weight).
    penalty : Penalty or L0Constraint, default=None
        One of :mod:`sparsereg.penalties`; None is ``L1(alpha=0.1)``.
    {strategy}
    tol : float, default=1e-8
        For an elastic-net penalty, stop at a duality gap of ``tol`` times the largest reduction of
        the objective, ``xty' gram^+ xty / n``; otherwise at a stationarity of ``tol``.
    max_iter : int, default=1000
        Budget of the passes of each descent.
    {backend}

    Returns
    -------
    GramFit

    Raises
    ------
    ValueError, TypeError
        For wrong arguments, and for a matrix that is not positive semidefinite.

    Warns
    -----
    ConvergenceWarning
        If ``tol`` was not reached.

    See Also
    --------
    sparsereg.privacy.nearest_psd : Makes a noisy Gram matrix positive semidefinite.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import Lasso, fit_gram, penalties
    >>> X, y = load_diabetes(return_X_y=True)
    >>> y = y - y.mean()  # the columns of X are centered
    >>> fit = fit_gram(X.T @ X, X.T @ y, len(y), penalty=penalties.L1(alpha=1.0))
    >>> bool(abs(fit.coef - Lasso(alpha=1.0, tol=1e-8).fit(X, y).coef_).max() < 1e-3)
    True
    """
    settings = {"n": n, "strategy": strategy, "tol": tol, "max_iter": max_iter, "backend": backend}
    check_parameters("fit_gram", _CONSTRAINTS, settings)
    rows, target = _as_rows(*_checked_sums(gram, xty, n))
    penalty = L1(alpha=0.1) if penalty is None else penalty
    if not isinstance(penalty, L0Constraint):
        penalty = check_penalty(penalty, rows.shape[1])
    problem = Problem(rows, target, penalty, Squared(), None, False)
    work = Workspace(problem, resolve_backend(backend, gram))
    solution: Any
    if isinstance(penalty, L0Constraint):
        solution = sparse_constraint.solve(work, penalty, tol=tol, max_iter=max_iter)
    elif isinstance(penalty, ElasticNet):
        solution = working_set.solve(work, penalty, tol=tol, max_iter=max_iter)
    else:
        solution = nonconvex.solve(work, penalty, strategy=strategy, tol=tol, max_iter=max_iter)
    measure = "duality gap" if isinstance(penalty, ElasticNet) else "stationarity"
    warn_unless_converged(
        [solution.dual_gap], [solution.tolerance], [solution.stalled], max_iter, measure=measure
    )
    w = solution.coef
    fitted = rows @ w
    k = len(target)
    loss = float(fitted @ fitted / 2.0 - fitted @ target) / k
    return GramFit(
        coef=w,
        objective=loss + penalty.value(w),
        certificate=solution.dual_gap,
        n_iter=solution.n_iter,
        converged=solution.converged,
    )


def _checked_sums(gram: Any, xty: Any, n: float) -> tuple[FloatArray, FloatArray]:
    """Return gram / n, symmetric, and xty / n."""
    gram = check_array(gram, dtype=np.float64, input_name="gram")
    xty = check_array(xty, dtype=np.float64, ensure_2d=False, input_name="xty")
    if gram.shape[0] != gram.shape[1]:
        raise ValueError(f"gram has shape {gram.shape}. It must be X'X, with a row per feature.")
    if xty.shape != gram.shape[:1]:
        raise ValueError(
            f"xty has shape {xty.shape}. It must be X'y, of shape {gram.shape[:1]} like the rows "
            f"of gram."
        )
    if not np.allclose(gram, gram.T, rtol=1e-8, atol=1e-12 * float(np.max(np.abs(gram)))):
        raise ValueError("gram is not symmetric. Pass X'X, or (gram + gram.T) / 2.")
    return (gram + gram.T) / (2.0 * n), xty / n


def _as_rows(gram: FloatArray, xty: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a design and a target of mean products ``gram`` and ``xty``, a row per rank."""
    p = xty.size
    values, vectors = np.linalg.eigh(gram)
    zero = _ROUNDING * p * max(float(values[-1]), 0.0)
    if values[0] < -zero:
        raise ValueError(
            f"gram is not positive semidefinite: its eigenvalues go down to {values[0]:.3g} n. "
            f"Noisy ones can be repaired by sparsereg.privacy.nearest_psd."
        )
    kept = values > zero
    k = max(int(np.count_nonzero(kept)), 1)
    roots, vectors, rotated = np.sqrt(values[kept]), vectors[:, kept], vectors.T @ xty
    if np.linalg.norm(rotated[~kept]) > 1e-6 * np.linalg.norm(rotated):
        raise ValueError(
            "xty is not in the range of gram, so that the objective has no minimum. X'X and X'y of "
            "the same X always fit together; if they are noisy, give "
            "sparsereg.privacy.nearest_psd a positive floor."
        )
    if not kept.any():
        return np.zeros((1, p)), np.zeros(1)
    rows = np.sqrt(k) * roots[:, None] * vectors.T
    return np.asfortranarray(rows), np.sqrt(k) * rotated[kept] / roots
