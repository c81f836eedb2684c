// Dot product of one slice (80 trits of a row) with 80 codes: add, subtract or skip, no multiplier.
#ifndef TRITLOOM_DOT_H
#define TRITLOOM_DOT_H

#include "tritloom/adder.h"
#include "tritloom/trits.h"

namespace loom {

// One level of the adder tree: 2*N values to N, taking the carries FIRST..FIRST+N-1.
template <int N, int W, int FIRST>
void add_level(const ap_int<W> in[2 * N], const bool carry[SLICE_TRITS], ap_int<W + 1> out[N]) {
#pragma HLS INLINE
  for (int i = 0; i < N; ++i) {
#pragma HLS UNROLL
    out[i] = add_carry<W>(in[2 * i], in[2 * i + 1], carry[FIRST + i]);
  }
}

// acc + sum of trit*code. A trit takes the code, its complement or zero; -x is ~x + 1, and that 1
// enters as a carry: 79 adders of the tree and the accumulator's take the 80 of them.
inline int32_t dot_slice(const Trit trits[SLICE_TRITS], const int8_t codes[SLICE_TRITS],
                         int32_t acc) {
#pragma HLS INLINE
  ap_int<8> gated[80];
  bool carry[80];
#pragma HLS ARRAY_PARTITION variable = gated complete
#pragma HLS ARRAY_PARTITION variable = carry complete
  for (unsigned i = 0; i < SLICE_TRITS; ++i) {
#pragma HLS UNROLL
    const int code = codes[i];
    gated[i] = trits[i].nonzero ? (trits[i].negative ? ~code : code) : 0;
    carry[i] = trits[i].negative;
  }
  ap_int<9> forty[40];
  ap_int<10> twenty[20];
  ap_int<11> ten[10];
  ap_int<12> five[5];
#pragma HLS ARRAY_PARTITION variable = forty complete
#pragma HLS ARRAY_PARTITION variable = twenty complete
#pragma HLS ARRAY_PARTITION variable = ten complete
#pragma HLS ARRAY_PARTITION variable = five complete
  add_level<40, 8, 0>(gated, carry, forty);
  add_level<20, 9, 40>(forty, carry, twenty);
  add_level<10, 10, 60>(twenty, carry, ten);
  add_level<5, 11, 70>(ten, carry, five);
  const ap_int<13> left = add_carry<12>(five[0], five[1], carry[75]);
  const ap_int<13> right = add_carry<12>(five[2], five[3], carry[76]);
  const ap_int<14> both = add_carry<13>(left, right, carry[77]);
  const ap_int<15> sum = add_carry<14>(both, ap_int<14>(five[4]), carry[78]);
  return static_cast<int32_t>(add_carry<32>(ap_int<32>(acc), ap_int<32>(sum), carry[79]));
}

#ifndef __SYNTHESIS__
// The same for a processor, which multiplies and adds bytes faster than it selects them.
inline int32_t dot_slice(const int8_t trits[SLICE_TRITS], const int8_t codes[SLICE_TRITS],
                         int32_t acc) {
  for (unsigned i = 0; i < SLICE_TRITS; ++i) acc += trits[i] * codes[i];
  return acc;
}
#endif

}  // namespace loom

#endif
