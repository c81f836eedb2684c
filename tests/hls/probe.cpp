// Single kernels as C functions. The integer and stream headers come from the include path: ours or AMD's.
#include <string.h>

#include "tritloom/embed.h"
#include "tritloom/linear.h"
#include "tritloom/quantize.h"
#include "tritloom/vector.h"

struct Config {
  static constexpr unsigned PORTS = 2, PORT_BITS = 128, SLICES = 2, BATCH = 3, LANES = PROBE_LANES;
  static constexpr unsigned K_MAX = 240, CODE_SLOTS = 3, VECTOR_WORDS = 1024, STATE_WORDS = 256;
  static constexpr unsigned PROGRAM_MAX = 8, TOPK = 4, PORT_FIFO = 8, GAIN_FIFO = 8, GROUP_FIFO = 4;
  static constexpr unsigned U_FIFO = BATCH * ((K_MAX + LANES - 1) / LANES);
  static constexpr int GATE_II = 1, HEAD_II = 1;
};
typedef loom::StreamSource<Config> Source;

extern "C" {

void probe_round(const float* x, int32_t* y, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) y[i] = loom::round_half_even(x[i]);
}
void probe_exp_neg(const float* x, float* y, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) y[i] = loom::exp_neg(x[i]);
}
void probe_sigmoid(const float* x, float* y, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) y[i] = loom::sigmoid(x[i]);
}
void probe_silu(const float* x, float* y, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) y[i] = loom::silu(x[i]);
}
void probe_flush(const float* x, float* y, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) y[i] = loom::flush_state(x[i]);
}
void probe_widen(const uint16_t* x, float* f16, float* bf16, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) {
    f16[i] = loom::widen_f16(x[i]);
    bf16[i] = loom::widen_bf16(x[i]);
  }
}

void probe_decode(const uint8_t* slice, int8_t* hardware, int8_t* host) {
  ap_uint<128> word = 0;
  for (int i = 0; i < 16; ++i) word.range(8 * i + 7, 8 * i) = slice[i];
  loom::Trit trits[80];
  loom::decode_slice(word, trits);
  for (int i = 0; i < 80; ++i) {
    hardware[i] = static_cast<int8_t>(trits[i].nonzero ? (trits[i].negative ? -1 : 1) : (trits[i].negative ? 99 : 0));
  }
  loom::decode_slice(slice, host);
}

void probe_dot(const int8_t* weights, const int8_t* codes, int32_t acc, int32_t* hardware, int32_t* host) {
  loom::Trit trits[80];
  for (int i = 0; i < 80; ++i) {
    trits[i].nonzero = weights[i] != 0;
    trits[i].negative = weights[i] < 0;
  }
  *hardware = loom::dot_slice(trits, codes, acc);
  *host = loom::dot_slice(weights, codes, acc);
}

float probe_sum128(const float* values, uint32_t n) {
  loom::PartialSums<Config::LANES> sums = {};
  loom::clear_sums<Config::LANES>(sums);
  for (uint32_t i = 0; i < n; ++i) {
    float& part = sums[i / Config::LANES % (128 / Config::LANES)][i % Config::LANES];
    part = part + values[i];
  }
  return loom::total_of<Config::LANES>(sums);
}

void probe_top(const float* values, uint32_t n, uint32_t* index, float* value) {
  loom::TopList<Config::TOPK> list;
  loom::clear_list(list);
  for (uint32_t i = 0; i < n; ++i) loom::insert(list, i, values[i]);
  memcpy(index, list.index, sizeof list.index);
  memcpy(value, list.value, sizeof list.value);
}

// quantize with two norms and a second operand: `active` vectors a, b of n floats; codes of slot 1.
void probe_quantize(const float* a, const float* b, const float* w1, const float* w2, uint32_t n, uint32_t active,
                    float eps0, float eps1, int8_t* codes_out, float* scale_out) {
  static loom::VectorMemory<Config> vector;
  static loom::CodeMemory<Config> codes;
  loom::ScaleMemory<Config> scales;
  float factor[Config::BATCH];
  Source::Gains gains("gains");
  loom::Instruction op = loom::Instruction();
  op.opcode = loom::QUANTIZE;
  op.func = loom::TWO_NORMS;
  op.flags = loom::NEW_STATS | loom::HAS_B;
  op.length = n;
  op.src1 = 512;
  op.slot = 1;
  op.eps0 = eps0;
  op.eps1 = eps1;
  for (uint32_t p = 0; p < active; ++p) {
    memcpy(&vector[p][0][0], a + p * n, 4 * n);
    memcpy(&vector[p][512 / Config::LANES][0], b + p * n, 4 * n);
  }
  for (uint32_t i = 0; i < n; i += Config::LANES) {
    loom::FloatWord<Config::LANES> first, second;
    for (uint32_t lane = 0; lane < Config::LANES; ++lane) {
      first.lane[lane] = i + lane < n ? w1[i + lane] : 0.0f;
      second.lane[lane] = i + lane < n ? w2[i + lane] : 0.0f;
    }
    gains.write(first);
    gains.write(second);
  }
  loom::quantize<Config, Source>(op, active, vector, gains, factor, codes, scales);
  for (uint32_t p = 0; p < active; ++p) {
    memcpy(codes_out + p * n, &codes[p][loom::code_words<Config>()][0][0], n);
    scale_out[p] = scales[1][p].scale;
  }
}

