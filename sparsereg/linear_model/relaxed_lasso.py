"""The relaxed lasso: part of the lasso's shrinkage is taken back, its selection is kept.

With w the lasso solution and A its active set, the unpenalized features included, the fit is

    gamma w + (1 - gamma) z,        z = least squares of y on the columns A,

both for the coefficients and the intercept. At the lasso solution the gradient is known, so that z
follows from the Gram matrix of A, which the solver has:

    z_A = w_A + G_AA^{-1} c_A,      c = X_c' (s r) / n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.utils._param_validation import Interval

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._base import COMMON_CONSTRAINTS, SparseLinearModel
from sparsereg.linear_model._data import (
    check_penalty_weights,
    in_dtype,
    unchanged_on_failure,
    validate_fit_data,
)
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.linear_model.elastic_net import print_history
from sparsereg.losses import Squared
from sparsereg.model_selection.path_cv import Candidate
from sparsereg.penalties import L1
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.problem import Problem, Solution
from sparsereg.solvers.unpenalized import UnpenalizedSpan
from sparsereg.solvers.working_set import solve
from sparsereg.solvers.workspace import Workspace

# Columns are taken for dependent when this share of one, squared, is left beside the others.
_DEPENDENT = 1e-8


@documented
class RelaxedLasso(SparseLinearModel):
    """Lasso, blended with least squares on the features it selects.

    The coefficients, and likewise the intercept, are::

        gamma * (lasso at alpha) + (1 - gamma) * (least squares on the lasso's active set)

    where the lasso has the objective of :class:`Lasso` and the active set includes the
    unpenalized features.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the lasso's penalty: what is selected.
    gamma : float in [0, 1], default=0.0
        Share of the lasso in the blend: 1 is the lasso, 0 takes all of its shrinkage back.
    {fit_intercept}
    {penalty_parameters}
    {stopping_parameters}
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the duality gap after each pass over X.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, in units of y per unit of X; float32 if X is.
    intercept_ : float
        Intercept, in units of y; 0.0 if ``fit_intercept=False``.
    dual_gap_ : float
        Certificate of the lasso in the blend.
    n_iter_ : int
        Steps taken by the lasso.
    converged_ : bool
        Whether the lasso reached its tolerance.
    {common_attributes}

    See Also
    --------
    RelaxedLassoCV : Chooses alpha and gamma by cross-validation.
    AdaptiveLasso : Takes shrinkage back by weights, and selects again.

    Notes
    -----
    Two definitions share the name. This one, a blend, is that of Hastie, Tibshirani and
    Tibshirani and of glmnet, whose ``gamma`` is this one. Meinshausen solves a second lasso with
    penalty phi * alpha on the active set. Both have the lasso at one end and least squares at
    the other; in between they agree while the second lasso drops no feature and changes no sign.

    With ``positive=True`` the least squares are non-negative too. Where the selected columns
    depend on each other linearly, one of the least-squares solutions is taken.

    References
    ----------
    Hastie, Tibshirani and Tibshirani, "Best subset, forward stepwise or lasso? Analysis and
    recommendations based on extensive comparisons", Statistical Science, 2020.
    Meinshausen, "Relaxed lasso", CSDA, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsereg import RelaxedLasso
    >>> X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> y = X @ [3.0, 0.1]
    >>> RelaxedLasso(alpha=0.5, gamma=0.0).fit(X, y).coef_.round(6)
    array([3., 0.])
    """

    dual_gap_: float
    n_iter_: int
    converged_: bool
    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **COMMON_CONSTRAINTS,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "gamma": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        gamma: float = 0.0,
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.gamma = gamma
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the lasso, then least squares on its active set.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Read in place: Fortran and C order, float64 and float32, and CSC are not copied.
        y : array-like of shape (n_samples,)
            Target.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights of both fits; only their ratios matter.

        Returns
        -------
        self

        Raises
        ------
        {fit_raises}

        Warns
        -----
        ConvergenceWarning
            If ``tol`` was not reached; it names the gap that was.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            backend = resolve_backend(self.backend, X)
            data = validate_fit_data(self, X, y, sample_weight, multi_output=False)
            weights = check_penalty_weights(self.penalty_weights, data.X.shape[1])
            penalty = L1(self.alpha, weights=weights, positive=self.positive)
            problem = Problem(
                data.X, data.y, penalty, Squared(), data.sample_weight, self.fit_intercept
            )
            grid = np.array([self.alpha])
            walk = relaxed_path(
                Workspace(problem, backend), penalty, grid, [self.gamma],
                tol=self.tol, max_iter=self.max_iter,
            )  # fmt: skip
            (blend,) = next(walk)
            solution = blend.solution
            if self.verbose:
                print_history(solution)
            warn_unless_converged(
                [solution.dual_gap], [solution.tolerance], [solution.stalled], self.max_iter
            )
            self.coef_ = in_dtype(solution.coef, data.dtype)
            self.intercept_ = (
                in_dtype(solution.intercept, data.dtype) if self.fit_intercept else 0.0
            )
            self.dual_gap_, self.n_iter_ = solution.dual_gap, solution.n_iter
            self.converged_ = solution.converged
            self._finish_fit(backend, X)
        return self


def relaxed_path(
    work: Workspace,
    penalty: L1,
    alphas: FloatArray,
    gammas: Sequence[float],
    *,
    tol: float,
    max_iter: int,
) -> Iterator[list[Candidate]]:
    """Yield, at each alpha, the blend of every gamma.

    The least-squares fit of an active set is computed when the set is met first.
    """
    refits: dict[bytes, FloatArray] = {}
    unpenalized = penalty.feature_weights(work.coef.size) == 0
    for alpha in alphas.tolist():
        lasso = solve(work, penalty.with_alpha(alpha), tol=tol, max_iter=max_iter, settle=True)
        kept = (lasso.coef != 0) | (unpenalized & (work.design.sqnorms > 0))
        active = np.flatnonzero(kept)
        key = active.tobytes()
        if key not in refits:
            refits[key] = _least_squares(work, active, penalty.positive, tol, max_iter)
        change = refits[key] - work.coef[active]
        fitted_change = work.backend.fitted(work.design, active, change)
        intercept_change = -float(work.design.means[active] @ change)
        yield [
            _blend(
                lasso, work.residual, 1.0 - gamma, active, change, fitted_change, intercept_change
            )
            for gamma in gammas
        ]


def _blend(
    lasso: Solution,
    residual: FloatArray,
    share: float,
    active: IndexArray,
    change: FloatArray,
    fitted_change: FloatArray,
    intercept_change: float,
) -> Candidate:
    """Go this share of the way from the lasso to least squares."""
    coef = lasso.coef.copy()
    coef[active] += share * change
    intercept = lasso.intercept + share * intercept_change
    return Candidate(
        replace(lasso, coef=coef, intercept=intercept), residual - share * fitted_change
    )


def _least_squares(
    work: Workspace, active: IndexArray, positive: bool, tol: float, max_iter: int
) -> FloatArray:
    """Return the least-squares coefficients of the active columns; the point stays where it is."""
    coef = work.coef[active].copy()
    if not active.size:
        return coef
    with single_threaded_blas():
        step = _cholesky_step(work, active) or _qr_step(work, active)
        residual = work.residual
        for _ in range(2):  # the second pass takes out what rounding left of the first
            change = step(residual)
            coef += change
            residual = residual - work.backend.fitted(work.design, active, change)
    if positive and np.any(coef < 0):
        return _non_negative_least_squares(work, active, tol, max_iter)
    return coef


def _cholesky_step(work: Workspace, active: IndexArray) -> Any:
    """Return the map from a residual to its regression on the columns; None if they depend."""
    pool = work.pool
    pool.add(pool.missing(active))
    order = np.argsort(pool.columns)
    positions = order[np.searchsorted(pool.columns, active, sorter=order)]
    scale = np.sqrt(work.design.sqnorms[active])
    correlations = pool.gram[np.ix_(positions, positions)] / np.outer(scale, scale)
    try:
        factor = cho_factor(correlations, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return None
    if np.min(np.diag(factor[0])) ** 2 < _DEPENDENT:
        return None

    def step(residual: FloatArray) -> FloatArray:
        gradient = work.backend.xtr(work.design, residual, active)
        return cho_solve(factor, gradient / scale, check_finite=False) / scale

    return step


def _qr_step(work: Workspace, active: IndexArray) -> Any:
    span = UnpenalizedSpan(work.backend, work.design, active)
    back = np.argsort(span.columns)

    def step(residual: FloatArray) -> FloatArray:
        return span.fit(residual)[back]

    return step


def _non_negative_least_squares(
    work: Workspace, active: IndexArray, tol: float, max_iter: int
) -> FloatArray:
    lasso = work.coef
    inside = np.full(lasso.size, np.inf)
    inside[active] = 1.0
    penalty = L1(0.0, weights=inside, positive=True)
    coef = solve(work, penalty, tol=tol, max_iter=max_iter).coef[active]
    work.active_set.forget()
    work.move_to(lasso)
    return coef
