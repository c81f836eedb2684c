// The bounded simulation: each process of a DATAFLOW region is a coroutine that runs until a stream
// stops it.
//
// One processor thread runs them all, so a run is deterministic, needs no lock, and a deadlock is a
// fact rather than a timeout: every live process is stopped, and none can be woken. It is reported
// with the names of processes and streams; then each stopped process is unwound by an exception
// thrown from the operation that holds it.
#ifndef TRITLOOM_EMULATION_REGION_H
#define TRITLOOM_EMULATION_REGION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <functional>
#include <new>
#include <string>
#include <vector>

namespace emulation {

// Thrown through a stopped process, and at last out of the outermost region.
struct Deadlock {};

struct Process {
  std::string name;
  std::function<void()> body;
  Process* parent = nullptr;  // the process whose region this one belongs to
  unsigned children = 0;  // live processes of the region that this process is in
  bool runnable = true;
  std::string stopped_by;  // what it waits for
  void* stack = nullptr;
  ucontext_t context;
};

// Runs the processes in turn. One per processor thread.
class Scheduler {
 public:
  [[gnu::noinline]] static Scheduler& instance() {
    static thread_local Scheduler one;
    return one;
  }

  ~Scheduler() {
    for (void* stack : stacks_) munmap(stack, STACK_BYTES);
  }

  Process* current() const { return current_; }
  bool failing() const { return failing_; }
  const std::string& report() const { return report_; }
  void forget_report() { report_.clear(); }

  [[gnu::noinline]] Process* launch(const char* call, const std::function<void()>& body) {
    Process* process = new Process;
    process->name = function_name(call);
    process->body = body;
    process->parent = current_;
    process->stack = take_stack();
    getcontext(&process->context);
    process->context.uc_stack.ss_sp = process->stack;
    process->context.uc_stack.ss_size = STACK_BYTES;
    process->context.uc_link = nullptr;
    makecontext(&process->context, &Scheduler::enter, 0);
    ++(current_ != nullptr ? current_->children : top_children_);
    live_.push_back(process);
    return process;
  }

  // Waits for the processes of the caller's region.
  [[gnu::noinline]] void join() {
    if (current_ == nullptr) {
      run();
    } else {
      while (current_->children > 0) stop("waits for its own region");
    }
    const bool failed = failing_;
    if (current_ == nullptr) failing_ = false;
    if (failed) throw Deadlock();
  }

  // Gives way until wake(), for a stream operation: throws when the run has failed.
  void wait(const std::string& reason) {
    if (current_ == nullptr) {
      report_ = "no process can go on: the caller " + reason;
      throw Deadlock();
    }
    stop(reason);
    if (failing_) throw Deadlock();
  }

  [[gnu::noinline]] void wake(Process* process) {
    if (process != nullptr) process->runnable = true;
  }

  // Processes that watch a word of memory look again after each write.
  void watch_memory(const char* what) {
    watchers_.push_back(current_);
    wait(std::string("waits for a change of ") + what);
  }
  void memory_changed() {
    for (Process* process : watchers_) wake(process);
    watchers_.clear();
  }

  // A callback into foreign code runs on the thread's own stack.
  void on_main_stack(const std::function<void()>& call) {
    if (current_ == nullptr) return call();
    pending_ = &call;
    swapcontext(&current_->context, &main_);
  }

 private:
  static constexpr size_t STACK_BYTES = size_t(64) << 20;  // reserved, not committed

  // "loom::reader<Config>(port0, ...)" -> "reader"
  static std::string function_name(const std::string& call) {
    const std::string qualified = call.substr(0, call.find_first_of("<("));
    return qualified.substr(qualified.find_last_of(':') + 1);
  }

  static void enter() {
    Scheduler& scheduler = instance();
    Process* self = scheduler.current_;
    try {
      self->body();
    } catch (const Deadlock&) {
    }
    scheduler.finished_ = self;
    setcontext(&scheduler.main_);
  }

  void* take_stack() {
    if (!stacks_.empty()) {
      void* stack = stacks_.back();
      stacks_.pop_back();
      return stack;
    }
    void* stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) throw std::bad_alloc();
    return stack;
  }

  void stop(const std::string& reason) {
    Process* self = current_;
    self->runnable = false;
    self->stopped_by = reason;
    swapcontext(&self->context, &main_);
  }

  void resume(Process* process) {
    current_ = process;
    swapcontext(&main_, &process->context);
    while (pending_ != nullptr) {
      const std::function<void()>* call = pending_;
      pending_ = nullptr;
      (*call)();
      swapcontext(&main_, &process->context);
    }
    current_ = nullptr;
    if (finished_ != nullptr) retire(finished_);
  }

