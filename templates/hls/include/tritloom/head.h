// Epilogue of the head: logits leave for memory in bursts where asked for, the top-k list sees each
// one.
#ifndef TRITLOOM_HEAD_H
#define TRITLOOM_HEAD_H

#include "tritloom/instruction.h"
#include "tritloom/process.h"
#include "tritloom/row_constants.h"
#include "tritloom/topk.h"
#include "tritloom/trace.h"

namespace loom {

constexpr unsigned CHUNK_BEATS = 16;  // a burst: 64 logits of one position
constexpr unsigned CHUNK_ROWS = CHUNK_BEATS * BEAT_WORDS;

// Rows of the logit buffer that a pass writes.
struct LogitRows {
  bool all;  // each position's, from row `first`
  bool last;  // the last position's, to row 0 (unless all)
  uint32_t first;  // index of the pass's first position
};

// rows row .. row+count-1 of the matrix: values to the chunk, the last position's to the list.
template <class Config, class Source>
void head_chunk(const Instruction& op, uint32_t row, uint32_t count, unsigned active,
                const CodeScale scale[Config::BATCH], unsigned& group_row, Group<Config>& group,
                hls::stream<Group<Config>>& groups, typename Source::Gains& gains,
                RowConstants<Config>& constants, Beat chunk[Config::BATCH][CHUNK_BEATS],
                TopList<Config::TOPK>& top) {
#pragma HLS INLINE off
  Beat beat[Config::BATCH];
#pragma HLS ARRAY_PARTITION variable = beat complete
  for (uint32_t i = 0; i < count; ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 64
#pragma HLS PIPELINE II = Config::HEAD_II
    if (group_row == 0) group = groups.read();
    turn_constants<Config>(op, row + i, gains, constants);
    for (unsigned b = 0; b < Config::BATCH; ++b) {
#pragma HLS UNROLL
      if (b < active) {
        const unsigned lane = (row + i) % Config::LANES;
        const int32_t acc = group.acc[b][group_row];
        const int32_t sum = row_sum<Config>(acc, scale[b].zero, lane, constants);
        const float y = row_value<Config>(op, sum, scale[b].scale, lane, constants);
        trace_acc(b, sum);
        trace_logit(b, y);
        if (i % BEAT_WORDS == 0) beat[b] = 0;
        set_beat_word(beat[b], i % BEAT_WORDS, bits_of(y));
        if (i % BEAT_WORDS == BEAT_WORDS - 1 || i + 1 == count) chunk[b][i / BEAT_WORDS] = beat[b];
        if (b + 1 == active) insert(top, row + i, y);
      }
    }
    group_row = group_row + 1 == Config::SLICES ? 0 : group_row + 1;
  }
}

template <class Config>
void write_chunk(uint32_t first_beat, uint32_t beats, uint32_t stride_beats, unsigned active,
                 const LogitRows& wanted, const Beat chunk[Config::BATCH][CHUNK_BEATS],
                 Beat* logits) {
#pragma HLS INLINE off
  for (unsigned b = 0; b < active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
    const bool last = b + 1 == active;
    if (wanted.all || (wanted.last && last)) {
      const uint64_t buffer_row = wanted.all ? wanted.first + b : 0;
      Beat* to = logits + buffer_row * stride_beats + first_beat;
      for (uint32_t beat = 0; beat < beats; ++beat) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 16
#pragma HLS PIPELINE II = 1
        to[beat] = chunk[b][beat];
      }
    }
  }
}

template <class Config, class Source>
void head(const Instruction& op, unsigned active, const LogitRows& wanted,
          hls::stream<Group<Config>>& groups, typename Source::Gains& gains,
          const ScaleMemory<Config>& scale_memory, Beat* logits, TopList<Config::TOPK>& top) {
#pragma HLS INLINE off
  CodeScale scale[Config::BATCH];
  Beat chunk[Config::BATCH][CHUNK_BEATS];
  Group<Config> group;
  RowConstants<Config> constants;
#pragma HLS ARRAY_PARTITION variable = scale complete
#pragma HLS ARRAY_PARTITION variable = chunk complete dim = 1
#pragma HLS ARRAY_PARTITION variable = group.acc complete dim = 0
#pragma HLS ARRAY_PARTITION variable = constants.now complete dim = 0
#pragma HLS ARRAY_PARTITION variable = constants.next complete dim = 0
  for (unsigned b = 0; b < Config::BATCH; ++b) {
    scale[b].scale = b < active ? scale_memory[op.slot][b].scale * op.scale : 0.0f;
    scale[b].zero = b < active ? scale_memory[op.slot][b].zero : 0;
  }
  clear_list(top);
  begin_constants<Config>(op, gains, constants);
  unsigned group_row = 0;
  for (uint32_t row = 0; row < op.rows; row += CHUNK_ROWS) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    const uint32_t left = op.rows - row;
    const uint32_t count = left < CHUNK_ROWS ? left : CHUNK_ROWS;
    head_chunk<Config, Source>(op, row, count, active, scale, group_row, group, groups, gains,
                               constants, chunk, top);
    write_chunk<Config>(row / BEAT_WORDS, words_for(count, BEAT_WORDS), op.dst / BEAT_WORDS, active,
                        wanted, chunk, logits);
  }
}

}  // namespace loom

#endif
