"""What runs on the device of a person: one record in, one report out.

The steps, for every record and whatever it is:

1. read x and y as numbers; what is not a finite number becomes 0;
2. enforce the public bounds, compute the statistic v with ||v|| <= radius, and lift it to the unit
   sphere: u = (v, sqrt(radius^2 - ||v||^2)) / radius, rounded to integers;
3. regenerate the codebook of the report, and order it by the scalar product with u;
4. let the mechanism choose: the set C is the first m codewords of that order.

A protocol with a delta adds noise to the integers of step 2 instead
(:mod:`sparsereg.privacy.gaussian`).

Privacy rests on the last step alone (see :mod:`sparsereg.privacy.mechanisms`); those before it
cannot break it. None of them raises, warns or changes the size of the report because of the record.
Running time is not hidden: see the threat model in the guide.

Randomness comes from the operating system. NumPy and the standard library only: nothing else of
the package is needed on a device than this file and those it imports.
"""

from __future__ import annotations

import secrets
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsereg.privacy.accounting import PrivacyBudget
from sparsereg.privacy.codebook import UNIT, scores
from sparsereg.privacy.gaussian import GaussianMechanism
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.reports import make_long_reports, make_reports, seeds_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


class Randomizer:
    """Turn the record of one person into a report.

    Parameters
    ----------
    protocol : Protocol
        What to report, and with which bounds.
    budget : PrivacyBudget, default=None
        What the person is still willing to spend; every report spends its epsilon and its delta.
        None allows this object one report. A person who answers several protocols needs one budget
        for all of them: a new Randomizer without it does not know what others have spent.

    Raises
    ------
    TypeError
        If the protocol is none.

    Examples
    --------
    >>> from sparsereg.privacy import Protocol, Randomizer
    >>> protocol = Protocol(n_features=3, epsilon=1.0)
    >>> len(Randomizer(protocol).privatize([0.1, 0.2, 0.3], 1.0))
    24
    """

    def __init__(self, protocol: Protocol, budget: PrivacyBudget | None = None) -> None:
        if not isinstance(protocol, Protocol):
            raise TypeError(
                f"protocol={protocol!r} is not a Protocol. Read one with Protocol.from_json."
            )
        self.protocol = protocol
        self.budget = PrivacyBudget(protocol.epsilon, protocol.delta) if budget is None else budget

    def privatize(self, x: Any, y: Any) -> bytes:
        """Return the report of a record.

        Parameters
        ----------
        x : array-like of shape (n_features,)
            Ignored where only labels are protected: it is public then, and not part of the report.
        y : float

        Returns
        -------
        bytes
            24 of them; with a delta, 24 and 4 for each entry of the statistic and one more. The law
            of every report is within the factor e^epsilon (and delta) of that of any other
            record's.

        Raises
        ------
        BudgetExceededError
            If the budget does not allow another report. This depends on how many reports were
            made, and not on the record.
        """
        protocol = self.protocol
        self.budget.spend(protocol.epsilon, protocol.id, protocol.delta)
        report_id = np.array([secrets.randbits(64)], dtype=np.uint64)
        features, label = read_record(protocol, x, y)
        if isinstance(protocol.mechanism, GaussianMechanism):
            direction = lifted(protocol, features[None, :], np.array([label]))[0]
            values = [protocol.mechanism.values(direction)]
            return make_long_reports(protocol.digest, report_id, values).tobytes()
        seed = int(seeds_of(protocol.digest, report_id)[0])
        order = output_order(protocol, seed, features, label)
        index = choose(order, protocol, *protocol.mechanism.draw())
        return make_reports(protocol.digest, report_id, [index]).tobytes()


def choose(
    order: IntArray, protocol: Protocol, inside: bool, rank_inside: int, rank_outside: int
) -> int:
    """Return the output at a rank of the chosen set (the first m of an order), or of the rest."""
    rank = rank_inside if inside else protocol.subset_size + rank_outside
    return int(order[rank])


