"""What a private estimator is given besides its parameters, checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array

from sparsereg.backends.protocol import FloatArray
from sparsereg.privacy.aggregator import Aggregator

# Bounds within these give noise and products of four of them that are far inside of float64.
_LEAST_UNIT, _LARGEST_UNIT = 1e-30, 1e30


def check_units(x_radius: float, y_bound: float) -> None:
    """Refuse bounds whose products would leave the range of float64."""
    for name, bound in (("x_radius", x_radius), ("y_bound", y_bound)):
        if not _LEAST_UNIT <= bound <= _LARGEST_UNIT:
            raise ValueError(
                f"{name}={bound:g} is too extreme to compute with: its powers leave the range of "
                f"float64. Change the units, so that it is from {_LEAST_UNIT:g} to "
                f"{_LARGEST_UNIT:g}."
            )


def as_shards(reports: Any) -> list[Aggregator]:
    """Return aggregators as a list, whether one or several were given."""
    shards = [reports] if isinstance(reports, Aggregator) else reports
    if not isinstance(shards, list | tuple) or not shards:
        raise TypeError(
            f"reports is of type {type(reports).__name__}. Give an Aggregator or a list of them; "
            f"for private labels, give the public rows X, too."
        )
    if not all(isinstance(shard, Aggregator) for shard in shards):
        raise TypeError("Not all shards are an Aggregator. Sum reports with Aggregator.update.")
    return list(shards)


def checked_covariance(covariance: Any, n_features: int) -> FloatArray | None:
    """Return the covariance as a matrix, if there is one."""
    if covariance is None:
        return None
    if isinstance(covariance, str):
        return np.eye(n_features)
    matrix = check_array(covariance, dtype=np.float64, input_name="covariance")
    if matrix.shape != (n_features, n_features) or not np.allclose(matrix, matrix.T):
        raise ValueError(
            f"covariance has shape {matrix.shape}. It must be E[x x'], symmetric and of shape "
            f"({n_features}, {n_features})."
        )
    least, most = np.linalg.eigvalsh(matrix)[[0, -1]]
    if most <= 0 or least < -1e-8 * most:
        raise ValueError(
            f"covariance has the eigenvalue {least:.3g}, which no E[x x'] has. Estimate it by "
            f"X'X / n of centered rows, or repair it by sparsereg.privacy.nearest_psd."
        )
    if not _LEAST_UNIT**2 <= most <= _LARGEST_UNIT**2:
        raise ValueError(
            f"covariance has the eigenvalue {most:.3g}, which is too extreme to compute with. "
            f"Change the units of x, so that the largest one is from {_LEAST_UNIT**2:g} to "
            f"{_LARGEST_UNIT**2:g}."
        )
    return matrix
