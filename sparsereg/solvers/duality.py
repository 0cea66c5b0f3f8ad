"""The duality gap, written so that nothing cancels.

With residual r, weights s, u = a X'(s r)/n and a dual point theta = a s r / n, the gap is a sum of
two Fenchel-Young terms, each non-negative by construction:

    gap(a) = (1 - a)^2 ||r||_s^2 / (2 n)  +  sum_j [ P_j(w_j) + P_j*(u_j) - w_j u_j ].

The textbook P - D subtracts two numbers of the size of the objective and so cannot certify below
1e-16 times it. Scale a = 1 is free to use when the penalty has a squared part; without one, a must
bring every |u_j| below l1_j.

Features without penalty have P_j* = 0 at u_j = 0 only. The drivers keep them orthogonal to the
residual (:mod:`sparsereg.solvers.unpenalized`); what rounding leaves is counted as the decrease
g_j^2 / (2 L_j) that one exact step on the feature would bring. Unpenalized features that must be
non-negative are counted the same way: there alone the value is an estimate, not a bound.
"""

from __future__ import annotations

import numpy as np

from sparsereg.backends.protocol import FloatArray


class DualGap:
    """Evaluates the gap of an elastic-net problem on a fixed set of features.

    Parameters
    ----------
    l1, l2 : ndarray of shape (m,)
        Strengths per feature, weights included; all finite, and l2 either zero or positive on
        every penalized feature.
    curvatures : ndarray of shape (m,)
        ||x_j||_s^2 / n.
    positive : bool
        Whether w >= 0 is required.
    """

    def __init__(self, l1: FloatArray, l2: FloatArray, curvatures: FloatArray, positive: bool):
        self.l1, self.l2, self.positive = l1, l2, positive
        self.free = np.flatnonzero((l1 == 0) & (l2 == 0) & (curvatures > 0))
        self.free_curvatures = curvatures[self.free]
        self.ridge = bool(np.any(l2 > 0))
        self.lasso = bool(np.any(l1 > 0)) and not self.ridge

    def evaluate(self, w: FloatArray, g: FloatArray, sq_residual: float) -> tuple[float, float]:
        """Return the gap at the better of the scales tried, and that scale.

        Parameters
        ----------
        w : ndarray of shape (m,)
            Coefficients.
        g : ndarray of shape (m,)
            Negative gradient X'(s r)/n.
        sq_residual : float
            ||r||_s^2 / n.
        """
        size = g if self.positive else np.abs(g)
        feasible = self._largest_feasible_scale(size)
        if self.lasso:
            # gap(a) is a parabola with its minimum at 1 + w'g / ||r||^2
            best = 1.0 + float(w @ g) / sq_residual if sq_residual > 0 else 1.0
            scales = [max(0.0, min(best, feasible))]
        elif self.ridge:
            scales = [1.0, min(1.0, feasible)]
        else:
            scales = [1.0]
        gaps = [self._at_scale(a, w, g, size, sq_residual) for a in scales]
        best_index = int(np.argmin(gaps))
        return gaps[best_index], scales[best_index]

    def _largest_feasible_scale(self, size: FloatArray) -> float:
        penalized = np.flatnonzero((size > 0) & (self.l1 > 0))
        return float(np.min(self.l1[penalized] / size[penalized], initial=np.inf))

    def _at_scale(
        self, a: float, w: FloatArray, g: FloatArray, size: FloatArray, sq_residual: float
    ) -> float:
        l1, l2 = self.l1, self.l2
        total = 0.5 * (1.0 - a) ** 2 * sq_residual
        total += self._left_by_free_features(w, g)
        support = np.flatnonzero(w)
        ws, us = w[support], a * g[support]
        terms = np.abs(ws) * np.maximum(l1[support] - np.sign(ws) * us, 0.0)
        if self.ridge:
            terms += 0.5 * l2[support] * ws**2
            excess = np.where(l2 > 0, np.maximum(a * size - l1, 0.0), 0.0)
            outside = np.flatnonzero(excess)
            beyond = np.zeros_like(excess)
            beyond[outside] = excess[outside] ** 2 / (2.0 * l2[outside])
            # where u exceeds its bound on the side of w, the whole term is one square
            e, k = excess[support], l2[support]
            same = (e > 0) & (ws * us > 0)
            terms[same] = (k[same] * np.abs(ws[same]) - e[same]) ** 2 / (2.0 * k[same])
            beyond[support[same]] = 0.0
            total += float(np.sum(beyond))
        return total + float(np.sum(terms))

    def _left_by_free_features(self, w: FloatArray, g: FloatArray) -> float:
        slope = g[self.free]
        if self.positive:
            slope = np.where(w[self.free] > 0, slope, np.maximum(slope, 0.0))
        return float(np.sum(slope**2 / (2.0 * self.free_curvatures)))
