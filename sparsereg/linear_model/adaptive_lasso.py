"""The adaptive lasso: a lasso whose penalty weights come from a first estimate.

With a first estimate b, offset e and the user's factors u, the weights of the second fit are

    v_j = u_j / (|b_j| + e)^gamma,

0 where u_j = 0 and infinite (the feature is excluded) where u_j is, or where b_j = e = 0.
Repeating this with the new coefficients in place of b is reweighted l1 minimization.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import RidgeCV
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import has_fit_parameter

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._base import COMMON_CONSTRAINTS, SparseLinearModel
from sparsereg.linear_model._data import (
    Data,
    check_penalty_weights,
    in_dtype,
    unchanged_on_failure,
    validate_fit_data,
)
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.linear_model.elastic_net import Lasso, print_history
from sparsereg.linear_model.elastic_net_cv import LassoCV
from sparsereg.losses import Squared
from sparsereg.penalties import L1
from sparsereg.solvers.problem import Problem, Solution
from sparsereg.solvers.working_set import solve
from sparsereg.solvers.workspace import Workspace

# What is checked of the parameters that say how weights come about.
ADAPTIVE_CONSTRAINTS: dict[str, list] = {
    "initial": [StrOptions({"lasso_cv", "lasso", "ols", "ridge"}), HasMethods(["fit"])],
    "gamma": [Interval(Real, 0, None, closed="neither")],
    "n_reweightings": [Interval(Integral, 1, None, closed="left")],
    "weight_offset": [Interval(Real, 0, None, closed="left")],
}

# Ridge strengths tried for initial="ridge", times the mean eigenvalue of the Gram matrix.
_RIDGE_GRID = np.logspace(-4, 2, 25)


@documented
class AdaptiveLasso(SparseLinearModel):
    """Lasso with penalty weights from an initial estimate.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2
            + alpha * sum_j u_j |w_j| / (|initial_j| + weight_offset)^gamma

    with sample weights s scaled to sum n and u = ``penalty_weights``. What the initial estimate
    finds large is hardly shrunk, what it finds small is hardly selected, and what it finds zero
    is excluded unless ``weight_offset`` is positive.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty. It multiplies weights in units of 1 / initial^gamma, so it does
        not compare with the alpha of a lasso.
    {adaptive_parameters}
    {fit_intercept}
    {penalty_parameters}
    cv : int, cross-validation generator or iterable, default=None
        Folds of ``initial="lasso_cv"``, as in scikit-learn; None is 5 folds without shuffling.
    {stopping_parameters}
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the duality gap after each pass over X of the weighted fits.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, in units of y per unit of X; float32 if X is.
    intercept_ : float
        Intercept, in units of y; 0.0 if ``fit_intercept=False``.
    {adaptive_attributes}
    dual_gap_ : float
        Certificate: the objective, with these weights, is at most this far above its minimum.
    n_iter_ : int
        Steps taken by all the weighted fits, at least one each.
    converged_ : bool
        Whether every weighted fit reached its tolerance.
    {common_attributes}

    See Also
    --------
    AdaptiveLassoCV : Chooses alpha by cross-validation.
    Lasso : Takes penalty weights as they are.

    References
    ----------
    Zou, "The adaptive lasso and its oracle properties", JASA, 2006.
    Candès, Wakin and Boyd, "Enhancing sparsity by reweighted l1 minimization", J. Fourier Anal.
    Appl., 2008.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import AdaptiveLasso
    >>> X, y, truth = make_regression(
    ...     n_samples=60, n_features=100, n_informative=4, noise=5, coef=True, random_state=0
    ... )
    >>> model = AdaptiveLasso(alpha=20.0).fit(X, y)
    >>> bool(((model.coef_ != 0) == (truth != 0)).all())
    True
    """

    initial_coef_: np.ndarray
    penalty_weights_: np.ndarray
    dual_gap_: float
    n_iter_: int
    converged_: bool
    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **COMMON_CONSTRAINTS,
        **ADAPTIVE_CONSTRAINTS,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "cv": ["cv_object"],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        initial: str | BaseEstimator = "lasso_cv",
        gamma: float = 1.0,
        n_reweightings: int = 1,
        weight_offset: float = 0.0,
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        cv: Any = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.initial = initial
        self.gamma = gamma
        self.n_reweightings = n_reweightings
        self.weight_offset = weight_offset
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.cv = cv
        self.tol = tol
        self.max_iter = max_iter
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the initial estimate, then the weighted lasso.

        Parameters
        ----------
        {fit_X}
        y : array-like of shape (n_samples,)
            Target.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights of all the fits; only their ratios matter.

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
            reweighting = Reweighting.of(self, data)
            problem = Problem(
                data.X, data.y, L1(), Squared(), data.sample_weight, self.fit_intercept
            )
            work = Workspace(problem, backend)
            initial = initial_estimate(self, data, work, None, self.cv)
            stages = reweighting.stages(work, self.alpha, initial)
            if self.verbose:
                for stage in stages:
                    print_history(stage.solution)
            warn_unless_converged(
                [stage.solution.dual_gap for stage in stages],
                [stage.solution.tolerance for stage in stages],
                [stage.solution.stalled for stage in stages],
                self.max_iter,
                "weighted fits" if len(stages) > 1 else "",
            )
            solution = last_of(stages)
            self.coef_ = in_dtype(solution.coef, data.dtype)
            self.intercept_ = (
                in_dtype(solution.intercept, data.dtype) if self.fit_intercept else 0.0
            )
            self.initial_coef_, self.penalty_weights_ = weights_behind(stages, initial)
            self.dual_gap_, self.n_iter_ = solution.dual_gap, solution.n_iter
            self.converged_ = all(stage.solution.converged for stage in stages)
            self._finish_fit(backend, X)
        return self


class Stage(NamedTuple):
    """One weighted fit: the weights, and its solution."""

    weights: FloatArray
    solution: Solution


@dataclass(frozen=True)
class Reweighting:
    """From coefficients to penalty weights, and back."""

    factors: FloatArray
    gamma: float
    offset: float
    n_reweightings: int
    positive: bool
    tol: float
    max_iter: int

    @classmethod
    def of(cls, model: Any, data: Data) -> Reweighting:
        """Read the parameters of an estimator."""
        n_features = data.X.shape[1]
        factors = check_penalty_weights(model.penalty_weights, n_features)
        return cls(
            np.ones(n_features) if factors is None else factors,
            model.gamma,
            model.weight_offset,
            model.n_reweightings,
            model.positive,
            model.tol,
            model.max_iter,
        )

    def weights(self, coef: FloatArray) -> FloatArray:
        """Return the penalty weights that follow from coefficients; negative ones count as zero
        where the solution must be non-negative.
        """
        size = np.maximum(coef, 0.0) if self.positive else np.abs(coef)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            weights = self.factors * (size + self.offset) ** -self.gamma
        weights[np.isinf(self.factors)] = np.inf
        weights[self.factors == 0] = 0.0
        return weights

    def stages(self, work: Workspace, alpha: float, initial: FloatArray | None) -> list[Stage]:
        """Fit at one alpha; without an initial estimate, the lasso at this alpha is the first."""
        stages: list[Stage] = []
        if initial is None:
            stages.append(self._stage(work, alpha, self.factors))
            initial = stages[0].solution.coef
        coef = initial
        for _ in range(self.n_reweightings):
            stages.append(self._stage(work, alpha, self.weights(coef)))
            coef = stages[-1].solution.coef
        return stages

    def path(
        self, work: Workspace, alphas: FloatArray, initial: FloatArray | None
    ) -> Iterator[list[Stage]]:
        """Yield the stages at each alpha."""
        for alpha in alphas.tolist():
            yield self.stages(work, alpha, initial)

    def largest_penalty(self, initial: FloatArray | None) -> L1:
        """Return the penalty whose alpha_max makes every stage of the path start at zero."""
        if initial is not None:
            return L1(weights=self.weights(initial), positive=self.positive)
        least = min(1.0, self.offset**-self.gamma) if self.offset else 1.0
        return L1(weights=least * self.factors, positive=self.positive)

    def _stage(self, work: Workspace, alpha: float, weights: FloatArray) -> Stage:
        penalty = L1(alpha, weights=weights, positive=self.positive)
        return Stage(weights, solve(work, penalty, tol=self.tol, max_iter=self.max_iter))


def last_of(stages: Sequence[Stage]) -> Solution:
    """Return the last solution, with the iterations of all; each stage counts as one at least."""
    n_iter = sum(max(1, stage.solution.n_iter) for stage in stages)
    return replace(stages[-1].solution, n_iter=n_iter)


def weights_behind(
    stages: Sequence[Stage], initial: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return the initial estimate and the weights of the last stage."""
    return stages[0].solution.coef if initial is None else initial, stages[-1].weights


