"""Lasso and elastic net at one alpha."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.backends.arrays import to_host
from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._base import (
    COMMON_CONSTRAINTS,
    L1_RATIO_CONSTRAINT,
    SparseLinearModel,
    elastic_net_penalty,
)
from sparsereg.linear_model._data import (
    Data,
    check_penalty_weights,
    in_dtype,
    noticing_unfinite,
    unchanged_on_failure,
    validate_fit_data,
)
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.losses import Squared
from sparsereg.solvers.problem import Problem, Solution, Step
from sparsereg.solvers.working_set import solve
from sparsereg.solvers.workspace import Workspace


@documented
class ElasticNet(SparseLinearModel):
    """Linear regression with an elastic-net penalty.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2
            + alpha * sum_j v_j (l1_ratio |w_j| + (1 - l1_ratio) / 2 w_j^2)

    with sample weights s scaled to sum n and penalty weights v: scikit-learn's objective, with
    weights on the penalty. A column of y is fitted on its own.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty; 0 is ordinary least squares.
    l1_ratio : float in [0, 1], default=0.5
        Share of the l1 part: 1 is the lasso, 0 is ridge regression.
    {fit_intercept}
    {penalty_parameters}
    {stopping_parameters}
    warm_start : bool, default=False
        Start from ``coef_`` of the previous fit, if it has the right shape.
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the duality gap after each pass over X.

    Attributes
    ----------
    {solution_attributes}
    {common_attributes}

    See Also
    --------
    ElasticNetCV : Chooses alpha and l1_ratio by cross-validation.
    enet_path : All the solutions along a path of alphas.

    References
    ----------
    Zou and Hastie, "Regularization and variable selection via the elastic net", JRSS B, 2005.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import ElasticNet
    >>> X, y = make_regression(n_samples=50, n_features=200, n_informative=3, random_state=0)
    >>> model = ElasticNet(alpha=1.0).fit(X, y)
    >>> model.converged_
    True
    """

    dual_gap_: float | np.ndarray
    n_iter_: int | list[int]
    history_: list[Step] | list[list[Step]]
    converged_: bool
    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **COMMON_CONSTRAINTS,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": L1_RATIO_CONSTRAINT,
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        warm_start: bool = False,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> ElasticNet:
        """Fit the model.

        Parameters
        ----------
        {fit_X}
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Target.
        {fit_sample_weight}

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
            data = self._validate(X, y, sample_weight)
            self._keep(data, self._solve(data, backend))
            self._finish_fit(backend, X)
        return self

    def _validate(self, X: Any, y: Any, sample_weight: Any) -> Data:
        return validate_fit_data(self, X, y, sample_weight, multi_output=True, finite_later=True)

    def _solve(self, data: Data, backend: Any) -> list[Solution]:
        n_features = data.X.shape[1]
        weights = check_penalty_weights(self.penalty_weights, n_features)
        penalty = elastic_net_penalty(self.alpha, self.l1_ratio, weights, self.positive)
        targets = data.y[:, None] if data.y.ndim == 1 else data.y
        starts = self._starting_points(targets.shape[1], n_features)
        solutions: list[Solution] = []
        cache = None
        for k in range(targets.shape[1]):
            y = np.ascontiguousarray(targets[:, k])
            problem = Problem(data.X, y, penalty, Squared(), data.sample_weight, self.fit_intercept)
            with noticing_unfinite(data.X, self):
                work = Workspace(problem, backend, cache)
            cache = work.cache
            if starts is not None:
                work.move_to(starts[k])
            alone = targets.shape[1] == 1
            solutions.append(
                solve(work, penalty, tol=self.tol, max_iter=self.max_iter, alone=alone)
            )
            if self.verbose:
                print_history(solutions[-1])
        warn_unless_converged(
            [s.dual_gap for s in solutions],
            [s.tolerance for s in solutions],
            [s.stalled for s in solutions],
            self.max_iter,
            "targets" if len(solutions) > 1 else "",
        )
        return solutions

    def _starting_points(self, n_targets: int, n_features: int) -> np.ndarray | None:
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        coef = np.atleast_2d(np.asarray(to_host(self.coef_), dtype=np.float64))
        if coef.shape != (n_targets, n_features) or not np.all(np.isfinite(coef)):
            return None
        return coef.copy()

    def _keep(self, data: Data, solutions: Sequence[Solution]) -> None:
        coef = in_dtype(np.stack([solution.coef for solution in solutions]), data.dtype)
        self.converged_ = all(solution.converged for solution in solutions)
        if data.y.ndim == 1:
            (solution,) = solutions
            self.coef_ = coef[0]
            self.intercept_ = (
                in_dtype(solution.intercept, data.dtype) if self.fit_intercept else 0.0
            )
            self.dual_gap_ = solution.dual_gap
            self.n_iter_ = solution.n_iter
            self.history_ = list(solution.history)
            return
        self.coef_ = coef
        self.intercept_ = in_dtype([s.intercept for s in solutions], data.dtype)
        self.dual_gap_ = np.array([s.dual_gap for s in solutions])
        self.n_iter_ = [s.n_iter for s in solutions]
        self.history_ = [list(s.history) for s in solutions]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@documented
class Lasso(ElasticNet):
    """Linear regression with an l1 penalty.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2 + alpha * sum_j v_j |w_j|

    with sample weights s scaled to sum n and penalty weights v: scikit-learn's objective, with
    weights on the penalty. A column of y is fitted on its own.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty; 0 is ordinary least squares.
    {fit_intercept}
    {penalty_parameters}
    {stopping_parameters}
    warm_start : bool, default=False
        Start from ``coef_`` of the previous fit, if it has the right shape.
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the duality gap after each pass over X.

    Attributes
    ----------
    {solution_attributes}
    {common_attributes}

    See Also
    --------
    LassoCV : Chooses alpha by cross-validation.
    lasso_path : All the solutions along a path of alphas.

    References
    ----------
    Tibshirani, "Regression shrinkage and selection via the lasso", JRSS B, 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsereg import Lasso
    >>> Lasso(alpha=0.1).fit([[0, 0], [1, 1], [2, 2]], [0, 1, 2]).coef_.sum().round(4)
    np.float64(0.85)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: rule for name, rule in ElasticNet._parameter_constraints.items() if name != "l1_ratio"
    }
    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        warm_start: bool = False,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose


def print_history(solution: Solution) -> None:
    """Print a line per pass over X."""
    for step in solution.history:
        print(
            f"iteration {step.n_iter:6d}  working set {step.working_set_size:6d}  "
            f"duality gap {step.dual_gap:.3e} (goal {solution.tolerance:.3e})"
        )
