//! `DeviceTrainer`: a network on a device, and its training steps.
//!
//! For the training loop. A step is one recorded piece of work: what differs from step to step
//! (images, labels, dropout, Adam's factors) is written before it, loss and logits are read after
//! it. A step whose loss or gradient is not finite moves no parameter: the device sees to it.

#[cfg(test)]
mod filled_channels;
#[cfg(test)]
mod finite_differences;

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Device as Cpu, Tensor, Var};
use cxr_ops::device::{self, AdamFactors, Device, Part};
use cxr_ops::kernels::dropout;
use cxr_ops::{AdamMoments, DropoutKey, OpError};

use super::layout::{Arena, Slot};
use super::memory::Memory;
use super::parameters::{read_floats, set_numbers};
use super::pass::Moments;
use super::plan::{Plan, Purpose};
use super::predictor::{check_batch, forward};
use super::recordings::Recordings;
use super::state::{OUTCOME, State, drops_out};
use super::{DeviceImages, Labels, check_network};
use crate::fault::{AtLayer, ModelFault};
use crate::network::Network;
use crate::step::Gradients;

/// What a training step gave.
#[derive(Clone, Debug, PartialEq)]
pub struct StepOutcome {
    /// The mean loss over the known labels; not a number where none is known.
    pub loss: f64,
    /// The Euclidean length of the gradient of all parameters that train.
    pub gradient_norm: f64,
    /// [B, K], row-major, before the step moved anything.
    pub logits: Vec<f32>,
}

impl StepOutcome {
    /// Whether parameters may move by it.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.gradient_norm.is_finite()
    }
}

/// Pieces of work that a device records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Evaluate { images: usize },
    Gradients { images: usize },
    Step { images: usize },
}

/// A network on a device with everything that its training steps need.
///
/// What is frozen is decided when it is made.
///
/// ```
/// use cxr_models::{Architecture, DeviceImages, DeviceTrainer, Labels, ModelConfig, Network};
/// use cxr_ops::AdamParameters;
/// use cxr_ops::device::{AdamFactors, Reference};
///
/// let network = Network::new(&ModelConfig::new(Architecture::XrayCnn, 1, 16, 16), 7)?;
/// let mut trainer = DeviceTrainer::new(Reference::<f32>::new(), &network, 2)?;
/// let images = || DeviceImages::Planes { images: 1, data: &[0.5; 3 * 16 * 16] };
/// let labels = Labels { targets: &[1.0], mask: &[1.0] };
/// let adam = AdamFactors::new(1, &AdamParameters::default());
/// let before = trainer.step(images(), &labels, (7, 0), Some(&adam))?;
/// let after = trainer.step(images(), &labels, (7, 0), None)?;
/// assert!(after.loss < before.loss);
/// trainer.write_back(&network)?; // from here on the network's own
/// # Ok::<(), cxr_models::ModelFault>(())
/// ```
#[derive(Debug)]
pub struct DeviceTrainer<D: Device> {
    device: D,
    plan: Plan,
    largest_batch: usize,
    state: State<D>,
    recordings: Recordings<D, Work>,
    /// Batches that moved the statistics of each norm.
    counts: Vec<i64>,
}

