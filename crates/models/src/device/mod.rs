//! Networks on a device: [`DeviceTrainer`] makes training steps, [`DevicePredictor`] gives logits.
//!
//! For training and evaluation on a card, over any [`Device`]. Layers are run one by one in an order
//! fixed by hand, with every buffer allocated beforehand, so that a device can record a step once
//! and replay it. Gradients, weights and moments come back under PyTorch's names and in its
//! layouts: checkpoints are the same files whatever trained them. Deliberately not here: the
//! arithmetic (`cxr_ops::device`), where images come from, how fast to learn.

mod backward;
mod buffers;
mod layout;
mod memory;
mod optimizer;
mod order;
mod parameters;
mod pass;
mod plan;
mod planner;
mod predictor;
mod recordings;
mod resnet;
mod state;
mod trainer;
mod xray_cnn;

pub use memory::{device_memory, largest_batch_within};
pub use predictor::DevicePredictor;
pub use trainer::{DeviceTrainer, StepOutcome};

use cxr_ops::device::{Device, PictureGather, Pixels};

use crate::fault::ModelFault;
use crate::network::Network;
use plan::Plan;

/// A batch of images on its way to a device.
#[derive(Debug)]
pub enum DeviceImages<'a, D: Device> {
    /// Finished images.
    Planes {
        /// How many.
        images: usize,
        /// [B, 3, H, W].
        data: &'a [f32],
    },
    /// Pictures that the device gathers from bytes.
    Pictures {
        /// How many.
        images: usize,
        /// Channels of a picture, 1 or 3.
        picture_channels: usize,
        /// Where the bytes lie.
        pixels: Pixels<'a, D>,
        /// How each picture is gathered, one an image.
        gathers: &'a [PictureGather],
        /// What the gathers refer to; at most H·W numbers an image.
        tables: &'a [i32],
        /// Mean and deviation of each colour.
        norms: [(f32, f32); 3],
    },
}

impl<D: Device> DeviceImages<'_, D> {
    fn len(&self) -> usize {
        match self {
            Self::Planes { images, .. } | Self::Pictures { images, .. } => *images,
        }
    }

    /// Refuses a batch that does not fit the plan's images or its largest batch.
    fn check(&self, plan: &Plan, largest_batch: usize) -> Result<(), ModelFault> {
        let images = self.len();
        if !(1..=largest_batch).contains(&images) {
            return Err(ModelFault::Input {
                expected: format!("1 to {largest_batch} images"),
                found: images.to_string(),
            });
        }
        let (what, found, allowed) = match self {
            Self::Planes { data, .. } => {
                let len = images * plan.image_len();
                ("numbers", data.len(), len..=len)
            }
            Self::Pictures {
                gathers, tables, ..
            } if gathers.len() == images => (
                "numbers of tables",
                tables.len(),
                0..=images * plan.places(),
            ),
            Self::Pictures { gathers, .. } => ("gathers", gathers.len(), images..=images),
        };
        if allowed.contains(&found) {
            return Ok(());
        }
        Err(ModelFault::Input {
            expected: format!("{images} images with {} {what}", allowed.end()),
            found: found.to_string(),
        })
    }
}

/// What is known about a batch, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// [B, K], in [0, 1] where known.
    pub targets: &'a [f32],
    /// [B, K], 1 where the label is known, else 0.
    pub mask: &'a [f32],
}

impl Labels<'_> {
    fn check(&self, images: usize, findings: usize) -> Result<(), ModelFault> {
        let found = [self.targets.len(), self.mask.len()];
        if found == [images * findings; 2] {
            return Ok(());
        }
        Err(ModelFault::Input {
            expected: format!("targets and mask of [{images}, {findings}]"),
            found: format!("{} and {} numbers", found[0], found[1]),
        })
    }
}

/// Refuses a network of another architecture, size or number of findings than the plan's.
fn check_network(plan: &Plan, network: &Network) -> Result<(), ModelFault> {
    let (ours, other) = (&plan.config, network.config());
    if ours == other {
        return Ok(());
    }
    Err(ModelFault::Input {
        expected: format!("the network that the buffers were made for, {ours:?}"),
        found: format!("{other:?}"),
    })
}
