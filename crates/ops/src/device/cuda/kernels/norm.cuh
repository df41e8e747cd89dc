// Batch norms: moments, the affine map with shortcut and ReLU, and the way back.
//
// `saved` is [4, channels]: mean, 1/√(variance + ε), scale, shift; `factors` [3, channels].

// Where a gradient comes through a ReLU.
enum Gate { OPEN, BY_NORM, BY_MAP };
// What is added before the ReLU.
enum Shortcut { NONE, MAP, NORM };

// Sums of x − x₀ and of its square, x₀ the channel's number in the first row: a shift near the mean
// keeps the variance from being a small difference of large numbers. x₀ comes behind the sums.
template <typename T>
__device__ __forceinline__ void norm_moments(float *shared, const T *__restrict__ input,
                                             float *__restrict__ partial, long long rows,
                                             int channels, int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, channels);
  float sum[N], squares[N], origin[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = squares[i] = origin[i] = 0.f;
  if (column.has_work) {
    load<T>(input + column.channel, origin);
    const int AHEAD = 4;
    typename Vector<T>::Raw raw[AHEAD];
    each_row<AHEAD>(
        column, rows,
        [&](int place, long long row) {
          raw[place] = load_raw(input + row * channels + column.channel);
        },
        [&](int place, long long) {
          float x[N];
          unpack<T>(raw[place], x);
#pragma unroll
          for (int i = 0; i < N; i++) {
            const float deviation = x[i] - origin[i];
            sum[i] += deviation;
            squares[i] += deviation * deviation;
          }
        });
    if (blockIdx.x == 0 && column.slot == 0) {
      float *origins = partial + 2ll * gridDim.x * channels + column.channel;
#pragma unroll
      for (int i = 0; i < N; i++) origins[i] = origin[i];
    }
  }
  store_block_sums<N>(shared, sum, squares, column, channels, partial);
}

#define NORM_MOMENTS(NAME, T)                                                                     \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(const T *input, float *partial, long long rows, int channels, int lanes) {             \
    CXR_SHARED(float, shared);                                                                    \
    norm_moments<T>(shared, input, partial, rows, channels, lanes);                               \
  }                                                                                               \
  CXR_KERNEL(NAME)
NORM_MOMENTS(cxr_norm_moments_f32, float)
NORM_MOMENTS(cxr_norm_moments_bf16, bf16)

__device__ __forceinline__ void save_norm(int channel, int channels, double mean, double variance,
                                          double epsilon, float weight, float bias,
                                          float *saved) {
  const double inverse = 1.0 / sqrt(variance + epsilon);
  const double scale = weight * inverse;
  saved[channel] = (float)mean;
  saved[channels + channel] = (float)inverse;
  saved[2 * channels + channel] = (float)scale;
  saved[3 * channels + channel] = (float)(bias - mean * scale);
}

// `saved`, and `moments` [2, channels]: the mean and the unbiased variance.
extern "C" __global__ void __launch_bounds__(FINISH_CHANNELS *FINISH_SLICES)
    cxr_norm_moments_finish(const float *partial, int blocks, long long rows, int channels,
                            const float *weight, const float *bias, double epsilon,
                            double *moments, float *saved) {
  CXR_SHARED(double, wide);
  const Totals totals = total_of_blocks(wide, partial, blocks, channels);
  if (!totals.is_mine) return;
  const int channel = totals.channel;
  const double from_origin = totals.first / (double)rows;
  // Rounding must not make it negative; not a number stays one.
  const double square = totals.second / (double)rows - from_origin * from_origin;
  const double variance = square < 0 ? 0 : square;
  const double mean = from_origin + partial[2ll * blocks * channels + channel];
  save_norm(channel, channels, mean, variance, epsilon, weight[channel], bias[channel], saved);
  moments[channel] = mean;
  moments[channels + channel] = variance * ((double)rows / (double)(rows - 1));
}
CXR_KERNEL(cxr_norm_moments_finish)

