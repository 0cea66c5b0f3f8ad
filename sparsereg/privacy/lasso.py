"""The lasso on private reports."""

from __future__ import annotations

from typing import Any, ClassVar

from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.regression import LDPSparseRegression


class LDPLasso(LDPSparseRegression):
    """The lasso on private reports, without interaction.

    :class:`LDPSparseRegression` with ``penalty="l1"`` and ``interaction="none"``; see there for
    parameters, attributes and methods.

    Examples
    --------
    >>> from sparsereg.privacy import Aggregator, LDPLasso, Protocol, Randomizer
    >>> protocol = Protocol(n_features=2, epsilon=1.0)
    >>> records = [([0.3, 0.1], 0.2), ([-0.5, 0.2], -0.4), ([0.1, 0.9], 0.3)]
    >>> reports = [Randomizer(protocol).privatize(x, y) for x, y in records]
    >>> model = LDPLasso().fit_reports(Aggregator(protocol).update(reports))
    >>> model.n_reports_, model.coef_.shape
    (3, (2,))
    """

    penalty = "l1"
    interaction = "none"
    n_nonzero = None
    _parameter_constraints: ClassVar[dict[str, list]] = {
        name: rule
        for name, rule in LDPSparseRegression._parameter_constraints.items()
        if name not in ("penalty", "interaction", "n_nonzero")
    }

    def __init__(
        self,
        epsilon: float = 1.0,
        *,
        delta: float = 0.0,
        protect: str = "record",
        covariance: Any = None,
        clipping: str | None = None,
        x_radius: float = 1.0,
        y_bound: float = 1.0,
        radius: float | None = None,
        alpha: float | str = "auto",
        fit_intercept: bool = True,
        simulate: str = "exact",
        protocol: Protocol | None = None,
        backend: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.protect = protect
        self.covariance = covariance
        self.clipping = clipping
        self.x_radius = x_radius
        self.y_bound = y_bound
        self.radius = radius
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.simulate = simulate
        self.protocol = protocol
        self.backend = backend
        self.random_state = random_state
