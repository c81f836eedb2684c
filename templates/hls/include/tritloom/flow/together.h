// Streams that a stage reads, or writes, in the same clock cycle: in hardware it takes from none of
// them before all have a word, and writes to none before all have room. Blocking operations one
// after the other are less strict, by a word; a bounded simulation waits here first.
#ifndef TRITLOOM_FLOW_TOGETHER_H
#define TRITLOOM_FLOW_TOGETHER_H

#include <hls_stream.h>

namespace loom {

#ifdef TRITLOOM_BOUNDED

inline void wait_for_words() {}

template <class Word, class... Rest>
void wait_for_words(hls::stream<Word>& stream, Rest&... rest) {
  while (stream.empty()) {
  }
  wait_for_words(rest...);
}

inline void wait_for_room() {}

template <class Word, class... Rest>
void wait_for_room(hls::stream<Word>& stream, Rest&... rest) {
  while (stream.full()) {
  }
  wait_for_room(rest...);
}

#else

template <class... Streams>
void wait_for_words(Streams&...) {}

template <class... Streams>
void wait_for_room(Streams&...) {}

#endif

}  // namespace loom

#endif
