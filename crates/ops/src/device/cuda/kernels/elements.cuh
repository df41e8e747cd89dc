// What is done number by number, whatever the shape: ReLU, dropout, a common factor. Numbers may
// begin anywhere.

// max(x, 0); not a number stays one.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_relu(long long len, const float *__restrict__ input, float *__restrict__ output) {
  for (long long at = grid_thread(); at < len; at += grid_threads()) output[at] = relu(input[at]);
}
CXR_KERNEL(cxr_relu)

// The gradient where the ReLU's output is above 0, or no number; else 0.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_relu_gradient(long long len, const float *__restrict__ activation,
                      const float *__restrict__ gradient, float *__restrict__ output) {
  for (long long at = grid_thread(); at < len; at += grid_threads())
    output[at] = activation[at] <= 0.f ? 0.f : gradient[at];
}
CXR_KERNEL(cxr_relu_gradient)

// Every number times the first of `factor`.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_times(long long len, const float *__restrict__ factor, float *__restrict__ numbers) {
  const float first = factor[0];
  for (long long at = grid_thread(); at < len; at += grid_threads())
    numbers[at] = __fmul_rn(numbers[at], first);
}
CXR_KERNEL(cxr_times)

// Four random words for a counter and a key: Philox4x32-10, as crates/stream has it.
struct Words {
  unsigned word[4];
};

__device__ __forceinline__ Words philox(Words counter, unsigned key_low, unsigned key_high) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned long long first = 0xD2511F53ull * counter.word[0];
    const unsigned long long second = 0xCD9E8D57ull * counter.word[2];
    counter = {{(unsigned)(second >> 32) ^ counter.word[1] ^ key_low, (unsigned)second,
                (unsigned)(first >> 32) ^ counter.word[3] ^ key_high, (unsigned)first}};
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
  return counter;
}

// Elements that share a stream of random numbers, four of them a counter.
#define DROPOUT_STREAM 4096

// `input` · scale where the mask keeps the element, else 0. `index`, `epoch` and `purpose` are the
// words of the counter of the first stream.
extern "C" __global__ void __launch_bounds__(BLOCK)
    cxr_dropout(long long len, double probability, float scale, unsigned key_low,
                unsigned key_high, unsigned index, unsigned epoch, unsigned purpose,
                const float *__restrict__ input, float *__restrict__ output) {
  for (long long start = 4 * grid_thread(); start < len; start += 4 * grid_threads()) {
    const unsigned stream = (unsigned)(start / DROPOUT_STREAM);
    const unsigned block = (unsigned)(start % DROPOUT_STREAM) / 4;
    const Words words = philox({{block, index + stream, epoch, purpose}}, key_low, key_high);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (start + i >= len) continue;
      const float uniform = __fmul_rn((float)(words.word[i] >> 8), 1.f / (1 << 24));
      const float kept = __fmul_rn(input[start + i], scale);
      output[start + i] = uniform >= probability ? kept : 0.f;
    }
  }
}
CXR_KERNEL(cxr_dropout)
