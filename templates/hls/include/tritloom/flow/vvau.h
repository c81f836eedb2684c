// vvau: grouped convolution, whole groups of channels at once; depthwise, a group is a channel.
#ifndef TRITLOOM_FLOW_VVAU_H
#define TRITLOOM_FLOW_VVAU_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/trits.h"

namespace loom {

// L: GROUPS, PE of them an initiation, INPUTS channels and OUTPUTS sums of each, TAPS of a window,
// VECTORS of a frame.
template <class L>
struct VvauShape {
  static_assert(L::GROUPS % L::PE == 0, "whole folds");
  static_assert(L::Out::BITS <= 32 && L::Out::SIGNED, "sums are at most int32");
  static constexpr unsigned LANES_IN = L::PE * L::INPUTS;
  static constexpr unsigned LANES_OUT = L::PE * L::OUTPUTS;
  static constexpr unsigned DEPTH = L::GROUPS / L::PE * L::TAPS;
  static constexpr unsigned WORDS = weight_words<typename L::WeightWord>(L::INPUTS);
  typedef Word<typename L::In, LANES_IN> Codes;
  typedef Word<typename L::Out, LANES_OUT> Sums;
};

// weights[lane out][fold * TAPS + tap], the INPUTS trits of its group
template <class L>
using VvauWeights =
    typename L::WeightWord[VvauShape<L>::LANES_OUT][VvauShape<L>::DEPTH][VvauShape<L>::WORDS];

#ifdef TRITLOOM_EXACT_WIDTHS

template <class L>
void accumulate(const VvauWeights<L>& weights, unsigned address,
                const typename VvauShape<L>::Codes& codes, typename VvauShape<L>::Sums& sums) {
#pragma HLS INLINE
  for (unsigned group = 0; group < L::PE; ++group) {
#pragma HLS UNROLL
    Word<typename L::In, L::INPUTS> own;
#pragma HLS ARRAY_PARTITION variable = own.lane complete
    for (unsigned k = 0; k < L::INPUTS; ++k) {
#pragma HLS UNROLL
      own.lane[k] = codes.lane[group * L::INPUTS + k];
    }
    for (unsigned n = 0; n < L::OUTPUTS; ++n) {
#pragma HLS UNROLL
      const unsigned lane = group * L::OUTPUTS + n;
      sums.lane[lane] = add_trits<typename L::In, typename L::Out, L::INPUTS>(
          weights[lane][address], own, sums.lane[lane]);
    }
  }
}

#else

// Trits a byte each, those of an address side by side.
template <class L>
class HostTaps {
 public:
  explicit HostTaps(const VvauWeights<L>& weights) {
    for (unsigned address = 0; address < VvauShape<L>::DEPTH; ++address) {
      for (unsigned lane = 0; lane < VvauShape<L>::LANES_OUT; ++lane) {
        for (unsigned k = 0; k < L::INPUTS; ++k) {
          trits_[address][k][lane] = trit_value(weights[lane][address], k);
        }
      }
    }
  }
  const int8_t* at(unsigned address, unsigned k) const { return trits_[address][k]; }

 private:
  int8_t trits_[VvauShape<L>::DEPTH][L::INPUTS][VvauShape<L>::LANES_OUT];
};

template <class L>
void accumulate(const VvauWeights<L>& weights, unsigned address,
                const typename VvauShape<L>::Codes& codes, typename VvauShape<L>::Sums& sums) {
  static const HostTaps<L> taps(weights);
  for (unsigned k = 0; k < L::INPUTS; ++k) {
    const int8_t* trits = taps.at(address, k);
    for (unsigned lane = 0; lane < VvauShape<L>::LANES_OUT; ++lane) {
      const int32_t code = codes.lane[lane / L::OUTPUTS * L::INPUTS + k];
      sums.lane[lane] = static_cast<typename L::Out::type>(sums.lane[lane] + trits[lane] * code);
    }
  }
}

#endif

// The words of a fold of groups come tap by tap.
template <class L>
void vvau(hls::stream<typename VvauShape<L>::Codes>& in,
          hls::stream<typename VvauShape<L>::Sums>& out, const VvauWeights<L>& weights,
          uint32_t frames) {
  typedef VvauShape<L> Shape;
  typename Shape::Sums sums = {};
#pragma HLS ARRAY_PARTITION variable = sums.lane complete
  Counter<Shape::DEPTH> address = 0;
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned vector = 0; vector < L::VECTORS * (L::GROUPS / L::PE); ++vector) {
      for (unsigned tap = 0; tap < L::TAPS; ++tap) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        for (unsigned lane = 0; lane < Shape::LANES_OUT; ++lane) {
#pragma HLS UNROLL
          if (tap == 0) sums.lane[lane] = 0;
        }
        accumulate<L>(weights, static_cast<unsigned>(address), in.read(), sums);
        if (tap == L::TAPS - 1) out.write(sums);
        step<Shape::DEPTH>(address, true);
      }
    }
  }
}

}  // namespace loom

#endif
