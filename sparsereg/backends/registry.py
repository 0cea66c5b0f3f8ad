"""Which backends exist, and which one serves a call.

Order: explicit parameter, configuration, environment, type of X ("everything follows X"). An
explicit backend that cannot serve raises; one chosen by configuration or environment falls back
with a warning. Third parties register under the entry-point group ``sparsereg.backends``.
"""

from __future__ import annotations

import importlib
import logging
from functools import cache
from importlib import metadata
from typing import Any

from sparsereg.backends.arrays import is_on_device
from sparsereg.backends.protocol import Backend
from sparsereg.config import requested_backend

_GROUP = "sparsereg.backends"
_DEFAULT = "numba"
# Our own two are known by path: scanning entry points costs tens of milliseconds.
_BUILT_IN = {"numba": "sparsereg.backends.numba", "cupy": "sparsereg.gpu"}
_HOST_MODULES = {"builtins", "numpy", "scipy", "pandas", "polars", "sklearn"}
_logger = logging.getLogger("sparsereg.backend")
_logger.addHandler(logging.NullHandler())


@cache
def _entry_points() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=_GROUP)}


def _names() -> list[str]:
    return sorted({*_BUILT_IN, *_entry_points()})


def check_registered(name: str, where: str = "") -> None:
    """Raise ValueError unless a backend of that name is registered."""
    if not isinstance(name, str) or (name not in _BUILT_IN and name not in _entry_points()):
        origin = f", which {where} asks for" if where else ""
        raise ValueError(
            f"There is no backend named {name!r}{origin}. Registered backends: "
            f'{", ".join(_names())}; "auto" lets the type of X decide.'
        )


def get_backend(name: str) -> Backend:
    """Return a registered backend, whether or not it can run here.

    Parameters
    ----------
    name : str
        ``"numba"``, ``"cupy"`` or a name registered by an installed distribution.

    Returns
    -------
    Backend

    Raises
    ------
    ValueError
        If no backend of that name is registered.
    BackendUnavailableError
        If its module cannot be imported.
    """
    check_registered(name)
    try:
        if name in _BUILT_IN:
            return importlib.import_module(_BUILT_IN[name]).backend
        return _entry_points()[name].load()
    except ImportError as error:
        raise _unavailable_error(name, f"it cannot be imported ({error})") from error


def list_backends() -> list[tuple[str, bool, str]]:
    """List the registered backends.

    Returns
    -------
    list of (name, available, why)
        ``why`` is empty for a backend that can run, otherwise it says what is missing.
    """
    return [(name, *_availability(name)) for name in _names()]


def resolve_backend(requested: str, X: Any) -> Backend:
    """Choose the backend of one call.

    Parameters
    ----------
    requested : str
        The estimator's ``backend`` parameter; "auto" leaves the choice to the configuration,
        the environment and the type of X.
    X : array-like
        The data.

    Returns
    -------
    Backend
        One that is available.

    Raises
    ------
    ValueError
        If no backend of the requested name is registered.
    TypeError
        If X lives on a device and the requested backend computes on the CPU.
    BackendUnavailableError
        If the requested backend, or the one that owns X, cannot run here.
    """
    if requested != "auto":
        return _serving(requested, X)
    name, where = requested_backend()
    if name is None:
        return _serving(_owner(X), X)
    check_registered(name, where)
    ok, why = _availability(name)
    if ok:
        return _serving(name, X)
    message = f"Backend {name!r}, chosen by {where}, is unavailable: {why} Using {_DEFAULT!r}."
    _warn_fallback(message)
    _logger.warning(message)
    return _serving(_DEFAULT, X)


def require(name: str) -> None:
    """Raise BackendUnavailableError unless a backend can run here."""
    ok, why = _availability(name)
    if not ok:
        raise _unavailable_error(name, why)


def to_current_device(values: Any) -> Any:
    """Return the values as a CuPy array of the current device; those of a device as they are.

    Raises
    ------
    BackendUnavailableError
        If there is no device.
    """
    if is_on_device(values):
        return values
    require("cupy")
    return importlib.import_module("cupy").asarray(values)


def _serving(name: str, X: Any) -> Backend:
    check_registered(name)
    if name == _DEFAULT and is_on_device(X):
        raise TypeError(
            'X is a CuPy array and backend="numba" computes on the CPU. Pass X.get(), or let '
            'backend="auto" follow X.'
        )
    require(name)
    return get_backend(name)


def _availability(name: str) -> tuple[bool, str]:
    from sparsereg.exceptions import BackendUnavailableError

    try:
        return get_backend(name).available()
    except BackendUnavailableError as error:
        return False, str(error)
    except Exception as error:  # somebody else's plug-in: report it like any other reason
        return False, f"its own check failed ({type(error).__name__}: {error})."


def _unavailable_error(name: str, why: str) -> Exception:
    from sparsereg.exceptions import BackendUnavailableError

    usable = [other for other in _names() if other != name and _availability(other)[0]]
    return BackendUnavailableError(
        f"Backend {name!r} is unavailable: {why} Available here: {', '.join(usable) or 'none'}."
    )


def _owner(X: Any) -> str:
    """Return the name of the backend that X belongs to."""
    if is_on_device(X):
        return "cupy"
    if _root_module(X) not in _HOST_MODULES:  # so that ordinary data never scan entry points
        for name in _entry_points():
            if name not in _BUILT_IN and _claims(name, X):
                return name
    return _DEFAULT


def _claims(name: str, X: Any) -> bool:
    try:
        return bool(get_backend(name).owns(X))
    except Exception:  # somebody else's plug-in must not break a fit that does not need it
        return False


def _root_module(X: Any) -> str:
    return type(X).__module__.split(".", 1)[0]


def _warn_fallback(message: str) -> None:
    from sparsereg._caller import warn_caller
    from sparsereg.exceptions import BackendFallbackWarning

    warn_caller(message, BackendFallbackWarning)
