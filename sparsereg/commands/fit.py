"""``python -m sparsereg fit``: a cross-validated lasso of one column of a CSV file on the others.

The model is a scikit-learn pipeline, so that what --save writes predicts on the columns as they
are in the file. Coefficients are reported per unit of the column, and sorted by effect: the
coefficient times the column's standard deviation.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsereg.commands.csvfile import DataTable, read_features, read_table
from sparsereg.commands.messages import InputError, check_outputs, plain_console, unwritable

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.table import Table


def _one_character(context: click.Context, parameter: click.Parameter, value: str) -> str:
    delimiter = "\t" if value in ("tab", "\\t") else value
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InputError(
            f"--delimiter {value!r} is not usable. Give one character such as ',' or ';', or tab."
        )
    return delimiter


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option(
    "--predict",
    "new_data",
    type=click.Path(path_type=Path),
    metavar="NEW.csv",
    help="Predict for the rows of this file. It has the same feature columns, in any order; "
    "other columns are ignored.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PRED.csv",
    help="Write the predictions there. Default: standard output, with the report on standard "
    "error.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="MODEL.joblib",
    help="Save the fitted scikit-learn pipeline; joblib.load reads it.",
)
@click.option(
    "--cv",
    "n_folds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Number of cross-validation folds. Rows are dealt out at random, always the same way.",
)
@click.option(
    "--selection",
    type=click.Choice(["min", "1se"]),
    default="min",
    show_default=True,
    help="alpha of the smallest CV error, or the largest alpha within one standard error of it.",
)
@click.option(
    "--standardize/--no-standardize",
    default=True,
    show_default=True,
    help="Whether to give every column mean 0 and standard deviation 1 for the fit: the lasso "
    "depends on the scale of the columns.",
)
@click.option(
    "--delimiter",
    default=",",
    show_default=True,
    callback=_one_character,
    help="The character between two cells, or the word tab.",
)
def fit(
    data: Path,
    target: str,
    new_data: Path | None,
    output: Path | None,
    save: Path | None,
    n_folds: int,
    selection: str,
    standardize: bool,
    delimiter: str,
) -> None:
    """Fit a cross-validated lasso to a CSV file.

    DATA is a UTF-8 text file of numbers with a header line. Every column but the target is a
    feature. The penalty acts on standardized columns unless you say otherwise, and coefficients
    are always reported on the original scale: the change of the prediction per unit of the column.
    """
    if output and not new_data:
        raise InputError("--output needs --predict. Name the file to predict for.")
    table = read_table(data, target, delimiter)
    _check_enough(data, target, table.y, n_folds)
    X_new = read_features(new_data, table.features, delimiter) if new_data else None
    check_outputs(
        {"--save": save, "--output": output}, inputs=[data, *([new_data] if new_data else [])]
    )

    console = plain_console(stderr=X_new is not None and output is None)
    pipeline, complaints = _fitted(table, n_folds, selection, standardize)
    for complaint in complaints:
        click.echo(f"Warning: {complaint}", err=True)
    _report(console, target, table, pipeline)
    if X_new is not None:
        _write_predictions(pipeline.predict(X_new), output)
        if output:
            console.print(f"Predictions of {len(X_new):,} rows: {output}", soft_wrap=True)
    if save:
        _save(pipeline, table.features, save)
        console.print(f"Model: {save}", soft_wrap=True)


def _check_enough(path: Path, target: str, y: np.ndarray, n_folds: int) -> None:
    if len(y) < n_folds:
        raise InputError(
            f"{str(path)!r} has {len(y)} rows, too few for {n_folds} folds. "
            f"Pass --cv {len(y)} or less, or add rows."
        )
    if (y == y[0]).all():
        raise InputError(
            f"{str(path)!r}: the target {target!r} is {y[0]:g} in every row. "
            "There is something to learn only if it varies."
        )


def _fitted(
    table: DataTable, n_folds: int, selection: str, standardize: bool
) -> tuple[Any, list[str]]:
    """Return the fitted pipeline, and the warnings of the fit."""
    from sklearn.model_selection import KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sparsereg import LassoCV

    # Files are often sorted, by date or by the target itself: contiguous folds would mislead.
    folds = KFold(n_folds, shuffle=True, random_state=0)
    model = LassoCV(cv=folds, selection=selection)
    pipeline = make_pipeline(StandardScaler(), model) if standardize else make_pipeline(model)
    with (
        warnings.catch_warnings(record=True) as caught,
        plain_console(stderr=True).status("Fitting ..."),
    ):
        try:
            pipeline.fit(table.X, table.y)
        except ValueError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"The data cannot be fitted: {reason}") from error
    return pipeline, list(dict.fromkeys(str(warning.message) for warning in caught))


def _report(console: Console, target: str, table: DataTable, pipeline: Any) -> None:
    import numpy as np

    model = pipeline[-1]
    coef, intercept = _on_original_scale(pipeline)
    console.print(_coefficient_table(target, table, coef, intercept))
    cv_mse = model.mse_path_.mean(axis=1)[np.argmin(abs(model.alphas_ - model.alpha_))]
    residual = table.y - pipeline.predict(table.X)
    objective = residual @ residual / (2 * len(residual)) + model.alpha_ * abs(model.coef_).sum()
    facts = {
        "rows": f"{table.X.shape[0]:,}",
        "columns": f"{table.X.shape[1]:,}",
        "support": f"{np.count_nonzero(coef):,}",
        "alpha": f"{model.alpha_:.4g}"
        + (" (on standardized columns)" if len(pipeline) > 1 else ""),
        "CV R²": f"{1 - cv_mse / table.y.var():.4f}",
        "CV mean squared error": f"{cv_mse:.4g}",
        "duality gap": f"{model.dual_gap_:.1e} (the objective, {objective:.4g}, is at most this "
        "far above its minimum)",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"{name:>{width}}  {value}", soft_wrap=True)


def _on_original_scale(pipeline: Any) -> tuple[np.ndarray, float]:
    """Return coefficients per unit of each column, and the intercept that belongs to them."""
    model = pipeline[-1]
    if len(pipeline) == 1:
        return model.coef_, float(model.intercept_)
    scaler = pipeline[0]
    coef = model.coef_ / scaler.scale_
    return coef, float(model.intercept_ - coef @ scaler.mean_)


def _coefficient_table(target: str, table: DataTable, coef: np.ndarray, intercept: float) -> Table:
    import numpy as np
    from rich.table import Table

    effects = coef * table.X.std(axis=0)
    rows = Table(title=f"Lasso of {target!r}", title_justify="left")
    rows.add_column("column", overflow="fold")
    rows.add_column("coefficient", justify="right", no_wrap=True)
    rows.add_column("effect of one sd", justify="right", no_wrap=True)
    for j in np.argsort(-abs(effects), kind="stable"):
        if coef[j]:
            rows.add_row(table.features[j], f"{coef[j]:.6g}", f"{effects[j]:.6g}")
    rows.add_section()
    rows.add_row("(intercept)", f"{intercept:.6g}", "")
    return rows


def _write_predictions(predictions: np.ndarray, output: Path | None) -> None:
    text = "\n".join(["prediction", *map(repr, predictions.tolist()), ""])
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable("--output", output, error) from error


def _save(pipeline: Any, features: list[str], path: Path) -> None:
    import joblib
    import numpy as np

    # What fitting on a data frame would have set, without the need for a data frame library.
    pipeline[0].feature_names_in_ = np.array(features, dtype=object)
    try:
        joblib.dump(pipeline, path)
    except OSError as error:
        raise unwritable("--save", path, error) from error
