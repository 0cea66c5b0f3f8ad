"""Family "phase-transition": how many nonzero coefficients can be recovered from how many rows.

y = X beta without noise, X of shape (n, p) with independent Gaussian entries, k of the coefficients
not zero: Gaussian, or +1 and -1. In units of undersampling delta = n / p and sparsity rho = k / n,
recovery by the l1 norm succeeds below a curve and fails above it, in the limit of large p (Donoho
and Tanner, "Counting faces of randomly projected polytopes when the projection radically lowers
dimension", J. AMS, 2009). That curve is computed, by the formula of Donoho, Maleki and Montanari,
"Message-passing algorithms for compressed sensing", PNAS, 2009:

    rho(delta) = max_z [1 - (2 / delta) P(z)] / [1 + z^2 - 2 P(z)],
    P(z) = (1 + z^2) Phi(-z) - z phi(z),

phi and Phi the density and the distribution function of the standard normal.

No method is told k. Each offers the solutions along its path, and the sparsest one that fits y is
its answer; it is a success if it is within a percent of beta. At each delta, rho rises until a
method has failed everywhere twice in a row; beyond that its share is taken to be zero.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from . import environment, report
from .protocol import OURS

__all__ = ["METHODS", "crossing", "l1_curve", "measure", "render", "run"]

# What fits y: residual over y. What is a success: distance over the norm of beta.
_FITS, _SUCCESS = 1e-3, 1e-2
_LAWS = ("gaussian", "signs")
_ALPHAS = np.geomspace(1.0, 1e-5, 60)
_CEL0_ALPHAS = np.geomspace(0.5, 1e-4, 12)
# Best subsets are looked for up to this share of the rows.
_LARGEST_SHARE = 0.8


def l1_curve(delta: float) -> float:
    """Return the sparsity rho up to which the l1 norm recovers, asymptotically."""

    def negative(z: float) -> float:
        P = (1.0 + z * z) * norm.cdf(-z) - z * norm.pdf(z)
        return -(1.0 - 2.0 / delta * P) / (1.0 + z * z - 2.0 * P)

    return -float(minimize_scalar(negative, bounds=(0.0, 10.0), method="bounded").fun)


#: From X and y to the solutions along a path, of shape (p, m).
Path_ = Callable[[np.ndarray, np.ndarray], np.ndarray]


def l1(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import lasso_path

    top = np.max(np.abs(X.T @ y)) / len(y)
    return lasso_path(X, y, alphas=top * _ALPHAS, tol=1e-10)[1]


def half(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import penalties, sparse_path

    return sparse_path(X, y, penalties.Lq(q=0.5), n_alphas=len(_ALPHAS), eps=1e-5)[1]


def cel0(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Reweighted l1 on the relaxation, from zero at each alpha, without moves afterwards."""
    from sparsereg import CEL0Regressor

    top = 0.5 * float(np.max(np.abs(X.T @ y)) / len(y)) ** 2
    fits = [
        CEL0Regressor(alpha, strategy="irl1", n_swaps=0, fit_intercept=False).fit(X, y).coef_
        for alpha in top * _CEL0_ALPHAS
    ]
    return np.column_stack(fits)


