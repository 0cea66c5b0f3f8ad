"""Iteratively reweighted l1 from zero, on the exact relaxation of the penalty.

A concave penalty lies below its tangents, so that a weighted lasso whose weights are the slopes at
the current point lies above the objective and touches it there: solving it lowers the objective.
The slopes are those of the relaxation (:meth:`sparsereg.penalties.base.Penalty.relaxed_slope`),
which are finite at zero also for lq and l0. Each lasso is solved exactly and moves all coefficients
together, which is where it differs from coordinate descent: coordinate descent on the relaxation is
coordinate descent on the penalty itself.

Sources: Candes, Wakin and Boyd, J. Fourier Analysis and Applications, 2008; Zou and Li, "One-step
sparse estimates in nonconcave penalized likelihood models", Annals of Statistics, 2008; Soubies,
Blanc-Feraud and Aubert, SIAM J. Imaging Sciences, 2015 (for CEL0).
"""

from __future__ import annotations

import numpy as np

from sparsereg.penalties.base import Penalty
from sparsereg.penalties.elastic_net import L1
from sparsereg.solvers import working_set
from sparsereg.solvers.workspace import Workspace

# Weighted lassos at most, the duality gap each is solved to, and the change of the coefficients,
# in standard deviations of y, below which the next one would be the same.
_MAX_ROUNDS, _GAP, _SETTLED = 50, 1e-8, 1e-6


def reweight(work: Workspace, penalty: Penalty, max_iter: int) -> int:
    """Move to where the weighted lassos settle; return their iterations."""
    curvatures = work.design.sqnorms
    work.move_to(np.zeros_like(work.coef))
    work.active_set.forget()
    used = 0
    for _ in range(_MAX_ROUNDS):
        before = work.coef
        weights = penalty.relaxed_slope(before, curvatures)
        lasso = L1(1.0, weights=weights, positive=penalty.positive)
        used += working_set.solve(work, lasso, tol=_GAP, max_iter=max_iter).n_iter
        moved = np.abs(work.coef - before) * np.sqrt(curvatures)
        if np.max(moved, initial=0.0) <= _SETTLED * np.sqrt(work.sq_y):
            break
    work.active_set.forget()
    return used
