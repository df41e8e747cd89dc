//! Linear layers and dropout in a training step.

use cxr_ops::DropoutKey;
use cxr_ops::kernels::dropout;
use cxr_ops::kernels::linear::{self, LinearShape};

use super::{Chance, Gradients};
use crate::fault::{AtLayer, ModelFault};
use crate::layer::Linear;

/// A linear layer with the input that the backward pass needs.
#[derive(Debug)]
pub(crate) struct LinearStep {
    inputs: usize,
    outputs: usize,
    pub(crate) input: Vec<f32>,
}

impl LinearStep {
    pub(crate) fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            input: Vec::new(),
        }
    }

    fn shape(&self) -> LinearShape {
        LinearShape {
            rows: self.input.len() / self.inputs,
            inputs: self.inputs,
            outputs: self.outputs,
        }
    }

    /// The layer's output for the input that it holds.
    pub(crate) fn forward(&self, layer: &Linear) -> Result<Vec<f32>, ModelFault> {
        let shape = self.shape();
        let mut output = vec![0.0; shape.rows * shape.outputs];
        layer.with_numbers(|weight, bias| {
            linear::forward(&shape, &self.input, weight, Some(bias), &mut output);
        })?;
        Ok(output)
    }

    /// Keeps the layer's gradients and returns that of its input.
    pub(crate) fn backward(
        &self,
        layer: &Linear,
        output_gradient: &[f32],
        gradients: &mut Gradients,
    ) -> Result<Vec<f32>, ModelFault> {
        let shape = self.shape();
        let name = layer.name();
        let of_weight = gradients.slot(&format!("{name}.weight"), shape.inputs * shape.outputs);
        linear::weight_gradient(&shape, &self.input, output_gradient, of_weight);
        let of_bias = gradients.slot(&format!("{name}.bias"), shape.outputs);
        linear::bias_gradient(&shape, output_gradient, of_bias);
        let mut of_input = vec![0.0; shape.rows * shape.inputs];
        layer.with_numbers(|weight, _| {
            linear::input_gradient(&shape, weight, output_gradient, &mut of_input);
        })?;
        Ok(of_input)
    }
}

/// Dropout before the last layer, the same forward and backward.
pub(crate) fn drop_out(
    numbers: &mut Vec<f32>,
    probability: f32,
    chance: Chance,
) -> Result<(), ModelFault> {
    if probability <= 0.0 {
        return Ok(());
    }
    let Chance { seed, step } = chance;
    let key = DropoutKey {
        seed,
        step,
        layer: 0,
    };
    key.check(numbers.len()).at("dropout")?;
    let mut dropped = vec![0.0; numbers.len()];
    dropout::apply(&key, f64::from(probability), numbers, &mut dropped);
    *numbers = dropped;
    Ok(())
}
