// Passes over X: X_c' v, X_c w and column moments, for three storages.
//
// A matrix v of shape (n_tasks, n) is one right-hand side per row; at most TASKS of them share a
// pass. X is read once, so the floor is sizeof(real) n p bytes; v and the results stay in cache.
// Implicit centering, (x - m)' v = x'v - m sum(v), is done where the sum is written.

// One block per column: columns are contiguous.
template <int TASKS>
__device__ __forceinline__ void dot_columns_of(
    const real* X, const index_t* columns, const double* v, const double* means,
    const double* totals, double* out, index_t n, index_t n_columns, int n_tasks) {
  const index_t j = columns[blockIdx.x];
  const real* x = X + j * n;
  double sums[TASKS];
#pragma unroll
  for (int t = 0; t < TASKS; ++t) sums[t] = 0.0;
#pragma unroll 4
  for (index_t i = threadIdx.x; i < n; i += blockDim.x) {
    const double value = x[i];
#pragma unroll
    for (int t = 0; t < TASKS; ++t)
      if (t < n_tasks) sums[t] += value * v[t * n + i];
  }
#pragma unroll
  for (int t = 0; t < TASKS; ++t)
    if (t < n_tasks) {
      const double sum = block_sum(sums[t], SHARED_MEMORY);
      if (threadIdx.x == 0) out[t * n_columns + blockIdx.x] = (sum - means[j] * totals[t]) / n;
    }
}

extern "C" __global__ void __launch_bounds__(256) dot_columns(
    const real* X, const index_t* columns, const double* v, const double* means,
    const double* totals, double* out, index_t n, index_t n_columns, int n_tasks) {
  dot_columns_of<1>(X, columns, v, means, totals, out, n, n_columns, n_tasks);
}

extern "C" __global__ void __launch_bounds__(256) dot_columns_many(
    const real* X, const index_t* columns, const double* v, const double* means,
    const double* totals, double* out, index_t n, index_t n_columns, int n_tasks) {
  dot_columns_of<8>(X, columns, v, means, totals, out, n, n_columns, n_tasks);
}

// What rounding left of the mean, sum s (x - m), and sum s (x - m)^2.
extern "C" __global__ void __launch_bounds__(256) spread_columns(
    const real* X, const double* weights, const double* means, double* rests, double* squares,
    index_t n) {
  const index_t j = blockIdx.x;
  double rest = 0.0, square = 0.0;
#pragma unroll 4
  for (index_t i = threadIdx.x; i < n; i += blockDim.x) {
    const double d = X[j * n + i] - means[j];
    rest += weights[i] * d;
    square += weights[i] * d * d;
  }
  rest = block_sum(rest, SHARED_MEMORY);
  square = block_sum(square, SHARED_MEMORY);
  if (threadIdx.x == 0) rests[j] = rest, squares[j] = square;
}

// Rows are contiguous: a thread per column and chunk of rows; the chunks are added afterwards.
template <int TASKS>
__device__ __forceinline__ void dot_rows_of(
    const real* X, const index_t* columns, const double* v, double* partial, index_t n, index_t p,
    index_t n_columns, index_t rows, int n_tasks) {
  const index_t k = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (k >= n_columns) return;
  const real* x = X + columns[k];
  const index_t first = blockIdx.y * rows, last = first + rows < n ? first + rows : n;
  double sums[TASKS];
#pragma unroll
  for (int t = 0; t < TASKS; ++t) sums[t] = 0.0;
#pragma unroll 4
  for (index_t i = first; i < last; ++i) {
    const double value = x[i * p];
#pragma unroll
    for (int t = 0; t < TASKS; ++t)
      if (t < n_tasks) sums[t] += value * v[t * n + i];
  }
#pragma unroll
  for (int t = 0; t < TASKS; ++t)
    if (t < n_tasks) partial[((index_t)blockIdx.y * n_tasks + t) * n_columns + k] = sums[t];
}

extern "C" __global__ void __launch_bounds__(256) dot_rows(
    const real* X, const index_t* columns, const double* v, double* partial, index_t n, index_t p,
    index_t n_columns, index_t rows, int n_tasks) {
  dot_rows_of<1>(X, columns, v, partial, n, p, n_columns, rows, n_tasks);
}

extern "C" __global__ void __launch_bounds__(256) dot_rows_many(
    const real* X, const index_t* columns, const double* v, double* partial, index_t n, index_t p,
    index_t n_columns, index_t rows, int n_tasks) {
  dot_rows_of<8>(X, columns, v, partial, n, p, n_columns, rows, n_tasks);
}

