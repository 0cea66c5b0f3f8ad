"""Forward-backward splitting from zero: a gradient step on the loss, then the prox of the penalty.

    w <- prox(w + t X'(s r) / n, t),    t = .99 / ||X||^2,

||X||^2 the largest eigenvalue of the Gram matrix divided by n, by power iteration. That approaches
it from below; should a step raise the objective, t is halved and the step taken again. On CEL0 such
a step is continuous in w; on l0 it is iterative hard thresholding.

Where earlier stages have left a pool of columns that mattered, the iteration runs on its Gram
matrix, without a look at X; the descent that follows brings in what is missing.

Sources: Blumensath and Davies, J. Fourier Analysis and Applications, 2008; Attouch, Bolte and
Svaiter, "Convergence of descent methods for semi-algebraic and tame problems", Mathematical
Programming, 2013.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import norm  # scaled: squares of huge values would overflow

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties.base import Penalty
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.separable import SeparableTerms
from sparsereg.solvers.workspace import Workspace

_SHARE = 0.99
_POWER_STEPS = 30
# The step, in standard deviations of y, that ends the iteration.
_SETTLED = 1e-5

#: Returns X_c[:, columns]' X_c[:, columns] v / n.
Operator = Callable[[FloatArray], FloatArray]


def split_forward_backward(work: Workspace, penalty: Penalty, max_iter: int) -> int:
    """Move to where the iteration settles, or as far as the budget allows; return the steps."""
    terms = SeparableTerms.of(penalty, work)
    work.move_to(np.zeros_like(work.coef))
    columns = work.pool.columns if len(work.pool) else np.arange(work.coef.size)
    columns = columns[terms.may_move[columns]]
    if not columns.size:
        return 0
    with single_threaded_blas():
        if columns.size == len(work.pool):
            coef = np.zeros_like(work.coef)
            inner = coef[columns]
            n_iter = work.backend.gram_split(
                work.pool.gram, work.slopes_at_zero[columns], inner, terms.form.at(columns),
                max_iter, _SETTLED * work.sq_y**0.5,
            )  # fmt: skip
            coef[columns] = inner
        else:
            coef, n_iter = _iterate(work, penalty, columns, _operator(work, columns), max_iter)
    work.move_to(coef)
    return n_iter


def _operator(work: Workspace, columns: IndexArray) -> Operator:
    def multiply(v: FloatArray) -> FloatArray:
        image = work.backend.fitted(work.design, columns, v)
        return work.backend.xtr(work.design, image, columns)

    return multiply


def _iterate(
    work: Workspace, penalty: Penalty, columns: IndexArray, operator: Operator, max_iter: int
) -> tuple[FloatArray, int]:
    start, sq_start = work.gradient[columns], work.sq_residual
    step = _SHARE / _largest_eigenvalue(operator, work.design.sqnorms[columns])
    settled = _SETTLED * np.sqrt(work.sq_y)
    coef, gradient, objective = np.zeros_like(work.coef), start, 0.5 * sq_start
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        target = np.zeros_like(coef)
        target[columns] = coef[columns] + step * gradient
        moved = penalty.prox(target, step)
        new_gradient = start - operator(moved[columns])
        # ||r||^2 follows from the gradients at both ends of a move, exactly for a quadratic
        sq_residual = sq_start - float(moved[columns] @ (start + new_gradient))
        new_objective = 0.5 * sq_residual + penalty.value(moved)
        if new_objective > objective + 1e-14 * sq_start:
            step /= 2
            continue
        length = float(np.linalg.norm(moved - coef)) / np.sqrt(step)
        coef, gradient, objective = moved, new_gradient, new_objective
        if length <= settled:
            break
    return coef, n_iter


def _largest_eigenvalue(operator: Operator, sqnorms: FloatArray) -> float:
    """Return that of a Gram matrix with this diagonal, or slightly less."""
    # deterministic, and not orthogonal to the leading eigenvector unless X is made so
    vector = np.sqrt(sqnorms) * (1.0 + np.arange(sqnorms.size) % 7 / 7.0)
    value = 0.0
    for _ in range(_POWER_STEPS):
        vector = operator(vector / norm(vector))
        value = float(norm(vector))
        if value == 0.0:
            break
    return max(value, float(np.max(sqnorms)))
