"""Family "nonconvex": how often each package finds the best l0 solution known, and how fast.

Three tables.

*Search*: n = 100, p = 300, coefficients 1 at equal distances, Gaussian columns of unit norm with
correlations rho^|i-j|, and an alpha that is a fixed share of alpha_max. Answers become supports;
every support is judged by its own least-squares refit, so that shrinkage costs nobody anything. The
best known value is the least of all methods on that instance. Peers get more than a user has:

- skglm (MCP with gamma 1.5 and 3, and l_1/2): the best support along paths of 50 alphas;
- abess: told the size of the best solution found by the others, with the search over all features;
- El0ps: the box |w_j| <= 1.5 times the largest coefficient of the best solution, without which its
  problem has no bound, within the time limit; unfinished runs are counted as they stand.

The seconds are of all that a method ran; kernels are compiled before.

*Strategies*: the same instances, ours only. `SparseRegressor` under `L0` by each of its strategies,
which end in coordinate-wise minima, and by all of them; and `L0Regressor`, whose moves with refit
come on top.

*Certified*: k = 5, n = 100, p = 200, rho = 0.5, SNR 10, with an l2 term, alpha in the middle of the
interval on which five columns win. El0ps proves the optimum to 1e-8; the share counts who has its
value. Our plain fit does not prove it, and the column "gap" is what its own bound says.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from . import environment, report
from .protocol import OURS

__all__ = ["CERTIFIED", "SETTINGS", "Setting", "measure", "run"]

PEERS = ("skglm", "abess", "el0ps")

# Values that differ by this share of each other are the same.
_SAME = 1e-8


@dataclass(frozen=True)
class Setting:
    """How instances are drawn.

    Attributes
    ----------
    n, p, n_nonzero : int
    rho, snr : float
        Correlation of neighboring columns, and variance of the signal over that of the noise.
    alpha_share : float or None
        alpha over alpha_max; None is the middle of the interval on which n_nonzero columns win.
    l2 : float
    """

    n: int
    p: int
    n_nonzero: int
    rho: float
    snr: float
    alpha_share: float | None
    l2: float = 0.0


SETTINGS = (
    Setting(100, 300, 10, 0.0, 6.0, 0.1),
    Setting(100, 300, 10, 0.7, 6.0, 0.1),
    Setting(100, 300, 20, 0.5, 20.0, 0.04),
)
CERTIFIED = (
    Setting(100, 200, 5, 0.5, 10.0, None, l2=0.1),
    Setting(100, 200, 5, 0.5, 10.0, None, l2=0.01),
)


@dataclass(frozen=True)
class Instance:
    """One draw: X with columns of mean square 1, y, the true support and alpha."""

    X: np.ndarray
    y: np.ndarray
    support: np.ndarray
    alpha: float
    l2: float

    def objective(self, support: np.ndarray) -> float:
        """Return the l0 objective of the refit on a support, in float64."""
        n = len(self.y)
        stacked = np.vstack([self.X[:, support], np.sqrt(n * self.l2) * np.eye(len(support))])
        target = np.concatenate([self.y, np.zeros(len(support))])
        residual = target - stacked @ np.linalg.lstsq(stacked, target, rcond=None)[0]
        return float(0.5 * (residual @ residual) / n + self.alpha * len(support))

    def f1(self, support: np.ndarray) -> float:
        """Return the F1 score of a support."""
        found = np.intersect1d(support, self.support).size
        return 2.0 * found / max(len(support) + self.support.size, 1)


def draw(setting: Setting, seed: int) -> Instance:
    """Return an instance."""
    rng = np.random.default_rng(seed)
    distance = np.abs(np.subtract.outer(np.arange(setting.p), np.arange(setting.p)))
    factor = np.linalg.cholesky(setting.rho**distance)
    X = np.asfortranarray(rng.standard_normal((setting.n, setting.p)) @ factor.T)
    X /= np.sqrt(np.mean(X**2, axis=0))
    support = np.round(np.linspace(0, setting.p - 1, setting.n_nonzero)).astype(int)
    signal = X[:, support].sum(axis=1)
    noise = np.sqrt(signal @ signal / setting.n / setting.snr)
    y = signal + noise * rng.standard_normal(setting.n)
    alpha_max = 0.5 * np.max(np.abs(X.T @ y / setting.n)) ** 2
    if setting.alpha_share is not None:
        alpha = setting.alpha_share * alpha_max
    else:
        alpha = _middle_alpha(X, y, setting)
    return Instance(X, y, support, float(alpha), setting.l2)


def _middle_alpha(X: np.ndarray, y: np.ndarray, setting: Setting) -> float:
    from sparsereg import l0_path

    k = setting.n_nonzero
    path = l0_path(X, y, l2=setting.l2, max_size=k + 2, fit_intercept=False)
    low, high = path.alpha_low[k], path.alpha_high[k]
    if np.isfinite(low):
        return float(np.sqrt(low * high))
    return float(0.5 * (path.objectives[k - 1] - path.objectives[k + 1]))


@dataclass
class Answer:
    """Supports that a method offers, of which the best counts; and what it says of itself."""

    supports: list[np.ndarray]
    finished: bool = True
    gap: float | None = None


Method = Callable[[Instance, "Context"], Answer]


@dataclass
class Context:
    """What peers are told: the best support found so far, and the time they have."""

    best: np.ndarray
    time_limit: float


def l0_regressor(instance: Instance, context: Context) -> Answer:
    return _ours(instance)


def l0_exact(instance: Instance, context: Context) -> Answer:
    return _ours(instance, exact=True, time_limit=context.time_limit, max_nodes=10**9)


def cel0_irl1(instance: Instance, context: Context) -> Answer:
    from sparsereg import CEL0Regressor

    model = CEL0Regressor(instance.alpha, strategy="irl1", l2=instance.l2, fit_intercept=False)
    return Answer([model.fit(instance.X, instance.y).support_])


def by_size(instance: Instance, context: Context) -> Answer:
    from sparsereg import l0_path

    path = l0_path(instance.X, instance.y, l2=instance.l2, fit_intercept=False)
    return Answer([path.supports[path.at(instance.alpha)]])


def local(strategy: str) -> Method:
    def method(instance: Instance, context: Context) -> Answer:
        from sparsereg import SparseRegressor, penalties

        model = SparseRegressor(
            penalties.L0(instance.alpha), strategy=strategy, fit_intercept=False
        )
        return Answer([model.fit(instance.X, instance.y).support_], model.converged_)

    return method


def _ours(instance: Instance, **options: Any) -> Answer:
    from sparsereg import L0Regressor

    model = L0Regressor(instance.alpha, l2=instance.l2, fit_intercept=False, **options)
    model.fit(instance.X, instance.y)
    return Answer([model.support_], model.converged_, model.optimality_gap_)


def skglm_mcp(instance: Instance, context: Context) -> Answer:
    from skglm.penalties import MCPenalty

    top = np.max(np.abs(instance.X.T @ instance.y)) / len(instance.y)
    alphas = np.geomspace(top, 0.01 * top, 50)
    supports = []
    for gamma in (1.5, 3.0):
        supports += _skglm_path(instance, MCPenalty(1.0, gamma), alphas, "subdiff")
    return Answer(supports)


def skglm_half(instance: Instance, context: Context) -> Answer:
    from skglm.penalties import L0_5

    top = np.max(np.abs(instance.X.T @ instance.y)) / len(instance.y)
    alphas = np.geomspace(2.0 * top**1.5, 0.01 * top**1.5, 50)
    return Answer(_skglm_path(instance, L0_5(1.0), alphas, "fixpoint"))


def _skglm_path(
    instance: Instance, penalty: Any, alphas: np.ndarray, score: str
) -> list[np.ndarray]:
    from skglm.datafits import Quadratic
    from skglm.solvers import AndersonCD
    from skglm.utils.jit_compilation import compiled_clone

    solver = AndersonCD(ws_strategy=score, fit_intercept=False, tol=1e-6)
    coefs = solver.path(
        instance.X, instance.y, compiled_clone(Quadratic()), compiled_clone(penalty), alphas
    )[1]
    unique = {np.flatnonzero(coef).tobytes(): np.flatnonzero(coef) for coef in coefs.T}
    return [support for support in unique.values() if support.size < len(instance.y) // 2]


def abess(instance: Instance, context: Context) -> Answer:
    from abess import LinearRegression

    model = LinearRegression(
        support_size=len(context.best), fit_intercept=False, important_search=0
    )
    return Answer([np.flatnonzero(model.fit(instance.X, instance.y).coef_)])


def el0ps(instance: Instance, context: Context) -> Answer:
    from el0ps.compilation import compiled_clone
    from el0ps.datafit import Leastsquares
    from el0ps.penalty import Bigm, L2norm
    from el0ps.solver import BnbSolver

    n = len(instance.y)
    if instance.l2 > 0:
        penalty = L2norm(0.5 * n * instance.l2)
    else:
        inside = instance.X[:, context.best]
        largest = np.max(np.abs(np.linalg.lstsq(inside, instance.y, rcond=None)[0]), initial=1e-3)
        penalty = Bigm(1.5 * largest)
    result = BnbSolver(relative_gap=1e-8, time_limit=context.time_limit).solve(
        compiled_clone(Leastsquares(instance.y)),
        compiled_clone(penalty),
        instance.X,
        n * instance.alpha,
    )
    finished = str(result.status) == "optimal"
    return Answer([np.flatnonzero(result.x)], finished)


#: (name, package, method); each is told of the best support of those before it.
SEARCH: tuple[tuple[str, str, Method], ...] = (
    (f"{OURS} L0Regressor", OURS, l0_regressor),
    (f"{OURS} CEL0Regressor, irl1", OURS, cel0_irl1),
    (f"{OURS} l0_path", OURS, by_size),
    ("skglm MCP", "skglm", skglm_mcp),
    ("skglm L0.5", "skglm", skglm_half),
    ("abess", "abess", abess),
    ("El0ps", "el0ps", el0ps),
)
STRATEGIES: tuple[tuple[str, str, Method], ...] = (
    *(
        (f"{OURS} SparseRegressor, {name}", OURS, local(name))
        for name in ("path", "irl1", "fbs", "portfolio")
    ),
    (f"{OURS} L0Regressor", OURS, l0_regressor),
)
PROOF: tuple[tuple[str, str, Method], ...] = (
    (f"{OURS} L0Regressor", OURS, l0_regressor),
    (f"{OURS} L0Regressor, exact", OURS, l0_exact),
    ("El0ps", "el0ps", el0ps),
)


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``nonconvex.json`` and ``nonconvex.md``, or ``-quick``."""
    n_instances = repeats or (3 if quick else 100)
    limit = time_limit or (1.0 if quick else 10.0)
    results = measure(SETTINGS, CERTIFIED, n_instances, limit, Console(stderr=True))
    report.write(results, "nonconvex-quick" if quick else "nonconvex", output)


