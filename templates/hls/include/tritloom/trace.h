// Hook that shows every instruction's tensors to a simulation. Without one, and in synthesis,
// nothing is left of it. What a memory still holds after the instruction is traced from there;
// accumulators, states and logits, which pass by, are recorded as they do.
#ifndef TRITLOOM_TRACE_H
#define TRITLOOM_TRACE_H

#include "tritloom/instruction.h"

#ifdef TRITLOOM_EMULATION

#include "emulation/recorder.h"

#else

namespace loom {

inline void trace_acc(unsigned, int32_t) {}
inline void trace_state(unsigned, float) {}
inline void trace_logit(unsigned, float) {}

template <class Config>
void trace_instruction(const Instruction&, uint32_t, uint32_t, uint32_t, unsigned,
                       const VectorMemory<Config>&, const CodeMemory<Config>&,
                       const ScaleMemory<Config>&, const float*, const StateMemory<Config>&) {}

}  // namespace loom

#endif

#endif
