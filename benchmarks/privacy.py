"""Family "privacy": errors of private sparse regression, and what reports cost.

Every setting has the zero estimator and a non-private fit, so that it is seen what is learned at
all and what privacy costs. The published algorithms are the baselines of `sparsereg.privacy`, each
with the best of several tunings on every draw, chosen by the true coefficients: no user could do
as well. Each arm says what it is told beside the reports.

Errors are ``||w - truth||`` for truths of norm 1. In the setting of categories it is the mean
squared error on new rows, in units of that of the constant 0, above that of the non-private fit.

Epsilon is 1 unless the setting says otherwise. Persons are simulated: report by report where an arm
says "each report", else by the normal limit of their sum.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from . import environment, report
from .protocol import OURS

__all__ = ["SETTINGS", "Arm", "Setting", "measure", "run"]

_NOISE = 0.5


@dataclass(frozen=True)
class Draw:
    """One draw of a setting: X, y, the truth; and rows to predict, where that is what counts."""

    X: np.ndarray
    y: np.ndarray
    truth: np.ndarray
    covariance: np.ndarray
    X_new: np.ndarray | None = None
    y_new: np.ndarray | None = None

    def error(self, coef: np.ndarray) -> float:
        """Return the error of coefficients."""
        if self.X_new is None:
            return float(np.linalg.norm(coef - self.truth))
        return float(np.mean((self.y_new - self.X_new @ coef) ** 2) / np.mean(self.y_new**2))


Fit = Callable[[Draw, "Setting", int], np.ndarray]


@dataclass(frozen=True)
class Arm:
    """One estimator: its name, what it is told, and how it fits a draw."""

    name: str
    told: str
    fit: Fit
    max_draws: int = 10**6


@dataclass(frozen=True)
class Setting:
    """How draws are made, who fits them, and what ours is held to.

    Attributes
    ----------
    name : str
    draw : callable
        ``(setting, seed) -> Draw``.
    n, d, s : int
        Persons, features, coefficients that are not zero.
    arms : tuple of Arm
    rho : float
        Correlation of neighboring features.
    epsilon : float
    target : float or None
        For the first of our arms.
    baseline : str
        The arm whose error is subtracted; empty for none.
    max_draws : int
        Large settings, and slow arms, get no more draws than this.
    """

    name: str
    draw: Callable[[Setting, int], Draw]
    n: int
    d: int
    s: int
    arms: tuple[Arm, ...]
    rho: float = 0.0
    epsilon: float = 1.0
    target: float | None = None
    baseline: str = ""
    max_draws: int = 10**6


def normal_draw(setting: Setting, seed: int) -> Draw:
    """Return normal features, and s coefficients of random places, signs and sizes, of norm 1."""
    rng = np.random.default_rng(seed)
    X = _normal_rows(setting, rng)
    truth = np.zeros(setting.d)
    truth[rng.choice(setting.d, setting.s, replace=False)] = rng.standard_normal(setting.s)
    return _with_labels(X, truth / np.linalg.norm(truth), setting, rng)


def equal_draw(setting: Setting, seed: int) -> Draw:
    """Return normal features, and s coefficients of random places and signs, of equal sizes."""
    rng = np.random.default_rng(seed)
    X = _normal_rows(setting, rng)
    truth = np.zeros(setting.d)
    signs = rng.choice([-1.0, 1.0], setting.s)
    truth[rng.choice(setting.d, setting.s, replace=False)] = signs / np.sqrt(setting.s)
    return _with_labels(X, truth, setting, rng)


def _normal_rows(setting: Setting, rng: np.random.Generator) -> np.ndarray:
    X = rng.standard_normal((setting.n, setting.d), dtype=np.float32)
    for j in range(1, setting.d if setting.rho else 0):
        X[:, j] = setting.rho * X[:, j - 1] + np.sqrt(1 - setting.rho**2) * X[:, j]
    return X


def decaying_draw(setting: Setting, seed: int) -> Draw:
    """Return normal features by columns, and coefficients proportional to 1, 1/2, ..., 1/s."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((setting.d, setting.n), dtype=np.float32).T
    truth = np.zeros(setting.d)
    truth[rng.choice(setting.d, setting.s, replace=False)] = 1.0 / np.arange(1, setting.s + 1)
    return _with_labels(X, truth / np.linalg.norm(truth), setting, rng)


