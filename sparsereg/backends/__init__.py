"""Backends: who executes the hot loops. See :mod:`sparsereg.backends.protocol`."""

from sparsereg.backends.registry import get_backend, list_backends, resolve_backend

__all__ = ["get_backend", "list_backends", "resolve_backend"]
