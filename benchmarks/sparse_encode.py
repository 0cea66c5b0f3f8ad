"""Family "sparse-encode": the lasso codes of many signals in one dictionary, at equal duality gap.

The atoms are random directions; a signal is a combination of few of them and noise. scikit-learn
has two algorithms that solve this problem, coordinate descent with a fixed tolerance and LARS. The
gap of a code is computed here, for everybody, from

    (1/2)(1 - a)^2 ||r||^2 + sum_j |w_j| (alpha - a sign(w_j) g_j),    g = D r,

with the largest feasible a <= 1. Ours is then timed at the tolerance that is the largest relative
gap of the peer. It is processor time, the two take turns, and BLAS and kernels are expected to run
on one thread; kernels are compiled before the clock starts.
"""

from __future__ import annotations

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

__all__ = ["SETTINGS", "Setting", "measure", "relative_gaps", "run"]

#: Gaps below this are rounding, for everybody.
_FLOOR = 1e-12


@dataclass(frozen=True)
class Setting:
    """Signals, their dictionary, and the strength of the penalty beside the largest useful one."""

    n_signals: int
    n_features: int
    n_atoms: int
    n_nonzero: int
    share: float


SETTINGS = (
    Setting(4000, 64, 128, 4, 0.1),
    Setting(4000, 64, 256, 4, 0.1),
    Setting(2000, 256, 512, 16, 0.1),
    Setting(2000, 256, 512, 16, 0.03),
    Setting(4000, 100, 100, 5, 0.1),
)
_QUICK = (Setting(200, 20, 30, 3, 0.1),)


def problem(setting: Setting) -> tuple[Any, Any, float]:
    """Return signals, atoms and alpha."""
    rng = np.random.default_rng(0)
    atoms = rng.standard_normal((setting.n_atoms, setting.n_features))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = np.zeros((setting.n_signals, setting.n_atoms))
    for code in codes:
        support = rng.choice(setting.n_atoms, setting.n_nonzero, replace=False)
        code[support] = rng.standard_normal(setting.n_nonzero)
    signals = codes @ atoms
    noise = rng.standard_normal(signals.shape)
    scale = 0.05 * np.linalg.norm(signals, axis=1) / np.linalg.norm(noise, axis=1)
    signals += scale[:, None] * noise
    largest = np.max(np.abs(signals @ atoms.T), axis=1)
    return signals, atoms, setting.share * float(np.median(largest))


def relative_gaps(signals: Any, atoms: Any, alpha: float, codes: Any) -> Any:
    """Return the duality gap of each code, relative to the squared norm of its signal."""
    residuals = signals - codes @ atoms
    gradients = residuals @ atoms.T
    with np.errstate(divide="ignore"):
        scale = np.minimum(1.0, alpha / np.max(np.abs(gradients), axis=1))[:, None]
    terms = np.abs(codes) * np.maximum(alpha - scale * np.sign(codes) * gradients, 0.0)
    squares = np.sum(residuals**2, axis=1)
    gaps = 0.5 * (1 - scale[:, 0]) ** 2 * squares + terms.sum(axis=1)
    return gaps / np.sum(signals**2, axis=1)


def _sklearn(algorithm: str) -> Callable[[Any, Any, float], Any]:
    def encode(signals: Any, atoms: Any, alpha: float) -> Any:
        from sklearn.decomposition import sparse_encode

        return sparse_encode(signals, atoms, algorithm=algorithm, alpha=alpha, max_iter=100_000)

    return encode


PEERS = {f"scikit-learn {name}": _sklearn(name) for name in ("lasso_cd", "lasso_lars")}


def encode(signals: Any, atoms: Any, alpha: float, tol: float) -> Any:
    """Return our codes."""
    from sparsereg import penalties, sparse_encode

    return sparse_encode(signals, atoms, penalties.L1(alpha), tol=tol, max_iter=100_000)


def run(*, quick: bool, output: Path | None, repeats: int | None, time_limit: float | None) -> None:
    """Run the family and write ``sparse-encode.json`` and ``sparse-encode.md``, or ``-quick``.

    The settings are fixed and short: ``time_limit`` is not used.
    """
    settings = _QUICK if quick else SETTINGS
    results = measure(settings, repeats or (1 if quick else 5), Console(stderr=True))
    report.write(results, "sparse-encode-quick" if quick else "sparse-encode", output)


def measure(settings: tuple[Setting, ...], repeats: int, console: Console) -> dict[str, Any]:
    """Time both algorithms of the peer, and ours to the gap of each.

    Parameters
    ----------
    settings : tuple of Setting
    repeats : int
        Timings behind each median.
    console : Console
        Where progress is told.

    Returns
    -------
    dict
        The results, ready for JSON.
    """
    packages = [OURS, "scikit-learn"]
    first = environment.heading("sparse-encode", packages, packages, repeats=repeats)
    cells = []
    for setting in settings:
        signals, atoms, alpha = problem(setting)
        encode(signals[:20], atoms, alpha, 1e-8)  # compiles
        for name, peer in PEERS.items():
            with console.status(f"{setting}: {name}"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cells.append({"setting": asdict(setting), "peer": name}
                             | _compare(signals, atoms, alpha, peer, repeats))  # fmt: skip
    return {**first, "coding": cells}


def _compare(
    signals: Any, atoms: Any, alpha: float, peer: Callable, repeats: int
) -> dict[str, Any]:
    theirs, ours = [], []
    tol = max(
        float(relative_gaps(signals, atoms, alpha, peer(signals, atoms, alpha)).max()), _FLOOR
    )
    for _ in range(repeats):
        seconds, codes = _timed(lambda: peer(signals, atoms, alpha))
        theirs.append(seconds)
        peer_gap = float(relative_gaps(signals, atoms, alpha, codes).max())
        seconds, codes = _timed(lambda: encode(signals, atoms, alpha, tol))
        ours.append(seconds)
        gap = float(relative_gaps(signals, atoms, alpha, codes).max())
    return {
        "peer_seconds": median(theirs), "peer_gap": peer_gap, "seconds": median(ours), "gap": gap,
        "tol": tol, "nonzeros": float(np.mean(np.count_nonzero(codes, axis=1))),
    }  # fmt: skip


def _timed(encoded: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    codes = encoded()
    return time.process_time() - start, codes
