"""Sparse codes of many signals in one dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array

from sparsereg.backends.arrays import checked_on_device, is_on_device, like, namespace_of, zeros
from sparsereg.backends.protocol import KernelForm
from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._base import COMMON_CONSTRAINTS, check_parameters
from sparsereg.linear_model._docs import documented
from sparsereg.linear_model._local import check_penalty
from sparsereg.linear_model._warnings import warn_unless_converged
from sparsereg.penalties import L1, Penalty
from sparsereg.penalties.base import Kind
from sparsereg.solvers.batch import solve_blocks

_CONSTRAINTS: dict[str, list] = {
    **{name: COMMON_CONSTRAINTS[name] for name in ("tol", "max_iter", "backend")},
    "return_certificates": ["boolean"],
}


@documented
def sparse_encode(
    X: Any,
    dictionary: Any,
    penalty: Penalty | None = None,
    *,
    init: Any = None,
    tol: float = 1e-6,
    max_iter: int = 1000,
    backend: str = "auto",
    return_certificates: bool = False,
) -> Any:
    """Code each row of X by few rows of a dictionary.

    Minimizes, for every row x of X on its own::

        (1 / 2) ||x - w dictionary||^2 + penalty(w)

    which with ``L1(alpha)`` is the problem of scikit-learn's function of this name. All rows share
    the Gram matrix of the dictionary, are solved side by side, and each has its own certificate.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The signals, one per row.
    dictionary : array-like of shape (n_components, n_features)
        The atoms, one per row; they need not be normalized.
    penalty : Penalty, default=None
        A penalty object of :mod:`sparsereg.penalties`; its ``weights`` and ``positive`` refer to
        the atoms. None is ``L1(alpha=1.0)``. A penalty that is not convex leads to a code that
        no change of a single coefficient improves.
    init : array-like of shape (n_samples, n_components), default=None
        Where the codes start; None is zero.
    tol : float, default=1e-6
        Stop a row when its duality gap is at most ``tol * ||x||^2``; for penalties other than L1
        and ElasticNet, when its stationarity is at most ``tol`` (see :class:`SparseRegressor`).
    max_iter : int, default=1000
        Budget of sweeps over the coefficients of a row.
    {backend}
    return_certificates : bool, default=False
        Whether to return what is proven of each row, and its number of sweeps.

    Returns
    -------
    codes : array of shape (n_samples, n_components)
        An array of the type and the precision of X.
    certificates : ndarray of shape (n_samples,)
        Duality gaps, in squared units of X; for penalties other than L1 and ElasticNet
        stationarities, without unit. With ``return_certificates=True`` only.
    n_iters : ndarray of int of shape (n_samples,)
        With ``return_certificates=True`` only.

    Raises
    ------
    {path_raises}

    Warns
    -----
    ConvergenceWarning
        If ``tol`` was not reached for some row.

    See Also
    --------
    Lasso : One signal, or few, on columns of any number.

    References
    ----------
    Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", JSS 2010 (coordinate descent in covariance form).

    Examples
    --------
    >>> import numpy as np
    >>> from sparsereg import penalties, sparse_encode
    >>> dictionary = np.eye(3)
    >>> sparse_encode([[3.0, 0.5, -2.0]], dictionary, penalties.L1(alpha=1.0))
    array([[ 2.,  0., -1.]])
    """
    check_parameters("sparse_encode", _CONSTRAINTS, locals())
    engine = resolve_backend(backend, X)
    X = _matrix(X, "X")
    atoms = _matrix(like(dictionary, X), "dictionary")
    if atoms.shape[1] != X.shape[1]:
        raise ValueError(
            f"dictionary has shape {atoms.shape}, but X has {X.shape[1]} features. It must have "
            f"an atom per row, of shape (n_components, {X.shape[1]})."
        )
    penalty = check_penalty(L1(1.0) if penalty is None else penalty, len(atoms))
    if init is not None:
        init = _matrix(like(init, X), "init")
        if init.shape != (len(X), len(atoms)):
            raise ValueError(
                f"init has shape {init.shape}; there are {len(X)} signals and {len(atoms)} atoms, "
                f"so it must have shape ({len(X)}, {len(atoms)})."
            )
    form = penalty.kernel_form(len(atoms))
    _check_every_atom_is_penalized(form)
    if np.all(np.isfinite(form.weights)):
        kept: Any = slice(None)
    else:
        kept = np.flatnonzero(np.isfinite(form.weights))
        form, kept = form.at(kept), like(kept, X)
    init = None if init is None else init[:, kept]

    xp, start, blocks = namespace_of(X), 0, []
    codes = zeros((len(X), len(atoms)), X)
    for block in solve_blocks(engine, X, atoms[kept], form, init=init, tol=tol, max_iter=max_iter):
        coefs = engine.to_host(block.coefs) if xp is np else block.coefs
        if not bool(xp.isfinite(coefs).all()):
            raise ValueError(
                "Coordinate descent iterations resulted in non-finite codes: X or the dictionary "
                "is scaled beyond float64. Rescale them."
            )
        codes[start : start + len(coefs), kept] = coefs
        start += len(coefs)
        blocks.append(block[1:])
    certificates, goals, n_iters = (np.concatenate(parts) for parts in zip(*blocks))
    measure = "duality gap" if form.kind == Kind.ELASTIC_NET else "stationarity"
    stalled = (n_iters < max_iter).tolist()
    warn_unless_converged(
        certificates.tolist(), goals.tolist(), stalled, max_iter, "signals", measure
    )
    return (codes, certificates, n_iters) if return_certificates else codes


def _check_every_atom_is_penalized(form: KernelForm) -> None:
    """Refuse what has no duality gap: an elastic net that leaves a direction free."""
    if form.kind != Kind.ELASTIC_NET:
        return
    free = np.flatnonzero((form.params[0] + form.params[1]) * form.weights == 0)
    if free.size:
        raise ValueError(
            f"The penalty leaves {free.size} of {form.weights.size} atoms unpenalized (the first: "
            f"{free[0]}). Give a positive alpha and positive weights, inf to exclude an atom."
        )


def _matrix(values: Any, name: str) -> Any:
    if is_on_device(values):
        return namespace_of(values).ascontiguousarray(checked_on_device(values, name))
    return check_array(values, dtype=[np.float64, np.float32], order="C", input_name=name)
