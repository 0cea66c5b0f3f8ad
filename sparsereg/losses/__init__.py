"""Losses: the data part of an objective. One file per loss."""

from sparsereg.losses.squared import Squared

__all__ = ["Squared"]
