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
  unsigned largest =
      window_end<L>(L::OUT_HEIGHT - 1) - window_first<L>(L::OUT_HEIGHT - 1) + window_end<L>(0);
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
  static_assert(FOLDS % L::GROUPS == 0, "whole groups");
  static constexpr unsigned GROUP_FOLDS = FOLDS / L::GROUPS;
  static constexpr unsigned ROW_WORDS = L::WIDTH * FOLDS;
  static constexpr unsigned RING = window_ring<L>();
  static constexpr int SPAN = window_span<L>();
  static constexpr int SPAN_W = static_cast<int>((L::KERNEL_W - 1) * L::DILATION_W + 1);
  static constexpr unsigned BOTTOM = L::HEIGHT + L::PAD_TOP + L::PAD_BOTTOM;
  static constexpr unsigned RIGHT = L::WIDTH + L::PAD_LEFT + L::PAD_RIGHT;
  static_assert((L::OUT_HEIGHT - 1) * L::STRIDE_H + SPAN <= BOTTOM,
                "the last window ends in the padded image");
  static_assert((L::OUT_WIDTH - 1) * L::STRIDE_W + SPAN_W <= RIGHT,
                "the last window ends in the padded image");
  // Rows and columns of the padded image, one stride beyond it included; counts of rows that come
  // in.
  typedef typename Int<1 + bits_for(BOTTOM + L::STRIDE_H + SPAN), true>::type Row;
  typedef typename Int<1 + bits_for(RIGHT), true>::type Column;
  typedef Counter<2 * L::HEIGHT + 1> Rows;
};

// --- row by row
// -----------------------------------------------------------------------------------------------

// One output row, and what comes in meanwhile.
template <class L>
struct WindowRow {
  uint32_t frame;
  bool emits;  // false before the first row, where rows only come in
  Counter<L::OUT_HEIGHT> row;
  typename WindowShape<L>::Row top;  // input row at which its windows begin
  typename WindowShape<L>::Rows dropped,
      stored;  // rows that come in: first those that nobody needs
  typename WindowShape<L>::Rows freed;  // rows of the ring that it is the last to need
};

template <class L>
WindowRow<L> first_row() {
#pragma HLS INLINE
  WindowRow<L> row;
  row.frame = 0;
  row.emits = false;
  row.row = 0;
  row.top = 0;
  row.dropped = 0;
  row.stored = window_end<L>(0);
  row.freed = 0;
  return row;
}

template <class L>
WindowRow<L> row_after(const WindowRow<L>& before, uint32_t frames) {
#pragma HLS INLINE
  constexpr int HEIGHT = L::HEIGHT;
  constexpr int STRIDE = L::STRIDE_H;
  constexpr int SPAN = window_span<L>();
  const bool wraps = before.emits && before.row == L::OUT_HEIGHT - 1;
  const bool top_row = wraps || !before.emits;
  const unsigned index = top_row ? 0 : static_cast<unsigned>(before.row) + 1;
  const int top = top_row ? -static_cast<int>(L::PAD_TOP) : static_cast<int>(before.top) + STRIDE;
  const bool last = index == L::OUT_HEIGHT - 1;
  const unsigned first = clamp_row(top, HEIGHT);
  const unsigned end = clamp_row(top + SPAN, HEIGHT);
  const unsigned next_first = last ? HEIGHT : clamp_row(top + STRIDE, HEIGHT);
  const unsigned next_end = last ? HEIGHT : clamp_row(top + STRIDE + SPAN, HEIGHT);
  const bool gap = next_first > end;

  WindowRow<L> row;
  row.frame = before.frame + (wraps ? 1 : 0);
  row.emits = true;
  row.row = index;
  row.top = top;
  row.dropped = gap ? next_first - end : 0;
  row.stored = next_end - (gap ? next_first : end);
  if (last && row.frame + 1 < frames) row.stored = window_end<L>(0);
  row.freed = (gap ? end : next_first) - first;
  return row;
}

// --- word by word
// ---------------------------------------------------------------------------------------------

// The windows of a pixel come group by group, each with all its taps.
template <class L>
struct WindowTap {
  Counter<WindowShape<L>::GROUP_FOLDS> fold;
  Counter<L::KERNEL_W> kx;
  Counter<L::KERNEL_H> ky;
  Counter<L::GROUPS> group;
  Counter<L::OUT_WIDTH> x;
};

// True when it was the row's last.
template <class L>
bool next_tap(WindowTap<L>& tap) {
#pragma HLS INLINE
  bool carry = step<WindowShape<L>::GROUP_FOLDS>(tap.fold, true);
  carry = step<L::KERNEL_W>(tap.kx, carry);
  carry = step<L::KERNEL_H>(tap.ky, carry);
  carry = step<L::GROUPS>(tap.group, carry);
  return step<L::OUT_WIDTH>(tap.x, carry);
}

