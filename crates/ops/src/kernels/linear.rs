//! The product of a batch with a weight [O, I], and its gradients.
//!
//! A bias is added by the caller's forward function here; its gradient is a column sum in f64.

use super::matrix::{Matrix, multiply_in_blocks};

/// The sizes of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinearShape {
    /// Rows of the input.
    pub rows: usize,
    /// Numbers in an input row.
    pub inputs: usize,
    /// Numbers in an output row.
    pub outputs: usize,
}

/// Writes `output` [N, O] = `input` [N, I] · `weight` [O, I]ᵀ (+ `bias` `[O]`).
pub fn forward(
    shape: &LinearShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    let (input, weight) = (
        Matrix::new(input, shape.inputs),
        Matrix::new(weight, shape.inputs),
    );
    let sizes = [shape.rows, shape.inputs, shape.outputs];
    multiply_in_blocks(sizes, input, weight.transposed(), output);
    if let Some(bias) = bias {
        assert_eq!(bias.len(), shape.outputs);
        for row in output.chunks_exact_mut(shape.outputs) {
            row.iter_mut()
                .zip(bias)
                .for_each(|(output, bias)| *output += bias);
        }
    }
}

/// Writes `input_gradient` [N, I] from `output_gradient` [N, O].
pub fn input_gradient(
    shape: &LinearShape,
    weight: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) {
    let gradient = Matrix::new(output_gradient, shape.outputs);
    let weight = Matrix::new(weight, shape.inputs);
    let sizes = [shape.rows, shape.outputs, shape.inputs];
    multiply_in_blocks(sizes, gradient, weight, input_gradient);
}

/// Writes `weight_gradient` [O, I] from `input` [N, I] and `output_gradient` [N, O].
pub fn weight_gradient(
    shape: &LinearShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) {
    let gradient = Matrix::new(output_gradient, shape.outputs);
    let input = Matrix::new(input, shape.inputs);
    let sizes = [shape.outputs, shape.rows, shape.inputs];
    multiply_in_blocks(sizes, gradient.transposed(), input, weight_gradient);
}

/// Writes `bias_gradient` `[O]`: the sum of `output_gradient` [N, O] over rows, in f64.
pub fn bias_gradient(shape: &LinearShape, output_gradient: &[f32], bias_gradient: &mut [f32]) {
    assert_eq!(output_gradient.len(), shape.rows * shape.outputs);
    assert_eq!(bias_gradient.len(), shape.outputs);
    for (output, sum) in bias_gradient.iter_mut().enumerate() {
        let column = output_gradient.iter().skip(output).step_by(shape.outputs);
        *sum = column.map(|&gradient| f64::from(gradient)).sum::<f64>() as f32;
    }
}
