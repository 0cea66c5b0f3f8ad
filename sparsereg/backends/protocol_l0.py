"""What a backend does for l0 problems: refits of supports, relaxations of nodes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


class SubsetPrimitives(Protocol):
    """Local search on supports with refit, and the bounds of branch and bound. On the host."""

    def refit_search(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        size: int,
        costs: FloatArray,
        alpha: float,
        floor: float,
        rows: FloatArray,
        place: IndexArray,
        least: float,
        max_wear: float,
        max_moves: int,
    ) -> tuple[int, float, int, float, int, int]:
        """Make the best add, drop or exchange of a column, with refit, until none lowers.

        ``rows[place[j]]`` is the Gram row of column j, where it is known. A negative alpha allows
        exchanges only. Returns (size, change of half the residual mean square, moves, wear,
        position to drop or -1, column to add or -1): wear, the sum of one over the pivots, ends the
        search beyond ``max_wear``; the last two are a move that lacks a row or room. Formulas are
        in :mod:`sparsereg.backends.numba.refit`.
        """

    def refit_shrink(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        size: int,
        costs: FloatArray,
        half_rss: float,
        down_to: int,
        known: FloatArray,
        tol: float,
        max_wear: float,
    ) -> tuple[int, float, float]:
        """Drop the column that costs least, with refit, down to so many columns with a cost.

        It goes on while half the residual mean square is within ``tol`` of ``known[size]``. Returns
        (size, half the residual mean square, wear); wear beyond ``max_wear`` ends it.
        """

    def refit_grow(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        size: int,
        costs: FloatArray,
        half_rss: float,
        up_to: int,
        known: FloatArray,
        tol: float,
        floor: float,
        least: float,
        rows: FloatArray,
        place: IndexArray,
        max_wear: float,
    ) -> tuple[int, float, float, int]:
        """Add the column that brings most, with refit, up to so many columns with a cost.

        It goes on, and ends, as ``refit_shrink`` does, or where no column brings more than
        ``least``. The last of what it returns is a column that lacks a row or room, or -1.
        """

    def refit_follow_lasso(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        size: int,
        costs: FloatArray,
        half_rss: float,
        lasso: FloatArray,
        slopes: FloatArray,
        angles: FloatArray,
        level: float,
        new: int,
        up_to: int,
        floor: float,
        rows: FloatArray,
        place: IndexArray,
        max_wear: float,
    ) -> tuple[int, float, float, float, int]:
        """Follow the lasso from the free columns on, up to so many columns with a cost.

        ``lasso``, ``slopes`` and ``angles``, changed in place, are its coefficients, its gradients,
        and how these change as ``level``, the largest, falls by one; at first zeros, the gradients,
        zeros and 0. Returns the number of columns, half_rss, the wear of ``refit_search``, the
        level, and a column that lacks a row or room, to be passed as ``new``, or -1.
        """

    def refit_validity(
        self,
        coef: FloatArray,
        gradient: FloatArray,
        support: IndexArray,
        inside: npt.NDArray[np.uint8],
        costs: FloatArray,
        ridge: FloatArray,
    ) -> tuple[float, float]:
        """Return the alphas between which no column pays for entering or leaving by itself."""

    def enter_support(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        size: int,
        support: IndexArray,
        row: FloatArray,
        column: int,
    ) -> None:
        """Update a refit, in place, for a column that enters; ``row`` is its Gram row."""

    def leave_support(
        self,
        inverse: FloatArray,
        loadings: FloatArray,
        coef: FloatArray,
        gradient: FloatArray,
        remainder: FloatArray,
        size: int,
        position: int,
        column: int,
    ) -> None:
        """Update a refit, in place, for the column that leaves from a position."""

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
