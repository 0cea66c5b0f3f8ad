"""The emulation finds the mistakes that it is there for: a planted one of each kind."""

import numpy as np
import pytest
from emulated_cuda import ORDERS, EmulationError, needs_compiler, run

pytestmark = needs_compiler

SOURCE = """
extern "C" __global__ void rotate_without_barrier(const double* x, double* out, int n) {
  double* shared = SHARED_MEMORY;
  shared[threadIdx.x] = x[threadIdx.x];
  out[threadIdx.x] = shared[(threadIdx.x + 1) % n];
}
extern "C" __global__ void rotate(const double* x, double* out, int n) {
  double* shared = SHARED_MEMORY;
  shared[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = shared[(threadIdx.x + 1) % n];
}
extern "C" __global__ void divergent(double* out) {
  if (threadIdx.x < 40) __syncthreads();
  else __syncwarp();
  out[threadIdx.x] = 1.0;
}
extern "C" __global__ void leaves_early(double* out) {
  if (threadIdx.x >= 32) return;
  __syncthreads();
  out[threadIdx.x] = 1.0;
}
extern "C" __global__ void half_a_warp_shuffles(double* out) {
  double value = threadIdx.x;
  if (threadIdx.x < 16) value = __shfl_xor_sync(0xffffffffu, value, 1);
  out[threadIdx.x] = value;
}
extern "C" __global__ void reads_what_nobody_wrote(double* out) {
  out[threadIdx.x] = SHARED_MEMORY[threadIdx.x];
}
extern "C" __global__ void writes_outside(double* out, int n) { out[n] = 1.0; }
extern "C" __global__ void last_block_wins(double* out) { out[0] = blockIdx.x; }
extern "C" __global__ void warp_total(const double* x, double* out) {
  double value = x[threadIdx.x];
  for (int offset = 16; offset; offset >>= 1)
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  out[threadIdx.x] = value;
}
"""
KERNELS = [
    "rotate_without_barrier", "rotate", "divergent", "leaves_early", "half_a_warp_shuffles",
    "reads_what_nobody_wrote", "writes_outside", "last_block_wins", "warp_total",
]  # fmt: skip


def launch(kernel, *arguments, grid=(1,), threads=64, **options):
    run(SOURCE, KERNELS, kernel, grid, threads, arguments, **options)


def outputs(kernel, *inputs, size=64, **options):
    """Return the output of a kernel in each order."""
    found = []
    for order in ORDERS:
        out = np.zeros(size)
        launch(kernel, *inputs[:1], out, *inputs[1:], order=order, **options)
        found.append(out)
    return found


X = np.arange(64.0)


def test_a_missing_barrier_shows_in_some_order():
    found = outputs("rotate_without_barrier", X, np.int32(64), shared_bytes=512)
    assert not all(np.array_equal(out, np.roll(X, -1)) for out in found)


def test_with_the_barrier_all_orders_agree():
    for out in outputs("rotate", X, np.int32(64), shared_bytes=512):
        np.testing.assert_array_equal(out, np.roll(X, -1))


@pytest.mark.parametrize("kernel", ["divergent", "half_a_warp_shuffles"])
def test_a_barrier_that_not_all_threads_reach_is_an_error(kernel):
    with pytest.raises(EmulationError, match="not all threads reach"):
        launch(kernel, np.zeros(64))


def test_a_barrier_after_threads_have_exited_is_an_error():
    with pytest.raises(EmulationError, match="after threads have exited"):
        launch("leaves_early", np.zeros(64))


def test_shared_memory_starts_as_nan():
    for out in outputs("reads_what_nobody_wrote", shared_bytes=512):
        assert np.all(np.isnan(out))


def test_writing_outside_of_an_array_is_an_error():
    with pytest.raises(EmulationError, match="writes outside of an array"):
        launch("writes_outside", np.zeros(5), np.int32(5))


def test_an_order_of_blocks_that_matters_shows():
    found = outputs("last_block_wins", size=1, grid=(5,), threads=32)
    assert len({float(out[0]) for out in found}) > 1


def test_shuffles_are_those_of_a_warp():
    for out in outputs("warp_total", X):
        np.testing.assert_array_equal(out, np.repeat([X[:32].sum(), X[32:].sum()], 32))
