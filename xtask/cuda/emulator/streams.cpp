// In which order work runs: queues, events between them, and captures instead of either.
//
// On a card streams run beside each other and beside the host. CXR_EMULATED_ORDER says what of that
// is shown: nothing set, all work runs in the call that asks for it; `late`, only when the host
// waits for it or an event that it depends on; a number, now or later as a draw with that seed
// says. Work that lacks an event between two streams then sees wrong numbers.

#include "streams.hpp"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <random>

namespace emulator {
namespace {

struct Streams {
  std::map<Stream *, std::shared_ptr<Stream>> all;
  std::shared_ptr<Stream> legacy, per_thread;
  std::vector<std::shared_ptr<Capture>> captures;
  Order order = Order::AtOnce;
  std::mt19937_64 draws;
  Code fault = SUCCESS;

  Streams() : legacy(add()), per_thread(add()) {
    const char *text = getenv("CXR_EMULATED_ORDER");
    if (!text || !*text) return;
    order = strcmp(text, "late") == 0 ? Order::Late : Order::Drawn;
    draws.seed(strtoull(text, nullptr, 10));
  }

  std::shared_ptr<Stream> add() {
    auto stream = std::make_shared<Stream>();
    all[stream.get()] = stream;
    return stream;
  }
};

Streams &streams() {
  static Streams *it = new Streams;  // Never destroyed: handles are given back at exit.
  return *it;
}

double seconds_now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Code note(Code code) {
  if (code != SUCCESS && streams().fault == SUCCESS) streams().fault = code;
  return streams().fault;
}

void run_next(Stream *stream) {
  Work work = std::move(stream->queue.front());
  stream->queue.pop_front();
  if (fault() == SUCCESS) note(work());
  stream->n_done++;
}

void make_progress() {
  if (order() == Order::AtOnce) {
    for (auto &[stream, kept] : streams().all)
      while (!stream->queue.empty()) run_next(stream);
  }
  if (order() != Order::Drawn) return;
  for (auto &[stream, kept] : streams().all) {
    for (uint64_t runs = streams().draws() % 4; runs > 1 && !stream->queue.empty(); runs--) run_next(stream);
  }
}

Capture *add_to(Stream *stream, Work work) {
  Capture *capture = stream->capture.get();
  if (capture->is_void) return nullptr;
  capture->graph.push_back(std::move(work));
  capture->branches[stream].last_work = capture->graph.size();
  return capture;
}

// The legacy stream waits for all streams that are not made non-blocking, and they for it.
Code order_around_legacy(Stream *stream) {
  if (stream != streams().legacy.get()) return stream->waits_for_legacy ? drain(streams().legacy.get()) : SUCCESS;
  for (auto &[other, kept] : streams().all) {
    if (other == stream || !other->waits_for_legacy) continue;
    if (other->capture) {
      other->capture->is_void = true;
      return STREAM_CAPTURE_IMPLICIT;
    }
    drain(other);
  }
  return fault();
}

void end(const std::shared_ptr<Capture> &capture) {
  for (auto &[stream, branch] : capture->branches) stream->capture = nullptr;
  std::erase(streams().captures, capture);
}

bool is_joined(const Capture &capture) {
  for (const auto &[stream, branch] : capture.branches)
    if (stream != capture.origin && branch.joined < branch.last_work) return false;
  return true;
}

Event *event_of(void *handle) { return static_cast<Event *>(handle); }

}  // namespace

Order order() { return streams().order; }
Code fault() { return streams().fault; }
bool is_capturing(const Stream *stream) { return stream->capture != nullptr; }
std::shared_ptr<Stream> shared(Stream *stream) { return streams().all[stream]; }

Stream *stream_of(void *handle) {
  const auto number = reinterpret_cast<uintptr_t>(handle);
  if (number <= 1) return streams().legacy.get();
  if (number == 2) return streams().per_thread.get();
  auto found = streams().all.find(static_cast<Stream *>(handle));
  return found == streams().all.end() ? nullptr : found->first;
}

Code enqueue(Stream *stream, Work work) {
  if (!stream) return INVALID_HANDLE;
  if (fault() != SUCCESS) return fault();
  if (stream->capture) return add_to(stream, std::move(work)) ? SUCCESS : STREAM_CAPTURE_INVALIDATED;
  if (Code code = order_around_legacy(stream); code != SUCCESS) return code;
  stream->queue.push_back(std::move(work));
  stream->n_enqueued++;
  make_progress();
  if (stream == streams().legacy.get()) drain(stream);
  return SUCCESS;  // Faults show when the host waits, as on a card.
}

Code drain_until(Stream *stream, uint64_t position) {
  while (stream->n_done < position && !stream->queue.empty()) run_next(stream);
  return fault();
}

Code drain(Stream *stream) { return drain_until(stream, stream->n_enqueued); }

Code drain_all() {
  for (auto &[stream, kept] : streams().all) drain(stream);
  return fault();
}

Code forbidden_while_capturing() {
  for (auto &capture : streams().captures) {
    const bool is_own = capture->thread == std::this_thread::get_id();
    if (capture->mode == Mode::Global || (capture->mode == Mode::ThreadLocal && is_own)) {
      capture->is_void = true;
      return STREAM_CAPTURE_UNSUPPORTED;
    }
  }
  return fault();
}

// ---- The driver's calls.

EXPORTED int cuStreamCreate(void **handle, unsigned flags) {
  Turn turn(everything());
  auto stream = streams().add();
  stream->waits_for_legacy = (flags & 1) == 0;
  *handle = stream.get();
  return fault();
}

EXPORTED int cuStreamCreateWithPriority(void **handle, unsigned flags, int) { return cuStreamCreate(handle, flags); }

EXPORTED int cuStreamDestroy_v2(void *handle) {
  Turn turn(everything());
  Stream *stream = stream_of(handle);
  if (!stream || reinterpret_cast<uintptr_t>(handle) <= 2) return INVALID_HANDLE;
  drain(stream);
  if (stream->capture) stream->capture->is_void = true;
  if (stream->capture) stream->capture->branches.erase(stream);
  streams().all.erase(stream);
  return fault();
}

EXPORTED int cuStreamSynchronize(void *handle) {
  Turn turn(everything());
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (stream->capture) {
    stream->capture->is_void = true;
    return STREAM_CAPTURE_UNSUPPORTED;
  }
  if (Code code = drain(stream); code != SUCCESS) return code;
  return note(check_guards());
}

EXPORTED int cuStreamQuery(void *handle) {
  Turn turn(everything());
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (stream->capture) {
    stream->capture->is_void = true;
    return STREAM_CAPTURE_UNSUPPORTED;
  }
  make_progress();
  return stream->queue.empty() ? fault() : NOT_READY;
}

EXPORTED int cuCtxSynchronize() {
  Turn turn(everything());
  for (auto &capture : streams().captures) {
    capture->is_void = true;
    return STREAM_CAPTURE_UNSUPPORTED;
  }
  if (Code code = drain_all(); code != SUCCESS) return code;
  return note(check_guards());
}

EXPORTED int cuEventCreate(void **handle, unsigned flags) {
  Turn turn(everything());
  auto *event = new Event;
  event->has_timing = (flags & 2) == 0;
  *handle = event;
  return fault();
}

EXPORTED int cuEventDestroy_v2(void *handle) {
  Turn turn(everything());
  delete event_of(handle);
  return fault();
}

EXPORTED int cuEventRecord(void *handle, void *stream_handle) {
  Turn turn(everything());
  Stream *stream = stream_of(stream_handle);
  Event *event = event_of(handle);
  if (!stream || !event) return INVALID_HANDLE;
  event->is_captured = stream->capture != nullptr;
  if (event->is_captured) {
    if (stream->capture->is_void) return STREAM_CAPTURE_INVALIDATED;
    event->capture = stream->capture;
    event->captured_on = stream;
    event->graph_length = stream->capture->graph.size();
    return SUCCESS;
  }
  event->seconds = std::make_shared<double>(0.0);
  event->stream = shared(stream);
  event->position = stream->n_enqueued + 1;
  return enqueue(stream, [time = event->seconds] {
    *time = seconds_now();
    return SUCCESS;
  });
}

EXPORTED int cuEventRecordWithFlags(void *handle, void *stream, unsigned) { return cuEventRecord(handle, stream); }

EXPORTED int cuStreamWaitEvent(void *stream_handle, void *handle, unsigned) {
  Turn turn(everything());
  Stream *stream = stream_of(stream_handle);
  Event *event = event_of(handle);
  if (!stream || !event) return INVALID_HANDLE;
  if (event->is_captured) {
    auto capture = event->capture.lock();
    if (!capture) return INVALID_VALUE;
    if (capture->is_void) return STREAM_CAPTURE_INVALIDATED;
    if (stream->capture && stream->capture != capture) return STREAM_CAPTURE_ISOLATION;
    if (!stream->capture) {
      stream->capture = capture;
      capture->branches[stream] = {};
    }
    auto &branch = capture->branches[event->captured_on];
    if (stream == capture->origin) branch.joined = std::max(branch.joined, event->graph_length);
    return SUCCESS;
  }
  if (stream->capture) {
    stream->capture->is_void = true;
    return STREAM_CAPTURE_ISOLATION;
  }
  if (!event->stream) return SUCCESS;
  return enqueue(stream, [of = event->stream, position = event->position] { return drain_until(of.get(), position); });
}

EXPORTED int cuEventSynchronize(void *handle) {
  Turn turn(everything());
  Event *event = event_of(handle);
  if (!event) return INVALID_HANDLE;
  if (event->is_captured) return CAPTURED_EVENT;
  return event->stream ? drain_until(event->stream.get(), event->position) : fault();
}

EXPORTED int cuEventQuery(void *handle) {
  Turn turn(everything());
  Event *event = event_of(handle);
  if (!event) return INVALID_HANDLE;
  if (event->is_captured) return CAPTURED_EVENT;
  make_progress();
  return !event->stream || event->stream->n_done >= event->position ? fault() : NOT_READY;
}

EXPORTED int cuEventElapsedTime(float *milliseconds, void *from, void *to) {
  Turn turn(everything());
  Event *start = event_of(from), *stop = event_of(to);
  if (!start || !stop || !start->stream || !stop->stream || !start->has_timing || !stop->has_timing)
    return INVALID_HANDLE;
  if (start->stream->n_done < start->position || stop->stream->n_done < stop->position) return NOT_READY;
  *milliseconds = static_cast<float>(1e3 * (*stop->seconds - *start->seconds));
  return fault();
}

EXPORTED int cuEventElapsedTime_v2(float *milliseconds, void *from, void *to) {
  return cuEventElapsedTime(milliseconds, from, to);
}

EXPORTED int cuStreamBeginCapture_v2(void *handle, int mode) {
  Turn turn(everything());
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (mode < 0 || mode > 2) return INVALID_VALUE;
  if (stream == streams().legacy.get()) return STREAM_CAPTURE_UNSUPPORTED;
  if (stream->capture) return INVALID_VALUE;
  auto capture = std::make_shared<Capture>();
  capture->origin = stream;
  capture->mode = static_cast<Mode>(mode);
  capture->thread = std::this_thread::get_id();
  capture->branches[stream] = {};
  stream->capture = capture;
  streams().captures.push_back(capture);
  return fault();
}

EXPORTED int cuStreamEndCapture(void *handle, void **graph) {
  Turn turn(everything());
  *graph = nullptr;
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  auto capture = stream->capture;
  if (!capture || capture->origin != stream) return STREAM_CAPTURE_UNMATCHED;
  if (capture->mode != Mode::Relaxed && capture->thread != std::this_thread::get_id())
    return STREAM_CAPTURE_WRONG_THREAD;
  end(capture);
  if (capture->is_void) return STREAM_CAPTURE_INVALIDATED;
  if (!is_joined(*capture)) return STREAM_CAPTURE_UNJOINED;
  *graph = new Graph{std::make_shared<const std::vector<Work>>(std::move(capture->graph))};
  return fault();
}

EXPORTED int cuStreamIsCapturing(void *handle, int *status) {
  Turn turn(everything());
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  *status = !stream->capture ? 0 : stream->capture->is_void ? 2 : 1;
  return fault();
}

EXPORTED int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) {
  Turn turn(everything());
  constexpr unsigned long long AUTO_FREE = 1, DEVICE_LAUNCH = 4;
  if (!graph || flags > 15 || (flags & (AUTO_FREE | DEVICE_LAUNCH)) == (AUTO_FREE | DEVICE_LAUNCH))
    return INVALID_VALUE;
  *exec = new Graph(*static_cast<Graph *>(graph));
  return fault();
}

EXPORTED int cuGraphGetNodes(void *graph, void **, size_t *count) {
  Turn turn(everything());
  *count = static_cast<Graph *>(graph)->work->size();
  return fault();
}

EXPORTED int cuGraphUpload(void *exec, void *handle) {
  Turn turn(everything());
  return exec && stream_of(handle) ? fault() : INVALID_VALUE;
}

EXPORTED int cuGraphLaunch(void *exec, void *handle) {
  Turn turn(everything());
  if (!exec) return INVALID_VALUE;
  return enqueue(stream_of(handle), [all = static_cast<Graph *>(exec)->work] {
    for (const Work &work : *all)
      if (Code code = work(); code != SUCCESS) return code;
    return SUCCESS;
  });
}

EXPORTED int cuGraphExecDestroy(void *exec) {
  Turn turn(everything());
  delete static_cast<Graph *>(exec);
  return fault();
}

EXPORTED int cuGraphDestroy(void *graph) { return cuGraphExecDestroy(graph); }

EXPORTED int cuLaunchHostFunc(void *handle, void (*function)(void *), void *data) {
  Turn turn(everything());
  return enqueue(stream_of(handle), [=] {
    function(data);
    return SUCCESS;
  });
}

}  // namespace emulator
