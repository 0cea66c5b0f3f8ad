"""``python -m sparsereg fit``: a sparse regression of one column of a file on the others.

The model is a scikit-learn pipeline, so that what --save writes predicts on the columns as they
are in the file. Coefficients are reported per unit of the column, and sorted by effect: the
coefficient times the column's standard deviation, where the columns are standardized.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sparsereg.commands.datafile import DataTable, delimiter_option, read_features, read_table
from sparsereg.commands.messages import InputError, check_outputs, plain_console, unwritable
from sparsereg.commands.predict import predicted, write_predictions

if TYPE_CHECKING:
    import numpy as np

    from sparsereg.linear_model import Summary

#: The fit did not end as it should: not converged, or interrupted. Its results are written.
NOT_CONVERGED = 3


class Choice(NamedTuple):
    """An estimator by the name the command line has for it, with the parameters it gets there."""

    estimator: str
    parameters: dict[str, Any]
    penalty: str = ""


ESTIMATORS = {
    "lasso": Choice("LassoCV", {}),
    "elastic-net": Choice("ElasticNetCV", {"l1_ratio": [0.1, 0.5, 0.9, 0.95, 0.99, 1.0]}),
    "adaptive-lasso": Choice("AdaptiveLassoCV", {}),
    "relaxed-lasso": Choice("RelaxedLassoCV", {}),
    "mcp": Choice("SparseRegressorCV", {}, "MCP"),
    "scad": Choice("SparseRegressorCV", {}, "SCAD"),
    "l0": Choice("L0RegressorCV", {}),
}


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--target",
    metavar="COLUMN",
    help="The column to predict. An npz file has y unless another array is named, and svmlight "
    "files have their target in front.",
)
@click.option(
    "--estimator",
    type=click.Choice(list(ESTIMATORS)),
    default="lasso",
    show_default=True,
    help="lasso predicts well; elastic-net where columns are strongly correlated; the others keep "
    "fewer columns and shrink them less, l0 least of all.",
)
@click.option(
    "--predict",
    "new_data",
    type=click.Path(path_type=Path),
    metavar="NEW",
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
    help='Save the fitted scikit-learn pipeline; "predict" and joblib.load read it.',
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
    help="min: the alpha, or size, of the smallest CV error. 1se: the sparsest within one standard "
    "error of it.",
)
@click.option(
    "--standardize/--no-standardize",
    default=True,
    show_default=True,
    help="Whether to give every column standard deviation 1 for the fit: a penalty compares "
    "columns, and depends on their scale.",
)
@delimiter_option
@click.pass_context
def fit(
    context: click.Context,
    data: Path,
    target: str | None,
    estimator: str,
    new_data: Path | None,
    output: Path | None,
    save: Path | None,
    n_folds: int,
    selection: str,
    standardize: bool,
    delimiter: str | None,
) -> None:
    """Fit a sparse regression to a file.

    DATA is a table of numbers; every column but the target is a feature. Its ending says what it
    is: .csv or .tsv (UTF-8 text with a header line), .parquet, .npz (arrays X and y, and
    feature_names if you like), or .svm, .svmlight, .libsvm (sparse). Other endings are read as
    text.

    The strength of the penalty is chosen by cross-validation. Coefficients are reported on the
    original scale, the change of the prediction per unit of the column, and per scaled unit.

    \b
    Examples:
      python -m sparsereg fit data.csv --target y
      python -m sparsereg fit data.csv --target y --estimator l0 --selection 1se
      python -m sparsereg fit data.csv --target y --predict new.csv > predictions.csv
      python -m sparsereg fit train.svm --save model.joblib

    \b
    Exit codes:
      0  done
      2  the input cannot be used, and standard error says why
      3  done, but the solver did not reach its tolerance: see the warning
    """  # noqa: D301
    if output and not new_data:
        raise InputError("--output needs --predict. Name the file to predict for.")
    table = read_table(data, target, delimiter)
    _check_enough(data, target or "target", table.y, n_folds)
    X_new = None if new_data is None else read_features(new_data, table.features, delimiter)
    check_outputs(
        {"--save": save, "--output": output}, inputs=[data, *([new_data] if new_data else [])]
    )

    console = plain_console(stderr=X_new is not None and output is None)
    pipeline, caught = _fitted(table, _model(estimator, n_folds, selection), standardize)
    for complaint in dict.fromkeys(str(warning.message) for warning in caught):
        click.echo(f"Warning: {complaint}", err=True)
    console.print(_report(target, table, pipeline), soft_wrap=True)
    if X_new is not None:
        write_predictions(predicted(pipeline, X_new), output)
        if output:
            console.print(f"Predictions of {X_new.shape[0]:,} rows: {output}", soft_wrap=True)
    if save:
        _save(pipeline, save)
        console.print(f"Model: {save}", soft_wrap=True)
    if any(warning.category.__name__ in _UNFINISHED for warning in caught):
        context.exit(NOT_CONVERGED)


_UNFINISHED = ("ConvergenceWarning", "PathInterruptedWarning")


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


def _model(name: str, n_folds: int, selection: str) -> Any:
    from sklearn.model_selection import KFold

    import sparsereg

    choice = ESTIMATORS[name]
    parameters = dict(choice.parameters)
    if choice.penalty:
        parameters["penalty"] = getattr(sparsereg.penalties, choice.penalty)()
    # Files are often sorted, by date or by the target itself: contiguous folds would mislead.
    folds = KFold(n_folds, shuffle=True, random_state=0)
    return getattr(sparsereg, choice.estimator)(
        cv=folds, selection=selection, verbose=int(sys.stderr.isatty()), **parameters
    )


def _fitted(
    table: DataTable, model: Any, standardize: bool
) -> tuple[Any, list[warnings.WarningMessage]]:
    """Return the fitted pipeline, and the warnings of the fit."""
    import numpy as np
    from scipy import sparse
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(with_mean=not sparse.issparse(table.X))
    pipeline = make_pipeline(scaler, model) if standardize else make_pipeline(model)
    with warnings.catch_warnings(record=True) as caught:
        try:
            pipeline.fit(table.X, table.y)
        except ValueError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"The data cannot be fitted: {reason}") from error
    model.verbose = 0  # a saved model is silent
    # What fitting on a data frame would have set, without the need for a data frame library.
    pipeline[0].feature_names_in_ = np.array(table.features, dtype=object)
    return pipeline, caught


def _report(target: str | None, table: DataTable, pipeline: Any) -> Summary:
    """Return the summary of the model, with the share of the variance that held-out rows keep."""
    from sparsereg.linear_model._choice import held_out_errors

    model = pipeline[-1]
    summary = model.summary(
        feature_names=table.features,
        scaler=pipeline[0] if len(pipeline) > 1 else None,
        max_rows=len(table.features),
    )
    facts = dict(summary.facts)
    errors = held_out_errors(model)
    if errors is not None:
        told = f"{1 - errors.mean() / table.y.var():.4f} (share of the variance, held-out rows)"
        facts = {**facts, "CV R²": told}
    title = summary.title if target is None else f"{summary.title} of {target!r}"
    return replace(summary, title=title, facts=facts)


def _save(pipeline: Any, path: Path) -> None:
    import joblib

    try:
        joblib.dump(pipeline, path)
    except OSError as error:
        raise unwritable("--save", path, error) from error
