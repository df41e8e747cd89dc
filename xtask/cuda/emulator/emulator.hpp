// What the emulated libraries share: the card's memory, its streams, and the errors of the driver.
//
// One lock stands before everything: calls of several threads take turns. The driver's state lives
// in libcuda; the other libraries link to it and use what is declared here.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <mutex>

namespace emulator {

// CUresult, with the driver's numbers.
enum Code : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_CONTEXT = 201,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  MISALIGNED_ADDRESS = 716,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801,
  STREAM_CAPTURE_UNSUPPORTED = 900,
  STREAM_CAPTURE_INVALIDATED = 901,
  STREAM_CAPTURE_UNMATCHED = 903,
  STREAM_CAPTURE_UNJOINED = 904,
  STREAM_CAPTURE_ISOLATION = 905,
  STREAM_CAPTURE_IMPLICIT = 906,
  CAPTURED_EVENT = 907,
  STREAM_CAPTURE_WRONG_THREAD = 908,
};

using Address = uint64_t;
using Work = std::function<Code()>;
struct Stream;

// Held by every call of every library.
std::recursive_mutex &everything();
using Turn = std::lock_guard<std::recursive_mutex>;

// One line on stderr that says what the emulated card found wrong.
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);
// What was said last.
const char *last_complaint();

// ---- memory.cpp: addresses that are never used twice, with guards around what is allocated.
Code allocate(size_t bytes, Address *address);
Code release(Address address);
// Whether an allocation begins at `address`.
bool is_allocation(Address address);
// Whether [address, address + bytes) lies in one allocation of the card or of pinned memory.
bool is_reachable(Address address, size_t bytes);
bool is_pinned(const void *host, size_t bytes);
// Whether `address` is one that the card hands out, now or ever.
bool is_of_the_card(Address address);
// Says on stderr where an address lies relative to what is allocated.
void describe(Address address);
Code allocate_pinned(size_t bytes, void **host);
Code release_pinned(void *host);
// Whether nobody has written around what is allocated.
Code check_guards();
size_t free_bytes();
size_t total_bytes();

// ---- streams.cpp: work in order, now, later, or put into a graph.
enum class Order { AtOnce, Late, Drawn };
Order order();
// The stream of a handle; null where it is none.
Stream *stream_of(void *handle);
// Runs `work` in the stream's order, or keeps it for the graph that is being captured.
Code enqueue(Stream *stream, Work work);
bool is_capturing(const Stream *stream);
Code drain(Stream *stream);
Code drain_all();
// For calls that a capture forbids: the error, after which the capture is void.
Code forbidden_while_capturing();
// The first fault of the card; nothing works any more afterwards, as on a card.
Code fault();

// ---- execution.cpp: kernels, block by block, thread by thread.
struct Launch {
  const char *name;
  void (*call)(void **arguments);
  void **arguments;
  unsigned grid[3], block[3];
  size_t shared_bytes;
};
Code execute(const Launch &launch);
void install_fault_handler();

}  // namespace emulator

#define EXPORTED extern "C" __attribute__((visibility("default")))
