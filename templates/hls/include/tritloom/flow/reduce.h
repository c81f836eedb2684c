// reduce, global_reduce: the largest or the sum of some words, channel by channel.
#ifndef TRITLOOM_FLOW_REDUCE_H
#define TRITLOOM_FLOW_REDUCE_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/word.h"

namespace loom {

// The word after the words so far; the first one starts anew.
template <class L>
void fold_in(const Word<typename L::In, L::LANES>& word, bool first,
             Word<typename L::Out, L::LANES>& result) {
#pragma HLS INLINE
  for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
    const typename L::Out::type value = static_cast<typename L::Out::type>(word.lane[lane]);
    const typename L::Out::type before = result.lane[lane];
    if (first) {
      result.lane[lane] = value;
    } else if (L::MAX) {
      result.lane[lane] = value > before ? value : before;
    } else {
      result.lane[lane] = static_cast<typename L::Out::type>(before + value);
    }
  }
}

// Pooling: the words of a channel fold come tap by tap.
template <class L>
void reduce(hls::stream<Word<typename L::In, L::LANES>>& in,
            hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
  static_assert(L::CHANNELS % L::LANES == 0, "whole folds");
  Word<typename L::Out, L::LANES> result = {};
#pragma HLS ARRAY_PARTITION variable = result.lane complete
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned vector = 0; vector < L::VECTORS * (L::CHANNELS / L::LANES); ++vector) {
      for (unsigned tap = 0; tap < L::TAPS; ++tap) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        fold_in<L>(in.read(), tap == 0, result);
        if (tap == L::TAPS - 1) out.write(result);
      }
    }
  }
}

template <class L>
struct GlobalShape {
  static_assert(L::CHANNELS % L::LANES == 0, "whole folds");
  static constexpr unsigned FOLDS = L::CHANNELS / L::LANES;
  // A fold is taken up again FOLDS initiations later. Few of them are registers; from eight on
  // there is time to read, add and write a memory.
  static constexpr unsigned BANKS = FOLDS < 8 ? FOLDS : 1;
};

template <class L>
using GlobalSums = Word<typename L::Out, L::LANES>[GlobalShape<L>::FOLDS];

// Global pooling: one word a channel fold leaves while the last pixel comes in.
template <class L>
void global_reduce(hls::stream<Word<typename L::In, L::LANES>>& in,
                   hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
  constexpr unsigned FOLDS = GlobalShape<L>::FOLDS;  // names that a pragma can take
  constexpr unsigned BANKS = GlobalShape<L>::BANKS;
  static_assert(BANKS <= FOLDS, "no more banks than folds");
  TRITLOOM_MEMORY(GlobalSums<L>, results);
#pragma HLS AGGREGATE variable = results compact = bit
#pragma HLS ARRAY_PARTITION variable = results cyclic factor = BANKS dim = 1
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned pixel = 0; pixel < L::PIXELS; ++pixel) {
      for (unsigned fold = 0; fold < FOLDS; ++fold) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
#pragma HLS DEPENDENCE variable = results inter distance = FOLDS true
        initiation.begin();
        Word<typename L::Out, L::LANES> result = results[fold];
#pragma HLS ARRAY_PARTITION variable = result.lane complete
        fold_in<L>(in.read(), pixel == 0, result);
        results[fold] = result;
        if (pixel == L::PIXELS - 1) out.write(result);
      }
    }
  }
}

}  // namespace loom

#endif
