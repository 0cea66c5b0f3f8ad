"""Many small problems with one Gram matrix: what is computed once, in blocks, and how it is judged.

Rows x_b of X are coded by the rows of a dictionary D, (1/2) ||x_b - w D||^2 + penalty(w). G = D D'
is computed once; a block of rows needs one matrix product X D' and a call of the backend, which
solves its problems side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from sparsereg.backends.protocol import Backend, KernelForm
from sparsereg.penalties.base import Kind
from sparsereg.solvers.blas import single_threaded_blas
from sparsereg.solvers.duality import ROUNDING

# Coefficients of a block of problems: what the correlations take in memory, in float64 numbers.
_BLOCK_SIZE, _MIN_ROWS = 1 << 22, 256


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
    rows = max(_MIN_ROWS, _BLOCK_SIZE // n_atoms)
    with single_threaded_blas():
        gram = atoms @ atoms.T
        for start in range(0, len(X), rows):
            block = backend.asarray(X[start : start + rows])
            sq_norms = (block * block).sum(axis=1)
            correlations = block @ atoms.T
            first = None if init is None else init[start : start + rows]
            coefs = 0.0 * correlations if first is None else backend.asarray(first).copy()
            targets = tol * sq_norms if with_gap else 0.5 * tol**2 * sq_norms
            reached, epochs = backend.gram_cd_batch(
                gram, correlations, sq_norms, coefs, form, max_iter, targets,
                ROUNDING * n_features**0.5,
            )  # fmt: skip
            reached, targets, epochs, sq_norms = (
                backend.to_host(values) for values in (reached, targets, epochs, sq_norms)
            )
            if not with_gap:  # what a move would bring, in standard deviations of x
                scale = np.where(sq_norms > 0, sq_norms, 1.0)
                reached, targets = np.sqrt(2.0 * reached / scale), np.full(len(reached), tol)
            yield Block(coefs, reached, targets, epochs)
