// fork: each word to every branch, in one initiation.
#ifndef TRITLOOM_FLOW_FORK_H
#define TRITLOOM_FLOW_FORK_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/together.h"
#include "tritloom/flow/word.h"

namespace loom {

template <class Word>
void write_all(const Word&) {}

template <class Word, class... Rest>
void write_all(const Word& word, hls::stream<Word>& branch, Rest&... rest) {
#pragma HLS INLINE
  branch.write(word);
  write_all(word, rest...);
}

// As many branches as streams are given.
template <class L, class... Branches>
void fork(hls::stream<Word<typename L::In, L::LANES>>& in, uint32_t frames, Branches&... branches) {
  static_assert(L::COPIES == sizeof...(branches), "a stream for each copy");
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned i = 0; i < L::ELEMENTS / L::LANES; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
      initiation.begin();
      const Word<typename L::In, L::LANES> word = in.read();
      wait_for_room(branches...);
      write_all(word, branches...);
    }
  }
}

}  // namespace loom

#endif
