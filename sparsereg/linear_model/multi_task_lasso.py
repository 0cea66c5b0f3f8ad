"""Several targets that share their features, at one alpha."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sparsereg.linear_model._data import (
    Data,
    check_penalty_weights,
    in_dtype,
    validate_multi_task_data,
)
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.linear_model.elastic_net import ElasticNet, print_history
from sparsereg.losses import Squared
from sparsereg.penalties import L21
from sparsereg.solvers.driver import make_workspace, solve
from sparsereg.solvers.problem import Problem, Solution


@documented
class MultiTaskElasticNet(ElasticNet):
    """Linear regression of several targets with a penalty that selects features for all of them.

    Minimizes, over the coefficients W and the intercepts b::

        (1 / (2 n)) sum_i s_i ||y_i - W x_i - b||^2
            + alpha * sum_j v_j (l1_ratio ||w_j|| + (1 - l1_ratio) / 2 ||w_j||^2)

    with w_j the coefficients of feature j for all tasks, ||.|| the Euclidean norm, sample weights
    s scaled to sum n and penalty weights v: scikit-learn's objective, with weights on both.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty; 0 is ordinary least squares.
    l1_ratio : float in [0, 1], default=0.5
        Share of the norms: 1 is the multi-task lasso, 0 is ridge regression.
    {fit_intercept}
    {penalty_weights}
    {stopping_parameters}
    warm_start : bool, default=False
        Start from ``coef_`` of the previous fit, if it has the right shape.
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the duality gap after each pass over X.

    Attributes
    ----------
    {multi_task_solution_attributes}
    {common_attributes}

    See Also
    --------
    MultiTaskElasticNetCV : Chooses alpha and l1_ratio by cross-validation.
    ElasticNet : Fits each target on its own.

    References
    ----------
    Obozinski, Taskar and Jordan, "Joint covariate selection and joint subspace selection for
    multiple classification problems", Statistics and Computing, 2010.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import MultiTaskElasticNet
    >>> X, Y = make_regression(
    ...     n_samples=50, n_features=200, n_informative=3, n_targets=4, random_state=0
    ... )
    >>> model = MultiTaskElasticNet(alpha=1.0).fit(X, Y)
    >>> model.coef_.shape
    (4, 200)
    """

    positive = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: rule for name, rule in ElasticNet._parameter_constraints.items() if name != "positive"
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
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
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MultiTaskElasticNet:
        """Fit the model.

        Parameters
        ----------
        {fit_X}
        y : array-like of shape (n_samples, n_tasks)
            Target, a column per task.
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
        super().fit(X, y, sample_weight)
        return self

    def _validate(self, X: Any, y: Any, sample_weight: Any) -> Data:
        return validate_multi_task_data(self, X, y, sample_weight)

    def _solve(self, data: Data, backend: Any) -> list[Solution]:
        n_tasks, n_features = data.y.shape[1], data.X.shape[1]
        weights = check_penalty_weights(self.penalty_weights, n_features)
        penalty = L21(self.alpha, l1_ratio=self.l1_ratio, weights=weights)
        work = make_workspace(
            Problem(data.X, data.y, penalty, Squared(), data.sample_weight, self.fit_intercept),
            backend,
        )
        start = self._starting_points(n_tasks, n_features)
        if start is not None:
            work.move_to(start)
        solution = solve(work, penalty, tol=self.tol, max_iter=self.max_iter)
        if self.verbose:
            print_history(solution)
        warn_unless_converged(
            [solution.dual_gap], [solution.tolerance], [solution.stalled], self.max_iter
        )
        return [solution]

    def _keep(self, data: Data, solutions: Sequence[Solution]) -> None:
        (solution,) = solutions
        self.coef_ = in_dtype(solution.coef, data.dtype)
        self.intercept_ = in_dtype(np.asarray(solution.intercept), data.dtype)
        self.dual_gap_ = solution.dual_gap
        self.n_iter_ = solution.n_iter
        self.history_ = list(solution.history)
        self.converged_ = solution.converged

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = False
        return tags


@documented
class MultiTaskLasso(MultiTaskElasticNet):
    """Linear regression of several targets with a norm per feature as penalty.

    Minimizes, over the coefficients W and the intercepts b::

        (1 / (2 n)) sum_i s_i ||y_i - W x_i - b||^2 + alpha * sum_j v_j ||w_j||

    with w_j the coefficients of feature j for all tasks, ||.|| the Euclidean norm, sample weights
    s scaled to sum n and penalty weights v: scikit-learn's objective, with weights on both. A
    feature is selected for all tasks or for none.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty; 0 is ordinary least squares.
    {fit_intercept}
    {penalty_weights}
    {stopping_parameters}
    warm_start : bool, default=False
        Start from ``coef_`` of the previous fit, if it has the right shape.
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the duality gap after each pass over X.

    Attributes
    ----------
    {multi_task_solution_attributes}
    {common_attributes}

    See Also
    --------
    MultiTaskLassoCV : Chooses alpha by cross-validation.
    Lasso : Fits each target on its own.

    References
    ----------
    Obozinski, Taskar and Jordan, "Joint covariate selection and joint subspace selection for
    multiple classification problems", Statistics and Computing, 2010.

    Examples
    --------
    >>> from sparsereg import MultiTaskLasso
    >>> MultiTaskLasso(alpha=0.1).fit([[0, 0], [1, 1], [2, 2]], [[0, 0], [1, 1], [2, 3]]).predict(
    ...     [[1, 1]]
    ... ).round(2)
    array([[1.  , 1.33]])
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: rule
        for name, rule in MultiTaskElasticNet._parameter_constraints.items()
        if name != "l1_ratio"
    }
    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
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
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose
