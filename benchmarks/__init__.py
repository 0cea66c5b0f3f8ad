"""Side-by-side timings against peers: families of problems, one protocol, one report.

Run them with ``python -m sparsereg bench [family] [--quick] [--data NAME] [--time-limit SECONDS]
[--output FOLDER]``. Peers that are not installed are left out, and the report says how to add them;
one that needs an environment of its own is found by an environment variable, see
`sparsereg.benchmarks.environment`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

__all__ = ["FAMILIES", "main"]

FAMILIES: dict[str, str] = {
    "lasso": "all three of the following, one after the other",
    "lasso-fit": "one lasso fit: time to an objective error of 1e-6 and 1e-10 of the optimum",
    "lasso-path": "100 alphas: time to an error of 1e-6 and 1e-10 of the null objective",
    "lasso-cv": "5 folds x 100 alphas and the final fit, with the tolerances of lasso-path",
    "nonconvex": "l0 solutions: share of instances at the best value known, F1, seconds",
    "nonconvex-path": "100 alphas of MCP and of SCAD: time to coordinate-wise minima",
    "l0-path": "the best models of all sizes, and of one: objectives and time against abess",
    "subset-selection": "ours only: the simulation of Hastie, Tibshirani and Tibshirani",
    "phase-transition": "ours only: what l1, l1/2, CEL0 and l0 recover without noise",
    "privacy": "errors of locally private regression, and the cost of reports",
    "sparse-encode": "thousands of signals in one dictionary: time to the gap of scikit-learn",
    "gpu": "a CUDA device against the CPU of the same machine; needs a device",
    "lasso-ablation": "ours only: the time without each of the solver's ideas in turn",
    "mixture": "mixtures of sparse regressions: designs, decoders and EM against their targets",
    "neural": "sparse training: published claims on small data, accuracy against sparsity",
    "cold-start": "fresh processes: time to import, to the first fit and to compile the kernels",
}

# Families that compare packages on named data sets.
_COMPARISONS = ("lasso-fit", "lasso-path", "lasso-cv")
_TOGETHER = {"lasso": _COMPARISONS}


def main(
    family: str,
    *,
    quick: bool = False,
    output: str | Path | None = None,
    time_limit: float | None = None,
    repeats: int | None = None,
    accuracy: float | None = None,
    data: Sequence[str] = (),
) -> int:
    """Run a family of benchmarks, print its table and write its results.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.
    quick : bool, default=False
        Small problems, few repetitions and short time limits: a few minutes for a family. Its
        figures show that the benchmark runs; they are not for quoting.
    output : path-like or None, default=None
        The folder for a JSON file and a Markdown table. None means ``benchmarks/results`` of a
        source tree, and ``sparsereg-benchmarks`` in the working directory for an installed
        package.
    time_limit : float or None, default=None
        Seconds for one fit or path, the same for every package; a solver that needs more has not
        reached the accuracy, and the results say so. A cross-validation gets them for each path.
        None means 60 s for full runs.
    repeats : int or None, default=None
        Timings behind each median; None means the family's own.
    accuracy : float or None, default=None
        The only relative objective error to be reached; None means each of the family's.
    data : sequence of str, default=()
        Names of the data sets to take; all without any.

    Returns
    -------
    int
        Exit status: 0.

    Raises
    ------
    ValueError
        If there is no such family.
    UnknownDataset
        If there is no such data set; a ValueError, too.
    """
    if family not in FAMILIES:
        raise ValueError(
            f"There is no benchmark family {family!r}. There is: {', '.join(FAMILIES)}."
        )
    from .data import UnknownDataset

    folder = None if output is None else Path(output)
    if family not in _COMPARISONS:
        if data:
            raise UnknownDataset(f"The family {family!r} has no data sets to choose from.")
        _module(family).run(quick=quick, output=folder, repeats=repeats, time_limit=time_limit)
        return 0

    from . import comparison

    names = _TOGETHER.get(family, (family,))
    comparison.run(
        [_module(name).FAMILY for name in names],
        quick=quick,
        output=folder,
        time_limit=time_limit,
        repeats=repeats,
        accuracy=accuracy,
        data=data,
    )
    return 0


def _module(family: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{family.replace('-', '_')}")
