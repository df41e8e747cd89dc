//! The gradients of a step, by the names of the parameters.

use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use crate::fault::{AtLayer, ModelFault};
use crate::network::Network;
use crate::numbers::{Numbers, with_numbers};

/// One number for each number of each trainable parameter, in PyTorch's layouts. The memory is kept
/// from step to step.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    by_name: BTreeMap<String, Vec<f32>>,
}

impl Gradients {
    /// The gradient of a parameter, row-major in its shape.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[f32])> {
        let pairs = self.by_name.iter();
        pairs.map(|(name, gradient)| (name.as_str(), gradient.as_slice()))
    }

    /// Where a parameter's gradient is to be written, every number of it.
    pub(crate) fn slot(&mut self, name: &str, len: usize) -> &mut [f32] {
        let slot = self.by_name.entry(name.to_owned()).or_default();
        slot.resize(len, 0.0);
        slot
    }

    pub(crate) fn set(&mut self, name: &str, gradient: Vec<f32>) {
        self.by_name.insert(name.to_owned(), gradient);
    }

    /// A copy of what candle's graph gave for the network's trainable parameters. A parameter that
    /// the loss does not depend on has none.
    ///
    /// # Errors
    /// A gradient that is no f32 on the CPU.
    pub fn of_graph(network: &Network, store: &GradStore) -> Result<Self, ModelFault> {
        let mut gradients = Self::default();
        for (name, var) in network.parameters() {
            if let Some(gradient) = store.get(&var) {
                gradients.set(&name, numbers_of(gradient, &name)?);
            }
        }
        Ok(gradients)
    }
}

fn numbers_of(tensor: &Tensor, name: &str) -> Result<Vec<f32>, ModelFault> {
    let copied = with_numbers(tensor, |numbers| match numbers {
        Numbers::F32(numbers) => Ok(numbers.to_vec()),
        Numbers::I64(_) => Err(candle_core::Error::UnsupportedDTypeForOp(
            tensor.dtype(),
            "a gradient",
        )),
    });
    copied.and_then(std::convert::identity).at(name)
}
