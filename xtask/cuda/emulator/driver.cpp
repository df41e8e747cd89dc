// The driver's calls for devices, contexts, memory, modules and launches.
//
// Signatures and numbers are those of CUDA 13.0; handles are addresses of our own things. The card
// is one of compute capability 9.0 with few multiprocessors, so that grids stay small.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <string>

#include "on_cpu.h"
#include "streams.hpp"

namespace emulator {

std::recursive_mutex &everything() {
  static auto *it = new std::recursive_mutex;
  return *it;
}

namespace {
char complaint[512];
}

void complain(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(complaint, sizeof complaint, format, arguments);
  va_end(arguments);
  fprintf(stderr, "emulated card: %s\n", complaint);
}

const char *last_complaint() { return complaint; }

namespace {

constexpr int MULTIPROCESSORS = 4;
constexpr int MAX_THREADS = 1024;
constexpr size_t SHARED_BY_DEFAULT = 48 << 10, SHARED_AT_MOST = 227 << 10;
constexpr unsigned MAX_GRID_YZ = 65535;
constexpr int MAX_DEVICES = 16;

struct Context {
  int device;
};

struct Function {
  cxr_on_cpu::Kernel kernel;
  size_t max_shared = SHARED_BY_DEFAULT;
};

bool initialised = false;
Context contexts[MAX_DEVICES];
thread_local Context *current = nullptr;
uint64_t release_threshold = 0;
char pool, module;

std::map<std::string, Function> &functions() {
  static auto *it = new std::map<std::string, Function>;  // Kernels register before main.
  return *it;
}

int n_devices() {
  const char *text = getenv("CXR_EMULATED_DEVICES");
  return text ? std::min(atoi(text), MAX_DEVICES) : 1;
}

// What must hold before a call that works in a context.
Code ready() {
  if (!initialised) return NOT_INITIALIZED;
  if (!current) return INVALID_CONTEXT;
  return fault();
}

Code device_exists(int device) {
  if (!initialised) return NOT_INITIALIZED;
  return device >= 0 && device < n_devices() ? SUCCESS : INVALID_DEVICE;
}

int attribute(int number) {
  switch (number) {
    case 1: case 2: case 3: return MAX_THREADS;  // Threads of a block; along x; along y.
    case 4: return 64;                           // Threads along z.
    case 5: return 0x7fffffff;                   // Blocks along x.
    case 6: case 7: return MAX_GRID_YZ;
    case 8: return SHARED_BY_DEFAULT;
    case 10: return 32;                          // Threads of a warp.
    case 12: return 65536;                       // Registers of a block.
    case 16: return MULTIPROCESSORS;
    case 31: case 41: case 78: case 95: return 1;  // Concurrent kernels, unified addresses, priorities, cooperative.
    case 38: return 50 << 20;                    // Bytes of the second-level cache.
    case 39: return 2048;                        // Threads of a multiprocessor.
    case 40: return 3;                           // Copy engines.
    case 75: return 9;
    case 76: return 0;
    case 81: return 228 << 10;                   // Shared memory of a multiprocessor.
    case 82: return 65536;
    case 97: return SHARED_AT_MOST;
    case 106: return 32;                         // Blocks of a multiprocessor.
    case 115: return 1;                          // Memory pools.
    default: return 0;
  }
}

const void *host(Address address) { return reinterpret_cast<const void *>(address); }
void *host_mut(Address address) { return reinterpret_cast<void *>(address); }

bool holds(Address address, size_t bytes, const char *what) {
  if (is_reachable(address, bytes)) return true;
  complain("%s of %zu bytes at 0x%lx leaves the memory that is allocated", what, bytes, address);
  describe(address);
  return false;
}

Code copy_now(Address target, Address source, size_t bytes, bool target_is_card, bool source_is_card) {
  if (target_is_card && !holds(target, bytes, "a copy's target")) return ILLEGAL_ADDRESS;
  if (source_is_card && !holds(source, bytes, "a copy's source")) return ILLEGAL_ADDRESS;
  memmove(host_mut(target), host(source), bytes);
  return SUCCESS;
}

// A copy that the host waits for, in the legacy stream.
int copy_and_wait(Address target, Address source, size_t bytes, bool target_is_card, bool source_is_card) {
  if (Code code = ready(); code != SUCCESS) return code;
  if (Code code = forbidden_while_capturing(); code != SUCCESS) return code;
  if (bytes == 0) return SUCCESS;
  if (target_is_card && !is_reachable(target, bytes)) return INVALID_VALUE;
  if (source_is_card && !is_reachable(source, bytes)) return INVALID_VALUE;
  Stream *legacy = stream_of(nullptr);
  Code code = enqueue(legacy, [=] { return copy_now(target, source, bytes, target_is_card, source_is_card); });
  return code != SUCCESS ? code : drain(legacy);
}

Code fill(Address target, const void *value, size_t width, size_t count) {
  if (!holds(target, width * count, "a fill")) return ILLEGAL_ADDRESS;
  char *place = static_cast<char *>(host_mut(target));
  for (size_t i = 0; i < count; i++) memcpy(place + i * width, value, width);
  return SUCCESS;
}

template <typename T> int fill_later(Address target, T value, size_t count, void *stream) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  if (count == 0) return SUCCESS;
  return enqueue(stream_of(stream), [=] { return fill(target, &value, sizeof(T), count); });
}

template <typename T> int fill_in_order(Address target, T value, size_t count) {
  Turn turn(everything());
  if (Code code = forbidden_while_capturing(); code != SUCCESS) return code;
  return fill_later(target, value, count, nullptr);
}

// ---- Launches.

struct Copied {
  Function *function;
  std::vector<std::vector<char>> values;
};

bool pointers_are_good(Copied &copied) {
  const auto &kernel = copied.function->kernel;
  for (size_t i = 0; i < kernel.n_arguments; i++) {
    if (!kernel.arguments[i].is_pointer) continue;
    Address address;
    memcpy(&address, copied.values[i].data(), sizeof address);
    if (address == 0 || is_reachable(address, 0)) continue;
    complain("kernel %s: argument %zu is no address of memory that is allocated", kernel.name, i);
    describe(address);
    return false;
  }
  return true;
}

Code run(Copied &copied, const unsigned (&grid)[3], const unsigned (&block)[3], size_t shared_bytes) {
  if (!pointers_are_good(copied)) return ILLEGAL_ADDRESS;
  std::vector<void *> addresses;
  for (auto &value : copied.values) addresses.push_back(value.data());
  const auto &kernel = copied.function->kernel;
  Launch launch{kernel.name, kernel.call, addresses.data(), {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shared_bytes};
  return execute(launch);
}

const char *fault_of_launch(const Function &of, const unsigned (&grid)[3], const unsigned (&block)[3], size_t shared) {
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0) return "a grid without blocks";
  if (grid[0] > 0x7fffffff || grid[1] > MAX_GRID_YZ || grid[2] > MAX_GRID_YZ) return "a grid with too many blocks";
  if (block[0] == 0 || block[1] == 0 || block[2] == 0) return "a block without threads";
  if (block[2] > 64 || uint64_t{block[0]} * block[1] * block[2] > MAX_THREADS) return "a block with too many threads";
  if (shared > of.max_shared) return "more shared memory than the function may have";
  return nullptr;
}

int launch(Function *function, const unsigned (&grid)[3], const unsigned (&block)[3], size_t shared, void *stream,
           void **arguments) {
  if (Code code = ready(); code != SUCCESS) return code;
  if (!function) return INVALID_HANDLE;
  if (const char *problem = fault_of_launch(*function, grid, block, shared)) {
    complain("kernel %s: %s (grid %u×%u×%u, block %u×%u×%u, %zu bytes shared)", function->kernel.name, problem,
             grid[0], grid[1], grid[2], block[0], block[1], block[2], shared);
    return INVALID_VALUE;
  }
  Copied copied{function, {}};
  for (size_t i = 0; i < function->kernel.n_arguments; i++) {
    if (!arguments || !arguments[i]) return INVALID_VALUE;
    const char *value = static_cast<const char *>(arguments[i]);
    copied.values.emplace_back(value, value + function->kernel.arguments[i].bytes);
  }
  return enqueue(stream_of(stream), [copied, grid_0 = grid[0], grid_1 = grid[1], grid_2 = grid[2], block_0 = block[0],
                                     block_1 = block[1], block_2 = block[2], shared]() mutable {
    return run(copied, {grid_0, grid_1, grid_2}, {block_0, block_1, block_2}, shared);
  });
}

struct Name {
  int code;
  const char *name, *text;
};

constexpr Name NAMES[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {STREAM_CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {STREAM_CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
};

const Name *named(int code) {
  for (const Name &name : NAMES)
    if (name.code == code) return &name;
  return nullptr;
}

}  // namespace

// ---- Errors, devices, contexts.

EXPORTED int cuGetErrorName(int code, const char **text) {
  const Name *found = named(code);
  *text = found ? found->name : nullptr;
  return found ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuGetErrorString(int code, const char **text) {
  const Name *found = named(code);
  *text = found ? found->text : nullptr;
  return found ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuInit(unsigned flags) {
  Turn turn(everything());
  if (flags != 0) return INVALID_VALUE;
  if (n_devices() < 1) return NO_DEVICE;
  if (!initialised) install_fault_handler();
  initialised = true;
  return SUCCESS;
}

EXPORTED int cuDriverGetVersion(int *version) {
  *version = 13000;
  return SUCCESS;
}

EXPORTED int cuDeviceGetCount(int *count) {
  Turn turn(everything());
  *count = n_devices();
  return initialised ? SUCCESS : NOT_INITIALIZED;
}

EXPORTED int cuDeviceGet(int *device, int ordinal) {
  Turn turn(everything());
  *device = ordinal;
  return device_exists(ordinal);
}

EXPORTED int cuDeviceGetName(char *name, int length, int device) {
  Turn turn(everything());
  snprintf(name, static_cast<size_t>(length), "Emulated card (CPU)");
  return device_exists(device);
}

EXPORTED int cuDeviceGetUuid_v2(char *uuid, int device) {
  Turn turn(everything());
  memset(uuid, 0xe0 + device, 16);
  return device_exists(device);
}

EXPORTED int cuDeviceGetUuid(char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }

EXPORTED int cuDeviceGetAttribute(int *value, int number, int device) {
  Turn turn(everything());
  *value = attribute(number);
  return device_exists(device);
}

EXPORTED int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  Turn turn(everything());
  *bytes = total_bytes();
  return device_exists(device);
}

EXPORTED int cuDevicePrimaryCtxRetain(void **context, int device) {
  Turn turn(everything());
  if (Code code = device_exists(device); code != SUCCESS) return code;
  contexts[device].device = device;
  *context = &contexts[device];
  return SUCCESS;
}

EXPORTED int cuDevicePrimaryCtxRelease_v2(int device) {
  Turn turn(everything());
  return device_exists(device);
}

EXPORTED int cuCtxSetCurrent(void *context) {
  Turn turn(everything());
  current = static_cast<Context *>(context);
  return initialised ? SUCCESS : NOT_INITIALIZED;
}

EXPORTED int cuCtxGetCurrent(void **context) {
  Turn turn(everything());
  *context = current;
  return initialised ? SUCCESS : NOT_INITIALIZED;
}

EXPORTED int cuCtxGetDevice(int *device) {
  Turn turn(everything());
  if (current) *device = current->device;
  return ready();
}

EXPORTED int cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  Turn turn(everything());
  *least = 0;
  *greatest = -5;
  return ready();
}

EXPORTED int cuCtxSetFlags(unsigned) {
  Turn turn(everything());
  return ready();
}

// ---- Memory.

EXPORTED int cuMemGetInfo_v2(size_t *free, size_t *total) {
  Turn turn(everything());
  *free = free_bytes();
  *total = total_bytes();
  return ready();
}

EXPORTED int cuMemAlloc_v2(Address *address, size_t bytes) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  if (Code code = forbidden_while_capturing(); code != SUCCESS) return code;
  return allocate(bytes, address);
}

EXPORTED int cuMemFree_v2(Address address) {
  Turn turn(everything());
  if (address == 0) return SUCCESS;
  if (Code code = ready(); code != SUCCESS) return code;
  if (Code code = forbidden_while_capturing(); code != SUCCESS) return code;
  drain_all();
  return release(address);
}

EXPORTED int cuMemAllocAsync(Address *address, size_t bytes, void *handle) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (stream->capture) {
    complain("memory is asked for in a stream that is being captured, which is not emulated");
    stream->capture->is_void = true;
    return STREAM_CAPTURE_UNSUPPORTED;
  }
  if (Code code = allocate(bytes, address); code != OUT_OF_MEMORY) return code;
  drain_all();  // What waits to be freed in a stream's order makes room, as on a card.
  return allocate(bytes, address);
}

