"""The l0 path: the best support known of every size, and the alphas at which each one wins.

With E_k half the residual mean square (ridge part included) of the best support of k columns, the
solutions of min E + alpha k over alpha are the vertices of the lower convex envelope of the points
(k, E_k): each wins on an interval of alpha, and the intervals are exact.

Search: forward, a column at a time, with exchanges at every size; backward and forward again
through the sizes whose neighbor improved, until none does. The same after coming back from supports
of the lasso that are larger than wanted, which comes down in other basins.

Every support is kept with the interval [low, high] of alpha on which it is a coordinate-wise
minimum; supports that win somewhere on the envelope win inside that interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.refit_swaps import Refit
from sparsereg.solvers.subset import SubsetProblem

# Sizes of the lasso supports to come back from, in units of the size wanted: for a path; for one
# size, at first; and for one size where these disagree with what the forward search found.
_WIDTHS, _ONE_WIDTH, _MORE_WIDTHS = (1.25, 2.5), (2.0,), (1.25, 1.5, 3.0)
# Sizes beyond the one wanted from which the search also comes back: at first, and then.
_SLACK, _MORE_SLACK = 1, 3
# Rounds of backward and forward improvement; they end by themselves.
_MAX_ROUNDS = 10
_MAX_SIZE = 50
# An entry must be better by this share of ||y||^2 / n to replace another.
_BETTER = 1e-12


class Entry(NamedTuple):
    """A support, half its residual mean square, and where it is a coordinate-wise minimum."""

    half_rss: float
    support: IndexArray
    low: float
    high: float


class SupportPool:
    """The best support known of each size, free columns not counted.

    Attributes
    ----------
    n_moves : int
        Moves of the local search so far.
    """

    def __init__(self, problem: SubsetProblem):
        self.problem = problem
        self.n_moves = 0
        self._entries: dict[int, Entry] = {}

    def offer(self, refit: Refit) -> bool:
        """Keep the support of a refit if it is the best of its size; return whether it is."""
        size = refit.size
        known = self._entries.get(size)
        if known and not refit.half_rss < known.half_rss - _BETTER * self.problem.sq_y:
            return False
        low, high = refit.interval()
        self._entries[size] = Entry(refit.half_rss, np.sort(refit.support), low, high)
        return True

    def __getitem__(self, size: int) -> Entry:
        return self._entries[size]

    def get(self, size: int) -> Entry | None:
        """Return the entry of a size, or None."""
        return self._entries.get(size)

    def __contains__(self, size: int) -> bool:
        return size in self._entries

    @property
    def sizes(self) -> list[int]:
        """The sizes known, increasing."""
        return sorted(self._entries)

    def best_up_to(self, size: int) -> Entry:
        """Return the best entry of at most this size."""
        return min(
            (self._entries[k] for k in self.sizes if k <= size), key=lambda entry: entry.half_rss
        )

    def price_of(self, size: int) -> float:
        """Return an alpha at which this size is, or nearly is, the winner."""
        value = {k: entry.half_rss for k, entry in self._entries.items()}
        size = min(size, max(value))
        here = min(half_rss for k, half_rss in value.items() if k <= size)
        rises = [(value[k] - here) / (size - k) for k in value if k < size]
        falls = [(here - value[k]) / (k - size) for k in value if k > size]
        rise, fall = min(rises, default=np.inf), max([0.0, *falls])
        return max(0.5 * (rise + fall), 0.0) if np.isfinite(rise) else 2.0 * fall


def search_sizes(
    pool: SupportPool,
    max_size: int,
    *,
    strategy: str = "portfolio",
    max_moves: int = 10_000,
) -> Iterator[str]:
    """Fill the pool up to a size; yield the name of each stage that is finished.

    The strategy "path" leaves out the supports of the lasso.
    """
    refit = Refit(pool.problem, pool.problem.free)
    pool.offer(refit)
    yield from _forward(pool, refit, max_size, max_moves)
    if strategy == "path":
        return
    changed, _ = _from_lasso(pool, refit, max_size, 1, max_size, _WIDTHS, max_moves)
    yield "backward from the lasso"
    yield from _improve(pool, refit, max_size, max_moves, changed)


def search_size(
    pool: SupportPool,
    size: int,
    *,
    strategy: str = "portfolio",
    max_moves: int = 10_000,
) -> Iterator[str]:
    """Fill the pool with what helps to find the best support of one size; yield finished stages.

    Where coming back from the lasso ends in the support that forward search found, that is taken
    to be the best; else both are done again more widely.
    """
    refit = Refit(pool.problem, pool.problem.free)
    pool.offer(refit)
    largest = min(size + _SLACK, pool.problem.max_size)
    yield from _forward(pool, refit, largest, max_moves)
    if strategy == "path":
        return
    changed, agree = _from_lasso(pool, refit, size, size, largest, _ONE_WIDTH, max_moves)
    yield "backward from the lasso"
    yield from _improve(pool, refit, largest, max_moves, changed)
    if agree:
        return
    largest = min(size + _MORE_SLACK, pool.problem.max_size)
    refit.move_to(pool[pool.sizes[-1]].support)
    yield from _forward(pool, refit, largest, max_moves)
    lowest = max(size - 1, 1)
    changed, _ = _from_lasso(pool, refit, size, lowest, largest, _MORE_WIDTHS, max_moves)
    yield "backward from more of the lasso"
    yield from _improve(pool, refit, largest, max_moves, changed)


def _forward(pool: SupportPool, refit: Refit, max_size: int, max_moves: int) -> Iterator[str]:
    """Add a column at a time, with exchanges at every size, then improve what this changed."""
    changed = {refit.size}
    while refit.size < max_size and refit.grow(refit.size + 1):
        pool.n_moves += 1 + refit.exchange(max_moves)
        pool.offer(refit)
        changed.add(refit.size)
    yield "forward"
    yield from _improve(pool, refit, max_size, max_moves, changed)


def _from_lasso(
    pool: SupportPool,
    refit: Refit,
    size: int,
    lowest: int,
    largest: int,
    widths: tuple[float, ...],
    max_moves: int,
) -> tuple[set[int], bool]:
    """Come back from supports of the lasso that are wider than a size.

    Returns the sizes from ``lowest`` to ``largest`` that are improved by it, and whether all ends
    are supports that were known.
    """
    problem = pool.problem
    refit.move_to(problem.free)
    sizes = [min(int(np.ceil(width * size)), problem.max_size) for width in widths]
    improved, agree = set[int](), True
    for wide in reversed(refit.follow_lasso(sizes)):
        refit.move_to(wide)
        changed, met = _eliminate(pool, refit, lowest, largest, max_moves)
        improved |= changed
        agree &= met
    return improved, agree


def _improve(
    pool: SupportPool, refit: Refit, max_size: int, max_moves: int, changed: set[int]
) -> Iterator[str]:
    """Go through the sizes beside those that changed until none is improved."""
    for _ in range(_MAX_ROUNDS):
        if not changed:
            break
        changed = _neighbors(pool, refit, max_size, max_moves, changed)
        yield "backward and forward"


def full_pool(
    problem: SubsetProblem,
    max_size: int,
    *,
    strategy: str = "portfolio",
    max_moves: int = 10_000,
) -> SupportPool:
    """Return the pool after all stages of the search."""
    pool = SupportPool(problem)
    with single_threaded_blas():
        for _ in search_sizes(pool, max_size, strategy=strategy, max_moves=max_moves):
            pass
    return pool


def _eliminate(
    pool: SupportPool, refit: Refit, lowest: int, largest: int, max_moves: int
) -> tuple[set[int], bool]:
    """Drop columns until the support is one that the pool has, or down to the lowest size.

    Returns the sizes up to ``largest`` that are improved by it, and whether such a support was met.
    """
    improved: set[int] = set()
    while refit.size > lowest:
        pool.n_moves += refit.size
        refit.shrink(min(largest, refit.size - 1))
        pool.n_moves -= refit.size
        if _is_known(pool, refit):
            return improved, True
        pool.n_moves += refit.exchange(max_moves)
        if pool.offer(refit):
            improved.add(refit.size)
        elif _is_known(pool, refit):
            return improved, True
    return improved, False


def _is_known(pool: SupportPool, refit: Refit) -> bool:
    known = pool.get(refit.size)
    return known is not None and refit.is_at(known.support)


def _neighbors(
    pool: SupportPool, refit: Refit, max_size: int, max_moves: int, changed: set[int]
) -> set[int]:
    """Derive each size from a changed neighbor above, then below; return the sizes improved.

    A step that leads to what is known of the next size goes on to the size after it.
    """
    improved: set[int] = set()
    tol = _BETTER * pool.problem.sq_y
    known = np.full(max_size + 1, np.nan)
    for size in pool.sizes:
        if size <= max_size and size in changed:
            known[size] = pool[size].half_rss

    def derive(size: int, step: Callable[..., Any], target: int) -> int:
        """Step from what is known of a size; return the size to go on from."""
        if np.isnan(known[size]):
            return target
        if not refit.is_at(pool[size].support):
            refit.move_to(pool[size].support)
        if step(target, known[:max_size], tol) is False:
            return target
        reached = refit.size
        entry = pool.get(reached)
        if reached <= max_size and (entry is None or abs(refit.half_rss - entry.half_rss) > tol):
            pool.n_moves += 1 + refit.exchange(max_moves)
            if pool.offer(refit):
                improved.add(reached)
                known[reached] = refit.half_rss
        return reached

    size = max_size
    while size > 1:
        size = derive(size, refit.shrink, size - 1)
    size = 0
    while size < max_size:
        size = derive(size, refit.grow, size + 1)
    return improved


def default_max_size(problem: SubsetProblem) -> int:
    """Return the largest size searched unless one is asked for: what the data allow, up to 50."""
    return min(problem.max_size, _MAX_SIZE)


def envelope(sizes: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, for each size, the alphas [low, high] at which it minimizes ``values + alpha sizes``.

    Sizes that win nowhere have low = high = nan. ``sizes`` increase.
    """
    low, high = np.full(len(sizes), np.nan), np.full(len(sizes), np.nan)
    hull: list[int] = []
    for k in range(len(sizes)):
        if hull and not values[k] < values[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(sizes, values, hull[-2], hull[-1]) <= _slope(
            sizes, values, hull[-1], k
        ):
            hull.pop()
        hull.append(k)
    for position, k in enumerate(hull):
        high[k] = _slope(sizes, values, hull[position - 1], k) if position else np.inf
        low[k] = _slope(sizes, values, k, hull[position + 1]) if position + 1 < len(hull) else 0.0
    return low, high


def _slope(sizes: FloatArray, values: FloatArray, first: int, second: int) -> float:
    return float((values[first] - values[second]) / (sizes[second] - sizes[first]))
