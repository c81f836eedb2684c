// Counts how often the pipelined loop of a stage starts: at II 1, its busy cycles. Nothing is left
// of it in synthesis. The counts equal the closed forms of docs/dataflow.md, whatever stalls.
#ifndef TRITLOOM_FLOW_INITIATION_H
#define TRITLOOM_FLOW_INITIATION_H

#include <stdint.h>

namespace loom {

#ifdef TRITLOOM_EMULATION

// One in each stage; `total` is what the stages with traits L have counted on this thread.
template <class L>
class Initiations {
 public:
  ~Initiations() { total() += count_; }
  void begin() { ++count_; }
  static uint64_t& total() {
    static thread_local uint64_t counted = 0;
    return counted;
  }

 private:
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
