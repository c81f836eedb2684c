/* A stand-in for the engine with the same C interface (docs/kernel.md): state += f(token), logits = g(state).
 *
 * The embedding row of token t holds float(t) in word 0; tokens 60 to 63 misbehave, see below. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VOCAB = 64, STRIDE = 64, WORDS = 20, DEADLOCK = 60, STALL = 61, STUCK = 62, BIG_STATUS = 63 };

struct tritloom_call {
  const void *port[32];
  const void *gains, *program, *embedding;
  void *state;
  const void *tokens;
  void *tokens_out, *logits, *topk, *ctl;
  uint32_t mode, T, B, N, stop_token, instructions, port_beats, gain_beats;
  uint32_t status, count;
  uint64_t cycles, busy, starved, waiting;
  void (*trace)(void *user, uint32_t pass, uint32_t instruction, uint32_t position, const char *what,
                const void *data, uint32_t count);
  void *user;
};

static int flush_wanted;

static uint32_t argmax(const float *row) {
  uint32_t best = 0;
  for (uint32_t v = 1; v < VOCAB; ++v) {
    if (row[v] > row[best]) best = v;
  }
  return best;
}

static void feed(const struct tritloom_call *call, float *state, uint32_t token, float *row) {
  const float x = *(const float *)((const char *)call->embedding + 16 * token);
  const uint8_t weight = *(const uint8_t *)call->port[0];
  const float gain = *(const float *)call->gains;
  for (uint32_t i = 0; i < WORDS; ++i) {
    state[i] = state[i] * 0.25f + (float)(((uint32_t)x * (uint32_t)x * (i + 3) + weight * i) % 17) * gain;
  }
  for (uint32_t v = 0; v < VOCAB; ++v) {
    float sum = 0;
    for (uint32_t i = 0; i < WORDS; ++i) sum += state[i] * (float)((int)((v * 7 + i * 3 + v * v * i) % 11) - 5);
    row[v] = v < 60 ? sum : -1e9f;
  }
}

int tritloom_emulate(struct tritloom_call *call) {
  float state[WORDS], row[STRIDE];
  volatile uint32_t *ctl = call->ctl;
  const uint32_t *tokens = call->tokens;
  if (getenv("FAKE_KERNEL_MICROSECONDS")) usleep((unsigned)atoi(getenv("FAKE_KERNEL_MICROSECONDS")));
  call->status = call->count = 0;
  call->cycles = call->busy = call->starved = call->waiting = 0;
  if (call->T == 0 || call->B == 0) {
    call->status = 4;
    return 0;
  }
  memcpy(state, call->state, sizeof state);
  volatile uint32_t *progress = ctl + 512; /* {done, stopping, last, 0}; passes of B positions of the prompt, then of 1 */
  const uint32_t prompt_passes = (call->T + call->B - 1) / call->B;
  const uint32_t positions = call->T + ((call->mode & 1) && call->N ? call->N - 1 : 0);
  uint32_t token = 0;
  for (uint32_t p = 0; p < positions; ++p) {
    if (p < call->T) token = tokens[p];
    if (token >= VOCAB || token == BIG_STATUS) {
      memcpy(call->state, state, sizeof state);
      call->status = token == BIG_STATUS ? 77 : 3;
      progress[1] = 1;
      return 0;
    }
    if (token == DEADLOCK) return 1;
    while (token == STALL && !ctl[0]) usleep(1000);
    while (token == STUCK) usleep(10000);
    feed(call, state, token, row);
    if (call->mode & 4) memcpy((float *)call->logits + (size_t)p * STRIDE, row, sizeof row);
    if (call->trace) {
      const int8_t code = (int8_t)token;
      call->trace(call->user, p, 0, p, "codes", &code, 1);
      call->trace(call->user, p, 0, p, "state", state, WORDS);
    }
    progress[0] = p < call->T ? (p + call->B) / call->B : prompt_passes + p + 1 - call->T;
    call->cycles += 1000;
    call->busy += 900;
    if ((call->mode & 1) && call->N && p + 1 >= call->T) {
      token = argmax(row);
      ((uint32_t *)call->tokens_out)[call->count++] = token;
      if ((call->mode & 8) && token == call->stop_token) break;
    }
    if (ctl[0]) break;
  }
  progress[1] = 1;
  if ((call->mode & 6) == 2) memcpy(call->logits, row, sizeof row);
  memcpy(call->state, state, sizeof state);
  call->waiting = flush_wanted;
  return 0;
}

const char *tritloom_emulate_error(void) { return "process `engine` waits for stream `codes`"; }

int tritloom_set_flush(int on) {
  flush_wanted = on;
  return 1;
}
