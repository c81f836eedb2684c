// Integers of any width for a host compiler: the few operations of ap_int and ap_uint that the
// kernels use. Up to 64 bits a value is one native integer; wider ones, which serve as memory
// words, are little-endian limbs. A word takes as much memory as the kernels' ports see: 32 bits
// four bytes.
#ifndef TRITLOOM_EMULATION_AP_INT_H
#define TRITLOOM_EMULATION_AP_INT_H

#include <stdint.h>

template <int W>
class ap_int {
  static_assert(W >= 1 && W <= 64, "signed words of up to 64 bits");

 public:
  ap_int() = default;
  ap_int(int64_t value) : value_(wrap(value)) {}

  operator int64_t() const { return value_; }
  int to_int() const { return static_cast<int>(value_); }

 private:
  static int64_t wrap(int64_t value) {
    return static_cast<int64_t>(static_cast<uint64_t>(value) << (64 - W)) >> (64 - W);
  }

  int64_t value_;
};

namespace emulation {

template <bool NARROW>
struct LimbOf {
  typedef uint64_t type;
};
template <>
struct LimbOf<true> {
  typedef uint32_t type;
};

}  // namespace emulation

template <int W>
class ap_uint {
  typedef typename emulation::LimbOf<(W <= 32)>::type Limb;
  static constexpr int LIMBS = (W + 63) / 64;

 public:
  // Bits low..high, at most 64 of them unless both ends lie on limbs.
  class Range {
   public:
    Range(ap_uint& word, int high, int low) : word_(word), high_(high), low_(low) {}
    Range& operator=(uint64_t value) {
      word_.set(high_, low_, value);
      return *this;
    }
    uint64_t to_uint64() const { return word_.get(high_, low_); }
    unsigned to_uint() const { return static_cast<unsigned>(to_uint64()); }
    template <int V>
    operator ap_uint<V>() const {
      return word_.template bits<V>(low_);
    }

   private:
    ap_uint& word_;
    int high_, low_;
  };

  class ConstRange {
   public:
    ConstRange(const ap_uint& word, int high, int low) : word_(word), high_(high), low_(low) {}
    uint64_t to_uint64() const { return word_.get(high_, low_); }
    unsigned to_uint() const { return static_cast<unsigned>(to_uint64()); }
    template <int V>
    operator ap_uint<V>() const {
      return word_.template bits<V>(low_);
    }

   private:
    const ap_uint& word_;
    int high_, low_;
  };

  ap_uint() = default;
  ap_uint(uint64_t value) {
    for (int i = 0; i < LIMBS; ++i) limb_[i] = 0;
    limb_[0] = static_cast<Limb>(W < 64 ? value & mask(W) : value);
  }
  ap_uint(const ap_uint&) = default;
  ap_uint& operator=(const ap_uint&) = default;

  // Memory that another party changes.
  ap_uint(const volatile ap_uint& other) {
    for (int i = 0; i < LIMBS; ++i) limb_[i] = other.limb_[i];
  }
  void operator=(const ap_uint& other) volatile {
    for (int i = 0; i < LIMBS; ++i) limb_[i] = other.limb_[i];
  }

  operator uint64_t() const {
    static_assert(W <= 64, "a memory word is no number");
    return limb_[0];
  }
  Range range(int high, int low) { return Range(*this, high, low); }
  ConstRange range(int high, int low) const { return ConstRange(*this, high, low); }
  uint64_t to_uint64() const { return limb_[0]; }
  unsigned to_uint() const { return static_cast<unsigned>(limb_[0]); }

 private:
  template <int V>
  friend class ap_uint;

  static constexpr uint64_t mask(int bits) {
    return bits >= 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1;
  }

  uint64_t get(int high, int low) const {
    const int width = high - low + 1;
    const int at = low / 64;
    const int shift = low % 64;
    uint64_t value = static_cast<uint64_t>(limb_[at]) >> shift;
    if (shift != 0 && shift + width > 64) value |= uint64_t(limb_[at + 1]) << (64 - shift);
    return value & mask(width);
  }

  void set(int high, int low, uint64_t value) {
    const uint64_t bits = mask(high - low + 1);
    const int at = low / 64;
    const int shift = low % 64;
    limb_[at] = static_cast<Limb>((limb_[at] & ~(bits << shift)) | ((value & bits) << shift));
    if (shift != 0 && shift + (high - low + 1) > 64) {
      const int rest = 64 - shift;
      limb_[at + 1] =
          static_cast<Limb>((limb_[at + 1] & ~(bits >> rest)) | ((value & bits) >> rest));
    }
  }

  template <int V>
  ap_uint<V> bits(int low) const {
    ap_uint<V> out(0);
    for (int i = 0; i < V; i += 64) {
      const int width = V - i < 64 ? V - i : 64;
      out.set(i + width - 1, i, get(low + i + width - 1, low + i));
    }
    return out;
  }

  Limb limb_[LIMBS];
};

#endif