EXPORTED int cuMemFreeAsync(Address address, void *handle) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (!is_allocation(address)) return INVALID_VALUE;
  if (stream->capture) {
    complain("memory is freed in a stream that is being captured, which is not emulated");
    stream->capture->is_void = true;
    return STREAM_CAPTURE_UNSUPPORTED;
  }
  return enqueue(stream, [=] { return release(address); });
}

EXPORTED int cuMemHostAlloc(void **address, size_t bytes, unsigned) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  if (Code code = forbidden_while_capturing(); code != SUCCESS) return code;
  return allocate_pinned(bytes, address);
}

EXPORTED int cuMemAllocHost_v2(void **address, size_t bytes) { return cuMemHostAlloc(address, bytes, 0); }

EXPORTED int cuMemFreeHost(void *address) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  if (Code code = forbidden_while_capturing(); code != SUCCESS) return code;
  drain_all();
  return release_pinned(address);
}

EXPORTED int cuMemcpyHtoD_v2(Address target, const void *source, size_t bytes) {
  Turn turn(everything());
  return copy_and_wait(target, reinterpret_cast<Address>(source), bytes, true, false);
}

EXPORTED int cuMemcpyDtoH_v2(void *target, Address source, size_t bytes) {
  Turn turn(everything());
  return copy_and_wait(reinterpret_cast<Address>(target), source, bytes, false, true);
}

