"""Mixtures of sparse regressions for data that were not designed."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from sparsereg._caller import warn_caller
from sparsereg.backends.protocol import FloatArray
from sparsereg.backends.registry import resolve_backend
from sparsereg.exceptions import ConvergenceWarning
from sparsereg.linear_model._data import in_dtype, unchanged_on_failure, validate_fit_data
from sparsereg.linear_model._docs import documented
from sparsereg.mixture import em, em_starts
from sparsereg.mixture._model import MixtureModel, canonical_order

# What is checked of the parameters that this class and the one that chooses them share.
SHARED_CONSTRAINTS: dict[str, list] = {
    "solver": [StrOptions({"em-lasso", "em-iht", "alternating"})],
    "gamma": [Interval(Real, 0, None, closed="left")],
    "fit_intercept": ["boolean"],
    "variance": [StrOptions({"tied", "free"})],
    "init": [StrOptions({"spectral", "random"})],
    "n_init": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "backend": [str],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}

# Of y: its squares, and sums of these, must be representable.
_LARGEST = 1e150


class EMModel(MixtureModel):
    """A mixture fitted by expectation-maximization; subclasses say at which parameters."""

    solver: str
    gamma: float
    fit_intercept: bool
    variance: str
    init: str
    n_init: int
    max_iter: int
    tol: float
    backend: str
    random_state: Any
    verbose: int

    coef_: np.ndarray
    labels_: npt.NDArray[np.intp]
    responsibilities_: FloatArray
    log_likelihood_: float
    objective_history_: list[float]
    n_iter_: int
    converged_: bool
    backend_: str
    n_features_in_: int

    def _data(self, X: Any, y: Any, sample_weight: Any) -> tuple[em.EMData, np.dtype]:
        backend = resolve_backend(self.backend, X)
        data = validate_fit_data(self, X, y, sample_weight, multi_output=False)
        weights = np.ones(len(data.y)) if data.sample_weight is None else data.sample_weight
        if np.max(np.abs(data.y)) > _LARGEST:
            raise ValueError(
                "Squares of y overflow float64 arithmetic. Rescale the data, for example with "
                "StandardScaler."
            )
        self.backend_ = backend.name
        return em.EMData(data.X, data.y, weights, self.fit_intercept, backend), data.dtype

    def _check_size(self, data: em.EMData, n_components: int) -> None:
        n_rows = int(np.count_nonzero(data.sample_weight))
        if n_rows < n_components:
            raise ValueError(
                f"n_samples={n_rows} is less than n_components={n_components}: there is not a row "
                f"for each regression. Give more rows, or a smaller n_components."
            )

    def _options(self, alpha: float, n_nonzero: int | None) -> em.Options:
        if self.solver == "em-iht" and n_nonzero is None:
            raise ValueError(
                "solver='em-iht' keeps the n_nonzero largest coefficients of each regression, and "
                "n_nonzero is None. Set it, or use solver='em-lasso'."
            )
        size = None if self.solver == "em-lasso" else n_nonzero
        return em.Options(
            alpha, self.gamma, size, self.solver == "alternating", self.variance == "tied"
        )

    def _starts(self, data: em.EMData, n_components: int, n_nonzero: int | None) -> Any:
        return em_starts.make_starts(
            data, n_components, self.n_init, check_random_state(self.random_state),
            spectral=self.init == "spectral", n_nonzero=n_nonzero,
        )  # fmt: skip

    def _keep(self, result: em.EMResult, dtype: np.dtype) -> None:
        mixture = result.mixture
        order = canonical_order(mixture.weights, mixture.coef)
        self.coef_ = np.atleast_2d(in_dtype(mixture.coef[order], dtype))
        self.intercept_ = mixture.intercept[order]
        self.weights_ = mixture.weights[order]
        self.noise_variance_ = mixture.variance[order]
        self.responsibilities_ = result.responsibilities[:, order]
        self.labels_ = np.argmax(self.responsibilities_, axis=1)
        self.log_likelihood_ = result.log_likelihood
        self.objective_history_ = result.objective
        self.n_iter_ = len(result.objective)
        self.converged_ = result.converged
        if not result.converged:
            warn_caller(
                f"EM did not converge in max_iter={self.max_iter} iterations: the last one changed "
                f"the objective by {_last_change(result.objective):.1e}, tol={self.tol:g}. Raise "
                f"max_iter or tol, or standardize the features.",
                ConvergenceWarning,
            )
        if result.has_rival:
            rows_each = len(result.responsibilities) / max(int(np.count_nonzero(self.coef_)), 1)
            warn_caller(
                f"Starts of EM found other features that explain y about as well, so what was kept "
                f"may be a matter of chance. Give more rows (here are {rows_each:.1f} for each "
                f"coefficient, and ten are often enough), more starts (n_init={self.n_init}), or "
                f"fewer coefficients.",
                ConvergenceWarning,
            )

    def bic(self, X: Any, y: Any) -> float:
        """Return the Bayesian information criterion on some data; smaller is better.

        The number of parameters is that of the non-zero coefficients, intercepts, variances and
        free weights.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        float
        """
        scores = self.log_density(X, y)
        return -2.0 * float(scores.sum()) + np.log(len(scores)) * self._n_parameters()

    def aic(self, X: Any, y: Any) -> float:
        """Return the Akaike information criterion on some data; smaller is better.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        float
        """
        return -2.0 * float(self.log_density(X, y).sum()) + 2.0 * self._n_parameters()

    @property
    def sparse_coef_(self) -> sparse.csr_array:
        """The coefficients as a sparse array of shape (n_components, n_features)."""
        return sparse.csr_array(self.coef_)

    def _n_parameters(self) -> int:
        return n_parameters(self.coef_, self.fit_intercept, self.variance == "tied")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # the mean of a mixture explains little of y
        return tags


def n_parameters(coef: np.ndarray, fit_intercept: bool, tied: bool) -> int:
    """Return the number of free parameters of a mixture."""
    n_components = len(coef)
    variances = 1 if tied else n_components
    return int(np.count_nonzero(coef)) + n_components * fit_intercept + variances + n_components - 1


def _last_change(history: list[float]) -> float:
    return abs(history[-1] - history[-2]) if len(history) > 1 else np.inf


@documented
class SparseMixtureRegressor(EMModel):
    """Mixture of sparse linear regressions with unknown labels.

    Each row follows one of several regressions, and it is not known which::

        y_i = x_i' b_r + c_r + sigma_r e_i   with probability weights_r

    Fitted by expectation-maximization. "em-lasso" minimizes, without ever rising::

        -(1/n) sum_i s_i log density(y_i | x_i) + alpha sum_r weights_r^gamma |b_r|_1 / sigma_r

    which does not depend on the unit of y.

    Parameters
    ----------
    n_components : int, default=2
        Number of regressions.
    solver : {"em-lasso", "em-iht", "alternating"}, default="em-lasso"
        A weighted lasso in each iteration; or the ``n_nonzero`` largest coefficients of each
        regression by iterative hard thresholding, then least squares; or rows that belong to one
        regression at a time, with hard thresholding if ``n_nonzero`` is given, else with the lasso.
        Where the number of coefficients is known, "em-iht" is faster and needs fewer rows.
    alpha : float, default=0.1
        Strength of the l1 penalty, in units of 1 / (unit of X).
    gamma : float, default=1.0
        Power of the weight of a regression in its penalty.
    n_nonzero : int, default=None
        Coefficients of each regression; not used by "em-lasso".
    {mixture_parameters}
    {backend}
    random_state : int, RandomState instance or None, default=None
        Of the random starts.
    verbose : int, default=0
        1 prints the objective of each iteration.

    Attributes
    ----------
    {mixture_attributes}
    {common_attributes}

    See Also
    --------
    SparseMixtureRegressorCV : Chooses n_components and alpha.
    MixedColoringRegressor : For queries that you can choose.

    References
    ----------
    Städler, Bühlmann and van de Geer, "l1-penalization for mixture regression models", TEST 19,
    2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsereg.mixture import MixtureOracle, SparseMixtureRegressor, make_sparse_mixture
    >>> coef = make_sparse_mixture(n_features=50, n_nonzero=6, random_state=0)
    >>> X = np.random.default_rng(0).standard_normal((200, 50))
    >>> y = MixtureOracle(coef, random_state=0)(X)
    >>> model = SparseMixtureRegressor(2, solver="em-iht", n_nonzero=3, random_state=0).fit(X, y)
    >>> bool(model.noise_variance_.max() < 1e-6)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **SHARED_CONSTRAINTS,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "n_nonzero": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        solver: str = "em-lasso",
        alpha: float = 0.1,
        gamma: float = 1.0,
        n_nonzero: int | None = None,
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
        self.alpha = alpha
        self.gamma = gamma
        self.n_nonzero = n_nonzero
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
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SparseMixtureRegressor:
        """Fit the model.

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
            If ``tol`` was not reached, or if starts disagree: with a given ``n_nonzero``, where
            another start found mostly other features whose likelihood is about as high.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            data, dtype = self._data(X, y, sample_weight)
            self._check_size(data, self.n_components)
            options = self._options(float(self.alpha), self.n_nonzero)
            starts = self._starts(data, self.n_components, options.n_nonzero)
            report = _print_line if self.verbose else None
            result = em.fit(
                data, starts, options, max_iter=self.max_iter, tol=self.tol, report=report
            )
            self._keep(result, dtype)
        return self


def _print_line(n_iter: int, objective: float) -> None:
    print(f"iteration {n_iter:4d}  objective {objective:.9e}")
