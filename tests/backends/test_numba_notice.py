"""The line that is shown while kernels are compiled."""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import redirect_stderr
from io import StringIO

import numba
import pytest

from sparsereg.backends.numba import notice


class Terminal(StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(notice.LISTENER, "_told", False)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: None)
    return Terminal()


def compile_two(module, terminal):
    """Compile a function for two types, as if a module had it."""

    def double(x):
        return 2 * x

    double.__module__ = module
    compiled = numba.njit(double)
    with redirect_stderr(terminal):
        assert compiled(1) == 2
        assert compiled(1.5) == 3.0


def test_who_waits_at_a_terminal_is_told_once(terminal):
    compile_two("sparsereg.backends.numba.some", terminal)
    assert terminal.getvalue().count("compiling kernels") == 1


def test_kernels_of_others_are_their_business(terminal):
    compile_two("another_package", terminal)
    assert not terminal.getvalue()


def test_a_pipe_is_told_nothing(terminal, monkeypatch):
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    compile_two("sparsereg.backends.numba.some", terminal)
    assert not terminal.getvalue()


def test_a_worker_process_tells_nothing(terminal, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    compile_two("sparsereg.backends.numba.some", terminal)
    assert not terminal.getvalue()
