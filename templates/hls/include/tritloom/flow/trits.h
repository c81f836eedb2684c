// Two-bit trits, and sums of codes with trit signs: add, subtract or skip, no multiplier.
#ifndef TRITLOOM_FLOW_TRITS_H
#define TRITLOOM_FLOW_TRITS_H

#include "tritloom/adder.h"
#include "tritloom/flow/word.h"

namespace loom {

// Trits of a ROM word: trit s in bits 2s..2s+1, two's complement (00 = 0, 01 = 1, 11 = -1).
template <class WeightWord>
constexpr unsigned trits_a_word() {
  return 4 * sizeof(WeightWord);
}
template <class WeightWord>
constexpr unsigned weight_words(unsigned trits) {
  return (trits + trits_a_word<WeightWord>() - 1) / trits_a_word<WeightWord>();
}

// The sign bit of a trit implies the other one.
template <class WeightWord>
unsigned trit_bits(const WeightWord* words, unsigned s) {
#pragma HLS INLINE
  const unsigned low = 2 * (s % trits_a_word<WeightWord>());
  return static_cast<unsigned>(words[s / trits_a_word<WeightWord>()] >> low) & 3u;
}

inline bool is_nonzero(unsigned trit) { return (trit & 1u) != 0; }
inline bool is_negative(unsigned trit) { return (trit & 2u) != 0; }

#ifdef TRITLOOM_EXACT_WIDTHS

// Signed width of a code.
template <class Element>
constexpr int signed_bits() {
  return Element::BITS + (Element::SIGNED ? 0 : 1);
}

// The code, its complement or zero; what is left of a negation is a carry.
template <class Element>
ap_int<signed_bits<Element>()> gate(unsigned trit, const typename Element::type& code) {
#pragma HLS INLINE
  const int64_t value = static_cast<int64_t>(code);
  return ap_int<signed_bits<Element>()>(is_nonzero(trit) ? (is_negative(trit) ? ~value : value)
                                                         : int64_t(0));
}

// Sum of gated[FIRST] .. gated[FIRST + COUNT - 1] and of their carries but the first, one carry an
// adder.
template <unsigned FIRST, unsigned COUNT, int W, unsigned N>
struct TritSum {
  static constexpr unsigned LEFT = (COUNT + 1) / 2;
  static constexpr int HALF = W + log2_ceil(LEFT);
  typedef ap_int<HALF + 1> type;

  static type of(const ap_int<W> (&gated)[N], const bool (&carry)[N]) {
#pragma HLS INLINE
    const ap_int<HALF> left(TritSum<FIRST, LEFT, W, N>::of(gated, carry));
    const ap_int<HALF> right(TritSum<FIRST + LEFT, COUNT - LEFT, W, N>::of(gated, carry));
    return add_carry<HALF>(left, right, carry[FIRST + LEFT]);
  }
};

template <unsigned FIRST, int W, unsigned N>
struct TritSum<FIRST, 1, W, N> {
  typedef ap_int<W> type;
  static type of(const ap_int<W> (&gated)[N], const bool (&)[N]) {
#pragma HLS INLINE
    return gated[FIRST];
  }
};

// acc + sum of trit * code over a word of SIMD codes. The accumulator's adder takes the last carry.
template <class In, class Out, unsigned SIMD, class WeightWord>
typename Out::type add_trits(const WeightWord* words, const Word<In, SIMD>& codes,
                             const typename Out::type& acc) {
#pragma HLS INLINE
  constexpr int W = signed_bits<In>();
  ap_int<W> gated[SIMD];
  bool carry[SIMD];
#pragma HLS ARRAY_PARTITION variable = gated complete
#pragma HLS ARRAY_PARTITION variable = carry complete
  for (unsigned s = 0; s < SIMD; ++s) {
#pragma HLS UNROLL
    const unsigned trit = trit_bits(words, s);
    gated[s] = gate<In>(trit, codes.lane[s]);
    carry[s] = is_negative(trit);
  }
  const int64_t sum = static_cast<int64_t>(TritSum<0, SIMD, W, SIMD>::of(gated, carry));
  return typename Out::type(static_cast<int64_t>(acc) + sum + (carry[0] ? 1 : 0));
}

#else

// One trit as a number.
template <class WeightWord>
int8_t trit_value(const WeightWord* words, unsigned s) {
  const unsigned trit = trit_bits(words, s);
  return static_cast<int8_t>(is_nonzero(trit) ? (is_negative(trit) ? -1 : 1) : 0);
}

// A processor multiplies and adds several trits at once, where it would take a branch to skip one.
template <class Code>
int32_t dot(const int8_t* trits, const Code* codes, unsigned length) {
  int32_t sum = 0;
  for (unsigned k = 0; k < length; ++k) {
    sum += static_cast<int32_t>(trits[k]) * static_cast<int32_t>(codes[k]);
  }
  return sum;
}

#endif

}  // namespace loom

#endif
