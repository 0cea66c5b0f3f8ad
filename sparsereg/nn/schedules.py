"""Numbers that change while a network is trained: a function of the step, or a constant.

Wherever a schedule is asked for, a number or any function of the step will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: A number, or a function from the step (0, 1, ...) to a number.
Schedule = float | Callable[[int], float]


def at(schedule: Schedule, step: int) -> float:
    """Return the value of a schedule at a step."""
    return float(schedule(step)) if callable(schedule) else float(schedule)


@dataclass(frozen=True)
class Linear:
    """From ``start`` to ``end`` in equal changes over ``steps`` steps, then ``end``."""

    start: float
    end: float
    steps: int

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Cosine:
    """From ``start`` to ``end`` along half a cosine over ``steps`` steps, then ``end``."""

    start: float
    end: float
    steps: int

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        share = 0.5 * (1.0 - math.cos(math.pi * min(step / self.steps, 1.0)))
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True)
class Exponential:
    """``start * exp(-rate * step)``, and ``0`` from ``steps`` on, if that is given."""

    start: float
    rate: float
    steps: int | None = None

    def __call__(self, step: int) -> float:
        """Return the value at a step."""
        if self.steps is not None and step >= self.steps:
            return 0.0
        return self.start * math.exp(-self.rate * step)
