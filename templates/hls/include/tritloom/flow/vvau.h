// vvau: vector-vector unit of a depthwise convolution, PE channels an initiation.
#ifndef TRITLOOM_FLOW_VVAU_H
#define TRITLOOM_FLOW_VVAU_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/trits.h"

namespace loom {

template <class L>
struct VvauShape {
  static_assert(L::CHANNELS % L::PE == 0, "whole folds");
  static constexpr unsigned DEPTH = L::CHANNELS / L::PE * L::TAPS;
};

// weights[pe][fold * TAPS + tap], a trit each
template <class L>
using VvauWeights = typename L::WeightWord[L::PE][VvauShape<L>::DEPTH][1];

#ifdef TRITLOOM_EXACT_WIDTHS

template <class L>
void accumulate(const VvauWeights<L>& weights, unsigned address,
                const Word<typename L::In, L::PE>& codes, Word<typename L::Out, L::PE>& sums) {
#pragma HLS INLINE
  for (unsigned pe = 0; pe < L::PE; ++pe) {
#pragma HLS UNROLL
    Word<typename L::In, 1> code;
    code.lane[0] = codes.lane[pe];
    sums.lane[pe] =
        add_trits<typename L::In, typename L::Out, 1>(weights[pe][address], code, sums.lane[pe]);
  }
}

#else

// Trits a byte each, the channels of an address side by side.
template <class L>
class HostTaps {
 public:
  explicit HostTaps(const VvauWeights<L>& weights) {
    for (unsigned address = 0; address < VvauShape<L>::DEPTH; ++address) {
      for (unsigned pe = 0; pe < L::PE; ++pe) {
        trits_[address][pe] = trit_value(weights[pe][address], 0);
      }
    }
  }
  const int8_t* at(unsigned address) const { return trits_[address]; }

 private:
  int8_t trits_[VvauShape<L>::DEPTH][L::PE];
};

template <class L>
void accumulate(const VvauWeights<L>& weights, unsigned address,
                const Word<typename L::In, L::PE>& codes, Word<typename L::Out, L::PE>& sums) {
  static const HostTaps<L> taps(weights);
  const int8_t* trits = taps.at(address);
  for (unsigned pe = 0; pe < L::PE; ++pe) {
    sums.lane[pe] = static_cast<typename L::Out::type>(sums.lane[pe] + trits[pe] * codes.lane[pe]);
  }
}

#endif

// The words of a channel fold come tap by tap.
template <class L>
void vvau(hls::stream<Word<typename L::In, L::PE>>& in,
          hls::stream<Word<typename L::Out, L::PE>>& out, const VvauWeights<L>& weights,
          uint32_t frames) {
  constexpr unsigned DEPTH = VvauShape<L>::DEPTH;
  Word<typename L::Out, L::PE> sums = {};
#pragma HLS ARRAY_PARTITION variable = sums.lane complete
  Counter<DEPTH> address = 0;
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned vector = 0; vector < L::VECTORS * (L::CHANNELS / L::PE); ++vector) {
      for (unsigned tap = 0; tap < L::TAPS; ++tap) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        for (unsigned pe = 0; pe < L::PE; ++pe) {
#pragma HLS UNROLL
          if (tap == 0) sums.lane[pe] = 0;
        }
        accumulate<L>(weights, static_cast<unsigned>(address), in.read(), sums);
        if (tap == L::TAPS - 1) out.write(sums);
        step<DEPTH>(address, true);
      }
    }
  }
}

}  // namespace loom

#endif
