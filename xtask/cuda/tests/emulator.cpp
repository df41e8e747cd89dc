// What the emulator promises, each promise in a process of its own: a fault of the card is for ever.
//
// Without arguments all are tried; a name tries one, in this process, with what the card says.

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

using Address = uint64_t;

extern "C" {
int cuInit(unsigned);
int cuDeviceGetCount(int *);
int cuDeviceGet(int *, int);
int cuDevicePrimaryCtxRetain(void **, int);
int cuCtxSetCurrent(void *);
int cuCtxSynchronize();
int cuMemAlloc_v2(Address *, size_t);
int cuMemAllocAsync(Address *, size_t, void *);
int cuMemFree_v2(Address);
int cuMemFreeAsync(Address, void *);
int cuMemGetInfo_v2(size_t *, size_t *);
int cuMemHostAlloc(void **, size_t, unsigned);
int cuMemcpyHtoD_v2(Address, const void *, size_t);
int cuMemcpyDtoH_v2(void *, Address, size_t);
int cuMemcpyHtoDAsync_v2(Address, const void *, size_t, void *);
int cuMemcpyDtoHAsync_v2(void *, Address, size_t, void *);
int cuMemsetD32_v2(Address, unsigned, size_t);
int cuMemsetD8Async(Address, unsigned char, size_t, void *);
int cuStreamCreate(void **, unsigned);
int cuStreamSynchronize(void *);
int cuStreamWaitEvent(void *, void *, unsigned);
int cuStreamBeginCapture_v2(void *, int);
int cuStreamEndCapture(void *, void **);
int cuStreamIsCapturing(void *, int *);
int cuEventCreate(void **, unsigned);
int cuEventRecord(void *, void *);
int cuEventSynchronize(void *);
int cuGraphInstantiateWithFlags(void **, void *, unsigned long long);
int cuGraphLaunch(void *, void *);
int cuModuleLoadData(void **, const void *);
int cuModuleGetFunction(void **, void *, const char *);
int cuFuncSetAttribute(void *, int, int);
int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
int cublasCreate_v2(void **);
int cublasSetStream_v2(void *, void *);
int cublasSetWorkspace_v2(void *, void *, size_t);
int cublasGemmEx(void *, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int,
                 const void *, void *, int, int, int, int);
int cudnnCreate(void **);
int cudnnSetStream(void *, void *);
int cudnnCreateTensorDescriptor(void **);
int cudnnCreateFilterDescriptor(void **);
int cudnnCreateConvolutionDescriptor(void **);
int cudnnSetTensor4dDescriptor(void *, int, int, int, int, int, int);
int cudnnSetFilter4dDescriptor(void *, int, int, int, int, int, int);
int cudnnSetConvolution2dDescriptor(void *, int, int, int, int, int, int, int, int);
int cudnnSetConvolutionMathType(void *, int);
int cudnnConvolutionForward(void *, const void *, void *, const void *, void *, const void *, void *, int, void *,
                            size_t, const void *, void *, void *);
int cudnnConvolutionBackwardData(void *, const void *, void *, const void *, void *, const void *, void *, int, void *,
                                 size_t, const void *, void *, void *);
int cudnnConvolutionBackwardFilter(void *, const void *, void *, const void *, void *, const void *, void *, int,
                                   void *, size_t, const void *, void *, void *);
int cudnnGetConvolutionBackwardFilterWorkspaceSize(void *, void *, void *, void *, void *, int, size_t *);
}

#define CHECK(claim)                                                    \
  do {                                                                  \
    if (!(claim)) {                                                     \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #claim);        \
      exit(1);                                                          \
    }                                                                   \
  } while (0)

constexpr int OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700;
constexpr int MISALIGNED = 716, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901;
constexpr int UNJOINED = 904, ISOLATION = 905, WRONG_THREAD = 908;
constexpr int GLOBAL = 0, THREAD_LOCAL = 1, RELAXED = 2;

void *stream = nullptr, *module = nullptr;

void start() {
  CHECK(cuInit(0) == OK);
  void *context;
  CHECK(cuDevicePrimaryCtxRetain(&context, 0) == OK);
  CHECK(cuCtxSetCurrent(context) == OK);
  CHECK(cuStreamCreate(&stream, 1) == OK && cuModuleLoadData(&module, "") == OK);
}

