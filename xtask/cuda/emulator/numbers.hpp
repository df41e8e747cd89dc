// Numbers of the libraries' types as f32 in host memory and back. For libcudnn and libcublas.
#pragma once

#include <string.h>

#include <vector>

#include "on_cpu.h"

namespace emulator {

enum class Type { F32, Bf16 };

inline size_t bytes_of(Type type) { return type == Type::F32 ? 4 : 2; }

// What tensor cores keep of an f32: 10 bits after the point, to nearest, ties away from zero.
inline float to_tf32(float value) {
  if (value != value || value - value != 0.0f) return value;
  return __uint_as_float((__float_as_uint(value) + 0x1000u) & 0xffffe000u);
}

inline float read(const void *from, Type type, size_t index) {
  if (type == Type::F32) return static_cast<const float *>(from)[index];
  return __bfloat162float(static_cast<const __nv_bfloat16 *>(from)[index]);
}

inline void write(void *to, Type type, size_t index, float value) {
  if (type == Type::F32) {
    static_cast<float *>(to)[index] = value;
  } else {
    static_cast<__nv_bfloat16 *>(to)[index] = __float2bfloat16(value);
  }
}

inline std::vector<float> read_all(const void *from, Type type, size_t count, bool as_tf32) {
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; i++) {
    const float value = read(from, type, i);
    numbers[i] = as_tf32 && type == Type::F32 ? to_tf32(value) : value;
  }
  return numbers;
}

// to = alpha · numbers + beta · to; what stands there is not read where beta is 0.
template <typename T>
inline void blend(void *to, Type type, const std::vector<T> &numbers, float alpha, float beta) {
  for (size_t i = 0; i < numbers.size(); i++) {
    float value = alpha * static_cast<float>(numbers[i]);
    if (beta != 0.0f) value += beta * read(to, type, i);
    write(to, type, i, value);
  }
}

}  // namespace emulator
