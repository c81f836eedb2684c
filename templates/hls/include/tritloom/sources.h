// Where the engine's weights and gains come from: the readers' FIFOs, or, for a fast simulation,
// memory itself.
#ifndef TRITLOOM_SOURCES_H
#define TRITLOOM_SOURCES_H

#include <hls_stream.h>

#include "tritloom/types.h"

namespace loom {

// --- FIFOs
// -----------------------------------------------------------------------------------------------------

template <class Config>
using WeightStreams = hls::stream<ap_uint<Config::PORT_BITS>>[Config::PORTS];
template <class Config>
using GainStream = hls::stream<FloatWord<Config::LANES>>;

// One beat of every port. Ports deliver at their own pace; the array moves on when all have
// delivered.
template <class Config>
struct StreamBeats {
  ap_uint<Config::PORT_BITS> beat[Config::PORTS];
  bool held[Config::PORTS];
};

template <class Config>
void start_beats(const WeightStreams<Config>&, StreamBeats<Config>& beats) {
#pragma HLS INLINE
  for (unsigned port = 0; port < Config::PORTS; ++port) {
#pragma HLS UNROLL
    beats.held[port] = false;
  }
}

template <class Config>
bool take_beats(WeightStreams<Config>& weights, StreamBeats<Config>& beats) {
#pragma HLS INLINE
  bool complete = true;
  for (unsigned port = 0; port < Config::PORTS; ++port) {
#pragma HLS UNROLL
    if (!beats.held[port]) {
      ap_uint<Config::PORT_BITS> word;
      if (weights[port].read_nb(word)) {
        beats.beat[port] = word;
        beats.held[port] = true;
      } else {
        complete = false;
      }
    }
  }
  for (unsigned port = 0; port < Config::PORTS; ++port) {
#pragma HLS UNROLL
    if (complete) beats.held[port] = false;
  }
  return complete;
}

template <class Config>
ap_uint<SLICE_BITS> slice_of(const StreamBeats<Config>& beats, unsigned index) {
#pragma HLS INLINE
  constexpr unsigned PER_PORT = Config::PORT_BITS / SLICE_BITS;
  const unsigned low = SLICE_BITS * (index % PER_PORT);
  return beats.beat[index / PER_PORT].range(low + SLICE_BITS - 1, low);
}

template <class Config>
void begin_pass(WeightStreams<Config>&, GainStream<Config>&) {}

// Takes a whole pass out of the FIFOs: a pass that was streamed before the readers knew of an early
// stop.
template <class Config>
void drain_pass(WeightStreams<Config>& weights, GainStream<Config>& gains, uint32_t port_beats,
                uint32_t gain_words) {
  uint32_t beats = 0;
  uint32_t words = 0;
  StreamBeats<Config> dropped;
  start_beats<Config>(weights, dropped);
  while (beats < port_beats || words < gain_words) {
#pragma HLS LOOP_TRIPCOUNT min = 1000 max = 10000000
#pragma HLS PIPELINE II = 1
    if (beats < port_beats && take_beats<Config>(weights, dropped)) ++beats;
    FloatWord<Config::LANES> word;
    if (words < gain_words && gains.read_nb(word)) ++words;
  }
}

template <class Config>
struct StreamSource {
  typedef WeightStreams<Config> Weights;
  typedef GainStream<Config> Gains;
  typedef StreamBeats<Config> Beats;
};

// --- memory (simulation only)
// ----------------------------------------------------------------------------------

#ifndef __SYNTHESIS__

template <class Config>
struct WeightPointers {
  const uint8_t* image[Config::PORTS];
  uint32_t beat;
};

template <class Config>
struct GainPointer {
  const uint8_t* image;
  uint32_t next;

  FloatWord<Config::LANES> read() {
    FloatWord<Config::LANES> word;
    const uint8_t* bytes = image + sizeof(word) * next++;
    for (unsigned i = 0; i < sizeof(word); ++i) reinterpret_cast<uint8_t*>(&word)[i] = bytes[i];
    return word;
  }
};

template <class Config>
struct PointerBeats {
  const uint8_t* beat[Config::PORTS];
};

template <class Config>
void start_beats(const WeightPointers<Config>&, PointerBeats<Config>&) {}

template <class Config>
bool take_beats(WeightPointers<Config>& weights, PointerBeats<Config>& beats) {
  constexpr uint64_t BYTES = Config::PORT_BITS / 8;
  for (unsigned port = 0; port < Config::PORTS; ++port)
    beats.beat[port] = weights.image[port] + BYTES * weights.beat;
  ++weights.beat;
  return true;
}

template <class Config>
const uint8_t* slice_of(const PointerBeats<Config>& beats, unsigned index) {
  constexpr unsigned PER_PORT = Config::PORT_BITS / SLICE_BITS;
  return beats.beat[index / PER_PORT] + SLICE_BYTES * (index % PER_PORT);
}

template <class Config>
void begin_pass(WeightPointers<Config>& weights, GainPointer<Config>& gains) {
  weights.beat = 0;
  gains.next = 0;
}

template <class Config>
void drain_pass(WeightPointers<Config>&, GainPointer<Config>&, uint32_t, uint32_t) {}

template <class Config>
struct PointerSource {
  typedef WeightPointers<Config> Weights;
  typedef GainPointer<Config> Gains;
  typedef PointerBeats<Config> Beats;
};

#endif

}  // namespace loom

#endif
