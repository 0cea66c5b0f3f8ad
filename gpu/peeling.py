"""The rounds of peeling on a device; the host decides when they end.

The same balls, in the same order and with the same bits, as the CPU's ``peel``: sets are read by
what was known when the round began, the first of those that find a ball has it, and what balls add
to a bin is added in their order.
"""

from __future__ import annotations

import numpy as np
from sparsereg.gpu.device import Device

from sparsereg.backends.numba.mixtures import bins_of_sets, distinct_balls, left_of_sets
from sparsereg.backends.protocol import Balls, Peeled, QueryGraph, ReadSets

_THREADS = 256
_NOBODY = np.iinfo(np.int64).max


def peel(
    device: Device,
    graph: QueryGraph,
    sets: ReadSets,
    tol: float,
    n_colors: int,
    known: Balls,
    told: bool,
) -> Peeled:
    """Do what :meth:`sparsereg.backends.protocol_mixture.MixturePrimitives.peel` says."""
    known, repeated = distinct_balls(known, n_colors)
    rounds = _Rounds(device, graph, sets, tol, n_colors, told, room=known.feature.size)
    xp = device.xp
    keys = xp.asarray(known.feature * n_colors + known.color)
    balls = xp.asarray(np.column_stack([known.value, known.error, known.address]))
    found_keys, found_balls = [keys], [balls]
    left, updates = sets.u.size + 1, 0
    rounds.enter(keys)
    rounds.place(keys, balls)
    while left:
        n_waiting = rounds.n_waiting()
        if not n_waiting:
            break
        updates += n_waiting
        keys, balls = rounds.read(left)
        rounds.place(keys, balls)
        found_keys.append(keys)
        found_balls.append(balls)
        left -= len(keys)
    features, colors = np.divmod(device.to_host(xp.concatenate(found_keys)), n_colors)
    columns = device.to_host(xp.concatenate(found_balls)).T
    value, error, address = (np.ascontiguousarray(column) for column in columns)
    state, totals = device.to_host(rounds.state), device.to_host(rounds.totals)
    return Peeled(
        Balls(features, colors, value, error, address), state, left_of_sets(sets, state, totals),
        int(device.to_host(rounds.conflicts)[0]) + repeated, updates,
    )  # fmt: skip


class _Rounds:
    """What is known of bins and sets, there.

    Parameters
    ----------
    device, graph, sets, tol, n_colors, told
        As ``peel`` has them.
    room : int
        Number of balls that are known already; each set may bring in one more.
    """

    def __init__(
        self,
        device: Device,
        graph: QueryGraph,
        sets: ReadSets,
        tol: float,
        n_colors: int,
        told: bool,
        room: int,
    ):
        xp = device.xp
        self._device, self._tol = device, tol
        self._graph = graph._replace(seed=graph.seed % (1 << 64))  # as 64 bits without a sign
        self._n_colors, self._told, self._n_sets = n_colors, told, sets.u.size
        self._sets = [xp.asarray(a) for a in (bins_of_sets(sets), sets.color, sets.u, sets.w)]
        self._starts = xp.asarray(graph.starts)
        size, ints = n_colors * graph.n_bins, {"dtype": np.int64}
        self.totals = xp.zeros((n_colors, graph.n_bins, 2))
        self._known = (self.totals, xp.zeros(size), xp.zeros(size, **ints))
        self._waiting = xp.full(graph.n_bins, int(told), dtype=np.int32)
        self._table = xp.full(1 << (2 * (room + self._n_sets) + 3).bit_length(), -1, **ints)
        self._owners = xp.full(self._table.size, _NOBODY, **ints)
        self.state = xp.full(self._n_sets, -1, **ints)
        self.conflicts = xp.zeros(1, **ints)

    def n_waiting(self) -> int:
        """Return the number of bins that have to be read again."""
        return int(self._waiting.sum())

    def enter(self, keys):
        """Enter keys into the table; return their places, and which of them came first."""
        slots = self._device.xp.empty_like(keys)
        self._launch("claim_balls", len(keys), (keys, self._table, self._owners, slots,
                     self._table.size, len(keys)))  # fmt: skip
        return slots

    def read(self, most: int):
        """Read the open sets of waiting bins; return keys and rows of at most so many new balls."""
        xp, graph = self._device.xp, self._graph
        found = xp.empty(self._n_sets, dtype=np.int64)
        balls = xp.empty((self._n_sets, 3))
        self._launch(
            "read_sets", self._n_sets,
            (*self._sets, self._starts, *self._known, self._waiting, self._table, self.state,
             found, balls, self.conflicts, graph.seed, graph.n_features, graph.n_bins,
             self._table.size, self._n_sets, self._tol, self._n_colors, self._told),
        )  # fmt: skip
        self._waiting[...] = 0
        slots = self.enter(found)
        is_new = found >= 0
        first = is_new & (self._owners[xp.where(is_new, slots, 0)] == xp.arange(self._n_sets))
        winners = xp.flatnonzero(first)[:most]
        return found[winners], xp.ascontiguousarray(balls[winners])

    def place(self, keys, balls) -> None:
        """Take balls off their bins."""
        xp, graph, n_balls = self._device.xp, self._graph, len(keys)
        n_stages = graph.starts.size - 1
        n_entries = n_balls * n_stages
        targets, added = xp.empty(n_entries, dtype=np.int64), xp.empty((n_balls, 3))
        self._launch(
            "address_balls", n_balls,
            (keys, balls, self._starts, targets, added, graph.seed, graph.n_features,
             graph.n_bins, n_balls, self._n_colors, n_stages),
        )  # fmt: skip
        numbers = xp.arange(n_entries, dtype=np.int64)
        order = xp.argsort(targets * max(n_entries, 1) + numbers)  # no ties: by place, then by ball
        self._launch(
            "take_balls_off", n_entries,
            (targets, order, added, *self._known, self._waiting, graph.n_bins, n_entries, n_stages),
        )  # fmt: skip

    def _launch(self, kernel: str, n_threads: int, arguments) -> None:
        if n_threads:
            grid = (-(-n_threads // _THREADS),)
            self._device.launch(kernel, np.float64, grid, _THREADS, arguments)