void *function(const char *name) {
  void *found;
  CHECK(cuModuleGetFunction(&found, module, name) == OK);
  return found;
}

template <typename... A> int launch(const char *name, unsigned blocks, unsigned threads, size_t shared, A... values) {
  void *addresses[] = {static_cast<void *>(&values)..., nullptr};
  return cuLaunchKernel(function(name), blocks, 1, 1, threads, 1, 1, static_cast<unsigned>(shared), stream, addresses, nullptr);
}

Address on_card(const std::vector<float> &numbers) {
  Address address;
  CHECK(cuMemAlloc_v2(&address, numbers.size() * 4) == OK);
  CHECK(cuMemcpyHtoD_v2(address, numbers.data(), numbers.size() * 4) == OK);
  return address;
}

std::vector<float> from_card(Address address, size_t count) {
  std::vector<float> numbers(count);
  CHECK(cuStreamSynchronize(stream) == OK);
  CHECK(cuMemcpyDtoH_v2(numbers.data(), address, count * 4) == OK);
  return numbers;
}

// ---- Kernels.

void threads_meet_at_barriers() {
  std::vector<float> numbers(3 * 128);
  for (size_t i = 0; i < numbers.size(); i++) numbers[i] = static_cast<float>(i);
  Address source = on_card(numbers), sums = on_card({0, 0, 0});
  CHECK(launch("test_sum", 3, 128, 128 * 4, source, sums) == OK);
  auto found = from_card(sums, 3);
  for (size_t b = 0; b < 3; b++) CHECK(found[b] == static_cast<float>(128 * 127 / 2 + 128 * 128 * b));
}

void every_place_of_a_grid_runs_once() {
  Address places;
  CHECK(cuMemAlloc_v2(&places, 2 * 3 * 4 * 5 * 2 * 3 * 4) == OK);
  void *arguments[] = {&places};
  CHECK(cuLaunchKernel(function("test_places"), 2, 3, 4, 5, 2, 3, 0, stream, arguments, nullptr) == OK);
  std::vector<int> found(2 * 3 * 4 * 5 * 2 * 3);
  CHECK(cuStreamSynchronize(stream) == OK);
  CHECK(cuMemcpyDtoH_v2(found.data(), places, found.size() * 4) == OK);
  for (size_t i = 0; i < found.size(); i++) CHECK(found[i] == static_cast<int>(i));
}

void bfloat16_rounds_to_nearest_even() {
  Address source = on_card({1.0f, 1.00390625f, 1.01171875f, -1.0039064f, INFINITY, NAN, 1e-40f});
  Address rounded = on_card(std::vector<float>(7)), kept;
  CHECK(cuMemAlloc_v2(&kept, 14) == OK);
  CHECK(launch("test_round", 1, 7, 0, source, rounded, kept) == OK);
  auto found = from_card(rounded, 7);
  CHECK(found[0] == 1.0f && found[1] == 1.0f && found[2] == 1.015625f && found[3] == -1.0078125f);
  CHECK(isinf(found[4]) && isnan(found[5]) && found[6] > 9e-41f && found[6] < 1.1e-40f);
}

void a_missing_barrier_shows_in_another_order() {
  Address numbers = on_card(std::vector<float>(8));
  CHECK(launch("test_without_barrier", 1, 8, 32, numbers) == OK);
  const bool is_plain = !getenv("CXR_EMULATED_ORDER") || !*getenv("CXR_EMULATED_ORDER");
  CHECK((from_card(numbers, 8)[7] == 6.0f) == is_plain);
}

void divergent_barriers_are_a_fault_for_ever() {
  CHECK(launch("test_divergent", 1, 8, 0) == OK);
  CHECK(cuStreamSynchronize(stream) == LAUNCH_FAILED);
  Address address;
  CHECK(cuMemAlloc_v2(&address, 4) == LAUNCH_FAILED);
}

void a_write_past_the_end_is_a_fault() {
  Address numbers = on_card(std::vector<float>(64));
  CHECK(launch("test_write", 1, 1, 0, numbers, 64ll) == OK);
  CHECK(cuStreamSynchronize(stream) == ILLEGAL_ADDRESS);
}