constexpr unsigned wrapped(unsigned slot, unsigned size) {
  return slot < size ? slot : slot - size;
}

template <class L>
using WindowRing = Word<typename L::In, L::LANES>[WindowShape<L>::RING * WindowShape<L>::ROW_WORDS];

// The word under a tap. `base` is the slot of the first row that is needed.
template <class L>
Word<typename L::In, L::LANES> word_under(const WindowTap<L>& tap, const WindowRow<L>& row,
                                          unsigned base, const WindowRing<L>& ring) {
#pragma HLS INLINE
  typedef WindowShape<L> Shape;
  const typename Shape::Row y(static_cast<int>(row.top) +
                              static_cast<int>(static_cast<unsigned>(tap.ky) * L::DILATION_H));
  const typename Shape::Column x(static_cast<int>(static_cast<unsigned>(tap.x) * L::STRIDE_W +
                                                  static_cast<unsigned>(tap.kx) * L::DILATION_W) -
                                 static_cast<int>(L::PAD_LEFT));
  const bool inside =
      y >= 0 && y < static_cast<int>(L::HEIGHT) && x >= 0 && x < static_cast<int>(L::WIDTH);
  Word<typename L::In, L::LANES> word;
#pragma HLS ARRAY_PARTITION variable = word.lane complete
  if (inside) {
    const unsigned below =
        static_cast<unsigned>(y) - clamp_row(static_cast<int>(row.top), L::HEIGHT);
    const unsigned slot = wrapped(base + below, Shape::RING);
    const unsigned fold =
        static_cast<unsigned>(tap.group) * Shape::GROUP_FOLDS + static_cast<unsigned>(tap.fold);
    const Counter<Shape::RING * Shape::ROW_WORDS> address(
        slot * Shape::ROW_WORDS + static_cast<unsigned>(x) * Shape::FOLDS + fold);
#pragma HLS BIND_OP variable = address op = mul impl = fabric
    word = ring[static_cast<unsigned>(address)];
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
  typename WindowShape<L>::Rows row;  // of those of the present output row
  Counter<WindowShape<L>::ROW_WORDS> word;
  Counter<WindowShape<L>::RING * WindowShape<L>::ROW_WORDS> address;
};

// A word that comes in. The row that leaves does not wait for it, so that the stage in front may
// take its time over the whole row. The bounded build takes it as late as the hardware may: behind
// the row. In the fast build the row waits: there the initiations are counted, and those without
// stalls are wanted.
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
  if (emitting) return false;
  word = in.read();
  return true;
#endif
}

template <class L>
void window(hls::stream<Word<typename L::In, L::LANES>>& in,
            hls::stream<Word<typename L::In, L::LANES>>& out, uint32_t frames) {
  typedef WindowShape<L> Shape;
  TRITLOOM_MEMORY(WindowRing<L>, ring);
#pragma HLS AGGREGATE variable = ring compact = bit
#pragma HLS BIND_STORAGE variable = ring type = ram_s2p
  WindowTap<L> tap = {0, 0, 0, 0, 0};
  WindowFill<L> fill = {0, 0, 0};
  Counter<Shape::RING> base = 0;
  WindowRow<L> row = first_row<L>();
  WindowRow<L> next = row_after<L>(row, frames);
  if (row.stored == 0) {
    row = next;
    next = row_after<L>(row, frames);
  }
  bool emitting = row.emits;
  Initiations<L> initiation;
  while (row.frame < frames) {
#pragma HLS LOOP_TRIPCOUNT min = 1000 max = 1000000
#pragma HLS PIPELINE II = 1 style = flp
    initiation.begin();
    // A word leaves at the earliest one initiation after it was stored, which a memory with a port
    // for each direction gives.
    if (emitting) {
      out.write(word_under<L>(tap, row, static_cast<unsigned>(base), ring));
      emitting = !next_tap<L>(tap);
    }
    const unsigned coming = static_cast<unsigned>(row.dropped) + static_cast<unsigned>(row.stored);
    Word<typename L::In, L::LANES> word;
#pragma HLS ARRAY_PARTITION variable = word.lane complete
    if (fill.row < coming && comes_in(in, emitting, word)) {
      if (fill.row >= row.dropped) {
        ring[static_cast<unsigned>(fill.address)] = word;
        step<Shape::RING * Shape::ROW_WORDS>(fill.address, true);
      }
      if (step<Shape::ROW_WORDS>(fill.word, true)) fill.row = static_cast<unsigned>(fill.row) + 1;
    }
    if (!emitting && fill.row == coming) {
      const unsigned freed = static_cast<unsigned>(row.freed);
      base = wrapped(static_cast<unsigned>(base) + freed, Shape::RING);
      row = next;
      next = row_after<L>(row, frames);
      emitting = true;
      fill.row = 0;
    }
  }
}

}  // namespace loom

#endif
