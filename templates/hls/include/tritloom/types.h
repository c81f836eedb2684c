// Words that travel between the blocks of the engine, and its on-chip memories.
#ifndef TRITLOOM_TYPES_H
#define TRITLOOM_TYPES_H

#include <ap_int.h>
#include <stdint.h>

namespace loom {

constexpr unsigned SLICE_BITS = 128;
constexpr unsigned SLICE_BYTES = 16;
constexpr unsigned SLICE_TRITS = 80;
constexpr unsigned PARTIAL_SUMS = 128;

// A beat of every memory port but the weight ports: four 32-bit words.
typedef ap_uint<128> Beat;
constexpr unsigned BEAT_WORDS = 4;

template <unsigned LANES>
struct FloatWord {
  float lane[LANES];
};

// Accumulators of one group of rows: the array hands them to the vector unit.
template <class Config>
struct Group {
  int32_t acc[Config::BATCH][Config::SLICES];
};

// What a product needs of a vector of codes, beside the codes.
struct CodeScale {
  float scale;  // A * g, or what a code is worth
  int32_t zero;  // code of the value 0
};

// What the quantiser needs of a finished vector.
struct VectorScale {
  float step;  // codes a unit of u, or 0 for a zero vector
  CodeScale of_codes;
};

// Vector memory: the activations of each position of a pass, in words of LANES floats.
template <class Config>
using VectorMemory = float[Config::BATCH][Config::VECTOR_WORDS / Config::LANES][Config::LANES];

// Code memory: a slice's 80 codes are read at once, LANES codes are written at once.
constexpr unsigned code_banks(unsigned lanes) { return SLICE_TRITS / lanes; }
template <class Config>
constexpr unsigned code_words() {
  return Config::K_MAX / SLICE_TRITS;
}
template <class Config>
using CodeMemory = int8_t[Config::BATCH][Config::CODE_SLOTS * Config::K_MAX / SLICE_TRITS]
                         [SLICE_TRITS / Config::LANES][Config::LANES];
template <class Config>
using ScaleMemory = CodeScale[Config::CODE_SLOTS][Config::BATCH];

template <class Config>
using StateMemory = float[Config::STATE_WORDS / BEAT_WORDS][BEAT_WORDS];

union FloatBits {
  float value;
  uint32_t bits;
};

inline uint32_t bits_of(float value) {
  FloatBits both;
  both.value = value;
  return both.bits;
}

inline float float_of(uint32_t bits) {
  FloatBits both;
  both.bits = bits;
  return both.value;
}

inline uint32_t beat_word(const Beat& beat, unsigned index) {
  return static_cast<uint32_t>(beat.range(32 * index + 31, 32 * index).to_uint());
}

inline void set_beat_word(Beat& beat, unsigned index, uint32_t word) {
  beat.range(32 * index + 31, 32 * index) = word;
}

// Words of `per_word` elements that hold `length` elements.
constexpr uint32_t words_for(uint32_t length, uint32_t per_word) {
  return (length + per_word - 1) / per_word;
}

}  // namespace loom

#endif
