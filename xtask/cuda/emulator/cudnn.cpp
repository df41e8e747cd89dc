// cuDNN's legacy convolutions, NHWC, as plain loops that sum in f32, behind the library's checks.
//
// Descriptors must fit each other, data be f32 or bf16 in NHWC, addresses aligned to 16 bytes and
// the workspace as large as the algorithm asks for; its bytes are overwritten, so nobody can keep
// anything there. Lists of algorithms begin with one that is not deterministic and one that is not
// supported: a caller that takes the first does wrong, and sees it.

#include <algorithm>
#include <array>
#include <memory>

#include "emulator.hpp"
#include "numbers.hpp"

namespace emulator {
namespace {

enum Status : int {
  OK = 0,
  BAD_PARAM = 2000,
  BAD_PARAM_NULL_POINTER = 2002,
  BAD_PARAM_MISALIGNED_POINTER = 2003,
  BAD_PARAM_SIZE_INSUFFICIENT = 2006,
  BAD_PARAM_SHAPE_MISMATCH = 2008,
  CUDNN_NOT_SUPPORTED = 3000,
  NOT_SUPPORTED_DATA_TYPE = 3003,
  NOT_SUPPORTED_LAYOUT = 3004,
  EXECUTION_FAILED = 5000,
};

constexpr int NHWC = 1, DATA_FLOAT = 0, DATA_BFLOAT16 = 9, CROSS_CORRELATION = 1, FMA_MATH = 3;
constexpr size_t VERSION = 92100;

struct Handle {
  Stream *stream;
};

// A map [n, h, w, c] or a kernel [n outputs, h, w, c]; dims in the calls' order n, c, h, w.
struct Tensor {
  int type = -1, format = -1;
  std::array<int, 4> dims{};
  size_t count() const { return size_t(dims[0]) * size_t(dims[1]) * size_t(dims[2]) * size_t(dims[3]); }
  Type numbers() const { return type == DATA_FLOAT ? Type::F32 : Type::Bf16; }
  size_t bytes() const { return count() * bytes_of(numbers()); }
};

struct Convolution {
  int pad[2], stride[2], dilation[2];
  int mode = -1, compute = -1, math = 0, groups = 1;
};

enum class Direction { Forward, Data, Filter };

struct Algorithm {
  int number;
  bool is_deterministic, is_supported;
  size_t workspace_per_image;
};

// In the order of the heuristic. Numbers are the enums' of the three directions.
const std::vector<Algorithm> &algorithms(Direction direction) {
  static const std::vector<Algorithm> forward = {{6, true, false, 0}, {1, true, true, 4096}, {0, true, true, 0}};
  static const std::vector<Algorithm> data = {{0, false, true, 0}, {4, true, false, 0}, {1, true, true, 8192}};
  static const std::vector<Algorithm> filter = {{3, false, true, 1024}, {0, false, true, 0}, {1, true, true, 16384}, {4, true, false, 0}};
  return direction == Direction::Forward ? forward : direction == Direction::Data ? data : filter;
}

// The parts of one convolution: x ⋆ w = y. `dx`, `dw` and so on have the same descriptors.
struct Shape {
  Tensor x, w, y;
  Convolution convolution;
};

Status check(const Shape &s) {
  const auto &[x, w, y, c] = s;
  for (const Tensor *tensor : {&x, &w, &y}) {
    if (tensor->format != NHWC) return NOT_SUPPORTED_LAYOUT;
    if (tensor->type != DATA_FLOAT && tensor->type != DATA_BFLOAT16) return NOT_SUPPORTED_DATA_TYPE;
    if (tensor->type != x.type) return BAD_PARAM;
  }
  if (c.compute != DATA_FLOAT) return NOT_SUPPORTED_DATA_TYPE;
  if (c.mode != CROSS_CORRELATION || c.groups != 1) return CUDNN_NOT_SUPPORTED;
  if (w.dims[1] != x.dims[1] || y.dims[0] != x.dims[0] || y.dims[1] != w.dims[0]) return BAD_PARAM_SHAPE_MISMATCH;
  for (size_t i = 0; i < 2; i++) {
    const int extent = (w.dims[2 + i] - 1) * c.dilation[i] + 1;
    const int room = x.dims[2 + i] + 2 * c.pad[i] - extent;
    if (room < 0 || y.dims[2 + i] != room / c.stride[i] + 1) return BAD_PARAM_SHAPE_MISMATCH;
  }
  return OK;
}

// Calls `visit(output place, input place, kernel place)` for all that meet: places count whole
// vectors of channels.
template <typename Visit> void for_each_meeting(const Shape &s, size_t image, Visit visit) {
  const auto &[x, w, y, c] = s;
  for (int oh = 0; oh < y.dims[2]; oh++)
    for (int ow = 0; ow < y.dims[3]; ow++)
      for (int r = 0; r < w.dims[2]; r++)
        for (int q = 0; q < w.dims[3]; q++) {
          const int h = oh * c.stride[0] - c.pad[0] + r * c.dilation[0];
          const int v = ow * c.stride[1] - c.pad[1] + q * c.dilation[1];
          if (h < 0 || v < 0 || h >= x.dims[2] || v >= x.dims[3]) continue;
          visit((image * size_t(y.dims[2]) + size_t(oh)) * size_t(y.dims[3]) + size_t(ow),
                (image * size_t(x.dims[2]) + size_t(h)) * size_t(x.dims[3]) + size_t(v),
                size_t(r) * size_t(w.dims[3]) + size_t(q));
        }
}

void forward(const Shape &s, const std::vector<float> &x, const std::vector<float> &w, std::vector<float> &y) {
  const size_t channels = size_t(s.x.dims[1]), outputs = size_t(s.w.dims[0]);
  const size_t places = size_t(s.w.dims[2]) * size_t(s.w.dims[3]);
  std::vector<float> by_output(w.size());  // [place, channel, output]: the inner loop then runs along memory.
  for (size_t k = 0; k < outputs; k++)
    for (size_t i = 0; i < places * channels; i++) by_output[i * outputs + k] = w[k * places * channels + i];
  for (size_t n = 0; n < size_t(s.x.dims[0]); n++)
    for_each_meeting(s, n, [&](size_t out, size_t in, size_t place) {
      float *__restrict__ sums = &y[out * outputs];
      for (size_t c = 0; c < channels; c++) {
        const float value = x[in * channels + c];
        const float *__restrict__ weights = &by_output[(place * channels + c) * outputs];
        for (size_t k = 0; k < outputs; k++) sums[k] += value * weights[k];
      }
    });
}

void backward_data(const Shape &s, const std::vector<float> &w, const std::vector<float> &dy, std::vector<float> &dx) {
  const size_t channels = size_t(s.x.dims[1]), outputs = size_t(s.w.dims[0]);
  const size_t places = size_t(s.w.dims[2]) * size_t(s.w.dims[3]);
  for (size_t n = 0; n < size_t(s.x.dims[0]); n++)
    for_each_meeting(s, n, [&](size_t out, size_t in, size_t place) {
      float *__restrict__ sums = &dx[in * channels];
      for (size_t k = 0; k < outputs; k++) {
        const float value = dy[out * outputs + k];
        const float *__restrict__ weights = &w[(k * places + place) * channels];
        for (size_t c = 0; c < channels; c++) sums[c] += value * weights[c];
      }
    });
}

// The longest sums of the three, over all places of the batch: image by image, then in f64.
void backward_filter(const Shape &s, const std::vector<float> &x, const std::vector<float> &dy, std::vector<double> &dw) {
  const size_t channels = size_t(s.x.dims[1]), outputs = size_t(s.w.dims[0]);
  const size_t places = size_t(s.w.dims[2]) * size_t(s.w.dims[3]);
  std::vector<float> of_image(dw.size());
  for (size_t n = 0; n < size_t(s.x.dims[0]); n++) {
    std::fill(of_image.begin(), of_image.end(), 0.0f);
    for_each_meeting(s, n, [&](size_t out, size_t in, size_t place) {
      const float *__restrict__ values = &x[in * channels];
      for (size_t k = 0; k < outputs; k++) {
        const float gradient = dy[out * outputs + k];
        float *__restrict__ sums = &of_image[(k * places + place) * channels];
        for (size_t c = 0; c < channels; c++) sums[c] += gradient * values[c];
      }
    });
    for (size_t i = 0; i < dw.size(); i++) dw[i] += static_cast<double>(of_image[i]);
  }
}

// One call: `a` and `b` are read, `c` is written.
struct Call {
  Direction direction;
  Shape shape;
  const void *a, *b;
  void *c, *workspace;
  size_t workspace_bytes;
  float alpha, beta;
};

bool reaches(const void *address, const Tensor &tensor, const char *what) {
  if (is_reachable(reinterpret_cast<Address>(address), tensor.bytes())) return true;
  complain("cuDNN: %s of %zu bytes leaves the memory that is allocated", what, tensor.bytes());
  describe(reinterpret_cast<Address>(address));
  return false;
}

Code run(const Call &call) {
  const auto &[x, w, y, convolution] = call.shape;
  const bool as_tf32 = convolution.math != FMA_MATH;
  const Tensor &a = call.direction == Direction::Data ? w : x;
  const Tensor &b = call.direction == Direction::Forward ? w : y;
  const Tensor &c = call.direction == Direction::Forward ? y : call.direction == Direction::Data ? x : w;
  if (!reaches(call.a, a, "the first input") || !reaches(call.b, b, "the second input") || !reaches(call.c, c, "the output"))
    return ILLEGAL_ADDRESS;
  if (call.workspace_bytes > 0 && !is_reachable(reinterpret_cast<Address>(call.workspace), call.workspace_bytes)) {
    complain("cuDNN: a workspace of %zu bytes leaves the memory that is allocated", call.workspace_bytes);
    return ILLEGAL_ADDRESS;
  }
  if (call.workspace_bytes > 0) memset(call.workspace, 0x5a, call.workspace_bytes);
  const auto left = read_all(call.a, a.numbers(), a.count(), as_tf32);
  const auto right = read_all(call.b, b.numbers(), b.count(), as_tf32);
  if (call.direction == Direction::Filter) {
    std::vector<double> sums(c.count());
    backward_filter(call.shape, left, right, sums);
    blend(call.c, c.numbers(), sums, call.alpha, call.beta);
  } else {
    std::vector<float> sums(c.count());
    if (call.direction == Direction::Forward) forward(call.shape, left, right, sums);
    if (call.direction == Direction::Data) backward_data(call.shape, left, right, sums);
    blend(call.c, c.numbers(), sums, call.alpha, call.beta);
  }
  return SUCCESS;
}

const Algorithm *algorithm(Direction direction, int number) {
  for (const Algorithm &it : algorithms(direction))
    if (it.number == number) return &it;
  return nullptr;
}

size_t workspace_of(const Algorithm &of, const Shape &shape) { return of.workspace_per_image * size_t(shape.x.dims[0]); }

int workspace_size(Direction direction, const Shape &shape, int number, size_t *bytes) {
  if (Status status = check(shape); status != OK) return status;
  const Algorithm *found = algorithm(direction, number);
  if (!found || !found->is_supported) return CUDNN_NOT_SUPPORTED;
  *bytes = workspace_of(*found, shape);
  return OK;
}

bool is_aligned(const void *address) { return reinterpret_cast<Address>(address) % 16 == 0; }

int convolve(Handle *handle, int number, Call call) {
  size_t needed = 0;
  if (int status = workspace_size(call.direction, call.shape, number, &needed); status != OK) return status;
  if (!call.a || !call.b || !call.c) return BAD_PARAM_NULL_POINTER;
  if (!is_aligned(call.a) || !is_aligned(call.b) || !is_aligned(call.c) || !is_aligned(call.workspace)) {
    complain("cuDNN: an address is not aligned to 16 bytes");
    return BAD_PARAM_MISALIGNED_POINTER;
  }
  if (call.workspace_bytes < needed || (needed > 0 && !call.workspace)) {
    complain("cuDNN: a workspace of %zu bytes was given, algorithm %d needs %zu", call.workspace_bytes, number, needed);
    return BAD_PARAM_SIZE_INSUFFICIENT;
  }
  call.workspace_bytes = needed;
  return enqueue(handle->stream, [call] { return run(call); }) == SUCCESS ? OK : EXECUTION_FAILED;
}

// cudnnConvolutionFwdAlgoPerf_t, and those of the other directions.
struct Performance {
  int number, status;
  float milliseconds;
  size_t memory;
  int determinism, math;
  int reserved[3];
};

int list(Direction direction, const Shape &shape, int wanted, int *count, Performance *found) {
  if (Status status = check(shape); status != OK) return status;
  if (wanted < 1 || !count || !found) return BAD_PARAM;
  *count = 0;
  for (const Algorithm &it : algorithms(direction)) {
    if (*count == wanted) break;
    const int status = it.is_supported ? OK : CUDNN_NOT_SUPPORTED;
    const float milliseconds = it.is_supported ? 0.1f * static_cast<float>(*count + 1) : -1.0f;
    found[(*count)++] = {it.number, status, milliseconds, workspace_of(it, shape), it.is_deterministic, shape.convolution.math, {}};
  }
  return OK;
}

int set(Tensor *tensor, int type, int format, std::array<int, 4> dims) {
  if (!tensor || std::any_of(dims.begin(), dims.end(), [](int dim) { return dim < 1; })) return BAD_PARAM;
  *tensor = {type, format, dims};
  return OK;
}

// Times them on a card, in memory of its own: not while a stream is captured.
int find(Direction direction, const Shape &shape, int wanted, int *count, Performance *found) {
  Turn turn(everything());
  if (forbidden_while_capturing() != SUCCESS) return EXECUTION_FAILED;
  return list(direction, shape, wanted, count, found);
}

float number(const void *scale) { return *static_cast<const float *>(scale); }

}  // namespace

EXPORTED size_t cudnnGetVersion() { return VERSION; }
EXPORTED size_t cudnnGetCudartVersion() { return 13000; }

EXPORTED const char *cudnnGetErrorString(int status) {
  switch (status) {
    case OK: return "CUDNN_STATUS_SUCCESS";
    case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case BAD_PARAM_MISALIGNED_POINTER: return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
    case BAD_PARAM_SIZE_INSUFFICIENT: return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
    case BAD_PARAM_SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    case CUDNN_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case NOT_SUPPORTED_DATA_TYPE: return "CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE";
    case NOT_SUPPORTED_LAYOUT: return "CUDNN_STATUS_NOT_SUPPORTED_LAYOUT";
    case EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return "CUDNN_STATUS of another kind";
  }
}

EXPORTED void cudnnGetLastErrorString(char *message, size_t bytes) {
  Turn turn(everything());
  strncpy(message, last_complaint(), bytes);
  if (bytes > 0) message[bytes - 1] = '\0';
}

EXPORTED int cudnnCreate(Handle **handle) {
  Turn turn(everything());
  *handle = new Handle{stream_of(nullptr)};
  return OK;
}

EXPORTED int cudnnDestroy(Handle *handle) {
  delete handle;
  return OK;
}

EXPORTED int cudnnSetStream(Handle *handle, void *stream) {
  Turn turn(everything());
  handle->stream = stream_of(stream);
  return handle->stream ? OK : BAD_PARAM;
}

EXPORTED int cudnnGetStream(Handle *handle, void **stream) {
  *stream = handle->stream;
  return OK;
}

EXPORTED int cudnnCreateTensorDescriptor(Tensor **tensor) {
  *tensor = new Tensor;
  return OK;
}
EXPORTED int cudnnCreateFilterDescriptor(Tensor **filter) { return cudnnCreateTensorDescriptor(filter); }
EXPORTED int cudnnDestroyTensorDescriptor(Tensor *tensor) {
  delete tensor;
  return OK;
}
EXPORTED int cudnnDestroyFilterDescriptor(Tensor *filter) { return cudnnDestroyTensorDescriptor(filter); }

EXPORTED int cudnnSetTensor4dDescriptor(Tensor *tensor, int format, int type, int n, int c, int h, int w) {
  return set(tensor, type, format, {n, c, h, w});
}

EXPORTED int cudnnSetTensor4dDescriptorEx(Tensor *tensor, int type, int n, int c, int h, int w, int n_stride,
                                          int c_stride, int h_stride, int w_stride) {
  const bool is_packed = c_stride == 1 && w_stride == c && h_stride == w * c && n_stride == h * w * c;
  return set(tensor, type, is_packed ? NHWC : -1, {n, c, h, w});
}

EXPORTED int cudnnSetFilter4dDescriptor(Tensor *filter, int type, int format, int k, int c, int h, int w) {
  return set(filter, type, format, {k, c, h, w});
}

EXPORTED int cudnnCreateConvolutionDescriptor(Convolution **convolution) {
  *convolution = new Convolution{};
  return OK;
}

EXPORTED int cudnnDestroyConvolutionDescriptor(Convolution *convolution) {
  delete convolution;
  return OK;
}

EXPORTED int cudnnSetConvolution2dDescriptor(Convolution *c, int pad_h, int pad_w, int stride_h, int stride_w,
                                             int dilation_h, int dilation_w, int mode, int compute) {
  if (!c || pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1 || dilation_h < 1 || dilation_w < 1) return BAD_PARAM;
  *c = {{pad_h, pad_w}, {stride_h, stride_w}, {dilation_h, dilation_w}, mode, compute, c->math, c->groups};
  return OK;
}

EXPORTED int cudnnSetConvolutionMathType(Convolution *convolution, int math) {
  if (!convolution || math < 0 || math > 3) return BAD_PARAM;
  convolution->math = math;
  return OK;
}

EXPORTED int cudnnSetConvolutionGroupCount(Convolution *convolution, int groups) {
  if (!convolution || groups < 1) return BAD_PARAM;
  convolution->groups = groups;
  return OK;
}

EXPORTED int cudnnGetConvolution2dForwardOutputDim(Convolution *c, Tensor *x, Tensor *w, int *n, int *k, int *h, int *v) {
  *n = x->dims[0];
  *k = w->dims[0];
  *h = (x->dims[2] + 2 * c->pad[0] - ((w->dims[2] - 1) * c->dilation[0] + 1)) / c->stride[0] + 1;
  *v = (x->dims[3] + 2 * c->pad[1] - ((w->dims[3] - 1) * c->dilation[1] + 1)) / c->stride[1] + 1;
  return OK;
}

// ---- Forward.

EXPORTED int cudnnGetConvolutionForwardAlgorithm_v7(Handle *, Tensor *x, Tensor *w, Convolution *c, Tensor *y, int wanted,
                                                    int *count, Performance *found) {
  return list(Direction::Forward, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnFindConvolutionForwardAlgorithm(Handle *, Tensor *x, Tensor *w, Convolution *c, Tensor *y, int wanted,
                                                  int *count, Performance *found) {
  return find(Direction::Forward, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnFindConvolutionForwardAlgorithmEx(Handle *, Tensor *x, const void *, Tensor *w, const void *,
                                                    Convolution *c, Tensor *y, void *, int wanted, int *count,
                                                    Performance *found, void *, size_t) {
  return find(Direction::Forward, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnGetConvolutionForwardWorkspaceSize(Handle *, Tensor *x, Tensor *w, Convolution *c, Tensor *y,
                                                     int algorithm, size_t *bytes) {
  return workspace_size(Direction::Forward, {*x, *w, *y, *c}, algorithm, bytes);
}

EXPORTED int cudnnConvolutionForward(Handle *handle, const void *alpha, Tensor *x, const void *x_data, Tensor *w,
                                     const void *w_data, Convolution *c, int algorithm, void *workspace, size_t bytes,
                                     const void *beta, Tensor *y, void *y_data) {
  Turn turn(everything());
  return convolve(handle, algorithm, {Direction::Forward, {*x, *w, *y, *c}, x_data, w_data, y_data, workspace, bytes, number(alpha), number(beta)});
}

// ---- The input's gradient.

EXPORTED int cudnnGetConvolutionBackwardDataAlgorithm_v7(Handle *, Tensor *w, Tensor *y, Convolution *c, Tensor *x,
                                                         int wanted, int *count, Performance *found) {
  return list(Direction::Data, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnFindConvolutionBackwardDataAlgorithm(Handle *, Tensor *w, Tensor *y, Convolution *c, Tensor *x,
                                                       int wanted, int *count, Performance *found) {
  return find(Direction::Data, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnFindConvolutionBackwardDataAlgorithmEx(Handle *, Tensor *w, const void *, Tensor *y, const void *,
                                                         Convolution *c, Tensor *x, void *, int wanted, int *count,
                                                         Performance *found, void *, size_t) {
  return find(Direction::Data, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnGetConvolutionBackwardDataWorkspaceSize(Handle *, Tensor *w, Tensor *y, Convolution *c, Tensor *x,
                                                          int algorithm, size_t *bytes) {
  return workspace_size(Direction::Data, {*x, *w, *y, *c}, algorithm, bytes);
}

EXPORTED int cudnnConvolutionBackwardData(Handle *handle, const void *alpha, Tensor *w, const void *w_data, Tensor *y,
                                          const void *y_data, Convolution *c, int algorithm, void *workspace,
                                          size_t bytes, const void *beta, Tensor *x, void *x_data) {
  Turn turn(everything());
  return convolve(handle, algorithm, {Direction::Data, {*x, *w, *y, *c}, w_data, y_data, x_data, workspace, bytes, number(alpha), number(beta)});
}

// ---- The kernel's gradient.

EXPORTED int cudnnGetConvolutionBackwardFilterAlgorithm_v7(Handle *, Tensor *x, Tensor *y, Convolution *c, Tensor *w,
                                                           int wanted, int *count, Performance *found) {
  return list(Direction::Filter, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnFindConvolutionBackwardFilterAlgorithm(Handle *, Tensor *x, Tensor *y, Convolution *c, Tensor *w,
                                                         int wanted, int *count, Performance *found) {
  return find(Direction::Filter, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnFindConvolutionBackwardFilterAlgorithmEx(Handle *, Tensor *x, const void *, Tensor *y, const void *,
                                                           Convolution *c, Tensor *w, void *, int wanted, int *count,
                                                           Performance *found, void *, size_t) {
  return find(Direction::Filter, {*x, *w, *y, *c}, wanted, count, found);
}

EXPORTED int cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle *, Tensor *x, Tensor *y, Convolution *c, Tensor *w,
                                                            int algorithm, size_t *bytes) {
  return workspace_size(Direction::Filter, {*x, *w, *y, *c}, algorithm, bytes);
}

EXPORTED int cudnnConvolutionBackwardFilter(Handle *handle, const void *alpha, Tensor *x, const void *x_data, Tensor *y,
                                            const void *y_data, Convolution *c, int algorithm, void *workspace,
                                            size_t bytes, const void *beta, Tensor *w, void *w_data) {
  Turn turn(everything());
  return convolve(handle, algorithm, {Direction::Filter, {*x, *w, *y, *c}, x_data, y_data, w_data, workspace, bytes, number(alpha), number(beta)});
}

}  // namespace emulator
