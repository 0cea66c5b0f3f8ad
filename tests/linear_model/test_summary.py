"""Claims about ``model.summary()``."""

from __future__ import annotations

import inspect
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

import sparsereg
from sparsereg import (
    ElasticNetCV,
    L0Regressor,
    L0RegressorCV,
    Lasso,
    LassoCV,
    MultiTaskLasso,
    RelaxedLassoCV,
    SparseRegressor,
    SparseRegressorCV,
    penalties,
)
from sparsereg.linear_model._base import SparseLinearModel
from sparsereg.linear_model._summary import _PENALTIES

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6)) * [1.0, 10.0, 0.1, 1.0, 5.0, 1.0] + 2.0
Y = X[:, 0] - 0.3 * X[:, 1] + RNG.standard_normal(50)
NAMES = list("abcdef")


def fitted(model=None, **parameters):
    return (model or Lasso(0.1, **parameters)).fit(X, Y)


def test_support_is_listed_by_size_with_names():
    model = fitted()
    summary = model.summary(feature_names=NAMES)
    order = np.argsort(-np.abs(model.coef_))[: np.count_nonzero(model.coef_)]
    assert summary.names == [NAMES[j] for j in order]
    np.testing.assert_array_equal(summary.coef, model.coef_[order])


def test_names_of_a_frame_are_used():
    pandas = pytest.importorskip("pandas")
    model = Lasso(0.1).fit(pandas.DataFrame(X, columns=NAMES), Y)
    assert set(model.summary().names) <= set(NAMES)


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        MinMaxScaler(),
        MaxAbsScaler(),
        RobustScaler(),
        make_pipeline(MinMaxScaler(), StandardScaler()),
    ],
    ids=lambda s: type(s).__name__,
)
def test_original_units_predict_from_the_data_as_they_were(scaler):
    scaler.fit(X)
    model = Lasso(0.01).fit(scaler.transform(X), Y)
    summary = model.summary(feature_names=NAMES, scaler=scaler)
    columns = [NAMES.index(name) for name in summary.names]
    by_hand = X[:, columns] @ summary.coef + summary.intercept
    np.testing.assert_allclose(by_hand, model.predict(scaler.transform(X)), rtol=1e-9)
    np.testing.assert_array_equal(summary.scaled_coef, model.coef_[columns])


def test_scaler_fitted_on_a_frame_gives_the_names():
    pandas = pytest.importorskip("pandas")
    scaler = StandardScaler().fit(pandas.DataFrame(X, columns=NAMES))
    model = Lasso(0.1).fit(StandardScaler().fit_transform(X), Y)
    assert set(model.summary(scaler=scaler).names) <= set(NAMES)


@pytest.mark.parametrize(
    "scaler",
    [
        PCA(6),
        PolynomialFeatures(2),
        FunctionTransformer(np.abs),
        StandardScaler(),
        StandardScaler().fit(X[:, :3]),
        "scaler",
    ],
    ids=["mixes", "expands", "bends", "not fitted", "other columns", "no transformer"],
)
def test_what_does_not_scale_each_column_is_refused(scaler):
    if isinstance(scaler, (PCA, PolynomialFeatures)):
        scaler.fit(X)
    with pytest.raises(ValueError, match="does not map each of the 6 columns"):
        fitted().summary(scaler=scaler)


@pytest.mark.parametrize(
    ("model", "fact"),
    [
        (Lasso(0.1), ("alpha", "0.1, given")),
        (Lasso(0.1), ("penalty", "l1")),
        (Lasso(0.1), ("data", "50 rows, 6 columns")),
        (Lasso(0.1, positive=True, penalty_weights=np.ones(6)), ("penalty", "positive, with")),
        (LassoCV(cv=3, n_alphas=10), ("alpha", "chosen by 'min' among 10 alphas in 3 folds")),
        (ElasticNetCV(cv=3, n_alphas=5, l1_ratio=[0.5, 0.9]), ("penalty", "l1_ratio=0.")),
        (RelaxedLassoCV(cv=3, n_alphas=5), ("penalty", "gamma=")),
        (LassoCV(cv=3, n_alphas=5, selection=lambda a, s: 2), ("alpha", "chosen by a function")),
        (L0Regressor(n_nonzero=2), ("size", "at most 2, given")),
        (L0Regressor("bic"), ("size", "chosen by 'bic'")),
        (L0Regressor(0.5, l2=0.1), ("certificate", "is proven to be within")),
        (L0RegressorCV(cv=3), ("size", "among 7 sizes in 3 folds")),
        (L0RegressorCV(cv=3), ("certificate", "L0Regressor(n_nonzero=")),
        (SparseRegressor(penalties.MCP(0.1)), ("penalty", "MCP(alpha=0.1)")),
        (SparseRegressorCV(selection="ebic"), ("alpha", "chosen by 'ebic' among 100 alphas")),
        (SparseRegressorCV(selection="ebic"), ("certificate", "stationarity")),
    ],
)
def test_facts(model, fact):
    name, told = fact
    assert told in fitted(model).summary().facts[name]


