"""One-threaded BLAS for the small matrices of a solve.

Threads cost more than they bring on matrices of a few hundred columns, and results would depend
on their number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import LibController, ThreadpoolController

_lock = threading.Lock()
_inside = 0
_before: list[tuple[LibController, int]] = []


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS and LAPACK on the calling thread; reentrant, and safe in concurrent threads.

    The limit is process-wide: the first to enter sets it and the last to leave lifts it. OpenBLAS
    lets one thread of a process set limits: whoever starts threads should be inside already.
    """
    global _inside, _before
    with _lock:
        _inside += 1
        if _inside == 1:
            now = [(library, library.get_num_threads()) for library in _blas_libraries()]
            # None is what a library says that cannot be asked
            _before = [(library, n) for library, n in now if n not in (1, None)]
            for library, _ in _before:
                library.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for library, n_threads in _before:
                    library.set_num_threads(n_threads)


@cache
def _blas_libraries() -> list[LibController]:
    # their own two methods: a limit of ThreadpoolController asks each for all there is to know
    return ThreadpoolController().select(user_api="blas").lib_controllers
