"""Least squares with MCP, SCAD or lq: the penalty's parameters are the estimator's own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from sparsereg.linear_model._data import check_penalty_weights
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._local import LOCAL_CONSTRAINTS, LocalModel
from sparsereg.penalties import MCP, SCAD, Lq, Penalty


def _constraints(family: type[Penalty], shape: str) -> dict[str, list]:
    own = {name: family._parameter_constraints[name] for name in ("alpha", shape)}
    return {**LOCAL_CONSTRAINTS, **own}


class _OwnPenalty(LocalModel):
    """A model whose parameters are those of its penalty."""

    penalty_weights: npt.ArrayLike | None
    positive: bool

    def _shared_parameters(self, n_features: int) -> dict[str, Any]:
        weights = check_penalty_weights(self.penalty_weights, n_features)
        return {"weights": weights, "positive": self.positive}


@documented
class MCPRegressor(_OwnPenalty):
    """Linear regression with the minimax concave penalty.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2 + sum_j v_j mcp(w_j; alpha, gamma)

    with sample weights s scaled to sum n and penalty weights v; the penalty is
    :class:`sparsereg.penalties.MCP`. Among local minima, the best that the strategy finds.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength: the slope of the penalty at zero, as that of the lasso.
    gamma : float > 0, default=3.0
        The penalty is constant from ``gamma * alpha`` on; infinite is the lasso.
    {strategy}
    {fit_intercept}
    {penalty_parameters}
    {local_stopping_parameters}
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the objective after each stage.

    Attributes
    ----------
    {local_attributes}
    {common_attributes}

    See Also
    --------
    SparseRegressor : The same with any penalty.
    SparseRegressorCV : Chooses alpha by cross-validation or an information criterion.

    References
    ----------
    Zhang, "Nearly unbiased variable selection under minimax concave penalty", Annals of
    Statistics, 2010.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import MCPRegressor
    >>> X, y = make_regression(n_samples=50, n_features=200, n_informative=3, random_state=0)
    >>> MCPRegressor(alpha=5.0).fit(X, y).support_.size
    3
    """

    _parameter_constraints: ClassVar[dict[str, list]] = _constraints(MCP, "gamma")

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        gamma: float = 3.0,
        strategy: str = "portfolio",
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.gamma = gamma
        self.strategy = strategy
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _penalty(self, n_features: int) -> Penalty:
        return MCP(self.alpha, self.gamma, **self._shared_parameters(n_features))


@documented
class SCADRegressor(_OwnPenalty):
    """Linear regression with the smoothly clipped absolute deviation.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2 + sum_j v_j scad(w_j; alpha, gamma)

    with sample weights s scaled to sum n and penalty weights v; the penalty is
    :class:`sparsereg.penalties.SCAD`. Among local minima, the best that the strategy finds.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength: the slope of the penalty at zero, as that of the lasso.
    gamma : float > 1, default=3.7
        The penalty is constant from ``gamma * alpha`` on.
    {strategy}
    {fit_intercept}
    {penalty_parameters}
    {local_stopping_parameters}
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the objective after each stage.

    Attributes
    ----------
    {local_attributes}
    {common_attributes}

    See Also
    --------
    SparseRegressor : The same with any penalty.
    SparseRegressorCV : Chooses alpha by cross-validation or an information criterion.

    References
    ----------
    Fan and Li, "Variable selection via nonconcave penalized likelihood and its oracle
    properties", JASA, 2001.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import SCADRegressor
    >>> X, y = make_regression(n_samples=50, n_features=200, n_informative=3, random_state=0)
    >>> SCADRegressor(alpha=5.0).fit(X, y).support_.size
    3
    """

    _parameter_constraints: ClassVar[dict[str, list]] = _constraints(SCAD, "gamma")

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        gamma: float = 3.7,
        strategy: str = "portfolio",
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.gamma = gamma
        self.strategy = strategy
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _penalty(self, n_features: int) -> Penalty:
        return SCAD(self.alpha, self.gamma, **self._shared_parameters(n_features))


@documented
class LqRegressor(_OwnPenalty):
    """Linear regression with the lq penalty.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2 + alpha * sum_j v_j |w_j|^q

    with sample weights s scaled to sum n and penalty weights v; the penalty is
    :class:`sparsereg.penalties.Lq`. Among local minima, the best that the strategy finds.

    Parameters
    ----------
    alpha : float, default=1.0
        Strength of the penalty.
    q : float in [0, 1], default=0.5
        The power: 0 counts the coefficients, 1 is the lasso.
    {strategy}
    {fit_intercept}
    {penalty_parameters}
    {local_stopping_parameters}
    {backend}
    {random_state}
    verbose : int, default=0
        1 prints the objective after each stage.

    Attributes
    ----------
    {local_attributes}
    {common_attributes}

    See Also
    --------
    SparseRegressor : The same with any penalty.
    SparseRegressorCV : Chooses alpha by cross-validation or an information criterion.

    References
    ----------
    Frank and Friedman, "A statistical view of some chemometrics regression tools",
    Technometrics, 1993.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import LqRegressor
    >>> X, y = make_regression(n_samples=50, n_features=200, n_informative=3, random_state=0)
    >>> LqRegressor(alpha=10.0).fit(X, y).support_.size
    3
    """

    _parameter_constraints: ClassVar[dict[str, list]] = _constraints(Lq, "q")

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        q: float = 0.5,
        strategy: str = "portfolio",
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.q = q
        self.strategy = strategy
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _penalty(self, n_features: int) -> Penalty:
        return Lq(self.alpha, self.q, **self._shared_parameters(n_features))
