"""What must hold for every data set: certificates, symmetries, and what weights mean.

Fitted values of two certified solutions of one problem can differ by no more than their gaps allow:
||X (w - w*)||_s^2 / (2 n) <= gap. Comparisons below use that bound as their tolerance.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from sparsereg import ElasticNet, Lasso, enet_path

claims = settings(max_examples=40)
few_claims = settings(max_examples=15)

TIGHT = 1e-12


class Case(NamedTuple):
    X: np.ndarray
    y: np.ndarray
    alpha: float
    l1_ratio: float
    fit_intercept: bool
    positive: bool
    sample_weight: np.ndarray | None
    penalty_weights: np.ndarray | None

    def model(self, **changes):
        names = ("alpha", "l1_ratio", "fit_intercept", "positive", "penalty_weights")
        params = {name: getattr(self, name) for name in names}
        return ElasticNet(**{**params, "tol": TIGHT, **changes})

    def fit(self, **changes):
        return self.model(**changes).fit(self.X, self.y, sample_weight=self.sample_weight)

    def objective(self, coef, intercept):
        """Return the value at a point, in the definition's own words."""
        n = self.y.size
        s = np.ones(n) if self.sample_weight is None else self.sample_weight
        s = s * n / s.sum()
        v = np.ones(coef.size) if self.penalty_weights is None else self.penalty_weights
        used = coef != 0
        w = coef[used]
        size = self.l1_ratio * np.abs(w) + (1 - self.l1_ratio) / 2 * w**2
        residual = self.y - self.X @ coef - intercept
        return 0.5 * (s @ residual**2) / n + self.alpha * (v[used] @ size)


def make_matrix(rng, n, p, kind):
    X = rng.standard_normal((n, p))
    if kind == "correlated":
        return 0.2 * X + rng.standard_normal((n, 1))
    if kind == "duplicates":
        return X[:, rng.integers(0, p, p)]
    if kind == "constant columns":
        return np.where(rng.random(p) < 0.4, rng.integers(-2, 3, p), X)
    if kind == "counts":
        return rng.poisson(0.3, (n, p)).astype(float)
    if kind == "scales":
        return X * 10.0 ** rng.uniform(-2, 2, p)
    return X


KINDS = ("gaussian", "correlated", "duplicates", "constant columns", "counts", "scales")


ROWS, COLUMNS = st.integers(2, 30), st.integers(1, 40)
EITHER = st.booleans()


@st.composite
def cases(
    draw,
    n=ROWS,
    p=COLUMNS,
    kinds=KINDS,
    l1_ratios=(1.0, 1.0, 0.5, 0.05),
    positive=EITHER,
    weighted=EITHER,
    penalty_weights=(0.5, 1.0, 3.0, np.inf),
):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n, p = draw(n), draw(p)
    X = make_matrix(rng, n, p, draw(st.sampled_from(kinds)))
    y = X[:, : min(p, 3)].sum(axis=1) + rng.standard_normal(n)
    s = rng.integers(0, 4, n).astype(float) if draw(weighted) else None
    if s is not None:
        s[0] = 1.0
    v = None
    if penalty_weights and draw(st.booleans()):
        v = rng.choice(penalty_weights, p)
    fit_intercept = draw(st.booleans())
    centered = y - np.average(y, weights=s) if fit_intercept else y
    alpha_max = np.max(np.abs(X.T @ (centered if s is None else s * centered))) / n
    assume(alpha_max > 1e-10)
    alpha = alpha_max * draw(st.sampled_from((1e-4, 1e-2, 0.1, 0.5, 0.95)))
    return Case(X, y, alpha, draw(st.sampled_from(l1_ratios)), fit_intercept, draw(positive), s, v)


