// Float to integer on the bits, so that no tool's conversion mode enters the numbers.
#ifndef TRITLOOM_ROUNDING_H
#define TRITLOOM_ROUNDING_H

#include "tritloom/types.h"

namespace loom {

constexpr uint32_t SIGN_BIT = 0x80000000u;
constexpr uint32_t MAGNITUDE_BITS = 0x7fffffffu;
constexpr uint32_t ZERO_VECTOR_BITS = 0x21800000u;  // 2^-60: a smaller absmax is a zero vector
constexpr uint32_t ONE_255TH_BITS = 0x3b808081u;  // 1/255, rounded to nearest
constexpr int32_t FAR_STEPS = 1024;  // beyond all codes, whatever the code of zero
constexpr uint32_t FAR_STEPS_BITS = 0x44800000u;
constexpr uint32_t STATE_FLOOR_BITS = 0x2b800000u;  // 2^-40: a smaller state is stored as +0

inline uint32_t magnitude(float value) { return bits_of(value) & MAGNITUDE_BITS; }

// Nearest integer, ties to even, for |value| < 2^22.
inline int32_t round_half_even(float value) {
#pragma HLS INLINE
  const uint32_t bits = bits_of(value);
  const uint32_t exponent = (bits >> 23) & 255u;
  const uint32_t mantissa = (bits & 0x7fffffu) | 0x800000u;
  // One half is mantissa 2^23 at exponent 126, where 24 of its bits lie behind the binary point.
  const uint32_t fraction_bits = exponent < 126u ? 25u : (exponent > 149u ? 1u : 150u - exponent);
  const uint32_t whole = mantissa >> fraction_bits;
  const uint32_t rest = mantissa & ((1u << fraction_bits) - 1u);
  const uint32_t half = 1u << (fraction_bits - 1u);
  const bool up = rest > half || (rest == half && (whole & 1u));
  const int32_t rounded = exponent < 126u ? 0 : static_cast<int32_t>(whole + (up ? 1u : 0u));
  return (bits & SIGN_BIT) ? -rounded : rounded;
}

// flush(h) of docs/numerics.md: no state ever becomes subnormal.
inline float flush_state(float value) { return magnitude(value) < STATE_FLOOR_BITS ? 0.0f : value; }

}  // namespace loom

#endif
