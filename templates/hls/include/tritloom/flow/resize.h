// resize: the same elements in wider or narrower words.
#ifndef TRITLOOM_FLOW_RESIZE_H
#define TRITLOOM_FLOW_RESIZE_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/word.h"

namespace loom {

// Narrower: a word in is several words out.
template <class L, bool WIDER>
struct Resize {
  static void run(hls::stream<Word<typename L::In, L::IN_LANES>>& in,
                  hls::stream<Word<typename L::Out, L::OUT_LANES>>& out, uint32_t frames) {
    static_assert(L::IN_LANES % L::OUT_LANES == 0, "one width is a multiple of the other");
    constexpr unsigned PARTS = L::IN_LANES / L::OUT_LANES;
    constexpr unsigned WORDS = L::ELEMENTS / L::OUT_LANES;
    Word<typename L::In, L::IN_LANES> held = {};
#pragma HLS ARRAY_PARTITION variable = held.lane complete
    Counter<PARTS> part = 0;
    Initiations<L> initiation;
    for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
      for (unsigned i = 0; i < WORDS; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        if (part == 0) {
          held = in.read();
        } else {
          for (unsigned lane = 0; lane + L::OUT_LANES < L::IN_LANES; ++lane) {
#pragma HLS UNROLL
            held.lane[lane] = held.lane[lane + L::OUT_LANES];
          }
        }
        Word<typename L::Out, L::OUT_LANES> word;
#pragma HLS ARRAY_PARTITION variable = word.lane complete
        for (unsigned lane = 0; lane < L::OUT_LANES; ++lane) {
#pragma HLS UNROLL
          word.lane[lane] = held.lane[lane];
        }
        out.write(word);
        step<PARTS>(part, true);
      }
    }
  }
};

// Wider: several words in are a word out.
template <class L>
struct Resize<L, true> {
  static void run(hls::stream<Word<typename L::In, L::IN_LANES>>& in,
                  hls::stream<Word<typename L::Out, L::OUT_LANES>>& out, uint32_t frames) {
    static_assert(L::OUT_LANES % L::IN_LANES == 0, "one width is a multiple of the other");
    constexpr unsigned PARTS = L::OUT_LANES / L::IN_LANES;
    constexpr unsigned WORDS = L::ELEMENTS / L::IN_LANES;
    constexpr unsigned KEPT = L::OUT_LANES - L::IN_LANES;
    Word<typename L::Out, L::OUT_LANES> held = {};
#pragma HLS ARRAY_PARTITION variable = held.lane complete
    Counter<PARTS> part = 0;
    Initiations<L> initiation;
    for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
      for (unsigned i = 0; i < WORDS; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        const Word<typename L::In, L::IN_LANES> word = in.read();
#pragma HLS ARRAY_PARTITION variable = word.lane complete
        for (unsigned lane = 0; lane < KEPT; ++lane) {
#pragma HLS UNROLL
          held.lane[lane] = held.lane[lane + L::IN_LANES];
        }
        for (unsigned lane = 0; lane < L::IN_LANES; ++lane) {
#pragma HLS UNROLL
          held.lane[KEPT + lane] = word.lane[lane];
        }
        if (step<PARTS>(part, true)) out.write(held);
      }
    }
  }
};

template <class L>
void resize(hls::stream<Word<typename L::In, L::IN_LANES>>& in,
            hls::stream<Word<typename L::Out, L::OUT_LANES>>& out, uint32_t frames) {
  Resize<L, (L::OUT_LANES > L::IN_LANES)>::run(in, out, frames);
}

}  // namespace loom

#endif
