"""Results as JSON, as a Markdown table and on the terminal."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDEST = 1000
# Resident memory comes in pages, and allocators keep some.
_NOISE_MIB = 1.0
# Load average per CPU at the start above which others were computing, too.
_BUSY = 0.25

__all__ = ["default_folder", "duration", "not_installed_notes", "one_line", "save", "write"]

#: From results to the header, the rows and the notes of a table.
Renderer = Callable[[dict[str, Any]], tuple[list[str], list[list[str]], list[str]]]


def write(
    results: dict[str, Any], name: str, folder: Path | None, render: Renderer | None = None
) -> Path:
    """Print the results and write ``<name>.json`` and ``<name>.md``.

    Parameters
    ----------
    results : dict
        Of a family; see `sparsereg.benchmarks.comparison.measure` and
        `sparsereg.benchmarks.cold_start.measure`.
    name : str
    folder : Path or None
        Created if missing; None means `default_folder`.
    render : callable or None
        Of a family that makes its own table; None finds one here.

    Returns
    -------
    Path
        The JSON file.
    """
    folder = default_folder() if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    renderers = {
        "measurements": _cold_start,
        "quality": _quality,
        "local_paths": _local_paths,
        "ablation": _ablation,
        "privacy": _privacy,
        "claims": _claims,
        "neural": _neural,
        "coding": _coding,
        "device": _device,
    }
    if render is None:
        render = next((renderers[key] for key in renderers if key in results), _comparison)
    header, rows, notes = render(results)
    notes += _busy_note(results["environment"])

    file = folder / f"{name}.json"
    save(results, file)
    file.with_suffix(".md").write_text(_markdown(results, header, rows, notes))

    table = Table(*header, title=results["family"])
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, emoji=False)
    # Cells cut to fit a narrow terminal cannot be read at all; wrapped lines still can.
    widest = console.options.update(max_width=_WIDEST)
    width = max(console.width, console.measure(table, options=widest).maximum)
    Console(width=width).print(table)
    for note in notes:
        console.print(note)
    console.print(f"Written to {file} and {file.with_suffix('.md').name}.")
    return file


def save(results: dict[str, Any], file: Path) -> None:
    """Write results as JSON; the file is replaced as a whole, also where this is interrupted."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".new")
    new.write_text(json.dumps(_without_infinities(results), indent=1, allow_nan=False) + "\n")
    new.replace(file)


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
    return f"{_where(problem)}: {ratios or 'no certified optimum'}"