void a_write_into_the_rest_of_a_line_is_a_fault() {
  Address numbers = on_card(std::vector<float>(3));
  CHECK(launch("test_write", 1, 1, 0, numbers, 3ll) == OK);
  CHECK(cuStreamSynchronize(stream) == ILLEGAL_ADDRESS);
}

void a_write_before_the_start_is_a_fault() {
  Address numbers = on_card(std::vector<float>(64));
  CHECK(launch("test_write", 1, 1, 0, numbers, -1ll) == OK);
  CHECK(cuStreamSynchronize(stream) == ILLEGAL_ADDRESS);
}

void freed_memory_cannot_be_used() {
  Address numbers = on_card(std::vector<float>(64));
  CHECK(cuMemFree_v2(numbers) == OK);
  CHECK(launch("test_write", 1, 1, 0, numbers, 0ll) == OK);
  CHECK(cuStreamSynchronize(stream) == ILLEGAL_ADDRESS);
}

void misaligned_vectors_are_a_fault() {
  Address numbers = on_card(std::vector<float>(64)), wide = on_card({0, 0, 0, 0});
  CHECK(launch("test_wide", 1, 1, 0, numbers + 4, wide) == OK);
  CHECK(cuStreamSynchronize(stream) == MISALIGNED);
}

void shared_memory_ends_where_it_was_asked_to() {
  Address numbers = on_card({0});
  CHECK(launch("test_shared_overrun", 1, 32, 128, numbers) == OK);
  CHECK(cuStreamSynchronize(stream) == ILLEGAL_ADDRESS);
}

void launches_of_impossible_shapes_are_refused() {
  Address numbers = on_card({1});
  CHECK(launch("test_scale", 0, 32, 0, numbers, 2.0f, 1) == INVALID_VALUE);
  CHECK(launch("test_scale", 1, 1025, 0, numbers, 2.0f, 1) == INVALID_VALUE);
  CHECK(launch("test_scale", 1, 0, 0, numbers, 2.0f, 1) == INVALID_VALUE);
  CHECK(launch("test_scale", 1, 32, 49 << 10, numbers, 2.0f, 1) == INVALID_VALUE);
  CHECK(cuFuncSetAttribute(function("test_scale"), 8, 64 << 10) == OK);
  CHECK(launch("test_scale", 1, 32, 49 << 10, numbers, 2.0f, 1) == OK);
  CHECK(from_card(numbers, 1)[0] == 2.0f);
}

void unknown_kernels_are_not_found() {
  void *found;
  CHECK(cuModuleGetFunction(&found, module, "nobody") == NOT_FOUND);
}

// ---- Memory.

void fresh_memory_is_not_a_number() {
  Address address;
  CHECK(cuMemAlloc_v2(&address, 8) == OK);
  for (float value : from_card(address, 2)) CHECK(isnan(value));
}

void memory_ends_and_comes_back() {
  size_t free_before, free_after, total;
  CHECK(cuMemGetInfo_v2(&free_before, &total) == OK);
  Address all, more;
  CHECK(cuMemAlloc_v2(&all, total + 1) == OUT_OF_MEMORY);
  CHECK(cuMemAlloc_v2(&all, total - 256) == OK);
  CHECK(cuMemAlloc_v2(&more, 512) == OUT_OF_MEMORY);
  CHECK(cuMemFreeAsync(all, stream) == OK);
  CHECK(cuMemAllocAsync(&more, 512, stream) == OK);
  CHECK(cuMemFree_v2(more) == OK);
  CHECK(cuMemGetInfo_v2(&free_after, &total) == OK);
  CHECK(free_after == free_before);
}

void copies_outside_are_refused() {
  Address numbers = on_card({1, 2});
  float host[3];
  CHECK(cuMemcpyDtoH_v2(host, numbers, 12) == INVALID_VALUE);
  CHECK(cuMemcpyHtoD_v2(numbers + 4, host, 8) == INVALID_VALUE);
  CHECK(cuMemFree_v2(numbers + 4) == INVALID_VALUE);
}

void devices_are_as_many_as_there_are() {
  setenv("CXR_EMULATED_DEVICES", "2", 1);
  int count, device;
  CHECK(cuDeviceGetCount(&count) == OK && count == 2);
  CHECK(cuDeviceGet(&device, 1) == OK && cuDeviceGet(&device, 2) == 101);
  setenv("CXR_EMULATED_DEVICES", "0", 1);
  CHECK(cuInit(0) == NO_DEVICE);
}

