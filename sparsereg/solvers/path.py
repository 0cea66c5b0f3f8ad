"""Regularization paths: one workspace, decreasing alphas, each started where the last one ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from scipy import sparse

from sparsereg.backends.protocol import FloatArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.driver import AnyWorkspace, null_model, prepare, solve
from sparsereg.solvers.look_ahead import LookAhead
from sparsereg.solvers.problem import LocalSolution, Solution, Stretch
from sparsereg.solvers.workspace import Workspace

# The alphas of a path on which everything is zero anyway, as in scikit-learn; there it is also
# the threshold, here the threshold is relative to the scale of X'y.
_SMALLEST_ALPHA = float(np.finfo(np.float64).resolution)


def solve_path(
    work: AnyWorkspace, penalty: ElasticNet, alphas: FloatArray, *, tol: float, max_iter: int
) -> Iterator[Stretch]:
    """Yield the solutions at the alphas, in the order given (decreasing is fast).

    They come in stretches, as they are found; the workspace is at the last solution of each.
    """
    remaining = alphas.tolist()
    prepare(work, penalty, len(alphas))
    ahead = LookAhead(work, penalty) if isinstance(work, Workspace) else None
    while remaining:
        if ahead is not None:
            before = len(remaining)
            for stretch in ahead.solve(remaining, tol=tol):
                del remaining[: len(stretch)]
                yield stretch
            if len(remaining) < before:
                continue
        alpha = remaining.pop(0)
        solution = solve(work, penalty.with_alpha(alpha), tol=tol, max_iter=max_iter, settle=True)
        if ahead is not None:
            ahead.saw(alpha, solution.n_iter)
        yield Stretch.of(solution, None if work.on_gram else work.residual)


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
    return alpha_max * eps ** np.linspace(0.0, 1.0, wanted)


class PathRecord:
    """The solutions of a path, kept as sparse columns: a path is mostly zeros.

    Parameters
    ----------
    shape : int or tuple of int
        Of one solution: n_features, or (n_tasks, n_features).
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self._shape = (shape,) if isinstance(shape, int) else shape
        self._stretches: list[Stretch] = []

    def __len__(self) -> int:
        return sum(map(len, self._stretches))

    def append(self, found: Stretch | Solution | LocalSolution) -> None:
        """Add the solution at the next alpha, or at several."""
        stretch = found if isinstance(found, Stretch) else Stretch.of(found)
        if stretch.residuals is not None:  # nobody asks a record for them
            stretch = replace(stretch, residuals=None)
        self._stretches.append(stretch)

    def follow(self, steps: Iterable[Stretch | Solution | LocalSolution]) -> Iterator[None]:
        """Add what a path finds; yield once for each alpha, to show how far it is."""
        for found in steps:
            self.append(found)
            for _ in range(len(self._stretches[-1])):
                yield

    @property
    def intercepts(self) -> list[Any]:
        """A float each, or an array of shape (n_tasks,)."""
        return [intercept for stretch in self._stretches for intercept in stretch.intercepts]

    @property
    def dual_gaps(self) -> list[float]:
        """The gap that was reached at each alpha."""
        return [gap for stretch in self._stretches for gap in stretch.dual_gaps.tolist()]

    @property
    def tolerances(self) -> list[float]:
        """The gap that was asked for at each alpha."""
        return [stretch.tolerance for stretch in self._stretches for _ in range(len(stretch))]

    @property
    def n_iters(self) -> list[int]:
        """The iterations that each alpha took."""
        return [n_iter for stretch in self._stretches for n_iter in stretch.n_iters.tolist()]

    @property
    def stalled(self) -> list[bool]:
        """Whether the gap stopped to fall before it was small enough."""
        return [stretch.stalled for stretch in self._stretches for _ in range(len(stretch))]

    def coef(self, index: int) -> FloatArray:
        """Return one solution."""
        for stretch in self._stretches:
            if index < len(stretch):
                return stretch.coef(index)
            index -= len(stretch)
        raise IndexError("The path has no such alpha.")

    def dense_coefs(self, dtype: np.dtype) -> np.ndarray:
        """Return all of them, alphas along the last axis; float64 if dtype is too small."""
        limit = np.finfo(dtype).max
        if dtype != np.float64 and any(np.any(np.abs(s.coefs) > limit) for s in self._stretches):
            dtype = np.dtype(np.float64)
        coefs = np.zeros((prod(self._shape), len(self)), dtype=dtype)
        start = 0
        for stretch in self._stretches:
            coefs[stretch.columns, start : start + len(stretch)] = stretch.coefs.T
            start += len(stretch)
        return coefs.reshape(*self._shape, len(self))

    def sparse_coefs(self) -> sparse.csc_array:
        """Return all of them, a sparse column per alpha; tasks lie one after another."""
        sizes, supports, values = [np.zeros(1, np.intp)], [np.empty(0, np.intp)], [np.empty(0)]
        for stretch in self._stretches:
            order = np.argsort(stretch.columns)
            coefs = stretch.coefs[:, order]
            rows, places = np.nonzero(coefs)
            sizes.append(np.bincount(rows, minlength=len(stretch)))
            supports.append(stretch.columns[order[places]])
            values.append(coefs[rows, places])
        return sparse.csc_array(
            (np.concatenate(values), np.concatenate(supports), np.cumsum(np.concatenate(sizes))),
            shape=(prod(self._shape), len(self)),
        )

    def first(self, n_alphas: int) -> PathRecord:
        """Return the record of the first alphas only."""
        record = PathRecord(self._shape)
        for stretch in self._stretches:
            record.append(stretch.first(max(n_alphas - len(record), 0)))
        return record
