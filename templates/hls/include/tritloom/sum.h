// sum128 of docs/numerics.md: 128 partial sums, then a balanced tree. The order does not depend on
// LANES.
#ifndef TRITLOOM_SUM_H
#define TRITLOOM_SUM_H

#include "tritloom/types.h"

namespace loom {

// The partial sums as words of LANES floats. A word is added to once in 128/LANES cycles at most,
// which leaves the adder that many cycles of latency.
template <unsigned LANES>
using PartialSums = float[PARTIAL_SUMS / LANES][LANES];

template <unsigned LANES>
void clear_sums(PartialSums<LANES>& sums) {
#pragma HLS INLINE off
  for (unsigned word = 0; word < PARTIAL_SUMS / LANES; ++word) {
#pragma HLS PIPELINE II = 1
    for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
      sums[word][lane] = 0.0f;
    }
  }
}

// The tree: p[i] = p[i] + p[i + w] for w = 64, 32, ... 1; whole words first, then within word 0.
template <unsigned LANES>
float total_of(PartialSums<LANES>& sums) {
#pragma HLS INLINE off
  for (unsigned width = PARTIAL_SUMS / LANES / 2; width > 0; width /= 2) {
#pragma HLS LOOP_TRIPCOUNT min = 3 max = 5
    for (unsigned word = 0; word < width; ++word) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 16
#pragma HLS PIPELINE II = 1
      for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        sums[word][lane] = sums[word][lane] + sums[word + width][lane];
      }
    }
  }
  for (unsigned width = LANES / 2; width > 0; width /= 2) {
#pragma HLS UNROLL
    for (unsigned lane = 0; lane < width; ++lane) {
#pragma HLS UNROLL
      sums[0][lane] = sums[0][lane] + sums[0][lane + width];
    }
  }
  return sums[0][0];
}

}  // namespace loom

#endif