def assert_same_fit(case, a, b, X_b=None):
    """Check that two models have the fitted values of one problem (on X, and on X_b for b)."""
    X_b = case.X if X_b is None else X_b
    s = np.ones(case.y.size) if case.sample_weight is None else case.sample_weight
    s = s * case.y.size / s.sum()
    apart = case.X @ a.coef_ + a.intercept_ - X_b @ b.coef_ - b.intercept_
    allowed = np.sqrt(2 * max(a.dual_gap_, 0)) + np.sqrt(2 * max(b.dual_gap_, 0))
    scale = np.sqrt(np.mean(s * case.y**2))
    assert np.sqrt(np.mean(s * apart**2)) <= 1.01 * allowed + 1e-9 * scale


def exhaustive_minimum(case):
    """Return the minimum by trying every support and every sign on it."""
    n, p = case.X.shape
    s = np.ones(n) if case.sample_weight is None else case.sample_weight
    s = s * n / s.sum()
    center = case.fit_intercept
    Xc = case.X - (np.average(case.X, axis=0, weights=s) if center else 0)
    yc = case.y - (np.average(case.y, weights=s) if center else 0)
    G, c = Xc.T @ (s[:, None] * Xc) / n, Xc.T @ (s * yc) / n
    v = np.ones(p) if case.penalty_weights is None else case.penalty_weights
    l1, l2 = case.alpha * case.l1_ratio * v, case.alpha * (1 - case.l1_ratio) * v
    choices = []
    for j in range(p):
        signs = [0.0, 1.0] if case.positive else [0.0, 1.0, -1.0]
        choices.append([0.0] if np.isinf(v[j]) else signs)
    best = np.inf
    for signs in product(*choices):
        z = np.array(signs)
        A = np.flatnonzero(z)
        w = np.zeros(p)
        if A.size:
            H = G[np.ix_(A, A)] + np.diag(l2[A])
            w[A] = np.linalg.lstsq(H, c[A] - l1[A] * z[A], rcond=None)[0]
        if case.positive and np.any(w < 0):
            continue
        b = np.average(case.y - case.X @ w, weights=s) if center else 0.0
        best = min(best, case.objective(w, b))  # any point bounds the minimum from above
    return best


# ------------------------------------------------------------------------------------- certificates


@claims
@given(cases(), st.sampled_from((1e-1, 1e-3, 1e-6)))
def test_gap_is_never_negative(case, tol):
    assert case.fit(tol=tol).dual_gap_ >= 0


@claims
@given(cases(), st.sampled_from((1e-1, 1e-3, 1e-6)))
def test_gap_bounds_the_distance_to_the_minimum(case, tol):
    loose, tight = case.fit(tol=tol), case.fit(tol=1e-13)
    above = case.objective(loose.coef_, loose.intercept_) - case.objective(
        tight.coef_, tight.intercept_
    )
    assert above <= loose.dual_gap_ * (1 + 1e-6) + 1e-13 * np.mean(case.y**2)


@claims
@given(cases())
def test_reached_gap_is_what_was_asked_for(case):
    model = case.fit(tol=1e-7)
    s = np.ones(case.y.size) if case.sample_weight is None else case.sample_weight
    mean = np.average(case.y, weights=s) if case.fit_intercept else 0.0
    assert model.dual_gap_ <= 1e-7 * np.average((case.y - mean) ** 2, weights=s) * (1 + 1e-9)


@claims
@given(cases(p=st.integers(1, 4), penalty_weights=(0.5, 1.0, 3.0, np.inf)))
def test_objective_is_the_minimum_over_all_supports_and_signs(case):
    model = case.fit()
    value = case.objective(model.coef_, model.intercept_)
    assert value <= exhaustive_minimum(case) + 1e-10 * np.mean(case.y**2)


@claims
@given(cases(p=st.integers(1, 4), positive=st.just(False), penalty_weights=(0.0, 1.0, 2.0)))
def test_unpenalized_features_reach_the_minimum(case):
    model = case.fit()
    value = case.objective(model.coef_, model.intercept_)
    assert value <= exhaustive_minimum(case) + 1e-10 * np.mean(case.y**2)


@claims
@given(cases(p=st.integers(1, 4), positive=st.just(True), penalty_weights=(0.0, 1.0, 2.0)))
def test_unpenalized_nonnegative_features_reach_the_minimum(case):
    model = case.fit()
    value = case.objective(model.coef_, model.intercept_)
    assert value <= exhaustive_minimum(case) + 1e-10 * np.mean(case.y**2)


