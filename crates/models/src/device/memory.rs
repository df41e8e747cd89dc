//! How much memory of a device a trainer takes, and the batch that a memory has room for.
//!
//! For whoever chooses a batch before anything is allocated, and for the fault that names one that
//! fits. What the device's own libraries take beside it is not here.

use cxr_ops::device::{AdamFactors, DeviceFault, PictureGather, Precision};

use super::backward::{factors_len, feature_gradient_len};
use super::buffers::{SAVED, tables_len};
use super::plan::{Plan, Purpose};
use super::state::OUTCOME;
use crate::architecture::ModelConfig;
use crate::fault::ModelFault;

/// Bytes that `DeviceTrainer::new` allocates for batches of up to `batch` images.
///
/// # Errors
/// As [`ModelConfig::check`].
pub fn device_memory(
    config: &ModelConfig,
    precision: Precision,
    batch: usize,
) -> Result<u64, ModelFault> {
    let memory = Memory::of_training(&training_plan(config, precision)?);
    Ok(memory.of(batch))
}

/// The largest batch whose trainer takes no more than `bytes`; `None` where one image is too many.
///
/// # Errors
/// As [`ModelConfig::check`].
pub fn largest_batch_within(
    config: &ModelConfig,
    precision: Precision,
    bytes: u64,
) -> Result<Option<usize>, ModelFault> {
    let memory = Memory::of_training(&training_plan(config, precision)?);
    Ok(memory.largest_batch(bytes))
}

fn training_plan(config: &ModelConfig, precision: Precision) -> Result<Plan, ModelFault> {
    Plan::new(config, precision, Purpose::Training, |_| true)
}

/// Bytes that are taken whatever the batch, and bytes for each of its images.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    fixed: u64,
    per_image: u64,
}

/// Counts of numbers in the maps' type, of f32, and of bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    maps: usize,
    floats: usize,
    bytes: usize,
}

impl Numbers {
    fn bytes(self, precision: Precision) -> u64 {
        let bytes = self.maps * precision.bytes() + self.floats * size_of::<f32>() + self.bytes;
        bytes as u64
    }
}

impl Memory {
    /// That of a predictor: parameters and a forward pass.
    pub(crate) fn of_prediction(plan: &Plan) -> Self {
        let (fixed, per_image) = prediction(plan);
        Self {
            fixed: fixed.bytes(plan.precision),
            per_image: per_image.bytes(plan.precision),
        }
    }

    /// That of a trainer: gradients, Adam's arenas, labels and a backward pass as well.
    pub(crate) fn of_training(plan: &Plan) -> Self {
        let (mut fixed, mut per_image) = prediction(plan);
        let (weights, vectors) = (plan.layout.weights.len, plan.layout.vectors.len);
        let findings = plan.last.outputs;
        fixed.maps += weights;
        fixed.floats += vectors + 3 * weights + 2 * vectors + AdamFactors::LEN;
        fixed.floats += factors_len(plan) + findings + OUTCOME;
        per_image.maps += findings;
        // Dropout, the way back through it, the logits' gradient, targets and mask.
        per_image.floats += plan.last.inputs + feature_gradient_len(plan) + 3 * findings;
        Self {
            fixed: fixed.bytes(plan.precision),
            per_image: per_image.bytes(plan.precision),
        }
    }

    pub(crate) fn of(self, batch: usize) -> u64 {
        let images = self.per_image.saturating_mul(batch as u64);
        self.fixed.saturating_add(images)
    }

    pub(crate) fn largest_batch(self, bytes: u64) -> Option<usize> {
        let images = bytes.checked_sub(self.fixed)? / self.per_image;
        usize::try_from(images).ok().filter(|&images| images > 0)
    }

    /// The fault of a device that was full, where `free` bytes were free at first.
    pub(crate) fn fault(self, batch: usize, free: Option<u64>, fault: DeviceFault) -> ModelFault {
        let DeviceFault::OutOfMemory { free: left, .. } = fault else {
            return fault.into();
        };
        let free = free.unwrap_or(left);
        ModelFault::DeviceMemory {
            batch,
            needed: self.of(batch),
            free,
            fits: self.largest_batch(roomy(free)),
        }
    }
}

/// What buffers can have of `free` bytes: memory comes in pages, and libraries want some for
/// themselves.
fn roomy(free: u64) -> u64 {
    free - free / 16
}

fn prediction(plan: &Plan) -> (Numbers, Numbers) {
    let (layout, last) = (&plan.layout, &plan.last);
    let saved: usize = plan
        .norms
        .iter()
        .map(|norm| SAVED * norm.size.channels)
        .sum();
    let fixed = Numbers {
        maps: layout.weights.len,
        floats: layout.vectors.len + layout.running.len + saved + last.inputs,
        bytes: 0,
    };
    let per_image = Numbers {
        maps: plan.maps.iter().sum::<usize>() + last.inputs,
        floats: last.inputs + last.outputs + plan.image_len(),
        bytes: plan.picked.iter().sum::<usize>() + PictureGather::BYTES + tables_len(plan),
    };
    (fixed, per_image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;

    #[test]
    fn the_batch_that_fits_fits_and_the_next_one_does_not() {
        for architecture in Architecture::ALL {
            let config = ModelConfig::new(architecture, 14, 320, 320);
            for precision in Precision::ALL {
                let bytes = 80 << 30;
                let batch = largest_batch_within(&config, precision, bytes);
                let batch = batch.unwrap().unwrap();
                let needed = |batch| device_memory(&config, precision, batch).unwrap();
                assert!(needed(batch) <= bytes && needed(batch + 1) > bytes);
            }
            let none = largest_batch_within(&config, Precision::Bf16, 1 << 20).unwrap();
            assert_eq!(none, None);
        }
    }

    #[test]
    fn a_full_device_names_the_batch_that_would_have_fitted() {
        let config = ModelConfig::new(Architecture::ResNet18, 14, 64, 64);
        let memory = Memory::of_training(&training_plan(&config, Precision::F32).unwrap());
        let full = DeviceFault::OutOfMemory {
            asked: 1,
            free: 5,
            total: 100,
        };
        let fault = memory.fault(9, Some(memory.of(4) + memory.of(4) / 15 + 1), full);
        assert_eq!(fault.code(), "M009");
        assert_eq!(fault.value().unwrap(), "9");
        assert!(fault.help().unwrap().contains("at most 4 images"));
        assert!(fault.to_string().contains(&memory.of(9).to_string()));
    }
}
