"""Hard problems: the tolerance is reached, or the miss is named; nothing runs for ever."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import hilbert
from scipy.optimize import minimize, nnls

from sparsereg import ElasticNet, Lasso, LassoCV, lasso_path
from sparsereg.backends.numba import backend
from sparsereg.exceptions import ConvergenceWarning
from sparsereg.losses import Squared
from sparsereg.penalties import L1
from sparsereg.solvers.problem import Problem
from sparsereg.solvers.working_set import solve
from sparsereg.solvers.workspace import Workspace

RNG = np.random.default_rng(7)
X = RNG.standard_normal((50, 20))
Y = X[:, 0] + RNG.standard_normal(50)


def alpha_max(X, y, center=True):
    if center:
        X, y = X - X.mean(axis=0), y - y.mean()
    return np.max(np.abs(X.T @ y)) / y.size


def objective(model, X, y):
    """Return the lasso objective of a fitted model without penalty weights."""
    return 0.5 * np.mean((y - model.predict(X)) ** 2) + model.alpha * np.abs(model.coef_).sum()


# -------------------------------------------------------------------------------------- the warning


# One pass is a whole solve on a working set: running out of passes takes more features than that.
WIDE = np.random.default_rng(8).standard_normal((50, 900))
SHORT = {"alpha": 0.01, "max_iter": 1, "tol": 1e-10}


def caught(y=Y):
    with pytest.warns(ConvergenceWarning) as record:
        model = Lasso(**SHORT).fit(WIDE, y)
    return model, str(record[0].message), record


def test_a_miss_warns_once():
    assert len(caught()[2]) == 1


def test_the_warning_names_the_reached_gap():
    model, message, _ = caught()
    assert f"{model.dual_gap_:.3e}" in message


def test_the_warning_names_the_gap_asked_for():
    assert f"{1e-10 * np.var(Y):.3e}" in caught()[1]


def test_the_warning_says_what_to_change():
    assert re.search(r"number of iterations.*tol.*max_iter=1", caught()[1])


def test_the_warning_points_at_the_callers_line():
    assert caught()[2][0].filename == __file__


def test_a_miss_is_marked():
    assert not caught()[0].converged_


def test_a_miss_is_certified_all_the_same():
    model = caught()[0]
    best = Lasso(alpha=0.01, tol=1e-12).fit(WIDE, Y)
    above = objective(model, WIDE, Y) - objective(best, WIDE, Y)
    assert 0 < above <= model.dual_gap_


def test_the_warning_does_not_ask_for_more_iterations_that_were_not_used():
    with pytest.warns(ConvergenceWarning, match="not used up"):
        Lasso(alpha=0.01, tol=0).fit(X, Y)


def test_more_passes_reach_a_smaller_gap():
    gaps, wide = [], np.random.default_rng(8).standard_normal((200, 4000))
    y = np.random.default_rng(9).standard_normal(200)
    for max_iter in (1, 2, 4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            gaps.append(Lasso(**{**SHORT, "max_iter": max_iter}).fit(wide, y).dual_gap_)
    assert gaps[2] < gaps[1] < gaps[0]


def test_the_budget_is_of_passes_over_X(monkeypatch):
    from sparsereg.backends.numba import NumbaBackend

    calls, xtr = [], NumbaBackend.xtr

    def counted(self, design, residual, columns=None):
        if columns is None:  # looks at the columns near their bounds are no passes
            calls.append(None)
        return xtr(self, design, residual, columns)

    monkeypatch.setattr(NumbaBackend, "xtr", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        Lasso(**{**SHORT, "max_iter": 2}).fit(WIDE, Y)
    assert len(calls) <= 2 + 2  # and one for the start, one for the way back to the best point


def test_a_path_warns_once():
    with pytest.warns(ConvergenceWarning) as record:
        lasso_path(WIDE, Y, alphas=[1.0, 0.01], max_iter=1, tol=1e-12)
    assert len(record) == 1


def test_a_path_says_how_many_alphas_missed():
    with pytest.warns(ConvergenceWarning, match=r"worst of \d+ out of 2 alphas"):
        lasso_path(WIDE, Y, alphas=[1.0, 0.01], max_iter=1, tol=1e-12)


def test_the_warning_of_a_path_points_at_the_callers_line():
    with pytest.warns(ConvergenceWarning) as record:
        lasso_path(WIDE, Y, alphas=[1.0, 0.01], max_iter=1, tol=1e-12)
    assert record[0].filename == __file__


def test_cross_validation_warns_once():
    with pytest.warns(ConvergenceWarning) as record:
        LassoCV(max_iter=1, tol=1e-12, n_alphas=2).fit(WIDE, Y)
    assert len(record) == 1


def test_the_warning_of_a_cross_validation_points_at_the_callers_line():
    with pytest.warns(ConvergenceWarning) as record:
        LassoCV(max_iter=1, tol=1e-12, n_alphas=2).fit(WIDE, Y)
    assert record[0].filename == __file__


def test_several_targets_warn_once():
    assert len(caught(np.column_stack([Y, -Y, 2 * Y]))[2]) == 1


# --------------------------------------------------------------------------------- no endless loops


HARD = {
    "gaussian": X,
    "sparse": sparse.csc_array(np.where(np.abs(X) > 1, X, 0)),
    "duplicates": X[:, RNG.integers(0, 5, 20)],
    "vandermonde": np.vander(np.linspace(0, 1, 50), 20),
    "hilbert": hilbert(50)[:, :20],
    "wide": RNG.standard_normal((50, 300)),
    "scales": X * 10.0 ** np.linspace(-6, 6, 20),
    "nearly constant": 1e6 + X * 1e-3,
}
every_hard_X = pytest.mark.parametrize("X", HARD.values(), ids=HARD.keys())


@every_hard_X
@pytest.mark.parametrize("share", [0.1, 1e-4, 1e-8, 0.0])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_zero_tolerance_ends(X, share):
    dense = X.toarray() if sparse.issparse(X) else X
    model = Lasso(alpha=share * alpha_max(dense, Y), tol=0, max_iter=2000).fit(X, Y)
    assert np.all(np.isfinite(model.coef_))
    assert np.isfinite(model.dual_gap_)


@every_hard_X
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_zero_tolerance_is_no_worse_than_the_default(X):
    dense = X.toarray() if sparse.issparse(X) else X
    alpha = 1e-3 * alpha_max(dense, Y)
    centered, y = dense - dense.mean(axis=0), Y - Y.mean()
    exact, default = (
        Lasso(alpha=alpha, tol=tol, fit_intercept=False).fit(centered, y) for tol in (0, 1e-4)
    )
    assert objective(exact, centered, y) <= objective(default, centered, y) * (1 + 1e-12)


@every_hard_X
@pytest.mark.parametrize("share", [0.1, 1e-2, 1e-4])
def test_default_tolerance_is_reached_quietly(X, share):
    dense = X.toarray() if sparse.issparse(X) else X
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Lasso(alpha=share * alpha_max(dense, Y)).fit(X, Y).converged_


# ----------------------------------------------------------------------------- small and zero alpha


@pytest.mark.parametrize("shape", [(60, 10), (60, 60), (30, 100), (5, 200)])
@pytest.mark.parametrize("share", [1e-3, 1e-6, 1e-8])
@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
def test_small_alpha_converges(shape, share, container):
    X = np.random.default_rng(0).standard_normal(shape)
    y = X[:, 0] + np.random.default_rng(1).standard_normal(shape[0])
    assert Lasso(alpha=share * alpha_max(X, y), tol=1e-8).fit(container(X), y).converged_


@pytest.mark.parametrize("share", [1e-10, 1e-13, 1e-16, 1e-50])
def test_alpha_below_rounding_gives_least_squares_and_is_certified(share):
    least = np.linalg.lstsq(X - X.mean(axis=0), Y - Y.mean())[0]
    model = Lasso(alpha=share * alpha_max(X, Y)).fit(X, Y)
    np.testing.assert_allclose(model.coef_, least, atol=1e-6)
    assert model.converged_


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("model", [Lasso, ElasticNet])
def test_zero_alpha_is_least_squares(model, fit_intercept):
    A = np.column_stack([X, np.ones(50)]) if fit_intercept else X
    fitted = A @ np.linalg.lstsq(A, Y)[0]
    estimate = model(alpha=0, fit_intercept=fit_intercept).fit(X, Y)
    np.testing.assert_allclose(estimate.predict(X), fitted, atol=1e-8)


@pytest.mark.parametrize("shape", [(20, 50), (20, 19), (20, 20), (3, 200)])
def test_zero_alpha_interpolates_when_there_are_enough_features(shape):
    X = np.random.default_rng(0).standard_normal(shape)
    y = np.random.default_rng(1).standard_normal(shape[0])
    model = Lasso(alpha=0).fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.predict(X), y, atol=1e-7)


@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
def test_zero_alpha_with_dependent_columns_is_a_least_squares_fit(container):
    wide = np.hstack([X[:, :5], X[:, :5] @ RNG.standard_normal((5, 8))])
    fitted = wide @ np.linalg.lstsq(wide, Y)[0]
    model = Lasso(alpha=0, fit_intercept=False).fit(container(wide), Y)
    np.testing.assert_allclose(model.predict(wide), fitted, atol=1e-6)


def test_zero_alpha_with_positive_is_nonnegative_least_squares():
    model = Lasso(alpha=0, positive=True, fit_intercept=False, tol=1e-12).fit(X, Y)
    np.testing.assert_allclose(model.coef_, nnls(X, Y)[0], atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1e-8])
@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-6])
def test_near_interpolation_converges(share, noise):
    y = X[:, :3].sum(axis=1) + noise * RNG.standard_normal(50)
    assert Lasso(alpha=share * alpha_max(X, y)).fit(X, y).converged_


def test_perfect_sparse_signal_is_recovered():
    wide = np.random.default_rng(3).standard_normal((50, 200))
    y = wide[:, :3] @ [3.0, -2.0, 1.0]
    model = Lasso(alpha=1e-6 * alpha_max(wide, y), tol=1e-12).fit(wide, y)
    assert set(np.flatnonzero(np.abs(model.coef_) > 1e-3)) == {0, 1, 2}


# -------------------------------------------------------------------------------------- correlation


@pytest.mark.parametrize("rho", [0.9, 0.99, 0.999, 0.999999])
@pytest.mark.parametrize("shape", [(100, 40), (40, 200)])
def test_equally_correlated_features_converge(rho, shape):
    rng = np.random.default_rng(0)
    common = rng.standard_normal((shape[0], 1))
    Z = np.sqrt(rho) * common + np.sqrt(1 - rho) * rng.standard_normal(shape)
    y = Z[:, :5].sum(axis=1) + rng.standard_normal(shape[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, _, gaps = lasso_path(Z - Z.mean(axis=0), y - y.mean(), n_alphas=20, tol=1e-8)
    assert np.all(gaps <= 1e-8 * np.var(y))


@pytest.mark.parametrize("rho", [0.9, 0.999])
def test_neighboring_correlation_converges(rho):
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((80, 150))
    for j in range(1, 150):
        Z[:, j] = rho * Z[:, j - 1] + np.sqrt(1 - rho**2) * Z[:, j]
    y = Z[:, ::30].sum(axis=1) + rng.standard_normal(80)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Lasso(alpha=1e-3 * alpha_max(Z, y), tol=1e-8).fit(Z, y)


@pytest.mark.parametrize("copies", [2, 10])
@pytest.mark.parametrize("share", [0.1, 1e-4, 1e-8])
@pytest.mark.parametrize("positive", [False, True])
def test_exact_duplicates_converge_to_the_same_objective(copies, share, positive):
    alpha = share * alpha_max(X, Y)
    params = {"alpha": alpha, "positive": positive, "tol": 1e-10}
    one, many = Lasso(**params).fit(X, Y), Lasso(**params).fit(np.tile(X, copies), Y)
    assert many.converged_
    assert objective(many, np.tile(X, copies), Y) == pytest.approx(objective(one, X, Y), rel=1e-8)


def test_opposite_duplicates_converge():
    both = np.hstack([X, -X])
    one, two = (Lasso(alpha=0.01, tol=1e-10).fit(A, Y) for A in (X, both))
    assert objective(two, both, Y) == pytest.approx(objective(one, X, Y), rel=1e-9)


@pytest.mark.parametrize(
    "X",
    [np.vander(np.linspace(-1, 1, 40), 12), hilbert(40)[:, :15]],
    ids=["vandermonde", "hilbert"],
)
@pytest.mark.parametrize("share", [0.5, 1e-2, 1e-4, 1e-6])
def test_ill_conditioned_matrices_converge(X, share):
    y = np.sin(3 * np.linspace(-1, 1, 40))
    assert Lasso(alpha=share * alpha_max(X, y), tol=1e-6).fit(X, y).converged_


def test_ill_conditioned_matrices_satisfy_the_optimality_conditions():
    A = np.vander(np.linspace(-1, 1, 40), 12)
    y = np.sin(3 * np.linspace(-1, 1, 40))
    alpha = 1e-4 * alpha_max(A, y)
    model = Lasso(alpha=alpha, tol=1e-12).fit(A, y)
    pull = (A - A.mean(axis=0)).T @ (y - model.predict(A)) / 40
    assert np.max(np.abs(pull)) <= alpha * (1 + 1e-3)


# ----------------------------------------------------------------------------- hundreds of problems


def random_problem(seed):
    """Return X, y, the sample weights and the parameters of a small problem of a random kind."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(2, 50)), int(rng.integers(1, 90))
    kind = seed % 8
    X = rng.standard_normal((n, p))
    if kind == 1:
        X = X @ (0.05 * np.eye(p) + 1)
    elif kind == 2:
        X = X[:, rng.integers(0, p, p)]
    elif kind == 3:
        X = rng.integers(-1, 2, (n, p)).astype(float)
    elif kind == 4:
        X = (X > 0.5).astype(float)
    elif kind == 5:
        X = X * 10.0 ** rng.uniform(-3, 3, p)
    elif kind == 6:
        X = X[:, :1] @ rng.standard_normal((1, p)) + 1e-2 * X
    elif kind == 7:
        X = np.where(rng.random((n, p)) < 0.1, X, 0)
    y = X[:, :3].sum(axis=1) + rng.choice([0.01, 1]) * rng.standard_normal(n)
    weights = rng.integers(0, 4, n) + np.eye(n)[0] if rng.random() < 0.3 else None
    centered = y - np.average(y, weights=weights)
    s = np.ones(n) if weights is None else weights
    largest = np.max(np.abs((X - np.average(X, axis=0, weights=s)).T @ (s * centered))) / s.sum()
    params = {
        "alpha": max(largest, 1e-3) * 10.0 ** rng.uniform(-5, 0.1),
        "l1_ratio": float(rng.choice([1, 1, 0.5, 0.01, 0])),
        "positive": bool(rng.random() < 0.3),
        "fit_intercept": bool(rng.random() < 0.6),
        "tol": float(rng.choice([1e-4, 1e-8])),
    }
    if rng.random() < 0.3:
        params["penalty_weights"] = rng.choice([0.0, 0.5, 1.0, 2.0, np.inf], p)
    X = [X, np.asfortranarray(X), sparse.csc_array(X)][int(rng.integers(3))]
    return X, y, weights, params


