// The norm of the gradients, and Adam.

// Sums of squares, one of each block.
template <typename T>
__device__ __forceinline__ void squares(double *shared, const T *__restrict__ numbers,
                                        long long len, double *__restrict__ partial) {
  const int N = Vector<T>::N;
  double sum = 0;
#pragma unroll 2
  for (long long start = grid_thread() * N; start < len; start += grid_threads() * N) {
    if (start + N <= len) {
      float x[N];
      load<T>(numbers + start, x);
#pragma unroll
      for (int i = 0; i < N; i++) sum += (double)x[i] * x[i];
    } else {
      for (long long place = start; place < len; place++) {
        const double x = to_float(numbers[place]);
        sum += x * x;
      }
    }
  }
  sum = sum_of_block(shared, sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

#define SQUARES(NAME, T)                                                                          \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(const T *numbers, long long len, double *partial) {                                    \
    CXR_SHARED(double, wide);                                                                   \
    squares<T>(wide, numbers, len, partial);                                                    \
  }                                                                                               \
  CXR_KERNEL(NAME)
SQUARES(cxr_squares_f32, float)
SQUARES(cxr_squares_bf16, bf16)

// √ of the sum of `partial` into outcome₁. One block.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_root_of_sum(const double *partial, int count, float *outcome) {
  CXR_SHARED(double, wide);
  double sum = 0;
  for (int place = threadIdx.x; place < count; place += BLOCK) sum += partial[place];
  sum = sum_of_block(wide, sum);
  if (threadIdx.x == 0) outcome[1] = (float)sqrt(sum);
}
CXR_KERNEL(cxr_root_of_sum)

// Numbers of each arena that a thread works on.
#define ADAM_NUMBERS 4

struct AdamFactors {
  float kept_parameter, coupled_decay, fresh_mean, kept_square, fresh_square, root_correction,
      epsilon, step_size;
};

// One rounding a step, in the order of the CPU's.
__device__ __forceinline__ void adam_update(const AdamFactors &factors, float gradient,
                                            float &parameter, float &mean, float &square) {
  gradient = __fadd_rn(gradient, __fmul_rn(factors.coupled_decay, parameter));
  mean = __fadd_rn(mean, __fmul_rn(factors.fresh_mean, __fsub_rn(gradient, mean)));
  square = __fadd_rn(__fmul_rn(factors.kept_square, square),
                     __fmul_rn(__fmul_rn(factors.fresh_square, gradient), gradient));
  const float root =
      __fadd_rn(__fdiv_rn(__fsqrt_rn(square), factors.root_correction), factors.epsilon);
  parameter = __fsub_rn(__fmul_rn(parameter, factors.kept_parameter),
                        __fdiv_rn(__fmul_rn(factors.step_size, mean), root));
}

__device__ __forceinline__ void load_four(const float *from, float *numbers) {
  load<float>(from, numbers);
}
__device__ __forceinline__ void load_four(const bf16 *from, float *numbers) {
  const uint2 raw = *reinterpret_cast<const uint2 *>(from);
  const bf16 *parts = reinterpret_cast<const bf16 *>(&raw);
#pragma unroll
  for (int i = 0; i < ADAM_NUMBERS; i++) numbers[i] = to_float(parts[i]);
}
__device__ __forceinline__ void store_four(float *to, const float *numbers) {
  store<float>(to, numbers);
}
__device__ __forceinline__ void store_four(bf16 *to, const float *numbers) {
  uint2 raw;
  bf16 *parts = reinterpret_cast<bf16 *>(&raw);
#pragma unroll
  for (int i = 0; i < ADAM_NUMBERS; i++) parts[i] = from_float<bf16>(numbers[i]);
  *reinterpret_cast<uint2 *>(to) = raw;
}

// The numbers from `first` to `end`, unless loss or norm is not finite. Groups begin at multiples of
// four numbers, so that whole ones are loaded at once; the others number by number. `weights`, the
// rounded parameters, may be null.
template <typename T>
__device__ __forceinline__ void adam(long long first, long long end, const AdamFactors &factors,
                                     const float *outcome, const T *__restrict__ gradients,
                                     float *__restrict__ parameters, float *__restrict__ means,
                                     float *__restrict__ squares, T *__restrict__ weights) {
  if (!is_finite(outcome[0]) || !is_finite(outcome[1])) return;
  const int N = ADAM_NUMBERS;
  for (long long start = (first / N + grid_thread()) * N; start < end;
       start += grid_threads() * N) {
    if (start >= first && start + N <= end) {
      float gradient[N], parameter[N], mean[N], square[N];
      load_four(gradients + start, gradient);
      load_four(parameters + start, parameter);
      load_four(means + start, mean);
      load_four(squares + start, square);
#pragma unroll
      for (int i = 0; i < N; i++)
        adam_update(factors, gradient[i], parameter[i], mean[i], square[i]);
      store_four(parameters + start, parameter);
      store_four(means + start, mean);
      store_four(squares + start, square);
      if (weights) store_four(weights + start, parameter);
    } else {
      for (long long place = start; place < start + N; place++) {
        if (place < first || place >= end) continue;
        adam_update(factors, to_float(gradients[place]), parameters[place], means[place],
                    squares[place]);
        if (weights) weights[place] = from_float<T>(parameters[place]);
      }
    }
  }
}

#define ADAM(NAME, T)                                                                             \
  extern "C" __global__ void __launch_bounds__(BLOCK)                                             \
      NAME(long long first, long long end, const float *factors, const float *outcome,            \
           const T *gradients, float *parameters, float *means, float *squares, T *weights) {     \
    const AdamFactors loaded = {factors[0], factors[1], factors[2], factors[3],                   \
                                factors[4], factors[5], factors[6], factors[7]};                  \
    adam<T>(first, end, loaded, outcome, gradients, parameters, means, squares, weights);         \
  }                                                                                               \
  CXR_KERNEL(NAME)
ADAM(cxr_adam_f32, float)
ADAM(cxr_adam_bf16, bf16)
