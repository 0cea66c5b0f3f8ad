"""Iteratively reweighted l1 from zero, on the exact relaxation of the penalty.

A concave penalty lies below its tangents, so that a weighted lasso whose weights are the slopes at
the current point lies above the objective and touches it there: solving it lowers the objective.
The slopes are those of the relaxation (:meth:`sparsereg.penalties.base.Penalty.relaxed_slope`),
which are finite at zero also for lq and l0. Each lasso is solved exactly and moves all coefficients
together, which is where it differs from coordinate descent: coordinate descent on the relaxation is
coordinate descent on the penalty itself. The first lasso brings in the columns; the others are
solved on their Gram matrix (:mod:`sparsereg.backends.numba.starts`), until none is missing.

Sources: Candes, Wakin and Boyd, J. Fourier Analysis and Applications, 2008; Zou and Li, "One-step
sparse estimates in nonconcave penalized likelihood models", Annals of Statistics, 2008; Soubies,
Blanc-Feraud and Aubert, SIAM J. Imaging Sciences, 2015 (for CEL0).
"""

from __future__ import annotations

import numpy as np

from sparsereg.penalties.base import Penalty
from sparsereg.penalties.elastic_net import L1
from sparsereg.solvers import working_set
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.coordinate_minimum import extend_pool
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.workspace import Workspace

# Columns that join the pool at a time, and how often.
_MOST_NEW, _EXTENSIONS = 32, 20
# Weighted lassos at most, the duality gap each is solved to, and the change of the coefficients,
# in standard deviations of y, below which the next one would be the same.
_MAX_ROUNDS, _GAP, _SETTLED = 50, 1e-8, 1e-6


def reweight(work: Workspace, penalty: Penalty, max_iter: int) -> int:
    """Move to where the weighted lassos settle; return their iterations."""
    curvatures = work.design.sqnorms
    terms = SeparableTerms.of(penalty, work)
    work.move_to(np.zeros_like(work.coef))
    work.active_set.forget()
    used = 0
    for _ in range(_MAX_ROUNDS):
        before = work.coef
        weights = penalty.relaxed_slope(before, curvatures)
        lasso = L1(1.0, weights=weights, positive=penalty.positive)
        used += working_set.solve(work, lasso, tol=_GAP, max_iter=max_iter).n_iter
        n_rounds = 0 if penalty.positive else _settle_on_pool(work, terms)
        if n_rounds:
            used += n_rounds
            break
        moved = np.abs(work.coef - before) * np.sqrt(curvatures)
        if np.max(moved, initial=0.0) <= _SETTLED * np.sqrt(work.sq_y):
            break
    work.active_set.forget()
    return used


def _settle_on_pool(work: Workspace, terms: SeparableTerms) -> int:
    """Go on in compiled code; return the number of lassos, 0 where a Gram matrix does not pay."""
    settled = _SETTLED * work.sq_y**0.5
    norms = np.sqrt(work.design.sqnorms)
    wanted, used = np.union1d(work.support, terms.free), 0
    with single_threaded_blas():
        for _ in range(_EXTENSIONS):
            if not extend_pool(work, terms, wanted):
                break
            columns = work.pool.columns
            coef = work.coef[columns]
            used += work.backend.gram_reweight(
                work.pool.gram, work.slopes_at_zero[columns], coef, terms.form.at(columns),
                _MAX_ROUNDS, settled,
            )  # fmt: skip
            full = np.zeros_like(work.coef)
            full[columns] = coef
            work.set_coef(full)
            work.refresh_gradient()
            # columns that the lasso lacks, those first that exceed their bounds most
            slopes = terms.penalty.relaxed_slope(full, work.design.sqnorms)
            excess = np.where(terms.may_move, np.abs(work.gradient) - slopes, 0.0)
            missing = np.flatnonzero(excess > settled * norms)
            missing = work.pool.missing(missing)
            if not missing.size:
                break
            strongest = missing[np.argsort(-excess[missing], kind="stable")[:_MOST_NEW]]
            wanted = np.union1d(work.support, strongest)
    return used
