"""Any separable penalty, with alpha chosen by cross-validation or an information criterion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import StrOptions

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.linear_model._base import SparseLinearModel
from sparsereg.linear_model._data import Data, check_alphas
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._local import check_penalty
from sparsereg.linear_model._path_cv import PathCV, Splits
from sparsereg.linear_model.sparse_regressor import SparseRegressor
from sparsereg.losses import Squared
from sparsereg.model_selection.criteria import CRITERIA, information_criterion
from sparsereg.model_selection.path_cv import Candidate
from sparsereg.model_selection.selection import Selection, select_alpha
from sparsereg.penalties import MCP, Penalty
from sparsereg.solvers.nonconvex import alpha_grid, solve_path
from sparsereg.solvers.path import PathRecord
from sparsereg.solvers.problem import LocalSolution, Problem
from sparsereg.solvers.workspace import Workspace


@documented
class SparseRegressorCV(PathCV):
    """Linear regression with any penalty, its alpha chosen along a path.

    The objective is that of :class:`SparseRegressor`. Each alpha starts from the local minimum of
    the one before, and once more from the one after; the lower minimum is kept.

    Parameters
    ----------
    penalty : Penalty, default=None
        A penalty object; its alpha is not used. None is ``MCP()``.
    {grid_parameters}
    {fit_intercept}
    cv : int, cross-validation generator or iterable, default=None
        As in scikit-learn; None is 5 folds without shuffling. Not used by information criteria.
    scoring : str or callable, default=None
        A scikit-learn scorer, greater is better, for ``scores_`` and the choice of alpha; None is
        the negative mean squared error.
    selection : {"min", "1se", "aic", "bic", "ebic"} or callable, default="min"
        "min" takes the alpha with the best mean score over the folds, "1se" the largest alpha
        within one standard error of it, and a callable gets ``(alphas, scores)``, of shapes
        (n_alphas,) and (n_alphas, n_folds), and returns an index. The others need no folds: they
        take the smallest information criterion on all data, among models that are not too large
        for it (see Notes).
    n_jobs : int, default=None
        Number of threads over the folds; None is 1 and -1 is all processors.
    tol : float, default=1e-6
        Stationarity at each alpha, as in :class:`SparseRegressor`.
    max_iter : int, default=1000
        Budget of passes over X at each alpha.
    {backend}
    {random_state}
    {verbose_cv}

    Attributes
    ----------
    alpha_ : float
        The chosen alpha.
    alphas_ : ndarray of shape (n_alphas,)
        The grid, decreasing.
    mse_path_ : ndarray of shape (n_alphas, n_folds)
        Mean squared error on each held-out fold; on all data, in one column, for a criterion.
    scores_ : ndarray of shape (n_alphas, n_folds)
        What ``scoring`` said, greater is better; ``-mse_path_`` without it. For a criterion, one
        column with its negative, ``-inf`` where the model is too large.
    coef_ : ndarray of shape (n_features,)
        Coefficients of the fit on all data at ``alpha_``; float32 if X is.
    intercept_ : float
        Its intercept.
    support_ : ndarray of int
        The features with nonzero coefficients, increasing.
    coef_path_ : ndarray of shape (n_features, n_alphas)
        Coefficients on all data along the grid.
    intercept_path_ : ndarray of shape (n_alphas,)
        Their intercepts.
    fold_coef_path_ : list of sparse arrays of shape (n_features, n_alphas)
        Coefficients on the training part of each fold; empty for a criterion.
    objective_ : float
        Loss plus penalty of the fit on all data at ``alpha_``.
    stationarity_ : float
        Its certificate, as in :class:`SparseRegressor`.
    stationarity_path_ : ndarray of shape (n_alphas,)
        Those of the fits on all data along the grid.
    n_iter_ : int
        Steps taken along the whole path on all data.
    converged_ : bool
        Whether that fit reached its tolerance.
    {common_attributes}

    See Also
    --------
    SparseRegressor : The same model at a given alpha.

    Notes
    -----
    The criteria are ``n log(mse) + 2 k`` (AIC), ``n log(mse) + k log n`` (BIC) and the latter plus
    ``2 log C(p, k)`` (EBIC), with k the number of nonzero coefficients, p the number of features
    and n the number of rows: integer sample weights count as repetitions, and of others each
    positive one as a row. They are made for k much smaller than n: as k comes
    near n, the first term has no lower bound. Where 2 p > n, models with more than about
    ``n / log(p)`` features are therefore left out, see
    :func:`sparsereg.model_selection.information_criterion`. With p larger than n, only EBIC
    accounts for the number of models there are to choose from.

    References
    ----------
    Wang, Li and Tsai, "Tuning parameter selectors for the smoothly clipped absolute deviation
    method", Biometrika, 2007; Chen and Chen, "Extended Bayesian information criteria for model
    selection with large model spaces", Biometrika, 2008.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import SparseRegressorCV, penalties
    >>> X, y = make_regression(
    ...     n_samples=60, n_features=100, n_informative=4, noise=5, random_state=0
    ... )
    >>> SparseRegressorCV(penalties.SCAD(), selection="ebic").fit(X, y).support_.size
    4
    """

    objective_: float
    stationarity_: float

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PathCV._parameter_constraints,
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "selection": [StrOptions({"min", "1se", *CRITERIA}), callable],
    }
    _single: ClassVar[type[SparseLinearModel]] = SparseRegressor
    _measure: ClassVar[str] = "stationarity"

    def __init__(
        self,
        penalty: Penalty | None = None,
        *,
        eps: float = 1e-3,
        n_alphas: int = 100,
        alphas: int | npt.ArrayLike | None = None,
        fit_intercept: bool = True,
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        selection: Selection = "min",
        n_jobs: int | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.penalty = penalty
        self.eps = eps
        self.n_alphas = n_alphas
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.n_jobs = n_jobs
        self.tol = tol
        self.max_iter = max_iter
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _validate(self, X: Any, y: Any, sample_weight: Any) -> Data:
        data = super()._validate(X, y, sample_weight)
        self._n_rows = _count_rows(data, sample_weight)
        return data

    def _splits(self, data: Data, params: dict[str, Any]) -> Splits:
        return [] if self._has_criterion else super()._splits(data, params)

    def _fit_path(self, data: Data, backend: Any, splits: Splits) -> None:
        penalty = MCP() if self.penalty is None else self.penalty
        penalty = check_penalty(penalty, data.X.shape[1]).with_alpha(1.0)
        whole = Problem(data.X, data.y, penalty, Squared(), data.sample_weight, self.fit_intercept)
        work = Workspace(whole, backend)
        grid = alpha_grid(work, penalty, check_alphas(self.alphas, self.n_alphas), self.eps)
        if self._has_criterion:
            self._choose_by_criterion(data, work, penalty, grid)
        else:
            self._choose_by_folds(data, whole, backend, work, penalty, grid, splits)

    def _choose_by_folds(
        self,
        data: Data,
        whole: Problem,
        backend: Any,
        work: Workspace,
        penalty: Penalty,
        grid: FloatArray,
        splits: Splits,
    ) -> None:
        # 1. all folds down the path
        def walk(part: Workspace, train: IndexArray) -> Iterator[Sequence[Candidate]]:
            for solution in self._solve_path(part, penalty, grid):
                yield [Candidate(solution, part.residual)]  # type: ignore[arg-type]

        table = self._cross_validate(data, work, whole, backend, walk, len(grid), splits)
        self.alphas_ = grid[: table.n_finished].copy()
        self.scores_, self.mse_path_ = np.array(table.scores)[:, 0], np.array(table.mse)[:, 0]
        # 2. the choice
        index = select_alpha(self.alphas_, self.scores_, self.selection)
        # 3. all data, down to the end of the path
        work.move_to(np.zeros_like(work.coef))
        fits = _Fits(work, self._solve_path(work, penalty, self.alphas_))
        path = self._finish_path(iter(fits), table.n_finished, index, data.X.shape[1])  # type: ignore[arg-type]
        self._warn_unless_converged(path, [table])
        self._keep_choice(data, path, index, fits, [records[0] for records in table.records])

    def _choose_by_criterion(
        self, data: Data, work: Workspace, penalty: Penalty, grid: FloatArray
    ) -> None:
        fits = _Fits(work, self._solve_path(work, penalty, grid))
        path = self._finish_path(iter(fits), len(grid), 0, data.X.shape[1])  # type: ignore[arg-type]
        self.alphas_ = grid[: len(path)].copy()
        sizes = np.array(fits.sizes[: len(path)])
        mse = np.array(fits.mse[: len(path)])
        criterion = information_criterion(
            mse, sizes, n_samples=self._n_rows, n_features=data.X.shape[1],
            criterion=str(self.selection),
        )  # fmt: skip
        self.scores_ = -criterion[:, None]
        self.mse_path_ = mse[:, None]
        self._warn_unless_converged(path, [])
        self._keep_choice(data, path, int(np.argmax(self.scores_[:, 0])), fits, [])

    def _keep_choice(
        self, data: Data, path: PathRecord, index: int, fits: _Fits, folds: list[PathRecord]
    ) -> None:
        self.alpha_ = float(self.alphas_[index])
        self.objective_ = fits.objectives[index]
        self._keep_path(data.dtype, path, index, folds)

    def _keep_certificates(self, along_path: FloatArray, index: int) -> None:
        self.stationarity_path_, self.stationarity_ = along_path, float(along_path[index])

    def _solve_path(
        self, work: Workspace, penalty: Penalty, grid: FloatArray
    ) -> Iterator[LocalSolution]:
        return solve_path(work, penalty, grid, tol=self.tol, max_iter=self.max_iter)

    @property
    def _has_criterion(self) -> bool:
        return isinstance(self.selection, str) and self.selection in CRITERIA


def _count_rows(data: Data, sample_weight: Any) -> int:
    """Return the n of information criteria; weights are known to be valid."""
    if sample_weight is None:
        return len(data.y)
    weights = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), len(data.y))
    repetitions = np.all(weights == np.round(weights))
    return int(weights.sum() if repetitions else np.count_nonzero(weights))


class _Fits:
    """The solutions of a path on all data, and what a choice needs to know of each."""

    def __init__(self, work: Workspace, steps: Iterator[LocalSolution]) -> None:
        self._work, self._steps = work, steps
        self.mse: list[float] = []
        self.sizes: list[int] = []
        self.objectives: list[float] = []

    def __iter__(self) -> Iterator[LocalSolution]:
        for solution in self._steps:
            self.mse.append(self._work.sq_residual)
            self.sizes.append(int(np.count_nonzero(solution.coef)))
            self.objectives.append(solution.objective)
            yield solution
