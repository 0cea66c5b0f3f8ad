"""From answers to coefficients: which primitive is called when, and what may be believed.

1. The pilot's own rows say how many regressions there are, and where each one's answers lie.
2. Readings of a bin that belong together are found by their sums (the summation check).
3. Without a pilot, balls that share a doubleton get the same color.
4. Peeling finds the rest.
5. What was found is held against every single answer.

A ball counts as certain if its address could not have come out by chance, or if two bins are fully
explained with it. Everything else stays in the report.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sparsereg.backends.protocol import Backend, Balls, FloatArray, Peeled, ReadSets
from sparsereg.exceptions import MeasurementError
from sparsereg.mixture.density_evolution import visibility
from sparsereg.mixture.layout import Layout
from sparsereg.mixture.refine import refine

# Least standard error of a reading, in units of the largest.
_ROUNDING = 2.0**-52
# The largest answer must lie between this and its inverse: rounding errors are squared.
_LARGEST = 1e120
# Distances, in units of their standard error, that rounding explains.
_EQUAL = 8.0
# An address this sharp is no coincidence, even of millions.
_SHARP_ADDRESS = 1e-7
# Bins whose sums fit, as a part of those expected, below which nothing is decoded.
_TOO_FEW = 0.5
# Log-likelihood by which the two levels of the pilot must beat all others.
_CLEAR_LEAD = 3.0
# Standard scores beyond which noise does not go.
_LARGEST_Z = 6.0
# The smallest colored component must be so much larger than the largest that is left, and have so
# many balls.
_GIANT, _LEAST_GIANT = 3.0, 5
# Share of answers without explanation below which rounding may be the reason.
_NEARLY_DONE = 0.02
# Components beside those of the number of colors that may be tried in their place.
_MORE_COMPONENTS = 2


@dataclass
class DecodeReport:
    """What happened while decoding.

    Attributes
    ----------
    method : str
        Of the design.
    n_bins, n_bins_read : int
        Bins of the design, and bins with readings, other than of nothing, that add up.
    n_components_found : int
        Regressions that were told apart.
    component_sizes : list of int
        Sizes of the largest connected components of balls; empty with a pilot.
    n_conflicts : int
        Findings that contradict each other: a sign of coefficients that two regressions share, of
        noise, or of too few bins.
    n_unexplained : int
        Measurements that no regression explains.
    residual_max : float
        Largest distance of an explained measurement from what explains it, in units of y.
    n_updates : int
        Visits of bins while peeling.
    n_uncertain : int
        Coefficients that were found and are not certain: they are not in ``coef_``.
    features, components : ndarray of int
        Every coefficient that was found, certain or not: its feature and its regression (its
        connected component, where colors could not be told).
    values : ndarray
        Their values.
    certain : ndarray of bool
        Whether they are in ``coef_``.
    complete : bool
        Whether every measurement is explained.
    messages : list of str
        What went wrong, and what helps.
    """

    method: str
    n_bins: int
    n_bins_read: int = 0
    n_components_found: int = 0
    component_sizes: list[int] = field(default_factory=list)
    n_conflicts: int = 0
    n_unexplained: int = 0
    residual_max: float = 0.0
    n_updates: int = 0
    n_uncertain: int = 0
    features: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    components: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    values: FloatArray = field(default_factory=lambda: np.empty(0))
    certain: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    complete: bool = False
    messages: list[str] = field(default_factory=list)


@dataclass
class Decoded:
    """What decoding brings, in the order in which regressions were found.

    Attributes
    ----------
    features, components : ndarray of int
        Where the coefficients are.
    values : ndarray
    offsets : ndarray of shape (n_components,)
        What each regression answers to the pilot; zero without one.
    labels : ndarray of int of shape (n_rows,)
        The regression of each row; -1 where none explains it, or where several do.
    weights : ndarray of shape (n_components,)
        Share of each regression in the rows where all of them answer differently.
    noise_variance : float
        Mean square of what the labels leave; 0 for exact answers.
    report : DecodeReport
    """

    features: npt.NDArray[np.int64]
    components: npt.NDArray[np.int64]
    values: FloatArray
    offsets: FloatArray
    labels: npt.NDArray[np.int64]
    weights: FloatArray
    noise_variance: float
    report: DecodeReport


def decode(layout: Layout, method: str, y: FloatArray, backend: Backend, *, rtol: float,
           semi: bool) -> Decoded:  # fmt: skip
    """Decode answers to the rows of a layout.

    Parameters
    ----------
    layout : Layout
    method : str
        Of the design.
    y : ndarray of shape (n_rows,)
    backend : Backend
    rtol : float
        Answers that differ by no more than this part of the largest are taken to be equal.
    semi : bool
        Whether a doubleton may bring in a ball that is a singleton nowhere.

    Returns
    -------
    Decoded

    Raises
    ------
    MeasurementError
        If hardly any bin fits the design.
    """
    report = DecodeReport(method, layout.graph.n_bins)
    try:
        if layout.is_noisy:
            return _decode_noisy(layout, y, backend, report)
        return _decode_exact(layout, y, backend, rtol, semi, report)
    except MeasurementError as error:
        error.report = report
        raise


def _decode_exact(
    layout: Layout, y: FloatArray, backend: Backend, rtol: float, semi: bool, report: DecodeReport
) -> Decoded:
    largest = float(np.max(np.abs(y), initial=0.0))
    if largest > 0 and not 1.0 / _LARGEST < largest < _LARGEST:
        raise MeasurementError(
            f"The largest answer is {largest:.3g}, and the square of its rounding error is beyond "
            f"float64. Change the unit of y, so that answers are near 1."
        )
    if np.any(y) and np.array_equal(y, y.astype(np.float32)):
        raise MeasurementError(
            "The measurements look noisy: all of them have been rounded to single precision, and "
            "the addresses in exact answers need the digits of float64. Record the answers in "
            "float64; rounded ones are for method='robust' or SparseMixtureRegressor."
        )
    equal = rtol * largest
    readings = np.ascontiguousarray(
        y[layout.n_pilot :].reshape(layout.graph.n_bins, layout.rows_per_bin)
    )
    offsets = _levels_of_pilot(layout, y[: layout.n_pilot], equal, report)
    sets = backend.read_sets(readings, layout.repeats[0], offsets, equal, layout.has_pilot)
    _check_sets(layout, sets, readings, equal, offsets, report)
    # a sum is off by the errors of three readings, and of the offset
    tol = 0.5 * np.sqrt(sets.misfit.sum() / max(sets.n_consistent.sum(), 1.0))
    tol = max(float(tol), _ROUNDING * largest)
    if layout.has_pilot:
        peeled, told = backend.peel(layout.graph, sets, tol, len(offsets), _no_balls(), True), True
        report.n_conflicts = peeled.conflicts + _contradictions(peeled, tol)
    else:
        offsets = np.zeros(layout.n_components)
        peeled, told = _color_and_peel(layout, sets, tol, backend, semi, report)
    report.n_updates, n_messages = peeled.updates, len(report.messages)
    certain = _is_certain(layout, sets, peeled, backend) & told
    decoded = _judge(layout, y, peeled.balls, certain, offsets, 1e3 * tol, 0.0, backend, report)
    if layout.has_pilot and 0 < report.n_unexplained < _NEARLY_DONE * len(y):
        # rounding has piled up along the peeling: take it out, and go on from there
        exact = refine(layout, decoded, y, backend, tol=1e-2)
        place = np.flatnonzero(certain)
        known = peeled.balls.take(place)._replace(
            value=exact, error=np.full(len(exact), tol), address=np.zeros(len(exact))
        )
        peeled = backend.peel(layout.graph, sets, tol, len(offsets), known, True)
        certain = _is_certain(layout, sets, peeled, backend)
        report.n_conflicts = peeled.conflicts + _contradictions(peeled, tol)
        report.messages = report.messages[:n_messages]
        decoded = _judge(layout, y, peeled.balls, certain, offsets, 1e3 * tol, 0.0, backend, report)
    return decoded


def _levels_of_pilot(
    layout: Layout, pilot: FloatArray, tol: float, report: DecodeReport
) -> FloatArray:
    """Return the distinct answers to the pilot: one for each regression."""
    if not layout.has_pilot:
        return np.zeros(1)
    ordered = np.sort(pilot)
    levels = ordered[np.concatenate([[True], np.diff(ordered) > tol])]
    if len(levels) > max(len(pilot) // 2, layout.n_components):
        raise MeasurementError(
            f"The measurements look noisy: {len(pilot)} answers to the same query have "
            f"{len(levels)} different values, and exact answers of {layout.n_components} "
            f"regressions have {layout.n_components}. Use method='robust' where coefficients are "
            f"on a lattice, or SparseMixtureRegressor; if the answers are exact, pass them in "
            f"float64 and in the order of the design."
        )
    if len(levels) != layout.n_components:
        report.messages.append(
            f"The pilot shows {len(levels)} regressions and the design is for "
            f"{layout.n_components}: "
            + ("some coincide, or are rarer than min_weight" if len(levels) < layout.n_components
               else "all of them are decoded, with fewer rows each than they should have")
            + ". Set n_components and min_weight to what is there."
        )  # fmt: skip
    return levels


def _check_sets(
    layout: Layout,
    sets: ReadSets,
    readings: FloatArray,
    tol: float,
    offsets: FloatArray,
    report: DecodeReport,
) -> None:
    """Raise unless the sums of the design are seen about as often as they should be."""
    report.n_bins_read = int(np.count_nonzero(sets.n_consistent))
    first = readings[:, : layout.repeats[0]]
    distance = np.min(np.abs(first[:, :, None] - offsets), axis=2)
    occupied = int(np.count_nonzero(np.any(distance > tol, axis=1)))
    weight = min(layout.min_weight, 1.0 / max(len(offsets), layout.n_components))
    # a regression that was seen in the first query is seen in the other two
    expected = visibility(weight, layout.repeats[0], layout.repeats[2])
    expected /= 1.0 - (1.0 - weight) ** layout.repeats[0]
    if report.n_bins_read < _TOO_FEW * expected * occupied:
        most = "noisy" if np.mean(sets.levels) > layout.n_components + 0.5 else "out of order"
        raise MeasurementError(
            f"The measurements look {most}: in {report.n_bins_read} of {occupied} bins some of "
            f"them add up as answers to this design do. Pass exact float64 answers, one for each "
            f"row of the design and in its order; use method='robust' or SparseMixtureRegressor "
            f"for noisy ones, and method='pilot' if there are intercepts."
        )


def _color_and_peel(
    layout: Layout,
    sets: ReadSets,
    tol: float,
    backend: Backend,
    semi: bool,
    report: DecodeReport,
) -> tuple[Peeled, bool]:
    """Give colors to the largest components and peel; return whether the colors are certain.

    They are if every set is explained without contradiction, or if the components stand out. On
    small problems a color may have two large components; then other choices are tried.
    """
    balls, n_colors = backend.color_graph(layout.graph, sets, tol, semi), layout.n_components
    roots, sizes = np.unique(balls.color, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    largest = sizes[order]
    report.component_sizes = largest[: n_colors + _MORE_COMPONENTS].tolist()
    report.n_components_found = int(min(len(largest), n_colors))
    first: tuple[Peeled, int] | None = None
    candidates = range(min(len(largest), n_colors + _MORE_COMPONENTS))
    choices = itertools.chain.from_iterable(
        itertools.combinations(candidates, size)
        for size in range(report.n_components_found, -1, -1)
    )
    for chosen in choices:
        place = np.full(len(roots), -1)
        place[order[list(chosen)]] = np.arange(len(chosen))
        color = place[np.searchsorted(roots, balls.color)]
        known = balls._replace(color=color).take(color >= 0)
        peeled = backend.peel(layout.graph, sets, tol, n_colors, known, False)
        conflicts = peeled.conflicts + _contradictions(peeled, tol) + _n_shared(peeled.balls)
        if conflicts == 0 and np.all(peeled.state >= 0):
            return peeled, True
        first = first or (peeled, conflicts)
    assert first is not None  # no component at all is one choice, of none
    peeled, report.n_conflicts = first
    left_over = largest[n_colors] if len(largest) > n_colors else 0
    if report.n_conflicts:
        report.messages.append(
            f"{report.n_conflicts} findings contradict each other, so that it is not certain which "
            f"coefficient belongs to which regression. Coefficients that regressions share do "
            f"this: use method='pilot', or extend() the design."
        )
        return peeled, False
    if len(largest) < n_colors or largest[n_colors - 1] < max(_GIANT * left_over, _LEAST_GIANT):
        report.messages.append(
            f"The colors cannot be told: the connected components of coefficients have sizes "
            f"{report.component_sizes}, and {n_colors} of them should stand out. Coefficients that "
            f"regressions share, or too few bins, do this: use method='pilot', or extend() the "
            f"design."
        )
        return peeled, False
    return peeled, True


def _n_shared(balls: Balls) -> int:
    """Count the coefficients that were found with the same value in two colors."""
    order = np.lexsort((balls.value, balls.feature))
    feature, value, error = balls.feature[order], balls.value[order], balls.error[order]
    close = np.diff(value) <= _EQUAL * (error[1:] + error[:-1])
    return int(np.count_nonzero((np.diff(feature) == 0) & close))


def _contradictions(peeled: Peeled, tol: float) -> int:
    """Count the sets that were explained once and no longer are."""
    left = np.abs(peeled.left[peeled.state >= 0])
    return int(np.count_nonzero(np.any(left > 1e3 * tol, axis=1)))


def _is_certain(
    layout: Layout, sets: ReadSets, peeled: Peeled, backend: Backend
) -> npt.NDArray[np.bool_]:
    balls, state = peeled.balls, peeled.state
    sharp = balls.address <= _SHARP_ADDRESS
    if sharp.all():
        return sharp
    bins = np.repeat(np.arange(layout.graph.n_bins), np.diff(sets.indptr))
    n_colors = int(balls.color.max(initial=0)) + 1
    explained = np.zeros((max(n_colors, int(state.max(initial=0)) + 1), layout.graph.n_bins), bool)
    explained[state[state >= 0], bins[state >= 0]] = True
    blunt = np.flatnonzero(~sharp)
    places = backend.graph_neighbors(layout.graph, balls.feature[blunt])
    sharp[blunt] = explained[balls.color[blunt][:, None], places].sum(axis=1) >= 2
    return sharp


def _judge(
    layout: Layout,
    y: FloatArray,
    balls: Balls,
    certain: npt.NDArray[np.bool_],
    offsets: FloatArray,
    tol: float,
    sigma: float,
    backend: Backend,
    report: DecodeReport,
) -> Decoded:
    """Hold what is certain against every answer."""
    report.features, report.components, report.values = balls.feature, balls.color, balls.value
    report.certain, report.n_uncertain = certain, int(np.count_nonzero(~certain))
    believed = balls.take(certain)
    feature, color, value = believed.feature, believed.color, believed.value
    fitted = np.empty((len(offsets), len(y)))
    for c, offset in enumerate(offsets):
        of_color = color == c
        content = backend.graph_spread(layout.graph, feature[of_color], value[of_color])
        fitted[c] = offset + layout.rows_of(content)
    distance = np.abs(y - fitted)
    nearest_label = np.argmin(distance, axis=0)
    nearest = distance[nearest_label, np.arange(len(y))]
    explained = nearest <= tol if sigma == 0 else _fits(layout, nearest / sigma)
    ambiguous = np.count_nonzero(distance <= nearest + tol, axis=0) > 1
    labels = np.where(explained & ~ambiguous, nearest_label, -1)
    report.n_components_found = report.n_components_found or len(offsets)
    report.n_unexplained = int(np.count_nonzero(~explained))
    report.residual_max = float(np.max(nearest[explained], initial=0.0))
    report.complete = report.n_unexplained == 0 and report.n_conflicts == 0
    if report.n_unexplained:
        report.messages.append(
            f"{report.n_unexplained} of {len(y)} measurements are not explained: {len(value)} "
            f"coefficients were found, and more are hidden. Raise n_nonzero or bin_ratio, or "
            f"min_weight down to the rarest regression's: measure the rows that design.extend() "
            f"adds and decode again."
        )
    noise = float(np.mean(nearest[explained] ** 2)) if sigma > 0 and explained.any() else 0.0
    ordered = np.sort(fitted, axis=0)
    told_apart = explained & np.all(np.diff(ordered, axis=0) > tol, axis=0)
    counts = np.bincount(nearest_label[told_apart], minlength=len(offsets)).astype(np.float64)
    if not layout.has_pilot and counts.any():
        counts, labels, color = _only_seen(counts, labels, color, layout, report)
        offsets = offsets[: len(counts)]
    weights = counts / counts.sum() if counts.any() else np.full(len(offsets), 1 / len(offsets))
    return Decoded(feature, color, value, offsets, labels, weights, noise, report)


def _only_seen(
    counts: FloatArray,
    labels: npt.NDArray[np.int64],
    color: npt.NDArray[np.int64],
    layout: Layout,
    report: DecodeReport,
) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Drop the colors that have neither coefficients nor answers of their own."""
    seen = (counts > 0) | (np.bincount(color, minlength=len(counts)) > 0)
    place = np.append(np.cumsum(seen) - 1, -1)
    if not seen.all():
        report.n_components_found = int(np.count_nonzero(seen))
        report.messages.append(
            f"{report.n_components_found} regressions explain all answers and the design is for "
            f"{layout.n_components}: some coincide, or are rarer than min_weight. Set n_components "
            f"to what is there."
        )
    return counts[seen], place[labels], place[color]


