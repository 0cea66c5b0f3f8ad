"""Density evolution: which share of the non-zeros peeling finds when the problem is large.

A feature is a member of d bins; a bin holds on average ``load`` = K_l d / M of the K_l non-zeros of
a regression. A regression with probability q is seen in a bin, that is in each of its three kinds
of rows (R, R and V of them), with probability

    g = a^2 b,   a = 1 - (1 - q)^R,   b = 1 - (1 - q)^V.

With a pilot any two of the three will do, as the third follows from them and the pilot; then

    g = a^2 + 2 a (1 - a) b.

Let p be the probability that a non-zero is still hidden, as seen from one of its bins. Its other
d - 1 bins show it where all else in them is known, so that with known colors (the pilot)

    p  <-  (1 - g e^{-load p})^{d-1},                 starting at 1,

and where a bin tells its color by a known neighbor only (coloring)

    p  <-  (1 - g (e^{-load p} - e^{-load}))^{d-1},   starting just below 1.

Colors then start from a giant component of balls that share a doubleton. It exists if every ball
leads to more than one other: if the branching factor

    b = (d - 1) g load e^{-load} s,   s = 1 - (1 - g e^{-load})^{d-1},

exceeds 1; s is the share of balls that are singletons elsewhere.

Sources: the analysis of Yin, Pedarsani, Chen and Ramchandran (2019), derived anew; the recursion
for erasure codes is Luby, Mitzenmacher, Shokrollahi and Spielman, IEEE Trans. Inf. Theory 47, 2001.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sparsereg.backends.protocol import FloatArray

# The branching factor the coloring is designed for: the published constants have it.
BRANCHING = 1.8
_MAX_ITERATIONS = 10_000
# With fewer bins each, small problems have pairs of non-zeros that share all of their bins.
# Numbers of repeats up to this one are all tried.
_TRY_EACH = 40
_LEAST_DEGREE = 5


def visibility(weight: float, n_repeats: int, n_verify: int, *, coloring: bool = True) -> float:
    """Return the probability that a bin shows a regression of this probability.

    Parameters
    ----------
    weight : float
        Probability that a measurement is of this regression.
    n_repeats, n_verify : int
        Rows of each of the first two queries, and of their sum.
    coloring : bool, default=True
        Whether all three are needed; with a pilot two are enough.
    """
    one, total = 1.0 - (1.0 - weight) ** n_repeats, 1.0 - (1.0 - weight) ** n_verify
    return one**2 * total if coloring else one**2 + 2.0 * one * (1.0 - one) * total


class Evolution(NamedTuple):
    """What density evolution says.

    Attributes
    ----------
    hidden_fraction : float
        Share of the non-zeros that peeling leaves hidden.
    branching : float
        Branching factor of the coloring; infinite with a pilot, which needs no giant component.
    load : float
        Non-zeros of one regression in a bin.
    visibility : float
        Probability that a bin shows a regression.
    """

    hidden_fraction: float
    branching: float
    load: float
    visibility: float


def evolve(left_degree: int, load: float, visible: float, *, coloring: bool = False) -> Evolution:
    """Run the recursion to its fixed point.

    Parameters
    ----------
    left_degree : int
        Bins of a feature, d.
    load : float
        Non-zeros of one regression in a bin.
    visible : float
        Probability g that a bin shows a regression.
    coloring : bool, default=False
        Whether colors have to be found out; the pilot tells them.

    Returns
    -------
    Evolution

    Examples
    --------
    >>> from sparsereg.mixture.density_evolution import evolve, visibility
    >>> evolution = evolve(15, 15 / (2 * 3.71), visibility(0.5, 3, 3), coloring=True)
    >>> f"{evolution.hidden_fraction:.1e} {evolution.branching:.2f}"
    '5.1e-06 1.83'
    """
    floor = np.exp(-load) if coloring else 0.0
    hidden = 0.9 if coloring else 1.0
    for _ in range(_MAX_ITERATIONS):
        new = (1.0 - visible * (np.exp(-load * hidden) - floor)) ** (left_degree - 1)
        if abs(new - hidden) <= 1e-9 * new:
            break
        hidden = new
    branching = _branching(left_degree, load, visible) if coloring else np.inf
    return Evolution(float(hidden), float(branching), load, visible)


def _branching(left_degree: int, load: float, visible: float) -> float:
    single = visible * np.exp(-load)
    found = 1.0 - (1.0 - single) ** (left_degree - 1)
    return float((left_degree - 1) * load * single * found)


def largest_load(
    left_degree: int, visible: float, error_fraction: float, *, coloring: bool = False
) -> float:
    """Return the largest load at which no more than ``error_fraction`` stays hidden, 0 for none.

    With known colors the recursion falls through p if load < log(g / (1 - p^{1/(d-1)})) / p; the
    threshold is the minimum over all p down to the error fraction. With colors to be found out,
    the load is the largest for which the branching factor is ``BRANCHING``, if that decodes.

    Parameters
    ----------
    left_degree : int
    visible : float
    error_fraction : float
    coloring : bool, default=False

    Returns
    -------
    float
    """
    hidden = np.geomspace(error_fraction, 1.0, 400)[:-1]
    if not coloring:
        needed = 1.0 - hidden ** (1.0 / (left_degree - 1))
        return max(0.0, float(np.min(np.log(visible / needed) / hidden)))
    loads = _LOADS[[_branching(left_degree, x, visible) >= BRANCHING for x in _LOADS]]
    for load in loads[::-1]:
        below = hidden[hidden < 0.9]
        new = (1.0 - visible * (np.exp(-load * below) - np.exp(-load))) ** (left_degree - 1)
        if np.all(new <= below):
            return float(load)
    return 0.0


_LOADS: FloatArray = np.linspace(0.5, 5.0, 91)


class CodeParameters(NamedTuple):
    """What a design is made of.

    Attributes
    ----------
    left_degree, n_repeats, n_verify : int
        d, R and V.
    load : float
        Non-zeros of one regression in a bin that the design is meant for.
    """

    left_degree: int
    n_repeats: int
    n_verify: int
    load: float


@lru_cache(maxsize=256)
def _repeats_to_try(most: int) -> list[int]:
    """Return every number of repeats while they are few, then each a twentieth above the last."""
    tried = list(range(2, min(most, _TRY_EACH) + 1))
    while tried[-1] < most:
        tried.append(min(most, int(1.05 * tried[-1]) + 1))
    return tried


def cheapest_code(
    weight: float,
    error_fraction: float,
    *,
    coloring: bool = False,
    left_degree: int | None = None,
    n_repeats: int | None = None,
    n_verify: int | None = None,
) -> CodeParameters:
    """Return the parameters with the fewest rows per non-zero at which peeling succeeds.

    Rows per non-zero of one regression are (2 R + V) d / load, which is minimized by trying every
    combination; what is given is kept.

    Parameters
    ----------
    weight : float
        Probability of the rarest regression.
    error_fraction : float
        Share of its non-zeros that may stay hidden.
    coloring : bool, default=False
        Whether colors have to be found out; the pilot tells them.
    left_degree, n_repeats, n_verify : int or None, default=None

    Returns
    -------
    CodeParameters

    Raises
    ------
    ValueError
        If no combination succeeds.
    """
    most = int(np.ceil(np.log(0.01) / np.log1p(-min(weight, 0.99)))) + 1
    best, fewest = None, np.inf
    for repeats in [n_repeats] if n_repeats else _repeats_to_try(most):
        for verify in [n_verify] if n_verify else range(max(1, repeats - 2), repeats + 1):
            visible = visibility(weight, repeats, verify, coloring=coloring)
            for degree in [left_degree] if left_degree else range(_LEAST_DEGREE, 21):
                if (2 * repeats + verify) * degree >= 8.0 * fewest:  # loads stay below 8
                    continue
                load = largest_load(degree, visible, error_fraction, coloring=coloring)
                rows = (2 * repeats + verify) * degree / load if load > 0 else np.inf
                if rows < fewest:
                    best, fewest = CodeParameters(degree, repeats, verify, load), rows
    if best is None:
        raise ValueError(
            f"No sparse-graph code finds all but a share {error_fraction:g} of the non-zeros of a "
            f"regression of probability {weight:g} with the parameters that are fixed. Leave "
            f"left_degree, n_repeats and n_verify at 'auto', or allow a greater error_fraction."
        )
    return best
