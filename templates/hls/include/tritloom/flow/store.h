// store: words -> frames in memory, each element as int32. A first process fills beats, a writer
// sends those of all frames in one run.
#ifndef TRITLOOM_FLOW_STORE_H
#define TRITLOOM_FLOW_STORE_H

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/word.h"
#include "tritloom/process.h"

namespace loom {

template <class L>
struct OutputBeats {
  static constexpr unsigned ELEMENTS = L::BEAT_BITS / 32;  // of a beat
  static constexpr unsigned COUNT = (L::ELEMENTS + ELEMENTS - 1) / ELEMENTS;  // of a frame
  static_assert(ELEMENTS % L::LANES == 0 || L::LANES % ELEMENTS == 0,
                "a word divides a beat, or is a multiple of it");
  static_assert(L::ELEMENTS % L::LANES == 0, "a frame is whole words");
};

template <class L>
void set_element(ap_uint<L::BEAT_BITS>& beat, unsigned at, int32_t value) {
#pragma HLS INLINE
  beat.range(32 * at + 31, 32 * at) = static_cast<uint32_t>(value);
}

// A word is no wider than a beat: a word an initiation. The frame's last beat is padded with zeros.
template <class L, bool WIDE>
struct Pack {
  static void run(hls::stream<Word<typename L::In, L::LANES>>& in,
                  hls::stream<ap_uint<L::BEAT_BITS>>& beats, uint32_t frames) {
    constexpr unsigned WORDS = L::ELEMENTS / L::LANES;
    constexpr unsigned PER_BEAT = OutputBeats<L>::ELEMENTS / L::LANES;
    ap_uint<L::BEAT_BITS> beat = 0;
    Initiations<L> initiation;
    for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
      for (unsigned i = 0; i < WORDS; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        const Word<typename L::In, L::LANES> word = in.read();
#pragma HLS ARRAY_PARTITION variable = word.lane complete
        if (i % PER_BEAT == 0) beat = 0;
        for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
          set_element<L>(beat, i % PER_BEAT * L::LANES + lane,
                         static_cast<int32_t>(word.lane[lane]));
        }
        if (i % PER_BEAT == PER_BEAT - 1 || i == WORDS - 1) beats.write(beat);
      }
    }
  }
};

// A word is several beats: a beat an initiation.
template <class L>
struct Pack<L, true> {
  static void run(hls::stream<Word<typename L::In, L::LANES>>& in,
                  hls::stream<ap_uint<L::BEAT_BITS>>& beats, uint32_t frames) {
    constexpr unsigned PER_WORD = L::LANES / OutputBeats<L>::ELEMENTS;
    Word<typename L::In, L::LANES> word = {};
#pragma HLS ARRAY_PARTITION variable = word.lane complete
    Initiations<L> initiation;
    for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
      for (unsigned i = 0; i < OutputBeats<L>::COUNT; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        if (i % PER_WORD == 0) word = in.read();
        ap_uint<L::BEAT_BITS> beat = 0;
        for (unsigned e = 0; e < OutputBeats<L>::ELEMENTS; ++e) {
#pragma HLS UNROLL
          set_element<L>(
              beat, e,
              static_cast<int32_t>(word.lane[i % PER_WORD * OutputBeats<L>::ELEMENTS + e]));
        }
        beats.write(beat);
      }
    }
  }
};

template <unsigned BITS>
void write_beats(hls::stream<ap_uint<BITS>>& beats, ap_uint<BITS>* memory, uint32_t count,
                 hls::stream<uint64_t>& finish) {
  for (uint32_t i = 0; i < count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000000
#pragma HLS PIPELINE II = 1 style = flp
    memory[i] = beats.read();
  }
  finish.write(0);
}

// Tells `finish` when the last beat has been sent.
template <class L>
void store(hls::stream<Word<typename L::In, L::LANES>>& in, ap_uint<L::BEAT_BITS>* memory,
           uint32_t frames, hls::stream<uint64_t>& finish) {
#pragma HLS INLINE off
#pragma HLS DATAFLOW
  TRITLOOM_STREAM(ap_uint<L::BEAT_BITS>, beats, 16);
  TRITLOOM_REGION(store);
  TRITLOOM_PROCESS(Pack<L, (L::LANES > OutputBeats<L>::ELEMENTS)>::run(in, beats, frames));
  TRITLOOM_PROCESS(
      write_beats<L::BEAT_BITS>(beats, memory, frames * OutputBeats<L>::COUNT, finish));
  TRITLOOM_JOIN();
}

}  // namespace loom

#endif
