//! One training step on made-up images, again and again: what `bench step` measures.
//!
//! For side-by-side runs with other programs. The clock is handed in. Labels and images mean
//! nothing; the loss is shown so that a step that does not learn is noticed.

use candle_core::{Device, Tensor};
use cxr_augment::{Buffers, FeedTransform, PixelCache, TrainTransform, feed_ahead};
use cxr_models::{ModelConfig, Network};
use cxr_stream::{Purpose, Stream};

use crate::backprop::{Backprop, Front, loss_of_batch};
use crate::images::Images;
use crate::loader::Batch;
use crate::optimizer::{Adam, OptimizerKind};
use crate::train_error::TrainError;

/// The share of positive labels that is made up, and their weight.
const PREVALENCE: f32 = 0.1;
pub(crate) const POS_WEIGHT: f32 = 3.0;
pub(crate) const LEARNING_RATE: f64 = 1e-4;

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

/// Radiographs for a bench: made-up labels, real pixels.
#[derive(Clone, Copy, Debug)]
pub struct BenchPictures<'a> {
    /// The pixels; they come round again as often as it takes.
    pub cache: &'a PixelCache,
    /// What happens to them on the way.
    pub transform: &'a TrainTransform,
}

/// The seconds of one step, and what it gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTimes {
    /// Waiting for the batch.
    pub waiting: f64,
    /// All of it but the waiting.
    pub total: f64,
    /// The parts of it, where it has parts.
    pub phases: Option<StepPhases>,
    /// The loss before the step.
    pub loss: f64,
}

/// The seconds of the parts of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepPhases {
    /// Forward pass and loss.
    pub forward: f64,
    /// Backward pass.
    pub backward: f64,
    /// Adam.
    pub optimizer: f64,
}

impl StepBench {
    /// Runs the steps on the same made-up batch; `clock` gives seconds from any fixed moment on.
    ///
    /// # Errors
    /// A network that does not exist, or fails.
    pub fn run(&self, clock: &dyn Fn() -> f64) -> Result<Vec<StepTimes>, TrainError> {
        let batch = self.batch()?;
        let mut again = std::iter::repeat_with(|| Ok(None));
        self.run_on(&batch, &mut again, clock)
    }

    /// Runs the steps on batches that a loader fills ahead, and measures what is waited for them.
    ///
    /// # Errors
    /// As [`StepBench::run`]; a picture that cannot be had.
    pub fn run_fed(
        &self,
        pictures: &BenchPictures<'_>,
        clock: &dyn Fn() -> f64,
    ) -> Result<Vec<StepTimes>, TrainError> {
        let batch = self.batch()?;
        let batches = self.batches_of(pictures.cache.len());
        let transform = FeedTransform::Train {
            transform: pictures.transform,
            seed: 0,
            epoch: 1,
        };
        let ModelConfig { width, height, .. } = self.model;
        let buffers = Buffers::default();
        feed_ahead(pictures.cache, &transform, &batches, &buffers, |filled| {
            let mut images = filled.map(|filled| Ok(Some(Images::lent(filled?, height, width))));
            self.run_on(&batch, &mut images, clock)
        })
    }

    pub(crate) fn n_steps(&self) -> usize {
        self.warmup + self.steps
    }

    /// The places of `n` pictures, round and round, one batch a step.
    pub(crate) fn batches_of(&self, n: usize) -> Vec<Vec<usize>> {
        let places: Vec<usize> = (0..self.n_steps() * self.batch)
            .map(|i| i % n.max(1))
            .collect();
        places.chunks(self.batch).map(<[usize]>::to_vec).collect()
    }

    /// Steps with the labels of `batch`, and its images where none come.
    fn run_on<'b>(
        &self,
        batch: &Batch<'_>,
        images: &mut dyn Iterator<Item = Result<Option<Images<'b>>, TrainError>>,
        clock: &dyn Fn() -> f64,
    ) -> Result<Vec<StepTimes>, TrainError> {
        let network = Network::new(&self.model, 0)?;
        let mut optimizer = Adam::new(OptimizerKind::Adam, 0.0, network.parameters());
        let mut backprop = Backprop::new(&network, self.front);
        let n_findings = self.model.n_findings;
        let pos_weights = Tensor::full(POS_WEIGHT, n_findings, &Device::Cpu)?; // [K]
        let mut times = Vec::new();
        for step in 0..self.n_steps() {
            let asked = clock();
            let given = images.next().transpose()?.flatten();
            let images = given.as_ref().unwrap_or(&batch.images);
            let began = clock();
            let logits = backprop.forward(&network, images, (0, step as u64))?;
            let (loss, gradient) = loss_of_batch(&logits, batch, &pos_weights)?;
            let forward = clock();
            let gradients = backprop.backward(&network, images, &gradient)?;
            let backward = clock();
            optimizer.step(gradients, LEARNING_RATE)?;
            let ended = clock();
            times.push(StepTimes {
                waiting: began - asked,
                total: ended - began,
                phases: Some(StepPhases {
                    forward: forward - began,
                    backward: backward - forward,
                    optimizer: ended - backward,
                }),
                loss,
            });
        }
        Ok(times.split_off(self.warmup))
    }

    /// Normal images and rare positives, always the same.
    pub(crate) fn batch(&self) -> Result<Batch<'static>, TrainError> {
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
