"""What a backend does for mixtures of regressions: random graphs, sets, peeling, lattices."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


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


class MixturePrimitives(Protocol):
    """Designed queries and their decoders."""

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
