"""Every form that data may come in means its values, and none is written to."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone

from sparsereg import (
    AdaptiveLasso,
    AdaptiveLassoCV,
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    RelaxedLasso,
    RelaxedLassoCV,
    lasso_path,
)

N, P = 40, 12
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, P))
Y = 2 * X[:, 0] - X[:, 1] + RNG.standard_normal(N)
NAMES = [f"feature {j}" for j in range(P)]

ESTIMATORS = [
    Lasso(alpha=0.1),
    ElasticNet(alpha=0.1),
    LassoCV(n_alphas=5),
    ElasticNetCV(n_alphas=5),
    AdaptiveLasso(alpha=0.1),
    RelaxedLasso(alpha=0.1),
    AdaptiveLassoCV(n_alphas=5),
    RelaxedLassoCV(n_alphas=5),
]
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)

# Warnings of any kind are failures here: what is right is quiet, what is wrong raises.
pytestmark = pytest.mark.filterwarnings("error")


def fit(X=X, y=Y, sample_weight=None, **params):
    params = {"alpha": 0.1, "tol": 1e-12, **params}
    return Lasso(**params).fit(X, y, sample_weight=sample_weight)


def assert_same_coefficients(a, b, tol=1e-10):
    np.testing.assert_allclose(a.coef_, b.coef_, atol=tol, rtol=0)


# -------------------------------------------------------------------------------- forms of the data

REFERENCE = Lasso(alpha=0.1, tol=1e-12).fit(X, Y)


def with_int64_indices(matrix):
    matrix = sparse.csc_matrix(matrix)
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def with_mixed_indices(matrix):
    matrix = sparse.csc_matrix(matrix)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def with_unsorted_duplicates(matrix):
    """Store every entry as two summands, in random order within its column."""
    rows, columns = np.nonzero(matrix)
    values = matrix[rows, columns]
    rows, columns = np.tile(rows, 2), np.tile(columns, 2)
    values = np.concatenate([0.25 * values, 0.75 * values])
    order = np.lexsort((np.random.default_rng(0).random(rows.size), columns))
    starts = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=matrix.shape[1]))])
    return sparse.csc_matrix((values[order], rows[order], starts), shape=matrix.shape)


def read_only(array):
    array = array.copy()
    parts = [array] if isinstance(array, np.ndarray) else [array.data, array.indices, array.indptr]
    for part in parts:
        part.flags.writeable = False
    return array


def strided(array):
    wide = np.full((2 * array.shape[0], 3 * array.shape[1]), np.nan)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def unaligned(array):
    raw = np.frombuffer(b"x" + array.tobytes(), dtype=np.uint8)
    return raw[1:].view(np.float64).reshape(array.shape)


FORMS = {
    "list": lambda X: X.tolist(),
    "fortran": np.asfortranarray,
    "read-only": read_only,
    "strided": strided,
    "reversed rows": lambda X: X[::-1].copy()[::-1],
    "reversed columns": lambda X: X[:, ::-1].copy()[:, ::-1],
    "unaligned": unaligned,
    "big-endian": lambda X: X.astype(">f8"),
    "object": lambda X: X.astype(object),
    "longdouble": lambda X: X.astype(np.longdouble),
    "masked": np.ma.array,
    "csc": sparse.csc_matrix,
    "csr": sparse.csr_array,
    "coo": sparse.coo_array,
    "lil": sparse.lil_matrix,
    "dok": sparse.dok_matrix,
    "bsr": sparse.bsr_matrix,
    "dia": sparse.dia_matrix,
    "int64 indices": with_int64_indices,
    "mixed indices": with_mixed_indices,
    "unsorted duplicates": with_unsorted_duplicates,
    "read-only csc": lambda X: read_only(sparse.csc_matrix(X)),
    "read-only unsorted duplicates": lambda X: read_only(with_unsorted_duplicates(X)),
    "pandas": pd.DataFrame,
    "pandas nullable": lambda X: pd.DataFrame(X).astype("Float64"),
    "pandas sparse": lambda X: pd.DataFrame(X).astype(pd.SparseDtype(float, 0)),
    "polars": pl.DataFrame,
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


@every_form
def test_every_form_of_X_gives_the_same_fit(form):
    assert_same_coefficients(fit(X=form(X)), REFERENCE)


@every_form
def test_every_form_of_X_gives_the_same_prediction(form):
    model = fit(X=form(X))
    np.testing.assert_allclose(model.predict(form(X)), REFERENCE.predict(X), atol=1e-9)


@every_form
def test_every_form_of_X_gives_the_same_path(form):
    _, coefs, _ = lasso_path(form(X), Y, alphas=[0.5, 0.1], tol=1e-12)
    np.testing.assert_allclose(coefs, lasso_path(X, Y, alphas=[0.5, 0.1], tol=1e-12)[1], atol=1e-10)


@pytest.mark.parametrize("form", ["csr", "pandas", "polars", "strided", "int64 indices"])
def test_every_form_of_X_gives_the_same_cross_validation(form):
    model = LassoCV(n_alphas=5, tol=1e-10).fit(FORMS[form](X), Y)
    assert_same_coefficients(model, LassoCV(n_alphas=5, tol=1e-10).fit(X, Y), tol=1e-8)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int64", "uint64", "float16", "float32"]
)
def test_small_dtypes_of_X_mean_their_values(dtype):
    small = np.abs(3 * X).astype(dtype)
    assert_same_coefficients(fit(X=small), fit(X=small.astype(float)), tol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float32"])
def test_small_dtypes_of_sparse_X_mean_their_values(dtype):
    small = np.abs(X).astype(dtype)
    assert_same_coefficients(fit(X=sparse.csc_matrix(small)), fit(X=small.astype(float)), tol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "object", ">f8"])
def test_dtypes_of_y_mean_their_values(dtype):
    y = np.abs(3 * Y).astype(dtype)
    assert_same_coefficients(fit(y=y), fit(y=y.astype(float)))


@pytest.mark.parametrize(
    "y",
    [Y.tolist(), pd.Series(Y), pd.Series(Y, dtype="Float64"), pl.Series(Y), np.repeat(Y, 2)[::2]],
    ids=["list", "pandas", "nullable", "polars", "strided"],
)
def test_every_form_of_y_gives_the_same_fit(y):
    assert_same_coefficients(fit(y=y), REFERENCE)


@pytest.mark.parametrize("form", [list, pd.Series, pl.Series, np.float32])
def test_every_form_of_weights_gives_the_same_fit(form):
    weights, factors = np.arange(1.0, N + 1), np.arange(1.0, P + 1)
    model = fit(sample_weight=form(weights), penalty_weights=form(factors))
    assert_same_coefficients(model, fit(sample_weight=weights, penalty_weights=factors))


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "Float32"])
def test_nullable_frames_mean_their_values(dtype):
    values = (np.abs(3 * X)).round()
    values = values > 1 if dtype == "boolean" else values
    frame = pd.DataFrame(values).astype(dtype)
    assert_same_coefficients(fit(X=frame), fit(X=values.astype(float)), tol=1e-6)


def test_missing_values_of_nullable_frames_are_refused():
    frame = pd.DataFrame(X).astype("Float64")
    frame.iloc[2, 3] = pd.NA
    with pytest.raises(ValueError, match="NaN"):
        fit(X=frame)


def test_missing_values_of_polars_frames_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        fit(X=pl.DataFrame(X).with_columns(pl.lit(None).alias("column_0")))


def test_memory_mapped_X_gives_the_same_fit(tmp_path):
    np.save(tmp_path / "X.npy", X)
    assert_same_coefficients(fit(X=np.load(tmp_path / "X.npy", mmap_mode="r")), REFERENCE)


def test_memory_mapped_sparse_X_gives_the_same_fit(tmp_path):
    joblib.dump(sparse.csc_matrix(X), tmp_path / "X.joblib")
    assert_same_coefficients(fit(X=joblib.load(tmp_path / "X.joblib", mmap_mode="r")), REFERENCE)


def test_explicit_zeros_mean_zero():
    stored = sparse.csc_matrix(X)
    stored.data[::3] = 0
    assert_same_coefficients(fit(X=stored), fit(X=stored.toarray()))


def test_explicit_zeros_may_fill_a_column():
    stored = sparse.csc_matrix(X)
    stored.data[stored.indptr[2] : stored.indptr[3]] = 0
    assert fit(X=stored).coef_[2] == 0


@pytest.mark.parametrize("form", ["fortran", "csc", "int64 indices", "unsorted duplicates"])
@pytest.mark.parametrize("estimator", [ESTIMATORS[0], ESTIMATORS[2]], ids=["Lasso", "LassoCV"])
def test_X_is_not_modified(form, estimator):
    data = FORMS[form](X)
    parts = [data] if form == "fortran" else [data.data, data.indices, data.indptr]
    before = pickle.dumps(parts)
    clone(estimator).fit(data, Y, sample_weight=np.arange(N))
    assert pickle.dumps(parts) == before


@every_estimator
def test_arguments_are_not_modified(estimator):
    y, weights, factors = Y.copy(), np.arange(N, dtype=float), np.arange(P, dtype=float)
    arguments = (y, weights, factors)
    before = pickle.dumps(arguments)
    clone(estimator).set_params(penalty_weights=factors).fit(X, y, sample_weight=weights)
    assert pickle.dumps(arguments) == before


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
@every_estimator
def test_feature_names_are_kept(estimator, make):
    frame = make(dict(zip(NAMES, X.T)))
    assert list(clone(estimator).fit(frame, Y).feature_names_in_) == NAMES


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_predicting_columns_in_another_order_is_refused(make):
    frame = make(dict(zip(NAMES, X.T)))
    with pytest.raises(ValueError, match="feature names"):
        fit(X=frame).predict(frame[NAMES[::-1]])


def test_predicting_without_names_warns_as_in_scikit_learn():
    model = fit(X=pd.DataFrame(X, columns=NAMES))
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X)


def test_names_that_are_not_all_strings_are_refused():
    frame = pd.DataFrame(X, columns=[*NAMES[:-1], 3])
    with pytest.raises(TypeError, match="string"):
        fit(X=frame)


def test_refitting_without_names_forgets_them():
    model = fit(X=pd.DataFrame(X, columns=NAMES)).fit(X, Y)
    assert not hasattr(model, "feature_names_in_")


# ---------------------------------------------------------------------------------- several targets


def test_a_column_of_y_is_one_target():
    model = fit(y=Y[:, None])
    np.testing.assert_array_equal(np.ravel(model.coef_), REFERENCE.coef_)


def test_several_targets_have_one_row_each():
    model = fit(y=np.column_stack([Y, -Y, 2 * Y]))
    assert model.coef_.shape == (3, P)
    assert model.intercept_.shape == (3,)


def test_several_targets_predict_one_column_each():
    model = fit(y=np.column_stack([Y, -Y]))
    expected = np.column_stack([REFERENCE.predict(X), -REFERENCE.predict(X)])
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-9)


def test_a_constant_target_among_others_is_zero():
    assert not np.any(fit(y=np.column_stack([Y, np.ones(N)])).coef_[1])
