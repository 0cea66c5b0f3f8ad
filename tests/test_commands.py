"""Claims about ``python -m sparsereg``."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso

import sparsereg
from sparsereg.commands import main
from sparsereg.commands.picture import path_figure

# The package attribute of this name is the command; the module is what tests patch.
demo_module = importlib.import_module("sparsereg.commands.demo")

NAMES = ["age", "bmi", "blood pressure", "noise"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    """Run a command that must be refused: exit code 2, one line on stderr, no traceback."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    return lines[0]


def write(path: Path, *lines: str, end: str = "\n", encoding: str = "utf-8") -> Path:
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    return path


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Features of unlike scales, and as last column a target that only two of them matter for."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) * [1.0, 0.01, 100.0, 1.0] + 3.0
    y = X @ [2.0, 300.0, 0.0, 0.0] + rng.normal(size=60)
    return np.column_stack([X, y])


@pytest.fixture
def lines(rows: np.ndarray) -> list[str]:
    return [",".join([*NAMES, "outcome"]), *(",".join(map(repr, row)) for row in rows.tolist())]


@pytest.fixture
def data(tmp_path: Path, lines: list[str]) -> Path:
    return write(tmp_path / "data.csv", *lines)


def first_columns(output: str) -> list[str]:
    """The cells of the first column of the table of coefficients, without its header."""
    return [line.split("│")[1].strip() for line in output.splitlines() if line.startswith("│")]


def predictions(text: str) -> np.ndarray:
    header, *values = text.split("\n")
    assert header == "prediction"
    assert values.pop() == ""
    return np.array(values, dtype=float)


# --- the group -----------------------------------------------------------------------------------


def test_help_lists_every_command():
    output = run("--help").output
    assert all(
        f"\n  {command} " in output
        for command in ("bench", "compile", "demo", "fit", "info", "predict")
    )


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from sparsereg.commands import main; main(['--help'], standalone_mode=False);"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'numba', 'sklearn', 'rich')))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_version_is_that_of_the_package():
    assert sparsereg.__version__ in run("--version").output


def test_module_runs_the_group():
    main_module = importlib.import_module("sparsereg.__main__")
    assert main_module.main is main


# --- demo ----------------------------------------------------------------------------------------