// Running statistics move towards `moments`, unless any of those is not finite. One block.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_norm_running(const double *moments, int channels, double momentum, float *running_mean,
                     float *running_variance) {
  CXR_SHARED(double, wide);
  double n_wrong = 0;
  for (int place = threadIdx.x; place < 2 * channels; place += BLOCK)
    n_wrong += is_finite(moments[place]) ? 0 : 1;
  if (sum_of_block(wide, n_wrong) > 0) return;
  for (int channel = threadIdx.x; channel < channels; channel += BLOCK) {
    running_mean[channel] =
        (float)((1 - momentum) * running_mean[channel] + momentum * moments[channel]);
    running_variance[channel] = (float)((1 - momentum) * running_variance[channel] +
                                        momentum * moments[channels + channel]);
  }
}
CXR_KERNEL(cxr_norm_running)

extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_norm_of_running(const float *weight, const float *bias, const float *running_mean,
                        const float *running_variance, int channels, double epsilon,
                        float *saved) {
  const int channel = (int)grid_thread();
  if (channel < channels)
    save_norm(channel, channels, running_mean[channel], running_variance[channel], epsilon,
              weight[channel], bias[channel], saved);
}
CXR_KERNEL(cxr_norm_of_running)

template <typename T, int SHORTCUT>
__device__ __forceinline__ void norm_apply(const T *__restrict__ input,
                                           const float *__restrict__ saved,
                                           const T *__restrict__ shortcut,
                                           const float *__restrict__ shortcut_saved, int has_relu,
                                           T *__restrict__ output, long long rows, int channels,
                                           int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, channels);
  if (!column.has_work) return;
  float scale[N], shift[N], other_scale[N], other_shift[N];
  load_floats<N>(saved + 2 * channels + column.channel, scale);
  load_floats<N>(saved + 3 * channels + column.channel, shift);
  if (SHORTCUT == NORM) {
    load_floats<N>(shortcut_saved + 2 * channels + column.channel, other_scale);
    load_floats<N>(shortcut_saved + 3 * channels + column.channel, other_shift);
  }
  const int AHEAD = SHORTCUT == NONE ? 4 : 2;
  typename Vector<T>::Raw raw[AHEAD], raw_other[AHEAD];
  each_row<AHEAD>(
      column, rows,
      [&](int place, long long row) {
        const long long from = row * channels + column.channel;
        raw[place] = load_raw(input + from);
        if (SHORTCUT != NONE) raw_other[place] = load_raw(shortcut + from);
      },
      [&](int place, long long row) {
        float x[N], other[N];
        unpack<T>(raw[place], x);
        if (SHORTCUT != NONE) unpack<T>(raw_other[place], other);
#pragma unroll
        for (int i = 0; i < N; i++) {
          float value = scaled(scale[i], x[i], shift[i]);
          if (SHORTCUT == MAP) value += other[i];
          if (SHORTCUT == NORM) value += scaled(other_scale[i], other[i], other_shift[i]);
          x[i] = has_relu ? relu(value) : value;
        }
        store<T>(output + row * channels + column.channel, x);
      });
}

#define NORM_APPLY(NAME, T, SHORTCUT)                                                             \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(const T *input, const float *saved, const T *shortcut, const float *shortcut_saved,    \
           int has_relu, T *output, long long rows, int channels, int lanes) {                    \
    norm_apply<T, SHORTCUT>(input, saved, shortcut, shortcut_saved, has_relu, output, rows,       \
                            channels, lanes);                                                     \
  }                                                                                               \
  CXR_KERNEL(NAME)
NORM_APPLY(cxr_norm_apply_none_f32, float, NONE)
NORM_APPLY(cxr_norm_apply_map_f32, float, MAP)
NORM_APPLY(cxr_norm_apply_norm_f32, float, NORM)
NORM_APPLY(cxr_norm_apply_none_bf16, bf16, NONE)
NORM_APPLY(cxr_norm_apply_map_bf16, bf16, MAP)
NORM_APPLY(cxr_norm_apply_norm_bf16, bf16, NORM)

// Closes the gate on N numbers of a gradient.
template <int N, int GATE>
__device__ __forceinline__ void close_gate(float *gradient, const float *activation,
                                           const float *x, const float *scale,
                                           const float *shift) {
#pragma unroll
  for (int i = 0; i < N; i++) {
    if (GATE == BY_NORM) gradient[i] = scaled(scale[i], x[i], shift[i]) > 0.f ? gradient[i] : 0.f;
    if (GATE == BY_MAP) gradient[i] = activation[i] > 0.f ? gradient[i] : 0.f;
  }
}

