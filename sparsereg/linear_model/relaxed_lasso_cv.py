"""The relaxed lasso with alpha and gamma chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_scalar

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.linear_model._base import SparseLinearModel
from sparsereg.linear_model._data import Data, check_alphas, check_penalty_weights
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._path_cv import PathCV, Splits
from sparsereg.linear_model.relaxed_lasso import RelaxedLasso, relaxed_path
from sparsereg.losses import Squared
from sparsereg.model_selection.path_cv import Candidate
from sparsereg.model_selection.selection import Selection, select_alpha
from sparsereg.penalties import L1
from sparsereg.solvers.parts import prepare_parts
from sparsereg.solvers.path import alpha_grid
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.workspace import Workspace


@documented
class RelaxedLassoCV(PathCV):
    """Relaxed lasso with alpha and gamma chosen by cross-validation.

    The model is that of :class:`RelaxedLasso`. Each fold computes one lasso path and one
    least-squares fit for each active set on it; all gammas are blends of these.

    Parameters
    ----------
    gammas : array-like of float in [0, 1], default=(0, 0.25, 0.5, 0.75, 1)
        Shares of the lasso to choose from.
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
    gamma_ : float
        The chosen gamma.
    gammas_ : ndarray of shape (n_gammas,)
        The gammas, decreasing.
    alpha_ : float
        The chosen alpha.
    alphas_ : ndarray of shape (n_alphas,)
        The grid, decreasing.
    mse_path_ : ndarray of shape (n_gammas, n_alphas, n_folds)
        Mean squared error on each held-out fold.
    scores_ : ndarray of shape (n_gammas, n_alphas, n_folds)
        What ``scoring`` said, greater is better; ``-mse_path_`` without it.
    {choice_attributes}
    {common_attributes}

    See Also
    --------
    RelaxedLasso : The same model at a given alpha and gamma.

    Notes
    -----
    Pairs (alpha, gamma) are compared in the order of decreasing alpha, and of decreasing gamma
    for each alpha, so that "1se" takes the largest alpha, and for it the largest gamma, within
    one standard error of the best pair, as glmnet does. A callable ``selection`` gets the pairs
    in this order: alphas of shape (n_alphas * n_gammas,), each one repeated for every gamma, and
    their scores.

    ``coef_path_``, ``intercept_path_`` and ``fold_coef_path_`` are at the chosen gamma;
    ``dual_gap_`` is the certificate of the lasso in the blend.

    References
    ----------
    Hastie, Tibshirani and Tibshirani, "Best subset, forward stepwise or lasso? Analysis and
    recommendations based on extensive comparisons", Statistical Science, 2020.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sparsereg import RelaxedLassoCV
    >>> X, y = make_regression(
    ...     n_samples=60, n_features=100, n_informative=4, noise=5, random_state=0
    ... )
    >>> model = RelaxedLassoCV().fit(X, y)
    >>> model.gamma_, int((model.coef_ != 0).sum())
    (0.0, 4)
    """

    gamma_: float
    gammas_: np.ndarray

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PathCV._parameter_constraints,
        "gammas": ["array-like"],
    }
    _single: ClassVar[type[SparseLinearModel]] = RelaxedLasso

    def __init__(
        self,
        *,
        gammas: npt.ArrayLike = (0.0, 0.25, 0.5, 0.75, 1.0),
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
        self.gammas = gammas
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
        gammas = self._checked_gammas()
        weights = check_penalty_weights(self.penalty_weights, data.X.shape[1])
        penalty = L1(weights=weights, positive=self.positive)
        whole = Problem(data.X, data.y, penalty, Squared(), data.sample_weight, self.fit_intercept)
        work = Workspace(whole, backend)
        grid = alpha_grid(work, penalty, check_alphas(self.alphas, self.n_alphas), self.eps)
        tol, max_iter = self.tol, self.max_iter
        n_solves = len(grid) * (len(splits) + 1)
        prepare_parts(work, penalty, n_solves, [train for train, _ in splits])

        # 1. all folds down the path, with a candidate per gamma
        def walk(part: Workspace, train: IndexArray) -> Iterator[Sequence[Candidate]]:
            return relaxed_path(part, penalty, grid, gammas.tolist(), tol=tol, max_iter=max_iter)

        table = self._cross_validate(data, work, whole, backend, walk, len(grid), splits)
        scores = np.array(table.scores)  # alpha, gamma, fold
        self.alphas_, self.gammas_ = grid[: table.n_finished].copy(), gammas
        self.scores_ = scores.transpose(1, 0, 2)
        self.mse_path_ = np.array(table.mse).transpose(1, 0, 2)

        # 2. the choice among all pairs
        pairs = scores.reshape(-1, scores.shape[2])
        choice = select_alpha(np.repeat(self.alphas_, gammas.size), pairs, self.selection)
        index, chosen = divmod(choice, gammas.size)
        self.alpha_, self.gamma_ = float(grid[index]), float(gammas[chosen])

        # 3. all data, down to the end of the path
        work.move_to(np.zeros(data.X.shape[1]))
        blends = relaxed_path(
            work, penalty, self.alphas_, [self.gamma_], tol=tol, max_iter=max_iter
        )
        steps = (blend.solution for (blend,) in blends)
        path = self._finish_path(steps, table.n_finished, index, data.X.shape[1])
        del work, blends, steps  # their memory is free for the coefficients
        self._warn_unless_converged(path, [table])
        self._keep_path(data.dtype, path, index, [records[chosen] for records in table.records])

    def _checked_gammas(self) -> FloatArray:
        if np.ndim(self.gammas) != 1 or not np.size(self.gammas):
            raise ValueError(f"gammas={self.gammas!r} must be a list of numbers in [0, 1].")
        for index, gamma in enumerate(self.gammas):  # type: ignore[arg-type]
            check_scalar(gamma, f"gammas[{index}]", Real, min_val=0, max_val=1)
            if np.isnan(gamma):
                raise ValueError(f"gammas[{index}] is NaN; it must be a number in [0, 1].")
        return np.sort(np.asarray(self.gammas, dtype=np.float64))[::-1].copy()
