// Max pooling behind a norm's ReLU, and the way back. Every kernel gathers.
//
// `picked` says for each number of the output which place of the window it came from, a byte.

struct Pool {
  int images, height, width, channels, out_height, out_width, kernel_height, kernel_width, stride,
      pad_top, pad_left;
};

#define POOL_PARAMETERS                                                                           \
  int images, int height, int width, int channels, int out_height, int out_width,                 \
      int kernel_height, int kernel_width, int stride, int pad_top, int pad_left, int lanes
#define POOL                                                                                      \
  Pool {                                                                                          \
    images, height, width, channels, out_height, out_width, kernel_height, kernel_width, stride,  \
        pad_top, pad_left                                                                         \
  }

// A place of a map: image, row and column.
struct Place {
  long long image;
  int y, x;
};

// Places are counted in 32 bits, which is what a division takes least time for.
__device__ __forceinline__ Place place_of(long long row, int height, int width) {
  Place place;
  const unsigned lines = (unsigned)row / (unsigned)width;
  const unsigned image = lines / (unsigned)height;
  place.x = (int)((unsigned)row - lines * (unsigned)width);
  place.y = (int)(lines - image * (unsigned)height);
  place.image = image;
  return place;
}

__device__ __forceinline__ bool is_in(int place, int len) {
  return (unsigned)place < (unsigned)len;
}

__device__ __forceinline__ int nearest_in(int place, int len) {
  return place < 0 ? 0 : place < len ? place : len - 1;
}

// The bytes of one load's channels.
template <int N> __device__ __forceinline__ void load_picked(const uint8_t *from, int *picked);
template <> __device__ __forceinline__ void load_picked<4>(const uint8_t *from, int *picked) {
  const unsigned word = *reinterpret_cast<const unsigned *>(from);
#pragma unroll
  for (int i = 0; i < 4; i++) picked[i] = word >> 8 * i & 255;
}
template <> __device__ __forceinline__ void load_picked<8>(const uint8_t *from, int *picked) {
  const uint2 words = *reinterpret_cast<const uint2 *>(from);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    picked[i] = words.x >> 8 * i & 255;
    picked[i + 4] = words.y >> 8 * i & 255;
  }
}

__device__ __forceinline__ unsigned word_of(const int *picked) {
  return (unsigned)picked[0] | (unsigned)picked[1] << 8 | (unsigned)picked[2] << 16 |
         (unsigned)picked[3] << 24;
}
template <int N> __device__ __forceinline__ void store_picked(uint8_t *to, const int *picked);
template <> __device__ __forceinline__ void store_picked<4>(uint8_t *to, const int *picked) {
  *reinterpret_cast<unsigned *>(to) = word_of(picked);
}
template <> __device__ __forceinline__ void store_picked<8>(uint8_t *to, const int *picked) {
  *reinterpret_cast<uint2 *>(to) = make_uint2(word_of(picked), word_of(picked + 4));
}

