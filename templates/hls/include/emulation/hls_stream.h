// hls::stream for a host compiler. Sequential: a ring that grows, every process running to its end
// before the next. Bounded: a ring of the real depth; a process that finds it empty or full gives
// way to the others.
#ifndef TRITLOOM_EMULATION_HLS_STREAM_H
#define TRITLOOM_EMULATION_HLS_STREAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef TRITLOOM_BOUNDED
#include "emulation/region.h"
#ifndef TRITLOOM_STREAM_BYTES
#define TRITLOOM_STREAM_BYTES 0  // what each stream holds beyond its depth
#endif
#else
#include <stdio.h>
#include <stdlib.h>
#endif

namespace hls {

#ifdef TRITLOOM_BOUNDED

template <class T>
class stream {
 public:
  stream() : end_("stream") {}
  stream(const char* name, unsigned depth) : end_(name) { allocate(depth); }
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() { delete[] data_; }

  // Elements of an array of streams are named and sized after construction.
  void configure(const char* name, unsigned index, unsigned depth) {
    end_.rename(name, index);
    allocate(depth);
  }

  bool empty() {
    if (count_ > 0) return end_.has_data(), false;
    return end_.poll_empty([this]() { return count_ == 0; });
  }
  bool full() {
    if (count_ < depth_) return end_.has_room(), false;
    return end_.poll_full([this]() { return count_ == depth_; });
  }

  T read() {
    while (count_ == 0) end_.wait_data();
    return take();
  }
  void read(T& value) { value = read(); }

  bool read_nb(T& value) {
    if (empty()) return false;
    value = take();
    return true;
  }

  void write(const T& value) {
    while (count_ == depth_) end_.wait_room();
    put(value);
  }

  bool write_nb(const T& value) {
    if (full()) return false;
    put(value);
    return true;
  }

  size_t size() const { return count_; }

 private:
  // Deeper streams change processes more seldom: for speed, where the depths are not the question.
  void allocate(unsigned depth) {
    depth_ = depth + TRITLOOM_STREAM_BYTES / static_cast<unsigned>(sizeof(T));
    data_ = new T[depth_];
  }

  T take() {
    const T value = data_[head_];
    head_ = head_ + 1 == depth_ ? 0 : head_ + 1;
    --count_;
    end_.took();
    return value;
  }

  void put(const T& value) {
    const unsigned tail = head_ + count_;
    data_[tail < depth_ ? tail : tail - depth_] = value;
    ++count_;
    end_.gave();
  }

  emulation::StreamEnds end_;
  T* data_ = nullptr;
  unsigned depth_ = 0, head_ = 0, count_ = 0;
};

#else

template <class T>
class stream {
 public:
  stream() = default;
  explicit stream(const char* name) : name_(name) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() { delete[] data_; }

  bool empty() const { return count_ == 0; }
  bool full() const { return false; }

  // A sequential run that reads an empty stream cannot go on: the kernel or its program is wrong.
  T read() {
    if (count_ == 0) {
      fprintf(stderr, "hls::stream '%s' is read while empty\n", name_);
      abort();
    }
    const T& value = data_[head_];
    head_ = (head_ + 1) & (capacity_ - 1);
    --count_;
    return value;
  }
  void read(T& value) { value = read(); }

  bool read_nb(T& value) {
    if (count_ == 0) return false;
    value = read();
    return true;
  }

  void write(const T& value) {
    if (count_ == capacity_) grow();
    data_[(head_ + count_) & (capacity_ - 1)] = value;
    ++count_;
  }
  bool write_nb(const T& value) {
    write(value);
    return true;
  }

  size_t size() const { return count_; }

 private:
  void grow() {
    const size_t larger = capacity_ == 0 ? 64 : 2 * capacity_;
    T* data = new T[larger];
    for (size_t i = 0; i < count_; ++i) data[i] = data_[(head_ + i) & (capacity_ - 1)];
    delete[] data_;
    data_ = data;
    capacity_ = larger;
    head_ = 0;
  }

  const char* name_ = "stream";
  T* data_ = nullptr;
  size_t capacity_ = 0, head_ = 0, count_ = 0;
};

#endif

}  // namespace hls

#endif
