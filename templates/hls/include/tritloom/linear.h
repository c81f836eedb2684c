// linear: {dot-product array} -> {vector unit}. The vector unit takes a row an iteration, all
// positions at once.
#ifndef TRITLOOM_LINEAR_H
#define TRITLOOM_LINEAR_H

#include "tritloom/array.h"
#include "tritloom/elementary.h"
#include "tritloom/head.h"
#include "tritloom/row_constants.h"
#include "tritloom/trace.h"

namespace loom {

// h = flush((f*h) + silu(i)*(1 - f)) with f = lb + (1 - lb)*sigmoid(f0)
inline float hgrn_state(float f0, float i0, float lower, float state) {
#pragma HLS INLINE
  const float gate = sigmoid(f0);
  const float f = lower + (1.0f - lower) * gate;
  return flush_state((f * state) + silu(i0) * (1.0f - f));
}

// Every epilogue but the head's. Positions follow one another inside an iteration, so a recurrence
// runs serially over them while rows, whose states are distinct, stream.
template <class Config, class Source>
void epilogue(const Instruction& op, unsigned active, hls::stream<Group<Config>>& groups,
              typename Source::Gains& gains, const ScaleMemory<Config>& scale_memory,
              VectorMemory<Config>& vector, StateMemory<Config>& state) {
  constexpr unsigned LANES = Config::LANES;
  float scale[Config::BATCH];
  int32_t zero[Config::BATCH];
  float even[Config::BATCH];
#pragma HLS ARRAY_PARTITION variable = scale complete
#pragma HLS ARRAY_PARTITION variable = zero complete
#pragma HLS ARRAY_PARTITION variable = even complete
  for (unsigned b = 0; b < Config::BATCH; ++b) {
    scale[b] = b < active ? scale_memory[op.slot][b].scale * op.scale : 0.0f;
    zero[b] = b < active ? scale_memory[op.slot][b].zero : 0;
    even[b] = 0.0f;
  }

  Group<Config> group;
  RowConstants<Config> constants;
#pragma HLS ARRAY_PARTITION variable = group.acc complete dim = 0
#pragma HLS ARRAY_PARTITION variable = constants.now complete dim = 0
#pragma HLS ARRAY_PARTITION variable = constants.next complete dim = 0
  begin_constants<Config>(op, gains, constants);
  unsigned group_row = 0;
  for (uint32_t row = 0; row < op.rows; ++row) {
#pragma HLS LOOP_TRIPCOUNT min = 100 max = 10000
#pragma HLS PIPELINE II = Config::GATE_II
#pragma HLS DEPENDENCE variable = state inter false
#pragma HLS DEPENDENCE variable = vector inter false
    if (group_row == 0) group = groups.read();
    turn_constants<Config>(op, row, gains, constants);
    float h = op.func == HGRN ? state[(op.state + row) / BEAT_WORDS][row % BEAT_WORDS] : 0.0f;
    const uint32_t to = op.dst + (op.func == SWIGLU ? row / 2 : row);
    for (unsigned b = 0; b < Config::BATCH; ++b) {
#pragma HLS UNROLL
      if (b < active) {
        const unsigned lane = row % LANES;
        const int32_t sum = row_sum<Config>(group.acc[b][group_row], zero[b], lane, constants);
        const float y = row_value<Config>(op, sum, scale[b], lane, constants);
        trace_acc(b, sum);
        const bool has_source = op.func == ADD || op.func == HGRN;
        const float source = has_source ? vector[b][(op.src0 + row) / LANES][row % LANES] : 0.0f;
        float result = y;
        if (op.func == ADD) {
          result = source + y;
        } else if (op.func == SWIGLU) {
          result = silu(even[b]) * y;
          even[b] = y;
        } else if (op.func == HGRN) {
          h = hgrn_state(y, source, constants.now[ROW_LOWER].lane[lane], h);
          trace_state(b, h);
          result = silu(h);
        }
        if (op.func != SWIGLU || row % 2 == 1) vector[b][to / LANES][to % LANES] = result;
      }
    }
    if (op.func == HGRN) state[(op.state + row) / BEAT_WORDS][row % BEAT_WORDS] = h;
    group_row = group_row + 1 == Config::SLICES ? 0 : group_row + 1;
  }
}

template <class Config, class Source>
void vector_unit(const Instruction op, unsigned active, const LogitRows wanted,
                 hls::stream<Group<Config>>& groups, typename Source::Gains& gains,
                 const ScaleMemory<Config>& scale_memory, VectorMemory<Config>& vector,
                 StateMemory<Config>& state, Beat* logits, TopList<Config::TOPK>& top) {
  if (op.func == LOGITS) {
    head<Config, Source>(op, active, wanted, groups, gains, scale_memory, logits, top);
  } else {
    epilogue<Config, Source>(op, active, groups, gains, scale_memory, vector, state);
  }
}

template <class Config, class Source>
void linear(const Instruction op, unsigned active, const LogitRows wanted,
            typename Source::Weights& weights, typename Source::Gains& gains,
            const CodeMemory<Config>& codes, const ScaleMemory<Config>& scale_memory,
            VectorMemory<Config>& vector, StateMemory<Config>& state, Beat* logits,
            TopList<Config::TOPK>& top, Activity& activity) {
#pragma HLS INLINE off
#pragma HLS DATAFLOW
  TRITLOOM_STREAM(Group<Config>, groups, Config::GROUP_FIFO);
  TRITLOOM_REGION(linear);
  TRITLOOM_PROCESS(dot_array<Config, Source>(weights, codes, op.slot, op.rows, op.slices, active,
                                             groups, activity));
  TRITLOOM_PROCESS(vector_unit<Config, Source>(op, active, wanted, groups, gains, scale_memory,
                                               vector, state, logits, top));
  TRITLOOM_JOIN();
}

}  // namespace loom

#endif
