"""``python -m sparsereg predict``: a saved model on new rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsereg.commands.datafile import delimiter_option, read_features
from sparsereg.commands.messages import InputError, check_outputs, unwritable

if TYPE_CHECKING:
    import numpy as np


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PRED.csv",
    help="Write the predictions there. Default: standard output.",
)
@delimiter_option
def predict(model: Path, data: Path, output: Path | None, delimiter: str | None) -> None:
    """Predict with a saved model.

    MODEL is what "fit --save" wrote, or any scikit-learn regressor that joblib saved and that was
    fitted on named columns. DATA is a file of any kind that "fit" reads. It must have the columns
    of the model, in any order; others are ignored, the target among them.

    One prediction is written per row, under the header "prediction".

    A model file can run code while it is read. Open only those that you trust.

    \b
    Example:
      python -m sparsereg fit train.csv --target y --save model.joblib
      python -m sparsereg predict model.joblib new.csv --output predictions.csv
    """  # noqa: D301
    regressor = _loaded(model)
    features = [str(name) for name in regressor.feature_names_in_]
    X = read_features(data, features, delimiter)
    check_outputs({"--output": output}, inputs=[model, data])
    write_predictions(predicted(regressor, X), output)


def predicted(model: Any, X: Any) -> np.ndarray:
    """Return the predictions for columns in the order of the model's names."""
    import warnings

    with warnings.catch_warnings():
        # the columns were picked by name; a pipeline saved without a data frame library has names
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return model.predict(X)


def write_predictions(predictions: np.ndarray, output: Path | None) -> None:
    """Write one number per line under a header, to a file or standard output."""
    text = "\n".join(["prediction", *map(repr, predictions.tolist()), ""])
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable("--output", output, error) from error


def _loaded(path: Path) -> Any:
    import joblib

    try:
        model = joblib.load(path)
    except OSError as error:
        raise InputError(
            f"Cannot read {str(path)!r}: {error.strerror or error}. Give a file that "
            '"fit --save" wrote.'
        ) from error
    except Exception as error:  # unpickling can raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{str(path)!r} is not a model that can be loaded here ({reason}). Give a file that "
            '"fit --save" wrote, with the packages that it was written with.'
        ) from error
    if not hasattr(model, "predict"):
        raise InputError(
            f"{str(path)!r} holds an object of type {type(model).__name__}, which does not "
            'predict. Give a file that "fit --save" wrote.'
        )
    if not hasattr(model, "feature_names_in_"):
        raise InputError(
            f"{str(path)!r} holds a {type(model).__name__} that does not know the names of its "
            "columns. Fit it on a data frame, or with this program."
        )
    return model
