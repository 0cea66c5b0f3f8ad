"""Expectation-maximization on data that were not designed."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sparsereg import Lasso
from sparsereg.mixture import (
    MixtureOracle,
    SparseMixtureRegressor,
    SparseMixtureRegressorCV,
    label_error,
    make_sparse_mixture,
    mixture_errors,
)


def data(seed, n=60, size=8, m=300, n_components=2, noise_std=0.1, weights=None, **mixture):
    coef = make_sparse_mixture(n, size, n_components, random_state=seed, **mixture)
    X = np.random.default_rng(seed).standard_normal((m, n))
    oracle = MixtureOracle(coef, weights, noise_std=noise_std, random_state=seed + 50)
    y = oracle(X)
    return coef, X, y, oracle.labels[0]


@pytest.mark.parametrize("solver", ["em-iht", "alternating"])
def test_supports_are_found(solver):
    found = 0
    for seed in range(8):
        coef, X, y, labels = data(seed)
        model = SparseMixtureRegressor(
            2, solver=solver, n_nonzero=4, n_init=10, random_state=0
        ).fit(X, y)
        errors = mixture_errors(coef, model.coef_)
        good = errors.coef_error < 0.05
        found += good
        if good:
            assert label_error(labels, model.labels_) < 0.15
            np.testing.assert_allclose(model.noise_variance_, 0.01, rtol=0.5)
    assert found >= 7


def test_large_problems_without_noise_are_exact():
    for seed in range(3):
        coef, X, y, _ = data(seed, n=500, size=50, m=600, noise_std=0.0)
        model = SparseMixtureRegressor(
            2, solver="em-iht", n_nonzero=25, fit_intercept=False, random_state=0
        ).fit(X, y)
        assert mixture_errors(coef, model.coef_, tol=1e-4).exact


@pytest.mark.parametrize("variance", ["tied", "free"])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_the_objective_of_the_lasso_never_rises(variance, gamma):
    _, X, y, _ = data(0)
    model = SparseMixtureRegressor(
        2, alpha=0.05, gamma=gamma, variance=variance, random_state=0
    ).fit(X, y)
    assert model.converged_
    assert np.max(np.diff(model.objective_history_)) <= 1e-7


def test_the_objective_is_what_the_documentation_says():
    _, X, y, _ = data(0)
    model = SparseMixtureRegressor(2, alpha=0.05, gamma=0.5, random_state=0).fit(X, y)
    sizes = np.abs(model.coef_).sum(axis=1) / np.sqrt(model.noise_variance_)
    value = -model.log_density(X, y).mean() + 0.05 * model.weights_**0.5 @ sizes
    assert model.objective_history_[-1] == pytest.approx(value, rel=1e-9)
    assert model.log_likelihood_ == pytest.approx(model.log_density(X, y).mean(), rel=1e-9)


def test_coefficients_are_weighted_lassos_at_the_end():
    _, X, y, _ = data(0)
    model = SparseMixtureRegressor(2, alpha=0.05, tol=1e-12, max_iter=2000, random_state=0)
    model.fit(X, y)
    tau = model.responsibilities_
    for r in range(2):
        sigma, share = np.sqrt(model.noise_variance_[r]), tau[:, r].mean()
        alpha = 0.05 * model.weights_[r] * sigma / share
        lasso = Lasso(alpha, tol=1e-10).fit(X, y, sample_weight=tau[:, r])
        np.testing.assert_allclose(model.coef_[r], lasso.coef_, atol=1e-4)


def test_one_regression_is_the_scaled_lasso():
    _, X, y, _ = data(0, n_components=1, noise_std=1.0)
    model = SparseMixtureRegressor(1, alpha=0.1, tol=1e-12).fit(X, y)
    sigma = np.sqrt(model.noise_variance_[0])
    lasso = Lasso(0.1 * sigma, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(model.coef_[0], lasso.coef_, atol=1e-5)
    # sigma minimizes log(sigma) + rss / (2 n sigma^2) + alpha |b|_1 / sigma
    rss = np.mean((y - lasso.predict(X)) ** 2)
    assert rss / sigma**2 + 0.1 * np.abs(lasso.coef_).sum() / sigma == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("solver", ["em-lasso", "em-iht"])
def test_the_unit_of_y_does_not_matter(solver):
    _, X, y, _ = data(0)
    model = SparseMixtureRegressor(2, solver=solver, alpha=0.05, n_nonzero=4, random_state=0)
    small, large = clone(model).fit(X, y), clone(model).fit(X, 1024.0 * y)
    np.testing.assert_allclose(large.coef_, 1024.0 * small.coef_, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(large.weights_, small.weights_, atol=1e-5)


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("solver", ["em-lasso", "em-iht"])
def test_sparse_input_gives_what_dense_input_gives(make, solver):
    _, X, y, _ = data(0)
    X = X * (np.random.default_rng(1).random(X.shape) < 0.3)
    model = SparseMixtureRegressor(2, solver=solver, alpha=0.1, n_nonzero=4, random_state=0)
    dense, other = clone(model).fit(X, y), clone(model).fit(make(X), y)
    np.testing.assert_allclose(other.coef_, dense.coef_, atol=1e-4)
    np.testing.assert_allclose(other.predict(make(X)), dense.predict(X), atol=1e-3)


def test_unequal_weights_are_found_and_come_in_order():
    coef, X, y, _ = data(1, m=600, weights=(0.75, 0.25))
    model = SparseMixtureRegressor(2, solver="em-iht", n_nonzero=4, n_init=10, random_state=0)
    model.fit(X, y)
    np.testing.assert_allclose(model.weights_, [0.75, 0.25], atol=0.06)
    np.testing.assert_allclose(model.coef_, coef, atol=0.1)


def test_unequal_variances_are_found():
    coef = make_sparse_mixture(30, 6, random_state=3) * 3.0
    rng = np.random.default_rng(0)
    X, label = rng.standard_normal((800, 30)), rng.integers(0, 2, 800)
    y = np.sum(X * coef[label], axis=1) + np.where(label == 0, 0.1, 1.0) * rng.standard_normal(800)
    model = SparseMixtureRegressor(
        2, solver="em-iht", n_nonzero=3, variance="free", random_state=0
    ).fit(X, y)
    np.testing.assert_allclose(np.sort(np.sqrt(model.noise_variance_)), [0.1, 1.0], rtol=0.25)


def test_intercepts_are_found():
    coef = make_sparse_mixture(30, 6, random_state=0)
    X = np.random.default_rng(0).standard_normal((400, 30)) + 2.0
    oracle = MixtureOracle(coef, (0.6, 0.4), intercept=(3.0, -3.0), noise_std=0.1, random_state=0)
    model = SparseMixtureRegressor(2, solver="em-iht", n_nonzero=3, n_init=10, random_state=0)
    model.fit(X, oracle(X))
    np.testing.assert_allclose(model.intercept_, [3.0, -3.0], atol=0.2)


def test_responsibilities_are_bayes_rule():
    _, X, y, _ = data(0, m=100)
    model = SparseMixtureRegressor(2, alpha=0.1, random_state=0).fit(X, y)
    density = np.stack(
        [
            w * np.exp(-0.5 * (y - X @ b - c) ** 2 / v) / np.sqrt(2 * np.pi * v)
            for w, b, c, v in zip(
                model.weights_, model.coef_, model.intercept_, model.noise_variance_
            )
        ],
        axis=1,
    )
    share = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.responsibilities(X, y), share, atol=1e-10)
    np.testing.assert_array_equal(model.predict_labels(X, y), np.argmax(share, axis=1))
    np.testing.assert_allclose(model.log_density(X, y), np.log(density.sum(axis=1)), atol=1e-9)


def test_bic_chooses_the_true_number_and_size():
    _, X, y, _ = data(0, m=400)
    model = SparseMixtureRegressorCV(
        (1, 2, 3), solver="em-iht", n_nonzeros=(2, 4, 8), random_state=0
    ).fit(X, y)
    assert (model.n_components_, model.n_nonzero_) == (2, 4)
    assert model.scores_.shape == (3, 3, 1)
    assert -model.scores_.max() == pytest.approx(model.bic(X, y), rel=1e-6)


def test_cross_validation_chooses_the_true_number():
    _, X, y, _ = data(0, m=400)
    model = SparseMixtureRegressorCV(
        (1, 2), solver="em-iht", n_nonzeros=(4, 8), selection="min", cv=3, random_state=0
    ).fit(X, y)
    assert model.n_components_ == 2
    assert model.scores_.shape == (2, 2, 3)


def test_the_one_standard_error_rule_takes_the_simplest_mixture_that_is_good_enough():
    _, X, y, _ = data(0, m=400)
    model = SparseMixtureRegressorCV(
        (3, 2), solver="em-iht", n_nonzeros=(12, 4, 8), selection="1se", cv=4, random_state=0
    ).fit(X, y)
    scores = model.scores_.reshape(6, 4)  # 2 regressions of 4, 8, 12 coefficients, then 3
    best = int(np.argmax(scores.mean(axis=1)))
    bar = scores[best].mean() - scores[best].std(ddof=1) / 2.0
    first = int(np.flatnonzero(scores.mean(axis=1) >= bar)[0])
    assert (model.n_components_, model.n_nonzero_) == [
        (2, 4), (2, 8), (2, 12), (3, 4), (3, 8), (3, 12)
    ][first]  # fmt: skip


def test_aic_is_that_of_the_chosen_mixture():
    _, X, y, _ = data(0, m=400)
    model = SparseMixtureRegressorCV(
        (1, 2), solver="em-iht", n_nonzeros=(2, 4), selection="aic", random_state=0
    ).fit(X, y)
    assert -model.scores_.max() == pytest.approx(model.aic(X, y), rel=1e-6)


def test_alphas_of_a_grid_go_down_to_where_bic_is_best():
    coef, X, y, _ = data(0, m=400)
    model = SparseMixtureRegressorCV(2, n_alphas=6, random_state=0).fit(X, y)
    assert np.all(np.diff(model.alphas_) < 0)
    assert model.alpha_ in model.alphas_
    assert mixture_errors(coef, model.coef_).recall >= 0.75


def test_too_few_iterations_are_told():
    _, X, y, _ = data(0)
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        model = SparseMixtureRegressor(2, alpha=0.02, max_iter=2, random_state=0).fit(X, y)
    assert not model.converged_


def test_too_few_rows_to_tell_are_told():
    for seed in range(3):  # ten coefficients among 200 columns, four or five rows for each
        _, X, y, _ = data(seed, n=200, size=10, m=45)
        with pytest.warns(ConvergenceWarning, match="more rows"):
            SparseMixtureRegressor(2, solver="em-iht", n_nonzero=5, random_state=0).fit(X, y)


@pytest.mark.filterwarnings("error")
def test_starts_that_fail_do_not_discredit_one_that_succeeds():
    coef, X, y, _ = data(0, n=200, size=10, m=80)
    model = SparseMixtureRegressor(2, solver="em-iht", n_nonzero=5, random_state=0).fit(X, y)
    assert mixture_errors(coef, model.coef_).coef_error < 0.1


def test_hard_thresholding_wants_a_size():
    with pytest.raises(ValueError, match="n_nonzero"):
        SparseMixtureRegressor(2, solver="em-iht").fit(np.eye(5), np.arange(5.0))
    with pytest.raises(ValueError, match="n_nonzeros"):
        SparseMixtureRegressorCV(2, solver="em-iht").fit(np.eye(5), np.arange(5.0))


def test_exact_answers_have_no_density():
    from sparsereg.mixture import MixedColoringRegressor, SparseGraphDesign

    coef = make_sparse_mixture(100, 6, random_state=0)
    design = SparseGraphDesign(100, 2, 10)
    X = design.matrix()
    y = MixtureOracle(coef, random_state=0)(X)
    model = MixedColoringRegressor().fit(X, y, design=design)
    with pytest.raises(ValueError, match="no density"):
        model.log_density(X, y)
    share = model.responsibilities(X, y)
    np.testing.assert_array_equal(np.argmax(share, axis=1), model.labels_)


@pytest.mark.parametrize("y", [[1.0, np.nan], np.ones((1, 2)), np.ones(3)])
def test_answers_that_are_none_are_refused(y):
    rng = np.random.default_rng(0)
    model = SparseMixtureRegressor(1).fit(rng.standard_normal((9, 2)), rng.standard_normal(9))
    for method in (model.predict_labels, model.responsibilities, model.log_density):
        with pytest.raises(ValueError, match=r"NaN|1d array|y has 3"):
            method(np.eye(2), y)


@pytest.mark.parametrize("solver", ["em-lasso", "em-iht", "alternating"])
@pytest.mark.parametrize(
    ("y", "fit_intercept"),
    [(np.full(40, 0.1), True), (np.full(40, -3.0), True), (np.zeros(40), False)],
)
@pytest.mark.filterwarnings("error")
def test_a_constant_target_has_no_coefficients(solver, y, fit_intercept):
    X = np.random.default_rng(0).standard_normal((40, 6)) + 1.0
    model = SparseMixtureRegressor(
        2, solver=solver, n_nonzero=2, fit_intercept=fit_intercept, random_state=0
    ).fit(X, y)
    assert not model.coef_.any()
    np.testing.assert_array_equal(model.predict(X), y)
    assert model.converged_


def test_a_target_that_cannot_be_squared_is_refused():
    X = np.random.default_rng(0).standard_normal((20, 3))
    with pytest.raises(ValueError, match="overflow float64"):
        SparseMixtureRegressor(2).fit(X, 1e300 * X[:, 0])