def _with_labels(
    X: np.ndarray, truth: np.ndarray, setting: Setting, rng: np.random.Generator
) -> Draw:
    y = (X @ truth.astype(np.float32)).astype(np.float64)
    y += _NOISE * rng.standard_normal(setting.n)
    features = np.arange(setting.d if setting.d <= 1000 else 0)  # no arm needs more
    return Draw(X, y, truth, setting.rho ** np.abs(np.subtract.outer(features, features)))


# Numbers of categories of the variables of `categories_draw`: 105 columns, as in a census table.
_CATEGORIES = (2, 2, 5, 9, 9, 16, 24, 38)
_N_NEW, _N_PUBLIC = 50_000, 100_000


def categories_draw(setting: Setting, seed: int) -> Draw:
    """Return eight categorical variables, one column a category, rows of norm 1, labels of sign."""
    rng = np.random.default_rng(seed)
    shares = [rng.dirichlet(np.full(size, 1.5)) for size in _CATEGORIES]
    effects = [rng.standard_normal(size) for size in _CATEGORIES]

    def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
        X, latent, first = np.zeros((n, sum(_CATEGORIES)), dtype=np.float32), np.zeros(n), 0
        for share, effect in zip(shares, effects, strict=True):
            category = rng.choice(share.size, n, p=share)
            X[np.arange(n), first + category] = 1.0 / np.sqrt(len(_CATEGORIES))
            latent += effect[category] / np.sqrt(len(_CATEGORIES))
            first += share.size
        signs = np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-1.1 * latent)), 1.0, -1.0)
        return X, signs

    X, y = rows(setting.n)
    X_new, y_new = rows(_N_NEW)
    public, _ = rows(_N_PUBLIC)
    covariance = (public.T @ public).astype(np.float64) / _N_PUBLIC
    return Draw(X, y, np.zeros(setting.d), covariance, X_new, y_new)


# Arms


def zero(draw: Draw, setting: Setting, seed: int) -> np.ndarray:
    return np.zeros(setting.d)


def not_private(draw: Draw, setting: Setting, seed: int) -> np.ndarray:
    """The lasso on the rows, with the universal strength of the true noise."""
    from sparsereg import Lasso

    strength = _NOISE * np.sqrt(2.0 * np.log(setting.d) / setting.n)
    return Lasso(strength, fit_intercept=False).fit(draw.X, draw.y).coef_


def least_squares(draw: Draw, setting: Setting, seed: int) -> np.ndarray:
    gram = (draw.X.T @ draw.X).astype(np.float64)
    return np.linalg.lstsq(gram, draw.X.T.astype(np.float64) @ draw.y, rcond=1e-6)[0]


def ours(**options: Any) -> Fit:
    """Return the fit of our estimator; "covariance" and "n_nonzero" are filled in from the draw."""

    def fit(draw: Draw, setting: Setting, seed: int) -> np.ndarray:
        from sparsereg.privacy import LDPSparseRegression

        given = dict(options)
        if given.get("covariance") == "known":
            given["covariance"] = draw.covariance
        if given.get("n_nonzero") == "known":
            given["n_nonzero"] = setting.s
        if given.get("clipping") == "gaussian":
            # bounds as a user would publish them: hardly a record is beyond
            given.setdefault("x_radius", 1.5 * np.sqrt(setting.d))
            given.setdefault("y_bound", 3.4)
        model = LDPSparseRegression(
            setting.epsilon,
            fit_intercept=False,
            random_state=seed,
            **{"simulate": "clt", "penalty": "mcp", **given},
        )
        return model.fit(draw.X, draw.y).coef_

    return fit


def published_iht(draw: Draw, setting: Setting, seed: int) -> np.ndarray:
    from sparsereg.privacy import LDPIHT

    fits = [
        LDPIHT(
            setting.epsilon,
            n_nonzero=2 * setting.s,
            x_bound=bound,
            y_bound=bound,
            random_state=seed,
        ).fit(draw.X, draw.y)
        for bound in (0.5, 1.0, 2.0)
    ]
    return min((model.coef_ for model in fits), key=draw.error)


def published_closed_form(draw: Draw, setting: Setting, seed: int) -> np.ndarray:
    from sparsereg.privacy import NLDPRegression

    raw = NLDPRegression(setting.epsilon, random_state=seed).fit(draw.X, draw.y).raw_coef_
    thresholds = np.append(0.0, np.geomspace(1e-3, 1e3, 61))
    coefs = [np.sign(raw) * np.maximum(np.abs(raw) - alpha, 0.0) for alpha in thresholds]
    return min(coefs, key=draw.error)