EXPORTED int cuMemcpyDtoD_v2(Address target, Address source, size_t bytes) {
  Turn turn(everything());
  return copy_and_wait(target, source, bytes, true, true);
}

EXPORTED int cuMemcpyHtoDAsync_v2(Address target, const void *source, size_t bytes, void *handle) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (bytes == 0) return SUCCESS;
  if (!is_reachable(target, bytes)) return INVALID_VALUE;
  if (stream->capture || is_pinned(source, bytes))
    return enqueue(stream, [=] { return copy_now(target, reinterpret_cast<Address>(source), bytes, true, false); });
  // Ordinary memory is staged by the driver before the call returns.
  const char *first = static_cast<const char *>(source);
  return enqueue(stream, [target, staged = std::vector<char>(first, first + bytes)] {
    return copy_now(target, reinterpret_cast<Address>(staged.data()), staged.size(), true, false);
  });
}

EXPORTED int cuMemcpyDtoHAsync_v2(void *target, Address source, size_t bytes, void *handle) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  Stream *stream = stream_of(handle);
  if (!stream) return INVALID_HANDLE;
  if (bytes == 0) return SUCCESS;
  if (!is_reachable(source, bytes)) return INVALID_VALUE;
  Code code = enqueue(stream, [=] { return copy_now(reinterpret_cast<Address>(target), source, bytes, false, true); });
  // Into ordinary memory the driver copies before the call returns.
  return code != SUCCESS || stream->capture || is_pinned(target, bytes) ? code : drain(stream);
}

