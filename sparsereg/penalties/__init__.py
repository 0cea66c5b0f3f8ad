"""Penalties: the sparsity part of an objective. One file per family.

Each has ``value(w)``, ``prox(v, step)`` and ``subdiff_distance(w, grad)`` on vectors (or, for
several tasks, on matrices), and a kernel form (a kind and a few numbers) that the compiled loops
understand.
"""

from sparsereg.penalties.base import Penalty
from sparsereg.penalties.capped_l1 import CappedL1
from sparsereg.penalties.elastic_net import L1, ElasticNet
from sparsereg.penalties.hierarchical import Hierarchical
from sparsereg.penalties.k_support import KSupport
from sparsereg.penalties.l0 import CEL0, L0, L0Constraint
from sparsereg.penalties.l21 import L21
from sparsereg.penalties.log_sum import LogSum
from sparsereg.penalties.lq import Lq
from sparsereg.penalties.mcp import MCP
from sparsereg.penalties.scad import SCAD
from sparsereg.penalties.transformed_l1 import TransformedL1
from sparsereg.penalties.trimmed_ridge import TrimmedRidge

__all__ = [
    "CEL0",
    "L0",
    "L1",
    "L21",
    "MCP",
    "SCAD",
    "CappedL1",
    "ElasticNet",
    "Hierarchical",
    "KSupport",
    "L0Constraint",
    "LogSum",
    "Lq",
    "Penalty",
    "TransformedL1",
    "TrimmedRidge",
]
