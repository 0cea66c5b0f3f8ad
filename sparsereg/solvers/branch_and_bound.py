"""Exact l0 regression: branch and bound on the perspective relaxation.

A node fixes some coordinates in and some out. Its relaxation is solved by coordinate descent from
its parent's solution, with the dual bound evaluated on the way: a node is closed as soon as the
bound reaches the cutoff, and free coordinates are fixed where one side of them does
(:mod:`sparsereg.backends.numba.l0_relaxation`). The best open node is taken first; from there on
one dives, the side the relaxation prefers first, until a node is closed.

The columns that the root already fixes out leave the Gram matrix: nodes work on what remains.

Sources: Guyard, Herzet and Elvira, "Node-screening tests for the l0-penalized least-squares
problem", ICASSP 2022; Hazimeh, Mazumder and Saab, "Sparse regression at scale: branch-and-bound
rooted in first-order optimization", Mathematical Programming, 2022.
"""

from __future__ import annotations

import heapq
import itertools
import time
from typing import NamedTuple

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.solvers.l0_certificate import (
    ROUNDING,
    DualPoint,
    Relaxation,
    conjugates,
    data_bounds,
    relaxed_dual_point,
)
from sparsereg.solvers.subset import SubsetProblem

_FREE, _INSIDE, _OUTSIDE = 0, 1, 2
# A node's relaxation is solved to this share of the distance between its bound and the cutoff.
_NODE_GAP, _NODE_ROUNDS = 1e-4, 100
# A leaf is solved on while its bound makes up this share of what it lacks.
_PROGRESS = 0.01


class Exact(NamedTuple):
    """The result of a search.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        The best w found.
    objective, lower_bound : float
    n_nodes : int
        Nodes whose relaxation was solved.
    stopped : str
        "" if the search ended by itself; else "nodes", "time", "interrupted", or "precision" where
        the relaxation of a support could not be solved to the gap.
    """

    coef: FloatArray
    objective: float
    lower_bound: float
    n_nodes: int
    stopped: str


def branch_and_bound(
    problem: SubsetProblem,
    alpha: float,
    coef: FloatArray,
    *,
    coef_bound: float = np.inf,
    tol: float = 1e-8,
    max_nodes: int = 1_000_000,
    time_limit: float = np.inf,
) -> Exact:
    """Minimize the l0 problem, starting from a feasible w.

    Parameters
    ----------
    problem : SubsetProblem
    alpha : float
    coef : ndarray of shape (p,)
        The incumbent; the better, the fewer nodes.
    coef_bound : float
        |w_j| <= coef_bound is part of the problem.
    tol : float
        Relative gap at which the search ends.
    max_nodes, time_limit : int, float
        Nodes and seconds after which it stops with the gap proven so far; so does Ctrl-C.

    Raises
    ------
    ValueError
        If nothing bounds the coefficients; see
        :func:`sparsereg.solvers.l0_certificate.data_bounds`.
    """
    objective = problem.objective(coef, alpha)
    bounds = data_bounds(problem, objective, coef_bound)
    if bounds is None:
        raise ValueError(
            "exact=True needs a bound on the coefficients, and columns that are dependent imply "
            "none. Give l2 > 0 or coef_bound."
        )
    relaxation = Relaxation.of(problem, alpha, bounds)
    search = _Search(problem, alpha, coef, objective, relaxation, coef_bound, tol)
    return search.run(max_nodes, time.monotonic() + time_limit)


class _Node(NamedTuple):
    bound: float
    order: int
    state: np.ndarray
    support: IndexArray
    values: FloatArray


