"""Paths of local minima as a function, in the manners of ``lasso_path``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_array

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.backends.arrays import like
from sparsereg.backends.registry import resolve_backend
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.linear_model._base import COMMON_CONSTRAINTS, GRID_CONSTRAINTS, check_parameters
from sparsereg.linear_model._data import check_alphas, validate_path_data
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._local import check_penalty
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.losses import Squared
from sparsereg.penalties import Penalty
from sparsereg.solvers.nonconvex import alpha_grid, solve_path
from sparsereg.solvers.path import PathRecord
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace

_CONSTRAINTS = {**COMMON_CONSTRAINTS, **GRID_CONSTRAINTS, "return_n_iter": ["boolean"]}


@documented
def sparse_path(
    X: Any,
    y: Any,
    penalty: Penalty,
    *,
    eps: float = 1e-3,
    n_alphas: int = 100,
    alphas: int | npt.ArrayLike | None = None,
    fit_intercept: bool = False,
    sample_weight: Any = None,
    coef_init: npt.ArrayLike | None = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    backend: str = "auto",
    return_n_iter: bool = False,
    verbose: int = 0,
) -> tuple[Any, ...]:
    """Compute local minima along a path of alphas, each started from the one before.

    Where a start from the one after leads to a lower minimum, that one is kept. The objective is
    that of :class:`SparseRegressor`. Ctrl-C keeps the alphas that are finished.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Read in place: Fortran and C order, float64 and float32, and CSC are not copied.
    y : array-like of shape (n_samples,)
        Target.
    penalty : Penalty
        A penalty object, such as ``MCP()``; its alpha is not used.
    {grid_parameters}
    fit_intercept : bool, default=False
        Whether to fit an intercept, as in ``lasso_path``.
    sample_weight : float or array-like of shape (n_samples,), default=None
        Non-negative weights; only their ratios matter.
    coef_init : array-like of shape (n_features,), default=None
        Where the first alpha starts; None is zero.
    tol : float, default=1e-6
        Stationarity at each alpha, as in :class:`SparseRegressor`.
    max_iter : int, default=1000
        Budget of passes over X at each alpha.
    {backend}
    return_n_iter : bool, default=False
        Whether to return the iterations too.
    verbose : int, default=0
        1 shows a progress bar over the alphas.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        Decreasing.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients; float32 if X is.
    stationarities : ndarray of shape (n_alphas,)
        Certificates of local minima.
    n_iters : list of int
        Steps taken at each alpha, with ``return_n_iter=True`` only.

    Raises
    ------
    {path_raises}

    Warns
    -----
    ConvergenceWarning
        If ``tol`` was not reached at some alpha.
    PathInterruptedWarning
        If Ctrl-C cut the path short.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import penalties, sparse_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> alphas, coefs, stationarities = sparse_path(
    ...     X, y, penalties.MCP(), n_alphas=20, fit_intercept=True
    ... )
    >>> coefs.shape
    (10, 20)
    """
    check_parameters("sparse_path", _CONSTRAINTS, locals())
    engine = resolve_backend(backend, X)
    data = validate_path_data(X, y, sample_weight)
    n_features = data.X.shape[1]
    if data.y.ndim != 1:
        raise ValueError(
            f"y has shape {data.y.shape}, but sparse_path takes one target. Give a y of shape "
            f"({len(data.y)},)."
        )
    penalty = check_penalty(penalty, n_features).with_alpha(1.0)
    work = Workspace(
        Problem(data.X, data.y, penalty, Squared(), data.sample_weight, fit_intercept), engine
    )
    grid = alpha_grid(work, penalty, check_alphas(alphas, n_alphas), eps)
    if coef_init is not None:
        start = check_array(coef_init, ensure_2d=False, dtype=np.float64, input_name="coef_init")
        if start.shape != work.coef.shape:
            raise ValueError(
                f"coef_init has shape {start.shape}; X has {n_features} features, so it must have "
                f"shape {work.coef.shape}."
            )
        work.move_to(start.copy())

    record = PathRecord(n_features)
    steps = solve_path(work, penalty, grid, tol=tol, max_iter=max_iter)
    try:
        for solution in progress(steps, len(grid), "path", verbose):
            record.append(solution)  # type: ignore[arg-type]
    except KeyboardInterrupt:
        if not len(record):
            raise
        warn_caller(
            f"Interrupted: returning the {len(record)} of {len(grid)} alphas that are finished.",
            PathInterruptedWarning,
        )
    warn_unless_converged(
        record.dual_gaps, record.tolerances, record.stalled, max_iter, "alphas", "stationarity"
    )
    coefs = like(record.dense_coefs(data.dtype), X)
    result = (grid[: len(record)].copy(), coefs, np.array(record.dual_gaps))
    return (*result, record.n_iters) if return_n_iter else result
