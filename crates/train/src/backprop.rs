//! Logits and gradients of a batch: by the layer-wise step where the network allows it, else by
//! candle's graph.

use candle_core::{Tensor, Var};
use cxr_models::{Gradients, Mode, Network, Step};
use cxr_ops::bce_with_logits;
use cxr_ops::nhwc::Isa;

use crate::images::Images;
use crate::loader::Batch;
use crate::train_error::TrainError;

/// Which way a network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Layer by layer, with this instruction set ([`Step`]).
    Step(Isa),
    /// By custom operations in candle's graph: any network, frozen layers too.
    Graph,
}

/// Forward and backward passes of one network, with their memory.
#[derive(Debug)]
pub struct Backprop {
    way: Way,
}

#[derive(Debug)]
enum Way {
    Step(Box<Step>),
    Graph {
        logits: Option<Tensor>,
        gradients: Gradients,
    },
}

impl Backprop {
    /// The way that is asked for; the graph where the step does not serve the network (frozen
    /// layers).
    #[must_use]
    pub fn new(network: &Network, front: Front) -> Self {
        let step = match front {
            Front::Step(isa) => Step::new(network, isa),
            Front::Graph => None,
        };
        let way = match step {
            Some(step) => Way::Step(Box::new(step)),
            None => Way::Graph {
                logits: None,
                gradients: Gradients::default(),
            },
        };
        Self { way }
    }

    /// Images [B, 3, H, W] → logits `[B, K]`, row-major; running statistics move.
    ///
    /// # Errors
    /// The network refuses the images.
    pub fn forward(
        &mut self,
        network: &Network,
        images: &Images<'_>,
        (seed, step): (u64, u64),
    ) -> Result<Vec<f32>, TrainError> {
        match &mut self.way {
            Way::Step(layers) => {
                Ok(layers.forward_planes(network, &images.planes(), (seed, step))?)
            }
            Way::Graph { logits, .. } => {
                let output = network.forward(&images.tensor()?, Mode::Train { seed, step })?; // [B, K]
                let values = output.detach().flatten_all()?.to_vec1::<f32>()?;
                *logits = Some(output);
                Ok(values)
            }
        }
    }

    /// The gradient of every trainable parameter, from that of the logits of the last forward pass.
    ///
    /// # Errors
    /// The gradient does not fit the last forward pass.
    pub fn backward(
        &mut self,
        network: &Network,
        images: &Images<'_>,
        logit_gradient: &[f32],
    ) -> Result<&Gradients, TrainError> {
        match &mut self.way {
            Way::Step(step) => {
                Ok(step.backward_planes(network, &images.planes(), logit_gradient)?)
            }
            Way::Graph { logits, gradients } => {
                if let Some(logits) = logits.take() {
                    let weights =
                        Tensor::from_slice(logit_gradient, logits.shape(), logits.device())?;
                    // Its gradient by the logits is `logit_gradient`.
                    let weighed = (logits * weights)?.sum_all()?;
                    *gradients = Gradients::of_graph(network, &weighed.backward()?)?;
                }
                Ok(gradients)
            }
        }
    }
}

/// The mean loss over the known labels of a batch, and its gradient by the logits `[B, K]`.
///
/// # Errors
/// No label is known, or a label is no label.
pub fn loss_of_batch(
    logits: &[f32],
    batch: &Batch<'_>,
    pos_weights: &Tensor,
) -> Result<(f64, Vec<f32>), TrainError> {
    let targets = &batch.targets;
    let logits = Tensor::from_slice(logits, targets.shape(), targets.device())?; // [B, K]
    let logits = Var::from_tensor(&logits)?;
    let loss = bce_with_logits(&logits, targets, &batch.mask, pos_weights)?;
    let gradients = loss.backward()?;
    let gradient = match gradients.get(&logits) {
        Some(gradient) => gradient.flatten_all()?.to_vec1::<f32>()?,
        None => vec![0.0; logits.elem_count()],
    };
    Ok((f64::from(loss.to_scalar::<f32>()?), gradient))
}
