"""What the l0 estimators share: the problem of validated data, and the fitted attributes."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sparsereg._caller import warn_caller
from sparsereg.backends.protocol import Backend
from sparsereg.exceptions import ConvergenceWarning, PathInterruptedWarning
from sparsereg.linear_model._base import COMMON_CONSTRAINTS, SparseLinearModel
from sparsereg.linear_model._data import Data, check_penalty_weights, in_dtype
from sparsereg.losses import Squared
from sparsereg.penalties import L1
from sparsereg.solvers.l0 import L0Solution, Stage
from sparsereg.solvers.l0_certificate import ConditionalBound
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.subset import SubsetProblem
from sparsereg.solvers.workspace import Workspace

# What is checked of the parameters that all l0 estimators and the path share.
L0_CONSTRAINTS: dict[str, list] = {
    **{
        name: COMMON_CONSTRAINTS[name]
        for name in ("fit_intercept", "penalty_weights", "backend", "random_state", "verbose")
    },
    "l2": [Interval(Real, 0, None, closed="left")],
    "coef_bound": [Interval(Real, 0, None, closed="neither"), None],
    "n_swaps": [Interval(Integral, 0, None, closed="left"), str],
}

# "auto": so many moves for each start, which ends by itself long before.
_MANY_MOVES = 10_000


class L0Model(SparseLinearModel):
    """A linear model with an l0 cost, its objective, and what is proven about it."""

    fit_intercept: bool
    penalty_weights: npt.ArrayLike | None
    l2: float
    coef_bound: float | None
    n_swaps: int | str

    n_nonzero_: int
    objective_: float
    lower_bound_: float | None
    optimality_gap_: float | None
    stationarity_: float
    history_: list[Stage]
    n_iter_: int
    converged_: bool
    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = L0_CONSTRAINTS

    def conditional_lower_bound(self, coef_bound: float) -> float:
        """Return a lower bound of the objective over all w with ``|w_j| <= coef_bound``.

        Parameters
        ----------
        coef_bound : float
            Positive, in the units of the coefficients.

        Returns
        -------
        float
            No w within the bound, of whatever support, has a lower objective. It comes from
            dual points that ``fit`` kept, so it needs no data, and falls as the bound grows.

        Raises
        ------
        ValueError
            If the bound is not a positive number.
        """
        check_is_fitted(self)
        if not (isinstance(coef_bound, Real) and coef_bound > 0):
            raise ValueError(
                f"coef_bound={coef_bound!r} is not positive. Give the largest size that a "
                f"coefficient may have."
            )
        return self._conditional_bound.at(float(coef_bound))

    @property
    def _max_moves(self) -> int:
        if self.n_swaps == "auto":
            return _MANY_MOVES
        if isinstance(self.n_swaps, str):
            raise ValueError(f"n_swaps={self.n_swaps!r} must be 'auto' or a number of moves.")
        return int(self.n_swaps)

    @property
    def _bound(self) -> float:
        return np.inf if self.coef_bound is None else float(self.coef_bound)

    def _problem(self, data: Data, backend: Backend) -> SubsetProblem:
        return subset_problem(data, backend, self.penalty_weights, self.fit_intercept, self.l2)

    def _keep(
        self,
        data: Data,
        problem: SubsetProblem,
        solution: L0Solution,
        alpha: float,
        size: int | None = None,
    ) -> None:
        """Set the fitted attributes; with a size, alpha is not in the objective."""
        work, coef = problem.work, solution.coef
        work.set_coef(coef)
        self.coef_ = in_dtype(coef, data.dtype)
        self.intercept_ = in_dtype(work.intercept, data.dtype) if self.fit_intercept else 0.0
        self.n_nonzero_ = int(np.count_nonzero(problem.costs[coef != 0]))
        self.objective_ = solution.objective
        self.lower_bound_ = solution.lower_bound
        self.optimality_gap_ = relative_gap(solution.objective, solution.lower_bound)
        self.stationarity_ = solution.stationarity
        self.history_ = list(solution.history)
        self.n_iter_ = max(solution.n_moves + solution.n_nodes, 1)
        self.converged_ = not solution.stopped
        self._conditional_bound = ConditionalBound.of(
            problem, alpha, size, coef, solution.point, self._bound
        )
        self._warn_if_stopped(solution)

    def _warn_if_stopped(self, solution: L0Solution) -> None:
        if not solution.stopped:
            return
        gap = relative_gap(solution.objective, solution.lower_bound)
        proven = f"The best solution so far is proven to be within {gap:.2e} of the minimum"
        if solution.stopped == "interrupted":
            warn_caller(f"Interrupted. {proven}.", PathInterruptedWarning)
            return
        if solution.stopped == "size":
            warn_caller(
                f"Branch and bound at one alpha cannot prove this size, which wins at none. "
                f"{proven}; sizes with alpha_low < alpha_high in l0_path can be proven.",
                ConvergenceWarning,
            )
            return
        what = {"nodes": "max_nodes", "time": "time_limit", "precision": "tol"}[solution.stopped]
        warn_caller(
            f"Branch and bound did not close the gap. {proven}, relatively; raise {what}, "
            f"alpha or l2, or lower coef_bound.",
            ConvergenceWarning,
        )


def subset_problem(
    data: Data,
    backend: Backend,
    penalty_weights: Any,
    fit_intercept: bool,
    l2: float,
    *,
    equal_costs: bool = False,
) -> SubsetProblem:
    """Return the l0 problem of validated data."""
    costs = check_penalty_weights(penalty_weights, data.X.shape[1])
    if equal_costs and costs is not None:
        priced = costs[(costs > 0) & np.isfinite(costs)]
        if np.any(priced != priced[:1]):
            raise ValueError(
                "penalty_weights differ among features that cost something, but a size counts "
                "them alike. Use 0, inf and one other value, or give alpha."
            )
        costs = np.where((costs > 0) & np.isfinite(costs), 1.0, costs)
    problem = Problem(data.X, data.y, L1(1.0), Squared(), data.sample_weight, fit_intercept)
    return SubsetProblem(Workspace(problem, backend), costs, l2)


def relative_gap(objective: float, lower_bound: float | None) -> float | None:
    """Return (objective - lower_bound) / objective, None where nothing is proven."""
    if lower_bound is None:
        return None
    return (objective - lower_bound) / objective if objective > 0 else 0.0


def print_stages(history: list[Stage]) -> None:
    """Print a line per stage of the search."""
    for stage in history:
        print(f"{stage.stage:40s} objective {stage.objective:.6e}")


def samples_and_choices(problem: SubsetProblem) -> tuple[int, int]:
    """Return the numbers that information criteria count: rows with weight, priced columns."""
    return problem.n_rows, int(np.count_nonzero(problem.usable & (problem.costs > 0)))