// The largest of relu(scale·x + shift) under each window, the first of equals; not a number counts
// as larger than all. K is the kernel's height and width where the compiler shall know them, else 0.
template <typename T, int K>
__device__ __forceinline__ void pool_forward(const T *__restrict__ input,
                                             const float *__restrict__ scales,
                                             const float *__restrict__ shifts,
                                             T *__restrict__ output,
                                             uint8_t *__restrict__ picked, const Pool &pool,
                                             int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, pool.channels);
  if (!column.has_work) return;
  const int kernel_height = K ? K : pool.kernel_height, kernel_width = K ? K : pool.kernel_width;
  const long long rows = (long long)pool.images * pool.out_height * pool.out_width;
  float scale[N], shift[N], x[N], largest[N];
  int taps[N];
  load_single<N>(scales + column.channel, scale);
  load_single<N>(shifts + column.channel, shift);
  for (long long row = column.row; row < rows; row += column.step) {
    const Place place = place_of(row, pool.out_height, pool.out_width);
    const int top = place.y * pool.stride - pool.pad_top;
    const int left = place.x * pool.stride - pool.pad_left;
#pragma unroll
    for (int i = 0; i < N; i++) {
      largest[i] = -1.f;  // Below every ReLU, so the first place inside is taken.
      taps[i] = 0;
    }
#pragma unroll
    for (int tap_y = 0; tap_y < kernel_height; tap_y++) {
#pragma unroll
      for (int tap_x = 0; tap_x < kernel_width; tap_x++) {
        const int y = top + tap_y, column_x = left + tap_x;
        const bool is_inside = is_in(y, pool.height) && is_in(column_x, pool.width);
        // A load without a branch, so that those of a window are on their way at once.
        const long long from = (place.image * pool.height + nearest_in(y, pool.height)) *
                                   pool.width +
                               nearest_in(column_x, pool.width);
        load<T>(input + from * pool.channels + column.channel, x);
#pragma unroll
        for (int i = 0; i < N; i++) {
          const float value = relu(scaled(scale[i], x[i], shift[i]));
          const bool is_larger = is_inside && (value > largest[i] || value != value);
          largest[i] = is_larger ? value : largest[i];
          taps[i] = is_larger ? tap_y * kernel_width + tap_x : taps[i];
        }
      }
    }
    const long long at = row * pool.channels + column.channel;
    store<T>(output + at, largest);
    store_picked<N>(picked + at, taps);
  }
}

#define POOL_FORWARD(NAME, T, K)                                                                  \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(const T *input, const float *scales, const float *shifts, T *output, uint8_t *picked,  \
           POOL_PARAMETERS) {                                                                     \
    pool_forward<T, K>(input, scales, shifts, output, picked, POOL, lanes);                       \
  }                                                                                               \
  CXR_KERNEL(NAME)
POOL_FORWARD(cxr_pool_forward_any_f32, float, 0)
POOL_FORWARD(cxr_pool_forward_2_f32, float, 2)
POOL_FORWARD(cxr_pool_forward_3_f32, float, 3)
POOL_FORWARD(cxr_pool_forward_any_bf16, bf16, 0)
POOL_FORWARD(cxr_pool_forward_2_bf16, bf16, 2)
POOL_FORWARD(cxr_pool_forward_3_bf16, bf16, 3)

// Sums of the pooled gradient, 0 where `pooled` is not above 0, and of its product with x − mean at
// the picked places. The gradient stays gated.
template <typename T>
__device__ __forceinline__ void pool_gradient_sums(float *shared, T *__restrict__ gradient,
                                                   const T *__restrict__ pooled,
                                                   const uint8_t *__restrict__ picked,
                                                   const T *__restrict__ input,
                                                   const float *__restrict__ saved,
                                                   float *__restrict__ partial, const Pool &pool,
                                                   int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, pool.channels);
  const long long rows = (long long)pool.images * pool.out_height * pool.out_width;
  float sum[N], products[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = products[i] = 0.f;
  if (column.has_work) {
    float mean[N], g[N], activation[N];
    int taps[N];
    load_floats<N>(saved + column.channel, mean);
    for (long long row = column.row; row < rows; row += column.step) {
      const long long at = row * pool.channels + column.channel;
      load<T>(gradient + at, g);
      load<T>(pooled + at, activation);
      load_picked<N>(picked + at, taps);
      close_gate<N, BY_MAP>(g, activation, nullptr, nullptr, nullptr);
      store<T>(gradient + at, g);
      const Place place = place_of(row, pool.out_height, pool.out_width);
      const int top = place.y * pool.stride - pool.pad_top;
      const int left = place.x * pool.stride - pool.pad_left;
#pragma unroll
      for (int i = 0; i < N; i++) {
        const int tap_y = taps[i] / pool.kernel_width, tap_x = taps[i] % pool.kernel_width;
        const int y = top + tap_y, column_x = left + tap_x;
        // No byte that the forward pass wrote leads outside.
        const bool is_inside = is_in(y, pool.height) && is_in(column_x, pool.width);
        const long long from = (place.image * pool.height + y) * pool.width + column_x;
        const float x =
            is_inside ? to_float(input[from * pool.channels + column.channel + i]) : mean[i];
        sum[i] += g[i];
        products[i] += g[i] * (x - mean[i]);
      }
    }
  }
  store_block_sums<N>(shared, sum, products, column, pool.channels, partial);
}

