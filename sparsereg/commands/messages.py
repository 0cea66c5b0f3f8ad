"""How a command says what is wrong: one sentence on that, one on what would be right."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console


class InputError(click.ClickException):
    """The user's input cannot be used; printed as one message on stderr, exit code 2."""

    exit_code = 2


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console for tables that prints names as they are: ``[red]`` and ``:x:`` too."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def listed(names: Sequence[str], limit: int = 10) -> str:
    """Return the names as text, cut when there are many."""
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])}, ... ({len(names):,} in all)"


def unknown_name(what: str, name: str, known: Sequence[str]) -> str:
    """Return a message for a name that is not among the known ones, with the close ones."""
    from difflib import get_close_matches

    by_folded_name = {other.casefold(): other for other in known}
    close = [by_folded_name[match] for match in get_close_matches(name.casefold(), by_folded_name)]
    question = f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"There is no {what} {name!r}. {question}The {what}s are: {listed(known)}."


def check_outputs(outputs: dict[str, Path | None], inputs: Iterable[Path] = ()) -> None:
    """Raise InputError unless every output can be written, before anything slow begins.

    Parameters
    ----------
    outputs : dict
        Path of each option; None is skipped.
    inputs : iterable of Path
        Files that were read, which no output may overwrite.
    """
    taken = {path.resolve(): f"{str(path)!r} is an input" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.resolve() in taken:
            reason = taken[path.resolve()]
            raise InputError(f"{option} would overwrite data: {reason}. Give another path.")
        taken[path.resolve()] = f"{option} writes {str(path)!r} too"
        _check_writable(option, path)


def _check_writable(option: str, path: Path) -> None:
    # Permission bits do not tell (root, read-only mounts); opening the file does.
    existed = os.path.lexists(path)
    try:
        path.open("ab").close()
    except OSError as error:
        raise unwritable(option, path, error) from error
    if not existed:
        path.unlink()


def unwritable(option: str, path: Path, error: OSError) -> InputError:
    """Return the error of an output that cannot be written."""
    return InputError(
        f"{option} cannot write {str(path)!r}: {error.strerror or error}. "
        "Give a file in a folder that exists and that you may write to."
    )
