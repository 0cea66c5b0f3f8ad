"""A line for whoever waits while kernels are compiled, once per process.

It goes to a terminal or a notebook only, never to a log or a pipe.
"""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

from numba.core import event

_TEXT = (
    "sparsereg: compiling kernels, which takes some seconds the first time. They are kept on disk; "
    "`python -m sparsereg compile` compiles all of them in advance."
)


class CompilingNotice(event.Listener):
    """Says so when the first kernel of this package is compiled that was not found on disk."""

    def __init__(self) -> None:
        self._told = False

    def on_start(self, event: Any) -> None:
        """Tell, if this is a kernel of ours and somebody is there."""
        ours = event.data["dispatcher"].py_func.__module__.startswith("sparsereg.")
        if ours and not self._told and someone_waits():
            self._told = True
            print(_TEXT, file=sys.stderr)

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


def someone_waits() -> bool:
    """Whether this is a notebook or a terminal, and not a process started by another one."""
    if multiprocessing.parent_process() is not None:
        return False
    if "ipykernel" in sys.modules:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


LISTENER = CompilingNotice()


def install() -> None:
    """Listen from now on."""
    event.register("numba:compile", LISTENER)
