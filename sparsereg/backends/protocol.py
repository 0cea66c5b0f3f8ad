"""What a backend must do.

A backend owns arithmetic and nothing else: it does not validate, it does not decide when to stop.
The drivers in :mod:`sparsereg.solvers` are written once against this protocol.

Notation, used by every backend: n rows, p columns, row weights s >= 0 with sum n, column means
m_j = sum_i s_i x_ij / n (zero without an intercept). Centering is implicit: no primitive ever
writes to X or materializes X - m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

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
    factor : ndarray of shape (c, c)
        Upper triangle of the first ``n_active`` rows and columns.
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


class QueryGraph(NamedTuple):
    """The random graph of sparse queries: numbers from which everything about it is computed.

    Attributes
    ----------
    code : {0, 1}
        Ratio code or binary code; see :mod:`sparsereg.backends.numba.sparse_graph`.
    seed, n_features : int
    n_bits, n_checks : int
        Binary digits of an address and random checks, of the binary code.
    starts : ndarray of int64 of shape (stages + 1,)
        A feature is a member of one bin of each stage, ``starts[s]`` to ``starts[s + 1] - 1``.
    pilot_share, pilot_scale : float
        Share of the features that the pilot weighs, and the size of its weights.
    """

    code: int
    seed: int
    n_features: int
    n_bits: int
    n_checks: int
    starts: npt.NDArray[np.int64]
    pilot_share: float
    pilot_scale: float

    @property
    def n_bins(self) -> int:
        """Number of bins of all stages."""
        return int(self.starts[-1])

    @property
    def n_kinds(self) -> int:
        """Number of distinct queries of a bin."""
        return 3 if self.code == 0 else 1 + 2 * (self.n_bits + self.n_checks)


class ReadSets(NamedTuple):
    """What readings say of each bin: the sets of bin b are ``indptr[b]`` to ``indptr[b + 1] - 1``.

    Attributes
    ----------
    indptr : ndarray of int64 of shape (bins + 1,)
    color : ndarray of int64
        The offset that a set belongs to.
    u, w : ndarray of float64
        Its values of the first two queries, less the offset.
    n_consistent : ndarray of shape (bins,)
        Number of sets of a bin, not zero, whose sum was read, too.
    misfit : ndarray of shape (bins,)
        Sum of the squares by which these sums are off.
    levels : ndarray of shape (bins,)
        Number of distinct readings of the first query.
    """

    indptr: npt.NDArray[np.int64]
    color: npt.NDArray[np.int64]
    u: FloatArray
    w: FloatArray
    n_consistent: FloatArray
    misfit: FloatArray
    levels: FloatArray


class Balls(NamedTuple):
    """Non-zeros that were found: feature, color, value, its standard error, error of the address.

    From coloring, ``color`` is the number of the connected component.
    """

    feature: npt.NDArray[np.int64]
    color: npt.NDArray[np.int64]
    value: FloatArray
    error: FloatArray
    address: FloatArray

    def take(self, chosen: Any) -> Balls:
        """Return some of them: a slice, a mask or positions."""
        return Balls(
            self.feature[chosen],
            self.color[chosen],
            self.value[chosen],
            self.error[chosen],
            self.address[chosen],
        )


class Peeled(NamedTuple):
    """What peeling leaves.

    Attributes
    ----------
    balls : Balls
    state : ndarray of int64
        The color by which each set is explained, -1 for those that are not.
    left : ndarray of shape (sets, 2)
        What its color, or the closest one, leaves of the values u and w of each set.
    conflicts : int
        Findings that contradict an earlier one.
    updates : int
        Visits of bins.
    """

    balls: Balls
    state: npt.NDArray[np.int64]
    left: FloatArray
    conflicts: int
    updates: int


@runtime_checkable
class Backend(Protocol):
    """The primitives of the hot loops. All vectors are float64, whatever X is stored in."""

    name: str

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

    def fitted_tasks(self, design: Design, columns: IndexArray, coef: FloatArray) -> FloatArray:
        """Do what ``fitted`` does for each row of coefficients: (T, k) to (T, n)."""

    def fitted_rows(
        self, design: Design, rows: IndexArray, columns: IndexArray, coef: FloatArray
    ) -> FloatArray:
        """Do what ``fitted_tasks`` does, at some rows of a dense X: (T, k) to (T, len(rows))."""

    def pack(self, design: Design, columns: IndexArray) -> FloatArray:
        """Return ``sqrt(s)_i (x_ij - m_j)`` for the given columns, dense, of shape (n, k)."""

    def gram(self, design: Design, columns: IndexArray, n_new: int) -> FloatArray:
        """Return ``sum_i s_i (x_ia - m_a)(x_ib - m_b) / n``, a in columns, b in the last n_new."""

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

    def refit_search(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        size: int,
        costs: FloatArray,
        alpha: float,
        floor: float,
        rows: FloatArray,
        place: IndexArray,
        least: float,
        max_wear: float,
        max_moves: int,
    ) -> tuple[int, float, int, float, int, int]:
        """Make the best add, drop or exchange of a column, with refit, until none lowers.

        ``rows[place[j]]`` is the Gram row of column j, where it is known. A negative alpha allows
        exchanges only. Returns (size, change of half the residual mean square, moves, wear,
        position to drop or -1, column to add or -1): wear, the sum of one over the pivots, ends the
        search beyond ``max_wear``; the last two are a move that lacks a row or room. Formulas are
        in :mod:`sparsereg.backends.numba.refit`.
        """

    def refit_shrink(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        size: int,
        costs: FloatArray,
        half_rss: float,
        down_to: int,
        known: FloatArray,
        tol: float,
        max_wear: float,
    ) -> tuple[int, float, float]:
        """Drop the column that costs least, with refit, down to so many columns with a cost.

        It goes on while half the residual mean square is within ``tol`` of ``known[size]``. Returns
        (size, half the residual mean square, wear); wear beyond ``max_wear`` ends it.
        """

    def refit_grow(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        size: int,
        costs: FloatArray,
        half_rss: float,
        up_to: int,
        known: FloatArray,
        tol: float,
        floor: float,
        least: float,
        rows: FloatArray,
        place: IndexArray,
        max_wear: float,
    ) -> tuple[int, float, float, int]:
        """Add the column that brings most, with refit, up to so many columns with a cost.

        It goes on, and ends, as ``refit_shrink`` does, or where no column brings more than
        ``least``. The last of what it returns is a column that lacks a row or room, or -1.
        """

    def refit_validity(
        self,
        coef: FloatArray,
        gradient: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        costs: FloatArray,
        ridge: FloatArray,
    ) -> tuple[float, float]:
        """Return the alphas between which no column pays for entering or leaving by itself."""

    def enter_support(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        size: int,
        support: IndexArray,
        row: FloatArray,
        column: int,
    ) -> None:
        """Update a refit, in place, for a column that enters; ``row`` is its Gram row."""

    def leave_support(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        size: int,
        position: int,
        column: int,
    ) -> None:
        """Update a refit, in place, for the column that leaves from a position."""

    def solve_l0_node(
        self,
        gram: FloatArray,
        correlation: FloatArray,
        sq_y: float,
        costs: FloatArray,
        slopes: FloatArray,
        knots: FloatArray,
        ridge: FloatArray,
        bounds: FloatArray,
        state: npt.NDArray[np.int8],
        coef: FloatArray,
        gradient: FloatArray,
        cutoff: float,
        tol: float,
        max_rounds: int,
        rounding: float,
    ) -> tuple[float, float, float, int]:
        """Solve the convex relaxation of an l0 problem with some columns fixed, in place.

        Returns (lower bound, value of the relaxation, objective at ``coef``, column to branch on
        or -1); fixes further columns in ``state`` where one side of them is beyond ``cutoff``.
        Formulas are in :mod:`sparsereg.backends.numba.l0_relaxation`.
        """

    def accumulate_reports(
        self,
        seeds: npt.NDArray[np.uint64],
        indices: npt.NDArray[np.int64],
        table: npt.NDArray[np.int16],
        sums: npt.NDArray[np.int64],
    ) -> None:
        """Add to ``sums`` the codeword of each private report, regenerated from its seed.

        The integers are those of :mod:`sparsereg.privacy.codebook`, exactly; ``table`` is its table
        of normal values, and sums are as long as a codeword.
        """

    def rank_outputs(
        self,
        directions: FloatArray,
        seeds: npt.NDArray[np.uint64],
        ranks: npt.NDArray[np.int64],
        n_codewords: int,
        table: npt.NDArray[np.int16],
    ) -> npt.NDArray[np.int64]:
        """Return the codeword at a rank of each direction's order of its codebook.

        For simulations of many clients: what ``numpy.argsort(-codewords @ direction)`` has at the
        rank, ties in the order of the codewords. Directions are integers, of shape (n, dimension).
        """

    def graph_neighbors(self, graph: QueryGraph, features: IndexArray) -> npt.NDArray[np.int64]:
        """Return the bins of features, of shape (features, stages)."""

    def graph_signatures(self, graph: QueryGraph, features: IndexArray) -> FloatArray:
        """Return the weights of features in the queries of a bin, (features, kinds)."""

    def graph_pilot(self, graph: QueryGraph, features: IndexArray) -> FloatArray:
        """Return the pilot at features."""

    def graph_members(
        self, graph: QueryGraph, first: int, last: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return (indptr, features): the members of the bins first to last - 1."""

    def graph_spread(
        self, graph: QueryGraph, features: IndexArray, values: FloatArray
    ) -> FloatArray:
        """Return what coefficients contribute to each query, of shape (bins, kinds)."""

    def graph_collect(
        self, graph: QueryGraph, features: IndexArray, sums: FloatArray
    ) -> FloatArray:
        """Return the adjoint of ``graph_spread``: ``sums`` is of shape (bins, kinds)."""

    def read_sets(
        self, readings: FloatArray, n_repeats: int, offsets: FloatArray, tol: float, pairs: bool
    ) -> ReadSets:
        """Find the readings of each bin that one regression may explain.

        ``readings``, of shape (bins, rows of a bin), holds the first query ``n_repeats`` times, the
        second as often, then their sum. A set of color l has u + w - sum = offsets[l]; with
        ``pairs``, two of the three make up a set where no three do.
        """

    def color_graph(self, graph: QueryGraph, sets: ReadSets, tol: float, semi: bool) -> Balls:
        """Find balls without knowing colors, and connect those that share a set."""

    def peel(
        self, graph: QueryGraph, sets: ReadSets, tol: float, n_colors: int, known: Balls, told: bool
    ) -> Peeled:
        """Take found balls off their bins until nothing new is found.

        Starts from the known balls. With ``told`` the colors of the sets are believed; else they
        are found out from the balls that are known in their bin.
        ``tol`` is the standard error of a reading.
        """

    def lattice_contents(
        self,
        readings: FloatArray,
        sigma: float,
        weight: float,
        offsets: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return what each bin holds of each of two colors, and in which bins that is certain.

        ``readings``, of shape (bins, kinds, repeats), are noisy, in quanta; the first color has
        probability ``weight``. Contents are of shape (bins, 2, 1 + digits).
        """

    def lattice_levels(
        self, readings: FloatArray, sigma: float, weight: float
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Return the most likely pairs of integer means of rows of readings, and their lead."""

    def peel_lattice(
        self,
        graph: QueryGraph,
        contents: npt.NDArray[np.int64],
        visible: npt.NDArray[np.bool_],
    ) -> tuple[Balls, npt.NDArray[np.int64], int]:
        """Do what ``peel`` does for integers, of shape (bins, colors, queries), of known color.

        Returns the balls, what is left of the contents, and the number of sweeps.
        """
