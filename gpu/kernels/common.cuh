// What every kernel file begins with: it is put in front of the file, not included, because compiled
// kernels are cached by their text.
//
// X is stored as `real`, float or double; everything else is double. Sums have a fixed order: the
// same launch gives bitwise the same result. No headers, so that compiling takes a moment.

#ifndef REAL
#define REAL double
#endif

typedef REAL real;
typedef long long index_t;

#define WHOLE_WARP 0xffffffffu

__device__ __forceinline__ double infinity() { return __longlong_as_double(0x7ff0000000000000LL); }

#ifndef SHARED_MEMORY  // what runs these kernels on a CPU brings its own
extern __shared__ double dynamic_shared_memory[];
#define SHARED_MEMORY dynamic_shared_memory
#endif

__device__ __forceinline__ double warp_sum(double value) {
  for (int offset = 16; offset; offset >>= 1) value += __shfl_xor_sync(WHOLE_WARP, value, offset);
  return value;
}

__device__ __forceinline__ double warp_min(double value) {
  for (int offset = 16; offset; offset >>= 1)
    value = fmin(value, __shfl_xor_sync(WHOLE_WARP, value, offset));
  return value;
}

__device__ __forceinline__ double warp_max(double value) {
  for (int offset = 16; offset; offset >>= 1)
    value = fmax(value, __shfl_xor_sync(WHOLE_WARP, value, offset));
  return value;
}

// The sum over all threads of a block, for thread 0; `scratch` holds a double for each warp.
__device__ __forceinline__ double block_sum(double value, double* scratch) {
  value = warp_sum(value);
  if (blockDim.x == 32) return value;
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
  __syncthreads();
  value = 0.0;
  if (threadIdx.x == 0)
    for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) value += scratch[warp];
  __syncthreads();  // scratch may be written again
  return value;
}