EXPORTED int cuMemcpyDtoDAsync_v2(Address target, Address source, size_t bytes, void *handle) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  if (bytes == 0) return SUCCESS;
  if (!is_reachable(target, bytes) || !is_reachable(source, bytes)) return INVALID_VALUE;
  return enqueue(stream_of(handle), [=] { return copy_now(target, source, bytes, true, true); });
}

EXPORTED int cuMemsetD8Async(Address target, unsigned char value, size_t count, void *stream) {
  return fill_later(target, value, count, stream);
}
EXPORTED int cuMemsetD16Async(Address target, unsigned short value, size_t count, void *stream) {
  return fill_later(target, value, count, stream);
}
EXPORTED int cuMemsetD32Async(Address target, unsigned value, size_t count, void *stream) {
  return fill_later(target, value, count, stream);
}
EXPORTED int cuMemsetD8_v2(Address target, unsigned char value, size_t count) {
  return fill_in_order(target, value, count);
}
EXPORTED int cuMemsetD32_v2(Address target, unsigned value, size_t count) { return fill_in_order(target, value, count); }

EXPORTED int cuDeviceGetDefaultMemPool(void **handle, int device) {
  Turn turn(everything());
  *handle = &pool;
  return device_exists(device);
}

EXPORTED int cuDeviceGetMemPool(void **handle, int device) { return cuDeviceGetDefaultMemPool(handle, device); }

