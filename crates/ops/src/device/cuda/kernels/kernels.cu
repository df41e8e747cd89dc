// Every kernel of the CUDA device, in one translation unit, for `device/cuda` on the Rust side.
//
// Maps are rows of channels, f32 or bf16, read 16 bytes at a time. Sums are made in a fixed order:
// f32 in a thread, f64 over the threads of a block and over blocks, no atomics; so the same numbers
// give the same bits. Compiled without fast mathematics. A kernel takes plain arguments and is
// `extern "C"`, found by its name. Deliberately not here: products of matrices and convolutions,
// which are cuBLAS's and cuDNN's.
#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define CXR_KERNEL(name)
#define CXR_SHARED(type, name) extern __shared__ type name[]
#else
#include "on_cpu.h"
#endif

#include "vectors.cuh"
#include "columns.cuh"
#include "norm.cuh"
#include "pool.cuh"
#include "head.cuh"
#include "optimizer.cuh"
#include "input.cuh"
#include "turn.cuh"
#include "planes.cuh"
#include "elements.cuh"
