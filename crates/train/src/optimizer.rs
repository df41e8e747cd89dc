//! Adam and AdamW over a network's parameters, with moments that can be saved.
//!
//! The arithmetic is `cxr_ops::adam_update` (equal to PyTorch's `Adam` and `AdamW`); here it is
//! bound to names, candle variables and a file form.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use cxr_models::Gradients;
use cxr_ops::device::AdamFactors;
use cxr_ops::{AdamMoments, AdamParameters, WeightDecay, adam_step_with};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::train_error::TrainError;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Weight decay as a part of the gradient (PyTorch's `Adam`).
    Adam,
    /// Weight decay apart from the gradient (PyTorch's `AdamW`).
    Adamw,
}

/// The optimizer of a run: its moments belong to named parameters.
#[derive(Debug)]
pub struct Adam {
    settings: AdamParameters,
    slots: Vec<Slot>,
    n_steps: u64,
}

/// A parameter with its moments.
#[derive(Debug)]
struct Slot {
    name: String,
    parameter: Var,
    moments: AdamMoments,
}

impl Adam {
    /// A fresh optimizer for these parameters; β = (.9, .999), ε = 1e-8.
    #[must_use]
    pub fn new(kind: OptimizerKind, weight_decay: f64, parameters: Vec<(String, Var)>) -> Self {
        let weight_decay = match kind {
            OptimizerKind::Adam => WeightDecay::Coupled(weight_decay),
            OptimizerKind::Adamw => WeightDecay::Decoupled(weight_decay),
        };
        let settings = AdamParameters {
            weight_decay,
            ..AdamParameters::default()
        };
        let slot = |(name, parameter): (String, Var)| {
            let moments = AdamMoments::zeros(parameter.elem_count());
            Slot {
                name,
                parameter,
                moments,
            }
        };
        Self {
            settings,
            slots: parameters.into_iter().map(slot).collect(),
            n_steps: 0,
        }
    }

    /// How many steps were taken.
    #[must_use]
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// The Euclidean length of all gradients together, summed in the order of the parameters.
    ///
    /// # Errors
    /// A gradient is missing.
    pub fn gradient_norm(&self, gradients: &Gradients) -> Result<f64, TrainError> {
        let mut sum = 0.0_f64;
        for slot in &self.slots {
            sum += sum_of_squares(slot.gradient(gradients)?);
        }
        Ok(sum.sqrt())
    }

    /// Moves every parameter once.
    ///
    /// # Errors
    /// A gradient is missing.
    pub fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<(), TrainError> {
        self.n_steps += 1;
        let settings = AdamParameters {
            learning_rate,
            ..self.settings
        };
        for slot in &mut self.slots {
            let gradient = slot.gradient(gradients)?;
            adam_step_with(
                &slot.parameter,
                gradient,
                &mut slot.moments,
                self.n_steps,
                &settings,
            )?;
        }
        Ok(())
    }

    /// What the next step multiplies with, for a device that takes it.
    #[must_use]
    pub fn factors(&self, learning_rate: f64) -> AdamFactors {
        let settings = AdamParameters {
            learning_rate,
            ..self.settings
        };
        AdamFactors::new(self.n_steps + 1, &settings)
    }

    /// Counts a step that a device has taken.
    pub fn count_step(&mut self) {
        self.n_steps += 1;
    }

    /// Mean and mean square of each parameter, row-major in its shape, by its name.
    #[must_use]
    pub fn moments(&self) -> BTreeMap<String, AdamMoments> {
        let of = |slot: &Slot| (slot.name.clone(), slot.moments.clone());
        self.slots.iter().map(of).collect()
    }

    /// Takes up moments as [`Adam::moments`] gives them.
    ///
    /// # Errors
    /// A moment is missing or has another length; nothing is taken up then.
    pub fn set_moments(
        &mut self,
        mut moments: BTreeMap<String, AdamMoments>,
    ) -> Result<(), TrainError> {
        for Slot {
            name, parameter, ..
        } in &self.slots
        {
            let n = parameter.elem_count();
            let fits =
                |moments: &AdamMoments| [moments.mean.len(), moments.mean_square.len()] == [n; 2];
            if !moments.get(name).is_some_and(fits) {
                return Err(TrainError::OptimizerState { name: name.clone() });
            }
        }
        for slot in &mut self.slots {
            if let Some(moments) = moments.remove(&slot.name) {
                slot.moments = moments;
            }
        }
        Ok(())
    }

    /// The moments as tensors named `mean.<parameter>` and `mean_square.<parameter>`.
    ///
    /// # Errors
    /// candle cannot make a tensor.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>, TrainError> {
        let mut tensors = BTreeMap::new();
        for Slot {
            name,
            parameter,
            moments,
        } in &self.slots
        {
            let pairs = [
                ("mean", &moments.mean),
                ("mean_square", &moments.mean_square),
            ];
            for (prefix, values) in pairs {
                let tensor = Tensor::from_slice(values, parameter.shape(), &Device::Cpu)?;
                tensors.insert(format!("{prefix}.{name}"), tensor);
            }
        }
        Ok(tensors)
    }

    /// Takes up saved moments and the number of steps behind them.
    ///
    /// # Errors
    /// A moment is missing or has another shape; nothing is taken up then.
    pub fn restore(
        &mut self,
        tensors: &BTreeMap<String, Tensor>,
        n_steps: u64,
    ) -> Result<(), TrainError> {
        let restored = self.slots.iter().map(|slot| slot.saved_moments(tensors));
        let restored = restored.collect::<Result<Vec<_>, _>>()?;
        for (slot, moments) in self.slots.iter_mut().zip(restored) {
            slot.moments = moments;
        }
        self.n_steps = n_steps;
        Ok(())
    }
}

impl Slot {
    fn gradient<'a>(&self, gradients: &'a Gradients) -> Result<&'a [f32], TrainError> {
        gradients
            .get(&self.name)
            .ok_or_else(|| TrainError::NoGradient {
                name: self.name.clone(),
            })
    }

    fn saved_moments(&self, tensors: &BTreeMap<String, Tensor>) -> Result<AdamMoments, TrainError> {
        let read = |prefix: &str| -> Result<Vec<f32>, TrainError> {
            let name = format!("{prefix}.{}", self.name);
            let tensor = tensors
                .get(&name)
                .filter(|tensor| tensor.shape() == self.parameter.shape())
                .ok_or(TrainError::OptimizerState { name })?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        Ok(AdamMoments {
            mean: read("mean")?,
            mean_square: read("mean_square")?,
        })
    }
}

/// Numbers whose squares are summed together.
const SUMMED_TOGETHER: usize = 1 << 16;
/// Sums that are kept beside each other, so that they can be vectorised in a fixed order.
const LANES: usize = 8;

/// Σ g² in f64, in an order that the length alone decides.
fn sum_of_squares(gradient: &[f32]) -> f64 {
    let chunks = gradient.par_chunks(SUMMED_TOGETHER);
    let sums: Vec<f64> = chunks
        .map(|chunk| {
            let mut lanes = [0.0_f64; LANES];
            for values in chunk.chunks(LANES) {
                for (lane, &value) in lanes.iter_mut().zip(values) {
                    *lane += f64::from(value) * f64::from(value);
                }
            }
            lanes.iter().sum::<f64>()
        })
        .collect();
    sums.iter().sum()
}
