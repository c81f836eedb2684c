// add, concat: two streams into one.
#ifndef TRITLOOM_FLOW_JOIN_H
#define TRITLOOM_FLOW_JOIN_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/together.h"
#include "tritloom/flow/word.h"

namespace loom {

// Integer sums FACTOR_A * a + FACTOR_B * b, in a type that holds them all. The factors are small
// constants, mostly powers of two.
template <class L>
void add(hls::stream<Word<typename L::A, L::LANES>>& a,
         hls::stream<Word<typename L::B, L::LANES>>& b,
         hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned i = 0; i < L::ELEMENTS / L::LANES; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
      initiation.begin();
      wait_for_words(a, b);
      const Word<typename L::A, L::LANES> left = a.read();
#pragma HLS ARRAY_PARTITION variable = left.lane complete
      const Word<typename L::B, L::LANES> right = b.read();
#pragma HLS ARRAY_PARTITION variable = right.lane complete
      Word<typename L::Out, L::LANES> sum;
#pragma HLS ARRAY_PARTITION variable = sum.lane complete
      for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
        sum.lane[lane] = static_cast<typename L::Out::type>(
            static_cast<int64_t>(L::FACTOR_A) * static_cast<int64_t>(left.lane[lane]) +
            static_cast<int64_t>(L::FACTOR_B) * static_cast<int64_t>(right.lane[lane]));
      }
      out.write(sum);
    }
  }
}

// Channels: for each pixel the folds of a, then those of b.
template <class L>
void concat(hls::stream<Word<typename L::A, L::LANES>>& a,
            hls::stream<Word<typename L::B, L::LANES>>& b,
            hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
  static_assert(L::CHANNELS_A % L::LANES == 0 && L::CHANNELS_B % L::LANES == 0, "whole folds");
  constexpr unsigned FOLDS_A = L::CHANNELS_A / L::LANES;
  constexpr unsigned FOLDS = FOLDS_A + L::CHANNELS_B / L::LANES;
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned pixel = 0; pixel < L::PIXELS; ++pixel) {
      for (unsigned fold = 0; fold < FOLDS; ++fold) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        Word<typename L::A, L::LANES> left = {};
#pragma HLS ARRAY_PARTITION variable = left.lane complete
        Word<typename L::B, L::LANES> right = {};
#pragma HLS ARRAY_PARTITION variable = right.lane complete
        if (fold < FOLDS_A) {
          left = a.read();
        } else {
          right = b.read();
        }
        Word<typename L::Out, L::LANES> word;
#pragma HLS ARRAY_PARTITION variable = word.lane complete
        for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
          word.lane[lane] = fold < FOLDS_A ? typename L::Out::type(left.lane[lane])
                                           : typename L::Out::type(right.lane[lane]);
        }
        out.write(word);
      }
    }
  }
}

}  // namespace loom

#endif
