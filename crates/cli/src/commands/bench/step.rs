//! `cxr bench step`: seconds and memory of one training step.

use std::path::PathBuf;
use std::time::Instant;

use cxr_augment::{AffineRanges, ImageFolder, Preprocess, TrainTransform};
use cxr_models::{Architecture, ModelConfig, Place};
use cxr_train::{BenchPictures, DeviceSteps, Front, StepBench, StepPhases, StepTimes, TrainError};
use serde::Serialize;

use super::images::{BenchImages, image_names, side};
use super::machine::peak_rss_bytes;
use super::{N_FINDINGS, Outcome, Setting, median, parse_architecture};
use crate::commands::cache_words::CacheWords;
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
    /// Steps that are measured.
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Steps before them that are not.
    #[arg(long, default_value_t = 2)]
    warmup: usize,
    /// Layer by layer (`step`), or by custom operations in candle's graph (`custom`).
    #[arg(long, value_enum, default_value = "step")]
    compare_ops: Ops,
    #[command(flatten)]
    compute: ComputeWords,
    /// Feed the steps from the files of --images, and measure the waiting for them.
    #[arg(long, requires = "images")]
    with_loader: bool,
    /// The folder of images of --with-loader.
    #[arg(long, value_name = "DIR", requires = "with_loader")]
    images: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheWords,
    #[command(flatten)]
    pub(super) setting: Setting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ops {
    Step,
    Custom,
}

#[derive(Debug, Serialize)]
struct Measured {
    model: &'static str,
    batch: usize,
    size: usize,
    device: String,
    threads: usize,
    ops: Ops,
    isa: &'static str,
    /// On a card: the type of maps.
    precision: Option<String>,
    seconds: Vec<f64>,
    median_seconds: f64,
    images_per_second: f64,
    /// On a card a step is one piece, and these are not known.
    forward: Option<f64>,
    backward: Option<f64>,
    optimizer: Option<f64>,
    /// Median seconds waited for a batch; only with --with-loader.
    waiting: Option<f64>,
    /// All waiting ÷ (all waiting and all steps).
    waiting_share: Option<f64>,
    peak_rss_bytes: Option<u64>,
    /// What the card's memory holds after the last step, of all programs.
    device_bytes: Option<u64>,
    loss_first: f64,
    loss_last: f64,
    /// What a card has chosen for itself: its convolutions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<String>,
}

pub(crate) fn run(args: &Args, console: Console) -> Result<Outcome, Failure> {
    let isa = args.setting.apply()?;
    super::check_counts(args.batch, args.steps)?;
    let bench = StepBench {
        model: ModelConfig::new(args.model, N_FINDINGS, args.size, args.size),
        batch: args.batch,
        steps: args.steps,
        warmup: args.warmup,
        front: match args.compare_ops {
            Ops::Step => Front::Step(isa),
            Ops::Custom => Front::Graph,
        },
    };
    let clock = Instant::now();
    let clock = || clock.elapsed().as_secs_f64();
    let compute = args.compute.compute();
    let run = |pictures: Option<&BenchPictures<'_>>| -> Result<DeviceSteps, TrainError> {
        if let Some(steps) = bench.run_on_device(&compute, pictures, &clock)? {
            return Ok(steps);
        }
        let times = match pictures {
            None => bench.run(&clock)?,
            Some(pictures) => bench.run_fed(pictures, &clock)?,
        };
        Ok(DeviceSteps {
            times,
            device_bytes: None,
            choices: Vec::new(),
        })
    };
    let steps = match &args.images {
        None => run(None)?,
        Some(images) => {
            let bench_images = BenchImages {
                folder: ImageFolder::open(images)?,
                names: image_names(images)?,
                spec: Preprocess {
                    width: side(args.size)?,
                    height: side(args.size)?,
                    ..Preprocess::default()
                },
                keep: args.cache.keep(),
            };
            let cache = bench_images.open()?;
            let transform = TrainTransform::new(bench_images.spec, AffineRanges::seed())?;
            let pictures = BenchPictures {
                cache: &cache,
                transform: &transform,
            };
            run(Some(&pictures))?
        }
    };
    let measured = measured(args, isa.name(), steps);
    if console.wants_json() {
        console.json(&measured)?;
    } else {
        print(&measured, console);
    }
    Ok(Outcome::Done)
}

fn measured(args: &Args, isa: &'static str, steps: DeviceSteps) -> Measured {
    let times = &steps.times;
    let of = |part: fn(&StepTimes) -> f64| median(times.iter().map(part));
    let phase = |part: fn(&StepPhases) -> f64| {
        let known: Vec<f64> = times
            .iter()
            .filter_map(|times| times.phases.as_ref().map(part))
            .collect();
        (!known.is_empty()).then(|| median(known.into_iter()))
    };
    let compute = args.compute.compute();
    let median_seconds = of(|times| times.total);
    let loss = |times: Option<&StepTimes>| times.map_or(f64::NAN, |times| times.loss);
    Measured {
        model: args.model.name(),
        batch: args.batch,
        size: args.size,
        device: compute.place.to_string(),
        threads: rayon::current_num_threads(),
        ops: args.compare_ops,
        isa,
        precision: (compute.place != Place::Cpu).then(|| compute.precision.to_string()),
        seconds: times.iter().map(|times| times.total).collect(),
        median_seconds,
        images_per_second: args.batch as f64 / median_seconds,
        forward: phase(|phases| phases.forward),
        backward: phase(|phases| phases.backward),
        optimizer: phase(|phases| phases.optimizer),
        waiting: args.with_loader.then(|| of(|times| times.waiting)),
        waiting_share: args.with_loader.then(|| {
            let waiting: f64 = times.iter().map(|times| times.waiting).sum();
            let steps: f64 = times.iter().map(|times| times.total).sum();
            waiting / (waiting + steps)
        }),
        peak_rss_bytes: peak_rss_bytes(),
        device_bytes: steps.device_bytes,
        loss_first: loss(times.first()),
        loss_last: loss(times.last()),
        choices: steps.choices,
    }
}

fn print(measured: &Measured, console: Console) {
    let where_it_ran = match &measured.precision {
        Some(precision) => format!("{} in {precision}", measured.device),
        None => format!("{} threads, {}", measured.threads, measured.isa),
    };
    console.line(format_args!(
        "{} batch {} at {}², {where_it_ran}: step {:.4} s ({:.2} images/s)",
        measured.model,
        measured.batch,
        measured.size,
        measured.median_seconds,
        measured.images_per_second,
    ));
    if let (Some(forward), Some(backward), Some(optimizer)) =
        (measured.forward, measured.backward, measured.optimizer)
    {
        console.line(format_args!(
            "forward {forward:.3}, backward {backward:.3}, optimizer {optimizer:.3}"
        ));
    }
    let memories = [
        ("peak memory", measured.peak_rss_bytes),
        ("card's memory in use", measured.device_bytes),
    ];
    for (name, bytes) in memories {
        if let Some(bytes) = bytes {
            let gib = bytes as f64 / f64::from(1 << 30);
            console.line(format_args!("{name} {gib:.2} GiB"));
        }
    }
    if let (Some(waiting), Some(share)) = (measured.waiting, measured.waiting_share) {
        console.line(format_args!(
            "waiting for a batch {waiting:.4} s, {:.2} % of the time",
            100.0 * share
        ));
    }
    console.line(format_args!(
        "loss {:.4} → {:.4}",
        measured.loss_first, measured.loss_last
    ));
}
