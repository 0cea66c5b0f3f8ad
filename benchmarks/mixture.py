"""Family "mixture": mixtures of sparse regressions, designed and not, held against their targets.

Each experiment is a claim, what was measured, and the target. Problems are drawn by
`make_sparse_mixture` (standard normal coefficients unless a row says otherwise), labels by
`MixtureOracle`; seed s draws problem, design and labels. A run is *exact* if every coefficient is
right to 1e-6, after matching the regressions; *false* if a coefficient that is reported as found
is not.

The peer is our own implementation of what the publication compares with: EM with dense weighted
least squares, from random starts. We know of no other public implementation of any of this.
"""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from . import environment, report
from .protocol import OURS

__all__ = ["measure", "run"]

_PUBLISHED = {"left_degree": 15, "n_repeats": 3, "n_verify": 3, "bin_ratio": 3.71}
_N, _K = 500, 50


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``mixture.json`` and ``mixture.md``, or ``-quick``."""
    n_seeds = repeats or (5 if quick else 100)
    results = measure(n_seeds, quick, Console(stderr=True))
    report.write(results, "mixture-quick" if quick else "mixture", output)


def measure(n_seeds: int, quick: bool, console: Console) -> dict[str, Any]:
    """Run every experiment.

    Parameters
    ----------
    n_seeds : int
        Runs behind each share.
    quick : bool
        Whether to leave out what is large or slow.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    first = environment.heading("mixture", [OURS], {OURS}, quick=quick, seeds=n_seeds)
    decode_once(_N, _K, 2, 0)  # compiles
    experiments: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("designs", lambda: designs(n_seeds)),
        ("false discoveries", lambda: false_discoveries(10 * n_seeds)),
        ("noise", lambda: noise(max(n_seeds // 5, 2))),
        ("decode time", lambda: scaling(quick)),
        ("phase transition", lambda: phase_transition(max(n_seeds // 2, 2), quick)),
        ("sparse EM", lambda: sparse_em(n_seeds, quick)),
        ("dense EM", lambda: dense_em(1 if quick else 2, quick)),
    )
    outcome: dict[str, Any] = {}
    for name, experiment in experiments:
        with console.status(name):
            outcome[name] = experiment()
    claims = [row for name in outcome if name != "phase transition" for row in outcome[name]]
    return {**first, "claims": claims, "phase_transition": outcome["phase transition"]}


def decode_once(
    n: int, size: int, n_components: int, seed: int, *, weights: Any = None, n_shared: int = 0,
    values: str = "gauss", decoder: str = "semi-strong",
    n_timings: int = 1, **design: Any,
) -> dict[str, Any]:  # fmt: skip
    """Draw a problem, measure its design, decode, and compare; the fastest of timings counts."""
    from sparsereg.mixture import (
        MixedColoringRegressor,
        MixtureOracle,
        SparseGraphDesign,
        make_sparse_mixture,
        mixture_errors,
    )

    coef = make_sparse_mixture(
        n, size, n_components, n_shared=n_shared, values=values, random_state=seed
    )
    queries = SparseGraphDesign(n, n_components, size, random_state=seed, **design)
    oracle = MixtureOracle(
        coef, weights, noise_std=design.get("noise_std", 0.0), random_state=seed + 10_000
    )
    y = oracle.answer(queries)
    model = MixedColoringRegressor(decoder=decoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # incomplete decodings are counted, not told
        timings = []
        for _ in range(n_timings):
            start = time.perf_counter()
            model.fit_measurements(y, queries)
            timings.append(time.perf_counter() - start)
    if n * size <= 10**8:
        errors = mixture_errors(coef, model.coef_)
        exact, false = errors.exact, errors.n_false > 0
    else:  # no dense copies
        exact, false = _same_sparse(coef, model.sparse_coef_), False
    return {
        "m": queries.n_queries,
        "exact": bool(exact),
        "false": bool(false),
        "converged": model.converged_,
        "seconds": min(timings),
    }


def _same_sparse(coef: np.ndarray, found: Any) -> bool:
    values = [np.sort(row[row != 0]) for row in coef]
    mine = [np.sort(found[[c]].data) for c in range(found.shape[0])]
    return any(
        len(values) == len(mine)
        and all(len(a) == len(b) and np.allclose(a, b, atol=1e-6) for a, b in zip(values, order))
        for order in (mine, mine[::-1])
    )


def _claim(what: str, setting: str, result: str, target: str = "", met: Any = None) -> dict:
    return {
        "claim": what,
        "setting": setting,
        "result": result,
        "target": target,
        "met": None if met is None else bool(met),
    }


def _shares(runs: list[dict[str, Any]]) -> str:
    exact = sum(run["exact"] for run in runs)
    lied = sum(run["converged"] and not run["exact"] for run in runs)
    seconds = report.duration(median(run["seconds"] for run in runs))
    return (
        f"m = {runs[0]['m']} ({runs[0]['m'] / _K:.1f} K), exact {exact} of {len(runs)}, "
        f"converged and wrong {lied}, decoded in {seconds}"
    )


def designs(n_seeds: int) -> list[dict]:
    """Exact recoveries: published constants, the automatic designs, weights, shared values."""
    cases: tuple[tuple[str, dict[str, Any], float, float], ...] = (
        ("coloring, L=2, published constants", {"method": "coloring", **_PUBLISHED}, 0.95, 33.6),
        ("the same, strong doubletons only",
         {"method": "coloring", "decoder": "strong", **_PUBLISHED}, 0.95, 33.6),
        ("pilot, L=2", {}, 0.95, 15.5),
        ("coloring, L=3", {"method": "coloring", "n_components": 3}, 0.9, np.inf),
        ("coloring, L=4", {"method": "coloring", "n_components": 4}, 0.9, np.inf),
        ("pilot, L=3", {"n_components": 3}, 0.9, np.inf),
        ("pilot, L=4", {"n_components": 4}, 0.9, np.inf),
        ("pilot, weights .7, .3", {"weights": (0.7, 0.3), "min_weight": 0.3}, 0.9, np.inf),
        ("pilot, weights .9, .1", {"weights": (0.9, 0.1), "min_weight": 0.1}, 0.9, np.inf),
        ("coloring, weights .7, .3",
         {"method": "coloring", "weights": (0.7, 0.3), "min_weight": 0.3}, 0.9, np.inf),
        ("coloring, weights .9, .1",
         {"method": "coloring", "weights": (0.9, 0.1), "min_weight": 0.1}, 0.9, np.inf),
        ("pilot, 3 of 25 shared", {"n_shared": 3}, 0.9, np.inf),
        ("pilot, 10 of 25 shared", {"n_shared": 10}, 0.9, np.inf),
        ("pilot, lattice values", {"values": "lattice"}, 0.9, np.inf),
    )  # fmt: skip
    rows = []
    for name, options, share, most in cases:
        options = dict(options)
        n_components = options.pop("n_components", 2)
        runs = [decode_once(_N, _K, n_components, s, **options) for s in range(n_seeds)]
        met = np.mean([r["exact"] for r in runs]) >= share and runs[0]["m"] <= most * _K
        target = f"exact >= {share:.0%}" + (f" at m <= {most:g} K" if np.isfinite(most) else "")
        rows.append(_claim(name, f"n={_N}, K={_K}", _shares(runs), target, met))
    runs = [
        decode_once(_N, _K, 2, s, method="coloring", n_shared=3, **_PUBLISHED)
        for s in range(n_seeds)
    ]
    told = sum(not r["converged"] for r in runs if not r["exact"])
    wrong = sum(not r["exact"] for r in runs)
    rows.append(
        _claim("coloring, 3 of 25 shared", f"n={_N}, K={_K}", f"{wrong} not exact, {told} say so",
               "all say so", told == wrong)
    )  # fmt: skip
    return rows


def false_discoveries(n_runs: int) -> list[dict]:
    """Undersampled runs: nothing may be reported that is not there."""
    rows = []
    for name, options in (
        ("coloring", {"method": "coloring", **_PUBLISHED, "bin_ratio": 10 / 9}),
        ("pilot", {"left_degree": 7, "n_repeats": 2, "n_verify": 2, "bin_ratio": 5 / 6}),
    ):
        runs = [decode_once(_N, _K, 2, s, **options) for s in range(n_runs)]
        false = sum(r["false"] for r in runs)
        lied = sum(r["converged"] and not r["exact"] for r in runs)
        rows.append(
            _claim(f"false discoveries, {name}", f"{n_runs} runs, m = {runs[0]['m']}",
                   f"{false} runs with one, {lied} converged and wrong", "none",
                   false + lied == 0)
        )  # fmt: skip
    return rows


def noise(n_seeds: int) -> list[dict]:
    """Noisy answers of lattice coefficients, 1 to 5 quanta."""
    rows = []
    for sigma in (0.1, 0.2, 0.3, 0.4, 0.5):
        options = {"method": "robust", "quantum": 1.0, "noise_std": sigma, "values": "lattice"}
        runs = [decode_once(_N, _K, 2, s, **options) for s in range(n_seeds)]
        met = np.mean([r["exact"] for r in runs]) >= 0.9 and runs[0]["m"] <= 57_500
        rows.append(
            _claim(f"robust, noise {sigma:g} quanta", f"n={_N}, K={_K}", _shares(runs),
                   "exact >= 90% at m <= 57500", met)
        )  # fmt: skip
    return rows


def scaling(quick: bool) -> list[dict]:
    """Seconds and memory of decoding against K at fixed n, and against n at fixed K."""
    from sparsereg.mixture import (
        MixedColoringRegressor,
        MixtureOracle,
        SparseGraphDesign,
        make_sparse_mixture,
    )

    n = 10**5 if quick else 10**6
    sizes = (100, 1000, 10_000) if quick else (100, 1000, 10_000, 100_000)
    # coefficients of one size: with normal ones, the smallest of 1e5 are below float64's reach
    seconds = [
        median(decode_once(n, k, 2, s, values="lattice", n_timings=5)["seconds"] for s in range(3))
        for k in sizes
    ]
    slope = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    told = ", ".join(f"K={k}: {report.duration(t)}" for k, t in zip(sizes, seconds))
    rows = [
        _claim("decode time, linear in K", f"n={n}, lattice values", f"{told}; slope {slope:.2f}",
               "slope 1 +- .1", abs(slope - 1.0) <= 0.1),
        _claim("decode time at the largest K", f"n={n}, K={sizes[-1]}",
               report.duration(seconds[-1]), "< 1 s", seconds[-1] < 1.0),
    ]  # fmt: skip
    dimensions = (10**4, 10**5, 10**6) if quick else (10**4, 10**5, 10**6, 10**7)
    flat = [
        median(decode_once(d, 100, 2, s, n_timings=5)["seconds"] for s in range(3))
        for d in dimensions
    ]
    told = ", ".join(f"n={d:.0e}: {report.duration(t)}" for d, t in zip(dimensions, flat))
    rows.append(
        _claim("decode time, flat in n", "K=100", told, "within a factor 2",
               max(flat) <= 2.0 * min(flat))
    )  # fmt: skip
    peaks = []
    for k in sizes:
        coef = make_sparse_mixture(n, k, 2, values="lattice", random_state=0)
        design = SparseGraphDesign(n, 2, k)
        y = MixtureOracle(coef, random_state=0).answer(design)
        tracemalloc.start()
        MixedColoringRegressor().fit_measurements(y, design)
        peaks.append(tracemalloc.get_traced_memory()[1] / y.nbytes)
        tracemalloc.stop()
    told = ", ".join(f"K={k}: {p:.0f}" for k, p in zip(sizes, peaks))
    rows.append(
        _claim("peak memory over that of y", f"n={n}", told, "no growth with K",
               peaks[-1] <= 2.0 * min(peaks))
    )  # fmt: skip
    return rows


def phase_transition(n_seeds: int, quick: bool) -> dict[str, Any]:
    """Share of exact recoveries against m / K, and where density evolution puts the transition."""
    from sparsereg.mixture.density_evolution import largest_load, visibility

    ratios = (6, 9, 18, 33) if quick else (4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 21, 24, 27, 30, 33, 36)
    decoders = {
        "coloring, strong": {"method": "coloring", "decoder": "strong", "rows": (3, 3, 15)},
        "coloring, semi-strong": {"method": "coloring", "rows": (3, 3, 15)},
        "pilot": {"rows": (2, 2, 7)},
    }
    out: dict[str, Any] = {"ratios": list(ratios), "sizes": {}, "threshold": {}}
    for size in (50,) if quick else (50, 500):
        shares: dict[str, list[float]] = {}
        for name, options in decoders.items():
            options = dict(options)
            repeats, verify, degree = options.pop("rows")
            shares[name] = [
                float(np.mean([
                    decode_once(
                        10 * size, size, 2, s, left_degree=degree, n_repeats=repeats,
                        n_verify=verify, bin_ratio=ratio / (2 * repeats + verify),
                        **options,
                    )["exact"]
                    for s in range(n_seeds if size == 50 else max(n_seeds // 5, 2))
                ]))
                for ratio in ratios
            ]  # fmt: skip
        out["sizes"][str(size)] = shares
    for name, options in decoders.items():
        repeats, verify, degree = options["rows"]
        coloring = "method" in options
        g = visibility(0.5, repeats, verify, coloring=coloring)
        if coloring:  # where the branching factor is 1
            loads = np.linspace(0.5, 8.0, 400)
            s = 1.0 - (1.0 - g * np.exp(-loads)) ** (degree - 1)
            s = s if "decoder" in options else 1.0
            load = float(loads[(degree - 1) * g * loads * np.exp(-loads) * s >= 1.0].max())
        else:
            load = largest_load(degree, g, 1e-4)
        out["threshold"][name] = 0.5 * degree / load * (2 * repeats + verify)
    return out


def _gaussian(n: int, size: int, m: int, seed: int) -> tuple[Any, Any, Any]:
    from sparsereg.mixture import MixtureOracle, make_sparse_mixture

    coef = make_sparse_mixture(n, size, 2, random_state=seed)
    X = np.asfortranarray(np.random.default_rng(seed).standard_normal((m, n)))
    return coef, X, MixtureOracle(coef, random_state=seed + 10_000)(X)


def sparse_em(n_seeds: int, quick: bool) -> list[dict]:
    """Given Gaussian queries: EM with hard thresholding that is told the size, and the lasso."""
    from sparsereg.mixture import SparseMixtureRegressor, mixture_errors

    def trial(n: int, size: int, m: int, seed: int, **options: Any) -> tuple[Any, float]:
        coef, X, y = _gaussian(n, size, m, seed)
        model = SparseMixtureRegressor(2, fit_intercept=False, random_state=seed, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            model.fit(X, y)
            seconds = time.perf_counter() - start
        return mixture_errors(coef, model.coef_, tol=1e-4), seconds

    rows = []
    known = {"solver": "em-iht", "n_nonzero": _K // 2}
    trial(_N, _K, 600, 0, **known)
    for m in (600,) if quick else (300, 400, 500, 600):
        runs = [trial(_N, _K, m, s, **known) for s in range(n_seeds)]
        exact, seconds = np.mean([e.exact for e, _ in runs]), median(t for _, t in runs)
        judged = m == 600
        rows.append(
            _claim("sparse EM (em-iht, size known)", f"n={_N}, K={_K}, m={m}",
                   f"exact {exact:.0%}, {report.duration(seconds)}",
                   "exact >= 90%, < 0.3 s" if judged else "",
                   exact >= 0.9 and seconds < 0.3 if judged else None)
        )  # fmt: skip
    lasso = [
        trial(_N, _K, 600, s, solver="em-lasso", alpha=0.05) for s in range(max(n_seeds // 10, 1))
    ]
    rows.append(
        _claim("sparse EM (em-lasso, alpha=0.05)", f"n={_N}, K={_K}, m=600",
               f"recall {np.mean([e.recall for e, _ in lasso]):.2f}, precision "
               f"{np.mean([e.precision for e, _ in lasso]):.2f}, error "
               f"{np.mean([e.coef_error for e, _ in lasso]):.2f}, "
               f"{report.duration(median(t for _, t in lasso))}")
    )  # fmt: skip
    if not quick:
        runs = [
            trial(5000, 100, 1500, s, solver="em-iht", n_nonzero=50)
            for s in range(max(n_seeds // 20, 1))
        ]
        exact, seconds = np.mean([e.exact for e, _ in runs]), median(t for _, t in runs)
        rows.append(
            _claim("sparse EM (em-iht, size known)", "n=5000, K=100, m=1500",
                   f"exact {exact:.0%} of {len(runs)}, {report.duration(seconds)}", "< 2 s",
                   seconds < 2.0)
        )  # fmt: skip
    return rows


def dense_em(n_seeds: int, quick: bool) -> list[dict]:
    """The baseline of the publication: weighted least squares in each M-step, random starts."""
    from sparsereg.mixture import mixture_errors

    n, size = (60, 10) if quick else (_N, _K)
    rows = []
    for m in (400,) if quick else (3000, 3500, 4000, 5000):
        outcome, seconds = [], []
        for seed in range(n_seeds):
            coef, X, y = _gaussian(n, size, m, seed)
            start = time.perf_counter()
            found = _dense_em(np.ascontiguousarray(X), y, np.random.default_rng(seed), n_starts=2)
            seconds.append(time.perf_counter() - start)
            outcome.append(mixture_errors(coef, found, tol=1e-4).exact)
        rows.append(
            _claim("dense EM, 2 random starts", f"n={n}, K={size}, m={m}",
                   f"exact {sum(outcome)} of {n_seeds}, {report.duration(median(seconds))}")
        )  # fmt: skip
    ours = [decode_once(n, size, 2, s) for s in range(10)]
    rows.append(
        _claim("pilot design beside it", f"n={n}, K={size}",
               f"m = {ours[0]['m']}, exact {sum(r['exact'] for r in ours)} of 10, "
               f"{report.duration(median(r['seconds'] for r in ours))}",
               "published for coloring: > 300 times faster, a third of the samples")
    )  # fmt: skip
    return rows


def _dense_em(
    X: np.ndarray, y: np.ndarray, rng: np.random.Generator, n_starts: int, n_iter: int = 60
) -> np.ndarray:
    m, n = X.shape
    best, least = np.zeros((2, n)), np.inf
    for _ in range(n_starts):
        coef, weights, variance = rng.standard_normal((2, n)), np.full(2, 0.5), float(np.var(y))
        for _ in range(n_iter):
            squares = (y[:, None] - X @ coef.T) ** 2
            joint = np.log(weights) - 0.5 * squares / variance
            tau = np.exp(joint - joint.max(axis=1, keepdims=True))
            tau /= tau.sum(axis=1, keepdims=True)
            before = coef.copy()
            for r in range(2):
                gram = X.T @ (X * tau[:, [r]]) + 1e-9 * np.eye(n)
                coef[r] = np.linalg.solve(gram, X.T @ (tau[:, r] * y))
            weights = tau.mean(axis=0)
            squares = (y[:, None] - X @ coef.T) ** 2
            variance = max(float(np.sum(tau * squares)) / m, 1e-12)
            if np.max(np.abs(coef - before)) < 1e-7:
                break
        if variance < least:
            best, least = coef.copy(), variance
        if variance < 1e-9:
            break
    return best


def rows_of(results: dict[str, Any]) -> Iterable[list[str]]:
    """Return the rows of the table: claim, setting, result, target, verdict."""
    for row in results["claims"]:
        verdict = "" if row["met"] is None else "met" if row["met"] else "MISSED"
        yield [row["claim"], row["setting"], row["result"], row["target"], verdict]
