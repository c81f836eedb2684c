// quantize: norms folded into the absmax quantiser. {statistics} -> u FIFO, scale -> {quantiser}.
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

// The factor g of docs/numerics.md from the sums of one vector.
inline float norm_factor(uint32_t norms, float square_sum, float z_sum, uint32_t length, float eps0,
                         float eps1) {
#pragma HLS INLINE off
  const float n = static_cast<float>(static_cast<int32_t>(length));
  const float first = inv_rms(square_sum / n, eps0);
  if (norms == ONE_NORM) return first;
  const float second = 1.0f / square_root((first * first) * (z_sum / n) + eps1);
  return first * second;
}

// u = (a*w2)[*b] goes to the FIFO; A, and with new statistics the sums of squares, are gathered on
// the way.
template <class Config, class Source>
void statistics(const Instruction op, unsigned active, const VectorMemory<Config>& vector,
                typename Source::Gains& gains, float factor[Config::BATCH],
                hls::stream<FloatWord<Config::LANES>>& u_words, hls::stream<VectorScale>& scales) {
  typedef FloatWord<Config::LANES> Word;
  constexpr unsigned LANES = Config::LANES;
  const bool has_b = (op.flags & HAS_B) != 0;
  const bool fresh = (op.flags & NEW_STATS) != 0 && op.func != NO_NORM;
  const bool two = fresh && op.func == TWO_NORMS;
  const uint32_t words = words_for(op.length, LANES);

  PartialSums<LANES> squares[Config::BATCH];
  PartialSums<LANES> z_squares[Config::BATCH];
  uint32_t largest[Config::BATCH][LANES];
#pragma HLS ARRAY_PARTITION variable = squares complete dim = 3
#pragma HLS ARRAY_PARTITION variable = z_squares complete dim = 3
#pragma HLS ARRAY_PARTITION variable = largest complete dim = 0
  for (unsigned b = 0; b < active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
    clear_sums<LANES>(squares[b]);
    clear_sums<LANES>(z_squares[b]);
    for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
      largest[b][lane] = 0;
    }
  }

  // A step takes at most one gain word: with two norms, step 0 of a word fetches w1; the step of
  // position 0 fetches w2.
  Word w1, w2;
#pragma HLS ARRAY_PARTITION variable = w1.lane complete
#pragma HLS ARRAY_PARTITION variable = w2.lane complete
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
        if (b == 0) w2 = gains.read();
        Word u;
        for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
          const bool inside = word * LANES + lane < op.length;
          const float a = inside ? vector[b][op.src0 / LANES + word][lane] : 0.0f;
          const float factor_b = inside && has_b ? vector[b][op.src1 / LANES + word][lane] : 1.0f;
          const float scaled = (a * w2.lane[lane]) * factor_b;
          u.lane[lane] = inside ? scaled : 0.0f;
          if (magnitude(u.lane[lane]) > largest[b][lane])
            largest[b][lane] = magnitude(u.lane[lane]);
          if (fresh) {
            float& sum = squares[b][word % (PARTIAL_SUMS / LANES)][lane];
            sum = sum + a * a;
          }
          if (two) {
            const float z = inside ? (a * w1.lane[lane]) * factor_b : 0.0f;
            float& sum = z_squares[b][word % (PARTIAL_SUMS / LANES)][lane];
            sum = sum + z * z;
          }
        }
        u_words.write(u);
      }
    }
  }

  for (unsigned b = 0; b < active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
    uint32_t bits = 0;
    for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
      if (largest[b][lane] > bits) bits = largest[b][lane];
    }
    if (fresh) {
      const float z_sum = two ? total_of<LANES>(z_squares[b]) : 0.0f;
      factor[b] =
          norm_factor(op.func, total_of<LANES>(squares[b]), z_sum, op.length, op.eps0, op.eps1);
    }
    const float g = op.func == NO_NORM ? 1.0f : factor[b];
    const bool zero = bits < ZERO_VECTOR_BITS;
    VectorScale result;
    result.step = zero ? 0.0f : 127.0f / float_of(bits);
    result.scale = zero ? 0.0f : float_of(bits) * g;
    scales.write(result);
  }
}

// q = clamp(round(u * s), -128, 127)
inline int8_t code_of(float u, float step) {
#pragma HLS INLINE
  const int32_t rounded = round_half_even(u * step);
  return static_cast<int8_t>(rounded > 127 ? 127 : (rounded < -128 ? -128 : rounded));
}

template <class Config>
void quantiser(uint32_t slot, uint32_t length, unsigned active,
               hls::stream<FloatWord<Config::LANES>>& u_words, hls::stream<VectorScale>& scales,
               CodeMemory<Config>& codes, ScaleMemory<Config>& scale_memory) {
  constexpr unsigned LANES = Config::LANES;
  float step[Config::BATCH];
#pragma HLS ARRAY_PARTITION variable = step complete
  for (unsigned b = 0; b < Config::BATCH; ++b) {
    step[b] = 0.0f;
    if (b < active) {
      const VectorScale scale = scales.read();
      step[b] = scale.step;
      scale_memory[slot][b] = scale.scale;
    }
  }
  uint32_t code_word = slot * code_words<Config>();
  unsigned bank = 0;
  for (uint32_t word = 0; word < words_for(length, LANES); ++word) {
#pragma HLS LOOP_TRIPCOUNT min = 8 max = Config::K_MAX / LANES
    for (unsigned b = 0; b < active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
#pragma HLS PIPELINE II = 1
      const FloatWord<LANES> u = u_words.read();
      for (unsigned lane = 0; lane < LANES; ++lane) {
#pragma HLS UNROLL
        codes[b][code_word][bank][lane] = code_of(u.lane[lane], step[b]);
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
  TRITLOOM_PROCESS(
      quantiser<Config>(op.slot, op.length, active, u_words, scales, codes, scale_memory));
  TRITLOOM_JOIN();
}

}  // namespace loom

#endif
