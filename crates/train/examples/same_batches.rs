//! Trains a given network on given batches by the layer-wise step and prints the loss of each step:
//! our side of docs/bench/same_batches.py, which trains the same in PyTorch.
//!
//!     cargo run --release -p cxr-train --example same_batches -- \
//!         FILE.safetensors resnet18 BATCH STEPS LEARNING_RATE
//!
//! The file holds the initial weights under PyTorch's names, `images` [N, 3, H, W], `targets`
//! [N, K] and `pos_weight` [K]. Step k learns from the radiographs k·BATCH, k·BATCH + 1, … modulo N.
//! Every label is known, nothing is dropped, nothing is drawn. A line is `{"step":k,"loss":…}`, k
//! from 1; the loss is the one before the step. Deliberately not here: evaluation and files.
#![expect(
    clippy::print_stdout,
    reason = "an example that is compared has to say what it found"
)]

use candle_core::{Device, Tensor};
use cxr_models::{Architecture, ModelConfig, Network};
use cxr_ops::nhwc::Isa;
use cxr_train::{Adam, Backprop, Batch, Front, Images, OptimizerKind, TrainError, loss_of_batch};
use std::collections::BTreeMap;
use std::error::Error;

/// What was typed.
struct Request {
    file: String,
    architecture: Architecture,
    batch_size: usize,
    steps: usize,
    learning_rate: f64,
}

/// What the file holds.
struct Given {
    network: Network,
    radiographs: Radiographs,
    pos_weights: Tensor,
}

struct Radiographs {
    images: Tensor,
    targets: Tensor,
}

fn main() -> Result<(), Box<dyn Error>> {
    let request = request(std::env::args().skip(1).collect())?;
    let given = read(&request)?;
    let network = &given.network;
    let mut backprop = Backprop::new(network, Front::Step(Isa::best()));
    let mut optimizer = Adam::new(OptimizerKind::Adam, 0.0, network.parameters());
    for step in 0..request.steps {
        let batch = given.radiographs.batch(step, request.batch_size)?;
        let logits = backprop.forward(network, &batch.images, (0, step as u64))?;
        let (loss, of_logits) = loss_of_batch(&logits, &batch, &given.pos_weights)?;
        let gradients = backprop.backward(network, &batch.images, &of_logits)?;
        optimizer.step(gradients, request.learning_rate)?;
        println!("{}", serde_json::json!({ "step": step + 1, "loss": loss }));
    }
    Ok(())
}

fn request(words: Vec<String>) -> Result<Request, Box<dyn Error>> {
    let [file, architecture, batch_size, steps, learning_rate] = <[String; 5]>::try_from(words)
        .map_err(|words| {
            format!("expected FILE ARCHITECTURE BATCH STEPS LEARNING_RATE, found {words:?}")
        })?;
    Ok(Request {
        file,
        architecture: architecture.parse()?,
        batch_size: batch_size.parse()?,
        steps: steps.parse()?,
        learning_rate: learning_rate.parse()?,
    })
}

fn read(request: &Request) -> Result<Given, Box<dyn Error>> {
    let loaded = candle_core::safetensors::load(&request.file, &Device::Cpu)?;
    let mut weights: BTreeMap<String, Tensor> = loaded.into_iter().collect();
    let mut take = |name: &str| {
        let missing = || format!("{}: no tensor `{name}`", request.file);
        weights.remove(name).ok_or_else(missing)
    };
    let (images, targets) = (take("images")?, take("targets")?);
    let pos_weights = take("pos_weight")?;
    let (_, _, height, width) = images.dims4()?;
    let (_, n_findings) = targets.dims2()?;
    let mut config = ModelConfig::new(request.architecture, n_findings, width, height);
    config.dropout = 0.0;
    Ok(Given {
        network: Network::from_tensors(&config, &weights)?,
        radiographs: Radiographs { images, targets },
        pos_weights,
    })
}

impl Radiographs {
    /// The radiographs of a step, counted on from those of the step before, round and round.
    fn batch(&self, step: usize, size: usize) -> Result<Batch<'static>, TrainError> {
        let n_radiographs = self.images.dim(0)?;
        let places: Vec<usize> = (0..size)
            .map(|place| (step * size + place) % n_radiographs)
            .collect();
        let rows: Vec<u32> = places.iter().map(|&place| place as u32).collect();
        let rows = Tensor::new(rows, &Device::Cpu)?;
        let targets = self.targets.index_select(&rows, 0)?; // [B, K]
        Ok(Batch {
            images: Images::of_tensor(&self.images.index_select(&rows, 0)?)?, // [B, 3, H, W]
            mask: targets.ones_like()?,
            targets,
            places,
        })
    }
}
