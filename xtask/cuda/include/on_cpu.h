// CUDA C++ on a C++ compiler: the words that our kernels use, for kernels that the emulator runs.
//
// A kernel file includes this where `__CUDACC__` is not defined. What is missing here is missing on
// purpose (static shared memory, warp shuffles, atomics): a kernel that wants it does not compile,
// and is not tested by what it does on the CPU.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

// ---- Vectors. Their alignment is the card's: the compiler's checks see a pointer that is off.
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };

inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }

// ---- Numbers. Every operation rounds once: the files are compiled with -ffp-contract=off.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float rsqrtf(float a) { return 1.0f / sqrtf(a); }
inline double rsqrt(double a) { return 1.0 / sqrt(a); }

template <typename T> inline T __ldg(const T *address) { return *address; }
template <typename T, typename U> inline std::common_type_t<T, U> min(T a, U b) { return b < a ? b : a; }
template <typename T, typename U> inline std::common_type_t<T, U> max(T a, U b) { return a < b ? b : a; }

inline unsigned __float_as_uint(float value) { unsigned bits; memcpy(&bits, &value, 4); return bits; }
inline int __float_as_int(float value) { int bits; memcpy(&bits, &value, 4); return bits; }
inline float __uint_as_float(unsigned bits) { float value; memcpy(&value, &bits, 4); return value; }
inline float __int_as_float(int bits) { float value; memcpy(&value, &bits, 4); return value; }

// ---- bfloat16: the upper half of an f32, rounded to nearest, ties to even; NaN as the card writes it.
struct __nv_bfloat16 { unsigned short bits; };
struct alignas(4) __nv_bfloat162 { __nv_bfloat16 x, y; };

inline float __bfloat162float(__nv_bfloat16 value) { return __uint_as_float(static_cast<unsigned>(value.bits) << 16); }
inline __nv_bfloat16 __float2bfloat16(float value) {
  if (value != value) return {0x7fff};
  unsigned bits = __float_as_uint(value);
  return {static_cast<unsigned short>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return __float2bfloat16(value); }
inline float2 __bfloat1622float2(__nv_bfloat162 pair) { return {__bfloat162float(pair.x), __bfloat162float(pair.y)}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__float2bfloat16(x), __float2bfloat16(y)}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return {bits}; }

// ---- Where a thread stands, its block's shared memory and barrier: the emulator's.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace cxr_on_cpu {

void barrier();
void *shared_memory();

struct Argument {
  size_t bytes;
  bool is_pointer;
};

struct Kernel {
  const char *name;
  void (*call)(void **arguments);
  const Argument *arguments;
  size_t n_arguments;
};

void register_kernel(const Kernel &kernel);

// Calls `kernel` with arguments as the driver gets them: an address for each.
template <auto kernel> struct Trampoline;
template <typename... A, void (*kernel)(A...)> struct Trampoline<kernel> {
  static constexpr Argument arguments[sizeof...(A) + 1] = {{sizeof(A), std::is_pointer_v<A>}..., {0, false}};
  template <size_t... I> static void unpack([[maybe_unused]] void **addresses, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<A> *>(addresses[I])...);
  }
  static void call(void **addresses) { unpack(addresses, std::index_sequence_for<A...>{}); }
  explicit Trampoline(const char *name) { register_kernel({name, call, arguments, sizeof...(A)}); }
};

}  // namespace cxr_on_cpu

#define __syncthreads() cxr_on_cpu::barrier()
#define CXR_SHARED(type, name) type *name = static_cast<type *>(cxr_on_cpu::shared_memory())
#define CXR_KERNEL(name) static const cxr_on_cpu::Trampoline<name> cxr_registration_of_##name(#name);
