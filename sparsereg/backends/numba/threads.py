"""A thread pool for passes over X.

Work is cut into blocks whose boundaries depend on the problem alone, so that any number of threads
gives bitwise the same result.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba

# Handing a block to another thread costs tens of microseconds: below this many multiply-adds,
# the calling thread does it all, as one block.
_MIN_WORK = 1_000_000
# Multiply-adds of a matrix product that take as long as one of a pass over X.
PRODUCT = 8.0

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_pid = -1


def n_threads() -> int:
    """Number of threads of a pass: ``NUMBA_NUM_THREADS`` if set, else the usable processors."""
    return max(1, int(numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


def run_blocks(task: Callable[[int, int], None], n_items: int, block: int, work: float) -> None:
    """Call ``task(start, stop)`` for consecutive blocks of ``range(n_items)``.

    Parameters
    ----------
    task : callable
        Must write to disjoint places for disjoint blocks, and release the GIL.
    n_items, block : int
        Number of items and items per block.
    work : float
        Total multiply-adds, to decide whether threads pay.
    """
    if work < _MIN_WORK and n_items:
        task(0, n_items)
        return
    threads = n_threads()
    starts = range(0, n_items, block)
    if threads == 1 or len(starts) < 2:
        for start in starts:
            task(start, min(start + block, n_items))
        return

    left = iter(starts)  # whoever is free takes the next block

    def work_off() -> None:
        for start in left:
            task(start, min(start + block, n_items))

    futures = [_executor().submit(work_off) for _ in range(1, min(threads, len(starts)))]
    work_off()
    for future in futures:
        future.result()


def _executor() -> ThreadPoolExecutor:
    global _pool, _pool_pid
    with _lock:
        if _pool is None or _pool_pid != os.getpid():  # threads do not survive a fork
            _pool = ThreadPoolExecutor(n_threads(), thread_name_prefix="sparsereg")
            _pool_pid = os.getpid()
        return _pool
