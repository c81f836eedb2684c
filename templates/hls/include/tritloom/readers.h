// The processes in front of the engine: the governor, one reader a weight port, one for the gains.
// Readers know no instructions: an image holds one pass in consumption order and is streamed from
// end to end.
#ifndef TRITLOOM_READERS_H
#define TRITLOOM_READERS_H

#include "tritloom/control.h"
#include "tritloom/timer.h"

namespace loom {

// Lets the readers into pass p once pass p-2 is done, so that they run at most one pass ahead of
// the engine. A sequential simulation runs the governor before the engine, so there is nothing to
// wait for.
template <class Config>
bool admit(const volatile Beat* page, uint32_t pass) {
#pragma HLS INLINE off
  if (SEQUENTIAL) return true;
  bool admitted = false;
  bool refused = false;
  while (!admitted && !refused) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    const Progress progress = read_progress(page);
    if (progress.stopping) {
      admitted = pass <= progress.last;
      refused = !admitted;
    } else {
      admitted = progress.done + 1 >= pass;
    }
#ifdef TRITLOOM_BOUNDED
    if (!admitted && !refused) emulation::wait_for_memory("the progress word");
#endif
  }
  return admitted;
}

// go[0 .. PORTS-1] lead to the weight readers, go[PORTS] to the gain reader.
template <class Config>
void governor(const volatile Beat* page, uint32_t mode, uint32_t T, uint32_t B, uint32_t N,
              uint32_t instructions, hls::stream<bool> (&go)[Config::PORTS + 1]) {
  const uint32_t passes = pass_count<Config>(mode, T, B, N, instructions);
  bool more = true;
  for (uint32_t pass = 0; more; ++pass) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    more = pass < passes && admit<Config>(page, pass);
    for (unsigned reader = 0; reader <= Config::PORTS; ++reader) {
#pragma HLS UNROLL
      go[reader].write(more);
    }
  }
}

template <class Config>
void weight_reader(const ap_uint<Config::PORT_BITS>* port, uint32_t beats, hls::stream<bool>& go,
                   hls::stream<ap_uint<Config::PORT_BITS>>& weights) {
  while (go.read()) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (uint32_t beat = 0; beat < beats; ++beat) {
#pragma HLS LOOP_TRIPCOUNT min = 1000 max = 10000000
#pragma HLS PIPELINE II = 1
      weights.write(port[beat]);
    }
  }
}

template <class Config>
void gain_reader(const Beat* image, uint32_t beats, hls::stream<bool>& go,
                 hls::stream<FloatWord<Config::LANES>>& gains) {
  while (go.read()) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    FloatWord<Config::LANES> word;
#pragma HLS ARRAY_PARTITION variable = word.lane complete
    unsigned lane = 0;
    for (uint32_t index = 0; index < beats; ++index) {
#pragma HLS LOOP_TRIPCOUNT min = 1000 max = 1000000
#pragma HLS PIPELINE II = 1
      const Beat beat = image[index];
      for (unsigned i = 0; i < BEAT_WORDS; ++i) {
#pragma HLS UNROLL
        word.lane[lane + i] = float_of(beat_word(beat, i));
      }
      lane += BEAT_WORDS;
      if (lane == Config::LANES) {
        gains.write(word);
        lane = 0;
      }
    }
  }
}

}  // namespace loom

#endif
