"""Side-by-side timings against peers: one module per family, one protocol, one report.

Run them with ``python -m sparsereg bench [family] [--quick] [--time-limit SECONDS]
[--output FOLDER]``.
"""

from __future__ import annotations

import importlib
from pathlib import Path

__all__ = ["FAMILIES", "main"]

FAMILIES: dict[str, str] = {
    "lasso": "one lasso fit: time to a relative objective error of 1e-4, 1e-6 and 1e-8",
    "cold-start": "fresh processes: time to import, to the first fit and to compile the kernels",
}


def main(
    family: str,
    *,
    quick: bool = False,
    output: str | Path | None = None,
    time_limit: float | None = None,
    repeats: int | None = None,
    accuracy: float | None = None,
) -> int:
    """Run a family of benchmarks, print its table and write its results.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.
    quick : bool, default=False
        Small problems, few repetitions and short time limits: a few minutes at most. Its figures
        show that the benchmark runs; they are not for quoting.
    output : path-like or None, default=None
        The folder for a JSON file and a Markdown table. None means ``benchmarks/results`` of a
        source tree, and ``sparsereg-benchmarks`` in the working directory for an installed
        package.
    time_limit : float or None, default=None
        Seconds for one fit, the same for every package; a solver that needs more has not reached
        the accuracy, and the results say so. None means the family's own, 60 s for full runs.
    repeats : int or None, default=None
        Timings behind each median; None means the family's own.
    accuracy : float or None, default=None
        The only relative objective error to be reached; None means each of the family's.

    Returns
    -------
    int
        Exit status: 0.

    Raises
    ------
    ValueError
        If there is no such family.
    """
    if family not in FAMILIES:
        raise ValueError(
            f"There is no benchmark family {family!r}. There is: {', '.join(FAMILIES)}."
        )
    module = importlib.import_module(f"{__name__}.{family.replace('-', '_')}")
    folder = None if output is None else Path(output)
    module.run(
        quick=quick, output=folder, time_limit=time_limit, repeats=repeats, accuracy=accuracy
    )
    return 0
