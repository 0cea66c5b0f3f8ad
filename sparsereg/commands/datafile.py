"""Tables from files of every kind that the commands read; the ending says which.

========================  ===================================================================
``.csv``, ``.tsv``, else  text with a header line (see :mod:`sparsereg.commands.csvfile`)
``.parquet``, ``.pq``     columns by name, read with polars
``.npz``                  arrays ``X`` and ``y``, and ``feature_names`` if there are any
``.svm``, ``.svmlight``,  a line per row, ``target index:value ...``; X stays sparse, and the
``.libsvm``               columns are called by their index
========================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sparsereg.commands import csvfile
from sparsereg.commands.csvfile import LARGEST, check_header, missing_columns
from sparsereg.commands.messages import InputError, unknown_name

if TYPE_CHECKING:
    import numpy as np


class DataTable(NamedTuple):
    """What a file held: X, dense or sparse, has a column per feature name; y is the target."""

    features: list[str]
    X: Any
    y: np.ndarray


def _one_character(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    delimiter = "\t" if value in ("tab", "\\t") else value
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(
            f"--delimiter {value!r} is not usable. Give one character such as ',' or ';', or tab."
        )
    return delimiter


#: The option of every command that reads tables.
delimiter_option = click.option(
    "--delimiter",
    callback=_one_character,
    metavar="CHARACTER",
    help="The character between two cells of a text file, or the word tab. Default: tab for .tsv, "
    "comma for others.",
)


def read_table(path: Path, target: str | None, delimiter: str | None) -> DataTable:
    """Read the data of a fit: the target, and the features.

    Parameters
    ----------
    path : Path
    target : str or None
        Name of the column to predict; None is ``y`` in an npz file and the only target of an
        svmlight file, and is refused elsewhere.
    delimiter : str or None
        The character between two cells of a text file; None is a tab where the file is called
        ``.tsv`` and a comma elsewhere.

    Returns
    -------
    DataTable
        The features keep the order of the file.

    Raises
    ------
    InputError
        If the file cannot be read as such a table.
    """
    kind = _kind(path)
    if kind in _READERS:
        table = _READERS[kind](path, target)
    else:
        table = DataTable(*csvfile.read_table(path, target, delimiter or _delimiter_of(path)))
    if len(table.y) == 1:
        raise InputError(f"{str(path)!r} has only one row of data. A regression needs more.")
    return table


def read_features(path: Path, features: list[str], delimiter: str | None) -> Any:
    """Read the named columns, in the order of the names, wherever they are in the file.

    Parameters
    ----------
    path : Path
    features : list of str
        The columns to read. In an svmlight file a column that no row has is zero.
    delimiter : str or None
        As in :func:`read_table`.

    Returns
    -------
    ndarray or sparse array of shape (n_rows, n_features)

    Raises
    ------
    InputError
        If a column is missing or the file cannot be read.
    """
    kind = _kind(path)
    if kind in _COLUMN_READERS:
        return _COLUMN_READERS[kind](path, features)
    return csvfile.read_features(path, features, delimiter or _delimiter_of(path))


def _kind(path: Path) -> str:
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] in (".gz", ".bz2"):
        endings.pop()
    return _ENDINGS.get(endings[-1] if endings else "", "text")


def _delimiter_of(path: Path) -> str:
    return "\t" if path.suffix.lower() in (".tsv", ".tab") else ","


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a reader raises into a message."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"Cannot read {str(path)!r}: {error.strerror or error}. Give the path of a {what} file."
        ) from error
    except Exception as error:  # readers of binary formats raise all kinds of errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{str(path)!r} cannot be read as {what}: {reason}. Save it anew, or give it the "
            f"ending of what it is."
        ) from error


# --- parquet -------------------------------------------------------------------------------------


def _parquet_table(path: Path, target: str | None) -> DataTable:
    names = list(_parquet_schema(path))
    check_header(path, names, target)
    features = [name for name in names if name != target]
    X = _parquet_columns(path, [*features, target])  # type: ignore[list-item]
    return DataTable(features, X[:, :-1], X[:, -1].copy())


def _parquet_features(path: Path, features: list[str]) -> np.ndarray:
    missing_columns(path, features, _parquet_schema(path))
    return _parquet_columns(path, features)


def _parquet_schema(path: Path) -> Any:
    polars = _polars(path)
    with _readable(path, "Parquet"):
        return polars.read_parquet_schema(path)


def _parquet_columns(path: Path, names: list[str]) -> np.ndarray:
    import numpy as np

    polars = _polars(path)
    with _readable(path, "Parquet"):
        frame = polars.read_parquet(path, columns=names).select(names)
    for name, kind in frame.schema.items():
        if not (kind.is_numeric() or kind == polars.Boolean):
            raise InputError(
                f"{str(path)!r}, column {name!r} holds {kind} values. Turn them into numbers, or "
                "remove the column."
            )
    columns = [frame[name].cast(polars.Float64).to_numpy() for name in names]
    X = np.empty((frame.height, len(names)), order="F")
    for j, column in enumerate(columns):
        X[:, j] = column
    _check_numbers(path, names, X)
    return X


def _polars(path: Path) -> Any:
    try:
        import polars
    except ImportError as error:
        raise InputError(
            f"{str(path)!r} is a Parquet file, and reading one takes polars, which is not "
            'installed. Install it with pip install "scikit-sparsereg[parquet]", or save the '
            "table as CSV."
        ) from error
    return polars


# --- npz -----------------------------------------------------------------------------------------


def _npz_table(path: Path, target: str | None) -> DataTable:
    names, arrays = _npz(path)
    key = "y" if target is None else target
    if key not in arrays or key == "X":
        message = unknown_name("array", key, [name for name in arrays if name != "X"])
        raise InputError(f"{str(path)!r}: {message} --target names the array to predict.")
    X, y = arrays["X"], arrays[key]
    if y.ndim != 1 or len(y) != len(X):
        raise InputError(
            f"{str(path)!r}: {key!r} has shape {y.shape} and X has {len(X)} rows. Save one "
            f"number per row."
        )
    _check_numbers(path, [key], _as_float(path, key, y)[:, None])
    return DataTable(names, X, _as_float(path, key, y))


def _npz_features(path: Path, features: list[str]) -> np.ndarray:
    names, arrays = _npz(path)
    missing_columns(path, features, names)
    position = {name: j for j, name in enumerate(names)}
    return arrays["X"][:, [position[name] for name in features]]


def _npz(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """Return the names of the columns of X, and all arrays, of which X is checked."""
    import numpy as np

    with _readable(path, "npz"), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if "X" not in arrays or arrays["X"].ndim != 2:
        raise InputError(
            f"{str(path)!r} has no array X of two dimensions. Save it with "
            f"numpy.savez(path, X=X, y=y)."
        )
    X = arrays["X"] = _as_float(path, "X", arrays["X"])
    names = arrays.pop("feature_names", np.array([f"x{j}" for j in range(X.shape[1])]))
    if names.shape != (X.shape[1],) or len(set(names.tolist())) != names.size:
        raise InputError(
            f"{str(path)!r}: feature_names has shape {names.shape} and X has {X.shape[1]} columns. "
            f"Save one name per column, each of its own."
        )
    told = [str(name) for name in names.tolist()]
    _check_numbers(path, told, X)
    return told, arrays


def _as_float(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise InputError(f"{str(path)!r}: {name!r} holds {array.dtype} values. Save numbers.")
    return array.astype(float)


# --- svmlight ------------------------------------------------------------------------------------


def _svmlight_table(path: Path, target: str | None) -> DataTable:
    import numpy as np

    if target is not None:
        raise InputError(
            f"{str(path)!r} is an svmlight file, whose lines begin with the target. Leave "
            f"--target out."
        )
    X, y = _svmlight(path)
    used = np.flatnonzero(X.getnnz(axis=0))
    if not used.size:
        raise InputError(f"{str(path)!r} has no values in its rows. Give index:value pairs.")
    _check_numbers(path, ["target"], y[:, None])
    first = min(1, int(used[0]))  # indices from 0 or from 1
    return DataTable([str(j) for j in range(first, X.shape[1])], X[:, first:], y)


def _svmlight_features(path: Path, features: list[str]) -> Any:
    from scipy import sparse

    if not all(name.isdecimal() for name in features):
        raise InputError(
            f"{str(path)!r} is an svmlight file, whose columns have no names, and the model knows "
            f"its columns by name. Give a table with these names."
        )
    X, _ = _svmlight(path)
    indices = [int(name) for name in features]
    width = max([*indices, X.shape[1] - 1]) + 1
    padded = sparse.csc_array((X.data, X.indices, X.indptr), X.shape)
    padded.resize((X.shape[0], width))  # type: ignore[arg-type]
    return padded[:, indices]


def _svmlight(path: Path) -> tuple[Any, np.ndarray]:
    """Return X as columns, with column j for index j, and the targets."""
    import numpy as np
    from sklearn.datasets import load_svmlight_file

    with _readable(path, "svmlight"):
        X, y = load_svmlight_file(str(path), zero_based=True)
    if not len(y):
        raise InputError(f"{str(path)!r} has no rows. It needs lines: target index:value ...")
    if not np.all(np.abs(X.data) < LARGEST):
        raise InputError(
            f"{str(path)!r} has values that are not finite or too large to compute with. Remove "
            f"them, or give their columns in larger units."
        )
    return X.tocsc(), y


# --- all of them ---------------------------------------------------------------------------------


def _check_numbers(path: Path, names: list[str], X: np.ndarray) -> None:
    """Refuse what is not finite or too large, naming the first such value."""
    import numpy as np

    if not len(X):
        raise InputError(f"{str(path)!r} has no rows. It needs rows of data.")
    bad = ~(np.abs(X) < LARGEST)
    if not bad.any():
        return
    row, column = np.unravel_index(int(np.argmax(bad)), bad.shape)
    where = f"{str(path)!r}, row {row + 1:,}, column {names[column]!r}"
    if np.isfinite(X[row, column]):
        raise InputError(
            f"{where}: {X[row, column]:g} is too large to compute with. Give the column in larger "
            f"units."
        )
    raise InputError(
        f"{where}: the value is missing or not finite. Fill in missing values, or remove the row "
        f"or the column."
    )


_ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".svm": "svmlight",
    ".svmlight": "svmlight",
    ".libsvm": "svmlight",
}
_READERS: dict[str, Callable[[Path, str | None], DataTable]] = {
    "parquet": _parquet_table,
    "npz": _npz_table,
    "svmlight": _svmlight_table,
}
_COLUMN_READERS: dict[str, Callable[[Path, list[str]], Any]] = {
    "parquet": _parquet_features,
    "npz": _npz_features,
    "svmlight": _svmlight_features,
}
