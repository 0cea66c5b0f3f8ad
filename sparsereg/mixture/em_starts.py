"""Where expectation-maximization starts: second moments of the data, or random directions.

For columns z of mean 0 and variance 1 that are close to Gaussian,

    mean(y^2 z z') - mean(y^2) I  =  2 sum_r pi_r b_r b_r',

so that its leading eigenvectors span the coefficients, and its diagonal says in which columns they
are. Directions in that span are tried together, by how much of y each pair explains.

Source: spectral starts as in Yi, Caramanis and Sanghavi, "Alternating minimization for mixed linear
regression", ICML 2014, on screened columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.mixture.em import EMData, Mixture

# Columns that a spectral start looks at, at most, and the directions it tries.
_SCREENED, _DIRECTIONS = 100, 24


def make_starts(
    data: EMData,
    n_components: int,
    n_init: int,
    rng: np.random.RandomState,
    *,
    spectral: bool,
    n_nonzero: int | None,
) -> Iterator[Mixture]:
    """Yield a spectral start, if wanted, and random ones.

    Random starts draw coefficients, not rows, so that a row of weight 2 is two rows.
    """
    center = float(data.sample_weight @ data.y) / data.y.size if data.fit_intercept else 0.0
    scale = max(data.var_y, data.floor) ** 0.5
    p = data.design.shape[1]
    means, deviations = _moments(data)
    # as many as the covariance of the columns can be trusted for, unless the size is known
    width = 2 * n_components * n_nonzero if n_nonzero else _SCREENED
    screened = _screen(data, center, means, deviations, min(width, p))

    def start(directions: FloatArray) -> Mixture:
        coef = np.zeros((n_components, p))
        coef[:, screened] = directions / deviations[screened]
        intercept = center - coef[:, screened] @ means[screened]
        return Mixture(
            coef, intercept if data.fit_intercept else np.zeros(n_components),
            np.full(n_components, 1.0 / n_components), np.full(n_components, scale**2),
        )  # fmt: skip

    if spectral and n_components > 1:
        yield start(_spectral(data, center, means, deviations, screened, n_components, rng, scale))
        n_init -= 1
    for _ in range(max(n_init, 1) if n_components == 1 or not spectral else n_init):
        directions = rng.standard_normal((n_components, screened.size))
        directions *= scale / np.linalg.norm(directions, axis=1, keepdims=True)
        yield start(directions)


def _moments(data: EMData) -> tuple[FloatArray, FloatArray]:
    """Return means (zero without intercepts) and positive standard deviations of the columns."""
    weighted = data.backend.design(data.X, data.sample_weight, data.fit_intercept)
    deviations = np.sqrt(weighted.sqnorms)
    return weighted.means, np.where(deviations > 0, deviations, np.inf)


def _screen(
    data: EMData, center: float, means: FloatArray, deviations: FloatArray, size: int
) -> IndexArray:
    """Return the columns whose squares go with that of y: those with coefficients, on average."""
    n = data.y.size
    squares = data.sample_weight * (data.y - center) ** 2
    X = data.X
    plain = squares @ (np.square(X, dtype=float) if isinstance(X, np.ndarray) else X.multiply(X))
    cross = squares @ X
    second = (plain - 2.0 * means * cross + means**2 * squares.sum()) / n
    linear = (data.sample_weight * (data.y - center)) @ X / n
    linear = linear - means * float(data.sample_weight @ (data.y - center)) / n
    score = np.abs(second / deviations**2 - squares.sum() / n) + np.abs(linear) / deviations
    score = np.where(np.isfinite(deviations), np.asarray(score).ravel(), -1.0)
    return np.sort(np.argsort(-score, kind="stable")[:size])


def _spectral(
    data: EMData,
    center: float,
    means: FloatArray,
    deviations: FloatArray,
    screened: IndexArray,
    n_components: int,
    rng: np.random.RandomState,
    scale: float,
) -> FloatArray:
    """Return directions in the span of the coefficients that explain y best, one row each.

    The matrix mean(y^2 z z') - mean(y^2) I of standardized columns z has that span on top.
    """
    n = data.y.size
    y, weights = data.y - center, data.sample_weight
    Z = (data.columns(screened) - means[screened]) / deviations[screened]
    second = (Z * (weights * y**2)[:, None]).T @ Z / n
    second -= float(weights @ y**2) / n * np.eye(len(screened))
    rank = min(n_components, len(screened))
    basis = np.linalg.eigh(second)[1][:, -rank:]
    largest = np.take_along_axis(basis, np.argmax(np.abs(basis), axis=0)[None], axis=0)
    basis = basis * np.where(largest < 0, -1.0, 1.0)  # signs are arbitrary, starts should not be
    if rank == 2:
        angle = np.arange(_DIRECTIONS) * 2.0 * np.pi / _DIRECTIONS
        around = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        around = rng.standard_normal((4 * _DIRECTIONS, rank))
        around /= np.linalg.norm(around, axis=1, keepdims=True)
    directions = scale * around @ basis.T
    squares = (y[:, None] - Z @ directions.T) ** 2
    chosen = _best_together(squares, weights, n_components)
    return directions[chosen]


def _best_together(squares: FloatArray, weights: FloatArray, k: int) -> list[int]:
    """Choose k columns whose smallest entries per row have the least sum: greedy, then swaps."""

    def cost(chosen: list[int]) -> FloatArray:
        rest = np.min(squares[:, chosen], axis=1) if chosen else np.full(len(squares), np.inf)
        return weights @ np.minimum(squares, rest[:, None])

    chosen: list[int] = []
    for _ in range(k):
        chosen.append(int(np.argmin(cost(chosen))))
    for _ in range(5):
        before = list(chosen)
        for place in range(k):
            others = chosen[:place] + chosen[place + 1 :]
            chosen[place] = int(np.argmin(cost(others)))
        if chosen == before:
            break
    return chosen
