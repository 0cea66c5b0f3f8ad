// 64 random bits from 64 bits: the finalizer of SplitMix64, as sparsereg/privacy/codebook.py and
// sparsereg/backends/numba/sparse_graph.py have it.

#define GOLDEN 0x9E3779B97F4A7C15ULL
#define MIX_1 0xBF58476D1CE4E5B9ULL
#define MIX_2 0x94D049BB133111EBULL

typedef unsigned long long word_t;

__device__ __forceinline__ word_t mix(word_t h) {
  h = (h ^ (h >> 30)) * MIX_1;
  h = (h ^ (h >> 27)) * MIX_2;
  return h ^ (h >> 31);
}
