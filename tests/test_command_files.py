"""Claims about the files that ``fit`` reads, the estimators it offers, and ``predict``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn.datasets import dump_svmlight_file
from sklearn.exceptions import ConvergenceWarning

import sparsereg
from sparsereg.commands import main
from sparsereg.commands.fit import ESTIMATORS

NAMES = ["age", "bmi", "pressure", "noise"]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) * [1.0, 0.01, 100.0, 1.0] + 3.0
Y = X @ [2.0, 300.0, 0.0, 0.0] + RNG.normal(size=60)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refusal(*arguments: object) -> str:
    """Run a command that must be refused: exit code 2, one line on stderr, no traceback."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def numbers(text: str) -> np.ndarray:
    header, *values = text.splitlines()
    assert header == "prediction"
    return np.array(values, dtype=float)


def write_csv(path: Path, delimiter: str = ",") -> Path:
    rows = [[*NAMES, "outcome"], *(map(repr, row) for row in np.column_stack([X, Y]).tolist())]
    path.write_text("\n".join(delimiter.join(row) for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, **columns: object) -> Path:
    polars = pytest.importorskip("polars")
    table = {name: X[:, j] for j, name in enumerate(NAMES)} | {"outcome": Y} | columns
    polars.DataFrame(table, strict=False).write_parquet(path)
    return path


def write_npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **{"X": X, "y": Y, "feature_names": np.array(NAMES), **arrays})
    return path


def write_svmlight(path: Path, *, zero_based: bool = False, data: np.ndarray = X) -> Path:
    dump_svmlight_file(data, Y[: len(data)], str(path), zero_based=zero_based)
    return path


@pytest.fixture
def csv(tmp_path):
    return write_csv(tmp_path / "data.csv")


@pytest.fixture
def expected(csv, tmp_path):
    """Predictions of the model that the CSV file gives, for its own rows."""
    return numbers(done("fit", csv, "--target", "outcome", "--predict", csv).stdout)


# --- kinds of files ------------------------------------------------------------------------------


def test_tsv_needs_no_delimiter(tmp_path, expected):
    path = write_csv(tmp_path / "data.tsv", "\t")
    result = done("fit", path, "--target", "outcome", "--predict", path)
    np.testing.assert_array_equal(numbers(result.stdout), expected)


def test_parquet_gives_the_same_as_csv(tmp_path, expected):
    path = write_parquet(tmp_path / "data.parquet")
    result = done("fit", path, "--target", "outcome", "--predict", path)
    np.testing.assert_array_equal(numbers(result.stdout), expected)


@pytest.mark.parametrize("options", [[], ["--target", "y"]])
def test_npz_gives_the_same_as_csv(options, tmp_path, expected):
    path = write_npz(tmp_path / "data.npz")
    result = done("fit", path, *options, "--predict", path)
    np.testing.assert_allclose(numbers(result.stdout), expected, rtol=1e-12)


@pytest.mark.parametrize("zero_based", [False, True])
def test_svmlight_gives_the_same_as_csv(zero_based, tmp_path, expected):
    path = write_svmlight(tmp_path / "data.svm", zero_based=zero_based)
    result = done("fit", path, "--predict", path)
    np.testing.assert_allclose(numbers(result.stdout), expected, rtol=1e-8)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_svmlight_columns_that_new_rows_lack_are_zero(tmp_path):
    saved = tmp_path / "model.joblib"
    done("fit", write_svmlight(tmp_path / "data.svm"), "--save", saved)
    sparse_row = np.array([[0.0, 0.02, 0.0, 0.0]])
    new = write_svmlight(tmp_path / "new.svm", data=sparse_row)
    (prediction,) = numbers(done("predict", saved, new).stdout)
    pipeline = joblib.load(saved)
    by_hand = pipeline[-1].predict(pipeline[0].transform(sparse_row))
    assert prediction == pytest.approx(by_hand[0], rel=1e-10)


@pytest.mark.parametrize("ending", ["csv", "parquet", "npz"])
def test_a_model_of_one_kind_of_file_predicts_another(ending, csv, expected, tmp_path):
    saved = tmp_path / "model.joblib"
    done("fit", csv, "--target", "outcome", "--save", saved)
    write = {"csv": write_csv, "parquet": write_parquet, "npz": write_npz}[ending]
    result = done("predict", saved, write(tmp_path / f"new.{ending}"))
    np.testing.assert_array_equal(numbers(result.stdout), expected)


# --- what files are refused for ------------------------------------------------------------------


def test_missing_target_lists_the_columns(csv):
    assert "--target with one of: age, bmi" in refusal("fit", csv)


def test_text_column_of_parquet_is_named(tmp_path):
    path = write_parquet(tmp_path / "data.parquet", city=["a"] * 60)
    message = refusal("fit", path, "--target", "outcome")
    assert "column 'city' holds String values" in message


def test_missing_value_of_parquet_is_named(tmp_path):
    path = write_parquet(tmp_path / "data.parquet", hole=[1.0, None, *range(58)])
    message = refusal("fit", path, "--target", "outcome")
    assert "row 2, column 'hole': the value is missing" in message


def test_parquet_that_lacks_columns_is_refused(csv, tmp_path):
    saved = tmp_path / "model.joblib"
    done("fit", csv, "--target", "outcome", "--save", saved)
    pytest.importorskip("polars").DataFrame({"age": [1.0]}).write_parquet(tmp_path / "n.parquet")
    assert "lacks 3 of the 4" in refusal("predict", saved, tmp_path / "n.parquet")


