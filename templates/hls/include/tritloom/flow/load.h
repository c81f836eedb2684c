// load: frames in memory -> words. A reader fetches the beats of all frames in one run, so that its
// bursts are long; a second process takes them apart.
#ifndef TRITLOOM_FLOW_LOAD_H
#define TRITLOOM_FLOW_LOAD_H

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/word.h"
#include "tritloom/process.h"

namespace loom {

// Codes of up to 8 bits, a byte each.
template <class Element>
struct CodeFormat {
  static constexpr unsigned BITS = 8;
  typedef typename Element::type type;
  static type decode(uint32_t byte) {
#pragma HLS INLINE
    if (Element::SIGNED) return type(static_cast<int8_t>(static_cast<uint8_t>(byte)));
    return type(static_cast<uint8_t>(byte));
  }
};

// float32 as an integer in the same order: the magnitude's bits, negated for a negative sign. Both
// zeros are 0, and so is NaN. A quantiser behind it only compares.
template <class Element>
struct FloatFormat {
  static constexpr unsigned BITS = 32;
  static_assert(Element::BITS == 32 && Element::SIGNED, "keys of floats are int32");
  typedef typename Element::type type;
  static type decode(uint32_t bits) {
#pragma HLS INLINE
    const int32_t magnitude = static_cast<int32_t>(bits & 0x7fffffffu);
    const bool nan = magnitude > 0x7f800000;
    const bool negative = (bits >> 31) != 0;
    return type(nan ? 0 : (negative ? -magnitude : magnitude));
  }
};

template <class L, class Format>
struct Beats {
  static constexpr unsigned ELEMENTS = L::BEAT_BITS / Format::BITS;  // of a beat
  static constexpr unsigned COUNT = (L::ELEMENTS + ELEMENTS - 1) / ELEMENTS;  // of a frame
  static_assert(ELEMENTS % L::LANES == 0 || L::LANES % ELEMENTS == 0,
                "a word divides a beat, or is a multiple of it");
  static_assert(L::ELEMENTS % L::LANES == 0, "a frame is whole words");
  typedef ap_uint<L::BEAT_BITS> type;
  typedef typename Format::type Values[ELEMENTS];

  static void decode(const type& beat, Values& values) {
#pragma HLS INLINE
    for (unsigned i = 0; i < ELEMENTS; ++i) {
#pragma HLS UNROLL
      const unsigned low = i * Format::BITS;
      values[i] =
          Format::decode(static_cast<uint32_t>(beat.range(low + Format::BITS - 1, low).to_uint()));
    }
  }
};

template <unsigned BITS>
void read_beats(const ap_uint<BITS>* memory, uint32_t count, hls::stream<ap_uint<BITS>>& beats) {
  for (uint32_t i = 0; i < count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000000
#pragma HLS PIPELINE II = 1 style = flp
    beats.write(memory[i]);
  }
}

// A word is no wider than a beat: the beat shifts along, a word an initiation.
template <class L, class Format, bool WIDE>
struct Unpack {
  static void run(hls::stream<ap_uint<L::BEAT_BITS>>& beats,
                  hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
    typedef Beats<L, Format> Beat;
    constexpr unsigned WORDS = L::ELEMENTS / L::LANES;
    constexpr unsigned PER_BEAT = Beat::ELEMENTS / L::LANES;
    typename Beat::Values held = {};
#pragma HLS ARRAY_PARTITION variable = held complete
    Initiations<L> initiation;
    for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
      for (unsigned i = 0; i < WORDS; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        if (i % PER_BEAT == 0) {
          Beat::decode(beats.read(), held);
        } else {
          for (unsigned e = 0; e + L::LANES < Beat::ELEMENTS; ++e) {
#pragma HLS UNROLL
            held[e] = held[e + L::LANES];
          }
        }
        Word<typename L::Out, L::LANES> word;
#pragma HLS ARRAY_PARTITION variable = word.lane complete
        for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
          word.lane[lane] = held[lane];
        }
        out.write(word);
      }
    }
  }
};

// A word is several beats: a beat an initiation.
template <class L, class Format>
struct Unpack<L, Format, true> {
  static void run(hls::stream<ap_uint<L::BEAT_BITS>>& beats,
                  hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
    typedef Beats<L, Format> Beat;
    constexpr unsigned PER_WORD = L::LANES / Beat::ELEMENTS;
    Word<typename L::Out, L::LANES> word = {};
#pragma HLS ARRAY_PARTITION variable = word.lane complete
    Initiations<L> initiation;
    for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
      for (unsigned i = 0; i < Beat::COUNT; ++i) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
        initiation.begin();
        typename Beat::Values values;
#pragma HLS ARRAY_PARTITION variable = values complete
        Beat::decode(beats.read(), values);
        for (unsigned e = 0; e < Beat::ELEMENTS; ++e) {
#pragma HLS UNROLL
          word.lane[i % PER_WORD * Beat::ELEMENTS + e] = values[e];
        }
        if (i % PER_WORD == PER_WORD - 1) out.write(word);
      }
    }
  }
};

// Frame f begins at beat f * COUNT; its last beat is padded.
template <class L, class Format>
void load(const ap_uint<L::BEAT_BITS>* memory, hls::stream<Word<typename L::Out, L::LANES>>& out,
          uint32_t frames) {
#pragma HLS INLINE off
#pragma HLS DATAFLOW
  typedef Beats<L, Format> Beat;
  TRITLOOM_STREAM(ap_uint<L::BEAT_BITS>, beats, 16);
  TRITLOOM_REGION(load);
  TRITLOOM_PROCESS(read_beats<L::BEAT_BITS>(memory, frames * Beat::COUNT, beats));
  TRITLOOM_PROCESS(Unpack<L, Format, (L::LANES > Beat::ELEMENTS)>::run(beats, out, frames));
  TRITLOOM_JOIN();
}

template <class L>
void load_codes(const ap_uint<L::BEAT_BITS>* memory,
                hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
#pragma HLS INLINE
  load<L, CodeFormat<typename L::Out>>(memory, out, frames);
}

template <class L>
void load_floats(const ap_uint<L::BEAT_BITS>* memory,
                 hls::stream<Word<typename L::Out, L::LANES>>& out, uint32_t frames) {
#pragma HLS INLINE
  load<L, FloatFormat<typename L::Out>>(memory, out, frames);
}

}  // namespace loom

#endif
