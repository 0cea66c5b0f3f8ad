"""Problems whose answer is known: coefficients of a mixture, and an instrument that mixes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from sparsereg.backends.protocol import FloatArray


def make_sparse_mixture(
    n_features: int = 500,
    n_nonzero: int | Sequence[int] = 50,
    n_components: int = 2,
    *,
    n_shared: int = 0,
    values: str = "gauss",
    quantum: float = 1.0,
    max_multiple: int = 5,
    random_state: Any = None,
) -> FloatArray:
    """Draw the coefficients of a mixture of sparse regressions.

    Parameters
    ----------
    n_features : int, default=500
    n_nonzero : int or sequence of int, default=50
        Non-zeros of all regressions together, spread evenly, or of each of them; the shared ones
        are among them.
    n_components : int, default=2
    n_shared : int, default=0
        Coefficients that are the same in all regressions.
    values : {"gauss", "lattice"}, default="gauss"
        Standard normal, or multiples of ``quantum`` from 1 to ``max_multiple`` of either sign.
    quantum : float, default=1.0
    max_multiple : int, default=5
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    ndarray of shape (n_components, n_features)

    Raises
    ------
    ValueError
        If the sizes do not fit.

    Examples
    --------
    >>> from sparsereg.mixture import make_sparse_mixture
    >>> (make_sparse_mixture(100, 10, random_state=0) != 0).sum(axis=1)
    array([5, 5])
    """
    rng = check_random_state(random_state)
    if isinstance(n_nonzero, Sequence):
        sizes = [int(size) for size in n_nonzero]
    else:
        each, more = divmod(int(n_nonzero), n_components)
        sizes = [each + (c < more) for c in range(n_components)]
    if len(sizes) != n_components or min(sizes) < n_shared or max(sizes) > n_features:
        raise ValueError(
            f"Sizes {sizes} do not fit {n_components} regressions of {n_features} features with "
            f"{n_shared} shared coefficients. Each needs a size from n_shared to n_features."
        )
    if values not in ("gauss", "lattice"):
        raise ValueError(f"values={values!r} is unknown. Use 'gauss' or 'lattice'.")

    def draw(size: int) -> FloatArray:
        if values == "gauss":
            return rng.standard_normal(size)
        return rng.choice([-1.0, 1.0], size) * rng.randint(1, max_multiple + 1, size) * quantum

    coef = np.zeros((n_components, n_features))
    shared = rng.choice(n_features, n_shared, replace=False) if n_shared else np.empty(0, int)
    coef[:, shared] = draw(n_shared)
    rest = np.delete(np.arange(n_features), shared)
    for c, size in enumerate(sizes):
        own = rng.choice(rest, size - n_shared, replace=False)
        coef[c, own] = draw(size - n_shared)
    return coef


class MixtureOracle:
    """An instrument that answers each query by one of several regressions, at random.

    Parameters
    ----------
    coef : array-like of shape (n_components, n_features)
    weights : array-like of shape (n_components,), default=None
        Probabilities; None is equal ones.
    intercept : array-like of shape (n_components,) or float, default=0.0
    noise_std : float, default=0.0
        Standard deviation of the noise of every answer.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    n_calls : int
        Queries answered.
    labels : list of ndarray
        The regressions that answered, an array per call.

    Examples
    --------
    >>> from sparsereg.mixture import MixtureOracle
    >>> oracle = MixtureOracle([[1.0, 0.0], [0.0, 2.0]], random_state=0)
    >>> sorted(set(oracle([[1.0, 1.0]] * 20).tolist()))
    [1.0, 2.0]
    """

    def __init__(
        self,
        coef: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        intercept: npt.ArrayLike = 0.0,
        noise_std: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.coef = np.atleast_2d(np.asarray(coef, dtype=np.float64))
        self.weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        if self.weights is not None and (
            self.weights.shape != (len(self.coef),) or not np.isclose(self.weights.sum(), 1.0)
        ):
            raise ValueError(
                f"weights={weights!r} must be {len(self.coef)} probabilities that sum to 1, one "
                f"for each row of coef."
            )
        self.intercept = np.broadcast_to(np.asarray(intercept, np.float64), len(self.coef))
        self.noise_std = noise_std
        self._rng = check_random_state(random_state)
        self.n_calls = 0
        self.labels: list[npt.NDArray[np.int64]] = []

    def __call__(self, X: Any) -> FloatArray:
        """Return an answer for each row of X, of shape (n_queries,)."""
        X = X if hasattr(X, "toarray") else np.asarray(X, dtype=np.float64)
        return self._mix(X @ self.coef.T + self.intercept)

    def answer(self, design: Any) -> FloatArray:
        """Return the answers to a whole design, without its matrix: for dimensions of millions."""
        operator = design.operator()
        return self._mix(np.column_stack([operator @ row for row in self.coef]) + self.intercept)

    def _mix(self, answers: FloatArray) -> FloatArray:
        n_rows = len(answers)
        labels = self._rng.choice(len(self.coef), n_rows, p=self.weights)
        self.n_calls += n_rows
        self.labels.append(labels)
        y = answers[np.arange(n_rows), labels]
        if self.noise_std > 0:
            y = y + self.noise_std * self._rng.standard_normal(n_rows)
        return y