// ---- Streams.

void events_order_streams() {
  void *other, *event, *pinned;
  CHECK(cuStreamCreate(&other, 1) == OK && cuEventCreate(&event, 2) == OK);
  CHECK(cuMemHostAlloc(&pinned, 4, 0) == OK);
  Address number = on_card({1});
  *static_cast<float *>(pinned) = 5.0f;
  CHECK(cuMemcpyHtoDAsync_v2(number, pinned, 4, other) == OK);
  CHECK(cuEventRecord(event, other) == OK && cuStreamWaitEvent(stream, event, 0) == OK);
  CHECK(launch("test_scale", 1, 1, 0, number, 3.0f, 1) == OK);
  CHECK(from_card(number, 1)[0] == 15.0f);
}

void late_work_shows_what_is_not_waited_for() {
  setenv("CXR_EMULATED_ORDER", "late", 1);
  start();
  void *other, *pinned;
  CHECK(cuStreamCreate(&other, 1) == OK && cuMemHostAlloc(&pinned, 4, 0) == OK);
  Address number = on_card({1});
  *static_cast<float *>(pinned) = 5.0f;
  CHECK(cuMemcpyHtoDAsync_v2(number, pinned, 4, other) == OK);
  CHECK(launch("test_scale", 1, 1, 0, number, 3.0f, 1) == OK);
  *static_cast<float *>(pinned) = 7.0f;
  CHECK(from_card(number, 1)[0] == 3.0f);
  CHECK(cuStreamSynchronize(other) == OK);
  CHECK(from_card(number, 1)[0] == 7.0f);
}

// ---- Captures and graphs.

void graphs_replay_with_copied_arguments() {
  Address number = on_card({1});
  void *graph, *exec;
  int status;
  CHECK(cuStreamBeginCapture_v2(stream, THREAD_LOCAL) == OK);
  CHECK(launch("test_scale", 1, 1, 0, number, 3.0f, 1) == OK);
  CHECK(cuStreamIsCapturing(stream, &status) == OK && status == 1);
  CHECK(cuStreamEndCapture(stream, &graph) == OK);
  CHECK(from_card(number, 1)[0] == 1.0f);
  CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0) == OK);
  CHECK(cuGraphLaunch(exec, stream) == OK && cuGraphLaunch(exec, stream) == OK);
  CHECK(from_card(number, 1)[0] == 9.0f);
}

void forbidden_calls_void_a_capture() {
  Address address;
  void *graph;
  CHECK(cuStreamBeginCapture_v2(stream, THREAD_LOCAL) == OK);
  CHECK(cuMemAlloc_v2(&address, 4) == CAPTURE_UNSUPPORTED);
  CHECK(launch("test_divergent", 1, 1, 0) == CAPTURE_INVALIDATED);
  CHECK(cuStreamEndCapture(stream, &graph) == CAPTURE_INVALIDATED);
  CHECK(cuStreamBeginCapture_v2(stream, RELAXED) == OK);
  CHECK(cuMemAlloc_v2(&address, 4) == OK);
  CHECK(cuStreamSynchronize(stream) == CAPTURE_UNSUPPORTED);
  CHECK(cuStreamEndCapture(stream, &graph) == CAPTURE_INVALIDATED);
  CHECK(cuMemAlloc_v2(&address, 4) == OK);
}

void captures_of_other_threads_forbid_what_their_mode_says() {
  for (int mode : {GLOBAL, THREAD_LOCAL}) {
    void *graph;
    CHECK(cuStreamBeginCapture_v2(stream, mode) == OK);
    std::thread([mode] {
      void *context, *of_another;
      Address address;
      CHECK(cuDevicePrimaryCtxRetain(&context, 0) == OK && cuCtxSetCurrent(context) == OK);
      CHECK(cuStreamEndCapture(stream, &of_another) == WRONG_THREAD);
      CHECK(cuMemAlloc_v2(&address, 4) == (mode == GLOBAL ? CAPTURE_UNSUPPORTED : OK));
    }).join();
    CHECK(cuStreamEndCapture(stream, &graph) == (mode == GLOBAL ? CAPTURE_INVALIDATED : OK));
  }
}