def _fits(layout: Layout, standardized: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether the residuals of the bin of each row are those of noise, by their sum of squares."""
    fits = np.abs(standardized) <= _LARGEST_Z
    by_bin = standardized[layout.n_pilot :].reshape(layout.graph.n_bins, -1)
    n_rows = by_bin.shape[1]
    most = n_rows + _LARGEST_Z * np.sqrt(2.0 * n_rows)
    fits[layout.n_pilot :] &= np.repeat(np.sum(by_bin**2, axis=1) <= most, n_rows)
    return fits


def _no_balls() -> Balls:
    ints, floats = np.empty(0, dtype=np.int64), np.empty(0)
    return Balls(ints, ints, floats, floats, floats)


def _decode_noisy(layout: Layout, y: FloatArray, backend: Backend, report: DecodeReport) -> Decoded:
    """Decode noisy answers of two regressions whose coefficients are multiples of a quantum."""
    sigma, quanta = layout.noise_std / layout.quantum, y / layout.quantum
    pilot = quanta[None, : layout.n_pilot]
    readings = quanta[layout.n_pilot :].reshape(layout.graph.n_bins, len(layout.repeats), -1)
    levels, lead = backend.lattice_levels(np.ascontiguousarray(pilot), sigma, 0.5)
    offsets = levels[0]
    near = np.abs(pilot[0] - offsets[0]) <= np.abs(pilot[0] - offsets[1])
    weight = float(np.clip(np.mean(near), layout.min_weight, 1.0 - layout.min_weight))
    off = np.minimum(np.abs(pilot[0] - offsets[0]), np.abs(pilot[0] - offsets[1]))
    if np.sqrt(np.mean(off**2)) > 2.0 * sigma:
        raise MeasurementError(
            f"The answers to the pilot scatter by {np.sqrt(np.mean(off**2)) * layout.quantum:.3g} "
            f"around two levels, more than noise_std={layout.noise_std:g} allows. Set noise_std "
            f"and quantum to what they are, and pass the answers in the order of the design."
        )
    contents, visible = backend.lattice_contents(readings, sigma, weight, offsets)
    if offsets[0] == offsets[1] or lead[0] < _CLEAR_LEAD:
        report.messages.append(
            "The pilot does not tell the two regressions apart: they coincide, or this pilot "
            "happens to answer alike. Use a design of another random_state."
        )
        visible[:] = False
    report.n_bins_read = int(np.count_nonzero(visible[:, 0]))
    balls, left, report.n_updates = backend.peel_lattice(layout.graph, contents, visible)
    balls = balls._replace(value=balls.value * layout.quantum)
    # a ball is believed where a bin besides the one that showed it is explained with it
    explained = visible & ~np.any(left, axis=2)
    places = backend.graph_neighbors(layout.graph, balls.feature)
    certain = explained[places, balls.color[:, None]].sum(axis=1) >= 2
    return _judge(
        layout, y, balls, certain, offsets * layout.quantum, 0.0, layout.noise_std, backend, report
    )
