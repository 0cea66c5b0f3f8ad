"""Many small problems with one Gram matrix: what is computed once, in blocks, and how it is judged.

Rows x_b of X are coded by the rows of a dictionary D, (1/2) ||x_b - w D||^2 + penalty(w). G = D D'
is computed once; a block of rows needs one matrix product X D' and a call of the backend, which
solves its problems side by side by coordinate descent. Where that crawls, an elastic net is
finished by the homotopy, one problem after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsereg.backends.arrays import like, namespace_of
from sparsereg.backends.protocol import ActiveSet, Backend, FloatArray, IndexArray, KernelForm
from sparsereg.penalties.base import Kind
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.duality import ROUNDING

# Coefficients of a block of problems: what the correlations take in memory, in float64 numbers.
_BLOCK_SIZE, _MIN_ROWS = 1 << 22, 256
# An elastic net that is not solved after so many sweeps is left to the homotopy, which may change
# the active set so many times per coefficient.
_SWEEPS, _EVENTS = 100, 10


class Block(NamedTuple):
    """The solutions of consecutive problems.

    Attributes
    ----------
    coefs : array of shape (b, m)
        On the device of the backend.
    certificates : ndarray of shape (b,)
        Duality gaps; stationarities (see :mod:`sparsereg.solvers.coordinate_minimum`) for penalties
        other than the elastic net.
    tolerances : ndarray of shape (b,)
        What was asked for, in the same units.
    epochs : ndarray of int of shape (b,)
    """

    coefs: Any
    certificates: Any
    tolerances: Any
    epochs: Any


def solve_blocks(
    backend: Backend,
    X: Any,
    dictionary: Any,
    form: KernelForm,
    *,
    init: Any,
    tol: float,
    max_iter: int,
) -> Iterator[Block]:
    """Solve the problems of all rows of X, a block after another.

    Parameters
    ----------
    backend : Backend
    X : array of shape (n, d)
    dictionary : array of shape (m, d)
    form : KernelForm
        Of the penalty.
    init : array of shape (n, m) or None
        Where the rows start; None is zero.
    tol : float
        Stop a problem at a gap of ``tol * ||x||^2``, or at a stationarity of ``tol``.
    max_iter : int
        Budget of epochs of each problem.
    """
    atoms = backend.asarray(dictionary)
    n_atoms, n_features = atoms.shape
    with_gap = form.kind == Kind.ELASTIC_NET
    rows = max(_MIN_ROWS, _BLOCK_SIZE // max(n_atoms, 1))
    with single_threaded_blas():
        with np.errstate(over="ignore", invalid="ignore"):
            gram = atoms @ atoms.T
        _check_finite(gram)
        for start in range(0, len(X), rows):
            block = backend.asarray(X[start : start + rows])
            with np.errstate(over="ignore"):
                sq_norms = (block * block).sum(axis=1)
            _check_finite(sq_norms)
            correlations = block @ atoms.T
            if init is None:
                coefs = correlations - correlations  # zeros, where they are needed
            else:
                coefs = backend.asarray(init[start : start + rows]).copy()
            targets = tol * sq_norms if with_gap else 0.5 * tol**2 * sq_norms
            batch = _Batch(
                backend, gram, correlations, sq_norms, targets, form, ROUNDING * n_features**0.5,
                min(atoms.shape),
            )  # fmt: skip
            reached, epochs = batch.descend(coefs, min(max_iter, _SWEEPS) if with_gap else max_iter)
            goals, sq_norms = backend.to_host(targets), backend.to_host(sq_norms)
            unsolved = np.flatnonzero(reached > goals)
            if with_gap and unsolved.size and max_iter > _SWEEPS:
                steps, reached[unsolved] = batch.finish(coefs, unsolved, max_iter - _SWEEPS)
                epochs[unsolved] += steps
            if not with_gap:  # what a move would bring, in standard deviations of x
                scale = np.where(sq_norms > 0, sq_norms, 1.0)
                reached, goals = np.sqrt(2.0 * reached / scale), np.full(len(reached), tol)
            yield Block(coefs, reached, goals, epochs)


def _check_finite(products: Any) -> None:
    if not bool(namespace_of(products).isfinite(products).all()):
        raise ValueError(
            "Coordinate descent iterations resulted in non-finite codes: X or the dictionary "
            "is scaled beyond float64. Rescale them."
        )


class _Batch(NamedTuple):
    """A block of problems: arrays of the backend."""

    backend: Backend
    gram: Any
    correlations: Any
    sq_norms: Any
    targets: Any
    form: KernelForm
    rounding: float
    max_rank: int

    def descend(self, coefs: Any, max_epochs: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Move all rows of coefs; return certificates and sweeps, on the host."""
        reached, epochs = self.backend.gram_cd_batch(
            self.gram, self.correlations, self.sq_norms, coefs, self.form, max_epochs,
            self.targets, self.rounding,
        )  # fmt: skip
        return self.backend.to_host(reached), self.backend.to_host(epochs)

    def finish(
        self, coefs: Any, unsolved: IndexArray, max_epochs: int
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """Move some rows to their exact solutions; return steps and gaps.

        Descent is given another turn where the homotopy does not arrive; it also judges the point.
        """
        backend, form = self.backend, self.form
        gram, listed = backend.to_host(self.gram), like(unsolved, self.gram)
        correlations = backend.to_host(self.correlations[listed])
        there = backend.to_host(coefs[listed])
        m = len(gram)
        l1, l2 = form.params[0] * form.weights, form.params[1] * form.weights
        free, positive = np.zeros(m, dtype=bool), form.params[2] != 0
        rank = m if l2.any() else self.max_rank
        state = ActiveSet.with_room(rank, m)
        steps = np.zeros(len(unsolved), dtype=np.int64)
        for row, correlation in enumerate(correlations):
            coef = there[row].copy()
            gradient = correlation - gram @ coef
            state.n_active = -1
            arrived, steps[row] = backend.homotopy(
                gram, gradient, coef, l1, l2, free, positive, rank, _EVENTS * m, 0.0, state
            )
            if arrived:
                there[row] = coef
        part = self._replace(
            correlations=backend.asarray(correlations), sq_norms=self.sq_norms[listed],
            targets=self.targets[listed],
        )  # fmt: skip
        moved = backend.asarray(there)
        gaps, epochs = part.descend(moved, max_epochs)
        coefs[listed] = moved
        return steps + epochs, gaps
