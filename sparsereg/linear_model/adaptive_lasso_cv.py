"""The adaptive lasso with alpha chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.model_selection import check_cv

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.linear_model._base import SparseLinearModel
from sparsereg.linear_model._data import Data, check_alphas
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._path_cv import PathCV, Splits
from sparsereg.linear_model.adaptive_lasso import (
    ADAPTIVE_CONSTRAINTS,
    AdaptiveLasso,
    Reweighting,
    initial_estimate,
    last_of,
    weights_behind,
)
from sparsereg.losses import Squared
from sparsereg.model_selection.path_cv import Candidate
from sparsereg.model_selection.selection import Selection, select_alpha
from sparsereg.penalties import L1
from sparsereg.solvers.path import alpha_grid
from sparsereg.solvers.problem import Problem, Solution
from sparsereg.solvers.workspace import Workspace


@documented
class AdaptiveLassoCV(PathCV):
    """Adaptive lasso with alpha chosen by cross-validation.

    The objective is that of :class:`AdaptiveLasso`. Each fold has its own initial estimate, from
    its training part alone: weights that had seen the held-out rows would make every alpha look
    better than it is, and small alphas most of all.

    Parameters
    ----------
    {adaptive_parameters}
    {grid_parameters}
    {fit_intercept}
    {penalty_parameters}
    {cv_parameters}
    {stopping_parameters}
    {backend}
    {random_state}
    {verbose_cv}

    Attributes
    ----------
    {adaptive_attributes}
    {cv_attributes}
    {choice_attributes}
    {common_attributes}

    See Also
    --------
    AdaptiveLasso : The same model at a given alpha.

    Notes
    -----
    With ``initial="lasso_cv"`` the estimate on all data uses the folds of ``cv``, and the one
    inside a fold the other folds, without the rows held out: five folds give 20 inner paths.
    Where nothing is left, as in the first fold of a time series, it is five folds of the training
    part.

    References
    ----------
    Zou, "The adaptive lasso and its oracle properties", JASA, 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import AdaptiveLassoCV, LassoCV
    >>> X, y = make_regression(
    ...     n_samples=60, n_features=100, n_informative=4, noise=5, random_state=0
    ... )
    >>> adaptive, plain = AdaptiveLassoCV().fit(X, y), LassoCV().fit(X, y)
    >>> bool((adaptive.coef_ != 0).sum() < (plain.coef_ != 0).sum())
    True
    """

    initial_coef_: np.ndarray
    penalty_weights_: np.ndarray

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PathCV._parameter_constraints,
        **ADAPTIVE_CONSTRAINTS,
    }
    _single: ClassVar[type[SparseLinearModel]] = AdaptiveLasso

    def __init__(
        self,
        *,
        initial: str | BaseEstimator = "lasso_cv",
        gamma: float = 1.0,
        n_reweightings: int = 1,
        weight_offset: float = 0.0,
        eps: float = 1e-3,
        n_alphas: int = 100,
        alphas: int | npt.ArrayLike | None = None,
        fit_intercept: bool = True,
        positive: bool = False,
        penalty_weights: npt.ArrayLike | None = None,
        cv: Any = None,
        scoring: str | Callable[..., float] | None = None,
        selection: Selection = "min",
        n_jobs: int | None = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.initial = initial
        self.gamma = gamma
        self.n_reweightings = n_reweightings
        self.weight_offset = weight_offset
        self.eps = eps
        self.n_alphas = n_alphas
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.penalty_weights = penalty_weights
        self.cv = cv
        self.scoring = scoring
        self.selection = selection
        self.n_jobs = n_jobs
        self.tol = tol
        self.max_iter = max_iter
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    def _fit_path(self, data: Data, backend: Any, splits: Splits) -> None:
        reweighting = Reweighting.of(self, data)
        whole = Problem(data.X, data.y, L1(), Squared(), data.sample_weight, self.fit_intercept)
        work = Workspace(whole, backend)
        wanted = check_alphas(self.alphas, self.n_alphas)

        # 1. the estimate that the grid depends on
        initial = initial_estimate(self, data, work, None, splits)
        grid = alpha_grid(work, reweighting.largest_penalty(initial), wanted, self.eps)

        # 2. all folds down the path, each from its own estimate
        def walk(part: Workspace, train: IndexArray) -> Iterator[Sequence[Candidate]]:
            own = initial_estimate(self, data, part, train, _inside(splits, train))
            for stages in reweighting.path(part, grid, own):
                yield [Candidate(last_of(stages), part.residual)]

        table = self._cross_validate(data, work, whole, backend, walk, len(grid), splits)
        self.scores_ = np.array(table.scores)[:, 0]
        self.mse_path_ = np.array(table.mse)[:, 0]
        self.alphas_ = grid[: table.n_finished].copy()
        index = select_alpha(self.alphas_, self.scores_, self.selection)
        self.alpha_ = float(grid[index])

        # 3. all data, down to the end of the path
        work.move_to(np.zeros(data.X.shape[1]))
        steps = self._path_on_all(reweighting, work, self.alphas_, initial, index)
        path = self._finish_path(steps, table.n_finished, index, data.X.shape[1])
        del work, steps  # their memory is free for the coefficients
        self._warn_unless_converged(path, [table])
        self._keep_path(data.dtype, path, index, [records[0] for records in table.records])

    def _path_on_all(
        self,
        reweighting: Reweighting,
        work: Workspace,
        alphas: FloatArray,
        initial: FloatArray | None,
        index: int,
    ) -> Iterator[Solution]:
        for k, stages in enumerate(reweighting.path(work, alphas, initial)):
            if k == index:
                self.initial_coef_, self.penalty_weights_ = weights_behind(stages, initial)
            yield last_of(stages)


def _inside(splits: Splits, train: IndexArray) -> Splits:
    """Return the folds restricted to the training rows, or five folds of these if none is left."""
    inside = [(a[np.isin(a, train)], b[np.isin(b, train)]) for a, b in splits]
    inside = [(a, b) for a, b in inside if a.size and b.size]
    if inside:
        return inside
    rows = np.unique(train)
    return [(rows[a], rows[b]) for a, b in check_cv(None).split(rows)]
