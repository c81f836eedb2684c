// thresholds: a step function of each element, code = LOW + STEP * (number of thresholds reached).
#ifndef TRITLOOM_FLOW_THRESHOLDS_H
#define TRITLOOM_FLOW_THRESHOLDS_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/word.h"

namespace loom {

constexpr unsigned PARALLEL_LEVELS = 15;  // with more thresholds, a search is smaller

// The tables have a row for each of CHANNELS channels, which repeat: lane by lane, so that every
// lane reads its own.
template <class L>
struct ThresholdShape {
  static_assert(L::CHANNELS % L::LANES == 0 && L::ELEMENTS % L::CHANNELS == 0, "whole folds");
  static constexpr unsigned FOLDS = L::CHANNELS / L::LANES;
  static constexpr unsigned STEPS = log2_ceil(L::LEVELS + 1);  // bits of the number reached
  // Wide enough for an element, its negation, and every threshold.
  static constexpr int VALUE_BITS =
      L::In::BITS + 2 > L::Threshold::BITS ? L::In::BITS + 2 : L::Threshold::BITS;
  typedef typename Int<VALUE_BITS, true>::type Value;
};

// Ascending thresholds of a channel, all compared at once.
template <class L, bool SEARCH>
struct ThresholdTable {
  typedef ThresholdShape<L> Shape;
  typedef typename L::Threshold::type type[L::LANES][Shape::FOLDS][L::LEVELS];

  static unsigned reached(const typename Shape::Value& value, unsigned lane, unsigned fold,
                          const type& table) {
#pragma HLS INLINE
    unsigned count = 0;
    for (unsigned level = 0; level < L::LEVELS; ++level) {
#pragma HLS UNROLL
      count += value >= typename Shape::Value(table[lane][fold][level]) ? 1 : 0;
    }
    return count;
  }
};

// A binary search with a memory for each of its steps. After `step` decisions, read as the number
// `count`, it looks at threshold (count + 1/2) * 2^(STEPS - step) - 1 of the channel, which is in
// [step][lane][fold << step | count]. Levels that are no power of two less one are filled up with
// the last threshold.
template <class L>
struct ThresholdTable<L, true> {
  typedef ThresholdShape<L> Shape;
  typedef
      typename L::Threshold::type type[Shape::STEPS][L::LANES][Shape::FOLDS << (Shape::STEPS - 1)];

  static unsigned reached(const typename Shape::Value& value, unsigned lane, unsigned fold,
                          const type& table) {
#pragma HLS INLINE
    unsigned count = 0;
    for (unsigned step = 0; step < Shape::STEPS; ++step) {
#pragma HLS UNROLL
      const typename Shape::Value threshold(table[step][lane][(fold << step) | count]);
      count = 2 * count + (value >= threshold ? 1 : 0);
    }
    return count < L::LEVELS ? count : L::LEVELS;
  }
};

template <class L>
using Thresholds = ThresholdTable<L, (L::LEVELS > PARALLEL_LEVELS)>;

// In a channel that is `negative`, the negated element is compared.
template <class L>
void thresholds(hls::stream<Word<typename L::In, L::LANES>>& in,
                hls::stream<Word<typename L::Out, L::LANES>>& out,
                const typename Thresholds<L>::type& table,
                const bool (&negative)[L::LANES][ThresholdShape<L>::FOLDS], uint32_t frames) {
  typedef ThresholdShape<L> Shape;
  Counter<Shape::FOLDS> fold = 0;
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned i = 0; i < L::ELEMENTS / L::LANES; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
      initiation.begin();
      const Word<typename L::In, L::LANES> word = in.read();
#pragma HLS ARRAY_PARTITION variable = word.lane complete
      Word<typename L::Out, L::LANES> codes;
#pragma HLS ARRAY_PARTITION variable = codes.lane complete
      for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
        const unsigned at = static_cast<unsigned>(fold);
        typename Shape::Value value(word.lane[lane]);
        if (negative[lane][at]) value = -value;
        const unsigned reached = Thresholds<L>::reached(value, lane, at, table);
        codes.lane[lane] = typename L::Out::type(L::LOW + L::STEP * static_cast<int>(reached));
      }
      out.write(codes);
      step<Shape::FOLDS>(fold, true);
    }
  }
}

}  // namespace loom

#endif
