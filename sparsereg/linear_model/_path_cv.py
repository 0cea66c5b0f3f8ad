"""What the estimators share that choose along a path of alphas by cross-validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

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
from sparsereg.linear_model._base import COMMON_CONSTRAINTS, GRID_CONSTRAINTS, SparseLinearModel
from sparsereg.linear_model._data import Data, in_dtype, unchanged_on_failure, validate_fit_data
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.model_selection.path_cv import (
    CrossValidatedPath,
    Scorer,
    Walk,
    cross_validate_path,
)
from sparsereg.model_selection.selection import Selection
from sparsereg.solvers.driver import AnyWorkspace
from sparsereg.solvers.path import PathRecord
from sparsereg.solvers.problem import Problem, Solution, Stretch

Splits = list[tuple[IndexArray, IndexArray]]


class PathCV(SparseLinearModel):
    """A model chosen among those along a path of alphas.

    Subclasses say in ``_fit_path`` what is done at each alpha and how the choice is made.
    """

    n_alphas: int
    alphas: int | npt.ArrayLike | None
    fit_intercept: bool
    positive: bool
    penalty_weights: npt.ArrayLike | None
    cv: Any
    scoring: str | Callable[..., float] | None
    selection: Selection
    n_jobs: int | None
    tol: float
    max_iter: int
    backend: str
    verbose: int

    alpha_: float
    alphas_: np.ndarray
    mse_path_: np.ndarray
    scores_: np.ndarray
    coef_path_: np.ndarray
    intercept_path_: np.ndarray
    fold_coef_path_: list[sparse.csc_array]
    dual_gap_: float
    dual_gap_path_: np.ndarray
    n_iter_: int
    converged_: bool
    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **COMMON_CONSTRAINTS,
        **GRID_CONSTRAINTS,
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "selection": [StrOptions({"min", "1se"}), callable],
        "n_jobs": [Integral, None],
    }
    #: The estimator of one alpha, as custom scorers get it.
    _single: ClassVar[type[SparseLinearModel]]
    #: What is compared with the tolerance.
    _measure: ClassVar[str] = "duality gap"

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
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
            If Ctrl-C cut it short; alpha is then chosen by what is finished.
        """
        _raise_for_params(params, self, "fit")
        with unchanged_on_failure(self):
            self._check_parameters()
            backend = resolve_backend(self.backend, X)
            data = self._validate(X, y, sample_weight)
            self._fit_path(data, backend, self._splits(data, params))
            self._finish_fit(backend, X)
        return self

    def _validate(self, X: Any, y: Any, sample_weight: Any) -> Data:
        return validate_fit_data(self, X, y, sample_weight, multi_output=False)

    @abstractmethod
    def _fit_path(self, data: Data, backend: Any, splits: Splits) -> None:
        """Cross-validate, choose, fit all data, and set the fitted attributes."""

    def _cross_validate(
        self,
        data: Data,
        whole: AnyWorkspace,
        problem: Problem,
        backend: Any,
        walk: Walk,
        n_alphas: int,
        splits: Splits,
    ) -> CrossValidatedPath:
        return cross_validate_path(
            whole, problem, backend, walk, n_alphas, splits,
            scorer=_make_scorer(self.scoring, data, self._model),
            n_threads=min(effective_n_jobs(self.n_jobs), len(splits)),
            verbose=self.verbose,
        )  # fmt: skip

    def _finish_path(
        self,
        steps: Iterator[Solution | Stretch],
        n_alphas: int,
        index: int,
        shape: int | tuple[int, ...],
    ) -> PathRecord:
        """Collect the path on all data; an interruption after the chosen alpha keeps the rest."""
        path = PathRecord(shape)
        try:
            for _ in progress(path.follow(steps), n_alphas, "path on all data", self.verbose):
                pass
        except KeyboardInterrupt:
            if len(path) <= index:
                raise
            warn_caller(
                f"Interrupted: coef_path_ has the {len(path)} of {n_alphas} alphas that are "
                f"finished, the chosen one among them.",
                PathInterruptedWarning,
            )
        return path

    def _keep_path(
        self, dtype: np.dtype, path: PathRecord, index: int, folds: list[PathRecord]
    ) -> None:
        """Set what all data gave along the path and at the chosen alpha, and the folds' paths."""
        self.coef_ = in_dtype(path.coef(index), dtype)
        self.intercept_ = self._fitted_intercept(path.intercepts[index], dtype)
        self._keep_certificates(np.array(path.dual_gaps), index)
        self.n_iter_ = sum(path.n_iters)
        self.converged_ = path.dual_gaps[index] <= path.tolerances[index]
        self.coef_path_ = path.dense_coefs(dtype)
        self.intercept_path_ = np.array(path.intercepts).T
        self.fold_coef_path_ = [record.sparse_coefs() for record in folds]

    def _keep_certificates(self, along_path: FloatArray, index: int) -> None:
        self.dual_gap_path_, self.dual_gap_ = along_path, float(along_path[index])

    def _fitted_intercept(self, intercept: Any, dtype: np.dtype) -> Any:
        return in_dtype(intercept, dtype) if self.fit_intercept else 0.0

    def _warn_unless_converged(
        self, path: PathRecord, tables: Sequence[CrossValidatedPath]
    ) -> None:
        # the candidates of one alpha share their certificate
        records = [path, *(candidates[0] for t in tables for candidates in t.records)]
        warn_unless_converged(
            [gap for record in records for gap in record.dual_gaps],
            [goal for record in records for goal in record.tolerances],
            [stalled for record in records for stalled in record.stalled],
            self.max_iter,
            "(fold, alpha) pairs",
            self._measure,
        )

    @property
    def _model(self) -> SparseLinearModel:
        names = self._single().get_params(False).keys() & self.get_params(False).keys()
        return self._single(**{name: getattr(self, name) for name in names - {"l1_ratio"}})

    def _splits(self, data: Data, params: dict[str, Any]) -> Splits:
        splitter = check_cv(self.cv)
        if _routing_enabled():
            params = process_routing(self, "fit", **params).splitter.split
        X, splits = data.X, []
        if sparse.issparse(X) and type(splitter).__module__.startswith("sklearn."):
            X = np.empty((len(data.y), 0))  # theirs count the rows, and copy sparse X for that
        for split in splitter.split(X, data.y, **params):
            if len(split) != 2:
                raise ValueError(f"cv={self.cv!r}: each split must be a pair (train, test).")
            splits.append((_as_rows(split[0], len(data.y)), _as_rows(split[1], len(data.y))))
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
    scoring: str | Callable[..., float] | None, data: Data, model: SparseLinearModel
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
        fitted.coef_ = in_dtype(solution.coef, data.dtype)
        fitted.intercept_ = solution.intercept
        fitted.n_features_in_ = solution.coef.shape[-1]
        return float(scoring(fitted, _safe_indexing(data.X, test), data.y[test]))

    return score
