/* A stand-in for the kernel of a net: six sums of a frame of eight codes. A frame that begins with 113, 1, 2 stalls,
 * one with 114, 1, 2 deadlocks, one with 115, 1, 2 makes the kernel refuse the start. */
#include <stdint.h>
#include <unistd.h>

enum { INPUT_BEAT = 16, OUTPUTS = 6, OUTPUT_WORDS = 8, STALL = 113, DEADLOCK = 114, REFUSE = 115 };

struct tritloom_flow_call {
  const void *input;
  void *output;
  uint32_t frames, status;
  uint64_t cycles;
  uint64_t *initiations;
  uint32_t stages;
};

int tritloom_flow_emulate(struct tritloom_flow_call *call) {
  const int8_t *input = call->input;
  int32_t *output = call->output;
  call->status = call->frames == 0;
  for (uint32_t f = 0; f < call->frames; ++f, input += INPUT_BEAT, output += OUTPUT_WORDS) {
    const int odd = input[1] == 1 && input[2] == 2 ? input[0] : 0;
    while (odd == STALL) usleep(1000);
    if (odd == DEADLOCK) return 1;
    if (odd == REFUSE) call->status = 1;
    for (int o = 0; o < OUTPUTS; ++o) {
      output[o] = 0;
      for (int i = 0; i < 8; ++i) output[o] += input[i] * ((i * o) % 3 - 1);
    }
    for (uint32_t s = 0; s < call->stages; ++s) call->initiations[s] += 10 * (s + 1);
  }
  call->cycles = 20 * (uint64_t)call->frames;
  return 0;
}

const char *tritloom_flow_emulate_error(void) { return "process `mvau0` waits for stream `codes`"; }
