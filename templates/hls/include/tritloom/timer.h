// The clock of a kernel.
#ifndef TRITLOOM_TIMER_H
#define TRITLOOM_TIMER_H

#include <hls_stream.h>
#include <stdint.h>

namespace loom {

// Counts clock cycles from the kernel's start to its last word. A simulation has no clock: it takes
// the cycles that come with `finish`.
inline void timer(hls::stream<uint64_t>& finish, uint64_t* cycles) {
  uint64_t clock = 0;
  uint64_t counted = 0;
  bool running = true;
  while (running) {
#pragma HLS LOOP_TRIPCOUNT min = 1000 max = 1000000000
#pragma HLS PIPELINE II = 1
    uint64_t word = 0;
    if (finish.read_nb(word)) {
      running = false;
      counted = word;
    }
    ++clock;
  }
#ifdef __SYNTHESIS__
  *cycles = clock;
#else
  *cycles = counted;
#endif
}

}  // namespace loom

#endif
