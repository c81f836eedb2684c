// quantize: norms folded into the absmax quantiser, and quantisers of other kinds.
// {statistics} -> u FIFO, scale -> {quantiser}. With FACTOR_ONLY, the statistics alone.
#ifndef TRITLOOM_QUANTIZE_H
#define TRITLOOM_QUANTIZE_H

#include <math.h>

#include "tritloom/instruction.h"
#include "tritloom/process.h"
#include "tritloom/rounding.h"
#include "tritloom/sources.h"
#include "tritloom/sum.h"

namespace loom {

// sqrt is an IEEE operation with a core of its own; this is the only function taken from a math
// header.
inline float square_root(float value) {
#pragma HLS INLINE
  return sqrtf(value);
}

inline float inv_rms(float mean_square, float eps) {
#pragma HLS INLINE
  return 1.0f / square_root(mean_square + eps);
}

// The factor g of docs/numerics.md from the sums of one vector; with MEAN, the mean itself.
inline float norm_factor(uint32_t func, float square_sum, float z_sum, uint32_t length, float eps0,
                         float eps1) {
#pragma HLS INLINE off
  const float n = static_cast<float>(static_cast<int32_t>(length));
  const float mean = square_sum / n;
  if (func == MEAN) return mean;
  const float first = inv_rms(mean, eps0);
  if (func == ONE_NORM) return first;
  const float second = 1.0f / square_root((first * first) * (z_sum / n) + eps1);
  return first * second;
}

// Bits of the magnitudes of a vector's largest and smallest element; 0 where none has that sign.
struct Extremes {
  uint32_t above, below;
};

// How u becomes codes, and what these are worth.
inline VectorScale scale_of(const Instruction& op, const Extremes& extremes, float g) {
#pragma HLS INLINE
  VectorScale result;
  if (op.func == STATIC) {
    result.step = op.eps0;
    result.of_codes.scale = op.scale;
    result.of_codes.zero = op.zero;
    return result;
  }
  const bool range = op.func == RANGE;
  const uint32_t largest = extremes.above > extremes.below ? extremes.above : extremes.below;
  const float width = float_of(extremes.above) + float_of(extremes.below);
  const float size = range ? width : float_of(largest);
  const bool empty = bits_of(size) < ZERO_VECTOR_BITS;
  result.step = empty ? 0.0f : (range ? 255.0f : 127.0f) / size;
  result.of_codes.scale = empty ? 0.0f : size * (range ? float_of(ONE_255TH_BITS) : g);
  const int32_t steps_below = round_half_even(float_of(extremes.below) * result.step);
  result.of_codes.zero = range ? (steps_below > 255 ? 127 : steps_below - 128) : 0;
  return result;
}

// u = (a*w2)[*b] goes to the FIFO; the extremes, and with new statistics the sums of squares (with
// MEAN, of the elements), are gathered on the way.
template <class Config, class Source>
void statistics(const Instruction op, unsigned active, const VectorMemory<Config>& vector,
                typename Source::Gains& gains, float factor[Config::BATCH],
                hls::stream<FloatWord<Config::LANES>>& u_words, hls::stream<VectorScale>& scales) {
  typedef FloatWord<Config::LANES> Word;
  constexpr unsigned LANES = Config::LANES;
  const bool has_b = (op.flags & HAS_B) != 0;
  const bool fresh = (op.flags & NEW_STATS) != 0 && op.func != NO_NORM;
  const bool two = fresh && op.func == TWO_NORMS;
  const bool gained = takes_gains(op);
  const bool quantises = (op.flags & FACTOR_ONLY) == 0;
  const uint32_t words = words_for(op.length, LANES);

  PartialSums<LANES> squares[Config::BATCH];
  PartialSums<LANES> z_squares[Config::BATCH];
  uint32_t peak[Config::BATCH][2][LANES];  // magnitudes of the positive and the negative elements
#pragma HLS ARRAY_PARTITION variable = squares complete dim = 3
#pragma HLS ARRAY_PARTITION variable = z_squares complete dim = 3
#pragma HLS ARRAY_PARTITION variable = peak complete dim = 0
  for (unsigned b = 0; b < active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
    clear_sums<LANES>(squares[b]);
    clear_sums<LANES>(z_squares[b]);
    for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
      peak[b][0][lane] = 0;
      peak[b][1][lane] = 0;
    }
  }

