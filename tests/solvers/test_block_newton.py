"""Newton steps for several tasks against the dense Hessian, and what a step may do."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg.solvers.block_newton import _direction, newton_step

RNG = np.random.default_rng(7)
T, A, N = 3, 6, 40
X = RNG.standard_normal((N, A))
Y = RNG.standard_normal((T, N)) + RNG.standard_normal((T, A)) @ X.T
GRAM = X.T @ X / N
L1 = 0.1 * RNG.uniform(0.5, 2.0, A)
L2 = 0.05 * RNG.uniform(0.5, 2.0, A)


def objective(coef, l1=L1, l2=L2):
    norms = np.sqrt((coef**2).sum(axis=0))
    loss = np.sum((Y - coef @ X.T) ** 2) / (2 * N)
    return loss + l1 @ norms + 0.5 * l2 @ norms**2


def gradient_of(coef):
    return (Y - coef @ X.T) @ X / N


def dense_hessian(coef, l1, l2, stiffness=0.0):
    """Return the Hessian on vectors that list the tasks of one feature after another."""
    hessian = np.kron(GRAM, np.eye(T))
    for j in range(A):
        norm = np.linalg.norm(coef[:, j])
        e = coef[:, j] / norm
        block = l1[j] / norm * (np.eye(T) - (1 - stiffness) * np.outer(e, e)) + l2[j] * np.eye(T)
        hessian[j * T : (j + 1) * T, j * T : (j + 1) * T] += block
    return hessian


@pytest.mark.parametrize("stiffness", [0.0, 0.3])
@pytest.mark.parametrize(
    ("l1", "l2"),
    [(L1, L2), (L1, 0 * L2), (0 * L1, L2), (np.where(np.arange(A) < 2, 0, L1), 0 * L2)],
    ids=["both", "lasso", "ridge", "two unpenalized"],
)
def test_the_direction_solves_the_newton_system(l1, l2, stiffness):
    coef = RNG.standard_normal((T, A))
    norms = np.sqrt((coef**2).sum(axis=0))
    descent = gradient_of(coef) - l1 * coef / norms - l2 * coef
    found = _direction(GRAM, descent, coef / norms, l1 / norms, l2, stiffness)
    expected = np.linalg.solve(dense_hessian(coef, l1, l2, stiffness), descent.T.ravel())
    np.testing.assert_allclose(found, expected.reshape(A, T).T, rtol=1e-9)


def test_the_direction_keeps_its_digits_where_a_feature_is_almost_zero():
    coef = RNG.standard_normal((T, A))
    coef[:, 2] *= 1e-9
    norms = np.sqrt((coef**2).sum(axis=0))
    descent = gradient_of(coef) - L1 * coef / norms
    found = _direction(GRAM, descent, coef / norms, L1 / norms, 0 * L2, 0.0)
    expected = np.linalg.solve(dense_hessian(coef, L1, 0 * L2), descent.T.ravel())
    np.testing.assert_allclose(found, expected.reshape(A, T).T, rtol=1e-5)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("stiffness", [0.0, 0.1])
def test_a_step_never_raises_the_objective(seed, stiffness):
    coef = np.random.default_rng(seed).standard_normal((T, A)) * 10.0 ** (seed % 5 - 2)
    gradient, before = gradient_of(coef), objective(coef)
    assert newton_step(GRAM, gradient, coef, L1, L2, stiffness) > 0
    assert objective(coef) < before
    np.testing.assert_allclose(gradient, gradient_of(coef), atol=1e-11)


def test_steps_converge_quadratically_on_the_support():
    coef = np.linalg.solve(GRAM, gradient_of(np.zeros((T, A))).T).T
    sizes = []
    for _ in range(7):
        gradient = gradient_of(coef)
        norms = np.sqrt((coef**2).sum(axis=0))
        sizes.append(np.abs(gradient - L1 * coef / norms - L2 * coef).max())
        newton_step(GRAM, gradient, coef, L1, L2, 0.0)
    assert sizes[-1] < 1e-14


def test_features_at_zero_stay_there():
    coef = RNG.standard_normal((T, A))
    coef[:, [1, 4]] = 0.0
    newton_step(GRAM, gradient_of(coef), coef, L1, L2, 0.0)
    assert not coef[:, [1, 4]].any()
    assert coef[:, [0, 2, 3, 5]].all()


def test_one_task_is_solved_in_one_step_while_signs_hold():
    gram, l1 = GRAM, 1e-3 * np.ones(A)
    y = X @ np.array([3.0, -2.0, 2.0, 4.0, -3.0, 2.0])
    exact = np.linalg.solve(gram, y @ X / N)
    coef = (exact + 0.1)[None]
    newton_step(gram, (y - coef @ X.T) @ X / N, coef, l1, 0 * L2, 0.0)
    expected = np.linalg.solve(gram, y @ X / N - l1 * np.sign(exact))
    np.testing.assert_allclose(coef[0], expected, rtol=1e-10)


def test_dependent_columns_are_damped():
    doubled = np.column_stack([X, X])
    gram = doubled.T @ doubled / N
    coef = RNG.standard_normal((1, 2 * A))  # one task: nothing but the columns decides
    l1, l2 = np.tile(L1, 2), np.zeros(2 * A)
    gradient = (Y[:1] - coef @ doubled.T) @ doubled / N
    newton_step(gram, gradient, coef, l1, l2, 0.0)
    assert np.all(np.isfinite(coef))
