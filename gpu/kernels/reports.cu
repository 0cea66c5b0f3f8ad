// Sums of the codewords of private reports, regenerated from their seeds.
//
// Coordinates 4 b, ..., 4 b + 3 of codeword j of a seed come from one number of its SplitMix64 stream,
// mix(seed + (j B + b + 1) GOLDEN) mod 2^64 with B words per codeword: 13 bits of each 16 pick an entry
// of a table. Sums of integers are exact, so the result is that of any other machine, bit by bit.
// A thread has one word and a chunk of the reports; the table lies in shared memory.

#define TABLE_SIZE 8192

extern "C" __global__ void __launch_bounds__(256) add_codewords(
    const word_t* seeds, const index_t* indices, const short* table, index_t* partial,
    index_t n_reports, index_t n_words, index_t reports_per_chunk) {
  short* values = reinterpret_cast<short*>(SHARED_MEMORY);
  for (int k = threadIdx.x; k < TABLE_SIZE; k += blockDim.x) values[k] = table[k];
  __syncthreads();
  const index_t b = blockIdx.x * (index_t)blockDim.x + threadIdx.x;
  if (b >= n_words) return;
  const index_t first = blockIdx.y * reports_per_chunk;
  const index_t last = first + reports_per_chunk < n_reports ? first + reports_per_chunk : n_reports;
  index_t sums[4] = {0, 0, 0, 0};
  for (index_t i = first; i < last; ++i) {
    const word_t counter = (word_t)(indices[i] * n_words + b) + 1;
    const word_t h = mix(seeds[i] + counter * GOLDEN);
#pragma unroll
    for (int lane = 0; lane < 4; ++lane) sums[lane] += values[(h >> (16 * lane)) & (TABLE_SIZE - 1)];
  }
#pragma unroll
  for (int lane = 0; lane < 4; ++lane) partial[(blockIdx.y * n_words + b) * 4 + lane] = sums[lane];
}
