"""How kernels are compiled: one decorator, cached on disk, releasing the GIL.

Kernels are typed by plain arrays and scalars (no jitclass, no closures), so that the compiled code
is found again by the next process. Parallelism is over blocks of columns in a thread pool, never
inside a kernel: results then do not depend on the number of threads, and kernels may be called
from many threads at once.

A counter that a kernel passes to another kernel starts as ``np.int64(0)``: a plain 0 is a type of
its own while types are inferred, and the other kernel would be compiled for it, too.

Operators on slices in place, as in ``a[i] *= b``, are written as loops: they may raise an error
about shapes, and the kernels that build its message take longer to compile than a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

# Lets LLVM vectorize sums. Infinities and NaN keep their meaning.
REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}


def kernel(*, fastmath: Any = False, inline: str = "never") -> Callable[[Callable], Any]:
    """Compile a function for the CPU; without a writable cache folder, in memory only."""

    def decorate(function: Callable) -> Any:
        options = {
            "nogil": True,
            "fastmath": fastmath,
            "inline": inline,
            "error_model": "numpy",
            "no_cfunc_wrapper": True,
        }
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no writable folder for the cache
            return njit(**options)(function)

    return decorate
