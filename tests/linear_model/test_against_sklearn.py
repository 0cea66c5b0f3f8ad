"""The same data and parameters give the same optimum as scikit-learn.

Objectives are compared in float64 from the coefficients alone, relative to their size at the null
model, so that neither side's own report is trusted.
"""

import numpy as np
import pytest
from scipy import sparse
from sklearn import linear_model as theirs

import sparsereg

SHAPES = [(50, 20), (30, 100), (100, 100)]
SHAPE_IDS = ["{}x{}".format(*shape) for shape in SHAPES]
ALPHA_FRACTIONS = [0.5, 0.1, 0.01, 0.001]
L1_RATIOS = [0.0, 0.1, 0.5, 1.0]
CONTAINERS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "csr": sparse.csr_array,
    "csc": sparse.csc_array,
}


def make_data(n_samples, n_features, dtype=np.float64, seed=0):
    """Correlated columns of unequal scale and mean, a third of the entries zero."""
    rng = np.random.default_rng([n_samples, n_features, seed])
    X = rng.standard_normal((n_samples, n_features))
    X += 0.7 * rng.standard_normal((n_samples, 1))
    X *= rng.uniform(0.5, 2.0, n_features)
    X += rng.standard_normal(n_features)
    X[rng.random(X.shape) < 1 / 3] = 0.0
    w = np.where(rng.random(n_features) < 0.2, rng.standard_normal(n_features), 0.0)
    y = X @ w + 0.5 * rng.standard_normal(n_samples) + 3.0
    weights = rng.uniform(0.1, 3.0, n_samples)
    weights[::7] = 0.0
    return X.astype(dtype), y.astype(dtype), weights


def alpha_max(X, y, weights, *, fit_intercept, positive):
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    s = np.ones(len(y)) if weights is None else weights
    if fit_intercept:
        y = y - np.average(y, weights=s)
    slope = (s * y) @ (X - np.average(X, axis=0, weights=s) * fit_intercept) / s.sum()
    return np.max(slope if positive else np.abs(slope))


def objective(model, X, y, weights):
    """Mean squared error / 2 plus penalty, in float64, with the best intercept for the coef."""
    w = np.asarray(model.coef_, dtype=float)
    residual = np.asarray(y, dtype=float) - np.asarray(X, dtype=float) @ w
    if model.fit_intercept:
        residual -= np.average(residual, weights=weights)
    ratio = getattr(model, "l1_ratio", 1.0)
    penalty = ratio * np.sum(np.abs(w)) + 0.5 * (1 - ratio) * np.sum(w**2)
    return 0.5 * np.average(residual**2, weights=weights) + model.alpha * penalty


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning:sklearn")
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("positive", [False, True], ids=["signed", "positive"])
@pytest.mark.parametrize("fit_intercept", [False, True], ids=["through0", "intercept"])
@pytest.mark.parametrize("l1_ratio", L1_RATIOS)
@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_IDS)
def test_objective_equals_scikit_learn(shape, l1_ratio, fit_intercept, positive, weighted):
    X, y, weights = make_data(*shape)
    weights = weights if weighted else None
    setting = {"fit_intercept": fit_intercept, "positive": positive}
    largest = alpha_max(X, y, weights, **setting)
    for fraction in ALPHA_FRACTIONS:
        params = {"alpha": fraction * largest, "l1_ratio": l1_ratio} | setting
        reference = theirs.ElasticNet(tol=1e-10, max_iter=100_000, **params)
        expected = objective(reference.fit(X, y, sample_weight=weights), X, y, weights)
        for name, container in CONTAINERS.items():
            ours = sparsereg.ElasticNet(tol=1e-12, **params)
            ours.fit(container(X), y, sample_weight=weights)
            found = objective(ours, X, y, weights)
            assert found == pytest.approx(expected, rel=1e-8), (name, params)
            assert ours.converged_, (name, params)


@pytest.mark.parametrize("fit_intercept", [False, True], ids=["through0", "intercept"])
@pytest.mark.parametrize("l1_ratio", L1_RATIOS)
@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_IDS)
def test_float32_data_gives_the_optimum_of_the_same_numbers_in_float64(
    shape, l1_ratio, fit_intercept
):
    X, y, weights = make_data(*shape, dtype=np.float32)
    setting = {"fit_intercept": fit_intercept, "positive": False}
    params = {"alpha": 0.1 * alpha_max(X, y, weights, **setting), "l1_ratio": l1_ratio} | setting
    reference = theirs.ElasticNet(tol=1e-10, max_iter=100_000, **params)
    reference.fit(X.astype(float), y.astype(float), sample_weight=weights)
    expected = objective(reference, X, y, weights)
    for name, container in CONTAINERS.items():
        ours = sparsereg.ElasticNet(tol=1e-12, **params)
        ours.fit(container(X), y, sample_weight=weights)
        assert objective(ours, X, y, weights) == pytest.approx(expected, rel=1e-8), name
        assert ours.coef_.dtype == np.float32


