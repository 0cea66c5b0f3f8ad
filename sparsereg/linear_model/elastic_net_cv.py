"""Lasso and elastic net with alpha chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from sparsereg._caller import warn_caller
from sparsereg.backends.protocol import FloatArray
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.linear_model._base import (
    L1_RATIO_CONSTRAINT,
    SparseLinearModel,
    elastic_net_penalty,
)
from sparsereg.linear_model._data import Data, check_alphas, check_penalty_weights
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._path_cv import PathCV, Splits
from sparsereg.linear_model.elastic_net import ElasticNet
from sparsereg.losses import Squared
from sparsereg.model_selection.path_cv import CrossValidatedPath, path_walk
from sparsereg.model_selection.selection import Selection, mean_scores, select_alpha
from sparsereg.penalties import ElasticNet as ElasticNetPenalty
from sparsereg.solvers.driver import make_workspace
from sparsereg.solvers.parts import prepare_parts
from sparsereg.solvers.path import alpha_grid, solve_path
from sparsereg.solvers.problem import Problem


@documented
class ElasticNetCV(PathCV):
    """Elastic net with alpha, and if wanted l1_ratio, chosen by cross-validation.

    The objective is that of :class:`ElasticNet`.

    Parameters
    ----------
    l1_ratio : float or list of float in [0, 1], default=0.5
        Share of the l1 part; the best of a list is chosen. With 0 give ``alphas``.
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
    l1_ratio_ : float
        The chosen l1_ratio.
    {cv_attributes}
    {choice_attributes}
    {common_attributes}

    See Also
    --------
    ElasticNet : The same model at a given alpha.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import ElasticNetCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ElasticNetCV(l1_ratio=[0.5, 1.0]).fit(X, y)
    >>> model.l1_ratio_
    1.0
    """

    l1_ratio_: float

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PathCV._parameter_constraints,
        "l1_ratio": [*L1_RATIO_CONSTRAINT, "array-like"],
    }
    _single: ClassVar[type[SparseLinearModel]] = ElasticNet

    def __init__(
        self,
        *,
        l1_ratio: float | Sequence[float] = 0.5,
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
        self.l1_ratio = l1_ratio
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
        weights = check_penalty_weights(self.penalty_weights, data.X.shape[1])
        ratios = self._l1_ratios()
        tol, max_iter = self.tol, self.max_iter
        penalty = self._penalty(ratios[0], weights)
        whole = Problem(data.X, data.y, penalty, Squared(), data.sample_weight, self.fit_intercept)
        work = make_workspace(whole, backend)
        wanted = check_alphas(self.alphas, self.n_alphas)
        n_alphas = wanted if isinstance(wanted, int) else len(wanted)
        n_solves = n_alphas * (len(splits) + 1) * len(ratios)
        prepare_parts(work, penalty, n_solves, [train for train, _ in splits])

        # 1. every l1_ratio: all folds down the path
        penalties, grids = list[ElasticNetPenalty](), list[FloatArray]()
        tables = list[CrossValidatedPath]()
        for ratio in ratios:
            penalty = self._penalty(ratio, weights)
            grid = alpha_grid(work, penalty, wanted, self.eps)
            walk = path_walk(penalty, grid, tol=tol, max_iter=max_iter)
            try:
                table = self._cross_validate(data, work, whole, backend, walk, len(grid), splits)
            except KeyboardInterrupt:  # before its first alpha
                if not tables:
                    raise
                break
            penalties.append(penalty)
            grids.append(grid)
            tables.append(table)
            if table.interrupted:
                break
        if len(tables) < len(ratios):
            warn_caller(
                f"Interrupted: l1_ratio is chosen among {ratios[: len(tables)]}, without "
                f"{ratios[len(tables) :]}.",
                PathInterruptedWarning,
            )

        # 2. the choice
        chosen, index = _choose(grids, tables, self.selection)

        # 3. all data, down to the end of the path
        penalty, grid, table = penalties[chosen], grids[chosen], tables[chosen]
        work.move_to(np.zeros_like(work.coef))
        steps = solve_path(work, penalty, grid[: table.n_finished], tol=tol, max_iter=max_iter)
        path = self._finish_path(steps, table.n_finished, index, work.coef.shape)
        del work, steps  # their memory is free for the coefficients
        self._warn_unless_converged(path, tables)
        self._keep_tables(grids, tables)
        self.alpha_, self.l1_ratio_ = float(grid[index]), ratios[chosen]
        self._keep_path(data.dtype, path, index, [records[0] for records in table.records])

    def _penalty(self, l1_ratio: float, weights: FloatArray | None) -> ElasticNetPenalty:
        """Return the penalty at alpha = 1."""
        return elastic_net_penalty(1.0, l1_ratio, weights, self.positive)

    def _keep_tables(self, grids: list[FloatArray], tables: list[CrossValidatedPath]) -> None:
        """Set the tables, with an axis for l1_ratio only where there are several."""
        finished = min(table.n_finished for table in tables)
        mse = np.array([np.array(table.mse)[:finished, 0] for table in tables])
        scores = np.array([_scores(table)[:finished] for table in tables])
        alphas = np.array([grid[:finished] for grid in grids])
        several = len(self._l1_ratios()) > 1
        automatic = self.alphas is None or isinstance(self.alphas, Integral)
        self.mse_path_ = mse if several else mse[0]
        self.scores_ = scores if several else scores[0]
        self.alphas_ = alphas if several and automatic else alphas[0]

    def _l1_ratios(self) -> list[float]:
        ratios = np.atleast_1d(np.asarray(self.l1_ratio, dtype=float))
        if ratios.ndim != 1 or not ratios.size or not np.all((ratios >= 0) & (ratios <= 1)):
            raise ValueError(
                f"l1_ratio={self.l1_ratio!r} must be a number, or a list of numbers, in [0, 1]."
            )
        return [float(ratio) for ratio in ratios]


@documented
class LassoCV(ElasticNetCV):
    """Lasso with alpha chosen by cross-validation.

    The objective is that of :class:`Lasso`.

    Parameters
    ----------
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
    {cv_attributes}
    {choice_attributes}
    {common_attributes}

    See Also
    --------
    Lasso : The same model at a given alpha.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sparsereg import LassoCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LassoCV(selection="1se").fit(X, y)
    >>> bool(model.alpha_ > LassoCV().fit(X, y).alpha_)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: rule
        for name, rule in ElasticNetCV._parameter_constraints.items()
        if name != "l1_ratio"
    }
    l1_ratio = 1.0

    def __init__(
        self,
        *,
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


def _choose(
    grids: list[FloatArray], tables: list[CrossValidatedPath], selection: Selection
) -> tuple[int, int]:
    """Return the number of the l1_ratio with the best mean score, and the index of its alpha."""
    # by the folds that an interruption left to all of them
    finished = [~np.all(np.isnan(_scores(table)), axis=0) for table in tables]
    best_means = [_best_mean(_scores(table)[:, np.all(finished, axis=0)]) for table in tables]
    chosen = int(np.argmax(best_means))
    table = tables[chosen]
    return chosen, select_alpha(grids[chosen][: table.n_finished], _scores(table), selection)


def _scores(table: CrossValidatedPath) -> FloatArray:
    """Return the scores of the only candidate, of shape (n_alphas, n_folds)."""
    return np.array(table.scores)[:, 0]


def _best_mean(scores: FloatArray) -> float:
    means, _ = mean_scores(scores)
    return float(np.max(means[~np.isnan(means)], initial=-np.inf))