def subsets(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    from sparsereg import l0_path

    return l0_path(X, y, max_size=int(_LARGEST_SHARE * len(y)), fit_intercept=False).coefs


METHODS: dict[str, Path_] = {"l1": l1, "l1/2": half, "CEL0": cel0, "l0 with swaps": subsets}


def succeeds(coefs: np.ndarray, X: np.ndarray, y: np.ndarray, beta: np.ndarray) -> bool:
    """Whether the sparsest solution that fits y, or else the last one, is close to beta."""
    fits = np.linalg.norm(y[:, None] - X @ coefs, axis=0) <= _FITS * np.linalg.norm(y)
    candidates = coefs[:, fits] if fits.any() else coefs[:, -1:]
    answer = candidates[:, int(np.argmin(np.count_nonzero(candidates, axis=0)))]
    return bool(np.linalg.norm(answer - beta) <= _SUCCESS * np.linalg.norm(beta))


def draw(n: int, p: int, k: int, law: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X with columns of mean square one, y and beta."""
    rng = np.random.default_rng([seed, n, k])
    X = np.asfortranarray(rng.standard_normal((n, p)))
    X /= np.sqrt(np.mean(X**2, axis=0))
    beta = np.zeros(p)
    values = rng.standard_normal(k) if law == "gaussian" else rng.choice([-1.0, 1.0], k)
    beta[rng.choice(p, k, replace=False)] = values
    return X, X @ beta, beta


def crossing(rhos: np.ndarray, shares: np.ndarray) -> float | None:
    """Return the rho at which the share of successes first falls below one half, interpolated."""
    below = np.flatnonzero(shares < 0.5)
    if not below.size:
        return None
    first = int(below[0])
    if first == 0:
        return float(rhos[0])
    left, right = shares[first - 1], shares[first]
    step = (left - 0.5) / (left - right)
    return float(rhos[first - 1] + step * (rhos[first] - rhos[first - 1]))


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``phase-transition.json`` and ``.md``, or ``-quick``.

    The problems are small: ``time_limit`` is not used.
    """
    p = 60 if quick else 100
    deltas = np.array([0.3, 0.6]) if quick else np.linspace(0.1, 0.9, 9)
    rhos = np.linspace(0.1, 0.9, 5) if quick else np.linspace(0.05, 0.95, 19)
    n_instances = repeats or (3 if quick else 10)
    results = measure(p, deltas, rhos, n_instances, Console(stderr=True))
    name = "phase-transition-quick" if quick else "phase-transition"
    report.write(results, name, output, render)


def measure(
    p: int, deltas: np.ndarray, rhos: np.ndarray, n_instances: int, console: Console
) -> dict[str, Any]:
    """Return the shares of successes on a grid, for both laws and all methods.

    Parameters
    ----------
    p : int
        Number of columns.
    deltas, rhos : ndarray
        Undersampling and sparsity; increasing.
    n_instances : int
        Instances at each point.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    first = environment.heading(
        "phase-transition", [OURS], [OURS],
        p=p, instances=n_instances, rhos=rhos.round(4).tolist(), methods=list(METHODS),
    )  # fmt: skip
    columns = []
    for law in _LAWS:
        for delta in deltas:
            n = round(float(delta) * p)
            with console.status(f"{law} coefficients, n={n}, p={p}"):
                columns.append(_column(n, p, law, rhos, n_instances))
    return {**first, "phase_transition": columns}


def _column(n: int, p: int, law: str, rhos: np.ndarray, n_instances: int) -> dict[str, Any]:
    """Return the shares of successes at one delta."""
    ks = np.maximum(np.round(rhos * n).astype(int), 1)
    column: dict[str, Any] = {"law": law, "n": n, "delta": n / p, "l1_curve": l1_curve(n / p)}
    column["shares"], column["crossings"], column["seconds"] = {}, {}, {}
    for name, method in METHODS.items():
        shares = np.zeros(len(rhos))
        start, runs = time.perf_counter(), 0
        for position, k in enumerate(ks):
            if position > 1 and not shares[position - 2 : position].any():
                break
            for seed in range(n_instances):
                X, y, beta = draw(n, p, int(k), law, seed)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    shares[position] += succeeds(method(X, y), X, y, beta) / n_instances
                runs += 1
        column["shares"][name] = shares.round(4).tolist()
        column["crossings"][name] = crossing(ks / n, shares)
        column["seconds"][name] = (time.perf_counter() - start) / runs
    return column


def render(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the table: where half of the instances are recovered, and the computed curve."""
    methods = results["protocol"]["methods"]
    header = ["coefficients", "δ = n/p", "l1, computed", *(f"{name}: ρ at 50%" for name in methods)]
    rows = [
        [
            column["law"],
            f"{column['delta']:.2f}",
            f"{column['l1_curve']:.3f}",
            *("-" if (c := column["crossings"][name]) is None else f"{c:.3f}" for name in methods),
        ]
        for column in results["phase_transition"]
    ]
    off = [
        abs(column["crossings"]["l1"] - column["l1_curve"])
        for column in results["phase_transition"]
        if column["crossings"]["l1"] is not None
    ]
    protocol = results["protocol"]
    notes = [
        f"p = {protocol['p']}, {protocol['instances']} instances at each of "
        f"{len(protocol['rhos'])} values of ρ = k/n. The 50% point is interpolated."
    ]
    if off:
        notes.append(
            f"The l1 norm and its computed curve differ by {np.mean(off):.3f} in the mean and "
            f"{max(off):.3f} at most."
        )
    return header, rows, notes