@claims
@given(cases(penalty_weights=(0.0, 1.0, 2.0), positive=st.just(True)))
def test_gap_bounds_the_distance_with_unpenalized_nonnegative_features(case):
    loose, tight = case.fit(tol=1e-4), case.fit(tol=1e-13)
    above = case.objective(loose.coef_, loose.intercept_) - case.objective(
        tight.coef_, tight.intercept_
    )
    assert above <= loose.dual_gap_ * (1 + 1e-6) + 1e-13 * np.mean(case.y**2)


# ------------------------------------------------------------------------------------- equivariance


@claims
@given(cases())
def test_permuting_columns_permutes_the_solution(case):
    order = np.random.default_rng(0).permutation(case.X.shape[1])
    v = None if case.penalty_weights is None else case.penalty_weights[order]
    permuted = case._replace(X=case.X[:, order], penalty_weights=v)
    assert_same_fit(case, case.fit(), permuted.fit(), permuted.X)


@claims
@given(cases(n=st.integers(30, 50), p=st.integers(2, 12), kinds=("gaussian",)))
def test_permuting_columns_permutes_the_coefficients(case):
    order = np.random.default_rng(0).permutation(case.X.shape[1])
    v = None if case.penalty_weights is None else case.penalty_weights[order]
    permuted = case._replace(X=case.X[:, order], penalty_weights=v, sample_weight=None)
    unweighted = case._replace(sample_weight=None)
    np.testing.assert_allclose(permuted.fit().coef_, unweighted.fit().coef_[order], atol=1e-6)


@claims
@given(cases())
def test_permuting_rows_leaves_the_solution(case):
    order = np.random.default_rng(0).permutation(case.y.size)
    s = None if case.sample_weight is None else case.sample_weight[order]
    permuted = case._replace(X=case.X[order], y=case.y[order], sample_weight=s)
    assert_same_fit(case, case.fit(), permuted.fit())


@claims
@given(cases(l1_ratios=(1.0,)), st.integers(-60, 60))
def test_scaling_y_and_alpha_by_a_power_of_two_scales_the_coefficients_exactly(case, exponent):
    c = 2.0**exponent
    scaled = case._replace(y=case.y * c, alpha=case.alpha * c)
    np.testing.assert_array_equal(scaled.fit().coef_, case.fit().coef_ * c)


@claims
@given(cases(l1_ratios=(1.0,)), st.floats(1e-6, 1e6))
def test_scaling_y_and_alpha_scales_the_fitted_values(case, c):
    scaled = case._replace(y=case.y * c, alpha=case.alpha * c).fit()
    scaled.coef_, scaled.intercept_ = scaled.coef_ / c, scaled.intercept_ / c
    scaled.dual_gap_ /= c**2
    assert_same_fit(case, case.fit(), scaled)


@claims
@given(cases(l1_ratios=(1.0,)), st.integers(-40, 40))
def test_scaling_X_and_alpha_by_a_power_of_two_divides_the_coefficients_exactly(case, exponent):
    c = 2.0**exponent
    scaled = case._replace(X=case.X * c, alpha=case.alpha * c)
    np.testing.assert_array_equal(scaled.fit().coef_, case.fit().coef_ / c)


@claims
@given(cases(positive=st.just(False)))
def test_negating_y_negates_the_coefficients_exactly(case):
    np.testing.assert_array_equal(case._replace(y=-case.y).fit().coef_, -case.fit().coef_)


@claims
@given(cases(), st.floats(-100, 100))
def test_shifting_y_moves_the_intercept_only(case, shift):
    case = case._replace(fit_intercept=True)
    shifted = case._replace(y=case.y + shift).fit()
    shifted.intercept_ -= shift
    assert_same_fit(case, case.fit(), shifted)