extern "C" __global__ void __launch_bounds__(256) spread_rows(
    const real* X, const double* weights, const double* means, double* rests, double* squares,
    index_t n, index_t p, index_t rows) {
  const index_t j = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (j >= p) return;
  const index_t first = blockIdx.y * rows, last = first + rows < n ? first + rows : n;
  double rest = 0.0, square = 0.0;
#pragma unroll 4
  for (index_t i = first; i < last; ++i) {
    const double d = X[i * p + j] - means[j];
    rest += weights[i] * d;
    square += weights[i] * d * d;
  }
  rests[blockIdx.y * p + j] = rest;
  squares[blockIdx.y * p + j] = square;
}

// Compressed columns: a warp per column.
template <int TASKS>
__device__ __forceinline__ void dot_csc_of(
    const real* data, const int* indices, const index_t* indptr, const index_t* columns,
    const double* v, const double* means, const double* totals, double* out, index_t n,
    index_t n_columns, int n_tasks) {
  const index_t k = (blockIdx.x * (index_t)blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (k >= n_columns) return;  // the whole warp
  const index_t j = columns[k];
  double sums[TASKS];
#pragma unroll
  for (int t = 0; t < TASKS; ++t) sums[t] = 0.0;
  for (index_t e = indptr[j] + lane; e < indptr[j + 1]; e += 32) {
    const double value = data[e];
#pragma unroll
    for (int t = 0; t < TASKS; ++t)
      if (t < n_tasks) sums[t] += value * v[t * n + indices[e]];
  }
#pragma unroll
  for (int t = 0; t < TASKS; ++t)
    if (t < n_tasks) {
      const double sum = warp_sum(sums[t]);
      if (lane == 0) out[t * n_columns + k] = (sum - means[j] * totals[t]) / n;
    }
}

extern "C" __global__ void __launch_bounds__(256) dot_csc(
    const real* data, const int* indices, const index_t* indptr, const index_t* columns,
    const double* v, const double* means, const double* totals, double* out, index_t n,
    index_t n_columns, int n_tasks) {
  dot_csc_of<1>(data, indices, indptr, columns, v, means, totals, out, n, n_columns, n_tasks);
}

extern "C" __global__ void __launch_bounds__(256) dot_csc_many(
    const real* data, const int* indices, const index_t* indptr, const index_t* columns,
    const double* v, const double* means, const double* totals, double* out, index_t n,
    index_t n_columns, int n_tasks) {
  dot_csc_of<8>(data, indices, indptr, columns, v, means, totals, out, n, n_columns, n_tasks);
}

// The rows that a sparse column does not store hold -m: `masses` is the weight of those it stores.
extern "C" __global__ void __launch_bounds__(256) spread_csc(
    const real* data, const int* indices, const index_t* indptr, const double* weights,
    const double* means, double* masses, double* rests, double* squares, index_t p) {
  const index_t j = (blockIdx.x * (index_t)blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (j >= p) return;  // the whole warp
  double mass = 0.0, rest = 0.0, square = 0.0;
  for (index_t e = indptr[j] + lane; e < indptr[j + 1]; e += 32) {
    const double s = weights[indices[e]], d = data[e] - means[j];
    mass += s;
    rest += s * d;
    square += s * d * d;
  }
  mass = warp_sum(mass);
  rest = warp_sum(rest);
  square = warp_sum(square);
  if (lane == 0) masses[j] = mass, rests[j] = rest, squares[j] = square;
}

// X_c[:, columns] w: a thread per row where columns are contiguous ...
extern "C" __global__ void __launch_bounds__(256) combine_columns(
    const real* X, const index_t* columns, const double* coefs, const double* means, double* out,
    index_t n, index_t n_columns, int n_tasks) {
  const index_t i = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (i >= n) return;
  for (int t = blockIdx.y; t < n_tasks; t += gridDim.y) {
    double sum = 0.0;
#pragma unroll 4
    for (index_t k = 0; k < n_columns; ++k) {
      const index_t j = columns[k];
      sum += coefs[t * n_columns + k] * (X[j * n + i] - means[j]);
    }
    out[t * n + i] = sum;
  }
}

// ... and a warp per row where rows are.
extern "C" __global__ void __launch_bounds__(256) combine_rows(
    const real* X, const index_t* columns, const double* coefs, const double* means, double* out,
    index_t n, index_t p, index_t n_columns, int n_tasks) {
  const index_t i = (blockIdx.x * (index_t)blockDim.x + threadIdx.x) / 32;
  const int lane = threadIdx.x % 32;
  if (i >= n) return;  // the whole warp
  for (int t = blockIdx.y; t < n_tasks; t += gridDim.y) {
    double sum = 0.0;
    for (index_t k = lane; k < n_columns; k += 32) {
      const index_t j = columns[k];
      sum += coefs[t * n_columns + k] * (X[i * p + j] - means[j]);
    }
    sum = warp_sum(sum);
    if (lane == 0) out[t * n + i] = sum;
  }
}
