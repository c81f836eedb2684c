// A Verilated HLS kernel as a library: registers over AXI4-Lite, memory over AXI4, its interrupt.
//
// design.h, written for each kernel, includes the Verilated model and lists its memory ports:
//   #define MASTERS(X) X(input, 0, 16) X(output, 1, 16)    // name, number, bytes of a beat
//   #define INTERRUPT interrupt                            // as Verilator calls it
// The names of the wires are those that Vitis HLS gives: s_axi_control_*, m_axi_<name>_*.
#include <memory>

#include "axi_memory.h"
#include "design.h"

// Called by the Verilated model.
double sc_time_stamp() { return 0; }

namespace {

const unsigned RESET_CYCLES = 16;
const unsigned ANSWER_CYCLES = 1000;  // a register file that takes longer does not answer

class Bridge {
 public:
  Bridge(const rtl::Host& host, uint32_t seed) : top_(new Vkernel) {
    (void)seed;
#define MAKE(NAME, NUMBER, BYTES)                                                                 \
  NAME##_.reset(rtl::memory_of(#NAME, NUMBER, BYTES,                                              \
                               rtl::Wires<std::decay<decltype(top_->m_axi_##NAME##_WDATA)>::type, \
                                          std::decay<decltype(top_->m_axi_##NAME##_WSTRB)>::type, \
                                          std::decay<decltype(top_->m_axi_##NAME##_ARID)>::type>{ \
                                   top_->m_axi_##NAME##_ARADDR,  top_->m_axi_##NAME##_ARLEN,      \
                                   top_->m_axi_##NAME##_ARSIZE,  top_->m_axi_##NAME##_ARBURST,    \
                                   top_->m_axi_##NAME##_ARVALID, top_->m_axi_##NAME##_ARID,       \
                                   top_->m_axi_##NAME##_ARREADY, top_->m_axi_##NAME##_RDATA,      \
                                   top_->m_axi_##NAME##_RRESP,   top_->m_axi_##NAME##_RLAST,      \
                                   top_->m_axi_##NAME##_RVALID,  top_->m_axi_##NAME##_RID,        \
                                   top_->m_axi_##NAME##_RREADY,  top_->m_axi_##NAME##_AWADDR,     \
                                   top_->m_axi_##NAME##_AWLEN,   top_->m_axi_##NAME##_AWSIZE,     \
                                   top_->m_axi_##NAME##_AWBURST, top_->m_axi_##NAME##_AWVALID,    \
                                   top_->m_axi_##NAME##_AWID,    top_->m_axi_##NAME##_AWREADY,    \
                                   top_->m_axi_##NAME##_WDATA,   top_->m_axi_##NAME##_WSTRB,      \
                                   top_->m_axi_##NAME##_WLAST,   top_->m_axi_##NAME##_WVALID,     \
                                   top_->m_axi_##NAME##_WREADY,  top_->m_axi_##NAME##_BRESP,      \
                                   top_->m_axi_##NAME##_BVALID,  top_->m_axi_##NAME##_BID,        \
                                   top_->m_axi_##NAME##_BREADY},                                  \
                               host, seed + 77 * NUMBER, error_));
    MASTERS(MAKE)
#undef MAKE
    top_->ap_rst_n = 0;
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 0;
    top_->s_axi_control_ARVALID = top_->s_axi_control_RREADY = 0;
#define RESET(NAME, NUMBER, BYTES) NAME##_->reset();
    MASTERS(RESET)
#undef RESET
    for (unsigned i = 0; i < RESET_CYCLES; ++i) edge();
    top_->ap_rst_n = 1;
    edge();
  }

  ~Bridge() { top_->final(); }

  void advance(unsigned cycles) {
    for (unsigned i = 0; i < cycles; ++i) edge();
  }

  bool interrupt() const { return top_->INTERRUPT != 0; }
  const std::string& error() const { return error_; }

  uint32_t read(uint32_t offset) {
    top_->s_axi_control_ARADDR = offset;
    top_->s_axi_control_ARVALID = 1;
    top_->s_axi_control_RREADY = 1;
    bool asked = false, answered = false;
    uint32_t value = 0;
    for (unsigned i = 0; i < ANSWER_CYCLES && !answered; ++i) {
      settle();
      const bool took = top_->s_axi_control_ARVALID && top_->s_axi_control_ARREADY;
      answered = top_->s_axi_control_RVALID != 0;
      if (answered) value = top_->s_axi_control_RDATA;
      edge();
      if (took) {
        asked = true;
        top_->s_axi_control_ARVALID = 0;
      }
    }
    top_->s_axi_control_ARVALID = top_->s_axi_control_RREADY = 0;
    if (!asked || !answered) complain("s_axi_control: a read is not answered");
    return value;
  }

  void write(uint32_t offset, uint32_t value) {
    top_->s_axi_control_AWADDR = offset;
    top_->s_axi_control_WDATA = value;
    top_->s_axi_control_WSTRB = 0xf;
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 1;
    bool answered = false;
    for (unsigned i = 0; i < ANSWER_CYCLES && !answered; ++i) {
      settle();
      const bool address = top_->s_axi_control_AWVALID && top_->s_axi_control_AWREADY;
      const bool data = top_->s_axi_control_WVALID && top_->s_axi_control_WREADY;
      answered = top_->s_axi_control_BVALID != 0;
      edge();
      if (address) top_->s_axi_control_AWVALID = 0;
      if (data) top_->s_axi_control_WVALID = 0;
    }
    top_->s_axi_control_AWVALID = top_->s_axi_control_WVALID = top_->s_axi_control_BREADY = 0;
    if (!answered) complain("s_axi_control: a write is not answered");
  }

 private:
  void complain(const char* text) {
    if (error_.empty()) error_ = text;
  }

  void settle() {
    top_->ap_clk = 0;
    top_->eval();
  }

  // A whole clock cycle: the wires settle, are sampled, the clock rises, the memories answer.
  void edge() {
    settle();
#define SAMPLE(NAME, NUMBER, BYTES) NAME##_->sample();
#define DRIVE(NAME, NUMBER, BYTES) NAME##_->drive();
    if (top_->ap_rst_n) {
      MASTERS(SAMPLE)
    }
    top_->ap_clk = 1;
    top_->eval();
    if (top_->ap_rst_n) {
      MASTERS(DRIVE)
    }
#undef SAMPLE
#undef DRIVE
  }

  std::string error_;
  std::unique_ptr<Vkernel> top_;
#define MEMBER(NAME, NUMBER, BYTES)                                                      \
  std::unique_ptr<rtl::Memory<std::decay<decltype(Vkernel::m_axi_##NAME##_WDATA)>::type, \
                              std::decay<decltype(Vkernel::m_axi_##NAME##_WSTRB)>::type, \
                              std::decay<decltype(Vkernel::m_axi_##NAME##_ARID)>::type>> \
      NAME##_;
  MASTERS(MEMBER)
#undef MEMBER
};

}  // namespace

extern "C" {

void* tritloom_rtl_new(rtl::Read read, rtl::Write write, void* user, uint32_t seed) {
  const rtl::Host host = {read, write, user};
  return new Bridge(host, seed);
}
void tritloom_rtl_delete(void* bridge) { delete static_cast<Bridge*>(bridge); }
uint32_t tritloom_rtl_read(void* bridge, uint32_t offset) {
  return static_cast<Bridge*>(bridge)->read(offset);
}
void tritloom_rtl_write(void* bridge, uint32_t offset, uint32_t value) {
  static_cast<Bridge*>(bridge)->write(offset, value);
}
void tritloom_rtl_advance(void* bridge, uint32_t cycles) {
  static_cast<Bridge*>(bridge)->advance(cycles);
}
int tritloom_rtl_interrupt(void* bridge) { return static_cast<Bridge*>(bridge)->interrupt(); }
const char* tritloom_rtl_error(void* bridge) {
  return static_cast<Bridge*>(bridge)->error().c_str();
}

}  // extern "C"
