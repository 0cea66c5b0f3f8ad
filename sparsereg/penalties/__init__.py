"""Penalties: the sparsity part of an objective. One file per family.

Each has ``value(w)``, ``prox(v, step)`` and ``subdiff_distance(w, grad)`` on vectors, and a kernel
form (a kind and a few numbers) that the compiled loops understand.
"""

from sparsereg.penalties.elastic_net import L1, ElasticNet

__all__ = ["L1", "ElasticNet"]