@pytest.mark.parametrize("block", range(15))
def test_random_problems_reach_their_tolerance(block):
    missed = []
    for seed in range(20 * block, 20 * block + 20):
        X, y, weights, params = random_problem(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = ElasticNet(**params).fit(X, y, sample_weight=weights)
        mean = np.average(y, weights=weights) if params["fit_intercept"] else 0.0
        goal = params["tol"] * np.average((y - mean) ** 2, weights=weights)
        if not (model.converged_ and 0 <= model.dual_gap_ <= goal * (1 + 1e-9)):
            missed.append((seed, model.dual_gap_, goal))
    assert not missed


@pytest.mark.parametrize("block", range(15))
def test_random_problems_are_certified_truthfully(block):
    wrong = []
    for seed in range(20 * block, 20 * block + 20):
        X, y, weights, params = random_problem(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = ElasticNet(**params).fit(X, y, sample_weight=weights)
            tight = ElasticNet(**{**params, "tol": 1e-13}).fit(X, y, sample_weight=weights)
        above = weighted_objective(model, X, y, weights) - weighted_objective(tight, X, y, weights)
        if above > model.dual_gap_ * (1 + 1e-6) + 1e-12 * np.mean(y**2):
            wrong.append((seed, above, model.dual_gap_))
    assert not wrong


def nonnegative_problem(seed):
    """Return few rows and many non-negative features, half of them without a penalty."""
    rng = np.random.default_rng(seed)
    n, p = int(rng.integers(2, 30)), int(rng.integers(30, 110))
    X = rng.standard_normal((n, p))
    if seed % 2:
        X = X[:, :1] @ rng.standard_normal((1, p)) + 1e-2 * X
    y = X[:, :3].sum(axis=1) + 0.1 * rng.standard_normal(n)
    alpha = alpha_max(X, y, center=False) * 10.0 ** rng.uniform(-6, 0)
    params = {
        "alpha": alpha * (seed % 3 > 0),
        "l1_ratio": float(rng.choice([1, 0.5, 0])),
        "penalty_weights": rng.choice([0.0, 1.0], p),
        "positive": True,
        "fit_intercept": False,
    }
    return X, y, params


def test_nonnegative_features_without_a_penalty_reach_the_default_tolerance():
    # where they outnumber the rows, the homotopy can meet ties that it does not break
    missed = []
    for seed in range(200):
        X, y, params = nonnegative_problem(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = ElasticNet(**params).fit(X, y)
        if not model.converged_:
            missed.append((seed, model.dual_gap_, 1e-4 * np.mean(y**2)))
    assert not missed


@pytest.mark.parametrize("block", range(10))
def test_nonnegative_coefficients_are_nonnegative_on_tied_columns(block):
    negative = []
    for seed in range(60 * block, 60 * block + 60):
        rng = np.random.default_rng(seed)
        n, p = int(rng.integers(10, 25)), int(rng.integers(60, 110))
        X = rng.integers(-1, 2, (n, p)).astype(float)
        y = X[:, :3].sum(axis=1) + np.round(rng.standard_normal(n))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = Lasso(alpha=0, positive=True, tol=1e-12).fit(X, y)
        if np.any(model.coef_ < 0):
            negative.append((seed, model.coef_.min()))
    assert not negative


def nonnegative_minimum(X, y, params, start):
    """Return an upper bound on the minimum, by somebody else's bounded quasi-Newton method."""
    v = params["penalty_weights"] * params["alpha"]
    l1, l2 = v * params["l1_ratio"], v * (1 - params["l1_ratio"])

    def value_and_gradient(w):
        r = y - X @ w
        value = r @ r / (2 * y.size) + l1 @ w + l2 @ w**2 / 2
        return value, l1 + l2 * w - X.T @ r / y.size

    bounds = [(0, None)] * X.shape[1]
    end = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return min(end.fun, value_and_gradient(start)[0])


@pytest.mark.parametrize("block", range(10))
def test_nonnegative_features_without_a_penalty_are_certified_truthfully(block):
    wrong = []
    for seed in range(20 * block, 20 * block + 20):
        X, y, params = nonnegative_problem(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = ElasticNet(**params).fit(X, y)
        best = nonnegative_minimum(X, y, params, model.coef_)
        above = weighted_objective(model, X, y, None) - best
        if above > model.dual_gap_ * (1 + 1e-6) + 1e-12 * np.mean(y**2):
            wrong.append((seed, above, model.dual_gap_, model.converged_))
    assert not wrong


@pytest.mark.parametrize("degree", [10, 20, 27])
@pytest.mark.parametrize("start", [-1.0, 0.0, 0.1])
@pytest.mark.parametrize("container", [np.asarray, sparse.csc_array])
def test_least_squares_on_ill_conditioned_features_is_certified(degree, start, container):
    A = np.vander(np.linspace(start, 1, 42), degree)
    y = np.sin(7 * np.linspace(0, 1, 42)) + 0.1 * np.cos(np.arange(42))
    model = Lasso(alpha=0, fit_intercept=False).fit(container(A), y)
    assert model.converged_


def weighted_objective(model, X, y, weights):
    v = np.ones(model.coef_.size) if model.penalty_weights is None else model.penalty_weights
    used = model.coef_ != 0
    w = model.coef_[used]
    size = model.l1_ratio * np.abs(w) + (1 - model.l1_ratio) / 2 * w**2
    loss = 0.5 * np.average((y - model.predict(X)) ** 2, weights=weights)
    return loss + model.alpha * (v[used] @ size)


@pytest.mark.parametrize("density", [0.002, 0.02])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_wide_sparse_problems_converge(density, fit_intercept):
    rng = np.random.default_rng(0)
    Z = sparse.random_array((400, 6000), density=density, format="csc", rng=rng)
    y = Z[:, :20].sum(axis=1) + 0.01 * rng.standard_normal(400)
    largest = np.max(np.abs(Z.T @ (y - y.mean()))) / 400
    model = Lasso(alpha=1e-2 * largest, tol=1e-6, fit_intercept=fit_intercept).fit(Z, y)
    assert model.converged_


def test_a_large_support_on_sparse_data_converges():
    rng = np.random.default_rng(0)
    Z = sparse.random_array((4000, 5000), density=0.002, format="csc", rng=rng)
    y = Z @ rng.standard_normal(5000) + 0.01 * rng.standard_normal(4000)
    largest = np.max(np.abs(Z.T @ (y - y.mean()))) / 4000
    model = Lasso(alpha=1e-3 * largest, tol=1e-4).fit(Z, y)
    assert model.converged_
    assert np.count_nonzero(model.coef_) > 2000


# ----------------------------------------------------------------------------- warm starts, verbose


@pytest.mark.parametrize("model", [Lasso, ElasticNet])
@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sparse.csc_array])
def test_refitting_from_the_solution_needs_no_iterations(model, container):
    estimator = model(alpha=0.05, warm_start=True, tol=1e-6).fit(container(X), Y)
    assert estimator.fit(container(X), Y).n_iter_ == 0


def test_refitting_from_the_solution_leaves_it_alone():
    estimator = Lasso(alpha=0.05, warm_start=True).fit(X, Y)
    before = estimator.coef_.copy()
    np.testing.assert_array_equal(estimator.fit(X, Y).coef_, before)


def test_refitting_several_targets_from_the_solution_needs_no_iterations():
    estimator = Lasso(alpha=0.05, warm_start=True).fit(X, np.column_stack([Y, -2 * Y]))
    assert list(estimator.fit(X, np.column_stack([Y, -2 * Y])).n_iter_) == [0, 0]


def test_refitting_float32_from_the_solution_needs_no_iterations():
    estimator = Lasso(alpha=0.05, warm_start=True).fit(X.astype(np.float32), Y)
    assert estimator.fit(X.astype(np.float32), Y).n_iter_ == 0


def test_without_warm_start_a_refit_starts_afresh():
    estimator = Lasso(alpha=0.05, tol=1e-10).fit(X, Y)
    assert estimator.fit(X, Y).n_iter_ > 0


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e12])
def test_a_bad_warm_start_reaches_the_same_solution(scale):
    estimator = Lasso(alpha=0.05, warm_start=True, tol=1e-10).fit(X, Y)
    expected = estimator.coef_.copy()
    estimator.coef_ = scale * RNG.standard_normal(20)
    np.testing.assert_allclose(estimator.fit(X, Y).coef_, expected, atol=1e-4)


