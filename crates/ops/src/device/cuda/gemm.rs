//! Linear layers: products of matrices by cuBLAS.
//!
//! cuBLAS counts columns first: a matrix [rows, columns] of ours is its transpose of columns ×
//! rows, with a step of `columns`. So every product is made the other way round.

use std::ffi::c_void;
use std::fmt;

use cudarc::cublas::sys::{
    self, cublasComputeType_t, cublasGemmAlgo_t, cublasHandle_t, cublasMath_t, cublasOperation_t,
    cudaDataType,
};

use super::fault::check_cublas;
use super::grid::int;
use super::memory::Slab;
use super::norm::at;
use super::stream::Streams;
use super::{Floats, Inner, Map, locked};
use crate::device::checks::Call;
use crate::device::{Precision, Result};
use crate::kernels::linear::LinearShape;

/// What cuBLAS asks for on Hopper; without it, it would allocate while work is recorded.
const WORKSPACE: usize = 32 << 20;

static ONE: f32 = 1.0;
static ZERO: f32 = 0.0;

/// cuBLAS on one stream, with its working memory.
pub(super) struct Products {
    handle: cublasHandle_t,
    /// Only held, for the handle.
    workspace: Slab,
}

// SAFETY: the library takes calls from any thread, one after the other, which a lock sees to.
unsafe impl Send for Products {}

impl fmt::Debug for Products {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cuBLAS with {:?}", self.workspace)
    }
}

/// A matrix as cuBLAS sees it.
#[derive(Clone, Copy)]
struct Operand {
    address: u64,
    numbers: cudaDataType,
    /// Whether it is taken as it lies, columns first, or turned.
    operation: cublasOperation_t,
    /// Numbers from one column to the next.
    step: i32,
}

/// result [m, n] = left [m, k] · right [k, n], columns first.
#[derive(Clone, Copy)]
struct Product {
    m: i32,
    n: i32,
    k: i32,
    left: Operand,
    right: Operand,
    result: Operand,
}

impl Products {
    pub(super) fn new(streams: &Streams, precision: Precision) -> Result<Self> {
        streams.bind("Cuda::new")?;
        let workspace = Slab::new(streams, "Cuda::new", WORKSPACE)?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the library writes a handle.
        let status = unsafe { sys::cublasCreate_v2(&raw mut handle) };
        check_cublas("cublasCreate", WORKSPACE, status)?;
        let products = Self { handle, workspace };
        let stream = streams.work.cu_stream().cast();
        // SAFETY: a handle and a stream that live.
        let status = unsafe { sys::cublasSetStream_v2(handle, stream) };
        check_cublas("cublasSetStream", 0, status)?;
        // Behind the stream, which takes the library back to its own workspace.
        let workspace = products.workspace.address() as *mut c_void;
        // SAFETY: memory of that size, which lives as long as the handle.
        let status = unsafe { sys::cublasSetWorkspace_v2(handle, workspace, WORKSPACE) };
        check_cublas("cublasSetWorkspace", 0, status)?;
        // SAFETY: a handle that lives.
        let status = unsafe { sys::cublasSetMathMode(handle, math_of(precision)) };
        check_cublas("cublasSetMathMode", 0, status)?;
        Ok(products)
    }

