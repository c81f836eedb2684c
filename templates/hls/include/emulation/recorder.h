// Shows the tensors of each instruction to whoever asked for them in struct tritloom_call.
#ifndef TRITLOOM_EMULATION_RECORDER_H
#define TRITLOOM_EMULATION_RECORDER_H

#include <vector>

#include "tritloom/instruction.h"

#ifdef TRITLOOM_BOUNDED
#include "emulation/region.h"
#endif

namespace emulation {

typedef void (*TraceFunction)(void* user, uint32_t pass, uint32_t instruction, uint32_t position,
                              const char* what, const void* data, uint32_t count);

// Values that pass by during an instruction, by position.
struct Recorder {
  TraceFunction function = nullptr;
  void* user = nullptr;
  std::vector<std::vector<int32_t>> acc;
  std::vector<std::vector<float>> state, logit;

  void clear(unsigned positions) {
    acc.assign(positions, std::vector<int32_t>());
    state.assign(positions, std::vector<float>());
    logit.assign(positions, std::vector<float>());
  }
};

inline Recorder& recorder() {
  static thread_local Recorder one;
  return one;
}

// Where an instruction of a trace stands.
struct TracePoint {
  uint32_t pass, instruction, position;

  template <class T>
  void show(const char* what, const T* data, uint32_t count) const {
    const Recorder& to = recorder();
    if (count == 0) return;
#ifdef TRITLOOM_BOUNDED
    on_main_stack([&]() { to.function(to.user, pass, instruction, position, what, data, count); });
#else
    to.function(to.user, pass, instruction, position, what, data, count);
#endif
  }
};

}  // namespace emulation

namespace loom {

inline void trace_acc(unsigned position, int32_t value) {
  emulation::Recorder& to = emulation::recorder();
  if (to.function != nullptr) to.acc[position].push_back(value);
}
inline void trace_state(unsigned position, float value) {
  emulation::Recorder& to = emulation::recorder();
  if (to.function != nullptr) to.state[position].push_back(value);
}
inline void trace_logit(unsigned position, float value) {
  emulation::Recorder& to = emulation::recorder();
  if (to.function != nullptr) to.logit[position].push_back(value);
}

template <class Config>
std::vector<float> floats_of(const VectorMemory<Config>& vector, unsigned position,
                             uint32_t address, uint32_t count) {
  std::vector<float> out(count);
  for (uint32_t i = 0; i < count; ++i) out[i] = (&vector[position][0][0])[address + i];
  return out;
}

template <class Config>
void trace_position(const emulation::TracePoint& point, const Instruction& op, unsigned b,
                    const VectorMemory<Config>& vector, const CodeMemory<Config>& codes,
                    const ScaleMemory<Config>& scales, const float* factor,
                    const StateMemory<Config>& state) {
  const emulation::Recorder& from = emulation::recorder();
  uint32_t written = op.length;  // floats in vector memory
  if (op.opcode == QUANTIZE && (op.flags & FACTOR_ONLY)) return point.show("scale", factor + b, 1);
  if (op.opcode == QUANTIZE) {
    point.show("codes", &codes[b][op.slot * code_words<Config>()][0][0], op.length);
    point.show("scale", &scales[op.slot][b].scale, 1);
    return;
  }
  if (op.opcode == LINEAR) {
    point.show("acc", from.acc[b].data(), op.rows);
    if (op.func == LOGITS) return point.show("out", from.logit[b].data(), op.rows);
    written = op.func == SWIGLU ? op.rows / 2 : op.rows;
  }
  if (op.opcode == VECTOR && (op.flags & DST_STATE)) {
    return point.show("state", &state[0][0] + op.state, op.length);
  }
  point.show("out", floats_of<Config>(vector, b, op.dst, written).data(), written);
  if (op.opcode == LINEAR && op.func == HGRN) point.show("state", from.state[b].data(), op.rows);
}

template <class Config>
void trace_instruction(const Instruction& op, uint32_t pass, uint32_t instruction, uint32_t first,
                       unsigned active, const VectorMemory<Config>& vector,
                       const CodeMemory<Config>& codes, const ScaleMemory<Config>& scales,
                       const float* factor, const StateMemory<Config>& state) {
  emulation::Recorder& from = emulation::recorder();
  if (from.function == nullptr) return;
  for (unsigned b = 0; b < active; ++b) {
    const emulation::TracePoint point = {pass, instruction, first + b};
    trace_position<Config>(point, op, b, vector, codes, scales, factor, state);
  }
  from.clear(Config::BATCH);
}

}  // namespace loom

#endif
