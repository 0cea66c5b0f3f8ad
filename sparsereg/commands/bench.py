"""``python -m sparsereg bench``: the timings against other packages, by family."""

from __future__ import annotations

from pathlib import Path

import click

from sparsereg.commands.messages import InputError, unknown_name


@click.command()
@click.argument("family", required=False)
@click.option(
    "--quick",
    is_flag=True,
    help="Small problems, a few minutes for a family: shows that it runs, not figures to quote.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write the results.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For one fit or path, the same for every package; 60 in a full run.",
)
@click.option("--repeats", type=click.IntRange(min=1), help="Timings behind each median.")
@click.option(
    "--accuracy",
    type=click.FloatRange(min=0, min_open=True),
    metavar="ERROR",
    help="Time to this relative objective error only.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="NAME",
    help="Take this data set only; may be repeated. A wrong name lists the right ones.",
)
@click.pass_context
def bench(
    context: click.Context,
    family: str | None,
    quick: bool,
    output: Path | None,
    time_limit: float | None,
    repeats: int | None,
    accuracy: float | None,
    data: tuple[str, ...],
) -> None:
    """Time sparsereg against the other packages installed here.

    FAMILY is the group of problems to time; without it, the families are listed.

    A package that needs an environment of its own, such as adelie, is measured where
    SPARSEREG_BENCH_PYTHON_ADELIE names the Python interpreter that has it and threadpoolctl. glmnet
    is measured where Rscript is on the PATH and R has it.
    """
    # Lies in benchmarks/ at the top of the repository, where a type checker does not find it.
    from sparsereg.benchmarks import FAMILIES, main  # type: ignore[import-not-found]
    from sparsereg.benchmarks.data import UnknownDataset  # type: ignore[import-not-found]
    from sparsereg.exceptions import BackendUnavailableError

    if family is None:
        width = max(map(len, FAMILIES))
        for name, content in FAMILIES.items():
            click.echo(f"{name:{width}}  {content}")
        return
    if family not in FAMILIES:
        raise InputError(unknown_name("benchmark", family, list(FAMILIES)))
    try:
        status = main(
            family,
            quick=quick,
            output=output,
            time_limit=time_limit,
            repeats=repeats,
            accuracy=accuracy,
            data=data,
        )
    except (UnknownDataset, BackendUnavailableError) as error:
        raise InputError(str(error)) from error
    context.exit(status)
