"""Family "subset-selection": best subset, forward stepwise and lasso, with their successors.

The simulation of Hastie, Tibshirani and Tibshirani, "Best subset, forward stepwise or lasso?",
Statistical Science, 2020, at its low and medium sizes. Rows of X are Gaussian with covariance
Sigma_ij = rho^|i - j|; y = X beta + noise of variance beta' Sigma beta / SNR. Coefficients:

    type 1: s ones at equal distances          type 3: first s, falling linearly from 10 to 0.5
    type 2: first s ones                       type 5: first s ones, then halved at each column

Every method offers models along its path; the one with the least squared error on a validation set
of n further rows is taken. Its error is computed, not estimated: with d = estimate - beta,

    relative test error    (d' Sigma d + sigma^2) / sigma^2      1 is perfect
    relative risk          d' Sigma d / beta' Sigma beta         0 is perfect, 1 the null model

A run that was interrupted goes on where it stopped, from the file that it writes after every cell.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from . import environment, report
from .protocol import OURS

__all__ = ["METHODS", "SNRS", "Setting", "draw", "measure", "render", "run", "settings"]

SNRS = tuple(np.exp(np.linspace(np.log(0.05), np.log(6.0), 10)).round(4).tolist())
_SIZES = {"low": (100, 10, 5), "medium": (500, 100, 5)}
_RHOS = (0.0, 0.35, 0.7)
_TYPES = (1, 2, 3, 5)

_N_ALPHAS, _EPS = 100, 1e-3
_MAX_SIZE = 50
_RELAXATIONS = np.linspace(0.0, 1.0, 10)
_GAMMAS = (1.5, 3.0, 6.0)
_RIDGES = (0.0, 0.03, 0.3)
# Grid of CEL0, each alpha a fit from zero.
_CEL0_ALPHAS = np.geomspace(0.9, 1e-3, 25)


@dataclass(frozen=True)
class Setting:
    """One cell of the grid: ``size`` says what the paper calls n, p and s together."""

    size: str
    n: int
    p: int
    n_nonzero: int
    beta_type: int
    rho: float
    snr: float


def settings(quick: bool = False) -> list[Setting]:
    """Return the published grid, or a few cells of it."""
    grid = product(_SIZES.items(), _TYPES, _RHOS, SNRS)
    cells = [Setting(size, *shape, kind, rho, snr) for (size, shape), kind, rho, snr in grid]
    if quick:
        return [c for c in cells if (c.beta_type, c.rho) == (2, 0.35) and c.snr in SNRS[1::4]]
    return cells


@dataclass(frozen=True)
class Instance:
    """One draw: training and validation rows, the truth and what errors are made of."""

    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    beta: np.ndarray
    covariance: np.ndarray
    noise_variance: float

    def judge(self, coef: np.ndarray) -> dict[str, float]:
        """Return the measures of an estimate."""
        difference = coef - self.beta
        risk = float(difference @ self.covariance @ difference)
        signal = float(self.beta @ self.covariance @ self.beta)
        found, true = coef != 0, self.beta != 0
        return {
            "rte": (risk + self.noise_variance) / self.noise_variance,
            "rr": risk / signal,
            "nnz": float(np.count_nonzero(found)),
            "f1": 2.0 * np.count_nonzero(found & true) / max(found.sum() + true.sum(), 1),
        }


def coefficients(kind: int, p: int, s: int) -> np.ndarray:
    """Return beta of a type."""
    beta = np.zeros(p)
    if kind == 1:
        beta[np.round(np.linspace(0, p - 1, s)).astype(int)] = 1.0
    elif kind == 3:
        beta[:s] = np.linspace(10.0, 0.5, s)
    else:
        beta[:s] = 1.0
        if kind == 5:
            beta[s:] = 0.5 ** np.arange(1, p - s + 1)
    return beta


def draw(setting: Setting, seed: int) -> Instance:
    """Return an instance."""
    rng = np.random.default_rng([seed, setting.beta_type, round(100 * setting.rho)])
    p = setting.p
    covariance = setting.rho ** np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
    factor = np.linalg.cholesky(covariance)
    beta = coefficients(setting.beta_type, p, setting.n_nonzero)
    variance = float(beta @ covariance @ beta) / setting.snr
    X, X_val = (np.asfortranarray(rng.standard_normal((setting.n, p)) @ factor.T) for _ in range(2))
    noise = np.sqrt(variance) * rng.standard_normal((2, setting.n))
    return Instance(
        X, X @ beta + noise[0], X_val, X_val @ beta + noise[1], beta, covariance, variance
    )


#: From training rows to the estimates along the path, of shape (p, m).
Path_ = Callable[[np.ndarray, np.ndarray], np.ndarray]


def lasso(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import lasso_path

    return lasso_path(X, y, eps=_EPS, n_alphas=_N_ALPHAS)[1]


def relaxed_lasso(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Blends of every second lasso of the path with least squares on its support."""
    blends = []
    for coef in lasso(X, y)[:, ::2].T:
        refit = _least_squares(X, y, np.flatnonzero(coef))
        blends += [share * refit + (1.0 - share) * coef for share in _RELAXATIONS]
    return np.column_stack(blends)