void captures_join_and_isolate_streams() {
  void *other, *event, *early, *graph;
  CHECK(cuStreamCreate(&other, 1) == OK && cuEventCreate(&event, 2) == OK && cuEventCreate(&early, 2) == OK);
  Address number = on_card({1});
  CHECK(cuEventRecord(early, other) == OK);
  CHECK(cuStreamBeginCapture_v2(stream, THREAD_LOCAL) == OK);
  CHECK(cuStreamWaitEvent(stream, early, 0) == ISOLATION);
  CHECK(cuStreamEndCapture(stream, &graph) == CAPTURE_INVALIDATED);
  for (bool joins : {false, true}) {
    CHECK(cuStreamBeginCapture_v2(stream, THREAD_LOCAL) == OK);
    CHECK(cuEventRecord(event, stream) == OK && cuStreamWaitEvent(other, event, 0) == OK);
    CHECK(cuMemsetD8Async(number, 0, 4, other) == OK);
    if (joins) CHECK(cuEventRecord(event, other) == OK && cuStreamWaitEvent(stream, event, 0) == OK);
    CHECK(cuStreamEndCapture(stream, &graph) == (joins ? OK : UNJOINED));
  }
}

void a_graph_that_names_freed_memory_is_a_fault() {
  Address number = on_card({1});
  void *graph, *exec;
  CHECK(cuStreamBeginCapture_v2(stream, THREAD_LOCAL) == OK);
  CHECK(launch("test_scale", 1, 1, 0, number, 3.0f, 1) == OK);
  CHECK(cuStreamEndCapture(stream, &graph) == OK && cuGraphInstantiateWithFlags(&exec, graph, 0) == OK);
  CHECK(cuMemFree_v2(number) == OK);
  CHECK(cuGraphLaunch(exec, stream) == OK);
  CHECK(cuStreamSynchronize(stream) == ILLEGAL_ADDRESS);
}

// ---- Libraries.

struct Network {
  void *handle, *x, *w, *y, *convolution;
};

// x [1, 3, 4, 2] ⋆ w [3, 3, 2, 2] (stride 2, padding 1) = y [1, 2, 2, 3], in f32 and in NHWC.
Network network(int math = 3, int y_height = 2) {
  Network n;
  CHECK(cudnnCreate(&n.handle) == OK && cudnnSetStream(n.handle, stream) == OK);
  CHECK(cudnnCreateTensorDescriptor(&n.x) == OK && cudnnSetTensor4dDescriptor(n.x, 1, 0, 1, 2, 3, 4) == OK);
  CHECK(cudnnCreateTensorDescriptor(&n.y) == OK && cudnnSetTensor4dDescriptor(n.y, 1, 0, 1, 3, y_height, 2) == OK);
  CHECK(cudnnCreateFilterDescriptor(&n.w) == OK && cudnnSetFilter4dDescriptor(n.w, 0, 1, 3, 2, 3, 3) == OK);
  CHECK(cudnnCreateConvolutionDescriptor(&n.convolution) == OK);
  CHECK(cudnnSetConvolution2dDescriptor(n.convolution, 1, 1, 2, 2, 1, 1, 1, 0) == OK);
  CHECK(cudnnSetConvolutionMathType(n.convolution, math) == OK);
  return n;
}

std::vector<float> pattern(size_t count, int step) {
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; i++) numbers[i] = static_cast<float>((static_cast<int>(i) * step) % 11 - 5);
  return numbers;
}

// Σ over what meets of x·w for one output, by the definition.
float meeting(const std::vector<float> &x, const std::vector<float> &w, int oh, int ow, int k) {
  float sum = 0;
  for (int r = 0; r < 3; r++)
    for (int q = 0; q < 3; q++)
      for (int c = 0; c < 2; c++) {
        const int h = oh * 2 - 1 + r, v = ow * 2 - 1 + q;
        if (h < 0 || v < 0 || h >= 3 || v >= 4) continue;
        sum += x[size_t((h * 4 + v) * 2 + c)] * w[size_t(((k * 3 + r) * 3 + q) * 2 + c)];
      }
  return sum;
}

