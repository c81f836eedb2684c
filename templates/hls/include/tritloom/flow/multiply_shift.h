// multiply_shift: the uniform requantiser, code = clamp((a * M + B) >> SHIFT, LOW, HIGH), of one
// stream or of two.
#ifndef TRITLOOM_FLOW_MULTIPLY_SHIFT_H
#define TRITLOOM_FLOW_MULTIPLY_SHIFT_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/product.h"
#include "tritloom/flow/together.h"
#include "tritloom/flow/word.h"

namespace loom {

// The tables have a row for each of CHANNELS channels, which repeat: [lane][fold].
template <class L>
struct RequantShape {
  static_assert(L::CHANNELS % L::LANES == 0 && L::ELEMENTS % L::CHANNELS == 0, "whole folds");
  static constexpr unsigned FOLDS = L::CHANNELS / L::LANES;
};

template <class L>
using Multipliers = typename L::Multiplier::type[L::LANES][RequantShape<L>::FOLDS];
template <class L>
using Biases = typename L::Bias::type[L::LANES][RequantShape<L>::FOLDS];

// L::Sum holds every product, their sum and the bias. The shift rounds down.
template <class L>
typename L::Out::type clamp_shifted(const typename L::Sum::type& sum) {
#pragma HLS INLINE
  const typename L::Sum::type shifted = sum >> L::SHIFT;
  if (shifted < L::LOW) return typename L::Out::type(L::LOW);
  if (shifted > L::HIGH) return typename L::Out::type(L::HIGH);
  return static_cast<typename L::Out::type>(shifted);
}

template <class L>
void multiply_shift(hls::stream<Word<typename L::In, L::LANES>>& in,
                    hls::stream<Word<typename L::Out, L::LANES>>& out,
                    const Multipliers<L>& multiplier, const Biases<L>& bias, uint32_t frames) {
  typedef typename L::Sum::type Sum;
  constexpr unsigned FOLDS = RequantShape<L>::FOLDS;
  Counter<FOLDS> fold = 0;
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
        const Sum product(
            scaled<typename L::In, typename L::Multiplier>(word.lane[lane], multiplier[lane][at]));
        codes.lane[lane] = clamp_shifted<L>(Sum(product + Sum(bias[lane][at])));
      }
      out.write(codes);
      step<FOLDS>(fold, true);
    }
  }
}

// (a * M0 + b * M1 + B) >> SHIFT: a residual join with its requantiser.
template <class L>
void multiply_shift2(hls::stream<Word<typename L::A, L::LANES>>& a,
                     hls::stream<Word<typename L::B, L::LANES>>& b,
                     hls::stream<Word<typename L::Out, L::LANES>>& out,
                     const Multipliers<L>& multiplier0, const Multipliers<L>& multiplier1,
                     const Biases<L>& bias, uint32_t frames) {
  typedef typename L::Sum::type Sum;
  constexpr unsigned FOLDS = RequantShape<L>::FOLDS;
  Counter<FOLDS> fold = 0;
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
      Word<typename L::Out, L::LANES> codes;
#pragma HLS ARRAY_PARTITION variable = codes.lane complete
      for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
        const unsigned at = static_cast<unsigned>(fold);
        const Sum product0(
            scaled<typename L::A, typename L::Multiplier>(left.lane[lane], multiplier0[lane][at]));
        const Sum product1(
            scaled<typename L::B, typename L::Multiplier>(right.lane[lane], multiplier1[lane][at]));
        codes.lane[lane] = clamp_shifted<L>(Sum(Sum(product0 + product1) + Sum(bias[lane][at])));
      }
      out.write(codes);
      step<FOLDS>(fold, true);
    }
  }
}

}  // namespace loom

#endif
