// CUDA kernels as C++: a block is a set of fibers on one thread, blocks run one after another.
//
// What it finds: results that depend on the order of threads or blocks (run it in several orders and
// compare), dynamic shared memory read before it is written (it starts as NaN), barriers that not all
// threads reach. What it cannot find: races inside a warp between two barriers that happen to give
// the same result in every order tried, misalignment, and anything about speed.

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __noinline__
#define SHARED_MEMORY emulation::shared.data()

struct dim3 { unsigned x, y, z; };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };
enum Outcome { FINE, DIVERGENT_BARRIER, BARRIER_AFTER_EXIT };

struct Fiber {
  ucontext_t start;
  jmp_buf where;
  std::vector<char> stack = std::vector<char>(1 << 16);
  State state;
  bool started, parity;
  unsigned mask;
};

static std::vector<Fiber> fibers;
static std::vector<double> shared;
static jmp_buf scheduler;
static unsigned current;
static uint64_t exchanged[2][1024];
static void (*body)(void*);
static void* body_argument;

static void run_body() {
  body(body_argument);
  fibers[current].state = DONE;
  _longjmp(scheduler, 1);
}

static void pause(State state, unsigned mask = 0) {
  fibers[current].state = state;
  fibers[current].mask = mask;
  if (!_setjmp(fibers[current].where)) _longjmp(scheduler, 1);
}

static void resume(unsigned thread) {
  current = thread;
  threadIdx = {thread, 0, 0};
  Fiber& fiber = fibers[thread];
  if (_setjmp(scheduler)) return;
  if (fiber.started) _longjmp(fiber.where, 1);
  fiber.started = true;
  setcontext(&fiber.start);
}

static bool release_warps(unsigned n) {
  bool released = false;
  for (unsigned first = 0; first < n; first += 32) {
    const unsigned last = std::min(n, first + 32);
    for (unsigned t = first; t < last; ++t) {
      if (fibers[t].state != AT_WARP_BARRIER) continue;
      const unsigned mask = fibers[t].mask;
      bool complete = true;
      for (unsigned lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1)
          complete &= first + lane < last && fibers[first + lane].state == AT_WARP_BARRIER &&
                      fibers[first + lane].mask == mask;
      if (!complete) continue;
      for (unsigned lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) fibers[first + lane].state = READY;
      released = true;
    }
  }
  return released;
}

static std::vector<unsigned> in_order(unsigned n, int order, std::mt19937& random) {
  std::vector<unsigned> all(n);
  for (unsigned i = 0; i < n; ++i) all[i] = i;
  if (order == 1) std::reverse(all.begin(), all.end());
  if (order == 2) std::shuffle(all.begin(), all.end(), random);
  return all;
}

static int run_block(unsigned n, int order, std::mt19937& random) {
  for (unsigned t = 0; t < n; ++t) {
    Fiber& fiber = fibers[t];
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.data();
    fiber.start.uc_stack.ss_size = fiber.stack.size();
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, run_body, 0);
    fiber.state = READY;
    fiber.started = fiber.parity = false;
  }
  while (true) {
    for (unsigned t : in_order(n, order, random))
      if (fibers[t].state == READY) resume(t);
    unsigned done = 0, waiting = 0;
    for (unsigned t = 0; t < n; ++t) {
      done += fibers[t].state == DONE;
      waiting += fibers[t].state == AT_BLOCK_BARRIER;
    }
    if (done == n) return FINE;
    if (release_warps(n)) continue;
    if (waiting + done < n) return DIVERGENT_BARRIER;
    if (done) return BARRIER_AFTER_EXIT;
    for (unsigned t = 0; t < n; ++t) fibers[t].state = READY;
  }
}

template <class T>
T exchange(T value, unsigned source, unsigned mask) {
  Fiber& fiber = fibers[current];
  const unsigned thread = current;
  uint64_t* slots = exchanged[fiber.parity];
  fiber.parity = !fiber.parity;  // two rows of slots, so that one barrier is enough
  memcpy(&slots[thread], &value, sizeof(T));
  pause(AT_WARP_BARRIER, mask);
  T result;
  memcpy(&result, &slots[(thread & ~31u) + (source & 31)], sizeof(T));
  return result;
}

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

template <class... A>
int launch(void (*kernel)(A...), const unsigned* grid, unsigned threads, size_t shared_bytes,
           void** arguments, int order, unsigned seed) {
  struct Call { void (*kernel)(A...); void** arguments; } bound = {kernel, arguments};
  body_argument = &bound;
  body = [](void* pointer) {
    Call* bound = static_cast<Call*>(pointer);
    call(bound->kernel, bound->arguments, std::index_sequence_for<A...>{});
  };
  std::mt19937 random(seed);
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {threads, 1, 1};
  if (fibers.size() < threads) fibers.resize(threads);
  shared.resize(shared_bytes / 8 + 2);
  for (unsigned b : in_order(grid[0] * grid[1] * grid[2], order, random)) {
    blockIdx = {b % grid[0], b / grid[0] % grid[1], b / (grid[0] * grid[1])};
    memset(shared.data(), 0xff, 8 * shared.size());
    if (int outcome = run_block(threads, order, random)) return outcome;
  }
  return FINE;
}

}  // namespace emulation

inline void __syncthreads() { emulation::pause(emulation::AT_BLOCK_BARRIER); }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emulation::pause(emulation::AT_WARP_BARRIER, mask);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
  return emulation::exchange(value, source, mask);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return emulation::exchange(value, (emulation::current & 31) ^ bits, mask);
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  unsigned result = 0;
  const unsigned first = emulation::current & ~31u;
  emulation::Fiber& fiber = emulation::fibers[emulation::current];
  uint64_t* slots = emulation::exchanged[fiber.parity];
  fiber.parity = !fiber.parity;
  slots[emulation::current] = vote;
  emulation::pause(emulation::AT_WARP_BARRIER, mask);
  for (unsigned lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) result |= unsigned(slots[first + lane] != 0) << lane;
  return result;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline long long __double_as_longlong(double value) {
  long long bits;
  memcpy(&bits, &value, 8);
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double value;
  memcpy(&value, &bits, 8);
  return value;
}
template <class T>
T atomicAdd(T* address, T value) {
  T before = *address;
  *address += value;
  return before;
}
template <class T>
T atomicMin(T* address, T value) {
  T before = *address;
  *address = std::min(before, value);
  return before;
}
template <class T>
T atomicCAS(T* address, T expected, T value) {
  T before = *address;
  if (before == expected) *address = value;
  return before;
}
using std::fabs; using std::rint; using std::fmax; using std::fmin; using std::sqrt; using std::pow;
using std::acos; using std::cos; using std::log1p;
