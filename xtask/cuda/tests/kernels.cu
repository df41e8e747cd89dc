// Kernels for the emulator's own tests: right ones, and ones that a card would stop at.
#ifdef __CUDACC__
#include <cuda_bf16.h>
#define CXR_KERNEL(name)
#define CXR_SHARED(type, name) extern __shared__ type name[]
#else
#include "on_cpu.h"
#endif

// The sum of each block's numbers, by halves; a barrier between two halves.
extern "C" __global__ void __launch_bounds__(256) test_sum(const float *__restrict__ numbers, float *__restrict__ sums) {
  CXR_SHARED(float, part);
  part[threadIdx.x] = numbers[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}
CXR_KERNEL(test_sum)

// Numbers by a factor; the first `count`.
extern "C" __global__ void test_scale(float *numbers, float factor, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) numbers[i] = __fmul_rn(numbers[i], factor);
}
CXR_KERNEL(test_scale)

// Each place's own number of a grid in three directions.
extern "C" __global__ void test_places(int *places) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned at = block * blockDim.x * blockDim.y * blockDim.z + thread;
  places[at] = static_cast<int>(at);
}
CXR_KERNEL(test_places)

// To bfloat16 and back.
extern "C" __global__ void test_round(const float *numbers, float *rounded, __nv_bfloat16 *kept) {
  kept[threadIdx.x] = __float2bfloat16(numbers[threadIdx.x]);
  rounded[threadIdx.x] = __bfloat162float(kept[threadIdx.x]);
}
CXR_KERNEL(test_round)

// Each thread reads its neighbour's number without a barrier: what it gives depends on the order.
extern "C" __global__ void test_without_barrier(float *numbers) {
  CXR_SHARED(float, part);
  part[threadIdx.x] = static_cast<float>(threadIdx.x);
  numbers[threadIdx.x] = threadIdx.x > 0 ? part[threadIdx.x - 1] : 0.0f;
}
CXR_KERNEL(test_without_barrier)

// Half of the block ends before the other half waits for it.
extern "C" __global__ void test_divergent() {
  if (threadIdx.x % 2 == 0) return;
  __syncthreads();
}
CXR_KERNEL(test_divergent)

// One number at any place, before the start or after the end too.
extern "C" __global__ void test_write(float *numbers, long long place) { numbers[place] = 1.0f; }
CXR_KERNEL(test_write)

// Sixteen bytes at once.
extern "C" __global__ void test_wide(const float *numbers, float4 *wide) {
  *wide = *reinterpret_cast<const float4 *>(numbers);
}
CXR_KERNEL(test_wide)

// More shared memory than was asked for at the launch.
extern "C" __global__ void test_shared_overrun(float *numbers) {
  CXR_SHARED(float, part);
  part[blockDim.x] = 1.0f;
  numbers[0] = part[blockDim.x];
}
CXR_KERNEL(test_shared_overrun)
