"""What is minimized, and what came out: two plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
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


@dataclass
class Stretch:
    """Solutions at consecutive alphas of a path, zero outside of ``columns``: a row each.

    Attributes
    ----------
    shape : tuple of int
        Of one solution.
    columns : ndarray of int of shape (m,)
        Positions in a raveled solution.
    coefs : ndarray of shape (K, m)
    intercepts : ndarray of shape (K,) or (K, T)
    dual_gaps : ndarray of shape (K,)
    tolerance : float
        The gap that was asked for.
    n_iters : ndarray of int of shape (K,)
    stalled : bool
    residuals : ndarray of shape (K, n) or (K, n, T), or None
        What the solutions leave of the centered y; None where the Gram matrix makes do without.
    """

    shape: tuple[int, ...]
    columns: IndexArray
    coefs: FloatArray
    intercepts: npt.NDArray[Any]
    dual_gaps: FloatArray
    tolerance: float
    n_iters: npt.NDArray[np.int64]
    stalled: bool
    residuals: FloatArray | None = None

    @classmethod
    def of(cls, solution: Solution | LocalSolution, residual: FloatArray | None = None) -> Stretch:
        """Return one solution as a stretch of its own."""
        coef = solution.coef.ravel()
        support = np.flatnonzero(coef != 0)  # much faster than of the numbers
        return cls(
            shape=solution.coef.shape,
            columns=support,
            coefs=coef[None, support],
            intercepts=np.array([solution.intercept]),
            dual_gaps=np.array([solution.dual_gap]),
            tolerance=solution.tolerance,
            n_iters=np.array([solution.n_iter]),
            stalled=solution.stalled,
            residuals=None if residual is None else residual[None],
        )

    def __len__(self) -> int:
        return len(self.coefs)

    def first(self, n_alphas: int) -> Stretch:
        """Return the first of them."""
        if n_alphas >= len(self):
            return self
        return replace(
            self,
            coefs=self.coefs[:n_alphas],
            intercepts=self.intercepts[:n_alphas],
            dual_gaps=self.dual_gaps[:n_alphas],
            n_iters=self.n_iters[:n_alphas],
            residuals=None if self.residuals is None else self.residuals[:n_alphas],
        )

    def coef(self, k: int) -> FloatArray:
        """Return the coefficients of one of them."""
        coef = np.zeros(prod(self.shape))
        coef[self.columns] = self.coefs[k]
        return coef.reshape(self.shape)

    def solution(self, k: int) -> Solution:
        """Return one of them by itself; its history is its end."""
        gap, n_iter = float(self.dual_gaps[k]), int(self.n_iters[k])
        return Solution(
            coef=self.coef(k),
            intercept=self.intercepts[k],
            dual_gap=gap,
            tolerance=self.tolerance,
            n_iter=n_iter,
            converged=gap <= self.tolerance,
            stalled=self.stalled,
            history=(Step(n_iter, gap, self.columns.size),),
        )
