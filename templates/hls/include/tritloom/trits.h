// Decoder of the escape code: five trits a byte (docs/encoding.md).
#ifndef TRITLOOM_TRITS_H
#define TRITLOOM_TRITS_H

#include "tritloom/types.h"

namespace loom {

// A trit as the datapath uses it. `negative` implies `nonzero`.
struct Trit {
  bool nonzero;
  bool negative;
};

// Truth tables over the triple T (0..26) and the pair P (0..8): bit i is the output for input i.
// Each becomes one five-input or four-input LUT.
constexpr uint32_t NONZERO_0 = 0x5b6db6d, NEGATIVE_0 = 0x1249249;
constexpr uint32_t NONZERO_1 = 0x71f8fc7, NEGATIVE_1 = 0x1c0e07;
constexpr uint32_t NONZERO_2 = 0x7fc01ff, NEGATIVE_2 = 0x1ff;
constexpr uint32_t NONZERO_3 = 0x16d, NEGATIVE_3 = 0x49;
constexpr uint32_t NONZERO_4 = 0x1c7, NEGATIVE_4 = 0x7;

inline Trit trit_from(uint32_t nonzero, uint32_t negative, unsigned input) {
#pragma HLS INLINE
  Trit trit;
  trit.nonzero = (nonzero >> input) & 1u;
  trit.negative = (negative >> input) & 1u;
  return trit;
}

inline void decode_byte(unsigned byte, Trit trits[5]) {
#pragma HLS INLINE
  const bool escaped = (byte >> 5) == 7u;
  const unsigned triple = escaped ? (byte & 31u) : (byte >> 3);
  const unsigned pair = escaped ? 8u : (byte & 7u);
  trits[0] = trit_from(NONZERO_0, NEGATIVE_0, triple);
  trits[1] = trit_from(NONZERO_1, NEGATIVE_1, triple);
  trits[2] = trit_from(NONZERO_2, NEGATIVE_2, triple);
  trits[3] = trit_from(NONZERO_3, NEGATIVE_3, pair);
  trits[4] = trit_from(NONZERO_4, NEGATIVE_4, pair);
}

// Byte b of a slice holds trits b, b+16, b+32, b+48, b+64: plain wiring.
inline void decode_slice(const ap_uint<SLICE_BITS>& slice, Trit trits[SLICE_TRITS]) {
#pragma HLS INLINE
  for (unsigned b = 0; b < SLICE_BYTES; ++b) {
#pragma HLS UNROLL
    Trit five[5];
    decode_byte(static_cast<unsigned>(slice.range(8 * b + 7, 8 * b).to_uint()), five);
    for (unsigned digit = 0; digit < 5; ++digit) {
#pragma HLS UNROLL
      trits[b + SLICE_BYTES * digit] = five[digit];
    }
  }
}

#ifndef __SYNTHESIS__
// The same decoder for a processor: trits -1, 0, 1, by comparisons of bytes that a compiler
// vectorises.
inline void decode_slice(const uint8_t* slice, int8_t trits[SLICE_TRITS]) {
  for (unsigned b = 0; b < SLICE_BYTES; ++b) {
    const uint8_t byte = slice[b];
    const bool escaped = byte >= 224;
    const uint8_t triple = escaped ? byte & 31 : byte >> 3;
    const uint8_t pair = escaped ? 8 : byte & 7;
    const uint8_t high = static_cast<uint8_t>((triple >= 9) + (triple >= 18));
    const uint8_t low = static_cast<uint8_t>(triple - 9 * high);
    const uint8_t middle = static_cast<uint8_t>((low >= 3) + (low >= 6));
    const uint8_t last = static_cast<uint8_t>((pair >= 3) + (pair >= 6));
    trits[b] = static_cast<int8_t>(low - 3 * middle - 1);
    trits[b + 16] = static_cast<int8_t>(middle - 1);
    trits[b + 32] = static_cast<int8_t>(high - 1);
    trits[b + 48] = static_cast<int8_t>(pair - 3 * last - 1);
    trits[b + 64] = static_cast<int8_t>(last - 1);
  }
}
#endif

}  // namespace loom

#endif
