// top_k: the K channels of each vector whose scores are the largest, the best first.
#ifndef TRITLOOM_FLOW_TOP_K_H
#define TRITLOOM_FLOW_TOP_K_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/product.h"
#include "tritloom/flow/word.h"

namespace loom {

// The tables have a row for each of MULTIPLIERS and of BIASES channels, which repeat: [lane][fold].
template <class L>
struct TopKShape {
  static_assert(L::CHANNELS % L::LANES == 0, "whole folds");
  static_assert(L::K <= L::CHANNELS, "no more than there are");
  static_assert(L::KEPT == L::K || L::KEPT == 2 * L::K, "indices, or pairs of index and sum");
  static constexpr unsigned FOLDS = L::CHANNELS / L::LANES;
  static constexpr unsigned MULTIPLIER_FOLDS = L::MULTIPLIERS / L::LANES;
  static constexpr unsigned BIAS_FOLDS = L::BIASES / L::LANES;
  static constexpr unsigned SORTED = L::K < L::LANES ? L::K : L::LANES;  // of a word
  static constexpr unsigned EACH = L::KEPT / L::K;  // elements that are kept of a channel
};

template <class L>
using KeyMultipliers = typename L::Multiplier::type[L::LANES][TopKShape<L>::MULTIPLIER_FOLDS];
template <class L>
using KeyBiases = typename L::Bias::type[L::LANES][TopKShape<L>::BIAS_FOLDS];

template <class L>
struct Candidate {
  typename L::Key::type key;  // larger where the score is
  Counter<L::CHANNELS> index;
  typename L::In::type sum;
};

// Whether the channel of the higher index goes in front of the other one.
template <class L>
bool overtakes(const typename L::Key::type& later, const typename L::Key::type& earlier) {
#pragma HLS INLINE
  return L::LAST ? later >= earlier : later > earlier;
}

// The best of a word in their order: the place of each is the number of those in front of it.
template <class L>
void sort_word(const Candidate<L> (&word)[L::LANES], Candidate<L> (&sorted)[TopKShape<L>::SORTED]) {
#pragma HLS INLINE
  unsigned place[L::LANES] = {};
#pragma HLS ARRAY_PARTITION variable = place complete
  for (unsigned later = 1; later < L::LANES; ++later) {
#pragma HLS UNROLL
    for (unsigned earlier = 0; earlier < later; ++earlier) {
#pragma HLS UNROLL
      ++place[overtakes<L>(word[later].key, word[earlier].key) ? earlier : later];
    }
  }
  for (unsigned at = 0; at < TopKShape<L>::SORTED; ++at) {
#pragma HLS UNROLL
    for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
      if (place[lane] == at) sorted[at] = word[lane];
    }
  }
}

// The list with channels of higher indices merged in. Both are in order, so that those which one
// channel overtakes are the end of the list, and those which overtake one are the begin of `later`.
template <class L>
void merge(const Candidate<L> (&later)[TopKShape<L>::SORTED], Candidate<L> (&list)[L::K]) {
#pragma HLS INLINE
  constexpr unsigned SORTED = TopKShape<L>::SORTED;
  bool ahead[SORTED][L::K];
#pragma HLS ARRAY_PARTITION variable = ahead complete dim = 0
  Candidate<L> next[L::K];
#pragma HLS ARRAY_PARTITION variable = next complete
  for (unsigned i = 0; i < SORTED; ++i) {
#pragma HLS UNROLL
    for (unsigned at = 0; at < L::K; ++at) {
#pragma HLS UNROLL
      ahead[i][at] = overtakes<L>(later[i].key, list[at].key);
    }
  }
  for (unsigned at = 0; at < L::K; ++at) {
#pragma HLS UNROLL
    next[at] = list[at];
    for (unsigned by = 1; by <= at && by <= SORTED; ++by) {  // overtaken by so many
#pragma HLS UNROLL
      const bool no_more = by == SORTED || !ahead[by][at - by];
      if (ahead[by - 1][at - by] && no_more) next[at] = list[at - by];
    }
    for (unsigned i = 0; i <= at && i < SORTED; ++i) {  // overtakes from there on
#pragma HLS UNROLL
      const bool first = at == i || !ahead[i][at - i - 1];
      if (ahead[i][at - i] && first) next[at] = later[i];
    }
  }
  for (unsigned at = 0; at < L::K; ++at) {
#pragma HLS UNROLL
    list[at] = next[at];
  }
}

// Writes a word of all that is kept of a vector as the vector's last word comes in. L::Key holds
// every key and one below them.
template <class L>
void top_k(hls::stream<Word<typename L::In, L::LANES>>& in,
           hls::stream<Word<typename L::Out, L::KEPT>>& out, const KeyMultipliers<L>& multiplier,
           const KeyBiases<L>& bias, uint32_t frames) {
  typedef TopKShape<L> Shape;
  typedef typename L::Key::type Key;
  const Key lowest(-(int64_t(1) << (L::Key::BITS - 1)));
  Candidate<L> list[L::K] = {};
#pragma HLS ARRAY_PARTITION variable = list complete
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned vector = 0; vector < L::VECTORS; ++vector) {
      for (unsigned fold = 0; fold < Shape::FOLDS; ++fold) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        const Word<typename L::In, L::LANES> word = in.read();
#pragma HLS ARRAY_PARTITION variable = word.lane complete
        Candidate<L> candidates[L::LANES];
#pragma HLS ARRAY_PARTITION variable = candidates complete
        Candidate<L> sorted[Shape::SORTED] = {};
#pragma HLS ARRAY_PARTITION variable = sorted complete
        for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
          const Key product(scaled<typename L::In, typename L::Multiplier>(
              word.lane[lane], multiplier[lane][fold % Shape::MULTIPLIER_FOLDS]));
          candidates[lane].key = Key(product + Key(bias[lane][fold % Shape::BIAS_FOLDS]));
          candidates[lane].index = fold * L::LANES + lane;
          candidates[lane].sum = word.lane[lane];
        }
        for (unsigned i = 0; i < L::K; ++i) {
#pragma HLS UNROLL
          if (fold == 0) list[i].key = lowest;
        }
        sort_word<L>(candidates, sorted);
        merge<L>(sorted, list);
        if (fold == Shape::FOLDS - 1) {
          Word<typename L::Out, L::KEPT> kept;
#pragma HLS ARRAY_PARTITION variable = kept.lane complete
          for (unsigned i = 0; i < L::KEPT; ++i) {
#pragma HLS UNROLL
            const Candidate<L>& one = list[i / Shape::EACH];
            kept.lane[i] = i % Shape::EACH == 0 ? typename L::Out::type(one.index)
                                                : typename L::Out::type(one.sum);
          }
          out.write(kept);
        }
      }
    }
  }
}

}  // namespace loom

#endif