class _Search:
    """The open nodes, the incumbent, and the columns that are left."""

    def __init__(
        self,
        problem: SubsetProblem,
        alpha: float,
        coef: FloatArray,
        objective: float,
        relaxation: Relaxation,
        coef_bound: float,
        tol: float,
    ):
        self._problem, self._alpha, self._tol = problem, alpha, tol
        self._coef_bound = coef_bound
        self._best, self._objective = coef, objective
        self._order = itertools.count()
        self._tried: set[bytes] = set()
        self._leaf_bound = np.inf  # of leaves that descent has not solved up to the cutoff
        self._rounding = ROUNDING * problem.work.design.shape[0] ** 0.5
        relaxed, point = relaxed_dual_point(problem, relaxation)
        n = problem.work.design.shape[0]
        root = point.bound(relaxation, n, problem.sq_y)
        self._columns = self._left(point, relaxation)
        columns = self._columns
        self._relaxation = relaxation.at(columns)
        self._gram = np.ascontiguousarray(problem.gram_rows(columns)[:, columns])
        self._correlation = problem.correlation[columns]
        state = np.zeros(columns.size, dtype=np.int8)
        state[problem.costs[columns] == 0] = _INSIDE
        support = np.flatnonzero(relaxed[columns])
        values = relaxed[columns[support]]
        self._open = [_Node(root, next(self._order), state, support, values)]

    @property
    def _cutoff(self) -> float:
        return self._objective * (1.0 - self._tol)

    def _left(self, point: DualPoint, relaxation: Relaxation) -> IndexArray:
        """Return the columns that the root cannot exclude."""
        n = self._problem.work.design.shape[0]
        noise = ROUNDING * n**0.5 * point.sq_norm**0.5
        at_root = point.at_scale(1.0, relaxation, n, self._problem.sq_y)
        size = np.abs(point.gradient) + noise * point.offset
        needed = relaxation.cost - conjugates(size, relaxation)
        return np.flatnonzero(self._problem.usable & ~(at_root + needed > self._cutoff))

    def run(self, max_nodes: int, deadline: float) -> Exact:
        """Search until every node is closed, or something says stop."""
        n_nodes, stopped = 0, ""
        node: _Node | None = None
        try:
            while self._open or node is not None:
                if node is None:
                    node = self._open[0]  # an interruption must not lose it
                    heapq.heappop(self._open)
                if node.bound >= self._cutoff:
                    node = None
                    continue
                if n_nodes >= max_nodes or time.monotonic() > deadline:
                    stopped = "nodes" if n_nodes >= max_nodes else "time"
                    break
                children = self._process(node)
                n_nodes += 1
                for child in children[1:]:
                    heapq.heappush(self._open, child)
                node = children[0] if children else None
        except KeyboardInterrupt:
            stopped = "interrupted"
        if not stopped and self._leaf_bound < self._cutoff:
            stopped = "precision"
        open_nodes = self._open if node is None else [*self._open, node]
        lower = min([self._cutoff, self._leaf_bound, *(n.bound for n in open_nodes)])
        return Exact(self._best, self._objective, max(lower, 0.0), n_nodes, stopped)

    def _process(self, node: _Node) -> list[_Node]:
        """Solve a node; return its children, the preferred one first."""
        state, coef = node.state.copy(), np.zeros(self._columns.size)
        coef[node.support] = node.values
        coef[state == _OUTSIDE] = 0.0
        gradient = self._correlation - coef[node.support] @ self._gram[node.support]
        tol = max(_NODE_GAP * (self._cutoff - node.bound), 0.1 * self._tol * self._objective)
        lower, _, _, branch = self._problem.work.backend.solve_l0_node(
            self._gram, self._correlation, self._problem.sq_y, *self._relaxation,
            state, coef, gradient, self._cutoff, tol, _NODE_ROUNDS, self._rounding,
        )  # fmt: skip
        lower = max(lower, node.bound)
        if lower >= self._cutoff:
            return []
        improved = self._round(state, coef)
        if lower >= self._cutoff:
            return []
        support = np.flatnonzero(coef)
        if branch < 0:
            branch = _undecided(state, gradient)
            progress = lower - node.bound > _PROGRESS * (self._cutoff - lower)
            if branch < 0 and (improved or progress):  # for the new cutoff, and from here
                return [_Node(lower, next(self._order), state, support, coef[support])]
            if branch < 0:
                self._leaf_bound = min(self._leaf_bound, lower)
                return []
        children = []
        part = abs(coef[branch]) / self._relaxation.knot[branch]
        for side in (_INSIDE, _OUTSIDE) if part > 0.5 else (_OUTSIDE, _INSIDE):
            child = state.copy()
            child[branch] = side
            children.append(_Node(lower, next(self._order), child, support, coef[support]))
        return children

    def _round(self, state: np.ndarray, coef: FloatArray) -> bool:
        """Try the support that the relaxation is nearest to, with a refit, as the incumbent."""
        size = np.abs(coef)
        chosen = (state == _INSIDE) | (size > 0.5 * self._relaxation.knot)
        support = self._columns[chosen & (size > 0)]
        key = support.tobytes()
        if key in self._tried:
            return False
        self._tried.add(key)
        candidate = self._problem.fit(support, self._coef_bound)
        objective = self._problem.objective(candidate, self._alpha)
        if not objective < self._objective:
            return False
        self._best, self._objective = candidate, objective
        return True


def _undecided(state: np.ndarray, gradient: FloatArray) -> int:
    """Return a free coordinate of a node whose relaxation is exact but not solved, or -1."""
    free = np.flatnonzero(state == _FREE)
    return int(free[np.argmax(np.abs(gradient[free]))]) if free.size else -1
