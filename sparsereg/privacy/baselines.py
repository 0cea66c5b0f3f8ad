"""The published algorithms, as baselines: simulations only, and never the default.

Both are from Zhu, Ding, Aggarwal, Xu and Wang, "Improved analysis of sparse linear regression in
local differential privacy model", ICLR 2024. The structure of the algorithms is that of the paper,
as far as its abstract, its public reviews and two independent reimplementations tell; constants
that these do not give are *reconstructed*, and marked so below. Random numbers are floating-point
numbers of an ordinary generator.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from scipy.special import gammaln
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from sparsereg.backends.protocol import FloatArray
from sparsereg.linear_model._base import SparseLinearModel

_CHUNK = 1 << 15
_COMMON: dict[str, list] = {
    "epsilon": [Interval(Real, 0, None, closed="neither")],
    "x_bound": [Interval(Real, 0, None, closed="neither"), None],
    "y_bound": [Interval(Real, 0, None, closed="neither"), None],
    "random_state": ["random_state"],
}


class _Baseline(SparseLinearModel):
    """Simulations on dense data without an intercept."""

    intercept_ = 0.0
    random_state: Any

    def _start(self, X: Any, y: Any) -> tuple[FloatArray, FloatArray, np.random.Generator]:
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        seed = check_random_state(self.random_state).randint(2**31, size=4)
        return X, np.asarray(y, dtype=np.float64), np.random.default_rng(seed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.regressor_tags.poor_score = True
        tags.non_deterministic = self.random_state is None
        return tags


class NLDPRegression(_Baseline):
    """The non-interactive estimator of Zhu et al. (2024): noisy moments, inverted, thresholded.

    Each person sends ``x x' + N1`` with x scaled to ``x_radius``, and ``x y + N2`` with x and y
    clipped coordinate by coordinate, both by the Gaussian mechanism; the server computes the
    soft-thresholded ``(mean of the first)^-1 (mean of the second)``.

    Reconstructed: half of epsilon and delta for each part, the classic calibration
    ``sigma^2 = 8 Delta^2 log(2.5 / delta) / epsilon^2`` with sensitivities ``2 x_radius^2`` and
    ``2 sqrt(d) x_bound y_bound``, and the defaults of the bounds.

    Parameters
    ----------
    epsilon : float, default=1.0
    delta : float, default=1e-5
    alpha : float, default=0.0
        The threshold.
    x_radius : float, default=None
        None is ``sqrt(d log n)``.
    x_bound, y_bound : float, default=None
        None is ``sqrt(2 log n)``.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
    raw_coef_ : ndarray of shape (n_features,)
        Before the threshold.
    intercept_ : float
        0.0: there is none.
    n_features_in_ : int
        Number of features seen in ``fit``.

    References
    ----------
    Zhu, Ding, Aggarwal, Xu and Wang, "Improved analysis of sparse linear regression in local
    differential privacy model", ICLR 2024, algorithm 1.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **_COMMON,
        "delta": [Interval(Real, 0, 1, closed="neither")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "x_radius": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        epsilon: float = 1.0,
        *,
        delta: float = 1e-5,
        alpha: float = 0.0,
        x_radius: float | None = None,
        x_bound: float | None = None,
        y_bound: float | None = None,
        random_state: Any = None,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.alpha = alpha
        self.x_radius = x_radius
        self.x_bound = x_bound
        self.y_bound = y_bound
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> NLDPRegression:
        """Simulate all persons, and fit."""
        X, y, rng = self._start(X, y)
        n, d = X.shape
        root = np.sqrt(2.0 * np.log(max(n, 2)))
        radius = root * np.sqrt(d / 2.0) if self.x_radius is None else self.x_radius
        x_bound = root if self.x_bound is None else self.x_bound
        y_bound = root if self.y_bound is None else self.y_bound
        gram, xty = np.zeros((d, d)), np.zeros(d)
        for start in range(0, n, _CHUNK):
            rows = np.asarray(X[start : start + _CHUNK], dtype=np.float64)
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            short = rows * np.minimum(1.0, radius / np.maximum(norms, np.finfo(float).tiny))
            gram += short.T @ short
            labels = np.clip(y[start : start + _CHUNK], -y_bound, y_bound)
            xty += np.clip(rows, -x_bound, x_bound).T @ labels
        calibration = np.sqrt(8.0 * np.log(2.5 / self.delta)) / self.epsilon
        # the sum of n persons' noise has n times the variance
        noise = np.triu(rng.standard_normal((d, d)))
        noise = noise + np.triu(noise, 1).T
        gram += calibration * 2.0 * radius**2 * np.sqrt(n) * noise
        spread = calibration * 2.0 * np.sqrt(d) * x_bound * y_bound * np.sqrt(n)
        xty += spread * rng.standard_normal(d)
        self.raw_coef_ = np.linalg.solve(gram, xty)
        self.coef_ = np.sign(self.raw_coef_) * np.maximum(np.abs(self.raw_coef_) - self.alpha, 0.0)
        return self


class LDPIHT(_Baseline):
    """Locally private iterative hard thresholding of Zhu et al. (2024).

    Disjoint parts of the persons answer one round each: the clipped gradient at the current
    coefficients through the one-bit mechanism of Duchi, Jordan and Wainwright for the l2 ball (pure
    epsilon). The server takes a gradient step, keeps the largest coefficients, and projects onto
    the unit ball. It assumes features of covariance I and coefficients of norm at most one.

    Reconstructed: the clipping levels. The radius of a gradient is that of the paper,
    ``sqrt(d) x_bound (sqrt(k') x_bound + y_bound)``, unless one is given.

    Parameters
    ----------
    epsilon : float, default=1.0
    n_nonzero : int, default=8
        k', the coefficients that are kept; the theory wants eight times as many as there are.
    n_rounds : int, default=None
        None is ``ceil(log n)``.
    step : float, default=1.0
    x_bound, y_bound : float, default=None
        None is ``sqrt(2 log n)``.
    radius : float, default=None
        Radius of the gradients instead of that of the paper; longer ones are scaled down to it.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
    intercept_ : float
        0.0: there is none.
    n_features_in_ : int
        Number of features seen in ``fit``.

    References
    ----------
    Zhu, Ding, Aggarwal, Xu and Wang, "Improved analysis of sparse linear regression in local
    differential privacy model", ICLR 2024, algorithm 2; Duchi, Jordan and Wainwright, "Minimax
    optimal procedures for locally private estimation", JASA 2018.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **_COMMON,
        "n_nonzero": [Interval(Integral, 1, None, closed="left")],
        "n_rounds": [Interval(Integral, 1, None, closed="left"), None],
        "step": [Interval(Real, 0, None, closed="neither")],
        "radius": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(
        self,
        epsilon: float = 1.0,
        *,
        n_nonzero: int = 8,
        n_rounds: int | None = None,
        step: float = 1.0,
        x_bound: float | None = None,
        y_bound: float | None = None,
        radius: float | None = None,
        random_state: Any = None,
    ) -> None:
        self.epsilon = epsilon
        self.n_nonzero = n_nonzero
        self.n_rounds = n_rounds
        self.step = step
        self.x_bound = x_bound
        self.y_bound = y_bound
        self.radius = radius
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> LDPIHT:
        """Simulate all persons, and fit."""
        X, y, rng = self._start(X, y)
        n, d = X.shape
        root = np.sqrt(2.0 * np.log(max(n, 2)))
        x_bound = root if self.x_bound is None else self.x_bound
        y_bound = root if self.y_bound is None else self.y_bound
        n_rounds = int(np.ceil(np.log(max(n, 2)))) if self.n_rounds is None else self.n_rounds
        n_rounds = min(n_rounds, n)
        kept = min(self.n_nonzero, d)
        radius = np.sqrt(d) * x_bound * (np.sqrt(kept) * x_bound + y_bound)
        radius = radius if self.radius is None else self.radius
        w = np.zeros(d)
        for part in np.array_split(rng.permutation(n), n_rounds):
            total = np.zeros(d)
            for start in range(0, part.size, _CHUNK):
                rows = part[start : start + _CHUNK]
                x = np.clip(X[rows].astype(np.float64), -x_bound, x_bound)
                residual = x @ w - np.clip(y[rows], -y_bound, y_bound)
                total += duchi_sum(x * residual[:, None], radius, self.epsilon, rng)
            w = w - self.step * total / part.size
            w[np.argsort(-np.abs(w), kind="stable")[kept:]] = 0.0
            w /= max(np.linalg.norm(w), 1.0)
        self.coef_ = w
        return self


def duchi_sum(
    vectors: FloatArray, radius: float, epsilon: float, rng: np.random.Generator
) -> FloatArray:
    """Return the sum of one-bit reports of vectors, unbiased for those within the radius.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
        Scaled down to the radius where they are longer.
    radius, epsilon : float
    rng : numpy Generator
    """
    n, d = vectors.shape
    norms = np.linalg.norm(vectors, axis=1)
    share = np.minimum(norms / radius, 1.0)
    directions = vectors / np.maximum(norms, np.finfo(float).tiny)[:, None]
    towards = np.where(rng.random(n) < (1.0 + share) / 2.0, 1.0, -1.0)
    outputs = rng.standard_normal((n, d))
    outputs /= np.linalg.norm(outputs, axis=1, keepdims=True)
    truthful = rng.random(n) < 1.0 / (1.0 + np.exp(-epsilon))
    side = np.einsum("ij,ij->i", outputs, directions) * towards > 0
    outputs *= np.where(side == truthful, 1.0, -1.0)[:, None]
    log_scale = gammaln((d + 1) / 2.0) - gammaln(d / 2.0)
    scale = radius * np.sqrt(np.pi) * np.exp(log_scale) / np.tanh(epsilon / 2.0)
    return scale * outputs.sum(axis=0)
