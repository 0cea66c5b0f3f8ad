"""Who has spent how much: one report each, unless a person agreed to more.

Reports of one person compose: their privacy losses add up (pure differential privacy, basic
composition), and so do their deltas. Reports of different persons do not: a protocol in which
everybody answers one round, however the rounds depend on each other, costs each person the epsilon
of that round.

Standard library only: this file is part of the client.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from numbers import Real
from typing import Any


class BudgetExceededError(RuntimeError):
    """A report would cost more than the person has agreed to spend."""


class PrivacyBudget:
    """What one person agrees to spend over all reports, kept on the device.

    Parameters
    ----------
    epsilon : float
        Bound on the sum of the privacy losses of all reports.
    delta : float, default=0.0
        Bound on the sum of their deltas; 0 allows for pure mechanisms only.

    Attributes
    ----------
    entries : list of (epsilon, delta, protocol id)
        What was spent.

    Examples
    --------
    >>> from sparsereg.privacy import PrivacyBudget
    >>> budget = PrivacyBudget(2.0)
    >>> budget.spend(1.0, "first round")
    >>> budget.remaining
    1.0
    """

    def __init__(self, epsilon: float, delta: float = 0.0) -> None:
        _check_epsilon(epsilon, "a budget")
        _check_delta(delta, "a budget")
        self.epsilon, self.delta = float(epsilon), float(delta)
        self.entries: list[tuple[float, float, str]] = []

    @property
    def spent(self) -> float:
        """The sum of the privacy losses so far, rounded up."""
        return _sum_up([epsilon for epsilon, _, _ in self.entries])

    @property
    def spent_delta(self) -> float:
        """The sum of the deltas so far, rounded up."""
        return _sum_up([delta for _, delta, _ in self.entries])

    @property
    def remaining(self) -> float:
        """What may still be spent."""
        return max(self.epsilon - self.spent, 0.0)

    def spend(self, epsilon: float, protocol_id: str, delta: float = 0.0) -> None:
        """Note that a report is made, before it is.

        Raises
        ------
        BudgetExceededError
            If it does not fit; nothing is noted then.
        ValueError
            If epsilon is not a finite number > 0 or delta none from 0 to 1, which no report costs.
        """
        _check_epsilon(epsilon, "what a report costs")
        _check_delta(delta, "what a report costs")
        # up to rounding: ten reports of 0.1 fit into 1.0
        if self.spent + epsilon > self.epsilon * (1.0 + 1e-12):
            raise BudgetExceededError(
                f"A report of epsilon {epsilon:g} does not fit: {self.spent:g} of the budget of "
                f"{self.epsilon:g} is spent. Reports of one person compose, so give the "
                f"Randomizer a PrivacyBudget that allows for all of them, or do not report again."
            )
        if self.spent_delta + delta > self.delta * (1.0 + 1e-12):
            raise BudgetExceededError(
                f"A report of delta {delta:g} does not fit: {self.spent_delta:g} of the budget of "
                f"{self.delta:g} is spent. Give the Randomizer a PrivacyBudget(epsilon, delta) "
                f"that allows for it, or answer protocols without a delta only."
            )
        self.entries.append((epsilon, delta, protocol_id))

    def to_json(self) -> str:
        """Return the state as JSON, to be stored on the device."""
        content = {"epsilon": self.epsilon, "delta": self.delta, "entries": self.entries}
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> PrivacyBudget:
        """Return the state that :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            content = json.loads(text)
            total, entries = (content["epsilon"], content["delta"]), content["entries"]
            noted = [(float(spent), float(delta), str(name)) for spent, delta, name in entries]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                "This is not a budget. Pass the text that PrivacyBudget.to_json returned."
            ) from error
        for spent, delta, _ in noted:
            _check_epsilon(spent, "what a report costs")
            _check_delta(delta, "what a report costs")
        budget = cls(*total)
        budget.entries = noted
        return budget


def _check_epsilon(epsilon: Any, meaning: str) -> None:
    if not isinstance(epsilon, Real) or not 0 < float(epsilon) < math.inf:
        raise ValueError(f"epsilon={epsilon!r} is not {meaning}. Give a finite number > 0.")


def _check_delta(delta: Any, meaning: str) -> None:
    if not isinstance(delta, Real) or not 0 <= float(delta) < 1:
        raise ValueError(f"delta={delta!r} is not {meaning}. Give a number from 0 to below 1.")


def _sum_up(losses: list[float]) -> float:
    total = math.fsum(losses)
    return math.nextafter(total, math.inf) if total and len(losses) > 1 else total


def approximate_epsilon(epsilons: Sequence[float], delta: float) -> float:
    """Return a smaller epsilon of the same reports of one person, at the price of a delta.

    Pure mechanisms of privacy losses e_i together are (epsilon, delta)-private with
    ``epsilon = sum_i e_i (exp(e_i) - 1) / (exp(e_i) + 1) + sqrt(2 log(1/delta) sum_i e_i^2)``, or
    with their sum and delta 0, whichever is less.

    Parameters
    ----------
    epsilons : sequence of float
        The privacy losses of the reports of one person.
    delta : float
        Between 0 and 1.

    Returns
    -------
    float

    References
    ----------
    Dwork, Rothblum and Vadhan, "Boosting and differential privacy", FOCS 2010; in this form
    Kairouz, Oh and Viswanath, "The composition theorem for differential privacy", ICML 2015.
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta={delta!r} is no probability. Give a number between 0 and 1.")
    drift = sum(e * math.tanh(e / 2.0) for e in epsilons)
    spread = math.sqrt(2.0 * math.log(1.0 / delta) * sum(e * e for e in epsilons))
    return min(math.fsum(epsilons), drift + spread)


def dp_accounting_event(budget: PrivacyBudget) -> Any:
    """Return what was spent as an event of the package ``dp-accounting``, for its accountants.

    Raises
    ------
    ImportError
        If that package is not installed.
    ValueError
        If a report had a delta, of which an epsilon and a delta alone do not tell the event.
    """
    if any(delta for _, delta, _ in budget.entries):
        raise ValueError(
            "Reports with a delta were made, and this event is of pure mechanisms. Add up "
            "PrivacyBudget.spent and PrivacyBudget.spent_delta instead."
        )
    try:
        import dp_accounting
    except ImportError as error:
        raise ImportError(
            "The package dp-accounting is not installed. Install it with pip install "
            "dp-accounting, or use PrivacyBudget.spent, the sum of the privacy losses."
        ) from error
    # Randomized response on one bit is the worst mechanism of a privacy loss; the first argument is
    # the probability that the bit is replaced by a random one.
    return dp_accounting.ComposedDpEvent(
        [
            dp_accounting.RandomizedResponseDpEvent(2.0 / (1.0 + math.exp(epsilon)), 2)
            for epsilon, _, _ in budget.entries
        ]
    )
