"""The best least-squares models of all sizes, and the l0 path they make up."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.backends.registry import resolve_backend
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.linear_model._base import check_parameters
from sparsereg.linear_model._data import in_dtype, validate_path_data
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._l0_common import L0_CONSTRAINTS, samples_and_choices, subset_problem
from sparsereg.model_selection.criteria import information_criterion
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.l0_path import SupportPool, default_max_size, envelope, search_sizes
from sparsereg.solvers.subset import SubsetProblem


@dataclass(frozen=True)
class L0Path:
    """The best model found of each size; entry k of every attribute belongs to one size.

    Attributes
    ----------
    sizes : ndarray of shape (m,)
        Numbers of non-zero coefficients, increasing; those with penalty weight 0 are not counted.
    supports : tuple of ndarray of int
        The features, increasing.
    coefs : ndarray of shape (n_features, m)
        Least-squares (or ridge) coefficients on each support; float32 if X is.
    intercepts : ndarray of shape (m,)
    mse : ndarray of shape (m,)
        Mean squared residuals, with the sample weights.
    objectives : ndarray of shape (m,)
        ``mse / 2 + l2 / 2 ||w||^2``: what alpha times the size is added to.
    alpha_low, alpha_high : ndarray of shape (m,)
        The alphas between which this size minimizes ``objectives + alpha * sizes``: a partition of
        [0, inf) by the breakpoints of the path; nan for sizes that win nowhere. The largest size
        searched gets the rest, down to 0.
    valid_low, valid_high : ndarray of shape (m,)
        The alphas between which the model is a coordinate-wise minimum of the l0 objective, and
        critical for its relaxation CEL0; low > high if there are none.
    n_samples, n_choices : int
        Rows with a weight, and features that cost something: what criteria count.
    """

    sizes: np.ndarray
    supports: tuple[np.ndarray, ...]
    coefs: np.ndarray
    intercepts: np.ndarray
    mse: np.ndarray
    objectives: np.ndarray
    alpha_low: np.ndarray
    alpha_high: np.ndarray
    valid_low: np.ndarray
    valid_high: np.ndarray
    n_samples: int
    n_choices: int

    def at(self, alpha: float) -> int:
        """Return the index of the model that minimizes the l0 objective at alpha.

        Parameters
        ----------
        alpha : float
            Non-negative; at a breakpoint the smaller model is taken.

        Returns
        -------
        int
        """
        if not alpha >= 0:
            raise ValueError(f"alpha={alpha!r} is negative or NaN. Give a number of 0 or more.")
        return int(np.argmin(self.objectives + alpha * self.sizes))

    def select(self, criterion: str = "ebic", *, gamma: float = 1.0) -> int:
        """Return the index of the model with the smallest information criterion.

        Parameters
        ----------
        criterion : {"aic", "bic", "ebic"}, default="ebic"
            See :func:`sparsereg.model_selection.information_criterion`.
        gamma : float, default=1.0
            Of EBIC.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If there is no such criterion.
        """
        values = information_criterion(
            self.mse, self.sizes, n_samples=self.n_samples, n_features=self.n_choices,
            criterion=criterion, gamma=gamma,
        )  # fmt: skip
        return int(np.argmin(values))


@documented
def l0_path(
    X: Any,
    y: Any,
    *,
    max_size: int | None = None,
    l2: float = 0.0,
    strategy: str = "portfolio",
    fit_intercept: bool = True,
    penalty_weights: npt.ArrayLike | None = None,
    sample_weight: Any = None,
    backend: str = "auto",
    verbose: int = 0,
) -> L0Path:
    """Find the best least-squares model of each size, in one search.

    The models are the best that a search with refit finds: none of them is improved by exchanging
    a feature, or by going through the sizes next to it. From their errors follow the solutions
    of the l0 problem at all alphas, and the choices of information criteria.

    Parameters
    ----------
    {fit_X}
    y : array-like of shape (n_samples,)
        Target.
    max_size : int, default=None
        Largest number of non-zero coefficients; None is what the rows allow, at most 50.
    l2 : float, default=0.0
        Strength of a ridge part, ``l2 / 2 ||w||^2``.
    strategy : {"portfolio", "path"}, default="portfolio"
        "path" goes forward and backward through the sizes; "portfolio" also comes back from larger
        supports of the lasso, which finds better models where features are correlated.
    {fit_intercept}
    penalty_weights : array-like of shape (n_features,), default=None
        0 has a feature always in and not counted, ``inf`` excludes it; all others are equal.
    sample_weight : float or array-like of shape (n_samples,), default=None
        Non-negative weights; only their ratios matter.
    {backend}
    verbose : int, default=0
        1 shows a progress bar over the stages of the search.

    Returns
    -------
    L0Path

    Raises
    ------
    {path_raises}

    Warns
    -----
    PathInterruptedWarning
        If Ctrl-C ended the search after its first stage; what it had found is returned.

    References
    ----------
    Miller, "Subset selection in regression", 2002 (sequential replacement); Soubies, Blanc-Feraud
    and Aubert, SIAM J. Imaging Sciences, 2015 (critical points of CEL0).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import l0_path
    >>> X, y = load_diabetes(return_X_y=True)
    >>> path = l0_path(X, y)
    >>> path.sizes[path.select("bic")]
    np.int64(5)
    """
    constraints = {
        **L0_CONSTRAINTS,
        "max_size": [Interval(Integral, 0, None, closed="left"), None],
        "strategy": [StrOptions({"portfolio", "path"})],
    }
    check_parameters("l0_path", constraints, locals())
    resolved = resolve_backend(backend, X)
    data = validate_path_data(X, y, sample_weight)
    if data.y.ndim != 1:
        raise ValueError(
            f"y has shape {data.y.shape}; l0_path fits one target. Give y of shape (n_samples,)."
        )
    problem = subset_problem(data, resolved, penalty_weights, fit_intercept, l2, equal_costs=True)
    largest = default_max_size(problem) if max_size is None else min(max_size, problem.max_size)
    pool = fill_pool(problem, int(largest), verbose, strategy)
    return path_of_pool(pool, data.dtype)


def fill_pool(
    problem: SubsetProblem, max_size: int, verbose: int = 0, strategy: str = "portfolio"
) -> SupportPool:
    """Search all sizes; an interruption after the first stage keeps what was found."""
    pool, finished = SupportPool(problem), 0
    try:
        with single_threaded_blas():
            stages = search_sizes(pool, max_size, strategy=strategy)
            for _ in progress(stages, 4, "search by size", verbose):
                finished += 1
    except KeyboardInterrupt:
        if not finished:
            raise
        warn_caller(
            f"Interrupted: the models of all sizes are those found by then, after {finished} "
            f"stages of the search.",
            PathInterruptedWarning,
        )
    return pool


def path_of_pool(pool: SupportPool, dtype: np.dtype) -> L0Path:
    """Return the final refits of a pool, and the intervals that follow from them."""
    problem, work = pool.problem, pool.problem.work
    entries = [pool[k] for k in pool.sizes]
    with single_threaded_blas():
        coefs, mse = problem.fits([entry.support for entry in entries])
    intercepts = work.y_mean - coefs @ work.design.means
    objectives = 0.5 * mse + 0.5 * problem.l2 * np.sum(coefs**2, axis=1)
    sizes = np.array(pool.sizes)
    low, high = envelope(sizes.astype(float), objectives)
    n_samples, n_choices = samples_and_choices(problem)
    return L0Path(
        sizes=sizes,
        supports=tuple(entry.support for entry in entries),
        coefs=in_dtype(coefs.T, dtype),
        intercepts=intercepts,
        mse=mse,
        objectives=objectives,
        alpha_low=low,
        alpha_high=high,
        valid_low=np.array([entry.low for entry in entries]),
        valid_high=np.array([entry.high for entry in entries]),
        n_samples=n_samples,
        n_choices=n_choices,
    )
