//! Networks, batches, and the same batch by candle's graph.

use std::collections::BTreeMap;

use candle_core::{DType, Device as Cpu, Tensor};
use cxr_models::{
    Architecture, DeviceImages, DeviceTrainer, Gradients, Labels, Mode, ModelConfig, Network,
    StepOutcome,
};
use cxr_ops::bce_with_logits;
use cxr_ops::device::{AdamFactors, Device, Reference};
use cxr_stream::{Purpose, Stream};

pub(crate) const FINDINGS: usize = 5;
pub(crate) const POS_WEIGHTS: [f32; FINDINGS] = [1.0, 2.5, 0.5, 7.0, 1.0];
pub(crate) const CHANCE: (u64, u64) = (7, 3);

pub(crate) fn config(architecture: Architecture, width: usize, height: usize) -> ModelConfig {
    let mut config = ModelConfig::new(architecture, FINDINGS, width, height);
    config.dropout = 0.25;
    config
}

pub(crate) fn numbers(salt: u64, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(salt, Purpose::Test, 0, 0);
    (0..len).map(|_| 2.0 * stream.uniform_f32() - 1.0).collect()
}

/// A batch of images with labels, a fifth of them unknown.
pub(crate) struct Batch {
    pub(crate) n: usize,
    pub(crate) pixels: Vec<f32>,
    pub(crate) targets: Vec<f32>,
    pub(crate) mask: Vec<f32>,
    shape: (usize, usize, usize, usize),
}

impl Batch {
    pub(crate) fn new(config: &ModelConfig, n: usize, salt: u64) -> Self {
        let cells = n * FINDINGS;
        let drawn = numbers(salt + 1000, cells);
        Self {
            n,
            pixels: numbers(salt, n * 3 * config.height * config.width),
            targets: drawn.iter().map(|d| f32::from(*d > 0.0)).collect(),
            mask: drawn.iter().map(|d| f32::from(*d > -0.6)).collect(),
            shape: (n, 3, config.height, config.width),
        }
    }

    pub(crate) fn planes<D: Device>(&self) -> DeviceImages<'_, D> {
        DeviceImages::Planes {
            images: self.n,
            data: &self.pixels,
        }
    }

    pub(crate) fn labels(&self) -> Labels<'_> {
        Labels {
            targets: &self.targets,
            mask: &self.mask,
        }
    }

    pub(crate) fn images(&self) -> Tensor {
        Tensor::from_slice(&self.pixels, self.shape, &Cpu::Cpu).unwrap()
    }

    fn cells(&self, numbers: &[f32]) -> Tensor {
        Tensor::from_slice(numbers, (self.n, FINDINGS), &Cpu::Cpu).unwrap()
    }

    /// The loss of logits.
    pub(crate) fn loss(&self, logits: &Tensor) -> Tensor {
        let pos_weights = Tensor::new(&POS_WEIGHTS, &Cpu::Cpu).unwrap();
        let (targets, mask) = (self.cells(&self.targets), self.cells(&self.mask));
        bce_with_logits(logits, &targets, &mask, &pos_weights).unwrap()
    }

    /// Logits, loss and gradients by candle's graph; running statistics move.
    pub(crate) fn by_graph(&self, network: &Network, (seed, step): (u64, u64)) -> ByGraph {
        let mode = Mode::Train { seed, step };
        let logits = network.forward(&self.images(), mode).unwrap();
        let loss = self.loss(&logits);
        let store = loss.backward().unwrap();
        ByGraph {
            logits: flat(&logits.detach()),
            loss: f64::from(loss.to_scalar::<f32>().unwrap()),
            gradients: Gradients::of_graph(network, &store).unwrap(),
        }
    }
}

pub(crate) struct ByGraph {
    pub(crate) logits: Vec<f32>,
    pub(crate) loss: f64,
    pub(crate) gradients: Gradients,
}

pub(crate) fn trainer(network: &Network, batch: usize) -> DeviceTrainer<Reference<f32>> {
    let mut trainer = DeviceTrainer::new(Reference::new(), network, batch).unwrap();
    trainer.set_pos_weights(&POS_WEIGHTS).unwrap();
    trainer
}

pub(crate) fn step<D: Device>(
    trainer: &mut DeviceTrainer<D>,
    batch: &Batch,
    adam: Option<&AdamFactors>,
) -> StepOutcome {
    trainer
        .step(batch.planes(), &batch.labels(), CHANCE, adam)
        .unwrap()
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The bits of every tensor.
pub(crate) fn tensors(network: &Network) -> BTreeMap<String, Vec<f32>> {
    let all = network.tensors().into_iter();
    all.map(|(name, tensor)| (name, flat(&tensor.to_dtype(DType::F32).unwrap())))
        .collect()
}

/// The length of the difference, relative to the length of `expected`.
pub(crate) fn error(got: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let squares = |numbers: &mut dyn Iterator<Item = f32>| -> f64 {
        numbers.map(|number| f64::from(number).powi(2)).sum()
    };
    let pairs = got.iter().zip(expected);
    let of_difference = squares(&mut pairs.map(|(a, b)| a - b));
    (of_difference / squares(&mut expected.iter().copied()).max(1e-30)).sqrt()
}

/// Gives running statistics other values than those that a fresh norm has.
pub(crate) fn move_statistics(network: &Network) {
    for salt in 0..3 {
        let batch = Batch::new(network.config(), 4, 100 + salt);
        let mode = Mode::Train {
            seed: 1,
            step: salt,
        };
        network.forward(&batch.images(), mode).unwrap();
    }
}
