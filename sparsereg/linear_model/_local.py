"""What the estimators of non-convex penalties share: the fit at one penalty, and its attributes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import StrOptions

from sparsereg.backends.arrays import to_host
from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._base import COMMON_CONSTRAINTS, SparseLinearModel, check_parameters
from sparsereg.linear_model._data import (
    check_penalty_weights,
    in_dtype,
    unchanged_on_failure,
    validate_fit_data,
)
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.losses import Squared
from sparsereg.penalties import L0Constraint, Penalty
from sparsereg.penalties.checks import check_separable
from sparsereg.solvers import nonconvex, sparse_constraint
from sparsereg.solvers.problem import LocalSolution, Problem, Stage
from sparsereg.solvers.workspace import Workspace

# What is checked of the parameters that all of them have.
LOCAL_CONSTRAINTS: dict[str, list] = {
    **COMMON_CONSTRAINTS,
    "strategy": [StrOptions(set(nonconvex.STRATEGIES))],
    "warm_start": ["boolean"],
}


def check_penalty(penalty: Any, n_features: int) -> Penalty:
    """Return the penalty if it is one that solvers of separable penalties understand."""
    penalty = check_separable(penalty)
    name = type(penalty).__name__
    check_parameters(name, penalty._parameter_constraints, penalty.get_params(False))
    check_penalty_weights(penalty.weights, n_features)
    penalty.check_columns(n_features)
    return penalty


class LocalModel(SparseLinearModel):
    """A linear model at a local minimum; subclasses say what the penalty is."""

    strategy: str
    fit_intercept: bool
    tol: float
    max_iter: int
    warm_start: bool
    backend: str
    verbose: int

    objective_: float
    stationarity_: float
    history_: list[Stage]
    n_iter_: int
    converged_: bool
    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = LOCAL_CONSTRAINTS

    @abstractmethod
    def _penalty(self, n_features: int) -> Penalty | L0Constraint:
        """Return the checked penalty."""

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
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
            If ``tol`` was not reached; it names the stationarity that was.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            backend = resolve_backend(self.backend, X)
            data = validate_fit_data(self, X, y, sample_weight, multi_output=False)
            penalty = self._penalty(data.X.shape[1])
            problem = Problem(
                data.X, data.y, penalty, Squared(), data.sample_weight, self.fit_intercept
            )
            work = Workspace(problem, backend)
            start = self._starting_point(data.X.shape[1])
            if start is not None:
                work.move_to(start)
            if isinstance(penalty, L0Constraint):
                solution = sparse_constraint.solve(
                    work, penalty, tol=self.tol, max_iter=self.max_iter
                )
            else:
                solution = nonconvex.solve(
                    work, penalty, strategy=self.strategy, tol=self.tol, max_iter=self.max_iter
                )
            self._keep(solution, data.dtype)
            self._finish_fit(backend, X)
        return self

    def _starting_point(self, n_features: int) -> npt.NDArray[np.float64] | None:
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        coef = np.array(to_host(self.coef_), dtype=np.float64)
        return coef if coef.shape == (n_features,) and np.all(np.isfinite(coef)) else None

    def _keep(self, solution: LocalSolution, dtype: np.dtype) -> None:
        if self.verbose:
            for line in solution.history:
                print(
                    f"{line.stage:10s} {line.n_iter:6d} steps  objective {line.objective:.9e}  "
                    f"stationarity {line.stationarity:.1e}"
                )
        warn_unless_converged(
            [solution.stationarity], [solution.tolerance], [solution.stalled], self.max_iter,
            measure="stationarity",
        )  # fmt: skip
        self.coef_ = in_dtype(solution.coef, dtype)
        self.intercept_ = in_dtype(solution.intercept, dtype) if self.fit_intercept else 0.0
        self.objective_ = solution.objective
        self.stationarity_ = solution.stationarity
        self.history_ = list(solution.history)
        self.n_iter_ = max(solution.n_iter, 1)
        self.converged_ = solution.converged
