// vector: the general elementwise path. One lane: what a model needs often is fused into a linear's
// epilogue.
#ifndef TRITLOOM_VECTOR_H
#define TRITLOOM_VECTOR_H

#include "tritloom/elementary.h"
#include "tritloom/instruction.h"
#include "tritloom/quantize.h"

namespace loom {

inline float apply(uint32_t func, float a, float b) {
#pragma HLS INLINE
  switch (func) {
    case V_ADD: return a + b;
    case V_SUB: return a - b;
    case V_MUL: return a * b;
    case V_DIV: return a / b;
    case V_MAX: return a > b ? a : b;
    case V_MIN: return a < b ? a : b;
    case V_SIGMOID: return sigmoid(a);
    case V_SILU: return silu(a);
    case V_SQRT: return square_root(a);
    case V_RELU: return a > 0.0f ? a : 0.0f;
    default: return a;  // V_COPY
  }
}

template <class Config, class Source>
void vector_op(const Instruction& op, unsigned active, typename Source::Gains& gains,
               const float factor[Config::BATCH], VectorMemory<Config>& vector,
               StateMemory<Config>& state) {
#pragma HLS INLINE off
  constexpr unsigned LANES = Config::LANES;
  const bool b_in_memory = takes_two(op.func) && !(op.flags & B_ELSEWHERE);
  FloatWord<LANES> constant;
#pragma HLS ARRAY_PARTITION variable = constant.lane complete
  for (uint32_t i = 0; i < op.length; ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 16 max = 10000
    for (unsigned p = 0; p < active; ++p) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
#pragma HLS PIPELINE II = 1
#pragma HLS DEPENDENCE variable = vector inter false
#pragma HLS DEPENDENCE variable = state inter false
      if (p == 0 && (op.flags & B_STREAM) && i % LANES == 0) constant = gains.read();
      const uint32_t at_state = op.state / BEAT_WORDS + i / BEAT_WORDS;
      const float a = (op.flags & A_STATE) ? state[at_state][i % BEAT_WORDS]
                                           : vector[p][op.src0 / LANES + i / LANES][i % LANES];
      float b = op.imm;
      if (op.flags & B_STREAM) b = constant.lane[i % LANES];
      if (op.flags & B_FACTOR) b = factor[p];
      if (b_in_memory) b = vector[p][op.src1 / LANES + i / LANES][i % LANES];
      const float result = apply(op.func, a, b);
      if (op.flags & DST_STATE) {
        state[at_state][i % BEAT_WORDS] = flush_state(result);
      } else {
        vector[p][op.dst / LANES + i / LANES][i % LANES] = result;
      }
    }
  }
}

}  // namespace loom

#endif
