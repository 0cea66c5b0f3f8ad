"""Lasso and elastic net with alpha chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from joblib import effective_n_jobs
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)

from sparsereg._caller import warn_caller
from sparsereg._progress import progress
from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.backends.registry import resolve_backend
from sparsereg.exceptions import PathInterruptedWarning
from sparsereg.linear_model._base import (
    COMMON_CONSTRAINTS,
    GRID_CONSTRAINTS,
    L1_RATIO_CONSTRAINT,
    SparseLinearModel,
    elastic_net_penalty,
)
from sparsereg.linear_model._data import (
    Data,
    check_alphas,
    check_penalty_weights,
    unchanged_on_failure,
    validate_fit_data,
)
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.linear_model.elastic_net import ElasticNet
from sparsereg.losses import Squared
from sparsereg.model_selection.path_cv import CrossValidatedPath, Scorer, cross_validate_path
from sparsereg.model_selection.selection import Selection, select_alpha
from sparsereg.solvers.path import PathRecord, alpha_grid, solve_path
from sparsereg.solvers.problem import Problem, Solution
from sparsereg.solvers.workspace import Workspace


@documented
class ElasticNetCV(SparseLinearModel):
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

    alpha_: float
    l1_ratio_: float
    alphas_: np.ndarray
    mse_path_: np.ndarray
    scores_: np.ndarray
    coef_path_: np.ndarray
    intercept_path_: np.ndarray
    fold_coef_path_: list[sparse.csc_array]
    dual_gap_: float
    n_iter_: int
    converged_: bool
    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **COMMON_CONSTRAINTS,
        "l1_ratio": [*L1_RATIO_CONSTRAINT, "array-like"],
        **GRID_CONSTRAINTS,
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "selection": [StrOptions({"min", "1se"}), callable],
        "n_jobs": [Integral, None],
    }

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

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> ElasticNetCV:
        """Choose alpha by cross-validation, then fit all data along the path.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Read in place by every fold: Fortran and C order, float64 and float32, and CSC are not
            copied.
        y : array-like of shape (n_samples,)
            Target.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights of the fits and of the test errors; only their ratios matter.
        **params : dict
            Passed to the splitter, such as ``groups``; needs scikit-learn's metadata routing.

        Returns
        -------
        self

        Raises
        ------
        {fit_raises}

        Warns
        -----
        ConvergenceWarning
            If ``tol`` was not reached at some alpha; it names the worst gap.
        PathInterruptedWarning
            If Ctrl-C cut the path short; alpha is then chosen among the finished ones.
        """
        _raise_for_params(params, self, "fit")
        with unchanged_on_failure(self):
            self._check_parameters()
            backend = resolve_backend(self.backend, X)
            data = validate_fit_data(self, X, y, sample_weight, multi_output=False)
            self._fit_path(data, backend, self._splits(data, params))
            self.backend_ = backend.name
        return self

    def _fit_path(
        self, data: Data, backend: Any, splits: list[tuple[IndexArray, IndexArray]]
    ) -> None:
        weights = check_penalty_weights(self.penalty_weights, data.X.shape[1])
        ratios = self._l1_ratios()
        tol, max_iter = self.tol, self.max_iter
        penalty = elastic_net_penalty(1.0, ratios[0], weights, self.positive)
        whole = Problem(data.X, data.y, penalty, Squared(), data.sample_weight, self.fit_intercept)
        work = Workspace(whole, backend)
        wanted = check_alphas(self.alphas, self.n_alphas)
        scorer = _make_scorer(self.scoring, data, self._model())

        # 1. every l1_ratio: all folds down the path
        penalties, grids, tables = [], [], []
        for ratio in ratios:
            penalty = elastic_net_penalty(1.0, ratio, weights, self.positive)
            penalties.append(penalty)
            grids.append(alpha_grid(work, penalty, wanted, self.eps))
            tables.append(
                cross_validate_path(
                    whole.with_penalty(penalty), backend, grids[-1], splits, scorer=scorer, tol=tol,
                    max_iter=max_iter,
                    n_threads=min(effective_n_jobs(self.n_jobs), len(splits)),
                    verbose=self.verbose,
                )
            )  # fmt: skip
            if tables[-1].n_finished < len(grids[-1]):
                break

        # 2. the choice
        chosen, index = _choose(grids, tables, self.selection)

        # 3. all data, down to the end of the path
        penalty, grid, table = penalties[chosen], grids[chosen], tables[chosen]
        work.move_to(np.zeros(data.X.shape[1]))
        steps = solve_path(work, penalty, grid[: table.n_finished], tol=tol, max_iter=max_iter)
        path = _finish_path(steps, table.n_finished, index, data.X.shape[1], self.verbose)
        records = [path, *(record for t in tables for record in t.records)]
        warn_unless_converged(
            [gap for record in records for gap in record.dual_gaps],
            [goal for record in records for goal in record.tolerances],
            [stalled for record in records for stalled in record.stalled],
            max_iter,
            "(fold, alpha) pairs",
        )
        self._keep_tables(grids, tables)
        self.alpha_, self.l1_ratio_ = float(grid[index]), ratios[chosen]
        self.coef_ = path.coef(index).astype(data.dtype, copy=False)
        self.intercept_ = data.dtype.type(path.intercepts[index]) if self.fit_intercept else 0.0
        self.dual_gap_ = path.dual_gaps[index]
        self.n_iter_ = sum(path.n_iters)
        self.converged_ = path.dual_gaps[index] <= path.tolerances[index]
        self.coef_path_ = path.dense_coefs(data.dtype)
        self.intercept_path_ = np.array(path.intercepts)
        self.fold_coef_path_ = [record.sparse_coefs() for record in table.records]

    def _keep_tables(self, grids: list[FloatArray], tables: list[CrossValidatedPath]) -> None:
        """Set the tables, with an axis for l1_ratio only where there are several."""
        finished = min(table.n_finished for table in tables)
        mse = np.array([table.mse[:finished] for table in tables])
        scores = np.array([table.scores[:finished] for table in tables])
        alphas = np.array([grid[:finished] for grid in grids])
        several = len(tables) > 1
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

    def _model(self) -> ElasticNet:
        names = ElasticNet().get_params().keys() & self.get_params().keys() - {"l1_ratio"}
        return ElasticNet(**{name: getattr(self, name) for name in names})

    def _splits(self, data: Data, params: dict[str, Any]) -> list[tuple[IndexArray, IndexArray]]:
        splitter = check_cv(self.cv)
        if _routing_enabled():
            params = process_routing(self, "fit", **params).splitter.split
        splits = []
        for split in splitter.split(data.X, data.y, **params):
            if len(split) != 2:
                raise ValueError(f"cv={self.cv!r}: each split must be a pair (train, test).")
            splits.append((_as_rows(split[0], data.y.size), _as_rows(split[1], data.y.size)))
        if not splits:
            raise ValueError(f"cv={self.cv!r} gives no folds: give at least one split.")
        return splits

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of ``fit``'s extra parameters to the splitter."""
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                splitter=check_cv(self.cv),
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )


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


