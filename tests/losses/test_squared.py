"""The squared loss against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.base import clone

from sparsereg.losses import Squared

RNG = np.random.default_rng(0)
Y, Z = RNG.standard_normal(9), RNG.standard_normal(9)
S = RNG.integers(0, 4, 9).astype(float)
every_weight = pytest.mark.parametrize("weights", [None, S, 10 * S], ids=["none", "s", "10 s"])


def test_value_is_half_the_mean_square():
    assert Squared().value(Y, Z) == pytest.approx(np.sum((Y - Z) ** 2) / 18, rel=1e-14)


def test_weighted_value_is_half_the_weighted_mean_square():
    expected = np.sum(S * (Y - Z) ** 2) / (2 * S.sum())
    assert Squared().value(Y, Z, S) == pytest.approx(expected, rel=1e-14)


def test_integer_weights_equal_repetition():
    times = S.astype(int)
    repeated = Squared().value(Y.repeat(times), Z.repeat(times))
    assert Squared().value(Y, Z, S) == pytest.approx(repeated, rel=1e-14)


@every_weight
def test_gradient_is_the_derivative_of_the_value(weights):
    loss = Squared()
    error = check_grad(
        lambda z: loss.value(Y, z, weights), lambda z: loss.gradient(Y, z, weights), Z
    )
    assert error < 1e-7


@every_weight
def test_curvature_bounds_the_second_derivative_of_one_sample(weights):
    s = np.ones(9) if weights is None else weights
    step = np.eye(9)[0]
    change = Squared().gradient(Y, Z + step, weights) - Squared().gradient(Y, Z, weights)
    assert np.linalg.norm(change) <= Squared.curvature * s.max() / s.sum() * (1 + 1e-12)


def test_value_at_the_target_is_zero():
    assert Squared().value(Y, Y) == 0


@pytest.mark.parametrize("dtype", [int, np.float32, bool])
def test_arguments_of_any_dtype_mean_their_values(dtype):
    y = np.array([0, 1, 1]).astype(dtype)
    assert Squared().value(y, [0.0, 0.0, 1.0]) == pytest.approx(1 / 6)


def test_arguments_are_not_modified():
    y, z, s = Y.copy(), Z.copy(), S.copy()
    Squared().gradient(y, z, s)
    np.testing.assert_array_equal(np.stack([y, z, s]), np.stack([Y, Z, S]))


def test_clone_is_a_squared_loss():
    assert isinstance(clone(Squared()), Squared)
