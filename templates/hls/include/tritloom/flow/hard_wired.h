// hard_wired: matrix-vector unit of constant adders, a vector an initiation.
#ifndef TRITLOOM_FLOW_HARD_WIRED_H
#define TRITLOOM_FLOW_HARD_WIRED_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/word.h"

namespace loom {

// The adders of a layer, one specialisation each in the generated adders.h:
// static void sum(const Word<L::In, L::INPUTS>& x, Word<L::Out, L::OUTPUTS>& y)
template <class L>
struct Adders;

// L: INPUTS, OUTPUTS, VECTORS of a frame
template <class L>
void hard_wired(hls::stream<Word<typename L::In, L::INPUTS>>& in,
                hls::stream<Word<typename L::Out, L::OUTPUTS>>& out, uint32_t frames) {
  static_assert(L::Out::BITS <= 32 && L::Out::SIGNED, "sums are at most int32");
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned vector = 0; vector < L::VECTORS; ++vector) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
      initiation.begin();
      const Word<typename L::In, L::INPUTS> x = in.read();
      Word<typename L::Out, L::OUTPUTS> y;
#pragma HLS ARRAY_PARTITION variable = x.lane complete
#pragma HLS ARRAY_PARTITION variable = y.lane complete
      Adders<L>::sum(x, y);
      out.write(y);
    }
  }
}

}  // namespace loom

#endif
