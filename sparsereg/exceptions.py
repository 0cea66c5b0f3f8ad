"""Every error and warning class of the package.

Wrong input raises ``ValueError`` or ``TypeError``, as scikit-learn does.
"""

from sklearn.exceptions import ConvergenceWarning

from sparsereg.privacy.accounting import BudgetExceededError

__all__ = [
    "BackendFallbackWarning",
    "BackendUnavailableError",
    "BudgetExceededError",
    "ConvergenceWarning",
    "MeasurementError",
    "PathInterruptedWarning",
]


class BackendUnavailableError(RuntimeError):
    """A backend was asked for by name and cannot serve; the message says why and what would."""


class BackendFallbackWarning(UserWarning):
    """A backend chosen by configuration or environment cannot serve; the default one did."""


class PathInterruptedWarning(UserWarning):
    """A path or a cross-validation was interrupted (Ctrl-C); the finished part was kept."""


class MeasurementError(ValueError):
    """Measurements cannot be answers to the queries of a design.

    Attributes
    ----------
    report : DecodeReport or None
        What was found out before.
    """

    report: object = None
