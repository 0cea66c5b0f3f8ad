"""Penalties: the sparsity part of an objective. One file per family.

Each has ``value(w)``, ``prox(v, step)`` and ``subdiff_distance(w, grad)`` on vectors (or, for
several tasks, on matrices), and a kernel form (a kind and a few numbers) that the compiled loops
understand.
"""

from sparsereg.penalties.elastic_net import L1, ElasticNet
from sparsereg.penalties.l21 import L21

__all__ = ["L1", "L21", "ElasticNet"]