def output_order(protocol: Protocol, seed: int, x: FloatArray, y: float) -> IntArray:
    """Return all outputs, those that suit the record best first."""
    if protocol.protect == "label":
        return window_order(protocol, y, secrets.randbits(32) / 2**32)
    direction = lifted(protocol, x[None, :], np.array([y]))[0]
    return np.argsort(-scores(seed, protocol.n_outputs, direction), kind="stable")


def window_order(protocol: Protocol, y: float, uniform: float) -> IntArray:
    """Return the levels of a label, those of its window first."""
    start = window_starts(protocol, np.array([y]), np.array([uniform]))[0]
    return np.roll(np.arange(protocol.n_outputs), -start)


def window_starts(protocol: Protocol, y: FloatArray, uniform: FloatArray) -> IntArray:
    """Return the first level of the window of each label.

    It is one of the two windows beside the label, the upper one if the uniform number is below its
    share.
    """
    last = protocol.n_outputs - protocol.subset_size
    places = (clipped_labels(protocol, y) / protocol.y_bound + 1.0) / 2.0 * last
    below = np.clip(places.astype(np.intp), 0, last)
    return np.minimum(below + (uniform < places - below), last)


def read_record(protocol: Protocol, x: Any, y: Any) -> tuple[FloatArray, float]:
    """Return x and y as finite numbers; an x of the wrong length becomes zero, and so does a y."""
    features = _numbers(x)
    if features.size != protocol.n_features:
        features = np.zeros(protocol.n_features)
    label = _numbers(y)
    return features, float(label[0]) if label.size == 1 else 0.0


def _numbers(values: Any) -> FloatArray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            numbers = np.array(values, dtype=np.float64).ravel()
        except Exception:  # whatever a foreign object does, it must not show
            return np.zeros(0)
    return np.where(np.isfinite(numbers), numbers, 0.0)


def lifted(protocol: Protocol, X: FloatArray, y: FloatArray) -> FloatArray:
    """Return the direction of each record: integers of ``UNIT``, of shape (n, dimension + 1)."""
    statistics = bounded_statistics(protocol, X, y) / protocol.radius
    squares = np.einsum("ij,ij->i", statistics, statistics)
    rest = np.sqrt(np.maximum(1.0 - squares, 0.0))
    return np.rint(UNIT * np.column_stack([statistics, rest]))


def bounded_statistics(protocol: Protocol, X: FloatArray, y: FloatArray) -> FloatArray:
    """Return the statistic of each finite record, of shape (n, dimension), within the bounds."""
    y = clipped_labels(protocol, y)
    X = _within(X, protocol.x_radius)
    columns = X if protocol.support is None else X[:, list(protocol.support)]
    constant = np.full((len(X), int(protocol.fit_intercept)), protocol.constant)
    columns = np.hstack([columns, constant])
    if protocol.statistic == "score":
        if protocol.coef is not None:
            y = y - np.hstack([X, constant]) @ np.array(protocol.coef)
        return _within(columns * y[:, None], protocol.radius)
    z = _within(np.column_stack([columns, protocol.y_scale * y]), np.sqrt(protocol.radius))
    first, second = np.triu_indices(z.shape[1])
    return np.where(first == second, 1.0, np.sqrt(2.0)) * z[:, first] * z[:, second]


def clipped_labels(protocol: Protocol, y: FloatArray) -> FloatArray:
    """Return the labels within their bound."""
    return np.clip(y, -protocol.y_bound, protocol.y_bound)


def _within(rows: FloatArray, bound: float) -> FloatArray:
    """Return the rows, the longer ones scaled down to a norm of ``bound``."""
    with np.errstate(all="ignore"):
        largest = np.maximum(np.max(np.abs(rows), axis=1, initial=0.0), np.finfo(np.float64).tiny)
        norms = largest * np.sqrt(np.sum((rows / largest[:, None]) ** 2, axis=1))
        return rows * np.where(norms > bound, bound / np.maximum(norms, bound), 1.0)[:, None]
