"""Results do not depend on the number of threads of BLAS."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sparsereg import Lasso, MultiTaskLasso

# From 10,000 numbers on OpenBLAS takes threads for a product of two vectors.
N = 12_001


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_tasks", [1, 2])
def test_tolerances_and_solutions_are_the_same_with_any_number_of_blas_threads(n_tasks, weighted):
    rng = np.random.default_rng(0)
    model = Lasso(alpha=0.1) if n_tasks == 1 else MultiTaskLasso(alpha=0.1)
    for _ in range(12):  # a sum of two halves can be right by chance
        X, y = rng.standard_normal((N, 3)), rng.standard_normal((N, n_tasks))
        y += X[:, :1]
        weights = rng.uniform(0.5, 2.0, N) if weighted else None
        found = []
        for n_threads in (1, 2):
            with threadpool_limits(n_threads, user_api="blas"):
                model.fit(X, y.squeeze(), weights)
            found.append([model.dual_gap_, model.coef_, model.intercept_, model.history_])
            found[-1].append(model.predict(X[:5]))
        for one, two in zip(*found):
            np.testing.assert_array_equal(one, two)
