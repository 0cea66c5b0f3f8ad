"""Least squares under any separable penalty, at one strength."""

from __future__ import annotations

from typing import Any, ClassVar

from sklearn.utils._param_validation import StrOptions

from sparsereg.linear_model._base import check_parameters
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._local import LOCAL_CONSTRAINTS, LocalModel, check_penalty
from sparsereg.penalties import MCP, L0Constraint, Penalty


@documented
class SparseRegressor(LocalModel):
    """Linear regression with any penalty of :mod:`sparsereg.penalties`.

    Minimizes, over the coefficients w and the intercept b::

        (1 / (2 n)) sum_i s_i (y_i - x_i' w - b)^2 + penalty(w)

    with sample weights s scaled to sum n. With a penalty that is not convex there are many local
    minima; what is returned is one that no change of a single coefficient improves, the best that
    the strategy finds.

    Parameters
    ----------
    penalty : Penalty or L0Constraint, default=None
        A penalty object, such as ``MCP(alpha=0.1)`` or ``Lq(alpha=0.1, q=0.5)``, with its feature
        weights and its restriction to non-negative coefficients, if any. None is
        ``MCP(alpha=0.1)``. ``L0Constraint(k)`` allows k nonzero coefficients: the search of
        ``L0Regressor(n_nonzero=k)``, or a greedy one if they are non-negative, whatever the
        strategy.
    loss : {"squared"}, default="squared"
        The loss.
    {strategy}
    {fit_intercept}
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
    SparseRegressorCV : Chooses alpha by cross-validation or an information criterion.
    sparse_path : Local minima along a path of alphas.
    MCPRegressor, SCADRegressor, LqRegressor : The same with the penalty's parameters as their own.

    References
    ----------
    Breheny and Huang, "Coordinate descent algorithms for nonconvex penalized regression, with
    applications to biological feature selection", Annals of Applied Statistics, 2011.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import SparseRegressor, penalties
    >>> X, y = make_regression(n_samples=50, n_features=200, n_informative=3, random_state=0)
    >>> model = SparseRegressor(penalties.Lq(alpha=10.0, q=0.5)).fit(X, y)
    >>> len(model.support_), model.converged_
    (3, True)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LOCAL_CONSTRAINTS,
        "loss": [StrOptions({"squared"})],
    }

    def __init__(
        self,
        penalty: Penalty | L0Constraint | None = None,
        *,
        loss: str = "squared",
        strategy: str = "portfolio",
        fit_intercept: bool = True,
        tol: float = 1e-6,
        max_iter: int = 1000,
        warm_start: bool = False,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.penalty = penalty
        self.loss = loss
        self.strategy = strategy
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _penalty(self, n_features: int) -> Penalty | L0Constraint:
        if isinstance(self.penalty, L0Constraint):
            check_parameters(
                "L0Constraint", self.penalty._parameter_constraints, self.penalty.get_params()
            )
            return self.penalty
        return check_penalty(MCP(alpha=0.1) if self.penalty is None else self.penalty, n_features)