def test_verbose_prints_the_gap(capsys):
    Lasso(alpha=0.05, verbose=1).fit(X, Y)
    assert "gap" in capsys.readouterr().out


def test_quiet_prints_nothing(capsys):
    Lasso(alpha=0.05).fit(X, Y)
    LassoCV(n_alphas=5).fit(X, Y)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_verbose_shows_progress_of_a_path(capsys):
    lasso_path(X, Y, n_alphas=5, verbose=1)
    captured = capsys.readouterr()
    assert "5/5" in captured.out + captured.err


def test_verbose_shows_progress_of_a_cross_validation(capsys):
    LassoCV(n_alphas=5, verbose=1).fit(X, Y)
    captured = capsys.readouterr()
    assert "5/5" in captured.out + captured.err


def test_newton_steps_keep_non_negative_coefficients_apart_from_the_others():
    # columns may enter in the round in which others leave and turn their gradients
    rng = np.random.default_rng(27)
    n, p = 150, 200
    X = rng.integers(-1, 2, (n, p)).astype(float)
    y = X @ np.where(rng.random(p) < 0.3, rng.standard_normal(p), 0) + rng.standard_normal(n)
    alpha = 1e-3 * np.max(np.abs(X.T @ y)) / n
    model = Lasso(alpha, positive=True, fit_intercept=False, tol=1e-10).fit(X, y)
    assert model.converged_
    assert np.all(model.coef_ >= 0)


