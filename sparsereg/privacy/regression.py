"""Sparse regression from private reports."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from sparsereg.backends.protocol import FloatArray
from sparsereg.backends.registry import resolve_backend
from sparsereg.linear_model._base import SparseLinearModel
from sparsereg.linear_model._data import unchanged_on_failure
from sparsereg.linear_model._docs import documented
from sparsereg.privacy.aggregator import Aggregator, report_format
from sparsereg.privacy.estimate import PENALTIES, RIDGE
from sparsereg.privacy.given import as_shards, check_units, checked_covariance
from sparsereg.privacy.labels import fit_labels
from sparsereg.privacy.protocol import MAX_EPSILON, MIN_EPSILON, Protocol
from sparsereg.privacy.rounds import PLANS, Session, Settings
from sparsereg.privacy.shards import choose_level
from sparsereg.privacy.simulation import simulate_aggregator, simulate_reports
from sparsereg.privacy.statement import PrivacyStatement
from sparsereg.privacy.statistics import noise_per_report

_INTERACTIONS = {name for name, _ in PLANS}


@documented
class LDPSparseRegression(SparseLinearModel):
    """Sparse linear regression from reports that are private before they leave a device.

    Each person sends one report, of 24 bytes without a delta, made by a :class:`Randomizer`; any
    two records make any report with probabilities within a factor ``e^epsilon`` of each other. From
    their sums, the estimator gets noisy products G of ``X'X`` and b of ``X'y`` with a known law of
    their noise, and minimizes::

        w' G w / 2 - w' b + sum_j penalty(w_j; strength_j)

    with the strength of each feature taken from the noise of its gradient.

    :meth:`fit_reports` is for reports of devices, and :meth:`session` for rounds of them.
    :meth:`fit` is a *simulation*: it plays all the devices on data in one place, and protects
    nobody.

    Parameters
    ----------
    epsilon : float, default=1.0
        Privacy loss of each person, from 1e-6 to 20.
    delta : float, default=0.0
        0 promises pure privacy. With a delta, reports are those of the Gaussian mechanism, long and
        with more noise: see :class:`Protocol`.
    protect : {"record", "label"}, default="record"
        What is private: x and y, or y alone.
    interaction : {"none", "two-stage", "sequential"}, default="none"
        Whether later questions may depend on earlier answers. Each person answers one question in
        any case. More interaction needs fewer persons.
    covariance : {"identity"} or array-like of shape (n_features, n_features), default=None
        Public knowledge of ``E[x x']`` for centered x, for example from unlabeled public data. None
        estimates what is needed from reports, which takes many more of them.
    clipping : {"gaussian"}, default=None
        What is assumed to correct for clipping. None assumes nothing: the radius is what
        ``x_radius`` and ``y_bound`` allow at most. "gaussian" takes x and residuals to be nearly
        normal, ``y_bound`` to be about three standard deviations of y, and ``x_radius``, where the
        covariance is not known, about 1.5 times a typical norm of x; the radius is then a typical
        value instead of the largest, with several times less noise.
    x_radius : float, default=1.0
        Public bound on the norm of x; a longer x is scaled down.
    y_bound : float, default=1.0
        Public bound on the size of y; y is clipped.
    radius : float, default=None
        Public bound on the norm of the reported statistic (see :class:`Protocol`), for all rounds
        without ``clipping`` and for the first one with it.
    penalty : {"l1", "mcp", "scad", "l0", "l2", "auto"}, default="l1"
        The penalty. "mcp", "scad" and "l0" leave large coefficients unshrunk. "l2" is for many
        small effects: it keeps all features and shrinks them like normal coefficients of equal
        variance, in the units in which ``x_radius`` bounds x. "auto" takes "l1" or "l2", whichever
        has the smaller risk in the cross-validation of ``alpha="cv"``.
    alpha : float or {"auto", "cv"}, default="auto"
        Strength, in units of the mean gradient ``X'y / n``; that of "l2" is ``alpha ||w||^2 / 2``.
        "auto" is ``sqrt(2 log p)`` standard deviations of the noise, feature by feature, or for
        "l2" what the size of the products tells of the variance of the coefficients; "cv" chooses
        the multiple of that by cross-validation over shards of the reports, which costs no privacy
        (without interaction only).
    n_nonzero : int, default=None
        Number of coefficients, if it is known; they are then not shrunk, and ``penalty`` and
        ``alpha`` are not used.
    {fit_intercept}
    simulate : {"exact", "clt"}, default="exact"
        How ``fit`` simulates: every report, or the sums they have in the limit of many reports.
    protocol : Protocol, default=None
        The protocol of the reports for :meth:`fit_reports`; the parameters it contains are then not
        used. None takes that of the aggregator.
    {backend}
    random_state : int, RandomState instance or None, default=None
        Of the simulation. Real clients take randomness from their operating system.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, in units of y per unit of X.
    intercept_ : float
        Intercept, in units of y; 0.0 if ``fit_intercept=False``.
    support_ : ndarray of int
        The features with non-zero coefficients, increasing.
    coef_cov_ : ndarray of shape (n_support, n_support)
        Covariance of the errors of the coefficients on ``support_``, as if the support had been
        known and nothing were shrunk; it covers the noise of the reports and their sampling, and
        not the bias of clipping.
    alpha_ : float
        The largest strength of the penalty; 0.0 for "l2" unless alpha is a number.
    penalty_ : str
        The penalty of the fit.
    noise_scale_ : float
        Standard deviation of one report in an entry of the statistic, in the last round.
    n_reports_ : int
        Number of reports that counted.
    report_nbytes_ : int
        Bytes of a report.
    protocols_ : list of Protocol
        What was asked, round by round.
    privacy_ : PrivacyStatement
        What is guaranteed, to whom, and under which assumptions.
    {common_attributes}

    See Also
    --------
    LDPLasso : The same without interaction, with the l1 penalty.
    Protocol, Randomizer, Aggregator : The parts of a deployment.

    References
    ----------
    The problem and its rates: Zhu, Ding, Aggarwal, Xu and Wang, "Improved analysis of sparse linear
    regression in local differential privacy model", ICLR 2024. The mechanism:
    :mod:`sparsereg.privacy.mechanisms`.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsereg.privacy import LDPSparseRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100_000, 5))
    >>> y = X[:, 0] + 0.5 * rng.standard_normal(100_000)
    >>> model = LDPSparseRegression(
    ...     epsilon=2.0, x_radius=3.0, y_bound=3.0, clipping="gaussian", random_state=0
    ... )
    >>> model.fit(X, y).support_
    array([0])
    """

    backend_: str

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "epsilon": [Interval(Real, MIN_EPSILON, MAX_EPSILON, closed="both")],
        "delta": [Interval(Real, 0, 1, closed="left")],
        "protect": [StrOptions({"record", "label"})],
        "interaction": [StrOptions(_INTERACTIONS)],
        "covariance": [StrOptions({"identity"}), "array-like", None],
        "clipping": [StrOptions({"gaussian"}), None],
        "x_radius": [Interval(Real, 0, None, closed="neither")],
        "y_bound": [Interval(Real, 0, None, closed="neither")],
        "radius": [Interval(Real, 0, None, closed="neither"), None],
        "penalty": [StrOptions({*PENALTIES, RIDGE, "auto"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto", "cv"})],
        "n_nonzero": [Interval(Integral, 1, None, closed="left"), None],
        "fit_intercept": ["boolean"],
        "simulate": [StrOptions({"exact", "clt"})],
        "protocol": [Protocol, None],
        "backend": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        epsilon: float = 1.0,
        *,
        delta: float = 0.0,
        protect: str = "record",
        interaction: str = "none",
        covariance: Any = None,
        clipping: str | None = None,
        x_radius: float = 1.0,
        y_bound: float = 1.0,
        radius: float | None = None,
        penalty: str = "l1",
        alpha: float | str = "auto",
        n_nonzero: int | None = None,
        fit_intercept: bool = True,
        simulate: str = "exact",
        protocol: Protocol | None = None,
        backend: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.protect = protect
        self.interaction = interaction
        self.covariance = covariance
        self.clipping = clipping
        self.x_radius = x_radius
        self.y_bound = y_bound
        self.radius = radius
        self.penalty = penalty
        self.alpha = alpha
        self.n_nonzero = n_nonzero
        self.fit_intercept = fit_intercept
        self.simulate = simulate
        self.protocol = protocol
        self.backend = backend
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> LDPSparseRegression:
        """Simulate: play every device on a row of X and y, and fit their reports.

        The rounds of an interactive estimation get disjoint random parts of the rows. Nothing of
        this is private: it tells how well a deployment would do.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For wrong parameters or data; the estimator is then as it was before.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            backend = resolve_backend(self.backend, X)
            X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
            y = np.asarray(y, dtype=np.float64)
            rng = np.random.default_rng(
                check_random_state(self.random_state).randint(2**31, size=4)
            )
            if self.protect == "label":
                protocol = self._label_protocol(X.shape[1])
                reports = simulate_reports(protocol, X, y, rng, backend)
                self._fit_labels(protocol, reports, X, simulated=True)
            else:
                self._simulate_rounds(X, y, rng, backend)
            self.backend_ = backend.name
        return self

    def fit_reports(self, reports: Any, X: Any = None) -> LDPSparseRegression:
        """Fit reports that devices made, without interaction.

        Parameters
        ----------
        reports : Aggregator, list of Aggregator, or the reports of labels
            Of records: what has summed their reports; several shards are merged (and are the folds
            of ``alpha="cv"``). Of labels: bytes, a list of bytes or an array of reports, in the
            order of the rows of X.
        X : array-like of shape (n_samples, n_features), default=None
            The public rows that private labels belong to.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For wrong parameters, or reports that do not fit them.
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            if self.interaction != "none":
                raise ValueError(
                    f"interaction={self.interaction!r} takes several rounds of reports. Start a "
                    f"session(n_features), and submit an Aggregator for each of its protocols."
                )
            if X is not None:
                if self.protocol is None:
                    raise ValueError(
                        "The protocol of the labels is not known. Give the one that the clients "
                        "had, LDPSparseRegression(protocol=...)."
                    )
                X = validate_data(self, X, dtype=[np.float64, np.float32])
                self._fit_labels(self.protocol, reports, X, simulated=False)
            else:
                self._fit_aggregators(as_shards(reports))
            self.backend_ = resolve_backend(self.backend, np.empty(0)).name
        return self

    def session(self, n_features: int) -> Session:
        """Start an estimation in rounds.

        Ask with ``session.next_protocol()`` until it is None, submit an :class:`Aggregator` of
        each, and pass the session to :meth:`fit_session`.

        Parameters
        ----------
        n_features : int

        Returns
        -------
        Session
        """
        self._check_parameters()
        if self.protect == "label":
            raise ValueError(
                "Private labels take one round. Give the reports and the public X to fit_reports."
            )
        return Session(self._settings(n_features))

    def fit_session(self, session: Session) -> LDPSparseRegression:
        """Take over the result of a session whose rounds are all answered.

        Parameters
        ----------
        session : Session

        Returns
        -------
        self
        """
        with unchanged_on_failure(self):
            self._check_parameters()
            self._keep(session)
            self.backend_ = resolve_backend(self.backend, np.empty(0)).name
        return self

    def _simulate_rounds(self, X: FloatArray, y: FloatArray, rng: Any, backend: Any) -> None:
        settings = self._settings(X.shape[1])
        session = Session(settings)
        shares = session.shares if self.alpha != "cv" else (0.2,) * 5
        if len(y) < len(shares):
            raise ValueError(
                f"n_samples={len(y)} rows are not enough for {len(shares)} rounds or shards. Give "
                f"at least one row for each."
            )
        rows, start, total, shards = rng.permutation(len(y)), 0, 0.0, []
        for k, share in enumerate(shares):
            total += share
            stop = len(y) - (len(shares) - 1 - k) if k + 1 < len(shares) else len(y)
            stop = min(stop, max(start + 1, round(total * len(y))))
            part = np.sort(rows[start:stop])
            protocol = session.next_protocol()
            assert protocol is not None
            shards.append(
                simulate_aggregator(protocol, X[part], y[part], rng, backend, self.simulate)
            )
            start = stop
            if self.alpha != "cv":
                session.submit(shards[-1])
        if self.alpha == "cv":
            self._fit_aggregators(shards)
        else:
            self._keep(session)

    def _fit_aggregators(self, shards: Sequence[Aggregator]) -> None:
        protocol = shards[0].protocol if self.protocol is None else self.protocol
        if any(shard.protocol != protocol for shard in shards):
            raise ValueError(
                "The aggregators are not all of this protocol. Give shards of one protocol."
            )
        whole = Aggregator.from_bytes(shards[0].to_bytes())
        for shard in shards[1:]:
            whole.merge(shard)
        settings, level = self._settings(protocol.n_features, protocol), None
        if self.alpha == "cv":
            settings, level = choose_level(settings, shards)
        self._keep(Session(settings, level=level).answer(whole))

    def _fit_labels(self, protocol: Protocol, reports: Any, X: Any, simulated: bool) -> None:
        if self.alpha == "cv":
            raise ValueError(
                'alpha="cv" is for reports of records. With private labels, take debiased_labels '
                "and any estimator with its own cross-validation."
            )
        if self.penalty in (RIDGE, "auto"):
            raise ValueError(
                f"penalty={self.penalty!r} is for reports of records. With private labels, take "
                f"debiased_labels and scikit-learn's Ridge."
            )
        fit = fit_labels(
            protocol,
            reports,
            X,
            penalty=self.penalty,
            alpha=None if isinstance(self.alpha, str) else float(self.alpha),
            n_nonzero=self.n_nonzero,
            fit_intercept=self.fit_intercept,
            accept_simulated=simulated,
        )
        self.coef_, self.intercept_, self.alpha_ = fit.coef, fit.intercept, fit.alpha
        self.penalty_ = self.penalty
        self.coef_cov_ = fit.covariance
        self._state(protocol, [protocol], fit.n_reports, simulated, ("the rows of X",))

    def _settings(self, n_features: int, protocol: Protocol | None = None) -> Settings:
        source: Any = self if protocol is None else protocol
        self._check_penalty()
        if self.alpha == "cv" and self.interaction != "none":
            raise ValueError(
                'alpha="cv" needs interaction="none". With rounds, leave alpha="auto".'
            )
        check_units(source.x_radius, source.y_bound)
        covariance = checked_covariance(self.covariance, n_features)
        if protocol is not None and protocol.statistic == "score" and covariance is None:
            raise ValueError(
                "Reports of scores tell X'y and not X'X. Give the covariance of x, or collect "
                'reports with statistic="gram".'
            )
        return Settings(
            n_features=n_features,
            epsilon=source.epsilon,
            delta=float(source.delta),
            x_radius=float(source.x_radius),
            y_bound=float(source.y_bound),
            radius=source.radius,
            fit_intercept=bool(source.fit_intercept),
            interaction=self.interaction,
            covariance=covariance,
            clipping=self.clipping,
            penalty=self.penalty,
            alpha=None if isinstance(self.alpha, str) else float(self.alpha),
            n_nonzero=self.n_nonzero,
            backend=self.backend,
        )

    def _check_penalty(self) -> None:
        if self.penalty == "auto" and self.alpha != "cv":
            raise ValueError(
                'penalty="auto" is chosen by cross-validation. Give alpha="cv" with it, or name '
                "the penalty."
            )

    def _label_protocol(self, n_features: int) -> Protocol:
        return Protocol(
            n_features=n_features,
            epsilon=self.epsilon,
            delta=float(self.delta),
            protect="label",
            x_radius=self.x_radius,
            y_bound=self.y_bound,
            fit_intercept=self.fit_intercept,
        )

    def _keep(self, session: Session) -> None:
        settings, estimate, protocols = session.settings, session.result(), session.protocols
        p = settings.n_features
        self.coef_ = estimate.coef[:p]
        self.coef_cov_ = estimate.covariance[np.ix_(self.support_, self.support_)]
        self.intercept_ = (
            float(estimate.coef[p] * protocols[-1].constant) if settings.fit_intercept else 0.0
        )
        self.alpha_, self.penalty_ = estimate.alpha, settings.penalty
        told = []
        if settings.covariance is not None:
            told.append("the covariance of x")
        if settings.clipping is not None:
            told.append("that x and residuals are nearly normal")
        if settings.n_nonzero is not None:
            told.append("the number of coefficients")
        self._state(protocols[-1], protocols, session.n_reports, session.simulated, tuple(told))

    def _state(
        self,
        last: Protocol,
        protocols: Sequence[Protocol],
        n_reports: int,
        simulated: bool,
        told: tuple[str, ...],
    ) -> None:
        """Set what does not depend on the estimate."""
        self.n_features_in_ = last.n_features
        self.noise_scale_ = noise_per_report(last)
        self.report_nbytes_ = report_format(last).itemsize
        self.n_reports_ = n_reports
        self.protocols_ = list(protocols)
        self.privacy_ = PrivacyStatement(
            protects=last.protect,
            epsilon=last.epsilon,
            epsilon_effective=max(protocol.epsilon_effective for protocol in protocols),
            delta=last.delta,
            n_rounds=len(protocols),
            n_reports=n_reports,
            simulated=simulated,
            told=told,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.regressor_tags.poor_score = True  # noise is meant to hide what few rows say
        tags.non_deterministic = self.random_state is None
        return tags
