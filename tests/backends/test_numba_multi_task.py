"""The multi-task kernels of the Numba backend against a few lines of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from sparsereg.backends.numba import backend, multi_task, threads
from sparsereg.penalties import L21

N, P, T = 37, 13, 3
RNG = np.random.default_rng(11)
VALUES = RNG.standard_normal((N, P)) + RNG.standard_normal(P)
VALUES[RNG.random((N, P)) < 0.4] = 0.0
VALUES[:, 4] = 0.0
VALUES = VALUES.astype(np.float32).astype(float)  # the same numbers in both precisions
WEIGHTS = RNG.integers(0, 3, N).astype(float)
WEIGHTS *= N / WEIGHTS.sum()

STORAGES = {
    "F64": np.asfortranarray,
    "C64": np.ascontiguousarray,
    "F32": lambda X: np.asfortranarray(X, dtype=np.float32),
    "C32": lambda X: np.ascontiguousarray(X, dtype=np.float32),
    "csc64": sparse.csc_array,
    "csc32": lambda X: sparse.csc_array(X.astype(np.float32)),
}
COLUMNS = [None, np.array([5, 2, 11, 0, 9]), np.array([4]), np.empty(0, dtype=np.intp)]


@pytest.fixture(params=STORAGES)
def storage(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def weighted(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["as is", "centered"])
def center(request):
    return request.param


@pytest.fixture
def setting(storage, weighted, center):
    s = WEIGHTS if weighted else np.ones(N)
    means = s @ VALUES / N if center else np.zeros(P)
    design = backend.design(STORAGES[storage](VALUES), s if weighted else None, center)
    return design, VALUES - means, s


@pytest.mark.parametrize("columns", COLUMNS, ids=["all", "some", "an empty one", "none"])
@pytest.mark.parametrize("n_tasks", [1, 2, T])  # two have kernels of their own
def test_xtr_is_the_centered_product_of_every_task(setting, columns, n_tasks):
    design, centered, s = setting
    residuals = RNG.standard_normal((n_tasks, N))
    expected = (s * residuals) @ centered / N
    if columns is not None:
        expected = expected[:, columns]
    np.testing.assert_allclose(backend.xtr_tasks(design, residuals, columns), expected, atol=1e-13)


@pytest.mark.parametrize("n_tasks", [1, 4, 7, 21])
@pytest.mark.parametrize("columns", COLUMNS[:2], ids=["all", "some"])
def test_any_number_of_tasks_gets_its_products(setting, columns, n_tasks):
    design, centered, s = setting
    residuals = RNG.standard_normal((2 * n_tasks, N))[::2]
    expected = (s * residuals) @ centered / N
    if columns is not None:
        expected = expected[:, columns]
    np.testing.assert_allclose(backend.xtr_tasks(design, residuals, columns), expected, atol=1e-13)


@pytest.mark.parametrize("columns", COLUMNS[1:], ids=["some", "an empty one", "none"])
def test_fitted_is_the_centered_product_of_every_task(setting, columns):
    design, centered, _ = setting
    coef = RNG.standard_normal((T, columns.size))
    expected = coef @ centered[:, columns].T
    np.testing.assert_allclose(backend.fitted_tasks(design, columns, coef), expected, atol=1e-13)


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_passes_do_not_depend_on_the_number_of_threads(monkeypatch, order, dtype):
    X = RNG.standard_normal((300, 2000)).astype(dtype, order=order)
    design = backend.design(X, None, True)
    residuals, coef = RNG.standard_normal((T, 300)), RNG.standard_normal((T, 2000))
    some = np.arange(0, 2000, 2)
    results = []
    for n_threads in (1, 2, 5):
        monkeypatch.setattr(threads, "n_threads", lambda n=n_threads: n)
        results.append(
            (
                multi_task.xtr_tasks(design, residuals),
                multi_task.xtr_tasks(design, residuals[:2]),
                multi_task.xtr_tasks(design, residuals, some),
                multi_task.fitted_tasks(design, np.arange(2000), coef),
            )
        )
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(found, expected)


def one_epoch(gram, gradient, coef, penalty):
    """Block coordinate descent by the definition of the penalty's prox."""
    coef, gradient = coef.copy(), gradient.copy()
    for j in range(len(gram)):
        if gram[j, j] == 0:
            continue
        v = np.zeros_like(coef)
        v[:, j] = coef[:, j] + gradient[:, j] / gram[j, j]
        delta = penalty.prox(v, 1 / gram[j, j])[:, j] - coef[:, j]
        coef[:, j] += delta
        gradient -= np.outer(delta, gram[j])
    return coef, gradient


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("tasks", [1, 4])
def test_block_descent_is_a_sweep_of_block_proxes(l1_ratio, tasks):
    A = RNG.standard_normal((20, 6))
    A[:, 3] = 0.0
    gram, Y = A.T @ A / 20, RNG.standard_normal((tasks, 20))
    penalty = L21(0.2, l1_ratio=l1_ratio, weights=[0.0, 1.0, 2.0, 1.0, np.inf, 1.0])
    coef = RNG.standard_normal((tasks, 6))
    coef[:, 4] = 0.0
    gradient = Y @ A / 20 - coef @ gram
    expected = one_epoch(gram, gradient, coef, penalty)
    epochs, largest = backend.gram_block_cd(gram, gradient, coef, penalty.kernel_form(6), 1, 0.0)
    assert epochs == 1
    assert largest > 0
    np.testing.assert_allclose(coef, expected[0], atol=1e-14)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-14)


def test_block_descent_stops_where_nothing_moves():
    gram, coef, gradient = np.eye(3), np.zeros((2, 3)), 0.1 * np.ones((2, 3))
    form = L21(1.0).kernel_form(3)
    assert backend.gram_block_cd(gram, gradient, coef, form, 50, 0.0) == (1, 0.0)


def test_block_descent_reports_overflow():
    gram, coef, gradient = np.full((1, 1), 1e-300), np.zeros((2, 1)), np.full((2, 1), 1e100)
    _, largest = backend.gram_block_cd(gram, gradient, coef, L21(1.0).kernel_form(1), 50, 0.0)
    assert not np.isfinite(largest)