def forward_stepwise(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The column that lowers the residual sum of squares most, one after the other."""
    left, residual = X.copy(), y.copy()
    support: list[int] = []
    coefs = [np.zeros(X.shape[1])]
    for _ in range(min(_MAX_SIZE, *X.shape)):
        sq_norms = np.einsum("ij,ij->j", left, left)
        open_ = sq_norms > 1e-10 * X.shape[0]
        open_[support] = False
        if not open_.any():
            break
        gains = np.where(open_, (left.T @ residual) ** 2 / np.where(open_, sq_norms, 1.0), 0.0)
        new = int(np.argmax(gains))
        direction = left[:, new] / np.sqrt(sq_norms[new])
        residual -= direction * (direction @ residual)
        left -= np.outer(direction, direction @ left)
        support.append(new)
        coefs.append(_least_squares(X, y, np.array(support)))
    return np.column_stack(coefs)


def best_subset(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import l0_path

    return l0_path(X, y, max_size=_MAX_SIZE, fit_intercept=False).coefs


def best_subset_ridge(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import l0_path

    paths = [l0_path(X, y, max_size=_MAX_SIZE, l2=l2, fit_intercept=False) for l2 in _RIDGES]
    return np.column_stack([path.coefs for path in paths])


def cel0(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Reweighted l1 on the relaxation, from zero at each alpha, without moves afterwards."""
    from sparsereg import CEL0Regressor

    norms = np.sqrt(np.mean(X**2, axis=0))
    top = 0.5 * float(np.max(np.abs(X.T @ y) / len(y) / norms)) ** 2
    fits = [
        CEL0Regressor(alpha, strategy="irl1", n_swaps=0, fit_intercept=False).fit(X, y).coef_
        for alpha in top * _CEL0_ALPHAS
    ]
    return np.column_stack([np.zeros(X.shape[1]), *fits])


def half(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import penalties, sparse_path

    return sparse_path(X, y, penalties.Lq(q=0.5), eps=_EPS, n_alphas=_N_ALPHAS)[1]


def mcp(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import penalties, sparse_path

    paths = [
        sparse_path(X, y, penalties.MCP(gamma=gamma), eps=_EPS, n_alphas=_N_ALPHAS)[1]
        for gamma in _GAMMAS
    ]
    return np.column_stack(paths)


METHODS: dict[str, Path_] = {
    "lasso": lasso,
    "relaxed lasso": relaxed_lasso,
    "forward stepwise": forward_stepwise,
    "MCP": mcp,
    "l1/2": half,
    "CEL0": cel0,
    "l0": best_subset,
    "l0 + l2": best_subset_ridge,
}


def _least_squares(X: np.ndarray, y: np.ndarray, support: np.ndarray) -> np.ndarray:
    coef = np.zeros(X.shape[1])
    coef[support] = np.linalg.lstsq(X[:, support], y, rcond=None)[0]
    return coef


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``subset-selection.json`` and ``.md``, or ``-quick``.

    The problems are small: ``time_limit`` is not used.
    """
    name = "subset-selection-quick" if quick else "subset-selection"
    folder = report.default_folder() if output is None else output
    n_instances = repeats or (2 if quick else 10)
    state = begin(settings(quick), n_instances, folder / f"{name}.json")
    for so_far in measure(state, Console(stderr=True)):
        report.save(so_far, folder / f"{name}.json")
    report.write(state, name, folder, render)


def begin(cells: list[Setting], n_instances: int, file: Path) -> dict[str, Any]:
    """Return results without any cell, or those of a run of the same that was interrupted."""
    first = environment.heading(
        "subset-selection", [OURS], [OURS],
        instances=n_instances, methods=list(METHODS), grid=[asdict(cell) for cell in cells],
    )  # fmt: skip
    if file.is_file():
        earlier = json.loads(file.read_text())
        same = earlier["protocol"] == json.loads(json.dumps(first["protocol"]))
        if same and len(earlier["subset_selection"]) < len(cells):
            return earlier
    return {**first, "subset_selection": []}


def measure(state: dict[str, Any], console: Console) -> Iterator[dict[str, Any]]:
    """Yield the results after each further cell of the grid.

    Parameters
    ----------
    state : dict
        What :func:`begin` returns; cells are appended to it.
    console : Console
        Where progress is told.
    """
    protocol, cells = state["protocol"], state["subset_selection"]
    grid = protocol["grid"]
    for number in range(len(cells), len(grid)):
        with console.status(f"cell {number + 1} of {len(grid)}: {grid[number]}"):
            cells.append(_cell(Setting(**grid[number]), protocol["instances"]))
        yield state


def _cell(setting: Setting, n_instances: int) -> dict[str, Any]:
    """Return mean and standard error of every measure, and the mean time, for each method."""
    measures: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    for seed in range(n_instances):
        instance = draw(setting, seed)
        for name, method in METHODS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                coefs = method(instance.X, instance.y)
                seconds = time.perf_counter() - start
            errors = np.mean((instance.y_val[:, None] - instance.X_val @ coefs) ** 2, axis=0)
            chosen = coefs[:, int(np.argmin(errors))]
            measures[name].append({**instance.judge(chosen), "seconds": seconds})
    summary = {}
    for name, own in measures.items():
        table = {key: np.array([item[key] for item in own]) for key in own[0]}
        error = 1.0 / np.sqrt(n_instances)
        summary[name] = {
            key: [_short(values.mean()), _short(values.std(ddof=min(1, n_instances - 1)) * error)]
            for key, values in table.items()
        }
    return {"setting": asdict(setting), "methods": summary}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def render(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the table: sizes and SNRs by methods, averaged over types and correlations."""
    methods = results["protocol"]["methods"]
    cells = results["subset_selection"]
    groups = dict.fromkeys((c["setting"]["size"], c["setting"]["snr"]) for c in cells)
    rows, best = [], []
    for size, snr in groups:
        own = [c for c in cells if (c["setting"]["size"], c["setting"]["snr"]) == (size, snr)]
        mean = {
            name: {
                key: float(np.mean([c["methods"][name][key][0] for c in own]))
                for key in ("rte", "nnz", "f1")
            }
            for name in methods
        }
        rows.append(
            [
                f"{size} {snr:g}",
                *(f"{m['rte']:.3f} ({m['f1']:.2f}, {m['nnz']:.1f})" for m in mean.values()),
            ]
        )
        best.append(min(mean, key=lambda name: mean[name]["rte"]))
    notes = [
        "Relative test error (F1 of the support, columns used): means over "
        f"{len({(c['setting']['beta_type'], c['setting']['rho']) for c in cells})} combinations of "
        f"coefficients and correlations, {results['protocol']['instances']} instances each, tuned "
        "on validation rows.",
        "Lowest mean error: "
        + ", ".join(f"{name} in {best.count(name)}" for name in methods if name in best)
        + f" of {len(best)} rows.",
    ]
    seconds = {
        name: float(np.mean([c["methods"][name]["seconds"][0] for c in cells])) for name in methods
    }
    notes.append(
        "Mean time of a whole path: "
        + ", ".join(f"{name} {report.duration(value)}" for name, value in seconds.items())
        + "."
    )
    return ["size, SNR", *methods], rows, notes
