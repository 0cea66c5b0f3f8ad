"""Pictures of fitted models, as displays in scikit-learn's style; the extra ``plot`` draws them."""

from sparsereg.plotting.convergence import ConvergenceDisplay
from sparsereg.plotting.cross_validation import CrossValidationDisplay
from sparsereg.plotting.path import RegularizationPathDisplay
from sparsereg.plotting.phase_transition import PhaseTransitionDisplay
from sparsereg.plotting.support import SupportDisplay

__all__ = [
    "ConvergenceDisplay",
    "CrossValidationDisplay",
    "PhaseTransitionDisplay",
    "RegularizationPathDisplay",
    "SupportDisplay",
]
