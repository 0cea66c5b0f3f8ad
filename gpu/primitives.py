"""The protocol on a device: passes over X there, sequential work on the host.

Inherited from the CPU backend is everything that works on the Gram matrix of a working set: a chain
of small dependent steps, which a processor core takes faster than a device can launch them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sparsereg.gpu import patterns, peeling
from sparsereg.gpu.designs import DeviceDesign, make_design, with_moments
from sparsereg.gpu.device import Device

from sparsereg.backends.numba import NumbaBackend, batch_descent
from sparsereg.backends.protocol import (
    Balls,
    FloatArray,
    IndexArray,
    KernelForm,
    Peeled,
    QueryGraph,
    ReadSets,
)

# Packed rows of a Gram block, in bytes of the device.
_PACK_BYTES = 256 << 20
# Reports of a chunk, and the most chunks, of a sum of reports; the table of its codewords.
_CHUNK_REPORTS, _MAX_CHUNKS, _TABLE_SIZE = 256, 1024, 8192
# Warps of a block that solves small problems, and how much shared memory it asks for.
_MAX_WARPS, _SHARED_BYTES = 4, 48 << 10
# What a Newton step of a warp takes beside that, as in batch.cu.
_NEWTON_BYTES = 8 * (528 + 16)


class DeviceBackend(NumbaBackend, ABC):
    """The primitives of :class:`sparsereg.backends.protocol.Backend` for arrays of a device."""

    shares_passes = True

    @abstractmethod
    def device_of(self, X: Any) -> Device:
        """Return the device of X; for arrays of the host, the current one."""

    def asarray(self, values: Any) -> Any:  # noqa: D102
        device = self.device_of(values)
        with device.at_work(f"a matrix of shape {values.shape}"):
            return device.xp.ascontiguousarray(device.xp.asarray(values, dtype=np.float64))

    def to_host(self, values: Any) -> npt.NDArray[Any]:  # noqa: D102
        return self.device_of(values).to_host(values)

    def design(self, X: Any, sample_weight: FloatArray | None, center: bool) -> DeviceDesign:  # type: ignore[override]  # noqa: D102
        device = self.device_of(X)
        n, p = X.shape
        with device.at_work(f"X of shape ({n}, {p}), {X.dtype}"):
            return make_design(device, X, sample_weight, center)

    def part_design(  # type: ignore[override]  # noqa: D102
        self, design: DeviceDesign, sample_weight: FloatArray | None, center: bool
    ) -> DeviceDesign:
        with design.device.at_work("the column moments of a part"):
            return with_moments(design, sample_weight, center)

    def reweighted(  # type: ignore[override]  # noqa: D102
        self,
        design: DeviceDesign,
        sample_weight: FloatArray | None,
        means: FloatArray,
        sqnorms: FloatArray,
    ) -> DeviceDesign:
        return replace(design, sample_weight=sample_weight, means=means, sqnorms=sqnorms)

    def take_rows(self, design: Any, rows: IndexArray) -> Any:  # noqa: D102
        with design.device.at_work(f"{rows.size} rows of X"):
            listed = design.device.xp.asarray(rows)
            return design.block(listed, None).T

    def xtr(  # noqa: D102
        self, design: Any, residual: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        return self.xtr_tasks(design, residual[None, :], columns)[0]

    def xtr_tasks(  # noqa: D102
        self, design: Any, residuals: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        if columns is not None and columns.size == 0:
            return np.empty((len(residuals), 0))
        weights, xp = design.sample_weight, design.device.xp
        weighted = residuals if weights is None else weights * residuals
        with design.device.at_work("a gradient"):
            listed = design.every_column if columns is None else xp.asarray(columns)
            there = xp.ascontiguousarray(xp.asarray(weighted))
            return design.device.to_host(design.dot(there, listed))

    def xtr_together(  # noqa: D102
        self, designs: Sequence[Any], residuals: Sequence[FloatArray]
    ) -> list[FloatArray]:
        weighted = [
            rows if design.sample_weight is None else design.sample_weight * rows
            for design, rows in zip(designs, residuals)
        ]
        sums: list[Any] = [None] * len(designs)
        for X in {id(design.X): design.X for design in designs}.values():
            mine = [k for k, design in enumerate(designs) if design.X is X]
            design = designs[mine[0]].uncentered
            with design.device.at_work(f"the gradients of {len(mine)} problems"):
                there = design.device.xp.asarray(np.concatenate([weighted[k] for k in mine]))
                found = design.device.to_host(design.dot(there, design.every_column))
            ends = np.cumsum([len(weighted[k]) for k in mine])[:-1]
            for k, part in zip(mine, np.split(found, ends)):
                sums[k] = part
        return [
            part - np.outer(rows.sum(axis=1) / rows.shape[1], design.means)
            for part, rows, design in zip(sums, weighted, designs)
        ]

    def fitted(self, design: Any, columns: IndexArray, coef: FloatArray) -> FloatArray:  # noqa: D102
        return self.fitted_tasks(design, columns, coef[None, :])[0]

    def fitted_tasks(self, design: Any, columns: IndexArray, coef: FloatArray) -> FloatArray:  # noqa: D102
        if columns.size == 0:
            return np.zeros((len(coef), design.shape[0]))
        if design.is_sparse:
            host, where = design.on_host(columns)
            return super().fitted_tasks(host, where, coef)
        with design.device.at_work("fitted values"):
            return design.device.to_host(design.combine(columns, np.ascontiguousarray(coef)))

    def fitted_rows(  # noqa: D102
        self, design: Any, rows: IndexArray, columns: IndexArray, coef: FloatArray
    ) -> FloatArray:
        xp = design.device.xp
        with design.device.at_work(f"predictions on {rows.size} rows"):
            block = design.block(xp.asarray(rows), xp.asarray(columns))
            predictions = design.device.to_host(xp.asarray(coef) @ block)
        return predictions - (coef @ design.means[columns])[:, None]

    def pack(self, design: Any, columns: IndexArray) -> FloatArray:  # noqa: D102
        host, where = design.on_host(columns)
        return super().pack(host, where)

    def gram(self, design: Any, columns: IndexArray, n_new: int, rough: bool = False) -> FloatArray:  # noqa: D102
        if design.is_sparse:
            host, where = design.on_host(columns)
            return super().gram(host, where, n_new)
        n, known = design.shape[0], columns.size - n_new
        step = max(64, _PACK_BYTES // (8 * columns.size))
        xp = design.device.xp
        with design.device.at_work(f"a Gram matrix of {columns.size} columns"):
            listed, total = xp.asarray(columns), xp.zeros((columns.size, n_new))
            means, roots = design.means_there[listed][:, None], xp.sqrt(design.weights_there)
            for start in range(0, n, step):
                rows = slice(start, min(start + step, n))
                packed = design.block(rows, listed)
                packed -= means
                if design.sample_weight is not None:
                    packed *= roots[rows]
                total += packed @ packed[known:].T
            out = design.device.to_host(total) / n
        out[known:] = 0.5 * (out[known:] + out[known:].T)  # symmetric to the last bit
        return out

    def residual_cd(  # noqa: D102
        self,
        design: Any,
        columns: IndexArray,
        residual: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_epochs: int,
        tol: float,
    ) -> tuple[int, float]:
        host, where = design.on_host(columns)
        return super().residual_cd(host, where, residual, coef, form, max_epochs, tol)

    def gram_cd_batch(  # type: ignore[override]  # noqa: D102
        self,
        gram: Any,
        correlations: Any,
        sq_norms: Any,
        coefs: Any,
        form: KernelForm,
        max_epochs: int,
        targets: Any,
        rounding: float,
    ) -> tuple[Any, Any]:
        device = self.device_of(gram)
        n_problems, m = coefs.shape
        bytes_per_warp = 16 * m + _NEWTON_BYTES  # a coefficient and a gradient for each column
        if bytes_per_warp > device.max_shared_bytes:
            raise ValueError(
                f"There are {m} atoms, and the device has room for "
                f'{(device.max_shared_bytes - _NEWTON_BYTES) // 16}. Use the CPU, backend="numba".'
            )
        warps = min(max(_SHARED_BYTES // bytes_per_warp, 1), _MAX_WARPS)
        xp = device.xp
        with device.at_work(f"{n_problems} problems of {m} coefficients"):
            diagonal = device.to_host(xp.diagonal(gram))
            curvatures, steps = np.maximum(diagonal, 0.0), np.zeros(m)
            np.divide(1.0, curvatures, out=steps, where=curvatures > 0)
            shared = (curvatures, steps, batch_descent.zero_thresholds(curvatures, *form))
            certificates = xp.empty(n_problems)
            epochs = xp.empty(n_problems, dtype=np.int64)
            device.launch(
                "gram_cd_batch", np.float64, (-(-n_problems // warps),), 32 * warps,
                (gram, *map(xp.asarray, shared), correlations, sq_norms, coefs,
                 *map(xp.asarray, form[1:]), targets, certificates, epochs, form.kind,
                 form.scales.size > 0, m, n_problems, max_epochs, rounding),
                shared_bytes=warps * bytes_per_warp,
            )  # fmt: skip
        return certificates, epochs

    def accumulate_reports(
        self,
        seeds: npt.NDArray[np.uint64],
        indices: npt.NDArray[np.int64],
        table: npt.NDArray[np.int16],
        sums: npt.NDArray[np.int64],
    ) -> None:
        """Add the codeword of each private report to ``sums``: the integers of any other backend.

        Parameters
        ----------
        seeds : ndarray of uint64 of shape (n,)
        indices : ndarray of int64 of shape (n,)
            Which codeword of its seed each report is.
        table : ndarray of int16 of shape (8192,)
            The values that a codeword is made of.
        sums : ndarray of int64 of shape (d,)
            Changed in place.
        """
        if table.size != _TABLE_SIZE:
            raise ValueError(
                f"The table of codewords has {table.size} entries, and 13 bits of a word pick one: "
                f"it must have {_TABLE_SIZE}."
            )
        n, n_words = seeds.size, -(-sums.size // 4)
        if not n:
            return
        rows = max(_CHUNK_REPORTS, -(-n // _MAX_CHUNKS))
        chunks, threads = -(-n // rows), 256
        device = self.device_of(seeds)
        xp = device.xp
        with device.at_work(f"a sum of {n} reports"):
            partial = xp.empty((chunks, 4 * n_words), dtype=np.int64)
            device.launch(
                "add_codewords", np.float64, (-(-n_words // threads), chunks), threads,
                (*map(xp.asarray, (seeds, indices, table)), partial, n, n_words, rows),
                shared_bytes=2 * _TABLE_SIZE,
            )  # fmt: skip
            sums += device.to_host(partial.sum(axis=0))[: sums.size]

    def peel(  # noqa: D102
        self, graph: QueryGraph, sets: ReadSets, tol: float, n_colors: int, known: Balls, told: bool
    ) -> Peeled:
        device = self.device_of(sets.u)
        with device.at_work(f"the peeling of {graph.n_bins} bins"):
            return peeling.peel(device, graph, sets, tol, n_colors, known, told)

    def mask_groups(self, scores: Any, n: int, m: int) -> Any:  # noqa: D102
        device = self.device_of(scores)
        with device.at_work(f"a mask of {scores.size} entries"):
            return patterns.mask_groups(device, device.xp.asarray(scores), n, m)

    def mask_largest(self, scores: Any, k: int) -> Any:  # noqa: D102
        device = self.device_of(scores)
        with device.at_work(f"a mask of {scores.size} entries"):
            return patterns.mask_largest(device, device.xp.asarray(scores), k)