ZERO = Arm("zero", "nothing", zero)
NOT_PRIVATE = Arm("lasso, not private", "all data, noise level", not_private)
_ROUNDS = {"interaction": "sequential", "clipping": "gaussian"}
_KNOWN = "covariance, normality"

SEQUENTIAL = (
    Arm("ours, sequential", _KNOWN, ours(covariance="known", **_ROUNDS)),
    Arm(
        "ours, sequential",
        f"{_KNOWN}, s",
        ours(covariance="known", n_nonzero="known", **_ROUNDS),
    ),
    Arm("ours, sequential", "normality", ours(**_ROUNDS)),
    Arm("ours, none", _KNOWN, ours(covariance="known", clipping="gaussian")),
    Arm("Zhu et al. 2024, IHT", "s, tuned by the truth", published_iht, max_draws=2),
    ZERO,
    NOT_PRIVATE,
)
_EACH = Arm(
    "ours, sequential, each report",
    _KNOWN,
    ours(covariance="known", simulate="exact", **_ROUNDS),
    max_draws=2,
)
MOMENTS = (
    Arm("ours, none", "normality", ours(clipping="gaussian")),
    Arm("ours, none, l1", "normality", ours(clipping="gaussian", penalty="l1")),
    Arm("Zhu et al. 2024, closed form", "tuned by the truth", published_closed_form),
    ZERO,
    NOT_PRIVATE,
)
PUBLIC = (
    Arm("ours, none", _KNOWN, ours(covariance="known", clipping="gaussian")),
    Arm(
        "ours, none, l1",
        _KNOWN,
        ours(covariance="known", clipping="gaussian", penalty="l1"),
    ),
    Arm(
        "ours, none, Gaussian, δ = 1e-6",
        _KNOWN,
        ours(covariance="known", clipping="gaussian", delta=1e-6),
    ),
    ZERO,
    NOT_PRIVATE,
)
LABELS = (
    Arm("ours, labels", "X", ours(protect="label", y_bound=1.6)),
    Arm("ours, labels, l1", "X", ours(protect="label", y_bound=1.6, penalty="l1")),
    ZERO,
    NOT_PRIVATE,
)
_BINARY = {"covariance": "known", "x_radius": 1.0, "y_bound": 1.0, "radius": 1.0}
_FROM_ROWS = "covariance, from public rows"
CATEGORIES = (
    Arm(
        "ours, none, l1 or l2 by CV",
        _FROM_ROWS,
        ours(penalty="auto", alpha="cv", **_BINARY),
    ),
    Arm("ours, none, l2", _FROM_ROWS, ours(penalty="l2", **_BINARY)),
    Arm("ours, none, l1 by CV", _FROM_ROWS, ours(penalty="l1", alpha="cv", **_BINARY)),
    ZERO,
    Arm("least squares, not private", "all data", least_squares),
)

SETTINGS = (
    Setting(
        "sequential, s=4", normal_draw, 800_000, 100, 4, (SEQUENTIAL[0], _EACH, *SEQUENTIAL[1:]),
        target=0.12,
    ),
    Setting("sequential, s=8", normal_draw, 800_000, 100, 8, SEQUENTIAL, target=0.20),
    Setting("sequential, s=4", normal_draw, 800_000, 100, 4, SEQUENTIAL, rho=0.5),
    Setting("joint moments", equal_draw, 1_000_000, 20, 3, MOMENTS, target=0.30),
    Setting("joint moments", equal_draw, 1_000_000, 20, 3, MOMENTS, rho=0.5),
    Setting("joint moments", equal_draw, 10_000_000, 20, 3, MOMENTS, target=0.09, max_draws=2),
    Setting("public covariance", equal_draw, 1_000_000, 50, 5, PUBLIC, target=0.11),
    Setting("public covariance", equal_draw, 1_000_000, 50, 5, PUBLIC, rho=0.5),
    Setting("labels", decaying_draw, 16_000, 32_000, 5, LABELS, epsilon=0.95, target=0.35),
    Setting(
        "categories", categories_draw, 1_600_000, 105, 105, CATEGORIES, target=0.02,
        baseline="least squares, not private",
    ),
)  # fmt: skip


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``privacy.json`` and ``privacy.md``, or ``-quick``."""
    settings = tuple(_smaller(setting) for setting in SETTINGS) if quick else SETTINGS
    results = measure(settings, repeats or (2 if quick else 10), Console(stderr=True))
    report.write(results, "privacy-quick" if quick else "privacy", output)


def measure(settings: tuple[Setting, ...], n_draws: int, console: Console) -> dict[str, Any]:
    """Run all arms on draws of each setting, and time reports.

    Parameters
    ----------
    settings : tuple of Setting
    n_draws : int
        Of each setting.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    first = environment.heading("privacy", [OURS], [OURS], draws=n_draws, noise=_NOISE)
    blocks = []
    for setting in settings:
        errors: list[list[float]] = [[] for _ in setting.arms]
        for seed in range(min(n_draws, setting.max_draws)):
            with console.status(f"{setting.name} n={setting.n}: draw {seed + 1} of {n_draws}"):
                draw = setting.draw(setting, seed)
                found = {
                    arm: draw.error(arm.fit(draw, setting, seed))
                    for arm in setting.arms
                    if seed < arm.max_draws
                }
                del draw
            offset = next((e for arm, e in found.items() if arm.name == setting.baseline), 0.0)
            for arm, series in zip(setting.arms, errors, strict=True):
                if arm in found:
                    series.append(found[arm] - offset)
        blocks.append(_summary(setting, errors))
        ours_first = blocks[-1]["arms"][0]
        console.print(f"{setting.name} n={setting.n:g}: {ours_first['median']:.3f}")
    return {**first, "privacy": blocks, "costs": costs()}