@pytest.fixture
def short_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """One family, one run, in an empty current folder; returns the folder."""
    monkeypatch.setattr(demo_module, "FAMILIES", demo_module.FAMILIES[:1])
    monkeypatch.setattr(demo_module, "_has_torch", lambda: False)
    monkeypatch.setattr(demo_module, "_N_RUNS", 1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def demo_rows(output: str) -> list[list[str]]:
    """Library, n, p, alpha, support, R², gap and seconds of each line of the table."""
    marks = ("sparsereg ", "scikit-learn ")
    cut = ((line, line.find(mark)) for line in output.splitlines() for mark in marks)
    return [line[at:].split() for line, at in cut if at >= 0]


def test_demo_has_a_row_per_data_and_library(monkeypatch, tmp_path):
    monkeypatch.setattr(demo_module, "_N_RUNS", 1)
    monkeypatch.chdir(tmp_path)
    output = run("demo", "--no-picture").output
    libraries = [row[0] for row in demo_rows(output)]
    assert libraries == ["sparsereg", "scikit-learn"] * len(demo_module.FAMILIES)
    assert ("network of" in output) == demo_module._has_torch()


def test_demo_has_no_alpha_or_gap_where_a_size_is_chosen(monkeypatch, tmp_path):
    monkeypatch.setattr(demo_module, "FAMILIES", demo_module.FAMILIES[2:3])
    monkeypatch.setattr(demo_module, "_N_RUNS", 1)
    ours, theirs = demo_rows(run("demo", "--no-picture").output)
    assert ours[3] == ours[6] == theirs[3] == theirs[6] == "-"
    assert float(ours[5]) > 0.3  # R²


def test_demo_reports_the_same_model_for_both_libraries(short_demo):
    ours, theirs = demo_rows(run("demo", "--no-picture").output)
    columns = slice(1, 6)  # n, p, alpha, support, R²
    assert ours[columns] == theirs[columns]


def test_demo_gives_the_start_up_time_on_a_line_of_its_own(short_demo):
    assert run("demo", "--no-picture").output.startswith("Start-up ")


def test_demo_fits_in_eighty_columns(short_demo):
    assert max(map(len, run("demo", "--no-picture").output.splitlines())) <= 80


def test_demo_draws_a_png_in_the_current_folder(short_demo):
    assert run("demo").exit_code == 0
    assert (short_demo / "sparsereg-demo.png").read_bytes().startswith(b"\x89PNG")


def test_demo_draws_where_it_is_told_to(short_demo):
    run("demo", "--picture", "path.svg")
    assert [path.name for path in short_demo.iterdir()] == ["path.svg"]


def test_no_picture_leaves_no_file(short_demo):
    run("demo", "--no-picture")
    assert list(short_demo.iterdir()) == []


def test_without_matplotlib_the_demo_says_how_to_get_it(short_demo, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("demo")
    assert result.exit_code == 0
    assert "pip install matplotlib" in result.output


def test_unwritable_picture_is_refused_before_fitting(short_demo):
    assert "--picture cannot write" in refusal("demo", "--picture", "absent/path.png")


def test_unknown_kind_of_picture_leaves_no_file(short_demo):
    result = run("demo", "--picture", "path.xyz")
    assert result.exit_code == 2
    assert list(short_demo.iterdir()) == []


def test_relative_gap_is_the_gap_of_scikit_learn_over_the_objective(rows):
    X, y = rows[:, :-1], rows[:, -1]
    model = Lasso(alpha=0.5, tol=1e-3).fit(X, y)
    model.alpha_ = model.alpha
    residual = y - model.predict(X)
    objective = residual @ residual / (2 * len(y)) + 0.5 * abs(model.coef_).sum()
    gap = demo_module.relative_duality_gap(X, y, model) * objective
    assert gap == pytest.approx(model.dual_gap_, rel=1e-6, abs=1e-12)


def test_picture_names_the_largest_coefficients(rows):
    model = sparsereg.LassoCV(cv=3).fit(rows[:, :2], rows[:, -1])
    figure = path_figure(model, NAMES[:2], "title")
    assert {"age", "bmi"} <= {text.get_text() for text in figure.axes[0].texts}


# --- fit: what it reports ------------------------------------------------------------------------


def test_coefficients_are_sorted_by_effect(data):
    names = first_columns(run("fit", data, "--target", "outcome").output)
    assert names[:2] == ["bmi", "age"]


def test_intercept_is_the_last_row(data):
    assert first_columns(run("fit", data, "--target", "outcome").output)[-1] == "(intercept)"


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_coefficients_are_on_the_original_scale(data, rows, tmp_path):
    run("fit", data, "--target", "outcome", "--save", tmp_path / "m.joblib")
    pipeline = joblib.load(tmp_path / "m.joblib")
    per_unit = pipeline.predict([[4.0, 3, 3, 3]])[0] - pipeline.predict([[3.0, 3, 3, 3]])[0]
    output = run("fit", data, "--target", "outcome").output
    (shown,) = (line.split("│")[2] for line in output.splitlines() if line.startswith("│ age"))
    assert float(shown) == pytest.approx(per_unit, rel=1e-5)


@pytest.mark.parametrize("name", ["[red]bmi", ":x: bmi"])
def test_names_are_printed_as_they_are(name, tmp_path, lines):
    path = write(tmp_path / "data.csv", lines[0].replace("bmi", name), *lines[1:])
    assert name in first_columns(run("fit", path, "--target", "outcome").output)


@pytest.mark.parametrize(
    "fact", ["60 rows, 4 columns", "alpha", "held-out error", "CV R²", "duality gap"]
)
def test_report_states(fact, data):
    assert fact in run("fit", data, "--target", "outcome").output


def test_one_standard_error_keeps_no_more_columns(data):
    def kept(selection: str) -> int:
        result = run("fit", data, "--target", "outcome", "--selection", selection)
        return len(first_columns(result.output))

    assert kept("1se") <= kept("min")


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path, lines):
    path = write(tmp_path / "data.csv", *lines, end="\r\n", encoding="utf-8-sig")
    result = run("fit", path, "--target", "outcome")
    assert result.exit_code == 0
    assert "age" in first_columns(result.output)


def test_the_word_tab_is_a_delimiter(tmp_path, lines):
    path = write(tmp_path / "data.tsv", *(line.replace(",", "\t") for line in lines))
    assert run("fit", path, "--target", "outcome", "--delimiter", "tab").exit_code == 0


def test_quoted_names_and_blank_lines_are_read(tmp_path, lines):
    header = lines[0].replace("blood pressure", '"blood, pressure"')
    path = write(tmp_path / "data.csv", header, "", *lines[1:], "")
    assert run("fit", path, "--target", "outcome").exit_code == 0


def test_target_may_stand_anywhere(tmp_path, lines, data):
    def outcome_first(line: str) -> str:
        *features, target = line.split(",")
        return ",".join([target, *features])

    path = write(tmp_path / "first.csv", *map(outcome_first, lines))
    assert (
        run("fit", path, "--target", "outcome").output
        == run("fit", data, "--target", "outcome").output
    )


# --- fit: --predict and --save -------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_predictions_ignore_order_and_extra_columns(data, tmp_path, rows):
    saved = tmp_path / "m.joblib"
    header = ",".join(["id", *NAMES[::-1], "outcome"])
    new = [f"row {i},{','.join(map(repr, row[3::-1]))}," for i, row in enumerate(rows.tolist())]
    path = write(tmp_path / "new.csv", header, *new)
    result = run("fit", data, "--target", "outcome", "--predict", path, "--save", saved)
    expected = joblib.load(saved)[-1].predict(joblib.load(saved)[0].transform(rows[:, :4]))
    np.testing.assert_allclose(predictions(result.stdout), expected)


def test_predictions_on_stdout_move_the_report_to_stderr(data):
    result = run("fit", data, "--target", "outcome", "--predict", data)
    assert len(predictions(result.stdout)) == 60
    assert "duality gap" in result.stderr


def test_output_holds_what_stdout_would(data, tmp_path):
    path = tmp_path / "pred.csv"
    shown = run("fit", data, "--target", "outcome", "--predict", data).stdout
    run("fit", data, "--target", "outcome", "--predict", data, "--output", path)
    assert path.read_text(encoding="utf-8") == shown


@pytest.mark.parametrize("standardize", ["--standardize", "--no-standardize"])
def test_saved_pipeline_keeps_the_feature_names(standardize, data, tmp_path):
    run("fit", data, "--target", "outcome", standardize, "--save", tmp_path / "m.joblib")
    assert joblib.load(tmp_path / "m.joblib").feature_names_in_.tolist() == NAMES


def test_saved_pipeline_predicts_a_data_frame_without_warning(data, tmp_path, rows, recwarn):
    pandas = pytest.importorskip("pandas")
    run("fit", data, "--target", "outcome", "--save", tmp_path / "m.joblib")
    frame = pandas.DataFrame(rows[:, :4], columns=NAMES)
    joblib.load(tmp_path / "m.joblib").predict(frame)
    assert not recwarn.list


# --- fit: what it refuses ------------------------------------------------------------------------


def test_wrong_target_names_the_close_columns(data):
    assert "Did you mean 'outcome'?" in refusal("fit", data, "--target", "Outcme")


def test_wrong_target_lists_the_columns(data):
    assert ", ".join(NAMES) in refusal("fit", data, "--target", "zzz")


def test_wrong_delimiter_is_guessed(data):
    message = refusal("fit", data, "--target", "outcome", "--delimiter", ";")
    assert "pass --delimiter ','" in message


def test_long_delimiter_is_refused(data):
    assert "one character" in refusal("fit", data, "--target", "outcome", "--delimiter", "ab")


def test_missing_header_line_is_recognized(tmp_path, lines):
    path = write(tmp_path / "data.csv", *lines[1:])
    assert "first line should hold" in refusal("fit", path, "--target", "outcome")


def test_missing_file_is_named(tmp_path):
    assert "absent.csv" in refusal("fit", tmp_path / "absent.csv", "--target", "y")


def test_folder_is_refused(tmp_path):
    assert "Give the path of a CSV file" in refusal("fit", tmp_path, "--target", "y")


@pytest.mark.parametrize("content", [b"PK\x03\x04\0\0", b"a,y\n\xff\xfe,1\n"])
def test_binary_file_is_refused(content, tmp_path):
    (tmp_path / "data.csv").write_bytes(content)
    assert "not a text file" in refusal("fit", tmp_path / "data.csv", "--target", "y")


def test_other_cell_is_named_by_row_line_and_column(tmp_path):
    path = write(tmp_path / "data.csv", "a,b,y", "1,2,3", "", "4,five,6")
    message = refusal("fit", path, "--target", "y")
    assert "row 2 (line 4), column 'b': 'five' is not a number" in message


@pytest.mark.parametrize("cell", ["", "  "])
def test_empty_cell_is_named(cell, tmp_path):
    path = write(tmp_path / "data.csv", "a,b,y", f"1,{cell},3", "4,5,6")
    assert "row 1 (line 2), column 'b': the cell is empty" in refusal("fit", path, "--target", "y")


@pytest.mark.parametrize("cell", ["nan", "NaN", "inf", "-Infinity", "1e999"])
def test_cell_that_is_not_finite_is_named(cell, tmp_path):
    path = write(tmp_path / "data.csv", "a,b,y", f"1,2,{cell}", "4,5,6")
    assert f"column 'y': '{cell}' is not finite" in refusal("fit", path, "--target", "y")


def test_number_whose_square_overflows_is_named(tmp_path):
    path = write(tmp_path / "data.csv", "a,b,y", "1,1e200,3", "4,5,6")
    assert "column 'b': '1e200' is too large" in refusal("fit", path, "--target", "y")


def test_largest_numbers_that_are_read_are_fitted(tmp_path):
    rows = [f"{i % 5}e149,{i % 3}e-149,{i}e148" for i in range(12)]
    path = write(tmp_path / "data.csv", "a,b,y", *rows)
    assert run("fit", path, "--target", "y").exit_code == 0


def test_what_the_estimator_refuses_is_told_in_a_line(data, monkeypatch):
    class Refusing(sparsereg.LassoCV):
        def fit(self, X, y):
            raise ValueError("X is odd.\nAnd a page of advice.")

    monkeypatch.setattr(sparsereg, "LassoCV", Refusing)
    assert refusal("fit", data, "--target", "outcome").endswith("cannot be fitted: X is odd.")


def test_missed_convergence_is_told_in_a_line_on_stderr(data, monkeypatch):
    class Impatient(sparsereg.LassoCV):
        def fit(self, X, y):
            warnings.warn("Not there yet.", ConvergenceWarning)  # noqa: B028
            return super().fit(X, y)

    monkeypatch.setattr(sparsereg, "LassoCV", Impatient)
    assert run("fit", data, "--target", "outcome").stderr == "Warning: Not there yet.\n"


def test_repeated_column_name_is_named(tmp_path):
    path = write(tmp_path / "data.csv", "a,a,y", "1,2,3", "4,5,6")
    assert "more than one column named a" in refusal("fit", path, "--target", "y")


def test_column_without_a_name_is_refused(tmp_path):
    path = write(tmp_path / "data.csv", ",a,y", "0,2,3", "1,5,6")
    assert "column 1 has no name" in refusal("fit", path, "--target", "y")


@pytest.mark.parametrize("row", ["1,2", "1,2,3,4"])
def test_ragged_row_is_counted(row, tmp_path):
    path = write(tmp_path / "data.csv", "a,b,y", "1,2,3", row)
    message = refusal("fit", path, "--target", "y")
    assert f"row 2 (line 3) has {row.count(',') + 1} cells and the header has 3" in message


def test_open_quotation_mark_is_refused(tmp_path):
    path = write(tmp_path / "data.csv", "a,b,y", '1,"2,3', *["4,5,6"] * 40_000)
    assert "quotation mark" in refusal("fit", path, "--target", "y")


@pytest.mark.parametrize("lines", [[], ["", ""]])
def test_empty_file_is_refused(lines, tmp_path):
    assert "is empty" in refusal("fit", write(tmp_path / "data.csv", *lines), "--target", "y")


def test_header_alone_is_refused(tmp_path):
    assert "no rows" in refusal("fit", write(tmp_path / "data.csv", "a,y"), "--target", "y")


def test_one_row_is_refused(tmp_path):
    path = write(tmp_path / "data.csv", "a,y", "1,2")
    assert "only one row" in refusal("fit", path, "--target", "y")


def test_fewer_rows_than_folds_are_refused(tmp_path):
    path = write(tmp_path / "data.csv", "a,y", "1,2", "3,5", "4,4")
    assert "Pass --cv 3 or less" in refusal("fit", path, "--target", "y")


def test_target_alone_is_refused(tmp_path):
    path = write(tmp_path / "data.csv", "y", "1", "2")
    assert "at least one feature column" in refusal("fit", path, "--target", "y")


def test_constant_target_is_refused(tmp_path):
    path = write(tmp_path / "data.csv", "a,y", *(f"{i},7" for i in range(9)))
    assert "'y' is 7 in every row" in refusal("fit", path, "--target", "y")


def test_file_to_predict_must_have_every_feature(data, tmp_path):
    path = write(tmp_path / "new.csv", "age,noise", "1,2")
    message = refusal("fit", data, "--target", "outcome", "--predict", path)
    assert "lacks 2 of the 4 feature columns: bmi, blood pressure" in message


def test_wrong_cell_in_the_file_to_predict_is_named(data, tmp_path):
    path = write(tmp_path / "new.csv", "id," + ",".join(NAMES), "x,1,2,?,4")
    message = refusal("fit", data, "--target", "outcome", "--predict", path)
    assert "column 'blood pressure': '?' is not a number" in message


@pytest.mark.parametrize("option", ["--save", "--output"])
def test_unwritable_output_is_refused_before_the_fit(option, data, tmp_path, monkeypatch):
    monkeypatch.delattr(sparsereg, "LassoCV", raising=False)
    monkeypatch.setitem(sparsereg._PUBLIC, "LassoCV", "no.such.module")
    message = refusal(
        "fit", data, "--target", "outcome", "--predict", data, option, tmp_path / "absent" / "file"
    )
    assert f"{option} cannot write" in message


@pytest.mark.parametrize("option", ["--save", "--output"])
def test_data_are_not_overwritten(option, data):
    message = refusal("fit", data, "--target", "outcome", "--predict", data, option, data)
    assert f"{option} would overwrite data" in message


def test_refused_outputs_leave_no_file(data, tmp_path):
    refusal(
        "fit", data, "--target", "outcome", "--predict", data,
        "--save", tmp_path / "m.joblib", "--output", tmp_path,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_output_without_predict_is_refused(data):
    assert "--output needs --predict" in refusal("fit", data, "--target", "y", "--output", "p.csv")


# --- compile -------------------------------------------------------------------------------------

# Kernels that only other kernels call are compiled with these, or loaded with them.
ENTRIES_NOT_MET = """
import sys
from sparsereg.commands.compile import EXERCISES, exercise
for name in EXERCISES:
    exercise(name)
kernels = {
    (value.py_func.__module__, value.py_func.__name__): value
    for module in list(sys.modules.values())
    if module.__name__.startswith("sparsereg.backends.numba")
    for value in vars(module).values()
    if hasattr(value, "py_func")
}
called = {name for kernel in kernels.values() for name in kernel.py_func.__code__.co_names}
print(*sorted(name for (_, name), k in kernels.items() if name not in called and not k.signatures))
"""


def test_compile_meets_every_kernel():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.run(
        [sys.executable, "-c", ENTRIES_NOT_MET],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert child.stdout.split() == []


def test_compile_says_how_long_it_took(monkeypatch):
    from sparsereg.commands import compile as command

    monkeypatch.setattr(command, "EXERCISES", {"l0": command.EXERCISES["l0"]})
    assert "Kernels compiled in " in run("compile").output


# --- info ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["python", "numpy", "numba", "scikit-learn", "torch"])
def test_info_gives_the_version_of(name):
    assert f"│ {name} " in run("info").output


def test_info_lists_every_backend():
    from sparsereg.backends import list_backends

    output = run("info").output
    assert all(f"│ {name} " in output for name, _, _ in list_backends())


def test_info_says_why_a_backend_is_unavailable(monkeypatch):
    import sparsereg.backends

    monkeypatch.setattr(
        sparsereg.backends, "list_backends", lambda: [("tpu", False, "there is none.")]
    )
    assert "unavailable: there is none." in run("info").output


def test_info_survives_a_backend_that_does_not_exist(monkeypatch):
    monkeypatch.setenv("SPARSEREG_BACKEND", "nonsense")
    result = run("info")
    assert result.exit_code == 0
    assert "nonsense" in result.output


def test_info_names_the_cache_of_another_process(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "NUMBA_CACHE_DIR": str(tmp_path),
        "COLUMNS": "500",
    }
    command = [sys.executable, "-m", "sparsereg", "info"]
    output = subprocess.run(command, check=True, env=environment, capture_output=True).stdout
    folder_line = next(line for line in output.decode().splitlines() if "│ folder" in line)
    assert str(tmp_path) in folder_line


# --- bench ---------------------------------------------------------------------------------------


@pytest.fixture
def benchmarks(monkeypatch):
    module = importlib.import_module("sparsereg.benchmarks")
    monkeypatch.setattr(module, "FAMILIES", {"lasso": "one fit"})
    return module


def test_bench_lists_the_families(benchmarks):
    assert run("bench").output == "lasso  one fit\n"


def test_bench_forwards_its_options(benchmarks, monkeypatch, tmp_path):
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        benchmarks,
        "main",
        lambda family, *, quick, output, data, **options: calls.append(
            (family, quick, output, data)
        ),
    )
    run("bench", "lasso", "--quick", "--output", tmp_path, "--data", "colon", "--data", "wheat")
    assert calls == [("lasso", True, tmp_path, ("colon", "wheat"))]


def test_bench_lists_the_data_sets_for_a_wrong_name():
    message = refusal("bench", "lasso-path", "--data", "iris")
    assert "'iris'" in message
    assert "riboflavin" in message


def test_bench_ends_with_the_status_of_the_benchmark(benchmarks, monkeypatch):
    monkeypatch.setattr(benchmarks, "main", lambda family, *, quick, output, **options: 3)
    assert run("bench", "lasso").exit_code == 3


def test_unknown_family_names_the_close_one(benchmarks):
    assert "Did you mean 'lasso'?" in refusal("bench", "lsso")
