"""What a backend does for l0 problems: refits of supports, relaxations of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


@dataclass
class SupportFit:
    """A support of columns of unit norm with its least-squares fit, which moves update in place.

    Attributes
    ----------
    inverse : ndarray of shape (c, c)
        That of the Gram matrix of the support, ridge included: its first ``size`` rows and columns.
    loadings : ndarray of shape (c, p)
        The inverse times the Gram rows of the support.
    coef : ndarray of shape (c,)
        Coefficients.
    gradient : ndarray of shape (p,)
        What each column still explains of the residual.
    remainder : ndarray of shape (p,)
        What of each column lies outside the span of the support, squared.
    support : ndarray of shape (c,)
        The columns, in no particular order.
    inside : ndarray of shape (p,)
        1 for the columns of the support and for those that may not enter.
    costs : ndarray of shape (p,)
        Price of each column; 0 for those that are free.
    size : int
        Number of columns; there is room for c.
    half_rss : float
        Half the residual mean square, ridge part included.
    """

    inverse: FloatArray
    loadings: FloatArray
    coef: FloatArray
    gradient: FloatArray
    remainder: FloatArray
    support: IndexArray
    inside: npt.NDArray[np.uint8]
    costs: FloatArray
    size: int
    half_rss: float


#: Gram rows that are known, and the place of each column's row among them, or -1.
KnownRows = tuple[FloatArray, IndexArray]


class SubsetPrimitives(Protocol):
    """Local search on supports with refit, and the bounds of branch and bound. On the host.

    The wear of moves is the sum of one over their pivots; beyond ``max_wear`` a search ends. A
    column that is due, but lacks its Gram row or room, is returned; -1 stands for none. Formulas
    are in :mod:`sparsereg.backends.numba.refit`.
    """

    def refit_search(
        self,
        fit: SupportFit,
        known_rows: KnownRows,
        alpha: float,
        floor: float,
        least: float,
        max_wear: float,
        max_moves: int,
    ) -> tuple[int, float, int, int]:
        """Make the best add, drop or exchange of a column, with refit, until none lowers.

        A negative alpha allows exchanges only. Returns (moves, wear, position to drop or -1, column
        to add or -1): the last two are a move that is due.
        """

    def refit_shrink(
        self, fit: SupportFit, down_to: int, known: FloatArray, tol: float, max_wear: float
    ) -> float:
        """Drop the column that costs least, with refit, down to so many columns with a cost.

        It goes on while half_rss is within ``tol`` of ``known[size]``. Returns the wear.
        """

    def refit_grow(
        self,
        fit: SupportFit,
        known_rows: KnownRows,
        up_to: int,
        known: FloatArray,
        tol: float,
        floor: float,
        least: float,
        max_wear: float,
    ) -> tuple[float, int]:
        """Add the column that brings most, with refit, up to so many columns with a cost.

        It goes on, and ends, as ``refit_shrink`` does, or where no column brings more than
        ``least``. Returns the wear and the column that is due.
        """

    def refit_follow_lasso(
        self,
        fit: SupportFit,
        known_rows: KnownRows,
        lasso: FloatArray,
        slopes: FloatArray,
        angles: FloatArray,
        level: float,
        new: int,
        up_to: int,
        floor: float,
        max_wear: float,
    ) -> tuple[float, float, int]:
        """Follow the lasso from the free columns on, up to so many columns with a cost.

        ``lasso``, ``slopes`` and ``angles``, changed in place, are its coefficients, its gradients,
        and how these change as ``level``, the largest, falls by one; at first zeros, the gradients,
        zeros and 0. Returns the wear, the level, and the column due, to be passed as ``new``.
        """

    def refit_validity(self, fit: SupportFit, ridge: FloatArray) -> tuple[float, float]:
        """Return the alphas between which no column pays for entering or leaving by itself."""

    def refit_enter(self, fit: SupportFit, known_rows: KnownRows, column: int) -> float:
        """Let a column with a known row enter where there is room; return the wear."""

    def refit_take_in(
        self, fit: SupportFit, known_rows: KnownRows, columns: IndexArray, floor: float
    ) -> float:
        """Let columns with known rows enter where there is room, in this order; return the wear.

        Those with a remainder up to ``floor``, and those inside, do not.
        """

    def refit_leave(self, fit: SupportFit, position: int) -> float:
        """Let the column at a position of the support leave; return the wear."""

    def factor_supports(
        self, known_rows: KnownRows, columns: IndexArray, starts: IndexArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the Cholesky factors of the Gram matrices of several supports, and their pivots.

        Support k is ``columns[starts[k]:starts[k + 1]]``; of its pivots the smallest is returned,
        and 0 where a row is not known or the columns are dependent.
        """

    def solve_supports(
        self, starts: IndexArray, factors: FloatArray, least: FloatArray, values: FloatArray
    ) -> None:
        """Solve with each of these factors in place; zero where the smallest pivot is 0."""

    def boxed_search(
        self,
        gram: FloatArray,
        correlation: FloatArray,
        ridge: FloatArray,
        limit: FloatArray,
        prices: FloatArray,
        inside: npt.NDArray[np.uint8],
        coef: FloatArray,
        max_size: int,
        max_moves: int,
        most_tried: int,
        least: float,
    ) -> tuple[float, int]:
        """Add, drop and exchange columns, with refits in the box |z| <= limit, in place.

        ``inside`` marks the support; columns with a negative price stay as they are, of the others
        at most ``max_size`` are inside. It ends where the ``most_tried`` most promising moves lower
        the objective by no more than ``least``. Returns the objective, less the loss at zero, and
        the number of moves. Formulas are in :mod:`sparsereg.backends.numba.boxed_swaps`.
        """

    def solve_l0_node(
        self,
        gram: FloatArray,
        correlation: FloatArray,
        sq_y: float,
        costs: FloatArray,
        slopes: FloatArray,
        knots: FloatArray,
        ridge: FloatArray,
        bounds: FloatArray,
        state: npt.NDArray[np.int8],
        coef: FloatArray,
        gradient: FloatArray,
        cutoff: float,
        tol: float,
        max_rounds: int,
        rounding: float,
    ) -> tuple[float, float, float, int]:
        """Solve the convex relaxation of an l0 problem with some columns fixed, in place.

        Returns (lower bound, value of the relaxation, objective at ``coef``, column to branch on
        or -1); fixes further columns in ``state`` where one side of them is beyond ``cutoff``.
        Formulas are in :mod:`sparsereg.backends.numba.l0_relaxation`.
        """
