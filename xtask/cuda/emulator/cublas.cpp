// cuBLAS's general matrix product, column by column, summed in f32.
//
// Stricter than the library in one thing: a product in a stream that is being captured needs a
// workspace that the caller has set, since the library's own would become part of the graph.

#include "emulator.hpp"
#include "numbers.hpp"

namespace emulator {
namespace {

enum Status : int { OK = 0, NOT_READY_YET = 1, BAD_VALUE = 7, EXECUTION_FAILED = 13, STATUS_NOT_SUPPORTED = 15 };

constexpr int R_32F = 0, R_16BF = 14;
constexpr int COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69, COMPUTE_32F_FAST_TF32 = 77;
constexpr int TF32_MATH = 3;

struct Handle {
  Stream *stream;
  bool has_workspace = false;
  int math = 0;
};

struct Matrix {
  const void *data;
  int type, leading, is_transposed;
  long long stride;
};

struct Product {
  size_t rows, columns, inner, batches;
  Matrix a, b, c;
  void *target;
  float alpha, beta;
  bool as_tf32;
};

Type type_of(const Matrix &matrix) { return matrix.type == R_32F ? Type::F32 : Type::Bf16; }

// Numbers from a matrix' first to its last, stored as `stored_rows` × `stored_columns`.
size_t extent(const Matrix &matrix, size_t stored_rows, size_t stored_columns, size_t batches) {
  return (batches - 1) * size_t(matrix.stride) + (stored_columns - 1) * size_t(matrix.leading) + stored_rows;
}

bool reaches(const void *address, const Matrix &matrix, size_t count, const char *what) {
  const size_t bytes = count * bytes_of(type_of(matrix));
  if (is_reachable(reinterpret_cast<Address>(address), bytes)) return true;
  complain("cuBLAS: %s of %zu bytes leaves the memory that is allocated", what, bytes);
  describe(reinterpret_cast<Address>(address));
  return false;
}

void multiply(const Product &p, const std::vector<float> &a, const std::vector<float> &b, size_t batch) {
  const size_t a_start = batch * size_t(p.a.stride), b_start = batch * size_t(p.b.stride);
  for (size_t j = 0; j < p.columns; j++)
    for (size_t i = 0; i < p.rows; i++) {
      float sum = 0.0f;
      for (size_t l = 0; l < p.inner; l++) {
        const size_t at_a = p.a.is_transposed ? i * size_t(p.a.leading) + l : l * size_t(p.a.leading) + i;
        const size_t at_b = p.b.is_transposed ? l * size_t(p.b.leading) + j : j * size_t(p.b.leading) + l;
        sum += a[a_start + at_a] * b[b_start + at_b];
      }
      const size_t at = batch * size_t(p.c.stride) + j * size_t(p.c.leading) + i;
      float value = p.alpha * sum;
      if (p.beta != 0.0f) value += p.beta * read(p.target, type_of(p.c), at);
      write(p.target, type_of(p.c), at, value);
    }
}

Code run(const Product &p) {
  const size_t a_count = p.a.is_transposed ? extent(p.a, p.inner, p.rows, p.batches) : extent(p.a, p.rows, p.inner, p.batches);
  const size_t b_count = p.b.is_transposed ? extent(p.b, p.columns, p.inner, p.batches) : extent(p.b, p.inner, p.columns, p.batches);
  if (!reaches(p.a.data, p.a, a_count, "A") || !reaches(p.b.data, p.b, b_count, "B") ||
      !reaches(p.target, p.c, extent(p.c, p.rows, p.columns, p.batches), "C"))
    return ILLEGAL_ADDRESS;
  const auto a = read_all(p.a.data, type_of(p.a), a_count, p.as_tf32);
  const auto b = read_all(p.b.data, type_of(p.b), b_count, p.as_tf32);
  for (size_t batch = 0; batch < p.batches; batch++) multiply(p, a, b, batch);
  return SUCCESS;
}

bool types_fit(const Matrix &a, const Matrix &b, const Matrix &c) {
  if (a.type != b.type) return false;
  if (a.type == R_32F) return c.type == R_32F;
  return a.type == R_16BF && (c.type == R_16BF || c.type == R_32F);
}

int product(Handle *handle, int rows, int columns, int inner, const float *alpha, const float *beta, Matrix a, Matrix b,
            Matrix c, void *target, int batches, int compute) {
  if (!handle) return NOT_READY_YET;
  if (rows < 0 || columns < 0 || inner < 0 || batches < 0 || !alpha || !beta) return BAD_VALUE;
  if (rows == 0 || columns == 0 || batches == 0) return OK;
  if (a.is_transposed > 1 || b.is_transposed > 1 || !types_fit(a, b, c)) return STATUS_NOT_SUPPORTED;
  if (compute != COMPUTE_32F && compute != COMPUTE_32F_PEDANTIC && compute != COMPUTE_32F_FAST_TF32)
    return STATUS_NOT_SUPPORTED;
  if (a.leading < std::max(1, a.is_transposed ? inner : rows) || b.leading < std::max(1, b.is_transposed ? columns : inner) ||
      c.leading < rows) {
    complain("cuBLAS: a leading dimension is shorter than its matrix (%d, %d, %d for %d×%d×%d)", a.leading, b.leading,
             c.leading, rows, columns, inner);
    return BAD_VALUE;
  }
  if (inner == 0) return STATUS_NOT_SUPPORTED;
  if (is_capturing(handle->stream) && !handle->has_workspace) {
    complain("cuBLAS: a product is captured without a workspace that was set");
    return EXECUTION_FAILED;
  }
  const bool as_tf32 = compute == COMPUTE_32F_FAST_TF32 || (compute == COMPUTE_32F && (handle->math & 15) == TF32_MATH);
  Product p{size_t(rows), size_t(columns), size_t(inner), size_t(batches), a, b, c, target, *alpha, *beta, as_tf32};
  return enqueue(handle->stream, [p] { return run(p); }) == SUCCESS ? OK : EXECUTION_FAILED;
}

}  // namespace

EXPORTED int cublasCreate_v2(Handle **handle) {
  Turn turn(everything());
  *handle = new Handle{stream_of(nullptr)};
  return OK;
}

EXPORTED int cublasDestroy_v2(Handle *handle) {
  delete handle;
  return OK;
}

// Also takes back the workspace that was set, as the library does.
EXPORTED int cublasSetStream_v2(Handle *handle, void *stream) {
  Turn turn(everything());
  handle->stream = stream_of(stream);
  handle->has_workspace = false;
  return handle->stream ? OK : BAD_VALUE;
}

EXPORTED int cublasSetWorkspace_v2(Handle *handle, void *workspace, size_t bytes) {
  Turn turn(everything());
  if (reinterpret_cast<Address>(workspace) % 256 != 0) return BAD_VALUE;
  if (bytes > 0 && !is_reachable(reinterpret_cast<Address>(workspace), bytes)) return BAD_VALUE;
  handle->has_workspace = true;
  return OK;
}

EXPORTED int cublasSetMathMode(Handle *handle, int mode) {
  handle->math = mode;
  return OK;
}

EXPORTED int cublasGetPointerMode_v2(Handle *, int *mode) {
  *mode = 0;
  return OK;
}

EXPORTED int cublasSetPointerMode_v2(Handle *, int mode) { return mode == 0 ? OK : STATUS_NOT_SUPPORTED; }

EXPORTED int cublasGetVersion_v2(Handle *, int *version) {
  *version = 130000;
  return OK;
}

EXPORTED const char *cublasGetStatusString(int status) {
  switch (status) {
    case OK: return "CUBLAS_STATUS_SUCCESS";
    case BAD_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS of another kind";
  }
}

EXPORTED int cublasGemmStridedBatchedEx(Handle *handle, int a_op, int b_op, int rows, int columns, int inner,
                                        const void *alpha, const void *a, int a_type, int a_leading, long long a_stride,
                                        const void *b, int b_type, int b_leading, long long b_stride, const void *beta,
                                        void *c, int c_type, int c_leading, long long c_stride, int batches, int compute,
                                        int) {
  Turn turn(everything());
  return product(handle, rows, columns, inner, static_cast<const float *>(alpha), static_cast<const float *>(beta),
                 {a, a_type, a_leading, a_op, a_stride}, {b, b_type, b_leading, b_op, b_stride},
                 {c, c_type, c_leading, 0, c_stride}, c, batches, compute);
}

EXPORTED int cublasGemmEx(Handle *handle, int a_op, int b_op, int rows, int columns, int inner, const void *alpha,
                          const void *a, int a_type, int a_leading, const void *b, int b_type, int b_leading,
                          const void *beta, void *c, int c_type, int c_leading, int compute, int algorithm) {
  return cublasGemmStridedBatchedEx(handle, a_op, b_op, rows, columns, inner, alpha, a, a_type, a_leading, 0, b, b_type,
                                    b_leading, 0, beta, c, c_type, c_leading, 0, 1, compute, algorithm);
}

EXPORTED int cublasSgemm_v2(Handle *handle, int a_op, int b_op, int rows, int columns, int inner, const float *alpha,
                            const float *a, int a_leading, const float *b, int b_leading, const float *beta, float *c,
                            int c_leading) {
  return cublasGemmEx(handle, a_op, b_op, rows, columns, inner, alpha, a, R_32F, a_leading, b, R_32F, b_leading, beta, c,
                      R_32F, c_leading, COMPUTE_32F, -1);
}

}  // namespace emulator
