"""The Numba backend: the CPU kernels behind the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsereg.backends.numba import (
    active_set,
    batch_descent,
    block_descent,
    boxed_swaps,
    coordinate_gains,
    descent,
    factor,
    few_rows,
    few_rows_fit,
    few_rows_pool,
    gap,
    gram_blocks,
    homotopy,
    l0_relaxation,
    local_path,
    masks,
    matrices,
    mixtures,
    multi_task,
    notice,
    penalty_kernels,
    reach,
    refit,
    reports,
    starts,
)
from sparsereg.backends.protocol import (
    ActiveSet,
    Balls,
    Design,
    FewRowsFit,
    FewRowsPath,
    FewRowsProblem,
    FewRowsRules,
    FloatArray,
    IndexArray,
    KernelForm,
    KnownRows,
    Peeled,
    QueryGraph,
    ReadSets,
    SupportFit,
)

__all__ = ["NumbaBackend", "backend"]


def _arrays(fit: SupportFit) -> tuple[Any, ...]:
    return (
        fit.inverse, fit.loadings, fit.coef, fit.gradient, fit.remainder, fit.support, fit.inside
    )  # fmt: skip


def _few_rows(problem: FewRowsProblem) -> tuple[Any, ...]:
    """Return X as one row of numbers, without a copy, the steps to x_ij in it, and its moments."""
    design = problem.design
    row_step, column_step = (step // design.X.itemsize for step in design.X.strides)
    weights = np.ones(problem.y.size) if design.sample_weight is None else design.sample_weight
    return (
        design.X.ravel(order="K"), row_step, column_step, weights, design.means, design.sqnorms
    )  # fmt: skip


class NumbaBackend:
    """CPU kernels compiled by Numba on first use and cached on disk.

    The methods are described in :class:`sparsereg.backends.protocol.Backend`.
    """

    name = "numba"
    shares_passes = False

    def available(self) -> tuple[bool, str]:
        """Always available: Numba is a dependency of the package."""
        return True, ""

    def owns(self, X: Any) -> bool:
        """Whatever does not live on a GPU."""
        return type(X).__module__.split(".", 1)[0] not in {"cupy", "cupyx"}

    def asarray(self, values: Any) -> FloatArray:  # noqa: D102
        return np.ascontiguousarray(values, dtype=np.float64)

    def to_host(self, values: Any) -> npt.NDArray[Any]:  # noqa: D102
        return values

    def design(self, X: Any, sample_weight: FloatArray | None, center: bool) -> Design:  # noqa: D102
        return matrices.make_design(X, sample_weight, center)

    def part_design(  # noqa: D102
        self, design: Any, sample_weight: FloatArray | None, center: bool
    ) -> Design:
        return matrices.make_design(getattr(design, "X", design), sample_weight, center)

    def reweighted(  # noqa: D102
        self,
        design: Any,
        sample_weight: FloatArray | None,
        means: FloatArray,
        sqnorms: FloatArray,
    ) -> Design:
        return replace(design, sample_weight=sample_weight, means=means, sqnorms=sqnorms)

    def take_rows(self, design: Any, rows: IndexArray) -> Any:  # noqa: D102
        return matrices.take(design, rows, np.arange(design.shape[1]))

    def xtr(  # noqa: D102
        self, design: Design, residual: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        return matrices.xtr(design, residual, columns)

    def fitted(self, design: Design, columns: IndexArray, coef: FloatArray) -> FloatArray:  # noqa: D102
        return matrices.fitted(design, columns, coef)

    def xtr_tasks(  # noqa: D102
        self, design: Design, residuals: FloatArray, columns: IndexArray | None = None
    ) -> FloatArray:
        return multi_task.xtr_tasks(design, residuals, columns)

    def xtr_together(  # noqa: D102
        self, designs: Sequence[Any], residuals: Sequence[FloatArray]
    ) -> list[FloatArray]:
        return [self.xtr_tasks(design, rows) for design, rows in zip(designs, residuals)]

    def fitted_tasks(self, design: Design, columns: IndexArray, coef: FloatArray) -> FloatArray:  # noqa: D102
        return multi_task.fitted_tasks(design, columns, coef)

    def fitted_rows(  # noqa: D102
        self, design: Design, rows: IndexArray, columns: IndexArray, coef: FloatArray
    ) -> FloatArray:
        return multi_task.fitted_rows(design, rows, columns, coef)

    def pack(self, design: Design, columns: IndexArray) -> FloatArray:  # noqa: D102
        return matrices.pack(design, columns, 0, design.shape[0])

    def gram(  # noqa: D102
        self, design: Design, columns: IndexArray, n_new: int, rough: bool = False
    ) -> FloatArray:
        return gram_blocks.gram_block(design, columns, n_new, rough)

    def gram_cd(  # noqa: D102
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_epochs: int,
        tol: float,
    ) -> tuple[int, float]:
        return descent.gram_cd(gram, gradient, coef, *form, max_epochs, tol)

    def gram_cd_batch(  # noqa: D102
        self,
        gram: FloatArray,
        correlations: FloatArray,
        sq_norms: FloatArray,
        coefs: FloatArray,
        form: KernelForm,
        max_epochs: int,
        targets: FloatArray,
        rounding: float,
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        return batch_descent.solve(
            gram, correlations, sq_norms, coefs, form, max_epochs, targets, rounding
        )

    def gram_block_cd(  # noqa: D102
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_epochs: int,
        tol: float,
    ) -> tuple[int, float]:
        return block_descent.gram_block_cd(gram, gradient, coef, *form, max_epochs, tol)

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
        weights = design.sample_weight
        weighted = residual if weights is None else weights * residual
        factors = np.empty(0) if weights is None else weights
        moments = (factors, design.means, design.sqnorms, columns, weighted, coef)
        if design.is_sparse:
            storage = (design.data, design.indices, design.indptr, design.shape[0])
            outcome = descent.csc_cd(*storage, *moments, *form, max_epochs, tol)
        else:
            outcome = descent.dense_cd(design.X, *moments, *form, max_epochs, tol)
        if weights is not None:
            np.divide(weighted, weights, out=residual, where=weights > 0)
        return outcome

    def dual_gaps(  # noqa: D102
        self,
        coefs: FloatArray,
        gradients: FloatArray,
        levels: FloatArray,
        l1: FloatArray,
        l2: FloatArray,
        curvatures: FloatArray,
        positive: bool,
        sq_residuals: FloatArray,
        scale_y: float,
        rounding: float,
    ) -> tuple[FloatArray, FloatArray]:
        return gap.dual_gaps(
            coefs, gradients, levels, l1, l2, curvatures, positive, sq_residuals, scale_y, rounding
        )

    def within_reach(  # noqa: D102
        self,
        known: FloatArray,
        gradients: FloatArray,
        points: FloatArray,
        lengths: FloatArray,
        levels: FloatArray,
        l1: FloatArray,
        positive: bool,
        rounding: float,
    ) -> npt.NDArray[np.bool_]:
        return reach.within_reach(known, gradients, points, lengths, levels, l1, positive, rounding)

    def coordinate_gains(  # noqa: D102
        self, coef: FloatArray, gradient: FloatArray, curvatures: FloatArray, form: KernelForm
    ) -> FloatArray:
        return coordinate_gains.coordinate_gains(coef, gradient, curvatures, *form)

    def gram_move(  # noqa: D102
        self, gram: FloatArray, gradient: FloatArray, columns: IndexArray, step: FloatArray
    ) -> None:
        descent.gram_move(gram, gradient, columns, step)

    def gram_go_down(  # noqa: D102
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        params: FloatArray,
        max_rank: int,
        goal: float,
    ) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
        coefs, gradients = np.empty((2, len(params), coef.size))
        steps = np.zeros(len(params), dtype=np.int64)
        local_path.go_down(
            gram, gradient, coef, form.kind, params, form.weights, form.scales, max_rank, goal,
            coefs, gradients, steps,
        )  # fmt: skip
        return coefs, gradients, steps

    def gram_look_back(  # noqa: D102
        self,
        gram: FloatArray,
        slopes: FloatArray,
        coefs: FloatArray,
        gradients: FloatArray,
        form: KernelForm,
        params: FloatArray,
        max_rank: int,
        rough: float,
        goal: float,
        lower: float,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        steps = np.zeros(len(params), dtype=np.int64)
        changed = np.zeros(len(params), dtype=np.bool_)
        local_path.look_back(
            gram, slopes, coefs, gradients, form.kind, params, form.weights, form.scales, max_rank,
            rough, goal, lower, steps, changed,
        )  # fmt: skip
        return steps, changed

    def gram_reweight(  # noqa: D102
        self,
        gram: FloatArray,
        correlation: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_rounds: int,
        settled: float,
    ) -> int:
        return starts.reweight(gram, correlation, coef, *form, max_rounds, settled)

    def gram_split(  # noqa: D102
        self,
        gram: FloatArray,
        correlation: FloatArray,
        coef: FloatArray,
        form: KernelForm,
        max_steps: int,
        settled: float,
    ) -> int:
        return starts.split(gram, correlation, coef, *form, max_steps, settled)

    def penalty_terms(  # noqa: D102
        self, coef: FloatArray, form: KernelForm
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        return penalty_kernels.penalty_terms(*form, coef)

    def homotopy(  # noqa: D102
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        l1: FloatArray,
        l2: FloatArray,
        free: npt.NDArray[np.bool_],
        positive: bool,
        max_rank: int,
        max_events: int,
        jitter: float,
        state: ActiveSet,
    ) -> tuple[bool, int]:
        status, events, state.n_active = homotopy.follow(
            gram, gradient, coef, l1, l2, free, positive, max_rank, max_events, jitter,
            state.factor, state.active, state.sign, state.n_active,
        )  # fmt: skip
        return status == homotopy.DONE, events

    def homotopy_path(  # noqa: D102
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        l1: FloatArray,
        levels: FloatArray,
        free: npt.NDArray[np.bool_],
        positive: bool,
        max_rank: int,
        max_events: int,
        max_active: int,
        state: ActiveSet,
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        coefs = np.empty((levels.size, coef.size))
        events = np.zeros(levels.size, dtype=np.int64)
        n_found, state.n_active = homotopy.follow_levels(
            gram, gradient, coef, l1, levels, free, positive, max_rank, max_events, max_active,
            state.factor, state.active, state.sign, state.n_active, coefs, events,
        )  # fmt: skip
        return coefs[:n_found], events[:n_found]

    def few_rows_path(  # noqa: D102
        self,
        problem: FewRowsProblem,
        may_move: npt.NDArray[np.bool_],
        levels: FloatArray,
        at_once: int,
        known_levels: FloatArray,
        residuals: FloatArray,
        gradients: FloatArray,
        coef: FloatArray,
        rules: FewRowsRules,
    ) -> FewRowsPath:
        q, K = problem, levels.size
        n, p = q.design.shape
        most = K * (few_rows_pool.room_for(n, p) if q.l2.any() else q.max_rank)
        starts, events = np.zeros(K + 1, dtype=np.int64), np.zeros(K, dtype=np.int64)
        features, values = np.empty(most, dtype=np.int64), np.empty(most)
        left, gaps = np.empty((K, n)), np.empty(K)
        done = few_rows.follow_path(
            *_few_rows(q), q.y, q.centered, q.l1, q.l2, may_move, q.positive, q.max_rank,
            levels, at_once, known_levels, residuals, gradients, coef, tuple(rules), q.goal,
            q.noise, q.scale_y, starts, features, values, left, gaps, events,
        )  # fmt: skip
        end = starts[done]
        return FewRowsPath(
            starts[: done + 1], features[:end], values[:end], left[:done], gaps[:done],
            events[:done],
        )  # fmt: skip

    def few_rows_fit(  # noqa: D102
        self,
        problem: FewRowsProblem,
        coef: FloatArray,
        residual: FloatArray,
        gradient: FloatArray,
        max_passes: int,
        good_start: float,
    ) -> FewRowsFit | None:
        q = problem
        gaps, sizes = np.empty(1 + max_passes), np.empty(1 + max_passes, dtype=np.int64)
        events = np.empty_like(sizes)
        n_seen = few_rows_fit.descend(
            *_few_rows(q), q.y, q.centered, q.l1, q.l2, q.positive, q.max_rank, coef, residual,
            gradient, good_start, q.goal, q.noise, q.scale_y, gaps, events, sizes,
        )  # fmt: skip
        if not n_seen:
            return None
        return FewRowsFit(gaps[:n_seen], events[:n_seen], sizes[:n_seen])

    def active_set_path(  # noqa: D102
        self,
        gram: FloatArray,
        gradient: FloatArray,
        coef: FloatArray,
        fixed: FloatArray,
        slope: FloatArray,
        levels: FloatArray,
        stride: float,
        l2: FloatArray,
        free: npt.NDArray[np.bool_],
        positive: bool,
        max_rank: int,
        state: ActiveSet,
    ) -> tuple[FloatArray, npt.NDArray[np.int64], float]:
        coefs = np.empty((levels.size - 1, coef.size))
        changes = np.zeros(levels.size - 1, dtype=np.int64)
        n_found, reached, state.n_active = active_set.jump(
            gram, gradient, coef, fixed, slope, levels, stride, l2, free, positive, max_rank,
            state.factor, state.active, state.sign, state.n_active, coefs, changes,
        )  # fmt: skip
        return coefs[:n_found], changes[:n_found], reached

    def refit_search(  # noqa: D102
        self,
        fit: SupportFit,
        known_rows: KnownRows,
        alpha: float,
        floor: float,
        least: float,
        max_wear: float,
        max_moves: int,
    ) -> tuple[int, float, int, int]:
        fit.size, change, moves, wear, out, new = refit.search(
            *_arrays(fit), fit.size, fit.costs, alpha, floor, *known_rows, least, max_wear,
            max_moves,
        )  # fmt: skip
        fit.half_rss += change
        return moves, wear, out, new

    def refit_shrink(  # noqa: D102
        self, fit: SupportFit, down_to: int, known: FloatArray, tol: float, max_wear: float
    ) -> float:
        fit.size, fit.half_rss, wear = refit.shrink(
            *_arrays(fit), fit.size, fit.costs, fit.half_rss, down_to, known, tol, max_wear
        )
        return wear

    def refit_grow(  # noqa: D102
        self,
        fit: SupportFit,
        known_rows: KnownRows,
        up_to: int,
        known: FloatArray,
        tol: float,
        floor: float,
        least: float,
        max_wear: float,
    ) -> tuple[float, int]:
        fit.size, fit.half_rss, wear, new = refit.grow(
            *_arrays(fit), fit.size, fit.costs, fit.half_rss, up_to, known, tol, floor, least,
            *known_rows, max_wear,
        )  # fmt: skip
        return wear, new

    def refit_follow_lasso(  # noqa: D102
        self,
        fit: SupportFit,
        known_rows: KnownRows,
        lasso: FloatArray,
        slopes: FloatArray,
        angles: FloatArray,
        level: float,
        new: int,
        up_to: int,
        floor: float,
        max_wear: float,
    ) -> tuple[float, float, int]:
        fit.size, fit.half_rss, wear, level, new = refit.follow_lasso(
            *_arrays(fit), fit.size, fit.costs, fit.half_rss, lasso, slopes, angles, level, new,
            up_to, floor, *known_rows, max_wear,
        )  # fmt: skip
        return wear, level, new

    def refit_validity(  # noqa: D102
        self, fit: SupportFit, ridge: FloatArray
    ) -> tuple[float, float]:
        return refit.validity(
            fit.coef[: fit.size],
            fit.gradient,
            fit.support[: fit.size],
            fit.inside,
            fit.costs,
            ridge,
        )

    def refit_enter(self, fit: SupportFit, known_rows: KnownRows, column: int) -> float:  # noqa: D102
        fall, wear = refit.put_in(*_arrays(fit), fit.size, *known_rows, column)
        fit.half_rss -= fall
        fit.size += 1
        return wear

    def refit_take_in(  # noqa: D102
        self, fit: SupportFit, known_rows: KnownRows, columns: IndexArray, floor: float
    ) -> float:
        fit.size, fall, wear = refit.take_in(
            *_arrays(fit), fit.size, floor, *known_rows, columns
        )  # fmt: skip
        fit.half_rss -= fall
        return wear

    def refit_leave(self, fit: SupportFit, position: int) -> float:  # noqa: D102
        rise, wear = refit.take_out(*_arrays(fit), fit.size, position)
        fit.half_rss += rise
        fit.size -= 1
        return wear

    def factor_supports(  # noqa: D102
        self, known_rows: KnownRows, columns: IndexArray, starts: IndexArray
    ) -> tuple[FloatArray, FloatArray]:
        sizes = np.diff(starts)
        factors, least = np.empty(int(sizes @ (sizes + 1)) // 2), np.empty(sizes.size)
        factor.factor_supports(*known_rows, columns, starts, factors, least)
        return factors, least

    def solve_supports(  # noqa: D102
        self, starts: IndexArray, factors: FloatArray, least: FloatArray, values: FloatArray
    ) -> None:
        factor.solve_supports(starts, factors, least, values)

    def boxed_search(  # noqa: D102
        self,
        gram: FloatArray,
        correlation: FloatArray,
        ridge: FloatArray,
        limit: FloatArray,
        prices: FloatArray,
        inside: npt.NDArray[np.uint8],
        coef: FloatArray,
        max_size: int,
        max_moves: int,
        most_tried: int,
        least: float,
    ) -> tuple[float, int]:
        return boxed_swaps.search(
            gram, correlation, ridge, limit, prices, inside, coef, max_size, max_moves, most_tried,
            least,
        )  # fmt: skip

    def solve_l0_node(  # noqa: D102
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
        return l0_relaxation.solve_node(
            gram, correlation, sq_y, costs, slopes, knots, ridge, bounds, state, coef, gradient,
            cutoff, tol, max_rounds, rounding,
        )  # fmt: skip

    def accumulate_reports(  # noqa: D102
        self,
        seeds: npt.NDArray[np.uint64],
        indices: npt.NDArray[np.int64],
        table: npt.NDArray[np.int16],
        sums: npt.NDArray[np.int64],
    ) -> None:
        reports.accumulate_reports(seeds, indices, table, sums)

    def rank_outputs(  # noqa: D102
        self,
        directions: FloatArray,
        seeds: npt.NDArray[np.uint64],
        ranks: npt.NDArray[np.int64],
        n_codewords: int,
        table: npt.NDArray[np.int16],
    ) -> npt.NDArray[np.int64]:
        return reports.rank_outputs(directions, seeds, ranks, n_codewords, table)

    def graph_neighbors(  # noqa: D102
        self, graph: QueryGraph, features: IndexArray
    ) -> npt.NDArray[np.int64]:
        return mixtures.neighbors(graph, features)

    def graph_signatures(self, graph: QueryGraph, features: IndexArray) -> FloatArray:  # noqa: D102
        return mixtures.signatures(graph, features)

    def graph_pilot(self, graph: QueryGraph, features: IndexArray) -> FloatArray:  # noqa: D102
        return mixtures.pilot(graph, features)

    def graph_members(  # noqa: D102
        self, graph: QueryGraph, first: int, last: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return mixtures.members(graph, first, last)

    def graph_spread(  # noqa: D102
        self, graph: QueryGraph, features: IndexArray, values: FloatArray
    ) -> FloatArray:
        return mixtures.spread(graph, features, values)

    def graph_collect(  # noqa: D102
        self, graph: QueryGraph, features: IndexArray, sums: FloatArray
    ) -> FloatArray:
        return mixtures.collect(graph, features, sums)

    def read_sets(  # noqa: D102
        self, readings: FloatArray, n_repeats: int, offsets: FloatArray, tol: float, pairs: bool
    ) -> ReadSets:
        return mixtures.read_sets(readings, n_repeats, offsets, tol, pairs)

    def color_graph(  # noqa: D102
        self, graph: QueryGraph, sets: ReadSets, tol: float, semi: bool
    ) -> Balls:
        return mixtures.color_graph(graph, sets, tol, semi)

    def peel(  # noqa: D102
        self, graph: QueryGraph, sets: ReadSets, tol: float, n_colors: int, known: Balls, told: bool
    ) -> Peeled:
        return mixtures.peel(graph, sets, tol, n_colors, known, told)

    def lattice_contents(  # noqa: D102
        self,
        readings: FloatArray,
        sigma: float,
        weight: float,
        offsets: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        return mixtures.lattice_contents(readings, sigma, weight, offsets)

    def lattice_levels(  # noqa: D102
        self, readings: FloatArray, sigma: float, weight: float
    ) -> tuple[npt.NDArray[np.int64], FloatArray]:
        return mixtures.lattice_levels(readings, sigma, weight)

    def peel_lattice(  # noqa: D102
        self,
        graph: QueryGraph,
        contents: npt.NDArray[np.int64],
        visible: npt.NDArray[np.bool_],
    ) -> tuple[Balls, npt.NDArray[np.int64], int]:
        return mixtures.peel_lattice(graph, contents, visible)

    def mask_groups(self, scores: Any, n: int, m: int) -> Any:  # noqa: D102
        return masks.mask_groups(scores, n, m)

    def mask_largest(self, scores: Any, k: int) -> Any:  # noqa: D102
        return masks.mask_largest(scores, k)


backend = NumbaBackend()
notice.install()
