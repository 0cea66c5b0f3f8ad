"""From which bounds a Newton path on the pool starts."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg.backends.numba import NumbaBackend
from sparsereg.backends.protocol import ActiveSet
from sparsereg.solvers import restricted
from sparsereg.solvers.duality import DualGap


@pytest.mark.parametrize("positive", [False, True])
def test_bounds_that_a_point_is_optimal_for_are_common_to_the_columns_at_zero(positive):
    """Columns beyond their bounds must not all enter with the first step of a Newton path."""
    rng = np.random.default_rng(0)
    m, level = 40, 1.0
    l1, l2 = rng.uniform(0.5, 2, m), np.zeros(m)
    gradient = l1 * rng.uniform(0.5, 1.2, m) * (1 if positive else rng.choice([-1, 1], m))
    coef = np.zeros(m)
    active = np.arange(3)
    coef[active] = np.sign(gradient[active])
    state = ActiveSet(np.eye(m), np.arange(m), np.sign(coef), n_active=3)
    gap = DualGap(NumbaBackend(), l1, l2, np.ones(m), positive, n=50, sq_y=1.0)
    bounds = restricted._bounds_of(coef, gradient, gap, state, level)
    np.testing.assert_allclose(bounds[active], np.abs(gradient[active]))
    others = np.arange(3, m)
    assert np.all(bounds[others] >= np.abs(gradient[others]))
    reach = np.max(np.abs(gradient[others]) / l1[others])
    np.testing.assert_allclose(bounds[others], reach * l1[others])
    assert 1.1 < reach < 1.3