def test_parquet_without_polars_says_how_to_get_it(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "data.parquet")
    monkeypatch.setitem(sys.modules, "polars", None)
    assert "scikit-sparsereg[parquet]" in refusal("fit", path, "--target", "outcome")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X[:, 0]}, "no array X of two dimensions"),
        ({"y": Y[:5]}, "has shape (5,) and X has 60 rows"),
        (
            {"X": np.where(X[1, 2] == X, np.nan, X)},
            "row 2, column 'pressure': the value is missing",
        ),
        ({"y": np.where(Y[3] == Y, 1e200, Y)}, "row 4, column 'y': 1e+200 is too large"),
        ({"feature_names": np.array(["a", "b"])}, "X has 4 columns"),
        ({"feature_names": np.array(["a", "b", "c", "a"])}, "each of its own"),
        ({"X": X.astype(str)}, "'X' holds"),
    ],
)
def test_npz_is_refused_with_a_reason(arrays, message, tmp_path):
    assert message in refusal("fit", write_npz(tmp_path / "data.npz", **arrays))


def test_npz_without_the_target_names_the_close_array(tmp_path):
    path = write_npz(tmp_path / "data.npz", outcome=Y)
    assert "Did you mean 'outcome'?" in refusal("fit", path, "--target", "outcom")


def test_target_of_svmlight_is_refused(tmp_path):
    path = write_svmlight(tmp_path / "data.svm")
    assert "Leave --target out" in refusal("fit", path, "--target", "y")


@pytest.mark.parametrize("ending", ["parquet", "npz", "svm"])
def test_file_of_another_kind_is_refused(ending, tmp_path):
    path = tmp_path / f"data.{ending}"
    path.write_bytes(b"neither this nor that")
    assert "cannot be read as" in refusal("fit", path, *["--target", "y"] * (ending != "svm"))


@pytest.mark.parametrize("ending", ["parquet", "npz", "svm"])
def test_absent_file_is_named(ending, tmp_path):
    path = tmp_path / f"absent.{ending}"
    assert "absent" in refusal("fit", path, *["--target", "y"] * (ending != "svm"))


def test_named_columns_cannot_come_from_svmlight(csv, tmp_path):
    saved = tmp_path / "model.joblib"
    done("fit", csv, "--target", "outcome", "--save", saved)
    message = refusal("predict", saved, write_svmlight(tmp_path / "new.svm"))
    assert "Give a table with these names" in message


# --- estimators and exit codes -------------------------------------------------------------------


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("options", [[], ["--no-standardize", "--selection", "1se"]])
def test_every_estimator_finds_the_columns_that_matter(name, options, csv):
    output = done("fit", csv, "--target", "outcome", "--estimator", name, *options).output
    assert "│ bmi " in output if not options else "│ age " in output
    assert "CV R²" in output


@pytest.mark.parametrize("name", ["mcp", "l0"])
def test_sparse_data_go_through_other_estimators(name, tmp_path):
    path = write_svmlight(tmp_path / "data.svm")
    assert "│ 2 " in done("fit", path, "--estimator", name).output


def test_missed_convergence_is_exit_code_three(csv, monkeypatch):
    class Impatient(sparsereg.LassoCV):
        def fit(self, X, y):
            warnings.warn("Not there yet.", ConvergenceWarning)  # noqa: B028
            return super().fit(X, y)

    monkeypatch.setattr(sparsereg, "LassoCV", Impatient)
    result = run("fit", csv, "--target", "outcome")
    assert result.exit_code == 3
    assert "support" in result.stdout


def test_help_of_fit_has_examples_and_exit_codes():
    output = done("fit", "--help").output
    assert "Examples:" in output
    assert "Exit codes:" in output
    assert all(name in output for name in ESTIMATORS)


# --- predict -------------------------------------------------------------------------------------


@pytest.fixture
def saved(csv, tmp_path):
    done("fit", csv, "--target", "outcome", "--save", tmp_path / "model.joblib")
    return tmp_path / "model.joblib"


def test_saved_model_predicts_what_fit_did(saved, csv, expected):
    np.testing.assert_array_equal(numbers(done("predict", saved, csv).stdout), expected)


def test_predictions_are_written_to_a_file(saved, csv, tmp_path):
    shown = done("predict", saved, csv).stdout
    result = done("predict", saved, csv, "--output", tmp_path / "p.csv")
    assert result.stdout == ""
    assert (tmp_path / "p.csv").read_text(encoding="utf-8") == shown


def test_saved_model_is_silent(saved):
    assert joblib.load(saved)[-1].verbose == 0


def test_model_of_other_software_predicts_by_name(csv, tmp_path):
    pandas = pytest.importorskip("pandas")
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(pandas.DataFrame(X, columns=NAMES), Y)
    joblib.dump(model, tmp_path / "linear.joblib")
    result = done("predict", tmp_path / "linear.joblib", csv)
    np.testing.assert_allclose(numbers(result.stdout), X @ model.coef_ + model.intercept_)


def test_model_that_is_none_is_refused(csv):
    assert "is not a model that can be loaded" in refusal("predict", csv, csv)


def test_absent_model_is_refused(csv, tmp_path):
    assert "Cannot read" in refusal("predict", tmp_path / "absent.joblib", csv)


def test_object_that_does_not_predict_is_refused(csv, tmp_path):
    joblib.dump({"a": 1}, tmp_path / "dict.joblib")
    assert "type dict, which does not predict" in refusal("predict", tmp_path / "dict.joblib", csv)


def test_model_without_names_is_refused(csv, tmp_path):
    joblib.dump(sparsereg.Lasso().fit(X, Y), tmp_path / "bare.joblib")
    assert "does not know the names" in refusal("predict", tmp_path / "bare.joblib", csv)


def test_predictions_do_not_overwrite_the_model(saved, csv):
    assert "would overwrite data" in refusal("predict", saved, csv, "--output", saved)
