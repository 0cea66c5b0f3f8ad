"""Package configuration: which backend computes when an estimator does not say.

The order is: the estimator's own ``backend=`` parameter, then :func:`config_context` or
:func:`set_config`, then the environment variable ``SPARSEREG_BACKEND``, then the type of X.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_global_config: dict[str, str | None] = {"backend": None}
_local = threading.local()


def _thread_config() -> dict[str, str | None]:
    if not hasattr(_local, "config"):
        _local.config = dict(_global_config)
    return _local.config


def get_config() -> dict[str, str | None]:
    """Return a copy of the configuration of the current thread.

    Returns
    -------
    dict
        ``{"backend": name or None}``; None means that nothing was set, and the environment
        variable ``SPARSEREG_BACKEND`` and then the type of X decide.
    """
    return dict(_thread_config())


def set_config(*, backend: str | None = None) -> None:
    """Set the backend of estimators whose own ``backend`` is "auto".

    Like scikit-learn's function of this name, it acts on the current thread and on threads that
    start using the package later.

    Parameters
    ----------
    backend : str or None
        Name of a registered backend such as ``"numba"`` or ``"cupy"``. ``"auto"`` or None leaves
        the choice to ``SPARSEREG_BACKEND`` and the type of X.

    Raises
    ------
    ValueError
        If no backend of that name is registered.
    """
    name = _checked(backend)
    _thread_config()["backend"] = name
    _global_config["backend"] = name


@contextmanager
def config_context(*, backend: str | None = None) -> Iterator[None]:
    """Use a backend for the duration of a ``with`` block, in the current thread.

    Parameters
    ----------
    backend : str or None
        As in :func:`set_config`.

    Raises
    ------
    ValueError
        If no backend of that name is registered.

    Examples
    --------
    >>> from sparsereg import config_context, get_config
    >>> with config_context(backend="numba"):
    ...     get_config()["backend"]
    'numba'
    """
    config = _thread_config()
    before = config["backend"]
    config["backend"] = _checked(backend)
    try:
        yield
    finally:
        config["backend"] = before


def _checked(backend: str | None) -> str | None:
    if backend is None or backend == "auto":
        return None
    from sparsereg.backends.registry import check_registered

    check_registered(backend)
    return backend


def requested_backend() -> tuple[str | None, str]:
    """Return the backend asked for outside the estimator, and where it was asked for."""
    name = _thread_config()["backend"]
    if name is not None:
        return name, "sparsereg's configuration"
    name = os.environ.get("SPARSEREG_BACKEND", "").strip()
    if name and name != "auto":
        return name, "the environment variable SPARSEREG_BACKEND"
    return None, "the type of X"
