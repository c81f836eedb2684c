// Memory behind an AXI4 port of a Verilated kernel: bursts from and to the host's callbacks, with
// waits drawn at random, and the rules of the protocol checked (AMBA AXI4, IHI 0022).
#ifndef TRITLOOM_AXI_MEMORY_H
#define TRITLOOM_AXI_MEMORY_H

#include <stdint.h>
#include <string.h>

#include <deque>
#include <string>
#include <vector>

namespace rtl {

// What the host gives: bytes of its memory, and a place for them. Not 0: nothing is there (DECERR).
typedef int (*Read)(void* user, unsigned port, uint64_t address, uint32_t bytes, uint8_t* data);
typedef int (*Write)(void* user, unsigned port, uint64_t address, uint32_t bytes,
                     const uint8_t* data, const uint8_t* strobes);

struct Host {
  Read read;
  Write write;
  void* user;
};

enum Response { OKAY = 0, DECERR = 3 };
const uint32_t PAGE = 4096;  // no burst crosses it
const uint8_t INCR = 1;

// xorshift32: the same waits in every run of a seed.
class Waits {
 public:
  explicit Waits(uint32_t seed) : state_(seed | 1u) {}
  bool go() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return (state_ & 3u) != 0;  // three of four cycles
  }

 private:
  uint32_t state_;
};

// A signal of any width as bytes: Verilator keeps up to 64 bits in an integer, more in words of 32.
template <class Signal>
void put(Signal& signal, const uint8_t* bytes) {
  memcpy(&signal, bytes, sizeof signal);
}

template <class Signal>
void get(const Signal& signal, uint8_t* bytes) {
  memcpy(bytes, &signal, sizeof signal);
}

struct Burst {
  uint64_t address;
  uint32_t beats;
  uint32_t id;
};

// Every wire of the port, by reference into the Verilated model.
template <class Data, class Strobe, class Id>
struct Wires {
  const uint64_t& araddr;
  const uint8_t& arlen;
  const uint8_t& arsize;
  const uint8_t& arburst;
  const uint8_t& arvalid;
  const Id& arid;
  uint8_t& arready;
  Data& rdata;
  uint8_t& rresp;
  uint8_t& rlast;
  uint8_t& rvalid;
  Id& rid;
  const uint8_t& rready;
  const uint64_t& awaddr;
  const uint8_t& awlen;
  const uint8_t& awsize;
  const uint8_t& awburst;
  const uint8_t& awvalid;
  const Id& awid;
  uint8_t& awready;
  const Data& wdata;
  const Strobe& wstrb;
  const uint8_t& wlast;
  const uint8_t& wvalid;
  uint8_t& wready;
  uint8_t& bresp;
  uint8_t& bvalid;
  Id& bid;
  const uint8_t& bready;
};

template <class Data, class Strobe, class Id>
class Memory {
 public:
  Memory(const char* name, unsigned port, unsigned bytes, Wires<Data, Strobe, Id> wires,
         const Host& host, uint32_t seed, std::string& error)
      : name_(name),
        port_(port),
        bytes_(bytes),
        wires_(wires),
        host_(host),
        waits_(seed),
        error_(error) {}

  // What the wires say at the rising edge.
  void sample() {
    took_ar_ = wires_.arvalid && wires_.arready;
    took_r_ = wires_.rvalid && wires_.rready;
    took_aw_ = wires_.awvalid && wires_.awready;
    took_w_ = wires_.wvalid && wires_.wready;
    took_b_ = wires_.bvalid && wires_.bready;
    check_stable(ar_waits_, ar_address_, wires_.arvalid, wires_.arready, wires_.araddr, "ARADDR");
    check_stable(aw_waits_, aw_address_, wires_.awvalid, wires_.awready, wires_.awaddr, "AWADDR");
    if (took_ar_) {
      accept(reads_, wires_.araddr, wires_.arlen, wires_.arsize, wires_.arburst, wires_.arid);
    }
    if (took_aw_) {
      accept(writes_, wires_.awaddr, wires_.awlen, wires_.awsize, wires_.awburst, wires_.awid);
    }
    if (took_w_) accept_beat();
  }

  // The memory's wires after the edge.
  void drive() {
    if (took_r_) finish_beat();
    if (took_b_) responses_.pop_front();
    drive_read();
    wires_.arready = waits_.go();
    wires_.awready = waits_.go();
    wires_.wready = waits_.go();
    const bool waiting = wires_.bvalid && !took_b_;  // a response stays until it is taken
    wires_.bvalid = !responses_.empty() && (waiting || waits_.go());
    if (!responses_.empty()) {
      wires_.bresp = responses_.front().second;
      wires_.bid = static_cast<Id>(responses_.front().first);
    }
    match_writes();
  }