void convolutions_are_their_definition_and_its_adjoints() {
  Network n = network();
  const auto x = pattern(24, 7), w = pattern(54, 3), dy = pattern(12, 5);
  Address x_at = on_card(x), w_at = on_card(w), y_at = on_card(std::vector<float>(12, 1.0f)), dy_at = on_card(dy), workspace;
  Address dx_at = on_card(std::vector<float>(24, 1.0f)), dw_at = on_card(std::vector<float>(54));
  CHECK(cuMemAlloc_v2(&workspace, 1 << 16) == OK);
  const float one = 1, two = 2, zero = 0;
  auto at = [](Address address) { return reinterpret_cast<void *>(address); };
  CHECK(cudnnConvolutionForward(n.handle, &one, n.x, at(x_at), n.w, at(w_at), n.convolution, 1, at(workspace), 4096, &two, n.y, at(y_at)) == OK);
  CHECK(cudnnConvolutionBackwardData(n.handle, &one, n.w, at(w_at), n.y, at(dy_at), n.convolution, 1, at(workspace), 8192, &one, n.x, at(dx_at)) == OK);
  CHECK(cudnnConvolutionBackwardFilter(n.handle, &one, n.x, at(x_at), n.y, at(dy_at), n.convolution, 1, at(workspace), 16384, &zero, n.w, at(dw_at)) == OK);
  const auto y = from_card(y_at, 12), dx = from_card(dx_at, 24), dw = from_card(dw_at, 54);
  float by_y = 0, by_x = 0, by_w = 0;
  for (int oh = 0; oh < 2; oh++)
    for (int ow = 0; ow < 2; ow++)
      for (int k = 0; k < 3; k++) {
        const size_t i = size_t((oh * 2 + ow) * 3 + k);
        CHECK(y[i] == meeting(x, w, oh, ow, k) + 2.0f);
        by_y += (y[i] - 2.0f) * dy[i];
      }
  for (size_t i = 0; i < 24; i++) by_x += (dx[i] - 1.0f) * x[i];
  for (size_t i = 0; i < 54; i++) by_w += dw[i] * w[i];
  CHECK(by_y != 0.0f && by_y == by_x && by_y == by_w);
}

void convolutions_that_do_not_fit_are_refused() {
  const float one = 1, zero = 0;
  Address all;
  CHECK(cuMemAlloc_v2(&all, 1 << 16) == OK);
  auto at = [all](size_t offset) { return reinterpret_cast<void *>(all + offset); };
  auto run = [&](Network n, int algorithm, size_t workspace, size_t offset) {
    return cudnnConvolutionForward(n.handle, &one, n.x, at(offset), n.w, at(1024), n.convolution, algorithm, at(4096), workspace, &zero, n.y, at(2048));
  };
  CHECK(run(network(), 1, 4096, 0) == 0);
  CHECK(run(network(), 1, 4095, 0) == 2006);
  CHECK(run(network(), 6, 4096, 0) == 3000);
  CHECK(run(network(), 1, 4096, 4) == 2003);
  CHECK(run(network(3, 3), 1, 4096, 0) == 2008);
  Network half = network();
  CHECK(cudnnSetTensor4dDescriptor(half.y, 1, 9, 1, 3, 2, 2) == OK);
  CHECK(run(half, 1, 4096, 0) == 2000);
  CHECK(cudnnSetTensor4dDescriptor(half.y, 0, 0, 1, 3, 2, 2) == OK);
  CHECK(run(half, 1, 4096, 0) == 3004);
}

void tensor_cores_round_what_they_multiply() {
  const float one = 1, zero = 0, fine = 1.0f + 1.0f / 4096.0f;
  for (int math : {3, 1}) {
    Network n = network(math);
    Address x = on_card(std::vector<float>(24, fine)), w = on_card(std::vector<float>(54, 1.0f)), y = on_card(std::vector<float>(12));
    CHECK(cudnnConvolutionForward(n.handle, &one, n.x, reinterpret_cast<void *>(x), n.w, reinterpret_cast<void *>(w),
                                  n.convolution, 0, nullptr, 0, &zero, n.y, reinterpret_cast<void *>(y)) == OK);
    const float found = from_card(y, 12)[0];
    CHECK((found == 8.0f) == (math == 1));
  }
}