@claims
@given(cases(), st.floats(-100, 100))
def test_shifting_X_moves_the_intercept_only(case, shift):
    case = case._replace(fit_intercept=True)
    moved = case._replace(X=case.X + shift)
    assert_same_fit(case, case.fit(), moved.fit(), moved.X)


# ----------------------------------------------------------------------------------- sample weights


@claims
@given(cases(weighted=st.just(True)))
def test_integer_weights_equal_repeated_rows(case):
    times = case.sample_weight.astype(int)
    repeated = case._replace(
        X=case.X.repeat(times, axis=0), y=case.y.repeat(times), sample_weight=None
    )
    assert_same_fit(case, case.fit(), repeated.fit())


@claims
@given(cases(weighted=st.just(True)))
def test_zero_weight_equals_absence(case):
    kept = case.sample_weight > 0
    subset = case._replace(X=case.X[kept], y=case.y[kept], sample_weight=case.sample_weight[kept])
    assert_same_fit(case, case.fit(), subset.fit())


@few_claims
@given(cases(weighted=st.just(True)))
def test_rows_of_zero_weight_may_hold_anything(case):
    spoiled = case._replace(
        X=np.where((case.sample_weight == 0)[:, None], 1e6, case.X),
        y=np.where(case.sample_weight == 0, -1e6, case.y),
    )
    assert_same_fit(case, case.fit(), spoiled.fit())


@few_claims
@given(cases(weighted=st.just(True)), st.integers(-50, 50))
def test_only_ratios_of_sample_weights_matter(case, exponent):
    scaled = case._replace(sample_weight=case.sample_weight * 2.0**exponent)
    np.testing.assert_array_equal(scaled.fit().coef_, case.fit().coef_)


@few_claims
@given(cases(weighted=st.just(False)), st.sampled_from((1.0, 3.0, 0.1, 1e-200, 1e200)))
def test_equal_sample_weights_equal_none(case, weight):
    weighted = case._replace(sample_weight=np.full(case.y.size, weight))
    np.testing.assert_array_equal(weighted.fit().coef_, case.fit().coef_)


# ---------------------------------------------------------------------------------- penalty weights


@claims
@given(cases(l1_ratios=(1.0,), penalty_weights=(0.25, 0.7, 1.0, 3.0)))
def test_penalty_weight_equals_rescaled_column(case):
    v = np.ones(case.X.shape[1]) if case.penalty_weights is None else case.penalty_weights
    rescaled = case._replace(X=case.X / v, penalty_weights=None)
    assert_same_fit(case, case.fit(), rescaled.fit(), rescaled.X)


@claims
@given(cases(penalty_weights=(1.0, 2.0, np.inf, np.inf)))
def test_infinite_penalty_weight_equals_removed_column(case):
    v = case.penalty_weights
    assume(v is not None and np.any(np.isfinite(v)))
    kept = np.isfinite(v)
    removed = case._replace(X=case.X[:, kept], penalty_weights=v[kept])
    assert_same_fit(case, case.fit(), removed.fit(), removed.X)


@claims
@given(cases(penalty_weights=(1.0, np.inf)))
def test_infinite_penalty_weight_gives_exactly_zero(case):
    assume(case.penalty_weights is not None)
    assert np.all(case.fit().coef_[np.isinf(case.penalty_weights)] == 0)


@claims
@given(
    cases(
        n=st.integers(20, 40),
        p=st.integers(3, 12),
        kinds=("gaussian", "scales", "correlated"),
        positive=st.just(False),
        weighted=st.just(False),
        penalty_weights=None,
    )
)
def test_zero_penalty_weight_equals_projecting_the_feature_out(case):
    n, p = case.X.shape
    v = np.ones(p)
    v[:2] = 0
    free = np.column_stack([case.X[:, :2], np.ones(n)]) if case.fit_intercept else case.X[:, :2]
    q = np.linalg.qr(free)[0]
    projected = case._replace(
        X=case.X[:, 2:] - q @ (q.T @ case.X[:, 2:]), y=case.y - q @ (q.T @ case.y),
        fit_intercept=False,
    )  # fmt: skip
    expected = projected.fit().coef_
    np.testing.assert_allclose(
        case.fit(penalty_weights=v).coef_[2:], expected, rtol=1e-5, atol=1e-6
    )


