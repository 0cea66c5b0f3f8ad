"""Trimmed ridge, k-support and the hierarchical penalty against their definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sparsereg.penalties import Hierarchical, KSupport, L0Constraint, TrimmedRidge

claims = settings(max_examples=40)
seeds = st.integers(0, 10_000)

PENALTIES = [
    TrimmedRidge(0.7, k=2),
    KSupport(0.7, k=2),
    KSupport(0.7, k=2, weights=[0.5, 1.0, 2.0, 1.0, 3.0, 0.7]),
    Hierarchical(0.7, 1.5),
    Hierarchical(0.7, 0.3, n_skip=2),
]


def draw(penalty, rng):
    shape = (4, 6) if isinstance(penalty, Hierarchical) else (6,)
    return rng.standard_normal(shape) * rng.choice([0.3, 1.0, 3.0])


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@claims
@given(seed=seeds, step=st.sampled_from((0.05, 0.7, 3.0)))
def test_no_perturbation_improves_the_prox(penalty, seed, step):
    rng = np.random.default_rng(seed)
    v = draw(penalty, rng)
    x = penalty.prox(v, step)

    def objective(u):
        return np.sum((u - v) ** 2) / (2 * step) + penalty.value(u)

    reached = objective(x)
    for size in (1.0, 0.1, 1e-2, 1e-3):
        for _ in range(40):
            move = rng.standard_normal(x.shape) * (rng.random(x.shape) < 0.5)
            assert objective(x + size * move) >= reached - 1e-10


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_tensors_get_what_arrays_get(penalty):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    v = draw(penalty, np.random.default_rng(0))
    np.testing.assert_allclose(penalty.prox(torch.tensor(v), 0.9), penalty.prox(v, 0.9), atol=1e-14)
    assert penalty.value(torch.tensor(v)) == pytest.approx(penalty.value(v), rel=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_they_are_parameter_objects(penalty):
    assert clone(penalty).get_params() == penalty.get_params()


def test_trimmed_ridge_shrinks_by_the_published_ratio():
    v = np.array([3.0, -2.0, 0.5, -0.1])
    np.testing.assert_allclose(
        TrimmedRidge(1 / 19, k=2).prox(v, 1.0), [3.0, -2.0, 0.95 * 0.5, -0.95 * 0.1], rtol=1e-15
    )


def test_trimmed_ridge_with_a_large_step_is_hard_thresholding():
    v = np.random.default_rng(0).standard_normal(20)
    np.testing.assert_allclose(
        TrimmedRidge(1.0, k=0.25).prox(v, 1e12), L0Constraint(5).prox(v), atol=1e-11
    )


def test_k_support_is_tight_on_sparse_vectors_and_below_half_the_square_elsewhere():
    w = np.array([0.0, 1.3, 0.0, -0.4, 0.0])
    assert KSupport(k=2).value(w) == pytest.approx(0.5 * w @ w, rel=1e-14)
    dense = np.ones(5)
    assert KSupport(k=2).value(dense) > 0.5 * dense @ dense


def test_k_support_and_half_the_k_largest_squares_are_conjugate():
    """At a prox, S(x) + S*(u) = x'u for the subgradient u = (v - x) / step."""
    rng = np.random.default_rng(1)
    for k in (1, 2, 4):
        v = 3 * rng.standard_normal(6)
        x = KSupport(k=k).prox(v, 0.7)
        u = (v - x) / 0.7
        conjugate = 0.5 * np.sort(u**2)[-k:].sum()
        assert KSupport(k=k).value(x) + conjugate == pytest.approx(x @ u, rel=1e-12)


def test_k_support_of_groups_is_that_of_their_norms():
    v = np.random.default_rng(0).standard_normal((3, 6))
    norms = np.linalg.norm(v, axis=0)
    penalty = KSupport(0.8, k=2)
    x = penalty.prox(v, 0.9)
    np.testing.assert_allclose(np.linalg.norm(x, axis=0), penalty.prox(norms, 0.9), rtol=1e-13)
    assert penalty.value(v) == pytest.approx(penalty.value(norms))


def test_hierarchical_prox_is_the_best_of_a_fine_search():
    """One feature: over the size r of the linear part, the hidden part is clipped to M r."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        v = rng.standard_normal((5, 1)) * rng.choice([0.3, 2.0])
        bound, step = rng.choice([0.2, 1.0, 5.0]), rng.choice([0.1, 1.0])
        penalty = Hierarchical(0.6, bound, n_skip=2)
        length = np.linalg.norm(v[:2])
        radii = np.linspace(0, 2 * length + 2 * np.abs(v).max(), 200_001)
        rest = np.maximum(np.abs(v[2:]) - bound * radii, 0)
        values = ((radii - length) ** 2 + np.sum(rest**2, axis=0)) / (2 * step) + 0.6 * radii
        x = penalty.prox(v, step)
        reached = np.sum((x - v) ** 2) / (2 * step) + penalty.value(x)
        assert reached <= values.min() + 1e-9


def test_hierarchical_limits():
    v = np.array([[2.0, 0.1], [0.7, 0.7], [-0.2, 3.0]])
    linear = Hierarchical(0.5, 1e-9).prox(v, 1.0)
    np.testing.assert_allclose(linear[0], [1.5, 0.0], atol=1e-8)
    np.testing.assert_allclose(linear[1:], 0.0, atol=1e-8)
    free = Hierarchical(0.5, 1e6).prox(v, 1.0)
    np.testing.assert_allclose(free[1:], v[1:], rtol=1e-5)


def test_k_support_refuses_weights_that_do_not_fit():
    with pytest.raises(ValueError, match=r"weights of shape .2,. for 3 groups. Give one positive"):
        KSupport(k=1, weights=[1.0, 2.0]).prox([1.0, 2.0, 3.0], 1.0)


def test_k_support_prox_is_the_best_over_shares():
    """Brute force over a grid of the shares u of three entries that sum to k = 1."""
    v, rho = np.array([1.0, -0.8, 0.3]), 0.5
    grid = np.linspace(0, 1, 101)
    lowest = min(
        np.sum(0.5 * rho * v**2 / (u + rho))
        for a, b in itertools.product(grid, grid)
        if a + b <= 1
        for u in [np.array([a, b, 1 - a - b])]
    )
    x = KSupport(1.0, k=1).prox(v, rho)
    reached = 0.5 * np.sum((x - v) ** 2) + rho * KSupport(1.0, k=1).value(x)
    assert reached == pytest.approx(lowest, abs=1e-4)
    assert reached <= lowest + 1e-12
