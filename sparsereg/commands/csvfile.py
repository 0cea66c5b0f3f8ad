"""Numeric CSV files in, with one message that names the first thing that is wrong.

The csv module and ``float`` read ten million cells in a few seconds, and unlike numpy.loadtxt
they know which cell could not be read.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparsereg.commands.messages import InputError, listed, unknown_name

if TYPE_CHECKING:
    import numpy as np

#: Sums of squares of larger numbers overflow float64.
LARGEST = 1e150

Choose = Callable[[list[str]], list[str]]


def read_table(
    path: Path, target: str | None, delimiter: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read a file whose columns are all numeric: the target, and the features.

    Parameters
    ----------
    path : Path
        A UTF-8 text file with a header line.
    target : str or None
        Name of the column to predict; None is refused, with the names there are.
    delimiter : str
        The character between two cells.

    Returns
    -------
    features : list of str
        In the order of the file.
    X : ndarray of shape (n_rows, n_features)
        In Fortran order.
    y : ndarray of shape (n_rows,)

    Raises
    ------
    InputError
        If the file cannot be read as such a table.
    """

    def features_then_target(names: list[str]) -> list[str]:
        checked = check_header(path, names, target)
        return [name for name in names if name != checked] + [checked]

    names, values = _read(path, delimiter, features_then_target)
    return names[:-1], values[:, :-1], values[:, -1]


def read_features(path: Path, features: list[str], delimiter: str) -> np.ndarray:
    """Read the named columns, in the order of the names, wherever they are in the file.

    Parameters
    ----------
    path : Path
        A UTF-8 text file with a header line; columns that are not named may hold anything.
    features : list of str
        The columns to read.
    delimiter : str
        The character between two cells.

    Returns
    -------
    ndarray of shape (n_rows, n_features)

    Raises
    ------
    InputError
        If a column is missing or the file cannot be read.
    """

    def the_features(names: list[str]) -> list[str]:
        missing_columns(path, features, names)
        wanted = set(features)
        _check_unique(path, [name for name in names if name in wanted])
        return features

    return _read(path, delimiter, the_features)[1]


def _read(path: Path, delimiter: str, choose: Choose) -> tuple[list[str], np.ndarray]:
    """Return the columns that ``choose`` picks from the header, and their values."""
    import numpy as np

    rows: list[np.ndarray] = []
    with _rows(path, delimiter) as reader:
        lines = filter(_is_not_blank, reader)
        header = next(lines, None)
        if header is None:
            raise InputError(
                f"{str(path)!r} is empty. It should hold a header line with the column names "
                "and one line per row."
            )
        names = [name.strip() for name in header]
        chosen = choose(names)
        position_of = {name: position for position, name in enumerate(names)}
        positions = [position_of[name] for name in chosen]
        for row in lines:
            numbers = _numbers(row, positions) if len(row) == len(names) else None
            if numbers is None:
                where = f"{str(path)!r}, row {len(rows) + 1:,} (line {reader.line_num:,})"
                raise InputError(f"{where}{_row_complaint(row, names, positions)}")
            rows.append(numbers)
    if not rows:
        raise InputError(f"{str(path)!r} has a header line and no rows. It needs rows of data.")
    return chosen, np.stack(rows, out=np.empty((len(rows), len(chosen)), order="F"))


@contextmanager
def _rows(path: Path, delimiter: str) -> Iterator[Any]:
    """Open a text file as a csv reader, and turn what can go wrong into messages."""
    not_text = InputError(
        f"{str(path)!r} is not a text file in UTF-8. Save the table as CSV (UTF-8) and try again."
    )
    try:
        with path.open("rb") as binary:
            if b"\0" in binary.peek(4096)[:4096]:
                raise not_text
            reader = csv.reader(
                io.TextIOWrapper(binary, encoding="utf-8-sig", newline=""),
                delimiter=delimiter,
                skipinitialspace=True,
            )
            yield reader
    except UnicodeDecodeError as error:
        raise not_text from error
    except csv.Error as error:
        raise InputError(
            f"{str(path)!r}, line {reader.line_num}: {error}. Is a quotation mark left open there?"
        ) from error
    except OSError as error:
        raise InputError(
            f"Cannot read {str(path)!r}: {error.strerror or error}. Give the path of a CSV file."
        ) from error


def _is_not_blank(row: list[str]) -> bool:
    return bool(row) and (len(row) > 1 or bool(row[0].strip()))


def _numbers(row: list[str], positions: list[int]) -> np.ndarray | None:
    """Return the cells at those positions, or None if one is not a usable number."""
    import numpy as np

    try:
        numbers = np.fromiter(map(float, map(row.__getitem__, positions)), float, len(positions))
    except ValueError:
        return None
    return numbers if (abs(numbers) < LARGEST).all() else None


def _row_complaint(row: list[str], names: list[str], positions: list[int]) -> str:
    if len(row) != len(names):
        return (
            f" has {len(row):,} cells and the header has {len(names):,}. "
            "Every row needs one cell per column."
        )
    wrong = min(position for position in positions if _complaint(row[position]))
    return f", column {names[wrong]!r}: {_complaint(row[wrong])}"


def _complaint(cell: str) -> str:
    """Return what is wrong with a cell; nothing if it is a usable number."""
    if not cell.strip():
        return "the cell is empty. Fill in missing values, or remove the row or the column."
    shown = repr(cell if len(cell) <= 40 else f"{cell[:40]}...")
    try:
        number = float(cell)
    except ValueError:
        return f"{shown} is not a number. Write a number there, or remove the column."
    if not math.isfinite(number):
        return f"{shown} is not finite. Fill in missing values, or remove the row or the column."
    if abs(number) >= LARGEST:
        return f"{shown} is too large to compute with. Give the column in larger units."
    return ""


def missing_columns(path: Path, features: list[str], names: Iterable[str]) -> None:
    """Raise InputError if a feature is not among the names."""
    present = set(names)
    missing = [name for name in features if name not in present]
    if missing:
        raise InputError(
            f"{str(path)!r} lacks {len(missing):,} of the {len(features):,} feature columns: "
            f"{listed(missing)}. It must have every column that the model is fitted on, "
            "in any order."
        )


def check_header(path: Path, names: list[str], target: str | None) -> str:
    """Return the target, or raise InputError if it or another name cannot be used."""
    if target is None:
        raise InputError(
            f"{str(path)!r}: which column is to be predicted? Pass --target with one of: "
            f"{listed(names)}."
        )
    if target not in names:
        raise InputError(f"{str(path)!r}: {_no_such_target(target, names)}")
    _check_unique(path, names)
    if "" in names:
        raise InputError(
            f"{str(path)!r}: column {names.index('') + 1} has no name in the header line. "
            "Name it, or remove it if it only counts the rows (pandas: to_csv(index=False))."
        )
    if len(names) == 1:
        raise InputError(
            f"{str(path)!r} has no column beside the target {target!r}. "
            "It needs at least one feature column."
        )
    return target


def _no_such_target(target: str, names: list[str]) -> str:
    message = unknown_name("column", target, names)
    if len(names) == 1:
        for delimiter, name in {";": "';'", "\t": "tab", "|": "'|'", ",": "','"}.items():
            if delimiter in names[0]:
                return f"{message} Is the delimiter {name}? Then pass --delimiter {name}."
    if not any(map(_complaint, names)):
        return f"{message} The first line should hold the column names; these are numbers."
    return message


def _check_unique(path: Path, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        raise InputError(
            f"{str(path)!r} has more than one column named {listed(repeated)}. "
            "Give every column its own name."
        )