@claims
@given(cases(positive=st.just(False)))
def test_zero_penalty_weights_give_least_squares(case):
    weights = np.ones(case.y.size) if case.sample_weight is None else case.sample_weight
    root = np.sqrt(weights)[:, None]
    A = np.column_stack([case.X, np.ones(case.y.size)]) if case.fit_intercept else case.X
    least = np.linalg.lstsq(root * A, root[:, 0] * case.y, rcond=None)[0]
    model = case.fit(penalty_weights=np.zeros(case.X.shape[1]))
    fitted = root[:, 0] * (case.X @ model.coef_ + model.intercept_)
    np.testing.assert_allclose(fitted, root[:, 0] * (A @ least), atol=1e-7 * np.abs(case.y).max())


@few_claims
@given(cases(penalty_weights=None))
def test_penalty_weights_of_one_equal_none(case):
    ones = np.ones(case.X.shape[1])
    np.testing.assert_array_equal(case.fit(penalty_weights=ones).coef_, case.fit().coef_)


# -------------------------------------------------------------------------------- kinds of features


@claims
@given(cases(positive=st.just(True)))
def test_positive_coefficients_are_not_negative(case):
    assert np.all(case.fit().coef_ >= 0)


@claims
@given(cases(l1_ratios=(1.0,), penalty_weights=None))
def test_a_repeated_column_does_not_change_the_lasso_fit(case):
    doubled = case._replace(X=np.hstack([case.X, case.X[:, ::-1]]))
    assert_same_fit(case, case.fit(), doubled.fit(), doubled.X)


@claims
@given(cases(weighted=st.booleans()), st.sampled_from((0.1, 1 / 3, 1e8 + 0.1, -7.0, 1e-9)))
def test_constant_column_beside_an_intercept_is_not_used(case, constant):
    X = np.column_stack([case.X, np.full(case.y.size, constant)])
    case = case._replace(X=X, fit_intercept=True, penalty_weights=None)
    assert case.fit(alpha=case.alpha * 1e-3, tol=1e-6).coef_[-1] == 0


@claims
@given(cases(weighted=st.booleans()), st.sampled_from((0.1, 1 / 3, 1e8 + 0.1, -7.0, 1e-9)))
def test_constant_sparse_column_beside_an_intercept_is_not_used(case, constant):
    X = np.column_stack([case.X, np.full(case.y.size, constant)])
    case = case._replace(X=sparse.csc_array(X), fit_intercept=True, penalty_weights=None)
    assert case.fit(alpha=case.alpha * 1e-3, tol=1e-6).coef_[-1] == 0


@claims
@given(cases())
def test_zero_columns_are_not_used(case):
    X = np.where(np.arange(case.X.shape[1]) % 2, 0.0, case.X)
    assert np.all(case._replace(X=X).fit().coef_[1::2] == 0)


@few_claims
@given(cases(n=st.integers(3, 8), p=st.integers(200, 300)))
def test_many_more_features_than_samples(case):
    assert case.fit().converged_


@few_claims
@given(cases(n=st.integers(500, 2000), p=st.integers(1, 6)))
def test_many_more_samples_than_features(case):
    assert case.fit().converged_


@claims
@given(cases(l1_ratios=(1.0,), penalty_weights=None))
def test_lasso_is_the_elastic_net_with_l1_ratio_one(case):
    lasso = Lasso(
        case.alpha, fit_intercept=case.fit_intercept, positive=case.positive, tol=TIGHT
    ).fit(case.X, case.y, sample_weight=case.sample_weight)
    np.testing.assert_array_equal(lasso.coef_, case.fit().coef_)