@pytest.mark.parametrize(
    "model", [LassoCV(cv=3, n_alphas=10), L0RegressorCV(cv=3), RelaxedLassoCV(cv=3, n_alphas=5)]
)
def test_held_out_error_is_that_of_the_choice(model):
    model = fitted(model)
    if isinstance(model, L0RegressorCV):
        errors = model.mse_path_[model.n_nonzero_]
    else:
        table = model.mse_path_
        if table.ndim == 3:
            table = table[list(model.gammas_).index(model.gamma_)]
        errors = table[list(model.alphas_).index(model.alpha_)]
    assert f"mean square {errors.mean():.4g} ±" in model.summary().facts["held-out error"]


def test_every_linear_estimator_has_a_summary():
    for name in sparsereg.__all__:
        thing = getattr(sparsereg, name)
        if not (inspect.isclass(thing) and issubclass(thing, SparseLinearModel)):
            continue
        if not thing.__module__.startswith("sparsereg.linear_model"):
            continue  # other families have data of their own
        y = np.column_stack([Y, Y]) if name.startswith("MultiTask") else Y
        summary = thing().fit(X, y).summary(feature_names=NAMES)
        assert summary.title == name
        assert name.removesuffix("CV") in _PENALTIES or hasattr(thing(), "penalty")
        assert str(summary).splitlines()[0] == name


# --- what it looks like --------------------------------------------------------------------------


def test_text_has_a_row_per_selected_column_and_the_intercept():
    model = fitted()
    text = str(model.summary(feature_names=NAMES))
    assert text == repr(model.summary(feature_names=NAMES))
    rows = text.splitlines()[-np.count_nonzero(model.coef_) - 1 :]
    assert rows[0].split() == [NAMES[np.argmax(abs(model.coef_))], f"{max(model.coef_):.6g}"]
    assert rows[-1].split() == ["(intercept)", f"{model.intercept_:.6g}"]


def test_rows_beyond_the_limit_are_counted():
    text = str(fitted(Lasso(0.001)).summary(max_rows=2))
    assert "... and 4 more, with smaller coefficients" in text


def test_html_escapes_names():
    html = fitted().summary(feature_names=["<script>", *NAMES[1:]])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_rich_prints_names_with_brackets_as_they_are():
    console = Console(file=StringIO(), width=100)
    console.print(fitted().summary(feature_names=["[red]a", *NAMES[1:]]))
    printed = console.file.getvalue()
    assert "[red]a" in printed
    assert "(intercept)" in printed


@pytest.mark.parametrize("n_targets", [2, 8])
def test_targets_have_columns_of_their_own_up_to_six(n_targets):
    model = MultiTaskLasso(0.1).fit(X, np.column_stack([Y] * n_targets))
    header, *rows = model.summary()._table()
    assert len(header) == (4 if n_targets == 2 else 2)
    assert all(len(row) == len(header) for row in rows)
    assert float(rows[0][-1]) == pytest.approx(np.linalg.norm(model.coef_, axis=0).max(), rel=1e-5)


# --- warnings ------------------------------------------------------------------------------------


def test_good_fit_has_no_warnings():
    assert fitted(LassoCV(cv=5)).summary().warnings == []


def test_fit_that_did_not_converge_says_so():
    with pytest.warns(ConvergenceWarning):
        model = Lasso(1e-4, tol=0.0, max_iter=1).fit(X, Y)
    assert "did not converge" in model.summary().warnings[0]


def test_empty_support_is_a_warning():
    summary = fitted(Lasso(1e6)).summary()
    assert "predicts a constant" in summary.warnings[0]
    assert "predicts a constant" in str(summary)
    assert "predicts a constant" in summary._repr_html_()


def test_as_many_columns_as_rows_is_a_warning():
    model = Lasso(1e-8, tol=1e-12).fit(RNG.standard_normal((8, 40)), RNG.standard_normal(8))
    assert "noise included" in model.summary().warnings[0]


def test_choice_at_the_end_of_the_grid_is_a_warning():
    model = fitted(LassoCV(cv=3, eps=0.9, n_alphas=4))
    assert "the smallest of the grid" in model.summary().warnings[0]


def test_largest_size_tried_is_a_warning():
    model = fitted(L0RegressorCV(cv=3, max_size=1))
    assert "the largest that was tried" in model.summary().warnings[0]


def test_search_without_a_bound_is_a_warning():
    wide = RNG.standard_normal((20, 40))
    model = L0Regressor(n_nonzero=2).fit(wide, wide[:, 0] + 0.1 * RNG.standard_normal(20))
    assert model.lower_bound_ is None
    assert "Nothing is proven" in model.summary().warnings[0]


def test_summary_needs_a_fit():
    with pytest.raises(NotFittedError):
        Lasso().summary()


def test_large_errors_are_written_out():
    y = 60.0 * (X[:, 0] + RNG.standard_normal(50))
    told = LassoCV(cv=3).fit(X, y).summary().facts["held-out error"].split("±")[1].split()[0]
    assert told.isdigit(), told  # 130 and not 1.3e+02
    assert int(told) >= 100