// Sums of the gated gradient and of its product with x − mean; behind BY_MAP the gradient stays
// gated.
template <typename T, int GATE>
__device__ __forceinline__ void norm_gradient_sums(float *shared, T *__restrict__ gradient,
                                                   const T *__restrict__ activation,
                                                   const T *__restrict__ input,
                                                   const float *__restrict__ saved,
                                                   float *__restrict__ partial, long long rows,
                                                   int channels, int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, channels);
  float sum[N], products[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = products[i] = 0.f;
  if (column.has_work) {
    float mean[N], scale[N], shift[N];
    load_floats<N>(saved + column.channel, mean);
    if (GATE == BY_NORM) {
      load_floats<N>(saved + 2 * channels + column.channel, scale);
      load_floats<N>(saved + 3 * channels + column.channel, shift);
    }
    const int AHEAD = 2;
    typename Vector<T>::Raw raw[AHEAD], raw_input[AHEAD], raw_activation[AHEAD];
    each_row<AHEAD>(
        column, rows,
        [&](int place, long long row) {
          const long long from = row * channels + column.channel;
          raw[place] = load_raw(gradient + from);
          raw_input[place] = load_raw(input + from);
          if (GATE == BY_MAP) raw_activation[place] = load_raw(activation + from);
        },
        [&](int place, long long row) {
          float g[N], x[N], y[N];
          unpack<T>(raw[place], g);
          unpack<T>(raw_input[place], x);
          if (GATE == BY_MAP) unpack<T>(raw_activation[place], y);
          close_gate<N, GATE>(g, y, x, scale, shift);
          if (GATE == BY_MAP) store<T>(gradient + row * channels + column.channel, g);
#pragma unroll
          for (int i = 0; i < N; i++) {
            sum[i] += g[i];
            products[i] += g[i] * (x[i] - mean[i]);
          }
        });
  }
  store_block_sums<N>(shared, sum, products, column, channels, partial);
}

#define NORM_GRADIENT_SUMS(NAME, T, GATE)                                                         \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(T *gradient, const T *activation, const T *input, const float *saved, float *partial,  \
           long long rows, int channels, int lanes) {                                             \
    CXR_SHARED(float, shared);                                                                    \
    norm_gradient_sums<T, GATE>(shared, gradient, activation, input, saved, partial, rows,        \
                                channels, lanes);                                                 \
  }                                                                                               \
  CXR_KERNEL(NAME)
NORM_GRADIENT_SUMS(cxr_norm_gradient_sums_open_f32, float, OPEN)
NORM_GRADIENT_SUMS(cxr_norm_gradient_sums_norm_f32, float, BY_NORM)
NORM_GRADIENT_SUMS(cxr_norm_gradient_sums_map_f32, float, BY_MAP)
NORM_GRADIENT_SUMS(cxr_norm_gradient_sums_open_bf16, bf16, OPEN)
NORM_GRADIENT_SUMS(cxr_norm_gradient_sums_norm_bf16, bf16, BY_NORM)
NORM_GRADIENT_SUMS(cxr_norm_gradient_sums_map_bf16, bf16, BY_MAP)

// Gradients of weight and bias, and `factors`. `rows` are those that the moments were taken over.
extern "C" __global__ void __launch_bounds__(FINISH_CHANNELS *FINISH_SLICES)
    cxr_norm_gradient_finish(const float *partial, int blocks, long long rows, int channels,
                             const float *weight, const float *saved, float *weight_gradient,
                             float *bias_gradient, float *factors) {
  CXR_SHARED(double, wide);
  const Totals totals = total_of_blocks(wide, partial, blocks, channels);
  if (!totals.is_mine) return;
  const int channel = totals.channel;
  const double mean = saved[channel], inverse = saved[channels + channel];
  const double by_normalized = totals.second * inverse, scale = weight[channel] * inverse;
  const double slope = scale * inverse * by_normalized / (double)rows;
  weight_gradient[channel] = (float)by_normalized;
  bias_gradient[channel] = (float)totals.first;
  factors[channel] = (float)scale;
  factors[channels + channel] = (float)-slope;
  factors[2 * channels + channel] = (float)(slope * mean - scale * totals.first / (double)rows);
}
CXR_KERNEL(cxr_norm_gradient_finish)

extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_norm_fixed_factors(const float *saved, int channels, float *factors) {
  const int channel = (int)grid_thread();
  if (channel >= channels) return;
  factors[channel] = saved[2 * channels + channel];
  factors[channels + channel] = 0.f;
  factors[2 * channels + channel] = 0.f;
}
CXR_KERNEL(cxr_norm_fixed_factors)

template <typename T, int GATE>
__device__ __forceinline__ void norm_backward(const T *__restrict__ gradient,
                                              const T *__restrict__ activation,
                                              const T *__restrict__ input,
                                              const float *__restrict__ saved,
                                              const float *__restrict__ factors,
                                              T *__restrict__ output, long long rows,
                                              int channels, int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, channels);
  if (!column.has_work) return;
  float by_gradient[N], by_input[N], constant[N], scale[N], shift[N];
  load_floats<N>(factors + column.channel, by_gradient);
  load_floats<N>(factors + channels + column.channel, by_input);
  load_floats<N>(factors + 2 * channels + column.channel, constant);
  if (GATE == BY_NORM) {
    load_floats<N>(saved + 2 * channels + column.channel, scale);
    load_floats<N>(saved + 3 * channels + column.channel, shift);
  }
  const int AHEAD = 2;
  typename Vector<T>::Raw raw[AHEAD], raw_input[AHEAD], raw_activation[AHEAD];
  each_row<AHEAD>(
      column, rows,
      [&](int place, long long row) {
        const long long from = row * channels + column.channel;
        raw[place] = load_raw(gradient + from);
        raw_input[place] = load_raw(input + from);
        if (GATE == BY_MAP) raw_activation[place] = load_raw(activation + from);
      },
      [&](int place, long long row) {
        float g[N], x[N], y[N];
        unpack<T>(raw[place], g);
        unpack<T>(raw_input[place], x);
        if (GATE == BY_MAP) unpack<T>(raw_activation[place], y);
        close_gate<N, GATE>(g, y, x, scale, shift);
#pragma unroll
        for (int i = 0; i < N; i++)
          g[i] = by_gradient[i] * g[i] + (by_input[i] * x[i] + constant[i]);
        store<T>(output + row * channels + column.channel, g);
      });
}

#define NORM_BACKWARD(NAME, T, GATE)                                                              \
  extern "C" __global__ void __launch_bounds__(BLOCK, BLOCKS_HELD)                                \
      NAME(const T *gradient, const T *activation, const T *input, const float *saved,            \
           const float *factors, T *output, long long rows, int channels, int lanes) {            \
    norm_backward<T, GATE>(gradient, activation, input, saved, factors, output, rows, channels,   \
                           lanes);                                                                \
  }                                                                                               \
  CXR_KERNEL(NAME)
NORM_BACKWARD(cxr_norm_backward_open_f32, float, OPEN)
NORM_BACKWARD(cxr_norm_backward_norm_f32, float, BY_NORM)
NORM_BACKWARD(cxr_norm_backward_map_f32, float, BY_MAP)
NORM_BACKWARD(cxr_norm_backward_open_bf16, bf16, OPEN)
NORM_BACKWARD(cxr_norm_backward_norm_bf16, bf16, BY_NORM)
NORM_BACKWARD(cxr_norm_backward_map_bf16, bf16, BY_MAP)

template <typename T>
__device__ __forceinline__ void gate(long long len, const T *__restrict__ activation,
                                     T *__restrict__ gradient) {
  const int N = Vector<T>::N;
  for (long long start = grid_thread() * N; start < len; start += grid_threads() * N) {
    if (start + N <= len) {
      float g[N], y[N];
      load<T>(gradient + start, g);
      load<T>(activation + start, y);
      close_gate<N, BY_MAP>(g, y, nullptr, nullptr, nullptr);
      store<T>(gradient + start, g);
    } else {
      for (long long place = start; place < len; place++)
        if (!(to_float(activation[place]) > 0.f)) gradient[place] = from_float<T>(0.f);
    }
  }
}

#define GATE_KERNEL(NAME, T)                                                                      \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(long long len, const T *activation, T *gradient) {                                     \
    gate<T>(len, activation, gradient);                                                           \
  }                                                                                               \
  CXR_KERNEL(NAME)
GATE_KERNEL(cxr_gate_f32, float)
GATE_KERNEL(cxr_gate_bf16, bf16)
