"""What is minimized, and what came out: two plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.losses import Squared
from sparsereg.penalties.base import Penalty
from sparsereg.penalties.l0 import L0Constraint


@dataclass(frozen=True)
class Problem:
    """min over (w, b) of loss(y, X w + b) + penalty(w).

    Attributes
    ----------
    X : matrix of shape (n, p)
        As the backend reads it; never modified.
    y : ndarray of shape (n,), or (n, T) for T tasks that share their features
    loss, penalty : parameter objects
    sample_weight : ndarray of shape (n,) or None
        Normalized to sum n.
    fit_intercept : bool
        Whether b is free or zero.
    """

    X: Any
    y: FloatArray
    penalty: Penalty | L0Constraint
    loss: Squared
    sample_weight: FloatArray | None = None
    fit_intercept: bool = True


class Step(NamedTuple):
    """One line of the history of a solve."""

    n_iter: int
    dual_gap: float
    working_set_size: int


@dataclass(frozen=True)
class Solution:
    """What a driver returns.

    Attributes
    ----------
    coef : ndarray of shape (p,) or (T, p)
    intercept : float or ndarray of shape (T,)
    dual_gap : float
        Proven upper bound on how far the objective is above its minimum.
    tolerance : float
        The gap that was asked for, in the same units.
    n_iter : int
        Steps taken: coordinate-descent epochs and active-set changes.
    converged : bool
        Whether dual_gap <= tolerance.
    stalled : bool
        Whether it stopped because passes over X no longer brought anything, not for their number.
    history : tuple of Step
        The gap after each pass over X.
    """

    coef: FloatArray
    intercept: Any
    dual_gap: float
    tolerance: float
    n_iter: int
    converged: bool
    stalled: bool
    history: tuple[Step, ...]


@dataclass(frozen=True)
class Stretch:
    """Solutions at consecutive alphas of a path, zero outside of ``columns``: a row each.

    Attributes
    ----------
    n_features : int
    columns : ndarray of int of shape (m,)
    coefs : ndarray of shape (K, m)
    intercepts, dual_gaps : ndarray of shape (K,)
    tolerance : float
        All the gaps are at most this.
    n_iters : ndarray of int of shape (K,)
    residuals : ndarray of shape (K, n) or None
        What they leave of the centered y; None if the Gram matrix made it unnecessary.
    """

    n_features: int
    columns: IndexArray
    coefs: FloatArray
    intercepts: FloatArray
    dual_gaps: FloatArray
    tolerance: float
    n_iters: npt.NDArray[np.int64]
    residuals: FloatArray | None

    def __len__(self) -> int:
        return len(self.coefs)

    def solution(self, k: int) -> Solution:
        """Return one of them by itself."""
        coef = np.zeros(self.n_features)
        coef[self.columns] = self.coefs[k]
        return Solution(
            coef=coef,
            intercept=float(self.intercepts[k]),
            dual_gap=float(self.dual_gaps[k]),
            tolerance=self.tolerance,
            n_iter=int(self.n_iters[k]),
            converged=True,
            stalled=False,
            history=(Step(int(self.n_iters[k]), float(self.dual_gaps[k]), self.columns.size),),
        )


class Stage(NamedTuple):
    """One line of the history of a non-convex solve: the best point after a stage."""

    stage: str
    n_iter: int
    objective: float
    stationarity: float


@dataclass(frozen=True)
class LocalSolution:
    """What the drivers of non-convex problems return.

    Attributes
    ----------
    coef : ndarray of shape (p,)
    intercept : float
    objective : float
        Loss plus penalty.
    stationarity : float
        Zero if no change of a single coefficient lowers the objective; see
        :mod:`sparsereg.solvers.coordinate_minimum`.
    tolerance : float
        The stationarity that was asked for.
    n_iter : int
        Steps taken: coordinate-descent epochs, Newton steps, active-set changes.
    converged : bool
        Whether stationarity <= tolerance.
    stalled : bool
        Whether it stopped because passes over X no longer brought anything, not for their number.
    history : tuple of Stage
        The best objective after each stage: it never rises.
    """

    coef: FloatArray
    intercept: float
    objective: float
    stationarity: float
    tolerance: float
    n_iter: int
    converged: bool
    stalled: bool
    history: tuple[Stage, ...] = ()

    @property
    def dual_gap(self) -> float:
        """The certificate under the name that records of paths have for it: the stationarity."""
        return self.stationarity