  void reset() {
    wires_.arready = wires_.awready = wires_.wready = wires_.rvalid = wires_.bvalid = 0;
    wires_.rlast = 0;
  }

 private:
  void complain(const std::string& text) {
    if (error_.empty()) error_ = std::string(name_) + ": " + text;
  }

  void check_stable(bool& waits, uint64_t& address, bool valid, bool ready, uint64_t now,
                    const char* wire) {
    if (waits && (!valid || address != now)) {
      complain(std::string(wire) + " or its VALID changed before it was accepted");
    }
    waits = valid && !ready;
    address = now;
  }

  void accept(std::deque<Burst>& bursts, uint64_t address, uint8_t length, uint8_t size,
              uint8_t burst, Id id) {
    const uint32_t beats = length + 1u;
    if (burst != INCR) complain("a burst that is not INCR");
    if ((1u << size) != bytes_) complain("a burst of narrow beats");
    if (address % bytes_ != 0) complain("a burst that is not aligned to its beats");
    if (address / PAGE != (address + uint64_t(beats) * bytes_ - 1) / PAGE) {
      complain("a burst over a boundary of 4 KiB");
    }
    const Burst accepted = {address, beats, static_cast<uint32_t>(id)};
    bursts.push_back(accepted);
  }

  void accept_beat() {
    const size_t at = data_.size();
    data_.resize(at + bytes_);
    get(wires_.wdata, &data_[at]);
    uint8_t strobes[sizeof(Strobe)];
    get(wires_.wstrb, strobes);
    for (unsigned i = 0; i < bytes_; ++i) strobes_.push_back((strobes[i / 8] >> (i % 8)) & 1u);
    lasts_.push_back(wires_.wlast != 0);
  }

  // Data may come before its address: bursts are written when both are there.
  void match_writes() {
    while (!writes_.empty() && lasts_.size() >= writes_.front().beats) {
      const Burst burst = writes_.front();
      for (uint32_t beat = 0; beat < burst.beats; ++beat) {
        if (lasts_[beat] != (beat + 1 == burst.beats)) complain("WLAST is not at a burst's end");
      }
      const uint32_t bytes = burst.beats * bytes_;
      const int failed =
          host_.write(host_.user, port_, burst.address, bytes, data_.data(), strobes_.data());
      data_.erase(data_.begin(), data_.begin() + bytes);
      strobes_.erase(strobes_.begin(), strobes_.begin() + bytes);
      lasts_.erase(lasts_.begin(), lasts_.begin() + burst.beats);
      responses_.push_back(std::make_pair(burst.id, uint8_t(failed ? DECERR : OKAY)));
      writes_.pop_front();
    }
  }

  void drive_read() {
    if (wires_.rvalid && !took_r_) return;  // data stays until it is taken
    wires_.rvalid = 0;
    if (reads_.empty() || !waits_.go()) return;
    const Burst& burst = reads_.front();
    if (beat_ == 0) {
      line_.assign(burst.beats * bytes_, 0);
      response_ = host_.read(host_.user, port_, burst.address, burst.beats * bytes_, line_.data())
                      ? DECERR
                      : OKAY;
    }
    put(wires_.rdata, &line_[beat_ * bytes_]);
    wires_.rresp = response_;
    wires_.rid = static_cast<Id>(burst.id);
    wires_.rlast = beat_ + 1 == burst.beats;
    wires_.rvalid = 1;
  }

  void finish_beat() {
    if (++beat_ == reads_.front().beats) {
      reads_.pop_front();
      beat_ = 0;
    }
  }

  const char* name_;
  unsigned port_;
  unsigned bytes_;
  Wires<Data, Strobe, Id> wires_;
  Host host_;
  Waits waits_;
  std::string& error_;
  std::deque<Burst> reads_, writes_;
  std::deque<std::pair<uint32_t, uint8_t>> responses_;
  std::vector<uint8_t> line_, data_, strobes_;
  std::vector<bool> lasts_;
  uint32_t beat_ = 0;
  uint8_t response_ = OKAY;
  bool took_ar_ = false, took_r_ = false, took_aw_ = false, took_w_ = false, took_b_ = false;
  bool ar_waits_ = false, aw_waits_ = false;
  uint64_t ar_address_ = 0, aw_address_ = 0;
};

// Deduces the widths from the model's wires.
template <class Data, class Strobe, class Id>
Memory<Data, Strobe, Id>* memory_of(const char* name, unsigned port, unsigned bytes,
                                    Wires<Data, Strobe, Id> wires, const Host& host, uint32_t seed,
                                    std::string& error) {
  return new Memory<Data, Strobe, Id>(name, port, bytes, wires, host, seed, error);
}

}  // namespace rtl

#endif