// Quantisers without gains, and reductions: `active` vectors a of n floats; codes, scale and zero of slot 1, the factor.
void probe_statistics(const float* a, uint32_t n, uint32_t active, uint32_t func, uint32_t flags, float scale,
                      float eps0, int32_t zero, int32_t low, int32_t high, int8_t* codes_out, float* scale_out,
                      int32_t* zero_out, float* factor_out) {
  static loom::VectorMemory<Config> vector;
  static loom::CodeMemory<Config> codes;
  loom::ScaleMemory<Config> scales = {};
  float factor[Config::BATCH] = {};
  Source::Gains gains("gains");
  loom::Instruction op = loom::Instruction();
  op.opcode = loom::QUANTIZE;
  op.func = func;
  op.flags = flags;
  op.length = n;
  op.slot = 1;
  op.scale = scale;
  op.eps0 = eps0;
  op.zero = zero;
  op.low = low;
  op.high = high;
  for (uint32_t p = 0; p < active; ++p) memcpy(&vector[p][0][0], a + p * n, 4 * n);
  loom::quantize<Config, Source>(op, active, vector, gains, factor, codes, scales);
  for (uint32_t p = 0; p < active; ++p) {
    memcpy(codes_out + p * n, &codes[p][loom::code_words<Config>()][0][0], n);
    scale_out[p] = scales[1][p].scale;
    zero_out[p] = scales[1][p].zero;
    factor_out[p] = factor[p];
  }
}

// linear with the hgrn epilogue: two port images of `beats` beats, codes and scale of slot 0 for each position.
void probe_hgrn(const uint8_t* port0, const uint8_t* port1, uint32_t beats, const int8_t* code_values,
                const float* scale_values, uint32_t k, uint32_t rows, uint32_t active, float scale,
                const float* inputs, const float* lower, float* state_values, float* out) {
  static loom::VectorMemory<Config> vector;
  static loom::CodeMemory<Config> codes;
  static loom::StateMemory<Config> state;
  loom::ScaleMemory<Config> scales;
  loom::TopList<Config::TOPK> top;
  Source::Weights weights;
  Source::Gains gains("gains");
  for (uint32_t beat = 0; beat < beats; ++beat) {
    for (int port = 0; port < 2; ++port) {
      ap_uint<128> word = 0;
      for (int i = 0; i < 16; ++i) word.range(8 * i + 7, 8 * i) = (port ? port1 : port0)[16 * beat + i];
      weights[port].write(word);
    }
  }
  for (uint32_t i = 0; i < rows; i += Config::LANES) {
    loom::FloatWord<Config::LANES> word;
    for (uint32_t lane = 0; lane < Config::LANES; ++lane) word.lane[lane] = i + lane < rows ? lower[i + lane] : 0.0f;
    gains.write(word);
  }
  for (uint32_t p = 0; p < active; ++p) {
    memcpy(&codes[p][0][0][0], code_values + p * k, k);
    memcpy(&vector[p][0][0], inputs + p * rows, 4 * rows);
    scales[0][p].scale = scale_values[p];
    scales[0][p].zero = 0;
  }
  memcpy(&state[4][0], state_values, 4 * rows);
  loom::Instruction op = loom::Instruction();
  op.opcode = loom::LINEAR;
  op.func = loom::HGRN;
  op.length = k;
  op.rows = rows;
  op.dst = 512;
  op.state = 16;
  op.scale = scale;
  op.slices = (k + 79) / 80;
  const loom::LogitRows none = {false, false, 0};
  loom::Activity activity;
  loom::linear<Config, Source>(op, active, none, weights, gains, codes, scales, vector, state, nullptr, top, activity);
  memcpy(state_values, &state[4][0], 4 * rows);
  for (uint32_t p = 0; p < active; ++p) memcpy(out + p * rows, &vector[p][512 / Config::LANES][0], 4 * rows);
}

}
