"""The command line: ``python -m sparsereg {demo, fit, info, compile, bench}``.

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

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sparsereg")
def main() -> None:
    """Sparse regression with certificates."""


for command in (demo, fit, info, compile_kernels, bench):
    main.add_command(command)
