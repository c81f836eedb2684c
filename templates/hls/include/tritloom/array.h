// The dot-product array: a slice of SLICES rows a cycle, against the codes of BATCH positions.
#ifndef TRITLOOM_ARRAY_H
#define TRITLOOM_ARRAY_H

#include "tritloom/dot.h"
#include "tritloom/process.h"
#include "tritloom/sources.h"

namespace loom {

// Cycles of the array, by what it did.
struct Activity {
  uint64_t busy;  // took a beat of every port
  uint64_t starved;  // a port had none
  uint64_t waiting;  // the vector unit had no room for a finished group
};

template <class Config>
void clear_group(Group<Config>& sums) {
#pragma HLS INLINE
  for (unsigned b = 0; b < Config::BATCH; ++b) {
#pragma HLS UNROLL
    for (unsigned row = 0; row < Config::SLICES; ++row) {
#pragma HLS UNROLL
      sums.acc[b][row] = 0;
    }
  }
}

// Codes of one slice, all positions: one word of each bank.
template <class Config>
void fetch_codes(const CodeMemory<Config>& codes, uint32_t word,
                 int8_t slice_codes[Config::BATCH][SLICE_TRITS]) {
#pragma HLS INLINE
  for (unsigned b = 0; b < Config::BATCH; ++b) {
#pragma HLS UNROLL
    for (unsigned i = 0; i < SLICE_TRITS; ++i) {
#pragma HLS UNROLL
      slice_codes[b][i] = codes[b][word][i / Config::LANES][i % Config::LANES];
    }
  }
}

// One cycle: a slice of each row of the group, decoded once for all positions. Positions that a
// short pass leaves idle keep their accumulators.
template <class Config>
void accumulate(const StreamBeats<Config>& beats, const CodeMemory<Config>& codes, uint32_t word,
                unsigned active, Group<Config>& sums) {
#pragma HLS INLINE
  int8_t slice_codes[Config::BATCH][SLICE_TRITS];
#pragma HLS ARRAY_PARTITION variable = slice_codes complete dim = 0
  fetch_codes<Config>(codes, word, slice_codes);
  for (unsigned row = 0; row < Config::SLICES; ++row) {
#pragma HLS UNROLL
    Trit trits[SLICE_TRITS];
#pragma HLS ARRAY_PARTITION variable = trits complete
    decode_slice(slice_of<Config>(beats, row), trits);
    for (unsigned b = 0; b < Config::BATCH; ++b) {
#pragma HLS UNROLL
      if (b < active) sums.acc[b][row] = dot_slice(trits, slice_codes[b], sums.acc[b][row]);
    }
  }
}

#ifndef __SYNTHESIS__
template <class Config>
void accumulate(const PointerBeats<Config>& beats, const CodeMemory<Config>& codes, uint32_t word,
                unsigned active, Group<Config>& sums) {
  for (unsigned row = 0; row < Config::SLICES; ++row) {
    int8_t trits[SLICE_TRITS];
    decode_slice(slice_of<Config>(beats, row), trits);
    for (unsigned b = 0; b < active; ++b) {
      sums.acc[b][row] = dot_slice(trits, &codes[b][word][0][0], sums.acc[b][row]);
    }
  }
}
#endif

// `rows` rows in groups of SLICES, `slices` slices each. One group leaves every `slices` cycles.
template <class Config, class Source>
void dot_array(typename Source::Weights& weights, const CodeMemory<Config>& codes, uint32_t slot,
               uint32_t rows, uint32_t slices, unsigned active, hls::stream<Group<Config>>& groups,
               Activity& activity) {
  typename Source::Beats beats;
  Group<Config> sums;
#pragma HLS ARRAY_PARTITION variable = sums.acc complete dim = 0
  start_beats<Config>(weights, beats);
  uint64_t busy = 0;
  uint64_t starved = 0;
  uint64_t waiting = 0;
  uint32_t row = 0;
  uint32_t slice = 0;
  const uint32_t first_word = slot * code_words<Config>();
  while (row < rows) {
#pragma HLS LOOP_TRIPCOUNT min = 1000 max = 100000
#pragma HLS PIPELINE II = 1
    const bool last = slice + 1 == slices;
    if (last && groups.full()) {
      ++waiting;
    } else if (!take_beats<Config>(weights, beats)) {
      ++starved;
    } else {
      ++busy;
      if (slice == 0) clear_group<Config>(sums);
      accumulate<Config>(beats, codes, first_word + slice, active, sums);
      if (last) {
        groups.write(sums);
        row += Config::SLICES;
      }
      slice = last ? 0 : slice + 1;
    }
  }
  activity.busy = busy;
  activity.starved = starved;
  activity.waiting = waiting;
}

}  // namespace loom

#endif
