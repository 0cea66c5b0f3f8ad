"""The same data and parameters give the same optimum as scikit-learn.

Objectives are compared in float64 from the coefficients alone, relative to their size at the null
model, so that neither side's own report is trusted.
"""

import itertools

import numpy as np
import pytest
from scipy import sparse
from sklearn import linear_model as theirs

import sparsereg

SHAPES = [(50, 20), (30, 100), (100, 100)]
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
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("positive", [False, True], ids=["signed", "positive"])
@pytest.mark.parametrize("fit_intercept", [False, True], ids=["through0", "intercept"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}x{}".format(*shape))
def test_objective_equals_scikit_learn(shape, fit_intercept, positive, weighted, container):
    X, y, weights = make_data(*shape)
    weights = weights if weighted else None
    setting = {"fit_intercept": fit_intercept, "positive": positive}
    largest = alpha_max(X, y, weights, **setting)
    for ratio, fraction in itertools.product(L1_RATIOS, ALPHA_FRACTIONS):
        params = {"alpha": fraction * largest, "l1_ratio": ratio, "max_iter": 100_000} | setting
        ours = sparsereg.ElasticNet(tol=1e-12, **params)
        ours.fit(CONTAINERS[container](X), y, sample_weight=weights)
        reference = theirs.ElasticNet(tol=1e-10, **params).fit(X, y, sample_weight=weights)
        found, known = (objective(model, X, y, weights) for model in (ours, reference))
        assert found == pytest.approx(known, rel=1e-8), params
        assert ours.converged_, params