def measure(
    settings: tuple[Setting, ...],
    certified: tuple[Setting, ...],
    n_instances: int,
    time_limit: float,
    console: Console,
) -> dict[str, Any]:
    """Run every installed method on instances of each setting.

    Parameters
    ----------
    settings, certified : tuple of Setting
        Of the first two tables, and of the third.
    n_instances : int
        Instances of each setting.
    time_limit : float
        Seconds for those methods that can be given a limit.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    installed = {OURS, *(name for name in PEERS if _is_usable(name))}
    first = environment.heading(
        "nonconvex",
        [OURS, *PEERS],
        installed,
        instances=n_instances,
        time_limit=time_limit,
        same=_SAME,
    )
    quality = []
    tables = (
        ("search", settings, SEARCH),
        ("strategies", settings, STRATEGIES),
        ("certified", certified, PROOF),
    )
    for table, group, chosen in tables:
        methods = [method for method in chosen if method[1] in installed]
        for setting in group:
            runs = []
            for seed in range(-1, n_instances):  # the first one compiles, and is not counted
                with console.status(f"{table}, {setting}: {seed + 1} of {n_instances}"):
                    outcome = _judge(draw(setting, seed % 2**32), methods, time_limit)
                if seed >= 0:
                    runs.append(outcome)
            quality.append(
                {"table": table, "setting": asdict(setting), "methods": _summarize(runs, methods)}
            )
    return {
        **first,
        "quality": quality,
    }


def _is_usable(package: str) -> bool:
    """Whether a peer can be imported: El0ps needs an MPI library besides."""
    if not environment.version(package):
        return False
    try:
        importlib.import_module("el0ps.solver" if package == "el0ps" else package)
    except (ImportError, RuntimeError):
        return False
    return True


def _judge(
    instance: Instance, methods: list[tuple[str, str, Method]], time_limit: float
) -> dict[str, dict[str, Any]]:
    """Return objective, F1, seconds of every method on an instance."""
    outcome: dict[str, dict[str, Any]] = {}
    context, lowest = Context(np.empty(0, dtype=int), time_limit), np.inf
    for name, _, method in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of peers, and of limits that were set here
            start = time.perf_counter()
            answer = method(instance, context)
            seconds = time.perf_counter() - start
        values = [instance.objective(support) for support in answer.supports]
        best = int(np.argmin(values))
        if values[best] < lowest:
            context.best, lowest = answer.supports[best], values[best]
        outcome[name] = {
            "objective": values[best],
            "f1": instance.f1(answer.supports[best]),
            "seconds": seconds,
            "finished": answer.finished,
            "gap": answer.gap,
        }
    return outcome


def _summarize(
    runs: list[dict[str, dict[str, Any]]], methods: list[tuple[str, str, Method]]
) -> list[dict[str, Any]]:
    best = [min(item["objective"] for item in run.values()) for run in runs]
    rows = []
    for name, package, _ in methods:
        own = [run[name] for run in runs]
        hits = [item["objective"] <= b * (1.0 + _SAME) for item, b in zip(own, best, strict=True)]
        gaps = [item["gap"] for item in own if item["gap"] is not None]
        rows.append(
            {
                "method": name,
                "package": package,
                "share_at_best": float(np.mean(hits)),
                "mean_excess": float(
                    np.mean([i["objective"] / b - 1.0 for i, b in zip(own, best, strict=True)])
                ),
                "f1": float(np.mean([item["f1"] for item in own])),
                "median_seconds": median(item["seconds"] for item in own),
                "finished": float(np.mean([item["finished"] for item in own])),
                "median_gap": median(gaps) if gaps else None,
                "objectives": [item["objective"] for item in own],
                "seconds": [item["seconds"] for item in own],
            }
        )
    return rows
