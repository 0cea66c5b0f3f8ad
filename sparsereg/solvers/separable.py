"""A separable penalty on the data of a workspace: which features may move, which are free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.penalties.base import Penalty
from sparsereg.solvers.workspace import Workspace


@dataclass(frozen=True)
class SeparableTerms:
    """The penalty on the features that may move: not constant, not excluded.

    Attributes
    ----------
    penalty : Penalty
    form : KernelForm
        With weight zero where a feature may not move.
    may_move : ndarray of bool, of shape (p,)
    free : ndarray of int
        The features that may move and are not penalized, if any sign is allowed.
    """

    penalty: Penalty
    form: KernelForm
    may_move: npt.NDArray[np.bool_]
    free: IndexArray

    @classmethod
    def of(cls, penalty: Penalty, work: Workspace) -> SeparableTerms:
        """Return the terms of a penalty on the data of a workspace."""
        form = penalty.kernel_form(work.design.shape[1])
        may_move = (work.design.sqnorms > 0) & np.isfinite(form.weights)
        weightless = form.weights == 0 if penalty.alpha > 0 else True
        free = np.flatnonzero(may_move & weightless & (not penalty.positive))
        form = form._replace(weights=np.where(may_move, form.weights, 0.0))
        return cls(penalty, form, may_move, free)

    def objective(self, work: Workspace) -> float:
        """Return the objective at the current point."""
        return 0.5 * work.sq_residual + self.penalty.value(work.coef)

    def gains(self, work: Workspace) -> FloatArray:
        """Return what the best move of each coefficient alone would bring."""
        curvatures = np.where(self.may_move, work.design.sqnorms, 0.0)
        return work.backend.coordinate_gains(work.coef, work.gradient, curvatures, self.form)

    def entry_ratio(self, work: Workspace) -> FloatArray:
        """Return, per feature, the alpha at which it would enter by itself, relative to alpha."""
        entry = self.penalty.entry_alpha(-work.gradient, work.design.sqnorms)
        entry[~self.may_move] = 0.0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(entry > 0, entry / self.penalty.alpha, 0.0)

    def start_feasible(self, work: Workspace) -> None:
        """Bring the point of a workspace inside the constraints, and fit what is not penalized."""
        work.start_feasible(self.may_move, self.free, self.penalty.positive)
