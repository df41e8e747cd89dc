// Sixteen bytes of a map as f32 numbers, and back.

typedef __nv_bfloat16 bf16;

// How many numbers 16 bytes hold, and the type that loads them at once.
template <typename T> struct Vector;
template <> struct Vector<float> {
  static const int N = 4;
  typedef float4 Raw;
};
template <> struct Vector<bf16> {
  static const int N = 8;
  typedef uint4 Raw;
};

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(bf16 value) { return __bfloat162float(value); }

template <typename T> __device__ __forceinline__ T from_float(float value);
template <> __device__ __forceinline__ float from_float<float>(float value) { return value; }
template <> __device__ __forceinline__ bf16 from_float<bf16>(float value) {
  return __float2bfloat16(value);
}

template <typename T>
__device__ __forceinline__ typename Vector<T>::Raw load_raw(const T *from) {
  return *reinterpret_cast<const typename Vector<T>::Raw *>(from);
}

template <typename T>
__device__ __forceinline__ void unpack(const typename Vector<T>::Raw &raw, float *numbers) {
  const T *parts = reinterpret_cast<const T *>(&raw);
#pragma unroll
  for (int i = 0; i < Vector<T>::N; i++) numbers[i] = to_float(parts[i]);
}

template <typename T> __device__ __forceinline__ void load(const T *from, float *numbers) {
  const typename Vector<T>::Raw raw = load_raw(from);
  unpack<T>(raw, numbers);
}

template <typename T> __device__ __forceinline__ void store(T *to, const float *numbers) {
  typename Vector<T>::Raw raw;
  T *parts = reinterpret_cast<T *>(&raw);
#pragma unroll
  for (int i = 0; i < Vector<T>::N; i++) parts[i] = from_float<T>(numbers[i]);
  *reinterpret_cast<typename Vector<T>::Raw *>(to) = raw;
}

// Numbers that may begin anywhere.
template <int N>
__device__ __forceinline__ void load_single(const float *from, float *numbers) {
#pragma unroll
  for (int i = 0; i < N; i++) numbers[i] = __ldg(from + i);
}

// N numbers, a multiple of 4, that begin at 16 bytes.
template <int N> __device__ __forceinline__ void load_floats(const float *from, float *numbers) {
#pragma unroll
  for (int i = 0; i < N; i += 4) load<float>(from + i, numbers + i);
}

// In two roundings, so that every compiler gives the same bits.
__device__ __forceinline__ float scaled(float scale, float x, float shift) {
  return __fadd_rn(__fmul_rn(scale, x), shift);
}

// max(x, 0); not a number stays one.
__device__ __forceinline__ float relu(float x) { return x <= 0.f ? 0.f : x; }

__device__ __forceinline__ bool is_finite(float x) { return x - x == 0.f; }
__device__ __forceinline__ bool is_finite(double x) { return x - x == 0.0; }

// Which thread of the whole grid this is, and how many there are.
__device__ __forceinline__ long long grid_thread() {
  return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ long long grid_threads() { return (long long)gridDim.x * blockDim.x; }
