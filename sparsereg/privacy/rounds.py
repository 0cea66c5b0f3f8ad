"""Rounds of reports: what is asked next, given what was answered.

Everybody answers one round. A round asks for the score at the present coefficients, or for the Gram
matrix of some features; each answer is evidence on ``b = E[x y]``:

    score at w:  mean / a + G w  estimates  b,  with the attenuation a of clipping,
    gram:        estimates G and b,

and evidence of several rounds is averaged with the inverse of its variances. The nearer w is to the
truth, the smaller are the residuals, and the smaller may the radius be, and with it the noise; the
fewer features are asked for, the shorter is x. That is what interaction buys.

=============  =====================================  ==========================================
interaction    covariance known                       covariance not known
=============  =====================================  ==========================================
none           score at 0                             Gram matrix
two-stage      score at 0; score on a support         score at 0 to find a support; its Gram matrix
sequential     score at 0; score; score on a support  the same, then a score on that support
=============  =====================================  ==========================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sparsereg.backends.protocol import FloatArray, IndexArray
from sparsereg.privacy.aggregator import Aggregator
from sparsereg.privacy.clipping import TYPICAL, SquaredNorm, Step, corrected
from sparsereg.privacy.estimate import (
    Estimate,
    Evidence,
    debiased_scores,
    fit_evidence,
    repaired,
    strongest,
)
from sparsereg.privacy.protocol import Protocol
from sparsereg.privacy.statistics import NoiseLaw, PrivateStatistics


class Round(NamedTuple):
    """What a round asks for, of all features or of the support, and its share of the persons."""

    statistic: str
    on_support: bool
    share: float


#: Rounds by interaction, and by whether the covariance of x is known.
PLANS: dict[tuple[str, bool], tuple[Round, ...]] = {
    ("none", True): (Round("score", False, 1.0),),
    ("none", False): (Round("gram", False, 1.0),),
    ("two-stage", True): (Round("score", False, 0.6), Round("score", True, 0.4)),
    ("two-stage", False): (Round("score", False, 0.4), Round("gram", True, 0.6)),
    ("sequential", True): (
        Round("score", False, 0.3),
        Round("score", False, 0.4),
        Round("score", True, 0.3),
    ),
    ("sequential", False): (
        Round("score", False, 0.4),
        Round("gram", True, 0.3),
        Round("score", True, 0.3),
    ),
}

# What clipping="gaussian" assumes before it knows better: the bound of y is so many standard
# deviations, and that of x so many root mean squares of its norm. The scale of y in a Gram matrix
# is this share of that of x, at which the noise of the gradient is about least; and this share of
# the records is not clipped.
_SIGMAS_IN_BOUND, _RADIUS_IN_NORMS, _Y_SHARE, _UNCLIPPED = 3.0, 1.5, 0.4, 0.9
# The residual variance of a new point comes from noisy products: it falls no further than this.
_LEAST_FALL = 0.02
# Rounds of correcting clipping for the step it tells of, and the most that step may explain.
_N_CORRECTIONS, _MOST_EXPLAINED = 3, 0.95


@dataclass(frozen=True)
class Settings:
    """What a session is told: all of it is public.

    Attributes
    ----------
    n_features, epsilon, delta, x_radius, y_bound, radius, fit_intercept
        As of :class:`Protocol`.
    interaction : str
    covariance : ndarray of shape (n_features, n_features) or None
        E[x x'] of centered x.
    clipping : {"gaussian"} or None
    penalty, alpha, n_nonzero, backend
        As of :func:`sparsereg.privacy.estimate.fit_evidence`.
    """

    n_features: int
    epsilon: float
    delta: float
    x_radius: float
    y_bound: float
    radius: float | None
    fit_intercept: bool
    interaction: str
    covariance: FloatArray | None
    clipping: str | None
    penalty: str
    alpha: float | None
    n_nonzero: int | None
    backend: str


@dataclass
class Session:
    """An interactive estimation: ask with ``next_protocol``, answer with ``submit``, repeat.

    Attributes
    ----------
    settings : Settings
    protocols : list of Protocol
        Of the rounds so far.
    n_reports : int
    simulated : bool
        Whether an answer may hold reports of a simulation.
    level : float or None
        Strength of the penalty in standard deviations of the noise of X'y; None is the universal
        level, in those of the gradient.
    """

    settings: Settings
    protocols: list[Protocol] = field(default_factory=list)
    n_reports: int = 0
    simulated: bool = False
    level: float | None = None

    def __post_init__(self) -> None:
        told = self.settings
        self._plan = PLANS[told.interaction, told.covariance is not None]
        self._size = told.n_features + int(told.fit_intercept)
        self._coef = np.zeros(self._size)
        self._support = np.arange(told.n_features)
        self._residual_scale = told.y_bound / _SIGMAS_IN_BOUND
        self._gram: FloatArray | None = None
        self._gram_noise = np.zeros((self._size, self._size))
        self._weighted, self._precision = np.zeros(self._size), np.zeros(self._size)
        self._open: Protocol | None = None
        self._estimate: Estimate | None = None
        self._anchor = np.zeros(self._size)
        if told.covariance is not None:
            self._gram = np.zeros((self._size, self._size))
            self._gram[: told.n_features, : told.n_features] = told.covariance
            no_noise = np.zeros_like(self._gram)
            self._gram = repaired(self._gram, no_noise, int(told.fit_intercept), self._constant)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of the persons that each round is meant for; they sum to one."""
        return tuple(step.share for step in self._plan)

    @property
    def _constant(self) -> float:
        told = self.settings
        return told.x_radius / np.sqrt(told.n_features) if told.fit_intercept else 0.0

    def next_protocol(self) -> Protocol | None:
        """Return the protocol of the next round; None when there is nothing left to ask."""
        if self._open is None and len(self.protocols) < len(self._plan):
            self._open = self._make_protocol(self._plan[len(self.protocols)])
        return self._open

    def submit(self, aggregator: Aggregator) -> Session:
        """Take the answers to the protocol that was asked last.

        Raises
        ------
        ValueError
            If they are to another one, or there are none.
        """
        if self._open is None or aggregator.protocol != self._open:
            raise ValueError(
                "These reports do not answer the question that is open. Call next_protocol, and "
                "submit an Aggregator of that protocol."
            )
        return self.answer(aggregator)

    def answer(self, aggregator: Aggregator, fit: bool = True) -> Session:
        """Take reports of any protocol of these settings as the answer to the next question."""
        stats, protocol = aggregator.stats(), aggregator.protocol
        self._open = None
        if protocol.coef is not None:
            self._coef = np.array(protocol.coef)
        self.protocols.append(protocol)
        self.n_reports += stats.n
        self.simulated |= aggregator.accept_simulated
        if protocol.statistic == "gram":
            self._take_gram(stats, fit)
        else:
            self._take_score(protocol, stats, fit)
        return self

    def products(self) -> Evidence:
        """Return the evidence of the answers so far, with a row for each column it is on."""
        return self._evidence(np.flatnonzero(self._precision))

    def result(self) -> Estimate:
        """Return the estimate from all rounds, over all features and the constant column.

        Raises
        ------
        ValueError
            If rounds are left.
        """
        if len(self.protocols) < len(self._plan) or self._estimate is None:
            raise ValueError(
                f"{len(self._plan) - len(self.protocols)} rounds are left. Ask them with "
                f"next_protocol and submit their reports first."
            )
        return self._estimate

    # Asking

    def _make_protocol(self, step: Round) -> Protocol:
        told = self.settings
        shared = {
            "n_features": told.n_features,
            "epsilon": told.epsilon,
            "delta": told.delta,
            "x_radius": told.x_radius,
            "y_bound": told.y_bound,
            "fit_intercept": told.fit_intercept,
            "statistic": step.statistic,
            "round_index": len(self.protocols),
        }
        if step.on_support and self._support.size < told.n_features:
            shared["support"] = tuple(self._support.tolist())
        if step.statistic == "score" and self._coef.any():
            shared["coef"] = tuple(self._coef.tolist())
        if told.clipping is None:
            return Protocol(**shared, radius=told.radius)  # type: ignore[arg-type]
        law = self._squared_norm(self._columns(step.on_support))
        if step.statistic == "score":
            radius = TYPICAL * self._residual_scale * np.sqrt(law.mean)
        else:
            shared["y_scale"] = _Y_SHARE * np.sqrt(law.mean) * _SIGMAS_IN_BOUND / told.y_bound
            radius = law.plus(_Y_SHARE**2 * law.mean).quantile(_UNCLIPPED)
        first = told.radius if not self.protocols and told.radius is not None else radius
        return Protocol(**shared, radius=float(first))  # type: ignore[arg-type]

    def _columns(self, on_support: bool) -> IndexArray:
        told = self.settings
        features = self._support if on_support else np.arange(told.n_features)
        return np.append(features, range(told.n_features, self._size)).astype(np.intp)

    def _squared_norm(self, columns: IndexArray) -> SquaredNorm:
        """Return the law of the squared norm of the reported columns, the constant one included."""
        if self._gram is not None:
            known = self._gram[np.ix_(columns, columns)]
            if np.trace(known) > 0:
                return SquaredNorm.of(known)
        share = columns.size / self._size
        typical = self.settings.x_radius / _RADIUS_IN_NORMS
        return SquaredNorm(share * typical**2, float(columns.size))

    # Answers

    def _take_score(self, protocol: Protocol, stats: PrivateStatistics, fit: bool) -> None:
        columns, kept = stats.columns, 1.0
        if self.settings.clipping is not None:
            law = self._squared_norm(columns)
            step = Step(0.0, 0.0)
            for _ in range(_N_CORRECTIONS if self._gram is not None else 1):
                t, kept = corrected(stats.lift, law, step)
                self._residual_scale = protocol.radius / (t * np.sqrt(law.mean))
                step = self._missing_step(columns, stats, kept)
        values, spread = stats.xty / stats.n / kept, stats.noise.xty / stats.n / kept
        if self._gram is None:  # nothing but a search for a support
            scores = (values / spread)[: self.settings.n_features]
            self._support = strongest(scores, self.settings.n_nonzero)
            return
        self._add_evidence(columns, values + self._gram[columns] @ self._coef, spread)
        share = 1.0 / spread**2 / self._precision[columns]
        self._anchor[columns] = (1.0 - share) * self._anchor[columns] + share * self._coef[columns]
        if fit:
            self._fit()

    def _missing_step(self, columns: IndexArray, stats: PrivateStatistics, kept: float) -> Step:
        """Return what a score tells of the step from its coefficients to the truth."""
        if self._gram is None:
            return Step(0.0, 0.0)
        slope, spread = stats.xty / stats.n / kept, stats.noise.xty / stats.n / kept
        inverse = np.linalg.inv(self._gram[np.ix_(columns, columns)])
        explained = max(float(slope @ inverse @ slope - inverse.diagonal() @ spread**2), 0.0)
        size = max(float(slope @ slope - spread @ spread), 0.0)
        share = min(explained / self._residual_scale**2, _MOST_EXPLAINED)
        return Step(share, size / explained if explained > 0 else 0.0)

    def _take_gram(self, stats: PrivateStatistics, fit: bool) -> None:
        assert stats.gram is not None
        self._gram = np.zeros((self._size, self._size))
        place = np.ix_(stats.columns, stats.columns)
        self._gram_noise[place] = stats.noise.gram / stats.n
        self._gram[place] = repaired(
            stats.gram / stats.n,
            self._gram_noise[place],
            int(self.settings.fit_intercept),
            self._constant,
        )
        self._support = stats.columns[stats.columns < self.settings.n_features]
        values, spread = stats.xty / stats.n, stats.noise.xty / stats.n
        self._add_evidence(stats.columns, values, spread)
        if fit:
            self._fit()
        if len(self.protocols) < len(self._plan):
            # Beside a score at these coefficients, these products err with G, too.
            own = NoiseLaw(spread, self._gram_noise[place])
            self._weighted[:], self._precision[:] = 0.0, 0.0
            self._add_evidence(stats.columns, values, own.of_gradient(self._coef[stats.columns]))
            if stats.yty is not None:
                self._residual_scale = self._residual_of(stats)

    def _add_evidence(self, columns: IndexArray, values: FloatArray, spread: FloatArray) -> None:
        self._weighted[columns] += values / spread**2
        self._precision[columns] += 1.0 / spread**2

    def _evidence(self, columns: IndexArray) -> Evidence:
        assert self._gram is not None
        precision = self._precision[columns]
        place = np.ix_(columns, columns)
        spread = 1.0 / np.sqrt(precision)
        noise = NoiseLaw(spread, self._gram_noise[place], self._anchor[columns])
        n_constant = int(self.settings.fit_intercept)
        return Evidence(self._gram[place], self._weighted[columns] / precision, noise, n_constant)

    def _fit(self) -> None:
        """Fit all evidence, and move to the fit."""
        told = self.settings
        columns = np.flatnonzero(self._precision)
        evidence = self._evidence(columns)
        estimate = fit_evidence(
            evidence,
            penalty=told.penalty,
            level=self.level,
            alpha=told.alpha,
            n_nonzero=told.n_nonzero,
            backend=told.backend,
        )
        before, coef = self._coef, np.zeros(self._size)
        coef[columns] = estimate.coef
        covariance = np.zeros((self._size, self._size))
        covariance[np.ix_(columns, columns)] = estimate.covariance
        self._estimate = Estimate(coef, covariance, estimate.alpha)
        self._coef = coef
        if told.covariance is not None:
            self._support = strongest(debiased_scores(evidence), told.n_nonzero)
            self._update_residual_scale(before, columns, evidence)

    def _update_residual_scale(
        self, before: FloatArray, columns: IndexArray, evidence: Evidence
    ) -> None:
        """Follow the residual variance, quadratic in the coefficients, to the new point."""
        step = (self._coef - before)[columns]
        slope = evidence.xty - evidence.gram @ before[columns]
        variance = self._residual_scale**2
        moved = variance - 2.0 * step @ slope + step @ evidence.gram @ step
        self._residual_scale = float(np.sqrt(max(float(moved), _LEAST_FALL * variance)))

    def _residual_of(self, stats: PrivateStatistics) -> float:
        """Return the residual scale that a Gram round tells of the present coefficients."""
        assert stats.gram is not None
        assert stats.yty is not None
        coef = self._coef[stats.columns]
        square = stats.yty - 2.0 * coef @ stats.xty + coef @ stats.gram @ coef
        least = _LEAST_FALL * abs(stats.yty)
        return float(np.sqrt(max(float(square), least) / stats.n))