#define POOL_GRADIENT_SUMS(NAME, T)                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(T *gradient, const T *pooled, const uint8_t *picked, const T *input,                   \
           const float *saved, float *partial, POOL_PARAMETERS) {                                 \
    CXR_SHARED(float, shared);                                                                    \
    pool_gradient_sums<T>(shared, gradient, pooled, picked, input, saved, partial, POOL, lanes);  \
  }                                                                                               \
  CXR_KERNEL(NAME)
POOL_GRADIENT_SUMS(cxr_pool_gradient_sums_f32, float)
POOL_GRADIENT_SUMS(cxr_pool_gradient_sums_bf16, bf16)

// Sums of a gradient, 0 where `activation` is not above 0; the gradient stays gated. The second sum
// of each channel is 0.
template <typename T>
__device__ __forceinline__ void bias_gradient_sums(float *shared, T *__restrict__ gradient,
                                                   const T *__restrict__ activation,
                                                   float *__restrict__ partial, long long rows,
                                                   int channels, int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, channels);
  float sum[N], nothing[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = nothing[i] = 0.f;
  if (column.has_work) {
    const int AHEAD = 2;
    typename Vector<T>::Raw raw[AHEAD], raw_activation[AHEAD];
    each_row<AHEAD>(
        column, rows,
        [&](int place, long long row) {
          const long long from = row * channels + column.channel;
          raw[place] = load_raw(gradient + from);
          raw_activation[place] = load_raw(activation + from);
        },
        [&](int place, long long row) {
          float g[N], y[N];
          unpack<T>(raw[place], g);
          unpack<T>(raw_activation[place], y);
          close_gate<N, BY_MAP>(g, y, nullptr, nullptr, nullptr);
          store<T>(gradient + row * channels + column.channel, g);
#pragma unroll
          for (int i = 0; i < N; i++) sum[i] += g[i];
        });
  }
  store_block_sums<N>(shared, sum, nothing, column, channels, partial);
}

#define BIAS_GRADIENT_SUMS(NAME, T)                                                               \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(T *gradient, const T *activation, float *partial, long long rows, int channels,        \
           int lanes) {                                                                           \
    CXR_SHARED(float, shared);                                                                    \
    bias_gradient_sums<T>(shared, gradient, activation, partial, rows, channels, lanes);          \
  }                                                                                               \
  CXR_KERNEL(NAME)
BIAS_GRADIENT_SUMS(cxr_bias_gradient_sums_f32, float)
BIAS_GRADIENT_SUMS(cxr_bias_gradient_sums_bf16, bf16)

extern "C" __global__ void __launch_bounds__(FINISH_CHANNELS *FINISH_SLICES)
    cxr_bias_gradient_finish(const float *partial, int blocks, int channels,
                             float *bias_gradient) {
  CXR_SHARED(double, wide);
  const Totals totals = total_of_blocks(wide, partial, blocks, channels);
  if (totals.is_mine) bias_gradient[totals.channel] = (float)totals.first;
}
CXR_KERNEL(cxr_bias_gradient_finish)

