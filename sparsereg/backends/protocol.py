"""What a backend must do; what only one family asks of it is in the files beside this one.

A backend owns arithmetic and nothing else: it does not validate, it does not decide when to stop.
The drivers in :mod:`sparsereg.solvers` are written once against this protocol.

Notation, used by every backend: n rows, p columns, row weights s >= 0 with sum n, column means
m_j = sum_i s_i x_ij / n (zero without an intercept). Centering is implicit: no primitive ever
writes to X or materializes X - m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol_l0 import KnownRows, SubsetPrimitives, SupportFit
from sparsereg.backends.protocol_mixture import (
    Balls,
    MixturePrimitives,
    Peeled,
    QueryGraph,
    ReadSets,
)
from sparsereg.backends.protocol_patterns import PatternPrimitives
from sparsereg.backends.protocol_privacy import ReportPrimitives

__all__ = [
    "ActiveSet", "Backend", "Balls", "Design", "FewRowsPath", "FewRowsRules", "FloatArray",
    "IndexArray", "KernelForm",
    "KnownRows", "Peeled", "QueryGraph", "ReadSets", "SupportFit",
]  # fmt: skip

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


class KernelForm(NamedTuple):
    """A separable penalty as kernels see it.

    Attributes
    ----------
    kind : int
        Which scalar formulas to use; see :class:`sparsereg.penalties.base.Kind`.
    params : ndarray of shape (4,)
        The parameters of that kind; unused ones are zero.
    weights : ndarray of shape (p,)
        Non-negative factor of the penalty of each column; ``inf`` means that it stays zero.
    scales : ndarray of shape (p,) or (0,)
        Positive factor of the coefficient of each column inside the penalty; empty if all are one.
    """

    kind: int
    params: FloatArray
    weights: FloatArray
    scales: FloatArray

    def at(self, columns: IndexArray) -> KernelForm:
        """Return the form of some of the columns."""
        scales = self.scales[columns] if self.scales.size else self.scales
        return self._replace(weights=self.weights[columns], scales=scales)


class Design(Protocol):
    """X prepared by a backend: the matrix as its kernels read it, and its column moments."""

    @property
    def shape(self) -> tuple[int, int]:
        """n, p."""

    @property
    def is_sparse(self) -> bool:
        """Whether a column has fewer than n stored entries."""

    @property
    def nnz(self) -> int:
        """Number of stored entries."""

    def nnz_of(self, columns: IndexArray) -> int:
        """Return the number of stored entries of some columns."""

    @property
    def sample_weight(self) -> FloatArray | None:
        """The row weights s, None if they are all one."""

    @property
    def means(self) -> FloatArray:
        """The column means m."""

    @property
    def sqnorms(self) -> FloatArray:
        """The squared norms ``sum_i s_i (x_ij - m_j)^2 / n``."""


@dataclass
class ActiveSet:
    """The active columns of a homotopy and the Cholesky factor of their Gram matrix.

    Attributes
    ----------
    factor : ndarray of shape (c (c + 1) / 2,)
        The rows of an upper triangle one after another, row i from its diagonal on with room for
        ``c - i`` numbers; those of the first ``n_active`` rows and columns are set.
    active : ndarray of shape (c,)
        Positions of the active columns.
    sign : ndarray of shape (m,)
        Sign of each active column's coefficient.
    n_active : int
        -1 while the factor belongs to no point.
    """

    factor: FloatArray
    active: IndexArray
    sign: FloatArray
    n_active: int = -1

    @classmethod
    def with_room(cls, room: int, n_columns: int) -> ActiveSet:
        """Return one that belongs to no point, with room for so many active columns."""
        factor = np.empty(room * (room + 1) // 2)
        return cls(factor, np.zeros(room, dtype=np.int64), np.zeros(n_columns))


class FewRowsProblem(NamedTuple):
    """An elastic-net problem on dense X of few rows, and the duality gap to reach.

    Attributes
    ----------
    design : Design
    y : ndarray of shape (n,)
        Centered if ``centered``.
    centered : bool
    l1, l2 : ndarray of shape (p,)
        Strengths, those of a path at level 1.
    positive : bool
    max_rank : int
        Of the centered X.
    goal : float
    noise, scale_y : float
        What rounding does to gaps: see :mod:`sparsereg.solvers.duality`.
    """

    design: Any
    y: FloatArray
    centered: bool
    l1: FloatArray
    l2: FloatArray
    positive: bool
    max_rank: int
    goal: float
    noise: float
    scale_y: float


class FewRowsRules(NamedTuple):
    """How :mod:`sparsereg.solvers.look_ahead` goes ahead, for ``few_rows_path``.

    Attributes
    ----------
    nearly : float
        Columns whose gradient is expected at this share of its bound are taken in.
    far, far_share : float
        Columns at zero below this share are dropped, if they are such a share of the pool.
    inside : float
        What stays below this share of its bound is within it.
    most_at_once, attempts, few : int
        Alphas at once; walks from where columns were missing; and how many of these may be.
    """

    nearly: float
    far: float
    far_share: float
    inside: float
    most_at_once: int
    attempts: int
    few: int


class FewRowsPath(NamedTuple):
    """Solutions at the first K of some levels.

    Attributes
    ----------
    starts : ndarray of int of shape (K + 1,)
        Where the nonzero coefficients of each begin.
    features : ndarray of int, values : ndarray
        The nonzero coefficients, one solution after another.
    residuals : ndarray of shape (K, n)
    gaps : ndarray of shape (K,)
    events : ndarray of int of shape (K,)
        Active-set changes.
    """

    starts: IndexArray
    features: IndexArray
    values: FloatArray
    residuals: FloatArray
    gaps: FloatArray
    events: npt.NDArray[np.int64]


class FewRowsFit(NamedTuple):
    """How a fit went: at the start, and after each pass over X at the final bounds.

    Attributes
    ----------
    gaps : ndarray of shape (K,)
    events, sizes : ndarray of int of shape (K,)
        Active-set changes until then, and columns in the pool.
    """

    gaps: FloatArray
    events: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


@runtime_checkable
class Backend(SubsetPrimitives, ReportPrimitives, MixturePrimitives, PatternPrimitives, Protocol):
    """The primitives of the hot loops. All vectors are float64, whatever X is stored in."""

    name: str
    #: Whether a pass over X costs the same for many residuals: solves on one X then share passes.
    shares_passes: bool

    def available(self) -> tuple[bool, str]:
        """Whether this backend can run here and, if not, why and what would help."""

    def owns(self, X: Any) -> bool:
        """Whether X is an array of this backend, so that "auto" chooses it."""

    def asarray(self, values: Any) -> Any:
        """Return a matrix in float64 and C order where ``gram_cd_batch`` reads it."""

    def to_host(self, values: Any) -> npt.NDArray[Any]:
        """Return an array of this backend as a NumPy array."""

    def design(self, X: Any, sample_weight: FloatArray | None, center: bool) -> Design:
        """Prepare X: wrap it without copying, and compute column means and squared norms.

        ``sqnorms[j] = sum_i s_i (x_ij - m_j)^2 / n``, exactly zero for constant columns.
        """

    def part_design(self, design: Design, sample_weight: FloatArray | None, center: bool) -> Design:
        """Do what ``design`` does for the X of another design, which is not copied."""

    def reweighted(
        self,
        design: Design,
        sample_weight: FloatArray | None,
        means: FloatArray,
        sqnorms: FloatArray,
    ) -> Design:
        """Return the same X with other row weights, whose column moments are known."""

    def take_rows(self, design: Design, rows: IndexArray) -> Any:
        """Return some rows of a dense X in float64, not centered, as this backend stores X."""

    def xtr(
        self, design: Design, residual: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        """Return ``sum_i s_i (x_ij - m_j) r_i / n`` for every column j, or for those given."""

    def fitted(self, design: Design, columns: IndexArray, coef: FloatArray) -> FloatArray:
        """Return ``(X[:, columns] - m[columns]) @ coef``."""

    def xtr_tasks(
        self, design: Design, residuals: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        """Do what ``xtr`` does for each row of residuals: (T, n) to (T, p), in one pass over X."""

    def xtr_together(
        self, designs: Sequence[Design], residuals: Sequence[FloatArray]
    ) -> list[FloatArray]:
        """Do what ``xtr_tasks`` does for several designs, in one pass over the X they share."""

    def fitted_tasks(self, design: Design, columns: IndexArray, coef: FloatArray) -> FloatArray:
        """Do what ``fitted`` does for each row of coefficients: (T, k) to (T, n)."""

    def fitted_rows(
        self, design: Design, rows: IndexArray, columns: IndexArray, coef: FloatArray
    ) -> FloatArray:
        """Do what ``fitted_tasks`` does, at some rows of a dense X: (T, k) to (T, len(rows))."""

    def pack(self, design: Design, columns: IndexArray) -> FloatArray:
        """Return ``sqrt(s)_i (x_ij - m_j)`` for the given columns, dense, of shape (n, k)."""

    def gram(
        self, design: Design, columns: IndexArray, n_new: int, rough: bool = False
    ) -> FloatArray:
        """Return ``sum_i s_i (x_ia - m_a)(x_ib - m_b) / n``, a in columns, b in the last n_new.

        ``rough`` allows the error of single precision, where that is faster.
        """

    def gram_cd(
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_epochs: int,
        tol: float,
    ) -> tuple[int, float]:
        """Cyclic coordinate descent in covariance form on the first m columns, in place.

        ``gradient`` is the negative gradient ``X'(s r)/n`` on the working set and follows
        ``coef``. Stops when no step of an epoch changes the objective by more than tol; returns
        the number of epochs and the largest ``L_j delta_j^2`` of the last one.
        """

    def gram_cd_batch(
        self,
        gram: FloatArray,
        correlations: FloatArray,
        sq_norms: FloatArray,
        coefs: FloatArray,
        form: KernelForm,
        max_epochs: int,
        targets: FloatArray,
        rounding: float,
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Solve B problems with one Gram matrix, in place: rows of ``coefs``, of shape (B, m).

        Problem b is ``sq_norms[b] / 2 - correlations[b] @ w + w @ gram @ w / 2 + penalty(w)``. By
        cyclic coordinate descent until its certificate is at most ``targets[b]``: the duality gap
        of an elastic net (``rounding`` as in ``dual_gaps``), else the largest coordinate gain.
        Returns the certificates and the numbers of epochs. Arrays are of this backend.
        """

    def gram_block_cd(
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_epochs: int,
        tol: float,
    ) -> tuple[int, float]:
        """Do what ``gram_cd`` does, with the penalty on the norms of the columns.

        ``gradient`` and ``coef``, of shape (T, m), have a row per task; a step moves a column.
        """

    def residual_cd(
        self,
        design: Design,
        columns: IndexArray,
        residual: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_epochs: int,
        tol: float,
    ) -> tuple[int, float]:
        """Cyclic coordinate descent in residual form: O(nnz of the column) a step.

        Changes ``coef`` (the coefficients of ``columns``) in place; ``residual`` follows, except in
        rows of zero weight.
        """

    def dual_gaps(
        self,
        coefs: FloatArray,
        gradients: FloatArray,
        levels: FloatArray,
        l1: FloatArray,
        l2: FloatArray,
        curvatures: FloatArray,
        positive: bool,
        sq_residuals: FloatArray,
        scale_y: float,
        rounding: float,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the elastic-net duality gaps of points, and the dual scales they are reached at.

        A row of ``coefs`` and ``gradients`` is a point; its strengths are l1 and l2 times its
        level. The formula is in :mod:`sparsereg.solvers.duality`. A gradient above its bound by
        less than ``rounding`` times the norms it was computed from counts as feasible; ``scale_y``
        is ||y||_s / sqrt(n).
        """

    def within_reach(
        self,
        known: FloatArray,
        gradients: FloatArray,
        points: FloatArray,
        lengths: FloatArray,
        levels: FloatArray,
        l1: FloatArray,
        positive: bool,
        rounding: float,
    ) -> npt.NDArray[np.bool_]:
        """Return for each column whether its gradient may leave its bound at one of the points.

        ``known`` of shape (m, n) are residuals with ``gradients`` of shape (m, p), ``points`` of
        shape (K, n) others, all times the roots of the weights. The bounds at point k are
        ``levels[k] * l1``; ``lengths`` are ||x_j||_s / sqrt(n). See :mod:`sparsereg.solvers.reach`;
        ``rounding`` is the error of a gradient relative to the norms it was computed from.
        """

    def coordinate_gains(
        self, coef: FloatArray, gradient: FloatArray, curvatures: FloatArray, form: KernelForm
    ) -> FloatArray:
        """Return how far the objective falls when one coefficient moves to its best value.

        An entry for each coefficient, the others held; never negative. ``gradient`` is the negative
        gradient and ``curvatures`` the second derivatives of the loss.
        """

    def gram_move(
        self, gram: FloatArray, gradient: FloatArray, columns: IndexArray, step: FloatArray
    ) -> None:
        """Make ``gradient``, of shape (m,), follow a step of some coefficients, in place."""

    def gram_go_down(
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        params: FloatArray,
        max_rank: int,
        goal: float,
    ) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
        """Descend under one set of penalty parameters after another, each from the last minimum.

        Parameters
        ----------
        gram : ndarray of shape (>= m, >= m)
        gradient, coef : ndarray of shape (m,)
            The start; changed in place.
        form : KernelForm
            Of the m columns; its params are not used.
        params : ndarray of shape (K, 4)
        max_rank : int
            Supports larger than this have a singular Gram matrix, and no Newton step.
        goal : float
            Stop when no step of a sweep, squared and times its curvature, is larger.

        Returns
        -------
        coefs, gradients : ndarray of shape (K, m)
        steps : ndarray of shape (K,)
            Sweeps and Newton steps.
        """

    def gram_look_back(
        self,
        gram: FloatArray,
        slopes: FloatArray,
        coefs: FloatArray,
        gradients: FloatArray,
        form: KernelForm,
        params: FloatArray,
        max_rank: int,
        rough: float,
        goal: float,
        lower: float,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Replace minima, in place, by lower ones that descent reaches from a neighbor.

        Parameters are those of :meth:`gram_go_down`, and:

        Parameters
        ----------
        slopes : ndarray of shape (m,)
            The gradient where all coefficients are zero.
        coefs, gradients : ndarray of shape (K, m)
        rough : float
            The goal of a look; what is kept goes on to ``goal``.
        lower : float
            Share by which the objective must be lower.

        Returns
        -------
        steps : ndarray of shape (K,)
        changed : ndarray of bool, of shape (K,)
        """

    def gram_reweight(
        self,
        gram: FloatArray,
        correlation: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_rounds: int,
        settled: float,
    ) -> int:
        """Solve lassos weighted by the slopes of the relaxed penalty until these settle.

        Parameters
        ----------
        gram : ndarray of shape (>= m, >= m)
        correlation : ndarray of shape (m,)
            The negative gradient where all coefficients are zero.
        coef : ndarray of shape (m,)
            The start; changed in place.
        form : KernelForm
            Of the m columns; any sign is allowed.
        max_rounds : int
            Weighted lassos at most.
        settled : float
            Move of a coefficient times the norm of its column that ends it.

        Returns
        -------
        int
            The number of weighted lassos.
        """

    def gram_split(
        self,
        gram: FloatArray,
        correlation: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_steps: int,
        settled: float,
    ) -> int:
        """Take forward-backward steps until they settle; parameters as above. Returns the steps."""

    def penalty_terms(
        self, coef: FloatArray, form: KernelForm
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return value, derivative and second derivative of the penalty of each coefficient.

        Derivatives are with respect to its size, and at zero from the right.
        """

    def homotopy(
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        l1: FloatArray,
        l2: FloatArray,
        free: npt.NDArray[np.bool_],
        positive: bool,
        max_rank: int,
        max_events: int,
        jitter: float,
        state: ActiveSet,
    ) -> tuple[bool, int]:
        """Move ``coef`` to the exact elastic-net solution on the first m columns of ``gram``.

        In place, with ``gradient`` following; ``gram`` may be larger than the m of the vectors.
        A positive ``jitter`` breaks the ties that can make an active-set method cycle.
        Returns whether the end was reached, and the number of active-set changes. Runs on the
        host.
        """

    def homotopy_path(
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        l1: FloatArray,
        levels: FloatArray,
        free: npt.NDArray[np.bool_],
        positive: bool,
        max_rank: int,
        max_events: int,
        max_active: int,
        state: ActiveSet,
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Do what ``homotopy`` does for the bounds ``level * l1`` of each level, without l2.

        Returns the solutions, a row per level, and the active-set changes of each: of those before
        more than ``max_active`` columns are active, or before a failure.
        """

    def few_rows_path(
        self,
        problem: FewRowsProblem,
        may_move: npt.NDArray[np.bool_],
        levels: FloatArray,
        at_once: int,
        known_levels: FloatArray,
        residuals: FloatArray,
        gradients: FloatArray,
        coef: FloatArray,
        rules: FewRowsRules,
    ) -> FewRowsPath:
        """Solve at decreasing levels of the bounds.

        Starts at the last of two solutions, with the coefficients ``coef`` of shape (p,); what they
        leave is in ``residuals`` and ``gradients``, a row each. All are overwritten by those of the
        last solutions found. Ends where a level does not reach the goal. Not called where
        ``shares_passes`` is True.
        """

    def few_rows_fit(
        self,
        problem: FewRowsProblem,
        coef: FloatArray,
        residual: FloatArray,
        gradient: FloatArray,
        max_passes: int,
        good_start: float,
    ) -> FewRowsFit | None:
        """Solve from a point on; l1 is positive, and infinite where a coefficient may not move.

        ``coef``, ``residual`` and ``gradient`` of shape (p,), (n,), (p,) are overwritten by those
        of the solution. A start with the gap ``good_start`` is left as it is. Returns None where
        the goal is not reached in so many passes over X; the three then mean nothing. Not called
        where ``shares_passes`` is True.
        """

    def active_set_path(
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        fixed: FloatArray,
        slope: FloatArray,
        levels: FloatArray,
        stride: float,
        l2: FloatArray,
        free: npt.NDArray[np.bool_],
        positive: bool,
        max_rank: int,
        state: ActiveSet,
    ) -> tuple[FloatArray, npt.NDArray[np.int64], float]:
        """Do what ``homotopy`` does for the bounds of one level after another, by Newton steps.

        The bounds are ``fixed + level * slope``. ``coef`` is the solution at the first level, and
        the state belongs to it; a step goes down by at most ``stride`` in the logarithm of the
        level. Returns the solutions at the other levels, a row for each, the active-set changes of
        each, and the level that coef reached. If the steps diverge before the last level, the state
        belongs to nothing. Runs on the host.
        """