  void retire(Process* process) {
    finished_ = nullptr;
    --(process->parent != nullptr ? process->parent->children : top_children_);
    if (process->parent != nullptr && process->parent->children == 0) wake(process->parent);
    stacks_.push_back(process->stack);
    for (size_t i = 0; i < live_.size(); ++i) {
      if (live_[i] == process) live_.erase(live_.begin() + static_cast<ptrdiff_t>(i));
    }
    delete process;
  }

  void run() {
    while (!live_.empty()) {
      Process* next = nullptr;
      for (size_t i = 0; next == nullptr && i < live_.size(); ++i) {
        Process* candidate = live_[(turn_ + i) % live_.size()];
        if (candidate->runnable) {
          next = candidate;
          turn_ = (turn_ + i + 1) % live_.size();
        }
      }
      if (next == nullptr) {
        next = unwound();
      }
      resume(next);
    }
    turn_ = 0;
    watchers_.clear();
  }

  // Nobody can go on: report it once, then have a process without children end by its exception.
  Process* unwound() {
    if (!failing_) {
      failing_ = true;
      report_ = "deadlock: every process is stopped";
      for (const Process* process : live_)
        report_ += "\n  " + process->name + " " + process->stopped_by;
    }
    for (Process* process : live_) {
      if (process->children == 0) return process;
    }
    return live_.front();
  }

  std::vector<Process*> live_, watchers_;
  std::vector<void*> stacks_;
  Process* current_ = nullptr;
  Process* finished_ = nullptr;
  const std::function<void()>* pending_ = nullptr;
  unsigned top_children_ = 0;
  size_t turn_ = 0;
  bool failing_ = false;
  std::string report_;
  ucontext_t main_;
};

inline void wait_for_memory(const char* what) { Scheduler::instance().watch_memory(what); }
inline void memory_changed() { Scheduler::instance().memory_changed(); }
inline void on_main_stack(const std::function<void()>& call) {
  Scheduler::instance().on_main_stack(call);
}

// A DATAFLOW region: launch its processes, then join them.
class Region {
 public:
  template <class Body>
  void launch(const char* call, const Body& body) {
    Scheduler::instance().launch(call, body);
  }
  void join() { Scheduler::instance().join(); }
};

// The two ends of a stream: who waits at them. A poll (empty, full, read_nb, write_nb) answers "no"
// once; a second one in a row by the same process waits, since a process that asks again has
// nothing else to do.
class StreamEnds {
 public:
  // What is slow or rare stays out of line: it would be compiled anew for each stream.
  [[gnu::noinline]] explicit StreamEnds(const char* name) : name_(name) {}

  void rename(const char* name, unsigned index) {
    name_ = std::string(name) + "[" + std::to_string(index) + "]";
  }

  [[gnu::noinline]] void wait_data() {
    wait(reader_, "waits for data: stream " + name_ + " is empty");
  }
  [[gnu::noinline]] void wait_room() {
    wait(writer_, "waits for room: stream " + name_ + " is full");
  }

  // True while the condition holds, at the latest after one wait.
  template <class Condition>
  bool poll_empty(const Condition& still) {
    if (!asked_empty_) return asked_empty_ = true;
    while (still()) wait_data();
    return asked_empty_ = false;
  }
  template <class Condition>
  bool poll_full(const Condition& still) {
    if (!asked_full_) return asked_full_ = true;
    while (still()) wait_room();
    return asked_full_ = false;
  }
  void has_data() { asked_empty_ = false; }
  void has_room() { asked_full_ = false; }

  void took() { wake(writer_); }
  void gave() { wake(reader_); }

 private:
  void wait(Process*& waiter, const std::string& reason) {
    Scheduler& scheduler = Scheduler::instance();
    waiter = scheduler.current();
    scheduler.wait(reason);
    waiter = nullptr;
  }

  void wake(Process*& waiter) {
    if (waiter != nullptr) Scheduler::instance().wake(waiter);
  }

  std::string name_;
  Process* reader_ = nullptr;
  Process* writer_ = nullptr;
  bool asked_empty_ = false, asked_full_ = false;
};

template <class Stream, size_t COUNT>
void configure(Stream (&streams)[COUNT], const char* name, unsigned depth) {
  for (unsigned i = 0; i < COUNT; ++i) streams[i].configure(name, i, depth);
}

}  // namespace emulation

#endif
