// mvau: matrix-vector unit of a dense layer or a convolution, PE rows by SIMD columns an
// initiation.
#ifndef TRITLOOM_FLOW_MVAU_H
#define TRITLOOM_FLOW_MVAU_H

#include <hls_stream.h>

#include "tritloom/flow/initiation.h"
#include "tritloom/flow/trits.h"

namespace loom {

// L: INPUTS and OUTPUTS of a group, GROUPS, PE, SIMD, VECTORS of a frame. With several groups the
// vectors come group by group; group g has rows g * OUTPUTS to (g + 1) * OUTPUTS - 1.
template <class L>
struct MvauShape {
  static_assert(L::INPUTS % L::SIMD == 0 && L::OUTPUTS % L::PE == 0, "whole folds");
  static_assert(L::VECTORS % L::GROUPS == 0, "vectors of all groups");
  static_assert(L::Out::BITS <= 32 && L::Out::SIGNED, "sums are at most int32");
  static constexpr unsigned COLUMNS = L::INPUTS / L::SIMD;  // folds of a vector
  static constexpr unsigned ROWS = L::OUTPUTS / L::PE;  // folds of the outputs
  static constexpr unsigned DEPTH = L::GROUPS * ROWS * COLUMNS;
  static constexpr unsigned WORDS = weight_words<typename L::WeightWord>(L::SIMD);
};

// weights[pe][(group * ROWS + row) * COLUMNS + column], read one address after the other
template <class L>
using MvauWeights = typename L::WeightWord[L::PE][MvauShape<L>::DEPTH][MvauShape<L>::WORDS];

// Codes of a vector, kept for all row folds.
template <class L>
using MvauCodes = Word<typename L::In, L::SIMD>[MvauShape<L>::COLUMNS];

#ifdef TRITLOOM_EXACT_WIDTHS

// One initiation: a word of codes for PE rows.
template <class L>
void accumulate(const MvauWeights<L>& weights, unsigned address, unsigned column,
                const Word<typename L::In, L::SIMD>& word, const MvauCodes<L>&,
                Word<typename L::Out, L::PE>& sums) {
#pragma HLS INLINE
  for (unsigned pe = 0; pe < L::PE; ++pe) {
#pragma HLS UNROLL
    if (column == 0) sums.lane[pe] = 0;
    sums.lane[pe] = add_trits<typename L::In, typename L::Out, L::SIMD>(weights[pe][address], word,
                                                                        sums.lane[pe]);
  }
}

#else

// The matrix row by row, a byte a trit.
template <class L>
class HostMatrix {
 public:
  explicit HostMatrix(const MvauWeights<L>& weights) {
    typedef MvauShape<L> Shape;
    for (unsigned address = 0; address < Shape::DEPTH; ++address) {
      for (unsigned pe = 0; pe < L::PE; ++pe) {
        int8_t* row = row_[address / Shape::COLUMNS * L::PE + pe];
        for (unsigned s = 0; s < L::SIMD; ++s) {
          row[address % Shape::COLUMNS * L::SIMD + s] = trit_value(weights[pe][address], s);
        }
      }
    }
  }
  const int8_t* row(unsigned index) const { return row_[index]; }

 private:
  int8_t row_[L::GROUPS * L::OUTPUTS][L::INPUTS];
};

// The same sums, whole rows at a time: in the initiation that takes the last column.
template <class L>
void accumulate(const MvauWeights<L>& weights, unsigned address, unsigned column,
                const Word<typename L::In, L::SIMD>&, const MvauCodes<L>& codes,
                Word<typename L::Out, L::PE>& sums) {
  static const HostMatrix<L> matrix(weights);
  typedef MvauShape<L> Shape;
  if (column != Shape::COLUMNS - 1) return;
  for (unsigned pe = 0; pe < L::PE; ++pe) {
    const int8_t* row = matrix.row(address / Shape::COLUMNS * L::PE + pe);
    sums.lane[pe] = static_cast<typename L::Out::type>(dot(row, &codes[0].lane[0], L::INPUTS));
  }
}

#endif

template <class L>
void mvau(hls::stream<Word<typename L::In, L::SIMD>>& in,
          hls::stream<Word<typename L::Out, L::PE>>& out, const MvauWeights<L>& weights,
          uint32_t frames) {
  typedef MvauShape<L> Shape;
  TRITLOOM_MEMORY(MvauCodes<L>, codes);
#pragma HLS AGGREGATE variable = codes compact = bit
  Word<typename L::Out, L::PE> sums = {};
#pragma HLS ARRAY_PARTITION variable = sums.lane complete
  Counter<Shape::DEPTH> address = 0;
  Initiations<L> initiation;
  for (uint32_t frame = 0; frame < frames; ++frame) {
#pragma HLS LOOP_TRIPCOUNT min = 1 max = 1000
    for (unsigned vector = 0; vector < L::VECTORS; ++vector) {
      for (unsigned row = 0; row < Shape::ROWS; ++row) {
        for (unsigned column = 0; column < Shape::COLUMNS; ++column) {
#pragma HLS LOOP_FLATTEN
#pragma HLS PIPELINE II = 1 style = flp
          initiation.begin();
          Word<typename L::In, L::SIMD> word;
#pragma HLS ARRAY_PARTITION variable = word.lane complete
          if (row == 0) {
            word = in.read();
            codes[column] = word;
          } else {
            word = codes[column];
          }
          accumulate<L>(weights, static_cast<unsigned>(address), column, word, codes, sums);
          if (column == Shape::COLUMNS - 1) out.write(sums);
          step<Shape::DEPTH>(address, true);
        }
      }
    }
  }
}

}  // namespace loom

#endif