def _summary(setting: Setting, errors: list[list[float]]) -> dict[str, Any]:
    arms = [
        {"arm": arm.name, "told": arm.told, "median": median(values), "errors": values}
        for arm, values in zip(setting.arms, errors, strict=True)
    ]
    met = None if setting.target is None else arms[0]["median"] <= setting.target
    return {
        "setting": setting.name,
        "n": setting.n,
        "d": setting.d,
        "s": setting.s,
        "rho": setting.rho,
        "epsilon": setting.epsilon,
        "target": setting.target,
        "met": met,
        "above": setting.baseline,
        "arms": arms,
    }


def _smaller(setting: Setting) -> Setting:
    """Return a setting for a quick run: fewer persons, and fewer features where there are many."""
    many = setting.d > 1000
    return replace(
        setting,
        n=setting.n // (20 if not many else 10),
        d=setting.d // 20 if many else setting.d,
        target=None,
    )


def costs() -> list[dict[str, Any]]:
    """Return what a report costs at 100 features: bytes, client time, server throughput, state."""
    from sparsereg.privacy import Aggregator, PrivacyBudget, Protocol, Randomizer
    from sparsereg.privacy.reports import make_long_reports, make_reports

    rows = []
    rng = np.random.default_rng(0)
    for statistic, delta, n_reports in (
        ("score", 0.0, 1_000_000),
        ("gram", 0.0, 50_000),
        ("score", 1e-6, 50_000),
    ):
        protocol = Protocol(100, 1.0, statistic=statistic, delta=delta)
        randomizer = Randomizer(protocol, PrivacyBudget(1e6, 0.5))
        x = rng.standard_normal(100)
        size = len(randomizer.privatize(x, 1.0))
        seconds = []
        for _ in range(100):
            start = time.perf_counter()
            randomizer.privatize(x, 1.0)
            seconds.append(time.perf_counter() - start)
        ids = rng.integers(0, 2**64, n_reports, dtype=np.uint64)
        if delta:
            values = rng.integers(-1000, 1000, (n_reports, protocol.dimension + 1))
            reports = make_long_reports(protocol.digest, ids, values)
        else:
            indices = rng.integers(0, protocol.n_outputs, n_reports)
            reports = make_reports(protocol.digest, ids, indices)
        server = Aggregator(protocol, check_duplicates=False)
        server.update(reports[:1000])
        states, start = [len(server.to_bytes())], time.perf_counter()
        server.update(reports[1000:])
        rate = (n_reports - 1000) / (time.perf_counter() - start)
        states.append(len(server.to_bytes()))
        rows.append(
            {
                "statistic": f"{statistic}, δ = {delta:g}" if delta else statistic,
                "dimension": protocol.dimension,
                "report_bytes": size,
                "client_ms": 1e3 * median(seconds),
                "reports_per_second": rate,
                "state_bytes_after_1000": states[0],
                "state_bytes_at_end": states[1],
                "n_reports": n_reports,
            }
        )
    return rows
