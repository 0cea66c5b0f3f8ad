"""Steps between two passes over X: what they start from is right."""

from __future__ import annotations

import numpy as np
import pytest

from sparsereg import Lasso
from sparsereg.solvers import working_set


@pytest.mark.usefixtures("step_by_step")
@pytest.mark.parametrize("seed", range(3))
def test_subproblems_start_from_the_gradient_of_their_columns(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((150, 600))
    y = X[:, :40] @ rng.standard_normal(40) + 0.1 * rng.standard_normal(150)
    errors = []
    original = working_set.solve_on_pool

    def noted(work, restriction, columns, goal, descent=1.0):
        fresh = work.backend.xtr(work.design, work.residual, columns)
        errors.append(np.max(np.abs(fresh - work.gradient[columns])))
        return original(work, restriction, columns, goal, descent)

    monkeypatch.setattr(working_set, "solve_on_pool", noted)
    alpha_max = np.max(np.abs((X - X.mean(axis=0)).T @ (y - y.mean()))) / 150
    Lasso(1e-4 * alpha_max, tol=1e-8).fit(X, y)
    assert len(errors) > 2
    assert max(errors) < 1e-10 * alpha_max
