// Norms and pooling on planes as they lie, [images, channels, places], with the arithmetic of the
// CPU's: sums in f64, one f32 rounding a step. Numbers may begin anywhere; they are counted in 32
// bits.

// The number of its channel that a thread comes to: `place` counts over images and places.
__device__ __forceinline__ long long number_of_channel(unsigned place, int channel, int channels,
                                                       int places) {
  const unsigned image = place / (unsigned)places;
  const unsigned rest = place - image * (unsigned)places;
  return ((long long)image * channels + channel) * places + rest;
}

__device__ __forceinline__ int channel_of(unsigned number, int channels, int places) {
  return (int)(number / (unsigned)places % (unsigned)channels);
}

// Σ (x − first) and Σ (x − first)² of each channel, first its first number: [slices, 2, channels].
// blockIdx.x is the channel, blockIdx.y the slice.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_moment_sums(int images, int channels, int places, const float *__restrict__ input,
                          double *__restrict__ partial) {
  CXR_SHARED(double, wide);
  const int channel = blockIdx.x;
  const unsigned count = (unsigned)images * (unsigned)places, step = gridDim.y * BLOCK;
  const double first = input[(long long)channel * places];
  double sum = 0, squares = 0;
  for (unsigned place = blockIdx.y * BLOCK + threadIdx.x; place < count; place += step) {
    const double x = input[number_of_channel(place, channel, channels, places)] - first;
    sum += x;
    squares += x * x;
  }
  sum = sum_of_block(wide, sum);
  squares = sum_of_block(wide, squares);
  if (threadIdx.x != 0) return;
  partial[2 * blockIdx.y * channels + channel] = sum;
  partial[(2 * blockIdx.y + 1) * channels + channel] = squares;
}
CXR_KERNEL(cxr_plane_moment_sums)

struct PlaneTotals {
  double first, second;
};

// The two sums of a channel over the slices.
__device__ __forceinline__ PlaneTotals totals_of_slices(const double *partial, int slices,
                                                        int channel, int channels) {
  PlaneTotals totals = {0, 0};
  for (int slice = 0; slice < slices; slice++) {
    totals.first += partial[2ll * slice * channels + channel];
    totals.second += partial[(2ll * slice + 1) * channels + channel];
  }
  return totals;
}

// Mean and biased variance of each channel, [2, channels], from such sums.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_moments(int slices, double count, int channels, int places,
                      const float *__restrict__ input, const double *__restrict__ partial,
                      double *__restrict__ moments) {
  const int channel = (int)grid_thread();
  if (channel >= channels) return;
  const PlaneTotals totals = totals_of_slices(partial, slices, channel, channels);
  const double from_first = totals.first / count;
  const double variance = totals.second / count - from_first * from_first;
  moments[channel] = input[(long long)channel * places] + from_first;
  // Below 0 by rounding alone; not a number stays one.
  moments[channels + channel] = variance < 0 ? 0 : variance;
}
CXR_KERNEL(cxr_plane_moments)

// Mean and scale of each channel in f32, [2, channels].
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_norm_factors(int channels, double epsilon, const double *__restrict__ moments,
                           const float *__restrict__ weight, float *__restrict__ factors) {
  const int channel = (int)grid_thread();
  if (channel >= channels) return;
  const double inverse = 1 / sqrt(moments[channels + channel] + epsilon);
  factors[channel] = (float)moments[channel];
  factors[channels + channel] = (float)(weight[channel] * inverse);
}
CXR_KERNEL(cxr_plane_norm_factors)

// (x − mean) · scale + bias.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_normalize(long long len, int channels, int places, const float *__restrict__ input,
                        const float *__restrict__ factors, const float *__restrict__ bias,
                        float *__restrict__ output) {
  for (long long at = grid_thread(); at < len; at += grid_threads()) {
    const int channel = channel_of((unsigned)at, channels, places);
    output[at] = scaled(__fsub_rn(input[at], factors[channel]), factors[channels + channel],
                        bias[channel]);
  }
}
CXR_KERNEL(cxr_plane_normalize)

// Σ gradient and Σ gradient · (x − mean) of each channel, as above. `input` may be null: then the
// second sum is 0.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_gradient_sums(int images, int channels, int places,
                            const float *__restrict__ gradient, const float *__restrict__ input,
                            const double *__restrict__ moments, double *__restrict__ partial) {
  CXR_SHARED(double, wide);
  const int channel = blockIdx.x;
  const unsigned count = (unsigned)images * (unsigned)places, step = gridDim.y * BLOCK;
  const double mean = input ? moments[channel] : 0;
  double sum = 0, products = 0;
  for (unsigned place = blockIdx.y * BLOCK + threadIdx.x; place < count; place += step) {
    const long long at = number_of_channel(place, channel, channels, places);
    const double g = gradient[at];
    sum += g;
    if (input) products += g * (input[at] - mean);
  }
  sum = sum_of_block(wide, sum);
  products = sum_of_block(wide, products);
  if (threadIdx.x != 0) return;
  partial[2 * blockIdx.y * channels + channel] = sum;
  partial[(2 * blockIdx.y + 1) * channels + channel] = products;
}
CXR_KERNEL(cxr_plane_gradient_sums)

// The first of such sums.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_bias_gradient(int slices, int channels, const double *__restrict__ partial,
                            float *__restrict__ bias_gradient) {
  const int channel = (int)grid_thread();
  if (channel < channels)
    bias_gradient[channel] = (float)totals_of_slices(partial, slices, channel, channels).first;
}
CXR_KERNEL(cxr_plane_bias_gradient)

