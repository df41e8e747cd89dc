// What lies between the last map and the loss: means over places, roundings, biases, the loss.

// [images, places, channels] to [images, channels]; blockIdx.x is the image.
template <typename T>
__device__ __forceinline__ void mean_of_places(float *shared, const T *__restrict__ input,
                                               float *__restrict__ output, int places,
                                               int channels, int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, channels);
  const T *image = input + (long long)blockIdx.x * places * channels;
  float sum[N], x[N];
#pragma unroll
  for (int i = 0; i < N; i++) sum[i] = 0.f;
  if (column.has_work) {
    for (int place = column.slot; place < places; place += column.slots) {
      load<T>(image + (long long)place * channels + column.channel, x);
#pragma unroll
      for (int i = 0; i < N; i++) sum[i] += x[i];
    }
  }
  share<N>(shared, sum);
  __syncthreads();
  for (int number = threadIdx.x; number < N * lanes; number += BLOCK) {
    const int lane = number % lanes, index = number / lanes;
    const int channel = (blockIdx.y * lanes + lane) * N + index;
    if (channel < channels)
      output[(long long)blockIdx.x * channels + channel] =
          (float)(over_slots(shared, index, lane, column) / places);
  }
}

#define MEAN_OF_PLACES(NAME, T)                                                                   \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(const T *input, float *output, int places, int channels, int lanes) {                  \
    CXR_SHARED(float, shared);                                                                    \
    mean_of_places<T>(shared, input, output, places, channels, lanes);                            \
  }                                                                                               \
  CXR_KERNEL(NAME)
MEAN_OF_PLACES(cxr_mean_of_places_f32, float)
MEAN_OF_PLACES(cxr_mean_of_places_bf16, bf16)

// [images, channels] ÷ places to [images, places, channels]; blockIdx.x is the image.
template <typename T>
__device__ __forceinline__ void spread_to_places(const float *__restrict__ gradient,
                                                 T *__restrict__ output, int places, int channels,
                                                 int lanes) {
  const int N = Vector<T>::N;
  const Column column = column_of_thread<N>(lanes, channels);
  if (!column.has_work) return;
  float share_of_place[N];
  load_floats<N>(gradient + (long long)blockIdx.x * channels + column.channel, share_of_place);
#pragma unroll
  for (int i = 0; i < N; i++) share_of_place[i] = __fdiv_rn(share_of_place[i], (float)places);
  T *image = output + (long long)blockIdx.x * places * channels;
  for (int place = column.slot; place < places; place += column.slots)
    store<T>(image + (long long)place * channels + column.channel, share_of_place);
}

#define SPREAD_TO_PLACES(NAME, T)                                                                 \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(const float *gradient, T *output, int places, int channels, int lanes) {               \
    spread_to_places<T>(gradient, output, places, channels, lanes);                               \
  }                                                                                               \
  CXR_KERNEL(NAME)
SPREAD_TO_PLACES(cxr_spread_to_places_f32, float)
SPREAD_TO_PLACES(cxr_spread_to_places_bf16, bf16)

// `factors` may be null: then there are none.
template <typename T>
__device__ __forceinline__ void round_numbers(long long len, const float *__restrict__ input,
                                              const float *__restrict__ factors,
                                              T *__restrict__ output) {
  const int N = Vector<T>::N;
  for (long long start = grid_thread() * N; start < len; start += grid_threads() * N) {
    if (start + N <= len) {
      float x[N], factor[N];
      load_floats<N>(input + start, x);
      if (factors) {
        load_floats<N>(factors + start, factor);
#pragma unroll
        for (int i = 0; i < N; i++) x[i] *= factor[i];
      }
      store<T>(output + start, x);
    } else {
      for (long long place = start; place < len; place++)
        output[place] = from_float<T>(factors ? input[place] * factors[place] : input[place]);
    }
  }
}

#define ROUND(NAME, T)                                                                            \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(long long len, const float *input, const float *factors, T *output) {                  \
    round_numbers<T>(len, input, factors, output);                                                \
  }                                                                                               \
  CXR_KERNEL(NAME)
ROUND(cxr_round_f32, float)
ROUND(cxr_round_bf16, bf16)

// `numbers` times `factors`, one by one.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_scale(long long len, const float *factors, float *numbers) {
  for (long long place = grid_thread(); place < len; place += grid_threads())
    numbers[place] = __fmul_rn(numbers[place], factors[place]);
}
CXR_KERNEL(cxr_scale)

// Adds a bias to every row of [rows, columns].
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_add_bias(int rows, int columns, const float *bias, float *output) {
  const int column = (int)grid_thread();
  if (column >= columns) return;
  for (int row = blockIdx.y; row < rows; row += gridDim.y) {
    const long long place = (long long)row * columns + column;
    output[place] = __fadd_rn(output[place], bias[column]);
  }
}
CXR_KERNEL(cxr_add_bias)

// The sum of each column of [rows, columns].
extern "C" __global__ void __launch_bounds__(FINISH_CHANNELS *FINISH_SLICES)
    cxr_column_sums(const float *numbers, int rows, int columns, float *sums) {
  CXR_SHARED(double, wide);
  const int lane = threadIdx.x % FINISH_CHANNELS, slice = threadIdx.x / FINISH_CHANNELS;
  const int column = blockIdx.x * FINISH_CHANNELS + lane;
  double sum = 0;
  if (column < columns)
    for (int row = slice; row < rows; row += FINISH_SLICES)
      sum += numbers[(long long)row * columns + column];
  wide[threadIdx.x] = sum;
  __syncthreads();
  if (slice != 0 || column >= columns) return;
  for (int other = 1; other < FINISH_SLICES; other++)
    sum += wide[other * FINISH_CHANNELS + lane];
  sums[column] = (float)sum;
}
CXR_KERNEL(cxr_column_sums)

// Binary cross-entropy in f64, without the logarithm of a sigmoid: the mean over the known cells of
// [rows, findings] and its derivative by each logit. One block.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_bce(int cells, int findings, const float *logits, const float *targets, const float *mask,
            const float *pos_weights, float *gradient, float *outcome) {
  CXR_SHARED(double, wide);
  double loss = 0, n_known = 0;
  for (int cell = threadIdx.x; cell < cells; cell += BLOCK) {
    if (!(mask[cell] > 0.f)) continue;
    const double logit = logits[cell], target = targets[cell];
    const double weight = pos_weights[cell % findings];
    const double softplus_of_minus = log1p(exp(-fabs(logit))) + (logit < 0 ? -logit : 0);
    loss += (1 - target) * logit + (1 + (weight - 1) * target) * softplus_of_minus;
    n_known += 1;
  }
  loss = sum_of_block(wide, loss);
  n_known = sum_of_block(wide, n_known);
  for (int cell = threadIdx.x; cell < cells; cell += BLOCK) {
    double slope = 0;
    if (mask[cell] > 0.f) {
      const double logit = logits[cell], target = targets[cell];
      const double weight = pos_weights[cell % findings];
      const double small = exp(-fabs(logit));
      const double of_minus = (logit > 0 ? small : 1) / (1 + small);
      slope = ((1 - target) - (1 + (weight - 1) * target) * of_minus) / n_known;
    }
    gradient[cell] = (float)slope;
  }
  if (threadIdx.x == 0) outcome[0] = (float)(loss / n_known);
}
CXR_KERNEL(cxr_bce)
