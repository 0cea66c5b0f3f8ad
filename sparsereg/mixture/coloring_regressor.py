"""The estimator that decodes the answers to a sparse-graph design."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsereg._caller import warn_caller
from sparsereg.backends.protocol import FloatArray
from sparsereg.backends.registry import resolve_backend
from sparsereg.exceptions import ConvergenceWarning
from sparsereg.linear_model._base import check_parameters
from sparsereg.linear_model._data import unchanged_on_failure
from sparsereg.linear_model._docs import documented
from sparsereg.mixture._model import MixtureModel, canonical_order
from sparsereg.mixture.decoder import DecodeReport, decode
from sparsereg.mixture.design import SparseGraphDesign
from sparsereg.mixture.layout import Layout
from sparsereg.mixture.refine import refine

# Relative differences of X z beyond which X is not the design's matrix.
_SAME_X = 1e-7


@documented
class MixedColoringRegressor(MixtureModel):
    """Mixture of sparse regressions, decoded from the answers to a sparse-graph design.

    For experiments in which you choose the queries. :class:`SparseGraphDesign` says what to
    measure; every answer comes from one of several regressions, and nobody says which. Exact
    answers give exact coefficients, in time proportional to their number. Every answer is then
    held against what was found: ``converged_`` says whether all of them are explained.

    Parameters
    ----------
    decoder : {"semi-strong", "strong"}, default="semi-strong"
        With ``method="coloring"``: whether a sum of two coefficients may bring in one that is seen
        alone nowhere, or not, as in the publication.
    rtol : float, default=1e-10
        Answers that differ by no more than this part of the largest are taken to be equal.
    refine : bool, default=False
        Whether to end with least squares on the supports: for coefficients that are not quite on
        the lattice of ``method="robust"``.
    {backend}

    Attributes
    ----------
    coef_ : ndarray of shape (n_components, n_features)
        Coefficients that are certain, in units of y per unit of X; made from ``sparse_coef_`` when
        it is asked for. The regressions are in the order of their weights, largest first.
    sparse_coef_ : csr_array of shape (n_components, n_features)
        The same, as it is kept.
    intercept_ : ndarray of shape (n_components,)
        Intercepts, which a pilot tells and coloring takes to be zero.
    weights_ : ndarray of shape (n_components,)
        Share of each regression in the answers.
    n_components_ : int
        Number of regressions that were told apart.
    noise_variance_ : ndarray of shape (n_components,)
        0 for exact answers.
    labels_ : ndarray of int of shape (n_queries,)
        The regression that gave each answer; -1 where none explains it, or several do.
    decode_report_ : DecodeReport
        What happened, with everything that was found, certain or not.
    converged_ : bool
        Whether every answer is explained.
    design_ : SparseGraphDesign
        The design, with the extensions that :meth:`from_oracle` asked for.
    {common_attributes}

    See Also
    --------
    SparseMixtureRegressor : For data that were not designed.

    References
    ----------
    Yin, Pedarsani, Chen and Ramchandran, "Learning mixtures of sparse linear regressions using
    sparse graph codes", IEEE Trans. Inf. Theory 65(3), 2019.

    Examples
    --------
    >>> from sparsereg.mixture import (
    ...     MixedColoringRegressor, MixtureOracle, SparseGraphDesign, make_sparse_mixture
    ... )
    >>> coef = make_sparse_mixture(n_features=500, n_nonzero=50, random_state=0)
    >>> measure = MixtureOracle(coef, weights=[0.6, 0.4], random_state=0)
    >>> design = SparseGraphDesign(500, n_components=2, n_nonzero=50, min_weight=0.4)
    >>> model = MixedColoringRegressor().from_oracle(measure, design)
    >>> bool(abs(model.coef_ - coef).max() < 1e-10)
    True
    """

    sparse_coef_: sparse.csr_array
    n_components_: int
    labels_: npt.NDArray[np.int64]
    decode_report_: DecodeReport
    converged_: bool
    design_: SparseGraphDesign
    backend_: str
    n_features_in_: int

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "decoder": [StrOptions({"semi-strong", "strong"})],
        "rtol": [Interval(Real, 0, 1, closed="neither")],
        "refine": ["boolean"],
        "backend": [str],
    }

    def __init__(
        self,
        *,
        decoder: str = "semi-strong",
        rtol: float = 1e-10,
        refine: bool = False,
        backend: str = "auto",
    ) -> None:
        self.decoder = decoder
        self.rtol = rtol
        self.refine = refine
        self.backend = backend

    @property
    def coef_(self) -> FloatArray:
        """The coefficients, of shape (n_components, n_features)."""
        check_is_fitted(self)
        return self.sparse_coef_.toarray()

    @property
    def _coef_rows(self) -> sparse.csr_array:
        return self.sparse_coef_

    def fit(
        self, X: Any, y: Any, *, design: SparseGraphDesign | None = None
    ) -> MixedColoringRegressor:
        """Decode the answers y to the queries X of a design.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_queries, n_features)
            ``design.matrix()``; its rows may come in another order, together with y.
        y : array-like of shape (n_queries,)
            The answers, in float64.
        design : SparseGraphDesign
            What X was made by.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no design, or X is not its matrix.
        MeasurementError
            If y cannot be answers to these queries; a ValueError, too.

        Warns
        -----
        ConvergenceWarning
            If some answers are not explained; it says what helps.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, y_numeric=True)
            design = _check_design(design)
            order = _rows_of_design(X, design)
            self._decode(y[order], design, design.layout)
            labels = np.empty_like(self.labels_)
            labels[order] = self.labels_
            self.labels_ = labels
            self._warn()
        return self

    def fit_measurements(self, y: Any, design: SparseGraphDesign) -> MixedColoringRegressor:
        """Decode answers in the order of the design, without X.

        Parameters
        ----------
        y : array-like of shape (n_queries,)
            The answers, in float64.
        design : SparseGraphDesign

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If y has the wrong length, or NaN.
        MeasurementError
            If y cannot be answers to these queries; a ValueError, too.

        Warns
        -----
        ConvergenceWarning
            If some answers are not explained; it says what helps.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            self._decode_in_order(y, _check_design(design))
            self._warn()
        return self

    def from_oracle(
        self,
        measure: Callable[[sparse.csr_array], Any],
        design: SparseGraphDesign,
        *,
        max_extensions: int = 0,
        n_rows: int = 4096,
    ) -> MixedColoringRegressor:
        """Measure block by block, and decode; measure more if that is not enough.

        Parameters
        ----------
        measure : callable
            Given a CSR array of queries, returns an answer for each row.
        design : SparseGraphDesign
        max_extensions : int, default=0
            How often the design may be extended by half of its rows while some answers are
            not explained. What was measured is kept.
        n_rows : int, default=4096
            Rows of a block.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an answer has the wrong shape.
        MeasurementError
            If the answers do not fit the design; a ValueError, too.

        Warns
        -----
        ConvergenceWarning
            If some answers are not explained; it says what helps.
        """
        rule = {"max_extensions": [Interval(Integral, 0, None, closed="left")],
                "n_rows": [Interval(Integral, 1, None, closed="left")]}  # fmt: skip
        check_parameters("from_oracle", rule, {"max_extensions": max_extensions, "n_rows": n_rows})
        answers: list[Any] = []
        start = 0
        with unchanged_on_failure(self):
            self._check_parameters()
            design = _check_design(design)
            for extensions_left in range(max_extensions, -1, -1):
                for block in design.iter_blocks(n_rows, start=start):
                    answer = np.asarray(measure(block))
                    if answer.shape != (block.shape[0],):
                        raise ValueError(
                            f"measure returned an array of shape {answer.shape} for "
                            f"{block.shape[0]} queries. It must return one answer for each row."
                        )
                    answers.append(answer)
                self._decode_in_order(np.concatenate(answers), design)
                if self.converged_ or not extensions_left:
                    break
                start, design = design.n_queries, design.extend()
            self._warn()
        return self

    def _decode_in_order(self, y: Any, design: SparseGraphDesign) -> None:
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        layout = design.layout
        if y.shape != (layout.n_rows,):
            raise ValueError(
                f"y has shape {y.shape} and the design has {layout.n_rows} rows. Give one answer "
                f"for each row, in order; a design that was extended has all the rows of the first "
                f"one in front."
            )
        self.n_features_in_ = int(design.n_features)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._decode(y, design, layout)

    def _decode(self, y: FloatArray, design: SparseGraphDesign, layout: Layout) -> None:
        backend = resolve_backend(self.backend, y)
        decoded = decode(
            layout, design.method, y, backend, rtol=self.rtol, semi=self.decoder == "semi-strong"
        )
        n_components = len(decoded.offsets)
        intercept = np.zeros(n_components)
        if layout.has_pilot and decoded.report.complete:
            pilot = backend.graph_pilot(layout.graph, decoded.features) * decoded.values
            answered = np.bincount(decoded.components, pilot, minlength=n_components)
            intercept = decoded.offsets - answered
            rounding = 1e-12 * (1.0 + np.abs(decoded.offsets)) * np.sqrt(1.0 + len(pilot))
            intercept[np.abs(intercept) <= rounding] = 0.0
        if self.refine:
            decoded.values = refine(layout, decoded, y, backend)
        coef = sparse.csr_array(
            (decoded.values, (decoded.components, decoded.features)),
            shape=(n_components, layout.graph.n_features),
        )
        coef.sort_indices()
        order = canonical_order(decoded.weights, coef)
        self.sparse_coef_ = sparse.csr_array(coef[order])
        self.weights_ = decoded.weights[order]
        self.noise_variance_ = np.full(n_components, decoded.noise_variance)
        self.intercept_ = intercept[order]
        place = np.empty(n_components + 1, dtype=np.int64)
        place[order], place[-1] = np.arange(n_components), -1
        self.labels_ = place[decoded.labels]
        report = decoded.report
        known = (report.components >= 0) & (report.components < n_components)
        report.components = np.where(known, place[report.components * known], -1)
        self.n_components_ = n_components
        self.decode_report_ = report
        self.converged_ = report.complete
        self.design_ = design
        self.backend_ = backend.name

    def _warn(self) -> None:
        if self.decode_report_.messages:
            warn_caller(
                " ".join(self.decode_report_.messages)
                + " What was found is in decode_report_; coef_ holds what is certain.",
                ConvergenceWarning,
            )


def _check_design(design: Any) -> SparseGraphDesign:
    if not isinstance(design, SparseGraphDesign):
        raise ValueError(
            f"design={design!r} is not a SparseGraphDesign. Pass the design that the queries were "
            f"made by, as in fit(X, y, design=design); for data that were not designed, use "
            f"SparseMixtureRegressor."
        )
    return design


def _rows_of_design(X: Any, design: SparseGraphDesign) -> npt.NDArray[np.intp]:
    """Return where each row of the design is in X; raise ValueError if X is something else."""
    if X.shape != design.shape:
        what = "rows are missing or left over" if X.shape[1] == design.shape[1] else "it differs"
        raise ValueError(
            f"X was not produced by this design: it has shape {X.shape} and the design has "
            f"{design.shape}, so that {what}. Pass design.matrix() and an answer for each row."
        )
    probe = np.random.default_rng(design.random_state).standard_normal(X.shape[1])
    expected, found = design.operator() @ probe, X @ probe
    tol = _SAME_X * float(np.max(np.abs(expected)))
    if np.all(np.abs(expected - found) <= tol):
        return np.arange(len(found))
    by_expected, by_found = np.argsort(expected, kind="stable"), np.argsort(found, kind="stable")
    if np.all(np.abs(expected[by_expected] - found[by_found]) <= tol):
        order = np.empty(len(found), dtype=np.intp)
        order[by_expected] = by_found
        return order
    raise ValueError(
        f"X was not produced by this design (fingerprint {design.fingerprint}): "
        f"{np.count_nonzero(np.abs(expected - found) > tol)} of its {len(found)} rows differ. Pass "
        f"the design that made X, or design.matrix() unchanged: scaling or centering it destroys "
        f"the code."
    )
