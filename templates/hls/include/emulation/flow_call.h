// The C interface of the emulation of a dataflow kernel (docs/dataflow.md).
#ifndef TRITLOOM_EMULATION_FLOW_CALL_H
#define TRITLOOM_EMULATION_FLOW_CALL_H

#include <stdint.h>

extern "C" {

struct tritloom_flow_call {
  const void* input;
  void* output;
  uint32_t frames;
  uint32_t status;
  uint64_t cycles;  // initiations of the slowest stage
  uint64_t* initiations;  // of each stage, in the order of the region; may be null
  uint32_t stages;  // room in it
};

__attribute__((visibility("default"))) int tritloom_flow_emulate(struct tritloom_flow_call* call);
__attribute__((visibility("default"))) const char* tritloom_flow_emulate_error(void);
}

#endif
