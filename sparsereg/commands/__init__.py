"""The command line: ``python -m sparsereg {demo, fit, predict, info, compile, bench}``.

Everything heavier than click is imported inside the command that needs it, so that ``--help``
answers at once.
"""

from __future__ import annotations

import click

from sparsereg import __version__
from sparsereg.commands.bench import bench
from sparsereg.commands.compile import compile_kernels
from sparsereg.commands.demo import demo
from sparsereg.commands.fit import fit
from sparsereg.commands.info import info
from sparsereg.commands.predict import predict

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sparsereg")
def main() -> None:
    """Sparse regression with certificates.

    New here? "demo" shows what it does on data that need no download, "fit" is for yours, and
    "info" says what is installed. Each command explains itself: python -m sparsereg fit --help
    """


for command in (demo, fit, predict, info, compile_kernels, bench):
    main.add_command(command)
