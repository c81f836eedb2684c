// The TOPK largest logits of one position: larger value first, then lower index. Entry 0 is the
// argmax.
#ifndef TRITLOOM_TOPK_H
#define TRITLOOM_TOPK_H

#include "tritloom/rounding.h"

namespace loom {

constexpr uint32_t NO_INDEX = 0xffffffffu;

template <unsigned TOPK>
struct TopList {
  uint32_t key[TOPK];  // order_key of the value
  uint32_t index[TOPK];
  float value[TOPK];
};

// Unsigned integers in the order of the floats; -0 and +0 are one value.
inline uint32_t order_key(float value) {
#pragma HLS INLINE
  const uint32_t bits = bits_of(value);
  if (magnitude(value) == 0) return SIGN_BIT;
  return (bits & SIGN_BIT) ? ~bits : (bits | SIGN_BIT);
}

template <unsigned TOPK>
void clear_list(TopList<TOPK>& list) {
#pragma HLS INLINE
  for (unsigned i = 0; i < TOPK; ++i) {
#pragma HLS UNROLL
    list.key[i] = 0;
    list.index[i] = NO_INDEX;
    list.value[i] = float_of(0xff800000u);  // -infinity
  }
}

// Indices come in ascending order, so that an equal value stays behind. All entries compare at
// once; those below the newcomer move down by one.
template <unsigned TOPK>
void insert(TopList<TOPK>& list, uint32_t index, float value) {
#pragma HLS INLINE
  const uint32_t key = order_key(value);
  if (key > list.key[TOPK - 1]) {
    for (unsigned i = TOPK - 1; i > 0; --i) {
#pragma HLS UNROLL
      const bool moves = key > list.key[i - 1];
      const bool lands = !moves && key > list.key[i];
      if (moves) {
        list.key[i] = list.key[i - 1];
        list.index[i] = list.index[i - 1];
        list.value[i] = list.value[i - 1];
      } else if (lands) {
        list.key[i] = key;
        list.index[i] = index;
        list.value[i] = value;
      }
    }
    if (key > list.key[0]) {
      list.key[0] = key;
      list.index[0] = index;
      list.value[0] = value;
    }
  }
}

}  // namespace loom

#endif
