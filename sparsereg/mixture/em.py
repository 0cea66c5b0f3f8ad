"""Expectation-maximization for mixtures of sparse regressions, on data that were not designed.

    y_i = x_i' b_r + c_r + sigma_r e_i   with probability pi_r,   e_i standard normal.

E-step: responsibilities t_ir, the probability of regression r given y_i; ``hard`` ones are 0 or 1.

M-step of the lasso, in phi_r = b_r / sigma_r and rho_r = 1 / sigma_r, which makes the objective

    -(1/n) sum_i log sum_r pi_r rho_r phi(rho_r y_i - x_i' phi_r) + alpha sum_r pi_r^gamma |phi_r|_1

independent of the unit of y, and convex given the responsibilities. With rho fixed, b_r is a
weighted lasso at alpha_r = alpha n pi_r^gamma sigma_r / n_r, n_r = sum_i t_ir: our own solver's.
With b fixed, rho is the root of a quadratic. Neither step raises the objective.

M-step of iterative hard thresholding: gradient steps with the length that is optimal on the
support, the k largest coefficients kept, then least squares on them.

Sources: Städler, Bühlmann and van de Geer, "l1-penalization for mixture regression models", TEST
19, 2010; Blumensath and Davies, "Normalized iterative hard thresholding", IEEE J. Sel. Topics
Signal Process. 4, 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp

from sparsereg.backends.protocol import Backend, Design, FloatArray, IndexArray
from sparsereg.losses import Squared
from sparsereg.penalties import L1
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.working_set import solve
from sparsereg.solvers.workspace import Workspace

# Variances stay above this share of the variance of y.
_FLOOR = 1e-9
# A regression with a smaller share of the data keeps its coefficients.
_EMPTY = 1e-8
# Gap of each weighted lasso, relative to the variance of its part of y; passes it may take.
_LASSO_TOL, _LASSO_PASSES = 1e-9, 200
# Hard-thresholding steps of an M-step.
_STEPS = 3
# Iterations after which starts are compared.
_TRIAL = 15
# A variance this small beside that of y ends the search for starts: nothing is left to explain.
_EXACT = 1e-6


@dataclass(frozen=True)
class Mixture:
    """A point: coefficients (L, p), intercepts, weights and variances (L,)."""

    coef: FloatArray
    intercept: FloatArray
    weights: FloatArray
    variance: FloatArray


@dataclass(frozen=True)
class Options:
    """What is minimized, and how.

    Attributes
    ----------
    alpha, gamma : float
        Of the lasso.
    n_nonzero : int or None
        Coefficients of each regression that hard thresholding keeps; None is the lasso.
    hard : bool
        Whether a row belongs to one regression.
    tied : bool
        Whether the regressions share a variance.
    """

    alpha: float
    gamma: float
    n_nonzero: int | None
    hard: bool
    tied: bool


@dataclass
class EMData:
    """Data as the M-steps read them.

    Attributes
    ----------
    X : ndarray or CSC
    y : ndarray of shape (n,)
    sample_weight : ndarray of shape (n,)
        With sum n.
    fit_intercept : bool
    backend : Backend
    design : Design
        X without weights and not centered.
    var_y : float
        Weighted mean of (y - mean)^2, or of y^2 without intercepts.
    """

    X: Any
    y: FloatArray
    sample_weight: FloatArray
    fit_intercept: bool
    backend: Backend
    design: Design = field(init=False)
    var_y: float = field(init=False)

    def __post_init__(self) -> None:
        self.design = self.backend.design(self.X, None, False)
        centered = self.y - (self._mean(self.y) if self.fit_intercept else 0.0)
        self.var_y = self._mean(centered**2)

    def _mean(self, values: FloatArray) -> float:
        return float(self.sample_weight @ values) / values.size

    @property
    def is_constant(self) -> bool:
        """Whether nothing is left of y but rounding: intercepts explain it, or it is zero."""
        y = self.y[self.sample_weight > 0]
        spread = np.ptp(y) if self.fit_intercept else np.max(np.abs(y))
        return bool(spread <= 4.0 * np.finfo(np.float64).eps * np.max(np.abs(y)))

    @property
    def floor(self) -> float:
        """The least variance."""
        return max(_FLOOR * self.var_y, np.finfo(np.float64).tiny ** 0.5)

    def fitted(self, coef: FloatArray) -> FloatArray:
        """Return X b for each row of coefficients, of shape (L, n)."""
        used = np.flatnonzero(np.any(coef != 0, axis=0))
        return self.backend.fitted_tasks(self.design, used, np.ascontiguousarray(coef[:, used]))

    def rows(self, chosen: IndexArray) -> EMData:
        """Return the data of some rows."""
        weights = self.sample_weight[chosen]
        if not weights.any():
            raise ValueError("A fold has zero total sample weight. Use fewer folds.")
        X = self.X[chosen] if isinstance(self.X, np.ndarray) else self.X[chosen].tocsc()
        weights = weights * (len(weights) / weights.sum())
        return EMData(X, self.y[chosen], weights, self.fit_intercept, self.backend)

    def columns(self, chosen: IndexArray) -> FloatArray:
        """Return some columns of X, dense, in float64."""
        part = self.X[:, chosen]
        return np.asarray(part if isinstance(part, np.ndarray) else part.toarray(), np.float64)


@dataclass(frozen=True)
class EMResult:
    """Where the iterations ended.

    Attributes
    ----------
    mixture : Mixture
    responsibilities : ndarray of shape (n, L)
    log_likelihood : float
        Weighted mean over rows.
    objective : list of float
        After each iteration.
    converged : bool
    has_rival : bool
        Whether another start found other features that explain y about as well.
    """

    mixture: Mixture
    responsibilities: FloatArray
    log_likelihood: float
    objective: list[float]
    converged: bool
    has_rival: bool = False


def fit(
    data: EMData,
    starts: Iterator[Mixture],
    options: Options,
    *,
    max_iter: int,
    tol: float,
    report: Callable[[int, float], None] | None = None,
) -> EMResult:
    """Run a few iterations from each start, and go on from the best until nothing changes.

    Parameters
    ----------
    data : EMData
    starts : iterator of Mixture
    options : Options
    max_iter : int
        Iterations of the last run, trial included.
    tol : float
        Stop when the objective changes by no more than this, and no fitted value by more than
        ``sqrt(tol)`` standard deviations of y.
    report : callable, default=None
        Told the number and the objective of each iteration.

    Returns
    -------
    EMResult
    """
    if data.is_constant:
        return _at_rest(data, next(starts), options)
    best: EMResult | None = None
    trials: list[EMResult] = []
    for start in starts:
        trial = _iterate(data, start, options, [], min(_TRIAL, max_iter), tol, None)
        trials.append(trial)
        if best is None or trial.objective[-1] < best.objective[-1]:
            best = trial
        if np.max(best.mixture.variance) <= _EXACT * data.var_y and data.var_y > 0:
            break
    assert best is not None  # there is always a start
    has_rival = _has_rival(data, best, trials, options)
    left = max_iter - len(best.objective)
    if not best.converged and left > 0:
        best = _iterate(data, best.mixture, options, best.objective, left, tol, report)
    return replace(best, has_rival=has_rival)


def _has_rival(data: EMData, best: EMResult, trials: list[EMResult], options: Options) -> bool:
    """Whether the likelihood does not tell the best trial from one with mostly other features.

    Among that many sets of k features for each of L regressions, some fit well by chance: a lead of
    less than the logarithm of their number, L log C(p, k), is none. EBIC has the same price.
    """
    if options.n_nonzero is None or np.max(best.mixture.variance) <= _EXACT * data.var_y:
        return False
    n_components, p = best.mixture.coef.shape
    k = min(options.n_nonzero, p)
    lead = n_components * float(gammaln(p + 1) - gammaln(k + 1) - gammaln(p - k + 1))
    n_rows = np.count_nonzero(data.sample_weight)
    used = np.any(best.mixture.coef != 0, axis=0)
    for trial in trials:
        shared = used & np.any(trial.mixture.coef != 0, axis=0)
        behind = n_rows * (trial.objective[-1] - best.objective[-1])
        if 2 * np.count_nonzero(shared) < np.count_nonzero(used) and behind < lead:
            return True
    return False


def _at_rest(data: EMData, start: Mixture, options: Options) -> EMResult:
    """Return the mixture of a y that is constant: no coefficients, nothing to iterate."""
    center = float(np.median(data.y[data.sample_weight > 0])) if data.fit_intercept else 0.0
    residual = data.y - center
    variance = max(float(data.sample_weight @ residual**2) / data.y.size, data.floor)
    mixture = replace(
        start,
        coef=np.zeros_like(start.coef),
        intercept=np.full_like(start.intercept, center),
        variance=np.full_like(start.variance, variance),
    )
    tau, value = _e_step(data, mixture, data.fitted(mixture.coef), options.hard)
    return EMResult(mixture, tau, value, [_objective(value, mixture, options)], True)


def log_likelihood(data: EMData, mixture: Mixture) -> float:
    """Return the mean log-likelihood of a mixture on some data."""
    return _e_step(data, mixture, data.fitted(mixture.coef), False)[1]


def alpha_bound(data: EMData) -> float:
    """Return an alpha from which on all coefficients are zero, or nearly all, for any labels.

    The largest mean of |x_ij (y_i - mean)| in units of the standard deviation of y, halved as
    labels share the rows.
    """
    center = float(data.sample_weight @ data.y) / data.y.size if data.fit_intercept else 0.0
    size = data.sample_weight * np.abs(data.y - center)
    means = size @ np.abs(data.X) / data.y.size
    top = 0.5 * float(np.max(means, initial=0.0)) / max(data.var_y, data.floor) ** 0.5
    return top if top > 0 else 1.0


def _iterate(
    data: EMData,
    mixture: Mixture,
    options: Options,
    history: list[float],
    n_iter: int,
    tol: float,
    report: Callable[[int, float], None] | None,
) -> EMResult:
    m_step = _lasso_step if options.n_nonzero is None else _threshold_step
    history = list(history)
    fitted = data.fitted(mixture.coef)
    tau, _ = _e_step(data, mixture, fitted, options.hard)
    scale, converged = max(data.var_y, data.floor) ** 0.5, False
    log_likelihood = -np.inf
    for _ in range(n_iter):
        mixture = m_step(data, mixture, tau, options)
        before, fitted = fitted, data.fitted(mixture.coef)
        tau, log_likelihood = _e_step(data, mixture, fitted, options.hard)
        history.append(_objective(log_likelihood, mixture, options))
        if report is not None:
            report(len(history), history[-1])
        moved = float(np.max(np.abs(fitted - before), initial=0.0))
        last = history[-2] if len(history) > 1 else np.inf
        fell = abs(last - history[-1])
        if moved <= tol**0.5 * scale and fell <= tol:
            converged = True
            break
    return EMResult(mixture, tau, log_likelihood, history, converged)


def _objective(log_likelihood: float, mixture: Mixture, options: Options) -> float:
    if options.n_nonzero is not None:
        return -log_likelihood
    sizes = np.abs(mixture.coef).sum(axis=1) / np.sqrt(mixture.variance)
    return -log_likelihood + options.alpha * float(mixture.weights**options.gamma @ sizes)


def _e_step(
    data: EMData, mixture: Mixture, fitted: FloatArray, hard: bool
) -> tuple[FloatArray, float]:
    """Return the responsibilities, of shape (n, L), and the mean log-likelihood.

    With hard ones, it is the likelihood of the labels, too, that is maximized.
    """
    residual = data.y - fitted - mixture.intercept[:, None]
    with np.errstate(divide="ignore"):
        level = np.log(mixture.weights) - 0.5 * np.log(2.0 * np.pi * mixture.variance)
    joint = (level[:, None] - 0.5 * residual**2 / mixture.variance[:, None]).T
    if hard:
        tau = np.zeros_like(joint)
        label = np.argmax(joint, axis=1)
        tau[np.arange(len(label)), label] = 1.0
        density = joint[np.arange(len(label)), label]
    else:
        density = logsumexp(joint, axis=1)
        tau = np.exp(joint - density[:, None])
    return tau, float(data.sample_weight @ density) / len(density)


def _lasso_step(data: EMData, mixture: Mixture, tau: FloatArray, options: Options) -> Mixture:
    """Update the weights, then the coefficients by a weighted lasso each, then the variances."""
    n = data.y.size
    parts = data.sample_weight[:, None] * tau
    sums = parts.sum(axis=0)
    mixture = replace(mixture, weights=_new_weights(mixture, sums / n, options))
    coef, intercept = mixture.coef.copy(), mixture.intercept.copy()
    for r in np.flatnonzero(sums > _EMPTY * n):
        sigma = mixture.variance[r] ** 0.5
        alpha = options.alpha * n * mixture.weights[r] ** options.gamma * sigma / sums[r]
        coef[r], intercept[r] = _weighted_lasso(data, parts[:, r] * (n / sums[r]), alpha, coef[r])
    residual = data.y - data.fitted(coef) - intercept[:, None]
    squares = np.einsum("ir,ri->r", parts, residual**2)
    sizes = options.alpha * n * mixture.weights**options.gamma * np.abs(coef).sum(axis=1)
    if options.tied:
        counts, squares, sizes = np.full_like(sums, n), squares.sum(), sizes.sum()
    else:
        counts = sums
    # minimizes -counts log(rho) + squares rho^2 / 2 + sizes rho
    root = sizes + np.sqrt(sizes**2 + 4.0 * squares * counts)
    sigma = root / (2.0 * np.where(counts > _EMPTY * n, counts, np.inf))
    variance = np.where(counts > _EMPTY * n, np.maximum(sigma**2, data.floor), mixture.variance)
    return Mixture(coef, intercept, mixture.weights, variance)


def _weighted_lasso(
    data: EMData, weights: FloatArray, alpha: float, start: FloatArray
) -> tuple[FloatArray, float]:
    penalty = L1(alpha)
    problem = Problem(data.X, data.y, penalty, Squared(), weights, data.fit_intercept)
    work = Workspace(problem, data.backend)
    if np.any(start):
        work.move_to(start.copy())
    solution = solve(work, penalty, tol=_LASSO_TOL, max_iter=_LASSO_PASSES)
    return solution.coef, float(solution.intercept)


def _new_weights(mixture: Mixture, shares: FloatArray, options: Options) -> FloatArray:
    """Move the weights towards the shares of the data, as far as the objective falls."""
    sizes = np.abs(mixture.coef).sum(axis=1) / np.sqrt(mixture.variance)

    def value(weights: FloatArray) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(shares > 0, shares * np.log(weights), 0.0)
        return float(options.alpha * (weights**options.gamma @ sizes) - logs.sum())

    if options.gamma == 0:
        return shares
    step, present = 1.0, value(mixture.weights)
    while step > 1e-4:
        weights = (1.0 - step) * mixture.weights + step * shares
        if value(weights) <= present:
            return weights
        step *= 0.5
    return mixture.weights


def _threshold_step(data: EMData, mixture: Mixture, tau: FloatArray, options: Options) -> Mixture:
    """Update coefficients by hard thresholding and least squares, then weights and variances."""
    assert options.n_nonzero is not None
    n = data.y.size
    parts = np.ascontiguousarray((data.sample_weight[:, None] * tau).T)
    sums = parts.sum(axis=1)
    active = sums > _EMPTY * n
    share = np.where(active, sums, 1.0)
    coef, intercept = mixture.coef.copy(), mixture.intercept.copy()
    keep = min(options.n_nonzero, coef.shape[1])
    for _ in range(_STEPS):
        residual = data.y - data.fitted(coef) - intercept[:, None]
        if data.fit_intercept:
            shift = np.einsum("ri,ri->r", parts, residual) / share
            intercept, residual = intercept + shift, residual - shift[:, None]
        gradient = data.backend.xtr_tasks(data.design, parts * residual) * (n / share)[:, None]
        ascent = gradient.copy()
        for r in range(len(coef)):  # the step that is optimal on the support
            on = coef[r] != 0
            if not on.any():
                on = _largest(gradient[r], keep)
            ascent[r, ~on] = 0.0
        curved = np.einsum("ri,ri->r", parts, data.fitted(ascent) ** 2) / share
        top = np.einsum("rj,rj->r", ascent, ascent)
        step = np.where(curved > 0, top / np.where(curved > 0, curved, 1.0), 0.0)
        coef = coef + (step * active)[:, None] * gradient
        for r in range(len(coef)):
            coef[r, ~_largest(coef[r], keep)] = 0.0
    for r in np.flatnonzero(active).tolist():
        support = np.flatnonzero(coef[r])
        root = np.sqrt(parts[r])
        A = data.columns(support)
        if data.fit_intercept:
            A = np.column_stack([A, np.ones(n)])
        solution = np.linalg.lstsq(A * root[:, None], data.y * root, rcond=None)[0]
        coef[r, support] = solution[: support.size]
        intercept[r] = solution[-1] if data.fit_intercept else 0.0
    residual = data.y - data.fitted(coef) - intercept[:, None]
    squares = np.einsum("ri,ri->r", parts, residual**2)
    variance = np.full(len(coef), squares.sum() / n) if options.tied else squares / share
    variance = np.where(active | options.tied, np.maximum(variance, data.floor), mixture.variance)
    return Mixture(coef, intercept, sums / n, variance)


def _largest(values: FloatArray, k: int) -> npt.NDArray[np.bool_]:
    """Return which k entries are largest in absolute value; zeros never are."""
    size = np.abs(values)
    chosen = np.zeros(size.size, dtype=bool)
    chosen[np.argpartition(-size, k - 1)[:k]] = True
    return chosen & (size > 0)