// The gradients of a norm's weight and bias, and [4, channels] for that of its input: mean, scale,
// mean gradient, slope.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_norm_gradients(int slices, double count, int channels, double epsilon,
                             const double *__restrict__ partial,
                             const double *__restrict__ moments, const float *__restrict__ weight,
                             float *__restrict__ weight_gradient,
                             float *__restrict__ bias_gradient, float *__restrict__ factors) {
  const int channel = (int)grid_thread();
  if (channel >= channels) return;
  const PlaneTotals totals = totals_of_slices(partial, slices, channel, channels);
  const double inverse = 1 / sqrt(moments[channels + channel] + epsilon);
  const double by_normalized = totals.second * inverse;
  weight_gradient[channel] = (float)by_normalized;
  bias_gradient[channel] = (float)totals.first;
  factors[channel] = (float)moments[channel];
  factors[channels + channel] = (float)(weight[channel] * inverse);
  factors[2 * channels + channel] = (float)(totals.first / count);
  factors[3 * channels + channel] = (float)(by_normalized / count * inverse);
}
CXR_KERNEL(cxr_plane_norm_gradients)

// scale · (gradient − mean gradient − (x − mean) · slope). `input` may be null, where the moments
// do not depend on it: then scale · gradient.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_norm_backward(long long len, int channels, int places,
                            const float *__restrict__ gradient, const float *__restrict__ input,
                            const float *__restrict__ factors, float *__restrict__ output) {
  for (long long at = grid_thread(); at < len; at += grid_threads()) {
    const int channel = channel_of((unsigned)at, channels, places);
    float g = gradient[at];
    if (input) {
      const float by_input = __fmul_rn(__fsub_rn(input[at], factors[channel]),
                                       factors[3 * channels + channel]);
      g = __fsub_rn(__fsub_rn(g, factors[2 * channels + channel]), by_input);
    }
    output[at] = __fmul_rn(factors[channels + channel], g);
  }
}
CXR_KERNEL(cxr_plane_norm_backward)

// The largest number under each window of every plane, the first of equals, and which place of the
// window it was; not a number counts as larger than all. `images` counts planes, of one channel.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_pool(const float *__restrict__ input, float *__restrict__ output,
                   int *__restrict__ picked, POOL_PARAMETERS) {
  const Pool pool = POOL;
  const long long len = (long long)images * channels * out_height * out_width;
  for (long long at = grid_thread(); at < len; at += grid_threads()) {
    const Place place = place_of(at, pool.out_height, pool.out_width);
    const int top = place.y * pool.stride - pool.pad_top;
    const int left = place.x * pool.stride - pool.pad_left;
    const int first_y = top < 0 ? -top : 0, first_x = left < 0 ? -left : 0;
    float largest = -INFINITY;
    int tap = first_y * pool.kernel_width + first_x;
    for (int tap_y = first_y; tap_y < pool.kernel_height && top + tap_y < pool.height; tap_y++) {
      const float *line = input + (place.image * pool.height + top + tap_y) * pool.width;
      for (int tap_x = first_x; tap_x < pool.kernel_width && left + tap_x < pool.width; tap_x++) {
        const float value = line[left + tap_x];
        const bool is_larger = value > largest || value != value;
        largest = is_larger ? value : largest;
        tap = is_larger ? tap_y * pool.kernel_width + tap_x : tap;
      }
    }
    output[at] = largest;
    picked[at] = tap;
  }
}
CXR_KERNEL(cxr_plane_pool)

// Each place collects the gradients of the windows that picked it, row by row.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_pool_backward(const float *__restrict__ gradient, const int *__restrict__ picked,
                            float *__restrict__ output, POOL_PARAMETERS) {
  const Pool pool = POOL;
  const long long len = (long long)images * channels * height * width;
  for (long long at = grid_thread(); at < len; at += grid_threads()) {
    const Place place = place_of(at, pool.height, pool.width);
    const int y = place.y + pool.pad_top, x = place.x + pool.pad_left;
    const int before_y = y - pool.kernel_height + 1, before_x = x - pool.kernel_width + 1;
    const int first_y = before_y > 0 ? (before_y + pool.stride - 1) / pool.stride : 0;
    const int first_x = before_x > 0 ? (before_x + pool.stride - 1) / pool.stride : 0;
    float sum = 0.f;
    for (int out_y = first_y; out_y < pool.out_height && out_y * pool.stride <= y; out_y++) {
      for (int out_x = first_x; out_x < pool.out_width && out_x * pool.stride <= x; out_x++) {
        const int tap = (y - out_y * pool.stride) * pool.kernel_width + x - out_x * pool.stride;
        const long long from =
            (place.image * pool.out_height + out_y) * pool.out_width + out_x;
        if (picked[from] == tap) sum += gradient[from];
      }
    }
    output[at] = sum;
  }
}
CXR_KERNEL(cxr_plane_pool_backward)

// The mean of each plane. blockIdx.x is the plane.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_means(int places, const float *__restrict__ input, float *__restrict__ means) {
  CXR_SHARED(double, wide);
  const float *plane = input + (long long)blockIdx.x * places;
  double sum = 0;
  for (int place = threadIdx.x; place < places; place += BLOCK) sum += plane[place];
  sum = sum_of_block(wide, sum);
  if (threadIdx.x == 0) means[blockIdx.x] = (float)(sum / places);
}
CXR_KERNEL(cxr_plane_means)

// Each plane's gradient, shared evenly by its places.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_plane_spread(long long len, int places, const float *__restrict__ gradient,
                     float *__restrict__ output) {
  for (long long at = grid_thread(); at < len; at += grid_threads())
    output[at] = __fdiv_rn(gradient[(unsigned)at / (unsigned)places], (float)places);
}
CXR_KERNEL(cxr_plane_spread)
