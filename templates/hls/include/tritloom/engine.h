// The engine process: checks the program, then runs it once a pass until the prompt is taken and
// the tokens are made.
#ifndef TRITLOOM_ENGINE_H
#define TRITLOOM_ENGINE_H

#include "tritloom/embed.h"
#include "tritloom/linear.h"
#include "tritloom/quantize.h"
#include "tritloom/readers.h"
#include "tritloom/vector.h"

namespace loom {

// The scalar arguments of a start.
struct Request {
  uint32_t mode, T, B, N, stop_token, instructions, port_beats, gain_beats;
};

struct Counters {
  uint64_t busy, starved, waiting;
};

// Positions of one pass.
struct Pass {
  uint32_t first;  // index of its first position
  unsigned active;  // how many
};

// Passes of the prompt hold B positions each, the last one what is left; generated tokens come one
// a pass.
inline Pass pass_at(uint32_t pass, uint32_t prompt_passes, uint32_t T, uint32_t B) {
#pragma HLS INLINE
  Pass result;
  if (pass < prompt_passes) {
    result.first = pass * B;
    result.active = T - result.first < B ? T - result.first : B;
  } else {
    result.first = T + (pass - prompt_passes);
    result.active = 1;
  }
  return result;
}

template <class Config>
ProgramFacts load_program(const Beat* memory, uint32_t instructions,
                          Beat program[Config::PROGRAM_MAX][INSTRUCTION_BEATS]) {
#pragma HLS INLINE off
  for (uint32_t i = 0; i < instructions; ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 16 max = Config::PROGRAM_MAX
    for (unsigned j = 0; j < INSTRUCTION_BEATS; ++j) {
#pragma HLS PIPELINE II = 1
      program[i][j] = memory[i * INSTRUCTION_BEATS + j];
    }
  }
  ProgramFacts facts = no_facts();
  for (uint32_t i = 0; i < instructions; ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 16 max = Config::PROGRAM_MAX
    check_instruction<Config>(decode_instruction(program[i]), facts);
  }
  return facts;
}

template <class Config>
void load_state(const Beat* memory, uint32_t floats, StateMemory<Config>& state) {
#pragma HLS INLINE off
  for (uint32_t i = 0; i < words_for(floats, BEAT_WORDS); ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 16 max = Config::STATE_WORDS / BEAT_WORDS
#pragma HLS PIPELINE II = 1
    const Beat beat = memory[i];
    for (unsigned j = 0; j < BEAT_WORDS; ++j) {
#pragma HLS UNROLL
      state[i][j] = float_of(beat_word(beat, j));
    }
  }
}

template <class Config>
void store_state(const StateMemory<Config>& state, uint32_t floats, Beat* memory) {
#pragma HLS INLINE off
  for (uint32_t i = 0; i < words_for(floats, BEAT_WORDS); ++i) {
#pragma HLS LOOP_TRIPCOUNT min = 16 max = Config::STATE_WORDS / BEAT_WORDS
#pragma HLS PIPELINE II = 1
    Beat beat = 0;
    for (unsigned j = 0; j < BEAT_WORDS; ++j) {
#pragma HLS UNROLL
      set_beat_word(beat, j, bits_of(state[i][j]));
    }
    memory[i] = beat;
  }
}

template <unsigned TOPK>
void store_top(const TopList<TOPK>& top, Beat* memory) {
#pragma HLS INLINE off
  for (unsigned i = 0; i < TOPK; i += 2) {
    Beat beat = 0;
    set_beat_word(beat, 0, top.index[i]);
    set_beat_word(beat, 1, bits_of(top.value[i]));
    if (i + 1 < TOPK) {
      set_beat_word(beat, 2, top.index[i + 1]);
      set_beat_word(beat, 3, bits_of(top.value[i + 1]));
    }
    memory[i / 2] = beat;
  }
}

// The tokens of a pass: from the prompt, or the one just generated. False: one lies outside the
// table.
template <class Config>
bool fetch_tokens(const Beat* memory, const Pass& pass, uint32_t T, uint32_t generated,
                  uint32_t limit, uint32_t tokens[Config::BATCH]) {
#pragma HLS INLINE off
  bool inside = true;
  for (unsigned b = 0; b < pass.active; ++b) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = Config::BATCH
    const uint32_t position = pass.first + b;
    uint32_t token = generated;
    if (position < T) {
      const Beat beat = memory[position / BEAT_WORDS];
      token = beat_word(beat, position % BEAT_WORDS);
    }
    tokens[b] = token;
    if (token >= limit) inside = false;
  }
  return inside;
}

