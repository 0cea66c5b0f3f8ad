"""Least squares with a cost on the number of coefficients: l0, and its exact relaxation CEL0."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval, StrOptions

from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._data import Data, unchanged_on_failure, validate_fit_data
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._l0_common import (
    L0_CONSTRAINTS,
    L0Model,
    print_stages,
    samples_and_choices,
    subset_problem,
)
from sparsereg.model_selection.criteria import CRITERIA, information_criterion
from sparsereg.solvers.l0 import best_of_size, minimize_l0
from sparsereg.solvers.l0_path import default_max_size, full_pool
from sparsereg.solvers.l0_starts import STRATEGIES


@documented
class L0Regressor(L0Model):
    """Linear regression with few non-zero coefficients: best subset selection.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2 + alpha * sum_j v_j 1{w_j != 0}
            + l2 / 2 * ||w||^2

    with sample weights s scaled to sum n and penalty weights v; or, given ``n_nonzero``, the same
    without alpha over all w with at most so many non-zero coefficients.

    The problem is not convex: a search from several starts finds a solution that no add, drop or
    exchange of a feature improves, and a bound says how far it is from the minimum at most.

    Parameters
    ----------
    alpha : float or {"aic", "bic", "ebic"}, default=1.0
        Cost of a coefficient, in units of y squared: a feature enters the null model if it lowers
        the mean squared error by more than twice this. The name of an information criterion
        chooses the size by it, among the models of :func:`l0_path`.
    n_nonzero : int, default=None
        Largest number of non-zero coefficients, those with penalty weight 0 not counted; if
        given, ``alpha`` is not used.
    {l0_parameters}
    exact : bool, default=False
        Go on by branch and bound until the solution is proven to be a global minimum. Needs
        ``l2``, ``coef_bound`` or independent columns; feasible up to some hundred features,
        depending on alpha and noise. Where a size is asked for, or chosen by a criterion, it is
        proven at an alpha at which this size wins; a size that wins nowhere cannot be proven.
    tol : float, default=1e-8
        Relative optimality gap at which branch and bound ends.
    max_nodes : int, default=100000
        Budget of branch and bound.
    time_limit : float, default=None
        Seconds after which it ends. Ctrl-C ends it too; both keep what was found and proven.
    {fit_intercept}
    {penalty_weights}
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the stages of the search.

    Attributes
    ----------
    {l0_attributes}
    {common_attributes}

    See Also
    --------
    L0RegressorCV : Chooses the size by cross-validation.
    l0_path : The best models of all sizes.
    CEL0Regressor : The same minima at a given alpha, by a chosen strategy.
    SparseRegressor : Non-negative coefficients: ``penalties.L0Constraint(k, positive=True)`` by
        size, ``penalties.L0(alpha, positive=True)`` by alpha.

    References
    ----------
    Bertsimas, King and Mazumder, "Best subset selection via a modern optimization lens", Annals of
    Statistics, 2016; Hazimeh and Mazumder, "Fast best subset selection", Operations Research, 2020.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import L0Regressor
    >>> X, y = make_regression(n_samples=50, n_features=200, n_informative=3, random_state=0)
    >>> L0Regressor(n_nonzero=3).fit(X, y).score(X, y) > 0.999
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **L0_CONSTRAINTS,
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions(set(CRITERIA))],
        "n_nonzero": [Interval(Integral, 0, None, closed="left"), None],
        "strategy": [StrOptions(set(STRATEGIES))],
        "exact": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_nodes": [Interval(Integral, 1, None, closed="left")],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        alpha: float | str = 1.0,
        *,
        n_nonzero: int | None = None,
        l2: float = 0.0,
        coef_bound: float | None = None,
        strategy: str = "portfolio",
        n_swaps: int | str = "auto",
        exact: bool = False,
        tol: float = 1e-8,
        max_nodes: int = 100_000,
        time_limit: float | None = None,
        fit_intercept: bool = True,
        penalty_weights: npt.ArrayLike | None = None,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.n_nonzero = n_nonzero
        self.l2 = l2
        self.coef_bound = coef_bound
        self.strategy = strategy
        self.n_swaps = n_swaps
        self.exact = exact
        self.tol = tol
        self.max_nodes = max_nodes
        self.time_limit = time_limit
        self.fit_intercept = fit_intercept
        self.penalty_weights = penalty_weights
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> L0Regressor:
        """Fit the model.

        Parameters
        ----------
        {fit_X}
        y : array-like of shape (n_samples,)
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
            If branch and bound ended before the gap was closed; it names the gap.
        PathInterruptedWarning
            If Ctrl-C ended it.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            backend = resolve_backend(self.backend, X)
            data = validate_fit_data(self, X, y, sample_weight, multi_output=False)
            if self._by_size:
                self._fit_size(data, backend)
            else:
                self._fit_alpha(data, backend)
            self._finish_fit(backend, X)
        if self.verbose:
            print_stages(self.history_)
        return self

    @property
    def _by_size(self) -> bool:
        return self.n_nonzero is not None or isinstance(self.alpha, str)

    @property
    def _exactness(self) -> dict[str, Any]:
        limit = np.inf if self.time_limit is None else self.time_limit
        return {
            "exact": self.exact, "tol": self.tol, "max_nodes": self.max_nodes, "time_limit": limit
        }  # fmt: skip

    def _fit_alpha(self, data: Data, backend: Any) -> None:
        problem = self._problem(data, backend)
        alpha = float(self.alpha)
        solution = minimize_l0(
            problem, alpha, strategy=self.strategy, max_moves=self._max_moves,
            coef_bound=self._bound, **self._exactness,
        )  # fmt: skip
        self._keep(data, problem, solution, alpha)

    def _fit_size(self, data: Data, backend: Any) -> None:
        problem = subset_problem(
            data, backend, self.penalty_weights, self.fit_intercept, self.l2, equal_costs=True
        )
        size = self._chosen_size(problem) if self.n_nonzero is None else int(self.n_nonzero)
        solution, price = best_of_size(
            problem, size, strategy=self.strategy, max_moves=self._max_moves,
            coef_bound=self._bound, **self._exactness,
        )  # fmt: skip
        self._keep(data, problem, solution, price, size)

    def _chosen_size(self, problem: Any) -> int:
        pool = full_pool(
            problem, default_max_size(problem), strategy=self.strategy, max_moves=self._max_moves
        )
        _, mse = problem.fits([pool[k].support for k in pool.sizes])
        n_samples, n_choices = samples_and_choices(problem)
        values = information_criterion(
            mse, pool.sizes, n_samples=n_samples, n_features=n_choices, criterion=str(self.alpha)
        )
        return pool.sizes[int(np.argmin(values))]


@documented
class CEL0Regressor(L0Model):
    """Linear regression with the CEL0 penalty, the exact continuous relaxation of l0.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2 + sum_j phi_j(w_j) + l2 / 2 * ||w||^2

        phi_j(w) = alpha v_j - (a_j |w| - sqrt(2 alpha v_j))^2 / 2  for a_j |w| < sqrt(2 alpha v_j),
        phi_j(w) = alpha v_j                                        beyond,

    with sample weights s scaled to sum n, penalty weights v and a_j^2 = ||x_j||_s^2 / n + l2, X
    centered if there is an intercept. Its global minima are those of the l0 problem
    ``... + alpha * sum_j v_j 1{w_j != 0}``. A solution whose ``stationarity_`` is zero is critical
    for both, at the same objective, and that is what the moves of the search end at.

    Parameters
    ----------
    alpha : float, default=1.0
        Cost of a coefficient, in units of y squared.
    {l0_parameters}
    {fit_intercept}
    {penalty_weights}
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the stages of the search.

    Attributes
    ----------
    {l0_attributes}
    {common_attributes}

    See Also
    --------
    L0Regressor : The same problem by size, or solved exactly.
    SparseRegressor : Non-negative coefficients: ``penalties.L0(alpha, positive=True)``.

    References
    ----------
    Soubies, Blanc-Feraud and Aubert, "A continuous exact l0 penalty (CEL0) for least squares
    regularized problem", SIAM J. Imaging Sciences, 2015.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import CEL0Regressor
    >>> X, y = make_regression(n_samples=50, n_features=200, n_informative=3, random_state=0)
    >>> CEL0Regressor(alpha=1.0).fit(X, y).support_.size
    3
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **L0_CONSTRAINTS,
        "alpha": [Interval(Real, 0, None, closed="left")],
        "strategy": [StrOptions(set(STRATEGIES))],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l2: float = 0.0,
        coef_bound: float | None = None,
        strategy: str = "portfolio",
        n_swaps: int | str = "auto",
        fit_intercept: bool = True,
        penalty_weights: npt.ArrayLike | None = None,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.l2 = l2
        self.coef_bound = coef_bound
        self.strategy = strategy
        self.n_swaps = n_swaps
        self.fit_intercept = fit_intercept
        self.penalty_weights = penalty_weights
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> CEL0Regressor:
        """Fit the model.

        Parameters
        ----------
        {fit_X}
        y : array-like of shape (n_samples,)
            Target.
        {fit_sample_weight}

        Returns
        -------
        self

        Raises
        ------
        {fit_raises}
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            backend = resolve_backend(self.backend, X)
            data = validate_fit_data(self, X, y, sample_weight, multi_output=False)
            problem = self._problem(data, backend)
            solution = minimize_l0(
                problem, float(self.alpha), strategy=self.strategy, max_moves=self._max_moves,
                coef_bound=self._bound,
            )  # fmt: skip
            self._keep(data, problem, solution, float(self.alpha))
            self._finish_fit(backend, X)
        if self.verbose:
            print_stages(self.history_)
        return self
