//! Initial weights with PyTorch's and torchvision's distributions, from the project's own streams.
//!
//! For `weights`. A tensor's numbers depend on (seed, its index among the parameters, its spec) and
//! on nothing else. Not here: PyTorch's own generator; the distributions are equal, the draws not.

use candle_core::{DType, Device, Tensor};
use cxr_stream::{Purpose, Stream};
use rayon::prelude::*;

use crate::weights::TensorSpec;

/// Numbers drawn from one stream, so that a large tensor is drawn in parallel.
const CHUNK: usize = 1 << 16;

/// How a tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Initial {
    /// U(±1/√fan_in): `torch.nn.Conv2d` and `torch.nn.Linear`, weight and bias alike
    /// (`kaiming_uniform_` with a = √5).
    Uniform { fan_in: usize },
    /// N(0, 2/fan_out): torchvision's ResNet convolutions (`kaiming_normal_`, fan-out, ReLU).
    NormalFanOut { fan_out: usize },
    /// The same number everywhere.
    Constant(f32),
    /// A count of zero.
    Count,
}

/// The tensor that `spec` starts as.
pub(crate) fn draw(spec: &TensorSpec, seed: u64, index: u64) -> candle_core::Result<Tensor> {
    let shape = spec.shape.as_slice();
    match spec.initial {
        Initial::Constant(value) => Tensor::full(value, shape, &Device::Cpu),
        Initial::Count => Tensor::zeros(shape, DType::I64, &Device::Cpu),
        Initial::Uniform { fan_in } => {
            let bound = 1.0 / (fan_in as f32).sqrt();
            fill(spec, seed, index, |stream| {
                (2.0 * stream.uniform_f32() - 1.0) * bound
            })
        }
        Initial::NormalFanOut { fan_out } => {
            let deviation = (2.0 / fan_out as f64).sqrt();
            fill(spec, seed, index, |stream| {
                (stream.normal() * deviation) as f32
            })
        }
    }
}

fn fill(
    spec: &TensorSpec,
    seed: u64,
    index: u64,
    number: impl Fn(&mut Stream) -> f32 + Sync,
) -> candle_core::Result<Tensor> {
    let mut numbers = vec![0f32; spec.n_elements()];
    numbers
        .par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk_index, chunk)| {
            let mut stream = Stream::new(seed, Purpose::Init, chunk_index as u64, index);
            chunk.fill_with(|| number(&mut stream));
        });
    Tensor::from_vec(numbers, spec.shape.as_slice(), &Device::Cpu)
}
