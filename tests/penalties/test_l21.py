"""The l21 penalty against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import clone

from sparsereg.penalties import L1, L21, ElasticNet

RNG = np.random.default_rng(3)
T, P = 3, 5
W = RNG.standard_normal((T, P))
W[:, 2] = 0.0
V = np.array([0.0, np.inf, 1.0, 2.0, 0.3])


def value_by_definition(w, alpha, l1_ratio, weights):
    total = 0.0
    for j in range(w.shape[1]):
        norm = np.sqrt(sum(w[t, j] ** 2 for t in range(w.shape[0])))
        if norm > 0:
            total += weights[j] * (l1_ratio * norm + (1 - l1_ratio) / 2 * norm**2)
    return alpha * total


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("weights", [np.ones(P), V], ids=["ones", "weights"])
def test_value_is_the_definition(l1_ratio, weights):
    expected = value_by_definition(W, 0.7, l1_ratio, weights)
    assert L21(0.7, l1_ratio=l1_ratio, weights=weights).value(W) == pytest.approx(expected)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4, 0.0])
def test_prox_is_the_global_minimizer(l1_ratio):
    penalty, step = L21(0.7, l1_ratio=l1_ratio), 0.8
    prox = penalty.prox(W, step)

    def objective(flat):
        x = flat.reshape(T, P)
        return np.sum((x - W) ** 2) / (2 * step) + penalty.value(x)

    for start in (W, np.zeros_like(W), RNG.standard_normal(W.shape)):
        found = minimize(objective, start.ravel(), method="Powell", options={"maxiter": 30})
        assert objective(prox.ravel()) <= found.fun + 1e-9


def test_prox_keeps_directions_and_excludes():
    prox = L21(0.1, weights=V).prox(W, 1.0)
    np.testing.assert_array_equal(prox[:, 0], W[:, 0])
    assert not prox[:, 1].any()
    np.testing.assert_allclose(prox[:, 3] * W[0, 3], W[:, 3] * prox[0, 3])


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
def test_prox_is_stationary(l1_ratio):
    penalty = L21(0.7, l1_ratio=l1_ratio, weights=np.array([0.0, 5.0, 1.0, 2.0, 0.3]))
    prox = penalty.prox(W, 0.5)
    np.testing.assert_allclose(penalty.subdiff_distance(prox, (prox - W) / 0.5), 0, atol=1e-14)


def test_subdifferential_of_zero_is_a_ball():
    grad = np.zeros((2, 2))
    grad[:, 0], grad[:, 1] = [3.0, 4.0], [0.3, 0.4]
    np.testing.assert_allclose(L21(1.0).subdiff_distance(np.zeros((2, 2)), grad), [4.0, 0.0])


def test_one_task_is_the_elastic_net():
    w, grad = W[:1], RNG.standard_normal((1, P))
    ours, theirs = L21(0.7, l1_ratio=0.6, weights=V), ElasticNet(0.7, l1_ratio=0.6, weights=V)
    assert ours.value(w) == pytest.approx(theirs.value(w[0]))
    assert ours.alpha_max(grad) == pytest.approx(theirs.alpha_max(grad[0]))
    np.testing.assert_allclose(ours.prox(w, 0.3)[0], theirs.prox(w[0], 0.3))
    np.testing.assert_allclose(
        ours.subdiff_distance(w, grad), theirs.subdiff_distance(w[0], grad[0])
    )


def test_largest_alpha_is_the_largest_norm():
    grad = np.array([[3.0, 0.0], [4.0, 1.0]])
    assert L21().alpha_max(grad) == pytest.approx(5.0)
    assert L21(weights=[10.0, 1.0]).alpha_max(grad) == pytest.approx(1.0)


def test_parameters_survive_clone():
    assert clone(L21(2.0, l1_ratio=0.3)).get_params() == {
        "alpha": 2.0, "l1_ratio": 0.3, "weights": None,
    }  # fmt: skip
    assert not isinstance(L21(), L1)
