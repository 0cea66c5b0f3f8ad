"""Several targets that share their features, with alpha chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray
from sparsereg.linear_model._base import SparseLinearModel
from sparsereg.linear_model._data import Data, in_dtype, validate_multi_task_data
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model.elastic_net_cv import ElasticNetCV
from sparsereg.linear_model.multi_task_lasso import MultiTaskElasticNet, MultiTaskLasso
from sparsereg.model_selection.selection import Selection
from sparsereg.penalties import L21


@documented
class MultiTaskElasticNetCV(ElasticNetCV):
    """Multi-task elastic net with alpha, and if wanted l1_ratio, chosen by cross-validation.

    The objective is that of :class:`MultiTaskElasticNet`; errors are averaged over the tasks.

    Parameters
    ----------
    l1_ratio : float or list of float in [0, 1], default=0.5
        Share of the norms; the best of a list is chosen. With 0 give ``alphas``.
    {grid_parameters}
    {fit_intercept}
    {penalty_weights}
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
    {multi_task_choice_attributes}
    {common_attributes}

    See Also
    --------
    MultiTaskElasticNet : The same model at a given alpha.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sparsereg import MultiTaskElasticNetCV
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> model = MultiTaskElasticNetCV(l1_ratio=[0.5, 1.0]).fit(X, Y)
    >>> model.coef_.shape
    (3, 3)
    """

    positive = False
    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: rule
        for name, rule in ElasticNetCV._parameter_constraints.items()
        if name != "positive"
    }
    _single: ClassVar[type[SparseLinearModel]] = MultiTaskElasticNet

    def __init__(
        self,
        *,
        l1_ratio: float | Sequence[float] = 0.5,
        eps: float = 1e-3,
        n_alphas: int = 100,
        alphas: int | npt.ArrayLike | None = None,
        fit_intercept: bool = True,
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
    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> Self:
        """Choose alpha by cross-validation, then fit all data along the path.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Read in place by every fold: Fortran and C order, float64 and float32, and CSC are not
            copied.
        y : array-like of shape (n_samples, n_tasks)
            Target, a column per task.
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
        return super().fit(X, y, sample_weight, **params)

    def _validate(self, X: Any, y: Any, sample_weight: Any) -> Data:
        return validate_multi_task_data(self, X, y, sample_weight)

    def _penalty(self, l1_ratio: float, weights: FloatArray | None) -> L21:
        return L21(1.0, l1_ratio=l1_ratio, weights=weights)

    def _fitted_intercept(self, intercept: Any, dtype: np.dtype) -> Any:
        return in_dtype(intercept, dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags


@documented
class MultiTaskLassoCV(MultiTaskElasticNetCV):
    """Multi-task lasso with alpha chosen by cross-validation.

    The objective is that of :class:`MultiTaskLasso`; errors are averaged over the tasks.

    Parameters
    ----------
    {grid_parameters}
    {fit_intercept}
    {penalty_weights}
    {cv_parameters}
    {stopping_parameters}
    {backend}
    {random_state}
    {verbose_cv}

    Attributes
    ----------
    {cv_attributes}
    {multi_task_choice_attributes}
    {common_attributes}

    See Also
    --------
    MultiTaskLasso : The same model at a given alpha.

    Examples
    --------
    >>> from sklearn.datasets import load_linnerud
    >>> from sparsereg import MultiTaskLassoCV
    >>> X, Y = load_linnerud(return_X_y=True)
    >>> model = MultiTaskLassoCV(selection="1se").fit(X, Y)
    >>> bool(model.alpha_ >= MultiTaskLassoCV().fit(X, Y).alpha_)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: rule
        for name, rule in MultiTaskElasticNetCV._parameter_constraints.items()
        if name != "l1_ratio"
    }
    _single: ClassVar[type[SparseLinearModel]] = MultiTaskLasso
    l1_ratio = 1.0

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        n_alphas: int = 100,
        alphas: int | npt.ArrayLike | None = None,
        fit_intercept: bool = True,
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