@claims
@given(cases(penalty_weights=None))
def test_penalty_grows_and_loss_shrinks_as_alpha_shrinks(case):
    alphas = case.alpha * np.array([1.0, 0.5, 0.1])
    _, coefs, _ = enet_path(
        case.X, case.y, l1_ratio=case.l1_ratio, alphas=alphas, positive=case.positive,
        sample_weight=case.sample_weight, tol=TIGHT,
    )  # fmt: skip
    unit = case._replace(alpha=1.0, fit_intercept=False)
    loss = [unit._replace(alpha=0.0).objective(w, 0.0) for w in coefs.T]
    penalty = [unit.objective(w, 0.0) - value for w, value in zip(coefs.T, loss)]
    slack = 1e-7 * np.mean(case.y**2)
    assert np.all(np.diff(loss) <= slack)
    assert np.all(np.diff(penalty) >= -slack / alphas[:-1])


# ------------------------------------------------------------------------------------------ storage


@claims
@given(cases())
def test_sparse_equals_dense(case):
    stored = case._replace(X=sparse.csc_array(case.X))
    assert_same_fit(case, case.fit(), stored.fit())


@claims
@given(cases())
def test_memory_order_does_not_matter(case):
    assert_same_fit(case, case.fit(), case._replace(X=np.asfortranarray(case.X)).fit())


@few_claims
@given(cases(n=st.integers(30, 50), p=st.integers(2, 10), kinds=("gaussian",)))
def test_memory_order_does_not_matter_to_rounding(case):
    case = case._replace(sample_weight=None)
    columns = case._replace(X=np.asfortranarray(case.X))
    np.testing.assert_allclose(columns.fit().coef_, case.fit().coef_, rtol=1e-12, atol=1e-12)


@claims
@given(cases())
def test_float32_storage_computes_as_float64_on_the_same_values(case):
    stored = case._replace(X=case.X.astype(np.float32))
    widened = case._replace(X=stored.X.astype(np.float64))
    np.testing.assert_allclose(
        stored.fit().coef_, widened.fit().coef_.astype(np.float32), rtol=1e-5, atol=1e-6
    )


@few_claims
@given(cases())
def test_float32_coefficients_are_float32(case):
    model = case._replace(X=case.X.astype(np.float32)).fit()
    assert model.coef_.dtype == np.float32


@few_claims
@given(cases(), st.booleans())
def test_the_same_fit_twice_is_bitwise_the_same(case, is_sparse):
    case = case._replace(X=sparse.csc_array(case.X)) if is_sparse else case
    first, second = case.fit(), case.fit()
    np.testing.assert_array_equal(first.coef_, second.coef_)


@few_claims
@given(cases(), st.integers(1, 3))
def test_columns_of_y_are_fitted_on_their_own(case, n_targets):
    Y = np.column_stack([case.y * (k + 1) ** 2 - k for k in range(n_targets)])
    together = case._replace(y=Y).fit(tol=1e-9)
    for k in range(n_targets):
        alone = case._replace(y=np.ascontiguousarray(Y[:, k])).fit(tol=1e-9)
        row = together.coef_ if n_targets == 1 else together.coef_[k]
        np.testing.assert_allclose(row, alone.coef_, atol=1e-6 * (1 + np.abs(alone.coef_).max()))


@pytest.mark.parametrize("kind", KINDS)
def test_solution_satisfies_the_optimality_conditions(kind):
    rng = np.random.default_rng(3)
    X = make_matrix(rng, 40, 25, kind)
    y = X[:, 0] - X[:, 1] + rng.standard_normal(40)
    v = rng.choice([0.5, 1.0, 2.0], 25)
    centered = X - X.mean(axis=0)
    alpha = 0.1 * np.max(np.abs(centered.T @ y)) / 40
    model = ElasticNet(alpha, l1_ratio=0.7, penalty_weights=v, tol=1e-14).fit(X, y)
    gradient = centered.T @ (y - model.predict(X)) / 40
    w = model.coef_
    pull = gradient - alpha * v * 0.3 * w
    bound = alpha * v * 0.7
    assert np.all(np.abs(pull) <= bound * (1 + 1e-6) + 1e-9)
    np.testing.assert_allclose(pull[w != 0], (bound * np.sign(w))[w != 0], rtol=1e-5)
