"""Several solves on one X in lock step: their gradients come from the same pass over it.

On a device a pass over X costs the same for one residual as for many. Each solve runs in a thread
of its own, unchanged; where it asks for a gradient it waits until every other solve that still runs
asks for one, too, and all of them are computed at once. Who meets whom is decided by the problems
and not by the clock: results do not depend on timing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
from typing import Any, TypeVar

from sparsereg.backends.protocol import Backend, Design, FloatArray, IndexArray

Result = TypeVar("Result")


class Stopped(Exception):
    """Raised in solves that are given up."""


class LockStep:
    """Threads whose gradients are computed together; leaving the ``with`` block ends them.

    Parameters
    ----------
    backend : Backend
    n_solves : int
    """

    def __init__(self, backend: Backend, n_solves: int) -> None:
        self._backend = backend
        self._pool = ThreadPoolExecutor(n_solves, thread_name_prefix="lock-step")
        self._changed = Condition()
        self._n_running = 0
        self._stopped = False
        self._requests: dict[int, tuple[Design, FloatArray]] = {}
        self._answers: dict[int, FloatArray | BaseException] = {}

    def __enter__(self) -> LockStep:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all threads, at their next gradient or step."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._pool.shutdown(cancel_futures=True)

    def member(self, number: int) -> Any:
        """Return the backend of one solve."""
        return _Member(self, number, self._backend)

    def start(self, tasks: Sequence[Callable[[], Result]]) -> list[Future[Result]]:
        """Run a task for each member; those that are over are not waited for."""
        self._n_running = len(tasks)
        return [self._pool.submit(self._run, task) for task in tasks]

    def note(self) -> None:
        """Tell whoever waits for progress that there is some; raise Stopped if there is no use."""
        with self._changed:
            self._changed.notify_all()
            if self._stopped:
                raise Stopped

    def follow(self, steps: Iterable[None]) -> None:
        """Take the steps one after another, and tell of each."""
        for _ in steps:
            self.note()

    def until(self, is_done: Callable[[], bool]) -> None:
        """Wait until something is done: it is asked whenever a member makes progress."""
        with self._changed:
            self._changed.wait_for(is_done)

    def _run(self, task: Callable[[], Result]) -> Result:
        try:
            return task()
        finally:
            with self._changed:
                self._n_running -= 1
                self._answer_if_all_ask()
                self._changed.notify_all()

    def gradients(self, number: int, design: Design, residuals: FloatArray) -> FloatArray:
        """Return what ``xtr_tasks`` does, once every running member has asked."""
        with self._changed:
            self._requests[number] = (design, residuals)
            self._answer_if_all_ask()
            self._changed.wait_for(lambda: number in self._answers or self._stopped)
            if number not in self._answers:
                raise Stopped
            answer = self._answers.pop(number)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _answer_if_all_ask(self) -> None:
        if self._stopped or not self._requests or len(self._requests) < self._n_running:
            return
        numbers = sorted(self._requests)
        designs, residuals = zip(*(self._requests.pop(number) for number in numbers))
        try:
            self._answers.update(zip(numbers, self._backend.xtr_together(designs, residuals)))
        except Exception as error:  # it is everybody's
            self._answers.update(dict.fromkeys(numbers, error))
        self._changed.notify_all()


class _Member:
    """A backend that waits for the others before it passes over X."""

    def __init__(self, together: LockStep, number: int, backend: Backend) -> None:
        self._together, self._number, self._backend = together, number, backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def xtr(
        self, design: Design, residual: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        if columns is not None:
            return self._backend.xtr(design, residual, columns)
        return self._together.gradients(self._number, design, residual[None, :])[0]

    def xtr_tasks(
        self, design: Design, residuals: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        if columns is not None:
            return self._backend.xtr_tasks(design, residuals, columns)
        return self._together.gradients(self._number, design, residuals)


def steps_of(
    together: LockStep, walks: Sequence[Callable[[], None]], n_done: Callable[[], int], n_steps: int
) -> Iterator[None]:
    """Run walks side by side; yield after each of the steps that they do in all."""
    running = together.start(walks)

    def failed() -> list[Future[None]]:
        return [walk for walk in running if walk.done() and walk.exception()]

    for k in range(n_steps):
        together.until(lambda k=k: n_done() > k or bool(failed()))  # type: ignore[misc]
        for walk in failed():
            walk.result()
        yield
    for walk in running:
        walk.result()