impl<D: Device> DeviceTrainer<D> {
    /// A copy of the network as it is now, with moments of 0, for batches of up to `largest_batch`
    /// images. Parameters that are frozen stay so.
    ///
    /// # Errors
    /// No image at all; [`ModelFault::DeviceMemory`] where the device has no room.
    pub fn new(device: D, network: &Network, largest_batch: usize) -> Result<Self, ModelFault> {
        check_batch(largest_batch)?;
        let trained = trained_names(network);
        let (config, precision) = (network.config(), device.precision());
        let plan = Plan::new(config, precision, Purpose::Training, |name| {
            trained.contains(name)
        })?;
        let free = device.memory()?.map(|(free, _)| free);
        let state = State::new(&device, &plan, largest_batch)
            .map_err(|fault| Memory::of_training(&plan).fault(largest_batch, free, fault))?;
        let mut trainer = Self {
            counts: vec![0; plan.norms.len()],
            device,
            plan,
            largest_batch,
            state,
            recordings: Recordings::new(),
        };
        trainer.load(network)?;
        Ok(trainer)
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The most images that a step takes.
    #[must_use]
    pub fn largest_batch(&self) -> usize {
        self.largest_batch
    }

    /// The weight of a positive label of each finding; 1 at first.
    ///
    /// # Errors
    /// Another number of findings.
    pub fn set_pos_weights(&mut self, pos_weights: &[f32]) -> Result<(), ModelFault> {
        let expected = self.plan.last.outputs;
        if pos_weights.len() != expected {
            return Err(ModelFault::Input {
                expected: format!("a weight for each of {expected} findings"),
                found: pos_weights.len().to_string(),
            });
        }
        let target = &mut self.state.pos_weights;
        Ok(self.device.write_floats(target, 0, pos_weights)?)
    }

    /// One training step: logits, loss and gradients of a batch, and where `adam` is given and loss
    /// and gradient are finite, every parameter that trains moves. Running statistics move as in
    /// [`Network::forward`]. The dropout mask is a pure function of `chance`, (seed, step).
    ///
    /// # Errors
    /// Images or labels of another number or shape; a batch norm that sees one value per channel;
    /// the device fails.
    pub fn step(
        &mut self,
        images: DeviceImages<'_, D>,
        labels: &Labels<'_>,
        chance: (u64, u64),
        adam: Option<&AdamFactors>,
    ) -> Result<StepOutcome, ModelFault> {
        images.check(&self.plan, self.largest_batch)?;
        let n = images.len();
        labels.check(n, self.plan.last.outputs)?;
        self.check_statistics(n)?;
        self.draw_dropout(n, chance)?;
        let Self {
            device,
            plan,
            state,
            recordings,
            ..
        } = self;
        state.buffers.fill(device, plan, &images)?;
        device.write_floats(&mut state.targets, 0, labels.targets)?;
        device.write_floats(&mut state.mask, 0, labels.mask)?;
        let work = match adam {
            Some(factors) => {
                device.write_floats(&mut state.adam.factors, 0, factors.as_slice())?;
                Work::Step { images: n }
            }
            None => Work::Gradients { images: n },
        };
        recordings.run(device, work, || {
            state.lose(device, plan, n)?;
            state.differentiate(device, plan, n)?;
            match work {
                Work::Step { .. } => state.update(device, plan),
                Work::Gradients { .. } | Work::Evaluate { .. } => Ok(()),
            }
        })?;
        let outcome = self.outcome(n)?;
        self.count_batch(&outcome)?;
        Ok(outcome)
    }

    /// The logits [B, K] of a batch, row-major, in evaluation mode: running statistics, no dropout,
    /// and nothing moves.
    ///
    /// # Errors
    /// Images of another number or shape; the device fails.
    pub fn logits(&mut self, images: DeviceImages<'_, D>) -> Result<Vec<f32>, ModelFault> {
        images.check(&self.plan, self.largest_batch)?;
        let Self {
            device,
            plan,
            state,
            recordings,
            ..
        } = self;
        state.buffers.fill(device, plan, &images)?;
        let images = images.len();
        recordings.run(device, Work::Evaluate { images }, || {
            let mut pass = state.pass(device, images, Moments::Running);
            forward(plan, &mut pass, None)
        })?;
        self.read_logits(images)
    }

    /// A copy of the gradients of the last step, of all that trains.
    ///
    /// # Errors
    /// The device fails.
    pub fn gradients(&self) -> Result<Gradients, ModelFault> {
        self.state.gradients.read(&self.device, &self.plan.layout)
    }

    /// What Adam keeps of all that trains, by name, in PyTorch's layouts.
    ///
    /// # Errors
    /// The device fails.
    pub fn moments(&self) -> Result<BTreeMap<String, AdamMoments>, ModelFault> {
        self.state.adam.read(&self.device, &self.plan.layout)
    }

    /// Takes up such moments; those of parameters that do not train are left aside.
    ///
    /// # Errors
    /// A moment is missing or has another length; then none is taken up.
    pub fn set_moments(
        &mut self,
        moments: &BTreeMap<String, AdamMoments>,
    ) -> Result<(), ModelFault> {
        let layout = &self.plan.layout;
        self.state.adam.write(&self.device, layout, moments)
    }

    /// Takes over weights and running statistics of a network of the same config with the same
    /// layers frozen. Moments stay.
    ///
    /// # Errors
    /// Another network; a weight that cannot be read.
    pub fn load(&mut self, network: &Network) -> Result<(), ModelFault> {
        check_network(&self.plan, network)?;
        let trained: BTreeSet<String> = trained_names(network);
        if !self
            .plan
            .layout
            .trained()
            .map(|(name, _)| name)
            .eq(&trained)
        {
            return Err(ModelFault::Input {
                expected: "the layers frozen that were frozen at first".to_owned(),
                found: format!("{} parameters that train", trained.len()),
            });
        }
        let State {
            parameters, adam, ..
        } = &mut self.state;
        let (device, layout) = (&self.device, &self.plan.layout);
        parameters.load(device, layout, network, |slot, numbers| match slot.arena {
            Arena::Weights => device.write_floats(&mut adam.master, slot.part.start, numbers),
            Arena::Vectors | Arena::Running => Ok(()),
        })?;
        let variables: BTreeMap<String, Var> = network.variables().into_iter().collect();
        for (norm, count) in self.plan.norms.iter().zip(&mut self.counts) {
            if let Some(var) = variables.get(&count_name(&norm.name)) {
                *count = var.to_scalar::<i64>().at(&norm.name)?;
            }
        }
        Ok(())
    }

    /// Sets a network's weights and running statistics to those of the device.
    ///
    /// # Errors
    /// A network of another config; the device fails.
    pub fn write_back(&self, network: &Network) -> Result<(), ModelFault> {
        check_network(&self.plan, network)?;
        let variables: BTreeMap<String, Var> = network.variables().into_iter().collect();
        for (name, slot) in self.plan.layout.slots() {
            if let Some(var) = variables.get(name) {
                set_numbers(var, self.numbers_of(slot).at(name)?).at(name)?;
            }
        }
        for (norm, &count) in self.plan.norms.iter().zip(&self.counts) {
            if let Some(var) = variables.get(&count_name(&norm.name)) {
                Tensor::new(count, &Cpu::Cpu)
                    .and_then(|count| var.set(&count))
                    .at(&norm.name)?;
            }
        }
        Ok(())
    }

    fn numbers_of(&self, slot: &Slot) -> device::Result<Vec<f32>> {
        let State {
            parameters, adam, ..
        } = &self.state;
        let arena = match slot.arena {
            Arena::Weights => &adam.master,
            Arena::Vectors => &parameters.vectors,
            Arena::Running => &parameters.running,
        };
        read_floats(&self.device, arena, slot)
    }

    /// A norm over a single number has no variance.
    fn check_statistics(&self, images: usize) -> Result<(), ModelFault> {
        let moving = self.plan.norms.iter().filter(|norm| !norm.is_fixed);
        for norm in moving {
            if norm.rows(images).rows < 2 {
                let size = norm.size;
                let shape = vec![images, size.channels, size.height, size.width];
                return Err(OpError::OneValuePerChannel { shape }).at(&norm.name);
            }
        }
        Ok(())
    }

    /// What dropout does to ones is what it multiplies with.
    fn draw_dropout(&mut self, images: usize, (seed, step): (u64, u64)) -> Result<(), ModelFault> {
        if !drops_out(&self.plan) {
            return Ok(());
        }
        let probability = self.plan.config.dropout;
        let ones = vec![1.0; images * self.plan.last.inputs];
        let key = DropoutKey {
            seed,
            step,
            layer: 0,
        };
        key.check(ones.len()).at("dropout")?;
        let mut factors = vec![0.0; ones.len()];
        dropout::apply(&key, f64::from(probability), &ones, &mut factors);
        let target = &mut self.state.backward.dropout;
        Ok(self.device.write_floats(target, 0, &factors)?)
    }

    fn outcome(&self, images: usize) -> Result<StepOutcome, ModelFault> {
        let part = Part::first(OUTCOME);
        let outcome = self.device.read_floats(&self.state.outcome, part)?;
        let number = |place: usize| f64::from(outcome.get(place).copied().unwrap_or(f32::NAN));
        Ok(StepOutcome {
            loss: number(0),
            gradient_norm: number(1),
            logits: self.read_logits(images)?,
        })
    }

    fn read_logits(&self, images: usize) -> Result<Vec<f32>, ModelFault> {
        let part = Part::first(images * self.plan.last.outputs);
        let logits = &self.state.buffers.logits;
        Ok(self.device.read_floats(logits, part)?)
    }

    /// Counts a batch for every norm whose statistics it moved: all of them where the logits are
    /// finite, else those before the first number that was not.
    fn count_batch(&mut self, outcome: &StepOutcome) -> Result<(), ModelFault> {
        let all_moved = outcome.logits.iter().all(|logit| logit.is_finite());
        let norms = self.plan.norms.iter().zip(&mut self.counts);
        for (norm, count) in norms.filter(|(norm, _)| !norm.is_fixed) {
            let saved = &self.state.buffers.saved[norm.id];
            let moments = Part::first(2 * norm.size.channels);
            if all_moved || has_moved(&self.device.read_floats(saved, moments)?) {
                *count += 1;
            }
        }
        Ok(())
    }
}

/// Whether means and 1/√(variance + ε) [2, C] are those of finite moments.
fn has_moved(moments: &[f32]) -> bool {
    let (means, deviations) = moments.split_at(moments.len() / 2);
    let finite = means.iter().all(|mean| mean.is_finite());
    // The root of an infinite variance is 0 in the denominator.
    finite && deviations.iter().all(|d| d.is_finite() && *d > 0.0)
}

fn trained_names(network: &Network) -> BTreeSet<String> {
    let parameters = network.parameters().into_iter();
    parameters.map(|(name, _)| name).collect()
}

fn count_name(norm: &str) -> String {
    format!("{norm}.num_batches_tracked")
}
