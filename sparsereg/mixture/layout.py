"""What a design is made of: the graph, the rows of a bin, and how they are chosen.

Rows come in this order: those of the pilot alone, then bin after bin, all rows of a bin together,
kind by kind. A design that is extended gets more bins, so that its first rows stay what they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import FloatArray, QueryGraph
from sparsereg.mixture.density_evolution import (
    CodeParameters,
    Evolution,
    cheapest_code,
    evolve,
    largest_load,
    visibility,
)

METHODS = ("pilot", "coloring", "robust")
_RATIO, _BINARY = 0, 1

# A pilot that meets this many non-zeros on average tells regressions apart.
_PILOT_HITS = 40
# Size of its weights where answers are noisy: the two levels must not coincide.
_NOISY_PILOT = 8.0
# Probability that some regression is not seen among the rows of the pilot alone.
_PILOT_MISS = 1e-4
# A small problem needs more bins than a large one per non-zero: this much over the root of the
# number of non-zeros of a regression. Chosen by simulation, `bench mixture` shows what it gives.
_FINITE_SIZE = {"pilot": 4.0, "coloring": 0.0, "robust": 4.5}
# Decodings, one in so many, that may lose a coefficient to density evolution's fixed point.
_LOST = 0.001
# Share of the bins of a noisy design that may be misread.
_MISREAD = 0.1
# Fewest bins of a feature there: misread ones must leave enough.
_NOISY_DEGREE = 7
_CHECKS = 2
# Bins that an extension adds hold this part of the non-zeros that bins of the design were meant to.
_LIGHTER = 0.5


@dataclass(frozen=True)
class Layout:
    """A resolved design.

    Attributes
    ----------
    graph : QueryGraph
    repeats : tuple of int
        Rows of each kind of query of a bin.
    n_pilot : int
        Rows of the pilot alone, the first ones.
    left_degree : int
        Stages of the design before extensions.
    n_components : int
    min_weight : float
    evolution : Evolution
        What density evolution expects, before extensions.
    quantum, noise_std : float
        Of noisy designs; else 0.
    """

    graph: QueryGraph
    repeats: tuple[int, ...]
    n_pilot: int
    left_degree: int
    n_components: int
    min_weight: float
    evolution: Evolution
    quantum: float
    noise_std: float

    @property
    def is_noisy(self) -> bool:
        """Whether readings are noisy."""
        return self.graph.code == _BINARY

    @property
    def has_pilot(self) -> bool:
        """Whether every query contains the pilot."""
        return self.graph.pilot_share > 0

    @property
    def rows_per_bin(self) -> int:
        """Number of rows of a bin."""
        return sum(self.repeats)

    @property
    def n_rows(self) -> int:
        """Number of rows of the design."""
        return self.n_pilot + self.graph.n_bins * self.rows_per_bin

    @property
    def kinds(self) -> npt.NDArray[np.int64]:
        """The kind of query of each row of a bin."""
        return np.repeat(np.arange(len(self.repeats)), self.repeats)

    def rows_of(self, contents: FloatArray) -> FloatArray:
        """Return a value per row from those of each kind of each bin; 0 for the pilot alone."""
        return np.concatenate([np.zeros(self.n_pilot), contents[:, self.kinds].ravel()])

    def sums_of(self, rows: FloatArray) -> FloatArray:
        """Return the sums of the rows of each kind of each bin, of shape (bins, kinds)."""
        by_bin = rows[self.n_pilot :].reshape(self.graph.n_bins, -1)
        return np.add.reduceat(by_bin, np.cumsum((0, *self.repeats[:-1])), axis=1)


@lru_cache(maxsize=64)
def resolve(
    n_features: int,
    n_components: int,
    n_nonzero: int,
    method: str,
    min_weight: float | None,
    error_fraction: float | None,
    left_degree: int | None,
    n_repeats: int | None,
    n_verify: int | None,
    bin_ratio: float | None,
    quantum: float,
    noise_std: float,
    extensions: tuple[int, ...],
    seed: int,
) -> Layout:
    """Choose what is not given (None), by density evolution, and lay out the bins."""
    weight = 1.0 / n_components if min_weight is None else min_weight
    error = _LOST / n_nonzero if error_fraction is None else error_fraction
    per_component = n_nonzero / n_components
    coloring, noisy = method == "coloring", method == "robust"
    if noisy:
        n_bits = max(1, math.ceil(math.log2(n_features)))
        degree = left_degree or _degree_of_noisy(error)
        code = CodeParameters(degree, 0, 0, largest_load(degree, 1.0 - _MISREAD, error))
        visible = 1.0 - _MISREAD
        reads = n_repeats or _reads(noise_std / quantum, weight, 1 + 2 * (n_bits + _CHECKS))
        repeats: tuple[int, ...] = (reads,) * (1 + 2 * (n_bits + _CHECKS))
    else:
        n_bits = 0
        if left_degree and n_repeats and n_verify and bin_ratio:  # nothing to choose
            code = CodeParameters(left_degree, n_repeats, n_verify, 0.0)
        else:
            code = cheapest_code(
                weight,
                error,
                coloring=coloring,
                left_degree=left_degree,
                n_repeats=n_repeats,
                n_verify=n_verify,
            )
        visible = visibility(weight, code.n_repeats, code.n_verify, coloring=coloring)
        repeats = (code.n_repeats, code.n_repeats, code.n_verify)
    degree = code.left_degree
    if bin_ratio is None:
        margin = 1.0 + _FINITE_SIZE[method] / math.sqrt(per_component)
        n_bins = math.ceil(margin * per_component * degree / code.load)
    else:
        n_bins = math.ceil(bin_ratio * n_nonzero)
    n_bins = max(n_bins, degree)
    starts = _stages(n_bins, degree, extensions)
    share = 0.0 if coloring else min(1.0, _PILOT_HITS / n_nonzero)
    miss = math.log(_PILOT_MISS / n_components) / math.log1p(-min(weight, 0.99))
    n_pilot = 0 if coloring else max(math.ceil(miss), 4 * repeats[0] if noisy else 4)
    graph = QueryGraph(
        _BINARY if noisy else _RATIO, seed, n_features, n_bits, _CHECKS if noisy else 0, starts,
        share, _NOISY_PILOT if noisy else 1.0,
    )  # fmt: skip
    load = per_component * degree / n_bins
    return Layout(
        graph, repeats, n_pilot, degree, n_components, weight,
        evolve(degree, load, visible, coloring=coloring), quantum, noise_std,
    )  # fmt: skip


def _stages(n_bins: int, degree: int, extensions: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return where the stages begin: ``degree`` of them, then those of each extension."""
    starts = (np.arange(degree + 1) * n_bins) // degree
    for more in extensions:
        stages = max(1, round(_LIGHTER * degree * more / n_bins))
        starts = np.concatenate([starts, starts[-1] + (np.arange(1, stages + 1) * more) // stages])
    return starts.astype(np.int64)


def _degree_of_noisy(error: float) -> int:
    def bins(degree: int) -> float:
        return degree / max(largest_load(degree, 1.0 - _MISREAD, error), 1e-9)

    return min(range(_NOISY_DEGREE, 16), key=bins)


def _reads(noise: float, weight: float, n_kinds: int) -> int:
    """Return how often to read a query so that few bins are misread.

    The mean of ``weight * reads`` readings is off by half a quantum with probability
    erfc(sqrt(weight * reads / 8) / noise); regressions that are not seen at all count, too.
    """
    for reads in range(2, 10_000):
        wrong = 2.0 * (1.0 - weight) ** reads
        wrong += 2.0 * math.erfc(math.sqrt(weight * reads / 8.0) / max(noise, 1e-9))
        if n_kinds * wrong <= 0.5 * _MISREAD:
            return reads
    raise ValueError(
        f"noise_std is {noise:.3g} times the quantum: more than 10,000 readings of every query "
        f"would be needed. Measure with less noise, or use SparseMixtureRegressor."
    )
