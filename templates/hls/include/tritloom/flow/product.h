// The product of an element and a multiplier from a table.
#ifndef TRITLOOM_FLOW_PRODUCT_H
#define TRITLOOM_FLOW_PRODUCT_H

#include "tritloom/flow/word.h"

namespace loom {

// Each at its own width.
template <class Element, class Multiplier>
typename Int<Element::BITS + Multiplier::BITS, true>::type scaled(
    const typename Element::type& value, const typename Multiplier::type& multiplier) {
#pragma HLS INLINE
  typedef typename Int<Element::BITS + Multiplier::BITS, true>::type Product;
#ifdef TRITLOOM_EXACT_WIDTHS
  return Product(value * multiplier);
#else
  return Product(static_cast<int64_t>(value) * static_cast<int64_t>(multiplier));
#endif
}

}  // namespace loom

#endif