def initial_estimate(
    model: Any, data: Data, work: Workspace, rows: IndexArray | None, folds: Any
) -> FloatArray | None:
    """Return the first estimate, of shape (n_features,); None if it is the lasso at each alpha.

    Parameters
    ----------
    model : estimator
        Its ``initial`` says which one.
    data : Data
    work : Workspace
        Of the rows to use: its sample weights are zero elsewhere.
    rows : ndarray of int or None
        These rows, None for all.
    folds : cross-validator or iterable of (train, test)
        Folds of "lasso_cv".
    """
    initial = model.initial
    if isinstance(initial, str) and initial == "lasso":
        return None
    names = ("fit_intercept", "positive", "penalty_weights", "tol", "max_iter", "backend")
    shared = {name: getattr(model, name) for name in names}
    if isinstance(initial, str) and initial == "lasso_cv":
        lasso = LassoCV(cv=folds, **shared).fit(data.X, data.y, work.sample_weight)
        lengths = [lasso.intercept_path_.size, *(path.shape[1] for path in lasso.fold_coef_path_)]
        if min(lengths) < lasso.n_alphas:
            raise KeyboardInterrupt  # Ctrl-C: there is no model to keep yet
        return lasso.coef_.astype(np.float64)
    if isinstance(initial, str) and initial == "ols":
        squares = Lasso(0.0, **shared).fit(data.X, data.y, work.sample_weight)
        return squares.coef_.astype(np.float64)

    X, y, weights = data
    if rows is not None:
        X, y = _safe_indexing(X, rows), y[rows]
        weights = None if weights is None else weights[rows]
    if isinstance(initial, str):
        return _ridge(model, work, X, y, weights)
    return _coef_of(clone(initial), X, y, weights)


