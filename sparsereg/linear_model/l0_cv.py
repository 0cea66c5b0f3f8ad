"""Best subset selection with the size chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import Interval

from sparsereg.backends.protocol import IndexArray
from sparsereg.linear_model._base import SparseLinearModel
from sparsereg.linear_model._data import Data
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._l0_common import L0_CONSTRAINTS, subset_problem
from sparsereg.linear_model._path_cv import PathCV, Splits
from sparsereg.linear_model.l0 import L0Regressor
from sparsereg.linear_model.l0_path import fill_pool, path_of_pool
from sparsereg.losses import Squared
from sparsereg.model_selection.path_cv import Candidate, Walk
from sparsereg.model_selection.selection import Selection, select_alpha
from sparsereg.penalties import L1
from sparsereg.solvers.l0 import stationarity
from sparsereg.solvers.l0_certificate import dual_point
from sparsereg.solvers.l0_path import default_max_size, full_pool
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.subset import SubsetProblem
from sparsereg.solvers.workspace import Workspace


@documented
class L0RegressorCV(PathCV):
    """Best subset selection with the number of features chosen by cross-validation.

    Every fold searches the best models of all sizes, as :func:`l0_path` does; the size with the
    best score is then taken from the path on all data.

    Parameters
    ----------
    max_size : int, default=None
        Largest number of non-zero coefficients; None is what the rows allow, at most 50.
    l2 : float, default=0.0
        Strength of a ridge part, ``l2 / 2 ||w||^2``.
    {fit_intercept}
    penalty_weights : array-like of shape (n_features,), default=None
        0 has a feature always in and not counted, ``inf`` excludes it; all others are equal.
    cv : int, cross-validation generator or iterable, default=None
        As in scikit-learn; None is 5 folds without shuffling. Folds are zero weights on the same
        X: no fold copies it.
    scoring : str or callable, default=None
        A scikit-learn scorer, greater is better; None is the negative mean squared error.
    selection : {"min", "1se"} or callable, default="min"
        "min" takes the size with the best mean score, "1se" the smallest size within one standard
        error of it, and a callable gets ``(sizes, scores)``, of shapes (n_sizes,) and
        (n_sizes, n_folds), and returns an index.
    n_jobs : int, default=None
        Number of threads over the folds; None is 1 and -1 is all processors.
    {backend}
    {random_state}
    {verbose_cv}

    Attributes
    ----------
    n_nonzero_ : int
        The chosen size.
    sizes_ : ndarray of shape (n_sizes,)
        The sizes tried, increasing.
    mse_path_ : ndarray of shape (n_sizes, n_folds)
        Mean squared error on each held-out fold.
    scores_ : ndarray of shape (n_sizes, n_folds)
        What ``scoring`` said, greater is better; ``-mse_path_`` without it.
    path_ : L0Path
        The models of all sizes on all data.
    coef_ : ndarray of shape (n_features,)
        Coefficients of the chosen model on all data; float32 if X is.
    intercept_ : float
        Its intercept.
    support_ : ndarray of int
        Its features.
    objective_ : float
        Half its mean squared error, and the ridge part.
    stationarity_ : float
        Certificate of its refit: the best change of a single non-zero coefficient lowers the
        objective by ``stationarity_^2 / 2`` times the mean square of y.
    n_iter_ : int
        Moves of the search on all data.
    {common_attributes}

    See Also
    --------
    L0Regressor : The model of one size or alpha, with a certificate.
    l0_path : The models of all sizes, with information criteria.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import L0RegressorCV
    >>> X, y = make_regression(
    ...     n_samples=60, n_features=100, n_informative=4, noise=1.0, random_state=0
    ... )
    >>> L0RegressorCV(selection="1se").fit(X, y).n_nonzero_
    4
    """

    n_nonzero_: int
    objective_: float
    stationarity_: float
    sizes_: np.ndarray

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **{
            name: PathCV._parameter_constraints[name]
            for name in ("cv", "scoring", "selection", "n_jobs")
        },
        **{name: rule for name, rule in L0_CONSTRAINTS.items() if name != "n_swaps"},
        "max_size": [Interval(Integral, 0, None, closed="left"), None],
    }
    _single: ClassVar[type[SparseLinearModel]] = L0Regressor

    def __init__(
        self,
        *,
        max_size: int | None = None,
        l2: float = 0.0,
        fit_intercept: bool = True,
        penalty_weights: npt.ArrayLike | None = None,
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        selection: Selection = "min",
        n_jobs: int | None = None,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.max_size = max_size
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.penalty_weights = penalty_weights
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.n_jobs = n_jobs
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _fit_path(self, data: Data, backend: Any, splits: Splits) -> None:
        problem = subset_problem(
            data, backend, self.penalty_weights, self.fit_intercept, self.l2, equal_costs=True
        )
        largest = default_max_size(problem)
        if self.max_size is not None:
            largest = min(self.max_size, problem.max_size)
        # 1. every fold, through all sizes
        whole = Problem(data.X, data.y, L1(1.0), Squared(), data.sample_weight, self.fit_intercept)
        walk = _size_walk(problem, largest)
        table = self._cross_validate(data, problem.work, whole, backend, walk, largest + 1, splits)
        # 2. the choice
        sizes = np.arange(table.n_finished)
        scores = np.array(table.scores)[:, 0]
        index = select_alpha(sizes, scores, self.selection)
        # 3. all data
        pool = fill_pool(problem, largest, self.verbose)
        path = path_of_pool(pool, data.dtype)
        chosen = int(np.searchsorted(path.sizes, index, side="right")) - 1
        self.sizes_, self.scores_ = sizes, scores
        self.mse_path_ = np.array(table.mse)[:, 0]
        self.path_ = path
        self.n_nonzero_ = int(path.sizes[chosen])
        self.objective_ = float(path.objectives[chosen])
        coef = problem.fit(path.supports[chosen])
        self.stationarity_ = stationarity(
            problem, coef, dual_point(problem, coef), 0.0, inside=True
        )
        self.coef_ = path.coefs[:, chosen].copy()
        self.intercept_ = self._fitted_intercept(path.intercepts[chosen], data.dtype)
        self.n_iter_ = max(pool.n_moves, 1)


def _size_walk(problem: SubsetProblem, largest: int) -> Walk:
    """Return the walk that offers a fold's best model of each size, 0 to ``largest``."""
    costs = np.where(problem.usable, problem.costs, np.inf)

    def walk(work: Workspace, train: IndexArray) -> Iterator[Sequence[Candidate]]:
        fold = SubsetProblem(work, costs, problem.l2)
        pool = full_pool(fold, min(largest, fold.max_size))
        supports = [pool.best_up_to(size).support for size in range(largest + 1)]
        for coef in fold.fits(supports)[0]:
            work.set_coef(coef)
            yield [Candidate(work.solution(np.nan, np.nan, 1), work.residual)]

    return walk
