//! Tensors and gradients for tests.

use candle_core::backprop::GradStore;
use candle_core::{Device, Shape, Tensor, Var};

pub(crate) fn tensor(numbers: &[f32], shape: impl Into<Shape>) -> Tensor {
    Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap()
}

pub(crate) fn var(numbers: &[f32], shape: impl Into<Shape>) -> Var {
    Var::from_tensor(&tensor(numbers, shape)).unwrap()
}

pub(crate) fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradients of Σ weights · output.
pub(crate) fn backward(output: &Tensor, weights: &[f32]) -> GradStore {
    let weighed = (output * tensor(weights, output.shape())).unwrap();
    weighed.sum_all().unwrap().backward().unwrap()
}

pub(crate) fn gradient(gradients: &GradStore, of: &Var) -> Vec<f32> {
    numbers(gradients.get(of).expect("a gradient"))
}