void products_are_by_columns() {
  void *handle, *graph;
  CHECK(cublasCreate_v2(&handle) == OK && cublasSetStream_v2(handle, stream) == OK);
  // aᵀ with a [3, 2] by columns, b [3, 2] by columns: c [2, 2].
  Address a = on_card({1, 2, 3, 4, 5, 6}), b = on_card({1, 0, 2, -1, 3, 1}), c = on_card({1, 1, 1, 1}), workspace;
  const float one = 1, ten = 10;
  auto run = [&](int leading) {
    return cublasGemmEx(handle, 1, 0, 2, 2, 3, &one, reinterpret_cast<void *>(a), 0, leading, reinterpret_cast<void *>(b), 0, 3,
                        &ten, reinterpret_cast<void *>(c), 0, 2, 68, -1);
  };
  CHECK(run(2) == 7);
  CHECK(run(3) == OK);
  CHECK(from_card(c, 4) == std::vector<float>({17, 26, 18, 27}));
  CHECK(cuStreamBeginCapture_v2(stream, THREAD_LOCAL) == OK && run(3) == 13);
  CHECK(cuStreamEndCapture(stream, &graph) == OK && cuMemAlloc_v2(&workspace, 4096) == OK);
  CHECK(cublasSetWorkspace_v2(handle, reinterpret_cast<void *>(workspace), 4096) == OK);
  CHECK(cuStreamBeginCapture_v2(stream, THREAD_LOCAL) == OK && run(3) == OK);
  CHECK(cuStreamEndCapture(stream, &graph) == OK);
}

struct Claim {
  const char *name;
  void (*test)();
  bool starts = true;
};

#define CLAIM(name) {#name, name}
const Claim CLAIMS[] = {
    CLAIM(threads_meet_at_barriers),
    CLAIM(every_place_of_a_grid_runs_once),
    CLAIM(bfloat16_rounds_to_nearest_even),
    CLAIM(a_missing_barrier_shows_in_another_order),
    CLAIM(divergent_barriers_are_a_fault_for_ever),
    CLAIM(a_write_past_the_end_is_a_fault),
    CLAIM(a_write_into_the_rest_of_a_line_is_a_fault),
    CLAIM(a_write_before_the_start_is_a_fault),
    CLAIM(freed_memory_cannot_be_used),
    CLAIM(misaligned_vectors_are_a_fault),
    CLAIM(shared_memory_ends_where_it_was_asked_to),
    CLAIM(launches_of_impossible_shapes_are_refused),
    CLAIM(unknown_kernels_are_not_found),
    CLAIM(fresh_memory_is_not_a_number),
    CLAIM(memory_ends_and_comes_back),
    CLAIM(copies_outside_are_refused),
    CLAIM(devices_are_as_many_as_there_are),
    CLAIM(events_order_streams),
    {"late_work_shows_what_is_not_waited_for", late_work_shows_what_is_not_waited_for, false},
    CLAIM(graphs_replay_with_copied_arguments),
    CLAIM(forbidden_calls_void_a_capture),
    CLAIM(captures_of_other_threads_forbid_what_their_mode_says),
    CLAIM(captures_join_and_isolate_streams),
    CLAIM(a_graph_that_names_freed_memory_is_a_fault),
    CLAIM(convolutions_are_their_definition_and_its_adjoints),
    CLAIM(convolutions_that_do_not_fit_are_refused),
    CLAIM(tensor_cores_round_what_they_multiply),
    CLAIM(products_are_by_columns),
};

bool holds(const Claim &claim) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    // What the card says of faults that are meant is not for the reader.
    if (!freopen("/dev/null", "w", stderr)) _exit(2);
    if (claim.starts) start();
    claim.test();
    exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) printf("%s: ended by signal %d\n", claim.name, WTERMSIG(status));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int n_words, char **words) {
  int n_failed = 0, n_tried = 0;
  for (const Claim &claim : CLAIMS) {
    if (n_words > 1) {
      if (strcmp(words[1], claim.name) != 0) continue;
      if (claim.starts) start();
      claim.test();
      return 0;
    }
    n_tried++;
    if (holds(claim)) continue;
    printf("failed: %s\n", claim.name);
    n_failed++;
  }
  printf("emulator: %d of %d claims hold\n", n_tried - n_failed, n_tried);
  return n_failed > 0 || n_tried == 0;
}