EXPORTED int cuMemPoolSetAttribute(void *handle, int number, void *value) {
  Turn turn(everything());
  if (handle != &pool || number < 1 || number > 8) return INVALID_VALUE;
  if (number == 4) memcpy(&release_threshold, value, sizeof release_threshold);
  return fault();
}

EXPORTED int cuMemPoolGetAttribute(void *handle, int number, void *value) {
  Turn turn(everything());
  if (handle != &pool || number < 4 || number > 8) return INVALID_VALUE;
  const uint64_t answer = number == 4 ? release_threshold : total_bytes() - free_bytes();
  memcpy(value, &answer, sizeof answer);
  return fault();
}

EXPORTED int cuMemPoolTrimTo(void *handle, size_t) { return handle == &pool ? fault() : INVALID_VALUE; }

// ---- Modules and functions.

EXPORTED int cuModuleLoadData(void **handle, const void *image) {
  Turn turn(everything());
  if (Code code = ready(); code != SUCCESS) return code;
  if (Code code = forbidden_while_capturing(); code != SUCCESS) return code;
  *handle = &module;
  return image ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuModuleLoadDataEx(void **handle, const void *image, unsigned, void *, void **) {
  return cuModuleLoadData(handle, image);
}

EXPORTED int cuModuleUnload(void *) {
  Turn turn(everything());
  return ready();
}

EXPORTED int cuModuleGetFunction(void **handle, void *, const char *name) {
  Turn turn(everything());
  auto found = functions().find(name);
  if (found == functions().end()) {
    complain("there is no kernel %s", name);
    return NOT_FOUND;
  }
  *handle = &found->second;
  return ready();
}

EXPORTED int cuFuncGetAttribute(int *value, int number, void *handle) {
  Turn turn(everything());
  const int answers[9] = {MAX_THREADS, 0, 0, 0, 32, 90, 90, 0, static_cast<int>(static_cast<Function *>(handle)->max_shared)};
  *value = number >= 0 && number < 9 ? answers[number] : 0;
  return ready();
}

EXPORTED int cuFuncSetAttribute(void *handle, int number, int value) {
  Turn turn(everything());
  if (number != 8) return ready();
  if (value < 0 || static_cast<size_t>(value) > SHARED_AT_MOST) return INVALID_VALUE;
  static_cast<Function *>(handle)->max_shared = static_cast<size_t>(value);
  return ready();
}

EXPORTED int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                            unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **arguments,
                            void **extra) {
  Turn turn(everything());
  if (extra) return NOT_SUPPORTED;
  return launch(static_cast<Function *>(function), {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared,
                stream, arguments);
}

}  // namespace emulator

void cxr_on_cpu::register_kernel(const Kernel &kernel) { emulator::functions()[kernel.name] = {kernel}; }
