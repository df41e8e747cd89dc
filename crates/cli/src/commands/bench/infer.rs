//! `cxr bench infer`: images per second from normalised pixels to logits.

use std::time::Instant;

use cxr_infer::{InferBench, InferFront};
use cxr_models::{Architecture, ModelConfig, Place};
use serde::Serialize;

use super::machine::peak_rss_bytes;
use super::{N_FINDINGS, Outcome, Setting, median, parse_architecture};
use crate::commands::compute_words::ComputeWords;
use crate::console::Console;
use crate::failure::Failure;

/// What can be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The network.
    #[arg(long, default_value = "resnet18", value_parser = parse_architecture)]
    model: Architecture,
    /// Images in a batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Width and height of the images.
    #[arg(long, default_value_t = 320)]
    size: usize,
    /// Batches that are measured.
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Batch norms folded (`folded`), or the network as it trains (`custom`).
    #[arg(long, value_enum, default_value = "folded")]
    compare_ops: Ops,
    #[command(flatten)]
    compute: ComputeWords,
    #[command(flatten)]
    pub(super) setting: Setting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ops {
    Folded,
    Custom,
}

#[derive(Debug, Serialize)]
struct Measured {
    model: &'static str,
    batch: usize,
    size: usize,
    device: String,
    /// On a card: the type of maps.
    precision: Option<String>,
    threads: usize,
    ops: Ops,
    isa: &'static str,
    seconds: Vec<f64>,
    median_seconds: f64,
    images_per_second: f64,
    peak_rss_bytes: Option<u64>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let isa = args.setting.apply()?;
    super::check_counts(args.batch, args.steps)?;
    let bench = InferBench {
        model: ModelConfig::new(args.model, N_FINDINGS, args.size, args.size),
        batch: args.batch,
        steps: args.steps,
        front: match args.compare_ops {
            Ops::Folded => InferFront::Folded(isa),
            Ops::Custom => InferFront::Graph,
        },
    };
    let clock = Instant::now();
    let clock = || clock.elapsed().as_secs_f64();
    let compute = args.compute.compute();
    let seconds = match bench.run_on_device(&compute, &clock)? {
        Some(seconds) => seconds,
        None => bench.run(&clock)?,
    };
    let median_seconds = median(seconds.iter().copied());
    let measured = Measured {
        model: args.model.name(),
        batch: args.batch,
        size: args.size,
        device: compute.place.to_string(),
        precision: (compute.place != Place::Cpu).then(|| compute.precision.to_string()),
        threads: rayon::current_num_threads(),
        ops: args.compare_ops,
        isa: isa.name(),
        seconds,
        median_seconds,
        images_per_second: args.batch as f64 / median_seconds,
        peak_rss_bytes: peak_rss_bytes(),
    };
    if console.wants_json() {
        console.json(&measured)?;
    } else {
        console.line(format_args!(
            "{} batch {} at {}², {}, {} threads, {}: {:.4} s a batch ({:.2} images/s)",
            measured.model,
            measured.batch,
            measured.size,
            measured.device,
            measured.threads,
            measured.isa,
            measured.median_seconds,
            measured.images_per_second,
        ));
    }
    Ok(Outcome::Done)
}