template <class Config, class Source>
void engine(typename Source::Weights& weights, typename Source::Gains& gains,
            const Beat* program_memory, const Beat* embedding, Beat* state_memory,
            const Beat* tokens_memory, Beat* tokens_out, Beat* logits, Beat* topk,
            volatile Beat* page, const Request& request, uint32_t* status, uint32_t* count,
            Counters& counters) {
  Beat program[Config::PROGRAM_MAX][INSTRUCTION_BEATS];
  VectorMemory<Config> vector;
  CodeMemory<Config> codes;
  ScaleMemory<Config> scales;
  StateMemory<Config> state;
  TopList<Config::TOPK> top;
  float factor[Config::BATCH];
  uint32_t tokens[Config::BATCH];
#pragma HLS ARRAY_PARTITION variable = vector complete dim = 1
#pragma HLS ARRAY_PARTITION variable = vector complete dim = 3
#pragma HLS ARRAY_PARTITION variable = codes complete dim = 1
#pragma HLS ARRAY_PARTITION variable = codes complete dim = 3
#pragma HLS ARRAY_RESHAPE variable = codes complete dim = 4
#pragma HLS ARRAY_PARTITION variable = state complete dim = 2
#pragma HLS ARRAY_PARTITION variable = top.key complete
#pragma HLS ARRAY_PARTITION variable = top.index complete
#pragma HLS ARRAY_PARTITION variable = top.value complete
#pragma HLS ARRAY_PARTITION variable = factor complete
#pragma HLS AGGREGATE variable = scales

  for (unsigned b = 0; b < Config::BATCH; ++b) {
#pragma HLS UNROLL
    factor[b] = 1.0f;  // until a quantiser computes it
  }
  counters.busy = 0;
  counters.starved = 0;
  counters.waiting = 0;
  uint32_t made = 0;  // tokens generated
  uint32_t result = refusal<Config>(request.mode, request.T, request.B, request.instructions);
  const uint32_t passes =
      pass_count<Config>(request.mode, request.T, request.B, request.N, request.instructions);
  if (result == STATUS_DONE) {
    const ProgramFacts facts = load_program<Config>(program_memory, request.instructions, program);
    result = facts.status;
    if (result == STATUS_DONE && facts.single && request.B != 1) result = STATUS_ARGUMENT;
    const bool images_fit = facts.port_beats == request.port_beats &&
                            facts.gain_words * (Config::LANES / BEAT_WORDS) == request.gain_beats;
    if (result == STATUS_DONE && !images_fit) result = STATUS_LIMIT;
    const bool sound = result == STATUS_DONE;
    if (sound) load_state<Config>(state_memory, facts.state_words, state);

    const uint32_t prompt_passes = words_for(request.T, request.B);
    const uint32_t wanted = wanted_tokens(request.mode, request.N);
    uint32_t done = 0;  // passes run
    uint32_t token = 0;  // the last one generated
    bool running = sound;
    clear_list(top);
    Beat token_beat = 0;
    while (running && done < passes) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
      const Pass pass = pass_at(done, prompt_passes, request.T, request.B);
      if (!fetch_tokens<Config>(tokens_memory, pass, request.T, token, facts.token_limit, tokens)) {
        result = STATUS_TOKEN;
        running = false;
      } else {
        LogitRows rows;
        rows.all = (request.mode & MODE_LOGITS_ALL) != 0;
        rows.last = (request.mode & MODE_LOGITS_LAST) != 0;
        rows.first = pass.first;
        begin_pass<Config>(weights, gains);
        for (uint32_t index = 0; index < request.instructions; ++index) {
#pragma HLS LOOP_TRIPCOUNT min = 16 max = Config::PROGRAM_MAX
          const Instruction op = decode_instruction(program[index]);
          Activity activity = {0, 0, 0};
          if (op.opcode == EMBED) {
            embed<Config>(op, embedding, tokens, pass.active, vector);
          } else if (op.opcode == QUANTIZE) {
            quantize<Config, Source>(op, pass.active, vector, gains, factor, codes, scales);
          } else if (op.opcode == LINEAR) {
            linear<Config, Source>(op, pass.active, rows, weights, gains, codes, scales, vector,
                                   state, logits, top, activity);
          } else {
            vector_op<Config, Source>(op, pass.active, gains, factor, vector, state);
          }
          counters.busy += activity.busy;
          counters.starved += activity.starved;
          counters.waiting += activity.waiting;
          trace_instruction<Config>(op, done, index, pass.first, pass.active, vector, codes, scales,
                                    factor, state);
        }
        ++done;

        if (wanted > 0 && done >= prompt_passes) {
          token = top.index[0];
          set_beat_word(token_beat, made % BEAT_WORDS, token);
          tokens_out[made / BEAT_WORDS] = token_beat;
          if (made % BEAT_WORDS == BEAT_WORDS - 1) token_beat = 0;
          ++made;
          if ((request.mode & MODE_STOP_TOKEN) && token == request.stop_token) running = false;
        }
        if (stop_requested(page)) running = false;
        if (running) {
          const Progress progress = {done, 0, 0};
          write_progress(page, progress);
        }
      }
    }

    // An end before the last pass: the governor may have let the readers one pass ahead of `done`,
    // or, when it never heard of pass `done` - 1, just to it. Announce the end, then take what was
    // streamed.
    const bool announced =
        result != STATUS_DONE;  // the word now in memory says `done`, not stopping
    const uint32_t ahead = announced ? done + 2 : done + 1;
    uint32_t end = ahead < passes ? ahead : passes;  // passes that are streamed
    const Progress progress = {done, 1, end - 1};
    write_progress(page, progress);
    if (SEQUENTIAL) end = passes;
    for (uint32_t pass = done; pass < end; ++pass) {
#pragma HLS LOOP_TRIPCOUNT min = 0 max = 2
      drain_pass<Config>(weights, gains, request.port_beats,
                         request.gain_beats / (Config::LANES / BEAT_WORDS));
    }
    if (sound) {
      store_state<Config>(state, facts.state_words, state_memory);
      if (done > 0) store_top(top, topk);
    }
  }
  *status = result;
  *count = made;
}

// The engine as a process of the kernel's DATAFLOW region: plain scalars in, registers out.
template <class Config>
void engine_process(WeightStreams<Config>& weights, GainStream<Config>& gains, const Beat* program,
                    const Beat* embedding, Beat* state, const Beat* tokens, Beat* tokens_out,
                    Beat* logits, Beat* topk, volatile Beat* page, uint32_t mode, uint32_t T,
                    uint32_t B, uint32_t N, uint32_t stop_token, uint32_t instructions,
                    uint32_t port_beats, uint32_t gain_beats, uint32_t* status, uint32_t* count,
                    uint64_t* busy, uint64_t* starved, uint64_t* waiting,
                    hls::stream<uint64_t>& finish) {
  const Request request = {mode, T, B, N, stop_token, instructions, port_beats, gain_beats};
  Counters counters;
  engine<Config, StreamSource<Config>>(weights, gains, program, embedding, state, tokens,
                                       tokens_out, logits, topk, page, request, status, count,
                                       counters);
  *busy = counters.busy;
  *starved = counters.starved;
  *waiting = counters.waiting;
  finish.write(counters.busy + counters.starved + counters.waiting);
}

}  // namespace loom

#endif
