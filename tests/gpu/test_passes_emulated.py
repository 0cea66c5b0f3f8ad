"""Passes over X: the CUDA kernels, emulated in three orders of threads, against the CPU backend."""

from typing import NamedTuple

import numpy as np
import pytest
from emulated_cuda import ORDERS, EmulatedBackend, needs_compiler
from scipy import sparse

from sparsereg.backends.numba import backend as numba
from sparsereg.backends.protocol import Backend

pytestmark = needs_compiler

RNG = np.random.default_rng(11)
# rows of one warp and of a block of several; 70 columns are two blocks of warps and a bit
SHAPES = {"short columns": (37, 70), "long columns": (2300, 9)}
STORAGES = {
    "F64": np.asfortranarray,
    "C64": np.ascontiguousarray,
    "F32": lambda X: np.asfortranarray(X, dtype=np.float32),
    "C32": lambda X: np.ascontiguousarray(X, dtype=np.float32),
    "csc64": sparse.csc_array,
    "csc32": lambda X: sparse.csc_array(X.astype(np.float32)),
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
}


def values_of(n, p):
    values = RNG.standard_normal((n, p)) + RNG.standard_normal(p)
    values[RNG.random((n, p)) < 0.4] = 0.0
    values[:, 4] = 0.0  # an empty column
    values[:, 6] = 0.1  # a constant one
    return values.astype(np.float32).astype(float)


DATA = {name: values_of(*shape) for name, shape in SHAPES.items()}


class Pair(NamedTuple):
    """The same data on the emulated devices, one for each order, and on the CPU."""

    devices: list
    designs: list
    reference: object
    n: int
    p: int

    def everywhere(self, method, *arguments):
        """Call a primitive; return the result, the same in all orders, and the reference."""
        results = [
            getattr(backend, method)(design, *arguments)
            for backend, design in zip(self.devices, self.designs)
        ]
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])
        return results[0], getattr(numba, method)(self.reference, *arguments)


@pytest.fixture(params=[(False, False), (True, True)], ids=["plain", "weighted and centered"])
def rules(request):
    return request.param


@pytest.fixture(params=STORAGES)
def storage(request):
    return request.param


@pytest.fixture(params=SHAPES)
def pair(request, storage, rules):
    values = DATA[request.param]
    n, p = values.shape
    weighted, center = rules
    weights = RNG.integers(0, 3, n).astype(float) if weighted else None
    if weights is not None:
        weights *= n / weights.sum()
    X = STORAGES[storage](values)
    devices = [EmulatedBackend(order) for order in ORDERS]
    designs = [device.design(X, weights, center) for device in devices]
    return Pair(devices, designs, numba.design(X, weights, center), n, p)


COLUMNS = np.array([5, 2, 8, 0, 6, 4])


def test_the_device_backend_keeps_the_protocol():
    assert isinstance(EmulatedBackend(), Backend)


def test_moments(pair):
    for design in pair.designs:
        np.testing.assert_allclose(design.means, pair.reference.means, atol=1e-13)
        np.testing.assert_allclose(design.sqnorms, pair.reference.sqnorms, rtol=1e-12)
        np.testing.assert_array_equal(design.means, pair.designs[0].means)
        np.testing.assert_array_equal(design.sqnorms, pair.designs[0].sqnorms)
        assert design.nnz == pair.reference.nnz
        assert design.nnz_of(COLUMNS) == pair.reference.nnz_of(COLUMNS)


@pytest.mark.parametrize("columns", [None, COLUMNS, COLUMNS[:0]], ids=["all", "some", "none"])
def test_gradient(pair, columns):
    there, here = pair.everywhere("xtr", RNG.standard_normal(pair.n), columns)
    np.testing.assert_allclose(there, here, atol=1e-12)


@pytest.mark.parametrize("n_tasks", [2, 8, 11])
def test_gradients_of_several_tasks(pair, n_tasks):
    residuals = RNG.standard_normal((n_tasks, pair.n))
    there, here = pair.everywhere("xtr_tasks", residuals)
    np.testing.assert_allclose(there, here, atol=1e-12)


def test_fitted_values(pair):
    there, here = pair.everywhere("fitted", COLUMNS, RNG.standard_normal(COLUMNS.size))
    np.testing.assert_allclose(there, here, atol=1e-12)
    there, here = pair.everywhere("fitted_tasks", COLUMNS, RNG.standard_normal((3, COLUMNS.size)))
    np.testing.assert_allclose(there, here, atol=1e-12)
    there, _ = pair.everywhere("fitted", COLUMNS[:0], np.empty(0))
    assert not there.any()


@pytest.mark.parametrize("n_new", [2, COLUMNS.size])
def test_gram_blocks(pair, n_new):
    there, here = pair.everywhere("gram", COLUMNS, n_new)
    np.testing.assert_allclose(there, here, atol=1e-11)
    square = there[-n_new:]
    np.testing.assert_array_equal(square, square.T)


def test_packed_columns(pair):
    there, here = pair.everywhere("pack", COLUMNS)
    np.testing.assert_allclose(there, here, atol=1e-13)


def test_rows(pair):
    if pair.reference.is_sparse:
        pytest.skip("rows are taken of dense X only")
    rows = np.array([3, 0, 30, 7])
    there, here = pair.everywhere("take_rows", rows)
    np.testing.assert_array_equal(there, here)
    there, here = pair.everywhere(
        "fitted_rows", rows, COLUMNS, RNG.standard_normal((2, COLUMNS.size))
    )
    np.testing.assert_allclose(there, here, atol=1e-12)


def test_moments_of_small_and_shifted_columns():
    values = np.column_stack([1e-160 * DATA["short columns"][:, 0], DATA["short columns"][:, 1]])
    values = np.column_stack([values, np.round(8 * values[:, 1]) + 2.0**16])
    for make in (np.asfortranarray, np.ascontiguousarray, sparse.csc_array):
        X = make(values)
        there, here = EmulatedBackend().design(X, None, True), numba.design(X, None, True)
        np.testing.assert_allclose(there.sqnorms, here.sqnorms, rtol=1e-9)
        assert there.sqnorms[0] > 0
