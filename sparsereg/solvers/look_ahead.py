"""Several alphas of a path at once: solve them on the pool, then check them all in one pass over X.

Between neighboring alphas the solution is close to linear in alpha, and so is the gradient. Its
last change, extended to the smallest of the alphas, names the columns that will matter there. With
them in the pool the homotopy visits one alpha after another without a look at X; one matrix product
then gives the gradients at all of them, and each alpha gets the same duality gap it would have got
on its own. Where a column was missing, the gradients say which: it is taken in, and the walk goes
on from the last alpha that was right. What cannot be had so is left to the ordinary solve.

Source: prediction of the gradient along the path, Larsson and Wallin, "The Hessian screening rule",
NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.problem import Solution, Step
from sparsereg.solvers.restricted import walk_path
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.working_set import EXACT, drop_far, make_pool
from sparsereg.solvers.workspace import Point, Workspace

# Columns predicted to come this near their bound are taken in.
_NEARLY = 0.97
# At most so many alphas at once; their gradients take as much memory as so many rows of X.
_MAX_ALPHAS, _SHARE_OF_ROWS = 16, 4
# Walks from where columns were missing; more of these than this, or than there are in the pool, are
# left to the ordinary solve.
_ATTEMPTS, _FEW = 4, 64
# A step with more active-set changes per alpha than this is worth a pass of its own.
_MANY_CHANGES = 60


class LookAhead:
    """How many alphas to try at once, and what their gradients are expected to be.

    Parameters
    ----------
    work : Workspace
    penalty : ElasticNet
        Its alpha is not used.
    """

    def __init__(self, work: Workspace, penalty: ElasticNet):
        self._work, self._unit = work, Restriction.of(penalty.with_alpha(1.0), work)
        self._most = min(_MAX_ALPHAS, work.design.shape[0] // _SHARE_OF_ROWS)
        self._size = 2
        self._before: tuple[float, FloatArray] | None = None
        self._last: tuple[float, FloatArray] | None = None

    def saw(self, alpha: float, n_iter: int) -> None:
        """Note the gradient at an alpha that is solved, after so many iterations."""
        # a copy: the gradient may be a row of many, which it would keep alive
        self._before, self._last = self._last, (alpha, self._work.gradient.copy())
        if n_iter > _MANY_CHANGES:
            self._size = 1

    def _slope(self) -> FloatArray | None:
        """Return the last change of the gradient, per alpha; None if alpha did not fall."""
        if self._before is None or self._last is None or self._before[0] <= self._last[0]:
            return None
        return (self._last[1] - self._before[1]) / (self._last[0] - self._before[0])

    def solve(self, alphas: Sequence[float], *, tol: float) -> Iterator[Solution]:
        """Yield the solutions of as many of the next alphas as are found at once, maybe none.

        The workspace is at each solution while it is yielded.
        """
        work = self._work
        size = min(self._size, self._most, len(alphas))
        self._size = min(2 * max(self._size, 1), _MAX_ALPHAS)
        if size < 2 or self._last is None or (self._slope() is None and not work.on_gram):
            return
        rest = alphas[:size]
        if rest[-1] <= 0 or any(a <= b for a, b in zip((self._last[0], *rest), rest)):
            return  # not descending, or not on a logarithmic scale
        if self._unit.free.size or not work.active_set.is_exact:
            return
        for _ in range(_ATTEMPTS):
            right = work.point
            with single_threaded_blas():
                found, missing = self._walk_and_check(rest, tol)
            for alpha, right, gap, n_iter in found:
                work.move_to_point(right)
                self.saw(alpha, n_iter)
                step = Step(n_iter, gap, len(work.pool))
                yield work.solution(gap, tol * work.sq_y, n_iter, history=(step,))
            rest = rest[len(found) :]
            if not rest:
                return
            work.move_to_point(right)
            work.active_set.forget()
            if not 0 < missing.size <= max(_FEW, len(work.pool)):
                break
            if not make_pool(work, self._unit, missing):
                break
        self._size = 1

    def _walk_and_check(
        self, alphas: Sequence[float], tol: float
    ) -> tuple[list[tuple[float, Point, float, int]], IndexArray]:
        """Return the alphas that were solved, and the columns that the next ones lack."""
        work, unit = self._work, self._unit
        nothing = unit.usable[:0]
        if not self._take_in(alphas[-1]):
            return [], nothing
        assert self._last is not None
        columns = work.pool.columns
        coefs, events = walk_path(work, unit.gap(work, columns), self._last[0], alphas)
        if not len(coefs):
            return [], nothing
        # one pass over X for all of them
        points = work.points(columns, coefs)
        usable = slice(None) if unit.usable.size == work.coef.size else unit.usable
        levels = np.array(alphas[: len(coefs)])
        gaps, _ = unit.gap(work, usable).evaluate_path(
            levels, points.coefs[:, usable], points.gradients[:, usable], points.sq_residuals
        )
        wrong = ~(gaps <= min(tol, EXACT) * work.sq_y)
        n_found = int(np.argmax(wrong)) if wrong.any() else len(gaps)
        found = [(alphas[k], points.at(k), float(gaps[k]), int(events[k])) for k in range(n_found)]
        if n_found == len(gaps):
            return found, nothing
        return found, self._missing(levels[n_found:], points.gradients[n_found:])

    def _missing(self, alphas: FloatArray, gradients: FloatArray) -> IndexArray:
        """Return the columns outside the pool that pass their bound at one of the alphas."""
        unit = self._unit
        sizes = gradients if unit.positive else np.abs(gradients)
        beyond = np.any(sizes > alphas[:, None] * unit.l1, axis=0)
        return self._work.pool.missing(np.flatnonzero(beyond & unit.may_move))

    def _take_in(self, alpha: float) -> bool:
        """Bring the columns into the pool that will matter at alpha."""
        work, unit = self._work, self._unit
        slope = self._slope()
        if work.on_gram or slope is None:
            return True
        assert self._last is not None
        expected = work.gradient + (alpha - self._last[0]) * slope
        size = expected if unit.positive else np.abs(expected)
        drop_far(work, unit, expected / alpha)
        near = (size > (_NEARLY * alpha) * unit.l1) & unit.may_move
        return make_pool(work, unit, np.flatnonzero(near))
