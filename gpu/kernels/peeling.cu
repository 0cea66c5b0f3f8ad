// Peeling of sparse-graph codes in rounds: what sets say, who found a ball first, balls off their bins.
//
// The mathematics is that of sparsereg/backends/numba/peeling.py, and so is every operation on
// floating-point numbers and its order: results are the same bit by bit. Compile without contraction
// (see launch.py). A set s belongs to bin bins[s]; arrays of colors x bins are C-contiguous.

#define WEIGHT_STREAM (1ULL << 40)

// Standard errors that count as zero, and the coarsest address that is still read as an integer.
#define SIGMAS 8.0
#define COARSEST 0.05
#define OPEN (-1)

__device__ __forceinline__ word_t hashed(word_t seed, word_t stream, index_t j) {
  return mix(mix(seed + GOLDEN * (stream + 1)) + GOLDEN * (word_t)(j + 1));
}

__device__ __forceinline__ index_t bin_of(word_t seed, const index_t* starts, int stage, index_t j) {
  const word_t size = (word_t)(starts[stage + 1] - starts[stage]);
  return starts[stage] + (index_t)(hashed(seed, (word_t)stage, j) % size);
}

__device__ __forceinline__ bool is_member(word_t seed, const index_t* starts, index_t b, index_t j) {
  int stage = 0;
  while (starts[stage + 1] <= b) ++stage;
  return bin_of(seed, starts, stage, j) == b;
}

__device__ __forceinline__ double weight_of(word_t seed, index_t j) {
  const word_t bits = hashed(seed, WEIGHT_STREAM, j);
  const double size = 0.5 + (double)(bits >> 11) * 0x1p-53;
  return bits & 1 ? size : -size;
}

__device__ __forceinline__ double address_of(double n, index_t j) {
  return 1.0 + ((double)j + 1.0) / (n + 1.0);
}

// The feature of a set that holds one ball, or -1; `address` becomes the error of its address.
__device__ __forceinline__ index_t singleton(
    word_t seed, index_t n_features, const index_t* starts, index_t b, double u, double w,
    double error, double* address) {
  const double n = (double)n_features;
  if (!(fabs(u) > SIGMAS * error)) return -1;
  const double bound = SIGMAS * 4.0 * error / fabs(u) * n;
  const double x = (w / u - 1.0) * (n + 1.0) - 1.0;
  if (!(bound <= COARSEST && -0.5 < x && x < n - 0.5)) return -1;
  const index_t nearest = (index_t)rint(x);
  if (!(fabs(x - (double)nearest) <= bound && is_member(seed, starts, b, nearest))) return -1;
  *address = bound;
  return nearest;
}

// Where a key is, or a free place (-1), in a table of a power of two places.
__device__ __forceinline__ index_t slot_of(const index_t* table, index_t n_slots, index_t key) {
  const word_t mask = (word_t)n_slots - 1;
  word_t at = mix((word_t)key * GOLDEN) & mask;
  while (table[at] >= 0 && table[at] != key) at = (at + 1) & mask;
  return (index_t)at;
}

// A thread reads a set by what is known. It writes `state`, or a ball: its key, value, standard error
// and error of the address; the key is -1 where nothing new was found.
extern "C" __global__ void __launch_bounds__(256) read_sets(
    const index_t* bins, const index_t* colors, const double* u, const double* w,
    const index_t* starts, const double* totals, const double* variance, const index_t* counts,
    const int* waiting, const index_t* table, index_t* state, index_t* found, double* balls,
    index_t* conflicts, word_t seed, index_t n_features, index_t n_bins, index_t n_slots,
    index_t n_sets, double tol, int n_colors, int told) {
  const index_t s = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (s >= n_sets) return;
  found[s] = -1;
  const index_t b = bins[s];
  if (!waiting[b] || state[s] != OPEN) return;
  for (int c = 0; c < n_colors; ++c) {
    const index_t place = c * n_bins + b;
    if (told ? colors[s] != c : counts[place] == 0) continue;
    const double ru = u[s] - totals[2 * place], rw = w[s] - totals[2 * place + 1];
    const double sigma = sqrt(tol * tol + variance[place]);
    if (fabs(ru) <= SIGMAS * sigma && fabs(rw) <= 2.0 * SIGMAS * sigma) {
      state[s] = c;
      return;
    }
    double address = 0.0;
    const index_t j = singleton(seed, n_features, starts, b, ru, rw, sigma, &address);
    if (j < 0) continue;
    const index_t key = j * n_colors + c;
    if (table[slot_of(table, n_slots, key)] == key) {
      // of unknown color: another color's value at a feature that both have
      if (told) atomicAdd((word_t*)conflicts, (word_t)1);
      continue;
    }
    const double a = weight_of(seed, j);
    found[s] = key;
    balls[3 * s] = ru / a;
    balls[3 * s + 1] = sigma / fabs(a);
    balls[3 * s + 2] = address;
    return;
  }
}

// Enter new keys into the table; `slots` gets their places, and of equal keys the first set owns it.
extern "C" __global__ void __launch_bounds__(256) claim_balls(
    const index_t* found, index_t* table, index_t* owners, index_t* slots, index_t n_slots,
    index_t n_sets) {
  const index_t s = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (s >= n_sets) return;
  slots[s] = -1;
  const index_t key = found[s];
  if (key < 0) return;
  const word_t mask = (word_t)n_slots - 1;
  word_t at = mix((word_t)key * GOLDEN) & mask;
  while (true) {
    const index_t there = (index_t)atomicCAS((word_t*)table + at, (word_t)-1, (word_t)key);
    if (there == -1 || there == key) break;
    at = (at + 1) & mask;
  }
  slots[s] = (index_t)at;
  atomicMin(owners + at, s);
}

// Where each ball lies, a color and a bin per stage, and what it adds there.
extern "C" __global__ void __launch_bounds__(256) address_balls(
    const index_t* keys, const double* balls, const index_t* starts, index_t* targets,
    double* added, word_t seed, index_t n_features, index_t n_bins, index_t n_balls, int n_colors,
    int n_stages) {
  const index_t k = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (k >= n_balls) return;
  const index_t j = keys[k] / n_colors, c = keys[k] % n_colors;
  const double a = weight_of(seed, j), error = a * balls[3 * k + 1];
  const double moved = a * balls[3 * k];
  added[3 * k] = moved;
  added[3 * k + 1] = moved * address_of((double)n_features, j);
  added[3 * k + 2] = error * error;
  for (int stage = 0; stage < n_stages; ++stage)
    targets[k * n_stages + stage] = c * n_bins + bin_of(seed, starts, stage, j);
}

// Add up what comes to the same place, in the order of the balls: `order` sorts (ball, stage) by place.
extern "C" __global__ void __launch_bounds__(256) take_balls_off(
    const index_t* targets, const index_t* order, const double* added, double* totals,
    double* variance, index_t* counts, int* waiting, index_t n_bins, index_t n_entries,
    int n_stages) {
  const index_t first = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (first >= n_entries) return;
  const index_t place = targets[order[first]];
  if (first > 0 && targets[order[first - 1]] == place) return;  // another thread's
  for (index_t e = first; e < n_entries && targets[order[e]] == place; ++e) {
    const double* ball = added + 3 * (order[e] / n_stages);
    totals[2 * place] += ball[0];
    totals[2 * place + 1] += ball[1];
    variance[place] += ball[2];
    counts[place] += 1;
  }
  waiting[place % n_bins] = 1;
}
