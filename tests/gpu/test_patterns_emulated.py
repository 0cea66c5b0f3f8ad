"""Masks of weight patterns: the CUDA kernels and the CPU's against a stable sort."""

import fake_cupy
import numpy as np
import pytest
from emulated_cuda import ORDERS, EmulatedBackend, needs_compiler

from sparsereg.backends.numba import backend as numba

RNG = np.random.default_rng(4)
VALUES = {
    "distinct": RNG.standard_normal(60),
    "ties": RNG.integers(-2, 3, 60) * 1.5,
    "signed zeros": np.where(RNG.random(60) < 0.5, -0.0, 0.0),
    "nan and infinity": RNG.choice([np.nan, np.inf, -np.inf, 1.0, -0.0, 0.0, 1e-300], 60),
    "close": 1.0 + 2.0**-50 * RNG.integers(0, 9, 60),
}
BACKENDS = [
    pytest.param(numba, id="numba"),
    *(pytest.param(EmulatedBackend(order), id=order, marks=needs_compiler) for order in ORDERS),
]


def first_of_sorted(scores, k):
    """Return the mask of the k largest along the last axis: NaN first, then in order of place."""
    keys = np.where(np.isnan(scores), 1, 0), scores + 0.0
    order = np.lexsort((np.nan_to_num(-keys[1], nan=0.0, neginf=-np.inf, posinf=np.inf), -keys[0]))
    mask = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(mask, order[..., :k], True, axis=-1)
    return mask


@pytest.fixture(params=VALUES)
def scores(request):
    return VALUES[request.param]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 3), (7, 20), (4, 4)])
def test_of_every_m_neighbors_the_n_largest_are_kept(scores, backend, n, m, dtype):
    scores = scores.astype(dtype)
    expected = first_of_sorted(scores.reshape(-1, m), n).ravel()
    np.testing.assert_array_equal(backend.mask_groups(scores, n, m), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_k_largest_are_kept(scores, backend, dtype):
    scores = scores.astype(dtype)
    for k in (0, 1, 2, 13, 30, 59, 60):
        expected = first_of_sorted(scores, k)
        np.testing.assert_array_equal(backend.mask_largest(scores, k), expected, err_msg=f"{k}")


@needs_compiler
def test_more_entries_than_threads():
    scores = RNG.integers(0, 40, 3000).astype(float)
    emulated = EmulatedBackend("random")
    np.testing.assert_array_equal(
        emulated.mask_largest(scores, 1234), numba.mask_largest(scores, 1234)
    )
    np.testing.assert_array_equal(
        emulated.mask_groups(scores, 2, 8), numba.mask_groups(scores, 2, 8)
    )


@needs_compiler
@pytest.mark.parametrize("shape", [(6, 16), (4, 8, 3, 3)])
def test_patterns_of_arrays_are_those_of_tensors_and_stay_where_they_are(monkeypatch, shape):
    torch = pytest.importorskip("torch")
    from sparsereg.nn import NM, Unstructured

    backend = fake_cupy.install(monkeypatch)
    weights = RNG.integers(-3, 4, shape) / 2
    for pattern in (NM(2, 4), Unstructured(0.3)):
        expected = pattern.prox(torch.as_tensor(weights)).numpy()
        np.testing.assert_array_equal(pattern.prox(weights), expected)
        before = backend.device.launches
        there = pattern.prox(fake_cupy.asarray(weights))
        assert isinstance(there, fake_cupy.ndarray)
        assert backend.device.launches > before
        np.testing.assert_array_equal(there.get(), expected)
        assert pattern.value(there) == 0.0
        assert pattern.value(fake_cupy.asarray(weights)) == np.inf
