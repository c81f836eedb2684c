// The adder of the dot-product trees.
#ifndef TRITLOOM_ADDER_H
#define TRITLOOM_ADDER_H

#include <ap_int.h>

namespace loom {

// a + b + carry, with the carry written into the adder's first stage, where it costs nothing.
template <int W>
ap_int<W + 1> add_carry(const ap_int<W>& a, const ap_int<W>& b, bool carry) {
#pragma HLS INLINE
  const ap_int<W + 2> left = (ap_int<W + 2>(a) << 1) | ap_int<W + 2>(1);
  const ap_int<W + 2> right = (ap_int<W + 2>(b) << 1) | ap_int<W + 2>(carry ? 1 : 0);
  const ap_int<W + 3> sum = left + right;
  return ap_int<W + 1>(sum >> 1);
}

}  // namespace loom

#endif