@pytest.mark.parametrize("positive", [False, True], ids=["signed", "positive"])
@pytest.mark.parametrize("shape", SHAPES, ids=SHAPE_IDS)
def test_lasso_support_equals_scikit_learn_where_it_is_well_defined(shape, positive):
    X, y, _ = make_data(*shape)
    setting = {"fit_intercept": True, "positive": positive}
    for fraction in ALPHA_FRACTIONS[:3]:
        params = {"alpha": fraction * alpha_max(X, y, None, **setting)} | setting
        reference = theirs.Lasso(tol=1e-14, max_iter=1_000_000, **params).fit(X, y)
        slope = X.T @ (y - reference.predict(X)) / len(y)
        bound = slope if positive else np.abs(slope)
        inside = np.abs(reference.coef_) > 1e-6
        outside = bound < params["alpha"] * (1 - 1e-6)
        assert np.all(inside ^ outside)  # strict complementarity: the support is well defined

        ours = sparsereg.Lasso(tol=1e-14, **params).fit(X, y)
        np.testing.assert_array_equal(ours.coef_ != 0, inside)
        np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(ours.intercept_, reference.intercept_, rtol=1e-6)


@pytest.mark.parametrize("path", ["enet_path", "lasso_path"])
@pytest.mark.parametrize("positive", [False, True], ids=["signed", "positive"])
def test_path_equals_scikit_learn(path, positive):
    X, y, _ = make_data(50, 20)
    X, y = X - X.mean(axis=0), y - y.mean()
    setting = {"alphas": 10, "eps": 1e-2, "positive": positive}
    alphas, coefs, gaps = getattr(sparsereg, path)(X, y, tol=1e-14, **setting)
    expected = getattr(theirs, path)(X, y, tol=1e-14, max_iter=100_000, **setting)
    np.testing.assert_allclose(alphas, expected[0], rtol=1e-12)
    np.testing.assert_allclose(coefs, expected[1], rtol=1e-5, atol=1e-7)
    assert coefs.shape == (20, 10)
    assert gaps.shape == (10,)


CV_CASES = {
    "plain": {},
    "positive": {"positive": True},
    "through0": {"fit_intercept": False},
    "given alphas": {"alphas": [0.01, 1.0, 0.1]},
    "cv=3": {"cv": 3},
}


def assert_same_cross_validation(ours, reference):
    np.testing.assert_allclose(ours.alphas_, reference.alphas_, rtol=1e-12)
    np.testing.assert_allclose(ours.mse_path_, reference.mse_path_, rtol=1e-6)
    assert ours.alpha_ == pytest.approx(reference.alpha_, rel=1e-12)
    np.testing.assert_allclose(ours.coef_, reference.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours.intercept_, reference.intercept_, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("case", CV_CASES)
@pytest.mark.parametrize("shape", SHAPES[:2], ids=SHAPE_IDS[:2])
def test_lasso_cv_equals_scikit_learn(shape, case, weighted):
    X, y, weights = make_data(*shape)
    weights = weights if weighted else None
    params = {"alphas": 15, "eps": 1e-2} | CV_CASES[case]
    reference = theirs.LassoCV(tol=1e-13, max_iter=100_000, **params)
    reference.fit(X, y, sample_weight=weights)
    for container in (np.asfortranarray, sparse.csr_array):
        ours = sparsereg.LassoCV(tol=1e-13, **params)
        assert_same_cross_validation(ours.fit(container(X), y, sample_weight=weights), reference)


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("l1_ratio", [0.5, [0.1, 0.5, 1.0]])
def test_elastic_net_cv_equals_scikit_learn(l1_ratio, weighted):
    X, y, weights = make_data(50, 20)
    weights = weights if weighted else None
    params = {"l1_ratio": l1_ratio, "alphas": 15, "eps": 1e-2}
    reference = theirs.ElasticNetCV(tol=1e-13, max_iter=100_000, **params)
    reference.fit(X, y, sample_weight=weights)
    ours = sparsereg.ElasticNetCV(tol=1e-13, **params).fit(X, y, sample_weight=weights)
    assert_same_cross_validation(ours, reference)
    assert ours.l1_ratio_ == reference.l1_ratio_


@pytest.mark.parametrize("name", ["Lasso", "ElasticNet", "LassoCV", "ElasticNetCV"])
def test_fitted_attributes_have_the_shapes_of_scikit_learn(name):
    X, y, _ = make_data(50, 20)
    ours, reference = getattr(sparsereg, name)().fit(X, y), getattr(theirs, name)().fit(X, y)
    shared = {key for key in vars(reference) if key.endswith("_") and not key.startswith("_")}
    for key in shared - {"n_iter_"}:
        assert np.shape(getattr(ours, key)) == np.shape(getattr(reference, key)), key
    assert ours.predict(X).shape == reference.predict(X).shape


@pytest.mark.parametrize("name", ["Lasso", "ElasticNet"])
def test_sparse_coef_has_the_shape_of_scikit_learn(name):
    X, y, _ = make_data(50, 20)
    ours, reference = getattr(sparsereg, name)().fit(X, y), getattr(theirs, name)().fit(X, y)
    assert ours.sparse_coef_.shape == reference.sparse_coef_.shape
    np.testing.assert_array_equal(ours.sparse_coef_.toarray()[0], ours.coef_)
