// The control page in memory: the host's stop word and the engine's progress word (docs/kernel.md,
// "Stopping early").
#ifndef TRITLOOM_CONTROL_H
#define TRITLOOM_CONTROL_H

#include "tritloom/process.h"
#include "tritloom/types.h"

namespace loom {

constexpr unsigned STOP_BEAT = 0;
constexpr unsigned PROGRESS_BEAT = 128;  // byte 2048

// mode bits
constexpr uint32_t MODE_GREEDY = 1, MODE_LOGITS_LAST = 2, MODE_LOGITS_ALL = 4, MODE_STOP_TOKEN = 8,
                   MODE_SEQUENCES = 16, MODE_KNOWN = 31;

// status codes
constexpr uint32_t STATUS_DONE = 0, STATUS_OPCODE = 1, STATUS_LIMIT = 2, STATUS_TOKEN = 3,
                   STATUS_ARGUMENT = 4, STATUS_RESERVED = 5;

struct Progress {
  uint32_t done;  // passes finished
  uint32_t stopping;  // 1: no pass after `last` is wanted
  uint32_t last;  // index of the last pass that is streamed
};

inline Progress read_progress(const volatile Beat* page) {
#pragma HLS INLINE
  const Beat beat = page[PROGRESS_BEAT];
  Progress progress;
  progress.done = beat_word(beat, 0);
  progress.stopping = beat_word(beat, 1);
  progress.last = beat_word(beat, 2);
  return progress;
}

inline void write_progress(volatile Beat* page, const Progress& progress) {
#pragma HLS INLINE
  Beat beat = 0;
  set_beat_word(beat, 0, progress.done);
  set_beat_word(beat, 1, progress.stopping);
  set_beat_word(beat, 2, progress.last);
  page[PROGRESS_BEAT] = beat;
#ifdef TRITLOOM_BOUNDED
  emulation::memory_changed();
#endif
}

inline bool stop_requested(const volatile Beat* page) {
#pragma HLS INLINE
  const Beat beat = page[STOP_BEAT];
  return beat_word(beat, 0) != 0;
}

// Tokens to generate: N counts only with GREEDY.
inline uint32_t wanted_tokens(uint32_t mode, uint32_t N) { return (mode & MODE_GREEDY) ? N : 0; }

// Why a start is refused before anything is read; the governor and the engine must agree on it.
template <class Config>
uint32_t refusal(uint32_t mode, uint32_t T, uint32_t B, uint32_t instructions) {
#pragma HLS INLINE
  if (mode & MODE_SEQUENCES) return STATUS_RESERVED;
  if (mode & ~MODE_KNOWN) return STATUS_ARGUMENT;
  if (T == 0 || B == 0 || B > Config::BATCH) return STATUS_ARGUMENT;
  if (instructions > Config::PROGRAM_MAX) return STATUS_ARGUMENT;
  return STATUS_DONE;
}

// Passes over the weights: the prompt's, and one for each generated token but the last.
template <class Config>
uint32_t pass_count(uint32_t mode, uint32_t T, uint32_t B, uint32_t N, uint32_t instructions) {
  if (refusal<Config>(mode, T, B, instructions) != STATUS_DONE) return 0;
  const uint32_t generated = wanted_tokens(mode, N);
  return words_for(T, B) + (generated > 0 ? generated - 1 : 0);
}

}  // namespace loom

#endif
