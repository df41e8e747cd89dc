// Those of candle's own kernels that a backward pass and simple arithmetic on tensors need, in f32:
// what candle-kernels 0.11.1 defines under the same names, in plain loops.
//
// Sizes and strides come as one list, dims before strides; none where everything is contiguous.

#include "on_cpu.h"

namespace {

// The place of a number in a tensor with strides.
size_t strided(size_t index, size_t n_dims, const size_t *dims, const size_t *strides) {
  if (!dims) return index;
  size_t place = 0;
  for (size_t d = n_dims; d-- > 0; index /= dims[d]) place += index % dims[d] * strides[d];
  return place;
}

size_t thread() { return size_t{blockIdx.x} * blockDim.x + threadIdx.x; }
size_t threads() { return size_t{gridDim.x} * blockDim.x; }

template <typename F>
void binary(size_t len, size_t n_dims, const size_t *info, const float *left, const float *right, float *out, F f) {
  for (size_t i = thread(); i < len; i += threads()) {
    const size_t *of_left = info ? info + n_dims : nullptr, *of_right = info ? info + 2 * n_dims : nullptr;
    out[i] = f(left[strided(i, n_dims, info, of_left)], right[strided(i, n_dims, info, of_right)]);
  }
}

template <typename F> void unary(size_t len, size_t n_dims, const size_t *info, const float *in, float *out, F f) {
  for (size_t i = thread(); i < len; i += threads())
    out[i] = f(in ? in[strided(i, n_dims, info, info ? info + n_dims : nullptr)] : out[i]);
}

float sum(size_t first, size_t count, size_t n_dims, const size_t *info, const float *in) {
  float sum = 0;
  for (size_t i = first; i < first + count; i++) sum += in[strided(i, n_dims, info, info + n_dims)];
  return sum;
}

}  // namespace

#define BINARY(NAME, EXPRESSION)                                                                                 \
  void NAME(size_t len, size_t n_dims, const size_t *info, const float *left, const float *right, float *out) { \
    binary(len, n_dims, info, left, right, out, [](float x, float y) { return EXPRESSION; });                    \
  }                                                                                                              \
  CXR_KERNEL(NAME)
BINARY(badd_f32, x + y)
BINARY(bsub_f32, x - y)
BINARY(bmul_f32, x *y)
BINARY(bdiv_f32, x / y)

#define UNARY(NAME, EXPRESSION)                                                             \
  void NAME(size_t len, size_t n_dims, const size_t *info, const float *in, float *out) {  \
    unary(len, n_dims, info, in, out, [](float x) { return EXPRESSION; });                  \
  }                                                                                         \
  CXR_KERNEL(NAME)
UNARY(ucopy_f32, x)
UNARY(uneg_f32, -x)
UNARY(usqr_f32, x *x)

void affine_f32(size_t len, size_t n_dims, const size_t *info, const float *in, float *out, float factor, float added) {
  unary(len, n_dims, info, in, out, [=](float x) { return x * factor + added; });
}
CXR_KERNEL(affine_f32)

void const_set_f32(size_t len, size_t n_dims, const size_t *info, float value, float *out) {
  for (size_t i = thread(); i < len; i += threads())
    out[strided(i, n_dims, info, info ? info + n_dims : nullptr)] = value;
}
CXR_KERNEL(const_set_f32)

void fill_f32(float *out, float value, size_t len) {
  for (size_t i = thread(); i < len; i += threads()) out[i] = value;
}
CXR_KERNEL(fill_f32)

void copy2d_f32(const float *in, float *out, uint32_t rows, uint32_t columns, uint32_t in_step, uint32_t out_step) {
  const size_t i = thread();
  if (i < size_t{rows} * columns) out[i / columns * out_step + i % columns] = in[i / columns * in_step + i % columns];
}
CXR_KERNEL(copy2d_f32)

// A block for each sum; the dims that are summed come last.
void fast_sum_f32(size_t len, size_t count, size_t n_dims, const size_t *info, const float *in, float *out) {
  const size_t first = blockIdx.x * count;
  if (threadIdx.x == 0) out[blockIdx.x] = sum(first, first + count < len ? count : len - first, n_dims, info, in);
}
CXR_KERNEL(fast_sum_f32)

// A thread for each sum.
void fast_sum_small_f32(size_t n_sums, size_t count, size_t n_dims, const size_t *info, const float *in, float *out) {
  if (thread() < n_sums) out[thread()] = sum(thread() * count, count, n_dims, info, in);
}
CXR_KERNEL(fast_sum_small_f32)
