// window: sliding windows over the rows of an image; also the windows of a pooling, and of a 1-D
// convolution, whose positions are rows of width 1.
//
// Rows enter a ring. While the words of output row r leave it, the rows that output row r + 1 needs
// beyond those that are there come in, a word beside a word where there is one; during a frame's
// last row, the frame's unused rest and the first rows of the next frame. Rows that no window needs
// are dropped.
#ifndef TRITLOOM_FLOW_WINDOW_H
#define TRITLOOM_FLOW_WINDOW_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/word.h"

namespace loom {

// --- the shape
// ------------------------------------------------------------------------------------------------

constexpr unsigned clamp_row(int row, int height) {
  return static_cast<unsigned>(row < 0 ? 0 : (row > height ? height : row));
}

// Rows that a window spans.
template <class L>
constexpr int window_span() {
  return static_cast<int>((L::KERNEL_H - 1) * L::DILATION_H + 1);
}

// Input row at which output row `row` begins: above 0 in the padding, beyond HEIGHT below it.
template <class L>
constexpr int window_top(unsigned row) {
  return static_cast<int>(row * L::STRIDE_H) - static_cast<int>(L::PAD_TOP);
}

// Output row `row` needs the input rows from window_first to window_end - 1.
template <class L>
constexpr unsigned window_first(unsigned row) {
  return clamp_row(window_top<L>(row), L::HEIGHT);
}
template <class L>
constexpr unsigned window_end(unsigned row) {
  return clamp_row(window_top<L>(row) + window_span<L>(), L::HEIGHT);
}

// Rows kept at once: those of an output row and those that come in meanwhile.
template <class L>
constexpr unsigned window_ring() {
  unsigned largest = window_end<L>(L::OUT_HEIGHT - 1) - window_first<L>(L::OUT_HEIGHT - 1) +
                     window_end<L>(0);
  for (unsigned row = 0; row + 1 < L::OUT_HEIGHT; ++row) {
    const unsigned end = window_end<L>(row);
    const unsigned next = window_first<L>(row + 1);
    const unsigned kept = window_end<L>(row + 1) - (next > end ? next : end);
    const unsigned rows = end - window_first<L>(row) + kept;
    if (rows > largest) largest = rows;
  }
  return largest > 0 ? largest : 1;
}

template <class L>
struct WindowShape {
  static_assert(L::CHANNELS % L::LANES == 0, "whole folds");
  static constexpr unsigned FOLDS = L::CHANNELS / L::LANES;
  static constexpr unsigned ROW_WORDS = L::WIDTH * FOLDS;
  static constexpr unsigned RING = window_ring<L>();
  static constexpr int SPAN = window_span<L>();
  static constexpr int SPAN_W = static_cast<int>((L::KERNEL_W - 1) * L::DILATION_W + 1);
  static_assert((L::OUT_HEIGHT - 1) * L::STRIDE_H + SPAN <= L::HEIGHT + L::PAD_TOP + L::PAD_BOTTOM,
                "the last window ends in the padded image");
  static_assert((L::OUT_WIDTH - 1) * L::STRIDE_W + SPAN_W <= L::WIDTH + L::PAD_LEFT + L::PAD_RIGHT,
                "the last window ends in the padded image");
};

// --- row by row
// -----------------------------------------------------------------------------------------------

// One output row, and what comes in meanwhile.
struct WindowRow {
  uint32_t frame;
  bool emits;  // false before the first row, where rows only come in
  unsigned row;
  int top;  // input row at which its windows begin
  unsigned dropped, stored;  // rows that come in: first those that nobody needs
  unsigned freed;  // rows of the ring that it is the last to need
};

template <class L>
WindowRow first_row() {
#pragma HLS INLINE
  return WindowRow{0, false, 0, 0, 0, window_end<L>(0), 0};
}

template <class L>
WindowRow row_after(const WindowRow& before, uint32_t frames) {
#pragma HLS INLINE
  constexpr int HEIGHT = L::HEIGHT;
  const bool wraps = before.emits && before.row == L::OUT_HEIGHT - 1;
  WindowRow row;
  row.emits = true;
  row.frame = before.frame + (wraps ? 1 : 0);
  row.row = wraps || !before.emits ? 0 : before.row + 1;
  row.top = row.row == 0 ? -static_cast<int>(L::PAD_TOP)
                         : before.top + static_cast<int>(L::STRIDE_H);
  const bool last = row.row == L::OUT_HEIGHT - 1;
  const int next_top = row.top + static_cast<int>(L::STRIDE_H);
  const unsigned first = clamp_row(row.top, HEIGHT);
  const unsigned end = clamp_row(row.top + window_span<L>(), HEIGHT);
  const unsigned next_first = last ? L::HEIGHT : clamp_row(next_top, HEIGHT);
  const unsigned next_end = last ? L::HEIGHT : clamp_row(next_top + window_span<L>(), HEIGHT);
  const bool next_frame = last && row.frame + 1 < frames;
  row.dropped = next_first > end ? next_first - end : 0;
  row.stored = next_end - (next_first > end ? next_first : end);
  if (next_frame) row.stored = window_end<L>(0);
  row.freed = (next_first > end ? end : next_first) - first;
  return row;
}

// --- word by word
// ---------------------------------------------------------------------------------------------

template <class L>
struct WindowTap {
  Counter<WindowShape<L>::FOLDS> fold;
  Counter<L::KERNEL_H> ky;
  Counter<L::KERNEL_W> kx;
  Counter<L::OUT_WIDTH> x;
};

// True when it was the row's last.
template <class L>
bool next_tap(WindowTap<L>& tap) {
#pragma HLS INLINE
  constexpr unsigned FOLDS = WindowShape<L>::FOLDS;
  bool carry = true;
  if (!L::CHANNELS_FIRST) carry = step<FOLDS>(tap.fold, carry);
  carry = step<L::KERNEL_W>(tap.kx, carry);
  carry = step<L::KERNEL_H>(tap.ky, carry);
  if (L::CHANNELS_FIRST) carry = step<FOLDS>(tap.fold, carry);
  return step<L::OUT_WIDTH>(tap.x, carry);
}

constexpr unsigned wrapped(unsigned slot, unsigned size) { return slot < size ? slot : slot - size; }

// The word under a tap. `base` is the slot of the first row that is needed.
template <class L>
Word<typename L::In, L::LANES> word_under(
    const WindowTap<L>& tap, const WindowRow& row, unsigned base,
    const Word<typename L::In, L::LANES> (
        &ring)[WindowShape<L>::RING * WindowShape<L>::ROW_WORDS]) {
#pragma HLS INLINE
  typedef WindowShape<L> Shape;
  const int y = row.top + static_cast<int>(static_cast<unsigned>(tap.ky) * L::DILATION_H);
  const int x = static_cast<int>(static_cast<unsigned>(tap.x) * L::STRIDE_W +
                                 static_cast<unsigned>(tap.kx) * L::DILATION_W) -
                static_cast<int>(L::PAD_LEFT);
  const bool inside = y >= 0 && y < static_cast<int>(L::HEIGHT) && x >= 0 &&
                      x < static_cast<int>(L::WIDTH);
  const unsigned below = static_cast<unsigned>(y) - clamp_row(row.top, L::HEIGHT);
  const unsigned slot = wrapped(base + below, Shape::RING);
  const unsigned address = slot * Shape::ROW_WORDS + static_cast<unsigned>(x) * Shape::FOLDS +
                           static_cast<unsigned>(tap.fold);
#pragma HLS BIND_OP variable = address op = mul impl = fabric
  Word<typename L::In, L::LANES> word;
  if (inside) {
    word = ring[address];
  } else {
    for (unsigned lane = 0; lane < L::LANES; ++lane) {
#pragma HLS UNROLL
      word.lane[lane] = typename L::In::type(L::PAD_CODE);
    }
  }
  return word;
}

// Where the rows that come in stand.
template <class L>
struct WindowFill {
  unsigned row;  // of those of the present output row
  Counter<WindowShape<L>::ROW_WORDS> word;
  Counter<WindowShape<L>::RING> slot;
};

// A word that comes in. The row that leaves does not wait for it, so that the stage in front may take
// its time over the whole row. In the fast build it waits: there the initiations are counted, and
// those without stalls are wanted.
template <class Element>
bool comes_in(hls::stream<Element>& in, bool emitting, Element& word) {
#pragma HLS INLINE
#if defined(__SYNTHESIS__)
  (void)emitting;
  return in.read_nb(word);
#elif TRITLOOM_STREAM_BYTES > 0
  (void)emitting;
  word = in.read();
  return true;
#else
  if (emitting && in.size() == 0) return false;
  word = in.read();
  return true;
#endif
}

template <class L>
void window(hls::stream<Word<typename L::In, L::LANES>>& in,
            hls::stream<Word<typename L::In, L::LANES>>& out, uint32_t frames) {
  typedef WindowShape<L> Shape;
  Word<typename L::In, L::LANES> ring[Shape::RING * Shape::ROW_WORDS];
#pragma HLS AGGREGATE variable = ring compact = bit
#pragma HLS BIND_STORAGE variable = ring type = ram_s2p
  WindowTap<L> tap = {0, 0, 0, 0};
  WindowFill<L> fill = {0, 0, 0};
  unsigned base = 0;
  WindowRow row = first_row<L>();
  WindowRow next = row_after<L>(row, frames);
  if (row.stored == 0) {
    row = next;
    next = row_after<L>(row, frames);
  }
  bool emitting = row.emits;
  Initiations<L> initiation;
  while (row.frame < frames) {
#pragma HLS LOOP_TRIPCOUNT min = 1000 max = 1000000
#pragma HLS PIPELINE II = 1
    initiation.begin();
    // A word leaves at the earliest one initiation after it was stored, which a memory with a port
    // for each direction gives.
    if (emitting) {
      out.write(word_under<L>(tap, row, base, ring));
      emitting = !next_tap<L>(tap);
    }
    Word<typename L::In, L::LANES> word;
    if (fill.row < row.dropped + row.stored && comes_in(in, emitting, word)) {
      const bool stores = fill.row >= row.dropped;
      if (stores) {
        ring[static_cast<unsigned>(fill.slot) * Shape::ROW_WORDS +
             static_cast<unsigned>(fill.word)] = word;
      }
      const bool row_read = step<Shape::ROW_WORDS>(fill.word, true);
      if (row_read) ++fill.row;
      step<Shape::RING>(fill.slot, row_read && stores);
    }
    if (!emitting && fill.row == row.dropped + row.stored) {
      base = wrapped(base + row.freed, Shape::RING);
      row = next;
      next = row_after<L>(row, frames);
      emitting = true;
      fill.row = 0;
    }
  }
}

}  // namespace loom

#endif