// Each place of the map before the pooling collects from the windows that picked it. WINDOWS is how
// many of them cover a place along an axis where the compiler shall know it, else 0.
template <typename T, bool HAS_NORM, int WINDOWS>
__device__ __forceinline__ void pool_backward(const T *__restrict__ gradient,
                                              const uint8_t *__restrict__ picked,
                                              const T *__restrict__ input,
                                              const float *__restrict__ factors,
                                              T *__restrict__ output, const Pool &pool,
                                              int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, pool.channels);
  if (!column.has_work) return;
  const int windows_y = WINDOWS ? WINDOWS : (pool.kernel_height - 1) / pool.stride + 1;
  const int windows_x = WINDOWS ? WINDOWS : (pool.kernel_width - 1) / pool.stride + 1;
  const long long rows = (long long)pool.images * pool.height * pool.width;
  float by_gradient[N], by_input[N], constant[N], sum[N], g[N], x[N];
  int taps[N];
  if (HAS_NORM) {
    load_floats<N>(factors + column.channel, by_gradient);
    load_floats<N>(factors + pool.channels + column.channel, by_input);
    load_floats<N>(factors + 2 * pool.channels + column.channel, constant);
  }
  for (long long row = column.row; row < rows; row += column.step) {
    const long long at = row * pool.channels + column.channel;
    const Place place = place_of(row, pool.height, pool.width);
    if (HAS_NORM) load<T>(input + at, x);
#pragma unroll
    for (int i = 0; i < N; i++) sum[i] = 0.f;
    // The last windows that begin at the place or before it, then those in front of them.
    const int y = place.y + pool.pad_top, x_padded = place.x + pool.pad_left;
    const int last_y = (unsigned)y / (unsigned)pool.stride;
    const int last_x = (unsigned)x_padded / (unsigned)pool.stride;
#pragma unroll
    for (int before_y = windows_y - 1; before_y >= 0; before_y--) {
#pragma unroll
      for (int before_x = windows_x - 1; before_x >= 0; before_x--) {
        const int out_y = last_y - before_y, out_x = last_x - before_x;
        const int tap_y = y - out_y * pool.stride, tap_x = x_padded - out_x * pool.stride;
        const bool is_over = is_in(out_y, pool.out_height) && is_in(out_x, pool.out_width) &&
                             tap_y < pool.kernel_height && tap_x < pool.kernel_width;
        const int tap = is_over ? tap_y * pool.kernel_width + tap_x : -1;
        // Loads without a branch, as in the forward pass.
        const long long from = ((place.image * pool.out_height +
                                 nearest_in(out_y, pool.out_height)) *
                                    pool.out_width +
                                nearest_in(out_x, pool.out_width)) *
                                   pool.channels +
                               column.channel;
        load<T>(gradient + from, g);
        load_picked<N>(picked + from, taps);
#pragma unroll
        for (int i = 0; i < N; i++) sum[i] += taps[i] == tap ? g[i] : 0.f;
      }
    }
    if (HAS_NORM) {
#pragma unroll
      for (int i = 0; i < N; i++)
        sum[i] = by_gradient[i] * sum[i] + (by_input[i] * x[i] + constant[i]);
    }
    store<T>(output + at, sum);
  }
}

#define POOL_BACKWARD(NAME, T, HAS_NORM, WINDOWS)                                                 \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(const T *gradient, const uint8_t *picked, const T *input, const float *factors,        \
           T *output, POOL_PARAMETERS) {                                                          \
    pool_backward<T, HAS_NORM, WINDOWS>(gradient, picked, input, factors, output, POOL, lanes);   \
  }                                                                                               \
  CXR_KERNEL(NAME)
POOL_BACKWARD(cxr_pool_backward_plain_any_f32, float, false, 0)
POOL_BACKWARD(cxr_pool_backward_plain_1_f32, float, false, 1)
POOL_BACKWARD(cxr_pool_backward_plain_2_f32, float, false, 2)
POOL_BACKWARD(cxr_pool_backward_norm_any_f32, float, true, 0)
POOL_BACKWARD(cxr_pool_backward_norm_1_f32, float, true, 1)
POOL_BACKWARD(cxr_pool_backward_norm_2_f32, float, true, 2)
POOL_BACKWARD(cxr_pool_backward_plain_any_bf16, bf16, false, 0)
POOL_BACKWARD(cxr_pool_backward_plain_1_bf16, bf16, false, 1)
POOL_BACKWARD(cxr_pool_backward_plain_2_bf16, bf16, false, 2)
POOL_BACKWARD(cxr_pool_backward_norm_any_bf16, bf16, true, 0)
POOL_BACKWARD(cxr_pool_backward_norm_1_bf16, bf16, true, 1)
POOL_BACKWARD(cxr_pool_backward_norm_2_bf16, bf16, true, 2)
