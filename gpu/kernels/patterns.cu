// Masks of weight patterns: the n largest of every m neighbors, and the k largest of all.
//
// NaN counts as larger than every number, and of equals the first is kept, as
// sparsereg/backends/numba/masks.py has it.

__device__ __forceinline__ bool is_larger(real a, real b) { return a > b || (a != a && b == b); }

// A thread per entry: it is kept if fewer than n of its m neighbors come before it.
extern "C" __global__ void __launch_bounds__(256) mask_groups(
    const real* scores, bool* mask, index_t size, int n, int m) {
  const index_t i = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (i >= size) return;
  const index_t first = i / m * m;
  const real mine = scores[i];
  int before = 0;
  for (index_t k = first; k < first + m; ++k) {
    const real other = scores[k];
    before += is_larger(other, mine) || (k < i && !is_larger(mine, other));
  }
  mask[i] = before < n;
}

// Bits in the order of the numbers; negative zero is zero.
__device__ __forceinline__ word_t ordered_bits(double x) {
  if (x != x) return ~0ULL;
  const word_t bits = (word_t)__double_as_longlong(x == 0.0 ? 0.0 : x);
  return bits >> 63 ? ~bits : bits | 1ULL << 63;
}

#define N_DIGITS 4096

// How many entries, of those whose bits above the digit are `prefix`, have each digit of `width` bits.
// Counts are integers, so the order in which they are added does not matter.
extern "C" __global__ void __launch_bounds__(256) count_digits(
    const real* scores, index_t* counts, word_t prefix, index_t size, index_t stride, int shift,
    int width) {
  int* here = reinterpret_cast<int*>(SHARED_MEMORY);
  for (int d = threadIdx.x; d < N_DIGITS; d += blockDim.x) here[d] = 0;
  __syncthreads();
  const index_t first = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  for (index_t i = first; i < size; i += stride) {
    const word_t bits = ordered_bits(scores[i]);
    const word_t digit = bits >> shift;
    const bool is_in = shift + width == 64 || digit >> width == prefix;
    if (is_in) atomicAdd(here + (digit & ((1ULL << width) - 1)), 1);
  }
  __syncthreads();
  for (int d = threadIdx.x; d < N_DIGITS; d += blockDim.x)
    if (here[d]) atomicAdd((word_t*)counts + d, (word_t)here[d]);
}

// Which entries are above the smallest one that is kept, and which are equal to it.
extern "C" __global__ void __launch_bounds__(256) mask_above(
    const real* scores, bool* mask, bool* ties, word_t smallest, index_t size) {
  const index_t i = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (i >= size) return;
  const word_t bits = ordered_bits(scores[i]);
  mask[i] = bits > smallest;
  ties[i] = bits == smallest;
}
