// The 64-byte instruction and the check of a program against the kernel's limits (docs/kernel.md).
#ifndef TRITLOOM_INSTRUCTION_H
#define TRITLOOM_INSTRUCTION_H

#include "tritloom/control.h"

namespace loom {

constexpr unsigned INSTRUCTION_BEATS = 4;

enum Opcode { EMBED = 1, QUANTIZE = 2, LINEAR = 3, VECTOR = 4 };
enum TableFormat { TABLE_F32 = 0, TABLE_F16 = 1, TABLE_BF16 = 2 };
enum QuantizeFunction { NO_NORM = 0, ONE_NORM = 1, TWO_NORMS = 2, MEAN = 3, RANGE = 4, STATIC = 5 };
enum QuantizeFlag { NEW_STATS = 1, HAS_B = 2, FACTOR_ONLY = 4 };
enum Epilogue { STORE = 0, ADD = 1, SWIGLU = 2, HGRN = 3, LOGITS = 4 };
enum LinearFlag { HAS_ROW_SUMS = 1, HAS_ROW_SCALES = 2, HAS_BIAS = 4 };
enum VectorFunction {
  V_ADD = 0,
  V_SUB = 1,
  V_MUL = 2,
  V_DIV = 3,
  V_MAX = 4,
  V_MIN = 5,
  V_COPY = 16,
  V_SIGMOID = 17,
  V_SILU = 18,
  V_SQRT = 19,
  V_RELU = 20
};
enum VectorFlag { B_IMMEDIATE = 1, B_STREAM = 2, A_STATE = 4, DST_STATE = 8, B_FACTOR = 16 };

struct Instruction {
  uint32_t opcode, func, flags;
  uint32_t length, rows;
  uint32_t src0, src1, dst, state;
  uint32_t slot;
  float scale, eps0, eps1;
  uint32_t slices;
  float imm;
  int32_t zero, low, high;
};

inline Instruction decode_instruction(const Beat beats[INSTRUCTION_BEATS]) {
#pragma HLS INLINE
  Instruction op;
  const uint32_t head = beat_word(beats[0], 0);
  op.opcode = head & 255u;
  op.func = (head >> 8) & 255u;
  op.flags = head >> 16;
  op.length = beat_word(beats[0], 1);
  op.rows = beat_word(beats[0], 2);
  op.src0 = beat_word(beats[0], 3);
  op.src1 = beat_word(beats[1], 0);
  op.dst = beat_word(beats[1], 1);
  op.state = beat_word(beats[1], 2);
  op.slot = beat_word(beats[1], 3);
  op.scale = float_of(beat_word(beats[2], 0));
  op.eps0 = float_of(beat_word(beats[2], 1));
  op.eps1 = float_of(beat_word(beats[2], 2));
  op.slices = beat_word(beats[2], 3);
  op.imm = float_of(beat_word(beats[3], 0));
  op.zero = static_cast<int32_t>(beat_word(beats[3], 2));
  const uint32_t bounds = beat_word(beats[3], 3);
  op.low = static_cast<int16_t>(bounds & 0xffffu);
  op.high = static_cast<int16_t>(bounds >> 16);
  return op;
}

// What a program takes of memory, and the first thing wrong with it.
struct ProgramFacts {
  uint32_t status;
  uint32_t port_beats;  // beats of each port a pass
  uint32_t gain_words;  // words of LANES floats a pass
  uint32_t state_words;  // floats of state in use
  uint32_t token_limit;  // rows of the shortest embedding table
  bool single;  // updates a state outside hgrn: one position a pass only
};

inline ProgramFacts no_facts() {
  ProgramFacts facts;
  facts.status = STATUS_DONE;
  facts.port_beats = 0;
  facts.gain_words = 0;
  facts.state_words = 0;
  facts.token_limit = 0xffffffffu;
  facts.single = false;
  return facts;
}

// [address, address + length) inside a memory of `size` floats, on a 64-byte boundary.
inline bool fits(uint32_t address, uint32_t length, uint32_t size) {
#pragma HLS INLINE
  return address % 16 == 0 && address <= size && length <= size - address;
}

inline void note_state(ProgramFacts& facts, uint32_t end) {
#pragma HLS INLINE
  if (end > facts.state_words) facts.state_words = end;
}

template <class Config>
bool embed_fits(const Instruction& op) {
  return op.rows > 0 && fits(op.dst, op.length, Config::VECTOR_WORDS);
}

// Whether a quantiser takes gains: a word of each LANES elements, and one more for each of two
// norms whose factor it computes.
inline bool takes_gains(const Instruction& op) {
  return op.func <= TWO_NORMS && !(op.flags & FACTOR_ONLY);
}

inline bool quantize_known(const Instruction& op) {
  if (op.flags & FACTOR_ONLY)
    return op.flags == (FACTOR_ONLY | NEW_STATS) && (op.func == ONE_NORM || op.func == MEAN);
  if (op.func == RANGE || op.func == STATIC) return op.flags == 0;
  return op.func <= TWO_NORMS && op.flags <= (NEW_STATS | HAS_B);
}

template <class Config>
bool quantize_fits(const Instruction& op) {
  if (op.flags & FACTOR_ONLY) return fits(op.src0, op.length, Config::VECTOR_WORDS);
  const bool bounded =
      op.low >= -128 && op.low <= op.high && op.high <= 127 && op.zero >= -128 && op.zero <= 127;
  if (op.func == STATIC && !bounded) return false;
  const bool b_fits = !(op.flags & HAS_B) || fits(op.src1, op.length, Config::VECTOR_WORDS);
  return op.length <= Config::K_MAX && op.slot < Config::CODE_SLOTS && b_fits &&
         fits(op.src0, op.length, Config::VECTOR_WORDS);
}

template <class Config>
bool linear_fits(const Instruction& op) {
  if (op.length > Config::K_MAX || op.slices != words_for(op.length, SLICE_TRITS)) return false;
  if (op.slot >= Config::CODE_SLOTS || op.rows == 0 || op.rows > 0x7fffffffu) return false;
  if (op.func == LOGITS) return op.dst >= op.rows && op.dst % BEAT_WORDS == 0;
  if (op.func == SWIGLU) return op.rows % 2 == 0 && fits(op.dst, op.rows / 2, Config::VECTOR_WORDS);
  if (op.func == HGRN && !fits(op.state, op.rows, Config::STATE_WORDS)) return false;
  if (op.func != STORE && !fits(op.src0, op.rows, Config::VECTOR_WORDS)) return false;
  return fits(op.dst, op.rows, Config::VECTOR_WORDS);
}

// What the rows of a product have besides trits, in the order of their words.
enum RowConstant { ROW_SUM = 0, ROW_SCALE = 1, ROW_BIAS = 2, ROW_LOWER = 3 };
constexpr unsigned ROW_CONSTANTS = 4;

inline bool has_constant(const Instruction& op, unsigned kind) {
#pragma HLS INLINE
  return kind == ROW_LOWER ? op.func == HGRN : ((op.flags >> kind) & 1u) != 0;
}

inline bool takes_two(uint32_t func) { return func < V_COPY; }

constexpr uint32_t B_ELSEWHERE = B_IMMEDIATE | B_STREAM | B_FACTOR;  // not in vector memory

inline bool vector_known(const Instruction& op) {
  const uint32_t operand = op.flags & B_ELSEWHERE;
  if (op.flags > 31 || (operand & (operand - 1)) != 0) return false;
  return takes_two(op.func) ? op.func <= V_MIN : (op.func <= V_RELU && operand == 0);
}

template <class Config>
bool vector_fits(const Instruction& op) {
  const bool b_in_memory = takes_two(op.func) && !(op.flags & B_ELSEWHERE);
  if (b_in_memory && !fits(op.src1, op.length, Config::VECTOR_WORDS)) return false;
  if ((op.flags & (A_STATE | DST_STATE)) && !fits(op.state, op.length, Config::STATE_WORDS))
    return false;
  if (!(op.flags & A_STATE) && !fits(op.src0, op.length, Config::VECTOR_WORDS)) return false;
  return (op.flags & DST_STATE) || fits(op.dst, op.length, Config::VECTOR_WORDS);
}

// Adds one instruction to the facts.
template <class Config>
void check_instruction(const Instruction& op, ProgramFacts& facts) {
#pragma HLS INLINE off
  const uint32_t vector_words = words_for(op.length, Config::LANES);
  bool known = false;
  bool within = false;
  switch (op.opcode) {
    case EMBED:
      known = op.func <= TABLE_BF16 && op.flags == 0;
      within = embed_fits<Config>(op);
      if (op.rows < facts.token_limit) facts.token_limit = op.rows;
      break;
    case QUANTIZE: {
      const bool first_gain = op.func == TWO_NORMS && (op.flags & NEW_STATS);
      known = quantize_known(op);
      within = quantize_fits<Config>(op);
      if (takes_gains(op)) facts.gain_words += first_gain ? 2 * vector_words : vector_words;
      break;
    }
    case LINEAR:
      known = op.func <= LOGITS && op.flags <= (HAS_ROW_SUMS | HAS_ROW_SCALES | HAS_BIAS);
      within = linear_fits<Config>(op);
      facts.port_beats += words_for(op.rows, Config::SLICES) * op.slices;
      for (unsigned kind = 0; kind < ROW_CONSTANTS; ++kind) {
        if (has_constant(op, kind)) facts.gain_words += words_for(op.rows, Config::LANES);
      }
      if (op.func == HGRN) note_state(facts, op.state + op.rows);
      break;
    case VECTOR:
      known = vector_known(op);
      within = vector_fits<Config>(op);
      if (op.flags & B_STREAM) facts.gain_words += vector_words;
      if (op.flags & (A_STATE | DST_STATE)) {
        facts.single = true;
        note_state(facts, op.state + op.length);
      }
      break;
    default: break;
  }
  if (facts.status == STATUS_DONE && !known) facts.status = STATUS_OPCODE;
  if (facts.status == STATUS_DONE && !(within && op.length > 0)) facts.status = STATUS_LIMIT;
}

}  // namespace loom

#endif
