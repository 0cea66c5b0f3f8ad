"""Representing data by few atoms of a dictionary."""

from sparsereg.decomposition.sparse_coding import sparse_encode

__all__ = ["sparse_encode"]
