"""Forward-backward splitting from zero: a gradient step on the loss, then the prox of the penalty.

    w <- prox(w + t X'(s r) / n, t),    t = .99 / ||X||^2,

||X||^2 the largest eigenvalue of the Gram matrix divided by n, by power iteration. That approaches
it from below; should a step raise the objective, t is halved and the step taken again. On CEL0 such
a step is continuous in w; on l0 it is iterative hard thresholding.

Sources: Blumensath and Davies, J. Fourier Analysis and Applications, 2008; Attouch, Bolte and
Svaiter, "Convergence of descent methods for semi-algebraic and tame problems", Mathematical
Programming, 2013.
"""

from __future__ import annotations

import numpy as np

from sparsereg.penalties.base import Penalty
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.workspace import Workspace

_SHARE = 0.99
_POWER_STEPS = 30
# The step, in standard deviations of y, that ends the iteration.
_SETTLED = 1e-5


def split_forward_backward(work: Workspace, penalty: Penalty, max_iter: int) -> int:
    """Move to where the iteration settles, or as far as the budget allows; return the steps."""
    terms = SeparableTerms.of(penalty, work)
    work.move_to(np.zeros_like(work.coef))
    largest = _largest_eigenvalue(work, terms)
    if largest == 0.0:
        return 0
    step, objective = _SHARE / largest, terms.objective(work)
    settled = _SETTLED * np.sqrt(work.sq_y)
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        before = work.point
        target = np.where(terms.may_move, before.coef + step * before.gradient, 0.0)
        work.set_coef(penalty.prox(target, step))
        last, objective = objective, terms.objective(work)
        if objective > last * (1 + 1e-14):
            step /= 2
            objective = last
            work.move_to_point(before)
            continue
        work.gradient = work.backend.xtr(work.design, work.residual)
        if np.linalg.norm(work.coef - before.coef) / np.sqrt(step) <= settled:
            break
    return n_iter


def _largest_eigenvalue(work: Workspace, terms: SeparableTerms) -> float:
    """Return that of X_c' diag(s) X_c / n on the features that may move, or slightly less."""
    columns = np.flatnonzero(terms.may_move)
    if not columns.size:
        return 0.0
    # deterministic, and not orthogonal to the leading eigenvector unless X is made so
    vector = np.sqrt(work.design.sqnorms[columns]) * (1.0 + np.arange(columns.size) % 7 / 7.0)
    value = 0.0
    for _ in range(_POWER_STEPS):
        vector /= np.linalg.norm(vector)
        image = work.backend.fitted(work.design, columns, vector)
        vector = work.backend.xtr(work.design, image, columns)
        value = float(np.linalg.norm(vector))
        if value == 0.0:
            break
    return max(value, float(np.max(work.design.sqnorms[columns])))
