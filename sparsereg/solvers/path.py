"""Regularization paths: one workspace, decreasing alphas, each started where the last one ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sparsereg.backends.protocol import FloatArray, IndexArray
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
) -> Iterator[Solution | Stretch]:
    """Yield the solution at each alpha, in the order given (decreasing is fast).

    Those of several alphas come together where they are found together; the workspace is at the
    last of them.
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


class _Batch(NamedTuple):
    """Solutions that were found together: their entries one after another, the rest a row each."""

    sizes: npt.NDArray[np.intp]
    support: IndexArray
    values: FloatArray
    intercepts: Sequence[Any]
    dual_gaps: FloatArray
    tolerances: FloatArray
    n_iters: npt.NDArray[np.int64]
    stalled: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, found: Solution | LocalSolution | Stretch) -> _Batch:
        if isinstance(found, Stretch):
            order = np.argsort(found.columns)
            coefs = found.coefs[:, order]
            rows, places = np.nonzero(coefs != 0)  # much faster than of the numbers
            return cls(
                sizes=np.bincount(rows, minlength=len(found)),
                support=found.columns[order[places]],
                values=coefs[rows, places],
                intercepts=found.intercepts,
                dual_gaps=found.dual_gaps,
                tolerances=np.full(len(found), found.tolerance),
                n_iters=found.n_iters,
                stalled=np.zeros(len(found), dtype=bool),
            )
        coef = found.coef.ravel()
        support = np.flatnonzero(coef != 0)
        return cls(
            sizes=np.array([support.size]),
            support=support,
            values=coef[support],
            intercepts=[found.intercept],
            dual_gaps=np.array([found.dual_gap]),
            tolerances=np.array([found.tolerance]),
            n_iters=np.array([found.n_iter]),
            stalled=np.array([found.stalled]),
        )

    def first(self, n_alphas: int) -> _Batch:
        end = int(self.sizes[:n_alphas].sum())
        return _Batch(
            self.sizes[:n_alphas], self.support[:end], self.values[:end],
            *(values[:n_alphas] for values in self[3:]),
        )  # fmt: skip


class PathRecord:
    """The solutions of a path, kept as sparse columns: a path is mostly zeros.

    Parameters
    ----------
    shape : int or tuple of int
        Of one solution: n_features, or (n_tasks, n_features).
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self._shape = (shape,) if isinstance(shape, int) else shape
        self._batches: list[_Batch] = []
        self._n_alphas = 0

    def __len__(self) -> int:
        return self._n_alphas

    def append(self, found: Solution | LocalSolution | Stretch) -> None:
        """Add the solution at the next alpha, or the next alphas."""
        batch = _Batch.of(found)
        self._batches.append(batch)
        self._n_alphas += batch.sizes.size

    def follow(self, steps: Iterable[Solution | LocalSolution | Stretch]) -> Iterator[None]:
        """Add what a path finds; yield once for each alpha, to show how far it is."""
        for found in steps:
            before = len(self)
            self.append(found)
            for _ in range(before, len(self)):
                yield

    @property
    def intercepts(self) -> list[Any]:
        """A float each, or an array of shape (n_tasks,)."""
        return [intercept for batch in self._batches for intercept in batch.intercepts]

    @property
    def dual_gaps(self) -> list[float]:
        """The gap that was reached at each alpha."""
        return self._joined("dual_gaps", np.float64).tolist()

    @property
    def tolerances(self) -> list[float]:
        """The gap that was asked for at each alpha."""
        return self._joined("tolerances", np.float64).tolist()

    @property
    def n_iters(self) -> list[int]:
        """The iterations that each alpha took."""
        return self._joined("n_iters", np.int64).tolist()

    @property
    def stalled(self) -> list[bool]:
        """Whether the gap no longer fell at each alpha."""
        return self._joined("stalled", np.bool_).tolist()

    def _joined(self, name: str, dtype: type) -> np.ndarray:
        arrays = [getattr(batch, name) for batch in self._batches]
        return np.concatenate([np.empty(0, dtype), *arrays])

    @property
    def _sizes(self) -> npt.NDArray[np.intp]:
        return self._joined("sizes", np.intp)

    def coef(self, index: int) -> FloatArray:
        """Return one solution."""
        stop = np.cumsum(self._sizes)[index]
        entries = slice(stop - self._sizes[index], stop)
        coef = np.zeros(prod(self._shape))
        coef[self._joined("support", np.intp)[entries]] = self._joined("values", np.float64)[entries]
        return coef.reshape(self._shape)

    def dense_coefs(self, dtype: np.dtype) -> np.ndarray:
        """Return all of them, alphas along the last axis; float64 if dtype is too small."""
        rows, values = self._joined("support", np.intp), self._joined("values", np.float64)
        if np.max(np.abs(values), initial=0.0) > np.finfo(dtype).max:
            dtype = np.dtype(np.float64)
        coefs = np.zeros((prod(self._shape), len(self)), dtype=dtype)
        coefs[rows, np.repeat(np.arange(len(self)), self._sizes)] = values
        return coefs.reshape(*self._shape, len(self))

    def sparse_coefs(self) -> sparse.csc_array:
        """Return all of them, a sparse column per alpha; tasks lie one after another."""
        indptr = np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.intp)
        return sparse.csc_array(
            (self._joined("values", np.float64), self._joined("support", np.intp), indptr),
            shape=(prod(self._shape), len(self)),
        )

    def first(self, n_alphas: int) -> PathRecord:
        """Return the record of the first alphas only."""
        record = PathRecord(self._shape)
        for batch in self._batches:
            part = batch.first(n_alphas - len(record))
            record._batches.append(part)
            record._n_alphas += part.sizes.size
        return record
