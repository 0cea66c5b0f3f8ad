"""The primitives of mixtures: arrays for the kernels of `sparse_graph`, `peeling` and `lattice`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsereg.backends.numba import lattice, peeling, sparse_graph
from sparsereg.backends.protocol import (
    Balls,
    FloatArray,
    IndexArray,
    Peeled,
    QueryGraph,
    ReadSets,
)

_Ints = npt.NDArray[np.int64]


def neighbors(graph: QueryGraph, features: IndexArray) -> _Ints:
    """Return the bins of features, of shape (features, stages)."""
    out = np.empty((len(features), len(graph.starts) - 1), dtype=np.int64)
    sparse_graph.neighbors(graph.seed, graph.starts, features, out)
    return out


def signatures(graph: QueryGraph, features: IndexArray) -> FloatArray:
    """Return the weights of features in the queries of a bin."""
    out = np.empty((len(features), graph.n_kinds))
    sparse_graph.signatures(graph.code, graph.seed, graph.n_features, graph.n_bits, features, out)
    return out


def pilot(graph: QueryGraph, features: IndexArray) -> FloatArray:
    """Return the pilot at features."""
    out = np.zeros(len(features))
    if graph.pilot_share > 0:
        sparse_graph.pilots(
            graph.code, graph.seed, graph.pilot_share, graph.pilot_scale, features, out
        )
    return out


def members(graph: QueryGraph, first: int, last: int) -> tuple[_Ints, _Ints]:
    """Return (indptr, features) of the bins first to last - 1."""
    place = (graph.seed, graph.starts, graph.n_features, first, last)
    indptr = np.zeros(last - first + 1, dtype=np.int64)
    sparse_graph.count_members(*place, indptr)
    np.cumsum(indptr, out=indptr)
    listed = np.empty(indptr[-1], dtype=np.int64)
    sparse_graph.list_members(*place, indptr[:-1].copy(), listed)
    return indptr, listed


def spread(graph: QueryGraph, features: IndexArray, values: FloatArray) -> FloatArray:
    """Return what coefficients contribute to each query."""
    out = np.zeros((graph.n_bins, graph.n_kinds))
    sparse_graph.spread(
        graph.code, graph.seed, graph.n_features, graph.n_bits, graph.starts, features, values, out
    )
    return out


def collect(graph: QueryGraph, features: IndexArray, sums: FloatArray) -> FloatArray:
    """Return the adjoint of ``spread``, at some features."""
    out = np.empty(len(features))
    sparse_graph.collect(
        graph.code, graph.seed, graph.n_features, graph.n_bits, graph.starts, features, sums, out
    )
    return out


def read_sets(
    readings: FloatArray, n_repeats: int, offsets: FloatArray, tol: float, pairs: bool
) -> ReadSets:
    """Find the sets of every bin."""
    n_bins = len(readings)
    indptr = np.empty(n_bins + 1, dtype=np.int64)
    misfit = np.empty((n_bins, 3))
    room = n_bins * (len(offsets) + 2)
    while True:
        color, u, w = np.empty(room, dtype=np.int64), np.empty(room), np.empty(room)
        n_sets = peeling.read_sets(
            readings, n_repeats, offsets, tol, pairs, indptr, color, u, w, misfit
        )
        if n_sets <= room:
            return ReadSets(indptr, color[:n_sets], u[:n_sets], w[:n_sets], *misfit.T)
        room = n_sets


def color_graph(graph: QueryGraph, sets: ReadSets, tol: float, semi: bool) -> Balls:
    """Find balls, and the connected components they belong to."""
    room = 2 * sets.u.size + 1  # a doubleton can bring in one more than it has
    balls = _empty_balls(room)
    n_stages = graph.starts.size - 1
    n_nodes = peeling.color_graph(
        graph.seed, graph.n_features, graph.starts, sets.indptr, sets.u, sets.w, tol, semi,
        balls.feature, balls.value, balls.error, balls.address, balls.color,
        np.full(graph.n_bins, -1), np.empty(room * n_stages, dtype=np.int64), _table(room),
    )  # fmt: skip
    return balls.take(slice(n_nodes))


def peel(
    graph: QueryGraph, sets: ReadSets, tol: float, n_colors: int, known: Balls, told: bool
) -> Peeled:
    """Take found balls off their bins until nothing new is found."""
    known, repeated = distinct_balls(known, n_colors)
    n_known, n_sets, n_bins = known.feature.size, sets.u.size, graph.n_bins
    room = n_known + n_sets + 1
    balls = _empty_balls(room)
    for part, given in zip(balls, known):
        part[:n_known] = given
    totals = np.zeros((n_colors, n_bins, 2))
    state = np.full(n_sets, peeling.OPEN)
    n_balls, conflicts, updates = peeling.peel(
        graph.seed, graph.n_features, graph.starts, sets.indptr, sets.color, sets.u, sets.w, tol,
        totals, np.zeros((n_colors, n_bins)), np.zeros((n_colors, n_bins), dtype=np.int64),
        *balls, n_known, told, _table(room), np.empty(room, dtype=np.int64), state,
        np.zeros(n_bins, dtype=np.bool_),
    )  # fmt: skip
    left = left_of_sets(sets, state, totals)
    return Peeled(balls.take(slice(n_balls)), state, left, conflicts + repeated, updates)


def distinct_balls(known: Balls, n_colors: int) -> tuple[Balls, int]:
    """Return the first ball of each feature and color, and how many others there are."""
    _, first = np.unique(known.feature * n_colors + known.color, return_index=True)
    return known.take(np.sort(first)), known.feature.size - first.size


def bins_of_sets(sets: ReadSets) -> _Ints:
    """Return the bin of each set."""
    return np.repeat(np.arange(sets.indptr.size - 1), np.diff(sets.indptr))


def left_of_sets(sets: ReadSets, state: _Ints, totals: FloatArray) -> FloatArray:
    """Return what the color of each set, or the closest one, leaves of its values."""
    color = np.where(state >= 0, state, sets.color)
    return np.column_stack([sets.u, sets.w]) - totals[color, bins_of_sets(sets)]


def lattice_levels(readings: FloatArray, sigma: float, weight: float) -> tuple[_Ints, FloatArray]:
    """Return the most likely pairs of integer means, and their lead in log-likelihood."""
    levels, gaps = np.empty((len(readings), 2), dtype=np.int64), np.empty(len(readings))
    lattice.two_levels(readings, sigma, weight, levels, gaps)
    return levels, gaps


def lattice_contents(
    readings: FloatArray, sigma: float, weight: float, offsets: _Ints
) -> tuple[_Ints, npt.NDArray[np.bool_]]:
    """Return what each bin holds of each color, and where that is certain."""
    n_bins, n_kinds, n_repeats = readings.shape
    levels, _ = lattice_levels(readings.reshape(-1, n_repeats), sigma, weight)
    contents = np.zeros((n_bins, 2, 1 + (n_kinds - 1) // 2), dtype=np.int64)
    visible = np.zeros((n_bins, 2), dtype=np.bool_)
    lattice.align(levels.reshape(n_bins, n_kinds, 2), offsets, contents, visible)
    return contents, visible


def peel_lattice(
    graph: QueryGraph, contents: _Ints, visible: npt.NDArray[np.bool_]
) -> tuple[Balls, _Ints, int]:
    """Take found integers off their bins until nothing new is found."""
    left = contents.copy()
    room = visible.size + 1
    feature, color, value = (np.empty(room, dtype=np.int64) for _ in range(3))
    n_balls, sweeps = lattice.peel_lattice(
        graph.seed, graph.n_features, graph.n_bits, graph.starts, left, visible,
        feature, color, value, _table(room),
    )  # fmt: skip
    none = np.zeros(n_balls)
    found = value[:n_balls].astype(np.float64)
    return Balls(feature[:n_balls], color[:n_balls], found, none, none), left, sweeps


def _empty_balls(room: int) -> Balls:
    feature, color = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    return Balls(feature, color, np.empty(room), np.empty(room), np.empty(room))


def _table(room: int) -> _Ints:
    """Return a free hash table with at least twice as many places as there can be entries."""
    return np.full(1 << (2 * room + 1).bit_length(), -1)
