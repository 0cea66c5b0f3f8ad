"""The kernels of l0 problems against a few lines of NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from sparsereg.backends.numba import backend
from sparsereg.backends.numba.l0_relaxation import FREE, INSIDE, OUTSIDE


def relaxation(seed, ridge, bound, m=12, n=30):
    """Return the arguments of a node, with unit columns, and costs that differ."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, m)) + 0.7 * rng.standard_normal((n, 1))
    X /= np.sqrt(np.mean(X**2, axis=0))
    y = X[:, :3].sum(axis=1) + rng.standard_normal(n)
    costs = 0.05 * rng.uniform(0.5, 2, m)
    ridges, bounds = np.full(m, ridge), np.full(m, bound)
    with np.errstate(divide="ignore"):
        knots = np.minimum(np.sqrt(2 * costs / ridges), bounds)
    slopes = costs / knots + 0.5 * ridges * knots
    return X.T @ X / n, X.T @ y / n, float(y @ y / n), costs, slopes, knots, ridges, bounds


def value(z, node, state):
    """Return the relaxed objective, from its definition."""
    gram, c, yy, costs, slopes, knots, ridge, _ = node
    size = np.abs(z)
    exact = costs + 0.5 * ridge * size**2
    phi = np.where(state == INSIDE, exact, np.where(size <= knots, slopes * size, exact))
    phi[state == OUTSIDE] = 0.0
    return 0.5 * (yy - 2 * c @ z + z @ gram @ z) + phi.sum()


@pytest.mark.parametrize(("ridge", "bound"), [(0.1, np.inf), (0.1, 0.4), (0.0, 0.8), (1.0, 5.0)])
@pytest.mark.parametrize("seed", range(5))
def test_a_node_is_solved_and_its_bound_meets_its_value(seed, ridge, bound):
    node = relaxation(seed, ridge, bound)
    state = np.array([FREE, INSIDE, OUTSIDE] + [FREE] * 9, dtype=np.int8)
    z, q = np.zeros(12), node[1].copy()
    lower, relaxed, true, _ = backend.solve_l0_node(
        *node, state, z, q, np.inf, 1e-10, 10_000, 1e-16
    )
    assert relaxed == pytest.approx(value(z, node, state), rel=1e-12)
    assert relaxed - 1.1e-10 <= lower <= relaxed
    assert true >= relaxed - 1e-14
    assert np.all(np.abs(z) <= bound)
    assert z[2] == 0
    # no better point nearby: a derivative-free search from the solution finds none
    free = np.flatnonzero(state != OUTSIDE)

    def at(v):
        trial = np.zeros(12)
        trial[free] = np.clip(v, -bound, bound)
        return value(trial, node, state)

    assert minimize(at, z[free], method="Nelder-Mead").fun >= relaxed - 1e-9


def test_fixing_never_excludes_what_is_below_the_cutoff():
    n_fixed = 0
    for seed in range(10):
        node = relaxation(seed, 0.2, np.inf, m=8)
        gram, c, yy, costs, _, _, ridge, _ = node
        values = {}
        for pattern in product([0, 1], repeat=8):
            S = np.flatnonzero(pattern)
            z = np.linalg.solve(gram[np.ix_(S, S)] + np.diag(ridge[S]), c[S])
            values[pattern] = 0.5 * (yy - c[S] @ z) + costs[S].sum()
        best = min(values, key=values.get)
        state, z = np.zeros(8, dtype=np.int8), np.zeros(8)
        cutoff = values[best] * (1 + 1e-9)
        outcome = backend.solve_l0_node(*node, state, z, c.copy(), cutoff, 1e-10, 1000, 1e-16)
        assert outcome[0] <= values[best]
        fixed = state != FREE
        np.testing.assert_array_equal(state[fixed] == INSIDE, np.array(best)[fixed] == 1)
        n_fixed += fixed.sum()
    assert n_fixed >= 40


def test_supports_are_solved_by_their_factors():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((40, 9))
    gram, target = X.T @ X / 40, rng.standard_normal(9)
    place = np.array([0, 1, 2, 3, -1, 4, 5, 6, 7])  # the row of column 4 is not known
    supports = [[], [3], [0, 8, 5], [4, 1], [1, 2, 3, 5, 6, 7]]
    columns = np.concatenate([np.array(support, dtype=np.intp) for support in supports])
    starts = np.cumsum([0, *map(len, supports)])
    known = (gram[place >= 0], place)
    factors, least = backend.factor_supports(known, columns, starts)
    values = target[columns]
    backend.solve_supports(starts, factors, least, values)
    for k, support in enumerate(supports):
        found = values[starts[k] : starts[k + 1]]
        if k == 3:
            assert least[k] == 0
            assert not found.any()
            continue
        part = gram[np.ix_(support, support)]
        np.testing.assert_allclose(part @ found, target[support], atol=1e-12)
        pivots = np.diag(np.linalg.cholesky(part))
        assert least[k] == pytest.approx(min([*pivots, 1.0]), rel=1e-10)


def test_dependent_columns_have_no_factor():
    gram = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    known, starts = (gram, np.arange(3)), np.array([0, 2, 5])
    _, least = backend.factor_supports(known, np.array([0, 1, 0, 1, 2]), starts)
    np.testing.assert_array_equal(least, [1.0, 0.0])
