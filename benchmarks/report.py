"""Results as JSON, as a Markdown table and on the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# Cells cut to fit a narrow terminal cannot be read at all; wrapped lines still can.
_MIN_WIDTH = 130
# Load average per CPU at the start above which others were computing, too.
_BUSY = 0.25

__all__ = ["default_folder", "duration", "one_line", "write"]


def write(results: dict[str, Any], name: str, folder: Path | None) -> Path:
    """Print the results and write ``<name>.json`` and ``<name>.md``.

    Parameters
    ----------
    results : dict
        Of a family; see `sparsereg.benchmarks.lasso.measure` and
        `sparsereg.benchmarks.cold_start.measure`.
    name : str
    folder : Path or None
        Created if missing; None means `default_folder`.

    Returns
    -------
    Path
        The JSON file.
    """
    folder = default_folder() if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    header, rows, notes = (_cold_start if "measurements" in results else _comparison)(results)
    notes += _busy_note(results["environment"])

    file = folder / f"{name}.json"
    file.write_text(json.dumps(_without_infinities(results), indent=1, allow_nan=False) + "\n")
    file.with_suffix(".md").write_text(_markdown(results, header, rows, notes))

    console = Console()
    console.width = max(console.width, _MIN_WIDTH)
    table = Table(*header, title=results["family"])
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for note in notes:
        console.print(note)
    console.print(f"Written to {file} and {file.with_suffix('.md').name}.")
    return file


def default_folder() -> Path:
    """Return ``benchmarks/results`` of a source tree, else a folder in the working directory."""
    here = Path(__file__).resolve().parent
    in_source_tree = (here.parent / "pyproject.toml").is_file()
    return here / "results" if in_source_tree else Path("sparsereg-benchmarks")


def duration(seconds: float | None) -> str:
    """Return seconds with three digits and a fitting unit; "never" for None."""
    if seconds is None:
        return "never"
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def one_line(problem: dict[str, Any]) -> str:
    """Return a line on one problem: how the fastest peer and we compare at each target."""
    ratios = ", ".join(f"{cell['target']:.0e}: {_ratio(cell)}" for cell in problem["cells"])
    return f"{problem['dataset']}, alpha/alpha_max = {problem['alpha_ratio']:g}: {ratios}"


def _comparison(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each problem and target, one column for each package, and the ratio."""
    packages, problems = results["packages"], results["problems"]
    header = ["data", "α/α_max", "error", *packages, "ours / best peer"]
    rows = [
        [
            problem["dataset"],
            f"{problem['alpha_ratio']:g}",
            f"{cell['target']:.0e}",
            *(_package_cell(cell["packages"].get(package)) for package in packages),
            _ratio(cell),
        ]
        for problem in problems
        for cell in problem["cells"]
    ]
    notes = [_summary_note(summary) for summary in results["summary"]]
    for problem in problems:
        if not problem["reference"]["certified"]:
            notes.append(
                f"{problem['dataset']} at {problem['alpha_ratio']:g}: no row, because no solver, "
                f"ours included, certified the optimum within the time limit (relative gap "
                f"{problem['reference']['relative_gap']:.0e})."
            )
    notes += [f"{name} is not installed." for name in results["not_installed"]]
    notes += [f"{item['dataset']} was skipped: {item['reason']}." for item in results["skipped"]]
    return header, rows, notes


def _cold_start(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    header = ["what", "package", "median", "range", "target"]
    rows = []
    for item in results["measurements"]:
        seconds, target = item["seconds"], item["target_seconds"]
        verdict = "" if target is None else f"{'<' if item['met'] else 'MISSED:'} {target:g} s"
        spread = f"{duration(min(seconds))} - {duration(max(seconds))}" if seconds else "-"
        median = duration(item["median"]) if seconds else item["why"]
        rows.append([item["what"], item["package"], median, spread, verdict])
    loaded = results["imports"]["heavy_modules_loaded"]
    notes = [
        f"import sparsereg loads {results['imports']['n_modules']} modules; of "
        f"{', '.join(results['imports']['heavy_modules'])} it loads {', '.join(loaded) or 'none'}."
    ]
    notes += [
        f"{item['what']}: {len(item['kernels_met'])} kernels; these fits do not meet "
        f"{', '.join(item['kernels_not_met']) or 'no other'}."
        for item in results["measurements"]
        if item["what"] == "all kernels"
    ]
    notes += [f"{name} is not installed." for name in results["not_installed"]]
    return header, rows, notes


def _busy_note(machine: dict[str, Any]) -> list[str]:
    load, cpus = machine["load_average"], machine["usable_cpus"]
    if load is None or cpus is None or load < _BUSY * cpus:
        return []
    return [f"The load was {load:g} on {cpus} CPUs before the start: not figures to quote."]


def _without_infinities(value: Any) -> Any:
    """Return the value with None for infinities and NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _package_cell(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return duration(entry["seconds"]) if entry["seconds"] is not None else f"never ({entry['why']})"


def _ratio(cell: dict[str, Any]) -> str:
    if cell["ratio"] is not None:
        return f"{cell['ratio']:.2f} ({cell['fastest_peer']})"
    if cell["fastest_peer"] is not None:
        return f"only {cell['fastest_peer']}"
    return "no peer"


def _summary_note(summary: dict[str, Any]) -> str:
    where = "All targets" if summary["target"] is None else f"Error {summary['target']:.0e}"
    mean = summary["geometric_mean"]
    text = "no ratio" if mean is None else f"geometric mean of ours / best peer {mean:.2f}"
    return (
        f"{where}: {text} over {summary['n_ratios']} cells, faster in {summary['n_faster']}; "
        f"only peers reach {summary['only_peers']} more, only we reach {summary['only_ours']}."
    )


def _markdown(
    results: dict[str, Any],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Sequence[str],
) -> str:
    machine = results["environment"]
    versions = ", ".join(f"{name} {v}" for name, v in machine["versions"].items() if v)
    lines = [
        f"# Benchmark: {results['family']}",
        "",
        f"{results['date'][:10]}, {machine['cpu']}, {machine['usable_cpus']} CPUs, "
        f"Python {machine['python']}, {versions}.",
        "",
        "| " + " | ".join(header) + " |",
        "|" + " --- |" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        *(f"- {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"
