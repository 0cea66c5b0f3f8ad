"""The queries to measure: a sparse graph that is computed, never stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval, StrOptions

from sparsereg.backends.registry import get_backend
from sparsereg.linear_model._base import check_parameters
from sparsereg.mixture.density_evolution import Evolution
from sparsereg.mixture.layout import METHODS, Layout, resolve

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

_COUNT: list = [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})]
# The graph is a definition, not a computation: it is that of the reference backend.
_BACKEND = "numba"

# The smallest probability of a regression that designs are made for.
_LEAST_WEIGHT = 1e-3


class SparseGraphDesign(BaseEstimator):
    """Queries from whose answers a mixture of sparse regressions can be read off.

    Each answer is y = x'b + noise for one of ``n_components`` coefficient vectors b, and nobody
    says which. The queries x are sparse and random, and come in groups ("bins") that share their
    features; :class:`MixedColoringRegressor` decodes the answers in time proportional to the
    number of non-zeros, whatever the dimension.

    Parameters
    ----------
    n_features : int
        Dimension of a query.
    n_components : int, default=2
        Number of regressions.
    n_nonzero : int, default=10
        Upper bound on the number of non-zero coefficients of all regressions together, spread
        about evenly over them.
    method : {"pilot", "coloring", "robust"}, default="pilot"
        "coloring" is the published scheme, for exact answers; it takes coefficients at the same
        place to differ. "pilot" adds the same vector to every query, so that sums tell regressions
        apart: half the rows, no such assumption. "robust" is for noisy answers of two regressions
        whose coefficients are multiples of a quantum.
    min_weight : float, default=None
        Lower bound on the probability of each regression; None is ``1 / n_components``.
    error_fraction : float, default=None
        Share of the coefficients that density evolution may leave; None is ``0.01 / n_nonzero``.
    left_degree : int or "auto", default="auto"
        Bins of a feature.
    n_repeats : int or "auto", default="auto"
        Rows of each of the first two kinds of query; of every kind with "robust".
    n_verify : int or "auto", default="auto"
        Rows of their sum; not used with "robust".
    bin_ratio : float or "auto", default="auto"
        Bins per non-zero coefficient.
    quantum : float, default=None
        With "robust", the number that all coefficients are multiples of.
    noise_std : float, default=0.0
        With "robust", the standard deviation of the noise of an answer.
    extensions : tuple of int, default=()
        Bins added later; see :meth:`extend`.
    random_state : int, default=0
        Seed: the same parameters and seed are the same queries, on every machine.

    See Also
    --------
    MixedColoringRegressor : Decodes the answers.

    References
    ----------
    Yin, Pedarsani, Chen and Ramchandran, "Learning mixtures of sparse linear regressions using
    sparse graph codes", IEEE Trans. Inf. Theory 65(3), 2019. The pilot, real-valued addresses and
    the lattice code with a pilot are ours.

    Examples
    --------
    >>> from sparsereg.mixture import SparseGraphDesign
    >>> design = SparseGraphDesign(n_features=500, n_components=2, n_nonzero=50)
    >>> design.matrix().shape[1]
    500
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_nonzero": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions(set(METHODS))],
        "min_weight": [Interval(Real, 0, 1, closed="right"), None],
        "error_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "left_degree": [Interval(Integral, 2, None, closed="left"), StrOptions({"auto"})],
        "n_repeats": _COUNT,
        "n_verify": _COUNT,
        "bin_ratio": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "quantum": [Interval(Real, 0, None, closed="neither"), None],
        "noise_std": [Interval(Real, 0, None, closed="left")],
        "extensions": [tuple, list],
        "random_state": [Interval(Integral, 0, 2**62, closed="left")],
    }

    def __init__(
        self,
        n_features: int,
        n_components: int = 2,
        n_nonzero: int = 10,
        *,
        method: str = "pilot",
        min_weight: float | None = None,
        error_fraction: float | None = None,
        left_degree: int | str = "auto",
        n_repeats: int | str = "auto",
        n_verify: int | str = "auto",
        bin_ratio: float | str = "auto",
        quantum: float | None = None,
        noise_std: float = 0.0,
        extensions: tuple[int, ...] = (),
        random_state: int = 0,
    ) -> None:
        self.n_features = n_features
        self.n_components = n_components
        self.n_nonzero = n_nonzero
        self.method = method
        self.min_weight = min_weight
        self.error_fraction = error_fraction
        self.left_degree = left_degree
        self.n_repeats = n_repeats
        self.n_verify = n_verify
        self.bin_ratio = bin_ratio
        self.quantum = quantum
        self.noise_std = noise_std
        self.extensions = extensions
        self.random_state = random_state

    @property
    def layout(self) -> Layout:
        """The resolved design; raises ValueError or TypeError for wrong parameters."""
        check_parameters(type(self).__name__, self._parameter_constraints, self.get_params(False))
        self._check_together()

        def given(value: Any) -> Any:
            return None if isinstance(value, str) else value

        return resolve(
            int(self.n_features), int(self.n_components), int(self.n_nonzero), self.method,
            self.min_weight, self.error_fraction, given(self.left_degree), given(self.n_repeats),
            given(self.n_verify), given(self.bin_ratio), float(self.quantum or 0.0),
            float(self.noise_std), tuple(int(bins) for bins in self.extensions),
            int(self.random_state),
        )  # fmt: skip

    def _check_together(self) -> None:
        n, L, K = self.n_features, self.n_components, self.n_nonzero
        if n * L < K:
            raise ValueError(
                f"n_nonzero={K} non-zeros do not fit into {L} regressions of {n} features. Give "
                f"at most n_components * n_features = {n * L}."
            )
        if self.min_weight is not None and self.min_weight * L > 1.0 + 1e-12:
            raise ValueError(
                f"min_weight={self.min_weight} is too large: {L} probabilities that are at least "
                f"that sum to more than 1. Give at most 1 / n_components = {1 / L:.3g}."
            )
        if self.min_weight is not None and self.min_weight < _LEAST_WEIGHT:
            raise ValueError(
                f"min_weight={self.min_weight:g} is too small: the number of queries grows as "
                f"1 / min_weight. Give at least {_LEAST_WEIGHT:g}, and leave rarer regressions out."
            )
        if self.method != "robust":
            if self.noise_std > 0 or self.quantum is not None:
                raise ValueError(
                    f"noise_std and quantum are for method='robust'; method={self.method!r} needs "
                    f"exact answers. Leave them out, or choose method='robust'."
                )
        elif self.quantum is None or self.noise_std == 0:
            raise ValueError(
                "method='robust' needs quantum, which all coefficients are multiples of, and a "
                "positive noise_std. Without noise use method='pilot'; where coefficients are not "
                "on a lattice, SparseMixtureRegressor."
            )
        elif L != 2:
            raise ValueError(
                f"method='robust' separates two regressions, not n_components={L}. Use "
                f"SparseMixtureRegressor."
            )
        if any(not isinstance(bins, Integral) or bins < 1 for bins in self.extensions):
            raise ValueError(
                f"extensions={self.extensions!r} must hold positive numbers of bins; extend() "
                f"sets them."
            )

    @property
    def n_queries(self) -> int:
        """Number of rows: of measurements to make."""
        return self.layout.n_rows

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of ``matrix()``."""
        return self.n_queries, int(self.n_features)

    @property
    def rows(self) -> np.ndarray:
        """What each row is: a structured array of bin, kind and repeat; bin -1 is the pilot."""
        layout = self.layout
        kinds = np.tile(layout.kinds, layout.graph.n_bins)
        repeat = np.concatenate([np.arange(k) for k in layout.repeats])
        out = np.zeros(layout.n_rows, dtype=[("bin", int), ("kind", int), ("repeat", int)])
        out["bin"][: layout.n_pilot] = -1
        out["repeat"][: layout.n_pilot] = np.arange(layout.n_pilot)
        coded = out[layout.n_pilot :]
        coded["bin"] = np.repeat(np.arange(layout.graph.n_bins), layout.rows_per_bin)
        coded["kind"], coded["repeat"] = kinds, np.tile(repeat, layout.graph.n_bins)
        return out

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digits that tell designs apart: equal for equal queries."""
        layout = self.layout
        parts = (layout.graph._replace(starts=tuple(layout.graph.starts.tolist())),  # type: ignore[arg-type]
                 layout.repeats, layout.n_pilot)  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def density_evolution(self) -> Evolution:
        """Return what density evolution expects of the design, before extensions."""
        return self.layout.evolution

    def extend(self, share: float = 0.5) -> SparseGraphDesign:
        """Return the design with more rows behind those it has.

        What was measured stays valid: measure ``matrix(start=design.n_queries)`` of the new design
        and append the answers. The new bins hold fewer features each, which is what helps when
        there were more non-zeros than supposed.

        Parameters
        ----------
        share : float, default=0.5
            New rows, as a part of the present ones.

        Returns
        -------
        SparseGraphDesign
        """
        check_parameters("extend", {"share": [Interval(Real, 0, None, closed="neither")]},
                         {"share": share})  # fmt: skip
        more = max(1, round(share * self.layout.graph.n_bins))
        return clone(self).set_params(extensions=(*self.extensions, more))

    def matrix(self, start: int = 0) -> sparse.csr_array:
        """Return the queries from row ``start`` on as a CSR array of shape (rows, n_features)."""
        none = sparse.csr_array((0, int(self.n_features)))
        return sparse.vstack([none, *self.iter_blocks(start=start)], format="csr")

    def iter_blocks(self, n_rows: int = 4096, *, start: int = 0) -> Iterator[sparse.csr_array]:
        """Yield the queries as CSR arrays of about ``n_rows`` rows, for designs that are huge.

        Parameters
        ----------
        n_rows : int, default=4096
            Rows of a block; blocks are made of whole bins.
        start : int, default=0
            First row: 0, or the number of rows of the design that this one extends.
        """
        layout = self.layout
        first, within = divmod(max(0, start - layout.n_pilot), layout.rows_per_bin)
        if within or start < 0 or 0 < start < layout.n_pilot:
            raise ValueError(
                f"start={start} is not where a bin starts. Give 0, or the n_queries of the "
                f"design that this one extends."
            )
        backend, graph = get_backend(_BACKEND), layout.graph
        if start == 0 and layout.n_pilot:
            yield _repeated_row(self._pilot(), layout.n_pilot)
        step = max(1, n_rows // layout.rows_per_bin)
        for begin in range(first, graph.n_bins, step):
            end = min(begin + step, graph.n_bins)
            indptr, members = backend.graph_members(graph, begin, end)
            weights = backend.graph_signatures(graph, members)
            shape = (end - begin, graph.n_features)
            kinds = sparse.vstack(
                [sparse.csr_array((weights[:, q], members, indptr), shape=shape)
                 for q in range(graph.n_kinds)], format="csr",
            )  # fmt: skip
            kinds.eliminate_zeros()
            if layout.has_pilot:
                kinds = sparse.csr_array(kinds + _repeated_row(self._pilot(), kinds.shape[0]))
            in_block = np.arange(end - begin)[:, None] + layout.kinds * (end - begin)
            yield kinds[in_block.ravel()]

    def operator(self) -> LinearOperator:
        """Return the queries as a linear operator that never holds them."""
        from scipy.sparse.linalg import LinearOperator

        layout, backend = self.layout, get_backend(_BACKEND)
        features = np.arange(layout.graph.n_features)

        def matvec(v: np.ndarray) -> np.ndarray:
            v = np.asarray(v, dtype=np.float64).ravel()
            level = float(backend.graph_pilot(layout.graph, features) @ v)
            return level + layout.rows_of(backend.graph_spread(layout.graph, features, v))

        def rmatvec(r: np.ndarray) -> np.ndarray:
            r = np.asarray(r, dtype=np.float64).ravel()
            pilot = backend.graph_pilot(layout.graph, features)
            return (
                backend.graph_collect(layout.graph, features, layout.sums_of(r)) + r.sum() * pilot
            )

        return LinearOperator(self.shape, matvec=matvec, rmatvec=rmatvec, dtype=np.float64)

    def _pilot(self) -> sparse.csr_array:
        graph = self.layout.graph
        pilot = get_backend(_BACKEND).graph_pilot(graph, np.arange(graph.n_features))
        return sparse.csr_array(pilot[None, :])


def _repeated_row(row: sparse.csr_array, n_rows: int) -> sparse.csr_array:
    return sparse.csr_array(sparse.csr_array(np.ones((n_rows, 1))) @ row)
