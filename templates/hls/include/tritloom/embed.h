// embed: one row of the table for each position, widened to float32.
#ifndef TRITLOOM_EMBED_H
#define TRITLOOM_EMBED_H

#include "tritloom/instruction.h"

namespace loom {

inline float widen_bf16(uint32_t half) { return float_of(half << 16); }

// Exact, subnormals, infinities and NaN included.
inline float widen_f16(uint32_t half) {
#pragma HLS INLINE
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 31u;
  uint32_t fraction = half & 0x3ffu;
  if (exponent == 31u) return float_of(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0u) return float_of(sign | ((exponent + 112u) << 23) | (fraction << 13));
  if (fraction == 0u) return float_of(sign);
  uint32_t shifted = 0;
  for (unsigned step = 0; step < 10; ++step) {
#pragma HLS UNROLL
    if (!(fraction & 0x400u)) {
      fraction <<= 1;
      ++shifted;
    }
  }
  return float_of(sign | ((113u - shifted) << 23) | ((fraction & 0x3ffu) << 13));
}

template <class Config>
void embed_row(const Instruction& op, const Beat* table, uint32_t token, unsigned position,
               VectorMemory<Config>& vector) {
#pragma HLS INLINE off
  constexpr unsigned LANES = Config::LANES;
  const bool wide = op.func == TABLE_F32;
  const uint64_t row_beats = words_for(op.length, wide ? 4 : 8);
  const Beat* row = table + token * row_beats;
  Beat beat = 0;
  for (uint32_t i = 0; i < op.length; i += BEAT_WORDS) {
#pragma HLS LOOP_TRIPCOUNT min = 16 max = 1024
#pragma HLS PIPELINE II = 1
    const bool upper_half = !wide && i % 8 != 0;
    if (!upper_half) beat = row[wide ? i / 4 : i / 8];
    for (unsigned j = 0; j < BEAT_WORDS; ++j) {
#pragma HLS UNROLL
      const uint32_t pair = beat_word(beat, (upper_half ? 2 : 0) + j / 2);
      const uint32_t half = j % 2 ? pair >> 16 : pair & 0xffffu;
      float value = float_of(beat_word(beat, j));
      if (op.func == TABLE_F16) value = widen_f16(half);
      if (op.func == TABLE_BF16) value = widen_bf16(half);
      if (i + j < op.length) vector[position][(op.dst + i + j) / LANES][(i + j) % LANES] = value;
    }
  }
}

template <class Config>
void embed(const Instruction& op, const Beat* table, const uint32_t tokens[Config::BATCH],
           unsigned active, VectorMemory<Config>& vector) {
#pragma HLS INLINE off
  for (unsigned b = 0; b < active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
    embed_row<Config>(op, table, tokens[b], b, vector);
  }
}

}  // namespace loom

#endif
