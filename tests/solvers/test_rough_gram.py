"""Single fits on tall X: Gram matrices in single precision, answers in double."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import linear_model

from sparsereg import ElasticNet, Lasso
from sparsereg.solvers import working_set
from sparsereg.solvers.column_pool import ColumnPool

RNG = np.random.default_rng(12)
N, P = 900, 60
X = np.asfortranarray(RNG.standard_normal((N, P)) + RNG.standard_normal((N, 1)) + 3.0)
Y = X[:, :20] @ RNG.uniform(-0.5, 1.0, 20) + RNG.standard_normal(N)
ALPHA_MAX = np.max(np.abs((X - X.mean(axis=0)).T @ (Y - Y.mean()))) / N


@pytest.fixture
def roughly(monkeypatch):
    """Let small problems be tall enough, and list the precision of every product."""
    monkeypatch.setattr(working_set, "_ROUGH_COLUMNS", 10)
    monkeypatch.setattr(working_set, "_ROUGH_SIZE", 1000)
    # as wide problems do: no Gram matrix of all columns before the first step
    monkeypatch.setattr(working_set, "_COLUMNS_PER_PASS", 0)
    listed = []
    block = ColumnPool._block

    def watched(self, columns, n_new):
        listed.append("single" if self.is_rough else "double")
        return block(self, columns, n_new)

    monkeypatch.setattr(ColumnPool, "_block", watched)
    return listed


@pytest.mark.parametrize("ratio", [0.5, 0.05, 0.001])
@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("options", [{}, {"positive": True}, {"fit_intercept": False}])
def test_the_answer_is_that_of_double_precision(roughly, ratio, order, options):
    data = np.asarray(X, order=order)
    model = Lasso(ratio * ALPHA_MAX, tol=1e-13, **options).fit(data, Y)
    assert set(roughly) == {"single"}
    assert model.converged_
    peer = linear_model.Lasso(ratio * ALPHA_MAX, tol=1e-14, max_iter=100_000, **options)
    np.testing.assert_allclose(model.coef_, peer.fit(data, Y).coef_, atol=1e-6)


def test_weights_count_as_repeated_rows(roughly):
    weights = RNG.integers(0, 3, N)
    model = ElasticNet(0.05 * ALPHA_MAX, l1_ratio=0.7, tol=1e-13)
    coef = model.fit(X, Y, sample_weight=weights).coef_
    repeated = model.fit(np.repeat(X, weights, axis=0), np.repeat(Y, weights)).coef_
    assert set(roughly) == {"single"}
    np.testing.assert_allclose(coef, repeated, atol=1e-6)


def test_the_certificate_is_of_double_precision(roughly):
    alpha = 0.01 * ALPHA_MAX
    model = Lasso(alpha, tol=1e-13).fit(X, Y)
    residual = Y - model.predict(X)
    gradient = (X - X.mean(axis=0)).T @ residual / N
    support = model.coef_ != 0
    signs = alpha * np.sign(model.coef_[support])
    np.testing.assert_allclose(gradient[support], signs, rtol=1e-9)
    assert set(roughly) == {"single"}


def test_columns_that_single_precision_cannot_tell_apart_are_multiplied_in_double(roughly):
    near = X[:, :30] + 1e-6 * RNG.standard_normal((N, 30))
    twins = np.asfortranarray(np.hstack([X[:, :30], near]))
    y = (twins[:, 0] - twins[:, 30]) * 1e6 + Y
    model = Lasso(1e-6, tol=1e-12).fit(twins, y)
    assert roughly[0] == "single"
    assert roughly[-1] == "double"
    assert model.converged_


def test_what_is_solved_again_keeps_double_precision(roughly):
    Lasso(0.05 * ALPHA_MAX).fit(X, np.column_stack([Y, Y[::-1]]))
    assert set(roughly) == {"double"}


@pytest.mark.parametrize(("offset", "precision"), [(100.0, "single"), (1e5, "double")])
def test_far_from_zero_products_are_in_double_precision(roughly, offset, precision):
    data = np.asfortranarray(np.hstack([X + offset, np.full((N, 1), 5.0)]))  # one is constant
    assert Lasso(0.05 * ALPHA_MAX, tol=1e-8).fit(data, Y).converged_
    assert set(roughly) == {precision}
