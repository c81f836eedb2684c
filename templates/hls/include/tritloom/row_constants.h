// What the rows of a product have besides trits (sums of trits, scales, a bias, the lower bounds of
// hgrn): they stream with the gains, LANES rows a word, a word of each kind after the other.
#ifndef TRITLOOM_ROW_CONSTANTS_H
#define TRITLOOM_ROW_CONSTANTS_H

#include "tritloom/instruction.h"

namespace loom {

// Words of the present LANES rows and of the next ones, which come in meanwhile: one an iteration.
template <class Config>
struct RowConstants {
  FloatWord<Config::LANES> now[ROW_CONSTANTS];
  FloatWord<Config::LANES> next[ROW_CONSTANTS];
};

// In front of the first row.
template <class Config, class Gains>
void begin_constants(const Instruction& op, Gains& gains, RowConstants<Config>& rows) {
#pragma HLS INLINE
  for (unsigned kind = 0; kind < ROW_CONSTANTS; ++kind) {
    for (unsigned lane = 0; lane < Config::LANES; ++lane) {
#pragma HLS UNROLL
      rows.next[kind].lane[lane] = 0.0f;
      rows.now[kind].lane[lane] = 0.0f;
    }
    if (has_constant(op, kind)) rows.next[kind] = gains.read();
  }
}

// At each row.
template <class Config, class Gains>
void turn_constants(const Instruction& op, uint32_t row, Gains& gains, RowConstants<Config>& rows) {
#pragma HLS INLINE
  const unsigned lane = row % Config::LANES;
  for (unsigned kind = 0; kind < ROW_CONSTANTS; ++kind) {
#pragma HLS UNROLL
    if (lane == 0) rows.now[kind] = rows.next[kind];
  }
  const bool more = row - lane + Config::LANES < op.rows;
  if (more && lane < ROW_CONSTANTS && has_constant(op, lane)) rows.next[lane] = gains.read();
}

// y of a row: the sum less what the code of zero adds to it, rescaled.
template <class Config>
float row_value(const Instruction& op, int32_t sum, float scale, unsigned lane,
                const RowConstants<Config>& rows) {
#pragma HLS INLINE
  float y = static_cast<float>(sum) * scale;
  if (op.flags & HAS_ROW_SCALES) y = y * rows.now[ROW_SCALE].lane[lane];
  if (op.flags & HAS_BIAS) y = y + rows.now[ROW_BIAS].lane[lane];
  return y;
}

// The sum of a row's codes, each less the code of zero.
template <class Config>
int32_t row_sum(int32_t acc, int32_t zero, unsigned lane, const RowConstants<Config>& rows) {
#pragma HLS INLINE
  return acc - zero * static_cast<int32_t>(bits_of(rows.now[ROW_SUM].lane[lane]));
}

}  // namespace loom

#endif
