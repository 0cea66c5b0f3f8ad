"""Regularization paths as functions, in scikit-learn's manners."""

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
from sparsereg.linear_model._base import (
    COMMON_CONSTRAINTS,
    GRID_CONSTRAINTS,
    L1_RATIO_CONSTRAINT,
    check_parameters_of,
    elastic_net_penalty,
)
from sparsereg.linear_model._data import (
    check_alphas,
    check_penalty_weights,
    noticing_unfinite,
    validate_path_data,
)
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.losses import Squared
from sparsereg.penalties import L21
from sparsereg.solvers.driver import make_workspace
from sparsereg.solvers.path import PathRecord, alpha_grid, solve_path
from sparsereg.solvers.problem import Problem

_CONSTRAINTS = {
    **COMMON_CONSTRAINTS,
    **GRID_CONSTRAINTS,
    "l1_ratio": L1_RATIO_CONSTRAINT,
    "return_n_iter": ["boolean"],
}


@documented
def enet_path(
    X: Any,
    y: Any,
    *,
    l1_ratio: float = 0.5,
    eps: float = 1e-3,
    n_alphas: int = 100,
    alphas: int | npt.ArrayLike | None = None,
    fit_intercept: bool = False,
    positive: bool = False,
    penalty_weights: npt.ArrayLike | None = None,
    sample_weight: Any = None,
    coef_init: npt.ArrayLike | None = None,
    tol: float = 1e-4,
    max_iter: int = 1000,
    backend: str = "auto",
    return_n_iter: bool = False,
    verbose: int = 0,
) -> tuple[Any, ...]:
    """Compute the elastic-net solutions along a path of alphas.

    The objective is that of :class:`ElasticNet`, or of :class:`MultiTaskElasticNet` if y has two
    dimensions. Ctrl-C keeps the alphas that are finished.

    Parameters
    ----------
    {path_data}
    l1_ratio : float in [0, 1], default=0.5
        Share of the l1 part; with 0 give ``alphas``.
    {grid_parameters}
    fit_intercept : bool, default=False
        Whether to fit an intercept. As in scikit-learn the default is False here: center y and X,
        or say True, in which case X is centered implicitly.
    {penalty_parameters}
    {path_parameters}
    {stopping_parameters}
    {backend}
    return_n_iter : bool, default=False
        Whether to return the iterations too.
    verbose : int, default=0
        1 shows a progress bar over the alphas.

    Returns
    -------
    {path_returns}

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
    >>> from sparsereg import enet_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> alphas, coefs, dual_gaps = enet_path(X, y, n_alphas=20, fit_intercept=True)
    >>> coefs.shape
    (10, 20)
    """
    check_parameters_of(enet_path, locals())
    engine = resolve_backend(backend, X)
    data = validate_path_data(X, y, sample_weight, finite_later=True)
    n_features = data.X.shape[1]
    weights = check_penalty_weights(penalty_weights, n_features)
    if data.y.ndim == 1:
        penalty = elastic_net_penalty(1.0, l1_ratio, weights, positive)
    elif positive:
        raise ValueError(
            f"positive=True is not allowed for multi-output: y has shape {data.y.shape}. Give one "
            f"target of shape ({len(data.y)},)."
        )
    else:
        penalty = L21(1.0, l1_ratio=l1_ratio, weights=weights)
    problem = Problem(data.X, data.y, penalty, Squared(), data.sample_weight, fit_intercept)
    with noticing_unfinite(data.X):
        work = make_workspace(problem, engine)
    grid = alpha_grid(work, penalty, check_alphas(alphas, n_alphas), eps)
    if coef_init is not None:
        start = check_array(coef_init, ensure_2d=False, dtype=np.float64, input_name="coef_init")
        if start.shape != work.coef.shape:
            raise ValueError(
                f"coef_init has shape {start.shape}; X has {n_features} features, so it must have "
                f"shape {work.coef.shape}."
            )
        work.move_to(start.copy())

    record = PathRecord(work.coef.shape)
    steps = solve_path(work, penalty, grid, tol=tol, max_iter=max_iter)
    try:
        for _ in progress(record.follow(steps), len(grid), "path", verbose):
            pass
    except KeyboardInterrupt:
        if not len(record):
            raise
        warn_caller(
            f"Interrupted: returning the {len(record)} of {len(grid)} alphas that are finished.",
            PathInterruptedWarning,
        )
    warn_unless_converged(record.dual_gaps, record.tolerances, record.stalled, max_iter, "alphas")
    del work, steps  # their memory is free for the coefficients
    coefs = like(record.dense_coefs(data.dtype), X)
    result = (grid[: len(record)].copy(), coefs, np.array(record.dual_gaps))
    return (*result, record.n_iters) if return_n_iter else result


enet_path._parameter_constraints = _CONSTRAINTS  # type: ignore[attr-defined]


@documented
def lasso_path(
    X: Any,
    y: Any,
    *,
    eps: float = 1e-3,
    n_alphas: int = 100,
    alphas: int | npt.ArrayLike | None = None,
    fit_intercept: bool = False,
    positive: bool = False,
    penalty_weights: npt.ArrayLike | None = None,
    sample_weight: Any = None,
    coef_init: npt.ArrayLike | None = None,
    tol: float = 1e-4,
    max_iter: int = 1000,
    backend: str = "auto",
    return_n_iter: bool = False,
    verbose: int = 0,
) -> tuple[Any, ...]:
    """Compute the lasso solutions along a path of alphas.

    The objective is that of :class:`Lasso`, or of :class:`MultiTaskLasso` if y has two
    dimensions. Ctrl-C keeps the alphas that are finished.

    Parameters
    ----------
    {path_data}
    {grid_parameters}
    fit_intercept : bool, default=False
        Whether to fit an intercept. As in scikit-learn the default is False here: center y and X,
        or say True, in which case X is centered implicitly.
    {penalty_parameters}
    {path_parameters}
    {stopping_parameters}
    {backend}
    return_n_iter : bool, default=False
        Whether to return the iterations too.
    verbose : int, default=0
        1 shows a progress bar over the alphas.

    Returns
    -------
    {path_returns}

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
    >>> from sparsereg import lasso_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> alphas, coefs, dual_gaps = lasso_path(X, y, n_alphas=20, fit_intercept=True)
    >>> int((coefs[:, 0] != 0).sum())
    0
    """
    return enet_path(
        X,
        y,
        l1_ratio=1.0,
        eps=eps,
        n_alphas=n_alphas,
        alphas=alphas,
        fit_intercept=fit_intercept,
        positive=positive,
        penalty_weights=penalty_weights,
        sample_weight=sample_weight,
        coef_init=coef_init,
        tol=tol,
        max_iter=max_iter,
        backend=backend,
        return_n_iter=return_n_iter,
        verbose=verbose,
    )
