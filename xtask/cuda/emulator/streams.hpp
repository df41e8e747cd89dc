// Streams, events and captures as the driver's calls see them. For libcuda alone.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "emulator.hpp"

namespace emulator {

enum class Mode : int { Global = 0, ThreadLocal = 1, Relaxed = 2 };

// A capture that goes on: the work in the order of the calls, which is one of its legal orders.
struct Capture {
  struct Branch {
    size_t last_work = 0;  // How long the graph was after the branch's last work.
    size_t joined = 0;     // Up to where the origin waits for it.
  };
  Stream *origin;
  Mode mode;
  std::thread::id thread;
  bool is_void = false;
  std::vector<Work> graph;
  std::map<Stream *, Branch> branches;
};

struct Stream {
  bool waits_for_legacy = true;
  uint64_t n_enqueued = 0, n_done = 0;
  std::deque<Work> queue;
  std::shared_ptr<Capture> capture;
};

struct Event {
  bool has_timing = true;
  // The work of `stream` before the event: all that was enqueued up to `position`.
  std::shared_ptr<Stream> stream;
  uint64_t position = 0;
  std::shared_ptr<double> seconds;
  // The capture that it was recorded in, with the graph's length then.
  std::weak_ptr<Capture> capture;
  bool is_captured = false;
  Stream *captured_on = nullptr;
  size_t graph_length = 0;
};

struct Graph {
  std::shared_ptr<const std::vector<Work>> work;
};

std::shared_ptr<Stream> shared(Stream *stream);
Code drain_until(Stream *stream, uint64_t position);

}  // namespace emulator