    fn multiply(
        &self,
        call: &'static str,
        compute: cublasComputeType_t,
        product: Product,
    ) -> Result<()> {
        let Product {
            m,
            n,
            k,
            left,
            right,
            result,
        } = product;
        // SAFETY: the callers have held matrices against buffers; both factors are on the host.
        let status = unsafe {
            sys::cublasGemmEx(
                self.handle,
                left.operation,
                right.operation,
                m,
                n,
                k,
                (&raw const ONE).cast(),
                left.address as *const c_void,
                left.numbers,
                left.step,
                right.address as *const c_void,
                right.numbers,
                right.step,
                (&raw const ZERO).cast(),
                result.address as *mut c_void,
                result.numbers,
                result.step,
                compute,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        check_cublas(call, WORKSPACE, status)
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: the handle was created once and is destroyed once. Nobody is left to hear a fault.
        let _ = unsafe { sys::cublasDestroy_v2(self.handle) };
    }
}

impl Inner {
    pub(super) fn linear_forward(
        &self,
        shape: &LinearShape,
        input: &Map,
        (weights, weight_start): (&Map, usize),
        (vectors, bias_start): (&Floats, usize),
        output: &mut Floats,
    ) -> Result<()> {
        let call = Call("linear_forward");
        call.linear(shape)?;
        call.holds("the input", input.len(), shape.rows * shape.inputs)?;
        call.linear_weight(shape, weights.len(), weight_start)?;
        call.linear_bias(shape, vectors.len(), bias_start)?;
        call.holds("the output", output.len(), shape.rows * shape.outputs)?;
        let [rows, inputs, outputs] = sizes(call, shape)?;
        let weight = self.map_at(call, weights, weight_start)?;
        self.product(
            call,
            Product {
                m: outputs,
                n: rows,
                k: inputs,
                left: turned(self.matrix(weight, inputs)),
                right: self.matrix(input.address(), inputs),
                result: floats(output, outputs),
            },
        )?;
        self.add_bias(call, shape, vectors, bias_start, output)
    }

    pub(super) fn linear_weight_gradient(
        &self,
        shape: &LinearShape,
        input: &Map,
        output_gradient: &Map,
        weight_gradients: &mut Map,
        weight_start: usize,
    ) -> Result<()> {
        let call = Call("linear_weight_gradient");
        call.linear(shape)?;
        call.holds("the input", input.len(), shape.rows * shape.inputs)?;
        call.linear_gradient(shape, output_gradient.len())?;
        call.linear_weight(shape, weight_gradients.len(), weight_start)?;
        let [rows, inputs, outputs] = sizes(call, shape)?;
        let weight = self.map_at(call, weight_gradients, weight_start)?;
        self.product(
            call,
            Product {
                m: inputs,
                n: outputs,
                k: rows,
                left: self.matrix(input.address(), inputs),
                right: turned(self.matrix(output_gradient.address(), outputs)),
                result: self.matrix(weight, inputs),
            },
        )
    }

    pub(super) fn linear_input_gradient(
        &self,
        shape: &LinearShape,
        (weights, weight_start): (&Map, usize),
        output_gradient: &Map,
        input_gradient: &mut Floats,
    ) -> Result<()> {
        let call = Call("linear_input_gradient");
        call.linear(shape)?;
        call.linear_weight(shape, weights.len(), weight_start)?;
        call.linear_gradient(shape, output_gradient.len())?;
        let needed = shape.rows * shape.inputs;
        call.holds("the input's gradient", input_gradient.len(), needed)?;
        let [rows, inputs, outputs] = sizes(call, shape)?;
        let weight = self.map_at(call, weights, weight_start)?;
        self.product(
            call,
            Product {
                m: inputs,
                n: rows,
                k: outputs,
                left: self.matrix(weight, inputs),
                right: self.matrix(output_gradient.address(), outputs),
                result: floats(input_gradient, inputs),
            },
        )
    }

    fn product(&self, call: Call, product: Product) -> Result<()> {
        self.streams.bind(call.0)?;
        let compute = compute_of(self.precision);
        locked(&self.products).multiply(call.0, compute, product)?;
        self.streams.after(call.0)
    }

    /// A matrix of a map with `columns` numbers in a row.
    fn matrix(&self, address: u64, columns: i32) -> Operand {
        Operand {
            address,
            numbers: match self.precision {
                Precision::F32 | Precision::Tf32 => cudaDataType::CUDA_R_32F,
                Precision::Bf16 => cudaDataType::CUDA_R_16BF,
            },
            operation: cublasOperation_t::CUBLAS_OP_N,
            step: columns,
        }
    }
}

fn floats(matrix: &Floats, columns: i32) -> Operand {
    Operand {
        address: at(matrix, 0),
        numbers: cudaDataType::CUDA_R_32F,
        operation: cublasOperation_t::CUBLAS_OP_N,
        step: columns,
    }
}

fn turned(operand: Operand) -> Operand {
    Operand {
        operation: cublasOperation_t::CUBLAS_OP_T,
        ..operand
    }
}

fn sizes(call: Call, shape: &LinearShape) -> Result<[i32; 3]> {
    Ok([
        int(call.0, "rows", shape.rows)?,
        int(call.0, "inputs", shape.inputs)?,
        int(call.0, "outputs", shape.outputs)?,
    ])
}

fn compute_of(precision: Precision) -> cublasComputeType_t {
    match precision {
        Precision::F32 | Precision::Bf16 => cublasComputeType_t::CUBLAS_COMPUTE_32F,
        Precision::Tf32 => cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
    }
}

fn math_of(precision: Precision) -> cublasMath_t {
    match precision {
        Precision::F32 => cublasMath_t::CUBLAS_DEFAULT_MATH,
        Precision::Tf32 => cublasMath_t::CUBLAS_TF32_TENSOR_OP_MATH,
        // Sums that are made in parts stay f32.
        Precision::Bf16 => cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION,
    }
}
