//! One training step on made-up images, again and again: what `bench step` measures.
//!
//! For side-by-side runs with other programs. The clock is handed in. Labels and images mean
//! nothing; the loss is shown so that a step that does not learn is noticed.

use candle_core::{Device, Tensor};
use cxr_models::{ModelConfig, Network};
use cxr_stream::{Purpose, Stream};

use crate::backprop::{Backprop, Front, loss_of_batch};
use crate::images::Images;
use crate::loader::Batch;
use crate::optimizer::{Adam, OptimizerKind};
use crate::train_error::TrainError;

/// The share of positive labels that is made up, and their weight.
const PREVALENCE: f32 = 0.1;
const POS_WEIGHT: f32 = 3.0;
const LEARNING_RATE: f64 = 1e-4;

/// What is measured.
#[derive(Clone, Debug)]
pub struct StepBench {
    /// The network; its size is the images'.
    pub model: ModelConfig,
    /// Images in a batch.
    pub batch: usize,
    /// Steps that count.
    pub steps: usize,
    /// Steps before them that do not.
    pub warmup: usize,
    /// Which way the network is trained.
    pub front: Front,
}

/// The seconds of one step, and what it gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTimes {
    /// Forward pass and loss.
    pub forward: f64,
    /// Backward pass.
    pub backward: f64,
    /// Adam.
    pub optimizer: f64,
    /// All of it.
    pub total: f64,
    /// The loss before the step.
    pub loss: f64,
}

impl StepBench {
    /// Runs the steps; `clock` gives seconds from any fixed moment on.
    ///
    /// # Errors
    /// A network that does not exist, or fails.
    pub fn run(&self, clock: &dyn Fn() -> f64) -> Result<Vec<StepTimes>, TrainError> {
        let network = Network::new(&self.model, 0)?;
        let mut optimizer = Adam::new(OptimizerKind::Adam, 0.0, network.parameters());
        let mut backprop = Backprop::new(&network, self.front);
        let batch = self.batch()?;
        let n_findings = self.model.n_findings;
        let pos_weights = Tensor::full(POS_WEIGHT, n_findings, &Device::Cpu)?; // [K]
        let mut times = Vec::new();
        for step in 0..self.warmup + self.steps {
            let began = clock();
            let logits = backprop.forward(&network, &batch.images, (0, step as u64))?;
            let (loss, gradient) = loss_of_batch(&logits, &batch, &pos_weights)?;
            let forward = clock();
            let gradients = backprop.backward(&network, &batch.images, &gradient)?;
            let backward = clock();
            optimizer.step(gradients, LEARNING_RATE)?;
            let ended = clock();
            times.push(StepTimes {
                forward: forward - began,
                backward: backward - forward,
                optimizer: ended - backward,
                total: ended - began,
                loss,
            });
        }
        Ok(times.split_off(self.warmup))
    }

    /// Normal images and rare positives, always the same.
    fn batch(&self) -> Result<Batch<'static>, TrainError> {
        let ModelConfig {
            width,
            height,
            n_findings,
            ..
        } = self.model;
        let mut stream = Stream::new(0, Purpose::Test, 0, 0);
        let n_pixels = self.batch * 3 * height * width;
        let pixels: Vec<f32> = (0..n_pixels).map(|_| stream.normal() as f32).collect();
        let labels: Vec<f32> = (0..self.batch * n_findings)
            .map(|_| f32::from(stream.uniform_f32() < PREVALENCE))
            .collect();
        let shape = (self.batch, n_findings);
        let images = Tensor::from_vec(pixels, (self.batch, 3, height, width), &Device::Cpu)?;
        Ok(Batch {
            images: Images::of_tensor(&images)?,
            targets: Tensor::from_vec(labels, shape, &Device::Cpu)?,
            mask: Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu)?,
            places: (0..self.batch).collect(),
        })
    }
}
