// Integers of any width, and the words that travel between the stages of a dataflow kernel.
#ifndef TRITLOOM_FLOW_WORD_H
#define TRITLOOM_FLOW_WORD_H

#include <ap_int.h>
#include <stdint.h>

// Hardware has every integer at its exact width. A host build takes the smallest native type, which
// a compiler vectorises; with this define it takes exact widths and the datapath of the hardware.
#if defined(__SYNTHESIS__) || !defined(TRITLOOM_EMULATION)
#ifndef TRITLOOM_EXACT_WIDTHS
#define TRITLOOM_EXACT_WIDTHS
#endif
#endif

// A memory that is written before it is read. A host compiler cannot see that: it gets zeros.
#ifdef __SYNTHESIS__
#define TRITLOOM_MEMORY(type_, name_) type_ name_
#else
#define TRITLOOM_MEMORY(type_, name_) type_ name_ = {}
#endif

namespace loom {

#ifdef TRITLOOM_EXACT_WIDTHS

template <int WIDTH, bool IS_SIGNED>
struct Storage {
  typedef ap_uint<WIDTH> type;
};
template <int WIDTH>
struct Storage<WIDTH, true> {
  typedef ap_int<WIDTH> type;
};

#else

template <int BYTES, bool IS_SIGNED>
struct Native {};
// clang-format off
template <> struct Native<1, false> { typedef uint8_t type; };
template <> struct Native<2, false> { typedef uint16_t type; };
template <> struct Native<4, false> { typedef uint32_t type; };
template <> struct Native<8, false> { typedef uint64_t type; };
template <> struct Native<1, true> { typedef int8_t type; };
template <> struct Native<2, true> { typedef int16_t type; };
template <> struct Native<4, true> { typedef int32_t type; };
template <> struct Native<8, true> { typedef int64_t type; };
// clang-format on

constexpr int native_bytes(int bits) { return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8; }

template <int WIDTH, bool IS_SIGNED>
struct Storage : Native<native_bytes(WIDTH), IS_SIGNED> {};

#endif

template <int WIDTH, bool IS_SIGNED>
struct Int {
  static constexpr int BITS = WIDTH;
  static constexpr bool SIGNED = IS_SIGNED;
  typedef typename Storage<WIDTH, IS_SIGNED>::type type;
};

// Elements of one channel fold: `lane[i]` is channel fold * LANES + i.
template <class Element, unsigned LANES>
struct Word {
  typename Element::type lane[LANES];
};

// Bits that hold the values 0..largest.
constexpr int bits_for(unsigned largest) { return largest < 2 ? 1 : 1 + bits_for(largest / 2); }

// ceil(log2(count))
constexpr int log2_ceil(unsigned count) { return count < 2 ? 0 : bits_for(count - 1); }

// A counter that runs 0..END-1.
template <unsigned END>
using Counter = typename Int<bits_for(END - 1), false>::type;

// Steps a digit of a counter that runs 0..END-1, if the digits below it carry; true when it carries
// in turn.
template <unsigned END>
bool step(Counter<END>& digit, bool carry) {
#pragma HLS INLINE
  const bool last = digit == END - 1;
  if (carry) digit = last ? 0u : static_cast<unsigned>(digit) + 1u;
  return carry && last;
}

}  // namespace loom

#endif