def _comparison(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each problem and target, one column for each package, then ratio and memory."""
    packages, problems = results["packages"], results["problems"]
    ours_and_peers = ["ours / best peer", "memory / X", "least peer's"]
    header = ["data", "α/α_max", "error", *packages, *ours_and_peers]
    rows = [
        [
            problem["dataset"],
            problem["alphas"],
            f"{cell['target']:.0e}",
            *(_package_cell(cell["packages"].get(package)) for package in packages),
            _ratio(cell),
            *_memory(cell["packages"], results["ours"], problem["x_mib"]),
        ]
        for problem in problems
        for cell in problem["cells"]
    ]
    notes = [_summary_note(summary) for summary in results["summary"]]
    notes += [_verdict_note(item) for item in results["verdicts"]]
    if results.get("quick") and results["verdicts"]:
        notes.append("These are the small problems of a quick run; the targets are for the others.")
    notes.append(_memory_note(results))
    notes += [
        f"{_where(problem)}: no row at {', '.join(f'{t:.0e}' for t in uncertified)}, because no "
        f"solver, ours included, certified the optimum to a tenth of that within the time limit "
        f"(relative gap {problem['reference']['relative_gap'] or float('inf'):.0e})."
        for problem in problems
        if (uncertified := problem["reference"]["uncertified"])
    ]
    notes += not_installed_notes(results)
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
    notes += not_installed_notes(results)
    return header, rows, notes


def _claims(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each experiment: what was measured, beside its target."""
    from .mixture import rows_of

    phase = results["phase_transition"]
    notes = [
        f"Phase transition of {name}: density evolution puts it at m = {at:.1f} K."
        for name, at in phase["threshold"].items()
    ]
    notes += [
        f"K = {size}, {name}, exact at m / K: "
        + ", ".join(f"{r}: {share:.0%}" for r, share in zip(phase["ratios"], shares, strict=True))
        + "."
        for size, by_decoder in phase["sizes"].items()
        for name, shares in by_decoder.items()
    ]
    return ["experiment", "setting", "result", "target", ""], list(rows_of(results)), notes


def _quality(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each setting and method: how often it has the best value known, and its time."""
    header = [
        "setting",
        "method",
        "at best known",
        "mean excess",
        "F1",
        "median time",
        "finished",
        "gap",
    ]
    rows = []
    for block in results["quality"]:
        s = block["setting"]
        where = f"{block['table']}: n={s['n']} p={s['p']} k={s['n_nonzero']} "
        where += f"ρ={s['rho']:g} SNR={s['snr']:g}"
        where += f" l2={s['l2']:g}" if s["l2"] else ""
        for item in block["methods"]:
            gap = item["median_gap"]
            rows.append(
                [
                    where,
                    item["method"],
                    f"{item['share_at_best']:.2f}",
                    f"{item['mean_excess']:.1e}",
                    f"{item['f1']:.3f}",
                    duration(item["median_seconds"]),
                    f"{item['finished']:.2f}",
                    "-" if gap is None else f"{gap:.1e}",
                ]
            )
    protocol = results["protocol"]
    notes = [
        f"{protocol['instances']} instances a setting; values equal to {protocol['same']:.0e} are "
        f"the same; methods that take a time limit got {protocol['time_limit']:g} s."
    ]
    return header, rows, notes + not_installed_notes(results)


def _ablation(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each task: the time with everything, and how many times that without an idea."""
    ideas = results["protocol"]["ideas"]
    rows = []
    for task in results["ablation"]:
        whole = task["seconds"]["everything"]
        factors = [f"{task['seconds'][idea] / whole:.2f}" for idea in ideas]
        rows.append([task["task"], f"{task['largest_gap']:.0e}", duration(whole), *factors])
    header = ["task", "largest gap", "everything", *(f"without {idea}" for idea in ideas)]
    notes = [
        "Times with an idea off are multiples of the time with everything on. The largest duality "
        "gap of all variants is in mean squares of the centered y; asked for: "
        f"{results['protocol']['tol']:.0e}."
    ]
    return header, rows, notes


def _privacy(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each setting and arm: the median error, its range, and the target of ours."""
    header = ["setting", "arm", "told", "median error", "range", "draws", "target"]
    rows = []
    for block in results["privacy"]:
        where = f"{block['setting']}: n={block['n']:g} d={block['d']} ρ={block['rho']:g}"
        where += f" ε={block['epsilon']:g}" if block["epsilon"] != 1 else ""
        where += f", above {block['above']}" if block["above"] else ""
        for k, arm in enumerate(block["arms"]):
            verdict = ""
            if k == 0 and block["target"] is not None:
                verdict = f"{'≤' if block['met'] else 'MISSED:'} {block['target']:g}"
            spread = f"{min(arm['errors']):.3f} - {max(arm['errors']):.3f}"
            rows.append(
                [
                    where,
                    arm["arm"],
                    arm["told"],
                    f"{arm['median']:.3f}",
                    spread,
                    str(len(arm["errors"])),
                    verdict,
                ]
            )
    notes = [
        f"{results['protocol']['draws']} draws a setting, fewer for slow arms. Targets are for the "
        f"first arm. Published "
        f"algorithms get, on every draw, the best of their tunings, chosen by the truth."
    ]
    notes += [
        f"Reports of the statistic {item['statistic']!r} of 100 features ({item['dimension']} "
        f"entries): {item['report_bytes']} bytes, {item['client_ms']:.2g} ms on the client, "
        f"{item['reports_per_second']:.2g} a second on the server; its state has "
        f"{item['state_bytes_after_1000']} bytes after 1,000 reports and "
        f"{item['state_bytes_at_end']} after {item['n_reports']:,} (without ids of duplicates)."
        for item in results["costs"]
    ]
    return header, rows, notes


def _local_paths(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each setting and accuracy: times, their ratio, and whose minima are lower."""
    cells = results["local_paths"]
    ours, *peers = cells[0]["packages"] if cells else [""]
    header = ["problem", "accuracy", ours]
    for peer in peers:
        header += [peer, f"{ours} / {peer}", f"objective of {peer} less ours"]
    rows, ratios = [], []
    for cell in cells:
        s, own = cell["setting"], cell["packages"][ours]
        where = f"{s['penalty']} γ={s['gamma']:g} n={s['n']} p={s['p']} ρ={s['rho']:g}"
        row = [where, f"{cell['accuracy']:.0e}", duration(own and own["seconds"])]
        for peer in peers:
            other = cell["packages"][peer]
            ratio = own["seconds"] / other["seconds"] if own and other else None
            ratios += [ratio] if ratio else []
            excess = other["excess"] if other else None
            row += [
                duration(other and other["seconds"]),
                "-" if ratio is None else f"{ratio:.2f}",
                "-" if excess is None else f"{excess:+.1e}",
            ]
        rows.append(row)
    notes = ["The differences of objectives are means over the alphas, in null objectives."]
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        notes.append(f"Geometric mean of the ratios {mean:.2f}, worst {max(ratios):.2f}.")
    return header, rows, notes + not_installed_notes(results)


def _neural(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each variant: means over the seeds, and the lowest and highest score."""
    rows, notes = [], []
    for item in results["neural"]:
        for outcome in item["outcomes"]:
            left, score = outcome["left"], outcome["score"]
            left_mean = sum(left) / len(left)
            text = f"{left_mean:.3f}" if item["left"] == "weights left" else f"{left_mean:.1f}"
            rows.append(
                [
                    item["experiment"],
                    outcome["variant"],
                    f"{text} {item['left']}",
                    f"{sum(score) / len(score):.4f} ({min(score):.4f} to {max(score):.4f})",
                ]
            )
        verdict = "seen" if item["seen"] else "not seen"
        if item.get("skipped"):
            verdict = f"skipped, {item['skipped']}"
        note = f" {item['note']}" if item.get("note") else ""
        notes.append(
            f"{item['experiment']}: {item['claim']}: {verdict} ({item['seconds']:.0f} s).{note}"
        )
    seeds = len(results["protocol"]["seeds"])
    notes.append(
        f"Means over {seeds} seeds, lowest and highest in brackets. Data: "
        f"{results['protocol']['data']}; photographs of scikit-learn. Accuracy or share of "
        f"variance explained, on data not trained on, nor chosen with."
    )
    return ["experiment", "variant", "left", "score"], rows, notes


def _coding(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each setting and algorithm of a peer: its gap, its time and ours to that gap."""
    header = ["signals", "nonzeros", "peer", "its gap", "its time", "our time", "peer / ours"]
    rows = [
        [
            f"{s['n_signals']} of {s['n_features']}, {s['n_atoms']} atoms, α/α_max={s['share']:g}",
            f"{cell['nonzeros']:.1f}",
            cell["peer"],
            f"{cell['peer_gap']:.0e}",
            duration(cell["peer_seconds"]),
            duration(cell["seconds"]),
            f"{cell['peer_seconds'] / cell['seconds']:.1f}",
        ]
        for cell in results["coding"]
        for s in [cell["setting"]]
    ]
    notes = [
        "Gaps: the largest of all signals, relative to the squared norm of the signal, from one "
        "function for both. Ours is at most the peer's, or 1e-12 where that is larger."
    ]
    return header, rows, notes


def _device(results: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """One row for each task: the time on the device, on the CPU, and what limits it."""
    header = ["task", "device", "CPU", "CPU / device", "bytes/s", "of a copy", "difference"]
    rows = [
        [
            item["task"],
            duration(item["device_seconds"]),
            duration(item["cpu_seconds"]),
            f"{item['cpu_seconds'] / item['device_seconds']:.2f}",
            "" if item["bandwidth"] is None else f"{item['bandwidth'] / 1e12:.2f} TB/s",
            "" if item["bandwidth"] is None else f"{item['bandwidth'] / results['copy']:.0%}",
            f"{item['difference']:.0e}",
        ]
        for item in results["device"]
    ]
    facts = results["device_facts"]
    notes = [
        f"{facts['name']}, {facts['memory'] / 1e9:.0f} GB, CuPy {facts['cupy']}; a copy within the "
        f"device moves {results['copy'] / 1e12:.2f} TB/s. X is on the device already, and the CPU "
        f"has {results['environment']['usable_cpus']} processors. Difference: the largest, "
        "relative to the largest entry of the result of the CPU."
    ]
    notes += _crossovers(results["device"])
    if results["left_out"]:
        notes.append(f"No time was left for: {'; '.join(results['left_out'])}.")
    return header, rows, notes


def _crossovers(items: list[dict[str, Any]]) -> list[str]:
    """Return, for each curve, from which size on the device was faster."""
    notes = []
    for name in dict.fromkeys(item["curve"][0] for item in items if item["curve"]):
        points = sorted(
            (item["curve"][1], item["device_seconds"] < item["cpu_seconds"])
            for item in items
            if item["curve"] and item["curve"][0] == name
        )
        faster = list(itertools.takewhile(lambda point: point[1], reversed(points)))
        where = f"from {faster[-1][0]:,.0f} on" if faster else "at no size"
        unit = "signals" if name.startswith("codes") else "bytes of X"
        notes.append(f"Crossover, {name}: the device is faster {where} ({unit}).")
    return notes


def not_installed_notes(results: dict[str, Any]) -> list[str]:
    """Return a note for each peer that did not take part."""
    return [f"{name} is not here: {how}." for name, how in results["not_installed"].items()]


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


def _where(problem: dict[str, Any]) -> str:
    return f"{problem['dataset']}, alpha/alpha_max {problem['alphas']}"


def _ratio(cell: dict[str, Any]) -> str:
    if cell["ratio"] is not None:
        return f"{cell['ratio']:.2f} ({cell['fastest_peer']})"
    if cell["fastest_peer"] is not None:
        return f"only {cell['fastest_peer']}"
    return "no peer"


def _memory(packages: dict[str, Any], ours: str, x_mib: float) -> list[str]:
    """Return our peak memory and the least of a peer that reaches the error, as shares of X."""
    peaks = {name: (entry or {}).get("peak_mib") for name, entry in packages.items()}
    own = peaks.pop(ours, None)
    peers = [peak for peak in peaks.values() if peak is not None]
    return ["-" if p is None else f"{p / x_mib:.0%}" for p in (own, min(peers, default=None))]


def _memory_note(results: dict[str, Any]) -> str:
    """Hold our memory against a fifth of X or the Gram matrix of the working set, and the answer.

    How often that of the support would do, which is smaller, is said besides.
    """
    too_much, n_known, n_by_support = [], 0, 0
    for problem in results["problems"]:
        for cell in problem["cells"]:
            own = cell["packages"].get(results["ours"], {})
            if own.get("peak_mib") is None:
                continue
            n_known += 1

            def allowed(n_columns: int, own: Any = own, x_mib: float = problem["x_mib"]) -> float:
                return max(0.2 * x_mib, 8 * n_columns**2 / 2**20) + own["answer_mib"] + _NOISE_MIB

            support = own["n_nonzero"]
            working_set = max(own.get("working_set") or 0, support)
            n_by_support += own["peak_mib"] <= allowed(support)
            if own["peak_mib"] > allowed(working_set):
                too_much.append(
                    f"{_where(problem)} at {cell['target']:.0e} ({own['peak_mib']:.3g} instead of "
                    f"{allowed(working_set):.3g} MiB, {working_set} columns)"
                )
    text = (
        "Our peak memory beyond X is at most a fifth of X or the Gram matrix of the largest "
        f"working set, plus the coefficients returned and {_NOISE_MIB:g} MiB of the process, in "
        f"{n_known - len(too_much)} of {n_known} cells ({n_by_support} by the Gram matrix of the "
        "support)"
    )
    return f"{text}; more in {', '.join(too_much)}." if too_much else f"{text}."


def _verdict_note(item: dict[str, Any]) -> str:
    mean, worst = (
        "none" if item[key] is None else f"{item[key]:.2f}" for key in ("geometric_mean", "worst")
    )
    missing = item["n_expected"] - item["n_cells"]
    return (
        f"Target at {item['error']:.0e} {'met' if item['met'] else 'MISSED'}: "
        f"geometric mean {mean} (wanted: {item['geometric_mean_wanted']:g}), "
        f"worst cell {worst} (wanted: {item['worst_wanted']:g}), "
        f"{item['n_lost']} of {item['n_cells']} cells not reached by us, {missing} not judged."
    )


def _summary_note(summary: dict[str, Any]) -> str:
    where = "All accuracies" if summary["target"] is None else f"Error {summary['target']:.0e}"
    mean = summary["geometric_mean"]
    text = (
        "no ratio"
        if mean is None
        else f"geometric mean of ours / best peer {mean:.2f}, worst {summary['worst']:.2f}"
    )
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
