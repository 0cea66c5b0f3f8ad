"""Several alphas of a path at once: solve them on the pool, then check them all together.

Between neighboring alphas the solution is close to linear in alpha, and so is the gradient. Its
last change, extended to the smallest of the alphas, names the columns that will matter there. With
them in the pool the homotopy visits one alpha after another without a look at X. One pass over X
then gives the gradients at the last two, which prove for nearly all columns that they stay within
their bounds between (:mod:`sparsereg.solvers.reach`); with the gradients of the others, each alpha
gets the same duality gap it would have got on its own. Where a column was missing, the gradients
say which: it is taken in, and the walk goes on from the last alpha that was right. What cannot be
had so is left to the ordinary solve.

Source: prediction of the gradient along the path, Larsson and Wallin, "The Hessian screening rule",
NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FewRowsRules, FloatArray, IndexArray
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.few_rows import walk_few_rows, walks_few_rows
from sparsereg.solvers.problem import Stretch
from sparsereg.solvers.reach import INSIDE, within_reach
from sparsereg.solvers.restricted import walk_path
from sparsereg.solvers.restriction import Restriction
from sparsereg.solvers.working_set import EXACT, FAR, FAR_SHARE, drop_far, make_pool
from sparsereg.solvers.workspace import Points, Workspace

# Columns predicted to come this near their bound are taken in.
_NEARLY = 0.97
# At most so many alphas at once; their residuals take as much memory as so many columns of X.
_MAX_ALPHAS = 12
# Walks from where columns were missing; more of these than this, or than there are in the pool, are
# left to the ordinary solve.
_ATTEMPTS, _FEW = 4, 64
# So many changes of the active set, as often as at the last alpha, are worth a pass.
_CHANGES_PER_PASS = 400
_RULES = FewRowsRules(_NEARLY, FAR, FAR_SHARE, INSIDE, _MAX_ALPHAS, _ATTEMPTS, _FEW)


class _Known(NamedTuple):
    """What is kept of an alpha that is solved; the residual is None on the Gram matrix."""

    alpha: float
    residual: FloatArray | None
    gradient: FloatArray


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
        self._lengths = np.sqrt(work.design.sqnorms)
        self._size = 2
        self._before: _Known | None = None
        self._last: _Known | None = None

    def saw(self, alpha: float, n_iter: int) -> None:
        """Note the workspace's point, the solution at an alpha after so many iterations."""
        work = self._work
        residual = None if work.on_gram else work.residual
        self._before, self._last = self._last, _Known(alpha, residual, work.gradient)
        self._size = min(self._size, max(_CHANGES_PER_PASS // max(n_iter, 1), 1))

    def _has_slope(self) -> bool:
        """Whether the last change of alpha was down, so that the gradient's can be extended."""
        return (
            self._before is not None
            and self._last is not None
            and self._before.alpha > self._last.alpha
        )

    def solve(self, alphas: Sequence[float], *, tol: float) -> Iterator[Stretch]:
        """Yield the solutions of as many of the next alphas as are found at once, maybe none.

        The workspace is at the last solution of a stretch while it is yielded.
        """
        work = self._work
        size = min(self._size, _MAX_ALPHAS, len(alphas))
        self._size = min(2 * max(self._size, 1), _MAX_ALPHAS)
        if size < 2 or self._last is None or not (work.on_gram or self._has_slope()):
            return
        rest = alphas[:size]
        if rest[-1] <= 0 or any(a <= b for a, b in zip((self._last.alpha, *rest), rest)):
            return  # not descending, or not on a logarithmic scale
        if self._unit.free.size:
            return
        if self._has_slope() and walks_few_rows(work):
            with single_threaded_blas():
                found = self._walk_few_rows(alphas, size, tol)
            if found is not None:
                yield found
            return
        if not work.active_set.is_exact:
            return
        for _ in range(_ATTEMPTS):
            with single_threaded_blas():
                stretch, missing = self._walk_and_check(rest, tol)
            if stretch is not None:
                rest = rest[len(stretch) :]
                yield stretch
            if not rest:
                return
            if not 0 < missing.size <= max(_FEW, len(work.pool)):
                break
            work.active_set.rewind(work.coef[work.pool.columns])
            with single_threaded_blas():
                fits = make_pool(work, self._unit, missing)
            if not fits:
                break
        work.active_set.forget()
        self._size = 1

    def _walk_few_rows(self, alphas: Sequence[float], size: int, tol: float) -> Stretch | None:
        """Do what ``solve`` does in one call, for as many alphas as go well."""
        assert self._before is not None
        assert self._last is not None
        both, work = (self._before, self._last), self._work
        levels = np.array([known.alpha for known in both])
        residuals = np.array([known.residual for known in both])
        gradients = np.array([known.gradient for known in both])
        steps = takewhile(lambda step: 0 < step[1] < step[0], zip((np.inf, *alphas), alphas))
        down = [alpha for _, alpha in steps]
        found = walk_few_rows(
            work, self._unit, down, levels, residuals, gradients, at_once=size,
            rules=_RULES, goal=min(tol, EXACT) * work.sq_y, tolerance=tol * work.sq_y,
        )  # fmt: skip
        if found is None or len(found) < len(down):
            self._size = 1
        self._before, self._last = (
            _Known(float(a), r, g) for a, r, g in zip(levels, residuals, gradients)
        )
        return found

    def _walk_and_check(
        self, alphas: Sequence[float], tol: float
    ) -> tuple[Stretch | None, IndexArray]:
        """Move on to what was solved and return it, and the columns that the next alphas lack."""
        work, unit = self._work, self._unit
        nothing = unit.usable[:0]
        if not self._take_in(alphas[-1]):
            return None, nothing
        assert self._last is not None
        columns = work.pool.columns
        coefs, events = walk_path(work, unit.gap(work, columns), self._last.alpha, alphas)
        if not len(coefs):
            return None, nothing
        points, levels = work.points(columns, coefs), np.array(alphas[: len(coefs)])
        ends = self._gradients_at_the_ends(points)
        seen, gradients = self._gradients_within_reach(points, levels, ends)
        seen_coefs = np.zeros_like(gradients)
        seen_coefs[:, : columns.size] = coefs
        gaps, scales = unit.gap(work, seen).evaluate_path(
            levels, seen_coefs, gradients, points.sq_residuals
        )
        # what is out of reach stays within its bounds up to this scale
        right = (gaps <= min(tol, EXACT) * work.sq_y) & (scales * INSIDE <= 1.0)
        n_found = len(gaps) if right.all() else int(np.argmin(right))
        missing = nothing
        if n_found < len(gaps):
            missing = self._missing(seen, levels[n_found:], gradients[n_found:])
        if not n_found:
            return None, missing
        self._move_along(points, ends, levels[:n_found], events)
        return work.stretch(points, gaps[:n_found], tol * work.sq_y, events), missing

    def _move_along(
        self,
        points: Points,
        ends: dict[int, FloatArray],
        levels: FloatArray,
        events: npt.NDArray[np.int64],
    ) -> None:
        """Move to the last of the solutions, and note it, as well as the one before if known."""
        last = levels.size - 1
        first_known = 0 if points.residuals is None else last
        if last - 1 in ends:
            assert points.residuals is not None
            self._last = _Known(float(levels[-2]), points.residuals[last - 1], ends[last - 1])
            first_known = last - 1
        point = points.at(last)
        self._work.move_to_point(point._replace(gradient=ends.get(last, point.gradient)))
        self.saw(float(levels[last]), int(events[first_known : last + 1].max()))

    def _gradients_at_the_ends(self, points: Points) -> dict[int, FloatArray]:
        """Return the gradients at the last two points: one pass over X."""
        if points.residuals is None:
            return {}
        first = max(len(points.residuals) - 2, 0)
        gradients = self._work.backend.xtr_tasks(self._work.design, points.residuals[first:])
        return dict(enumerate(gradients, first))

    def _gradients_within_reach(
        self, points: Points, levels: FloatArray, ends: dict[int, FloatArray]
    ) -> tuple[IndexArray, FloatArray]:
        """Return the columns that could matter, those of the points first, and their gradients."""
        if points.residuals is None:
            assert points.gradients is not None
            return points.columns, points.gradients
        work, unit = self._work, self._unit
        known = [(points.residuals[k], gradient) for k, gradient in ends.items()]
        for other in (self._before, self._last):
            if other is not None and other.residual is not None:
                known.append((other.residual, other.gradient))
        reached = within_reach(
            work.backend, known, points.residuals, work.sample_weight, self._lengths, levels,
            unit.l1, unit.positive,
        )  # fmt: skip
        others = work.pool.missing(np.flatnonzero(reached & unit.may_move))
        seen = np.concatenate([points.columns, others])
        return seen, work.backend.xtr_tasks(work.design, points.residuals, seen)

    def _missing(
        self, columns: IndexArray, alphas: FloatArray, gradients: FloatArray
    ) -> IndexArray:
        """Return those of the columns outside the pool that pass their bound at an alpha."""
        sizes = gradients if self._unit.positive else np.abs(gradients)
        beyond = np.any(sizes > alphas[:, None] * self._unit.l1[columns], axis=0)
        return self._work.pool.missing(columns[beyond])

    def _take_in(self, alpha: float) -> bool:
        """Bring the columns into the pool that will matter at alpha."""
        work, unit = self._work, self._unit
        if work.on_gram or not self._has_slope():
            return True
        assert self._last is not None
        assert self._before is not None
        # the gradient's last change, extended to alpha
        expected = self._last.gradient - self._before.gradient
        expected *= (alpha - self._last.alpha) / (self._last.alpha - self._before.alpha)
        expected += work.gradient
        size = expected if unit.positive else np.abs(expected, out=expected)
        drop_far(work, alpha * unit.l1, size)
        near = size > (_NEARLY * alpha) * unit.l1
        if not unit.all_bounded:
            near &= unit.may_move
        return make_pool(work, unit, np.flatnonzero(near))
