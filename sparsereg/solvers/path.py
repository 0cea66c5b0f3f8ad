"""Regularization paths: one workspace, decreasing alphas, each started where the last one ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np
from scipy import sparse

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.driver import AnyWorkspace, null_model, prepare, solve
from sparsereg.solvers.look_ahead import LookAhead
from sparsereg.solvers.problem import Solution
from sparsereg.solvers.workspace import Workspace

# The alphas of a path on which everything is zero anyway, as in scikit-learn; there it is also
# the threshold, here the threshold is relative to the scale of X'y.
_SMALLEST_ALPHA = float(np.finfo(np.float64).resolution)


def solve_path(
    work: AnyWorkspace, penalty: ElasticNet, alphas: FloatArray, *, tol: float, max_iter: int
) -> Iterator[Solution]:
    """Yield the solution at each alpha, in the order given (decreasing is fast)."""
    remaining = alphas.tolist()
    prepare(work, penalty, len(alphas))
    ahead = LookAhead(work, penalty) if isinstance(work, Workspace) else None
    while remaining:
        if ahead is not None:
            before = len(remaining)
            for solution in ahead.solve(remaining, tol=tol):
                del remaining[0]
                yield solution
            if len(remaining) < before:
                continue
        alpha = remaining.pop(0)
        solution = solve(work, penalty.with_alpha(alpha), tol=tol, max_iter=max_iter, settle=True)
        if ahead is not None:
            ahead.saw(alpha, solution.n_iter)
        yield solution


def alpha_grid(
    work: AnyWorkspace, penalty: ElasticNet, wanted: int | FloatArray, eps: float
) -> FloatArray:
    """Return the alphas that were given, or a geometric grid of ``wanted`` of them.

    The grid goes from alpha_max down to ``eps * alpha_max``, where alpha_max is the smallest alpha
    at which every penalized coefficient is zero; the workspace is then left at that null model.

    Raises
    ------
    ValueError
        If a grid is wanted and the penalty has no l1 part: no alpha makes the coefficients zero.
    """
    if not isinstance(wanted, int):
        return wanted
    if penalty.l1_ratio == 0:
        raise ValueError(
            "Automatic alpha grid generation is not supported for l1_ratio=0. Please supply a grid "
            "by providing your estimator with the appropriate `alphas=` argument."
        )
    null_model(work, penalty)
    alpha_max = penalty.alpha_max(-work.gradient)
    scale = np.sqrt(np.max(work.design.sqnorms, initial=0.0) * work.sq_y)
    if alpha_max <= _SMALLEST_ALPHA * scale:
        return np.full(wanted, _SMALLEST_ALPHA)
    return np.geomspace(alpha_max, alpha_max * eps, num=wanted)


class PathRecord:
    """The solutions of a path, kept as sparse columns: a path is mostly zeros.

    Parameters
    ----------
    shape : int or tuple of int
        Of one solution: n_features, or (n_tasks, n_features).

    Attributes
    ----------
    intercepts : list of float, or of ndarray of shape (n_tasks,)
    dual_gaps, tolerances : list of float
    n_iters : list of int
    stalled : list of bool
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self._shape = (shape,) if isinstance(shape, int) else shape
        self._supports: list[IndexArray] = []
        self._values: list[FloatArray] = []
        self.intercepts: list[Any] = []
        self.dual_gaps: list[float] = []
        self.tolerances: list[float] = []
        self.n_iters: list[int] = []
        self.stalled: list[bool] = []

    def __len__(self) -> int:
        return len(self._supports)

    @property
    def _sizes(self) -> list[int]:
        return [support.size for support in self._supports]

    def append(self, solution: Solution) -> None:
        """Add the solution at the next alpha."""
        coef = solution.coef.ravel()
        support = np.flatnonzero(coef != 0)  # much faster than of the numbers
        self._supports.append(support)
        self._values.append(coef[support])
        self.intercepts.append(solution.intercept)
        self.dual_gaps.append(solution.dual_gap)
        self.tolerances.append(solution.tolerance)
        self.n_iters.append(solution.n_iter)
        self.stalled.append(solution.stalled)

    def coef(self, index: int) -> FloatArray:
        """Return one solution."""
        coef = np.zeros(prod(self._shape))
        coef[self._supports[index]] = self._values[index]
        return coef.reshape(self._shape)

    def dense_coefs(self, dtype: np.dtype) -> np.ndarray:
        """Return all of them, alphas along the last axis; float64 if dtype is too small."""
        rows, values = _joined(self._supports, np.intp), _joined(self._values, np.float64)
        if np.max(np.abs(values), initial=0.0) > np.finfo(dtype).max:
            dtype = np.dtype(np.float64)
        coefs = np.zeros((prod(self._shape), len(self)), dtype=dtype)
        coefs[rows, np.repeat(np.arange(len(self)), self._sizes)] = values
        return coefs.reshape(*self._shape, len(self))

    def sparse_coefs(self) -> sparse.csc_array:
        """Return all of them, a sparse column per alpha; tasks lie one after another."""
        indptr = np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.intp)
        return sparse.csc_array(
            (_joined(self._values, np.float64), _joined(self._supports, np.intp), indptr),
            shape=(prod(self._shape), len(self)),
        )

    def first(self, n_alphas: int) -> PathRecord:
        """Return the record of the first alphas only."""
        record = PathRecord(self._shape)
        record._supports, record._values = self._supports[:n_alphas], self._values[:n_alphas]
        for name in ("intercepts", "dual_gaps", "tolerances", "n_iters", "stalled"):
            setattr(record, name, getattr(self, name)[:n_alphas])
        return record


def _joined(arrays: Iterable[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *arrays])
