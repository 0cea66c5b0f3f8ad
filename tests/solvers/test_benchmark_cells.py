"""The benchmark's problems in small: every way to a lasso is right in every cell. Nothing is timed.

The duality gap is the benchmark's own, computed from the coefficients alone. scikit-learn's support
is taken where its coefficients are well above what its tolerance leaves open; where they are not,
the gradient of our answer decides what must be zero.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pytest
from sklearn.linear_model import lasso_path as sklearn_path
from sparsereg.benchmarks import data
from sparsereg.benchmarks.problem import alpha_max, columns, judge, null_objective

from sparsereg import Lasso, LassoCV, lasso_path

TOL = 1e-10
PATH = np.geomspace(1, 0.01, 25)
GENERATORS = {
    "wide": partial(data.toeplitz, 60, 300, 0.5),
    "wide, correlated": partial(data.toeplitz, 100, 300, 0.9),
    "tall": partial(data.toeplitz, 400, 60, 0.5),
    "genotypes": partial(data.genotypes, 200, 300, n_causal=20),
    "text": partial(data.text, 300, 400, 6000),
}

every_kind = pytest.mark.parametrize("kind", GENERATORS)


@cache
def make_problem(kind):
    problem = data.Dataset(kind, "generated", GENERATORS[kind]).problem()
    return problem.at(alpha_max(problem) * PATH)


@cache
def peer(kind):
    """Solve by scikit-learn to its duality gap of 1e-10."""
    problem = make_problem(kind)
    return sklearn_path(
        problem.X, problem.y, alphas=problem.alphas, tol=TOL, max_iter=1_000_000, precompute=False
    )[1]


def assert_solved(problem, coefs):
    """Both sides of the certificate: the gap, and zeros where the gradient is below alpha."""
    _, gaps = judge(problem, coefs)
    assert gaps.max() <= TOL * 2 * null_objective(problem)

    coefs = columns(coefs).toarray()
    gradients = problem.X.T @ (problem.y[:, None] - problem.X @ coefs) / len(problem.y)
    # a gap of g leaves the gradient uncertain by sqrt(2 g), columns being of norm sqrt(n) or less
    below = np.abs(gradients) < problem.alphas - 2 * np.sqrt(2 * gaps) - 1e-9 * problem.alphas
    assert not coefs[below].any()


def assert_same_support(coefs, expected):
    threshold = 1e-3 * np.abs(expected).max()
    assert (coefs[np.abs(expected) > threshold] != 0).all()
    assert (np.abs(expected[coefs == 0]) <= threshold).all()
    assert (expected[np.abs(coefs) > threshold] != 0).all()


@every_kind
@pytest.mark.parametrize("ratio", [0.1, 0.01, 0.001])
def test_single_fit_reaches_its_gap(kind, ratio):
    problem = make_problem(kind)
    problem = problem.at(ratio * problem.alphas[0])
    model = Lasso(problem.alpha, fit_intercept=False, tol=TOL).fit(problem.X, problem.y)

    assert model.dual_gap_ <= TOL * 2 * null_objective(problem)
    assert_solved(problem, model.coef_)


@every_kind
@pytest.mark.parametrize("k", [10, 24])
def test_single_fit_has_the_support_of_scikit_learn(kind, k):
    problem = make_problem(kind)
    model = Lasso(problem.alphas[k], fit_intercept=False, tol=TOL).fit(problem.X, problem.y)

    assert_same_support(model.coef_, peer(kind)[:, k])


@every_kind
def test_path_reaches_its_gap_and_the_support_of_scikit_learn_at_every_alpha(kind):
    problem = make_problem(kind)
    _, coefs, gaps = lasso_path(problem.X, problem.y, alphas=problem.alphas, tol=TOL)

    assert gaps.max() <= TOL * 2 * null_objective(problem)
    assert_solved(problem, coefs)
    for k in range(len(problem.alphas)):
        assert_same_support(coefs[:, k], peer(kind)[:, k])


@every_kind
def test_cross_validation_reaches_its_gap_in_every_fold(kind):
    problem = make_problem(kind)
    model = LassoCV(alphas=problem.alphas, cv=problem.splits(), fit_intercept=False, tol=TOL)
    model.fit(problem.X, problem.y)

    assert_solved(problem, model.coef_path_)
    assert_solved(problem.at(model.alpha_), model.coef_)
    for (train, test), coefs, mse in zip(
        problem.splits(), model.fold_coef_path_, model.mse_path_.T, strict=True
    ):
        assert_solved(problem.rows(train), coefs)
        errors = problem.y[test, None] - problem.X[test] @ columns(coefs).toarray()
        np.testing.assert_allclose(mse, (errors**2).mean(axis=0), rtol=1e-10)
