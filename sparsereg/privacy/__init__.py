"""Sparse regression under local differential privacy: clients, aggregators, estimators.

A :class:`Randomizer` turns the record of one person into a report, on that person's device. An
:class:`Aggregator` sums reports. :class:`LDPSparseRegression` estimates from the sums. What the
client needs (``protocol``, ``mechanisms``, ``gaussian``, ``codebook``, ``reports``, ``client``,
``accounting``) imports nothing but NumPy and the standard library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparsereg.privacy.accounting import (
        BudgetExceededError,
        PrivacyBudget,
        approximate_epsilon,
        dp_accounting_event,
    )
    from sparsereg.privacy.aggregator import Aggregator, debiased_labels
    from sparsereg.privacy.auditing import AuditResult, audit
    from sparsereg.privacy.baselines import LDPIHT, NLDPRegression
    from sparsereg.privacy.client import Randomizer
    from sparsereg.privacy.lasso import LDPLasso
    from sparsereg.privacy.pipeline import PublicScaler, UnitNormRows, check_pipeline
    from sparsereg.privacy.protocol import Protocol
    from sparsereg.privacy.regression import LDPSparseRegression
    from sparsereg.privacy.rounds import Session
    from sparsereg.privacy.statement import PrivacyStatement
    from sparsereg.privacy.statistics import NoiseLaw, PrivateStatistics, nearest_psd

_PUBLIC = {
    "Aggregator": "aggregator",
    "AuditResult": "auditing",
    "BudgetExceededError": "accounting",
    "LDPIHT": "baselines",
    "LDPLasso": "lasso",
    "LDPSparseRegression": "regression",
    "NLDPRegression": "baselines",
    "NoiseLaw": "statistics",
    "PrivacyBudget": "accounting",
    "PrivacyStatement": "statement",
    "PrivateStatistics": "statistics",
    "Protocol": "protocol",
    "PublicScaler": "pipeline",
    "Randomizer": "client",
    "Session": "rounds",
    "UnitNormRows": "pipeline",
    "approximate_epsilon": "accounting",
    "audit": "auditing",
    "check_pipeline": "pipeline",
    "debiased_labels": "aggregator",
    "dp_accounting_event": "accounting",
    "nearest_psd": "statistics",
}

__all__ = [
    "LDPIHT",
    "Aggregator",
    "AuditResult",
    "BudgetExceededError",
    "LDPLasso",
    "LDPSparseRegression",
    "NLDPRegression",
    "NoiseLaw",
    "PrivacyBudget",
    "PrivacyStatement",
    "PrivateStatistics",
    "Protocol",
    "PublicScaler",
    "Randomizer",
    "Session",
    "UnitNormRows",
    "approximate_epsilon",
    "audit",
    "check_pipeline",
    "debiased_labels",
    "dp_accounting_event",
    "nearest_psd",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sparsereg.privacy' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
