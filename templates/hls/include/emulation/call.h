// The C interface of the emulation (docs/kernel.md).
#ifndef TRITLOOM_EMULATION_CALL_H
#define TRITLOOM_EMULATION_CALL_H

#include <stdint.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

extern "C" {

struct tritloom_call {
  const void* port[32];
  const void *gains, *program, *embedding;
  void* state;
  const void* tokens;
  void *tokens_out, *logits, *topk, *ctl;
  uint32_t mode, T, B, N, stop_token, instructions, port_beats, gain_beats;
  uint32_t status, count;
  uint64_t cycles, busy, starved, waiting;
  void (*trace)(void* user, uint32_t pass, uint32_t instruction, uint32_t position,
                const char* what, const void* data, uint32_t count);
  void* user;
};

int tritloom_emulate(struct tritloom_call* call);
const char* tritloom_emulate_error(void);
int tritloom_set_flush(int on);
}

namespace emulation {

// Flush-to-zero and denormals-are-zero of the processor, for the length of a call.
class FlushScope {
 public:
  static bool& wanted() {
    static thread_local bool on = false;
    return on;
  }

#if defined(__SSE__)
  static constexpr bool SUPPORTED = true;
  FlushScope() : saved_(_mm_getcsr()) {
    _mm_setcsr(wanted() ? saved_ | 0x8040u : saved_ & ~0x8040u);
  }
  ~FlushScope() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#else
  static constexpr bool SUPPORTED = false;
#endif
};

}  // namespace emulation

#endif
