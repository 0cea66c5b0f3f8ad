"""What is said, everywhere in the same words, to those who give something else for a penalty."""

from __future__ import annotations

from typing import Any

from sparsereg.penalties.base import Penalty
from sparsereg.penalties.l21 import L21


def check_separable(penalty: Any, name: str = "penalty") -> Penalty:
    """Return the penalty if it is a sum over the coefficients of one target.

    Raises
    ------
    TypeError
        For anything else, such as the name of a penalty or its class.
    """
    if not isinstance(penalty, Penalty) or isinstance(penalty, L21):
        raise _wrong(penalty, name, "is not a separable penalty of one target")
    return penalty


def check_has_prox(penalty: Any, name: str = "penalty") -> Any:
    """Return the penalty if it has a proximal operator.

    Raises
    ------
    TypeError
        For anything else, such as the name of a penalty or its class.
    """
    if isinstance(penalty, type) or not callable(getattr(penalty, "prox", None)):
        raise _wrong(penalty, name, "has no prox")
    return penalty


def _wrong(penalty: Any, name: str, what: str) -> TypeError:
    return TypeError(
        f"{name}={penalty!r} {what}. Give one of sparsereg.penalties, such as L1(alpha=0.1) or "
        f"MCP(alpha=0.1)."
    )
