"""Mixtures of sparse regressions whose size and penalty are chosen by the data."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import Interval, StrOptions

from sparsereg._progress import progress
from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.linear_model._data import check_alphas, unchanged_on_failure
from sparsereg.linear_model._docs import documented
from sparsereg.mixture import em
from sparsereg.mixture.mixture_regressor import SHARED_CONSTRAINTS, EMModel, n_parameters
from sparsereg.model_selection.selection import select_alpha


@documented
class SparseMixtureRegressorCV(EMModel):
    """Mixture of sparse linear regressions; number, and penalty or size, chosen by the data.

    Every combination is fitted; along decreasing alphas each fit starts, among other points, where
    the last one ended.

    Parameters
    ----------
    n_components : int or sequence of int, default=(1, 2, 3)
        Numbers of regressions to choose from.
    solver : {"em-lasso", "em-iht", "alternating"}, default="em-lasso"
        As in :class:`SparseMixtureRegressor`. "em-iht" chooses from ``n_nonzeros``, and so does
        "alternating" where they are given; else alpha is chosen.
    alphas : array-like of shape (n_alphas,), default=None
        Strengths to choose from; None is an automatic grid.
    n_alphas : int, default=10
        Number of alphas of an automatic grid.
    eps : float, default=0.03
        Ratio of the smallest to the largest alpha of an automatic grid.
    n_nonzeros : sequence of int, default=None
        Coefficients of each regression to choose from.
    selection : {"min", "1se", "aic", "bic"}, default="bic"
        "aic" and "bic" take the smallest information criterion on all data. "min" takes the best
        mean log-likelihood of held-out rows, "1se" the simplest mixture within one standard error
        of it: fewest regressions, then the largest alpha or the smallest size.
    cv : int, cross-validation generator or iterable, default=None
        Folds of "min" and "1se"; None is five.
    gamma : float, default=1.0
        Power of the weight of a regression in its penalty.
    {mixture_parameters}
    {backend}
    random_state : int, RandomState instance or None, default=None
        Of the random starts.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    n_components_ : int
        The chosen number of regressions.
    alpha_ : float or None
        The chosen alpha, where alpha was chosen.
    n_nonzero_ : int or None
        The chosen size, where sizes were.
    alphas_ : ndarray or None
        The grid, decreasing.
    scores_ : ndarray of shape (n_components, n_alphas or n_nonzeros, n_folds)
        Mean log-likelihood of the rows of each fold, or the negative criterion in a single column;
        greater is better. Numbers of regressions and sizes are in increasing order.
    {mixture_attributes}
    {common_attributes}

    See Also
    --------
    SparseMixtureRegressor : At given parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsereg.mixture import MixtureOracle, SparseMixtureRegressorCV, make_sparse_mixture
    >>> coef = make_sparse_mixture(n_features=30, n_nonzero=6, random_state=0)
    >>> X = np.random.default_rng(0).standard_normal((200, 30))
    >>> y = MixtureOracle(coef, noise_std=0.1, random_state=0)(X)
    >>> model = SparseMixtureRegressorCV(
    ...     (1, 2), solver="em-iht", n_nonzeros=(2, 3, 6), random_state=0
    ... ).fit(X, y)
    >>> model.n_components_, model.n_nonzero_
    (2, 3)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "n_components": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "alphas": ["array-like", None],
        "n_alphas": [Interval(Integral, 1, None, closed="left")],
        "eps": [Interval(Real, 0, 1, closed="neither")],
        "n_nonzeros": ["array-like", None],
        "selection": [StrOptions({"min", "1se", "aic", "bic"})],
        "cv": ["cv_object"],
    }

    n_components_: int
    alpha_: float | None
    n_nonzero_: int | None
    alphas_: FloatArray | None
    scores_: FloatArray

    def __init__(
        self,
        n_components: int | Sequence[int] = (1, 2, 3),
        *,
        solver: str = "em-lasso",
        alphas: npt.ArrayLike | None = None,
        n_alphas: int = 10,
        eps: float = 0.03,
        n_nonzeros: Sequence[int] | None = None,
        selection: str = "bic",
        cv: Any = None,
        gamma: float = 1.0,
        fit_intercept: bool = True,
        variance: str = "tied",
        init: str = "spectral",
        n_init: int = 5,
        max_iter: int = 300,
        tol: float = 1e-6,
        backend: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.solver = solver
        self.alphas = alphas
        self.n_alphas = n_alphas
        self.eps = eps
        self.n_nonzeros = n_nonzeros
        self.selection = selection
        self.cv = cv
        self.gamma = gamma
        self.fit_intercept = fit_intercept
        self.variance = variance
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.backend = backend
        self.random_state = random_state
        self.verbose = verbose

    @documented
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SparseMixtureRegressorCV:
        """Fit every combination and keep the best.

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
            If ``tol`` was not reached by the chosen fit, or if its starts disagree, as in
            :class:`SparseMixtureRegressor`.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            sizes = _positive(np.atleast_1d(self.n_components), "n_components")
            data, dtype = self._data(X, y, sample_weight)
            self._check_size(data, max(sizes))
            grid = self._grid(data)
            by_folds = self.selection in ("min", "1se")
            folds = list(check_cv(self.cv).split(data.X, data.y)) if by_folds else []
            results: list[list[em.EMResult]] = []
            scores: list[FloatArray] = []
            for n_components in progress(sizes, len(sizes), "mixtures", self.verbose):
                results.append(self._path(data, n_components, grid))
                scores.append(
                    self._held_out(data, n_components, grid, folds)
                    if by_folds
                    else np.array([[-self._criterion(data, result)] for result in results[-1]])
                )
            self.scores_ = np.array(scores)
            # simplest first, as alphas are: fewest regressions, then the strictest penalty or size
            candidates = self.scores_.reshape(-1, self.scores_.shape[2])
            rule = "1se" if self.selection == "1se" else "min"
            i, k = divmod(select_alpha(np.arange(len(candidates)), candidates, rule), len(grid))
            alpha, n_nonzero = grid[k]
            self.n_components_ = sizes[i]
            by_size = self._chooses_size
            self.alpha_ = None if by_size else alpha
            self.n_nonzero_ = n_nonzero if by_size else None
            self.alphas_ = None if by_size else np.array([alpha for alpha, _ in grid])
            self._keep(results[i][k], dtype)
        return self

    @property
    def _chooses_size(self) -> bool:
        return self.solver == "em-iht" or (
            self.solver == "alternating" and self.n_nonzeros is not None
        )

    def _grid(self, data: em.EMData) -> list[tuple[float, int | None]]:
        """Return what is tried: (alpha, n_nonzero)."""
        if self._chooses_size:
            if self.n_nonzeros is None:
                raise ValueError(
                    "solver='em-iht' chooses among n_nonzeros, and these are None. Give some, such "
                    "as n_nonzeros=(5, 10, 20), or use solver='em-lasso'."
                )
            return [(0.0, k) for k in _positive(np.atleast_1d(self.n_nonzeros), "n_nonzeros")]
        wanted = check_alphas(self.alphas, self.n_alphas)
        if isinstance(wanted, int):
            top = em.alpha_bound(data)
            wanted = np.geomspace(top, top * self.eps, wanted)
        return [(float(alpha), None) for alpha in wanted]

    def _path(
        self, data: em.EMData, n_components: int, grid: list[tuple[float, int | None]]
    ) -> list[em.EMResult]:
        results: list[em.EMResult] = []
        for alpha, n_nonzero in grid:
            options = self._options(alpha, n_nonzero)
            starts = list(self._starts(data, n_components, options.n_nonzero))
            if results:
                starts.insert(0, results[-1].mixture)
            results.append(
                em.fit(data, iter(starts), options, max_iter=self.max_iter, tol=self.tol)
            )
        return results

    def _criterion(self, data: em.EMData, result: em.EMResult) -> float:
        coef = result.mixture.coef
        parameters = n_parameters(coef, self.fit_intercept, self.variance == "tied")
        n = data.y.size
        price = np.log(n) if self.selection == "bic" else 2.0
        return -2.0 * n * em.log_likelihood(data, result.mixture) + price * parameters

    def _held_out(
        self,
        data: em.EMData,
        n_components: int,
        grid: list[tuple[float, int | None]],
        folds: list[tuple[IndexArray, IndexArray]],
    ) -> FloatArray:
        """Return the mean log-likelihood of each fold's rows, of shape (len(grid), n_folds)."""
        scores = np.empty((len(grid), len(folds)))
        for fold, (train, test) in enumerate(folds):
            part, rest = data.rows(train), data.rows(test)
            for k, result in enumerate(self._path(part, n_components, grid)):
                scores[k, fold] = em.log_likelihood(rest, result.mixture)
        return scores


def _positive(values: np.ndarray, name: str) -> list[int]:
    if values.ndim != 1 or not values.size or any(v != int(v) or v < 1 for v in values):
        raise ValueError(f"{name}={values.tolist()!r} must be positive integers: give some.")
    return sorted({int(v) for v in values})