  // A step takes at most one gain word: with two norms, step 0 of a word fetches w1; the step of
  // position 0 fetches w2.
  Word w1, w2;
#pragma HLS ARRAY_PARTITION variable = w1.lane complete
#pragma HLS ARRAY_PARTITION variable = w2.lane complete
  for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
    w2.lane[lane] = 1.0f;
  }
  const unsigned steps = active + (two ? 1 : 0);
  for (uint32_t word = 0; word < words; ++word) {
#pragma HLS LOOP_TRIPCOUNT min = 8 max = Config::K_MAX / LANES
    for (unsigned step = 0; step < steps; ++step) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH + 1
#pragma HLS PIPELINE II = 1
#pragma HLS DEPENDENCE variable = squares inter distance = PARTIAL_SUMS / LANES true
#pragma HLS DEPENDENCE variable = z_squares inter distance = PARTIAL_SUMS / LANES true
      const bool fetch_w1 = two && step == 0;
      const unsigned b = two ? step - 1 : step;
      if (fetch_w1) {
        w1 = gains.read();
      } else {
        if (b == 0 && gained) w2 = gains.read();
        Word u;
        for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
          const bool inside = word * LANES + lane < op.length;
          const float a = inside ? vector[b][op.src0 / LANES + word][lane] : 0.0f;
          const float factor_b = inside && has_b ? vector[b][op.src1 / LANES + word][lane] : 1.0f;
          const float scaled = (a * w2.lane[lane]) * factor_b;
          u.lane[lane] = inside ? scaled : 0.0f;
          uint32_t& most = peak[b][bits_of(u.lane[lane]) >> 31][lane];
          if (magnitude(u.lane[lane]) > most) most = magnitude(u.lane[lane]);
          if (fresh) {
            float& sum = squares[b][word % (PARTIAL_SUMS / LANES)][lane];
            sum = sum + (op.func == MEAN ? a : a * a);
          }
          if (two) {
            const float z = inside ? (a * w1.lane[lane]) * factor_b : 0.0f;
            float& sum = z_squares[b][word % (PARTIAL_SUMS / LANES)][lane];
            sum = sum + z * z;
          }
        }
        if (quantises) u_words.write(u);
      }
    }
  }

  for (unsigned b = 0; b < active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
    Extremes extremes = {0, 0};
    for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
      if (peak[b][0][lane] > extremes.above) extremes.above = peak[b][0][lane];
      if (peak[b][1][lane] > extremes.below) extremes.below = peak[b][1][lane];
    }
    if (fresh) {
      const float z_sum = two ? total_of<LANES>(z_squares[b]) : 0.0f;
      factor[b] =
          norm_factor(op.func, total_of<LANES>(squares[b]), z_sum, op.length, op.eps0, op.eps1);
    }
    const float g = op.func == NO_NORM ? 1.0f : factor[b];
    if (quantises) scales.write(scale_of(op, extremes, g));
  }
}

// q = clamp(round(u * step) + zero, low, high). What lies beyond all codes need not be rounded.
inline int8_t code_of(float u, float step, int32_t zero, int32_t low, int32_t high) {
#pragma HLS INLINE
  const float steps = u * step;
  const int32_t far = (bits_of(steps) & SIGN_BIT) ? -FAR_STEPS : FAR_STEPS;
  const bool near = magnitude(steps) < FAR_STEPS_BITS;
  const int32_t code = (near ? round_half_even(steps) : far) + zero;
  return static_cast<int8_t>(code > high ? high : (code < low ? low : code));
}

template <class Config>
void quantiser(const Instruction op, unsigned active,
               hls::stream<FloatWord<Config::LANES>>& u_words, hls::stream<VectorScale>& scales,
               CodeMemory<Config>& codes, ScaleMemory<Config>& scale_memory) {
  constexpr unsigned LANES = Config::LANES;
  VectorScale scale[Config::BATCH];
#pragma HLS ARRAY_PARTITION variable = scale complete
  const unsigned vectors = (op.flags & FACTOR_ONLY) ? 0 : active;
  const int32_t low = op.func == STATIC ? op.low : -128;
  const int32_t high = op.func == STATIC ? op.high : 127;
  for (unsigned b = 0; b < Config::BATCH; ++b) {
    scale[b].step = 0.0f;
    scale[b].of_codes.zero = 0;
    if (b < vectors) {
      scale[b] = scales.read();
      scale_memory[op.slot][b] = scale[b].of_codes;
    }
  }
  uint32_t code_word = op.slot * code_words<Config>();
  unsigned bank = 0;
  for (uint32_t word = 0; word < words_for(op.length, LANES); ++word) {
#pragma HLS LOOP_TRIPCOUNT min = 8 max = Config::K_MAX / LANES
    for (unsigned b = 0; b < vectors; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
#pragma HLS PIPELINE II = 1
      const FloatWord<LANES> u = u_words.read();
      for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        codes[b][code_word][bank][lane] =
            code_of(u.lane[lane], scale[b].step, scale[b].of_codes.zero, low, high);
      }
    }
    code_word += bank + 1 == code_banks(LANES) ? 1 : 0;
    bank = bank + 1 == code_banks(LANES) ? 0 : bank + 1;
  }
}

template <class Config, class Source>
void quantize(const Instruction op, unsigned active, const VectorMemory<Config>& vector,
              typename Source::Gains& gains, float factor[Config::BATCH], CodeMemory<Config>& codes,
              ScaleMemory<Config>& scale_memory) {
#pragma HLS INLINE off
#pragma HLS DATAFLOW
  // The scale is known after the last element only, so the FIFO holds a whole batch of vectors.
  TRITLOOM_STREAM(FloatWord<Config::LANES>, u_words, Config::U_FIFO);
  TRITLOOM_STREAM(VectorScale, scales, Config::BATCH);
  TRITLOOM_REGION(quantize);
  TRITLOOM_PROCESS(statistics<Config, Source>(op, active, vector, gains, factor, u_words, scales));
  TRITLOOM_PROCESS(quantiser<Config>(op, active, u_words, scales, codes, scale_memory));
  TRITLOOM_JOIN();
}

}  // namespace loom

#endif