def _as_rows(rows: npt.ArrayLike, n_samples: int) -> IndexArray:
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_samples,):
        rows = np.flatnonzero(rows)
    valid = rows.ndim == 1 and rows.size > 0 and np.issubdtype(rows.dtype, np.integer)
    if not valid or rows.min() < -n_samples or rows.max() >= n_samples:
        raise ValueError(
            f"cv gives a fold that is empty, or is not made of row numbers 0 ... {n_samples - 1}: "
            f"each split must be a pair of arrays of row numbers (train, test), or of masks of "
            f"shape ({n_samples},)."
        )
    return rows.astype(np.intp, copy=False) % n_samples


def _choose(
    grids: list[FloatArray], tables: list[CrossValidatedPath], selection: Selection
) -> tuple[int, int]:
    """Return the number of the l1_ratio with the best mean score, and the index of its alpha."""
    best_means = [_best_mean(np.asarray(table.scores)) for table in tables]
    chosen = int(np.argmax(best_means))
    table = tables[chosen]
    return chosen, select_alpha(grids[chosen][: table.n_finished], table.scores, selection)


def _best_mean(scores: FloatArray) -> float:
    means = scores[:, ~np.all(np.isnan(scores), axis=0)].mean(axis=1)
    return float(np.max(means[~np.isnan(means)], initial=-np.inf))


def _finish_path(
    steps: Iterator[Solution], n_alphas: int, index: int, n_features: int, verbose: int
) -> PathRecord:
    """Collect the path on all data; an interruption after the chosen alpha keeps what is there."""
    path = PathRecord(n_features)
    try:
        for solution in progress(steps, n_alphas, "path on all data", verbose):
            path.append(solution)
    except KeyboardInterrupt:
        if len(path) <= index:
            raise
        warn_caller(
            f"Interrupted: coef_path_ has the {len(path)} of {n_alphas} alphas that are "
            f"finished, the chosen one among them.",
            PathInterruptedWarning,
        )
    return path


class _Predicted(RegressorMixin, BaseEstimator):
    """A fitted regressor whose predictions are known: what named scorers need, and no more."""

    def __init__(self, prediction: FloatArray) -> None:
        self.prediction = prediction

    def fit(self, X: Any, y: Any) -> _Predicted:
        return self

    def predict(self, X: Any) -> FloatArray:
        return self.prediction

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _make_scorer(
    scoring: str | Callable[..., float] | None, data: Data, model: ElasticNet
) -> Scorer | None:
    """Return the score of one fold and alpha; named scorers need predictions only."""
    if scoring is None:
        return None

    def score(solution: Solution, prediction: FloatArray, test: IndexArray) -> float:
        weights = {} if data.sample_weight is None else {"sample_weight": data.sample_weight[test]}
        if isinstance(scoring, str):
            rows = np.zeros((test.size, 1))
            return float(get_scorer(scoring)(_Predicted(prediction), rows, data.y[test], **weights))
        fitted = clone(model)
        fitted.coef_ = solution.coef.astype(data.dtype, copy=False)
        fitted.intercept_ = solution.intercept
        fitted.n_features_in_ = solution.coef.size
        return float(scoring(fitted, _safe_indexing(data.X, test), data.y[test]))

    return score