def _ridge(
    model: Any, work: Workspace, X: Any, y: FloatArray, weights: FloatArray | None
) -> FloatArray:
    """Ridge regression on the features that are not excluded, its strength by leave-one-out."""
    n_features = X.shape[1]
    factors = check_penalty_weights(model.penalty_weights, n_features)
    kept = np.ones(n_features, dtype=bool) if factors is None else np.isfinite(factors)
    coef = np.zeros(n_features)
    variances = work.design.sqnorms[kept]
    if variances.any():
        scale = variances.sum() * X.shape[0] / min(X.shape[0], int(kept.sum()))
        ridge = RidgeCV(alphas=scale * _RIDGE_GRID, fit_intercept=model.fit_intercept)
        coef[kept] = _coef_of(ridge, X if kept.all() else X[:, kept], y, weights)
    return coef


def _coef_of(estimator: Any, X: Any, y: FloatArray, sample_weight: FloatArray | None) -> FloatArray:
    if sample_weight is None:
        estimator.fit(X, y)
    elif has_fit_parameter(estimator, "sample_weight"):
        estimator.fit(X, y, sample_weight=sample_weight)
    else:
        raise ValueError(
            f"initial={estimator!r} takes no sample_weight: fit without sample_weight, or use an "
            f"initial estimator whose fit takes it."
        )
    coef = getattr(estimator, "coef_", None)
    coef = None if coef is None else np.asarray(coef, dtype=np.float64)
    if coef is None or coef.size != X.shape[1] or not np.all(np.isfinite(coef)):
        raise ValueError(
            f"initial={estimator!r} gives no usable coefficients: after fit it must have a finite "
            f"coef_ with one entry for each of the {X.shape[1]} features."
        )
    return coef.reshape(-1).copy()