@pytest.mark.parametrize("shape", [(300, 100), (80, 200)], ids=["tall", "wide"])
def test_a_path_may_end_at_zero(shape):
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape)
    y = X @ rng.standard_normal(shape[1]) + 0.1 * rng.standard_normal(shape[0])
    largest = np.max(np.abs(X.T @ y)) / shape[0]
    alphas = np.append(largest * np.geomspace(1, 1e-3, 40), 0.0)
    _, coefs, gaps = lasso_path(X, y, alphas=alphas, tol=1e-8)
    assert np.all(gaps <= 1e-8 * np.mean(y**2))
    np.testing.assert_allclose(X.T @ (y - X @ coefs[:, -1]) / shape[0], 0, atol=1e-7)


def test_a_workspace_forgets_the_signs_of_columns_that_were_free():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((120, 40))
    y = -3 * X[:, 5] + X[:, 6] + 0.1 * rng.standard_normal(120)
    problem = Problem(X, y, L1(1.0), Squared(), None, True)
    work = Workspace(problem, backend)
    free = np.where(np.arange(40) == 5, 0.0, 1.0)
    for weights in (free, np.ones(40), free):
        penalty = L1(0.05, weights=weights)
        solution = solve(work, penalty, tol=1e-10, max_iter=100)
        expected = Lasso(0.05, penalty_weights=weights, tol=1e-10).fit(X, y)
        assert solution.converged
        np.testing.assert_allclose(solution.coef, expected.coef_, atol=1e-9)


@pytest.mark.parametrize("seed", [66, 178, 204, 225])
def test_a_warm_start_is_left_where_unpenalized_features_fit_everything(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((9, 30)), rng.standard_normal(9)
    weights = rng.choice([0, 1, np.inf, 0.3], 30)
    model = ElasticNet(0.01, fit_intercept=False, warm_start=True, tol=1e-12).fit(X, y)
    assert np.any(model.coef_[weights > 0])
    model.set_params(penalty_weights=weights).fit(X, y)
    assert model.converged_
    assert not np.any(model.coef_[weights > 0])
    np.testing.assert_allclose(model.predict(X), y, atol=1e-10)
