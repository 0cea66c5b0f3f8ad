"""The duality gap, written so that nothing cancels.

With residual r, weights s, u = a X'(s r)/n and a dual point theta = a s r / n, the gap is a sum of
two Fenchel-Young terms, each non-negative by construction:

    gap(a) = (1 - a)^2 ||r||_s^2 / (2 n)  +  sum_j [ P_j(w_j) + P_j*(u_j) - w_j u_j ].

The textbook P - D subtracts two numbers of the size of the objective and so cannot certify below
1e-16 times it. Scale a = 1 is free to use when the penalty has a squared part; without one, a must
bring every |u_j| below l1_j.

Floating point sets the limit: a gradient is known to about 1e-16 ||x_j|| times the larger of ||y||
and sum_k |w_k| ||x_k|| only. One that
exceeds its bound by less than a small multiple of that counts as feasible, and adds
excess |w_j| + excess^2 / (2 L_j), the most that one exact step could bring.

Features without penalty have the dual constraint u_j = 0. The residual is kept orthogonal to them
(:mod:`sparsereg.solvers.unpenalized`), and what is left of its part P r in their span adds
||P r||_s^2 / (2 n); they do not enter the sum here. Where they must be non-negative the constraint
is u_j <= 0; until it holds, to rounding, only a = 0 is feasible and the gap is the whole objective.
"""

from __future__ import annotations

from copy import copy

import numpy as np

from sparsereg.backends.protocol import Backend, FloatArray

# Error of a dot product of n terms, in units of sqrt(n) times the norms.
ROUNDING = 8 * np.finfo(np.float64).eps
_ONE = np.ones(1)


class DualGap:
    """Evaluates the gap of an elastic-net problem on a fixed set of features.

    Parameters
    ----------
    backend : Backend
    l1, l2 : ndarray of shape (m,)
        Strengths per feature, weights included; all finite, and l2 either zero or positive on
        every penalized feature.
    curvatures : ndarray of shape (m,)
        ||x_j||_s^2 / n.
    positive : bool
        Whether w >= 0 is required.
    n, sq_y : int, float
        Number of rows and ||y||_s^2 / n: what rounding is measured by.
    """

    def __init__(
        self,
        backend: Backend,
        l1: FloatArray,
        l2: FloatArray,
        curvatures: FloatArray,
        positive: bool,
        n: int,
        sq_y: float,
    ):
        self._backend = backend
        self._scale_y, self._rounding = sq_y**0.5, ROUNDING * n**0.5
        self.l1, self.l2, self.curvatures, self.positive = l1, l2, curvatures, positive

    def at(self, level: float) -> DualGap:
        """Return the same with the strengths multiplied by ``level``."""
        other = copy(self)
        other.l1, other.l2 = level * self.l1, level * self.l2
        return other

    def objective(self, w: FloatArray, sq_residual: float) -> float:
        """Return loss plus penalty of a point, as far as these features go."""
        return 0.5 * (sq_residual + float(self.l2 @ w**2)) + float(self.l1 @ np.abs(w))

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
        gaps, scales = self.evaluate_path(_ONE, w[None], g[None], np.array([sq_residual]))
        return float(gaps[0]), float(scales[0])

    def evaluate_path(
        self, levels: FloatArray, w: FloatArray, g: FloatArray, sq_residuals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gaps and scales of K points, at strengths multiplied by their levels.

        Parameters
        ----------
        levels, sq_residuals : ndarray of shape (K,)
        w, g : ndarray of shape (K, m)
        """
        return self._backend.dual_gaps(
            w, g, levels, self.l1, self.l2, self.curvatures, self.positive, sq_residuals,
            self._scale_y, self._rounding,
        )  # fmt: skip
