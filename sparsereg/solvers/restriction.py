"""A penalty on the data of a workspace: which features may move, and what holds each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray, IndexArray, KernelForm
from sparsereg.penalties.elastic_net import ElasticNet
from sparsereg.solvers.duality import DualGap
from sparsereg.solvers.workspace import check_gradients


@dataclass
class Restriction:
    """The penalty on the features that may move: not constant, not excluded.

    Attributes
    ----------
    usable : ndarray of int
        The features that may move; ``may_move`` says the same as a mask of all.
    free : ndarray of int
        Those among them that are not penalized.
    form : KernelForm
    l1, l2 : ndarray of shape (p,)
        Strengths per feature, weights included; zero where a feature may not move.
    positive : bool
    all_bounded : bool
        Whether every feature may move and has an l1 part.
    """

    usable: IndexArray
    may_move: npt.NDArray[np.bool_]
    free: IndexArray
    form: KernelForm
    l1: FloatArray
    l2: FloatArray
    positive: bool
    all_bounded: bool

    @classmethod
    def of(cls, penalty: ElasticNet, work: Any) -> Restriction:
        """Return the restriction of a penalty to the data of a workspace."""
        check_gradients(work.sq_y, work.design)
        form = penalty.kernel_form(work.design.shape[1])
        may_move, weights = work.design.sqnorms > 0, form.weights
        if penalty.weights is not None:
            may_move &= np.isfinite(weights)
        if not may_move.all():
            weights = np.where(may_move, weights, 0.0)
        with np.errstate(over="ignore"):  # a bound beyond float64 keeps its feature at zero
            l1, l2 = form.params[0] * weights, form.params[1] * weights
        usable = np.flatnonzero(may_move)
        all_bounded, free = bool(l1.all()), usable[:0]
        if not (all_bounded or penalty.positive):  # what has a sign cannot be projected out
            free = np.flatnonzero(may_move & (l1 + l2 == 0))
        return cls(
            usable=usable,
            may_move=may_move,
            free=free,
            form=form._replace(weights=weights),
            l1=l1,
            l2=l2,
            positive=bool(penalty.positive),
            all_bounded=all_bounded,
        )

    def at(self, level: float) -> Restriction:
        """Return the same with the l1 bounds multiplied by ``level``."""
        if level == 1.0:
            return self
        params = self.form.params.copy()
        params[0] *= level
        form = self.form._replace(params=params)
        return replace(self, form=form, l1=level * self.l1)

    def gap(self, work: Any, features: IndexArray | slice) -> DualGap:
        """Return what evaluates the duality gap on some of the features."""
        return DualGap(
            work.backend,
            self.l1[features],
            self.l2[features],
            work.design.sqnorms[features],
            self.positive,
            work.design.shape[0],
            work.sq_y,
        )
