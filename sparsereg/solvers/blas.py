"""One-threaded BLAS for the small matrices of a solve.

Threads cost more than they bring on matrices of a few hundred columns, and results would depend
on their number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limit: Any = None


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS and LAPACK on the calling thread; reentrant, and safe in concurrent threads.

    The limit is process-wide: the first to enter sets it and the last to leave lifts it. OpenBLAS
    lets one thread of a process set limits: whoever starts threads should be inside already.
    """
    global _inside, _limit
    with _lock:
        _inside += 1
        if _inside == 1:
            _limit = _blas_controller().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()


@cache
def _blas_controller() -> ThreadpoolController:
    return ThreadpoolController()
