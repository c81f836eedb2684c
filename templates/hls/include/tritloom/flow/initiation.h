// Counts how often the pipelined loop of a stage starts: at II 1, its busy cycles. Nothing is left
// of it in synthesis. The counts equal the closed forms of docs/dataflow.md.
#ifndef TRITLOOM_FLOW_INITIATION_H
#define TRITLOOM_FLOW_INITIATION_H

#include <stdint.h>

namespace loom {

#ifdef TRITLOOM_EMULATION

// One in each stage. `take` gives what the stages with traits L have counted on this thread since
// it was last asked.
template <class L>
class Initiations {
 public:
  ~Initiations() { total() += count_; }
  void begin() { ++count_; }
  static uint64_t take() {
    const uint64_t counted = total();
    total() = 0;
    return counted;
  }

 private:
  static uint64_t& total() {
    static thread_local uint64_t counted = 0;
    return counted;
  }

  uint64_t count_ = 0;
};

#else

template <class L>
class Initiations {
 public:
  void begin() {}
};

#endif

}  // namespace loom

#endif
